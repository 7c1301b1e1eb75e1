/* The shell of the relay: what the parts share. One line each:
 *
 *   delivery.c     what queue asked for: collects it, keeps each recipient's result, reports
 *   kept.c         results that queue has not stored yet
 *   destination.c  a recipient domain or route: its plan, looked up once for all who wait
 *   site.c         all destinations with the same servers: limits, who goes next
 *   connection.c   one connection: candidates, TLS, the client machine, bodies
 *   dial.c         connecting: next address after a failure or a short head start
 *
 * A delivery is in exactly one place: being received (no list), at a destination that is looked up,
 * waiting at a site, or carried by a connection. */
#pragma once
#include "base/arena.h"
#include "base/clock.h"
#include "client.h"
#include "dns/dns_client.h"
#include "hosts.h"
#include "ipc/role.h"
#include "plan.h"
#include "pools.h"
#include "report.h"
#include "rest.h"
#include "tls_rule.h"
#include "way.h"

struct ssl_ctx_st;
struct event;

enum {
    DELIVERIES_MAX = 20000,            /* in this process */
    DELIVERIES_PER_DESTINATION = 2000,
    RCPTS_MAX = 5000,                  /* of one delivery */
    BODIES_MAX = 256 * 1024 * 1024,    /* bytes of small bodies held */
    ATTEMPTS_MAX = 10,                 /* connections one delivery may use up in one go */
    DELIVERY_SECONDS = 7200,           /* for all of it, waiting included, since queue last heard of it */
    END_SECONDS = 2700,                /* more, past the end of the message: together below the three hours
                                        * after which queue takes it for lost */
    OWN_ADDRESSES_MAX = 256,
};

struct connection;

enum { KEPT_SHARDS = 64 };

/* How far the new process of a shard was told. */
struct telling {
    bool active;
    struct link *at; /* in kept_list.all; its head: the orphans are next */
    uint64_t told;
};

/* Results queue has not stored yet, see kept.h. */
struct kept_list {
    struct list all, orphans; /* struct kept, oldest first; struct delivery, by link */
    struct map by_id;         /* delivery or token */
    struct map by_place;      /* (message, recipient) */
    size_t count;
    struct telling telling[KEPT_SHARDS];
    unsigned telling_count;   /* of those that are active */
    struct event *again;      /* the loop comes round for the next part */
    int64_t start; /* delivery_taken() then */
    int64_t reported, untold, dropped; /* of those relayed or delivered: told to queue once; nobody
                                        * there yet; too many */
};

/* What a site is known for. Good ones must find a connection at any time, so the others may not take
 * all: the slow ones a quarter, together with those of which nothing is known yet three quarters. */
enum standing { STANDING_GOOD, STANDING_NEW, STANDING_SLOW, STANDINGS };

struct relay {
    struct role *role;
    struct event_base *base;
    struct event *timer;       /* sweeps, once a second */
    struct event *drain_timer;
    struct ssl_ctx_st *tls;
    struct dns_client dns;
    struct hosts hosts;
    struct pools pools;
    uint64_t pools_id;         /* of the question that is open */
    struct map deliveries, destinations, sites;
    struct list policy_questions; /* events is asked, see tls_lookup.c */
    struct reporting reporting;
    struct kept_list kept;
    struct list connections;
    struct list awake;         /* sites that may start something */
    struct list hungry[STANDINGS]; /* sites that found no place, the first one first */
    size_t connection_count, by_standing[STANDINGS];
    bool starved;              /* a site of which nothing is known found no place since the last sweep */
    size_t bodies;             /* bytes held */
    struct ip own[OWN_ADDRESSES_MAX]; /* of this machine's interfaces */
    size_t own_count;
    bool draining;
};

struct rcpt {
    struct client_rcpt c; /* first: the machine knows only this part */
    uint64_t n;
    bool reported;
    bool has_result;      /* deferred by some server; another one may be tried */
    struct client_outcome result;
    char text[1100];
    char host[DNS_NAME_TEXT], ip[IP_TEXT], tls[96], policy[TLS_RULE_TEXT], source[IP_TEXT];
};

