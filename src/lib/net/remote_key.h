/* Private keys that are elsewhere. A front process that talks TLS holds certificates only; what a
 * handshake needs signed is asked of whoever holds the key (the role directory), so that a hijacked
 * front can use the key while it is hijacked, but never take it away. */
#pragma once
#include "base/buf.h"

struct x509_st;
struct evp_pkey_st;

enum key_operation {
    KEY_RSA_RAW,   /* RSA on a block as long as the modulus (TLS 1.3: the front does the PSS padding) */
    KEY_RSA_PKCS1, /* RSA with PKCS #1 v1.5 padding on a DigestInfo */
    KEY_ECDSA,     /* a digest; the output is a DER ECDSA-Sig-Value */
};

enum { KEY_ID_SIZE = 32, KEY_INPUT_MAX = 1024, KEY_OUTPUT_MAX = 1024 };

struct key_signer {
    /* Signs with the key whose public half has this id; false when it cannot be had now. Blocks. */
    bool (*sign)(void *arg, struct str key_id, enum key_operation operation, struct str input, struct buf *out);
    void *arg;
};

/* SHA-256 of the public key (SubjectPublicKeyInfo): the name of a key on both sides. */
MUST_CHECK bool remote_key_id(struct evp_pkey_st *key, unsigned char id[KEY_ID_SIZE]);
/* A key object for the certificate that asks `signer` (which must outlive it). RSA and ECDSA. */
MUST_CHECK bool remote_key_new(struct evp_pkey_st **key, struct x509_st *certificate,
    const struct key_signer *signer, struct err *err);

/* Reads a PEM private key without a pass phrase and checks that it belongs to the first certificate of
 * the chain. The caller frees the key with EVP_PKEY_free. */
MUST_CHECK bool key_pair_read(struct evp_pkey_st **key, struct str chain, struct str pem, struct err *err);
/* The same, for whoever only wants to know. */
MUST_CHECK bool key_pair_check(struct str chain, struct str pem, struct err *err);
