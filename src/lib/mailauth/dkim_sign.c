/* See dkim_sign.h. The hash of the signed fields is made once, at the end of the header; each key goes on from a copy
 * of it, when the body's hash is known, with the field it will be in. */
#include "dkim_sign.h"
#include "base/err.h"
#include "dkim_write.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { FIELD_MAX = 16384 };

struct dkim_sign {
    struct str domain; /* owned, as the selectors are */
    struct dkim_sign_key keys[DKIM_SIGN_KEYS_MAX];
    unsigned char hashes[DKIM_SIGN_KEYS_MAX][DKIM_HASH];
    size_t key_count;
    uint64_t time, expiry;
    struct dkim_header *header;
    struct dkim_body *body;
    size_t body_number;
    EVP_MD_CTX *fields;
    struct buf names; /* h= */
};

static bool are_names(struct str domain, const struct dkim_sign_key *keys, size_t key_count)
{
    char out[DNS_NAME_TEXT];

    if (key_count > DKIM_SIGN_KEYS_MAX)
        return false;
    for (size_t i = 0; i < key_count; i++)
        if (!dkim_signature_key_name(keys[i].selector, domain, out))
            return false;
    return dkim_is_domain(domain);
}

static void copy_keys(struct dkim_sign *s, const struct dkim_sign_key *keys, size_t key_count)
{
    s->key_count = key_count;
    for (size_t i = 0; i < key_count; i++)
        s->keys[i] = (struct dkim_sign_key){keys[i].algorithm, str_dup(keys[i].selector)};
}

struct dkim_sign *dkim_sign_new(struct str domain, const struct dkim_sign_key *keys, size_t key_count, uint64_t now_seconds,
    uint64_t lifetime)
{
    struct dkim_sign *s;

    if (!are_names(domain, keys, key_count))
        return NULL;
    s = xcalloc(1, sizeof *s);
    *s = (struct dkim_sign){.domain = str_dup(domain), .time = now_seconds,
        .expiry = lifetime > 0 ? now_seconds + lifetime : 0, .header = dkim_header_new(), .body = dkim_body_new(),
        .fields = EVP_MD_CTX_new()};
    if (s->fields == NULL || EVP_DigestInit_ex(s->fields, EVP_sha256(), NULL) != 1 ||
        !dkim_body_want(s->body, DKIM_RELAXED, UINT64_MAX, &s->body_number))
        fatal("SHA-256 is not to be had");
    copy_keys(s, keys, key_count);
    buf_init(&s->names, DKIM_NAMES_MAX);
    return s;
}

bool dkim_sign_set_keys(struct dkim_sign *s, const struct dkim_sign_key *keys, size_t key_count)
{
    if (s->key_count > 0 || key_count == 0 || !are_names(s->domain, keys, key_count))
        return false;
    copy_keys(s, keys, key_count);
    return true;
}

void dkim_sign_free(struct dkim_sign *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->key_count; i++)
        str_free(&s->keys[i].selector);
    str_free(&s->domain);
    dkim_header_free(s->header);
    dkim_body_free(s->body);
    EVP_MD_CTX_free(s->fields);
    buf_clear(&s->names);
    free(s);
}

/* ---- the message ---- */

void dkim_sign_field(struct dkim_sign *s, struct str field)
{
    dkim_header_add(s->header, field);
}

bool dkim_sign_header_end(struct dkim_sign *s)
{
    bool ok = dkim_choose_names(s->header, false, &s->names);

    if (ok)
        dkim_header_hash(s->header, buf_str(&s->names), DKIM_RELAXED, SIZE_MAX, s->fields);
    dkim_header_free(s->header);
    s->header = NULL;
    return ok;
}

void dkim_sign_body(struct dkim_sign *s, struct str bytes)
{
    dkim_body_add(s->body, bytes);
}

/* ---- the field ---- */

static void write_field(const struct dkim_sign *s, size_t key, struct str signature, struct buf *out)
{
    struct dkim_writer w;

    dkim_write_begin(&w, out, "DKIM-Signature:");
    dkim_write_tag(&w, "v", STR("1"));
    dkim_write_tag(&w, "a", str_of(dkim_algorithm_name(s->keys[key].algorithm)));
    dkim_write_tag(&w, "c", STR("relaxed/relaxed"));
    dkim_write_tag(&w, "d", s->domain);
    dkim_write_tag(&w, "s", s->keys[key].selector);
    dkim_write_number(&w, "t", s->time);
    if (s->expiry > 0)
        dkim_write_number(&w, "x", s->expiry);
    dkim_write_names(&w, buf_str(&s->names));
    dkim_write_body_hash(&w, dkim_body_hash(s->body, s->body_number));
    dkim_write_signature(&w, signature);
}

static void hash_for(struct dkim_sign *s, size_t key)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    struct buf field;

    buf_init(&field, FIELD_MAX);
    write_field(s, key, STR(""), &field);
    if (md == NULL || field.failed || EVP_MD_CTX_copy_ex(md, s->fields) != 1)
        fatal("SHA-256 failed");
    dkim_header_hash_own(buf_str(&field), DKIM_RELAXED, md);
    if (EVP_DigestFinal_ex(md, s->hashes[key], NULL) != 1)
        fatal("SHA-256 failed");
    EVP_MD_CTX_free(md);
    buf_clear(&field);
}

void dkim_sign_end(struct dkim_sign *s)
{
    dkim_body_end(s->body);
    for (size_t i = 0; i < s->key_count; i++)
        hash_for(s, i);
}

const unsigned char *dkim_sign_hash(const struct dkim_sign *s, size_t key)
{
    return s->hashes[key];
}

void dkim_sign_write(const struct dkim_sign *s, size_t key, struct str signature, struct buf *out)
{
    write_field(s, key, signature, out);
    buf_add(out, STR("\r\n"));
}
