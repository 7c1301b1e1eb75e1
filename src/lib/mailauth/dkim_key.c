/* See dkim_key.h. RSA keys are taken out of their DER here, so that their size is known before anything
 * costly is done with them; both forms in use are read, SubjectPublicKeyInfo and the bare RSAPublicKey. */
#include "dkim_key.h"
#include "base/err.h"
#include "tag_list.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum { RECORD_MAX = 16384, RECORDS_MAX = 8, EXPONENT_MAX = 8, ED25519_BYTES = 32 };

struct dkim_key {
    EVP_PKEY *pkey;
    enum dkim_algorithm algorithm;
    unsigned bits;
    bool testing;
};

static const struct dkim_verdict good = {DKIM_NONE, NULL};

static struct dkim_verdict bad(const char *reason)
{
    return (struct dkim_verdict){DKIM_PERMERROR, reason};
}

/* ---- DER ---- */

enum { DER_INTEGER = 2, DER_BITS = 3, DER_SEQUENCE = 0x30 };

/* Cuts a value with this type off *der; lengths of at most 2 bytes, which 64 KB need. */
static bool next_value(struct str *der, unsigned char type, struct str *value)
{
    size_t n, head = 2;

    if (der->n < 2 || (unsigned char)der->p[0] != type)
        return false;
    n = (unsigned char)der->p[1];
    if (n > 0x82 || n == 0x80)
        return false;
    if (n > 0x80) {
        head += n - 0x80;
        if (der->n < head)
            return false;
        n = n == 0x81 ? (unsigned char)der->p[2] : (size_t)(unsigned char)der->p[2] << 8 | (unsigned char)der->p[3];
    }
    if (der->n - head < n)
        return false;
    *value = str_sub(*der, head, head + n);
    *der = str_skip(*der, head + n);
    return true;
}

/* A positive whole number, big endian, without zeros in front. */
static bool next_number(struct str *der, struct str *number)
{
    if (!next_value(der, DER_INTEGER, number) || number->n == 0 || (number->p[0] & 0x80) != 0)
        return false;
    while (number->n > 0 && number->p[0] == '\0')
        *number = str_skip(*number, 1);
    return number->n > 0;
}

static bool read_rsa(struct str der, struct str *n, struct str *e)
{
    static const char rsa[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    struct str outer, inner = der, kind, bits;

    if (!next_value(&inner, DER_SEQUENCE, &outer))
        return false;
    inner = outer;
    if (next_value(&inner, DER_SEQUENCE, &kind)) {
        if (!str_starts(kind, str_from(rsa, sizeof rsa - 1)) || !next_value(&inner, DER_BITS, &bits) || bits.n < 1)
            return false;
        bits = str_skip(bits, 1); /* of which no bits are unused */
        if (!next_value(&bits, DER_SEQUENCE, &outer))
            return false;
    }
    return next_number(&outer, n) && next_number(&outer, e);
}

static unsigned bits_of(struct str number)
{
    unsigned top = (unsigned char)number.p[0], n = 0;

    for (; top != 0; top >>= 1)
        n++;
    return (unsigned)(number.n - 1) * 8 + n;
}

/* ---- keys ---- */

static EVP_PKEY *make_rsa(struct str n, struct str e)
{
    BIGNUM *modulus = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
    BIGNUM *exponent = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;

    if (modulus == NULL || exponent == NULL || build == NULL || ctx == NULL ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) != 1 ||
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) != 1 ||
        (params = OSSL_PARAM_BLD_to_param(build)) == NULL)
        fatal("RSA keys cannot be made");
    if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error(); /* of a bad key: others in this process look at that queue */
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static struct dkim_verdict take_rsa(struct str bytes, struct dkim_key *key)
{
    struct str n, e;

    if (!read_rsa(bytes, &n, &e))
        return bad("the key is no RSA key");
    key->bits = bits_of(n);
    if (key->bits < DKIM_RSA_MIN)
        return (struct dkim_verdict){DKIM_POLICY, "the RSA key has less than 1024 bits"};
    if (key->bits > DKIM_RSA_MAX)
        return (struct dkim_verdict){DKIM_POLICY, "the RSA key has more than 8192 bits"};
    if (e.n > EXPONENT_MAX)
        return (struct dkim_verdict){DKIM_POLICY, "the exponent of the RSA key is too large"};
    key->pkey = make_rsa(n, e);
    return key->pkey != NULL ? good : bad("the key is no RSA key");
}

static struct dkim_verdict take_ed25519(struct str bytes, struct dkim_key *key)
{
    key->bits = 256;
    if (bytes.n == ED25519_BYTES)
        key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)bytes.p, bytes.n);
    return key->pkey != NULL ? good : bad("the key is no Ed25519 key");
}

static const struct {
    const char *name;
    struct dkim_verdict (*take)(struct str bytes, struct dkim_key *key);
} kinds[] = {[DKIM_RSA_SHA256] = {"rsa", take_rsa}, [DKIM_ED25519_SHA256] = {"ed25519", take_ed25519}};

