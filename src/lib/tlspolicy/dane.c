/* See dane.h. An SSL object that is never connected holds the records: OpenSSL has no other place for them. It knows digest
 * agility (RFC 7671 9), bare keys as trust anchors and what applies to which usage. */
#include "dane.h"
#include "base/err.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { TRUST_ANCHOR = 2, END_ENTITY = 3, FULL = 0, SHA256_OCTETS = 32, SHA512_OCTETS = 64, NAME_OCTETS = 256 };

/* ---- records ---- */

static bool is_certificate(struct str der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    X509 *x = d2i_X509(NULL, &p, (long)der.n);
    bool ok = x != NULL && p == (const unsigned char *)der.p + der.n && X509_get0_pubkey(x) != NULL;

    X509_free(x);
    return ok;
}

static bool is_key(struct str der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der.n);
    bool ok = key != NULL && p == (const unsigned char *)der.p + der.n;

    EVP_PKEY_free(key);
    return ok;
}

static bool is_usable(const struct dns_tlsa *r)
{
    if ((r->usage != TRUST_ANCHOR && r->usage != END_ENTITY) || r->selector > 1 || r->matching > 2 || r->data.n > DANE_OCTETS_MAX)
        return false;
    if (r->matching != FULL)
        return r->data.n == (r->matching == 1 ? SHA256_OCTETS : SHA512_OCTETS);
    return r->selector == 0 ? is_certificate(r->data) : is_key(r->data);
}

void dane_read(struct str records, struct dane_set *set)
{
    struct str rest = records, rdata;
    struct dns_tlsa r;

    *set = (struct dane_set){.n = 0};
    while (set->n < DANE_RECORDS_MAX && dns_next_record(&rest, &rdata)) {
        struct str one = str_sub(records, 0, records.n - rest.n);

        records = rest;
        set->any = true;
        if (dns_read_tlsa(one, &r, 1) == 1 && is_usable(&r))
            set->records[set->n++] = r;
    }
    ERR_clear_error(); /* of bad certificates: others in this process look at that queue */
}

enum dane_plan dane_plan(enum dane_lookup lookup, const struct dane_set *set)
{
    if (lookup == DANE_FAILED)
        return DANE_SKIP;
    if (lookup == DANE_INSECURE || !set->any)
        return DANE_OPPORTUNISTIC;
    return set->n > 0 ? DANE_AUTHENTICATE : DANE_ENCRYPT;
}

/* ---- a chain ---- */

static struct dane_verdict refuse(enum tls_result result, const char *reason)
{
    return (struct dane_verdict){result, reason, -1};
}

static STACK_OF(X509) *read_chain(const struct str *chain, size_t n)
{
    STACK_OF(X509) *certs = sk_X509_new_null();

    if (certs == NULL)
        fatal("OpenSSL has no memory");
    for (size_t i = 0; i < n; i++) {
        const unsigned char *p = (const unsigned char *)chain[i].p;
        X509 *x = chain[i].n > DANE_OCTETS_MAX ? NULL : d2i_X509(NULL, &p, (long)chain[i].n);

        if (x == NULL) {
            sk_X509_pop_free(certs, X509_free);
            return NULL;
        }
        if (sk_X509_push(certs, x) == 0)
            fatal("OpenSSL has no memory");
    }
    return certs;
}

/* Names as OpenSSL wants them; one that cannot be in a certificate is left out. */
static bool add_names(SSL *ssl, const struct str *names, size_t n)
{
    char text[NAME_OCTETS];
    bool added = false;

    for (size_t i = 0; i < n && i < DANE_NAMES_MAX; i++) {
        if (names[i].n == 0 || names[i].n >= sizeof text || memchr(names[i].p, '\0', names[i].n) != NULL)
            continue;
        memcpy(text, names[i].p, names[i].n);
        text[names[i].n] = '\0';
        added |= (added ? SSL_add1_host(ssl, text) : SSL_set1_host(ssl, text)) == 1;
    }
    return added;
}

/* How many of the records OpenSSL takes. */
static size_t add_records(SSL *ssl, const struct dane_set *set)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++) {
        const struct dns_tlsa *r = &set->records[i];

        n += SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching, (const unsigned char *)r->data.p, r->data.n) > 0;
    }
    return n;
}

enum tls_result dane_result_of(int error)
{
    switch (error) {
    case X509_V_OK:
        return TLS_OK;
    case X509_V_ERR_HOSTNAME_MISMATCH:
        return TLS_CERTIFICATE_HOST_MISMATCH;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return TLS_CERTIFICATE_EXPIRED;
    case X509_V_ERR_DANE_NO_MATCH:
        return TLS_VALIDATION_FAILURE;
    default:
        return TLS_CERTIFICATE_NOT_TRUSTED;
    }
}

static struct dane_verdict check(SSL *ssl, STACK_OF(X509) *certs, int64_t now_seconds)
{
    X509_STORE *nobody = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    struct dane_verdict verdict = {TLS_OK, "", -1};
    X509_VERIFY_PARAM *param;
    uint8_t usage;
    int error;

    if (nobody == NULL || ctx == NULL || X509_STORE_CTX_init(ctx, nobody, sk_X509_value(certs, 0), certs) != 1 ||
        X509_STORE_CTX_set_default(ctx, "ssl_server") != 1)
        fatal("OpenSSL cannot check certificates");
    param = X509_STORE_CTX_get0_param(ctx);
    if (X509_VERIFY_PARAM_set1(param, SSL_get0_param(ssl)) != 1)
        fatal("OpenSSL cannot check certificates");
    X509_VERIFY_PARAM_set_time(param, (time_t)now_seconds);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_STORE_CTX_set0_dane(ctx, SSL_get0_dane(ssl));
    error = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    if (error == X509_V_OK && SSL_get0_dane_tlsa(ssl, &usage, NULL, NULL, NULL, NULL) >= 0)
        verdict.usage = usage;
    else
        verdict = refuse(error == X509_V_OK ? TLS_VALIDATION_FAILURE : dane_result_of(error), X509_verify_cert_error_string(error));
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(nobody);
    return verdict;
}

static SSL *new_holder(SSL_CTX **ctx)
{
    SSL *ssl;

    *ctx = SSL_CTX_new(TLS_client_method());
    if (*ctx == NULL || SSL_CTX_dane_enable(*ctx) != 1 || (ssl = SSL_new(*ctx)) == NULL || SSL_dane_enable(ssl, NULL) != 1)
        fatal("OpenSSL knows no DANE");
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    return ssl;
}

struct dane_verdict dane_verify(const struct dane_set *set, const struct str *chain, size_t chain_count, const struct str *names,
    size_t name_count, int64_t now_seconds)
{
    STACK_OF(X509) *certs = chain_count > 0 && chain_count <= DANE_CHAIN_MAX ? read_chain(chain, chain_count) : NULL;
    struct dane_verdict verdict;
    SSL_CTX *ctx;
    SSL *ssl;

    if (certs == NULL) {
        ERR_clear_error();
        return refuse(TLS_CERTIFICATE_NOT_TRUSTED, "the chain is empty, too long or cannot be read");
    }
    ssl = new_holder(&ctx);
    if (!add_names(ssl, names, name_count))
        verdict = refuse(TLS_CERTIFICATE_HOST_MISMATCH, "the server has no name");
    else if (add_records(ssl, set) == 0)
        verdict = refuse(TLS_TLSA_INVALID, "no TLSA record can be used");
    else
        verdict = check(ssl, certs, now_seconds);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    sk_X509_pop_free(certs, X509_free);
    ERR_clear_error();
    return verdict;
}
