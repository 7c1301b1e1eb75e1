/* See dkim_signer.h. */
#include "dkim_signer.h"

#include "base/random.h"
#include "mailauth/dkim_key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { PRIVATE_MAX = 4096 };

struct signing_key {
    char selector[DKIM_SELECTOR_MAX + 1];
    enum dkim_algorithm algorithm;
    bool active, signs;
    EVP_PKEY *pkey;
};

struct signing_domain {
    struct map_node node;
    struct link link;
    struct str name; /* owned */
    size_t n;
    struct signing_key keys[DKIM_ROWS_MAX];
};

void dkim_signer_init(struct dkim_signer *s, struct store *store, const uint64_t *generation)
{
    *s = (struct dkim_signer){.store = store, .generation = generation};
    map_init(&s->domains);
    list_init(&s->order);
}

static void drop(struct dkim_signer *s, struct signing_domain *d)
{
    map_remove(&s->domains, &d->node);
    list_remove(&d->link);
    for (size_t i = 0; i < d->n; i++)
        EVP_PKEY_free(d->keys[i].pkey);
    str_free(&d->name);
    free(d);
}

void dkim_signer_clear(struct dkim_signer *s)
{
    LIST_EACH(&s->order, it)
        drop(s, CONTAINER(it, struct signing_domain, link));
    map_clear(&s->domains);
}

static bool read_key(struct dkim_signer *s, struct str domain, const char *selector, EVP_PKEY **out, struct err *err)
{
    struct buf der;
    bool done;

    *out = NULL;
    buf_init(&der, PRIVATE_MAX);
    done = buf_reserve(&der, PRIVATE_MAX) != NULL && dkim_rows_private(s->store, domain, str_of(selector), &der, err);
    if (done && der.n > 0 && !der.failed) {
        const unsigned char *at = (const unsigned char *)der.p;

        *out = d2i_AutoPrivateKey(NULL, &at, (long)der.n);
        ERR_clear_error();
    }
    sodium_memzero(der.p, der.n);
    buf_clear(&der);
    return done;
}

static bool add_key(struct dkim_signer *s, struct signing_domain *d, const struct dkim_row *row, bool active, struct err *err)
{
    struct signing_key *key = &d->keys[d->n];

    if (row->state >= DKIM_EXPIRED)
        return true;
    if (!read_key(s, d->name, row->selector, &key->pkey, err))
        return false;
    memcpy(key->selector, row->selector, sizeof key->selector);
    key->algorithm = row->algorithm;
    key->active = active;
    key->signs = row->state == DKIM_ACTIVE || row->state == DKIM_RETIRED;
    d->n += key->pkey != NULL;
    if (key->pkey == NULL && active)
        return err_set(err, ERR_DAMAGED, "the key %s of %.*s cannot be read", row->selector, STR_ARG(d->name));
    return true;
}

static bool load(struct dkim_signer *s, struct signing_domain *d, struct err *err)
{
    struct dkim_rows *rows = xcalloc(1, sizeof *rows);
    bool done = dkim_rows_get(s->store, d->name, rows, err);

    for (size_t i = 0; done && i < rows->n; i++)
        done = add_key(s, d, &rows->rows[i], dkim_rows_active(rows, rows->rows[i].algorithm) == &rows->rows[i], err);
    free(rows);
    return done;
}

static struct signing_domain *find_domain(struct dkim_signer *s, struct str name)
{
    struct map_node *node = map_find(&s->domains, map_hash_str(name));

    for (; node != NULL; node = map_find_next(node))
        if (str_eq(CONTAINER(node, struct signing_domain, node)->name, name))
            return CONTAINER(node, struct signing_domain, node);
    return NULL;
}

/* The keys of a domain, which may be none; NULL when the database failed. */
static struct signing_domain *domain_of(struct dkim_signer *s, struct str name, struct err *err)
{
    struct signing_domain *d;

