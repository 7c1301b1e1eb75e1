/* See tls_challenge.h. */
#include "tls_challenge.h"
#include "base/buf.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { HASH = 32, DAYS = 7 };

static const char protocol[] = "\012acme-tls/1"; /* as in the extension: its length first */

/* id-pe-acmeIdentifier (RFC 8737 6.1): an OCTET STRING with the hash. */
static bool add_identifier(X509 *x, struct str authorization)
{
    unsigned char value[2 + HASH] = {V_ASN1_OCTET_STRING, HASH};
    ASN1_OBJECT *id = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *e = NULL;
    bool ok = id != NULL && octets != NULL &&
              EVP_Digest(authorization.p, authorization.n, value + 2, NULL, EVP_sha256(), NULL) == 1 &&
              ASN1_OCTET_STRING_set(octets, value, sizeof value) == 1 && (e = X509_EXTENSION_create_by_OBJ(NULL, id, 1, octets)) != NULL &&
              X509_add_ext(x, e, -1) == 1;

    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(id);
    return ok;
}

static bool add_name(X509 *x, struct str name)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *one = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    bool ok = names != NULL && one != NULL && text != NULL && ASN1_STRING_set(text, name.p, (int)name.n) == 1;

    if (ok)
        GENERAL_NAME_set0_value(one, GEN_DNS, text);
    else
        ASN1_IA5STRING_free(text);
    ok = ok && sk_GENERAL_NAME_push(names, one) > 0;
    if (!ok)
        GENERAL_NAME_free(one);
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

static X509 *make(EVP_PKEY *key, struct str name, struct str authorization)
{
    X509 *x = X509_new();
    bool ok = x != NULL && X509_set_version(x, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(x), -24 * 3600L) != NULL && X509_gmtime_adj(X509_getm_notAfter(x), DAYS * 24 * 3600L) != NULL &&
              X509_set_pubkey(x, key) == 1 && add_name(x, name) && add_identifier(x, authorization) && X509_sign(x, key, EVP_sha256()) > 0;

    if (!ok) {
        X509_free(x);
        x = NULL;
    }
    return x;
}

static int on_protocol(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, n, (const unsigned char *)protocol, sizeof protocol - 1, in, in_n) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The name has been looked at already; without this the callback of the context before would look again, and leave this one. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl;
    (void)alert;
    (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

bool tls_challenge_new(SSL_CTX **out, struct str name, struct str authorization, struct err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = key == NULL ? NULL : make(key, name, authorization);
    SSL_CTX *ctx = x == NULL ? NULL : SSL_CTX_new(TLS_server_method());
    bool ok = ctx != NULL && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 && SSL_CTX_use_cert_and_key(ctx, x, key, NULL, 1) == 1;

    if (ok) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_alpn_select_cb(ctx, on_protocol, NULL);
        SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    } else {
        SSL_CTX_free(ctx);
    }
    X509_free(x);
    EVP_PKEY_free(key);
    ERR_clear_error();
    *out = ok ? ctx : NULL;
    return ok || err_set(err, ERR_TEMPORARY, "a certificate for the challenge could not be made");
}
