/* What the queue commands change: places are collected from the table, a slice a turn, and changed by
 * an operation of the batch, like everything else. */
#include "base/clock.h"
#include "base/json.h"
#include "command.h"
#include "queue.h"
#include "story.h"

#include <stdlib.h>
#include <sysexits.h>

struct place {
    struct rcpt *rcpt; /* a copy of the row, never active */
    bool changed;
};

struct changes {
    struct op op;
    struct command *command;
    enum change kind;
    uint64_t uid;
    int64_t now;
    size_t n;
    struct place places[COMMAND_CHANGE];
};

static bool run_hold(struct queue *q, const struct rcpt_row *r, int64_t now, bool *changed, struct err *err)
{
    return store_hold_rcpt(q->store, r->message, r->n, now, changed, err);
}

static bool run_release(struct queue *q, const struct rcpt_row *r, int64_t now, bool *changed, struct err *err)
{
    return store_release_rcpt(q->store, r->message, r->n, now, changed, err);
}

static bool run_retry(struct queue *q, const struct rcpt_row *r, int64_t now, bool *changed, struct err *err)
{
    return store_set_due(q->store, r->message, r->n, now, changed, err);
}

static bool run_delete(struct queue *q, const struct rcpt_row *r, int64_t now, bool *changed, struct err *err)
{
    (void)now;
    if (!store_delete_rcpt(q->store, r->message, r->n, changed, err))
        return false;
    if (!*changed)
        return true;
    batch_touch(q, r->message);
    ledger_note(q, LEDGER_DELETED, 1);
    return true;
}

/* One that is being delivered, or whose result waits for its commit, must know the new state. */
static void tell_active(struct queue *q, const struct rcpt_row *r, enum rcpt_state state)
{
    struct rcpt *active;

    if (state == RCPT_HELD)
        schedule_forget(q, r->message, r->n);
    active = rcpt_find_active(q, r->message, r->n);
    if (active == NULL)
        return;
    active->row.state = state;
    active->forgotten = state == RCPT_HELD;
}

static void done_hold(struct queue *q, const struct rcpt_row *r, int64_t now)
{
    (void)now;
    counts_rcpt(q, r, RCPT_WAITING, r->attempts > 0, -1);
    counts_rcpt(q, r, RCPT_HELD, r->attempts > 0, 1);
    tell_active(q, r, RCPT_HELD);
}

static void done_release(struct queue *q, const struct rcpt_row *r, int64_t now)
{
    counts_rcpt(q, r, RCPT_HELD, r->attempts > 0, -1);
    counts_rcpt(q, r, RCPT_WAITING, r->attempts > 0, 1);
    tell_active(q, r, RCPT_WAITING);
    schedule_notice(q, r->class, now);
}

static void done_retry(struct queue *q, const struct rcpt_row *r, int64_t now)
{
    schedule_notice(q, r->class, now < r->expires ? now : r->expires);
}

static void done_delete(struct queue *q, const struct rcpt_row *r, int64_t now)
{
    (void)now;
    counts_rcpt(q, r, (enum rcpt_state)r->state, r->attempts > 0, -1);
    schedule_forget(q, r->message, r->n);
}

static const struct rule {
    const char *word;
    bool (*run)(struct queue *, const struct rcpt_row *, int64_t, bool *, struct err *);
    void (*done)(struct queue *, const struct rcpt_row *, int64_t);
    int event; /* enum event_kind, -1 for none */
} rules[] = {
    [CHANGE_HOLD] = {"held", run_hold, done_hold, EVENT_HELD},
    [CHANGE_RELEASE] = {"released", run_release, done_release, EVENT_RELEASED},
    [CHANGE_RETRY] = {"retried", run_retry, done_retry, -1},
    [CHANGE_DELETE] = {"deleted", run_delete, done_delete, EVENT_DELETED},
};

static bool changes_run(struct queue *q, struct op *op, struct err *err)
{
    struct changes *h = CONTAINER(op, struct changes, op);

    for (size_t i = 0; i < h->n; i++) {
        struct rcpt_row *r = &h->places[i].rcpt->row;

        /* An operation before this one may have changed it: the counters must be told what it really was. */
        if (!store_refresh_rcpt(q->store, r, err) || !rules[h->kind].run(q, r, h->now, &h->places[i].changed, err))
            return false;
    }
    return true;
}

