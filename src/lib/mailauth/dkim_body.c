/* See dkim_body.h. */
#include "dkim_body.h"
#include "base/err.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { FORMS = 2 };

struct hash {
    enum dkim_canon canon;
    uint64_t length, left; /* asked for; still to be hashed */
    EVP_MD_CTX *md;
    unsigned char value[DKIM_HASH];
};

struct dkim_body {
    struct dkim_canon_body forms[FORMS];
    bool wanted[FORMS];
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
    for (size_t i = 0; i < body->n; i++)
        EVP_MD_CTX_free(body->hashes[i].md);
    free(body);
}

static void hash_bytes(struct hash *h, struct str bytes)
{
    size_t n = h->left < bytes.n ? (size_t)h->left : bytes.n;

    if (n > 0 && EVP_DigestUpdate(h->md, bytes.p, n) != 1)
        fatal("SHA-256 failed");
    h->left -= n;
}

static void on_bytes(struct dkim_body *body, enum dkim_canon canon, struct str bytes)
{
    for (size_t i = 0; i < body->n; i++)
        if (body->hashes[i].canon == canon)
            hash_bytes(&body->hashes[i], bytes);
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
    struct hash *h;

    for (size_t i = 0; i < body->n; i++)
        if (body->hashes[i].canon == canon && body->hashes[i].length == length) {
            *number = i;
            return true;
        }
    if (body->n == DKIM_BODIES_MAX)
        return false;
    if (!body->wanted[canon])
        dkim_canon_begin(&body->forms[canon], canon, canon == DKIM_SIMPLE ? on_simple : on_relaxed, body);
    body->wanted[canon] = true;
    *number = body->n;
    h = &body->hashes[body->n++];
    *h = (struct hash){.canon = canon, .length = length, .left = length, .md = EVP_MD_CTX_new()};
    if (h->md == NULL || EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) != 1)
        fatal("SHA-256 is not to be had");
    return true;
}

void dkim_body_add(struct dkim_body *body, struct str bytes)
{
    for (size_t i = 0; i < FORMS; i++)
        if (body->wanted[i])
            dkim_canon_add(&body->forms[i], bytes);
}

void dkim_body_end(struct dkim_body *body)
{
    for (size_t i = 0; i < FORMS; i++)
        if (body->wanted[i])
            dkim_canon_end(&body->forms[i]);
    for (size_t i = 0; i < body->n; i++)
        if (EVP_DigestFinal_ex(body->hashes[i].md, body->hashes[i].value, NULL) != 1)
            fatal("SHA-256 failed");
}

const unsigned char *dkim_body_hash(const struct dkim_body *body, size_t number)
{
    return body->hashes[number].value;
}

uint64_t dkim_body_length(const struct dkim_body *body, size_t number)
{
    return body->forms[body->hashes[number].canon].length;
}
