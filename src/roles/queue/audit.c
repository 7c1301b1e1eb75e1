/* The walk and its verdict. See audit.h. */
#include "audit.h"

#include "base/clock.h"
#include "base/log.h"
#include "queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RCPTS_A_TURN = 500, MESSAGES_A_TURN = 200, BYTES_A_TURN = 8 * 1024 * 1024 };

struct waiting {
    struct link link;
    struct verification *verification;
};

static const char rcpts_sql[] =
    "SELECT message, n, EXISTS (SELECT 1 FROM message WHERE id = recipient.message) FROM recipient "
    "WHERE (message, n) > ($1, $2) ORDER BY message, n LIMIT $3";
static const char messages_sql[] =
    "SELECT id, EXISTS (SELECT 1 FROM recipient WHERE recipient.message = message.id), "
    "size = length(head) + COALESCE((SELECT sum(length(data)) FROM chunk WHERE chunk.message = message.id), 0), "
    "size FROM message WHERE id > $1 ORDER BY id LIMIT $2";

void audit_init(struct queue *q)
{
    list_init(&q->audit.waiting);
    q->audit.rcpts = stmt_new(store_db(q->store), rcpts_sql);
    q->audit.messages = stmt_new(store_db(q->store), messages_sql);
}

void audit_verify(struct queue *q, struct verification *v)
{
    struct waiting *w = xcalloc(1, sizeof *w);
    struct audit *a = &q->audit;

    w->verification = v;
    verify_hold(v);
    list_add_last(&a->waiting, &w->link);
    if (a->phase != AUDIT_IDLE)
        return;
    a->phase = AUDIT_RCPTS;
    a->said = clock_monotonic();
    a->at_message = a->at_n = 0;
    a->rcpt_rows = a->message_rows = 0;
    a->orphans = a->empty = a->cut = 0;
}

/* ---- changes while it walks ---- */

void audit_rcpt(struct queue *q, uint64_t message, uint64_t n, int64_t by)
{
    struct audit *a = &q->audit;
    bool behind = message < a->at_message || (message == a->at_message && n <= a->at_n);

    if (a->phase == AUDIT_MESSAGES || (a->phase == AUDIT_RCPTS && behind))
        a->rcpt_rows += by;
}

void audit_message(struct queue *q, uint64_t message, int64_t by)
{
    struct audit *a = &q->audit;

    if (a->phase == AUDIT_MESSAGES && message <= a->at_message)
        a->message_rows += by;
}

/* ---- the verdict ---- */

static const char books_advice[] =
    "something else than this server changed its database, or an old copy was put back: `staffetta trace` tells what "
    "should be there; --accept takes the rows as they are";

static void find(struct verification *v, const char *check, int64_t n, uint64_t id, const char *what)
{
    char text[MSGID_TEXT + 1], advice[200];

    msgid_format(id, text);
    snprintf(advice, sizeof advice, "%s; one is %s", what, text);
    verify_equal(v, check, 0, n, advice);
}

/* 250s, and results, of this process: what came from the peers is in the books. */
static void verify_work(struct queue *q, struct verification *v)
{
    static const struct {
        enum delivery_status status;
        enum ledger_entry entry;
        const char *check;
    } results[] = {
        {DELIVERY_DELIVERED, LEDGER_DELIVERED, "results \"delivered\" that came, and booked, waiting or of no effect"},
        {DELIVERY_RELAYED, LEDGER_RELAYED, "results \"relayed\" that came, and booked, waiting or of no effect"},
    };
    const struct ledger *l = &q->ledger;

    verify_equal(v, "messages committed, and answered with 250 or nobody left to hear",
        l->sums[LEDGER_MESSAGES] - l->start[LEDGER_MESSAGES], q->incoming.answered + q->incoming.unheard,
        "an answer was lost in queue: report this, with the log");
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        const struct result_counts *r = &q->dispatch.results[results[i].status];

        verify_equal(v, results[i].check, r->came,
            l->sums[results[i].entry] - l->start[results[i].entry] + r->waiting + r->moot,
            "a result was lost in queue: report this, with the log");
    }
}

