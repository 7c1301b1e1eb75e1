/* The log of additions joined to the open databases: what is recorded, written by a flush, drained, and taken from the log after a
 * crash or a failure. docs/mailbox.md, The log of additions, says what that promises; the file is addition_log.c. */
#include "boxes_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "summary.h"

#include <inttypes.h>
#include <stdlib.h>

/* Bytes of one group, and of one transaction before it is committed; microseconds. */
enum { RECORDED_MOST = 1024 * 1024, KEPT_MOST = 256 * 1024, OPEN_MOST = 256 * 1024, DRAIN_AFTER = 2000000, RETRY_AFTER = 10000000, PREDECESSOR_ENDS = 5000000 };

static struct metric logged_total = METRIC_COUNTER("staffetta_mailbox_additions_total",
    "Messages promised by the log of additions.");
static struct metric drains = METRIC_COUNTER("staffetta_mailbox_additions_drains_total",
    "Times the databases were synced and the log of additions begun anew.");
static struct metric taken = METRIC_COUNTER("staffetta_mailbox_additions_taken_total",
    "Messages that a database took from the log of additions.");
static struct metric pending_now = METRIC_GAUGE("staffetta_mailbox_additions_pending",
    "Accounts that cannot take what the log of additions has for them.");

/* An account that has to take its records before it is used. */
struct pending {
    struct link link;
    int64_t account;
};

/* ---- who has to take something ---- */

static struct pending *find_pending(const struct boxes *b, int64_t account)
{
    LIST_EACH(&b->pending, it)
        if (CONTAINER(it, struct pending, link)->account == account)
            return CONTAINER(it, struct pending, link);
    return NULL;
}

bool additions_are_pending(const struct boxes *b, int64_t account)
{
    return find_pending(b, account) != NULL;
}

static void pend(struct boxes *b, int64_t account)
{
    struct pending *p;

    if (b->log == NULL || additions_are_pending(b, account))
        return;
    p = xcalloc(1, sizeof *p);
    p->account = account;
    list_add_last(&b->pending, &p->link);
    metric_add(&pending_now, 1);
    log_warning("additions-pending", "account=%" PRId64, account);
}

void additions_forget(struct boxes *b, int64_t account)
{
    struct pending *p = find_pending(b, account);

    if (p == NULL)
        return;
    list_remove(&p->link);
    free(p);
    metric_add(&pending_now, -1);
}

/* ---- taking ---- */

static bool put_content(struct store *s, const struct addition *a, struct err *err)
{
    struct summary *summary = summary_new();
    struct content_info info;
    bool put;

    summary_add(summary, a->bytes);
    summary_end(summary, &info);
    put = store_put(s, a->content, a->bytes, err) && store_info_put(s, a->content, &info, err);
    summary_free(summary);
    return put;
}

/* Unless the database has it, or has nothing that it could belong to. */
static bool take_one(void *arg, const struct addition *a, struct err *err)
{
    struct store *s = arg;
    struct folder *f = store_folder_by_id(s, a->folder);
    struct store_new n = {.content = a->content, .size = (int64_t)a->bytes.n, .received = a->received, .flags = a->flags,
        .features = a->features, .more = a->more, .saved = a->saved};
    bool was = false;

    if (f == NULL || f->uidvalidity != a->uidvalidity || a->uid < f->now.uidnext || a->uid > UINT32_MAX)
        return true;
    if (a->mark != 0 && !store_was_delivered(s, a->mark, &was, err))
        return false;
    if (was)
        return true;
    metric_add(&taken, 1);
    return (a->mark == 0 || store_remember(s, a->mark, err)) && put_content(s, a, err) &&
           store_message_add_again(s, f, (uint32_t)a->uid, a->modseq, &n, err);
}

/* Of the last scan. Durable then. */
static bool take(struct boxes *b, int64_t account, struct store *store, struct err *err)
{
    bool done = store_begin(store, err) && addition_log_walk(b->log, account, take_one, store, err) && store_commit(store, err) &&
                store_sync(store, err);

    if (!done)
        store_rollback(store);
    return done;
}

