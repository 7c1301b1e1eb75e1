/* What ACME makes of keys: signed requests (RFC 8555 6.2, ES256 of RFC 7518), the thumbprint of the account's key (RFC 7638), base64url. */
#pragma once
#include "base/buf.h"

struct evp_pkey_st;

void base64url_encode(struct buf *out, struct str bytes);
/* An account's key, P-256: made; read from PEM (the caller frees it with EVP_PKEY_free, NULL: it is none); as PEM. */
struct evp_pkey_st *acme_key_make(void);
struct evp_pkey_st *acme_key_read(struct str pem);
MUST_CHECK bool acme_key_write(struct evp_pkey_st *key, struct buf *pem);

/* The thumbprint of the public half. */
void acme_thumbprint(struct evp_pkey_st *key, struct buf *out);
/* The body of a POST to url. kid: URL of the account; empty: the public key itself stands in it. An empty payload is a POST-as-GET. */
void acme_sign_request(
    struct evp_pkey_st *key, struct str kid, struct str nonce, struct str url, struct str payload, struct buf *out);