static void show_books(const int64_t sums[LEDGER_COUNT], struct verification *v)
{
    static const char *const names[LEDGER_COUNT] = {
        [LEDGER_MESSAGES] = "messages accepted", [LEDGER_REPORTS] = "reports made", [LEDGER_ENDED] = "messages ended",
        [LEDGER_ACCEPTED] = "recipients accepted", [LEDGER_REPORTED] = "recipients of reports",
        [LEDGER_TARGETS] = "recipients put in place of aliases", [LEDGER_DELIVERED] = "delivered into mailboxes",
        [LEDGER_RELAYED] = "taken by other servers", [LEDGER_DISCARDED] = "discarded by routes",
        [LEDGER_EXPANDED] = "replaced by those of an alias", [LEDGER_FAILED] = "failed", [LEDGER_EXPIRED] = "expired",
        [LEDGER_DELETED] = "deleted by command", [LEDGER_TOLD] = "failures the sender was told",
        [LEDGER_UNTOLD] = "failures nobody is to be told", [LEDGER_WRITTEN_OFF] = "recipients written off",
        [LEDGER_WRITTEN_OFF_MESSAGES] = "messages written off"};

    for (unsigned i = 0; i < LEDGER_COUNT; i++)
        verify_book(v, names[i], sums[i]);
}

static void tell(struct queue *q, struct verification *v)
{
    const struct audit *a = &q->audit;
    const struct ledger *l = &q->ledger;
    int64_t row[LEDGER_COUNT];
    struct err err = {0};

    show_books(l->sums, v);
    verify_book(v, "recipients waiting", a->rcpt_rows);
    verify_book(v, "messages waiting", a->message_rows);
    if (!ledger_read(q, row, &err))
        verify_unknown(v, "the ledger", err.text);
    else
        verify_equal(v, "the ledger in memory and on disk differ in", 0, memcmp(row, l->sums, sizeof row) != 0,
            books_advice);
    verify_equal(v, "recipients: in minus out, and waiting", ledger_recipients(l->sums), a->rcpt_rows, books_advice);
    verify_equal(v, "messages: in minus out, and waiting", ledger_messages(l->sums), a->message_rows, books_advice);
    verify_equal(v, "recipients that failed, and told to the sender or to nobody",
        l->sums[LEDGER_FAILED] + l->sums[LEDGER_EXPIRED], l->sums[LEDGER_TOLD] + l->sums[LEDGER_UNTOLD],
        "a failure was not reported: report this, with the log");
    if (q->counts.complete)
        verify_equal(v, "recipients waiting, and as `queue summary` counts them", a->rcpt_rows,
            tally_sum(&q->counts.all), "the summary is wrong until the next start; no mail is touched");
    find(v, "recipients without a message", a->orphans, a->orphan_id, "delete them: staffetta queue delete ID");
    find(v, "messages without a recipient", a->empty, a->empty_id, "their recipients' rows were taken away");
    find(v, "messages whose body is not whole", a->cut, a->cut_id,
        "they cannot be delivered: put the database back, or delete them");
    verify_work(q, v);
}

/* ---- accepting ---- */

struct settle {
    struct op op;
    struct verification *verification;
    int64_t recipients, messages;
};

static bool settle_run(struct queue *q, struct op *op, struct err *err)
{
    const struct settle *s = CONTAINER(op, struct settle, op);

    (void)err;
    ledger_note(q, LEDGER_WRITTEN_OFF, s->recipients);
    ledger_note(q, LEDGER_WRITTEN_OFF_MESSAGES, s->messages);
    return true;
}

static void settle_done(struct queue *q, struct op *op)
{
    struct settle *s = CONTAINER(op, struct settle, op);

    (void)q;
    log_warning("written-off", "recipients=%" PRId64 " messages=%" PRId64 " reason=the administrator accepted it",
        s->recipients, s->messages);
    verify_release(s->verification);
    free(s);
}

static void settle_failed(struct queue *q, struct op *op, const struct err *err)
{
    struct settle *s = CONTAINER(op, struct settle, op);

    (void)q;
    verify_unknown(s->verification, "writing off", err->text);
    verify_release(s->verification);
    free(s);
}

