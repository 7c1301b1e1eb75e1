#include "relay_tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

static struct str certificates[2], keys[2];

static struct str dup_der(unsigned char *der, int n)
{
    struct str copy;

    assert_true(n > 0);
    copy = str_dup(str_from((const char *)der, (size_t)n));
    OPENSSL_free(der);
    return copy;
}

static void make(size_t i)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    unsigned char *der = NULL, *spki = NULL;
    X509 *x = X509_new();
    int n;

    assert_true(key != NULL && x != NULL);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), (long)i + 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    n = i2d_X509(x, &der);
    certificates[i] = dup_der(der, n);
    n = i2d_PUBKEY(key, &spki);
    keys[i] = dup_der(spki, n);
    X509_free(x);
    EVP_PKEY_free(key);
}

struct str tls_certificate(bool bad)
{
    for (size_t i = 0; certificates[1].n == 0 && i < 2; i++)
        make(i);
    return certificates[bad];
}

void tls_record(struct buf *out, struct str text)
{
    struct str word, bytes = tls_certificate(false);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    uint64_t n[3];

    for (size_t i = 0; i < 3; i++) {
        assert_true(str_next_word(&text, &word) && str_to_u64(word, 255, &n[i]));
        buf_add_char(out, (char)n[i]);
    }
    if (n[1] == 1)
        bytes = keys[0];
    if (n[2] == 0) {
        buf_add(out, bytes);
        return;
    }
    assert_int_equal(EVP_Digest(bytes.p, bytes.n, digest, &size, n[2] == 1 ? EVP_sha256() : EVP_sha512(), NULL), 1);
    buf_add(out, str_from((const char *)digest, size));
}

void tls_certificates_clear(void)
{
    for (size_t i = 0; i < 2; i++) {
        str_free(&certificates[i]);
        str_free(&keys[i]);
    }
}
