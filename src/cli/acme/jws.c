/* See jws.h. */
#include "jws.h"
#include "base/encode.h"
#include "base/json.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { NUMBER = 32, TEXT = 64 * 1024 };

void base64url_encode(struct buf *out, struct str bytes)
{
    struct buf plain;

    buf_init(&plain, bytes.n * 2 + 8);
    base64_encode(&plain, bytes);
    for (size_t i = 0; i < plain.n && plain.p[i] != '='; i++)
        buf_add_char(out, plain.p[i] == '+' ? '-' : plain.p[i] == '/' ? '_' : plain.p[i]);
    buf_clear(&plain);
}

/* ---- the key ---- */

EVP_PKEY *acme_key_make(void)
{
    return EVP_EC_gen("P-256");
}

static int no_password(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

EVP_PKEY *acme_key_read(struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    char group[32] = "";

    BIO_free(bio);
    if (key != NULL && (EVP_PKEY_get_group_name(key, group, sizeof group, NULL) != 1 || !str_eq(str_of(group), STR("prime256v1")))) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    ERR_clear_error();
    return key;
}

bool acme_key_write(EVP_PKEY *key, struct buf *pem)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *text = NULL;
    bool ok = bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    long n = ok ? BIO_get_mem_data(bio, &text) : 0;

    if (n > 0)
        buf_add(pem, str_from(text, (size_t)n));
    BIO_free(bio);
    return n > 0 && !pem->failed;
}

/* One coordinate of the public point, as a JSON member. */
static void add_coordinate(struct buf *out, EVP_PKEY *key, const char *name, const char *param)
{
    unsigned char octets[NUMBER];
    BIGNUM *n = NULL;

    if (EVP_PKEY_get_bn_param(key, param, &n) != 1 || BN_bn2binpad(n, octets, NUMBER) != NUMBER)
        fatal("acme: the account's key is none");
    BN_free(n);
    buf_addf(out, "\"%s\":\"", name);
    base64url_encode(out, str_from((const char *)octets, NUMBER));
    buf_add_char(out, '"');
}

/* The members stand in the order RFC 7638 wants. */
static void add_jwk(struct buf *out, EVP_PKEY *key)
{
    buf_add(out, STR("{\"crv\":\"P-256\",\"kty\":\"EC\","));
    add_coordinate(out, key, "x", OSSL_PKEY_PARAM_EC_PUB_X);
    buf_add_char(out, ',');
    add_coordinate(out, key, "y", OSSL_PKEY_PARAM_EC_PUB_Y);
    buf_add_char(out, '}');
}

void acme_thumbprint(EVP_PKEY *key, struct buf *out)
{
    unsigned char hash[32];
    struct buf jwk;

    buf_init(&jwk, TEXT);
    add_jwk(&jwk, key);
    if (EVP_Digest(jwk.p, jwk.n, hash, NULL, EVP_sha256(), NULL) != 1)
        fatal("SHA-256 fails");
    base64url_encode(out, str_from((const char *)hash, sizeof hash));
    buf_clear(&jwk);
}

/* ---- a signed request ---- */

/* Both numbers of a signature, each of the same length (RFC 7518 3.4). */
static void sign(EVP_PKEY *key, struct str text, struct buf *out)
{
    unsigned char der[256], raw[2 * NUMBER];
    const unsigned char *at = der;
    size_t n = sizeof der;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    ECDSA_SIG *pair = NULL;

    if (md == NULL || EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(md, der, &n, (const unsigned char *)text.p, text.n) != 1 || (pair = d2i_ECDSA_SIG(NULL, &at, (long)n)) == NULL ||
        BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, NUMBER) != NUMBER || BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + NUMBER, NUMBER) != NUMBER)
        fatal("acme: the account's key does not sign");
    ECDSA_SIG_free(pair);
    EVP_MD_CTX_free(md);
    base64url_encode(out, str_from((const char *)raw, sizeof raw));
}

void acme_sign_request(EVP_PKEY *key, struct str kid, struct str nonce, struct str url, struct str payload, struct buf *out)
{
    struct buf head, both, signature;
    size_t dot;

    buf_init(&head, TEXT);
    buf_init(&both, 2 * TEXT);
    buf_init(&signature, 256);
    buf_add(&head, STR("{\"alg\":\"ES256\",\"nonce\":"));
    json_quote(&head, nonce);
    buf_add(&head, STR(",\"url\":"));
    json_quote(&head, url);
    buf_add(&head, kid.n > 0 ? STR(",\"kid\":") : STR(",\"jwk\":"));
    if (kid.n > 0)
        json_quote(&head, kid);
    else
        add_jwk(&head, key);
    buf_add_char(&head, '}');
    base64url_encode(&both, buf_str(&head));
    dot = both.n;
    buf_add_char(&both, '.');
    base64url_encode(&both, payload);
    sign(key, buf_str(&both), &signature);
    buf_addf(out, "{\"protected\":\"%.*s\",\"payload\":\"%.*s\",\"signature\":\"%.*s\"}", (int)dot, both.p, (int)(both.n - dot - 1), both.p + dot + 1,
        STR_ARG(buf_str(&signature)));
    buf_clear(&head);
    buf_clear(&both);
    buf_clear(&signature);
}
