/* The independent sweep. */
#include "expire.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue.h"
#include "result.h"

#include <inttypes.h>

enum { SLICE = 1000, EXPIRE_AT_ONCE = 50 };

static struct metric oldest_overdue =
    METRIC_GAUGE("staffetta_queue_oldest_overdue_seconds", "How long ago a recipient should have been ended that still is there.");
static struct metric oldest_due =
    METRIC_GAUGE("staffetta_queue_oldest_due_seconds", "How long the recipient that is due first has been due, also while it is tried.");
static struct metric oldest_hold =
    METRIC_GAUGE("staffetta_queue_oldest_hold_seconds", "How long the oldest hold has lasted.");
static struct metric sweeps = METRIC_COUNTER("staffetta_queue_sweeps_total", "Completed sweeps for overdue recipients.");
static struct metric swept =
    METRIC_COUNTER("staffetta_queue_swept_total", "Recipients the sweep ended because nothing else had.");

/* A quarter of the lifetime, which matters where that is set to very little; else at most this. */
static int64_t share_of_lifetime(const struct queue *q, int64_t most)
{
    int64_t quarter = role_config(q->role)->queue.lifetime / 4;

    return quarter < SECOND ? SECOND : quarter < most ? quarter : most;
}

static int64_t period(const struct queue *q)
{
    return share_of_lifetime(q, MINUTE);
}

static int64_t grace(const struct queue *q)
{
    return share_of_lifetime(q, 15 * MINUTE);
}

void expire_init(struct expire *e)
{
    e->next = clock_monotonic() + 5 * SECOND;
    e->measure_at = e->next;
    e->overdue_since = INT64_MAX;
    metric_show(&oldest_overdue);
    metric_show(&oldest_due);
    metric_show(&oldest_hold);
    metric_show(&sweeps);
    metric_show(&swept);
}

static int64_t hold_lifetime(const struct queue *q)
{
    return role_config(q->role)->queue.hold_lifetime;
}

static int64_t seconds_since(int64_t then, int64_t now)
{
    return then < now ? (now - then) / SECOND : 0;
}

bool expire_ages(struct queue *q, struct ages *ages, struct err *err)
{
    int64_t first, due = INT64_MAX, hold = INT64_MAX, now = clock_steady();
    struct due_place place;
    bool found;

    *ages = (struct ages){0};
    for (enum mail_class class = CLASS_TRANSACTIONAL; class < CLASS_COUNT; class++) {
        if (!store_next_due(q->store, class, 0, &first, err) ||
            !store_oldest_hold(q->store, class, &place, &found, err))
            return false;
        due = first < due ? first : due;
        if (!found || place.due >= hold)
            continue;
        hold = place.due;
        ages->held = place;
    }
    ages->overdue = seconds_since(q->expire.overdue_since, now);
    ages->due = seconds_since(due, now);
    ages->hold = seconds_since(hold, now);
    return true;
}

static void warn_of_hold(struct queue *q, const struct ages *ages)
{
    char id[MSGID_TEXT + 1];

    msgid_format(ages->held.message, id);
    log_warning("held-long", "message=%s n=%" PRIu64 " seconds=%" PRId64 " held=%" PRId64
        " reason=held longer than queue.lifetime; release or delete it, after queue.hold_lifetime it is returned", id, ages->held.n, ages->hold,
        q->counts.all.held);
    q->expire.warn_at = clock_monotonic() + DAY;
}

static void measure(struct queue *q)
{
    struct err err = {0};
    struct ages ages;

    q->expire.measure_at = clock_monotonic() + period(q);
    if (!expire_ages(q, &ages, &err)) {
        log_error("measure-failed", "reason=%s", err.text);
        return;
    }
    metric_set(&oldest_overdue, ages.overdue);
    metric_set(&oldest_due, ages.due);
    metric_set(&oldest_hold, ages.hold);
    if (ages.hold > role_config(q->role)->queue.lifetime / SECOND && clock_monotonic() >= q->expire.warn_at)
        warn_of_hold(q, &ages);
}

