/* One SMTP, submission or LMTP session as a pure machine (RFC 5321, 6409, 2033): bytes in; replies,
 * questions and a message out through struct smtp_world. No socket, clock, log or channel inside.
 *
 * A session that has asked something takes no further input until the answer came (smtp_waits), so
 * pipelining needs no queue of commands. Answers may come inside the call that asks. */
#pragma once
#include "base/ip.h"
#include "config/config.h"
#include "ipc/messages.h"

struct smtp_session;

/* What a listener and the configuration say; outlives the session. */
struct smtp_settings {
    enum service service; /* SERVICE_MX, _SUBMISSION, _LMTP or _LOCAL_SMTP */
    struct str hostname;
    struct str postmaster; /* for RCPT TO:<postmaster>; empty: directory decides */
    bool starttls;         /* there is a certificate, and the listener allows STARTTLS */
    bool strict;           /* early talkers and pipelining before the EHLO reply are cut */
    uint64_t message_size, recipients, errors, unknown_commands, messages_per_connection;
    int64_t greeting_delay;
};

/* Who is at the other end; XCLIENT changes it. */
struct smtp_client {
    struct ip ip;
    uint16_t port;
    bool trusted;     /* in relay_networks */
    bool loopback;
    bool may_xclient;
    unsigned uid;     /* of the local socket */
};

struct smtp_rcpt {
    struct smtp_rcpt *next;
    unsigned notify;
    bool forwards;
    struct str address, orcpt;
};

/* A message that is about to come: fields as of txn_begin in ipc/messages.h. */
struct smtp_txn {
    uint64_t message;
    unsigned flags;
    uint64_t account, size, priority;
    int64_t hold_until, deliver_by;
    struct str sender, envid, login, client, helo, protocol, tls, trace;
    struct smtp_rcpt *first, *last;
    size_t rcpts;
};

enum smtp_note {
    SMTP_NOTE_TLS,              /* text: "TLSv1.3 ..." */
    SMTP_NOTE_LOGIN,            /* subject: the login */
    SMTP_NOTE_LOGIN_FAILED,     /* subject: the mechanism, text: the reply */
    SMTP_NOTE_MAIL_REFUSED,     /* subject: the sender */
    SMTP_NOTE_RCPT_REFUSED,     /* subject: the recipient */
    SMTP_NOTE_MESSAGE_REFUSED,  /* after its content */
    SMTP_NOTE_MESSAGE_TAKEN,
    SMTP_NOTE_CUT,              /* text: why we hang up on an ill-behaved client */
};

enum smtp_budget { SMTP_BUDGET_MESSAGES, SMTP_BUDGET_RECIPIENTS };

struct smtp_world {
    void (*send)(void *w, struct str bytes);
    /* So much was sent and not read that no further command is taken for now; NULL for never. */
    bool (*full)(void *w);
    void (*close)(void *w); /* when everything is sent */
    /* What the client sent already is dropped; smtp_secured follows. */
    void (*start_tls)(void *w);
    void (*delay)(void *w, int64_t span); /* smtp_resume follows */
    int64_t (*now)(void *w);              /* wall time */
    /* Counts against the limits of the client's address; false: over. */
    bool (*spend)(void *w, enum smtp_budget what);
    /* How many logins failed from there by now; *banned when that is too many. */
    unsigned (*login_failed)(void *w, bool *banned);
    void (*ask_rcpt)(void *w, uint64_t account, bool first, bool bounce, struct str address); /* smtp_rcpt_answer */
    void (*ask_sender)(void *w, uint64_t account, struct str address);           /* smtp_sender_answer */
    /* smtp_auth_challenge or smtp_auth_done follow the first two. */
    void (*auth_begin)(void *w, struct str mechanism, bool has_initial, struct str initial);
    void (*auth_step)(void *w, struct str data);
    void (*auth_cancel)(void *w);
    /* The id of the next message, 0 with a reason when none is taken now. */
    uint64_t (*offer)(void *w, struct str *why);
    /* *txn stays as it is until end, abort or smtp_txn_done. False: nobody is there to take it. */
    bool (*begin)(void *w, const struct smtp_txn *txn);
    void (*chunk)(void *w, struct str data);
    void (*end)(void *w); /* smtp_txn_done follows; it may also come earlier */
    void (*abort)(void *w);
    void (*note)(void *w, enum smtp_note note, struct str subject, unsigned code, struct str text);
    /* XCLIENT: fills in the rest of *client for its new address. */
    void (*client_changed)(void *w, struct smtp_client *client);
};

struct smtp_session *smtp_new(const struct smtp_settings *settings, const struct smtp_client *client,
    const struct smtp_world *world, void *w);
/* An open transaction is aborted, an open login cancelled. */
void smtp_free(struct smtp_session *s);
/* Greets, at once or after the greeting delay. With implicit TLS: call smtp_secured before. */
void smtp_start(struct smtp_session *s);

/* Returns how many bytes were used. */
size_t smtp_input(struct smtp_session *s, struct str bytes);
bool smtp_waits(const struct smtp_session *s);

/* Answers; one that is not waited for is ignored. */
void smtp_resume(struct smtp_session *s);
/* text: "TLSv1.3 TLS_AES_256_GCM_SHA384"; bindings: the connection has channel bindings. */
void smtp_secured(struct smtp_session *s, struct str text, bool bindings);
enum smtp_rcpt_flags { SMTP_RCPT_FORWARDS = 1, SMTP_RCPT_JUNK = 2 }; /* as in rcpt_reply */
void smtp_rcpt_answer(struct smtp_session *s, enum rcpt_result result, unsigned flags, struct str text);
void smtp_sender_answer(struct smtp_session *s, bool allowed, bool temporary);
void smtp_auth_challenge(struct smtp_session *s, struct str data);
void smtp_auth_done(struct smtp_session *s, enum auth_result result, uint64_t account, unsigned rights,
    struct str login, struct str data);
void smtp_txn_done(struct smtp_session *s, unsigned code, struct str text);

/* The server stops: sessions between transactions get 421 now, the others after their message. */
void smtp_drain(struct smtp_session *s);

/* Logged in, of a listed network, or local. */
bool smtp_is_known(const struct smtp_session *s);
/* For logs and reports. */
const struct smtp_client *smtp_client_of(const struct smtp_session *s);
const struct smtp_txn *smtp_txn_of(const struct smtp_session *s);
struct str smtp_helo_of(const struct smtp_session *s);
