/* All clients of a role that listens: so many at most. When all places are taken the doors are shut
 * and new clients wait in the kernel; but a crowd of silent or dripping clients must not keep everybody
 * else out for hours. So, once a second while it is full, some of those that brought nothing for a
 * while are sent away: the slowest kind of client pays, one that works at any sane pace never does. */
#pragma once
#include "base/list.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdint.h>

struct crowd_member {
    struct link link;
    int64_t useful;    /* monotonic: when it came, or brought something of use last */
    uint64_t received; /* octets since; counted by the owner */
};

struct crowd_rules {
    void (*open_doors)(void *owner, bool open);
    /* May it be sent away at all? Not who has a name here, nor whom we make wait. */
    bool (*may_go)(struct crowd_member *m);
    void (*send_away)(struct crowd_member *m); /* it leaves */
    void (*made_room)(void *owner, uint64_t n); /* for the record */
};

struct crowd {
    const struct crowd_rules *rules;
    void *owner;
    struct list members; /* by link, the oldest first */
    uint64_t count, most;
    bool full, ended;
    int64_t made_room; /* monotonic */
    struct event timer;
};

void crowd_init(struct crowd *crowd, struct event_base *base, const struct crowd_rules *rules, void *owner);
/* Takes this many from now on. */
void crowd_limit(struct crowd *crowd, uint64_t most);
void crowd_join(struct crowd *crowd, struct crowd_member *m);
void crowd_leave(struct crowd *crowd, struct crowd_member *m);
/* Good news of it: what came before does not count any more. */
void crowd_useful(struct crowd_member *m);
/* The doors are gone: no more is done about them, or to make room. */
void crowd_end(struct crowd *crowd);
