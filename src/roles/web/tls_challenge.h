/* The certificate that answers tls-alpn-01 (RFC 8737): self-signed, for one name, with the hash of the key authorization in a critical
 * extension, shown to who asks for the protocol "acme-tls/1" alone. Its key is made for it and guards nothing. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct ssl_ctx_st;

/* A TLS context with that certificate; freed with SSL_CTX_free. */
MUST_CHECK bool tls_challenge_new(struct ssl_ctx_st **ctx, struct str name, struct str authorization, struct err *err);
