/* The shell around the sessions: descriptors, channels, clocks and counters. */
#pragma once
#include "net/remote_key.h"
#include "base/list.h"
#include "base/map.h"
#include "ipc/role.h"
#include "net/accept.h"
#include "net/conn.h"
#include "net/crowd.h"
#include "net/limit.h"
#include "net/tls.h"
#include "session.h"

#include <event2/event.h>
#include <event2/event_struct.h>

enum { SHARDS_MAX = 256 };

/* What sessions keep from one configuration after the next one was loaded. */
struct policy {
    unsigned users;
    struct str hostname, postmaster;
};

struct door {
    struct server *server;
    struct acceptor *acceptor;
    unsigned index; /* into config->listeners */
    enum service service;
};

struct server {
    struct role *role;
    struct policy *policy;
    struct key_signer signer; /* the private keys are in directory */
    struct tls_server *tls; /* NULL: no certificate */
    struct door *doors;
    size_t door_count;
    struct limit_table *limits;
    struct crowd crowd; /* all clients */
    struct map asks, txns; /* by the id of the question, of the transaction */
    struct event sweep, last_call;
    bool draining;
    /* queue shards that refuse messages, and why */
    struct {
        bool refuses;
        struct str reason;
    } shards[SHARDS_MAX];
    uint64_t shard_count; /* 0: not known yet */
    uint64_t event_seq;
    int64_t accepted, unsaid; /* 250s of filter; those that no client could be told */
};

enum question { ASK_NOTHING, ASK_RCPT, ASK_SENDER, ASK_AUTH };

struct client {
    struct crowd_member member; /* useful: since its last message */
    struct server *server;
    const struct door *door;
    struct policy *policy;
    struct smtp_settings settings;
    struct smtp_client who;
    struct smtp_session *session; /* NULL until the address is known */
    struct conn *conn;
    enum listen_tls tls_mode;
    bool awaits_proxy, counted;
    bool stalled; /* filter does not keep up */
    bool choked;  /* the client does not read */
    struct event delay;
    /* the question to directory, and the transaction at filter */
    struct map_node ask_node, txn_node;
    uint64_t ask_id, txn_id;
    enum question question;
    struct channel *directory, *filter;
    const struct smtp_txn *unsent; /* begun, but filter will hear of it together with the first content */
    int64_t since; /* monotonic: when the present wait began, 0 for none */
    int64_t ended; /* monotonic: when the content was complete, 0 before and after the reply */
};

/* clients.c */
void server_init(struct server *server, struct role *role);
/* After the loop: hangs up on everybody and frees everything. */
void server_clear(struct server *server);
bool server_open_doors(struct server *server);
void server_shut_doors(struct server *server);
void server_use_config(struct server *server);
void client_free(struct client *c);
/* Reading goes on or stops, by what the session and the channels say. */
void client_update(struct client *c);
void server_drain(struct server *server, int64_t within);
/* Fills in what follows from the address. */
void client_judge(struct client *c, struct smtp_client *who);

/* crowd.c */
extern const struct crowd_rules smtp_crowd_rules;

/* world.c */
extern const struct smtp_world smtp_real_world;
void client_forget_question(struct client *c);
void client_forget_transaction(struct client *c);

/* answers.c */
extern const struct handlers smtp_handlers;
void server_peer_up(struct server *server, struct channel *channel);
void server_peer_gone(struct server *server, struct channel *channel);
void server_sweep(struct server *server);
void server_verify(struct server *server, struct verification *v);

/* record.c */
void record_show_metrics(void);
int64_t record_messages(void); /* answered with 250 since the start */
void record_connection(struct client *c);
void record_connections(struct server *server);
void record_refused_connection(const struct ip *ip, const char *reason);
void record_made_room(uint64_t n);
void record_end(struct client *c, bool timed_out, const char *reason);
void record_note(struct client *c, enum smtp_note note, struct str subject, unsigned code, struct str text);
