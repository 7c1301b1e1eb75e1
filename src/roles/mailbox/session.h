/* Sessions after login, whatever their protocol: bytes from access to a protocol machine and back,
 * with credit in both directions, and turns so that a long answer does not hold the loop.
 *
 * access opens a session (session_open), both sides send session_data within the credit that the other
 * grants with session_more; session_close ends it, from either side. A session that gives its connection back asks access to
 * send no more (session_return); when access says that it does not (session_stopped), everything has come, and what is
 * left of it goes back (session_back). A session is found by the serial
 * of its channel and the id that access gave it.
 *
 * A client that goes in the middle of a change does not undo what others have in the same transaction: its session goes on
 * without it, found by nobody, until the change is complete; SESSIONS_LEFT of an account, of more the change is undone. */
#pragma once
#include "accounts.h"
#include "boxes.h"
#include "ipc/role.h"

enum { SESSIONS_LEFT = 16, SESSION_LATER = 20000000 /* microseconds */ };

struct sessions;
struct session;

enum session_next {
    SESSION_WAITS_INPUT,
    SESSION_WAITS_OUTPUT,
    SESSION_GOES_ON, /* wants another turn */
    SESSION_ENDS,    /* what is in the output is sent first */
    SESSION_RETURNS, /* the same; then the connection is for access to log in anew (IMAP's UNAUTHENTICATE) */
};

/* One protocol; `machine` is what open gave. */
struct protocol {
    const char *name;
    void *(*open)(struct session *s);
    bool (*input)(void *machine, struct str bytes); /* false: too much */
    enum session_next (*run)(void *machine);
    struct buf *(*output)(void *machine);
    size_t (*taken)(void *machine); /* input used since last asked */
    void (*close)(void *machine);
    void (*finish)(void *machine); /* shutting down: end between two commands; NULL: the client ends it */
    struct str (*left)(void *machine); /* after SESSION_RETURNS: what the client sent behind; at most what access may send */
    bool (*uses)(void *machine, const struct box *box); /* also those of others; NULL: only its own */
    void (*forget)(void *machine, const struct box *box); /* what it can do without is to be left now; NULL: nothing of that kind */
    bool without_box;              /* info.box stays NULL */
    /* The client is gone. True: something is half done that others would lose with it; call again in another turn. What there
     * is to say goes nowhere. NULL: never. */
    bool (*go_on)(void *machine);
};

/* What a machine may know about its session. */
struct session_info {
    struct box *box;
    struct accounts *accounts;
    int64_t account;
    uint64_t flags; /* enum session_flags */
    bool loopback;
    uint64_t message_limit; /* the largest message that is taken, bytes */
    uint32_t command_limit; /* so many messages one IMAP command works on; 0: any number. The same for the whole session */
    struct str login, client;
    struct str tag; /* of the IMAP command that logged in: to be answered */
};

struct sessions *sessions_new(struct role *role, struct boxes *boxes, struct accounts *accounts);
void sessions_free(struct sessions *all);
const struct session_info *session_info(const struct session *s);

/* The databases, and the end of all other sessions of this one's account: for who replaces the account's. */
struct boxes *session_boxes(const struct session *s);
void session_end_others(struct session *s);
/* Gives it a turn soon: something it waited for has happened. */
void session_wake(struct session *s);
/* The same after SESSION_LATER, once; gives that time (monotonic). */
int64_t session_wake_later(struct session *s);

void sessions_start(struct sessions *all, struct channel *from, const struct msg_session_open *m);
void sessions_data(struct sessions *all, struct channel *from, const struct msg_session_data *m);
void sessions_more(struct sessions *all, struct channel *from, const struct msg_session_more *m);
void sessions_close(struct sessions *all, struct channel *from, const struct msg_session_close *m);
void sessions_finish(struct sessions *all, struct channel *from, const struct msg_session_finish *m);
void sessions_peer_gone(struct sessions *all, struct channel *access);
void sessions_stopped(struct sessions *all, struct channel *from, const struct msg_session_stopped *m);
/* Ends all sessions of an account that was removed, whatever they are doing. */
void sessions_end_account(struct sessions *all, int64_t account);

/* Gives every session that can work one turn; true when some want another one. */
bool sessions_run(struct sessions *all);
bool sessions_ready(const struct sessions *all); /* some want a turn */
int64_t sessions_due(const struct sessions *all); /* when one wants a turn, or INT64_MAX */
size_t sessions_count(const struct sessions *all); /* with those that go on without their clients */