bool additions_take(struct boxes *b, int64_t account, struct store *store, struct err *err)
{
    bool done;

    if (!additions_are_pending(b, account))
        return true;
    done = addition_log_scan(b->log, err) && take(b, account, store, err);
    addition_log_forget_scan(b->log);
    if (!done)
        return err_prefix(err, "account %" PRId64 ": the log of additions", account);
    additions_forget(b, account);
    log_info("additions-taken", "account=%" PRId64, account);
    return true;
}

static bool take_closed(struct boxes *b, int64_t account, struct err *err)
{
    struct store *store = NULL;
    bool elsewhere, done;

    if (!files_exist(b, account))
        return true;
    if (!files_open_store(b, account, &store, &elsewhere, err))
        return false;
    done = take(b, account, store, err);
    store_close(store);
    return done;
}

static void take_all(struct boxes *b)
{
    struct err err = {0};
    size_t accounts = 0;

    for (int64_t account = 0; (account = addition_log_next_account(b->log, account)) != 0; accounts++)
        if (!take_closed(b, account, &err)) {
            log_error("additions-not-taken", "account=%" PRId64 " reason=%s", account, err.text);
            pend(b, account);
        }
    addition_log_forget_scan(b->log);
    if (accounts > 0)
        log_info("additions-taken", "accounts=%zu messages=%" PRId64, accounts, taken.value);
}

void additions_retry(struct boxes *b)
{
    LIST_EACH(&b->pending, it) {
        int64_t account = CONTAINER(it, struct pending, link)->account;
        struct box *box = boxes_find(b, account);
        struct err err = {0};

        if (!files_exist(b, account))
            additions_forget(b, account);
        else if ((box == NULL || box->users == 0) && !boxes_are_restoring(b, account) && (box = boxes_enter(b, account, &err)) != NULL)
            box_leave(box);
    }
}

/* ---- life ---- */

void boxes_use_log(struct boxes *b, unsigned copy, unsigned copies)
{
    struct err err = {0};

    metric_show(&logged_total);
    metric_show(&pending_now);
    buf_init(&b->group, ADDITION_GROUP_MAX);
    if (!addition_log_open(&b->log, b->folder, copy, copies, PREDECESSOR_ENDS, &err) || !addition_log_scan(b->log, &err))
        fatal("the log of additions: %s", err.text); /* without it accounts would lack what was promised */
    take_all(b);
    additions_clear(b);
}

void additions_clear(struct boxes *b)
{
    struct err err = {0};

    if (b->log == NULL || !list_empty(&b->pending) || !list_empty(&b->logged))
        return;
    if (!addition_log_clear(b->log, &err)) /* to read it once more changes nothing */
        log_warning("additions-clear", "reason=%s", err.text);
}

void additions_close(struct boxes *b)
{
    for (struct link *it; (it = list_first(&b->pending)) != NULL;)
        additions_forget(b, CONTAINER(it, struct pending, link)->account);
    addition_log_close(b->log);
    b->log = NULL;
    buf_clear(&b->group);
}

/* ---- recording ---- */

static bool may_log(const struct box *box)
{
    const struct boxes *b = box->boxes;

    return b->log != NULL && !b->draining && list_empty(&b->pending) && !box->held && !box->mixed && !box->uncovered && !box->elsewhere &&
           !box->broken && !box->removed && (b->log_retry == 0 || b->log_retry <= clock_monotonic());
}

/* Their memory stays until the transaction ends. */
static void drop_records(struct box *box)
{
    box->boxes->recorded -= box->records.n;
    box->records.n = 0;
    box->records_count = 0;
}

void box_forget_records(struct box *box)
{
    drop_records(box);
    buf_clear(&box->records);
    box->mixed = box->adding = false;
}

void box_record(struct box *box, int64_t mark, struct str bytes)
{
    const struct store_added *added = store_last_added(box->store);
    const struct store_new *n = &added->message;
    struct boxes *b = box->boxes;
    size_t before = box->records.n;

    box->adding = false;
    if (!may_log(box) || b->recorded + bytes.n > RECORDED_MOST) {
        box->mixed = true;
        return;
    }
    if (box->records.capacity == 0)
        buf_init(&box->records, RECORDED_MOST);
    addition_write(&box->records, &(struct addition){box->account, added->folder->id, added->folder->uidvalidity, added->uid, added->modseq,
        n->received, n->saved, n->flags, n->features, n->content, mark, n->more, bytes});
    box->mixed = box->records.failed;
    box->records_count++;
    b->recorded += box->records.n - before;
}

