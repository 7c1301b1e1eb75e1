/* Destinations and their waiting lists; used by dispatch.c only. */
#pragma once
#include "dispatch.h"

/* How relay gets there; recipients with the same one may share a delivery. */
struct route {
    struct link link;
    uint64_t kind, tls, credential;
    struct str hosts, pool; /* owned */
    struct str domain;      /* owned; of the recipient (for routes by MX) or of the first one */
};

struct destination {
    struct map_node by_name;
    struct link ready;
    struct lane *lane;
    struct str name; /* owned; empty for mailboxes */
    struct list waiting[CLASS_COUNT];
    size_t waiting_n, waiting_bulk; /* in both lists; in that of bulk */
    struct list routes;
    uint64_t window;
    enum standing standing;
    size_t under_way, bulk; /* deliveries */
    int64_t interval;       /* microseconds a recipient, moving average; 0: not known yet */
    int64_t busy;           /* since it was last reckoned: microseconds with work, */
    size_t ended;           /* and recipients */
    int64_t last_end, last_used; /* monotonic */
    int64_t hung;           /* monotonic: when something ended after nothing had for long */
    int64_t steady, steady_since; /* the pace has been about this since (monotonic) */
    int64_t moved;          /* monotonic: when it last ended a delivery, or got work after none */
    int64_t park_at, park_pace; /* wall time of the last place given to a recipient sent back, at this pace */
};

struct destination *destination_local(struct dispatch *d, unsigned copy);
struct destination *destination_remote(struct dispatch *d, unsigned copies, struct str name);
struct route *destination_route(struct destination *d, const struct msg_resolve_reply *m, struct str domain);
struct destination *destination_find(struct dispatch *d, struct str name);
/* The class that may start a delivery now, or CLASS_COUNT. lane_limit: deliveries of the lane in all. */
enum mail_class destination_may_start(const struct destination *d, size_t lane_limit);
/* A recipient got its final word there (good), or was deferred. */
void destination_judge(struct destination *d, bool good);
void destination_set_window(struct destination *d, uint64_t window);
/* A delivery begins (1) or has ended (-1). */
void destination_count(struct destination *d, enum mail_class class, int n);
/* A recipient begins (1) or no longer has (-1) to wait. */
void destination_wait(struct destination *d, enum mail_class class, int n);
/* One more recipient of this class may wait, or more than may do; active: those that fit into memory in all. Bulk has a part of its own. */
bool destination_has_room(const struct destination *d, enum mail_class class, size_t active);
bool destination_has_too_many(const struct destination *d, enum mail_class class, size_t active);
/* How many places of these bulk may fill: three quarters. */
uint64_t bulk_share(uint64_t places);
/* A delivery of n recipients ended (and is no longer counted): keeps the pace. */
void destination_ended(struct destination *d, size_t n, int64_t now);
/* When a recipient for which there is no room should come back; all: recipients that wait in the whole queue. About when
 * those that wait here are through, so that it never stands still, and the later the longer nothing has come of it: each time
 * costs a write. The pace is a guess unless it has been the same for a while, so it is never longer than half a millisecond for
 * each of `all`. Those of all destinations of a lane of which nothing comes stand in one line, half a millisecond apart, so that
 * many such do not cost more than one. */
int64_t destination_park(struct destination *d, int64_t now, size_t all);
void destination_free_idle(struct dispatch *d, int64_t unused_since);