struct delivery {
    struct map_node node;  /* relay.deliveries, by channel and id */
    struct link link;      /* where it waits */
    struct channel *queue; /* NULL: it died, see kept.h */
    uint64_t told;         /* of an orphan: serial of the process that was told of it */
    unsigned shard;
    uint64_t id, id_hash;
    struct arena arena;    /* its strings */
    uint64_t message;
    struct client_message m;
    int64_t deliver_by;    /* wall time, 0 for none */
    struct way way;
    uint64_t sender;       /* a hash of m.sender, never 0 */
    struct str destination, domain, hosts;
    struct rcpt **rcpts;
    size_t n, capacity;
    bool going;            /* deliver_go came */
    int64_t started;       /* monotonic */
    int64_t heard;         /* monotonic: when queue last heard of it, at its start or when content was asked for */
    struct destination *at;
    struct site *site;     /* once the plan is known */
    struct plan *plan;
    uint8_t tried[PLAN_TARGETS]; /* bits: addresses of plan.targets[i] */
    char policy[TLS_RULE_TEXT]; /* what TLS policy counts at its first server, for trace */
    unsigned plain;        /* bits: targets whose TLS did not work, and may be tried without */
    unsigned attempts;
    bool let_in;           /* some server was ready for it */
    struct connection *carrier;
    size_t body_held;
};

/* delivery.c */
void delivery_show_metrics(void);
void delivery_on_remote(struct role *role, struct channel *from, const struct msg_deliver_remote *m);
void delivery_on_rcpt(struct role *role, struct channel *from, const struct msg_deliver_rcpt *m);
void delivery_on_go(struct role *role, struct channel *from, const struct msg_deliver_go *m);
void delivery_on_body(struct role *role, struct channel *from, const struct msg_body_chunk *m);
void delivery_queue_gone(struct relay *relay, struct channel *queue);
/* Notes a result; relayed and failed ones are reported at once, deferred ones by delivery_finish or
 * when another server decided otherwise. `k` (may be NULL) tells host, TLS and source. */
void delivery_result(struct relay *relay, struct delivery *d, struct rcpt *r, const struct client_outcome *outcome,
    const struct connection *k);
/* Recipients that may still be tried: open, or deferred by a server with others left. */
size_t delivery_open_rcpts(const struct delivery *d);
/* Opens deferred recipients again for another server. */
void delivery_reopen(struct delivery *d);
/* Every recipient without a result gets this one (else what was noted); reports the end, frees. */
void delivery_finish(struct relay *relay, struct delivery *d, const struct client_outcome *rest,
    const struct connection *k);
/* Leaves the servers out that the policies about TLS forbid it (tls_rule.h). False when none is left: the delivery is finished. */
bool delivery_obeys_policies(struct relay *relay, struct delivery *d);
void delivery_forbid_servers(struct delivery *d); /* only the first half, after `tried` was cleared */
/* Recipients delivered or relayed since the start. */
int64_t delivery_taken(void);
void delivery_free(struct relay *relay, struct delivery *d); /* without a word to queue */
/* Gives up those that have waited for their turn for too long. */
void delivery_sweep(struct relay *relay, int64_t now);
/* Did a server defer somebody, finally for this attempt? */
bool delivery_may_go_on(const struct delivery *d);

/* destination.c */
void destination_take(struct relay *relay, struct delivery *d);
void destination_leave(struct delivery *d);
struct str destination_domain(const struct destination *d); /* of the recipients, A-labels */
void destination_sweep(struct relay *relay, int64_t now);
void destination_close(struct relay *relay); /* frees all, with no delivery left */
void destination_forget_windows(struct relay *relay); /* a shard of queue is new */
/* Tells queue how many deliveries to this destination are welcome, where that changed. */
void destination_send_window(struct relay *relay, struct destination *d, uint64_t window);

