/*
 * wire: a non-blocking connection, plain or TLS, for the load generator and its sink.
 *
 * Deliberately nothing of the server's own libraries: what measures must not share the code of what
 * is measured.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/ssl.h>

/* What a read, write or handshake came to. */
enum wire_result {
    WIRE_OK,     /* *n bytes moved (a handshake: done) */
    WIRE_AGAIN,  /* nothing moved; wait for what `wants_write` says */
    WIRE_CLOSED, /* the other side ended, or the connection broke */
};

struct wire {
    int fd;
    SSL *ssl;         /* NULL while plain */
    bool wants_write; /* after WIRE_AGAIN: wait until writable, otherwise until readable */
};

/* A TCP connection being made to 127.0.0.1:port from the loopback address `from` (host order, 0:
 * any). Gives false, with errno, when the kernel refuses at once. */
bool wire_connect(struct wire *w, uint32_t from, uint16_t port);

/* Listens on 127.0.0.1:port, or on this port of all addresses; gives the descriptor or -1. */
int wire_listen(uint16_t port, bool everywhere);

/* The address of our end, host order; 0 when there is none. */
uint32_t wire_local(const struct wire *w);

/* The next connection of a listening descriptor; false when there is none now. */
bool wire_accept(struct wire *w, int listener);

enum wire_result wire_read(struct wire *w, void *to, size_t room, size_t *n);
enum wire_result wire_write(struct wire *w, const void *from, size_t size, size_t *n);

/* Puts TLS on the connection; then wire_handshake until it is WIRE_OK. */
bool wire_tls(struct wire *w, SSL_CTX *context, bool server);
enum wire_result wire_handshake(struct wire *w);

/* Frees TLS and closes. Harmless twice. */
void wire_close(struct wire *w);

/* Nanoseconds of the monotonic clock, the one Python's time.monotonic_ns() reads. */
uint64_t wire_now(void);

/* Lifts the soft limit of descriptors to the hard one; gives it. */
unsigned long wire_files(void);
