/* Who is told what, and the reports themselves. */
#include "bounce.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "mime/header.h"
#include "queue.h"
#include "result.h"
#include "story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REPORT_MAX = 8 * 1024 * 1024,
    HEADER_MAX = 256 * 1024,
    RCPTS_MAX = 1000, /* told of in one report */
};

static struct metric reports = METRIC_COUNTER("staffetta_queue_reports_total", "Reports to senders (bounces, delay notices, successes).");

enum group { GROUP_FAILED, GROUP_DELAYED, GROUP_SUCCESS };

struct report {
    struct link link;
    struct mail *mail;
    enum group group;
    struct dsn_rcpt *rcpts;
    size_t n, size;
    struct message_row row;
    struct rcpt_row rcpt;
    char message_id[IPC_NAME];
    struct buf text; /* the finished report */
    bool stored;
};

static enum group group_of(enum dsn_action action)
{
    return action == DSN_FAILED ? GROUP_FAILED : action == DSN_DELAYED ? GROUP_DELAYED : GROUP_SUCCESS;
}

bool bounce_wanted(enum dsn_action action, uint64_t notify, uint64_t flags, bool null_sender, bool remote_reports)
{
    if (null_sender || (notify & NOTIFY_NEVER))
        return false;
    switch (action) {
    case DSN_FAILED:
        return notify == 0 || (notify & NOTIFY_FAILURE);
    case DSN_DELAYED:
        return notify == 0 || (notify & NOTIFY_DELAY);
    case DSN_RELAYED:
        return ((notify & NOTIFY_SUCCESS) && !remote_reports) || (flags & TXN_BY_TRACE);
    case DSN_DELIVERED:
    case DSN_EXPANDED:
        return notify & NOTIFY_SUCCESS;
    }
    return false;
}

/* ---- noting ---- */

static struct report *report_for(struct queue *q, struct mail *mail, enum group group)
{
    struct report *r;

    /* Verdicts of one message come close together: newest first. */
    for (struct link *it = q->batch.reports.head.prev; it != &q->batch.reports.head; it = it->prev) {
        r = CONTAINER(it, struct report, link);
        if (r->mail == mail && r->group == group && r->n < RCPTS_MAX)
            return r;
    }
    r = xcalloc(1, sizeof *r);
    r->mail = mail_ref(mail);
    r->group = group;
    buf_init(&r->text, REPORT_MAX);
    list_add_last(&q->batch.reports, &r->link);
    return r;
}

static bool action_of(const struct verdict *v, enum dsn_action *action)
{
    static const enum dsn_action actions[] = {
        [VERDICT_DELIVERED] = DSN_DELIVERED, [VERDICT_RELAYED] = DSN_RELAYED, [VERDICT_DISCARDED] = DSN_DELIVERED,
        [VERDICT_EXPANDED] = DSN_EXPANDED, [VERDICT_DEFERRED] = DSN_DELAYED, [VERDICT_FAILED] = DSN_FAILED,
        [VERDICT_EXPIRED] = DSN_FAILED};

    *action = actions[v->info.kind];
    if (v->info.kind == VERDICT_DEFERRED)
        return v->notices != 0;
    return v->info.kind != VERDICT_EXPANDED || v->added_n > 1;
}

void bounce_note(struct queue *q, struct verdict *v)
{
    struct mail *mail = v->rcpt->mail;
    bool null_sender = mail->row.sender.n == 0;
    const struct rcpt_row *row = &v->rcpt->row;
    enum dsn_action action;
    struct report *r;

    if (!action_of(v, &action))
        return;
    if (!bounce_wanted(action, row->notify, mail->row.flags, null_sender, v->info.dsn)) {
        ledger_note(q, LEDGER_UNTOLD, action == DSN_FAILED);
        return;
    }
    r = report_for(q, mail, group_of(action));
    if (r->n == r->size) {
        r->size = r->size ? r->size * 2 : 1;
        r->rcpts = xrealloc(r->rcpts, r->size * sizeof *r->rcpts);
    }
    r->rcpts[r->n] = (struct dsn_rcpt){.action = action, .address = row->address, .orcpt = row->orcpt,
        .code = v->info.code, .text = v->info.text, .remote = !v->info.ours, .host = v->info.host,
        .last_attempt = v->info.kind == VERDICT_EXPIRED ? row->last_attempt : v->at,
        .retry_until = action == DSN_DELAYED ? row->expires - clock_steady_ahead() : 0};
    if (v->notices & NOTICED_BY) { /* the status RFC 2852 4.1.3 asks for */
        r->rcpts[r->n].text = STR("4.4.7 Not delivered within the time asked for; it is still being tried");
        r->rcpts[r->n].remote = false;
    }
    r->n++;
}

