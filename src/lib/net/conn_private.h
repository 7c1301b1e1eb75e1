/* What conn.c and conn_tls.c share; nobody else includes this. */
#pragma once
#include "base/buf.h"
#include "net/conn.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>

/* PLAIN, or on the way to TLS: first the plain output that was sent before it, then the handshake. */
enum conn_phase { CONN_PLAIN, CONN_LAST_PLAIN, CONN_HANDSHAKE, CONN_SECURE };

struct conn {
    struct event_base *base;
    const struct conn_events *events;
    void *owner;
    struct event readable, writable, turn, timer;
    int fd;
    unsigned depth; /* callbacks of ours on the stack */
    enum conn_phase phase;
    bool connecting;     /* conn_connect has not succeeded yet */
    bool reading;        /* the owner takes input */
    bool read_armed;     /* lags behind `reading`: a short pause costs no system call */
    bool write_armed;    /* only while the socket was full */
    bool turn_armed;     /* on_turn will be called */
    bool more;           /* input may be waiting where the kernel does not tell: in `in` or in TLS */
    bool above;          /* output was above the mark */
    bool held;           /* conn_hold */
    bool closing;        /* conn_close_when_sent */
    bool peeking, drop_input;
    bool ended;          /* `closed` was called: no callback any more */
    bool dead;           /* conn_free was called inside a callback */
    bool read_wants_write, write_wants_read; /* TLS */
    bool server;
    char *failure;       /* told by the next on_turn */
    SSL *ssl;
    struct buf in, out;  /* without memory while empty */
    size_t sent;         /* of out */
    int64_t idle, active, until, timer_at;
    struct ip peer;
    uint16_t peer_port;
    bool peer_known;
};

enum conn_io { IO_AGAIN = 0, IO_END = -1, IO_FAILED = -2 };

/* Remembers the first failure; `closed` is called from the loop, never inside the owner's call. */
void conn_fail(struct conn *c, const char *reason);
void conn_want_write(struct conn *c, bool on);
/* From the loop only: calls `closed`, once. */
void conn_end(struct conn *c, bool timed_out, const char *reason);
/* Every callback of ours is between these two; the memory of a freed connection goes with the last. */
void conn_enter(struct conn *c);
void conn_leave(struct conn *c);
void conn_on_timer(evutil_socket_t fd, short what, void *arg);
void conn_want_turn(struct conn *c);

/* Bytes moved, or one of enum conn_io. */
ptrdiff_t conn_tls_read(struct conn *c, char *to, size_t room);
ptrdiff_t conn_tls_write(struct conn *c, struct str bytes);
/* Goes on with the handshake; true once it is done. */
bool conn_tls_handshake(struct conn *c);
void conn_tls_end(struct conn *c);
