/* Counters of the summary. */
#include "counts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue.h"
#include "smtp/address.h"

#include <stdlib.h>
#include <string.h>

enum { SLICE = 1000, DOMAINS_MAX = 20000 };

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
    metric_set(&transactional, c->all.waiting[CLASS_TRANSACTIONAL]);
    metric_set(&bulk, c->all.waiting[CLASS_BULK]);
    metric_set(&held, c->all.held);
    metric_set(&deferred, c->all.deferred);
    metric_set(&messages, c->messages);
}

bool counts_start(struct queue *q, struct err *err)
{
    map_init(&q->counts.domains);
    show(&q->counts);
    if (!store_last_message(q->store, &q->counts.last, err))
        return false;
    q->counts.complete = q->counts.last == 0;
    return true;
}

static void tally_add(struct tally *t, const struct rcpt_row *r, enum rcpt_state state, bool tried, int64_t by)
{
    if (state == RCPT_HELD)
        t->held += by;
    else
        t->waiting[r->class == CLASS_BULK ? CLASS_BULK : CLASS_TRANSACTIONAL] += by;
    if (state != RCPT_HELD && tried)
        t->deferred += by;
}

int64_t tally_sum(const struct tally *t)
{
    return t->waiting[CLASS_TRANSACTIONAL] + t->waiting[CLASS_BULK] + t->held;
}

size_t counts_waiting(const struct counts *c)
{
    int64_t n = c->all.waiting[CLASS_TRANSACTIONAL] + c->all.waiting[CLASS_BULK];

    return n > 0 ? (size_t)n : 0;
}

static struct domain_count *find(const struct counts *c, struct str name)
{
    for (struct map_node *n = map_find(&c->domains, map_hash_istr(name)); n; n = map_find_next(n)) {
        struct domain_count *d = CONTAINER(n, struct domain_count, by_name);

        if (str_ieq(d->name, name))
            return d;
    }
    return NULL;
}

static struct domain_count *find_or_add(struct counts *c, struct str name)
{
    struct domain_count *d = find(c, name);
    char *copy;

    if (d != NULL || c->domains.count >= DOMAINS_MAX)
        return d;
    d = xcalloc(1, sizeof *d + name.n);
    copy = (char *)(d + 1);
    if (name.n)
        memcpy(copy, name.p, name.n);
    d->name = str_from(copy, name.n);
    map_add(&c->domains, &d->by_name, map_hash_istr(name));
    return d;
}

static void add(struct counts *c, const struct rcpt_row *r, enum rcpt_state state, bool tried, int64_t by)
{
    struct str local, domain;
    struct domain_count *d;

    tally_add(&c->all, r, state, tried, by);
    address_split(r->address, &local, &domain);
    d = by > 0 ? find_or_add(c, domain) : find(c, domain);
    tally_add(d == NULL ? &c->others : &d->tally, r, state, tried, by);
    if (d == NULL || by > 0 || tally_sum(&d->tally) > 0)
        return;
    map_remove(&c->domains, &d->by_name);
    free(d);
}

/* A row the walk has still to see is counted by the walk. */
static bool ahead(const struct counts *c, uint64_t message, uint64_t n)
{
    if (c->complete || message > c->last || message < c->at_message)
        return false;
    return message > c->at_message || n > c->at_n;
}

void counts_rcpt(struct queue *q, const struct rcpt_row *r, enum rcpt_state state, bool tried, int64_t by)
{
    audit_rcpt(q, r->message, r->n, by);
    if (ahead(&q->counts, r->message, r->n))
        return;
    add(&q->counts, r, state, tried, by);
    show(&q->counts);
}

void counts_message(struct queue *q, uint64_t message, int64_t by)
{
    struct counts *c = &q->counts;

    audit_message(q, message, by);
    if (!c->complete && message <= c->last && message > c->seen)
        return;
    c->messages += by;
    show(c);
}

int64_t counts_wake_in(const struct queue *q)
{
    int64_t wait = q->counts.retry_at - clock_monotonic();

    return q->counts.complete ? INT64_MAX : wait > 0 ? wait : 0;
}

void counts_turn(struct queue *q)
{
    struct counts *c = &q->counts;
    struct rcpt_row row;
    struct err err = {0};
    unsigned rows = 0;

    if (counts_wake_in(q) > 0)
        return;
    store_scan_begin(q->store, c->at_message, c->at_n, SLICE);
    while (store_scan_next(q->store, &row) && row.message <= c->last) {
        rows++;
        c->at_message = row.message;
        c->at_n = row.n;
        if (row.message != c->seen)
            c->messages++;
        c->seen = row.message;
        add(c, &row, (enum rcpt_state)row.state, row.attempts > 0, 1);
    }
    if (!store_scan_end(q->store, &err)) {
        log_error("count-failed", "reason=%s", err.text);
        c->retry_at = clock_monotonic() + 5 * SECOND;
        return;
    }
    c->complete = rows < SLICE;
    show(c);
}

size_t counts_top(const struct counts *c, const struct domain_count **top, size_t most)
{
    size_t n = 0;

    for (struct map_node *it = map_walk(&c->domains, NULL); it; it = map_walk(&c->domains, it)) {
        const struct domain_count *d = CONTAINER(it, struct domain_count, by_name);
        int64_t sum = tally_sum(&d->tally);
        size_t at = n;

        if (n == most && tally_sum(&top[n - 1]->tally) >= sum)
            continue;
        while (at > 0 && tally_sum(&top[at - 1]->tally) < sum)
            at--;
        n += n < most;
        for (size_t i = n - 1; i > at; i--)
            top[i] = top[i - 1];
        top[at] = d;
    }
    return n;
}
