/* POP3 after login (RFC 1939, RFC 2449, RFC 3206, RFC 6856): a pure machine. It takes the client's
 * bytes and fills an output buffer; the maildrop comes through struct pop3_store.
 *
 * States: loading the snapshot; ready for a command; inside a long answer (list, uidl, a message) or
 * inside the removal after QUIT; waiting for its commit; closed. A long answer is a cursor: it stops when the output is full
 * and goes on at the next pop3_run. No command is read before the one before it is answered, so
 * pipelining needs nothing more.
 *
 * The maildrop is what it was at the login: numbers 1..n name the messages of the snapshot. DELE only
 * marks; QUIT removes exactly the marked ones, all or none. A session that ends otherwise removes
 * nothing (RFC 1939, section 6).
 *
 * A message whose header holds UTF-8 by SMTPUTF8 is refused to a session without UTF8 mode with
 * -ERR [UTF8] (RFC 6856, section 5); it can still be listed and deleted. Lines that begin with a dot
 * are stuffed after a bare LF too, so that no message can end its own answer at a lax client. */
#pragma once
#include "base/buf.h"
#include "base/str.h"

enum {
    POP3_LINE_MAX = 512,           /* of a command, with its end */
    POP3_INPUT_MAX = 64 * 1024,    /* unread commands */
    POP3_OUTPUT_HIGH = 64 * 1024,  /* no new work is begun above this */
    POP3_OUTPUT_MAX = 512 * 1024,  /* what one step may add fits above the mark */
    POP3_PIECE_MAX = 80 * 1024,    /* longest piece that read() gives */
    POP3_MESSAGES_MAX = 2000000,   /* of a snapshot */
    POP3_ERRORS_MAX = 20,
};

enum pop3_item_flags { POP3_DELETED = 1, POP3_NEEDS_UTF8 = 2, POP3_RETRIEVED = 4 };

struct pop3_item {
    uint32_t uid;
    uint32_t size;
    uint8_t flags;
};

enum pop3_result {
    POP3_OK,
    POP3_MORE,    /* load: call again */
    POP3_MISSING, /* read: the message is not there any more */
    POP3_FAILED,  /* the storage failed, for now */
    POP3_WAITS,   /* remove_commit: pop3_removed says it later */
};

struct pop3;

/* What the machine needs from the world. Every call answers at once and works a bounded time. */
struct pop3_store {
    /* Adds a part of the maildrop with pop3_add, in order of uids; POP3_OK when all is there. */
    enum pop3_result (*load)(void *world, struct pop3 *p);
    /* The bytes of a message from `offset` on, as many as are at hand; empty only at the end. The view
     * lives until the next call. */
    enum pop3_result (*read)(void *world, uint32_t uid, uint64_t offset, struct str *piece);
    /* Removes one message; what was removed becomes true with remove_commit, or not at all. */
    enum pop3_result (*remove)(void *world, uint32_t uid);
    enum pop3_result (*remove_commit)(void *world);
    void (*remove_abort)(void *world);
};

enum pop3_flags {
    POP3_TLS = 1,      /* the connection is encrypted */
    POP3_UTF8 = 2,     /* UTF8 was given before login */
    POP3_LOOPBACK = 4, /* the client is on this machine: passwords are taken without TLS */
};

enum pop3_next {
    POP3_WAIT_INPUT,  /* nothing to do until pop3_input */
    POP3_WAIT_OUTPUT, /* output is above the mark: call again when it was taken */
    POP3_AGAIN,       /* there is more to do: call again in another turn */
    POP3_CLOSED,      /* send what is in the output, then close */
};

struct pop3_counts {
    uint64_t retrieved, retrieved_bytes, tops, deleted, left;
};

/* `world` is handed to the store's functions. Starts loading at the first pop3_run. */
struct pop3 *pop3_new(const struct pop3_store *store, void *world, unsigned flags);
/* uidvalidity of the folder, a part of every unique id; to be set before load gives POP3_OK. */
void pop3_set_uidvalidity(struct pop3 *p, uint32_t uidvalidity);
/* False when the snapshot is full. */
bool pop3_add(struct pop3 *p, uint32_t uid, uint64_t size, unsigned flags);
void pop3_free(struct pop3 *p);

/* False when the client sent more than POP3_INPUT_MAX that was not read yet. */
bool pop3_input(struct pop3 *p, struct str bytes);
enum pop3_next pop3_run(struct pop3 *p);
/* The answers; the caller consumes them. */
struct buf *pop3_output(struct pop3 *p);
/* After POP3_WAITS: everything was removed, or nothing. */
void pop3_removed(struct pop3 *p, bool removed);
/* Bytes of input used since the last call. */
size_t pop3_taken(struct pop3 *p);
struct pop3_counts pop3_counts(const struct pop3 *p);
