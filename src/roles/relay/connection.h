/* One connection and what it carries: private to connection.c, carry.c and dial.c. */
#pragma once
#include "net/conn.h"
#include "relay.h"

enum connection_state {
    CONNECTION_LOGIN,   /* asks the directory for the smart host's login */
    CONNECTION_DIALING,
    CONNECTION_SESSION, /* the client machine is at work */
    CONNECTION_IDLE,    /* ready, nothing to carry */
    CONNECTION_CLOSING, /* QUIT is on its way */
};

/* One TCP connection being made; the winner becomes the connection. */
struct attempt {
    struct connection *k;
    struct conn *conn;
    struct candidate candidate;
    struct ip ip;
    uint16_t port;
    struct ip source;
    char hello[DNS_NAME_TEXT];
    bool tls_handshake;
};

enum { ATTEMPTS = 2, TXN_RCPTS = CLIENT_RCPTS_AT_ONCE };

struct connection {
    struct link link; /* relay.connections */
    struct link idle; /* at its site */
    struct link at_site;
    struct relay *relay;
    struct site *site;
    struct plan *plan;
    enum connection_state state;
    struct way way; /* who may share it */
    bool require_tls, reported; /* to events, see report.h */
    unsigned proof;      /* bits of enum tls_proof */
    enum tls_result checked; /* what a look at the certificate, by DANE or by PKI, came to */
    char policy[TLS_RULE_TEXT]; /* which TLS policy counts for what it carries, and what came of it */
    /* dialing */
    struct candidate candidates[PLAN_TARGETS * PLAN_ADDRESSES];
    size_t candidate_count, next;
    struct attempt attempts[ATTEMPTS];
    struct attempt *winner;
    struct event *timer; /* head start while dialing; idle time later */
    char error[1024];    /* why the last address did not work */
    bool only_source_trouble;
    uint64_t secret_id;
    struct buf user, secret;
    /* the session */
    struct client *client;
    char host[DNS_NAME_TEXT];
    bool failed;
    struct client_failure failure;
    char failure_text[1100];
    bool was_ready;      /* for mail, once at least */
    bool txn_done;
    size_t messages;
    bool answered;       /* the server gave its verdict on a recipient */
    /* the delivery */
    struct delivery *d;
    struct client_rcpt *rcpts[TXN_RCPTS];
    size_t open_before;  /* recipients without a verdict when the transaction began */
    bool scanning, want_body, body_asked;
    uint64_t offset;
    bool stepping;
    int64_t since;       /* monotonic: when the other side last got on */
    int64_t began;       /* monotonic: when it took the delivery */
};

/* dial.c: next address, until one connects or none is left. */
void dial_start(struct connection *k);
void dial_stop(struct connection *k); /* frees what is being made, except the winner */
void dial_on_timer(struct connection *k);
extern const struct conn_events connection_events; /* connection.c; owner: struct attempt */
void dial_on_connected(struct attempt *a);
void dial_on_failed(struct attempt *a, const char *why);

/* connection.c */
void connection_connected(struct connection *k); /* k->winner is there */
void connection_dial_failed(struct connection *k);
void connection_step(struct connection *k); /* what is to be done now; may free it */
void connection_free(struct connection *k);

/* secure.c: TLS of a connection. */
void secure_rule(const struct connection *k, struct tls_rule *rule); /* for k->d at the server of k->winner */
/* Sets k->policy for what it carries. */
void secure_describe(struct connection *k);
void secure_start(struct connection *k);
void secure_failed(struct connection *k); /* the handshake did not come to its end */
void secure_done(struct connection *k); /* the handshake is: is that the right server? */

/* carry.c: the delivery on a connection. */
extern const struct client_world connection_world;
void carry_begin(struct connection *k);       /* a transaction of k->d, or a look at its body */
void carry_transaction_done(struct connection *k);
void carry_session_failed(struct connection *k); /* k->failure; leaves k without a delivery */
void carry_want_body(struct connection *k);
/* Was it turned away where another session is at work? Then it is in line again, to go over that one. */
bool carry_waits_for_another(struct connection *k, struct delivery *d);
