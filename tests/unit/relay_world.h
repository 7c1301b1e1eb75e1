/* The relay without processes: queue, resolver, directory and the servers of the internet are played
 * here, with a clock of their own. Connections are objects; their SMTP servers do what they are told. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "roles/relay/relay.h"

enum { WORLD_SERVERS = 12, WORLD_RULES = 8, WORLD_RESULTS = 4000 };

/* What a server says instead of yes: at a verb (GREETING, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, END)
 * whose line holds `match`. "CLOSE" hangs up, "HANG" says nothing. */
struct rule {
    char verb[12], match[40], says[100];
    unsigned times;
};

struct server {
    char ip[IP_TEXT];
    bool refuses;     /* connection refused */
    bool silent;      /* never connects: see world_time_out */
    bool broken_tls;  /* the handshake fails */
    bool bad_certificate;
    bool hold;        /* answers to END wait for world_release */
    bool slow;        /* each reply waits for world_speak */
    char offers[200]; /* "PIPELINING STARTTLS ..." */
    struct rule rules[WORLD_RULES];
    unsigned connections, open, most_open, messages, secure_messages;
    char last_mail[400], last_rcpts[2000], last_source[IP_TEXT], last_hello[400], last_login[400], last_sni[DNS_NAME_TEXT];
    struct buf last_content;
};

struct result {
    uint64_t id, n;
    uint64_t status, code, reason, dsn;
    char text[300], host[200], source[IP_TEXT], tls[64], policy[500];
};

struct told {
    uint64_t message, n, status;
};

struct world {
    struct relay relay;
    struct config *config;
    struct event_base *base;
    int64_t now;
    struct server servers[WORLD_SERVERS];
    size_t server_n;
    char zone[2000];        /* lines "name MX 10 host", "name A ip", "name CNAME other", "name TLSA 3 1 1 good", "name FAIL", "name SILENT" */
    char unsigned_names[400]; /* each between blanks: not secure even in a secure zone */
    const char *policy;      /* what events says of any domain, NULL: there is none */
    uint64_t policy_failure, policy_questions;
    char tls_results[2000]; /* told to events: "domain details;" each */
    char last_policy[300];   /* the last question: "domain lookup id" */
    bool events_down, events_silent;
    bool secure_zone, resolver_down, directory_down, no_secret;
    char pools[500];
    char bad_source[IP_TEXT]; /* cannot be bound */
    struct result results[WORLD_RESULTS];
    size_t result_n, done_n; /* rcpt_done, deliver_done */
    struct told told[WORLD_RESULTS]; /* rcpt_told */
    size_t told_n;
    unsigned told_all;
    uint64_t told_all_n; /* what the last one said */
    bool queue_down, stores_nothing; /* results are not acknowledged */
    uint64_t window;
    unsigned windows, lookups;
    struct str big;          /* what body_ask is answered from */
    bool holds_bodies;       /* ... not now */
    uint64_t big_ends;       /* it ends here all the same */
    bool exited;
};

extern struct world world;

void world_open(const char *config);
void world_close(void);
struct server *world_server(const char *ip, const char *offers);
void world_rule(struct server *s, const char *verb, const char *match, const char *says, unsigned times);
/* The process of queue dies; a new one is there. */
void world_queue(bool up);
void world_events(bool up);
/* Until nothing more happens. */
void world_run(void);
void world_pass(int64_t span);
/* Every connection that waits for a server times out. */
void world_time_out(void);
void world_release(struct server *s);
void world_speak(struct server *s); /* one reply on each connection */

/* A delivery by MX; rcpts separated by blanks. Changes may be made before world_go. */
struct msg_deliver_remote world_message(const char *domain);
uint64_t world_deliver(const struct msg_deliver_remote *m, const char *rcpts);
uint64_t world_send(const char *domain, const char *rcpts); /* both of the above */
/* The result of recipient n; fails the test when there is none. */
const struct result *world_result(uint64_t id, uint64_t n);
bool world_has_result(uint64_t id, uint64_t n);
