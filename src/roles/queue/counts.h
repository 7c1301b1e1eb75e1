/* How many recipients there are, by class, held and tried before, and for which domains: kept up to date
 * in memory so that a summary costs nothing. After a start a background count walks the table once, a
 * slice a turn; a change to a message the walk has not reached is left to the walk. */
#pragma once
#include "base/map.h"
#include "store.h"

struct queue;

struct tally {
    int64_t waiting[CLASS_COUNT]; /* those deferred included */
    int64_t deferred, held;
};

struct domain_count {
    struct map_node by_name;
    struct str name; /* behind the struct; as first seen */
    struct tally tally;
};

struct counts {
    struct tally all;
    int64_t messages;
    struct map domains; /* up to DOMAINS_MAX; what else there is, is in `others` */
    struct tally others;
    bool complete;
    uint64_t at_message, at_n, last; /* the walk; `last` is the highest message it has to see */
    uint64_t seen;                   /* the message last counted */
    int64_t retry_at;                /* monotonic; after a failure */
};

MUST_CHECK bool counts_start(struct queue *q, struct err *err);
/* One slice of the walk. */
void counts_turn(struct queue *q);
int64_t counts_wake_in(const struct queue *q);
/* After a commit: +1 for a row that came, -1 for one that went. */
void counts_rcpt(struct queue *q, const struct rcpt_row *r, enum rcpt_state state, bool tried, int64_t by);
/* The same for messages. */
void counts_message(struct queue *q, uint64_t message, int64_t by);
/* Up to `most` domains with the most recipients, most first; returns how many. */
size_t counts_top(const struct counts *c, const struct domain_count **top, size_t most);
/* Recipients that wait or are being delivered. */
size_t counts_waiting(const struct counts *c);
int64_t tally_sum(const struct tally *t);
