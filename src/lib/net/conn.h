/* A client or server connection with buffered output, TLS and time limits, on libevent. It knows no
 * protocol: the owner is told that bytes came, and says how many it used. */
#pragma once
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

struct buf;
struct event_base;
struct conn;
struct ssl_st;
struct ssl_ctx_st;

struct conn_events {
    /* Input is there; returns how many bytes were used (0: wait for more). Called again while it uses
     * something and input is left, unless reading was paused. */
    size_t (*input)(void *owner, struct str bytes);
    /* Output fell below the mark after being above it, or all was written after conn_close_when_sent. */
    void (*writable)(void *owner);
    /* TLS is up (after conn_start_tls), or outgoing connect succeeded (conn_connect). */
    void (*connected)(void *owner);
    void (*secured)(void *owner);
    /* The peer closed, an error, or a time limit: reason is for people. The owner frees the conn. */
    void (*closed)(void *owner, bool timed_out, const char *reason);
};

enum { CONN_INPUT_MAX = 64 * 1024, CONN_OUTPUT_HIGH = 256 * 1024 };

/* Takes over a connected descriptor. */
struct conn *conn_new(struct event_base *base, int fd, const struct conn_events *events, void *owner);
/* Starts a TCP connection from `source` (family 0: any); `connected` or `closed` follows. */
MUST_CHECK bool conn_connect(struct conn **conn, struct event_base *base, const struct ip *to, uint16_t port,
    const struct ip *source, int64_t within, const struct conn_events *events, void *owner, struct err *err);
void conn_free(struct conn *c); /* closes at once; safe inside a callback */

/* Bytes are written once a turn, or at once by conn_flush. */
void conn_send(struct conn *c, struct str bytes);
void conn_flush(struct conn *c);
/* While on, output is not written at the end of a turn: more will follow soon, and leaves with it.
 * conn_flush, closing and a lot of output write all the same. */
void conn_hold(struct conn *c, bool on);
size_t conn_output_waiting(const struct conn *c);
void conn_close_when_sent(struct conn *c); /* then `closed` with reason "" */

/* For `closed` after a time limit: one try to say why, if nothing else was waiting to be written. */
void conn_last_words(struct conn *c, struct str bytes);

void conn_read(struct conn *c, bool on); /* back-pressure */
/* While on, input is only looked at, and exactly what the owner uses is taken from the socket: for
 * what comes before TLS (the PROXY protocol). */
void conn_peek(struct conn *c, bool on);
/* Idle limit: restarted by input; 0 for none. Total limit: from now; 0 for none. Microseconds. */
void conn_idle_limit(struct conn *c, int64_t within);
void conn_total_limit(struct conn *c, int64_t within);

/* TLS. Plain input that was buffered is dropped (STARTTLS injection). Server: the context chooses the
 * certificate by SNI. Client: `name` for SNI and the certificate check. */
void conn_start_tls_server(struct conn *c, struct ssl_ctx_st *ctx);
enum conn_verify {
    CONN_VERIFY_OFF,
    CONN_VERIFY,      /* the handshake fails where name or chain are not right */
    CONN_VERIFY_LOOK, /* checked as well, but it goes on: conn_tls_verified tells */
};
void conn_start_tls_client(struct conn *c, struct ssl_ctx_st *ctx, const char *name, enum conn_verify verify);
bool conn_is_secure(const struct conn *c);
struct ssl_st *conn_ssl(struct conn *c);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty without TLS. */
void conn_tls_text(struct conn *c, char *out, size_t size);
/* What the check of the peer's certificate came to: X509_V_OK, or OpenSSL's number for what is wrong. */
int conn_tls_verified(const struct conn *c);
/* The certificates the peer sent, its own first, each as a record (2 bytes of length, big endian, then DER); at most `most`.
 * Returns how many. */
size_t conn_tls_chain(const struct conn *c, struct buf *out, size_t most);
/* Raw channel bindings (RFC 5929, RFC 9266); false where the connection has none. */
bool conn_tls_unique(struct conn *c, char *out, size_t size, size_t *n);
bool conn_tls_exporter(struct conn *c, char out[32]);

/* Addresses of both ends. conn_set_peer is for PROXY and XCLIENT. */
struct ip conn_peer(const struct conn *c, uint16_t *port);
struct ip conn_local(const struct conn *c, uint16_t *port);
void conn_set_peer(struct conn *c, const struct ip *ip, uint16_t port);