/* Ends one recipient by what the database says of it alone. */
static bool expire_rcpt(struct queue *q, const struct due_place *place, struct err *err)
{
    struct rcpt_row row;
    struct mail *mail;
    bool found;

    if (!store_find_rcpt(q->store, place->message, place->n, &row, &found, err))
        return false;
    if (!found || !mail_get(q, row.message, &mail, err))
        return !found;
    if (mail == NULL)
        return true;
    log_warning(row.state == RCPT_HELD ? "hold-ended" : "overdue", "message=%" PRIu64 " n=%" PRIu64 " to=%.*s reason=%s",
        row.message, row.n, STR_ARG(row.address),
        row.state == RCPT_HELD ? "held for queue.hold_lifetime" : "its lifetime ended and nothing ended it");
    metric_add(&swept, row.state != RCPT_HELD);
    schedule_forget(q, row.message, row.n);
    result_expired(q, rcpt_new(mail, &row));
    mail_unref(q, mail);
    return true;
}

static const struct sweep_stage {
    enum rcpt_state state;
    enum mail_class class;
} stages[] = {{RCPT_WAITING, CLASS_TRANSACTIONAL}, {RCPT_WAITING, CLASS_BULK}, {RCPT_HELD, CLASS_TRANSACTIONAL},
    {RCPT_HELD, CLASS_BULK}};

static void end_stage(struct queue *q)
{
    struct expire *e = &q->expire;

    e->at = (struct due_place){0};
    if (++e->stage < sizeof stages / sizeof stages[0])
        return;
    e->walking = false;
    e->overdue_since = e->first_over;
    metric_set(&oldest_overdue, seconds_since(e->overdue_since, clock_steady()));
    if (batch_failing(q))
        return;
    metric_add(&sweeps, 1);
    resolve_sweep(q);
    dispatch_sweep(q);
    schedule_rescan(q);
}

static void begin_sweep(struct queue *q)
{
    struct expire *e = &q->expire;

    e->next = clock_monotonic() + period(q);
    e->walking = true;
    e->before = e->began;
    e->began = clock_steady();
    e->first_over = INT64_MAX;
    e->stage = 0;
    e->at = (struct due_place){0};
}

/* When the sweep has to end it. */
static int64_t end_of(const struct queue *q, enum rcpt_state state, const struct due_place *place)
{
    return state == RCPT_HELD ? place->due + hold_lifetime(q) : place->expires + grace(q);
}

/* Overdue is what cannot be ended now, and what the sweep before this one should have ended. */
static void note_over(struct queue *q, int64_t end)
{
    struct expire *e = &q->expire;

    if ((batch_failing(q) || end <= e->before) && end < e->first_over)
        e->first_over = end;
}

/* One slice of the stage; false when the database failed. *more: there is another one. */
static bool sweep_slice(struct queue *q, bool *more, struct err *err)
{
    struct due_place ended[EXPIRE_AT_ONCE], place;
    struct expire *e = &q->expire;
    const struct sweep_stage *s = &stages[e->stage];
    int64_t now = clock_steady();
    size_t rows = 0, n = 0;
    bool good;

    store_sweep_begin(q->store, s->state, s->class, &e->at, s->state == RCPT_HELD ? now - hold_lifetime(q) : now, SLICE);
    while (n < EXPIRE_AT_ONCE && store_sweep_next(q->store, &place)) {
        rows++;
        e->at = place;
        if (end_of(q, s->state, &place) > now)
            continue;
        note_over(q, end_of(q, s->state, &place));
        if (!batch_failing(q))
            ended[n++] = place;
    }
    good = store_sweep_end(q->store, err);
    for (size_t i = 0; good && i < n; i++)
        good = expire_rcpt(q, &ended[i], err);
    *more = rows == SLICE || n == EXPIRE_AT_ONCE;
    return good;
}

void expire_turn(struct queue *q)
{
    struct expire *e = &q->expire;
    struct err err = {0};
    bool good, more;

    if (clock_monotonic() >= e->measure_at)
        measure(q);
    if (!e->walking && clock_monotonic() >= e->next)
        begin_sweep(q);
    if (!e->walking)
        return;
    good = sweep_slice(q, &more, &err);
    if (!good)
        log_error("sweep-failed", "reason=%s", err.text);
    if (!good || !more)
        end_stage(q);
}

int64_t expire_wake_in(const struct queue *q)
{
    int64_t wait = q->expire.next - clock_monotonic();

    if (q->expire.walking)
        return 0;
    return wait > 0 ? wait : 0;
}