static const struct op_type settle_type = {settle_run, settle_done, settle_failed, false};

static void write_off(struct queue *q, struct verification *v)
{
    int64_t recipients = ledger_recipients(q->ledger.sums) - q->audit.rcpt_rows;
    int64_t messages = ledger_messages(q->ledger.sums) - q->audit.message_rows;
    struct settle *s;

    if (recipients == 0 && messages == 0)
        return;
    s = xcalloc(1, sizeof *s);
    s->op.type = &settle_type;
    s->verification = v;
    s->recipients = recipients;
    s->messages = messages;
    verify_hold(v);
    batch_add(q, &s->op, BATCH_NOW, 0);
}

static void finish(struct queue *q, const struct err *err)
{
    struct audit *a = &q->audit;
    bool accepted = false; /* by one is enough: it is the same difference */
    struct link *first;

    while ((first = list_first(&a->waiting)) != NULL) {
        struct waiting *w = CONTAINER(first, struct waiting, link);

        list_remove(first);
        if (err != NULL)
            verify_unknown(w->verification, "the rows of the queue", err->text);
        else
            tell(q, w->verification);
        if (err == NULL && !accepted && verify_accepts(w->verification)) {
            write_off(q, w->verification);
            accepted = true;
        }
        verify_release(w->verification);
        free(w);
    }
    a->phase = AUDIT_IDLE;
}

/* ---- the walk ---- */

static bool walk_rcpts(struct audit *a, struct err *err)
{
    struct stmt *s = a->rcpts;
    unsigned rows = 0;

    stmt_int(s, (int64_t)a->at_message);
    stmt_int(s, (int64_t)a->at_n);
    stmt_int(s, RCPTS_A_TURN);
    for (; stmt_row(s); rows++) {
        a->at_message = (uint64_t)column_int(s, 0);
        a->at_n = (uint64_t)column_int(s, 1);
        if (column_int(s, 2) == 0) {
            a->orphans++;
            a->orphan_id = a->at_message;
        }
    }
    if (!stmt_done(s, err))
        return false;
    a->rcpt_rows += rows;
    if (rows < RCPTS_A_TURN) {
        a->phase = AUDIT_MESSAGES;
        a->at_message = 0;
    }
    return true;
}

static bool walk_messages(struct queue *q, struct err *err)
{
    struct audit *a = &q->audit;
    struct stmt *s = a->messages;
    int64_t rows = 0, bytes = 0;
    bool more;

    stmt_int(s, (int64_t)a->at_message);
    stmt_int(s, MESSAGES_A_TURN);
    for (; !(more = bytes >= BYTES_A_TURN || rows == MESSAGES_A_TURN) && stmt_row(s); rows++) {
        bytes += column_int(s, 3);
        a->at_message = (uint64_t)column_int(s, 0);
        if (column_int(s, 1) == 0) {
            a->empty++;
            a->empty_id = a->at_message;
        }
        if (column_int(s, 2) == 0) {
            a->cut++;
            a->cut_id = a->at_message;
        }
    }
    if (!stmt_done(s, err))
        return false;
    a->message_rows += rows;
    if (!more)
        finish(q, NULL);
    return true;
}

/* A million rows beside the work take minutes: who waits knows that it goes on. */
static void say_progress(struct audit *a)
{
    int64_t now = clock_monotonic();
    char text[100];

    if (now - a->said < SECOND)
        return;
    a->said = now;
    snprintf(text, sizeof text, "rows looked at: %" PRId64 " recipients, %" PRId64 " messages",
        a->rcpt_rows, a->message_rows);
    LIST_EACH(&a->waiting, it)
        verify_progress(CONTAINER(it, struct waiting, link)->verification, text);
}

void audit_turn(struct queue *q)
{
    struct err err = {0};

    if (q->audit.phase == AUDIT_IDLE)
        return;
    say_progress(&q->audit);
    if (!(q->audit.phase == AUDIT_RCPTS ? walk_rcpts(&q->audit, &err) : walk_messages(q, &err)))
        finish(q, &err);
}

int64_t audit_wake_in(const struct queue *q)
{
    return q->audit.phase == AUDIT_IDLE ? INT64_MAX : 0;
}