/* ---- writing ---- */

static void note_logged(struct box *box)
{
    struct boxes *b = box->boxes;

    if (box->records.n == 0)
        return;
    metric_add(&logged_total, box->records_count);
    box->deferred += box->records_count;
    box->deferred_bytes += box->records.n;
    drop_records(box);
    if (link_in_list(&box->logged))
        return;
    if (list_empty(&b->logged))
        b->logged_since = clock_monotonic();
    list_add_last(&b->logged, &box->logged);
    b->logged_count++;
}

void box_unlog(struct box *box, bool synced)
{
    if (!link_in_list(&box->logged))
        return;
    list_remove(&box->logged);
    box->boxes->logged_count--;
    if (!synced && !box->removed)
        pend(box->boxes, box->account);
}

static bool is_loggable(const struct box *box)
{
    return may_log(box) && !box->adding && list_empty(&box->committed) && (!list_empty(&box->batch) || box->records.n > 0);
}

/* The records of all that can be logged, and how many boxes cannot. */
static size_t gather(struct boxes *b, uint32_t *count, size_t *others)
{
    size_t boxes = 0;

    *count = 0;
    *others = 0;
    if (b->group.failed)
        buf_clear(&b->group);
    b->group.n = 0;
    b->group.n = buf_reserve(&b->group, ADDITION_HEADER) != NULL ? ADDITION_HEADER : 0;
    LIST_EACH(&b->dirty, it) {
        struct box *box = CONTAINER(it, struct box, dirty);

        box->in_group = is_loggable(box);
        *others += !box->in_group;
        if (!box->in_group)
            continue;
        boxes++;
        *count += box->records_count;
        buf_add(&b->group, buf_str(&box->records));
    }
    return boxes;
}

static bool write_group(struct boxes *b, uint32_t count)
{
    struct err err = {0};

    if (count == 0)
        return true;
    if (b->group.failed || !addition_log_fits(b->log, b->group.n)) {
        additions_drain(b);
        return false;
    }
    if (addition_log_append(b->log, &b->group, count, &err))
        return true;
    log_warning("additions-not-logged", "reason=%s", err.text);
    b->log_retry = clock_monotonic() + RETRY_AFTER;
    additions_drain(b);
    return false;
}

/* They are promised: first all of them, since who is told may go on to another of these boxes. */
static void promise_group(struct boxes *b)
{
    LIST_EACH(&b->dirty, it) {
        struct box *box = CONTAINER(it, struct box, dirty);

        if (!box->in_group)
            continue;
        note_logged(box);
        store_logged(box->store);
        for (struct link *w; (w = list_first(&box->batch)) != NULL;) {
            list_remove(w);
            list_add_last(&box->promised, w);
        }
    }
}

static void tell_group(struct boxes *b)
{
    size_t left = list_length(&b->dirty);

    promise_group(b);
    LIST_EACH(&b->dirty, it) {
        struct box *box = CONTAINER(it, struct box, dirty);

        if (box->in_group) {
            box->in_group = false;
            box_tell_promised(box, box->deferred_bytes >= OPEN_MOST);
        }
        if (--left == 0)
            return;
    }
}

void additions_flush(struct boxes *b, size_t sync_together)
{
    uint32_t count;
    size_t others;

    if (b->log == NULL || b->draining)
        return;
    if (gather(b, &count, &others) > 0 && others < sync_together && write_group(b, count))
        tell_group(b);
    if (b->group.capacity > KEPT_MOST)
        buf_clear(&b->group);
}

/* ---- draining ---- */

int64_t additions_due(const struct boxes *b)
{
    if (list_empty(&b->logged))
        return INT64_MAX;
    return b->logged_count >= b->most / 2 ? 0 : b->logged_since + DRAIN_AFTER;
}

void additions_drain(struct boxes *b)
{
    b->draining = true;
    LIST_EACH(&b->logged, it)
        box_touch(CONTAINER(it, struct box, logged));
}

void additions_drained(struct boxes *b)
{
    if (!b->draining)
        return;
    b->draining = false;
    if (b->log == NULL || !list_empty(&b->logged) || !list_empty(&b->pending))
        return;
    metric_add(&drains, 1);
    addition_log_restart(b->log);
}