/* ---- writing ---- */

static void on_field(void *owner, const struct header_field *field)
{
    struct buf *subject = owner;

    if (subject->n == 0 && str_ieq(field->name, STR("Subject")))
        header_unfold(subject, field->value);
}

/* The original's header without its blank line, into `header`, and its subject. What cannot be read is
 * left out: a report without it is better than none. */
static void read_header(struct queue *q, struct mail *mail, struct buf *header, struct buf *subject)
{
    struct header_scan scan;
    enum header_state state = HEADER_MORE;
    uint64_t offset = 0;
    struct str piece;
    size_t used;

    buf_init(subject, 4096);
    header_scan_init(&scan, HEADER_MAX, on_field, subject);
    while (state == HEADER_MORE && mail_read(q, mail, offset, &piece, NULL) && piece.n > 0) {
        state = header_scan(&scan, piece, &used);
        buf_add(header, str_sub(piece, 0, used));
        offset += piece.n;
    }
    if (state == HEADER_MORE)
        (void)!(header_scan_finish(&scan) == HEADER_END);
    if (scan.blank && str_ends(buf_str(header), STR("\r\n\r\n")))
        header->n -= 2;
    header_scan_clear(&scan);
}

static bool returns_all(const struct report *r)
{
    uint64_t flags = r->mail->row.flags;

    /* REQUIRETLS counts as RET=HDRS (RFC 8689 5). */
    return r->group == GROUP_FAILED && !(flags & (TXN_RET_HDRS | TXN_BINARYMIME | TXN_REQUIRETLS)) &&
           r->mail->row.size <= REPORT_ORIGINAL_MAX;
}

static bool add_original(struct queue *q, struct report *r)
{
    struct str piece;
    uint64_t offset = 0;

    do {
        if (!mail_read(q, r->mail, offset, &piece, NULL))
            return false;
        buf_add(&r->text, piece);
        offset += piece.n;
    } while (piece.n > 0);
    return true;
}

static void write_report(struct queue *q, struct report *r)
{
    const struct message_row *m = &r->mail->row;
    char id[MSGID_TEXT + 1], report_id[MSGID_TEXT + 1];
    struct buf header, subject;
    struct dsn_report d = {.hostname = role_config(q->role)->hostname, .to = m->sender, .envid = m->envid,
        .message_id = m->message_id, .arrived = m->created, .now = r->row.created, .rcpts = r->rcpts, .n = r->n,
        .full = returns_all(r), .original_utf8 = (m->flags & TXN_SMTPUTF8) != 0,
        .original_8bit = (m->flags & (TXN_8BITMIME | TXN_BINARYMIME)) != 0};

    msgid_format(m->id, id);
    msgid_format(r->row.id, report_id);
    d.queue_id = str_of(id);
    d.report_id = str_of(report_id);
    buf_init(&header, HEADER_MAX);
    read_header(q, r->mail, &header, &subject);
    d.subject = buf_str(&subject);
    dsn_write_head(&r->text, &d);
    if (!d.full || !add_original(q, r))
        buf_add(&r->text, buf_str(&header));
    dsn_write_tail(&r->text, &d);
    if (dsn_needs_utf8(&d))
        r->row.flags |= TXN_SMTPUTF8;
    if (d.full && d.original_8bit)
        r->row.flags |= TXN_8BITMIME;
    snprintf(r->message_id, sizeof r->message_id, "<%s@%.*s>", report_id, STR_ARG(d.hostname));
    buf_clear(&header);
    buf_clear(&subject);
}

