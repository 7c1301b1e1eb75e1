/* What the queue commands show. */
#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "command.h"
#include "queue.h"

#include <stdio.h>
#include <sysexits.h>

enum { EXPORT_PIECE = 32 * 1024, SUMMARY_DOMAINS = 20, SUMMARY_MAX = CONTROL_ROWS - 2 };

static const char *class_name(uint64_t class)
{
    return class == CLASS_BULK ? "bulk" : "transactional";
}

static void tally_json(struct buf *b, const struct tally *t)
{
    json_int(b, "transactional", t->waiting[CLASS_TRANSACTIONAL]);
    json_int(b, "bulk", t->waiting[CLASS_BULK]);
    json_int(b, "deferred", t->deferred);
    json_int(b, "held", t->held);
}

static void total_json(struct queue *q, struct buf *b, const struct ages *ages)
{
    char name[32];

    snprintf(name, sizeof name, "(shard %u)", role_copy(q->role));
    json_open(b);
    json_str(b, "domain", str_of(name));
    tally_json(b, &q->counts.all);
    json_int(b, "messages", q->counts.messages);
    json_int(b, "active",
        (int64_t)(q->mails.active_count[CLASS_TRANSACTIONAL] + q->mails.active_count[CLASS_BULK]));
    json_int(b, "delivering", (int64_t)q->dispatch.under_way);
    json_int(b, "oldest_overdue_seconds", ages->overdue);
    json_int(b, "oldest_due_seconds", ages->due);
    json_int(b, "oldest_hold_seconds", ages->hold);
    json_bool(b, "accepting", q->health.accepting);
    json_bool(b, "counted", q->counts.complete);
    json_close(b);
}

static void send_tally(struct command *c, struct str name, const struct tally *t)
{
    struct buf b;

    buf_init(&b, 8192);
    json_open(&b);
    json_str(&b, "domain", name);
    tally_json(&b, t);
    json_close(&b);
    command_send_row(c, buf_str(&b));
    buf_clear(&b);
}

enum slice command_summary(struct queue *q, struct command *c)
{
    const struct domain_count *top[SUMMARY_MAX];
    size_t most = c->filter.limit && c->filter.limit < SUMMARY_MAX ? (size_t)c->filter.limit : SUMMARY_DOMAINS, n;
    struct err err = {0};
    struct ages ages;
    struct buf b;

    if (!expire_ages(q, &ages, &err)) {
        command_fail(c, EX_IOERR, "%s", err.text);
        return SLICE_OVER;
    }
    buf_init(&b, 4096);
    total_json(q, &b, &ages);
    command_send_row(c, buf_str(&b));
    buf_clear(&b);
    n = counts_top(&q->counts, top, most);
    for (size_t i = 0; i < n; i++)
        send_tally(c, top[i]->name, &top[i]->tally);
    if (tally_sum(&q->counts.others) > 0)
        send_tally(c, STR("(others)"), &q->counts.others);
    return SLICE_END;
}

static const char *state_name(struct queue *q, const struct rcpt_row *r)
{
    const struct rcpt *active = rcpt_find_active(q, r->message, r->n);

    if (r->state == RCPT_HELD)
        return "held";
    if (active == NULL)
        return r->attempts ? "deferred" : "waiting";
    return active->stage == STAGE_DELIVERING ? "delivering" : "active";
}

static void rcpt_json(struct queue *q, struct buf *b, const struct rcpt_row *r, const struct message_row *m)
{
    static const char *const reasons[] = REASON_NAMES;
    int64_t ahead = clock_steady_ahead();
    char id[MSGID_TEXT + 1];

    msgid_format(r->message, id);
    json_open(b);
    json_str(b, "id", str_of(id));
    json_int(b, "n", (int64_t)r->n);
    json_str(b, "state", str_of(state_name(q, r)));
    json_str(b, "class", str_of(class_name(r->class)));
    json_str(b, "sender", m->sender);
    json_str(b, "recipient", r->address);
    json_int(b, "size", (int64_t)m->size);
    json_time(b, "arrived", m->created);
    json_time(b, "next", r->state == RCPT_HELD ? 0 : r->due - ahead);
    json_time(b, "expires", r->state == RCPT_HELD ? 0 : r->expires - ahead);
    json_int(b, "attempts", (int64_t)r->attempts);
    if (r->attempts) {
        json_time(b, "last_attempt", r->last_attempt);
        json_str(b, "reason", str_of(reasons[r->reason <= REASON_OTHER ? r->reason : REASON_OTHER]));
        json_int(b, "code", (int64_t)r->code);
        json_str(b, "reply", r->reply);
        json_str(b, "host", r->host);
    }
    if (!str_eq(r->original, r->address))
        json_str(b, "original", r->original);
    json_close(b);
}

