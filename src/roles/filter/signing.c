/* See signing.h. */
#include "signing.h"

#include "base/clock.h"
#include "fields.h"
#include "mime/header.h"
#include "smtp/address.h"

enum { FIELDS_MAX = 8192, HELD = 8192 /* about what a hash and the names of the fields take */ };

void signing_init(struct signing *s)
{
    *s = (struct signing){0};
    buf_init(&s->domain, IPC_NAME);
    buf_init(&s->fields, FIELDS_MAX);
}

static void drop(struct signing *s)
{
    dkim_sign_free(s->sign);
    s->sign = NULL;
    for (size_t i = 0; i < s->key_count; i++)
        str_free(&s->keys[i].selector);
    s->key_count = 0;
    s->state = SIGNING_NONE;
}

void signing_clear(struct signing *s)
{
    drop(s);
    buf_clear(&s->domain);
    buf_clear(&s->fields);
}

size_t signing_held(const struct signing *s)
{
    return s->fields.capacity + (s->sign != NULL ? HELD : 0);
}

void signing_note_author(struct signing *s, struct str value)
{
    struct buf address, canonical;
    struct str local, domain;
    const char *why;

    if (s->domain.n > 0)
        return;
    buf_init(&address, ADDRESS_TEXT_MAX);
    buf_init(&canonical, ADDRESS_TEXT_MAX);
    if (header_next_address(&value, &address, NULL) && address_canonical(buf_str(&address), ADDRESS_UTF8, &canonical, &why)) {
        address_split(buf_str(&canonical), &local, &domain);
        if (dkim_is_domain(domain))
            buf_add(&s->domain, domain);
    }
    buf_clear(&address);
    buf_clear(&canonical);
}

static void add_fields(struct signing *s, struct str header)
{
    struct str field;

    while (fields_next(&header, &field))
        dkim_sign_field(s->sign, field);
}

bool signing_begin(struct signing *s, struct str added, struct str header, int64_t now)
{
    if (s->domain.n > 0)
        s->sign = dkim_sign_new(buf_str(&s->domain), NULL, 0, (uint64_t)(now / SECOND), 0);
    if (s->sign == NULL)
        return false;
    add_fields(s, added);
    add_fields(s, header);
    s->unfit = !dkim_sign_header_end(s->sign);
    s->state = SIGNING_KEYS;
    return true;
}

void signing_body(struct signing *s, struct str bytes)
{
    if (s->sign != NULL && !s->unfit)
        dkim_sign_body(s->sign, bytes);
}

bool signing_waits(const struct signing *s)
{
    return s->state == SIGNING_KEYS || s->state == SIGNING_ASKED;
}

static void add_key(struct signing *s, enum dkim_algorithm algorithm, struct str selector)
{
    if (selector.n > 0)
        s->keys[s->key_count++] = (struct dkim_sign_key){algorithm, str_dup(selector)};
}

unsigned signing_take_keys(struct signing *s, const struct msg_dkim_keys_reply *reply)
{
    if (reply->failed)
        return 451;
    add_key(s, DKIM_RSA_SHA256, reply->rsa);
    add_key(s, DKIM_ED25519_SHA256, reply->ed25519);
    if (s->key_count == 0) {
        drop(s);
        return 0;
    }
    if (s->unfit)
        return 554;
    if (!dkim_sign_set_keys(s->sign, s->keys, s->key_count))
        return 451;
    s->state = SIGNING_KNOWN;
    return 0;
}

void signing_ask(struct signing *s, struct msg_dkim_sign_ask *ask)
{
    dkim_sign_end(s->sign);
    *ask = (struct msg_dkim_sign_ask){.domain = buf_str(&s->domain)};
    for (size_t i = 0; i < s->key_count; i++) {
        struct str hash = str_from((const char *)dkim_sign_hash(s->sign, i), DKIM_HASH);
        bool rsa = s->keys[i].algorithm == DKIM_RSA_SHA256;

        *(rsa ? &ask->rsa : &ask->ed25519) = s->keys[i].selector;
        *(rsa ? &ask->rsa_hash : &ask->ed25519_hash) = hash;
    }
    s->state = SIGNING_ASKED;
}

unsigned signing_take(struct signing *s, const struct msg_dkim_sign_reply *reply)
{
    for (size_t i = 0; i < s->key_count; i++) {
        struct str signature = s->keys[i].algorithm == DKIM_RSA_SHA256 ? reply->rsa_signature : reply->ed25519_signature;

        if (reply->failed || signature.n == 0)
            return 451;
        dkim_sign_write(s->sign, i, signature, &s->fields);
    }
    drop(s);
    s->state = SIGNING_DONE;
    return s->fields.failed ? 451 : 0;
}