/* Shards own messages by number. */
static bool own_id(struct queue *q, uint64_t *id, struct err *err)
{
    uint64_t shards = role_copies(q->role) ? role_copies(q->role) : 1;
    struct message_row row;
    bool taken = true;

    while (taken) {
        do
            *id = msgid_new();
        while (*id % shards != role_copy(q->role));
        if (!store_find_message(q->store, *id, &row, &taken, err))
            return false;
    }
    return true;
}

static bool store_text(struct queue *q, struct report *r, struct err *err)
{
    struct str text = buf_str(&r->text);
    bool is_inline = text.n <= STORE_PIECE;

    r->row.size = text.n;
    r->row.head_size = is_inline ? text.n : 0;
    if (!store_add_message(q->store, &r->row, is_inline ? text : (struct str){0}, &r->stored, err))
        return false;
    for (uint64_t seq = 0; !is_inline && r->stored && seq * STORE_PIECE < text.n; seq++)
        if (!store_add_chunk(q->store, r->row.id, seq, str_sub(text, seq * STORE_PIECE, (seq + 1) * STORE_PIECE), err))
            return false;
    ledger_note(q, LEDGER_REPORTS, r->stored);
    ledger_note(q, LEDGER_REPORTED, r->stored);
    return !r->stored || store_add_rcpt(q->store, &r->rcpt, err);
}

static bool store_report(struct queue *q, struct report *r, struct err *err)
{
    const struct message_row *m = &r->mail->row;
    int64_t now = clock_now(), begin = clock_steady(), failures = r->group == GROUP_FAILED ? (int64_t)r->n : 0;
    uint64_t id;

    if (!own_id(q, &id, err))
        return false;
    r->row = (struct message_row){.id = id, .created = now, .kind = KIND_REPORT, .class = m->class,
        .flags = m->flags & TXN_REQUIRETLS, .priority = 9, .sender = STR(""), .protocol = STR("report"),
        .expires = begin + role_config(q->role)->queue.bounce_lifetime};
    write_report(q, r);
    r->row.message_id = str_of(r->message_id);
    if (r->text.failed) {
        log_error("report-too-large", "message=%" PRIu64 " recipients=%zu", m->id, r->n);
        ledger_note(q, LEDGER_UNTOLD, failures);
        return true;
    }
    ledger_note(q, LEDGER_TOLD, failures);
    r->rcpt = (struct rcpt_row){.message = r->row.id, .n = 1, .class = m->class, .due = begin,
        .expires = r->row.expires, .notify = NOTIFY_NEVER, .address = m->sender, .original = m->sender};
    return store_text(q, r, err);
}

bool bounce_store(struct queue *q, struct err *err)
{
    LIST_EACH(&q->batch.reports, it)
        if (!store_report(q, CONTAINER(it, struct report, link), err))
            return false;
    return true;
}

/* ---- afterwards ---- */

static void report_free(struct queue *q, struct report *r)
{
    list_remove(&r->link);
    buf_clear(&r->text);
    free(r->rcpts);
    mail_unref(q, r->mail);
    free(r);
}

void bounce_forget(struct queue *q)
{
    LIST_EACH(&q->batch.reports, it)
        report_free(q, CONTAINER(it, struct report, link));
}

static void offer(struct queue *q, struct report *r)
{
    struct str body = {0};
    struct mail *mail;

    if (r->row.head_size > 0) {
        body = buf_str(&r->text);
        buf_init(&r->text, 0);
    }
    mail = mail_new(q, &r->row, body);
    counts_message(q, r->row.id, 1);
    counts_rcpt(q, &r->rcpt, RCPT_WAITING, false, 1);
    schedule_offer(q, mail, &r->rcpt);
    mail_unref(q, mail);
}

void bounce_done(struct queue *q)
{
    struct link *first;

    while ((first = list_first(&q->batch.reports)) != NULL) {
        struct report *r = CONTAINER(first, struct report, link);

        if (r->stored) {
            metric_add(&reports, 1);
            story_report(q, r->mail, &r->row, r->group == GROUP_DELAYED, r->n);
            offer(q, r);
        }
        report_free(q, r);
    }
}
