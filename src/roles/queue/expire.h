/* The sweep that makes "never stuck" true whatever else is broken: once a minute it walks the index of
 * waiting recipients in the database, a slice a turn, without looking at what the scheduler believes, and
 * ends every one whose lifetime is over. As often, and also while nothing can be stored and so nothing can
 * end, it measures how late the most overdue one is and how long the oldest hold lasts. Overdue is a recipient
 * that the sweep could not end, or that survived it.
 *
 * A recipient may be under way when its lifetime ends; its result gets 15 minutes to come in first. A hold
 * stops the clock of the lifetime (see docs/queue.md) and has one of its own, queue.hold_lifetime, at the
 * end of which the sweep returns the message; a hold older than a lifetime is warned of once a day. */
#pragma once
#include "store.h"

struct queue;

struct expire {
    int64_t next;          /* monotonic: of the next sweep */
    bool walking;
    size_t stage; /* being walked: which state and class */
    struct due_place at;
    int64_t began, before; /* wall time: of this sweep, of the one before */
    int64_t first_over;    /* the first time at which something should have ended, as far as this sweep has seen */
    int64_t overdue_since; /* the same of the last one that was completed; INT64_MAX for none */
    int64_t measure_at;    /* monotonic */
    int64_t warn_at;       /* monotonic: not again about old holds before */
};

/* Seconds since the most overdue recipient should have ended, since the first one was due, and since the
 * oldest hold; 0 for none. */
struct ages {
    int64_t overdue, due, hold;
    struct due_place held; /* the oldest hold; all zero for none */
};

void expire_init(struct expire *e);
void expire_turn(struct queue *q);
MUST_CHECK bool expire_ages(struct queue *q, struct ages *ages, struct err *err);
int64_t expire_wake_in(const struct queue *q);
