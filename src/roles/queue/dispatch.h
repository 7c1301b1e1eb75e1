/* Resolved recipients on their way to mailbox and relay.
 *
 * A lane is one copy of mailbox or relay with a limit of deliveries under way in all; a destination is
 * what limits count by within a lane: a recipient domain, a smart host, or the mailboxes of one copy.
 * Each destination has a window (relay says how wide) and two lists of waiting recipients, transactional
 * first; a quarter of every window and lane is kept free of bulk. A destination with too long a list
 * puts further recipients back into the database, due about when their turn comes.
 *
 * A delivery is one message for one destination and up to relay.recipients_per_transaction recipients. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "ipc/ipc.h"
#include "store.h"

struct queue;
struct rcpt;

enum { LANES_MAX = 256 };

/* What a destination is known for. The good ones must find a place at any time, so the others may
 * not take all: those that are slow (no good result since relay made their window narrow) half of a
 * lane and of the memory, those together with the ones of which nothing is known yet seven eighths. */
enum standing { STANDING_GOOD, STANDING_NEW, STANDING_SLOW, STANDINGS };

struct lane {
    enum role_id role;
    unsigned copy;
    size_t under_way, bulk; /* deliveries */
    size_t by_standing[STANDINGS]; /* under_way, by what their destination is known for */
    size_t *held;                  /* that of dispatch */
    struct destination *local; /* of a mailbox copy */
    int64_t vain_at;           /* the last place in the line of those put back of destinations of which nothing comes */
    bool telling;              /* a relay that has not told all yet what it knows from the process before us */
};

/* Results of one status since the start: those that came, of these not committed yet, and without effect
 * (the recipient was deleted or ended meanwhile). */
struct result_counts {
    int64_t came, waiting, moot;
};

struct dispatch {
    struct lane mailbox[LANES_MAX], relay[LANES_MAX];
    struct map destinations; /* of relay, by name */
    struct list ready;       /* those with waiting recipients */
    struct map deliveries;   /* by id */
    struct list asks;        /* deliveries that wait for a piece of their body */
    size_t under_way;
    size_t held[STANDINGS];  /* recipients that wait and deliveries under way, by what their destination is known for */
    struct result_counts results[DELIVERY_FAILED + 1];
    size_t telling;     /* lanes: until it is 0, or it takes too long, nothing goes to any relay */
    int64_t told_until; /* monotonic */
    bool begun;         /* those of relay that come up from now on have nothing to tell */
};

void dispatch_init(struct dispatch *d);
void dispatch_local(struct queue *q, struct rcpt *r);
void dispatch_remote(struct queue *q, struct rcpt *r, const struct msg_resolve_reply *m);
/* Takes a waiting recipient off its list; harmless for others. */
void dispatch_remove(struct queue *q, struct rcpt *r);
/* Starts what may start. */
void dispatch_turn(struct queue *q);
/* Once a minute: gives up deliveries of which nothing was heard for hours, and forgets destinations
 * nobody has used for a while. */
void dispatch_sweep(struct queue *q);
void dispatch_peer_gone(struct queue *q, struct channel *c);

/* Counts a result; wanted: an outcome is made of it. */
void dispatch_count(struct queue *q, struct channel *from, uint64_t status, bool wanted);
void dispatch_on_body_ask(struct role *role, struct channel *from, const struct msg_body_ask *m);
void dispatch_on_rcpt_done(struct role *role, struct channel *from, const struct msg_rcpt_done *m);
void dispatch_on_deliver_done(struct role *role, struct channel *from, const struct msg_deliver_done *m);
void dispatch_on_told(struct role *role, struct channel *from, const struct msg_rcpt_told *m);
void dispatch_on_told_all(struct role *role, struct channel *from, const struct msg_told_all *m);
/* Before the first turn: this relay is there, and may know what the process before us had it send. */
void dispatch_relay_up(struct queue *q, const struct channel *c);
void dispatch_relay_gone(struct queue *q, const struct channel *c);
/* What is offered now might have been sent already. */
bool dispatch_is_being_told(const struct queue *q);
void dispatch_on_window(struct role *role, struct channel *from, const struct msg_window *m);
