/* Which recipients are active, and when the others are due. */
#include "schedule.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue.h"
#include "result.h"

#include <inttypes.h>

enum { LOAD_AT_ONCE = 200 };
#define SHIFT_LEAST (10 * MINUTE)

static struct metric active = METRIC_GAUGE("staffetta_queue_active", "Recipients being worked on, in memory.");

void schedule_init(struct schedule *s)
{
    metric_show(&active);
    for (int class = 0; class < CLASS_COUNT; class++) {
        s->more[class] = true;
        s->next_due[class] = INT64_MAX;
    }
}

/* ---- rules ---- */

int64_t schedule_pause(const struct config *config, uint64_t attempts, unsigned jitter)
{
    const struct span_list *retry = &config->queue.retry;
    size_t i = attempts == 0 ? 0 : (size_t)(attempts - 1);
    int64_t pause = 5 * MINUTE;

    if (retry->n > 0)
        pause = retry->items[i < retry->n ? i : retry->n - 1];
    if (pause < SECOND / 10)
        pause = SECOND / 10;
    /* 0..999 becomes -20 % .. +20 % */
    return pause + pause / 5 * ((int64_t)jitter - 500) / 500;
}

int64_t schedule_expiry(const struct config *config, const struct message_row *m, int64_t start)
{
    int64_t expires = start + (m->sender.n ? config->queue.lifetime : config->queue.bounce_lifetime);

    if (m->deliver_by > 0 && (m->flags & TXN_BY_RETURN) && m->deliver_by + clock_steady_ahead() < expires)
        expires = m->deliver_by + clock_steady_ahead();
    return expires;
}

static int64_t start_of(const struct message_row *m)
{
    return m->hold_until > m->created ? m->hold_until : m->created;
}

int64_t schedule_planned(const struct config *config, const struct message_row *m, int64_t date)
{
    int64_t expires = start_of(m) + (m->sender.n ? config->queue.lifetime : config->queue.bounce_lifetime), shift;

    if (m->deliver_by > 0 && (m->flags & TXN_BY_RETURN) && m->deliver_by < expires)
        expires = m->deliver_by;
    shift = m->expires - expires;
    /* Less is the time the message took to come; more, the lifetime was another one then. */
    if (shift < -2 * HOUR || shift > 2 * HOUR || (shift > -SHIFT_LEAST && shift < SHIFT_LEAST))
        return date;
    return date + shift;
}

static int64_t delay_time(const struct config *config, const struct message_row *m)
{
    return config->queue.delay_notice > 0 ? schedule_planned(config, m, start_of(m)) + config->queue.delay_notice
                                          : INT64_MAX;
}

static int64_t by_time(const struct config *config, const struct message_row *m)
{
    return m->deliver_by > 0 && !(m->flags & TXN_BY_RETURN) ? schedule_planned(config, m, m->deliver_by) : INT64_MAX;
}

int64_t schedule_notice_time(const struct config *config, const struct message_row *m, uint64_t noticed)
{
    int64_t delay = noticed & NOTICED_DELAY ? INT64_MAX : delay_time(config, m);
    int64_t by = noticed & NOTICED_BY ? INT64_MAX : by_time(config, m);

    return delay < by ? delay : by;
}

uint64_t schedule_notices(const struct config *config, const struct message_row *m, uint64_t noticed, int64_t now)
{
    uint64_t due = (now >= delay_time(config, m) ? NOTICED_DELAY : 0u) |
                   (now >= by_time(config, m) ? NOTICED_BY : 0u);

    return due & ~noticed;
}

int64_t schedule_next(const struct config *config, const struct message_row *m, const struct rcpt_row *r,
    uint64_t attempts, int64_t now, int64_t retry_at, unsigned jitter)
{
    int64_t due = now + schedule_pause(config, attempts, jitter);
    int64_t notice = schedule_notice_time(config, m, r->noticed);

    if (retry_at > due)
        due = retry_at;
    else if (notice > now && notice < due)
        due = notice;
    return due < r->expires ? due : r->expires;
}

/* ---- places ---- */

static size_t room_for(const struct queue *q, uint64_t class)
{
    size_t limit = (size_t)role_config(q->role)->queue.active;
    size_t bulk = q->mails.active_count[CLASS_BULK];
    size_t all = bulk + q->mails.active_count[CLASS_TRANSACTIONAL];
    size_t bulk_limit = limit - limit / 4;

    if (all >= limit || (class == CLASS_BULK && bulk >= bulk_limit))
        return 0;
    if (class == CLASS_BULK && bulk_limit - bulk < limit - all)
        return bulk_limit - bulk;
    return limit - all;
}

