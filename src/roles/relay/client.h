/* One SMTP or LMTP session as its client: a pure machine. Replies come in as bytes; commands, results
 * and wishes go out through struct client_world. No socket, clock, database or log inside.
 *
 *   connect -> greeting -> EHLO -> STARTTLS -> EHLO -> AUTH -> ready -> transaction -> ready -> ...
 *
 * A transaction is one message for some recipients. Each recipient is settled exactly once in it: as
 * relayed, deferred or failed, with the words of the server or ours. A recipient that was not settled
 * when the transaction is done, or when the session failed, may be tried again, here or elsewhere:
 * the message did not reach the remote for it. The one doubtful case, a connection that is lost after
 * the end of the message was sent and before it was answered, settles the recipient as deferred and
 * `final`: it may arrive twice (RFC 1047), but never be lost. */
#pragma once
#include "base/buf.h"
#include "ipc/messages.h"
#include "smtp/extension.h"
#include "smtp/reply.h"

struct client;

struct client_settings {
    bool lmtp;
    enum route_tls tls;
    bool plain_only;  /* opportunistic TLS failed with this host: not again */
    bool require_tls; /* REQUIRETLS: TLS must come up and be verified */
    bool auth_in_clear; /* a login may be sent without TLS: the host is ourselves */
    struct str hello; /* our name */
    bool has_login;
    struct str user, secret;
};

enum message_bits { BITS_UNKNOWN, BITS_SEVEN, BITS_EIGHT };

struct client_message {
    uint64_t flags; /* enum txn_flags */
    uint64_t size;
    uint64_t priority;  /* MT-PRIORITY + 9 */
    bool has_by;
    int64_t by_seconds; /* what is left of DELIVERBY, may be negative */
    struct str sender;  /* canonical, empty for <> */
    struct str envid;   /* xtext */
    bool protect;       /* a report about a message with REQUIRETLS: asked for where it is offered, not insisted on (RFC 8689 5) */
    struct str body;    /* all of it, or empty: asked for with want_body */
    bool body_whole;    /* body is all of it */
    enum message_bits header_bits, body_bits;
};

/* What became of a recipient. text is "5.1.1 the words", code the reply's (or one of ours). */
struct client_outcome {
    enum delivery_status status;
    enum delivery_reason reason;
    unsigned code;
    bool remote; /* said by the server, not by us */
    bool final;  /* deferred, and no other server may be tried in this attempt */
    struct str text;
};

enum { CLIENT_RCPTS_AT_ONCE = 1000 }; /* most recipients of one transaction */

enum client_rcpt_state { CLIENT_RCPT_OPEN, CLIENT_RCPT_ACCEPTED, CLIENT_RCPT_SETTLED };

struct client_rcpt {
    struct str address, orcpt; /* canonical; xtext */
    uint64_t notify;           /* enum notify_flags */
    bool dsn;                  /* set when the remote took our DSN parameters */
    enum client_rcpt_state state;
};

/* Why a session cannot go on. */
struct client_failure {
    enum smtp_stage stage;
    bool tls;         /* TLS did not work: may be tried again in plain where that is allowed */
    bool busy;        /* 421, 4xx greeting, time-out: fewer connections are in place */
    bool unsuitable;  /* this host cannot take this message; another may (REQUIRETLS) */
    struct client_outcome outcome; /* for recipients nobody else takes */
};

enum client_wait {
    CLIENT_WAIT_REPLY, /* command_time */
    CLIENT_WAIT_END,   /* the reply to the end of the message: twice that */
    CLIENT_WAIT_NONE,  /* ready, or it is our turn */
};

struct client_world {
    void (*send)(void *owner, struct str bytes);
    void (*start_tls)(void *owner); /* then client_secured, or client_lost */
    void (*ready)(void *owner);     /* client_begin or client_quit may be called, also from inside */
    void (*settled)(void *owner, struct client_rcpt *rcpt, const struct client_outcome *outcome);
    void (*want_body)(void *owner); /* then client_body once, with at least one byte or `last` */
    void (*done)(void *owner);      /* the transaction is over; `ready` follows, or `failed` */
    /* The session is over; the owner closes the connection and frees the client. At most once, and
     * nothing is called after it. Recipients that are not settled were not delivered. */
    void (*failed)(void *owner, const struct client_failure *failure);
    void (*wait)(void *owner, enum client_wait what);
};

struct client *client_new(const struct client_settings *settings, const struct client_world *world, void *owner);
void client_free(struct client *c); /* wipes the login */

void client_connected(struct client *c);
/* TLS is up. verified: name and chain were checked. */
void client_secured(struct client *c, bool verified);
void client_input(struct client *c, struct str bytes);
/* The connection ended or a time limit passed. handshake: while TLS was coming up. */
void client_lost(struct client *c, bool timed_out, bool handshake, const char *why);

/* One transaction. message and rcpts must live until `done` or `failed`. */
void client_begin(struct client *c, const struct client_message *message, struct client_rcpt **rcpts, size_t n);
void client_body(struct client *c, struct str bytes, bool last);
void client_quit(struct client *c);

/* The end of the message was sent and its verdict has not come: nobody can know whether it was taken. */
bool client_is_past_end(const struct client *c);
bool client_is_ready(const struct client *c);
bool client_is_secure(const struct client *c, bool *verified);
/* Most recipients of one transaction, most messages of one session (0: no limit said). */
uint64_t client_rcpt_max(const struct client *c);
uint64_t client_mail_max(const struct client *c);
/* The remote wants 8BITMIME-less content and the message's bits are not known: look at the whole
 * body first, then set message.body_bits and .header_bits. */
bool client_must_scan(const struct client *c, const struct client_message *message);
/* Bits of a whole content. */
void message_scan(struct str body, enum message_bits *header, enum message_bits *rest);
