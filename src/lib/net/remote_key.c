/* The only way to put a signature into OpenSSL's handshake from outside without writing a provider is
 * its older interface of method tables, which 3.x keeps and marks as deprecated. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "net/remote_key.h"

#include <limits.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

struct remote {
    unsigned char id[KEY_ID_SIZE];
    const struct key_signer *signer;
};

static void free_remote(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    free(ptr);
}

static int rsa_index(void)
{
    static int index = -1;

    if (index < 0)
        index = RSA_get_ex_new_index(0, NULL, NULL, NULL, free_remote);
    return index;
}

static int ec_index(void)
{
    static int index = -1;

    if (index < 0)
        index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, free_remote);
    return index;
}

static bool ask(const struct remote *r, enum key_operation operation, const unsigned char *input, size_t n,
    struct buf *out)
{
    return n <= KEY_INPUT_MAX && r->signer->sign(r->signer->arg, str_from((const char *)r->id, sizeof r->id),
                                     operation, str_from((const char *)input, n), out);
}

static int rsa_sign(int n, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
    const struct remote *r = RSA_get_ex_data(rsa, rsa_index());
    struct buf out;
    int result = -1;

    if (n < 0 || (padding != RSA_NO_PADDING && padding != RSA_PKCS1_PADDING))
        return -1;
    buf_init(&out, KEY_OUTPUT_MAX);
    if (ask(r, padding == RSA_NO_PADDING ? KEY_RSA_RAW : KEY_RSA_PKCS1, from, (size_t)n, &out) &&
        out.n == (size_t)RSA_size(rsa)) {
        memcpy(to, out.p, out.n);
        result = (int)out.n;
    }
    buf_clear(&out);
    return result;
}

static ECDSA_SIG *ec_sign_sig(
    const unsigned char *digest, int n, const BIGNUM *kinv, const BIGNUM *rp, EC_KEY *key)
{
    const struct remote *r = EC_KEY_get_ex_data(key, ec_index());
    ECDSA_SIG *sig = NULL;
    struct buf out;

    (void)kinv, (void)rp;
    buf_init(&out, KEY_OUTPUT_MAX);
    if (n > 0 && ask(r, KEY_ECDSA, digest, (size_t)n, &out)) {
        const unsigned char *at = (const unsigned char *)out.p;

        sig = d2i_ECDSA_SIG(NULL, &at, (long)out.n);
    }
    buf_clear(&out);
    return sig;
}

static int ec_sign(int type, const unsigned char *digest, int n, unsigned char *to, unsigned int *to_n,
    const BIGNUM *kinv, const BIGNUM *rp, EC_KEY *key)
{
    ECDSA_SIG *sig = ec_sign_sig(digest, n, kinv, rp, key);
    int length;

    (void)type;
    if (sig == NULL)
        return 0;
    length = i2d_ECDSA_SIG(sig, &to);
    ECDSA_SIG_free(sig);
    *to_n = length > 0 ? (unsigned int)length : 0;
    return length > 0;
}

static const RSA_METHOD *rsa_method(void)
{
    static RSA_METHOD *method;

    if (method == NULL && (method = RSA_meth_dup(RSA_PKCS1_OpenSSL())) != NULL)
        RSA_meth_set_priv_enc(method, rsa_sign);
    return method;
}

static const EC_KEY_METHOD *ec_method(void)
{
    static EC_KEY_METHOD *method;

    if (method == NULL && (method = EC_KEY_METHOD_new(EC_KEY_OpenSSL())) != NULL)
        EC_KEY_METHOD_set_sign(method, ec_sign, NULL, ec_sign_sig);
    return method;
}

bool remote_key_id(EVP_PKEY *key, unsigned char id[KEY_ID_SIZE])
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    bool done = n > 0 && EVP_Digest(der, (size_t)n, id, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    return done;
}

static bool wrap_rsa(EVP_PKEY *out, EVP_PKEY *public, struct remote *remote)
{
    RSA *shared = EVP_PKEY_get1_RSA(public), *rsa = shared ? RSAPublicKey_dup(shared) : NULL;

    RSA_free(shared);
    if (rsa == NULL || RSA_set_method(rsa, rsa_method()) != 1 || EVP_PKEY_assign_RSA(out, rsa) != 1) {
        RSA_free(rsa);
        return false;
    }
    RSA_set_flags(rsa, RSA_FLAG_EXT_PKEY); /* there is a private half, only not here */
    return RSA_set_ex_data(rsa, rsa_index(), remote) == 1; /* last: from here on it frees `remote` */
}

static bool wrap_ec(EVP_PKEY *out, EVP_PKEY *public, struct remote *remote)
{
    EC_KEY *shared = EVP_PKEY_get1_EC_KEY(public), *ec = shared ? EC_KEY_dup(shared) : NULL;

    EC_KEY_free(shared);
    if (ec == NULL || EC_KEY_set_method(ec, ec_method()) != 1 || EVP_PKEY_assign_EC_KEY(out, ec) != 1) {
        EC_KEY_free(ec);
        return false;
    }
    return EC_KEY_set_ex_data(ec, ec_index(), remote) == 1; /* last, as above */
}

bool remote_key_new(EVP_PKEY **key, X509 *certificate, const struct key_signer *signer, struct err *err)
{
    EVP_PKEY *public = X509_get0_pubkey(certificate);
    struct remote *remote = xcalloc(1, sizeof *remote);
    int type = public != NULL ? EVP_PKEY_get_base_id(public) : EVP_PKEY_NONE;
    bool done = false;

    *key = EVP_PKEY_new();
    remote->signer = signer;
    if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC)
        err_set(err, ERR_PERMANENT, "the certificate's key is neither RSA nor ECDSA; no mail client needs another");
    else if (*key == NULL || !remote_key_id(public, remote->id))
        err_set(err, ERR_PERMANENT, "the certificate's public key cannot be read");
    else
        done = type == EVP_PKEY_RSA ? wrap_rsa(*key, public, remote) : wrap_ec(*key, public, remote);
    if (done)
        return true;
    if (err->kind == ERR_NONE)
        err_set(err, ERR_PERMANENT, "the certificate's key cannot be used");
    free(remote);
    EVP_PKEY_free(*key);
    *key = NULL;
    return false;
}

/* A key with a pass phrase cannot be read: there is nobody to ask. */
static int no_password(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return 0;
}

bool key_pair_read(EVP_PKEY **key, struct str chain, struct str pem, struct err *err)
{
    BIO *chain_bio = BIO_new_mem_buf(chain.p, (int)chain.n), *key_bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *certificate = chain_bio ? PEM_read_bio_X509(chain_bio, NULL, no_password, NULL) : NULL;

    *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, no_password, NULL) : NULL;
    if (certificate == NULL)
        err_set(err, ERR_PERMANENT, "the certificate file holds no PEM certificate");
    else if (*key == NULL)
        err_set(err, ERR_PERMANENT, "the key file holds no readable PEM private key without a pass phrase");
    else if (X509_check_private_key(certificate, *key) != 1)
        err_set(err, ERR_PERMANENT, "the private key does not belong to the certificate");
    X509_free(certificate);
    BIO_free(chain_bio);
    BIO_free(key_bio);
    ERR_clear_error();
    if (err->kind == ERR_NONE)
        return true;
    EVP_PKEY_free(*key);
    *key = NULL;
    return false;
}

bool key_pair_check(struct str chain, struct str pem, struct err *err)
{
    EVP_PKEY *key;
    bool good = key_pair_read(&key, chain, pem, err);

    EVP_PKEY_free(key);
    return good;
}