bool schedule_is_full(const struct queue *q)
{
    return room_for(q, CLASS_TRANSACTIONAL) == 0 || room_for(q, CLASS_BULK) == 0;
}

static void take(struct queue *q, struct mail *mail, const struct rcpt_row *row, int64_t now)
{
    struct rcpt *r = rcpt_new(mail, row);

    rcpt_activate(q, r);
    if (now >= row->expires)
        result_expired(q, r);
    else
        resolve_add(q, r);
}

void schedule_offer(struct queue *q, struct mail *mail, const struct rcpt_row *row)
{
    int64_t now = clock_steady();

    if (row->due > now || q->draining || room_for(q, row->class) == 0)
        schedule_notice(q, row->class, row->due);
    else
        take(q, mail, row, now);
}

void schedule_notice(struct queue *q, uint64_t class, int64_t due)
{
    struct schedule *s = &q->schedule;
    struct due_place *at = &s->cursor[class];

    if (due <= at->due)
        *at = (struct due_place){.due = due - 1};
    if (due < s->next_due[class])
        s->next_due[class] = due;
}

void schedule_rescan(struct queue *q)
{
    for (int class = 0; class < CLASS_COUNT; class++)
        schedule_notice(q, (uint64_t)class, 1);
}

void schedule_forget(struct queue *q, uint64_t message, uint64_t n)
{
    struct rcpt *r = rcpt_find_active(q, message, n);

    if (r == NULL)
        return;
    r->forgotten = true;
    if (r->stage == STAGE_TO_RESOLVE || r->stage == STAGE_RESOLVING || r->stage == STAGE_WAITING) {
        resolve_remove(q, r);
        dispatch_remove(q, r);
        rcpt_free(q, r);
    }
}

static bool load_row(struct queue *q, const struct rcpt_row *row, int64_t now, struct err *err)
{
    struct mail *mail;

    if (rcpt_find_active(q, row->message, row->n) != NULL)
        return true;
    if (!mail_get(q, row->message, &mail, err))
        return false;
    if (mail == NULL) {
        log_error("orphan", "message=%" PRIu64 " n=%" PRIu64 " reason=a recipient without its message", row->message,
            row->n);
        return true;
    }
    take(q, mail, row, now);
    mail_unref(q, mail);
    return true;
}

/* Loads up to a slice; false when the database fails. */
static bool load(struct queue *q, enum mail_class class, size_t room, int64_t now, struct err *err)
{
    struct due_place *at = &q->schedule.cursor[class];
    size_t limit = room < LOAD_AT_ONCE ? room : LOAD_AT_ONCE, rows = 0;
    struct rcpt_row row;
    bool good = true;

    store_due_begin(q->store, class, at, now, limit);
    while (good && store_due_next(q->store, &row)) {
        rows++;
        *at = (struct due_place){row.due, row.expires, row.message, row.n};
        good = load_row(q, &row, now, err);
    }
    good = store_due_end(q->store, good ? err : NULL) && good;
    if (!good || rows == limit)
        return good;
    q->schedule.more[class] = false;
    return store_next_due(q->store, class, now + 1, &q->schedule.next_due[class], err);
}

void schedule_turn(struct queue *q)
{
    struct schedule *s = &q->schedule;
    int64_t now = clock_steady();
    struct err err = {0};

    for (enum mail_class class = CLASS_TRANSACTIONAL; class < CLASS_COUNT; class++) {
        size_t room = room_for(q, class);

        if (s->next_due[class] <= now) {
            s->more[class] = true;
            s->next_due[class] = INT64_MAX;
        }
        if (q->draining || !s->more[class] || room == 0)
            continue;
        if (!load(q, class, room, now, &err)) {
            log_error("load-failed", "reason=%s", err.text);
            s->more[class] = false;
            s->next_due[class] = now + 5 * SECOND;
            s->cursor[class] = (struct due_place){0};
        }
    }
    metric_set(&active,
        (int64_t)(q->mails.active_count[CLASS_TRANSACTIONAL] + q->mails.active_count[CLASS_BULK]));
}

int64_t schedule_wake_in(const struct queue *q)
{
    int64_t now = clock_steady(), wait = INT64_MAX;

    if (q->draining)
        return wait;
    for (int class = 0; class < CLASS_COUNT; class++) {
        int64_t due = q->schedule.next_due[class];

        if (q->schedule.more[class] && room_for(q, (uint64_t)class) > 0)
            return 0;
        if (due != INT64_MAX && due - now < wait)
            wait = due - now > 0 ? due - now : 0;
    }
    return wait;
}