/* site.c */
struct site;
void site_take(struct relay *relay, struct delivery *d, bool first);
void site_leave(struct relay *relay, struct delivery *d);
/* Something changed: what may start is started at the end of this turn of the loop, so that nothing
 * happens under the feet of a caller. */
void site_wake(struct relay *relay, struct site *site);
void site_wake_all(struct relay *relay);
void site_pump(struct relay *relay); /* does so */
void site_sweep(struct relay *relay, int64_t now);
void site_close(struct relay *relay); /* frees all, with nothing left in them */
struct delivery *site_next_for(struct relay *relay, struct site *site, const struct connection *k);
void site_connection_opened(struct relay *relay, struct site *site, struct link *link); /* among all of its own */
void site_connection_closed(struct relay *relay, struct site *site);
void site_connection_idle(struct relay *relay, struct site *site, struct link *idle); /* into the idle list */
void site_worked(struct relay *relay, struct site *site, struct destination *from);
void site_busy(struct relay *relay, struct site *site, struct destination *from);

/* The attempt of a delivery came to nothing, at all servers there are. Where none could be reached, or attempts in a
 * row failed (rest.h), those that wait to go the same way fail like the one that tried, and one tries at a time. */
void site_failed(struct relay *relay, struct site *site, const struct delivery *of, const struct rest_failure *failure);
/* A delivery was turned away before its session was ready. Has another one been let in, the same way? Then the servers
 * want no more of them, no more are opened for now, and the delivery may wait for one of those. */
bool site_has_enough(struct relay *relay, struct site *site, const struct delivery *d);
void site_answers(struct site *site, const struct delivery *d); /* a server gave its verdict on it */
bool site_is_slow(const struct site *site);
/* Once a second, for each connection that waits for the server: a site of which nothing is known may not
 * do so for ever, even if each of its answers comes in time. */
void site_spends(struct relay *relay, struct site *site, struct destination *from, int64_t now);
/* Nothing has come back on a connection since then: if nothing went well meanwhile, it is slow. */
void site_stuck(struct relay *relay, struct site *site, struct destination *from, int64_t since);

/* connection.c */
void connection_open(struct relay *relay, struct site *site, struct delivery *d);
bool connection_fits(const struct connection *k, const struct delivery *d);
void connection_carry(struct connection *k, struct delivery *d); /* an idle one */
void connection_body(struct connection *k, struct str data, uint64_t offset);
void connection_abort(struct connection *k); /* its delivery is gone; starts nothing else */
void connection_close(struct connection *k); /* idle: QUIT */
void connection_on_secret(struct role *role, struct channel *from, const struct msg_secret_reply *m);
void connection_directory_gone(struct relay *relay);
/* Has the message it carries been sent to its end, so that only the verdict is missing? */
bool connection_is_past_end(const struct connection *k);
bool connection_is_idle(const struct connection *k);
/* Of a link among all connections of a site: what it carries, or NULL; did the session get ready for mail, and does it get on? */
const struct delivery *connection_carries(struct link *link);
const struct way *connection_way(struct link *link);
bool connection_is_let_in(struct link *link);
struct connection *connection_of_idle(struct link *link);
/* What rcpt_done says about the connection. */
void connection_session_ready(struct connection *k);
/* Once a second: finds those that wait for long, and those that have waited for too long. */
void connection_sweep(struct relay *relay, int64_t now);
void connection_describe(const struct connection *k, struct rcpt *r);

/* relay.c */
extern const struct handlers relay_handlers;
MUST_CHECK bool relay_open(struct relay *relay, struct role *role, struct err *err); /* before the sandbox */
void relay_close(struct relay *relay);
void relay_peer_up(struct role *role, struct channel *peer);
void relay_peer_gone(struct role *role, struct channel *peer);
void relay_turn(struct role *role);
void relay_sweep(struct relay *relay); /* once a second */
void relay_drain(struct role *role, int64_t within);
void relay_maybe_exit(struct relay *relay);
void relay_verify(struct role *role, struct verification *v);
/* Do we listen there for mail of others? */
bool relay_is_us(const void *relay, const struct ip *ip, uint16_t port);
