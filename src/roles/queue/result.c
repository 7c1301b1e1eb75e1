/* Verdicts: how each kind changes the rows, and what follows. */
#include "result.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "bounce.h"
#include "queue.h"
#include "story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLY_KEPT = 1000 }; /* of the last reply, in the row */

static struct str pack(char **at, struct str s)
{
    struct str kept = str_from(*at, s.n);

    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

struct outcome *outcome_new(struct mail *mail)
{
    struct outcome *o = xcalloc(1, sizeof *o);

    o->mail = mail_ref(mail);
    list_init(&o->verdicts);
    return o;
}

static void defer(struct queue *q, struct verdict *v)
{
    const struct config *config = role_config(q->role);
    struct rcpt *r = v->rcpt;
    uint64_t attempts = r->row.attempts + 1;
    struct rcpt_row told = r->row;

    v->notices = schedule_notices(config, &r->mail->row, r->row.noticed, clock_steady());
    told.noticed |= v->notices;
    v->attempt = (struct rcpt_attempt){.attempts = attempts, .first_attempt = r->row.first_attempt,
        .last_attempt = v->at, .noticed = told.noticed, .reason = v->info.reason,
        .code = v->info.code, .reply = str_sub(v->info.text, 0, REPLY_KEPT), .host = v->info.host};
    if (v->attempt.first_attempt == 0)
        v->attempt.first_attempt = v->at;
    v->attempt.due = schedule_next(config, &r->mail->row, &told, attempts, clock_steady(), v->info.retry_at,
        (unsigned)random_below(1000));
}

void outcome_add(struct queue *q, struct outcome *o, struct rcpt *r, const struct verdict_info *info)
{
    size_t text = info->text.n + info->host.n + info->ip.n + info->tls.n + info->policy.n + info->source.n + info->targets.n;
    struct verdict *v = xcalloc(1, sizeof *v + text);
    char *at = (char *)(v + 1);

    v->info = *info;
    v->info.text = pack(&at, info->text);
    v->info.host = pack(&at, info->host);
    v->info.ip = pack(&at, info->ip);
    v->info.tls = pack(&at, info->tls);
    v->info.policy = pack(&at, info->policy);
    v->info.source = pack(&at, info->source);
    v->info.targets = pack(&at, info->targets);
    v->rcpt = r;
    v->at = clock_now();
    r->stage = STAGE_STORING;
    if (info->kind == VERDICT_DEFERRED)
        defer(q, v);
    list_add_last(&o->verdicts, &v->link);
}

/* ---- in the transaction ---- */

/* Of verdicts that end a recipient. */
static const enum ledger_entry entries[] = {
    [VERDICT_DELIVERED] = LEDGER_DELIVERED, [VERDICT_RELAYED] = LEDGER_RELAYED,
    [VERDICT_DISCARDED] = LEDGER_DISCARDED, [VERDICT_EXPANDED] = LEDGER_EXPANDED,
    [VERDICT_FAILED] = LEDGER_FAILED, [VERDICT_EXPIRED] = LEDGER_EXPIRED};

static bool run_end(struct queue *q, struct verdict *v, struct err *err)
{
    if (!store_delete_rcpt(q->store, v->rcpt->row.message, v->rcpt->row.n, &v->applied, err))
        return false;
    if (!v->applied)
        return true;
    batch_touch(q, v->rcpt->row.message);
    ledger_note(q, entries[v->info.kind], 1);
    return true;
}

static bool run_defer(struct queue *q, struct verdict *v, struct err *err)
{
    return store_defer_rcpt(q->store, v->rcpt->row.message, v->rcpt->row.n, &v->attempt, &v->applied, err);
}

/* RFC 3461 5.2.7: one target inherits everything; several inherit all but SUCCESS, which is answered
 * with an "expanded" report instead. */
static uint64_t inherited_notify(uint64_t notify, size_t targets)
{
    if (targets == 1 || !(notify & NOTIFY_SUCCESS))
        return notify;
    notify &= ~(uint64_t)NOTIFY_SUCCESS;
    return notify ? notify : NOTIFY_NEVER;
}

static size_t count_targets(struct str targets)
{
    struct str one;
    size_t n = 0;

    while (str_next(&targets, '\0', &one))
        n += one.n > 0;
    return n;
}

static bool add_target(struct queue *q, struct verdict *v, struct str address, uint64_t *n, size_t of, struct err *err)
{
    const struct rcpt_row *old = &v->rcpt->row;
    struct rcpt_row row = {.message = old->message, .n = *n + 1, .state = RCPT_WAITING, .class = old->class,
        .due = clock_steady(), .expires = old->expires, .notify = inherited_notify(old->notify, of), .depth = old->depth + 1,
        .noticed = old->noticed, .address = address, .orcpt = old->orcpt, .original = old->original};
    bool known;

    if (row.due > row.expires)
        row.due = row.expires;
    if (!store_has_address(q->store, old->message, address, &known, err))
        return false;
    if (known)
        return true;
    (*n)++;
    v->added[v->added_n++] = row;
    return store_add_rcpt(q->store, &row, err);
}

static bool run_expand(struct queue *q, struct verdict *v, struct err *err)
{
    struct str rest = v->info.targets, address;
    size_t of = count_targets(rest);
    uint64_t n;

    free(v->added);
    v->added = xcalloc(of + 1, sizeof *v->added);
    v->added_n = 0;
    if (!store_last_n(q->store, v->rcpt->row.message, &n, err) || !run_end(q, v, err))
        return false;
    /* A number is not given again while a late result for it may come. */
    if (n < mail_last_active(v->rcpt->mail))
        n = mail_last_active(v->rcpt->mail);
    while (v->applied && str_next(&rest, '\0', &address))
        if (address.n > 0 && !add_target(q, v, address, &n, of, err))
            return false;
    ledger_note(q, LEDGER_TARGETS, (int64_t)v->added_n);
    return true;
}

/* ---- after the commit ---- */

static void done_end(struct queue *q, struct verdict *v)
{
    const struct rcpt_row *r = &v->rcpt->row;

    counts_rcpt(q, r, (enum rcpt_state)r->state, r->attempts > 0, -1);
}

static void done_defer(struct queue *q, struct verdict *v)
{
    const struct rcpt_row *r = &v->rcpt->row;

    counts_rcpt(q, r, (enum rcpt_state)r->state, r->attempts > 0, -1);
    counts_rcpt(q, r, (enum rcpt_state)r->state, true, 1);
    schedule_notice(q, r->class, v->attempt.due);
}

static void done_expand(struct queue *q, struct verdict *v)
{
    done_end(q, v);
    for (size_t i = 0; i < v->added_n; i++) {
        const struct rcpt_row *row = &v->added[i];

        counts_rcpt(q, row, RCPT_WAITING, false, 1);
        schedule_offer(q, v->rcpt->mail, row);
    }
}

static const struct rule {
    bool (*run)(struct queue *, struct verdict *, struct err *);
    void (*done)(struct queue *, struct verdict *);
} rules[] = {
    [VERDICT_DELIVERED] = {run_end, done_end},
    [VERDICT_RELAYED] = {run_end, done_end},
    [VERDICT_DISCARDED] = {run_end, done_end},
    [VERDICT_EXPANDED] = {run_expand, done_expand},
    [VERDICT_DEFERRED] = {run_defer, done_defer},
    [VERDICT_FAILED] = {run_end, done_end},
    [VERDICT_EXPIRED] = {run_end, done_end},
};

void keeper_release(struct queue *q, const struct keeper *k)
{
    struct channel *c = k->waits ? role_peer(q->role, ROLE_RELAY, k->copy) : NULL;

    if (c == NULL || channel_serial(c) != k->serial)
        return;
    if (k->told)
        ipc_send_told_stored(c, &(struct msg_told_stored){k->id});
    else
        ipc_send_deliver_stored(c, &(struct msg_deliver_stored){k->id});
}

static bool outcome_run(struct queue *q, struct op *op, struct err *err)
{
    struct outcome *o = CONTAINER(op, struct outcome, op);

    LIST_EACH(&o->verdicts, it) {
        struct verdict *v = CONTAINER(it, struct verdict, link);

        v->applied = false;
        /* What was told was read before this commit, and may have changed. */
        if (o->keeper.told && !store_refresh_rcpt(q->store, &v->rcpt->row, err))
            return false;
        if (!rules[v->info.kind].run(q, v, err))
            return false;
        if (v->applied)
            bounce_note(q, v);
    }
    return true;
}

/* These two come from mailbox and relay alone, see dispatch.h. */
static void count_settled(struct queue *q, const struct verdict *v)
{
    struct result_counts *counts;

    if (v->info.kind != VERDICT_DELIVERED && v->info.kind != VERDICT_RELAYED)
        return;
    counts = &q->dispatch.results[v->info.kind == VERDICT_DELIVERED ? DELIVERY_DELIVERED : DELIVERY_RELAYED];
    counts->waiting--;
    counts->moot += !v->applied;
}

static void outcome_free(struct queue *q, struct outcome *o)
{
    LIST_EACH(&o->verdicts, it) {
        struct verdict *v = CONTAINER(it, struct verdict, link);

        count_settled(q, v);
        list_remove(it);
        rcpt_free(q, v->rcpt);
        free(v->added);
        free(v);
    }
    mail_unref(q, o->mail);
    free(o);
}

static void outcome_done(struct queue *q, struct op *op)
{
    struct outcome *o = CONTAINER(op, struct outcome, op);

    LIST_EACH(&o->verdicts, it) {
        struct verdict *v = CONTAINER(it, struct verdict, link);

        rcpt_deactivate(q, v->rcpt);
        if (!v->applied)
            continue;
        story_verdict(q, v);
        rules[v->info.kind].done(q, v);
        if (o->keeper.told) /* it may be on its way once more */
            schedule_forget(q, v->rcpt->row.message, v->rcpt->row.n);
    }
    keeper_release(q, &o->keeper);
    outcome_free(q, o);
}

/* The rows stay as they are: the next sweep finds what is due. */
static void outcome_failed(struct queue *q, struct op *op, const struct err *err)
{
    struct outcome *o = CONTAINER(op, struct outcome, op);

    (void)err;
    LIST_EACH(&o->verdicts, it)
        CONTAINER(it, struct verdict, link)->applied = false;
    outcome_free(q, o);
}

static const struct op_type outcome_type = {outcome_run, outcome_done, outcome_failed, true};

void outcome_submit(struct queue *q, struct outcome *o)
{
    if (list_empty(&o->verdicts)) {
        keeper_release(q, &o->keeper);
        outcome_free(q, o);
        return;
    }
    o->op.type = &outcome_type;
    batch_add(q, &o->op, o->keeper.waits ? BATCH_PROMPT : BATCH_SOON, 0);
}

void result_single(struct queue *q, struct rcpt *r, const struct verdict_info *info)
{
    struct outcome *o = outcome_new(r->mail);
    struct verdict_info own = *info;

    own.ours = own.host.n == 0;
    outcome_add(q, o, r, &own);
    outcome_submit(q, o);
}

void result_expired(struct queue *q, struct rcpt *r)
{
    char text[IPC_TEXT];
    struct str last = str_sub(r->row.reply, 0, r->row.reply.n < 2000 ? r->row.reply.n : 2000);

    if (r->row.state == RCPT_HELD)
        snprintf(text, sizeof text, "5.4.7 Held back by the administrator of this server for too long");
    else if (last.n)
        snprintf(text, sizeof text, "5.4.7 Gave up after %" PRIu64 " attempts; the last answer was: %.*s",
            r->row.attempts, STR_ARG(last));
    else
        snprintf(text, sizeof text, "5.4.7 Gave up: it could not be tried within its lifetime");
    result_single(q, r, &(struct verdict_info){.kind = VERDICT_EXPIRED, .reason = REASON_EXPIRED, .code = 554,
        .text = str_of(text)});
}
