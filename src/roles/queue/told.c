/* Results that relay gave to the process before us, which did not live to store them: the messages are with
 * their servers, so their recipients are ended before they are tried again.
 *
 * Until every relay that was there when we began has told all, and that is stored, nothing is offered to any
 * of them: a destination may belong to another copy than before (a route was changed), which would send again
 * what the first one knows. A relay that does not say so in time is not waited for. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch.h"
#include "queue.h"
#include "result.h"

#include <inttypes.h>
#include <stdlib.h>

static const int64_t patience = 10 * SECOND;

/* In the batch behind what was told: when it is done, that is stored. */
struct heard_all {
    struct op op;
    struct lane *lane;
};

/* Its row, when it is still there and ours; false when the database failed. */
static bool find(struct queue *q, const struct msg_rcpt_told *m, struct rcpt **r, struct err *err)
{
    struct rcpt_row row;
    struct mail *mail;
    bool found;

    *r = NULL;
    if (m->message > INT64_MAX || m->n > INT64_MAX)
        return true;
    if (!store_find_rcpt(q->store, m->message, m->n, &row, &found, err))
        return false;
    if (!found || !str_eq(row.address, m->address)) /* the number may be that of another by now */
        return true;
    if (!mail_get(q, m->message, &mail, err))
        return false;
    if (mail == NULL)
        return true;
    *r = rcpt_new(mail, &row);
    mail_unref(q, mail);
    return true;
}

static void store(struct queue *q, struct rcpt *r, const struct keeper *keeper, const struct msg_rcpt_told *m)
{
    struct outcome *o = outcome_new(r->mail);

    o->keeper = *keeper;
    outcome_add(q, o, r, &(struct verdict_info){.kind = verdict_of(m->status),
        .reason = m->reason <= REASON_OTHER ? (enum delivery_reason)m->reason : REASON_OTHER,
        .code = m->code < 1000 ? (unsigned)m->code : 0, .dsn = m->dsn != 0, .ours = m->host.n == 0, .text = m->text,
        .host = m->host, .ip = m->ip, .tls = m->tls, .policy = m->policy, .source = m->source});
    outcome_submit(q, o);
}

void dispatch_on_told(struct role *role, struct channel *from, const struct msg_rcpt_told *m)
{
    struct queue *q = role_state(role);
    const struct keeper keeper = {.waits = true, .told = true, .copy = channel_copy(from),
        .serial = channel_serial(from), .id = m->id};
    struct err err = {0};
    struct rcpt *r;

    /* relay keeps it, and tells again when we offer this recipient */
    if (!find(q, m, &r, &err)) {
        log_error("told-failed", "message=%" PRIu64 " reason=%s", m->message, err.text);
        dispatch_count(q, from, m->status, false);
        return;
    }
    dispatch_count(q, from, m->status, r != NULL);
    if (r == NULL)
        keeper_release(q, &keeper);
    else
        store(q, r, &keeper, m);
}

/* ---- all of it ---- */

static void open_lane(struct queue *q, struct lane *lane)
{
    q->dispatch.telling -= lane->telling;
    lane->telling = false;
}

static bool heard_run(struct queue *q, struct op *op, struct err *err)
{
    (void)q;
    (void)op;
    (void)err;
    return true;
}

static void heard_done(struct queue *q, struct op *op)
{
    struct heard_all *h = CONTAINER(op, struct heard_all, op);

    open_lane(q, h->lane);
    free(h);
}

static void heard_failed(struct queue *q, struct op *op, const struct err *err)
{
    (void)err;
    heard_done(q, op);
}

static const struct op_type heard_type = {heard_run, heard_done, heard_failed, true};

static void all_was_told(struct queue *q, struct lane *lane)
{
    struct heard_all *h;

    if (!lane->telling)
        return;
    if (list_empty(&q->batch.ops)) {
        open_lane(q, lane);
        return;
    }
    h = xcalloc(1, sizeof *h);
    h->op.type = &heard_type;
    h->lane = lane;
    batch_add(q, &h->op, BATCH_PROMPT, 0);
}

void dispatch_on_told_all(struct role *role, struct channel *from, const struct msg_told_all *m)
{
    struct queue *q = role_state(role);

    if (m->n > 0)
        log_info("told", "relay=%u results=%" PRIu64, channel_copy(from), m->n);
    all_was_told(q, &q->dispatch.relay[channel_copy(from)]);
}

void dispatch_relay_up(struct queue *q, const struct channel *c)
{
    struct lane *lane = &q->dispatch.relay[channel_copy(c)];

    if (q->dispatch.begun || lane->telling)
        return;
    lane->telling = true;
    q->dispatch.telling++;
    q->dispatch.told_until = clock_monotonic() + patience;
}

void dispatch_relay_gone(struct queue *q, const struct channel *c)
{
    if (channel_role(c) == ROLE_RELAY)
        all_was_told(q, &q->dispatch.relay[channel_copy(c)]);
}

bool dispatch_is_being_told(const struct queue *q)
{
    return q->dispatch.telling > 0 && clock_monotonic() < q->dispatch.told_until;
}
