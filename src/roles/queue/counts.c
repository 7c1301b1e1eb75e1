/* Counters of the summary. */
#include "counts.h"

#include "base/log.h"
#include "base/metric.h"
#include "queue.h"

enum { SLICE = 2000 };

static struct metric transactional =
    {.name = "staffetta_queue_recipients", .labels = "class=\"transactional\"", .kind = METRIC_IS_GAUGE,
        .help = "Recipients waiting or being delivered."};
static struct metric bulk = {.name = "staffetta_queue_recipients", .labels = "class=\"bulk\"",
    .kind = METRIC_IS_GAUGE, .help = "Recipients waiting or being delivered."};
static struct metric held = METRIC_GAUGE("staffetta_queue_held", "Recipients held by the administrator.");
static struct metric deferred = METRIC_GAUGE("staffetta_queue_deferred", "Recipients that wait for another attempt.");
static struct metric messages = METRIC_GAUGE("staffetta_queue_messages", "Messages in the queue.");

static void show(const struct counts *c)
{
    metric_set(&transactional, c->waiting[CLASS_TRANSACTIONAL]);
    metric_set(&bulk, c->waiting[CLASS_BULK]);
    metric_set(&held, c->held);
    metric_set(&deferred, c->deferred);
    metric_set(&messages, c->messages);
}

bool counts_start(struct queue *q, struct err *err)
{
    show(&q->counts);
    if (!store_last_message(q->store, &q->counts.last, err))
        return false;
    q->counts.complete = q->counts.last == 0;
    return true;
}

static void add(struct counts *c, enum rcpt_state state, uint64_t class, bool tried, int64_t by)
{
    if (state == RCPT_HELD)
        c->held += by;
    else
        c->waiting[class == CLASS_BULK ? CLASS_BULK : CLASS_TRANSACTIONAL] += by;
    if (state != RCPT_HELD && tried)
        c->deferred += by;
}

/* A row the walk has still to see is counted by the walk. */
static bool ahead(const struct counts *c, uint64_t message, uint64_t n)
{
    if (c->complete || message > c->last || message < c->at_message)
        return false;
    return message > c->at_message || n > c->at_n;
}

void counts_rcpt(struct queue *q, uint64_t message, uint64_t n, enum rcpt_state state, uint64_t class, bool tried,
    int64_t by)
{
    if (ahead(&q->counts, message, n))
        return;
    add(&q->counts, state, class, tried, by);
    show(&q->counts);
}

void counts_message(struct queue *q, uint64_t message, int64_t by)
{
    struct counts *c = &q->counts;

    if (!c->complete && message <= c->last && message > c->seen)
        return;
    c->messages += by;
    show(c);
}

void counts_turn(struct queue *q)
{
    struct counts *c = &q->counts;
    struct rcpt_row row;
    struct err err = {0};
    unsigned rows = 0;

    if (c->complete)
        return;
    store_scan_begin(q->store, c->at_message, c->at_n, SLICE);
    while (store_scan_next(q->store, &row) && row.message <= c->last) {
        rows++;
        c->at_message = row.message;
        c->at_n = row.n;
        if (row.message != c->seen)
            c->messages++;
        c->seen = row.message;
        add(c, row.state, row.class, row.attempts > 0, 1);
    }
    if (!store_scan_end(q->store, &err)) {
        log_error("count-failed", "reason=%s", err.text);
        return;
    }
    c->complete = rows < SLICE;
    show(c);
}
