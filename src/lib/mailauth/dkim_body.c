/* See dkim_body.h. */
#include "dkim_body.h"
#include "base/err.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { FORMS = 2, HASH_HELD = 400 /* by OpenSSL, about */ };

struct hash {
    enum dkim_canon canon;
    uint64_t length; /* asked for */
    bool made;
    unsigned char value[DKIM_HASH];
};

struct form {
    struct dkim_canon_body canon;
    EVP_MD_CTX *md;     /* NULL: nobody asked for it */
    uint64_t at, stop;  /* octets hashed; where the next value is taken */
};

struct dkim_body {
    struct form forms[FORMS];
    struct hash hashes[DKIM_BODIES_MAX];
    size_t n;
};

struct dkim_body *dkim_body_new(void)
{
    return xcalloc(1, sizeof(struct dkim_body));
}

void dkim_body_free(struct dkim_body *body)
{
    if (body == NULL)
        return;
    for (size_t i = 0; i < FORMS; i++)
        EVP_MD_CTX_free(body->forms[i].md);
    free(body);
}

static EVP_MD_CTX *new_hash(void)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
        fatal("SHA-256 is not to be had");
    return md;
}

/* The hash of what has come so far; more may come. */
static void value_so_far(const struct form *f, unsigned char value[DKIM_HASH])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    if (md == NULL || EVP_MD_CTX_copy_ex(md, f->md) != 1 || EVP_DigestFinal_ex(md, value, NULL) != 1)
        fatal("SHA-256 failed");
    EVP_MD_CTX_free(md);
}

/* Takes the values that are due here, and sets the next stop. */
static void take_values(struct dkim_body *body, enum dkim_canon canon)
{
    struct form *f = &body->forms[canon];

    f->stop = UINT64_MAX;
    for (size_t i = 0; i < body->n; i++) {
        struct hash *h = &body->hashes[i];

        if (h->canon != canon || h->made)
            continue;
        h->made = h->length == f->at;
        if (h->made)
            value_so_far(f, h->value);
        else if (h->length < f->stop)
            f->stop = h->length;
    }
}

static void on_bytes(struct dkim_body *body, enum dkim_canon canon, struct str bytes)
{
    struct form *f = &body->forms[canon];

    while (bytes.n > 0) {
        size_t n = f->stop - f->at < bytes.n ? (size_t)(f->stop - f->at) : bytes.n;

        if (n > 0 && EVP_DigestUpdate(f->md, bytes.p, n) != 1)
            fatal("SHA-256 failed");
        f->at += n;
        bytes = str_skip(bytes, n);
        if (f->at == f->stop)
            take_values(body, canon);
    }
}

static void on_simple(void *owner, struct str bytes)
{
    on_bytes(owner, DKIM_SIMPLE, bytes);
}

static void on_relaxed(void *owner, struct str bytes)
{
    on_bytes(owner, DKIM_RELAXED, bytes);
}

bool dkim_body_want(struct dkim_body *body, enum dkim_canon canon, uint64_t length, size_t *number)
{
    struct form *f = &body->forms[canon];

    for (size_t i = 0; i < body->n; i++)
        if (body->hashes[i].canon == canon && body->hashes[i].length == length) {
            *number = i;
            return true;
        }
    if (body->n == DKIM_BODIES_MAX)
        return false;
    if (f->md == NULL) {
        *f = (struct form){.md = new_hash(), .stop = UINT64_MAX};
        dkim_canon_begin(&f->canon, canon, canon == DKIM_SIMPLE ? on_simple : on_relaxed, body);
    }
    if (length < f->stop)
        f->stop = length;
    *number = body->n;
    body->hashes[body->n++] = (struct hash){.canon = canon, .length = length};
    return true;
}

void dkim_body_add(struct dkim_body *body, struct str bytes)
{
    for (size_t i = 0; i < FORMS; i++)
        if (body->forms[i].md != NULL)
            dkim_canon_add(&body->forms[i].canon, bytes);
}

void dkim_body_end(struct dkim_body *body)
{
    for (size_t i = 0; i < FORMS; i++)
        if (body->forms[i].md != NULL)
            dkim_canon_end(&body->forms[i].canon);
    for (size_t i = 0; i < body->n; i++)
        if (!body->hashes[i].made)
            value_so_far(&body->forms[body->hashes[i].canon], body->hashes[i].value);
}

size_t dkim_body_held(const struct dkim_body *body)
{
    size_t held = sizeof *body;

    for (size_t i = 0; i < FORMS; i++)
        held += body->forms[i].md != NULL ? HASH_HELD : 0;
    return held;
}

const unsigned char *dkim_body_hash(const struct dkim_body *body, size_t number)
{
    return body->hashes[number].value;
}

uint64_t dkim_body_length(const struct dkim_body *body, size_t number)
{
    return body->forms[body->hashes[number].canon].canon.length;
}