static void changes_free(struct queue *q, struct changes *h)
{
    struct command *c = h->command;

    for (size_t i = 0; i < h->n; i++)
        rcpt_free(q, h->places[i].rcpt);
    free(h);
    c->pending--;
    if (c->over)
        command_release_memory(c);
}

static void changes_done(struct queue *q, struct op *op)
{
    struct changes *h = CONTAINER(op, struct changes, op);

    for (size_t i = 0; i < h->n; i++) {
        const struct rcpt *r = h->places[i].rcpt;

        if (!h->places[i].changed)
            continue;
        h->command->changed++;
        rules[h->kind].done(q, &r->row, h->now);
        if (rules[h->kind].event >= 0)
            story_command(q, (unsigned)rules[h->kind].event, &r->row, r->mail->row.sender, h->uid);
    }
    changes_free(q, h);
}

static void changes_failed(struct queue *q, struct op *op, const struct err *err)
{
    struct changes *h = CONTAINER(op, struct changes, op);

    command_fail(h->command, EX_IOERR, "%s", err->text);
    changes_free(q, h);
}

static const struct op_type changes_type = {changes_run, changes_done, changes_failed, false};

/* Adds a matching row; false when the database failed. */
static bool collect(struct queue *q, struct changes *h, const struct rcpt_row *r, int64_t now, struct err *err)
{
    const struct filter *f = &h->command->filter;
    struct mail *mail;

    if (!filter_matches_rcpt(f, r, rcpt_find_active(q, r->message, r->n) != NULL, now))
        return true;
    if (!mail_get(q, r->message, &mail, err))
        return false;
    if (mail == NULL)
        return true;
    if (!f->has_sender || filter_matches_sender(f, mail->row.sender)) {
        h->places[h->n++].rcpt = rcpt_new(mail, r);
        h->command->matched++;
    }
    mail_unref(q, mail);
    return true;
}

static bool scan(struct queue *q, struct command *c, struct changes *h, struct err *err)
{
    struct rcpt_row r;
    bool good = true;

    if (!command_walk_begin(q, c, err))
        return false;
    while (good && !c->ended && h->n < COMMAND_CHANGE && command_walk_next(q, c, &r)) {
        good = collect(q, h, &r, h->now, err);
        c->ended = c->filter.limit && c->matched >= c->filter.limit;
    }
    return command_walk_end(q, c, good ? err : NULL) && good;
}

static enum slice finish(struct queue *q, struct command *c, enum change kind)
{
    struct buf b;

    if (c->matched == 0 && c->filter.message) {
        command_fail(c, EX_NOINPUT, "no such message in the queue");
        return SLICE_OVER;
    }
    buf_init(&b, 1024);
    json_open(&b);
    json_int(&b, "shard", role_copy(q->role));
    json_int(&b, rules[kind].word, (int64_t)c->changed);
    json_int(&b, "matched", (int64_t)c->matched);
    json_close(&b);
    command_send_row(c, buf_str(&b));
    buf_clear(&b);
    return SLICE_END;
}

static enum slice change(struct queue *q, struct command *c, enum change kind)
{
    struct changes *h;
    struct err err = {0};

    if (c->ended)
        return finish(q, c, kind);
    h = xcalloc(1, sizeof *h);
    h->op.type = &changes_type;
    h->command = c;
    h->kind = kind;
    h->uid = c->uid;
    h->now = clock_steady();
    c->pending++;
    if (!scan(q, c, h, &err)) {
        command_fail(c, EX_IOERR, "%s", err.text);
        changes_free(q, h);
        return SLICE_WAIT; /* freed with its last change */
    }
    if (h->n == 0)
        changes_free(q, h);
    else
        batch_add(q, &h->op, BATCH_NOW, 0);
    return SLICE_MORE;
}

enum slice command_hold(struct queue *q, struct command *c)
{
    return change(q, c, CHANGE_HOLD);
}

enum slice command_release(struct queue *q, struct command *c)
{
    return change(q, c, CHANGE_RELEASE);
}

enum slice command_retry(struct queue *q, struct command *c)
{
    return change(q, c, CHANGE_RETRY);
}

enum slice command_delete(struct queue *q, struct command *c)
{
    return change(q, c, CHANGE_DELETE);
}
