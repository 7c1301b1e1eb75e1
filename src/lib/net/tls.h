/* TLS contexts. Server: TLS 1.2 and 1.3, several certificates chosen by SNI, tickets for resumption. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct key_signer;
struct ssl_ctx_st;
struct tls_server; /* a set of certificates; replaced whole on reload */

/* The key is either here as PEM, or elsewhere: then it is empty and `signer` (remote_key.h) is asked
 * in every handshake; it must outlive the server. */
struct tls_pem {
    struct str chain, key;
    const struct key_signer *signer;
};

/* The first certificate is the default. Session tickets stay valid across a reload when `previous`
 * (may be NULL) is given. */
MUST_CHECK bool tls_server_new(struct tls_server **server, const struct tls_pem *certificates, size_t n,
    const struct tls_server *previous, struct err *err);
/* Freed when the last connection that uses it is gone. */
void tls_server_free(struct tls_server *server);
struct ssl_ctx_st *tls_server_context(struct tls_server *server);
/* Clients that ask for the protocol "acme-tls/1" alone (RFC 8737) and for a name that `find` has a context for are shown that one; all
 * others notice nothing. `find` is called in handshakes as long as connections of this server live. */
typedef struct ssl_ctx_st *tls_challenge_fn(void *arg, struct str name);
void tls_server_on_challenge(struct tls_server *server, tls_challenge_fn *find, void *arg);

/* ca: PEM text of trusted certificates, may be empty when nothing is ever verified. */
MUST_CHECK bool tls_client_new(struct ssl_ctx_st **ctx, struct str ca, struct err *err);
void tls_client_free(struct ssl_ctx_st *ctx);