/* The message of a matching row, when it matches too. */
static bool matches(struct queue *q, struct command *c, const struct rcpt_row *r, struct message_row *m, int64_t now)
{
    bool found;

    if (!filter_matches_rcpt(&c->filter, r, rcpt_find_active(q, r->message, r->n) != NULL, now))
        return false;
    if (!store_find_message(q->store, r->message, m, &found, NULL) || !found)
        return false;
    return !c->filter.has_sender || filter_matches_sender(&c->filter, m->sender);
}

/* A row that the walk stops at is shown or passed over, never left half way. */
static void show_row(struct queue *q, struct command *c, const struct rcpt_row *r, int64_t now, struct buf *b)
{
    struct message_row m;

    if (!matches(q, c, r, &m, now))
        return;
    buf_reset(b);
    rcpt_json(q, b, r, &m);
    command_send_row(c, buf_str(b));
    c->ended = ++c->matched == c->filter.limit;
}

enum slice command_list(struct queue *q, struct command *c)
{
    int64_t now = clock_now();
    struct err err = {0};
    struct rcpt_row r;
    bool walked;
    struct buf b;

    buf_init(&b, IPC_CHUNK);
    walked = command_walk_begin(q, c, &err);
    if (walked) {
        while (!c->ended && c->credit > 0 && command_walk_next(q, c, &r))
            show_row(q, c, &r, now, &b);
        walked = command_walk_end(q, c, &err);
    }
    buf_clear(&b);
    if (!walked) {
        command_fail(c, EX_IOERR, "%s", err.text);
        return SLICE_OVER;
    }
    return c->ended ? SLICE_END : SLICE_MORE;
}

/* The row of `show` about the message; false when it was answered with a failure. */
static bool find_message(struct queue *q, struct command *c, struct message_row *m)
{
    struct err err = {0};
    bool found;

    if (!store_find_message(q->store, c->filter.message, m, &found, &err))
        command_fail(c, EX_IOERR, "%s", err.text);
    else if (!found)
        command_fail(c, EX_NOINPUT, "no such message in the queue; `staffetta trace` tells what became of it");
    return !c->over;
}

static void message_json(struct buf *b, const struct message_row *m)
{
    char id[MSGID_TEXT + 1];

    msgid_format(m->id, id);
    json_open(b);
    json_str(b, "id", str_of(id));
    json_str(b, "kind", m->kind == KIND_REPORT ? STR("report") : STR("mail"));
    json_str(b, "sender", m->sender);
    json_str(b, "class", str_of(class_name(m->class)));
    json_int(b, "size", (int64_t)m->size);
    json_time(b, "arrived", m->created);
    json_time(b, "expires", m->expires - clock_steady_ahead());
    json_time(b, "hold_until", m->hold_until);
    json_time(b, "deliver_by", m->deliver_by);
    json_str(b, "message_id", m->message_id);
    json_str(b, "envid", m->envid);
    json_str(b, "client", m->client);
    json_str(b, "helo", m->helo);
    json_str(b, "protocol", m->protocol);
    json_str(b, "tls", m->tls);
    json_str(b, "login", m->login);
    json_close(b);
}

enum slice command_show(struct queue *q, struct command *c)
{
    struct message_row m;
    struct buf b;

    if (c->shown)
        return command_list(q, c);
    if (!find_message(q, c, &m))
        return SLICE_OVER;
    buf_init(&b, IPC_CHUNK);
    message_json(&b, &m);
    command_send_row(c, buf_str(&b));
    buf_clear(&b);
    c->shown = true;
    return SLICE_MORE;
}

static void export_json(struct buf *b, uint64_t offset, struct str piece)
{
    struct buf coded;

    buf_init(&coded, IPC_CHUNK);
    base64_encode(&coded, piece);
    json_open(b);
    json_int(b, "offset", (int64_t)offset);
    json_str(b, "base64", buf_str(&coded));
    json_close(b);
    buf_clear(&coded);
}

enum slice command_export(struct queue *q, struct command *c)
{
    struct message_row m;
    struct err err = {0};
    struct str piece;
    struct buf b;

    if (!find_message(q, c, &m))
        return SLICE_OVER;
    if (c->offset >= m.size)
        return SLICE_END;
    if (!store_read_body(q->store, m.id, m.head_size, c->offset, &piece, &err) || piece.n == 0) {
        command_fail(c, EX_IOERR, "the stored message cannot be read: %s", err.text);
        return SLICE_OVER;
    }
    piece = str_sub(piece, 0, piece.n < EXPORT_PIECE ? piece.n : EXPORT_PIECE);
    buf_init(&b, IPC_CHUNK);
    export_json(&b, c->offset, piece);
    command_send_row(c, buf_str(&b));
    buf_clear(&b);
    c->offset += piece.n;
    return SLICE_MORE;
}