/* ---- the record ---- */

static struct dkim_verdict check_record(const struct tag_list *list, const struct dkim_signature *s)
{
    const struct tag *v = tag_list_find(list, "v"), *k = tag_list_find(list, "k");
    const struct tag *h = tag_list_find(list, "h"), *services = tag_list_find(list, "s");

    if (v != NULL && (v != list->tags || !str_eq(v->value, STR("DKIM1"))))
        return bad("the key record has an unknown version");
    if (tag_list_find(list, "p") == NULL)
        return bad("the key record has no key");
    if (tag_list_value(list, "p").n == 0)
        return bad("the key was revoked");
    if (!str_ieq(k != NULL ? k->value : STR("rsa"), str_of(kinds[s->algorithm].name)))
        return bad("the key is of another kind than the signature");
    if (h != NULL && !tag_has_item(h->value, "sha256"))
        return bad("the key is not for SHA-256");
    if (services != NULL && !tag_has_item(services->value, "*") && !tag_has_item(services->value, "email"))
        return bad("the key is not for mail");
    if (tag_has_item(tag_list_value(list, "t"), "s") && !s->strict_identity)
        return bad("the key forbids that i= is below d=");
    return good;
}

static struct dkim_verdict take_key(struct dkim_key_cache *cache, struct str value, struct dkim_key *key)
{
    struct dkim_verdict verdict = bad("the key is no base64");
    struct buf bytes;

    key->pkey = dkim_key_cache_find(cache, key->algorithm, value, &key->bits);
    if (key->pkey != NULL)
        return good;
    buf_init(&bytes, RECORD_MAX);
    if (tag_read_base64(value, &bytes))
        verdict = kinds[key->algorithm].take(buf_str(&bytes), key);
    buf_clear(&bytes);
    if (verdict.reason == NULL)
        dkim_key_cache_add(cache, key->algorithm, value, key->pkey, key->bits);
    return verdict;
}

struct dkim_key *dkim_key_read(struct dkim_key_cache *cache, struct str record, const struct dkim_signature *s, struct dkim_verdict *verdict)
{
    struct dkim_key *key;
    struct tag_list list;

    *verdict = bad("the key record cannot be read");
    if (record.n > RECORD_MAX || !tag_list_read(record, &list))
        return NULL;
    *verdict = check_record(&list, s);
    if (verdict->reason != NULL)
        return NULL;
    key = xcalloc(1, sizeof *key);
    key->algorithm = s->algorithm;
    key->testing = tag_has_item(tag_list_value(&list, "t"), "y");
    *verdict = take_key(cache, tag_list_value(&list, "p"), key);
    if (verdict->reason == NULL)
        return key;
    dkim_key_free(key);
    return NULL;
}

/* The first record that holds a usable key counts; without one, what is wrong with the first. */
struct dkim_key *dkim_key_of_answer(struct dkim_key_cache *cache, enum dns_status status, struct str records, const struct dkim_signature *s,
    struct dkim_verdict *verdict)
{
    struct dkim_verdict first = bad("there is no key record");
    struct dkim_key *key = NULL;
    struct str rdata;
    struct buf text;

    if (status != DNS_OK && status != DNS_NODATA && status != DNS_NXDOMAIN)
        first = (struct dkim_verdict){DKIM_TEMPERROR, "DNS failed for the key"};
    buf_init(&text, RECORD_MAX);
    for (unsigned i = 0; status == DNS_OK && key == NULL && i < RECORDS_MAX && dns_next_record(&records, &rdata); i++) {
        buf_reset(&text);
        if (!dns_read_txt(rdata, &text))
            continue;
        key = dkim_key_read(cache, buf_str(&text), s, verdict);
        if (i == 0)
            first = *verdict;
    }
    buf_clear(&text);
    *verdict = key != NULL ? good : first;
    return key;
}

void dkim_key_free(struct dkim_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

bool dkim_key_is_testing(const struct dkim_key *key)
{
    return key->testing;
}

unsigned dkim_key_bits(const struct dkim_key *key)
{
    return key->bits;
}

/* ---- the check ---- */

static bool verify_rsa(EVP_PKEY *pkey, const unsigned char *hash, struct str bytes)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
              EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
              EVP_PKEY_verify(ctx, (const unsigned char *)bytes.p, bytes.n, hash, DKIM_HASH) == 1;

    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* Ed25519 signs the hash as if that were the message (RFC 8463 3). */
static bool verify_ed25519(EVP_PKEY *pkey, const unsigned char *hash, struct str bytes)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestVerify(ctx, (const unsigned char *)bytes.p, bytes.n, hash, DKIM_HASH) == 1;

    EVP_MD_CTX_free(ctx);
    return ok;
}

bool dkim_key_verify(const struct dkim_key *key, const unsigned char hash[DKIM_HASH], struct str bytes)
{
    bool ok = (key->algorithm == DKIM_RSA_SHA256 ? verify_rsa : verify_ed25519)(key->pkey, hash, bytes);

    ERR_clear_error();
    return ok;
}
