/* The sweep that makes "never stuck" true whatever else is broken: once a minute it walks the index of
 * waiting recipients in the database, a slice a turn, without looking at what the scheduler believes, and
 * ends every one whose lifetime is over. It also measures how late the most overdue one is.
 *
 * A recipient may be under way when its lifetime ends; its result gets 15 minutes to come in first. Held
 * recipients are not expired: the administrator stopped their clock (see docs/queue.md). */
#pragma once
#include "store.h"

struct queue;

struct expire {
    int64_t next;          /* monotonic: of the next sweep */
    bool walking;
    enum mail_class class; /* being walked */
    struct due_place at;
    int64_t oldest;        /* due time of the most overdue recipient seen in this sweep */
};

void expire_init(struct expire *e);
void expire_turn(struct queue *q);
int64_t expire_wake_in(const struct queue *q);
