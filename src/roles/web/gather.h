/* Asks every process for its metrics and waits a bounded time. Questions that come meanwhile share
 * the round that is under way. */
#pragma once
#include "web.h"

struct gathered {
    enum role_id role;
    unsigned copy;
    bool asked, up;  /* it was there; it answered in time */
    struct str text; /* Prometheus text, while `up` */
};

/* Embedded in whoever waits. */
struct gather_wait {
    struct link link;
    void (*done)(struct gather_wait *wait, const struct gathered *all, size_t n);
};

struct gather *gather_new(struct web *web);
void gather_ask(struct gather *g, struct gather_wait *wait);
/* Harmless for one that does not wait. */
void gather_cancel(struct gather_wait *wait);

void gather_on_reply(struct role *role, struct channel *from, const struct msg_stats_reply *m);
void gather_peer_gone(struct gather *g, struct channel *peer);
