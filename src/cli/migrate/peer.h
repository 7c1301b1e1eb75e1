/* A connection to an IMAP server as a client sees it: another server over TCP and TLS, or our own mailbox over the
 * command socket (an administrator's session). Blocking, with time limits; memory does not grow with messages: the
 * literal of BODY[] is handed out in pieces. */
#pragma once
#include "cli/cli.h"
#include "imap/answer.h"
#include "imap/input.h"

struct ssl_st;
struct ssl_ctx_st;

struct peer {
    int fd;
    struct ssl_st *ssl;
    struct ssl_ctx_st *ctx;
    char name[300];        /* for messages */
    struct buf out, raw;
    size_t raw_used;
    struct imap_input in;
    struct arena arena;    /* of the answer read last */
    unsigned tags;         /* given so far */
    int patience;          /* ms */
    bool streamed;         /* the answer being read had its body handed out */
};

enum peer_security { PEER_TLS, PEER_STARTTLS, PEER_PLAIN };
struct peer_address {
    struct str user, host;
    uint16_t port;
    enum peer_security security;
    struct str ca; /* file of trusted certificates; empty: those of the system */
};

/* An administrator's session of an account; `protocol`: "imap", "backup" or "restore" (the bytes of the latter are no
 * IMAP: peer_send and peer_some). The exit code, with a message on standard error when it is not 0. */
int peer_open_local(struct peer *p, const struct cli *cli, int64_t account, const char *protocol);
/* Connects, secures the connection and reads the greeting. *preauth: there is no login. */
MUST_CHECK bool peer_open_remote(struct peer *p, const struct peer_address *to, bool *preauth, struct err *err);
void peer_close(struct peer *p);

/* Collects; sent when enough is there, or by peer_flush. */
MUST_CHECK bool peer_send(struct peer *p, struct str bytes, struct err *err);
MUST_CHECK bool peer_flush(struct peer *p, struct err *err);
/* Writes a new tag into p->out, "A17 ", and gives it; 12 bytes of room in `tag`. */
void peer_begin(struct peer *p, char tag[16]);
/* Some bytes as they come; empty at the end of the connection. */
MUST_CHECK bool peer_some(struct peer *p, struct str *bytes, struct err *err);

/* The next response. bodies: the literal of a BODY[] is not collected: *body is set (the answer has the items
 * before it) and peer_body gives its bytes until it gives none; then call this again for the whole answer. The answer lives until the next call. */
MUST_CHECK bool peer_read(struct peer *p, bool bodies, struct imap_answer *answer, bool *body, uint64_t *size, struct err *err);
MUST_CHECK bool peer_body(struct peer *p, struct str *piece, struct err *err);
/* Reads up to the tagged answer; `untagged` (may be NULL) hears of the others. False: the connection failed. */
typedef void peer_untagged_fn(void *owner, const struct imap_answer *answer);
MUST_CHECK bool peer_wait(struct peer *p, const char *tag, peer_untagged_fn *untagged, void *owner, struct imap_answer *answer,
    struct err *err);
/* Sends "TAG text CRLF" and waits. */
MUST_CHECK bool peer_ask(struct peer *p, struct str text, peer_untagged_fn *untagged, void *owner, struct imap_answer *answer,
    struct err *err);
