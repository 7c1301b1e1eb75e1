/* The state of the access role and of its clients; shared by main.c (start, reload, drain), listeners.c,
 * handlers.c (messages), client.c (a connection up to login), auth.c (logging in), session.c (after it). */
#pragma once
#include "net/remote_key.h"
#include "base/map.h"
#include "ipc/role.h"
#include "login.h"
#include "net/accept.h"
#include "net/conn.h"
#include "net/crowd.h"
#include "net/limit.h"
#include "net/tls.h"

struct event;

struct access {
    struct role *role;
    struct key_signer signer; /* the private keys are in directory */
    struct tls_server *tls; /* NULL without certificates */
    struct limit_table *limits;
    struct crowd crowd;    /* all clients */
    struct map asked;      /* clients that wait for directory or are in a session, by id */
    struct list listeners; /* struct listener */
    int64_t drain_until;   /* monotonic, 0 while not draining */
    struct event *drain_timer;
    struct question_book logins, sessions; /* given to directory, to mailbox */
};

struct listener {
    struct link link;
    struct access *access;
    struct acceptor *acceptor;
    const struct login_protocol *protocol;
    unsigned index; /* of its section in the configuration */
};

enum client_state {
    CLIENT_PROXY,   /* the PROXY header comes first */
    CLIENT_TLS,     /* implicit TLS: the handshake comes before the greeting */
    CLIENT_LOGIN,
    CLIENT_SESSION, /* bytes go to mailbox and back */
    CLIENT_CLOSING, /* the last output is on its way */
};

struct client {
    struct crowd_member member;
    struct map_node node; /* in access->asked, by `id` */
    struct access *access;
    struct conn *conn;
    const struct login_protocol *protocol;
    void *machine;
    enum client_state state;
    enum listen_tls tls_mode;
    struct ip ip;
    bool counted; /* in the limits of its address */
    int64_t since, logged_in; /* monotonic; the second is 0 before login */

    uint64_t id;     /* of the exchange with directory, then of the session; 0 for none */
    uint64_t serial; /* of the channel that id is for */
    unsigned copy;
    bool authenticating;
    struct event *delay; /* a failed login is answered late */
    struct login_outcome late;

    uint64_t account;
    struct str login;
    uint64_t credit;  /* bytes that we may still send to mailbox */
    uint64_t allowed; /* bytes that mailbox may still send */
    uint64_t owed;    /* of those it has sent, granted again when the client has taken them */
    bool answered;    /* mailbox has said something */
    uint64_t bytes_in, bytes_out;
    bool returning; /* mailbox gives the connection back: nothing more is sent to it */

    /* What the client sent behind UNAUTHENTICATE and mailbox gave back: it comes before what the connection has. At most
     * SESSION_WINDOW. */
    struct buf ahead;
    bool feeding;   /* it is being given to the machine */
    bool drop_ahead; /* it was sent in clear behind STARTTLS */
};

/* client.c */
void client_show_metrics(void);
void client_made_room(uint64_t n); /* counts those that were sent away */
void client_new(struct listener *listener, int fd, const struct ip *peer);
void client_free(struct client *c);
/* Stops reading, sends what waits, closes. */
void client_close(struct client *c);
/* Closes with a word, if the protocol can still have one. */
void client_bye(struct client *c, const char *why);
bool client_exempt(const struct client *c); /* nothing is counted by its address */
void client_resume(struct client *c); /* reads again if the state allows it */
/* The session is over and its connection goes on: logs in anew. `bytes` were sent already. */
void client_login_again(struct client *c, struct str bytes);
/* Gives the client a new id in `asked`. */
void client_ask(struct client *c, struct channel *peer);
void client_asked_nothing(struct client *c);
/* The client that asked this, or NULL for an answer nobody waits for. */
struct client *client_find(struct access *a, const struct channel *from, uint64_t id);

/* auth.c */
void auth_begin(struct client *c, struct str mechanism, bool has_initial, struct str initial);
void auth_step(struct client *c, struct str data);
void auth_cancel(struct client *c);
void auth_challenge(struct client *c, struct str data);
void auth_done(struct client *c, const struct msg_auth_done *m);
void auth_directory_gone(struct client *c);

/* session.c */
void session_take_ahead(struct client *c); /* what the client had sent already goes to mailbox */
void session_begin(struct client *c, unsigned flags, struct str tag);
size_t session_input(struct client *c, struct str bytes);
void session_output_sent(struct client *c);
void session_data(struct client *c, struct str data);
void session_more(struct client *c, uint64_t bytes);
void session_closed(struct client *c);
void session_return(struct client *c);
void session_back(struct client *c, struct str left);
void session_finish(struct client *c);  /* we are shutting down: mailbox may end it where it does no harm */
void session_abandon(struct client *c); /* the client is gone: tells mailbox */
void session_mailbox_gone(struct client *c);

/* listeners.c */
void access_open_listeners(struct access *a);
void access_close_listeners(struct access *a);
/* On failure the certificates in use stay. */
MUST_CHECK bool access_load_certificates(struct access *a, struct err *err);

/* crowd.c */
extern const struct crowd_rules access_crowd_rules;

/* handlers.c */
extern const struct handlers access_handlers;
struct access *access_of(struct role *role);
void access_peer_gone(struct role *role, struct channel *peer);
/* For `staffetta status --verify`. */
void access_verify(struct role *role, struct verification *v);