    if (s->generation != NULL && s->filled != *s->generation) {
        dkim_signer_clear(s);
        s->filled = *s->generation;
    }
    d = find_domain(s, name);
    if (d == NULL) {
        if (s->domains.count >= DKIM_SIGNER_DOMAINS)
            drop(s, CONTAINER(list_first(&s->order), struct signing_domain, link));
        d = xcalloc(1, sizeof *d);
        d->name = str_dup(name);
        map_add(&s->domains, &d->node, map_hash_str(name));
        list_add_last(&s->order, &d->link);
        if (!load(s, d, err)) {
            drop(s, d);
            return NULL;
        }
    }
    list_remove(&d->link);
    list_add_last(&s->order, &d->link);
    return d;
}

bool dkim_signer_selector(struct dkim_signer *s, struct str domain, enum dkim_algorithm algorithm, struct str *selector, struct err *err)
{
    const struct signing_domain *d = domain_of(s, domain, err);

    *selector = STR("");
    for (size_t i = 0; d != NULL && i < d->n; i++)
        if (d->keys[i].active && d->keys[i].algorithm == algorithm)
            *selector = str_of(d->keys[i].selector);
    return d != NULL;
}

/* ---- signing ---- */

static bool sign_rsa(EVP_PKEY *pkey, struct str hash, unsigned char *out, size_t *n)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool done = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
                EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
                EVP_PKEY_sign(ctx, out, n, (const unsigned char *)hash.p, hash.n) == 1;

    EVP_PKEY_CTX_free(ctx);
    return done;
}

/* The hash is the message (RFC 8463 3). */
static bool sign_ed25519(EVP_PKEY *pkey, struct str hash, unsigned char *out, size_t *n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool done = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestSign(ctx, out, n, (const unsigned char *)hash.p, hash.n) == 1;

    EVP_MD_CTX_free(ctx);
    return done;
}

static bool sign(const struct signing_key *key, struct str hash, struct buf *out, struct err *err)
{
    size_t n = DKIM_SIGNATURE_BYTES;
    char *room = buf_reserve(out, n);
    bool done = room != NULL && hash.n == DKIM_HASH &&
                (key->algorithm == DKIM_RSA_SHA256 ? sign_rsa : sign_ed25519)(key->pkey, hash, (unsigned char *)room, &n);

    ERR_clear_error();
    if (!done)
        return err_set(err, ERR_PERMANENT, "the key %s cannot sign", key->selector);
    out->n += n;
    return true;
}

static const struct signing_key *find_key(const struct signing_domain *d, struct str selector)
{
    for (size_t i = 0; i < d->n; i++)
        if (str_eq(str_of(d->keys[i].selector), selector))
            return &d->keys[i];
    return NULL;
}

bool dkim_signer_sign(struct dkim_signer *s, struct str domain, struct str selector, enum dkim_algorithm algorithm, struct str hash,
    struct buf *out, struct err *err)
{
    const struct signing_domain *d = domain_of(s, domain, err);
    const struct signing_key *key = d != NULL ? find_key(d, selector) : NULL;

    if (d == NULL)
        return false;
    if (key == NULL || !key->signs || key->algorithm != algorithm)
        return err_set(err, ERR_PERMANENT, "%.*s has no key %.*s that signs", STR_ARG(domain), STR_ARG(selector));
    return sign(key, hash, out, err);
}

bool dkim_signer_try(
    struct dkim_signer *s, struct str domain, const struct dkim_row *row, struct str record, bool *fits, struct err *err)
{
    const struct dkim_signature as_if = {.algorithm = row->algorithm, .strict_identity = true};
    const struct signing_domain *d = domain_of(s, domain, err);
    const struct signing_key *key = d != NULL ? find_key(d, str_of(row->selector)) : NULL;
    unsigned char hash[DKIM_HASH];
    struct dkim_verdict verdict;
    struct dkim_key *public;
    struct buf signature;

    *fits = false;
    if (d == NULL)
        return false;
    public = key != NULL ? dkim_key_read(NULL, record, &as_if, &verdict) : NULL;
    if (public == NULL)
        return true;
    random_bytes(hash, sizeof hash);
    buf_init(&signature, DKIM_SIGNATURE_BYTES);
    *fits = sign(key, str_from((const char *)hash, sizeof hash), &signature, NULL) && dkim_key_verify(public, hash, buf_str(&signature));
    buf_clear(&signature);
    dkim_key_free(public);
    return true;
}
