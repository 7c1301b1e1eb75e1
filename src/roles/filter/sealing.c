/* See sealing.h. */
#include "sealing.h"

#include "base/clock.h"
#include "fields.h"

enum { FIELDS_MAX = 48 * 1024, HELD = 8192 /* about what the hashes and the names of the fields take */ };

void sealing_init(struct sealing *s)
{
    *s = (struct sealing){0};
    buf_init(&s->domains, SEALING_DOMAINS_MAX * (IPC_NAME + 1));
    buf_init(&s->fields, FIELDS_MAX);
}

static void drop(struct sealing *s)
{
    arc_seal_free(s->seal);
    s->seal = NULL;
    str_free(&s->selector);
    s->state = SEALING_NONE;
}

void sealing_clear(struct sealing *s)
{
    drop(s);
    buf_clear(&s->domains);
    buf_clear(&s->fields);
}

size_t sealing_held(const struct sealing *s)
{
    return s->domains.capacity + s->fields.capacity + (s->seal != NULL ? HELD : 0);
}

void sealing_note_domain(struct sealing *s, struct str domain)
{
    struct str rest = buf_str(&s->domains), one;

    if (domain.n == 0 || domain.n > IPC_NAME || s->domain_count == SEALING_DOMAINS_MAX)
        return;
    while (rest.n > 0 && str_next(&rest, 0, &one))
        if (str_ieq(one, domain))
            return;
    buf_add(&s->domains, domain);
    buf_add_char(&s->domains, 0);
    s->domain_count++;
}

struct str sealing_domain(const struct sealing *s)
{
    struct str rest = buf_str(&s->domains), one = {0};

    (void)str_next(&rest, 0, &one);
    return one;
}

bool sealing_begin(struct sealing *s, struct str header, int64_t now)
{
    struct str field;

    if (s->domain_count == 0)
        return false;
    s->seal = arc_seal_new((struct str){0}, (struct str){0}, DKIM_RSA_SHA256, (uint64_t)(now / SECOND));
    while (fields_next(&header, &field))
        arc_seal_field(s->seal, field);
    if (arc_seal_header_end(s->seal))
        s->state = SEALING_KEYS;
    else
        drop(s);
    return s->state == SEALING_KEYS;
}

void sealing_body(struct sealing *s, struct str bytes)
{
    if (s->seal != NULL)
        arc_seal_body(s->seal, bytes);
}

bool sealing_waits(const struct sealing *s)
{
    return s->state == SEALING_KEYS || s->state == SEALING_ASKED;
}

/* RSA where there is a choice: many cannot verify the other one. */
static bool choose_key(struct sealing *s, const struct msg_dkim_keys_reply *reply)
{
    struct str selector = reply->rsa.n > 0 ? reply->rsa : reply->ed25519;

    s->algorithm = reply->rsa.n > 0 ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256;
    if (selector.n == 0 || !arc_seal_set_key(s->seal, sealing_domain(s), selector, s->algorithm))
        return false;
    s->selector = str_dup(selector);
    return true;
}

unsigned sealing_take_keys(struct sealing *s, const struct msg_dkim_keys_reply *reply)
{
    if (reply->failed)
        return 451;
    if (choose_key(s, reply)) {
        s->state = SEALING_KNOWN;
        return 0;
    }
    buf_consume(&s->domains, sealing_domain(s).n + 1);
    if (s->domains.n == 0)
        drop(s);
    return 0;
}

/* A chain that fails for DNS alone may be whole: to call it broken would break it for good. It goes on as it is. */
bool sealing_start(struct sealing *s, const struct arc_outcome *chain, struct str results)
{
    arc_seal_end(s->seal);
    if ((chain->result == ARC_FAIL && chain->dns_failed) || !arc_seal_begin(s->seal, chain->result, results)) {
        drop(s);
        return false;
    }
    s->state = SEALING_READY;
    return true;
}

void sealing_ask(struct sealing *s, struct msg_dkim_sign_ask *ask)
{
    struct str hash = str_from((const char *)arc_seal_hash(s->seal), DKIM_HASH);
    bool rsa = s->algorithm == DKIM_RSA_SHA256;

    *ask = (struct msg_dkim_sign_ask){.domain = sealing_domain(s)};
    *(rsa ? &ask->rsa : &ask->ed25519) = s->selector;
    *(rsa ? &ask->rsa_hash : &ask->ed25519_hash) = hash;
    s->state = SEALING_ASKED;
}

unsigned sealing_take(struct sealing *s, const struct msg_dkim_sign_reply *reply)
{
    struct str signature = s->algorithm == DKIM_RSA_SHA256 ? reply->rsa_signature : reply->ed25519_signature;

    if (reply->failed || signature.n == 0)
        return 451;
    arc_seal_sign(s->seal, signature);
    if (arc_seal_hash(s->seal) != NULL) {
        s->state = SEALING_READY;
        return 0;
    }
    arc_seal_write(s->seal, &s->fields);
    drop(s);
    s->state = SEALING_DONE;
    return s->fields.failed ? 451 : 0;
}
