/* The one place that begins and commits. See batch.h for the promises. */
#include "batch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "bounce.h"
#include "queue.h"

#include <stdlib.h>

enum {
    FULL_BYTES = 512 * 1024,
    FULL_COUNT = 100,
    PROMPT = 1000, /* microseconds */
    SOON = 5 * 1000,
    LAZY = 200 * 1000,
    TOUCHED_KEPT = 4096,
};

static struct metric commits = METRIC_COUNTER("staffetta_queue_commits_total", "Commits.");
static struct metric operations =
    METRIC_COUNTER("staffetta_queue_operations_total", "Messages, results and changes that shared those commits.");
static struct metric failures = METRIC_COUNTER("staffetta_queue_commit_failures_total", "Commits that failed.");
static struct metric commit_time = METRIC_HISTOGRAM("staffetta_queue_commit_seconds", "Time of a commit.");

void batch_init(struct batch *b)
{
    list_init(&b->ops);
    list_init(&b->reports);
    metric_show(&commits);
    metric_show(&operations);
    metric_show(&failures);
    metric_show(&commit_time);
}

void batch_add(struct queue *q, struct op *op, enum batch_wait wait, size_t bytes)
{
    static const int64_t waits[] = {[BATCH_NOW] = 0, [BATCH_PROMPT] = PROMPT, [BATCH_SOON] = SOON, [BATCH_LAZY] = LAZY};
    struct batch *b = &q->batch;
    int64_t at = clock_monotonic() + waits[wait];

    if (list_empty(&b->ops) || at < b->commit_at)
        b->commit_at = at;
    list_add_last(&b->ops, &op->link);
    b->count++;
    b->bytes += bytes;
}

void batch_touch(struct queue *q, uint64_t message)
{
    struct batch *b = &q->batch;

    if (b->touched_n > 0 && b->touched[b->touched_n - 1] == message)
        return;
    if (b->touched_n == b->touched_size) {
        b->touched_size = b->touched_size ? b->touched_size * 2 : 64;
        b->touched = xrealloc(b->touched, b->touched_size * sizeof *b->touched);
        b->removed = xrealloc(b->removed, b->touched_size * sizeof *b->removed);
    }
    b->touched[b->touched_n++] = message;
}

static void forget_touched(struct batch *b)
{
    b->touched_n = 0;
    if (b->touched_size <= TOUCHED_KEPT)
        return;
    free(b->touched);
    free(b->removed);
    b->touched = NULL;
    b->removed = NULL;
    b->touched_size = 0;
}

static bool run_all(struct queue *q, struct err *err)
{
    struct batch *b = &q->batch;

    LIST_EACH(&b->ops, it) {
        struct op *op = CONTAINER(it, struct op, link);

        if (!op->type->run(q, op, err))
            return false;
    }
    if (!bounce_store(q, err))
        return false;
    for (size_t i = 0; i < b->touched_n; i++)
        if (!store_remove_if_done(q->store, b->touched[i], &b->removed[i], err))
            return false;
        else
            ledger_note(q, LEDGER_ENDED, b->removed[i]);
    return ledger_store(q, err);
}

static bool try_commit(struct queue *q, struct err *err)
{
    struct batch *b = &q->batch;
    int64_t start = clock_monotonic();

    forget_touched(b);
    bounce_forget(q);
    ledger_begin(q);
    if (!db_begin(store_db(q->store), err))
        return false;
    if (!run_all(q, err) || !db_commit(store_db(q->store), err)) {
        db_rollback(store_db(q->store));
        forget_touched(b); /* nothing was removed */
        metric_add(&failures, 1);
        return false;
    }
    ledger_committed(q);
    metric_add(&commits, 1);
    metric_observe(&commit_time, clock_monotonic() - start);
    return true;
}

/* done() may add operations of its own: those wait for the next turn. */
static void finish_all(struct queue *q)
{
    struct batch *b = &q->batch;
    struct list ended;
    struct link *first;
    int64_t n = 0;

    list_init(&ended);
    while ((first = list_first(&b->ops)) != NULL) {
        list_remove(first);
        list_add_last(&ended, first);
    }
    b->count = b->bytes = 0;
    while ((first = list_first(&ended)) != NULL) {
        struct op *op = CONTAINER(first, struct op, link);

        list_remove(first);
        op->type->done(q, op);
        n++;
    }
    metric_add(&operations, n);
    bounce_done(q);
    for (size_t i = 0; i < b->touched_n; i++)
        if (b->removed[i])
            queue_message_ended(q, b->touched[i]);
    forget_touched(b);
}

/* Refuses what may be refused; true when something else is left. */
static bool refuse_all(struct queue *q, const struct err *err)
{
    struct batch *b = &q->batch;

    LIST_EACH(&b->ops, it) {
        struct op *op = CONTAINER(it, struct op, link);

        if (op->type->keep)
            continue;
        list_remove(it);
        op->type->failed(q, op, err);
    }
    return !list_empty(&b->ops);
}

static bool never_taken(const struct err *err)
{
    return err->kind == ERR_PERMANENT || err->kind == ERR_DAMAGED;
}

/* Each in a transaction of its own, so that the one the database will never take does not hold up the others for
 * ever. */
static void run_singly(struct queue *q)
{
    struct batch *b = &q->batch;
    struct list rest;
    struct link *first;

    list_init(&rest);
    while ((first = list_first(&b->ops)) != NULL) {
        list_remove(first);
        list_add_last(&rest, first);
    }
    while ((first = list_first(&rest)) != NULL) {
        struct op *op = CONTAINER(first, struct op, link);
        struct err err = {0};

        list_remove(first);
        list_add_last(&b->ops, first);
        if (try_commit(q, &err)) {
            finish_all(q);
        } else if (never_taken(&err)) {
            log_error("operation-dropped", "reason=%s", err.text);
            list_remove(first);
            op->type->failed(q, op, &err);
        } else {
            break;
        }
    }
    while ((first = list_first(&rest)) != NULL) {
        list_remove(first);
        list_add_last(&b->ops, first);
    }
}

static void committed(struct queue *q)
{
    if (q->batch.retry_at)
        log_info("database-recovered", "commits=again");
    q->batch.retry_at = 0;
    finish_all(q);
}

void batch_turn(struct queue *q)
{
    struct batch *b = &q->batch;
    struct err err = {0};

    if (batch_wake_in(q) > 0)
        return;
    if (try_commit(q, &err)) {
        committed(q);
        return;
    }
    log_error("commit-failed", "reason=%s", err.text);
    if (!refuse_all(q, &err)) {
        forget_touched(b);
        bounce_forget(q);
        b->count = b->bytes = 0;
        b->retry_at = 0;
        return;
    }
    /* Results alone are small and may fit where new mail did not. */
    if (try_commit(q, &err)) {
        committed(q);
        return;
    }
    if (never_taken(&err))
        run_singly(q);
    bounce_forget(q);
    b->retry_at = list_empty(&b->ops) ? 0 : clock_monotonic() + SECOND;
}

bool batch_failing(const struct queue *q)
{
    return q->batch.retry_at != 0;
}

int64_t batch_wake_in(const struct queue *q)
{
    const struct batch *b = &q->batch;
    int64_t wait;

    if (list_empty(&b->ops))
        return INT64_MAX;
    if (b->retry_at) {
        wait = b->retry_at - clock_monotonic();
        return wait > 0 ? wait : 0;
    }
    if (b->bytes >= FULL_BYTES || b->count >= FULL_COUNT)
        return 0;
    wait = b->commit_at - clock_monotonic();
    return wait > 0 ? wait : 0;
}
