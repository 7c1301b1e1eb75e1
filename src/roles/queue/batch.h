/* Group commit. Everything that changes the database during a turn of the loop is an operation in this
 * list; at the end of the turn all of them run in one transaction, and only after its commit their
 * done() tells the world.
 *
 * An operation holds in memory all it needs, so that it can run again after a rollback. When the
 * database fails (disk full ...), those that may be refused (new mail) are, with failed(); the others
 * (results of deliveries) stay in the list and run again every second until they succeed. Nothing is forgotten. */
#pragma once
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"

struct queue;
struct op;
struct mail;
struct rcpt;

struct op_type {
    /* Only SQL and what done() needs; may be called several times. */
    bool (*run)(struct queue *q, struct op *op, struct err *err);
    /* After the commit. Owns op. */
    void (*done)(struct queue *q, struct op *op);
    /* The commit failed and will not be tried again: tells the other side. Owns op. */
    void (*failed)(struct queue *q, struct op *op, const struct err *err);
    /* Not refused for a passing failure (disk full), only when it alone fails for good. */
    bool keep;
};

struct op {
    struct link link;
    const struct op_type *type;
};

struct batch {
    struct list ops;
    struct list reports; /* of the run under way, see bounce.h */
    uint64_t *touched;   /* messages that may have lost their last recipient */
    bool *removed;
    size_t touched_n, touched_size;
    size_t count, bytes; /* of the operations */
    int64_t commit_at;   /* monotonic: when the first of them must be committed */
    int64_t retry_at;    /* monotonic; 0 while the database works */
};

void batch_init(struct batch *b);
/* How long an operation may wait for company. A commit waits for the disk, and everything else waits for
 * the commit: one that nobody waits for should not cause it alone. */
enum batch_wait {
    BATCH_NOW,    /* a client waits for the answer */
    BATCH_PROMPT, /* results from relay: 1 ms or 100 of them. Until the commit the death of both repeats the message */
    BATCH_SOON,   /* other results, which a repetition does not harm: 5 ms or 100 of them */
    BATCH_LAZY,   /* pieces of large messages: 200 ms or 512 KB */
};
/* bytes: what it holds meanwhile. */
void batch_add(struct queue *q, struct op *op, enum batch_wait wait, size_t bytes);
/* Called by run(): look after the run whether this message has recipients left. */
void batch_touch(struct queue *q, uint64_t message);
/* Runs and commits what is there. */
void batch_turn(struct queue *q);
/* The database is failing now: nothing new should be taken. */
bool batch_failing(const struct queue *q);
/* Microseconds until batch_turn has something to do; INT64_MAX for nothing. */
int64_t batch_wake_in(const struct queue *q);
