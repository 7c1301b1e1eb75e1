/* The group commit over open account databases: who waits, when all is committed and synced, what fails
 * together, and sweeping in the background. See boxes.h. */
#include "boxes_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* Microseconds, except for the last three. */
enum { FLUSH_SLICE = 10000, FLUSH_LATEST = 100000, FLUSH_SHARE = 5, FLUSH_WAITERS = 1000, SYNC_TOGETHER = 8 };

static struct metric syncs = METRIC_COUNTER("staffetta_mailbox_syncs_total",
    "Syncs of account databases, of one or of many together.");
static struct metric sync_time = METRIC_HISTOGRAM("staffetta_mailbox_sync_seconds", "Time of one sync.");
static struct metric failures = METRIC_COUNTER("staffetta_mailbox_storage_failures_total",
    "Transactions of account databases that failed.");

void flush_show_metrics(void)
{
    metric_show(&sync_time);
}

/* ---- waiters ---- */

static void mark_dirty(struct box *box)
{
    struct boxes *b = box->boxes;

    if (!link_in_list(&box->dirty))
        list_add_last(&b->dirty, &box->dirty);
    if (b->dirty_since == 0)
        b->dirty_since = clock_monotonic();
}

static bool begin(struct box *box, struct err *err)
{
    if (!box->broken ? store_begin(box->store, err) : err_set(err, ERR_TEMPORARY, "the disk failed"))
        return true;
    box_fail(box, err);
    return false;
}

bool box_begin(struct box *box, struct err *err)
{
    if (!box_wake(box, err) || !box_commit_promised(box, err) || !begin(box, err))
        return false;
    box->mixed = true;
    return true;
}

bool box_begin_addition(struct box *box, struct err *err)
{
    if (!box_wake(box, err) || !begin(box, err))
        return false;
    box->mixed |= box->adding; /* somebody began and recorded nothing */
    box->adding = true;
    return true;
}

void box_batch(struct box *box, struct waiter *w)
{
    box_unwait(box, w);
    list_add_last(&box->batch, &w->link);
    w->counted = true;
    box->boxes->waiters++;
    box->boxes->hurry |= w->hurry;
    mark_dirty(box);
}

void box_writing(struct box *box, struct waiter *w)
{
    box_unwait(box, w);
    list_add_last(&box->writing, &w->link);
    w->counted = false;
    mark_dirty(box);
}

void box_unwait(struct box *box, struct waiter *w)
{
    if (link_in_list(&w->link) && w->counted)
        box->boxes->waiters--;
    list_remove(&w->link);
}

void box_touch(struct box *box)
{
    mark_dirty(box);
}

void box_watch(struct box *box, struct box_watcher *w)
{
    list_add_last(&box->watchers, &w->link);
}

bool box_is_settled(const struct box *box)
{
    return !box->broken && !link_in_list(&box->dirty) && !store_in_transaction(box->store);
}

/* A waiter may leave the box in its done(), the caller keeps the box alive; or wait again, which is not told of now. */
static void tell(struct box *box, struct list *waiters, bool stored, const struct err *err)
{
    struct list now;

    list_init(&now);
    for (struct link *it; (it = list_first(waiters)) != NULL;) {
        list_remove(it);
        list_add_last(&now, it);
    }
    for (struct link *it; (it = list_first(&now)) != NULL;) {
        struct waiter *w = CONTAINER(it, struct waiter, link);

        box_unwait(box, w);
        w->done(w, stored, err);
    }
}

static void tell_watchers(struct box *box)
{
    LIST_EACH(&box->watchers, it)
        CONTAINER(it, struct box_watcher, link)->changed(CONTAINER(it, struct box_watcher, link));
}

size_t list_length(const struct list *l)
{
    size_t n = 0;

    LIST_EACH(l, it)
        n++;
    return n;
}

void box_fail(struct box *box, const struct err *err)
{
    metric_add(&failures, 1);
    log_warning("mailbox-failed", "account=%" PRId64 " reason=%s", box->account, err->text);
    if (box->deferred > 0) { /* the next handle takes what was promised from the log */
        box->broken = true;
        box_unlog(box, false);
    }
    box->deferred = box->deferred_bytes = 0;
    box_forget_records(box);
    store_rollback(box->store);
    box->rollbacks++;
    box_hold(box);
    tell(box, &box->batch, false, err);
    tell(box, &box->writing, false, err);
    tell_watchers(box);
    box_leave(box);
}

/* ---- flush ---- */

static bool commit_box(struct box *box, struct err *err)
{
    bool uncovered = box->mixed || box->adding || box->records.n > 0;

    if (box->held)
        return true;
    if (box->broken ? !err_set(err, ERR_TEMPORARY, "the disk failed") : !store_commit(box->store, err)) {
        box_fail(box, err);
        return false;
    }
    box->uncovered |= uncovered;
    box->deferred = box->deferred_bytes = 0;
    box_forget_records(box);
    LIST_EACH(&box->batch, it) {
        list_remove(it);
        list_add_last(&box->committed, it);
    }
    if (store_has_loose(box->store))
        box->boxes->maybe_loose = true;
    return true;
}

bool box_commit_promised(struct box *box, struct err *err)
{
    return box->deferred == 0 || commit_box(box, err);
}

static void tell_synced(struct box *box, bool synced, const struct err *err)
{
    if (synced) {
        store_synced(box->store);
        box->uncovered = false;
    }
    if (box->deferred == 0)
        box_unlog(box, synced);
    tell(box, &box->committed, synced, err);
    if (synced)
        box_search_synced(box);
    tell_watchers(box);
}

static bool sync_box(struct box *box, struct err *err)
{
    int64_t start = clock_monotonic();
    bool synced = store_sync(box->store, err);

    metric_add(&syncs, 1);
    metric_observe(&sync_time, clock_monotonic() - start);
    if (!synced) {
        box->broken = true;
        log_error("mailbox-sync", "account=%" PRId64 " reason=%s", box->account, err->text);
    }
    tell_synced(box, synced, err);
    return synced;
}

/* Out of the list of dirty ones, unless something of it is still open. */
static void clean_box(struct box *box)
{
    if (!box->held && list_empty(&box->batch) && list_empty(&box->committed) && !box->in_group)
        list_remove(&box->dirty);
}

/* Dirty again when its waiters have begun something. */
static void stay_dirty(struct box *box)
{
    list_remove(&box->dirty);
    if (box->held || store_in_transaction(box->store) || !list_empty(&box->batch))
        list_add_last(&box->boxes->dirty, &box->dirty);
}

void box_tell_promised(struct box *box, bool commit)
{
    struct err err = {0};

    box_hold(box);
    tell(box, &box->promised, true, NULL);
    box_search_synced(box);
    tell_watchers(box);
    if (commit && !store_in_transaction(box->store) && !box_commit_promised(box, &err))
        log_debug("mailbox-commit", "account=%" PRId64 " failed", box->account);
    stay_dirty(box);
    box_leave(box);
}

bool box_settle(struct box *box, struct err *err)
{
    bool settled;

    if (box->held)
        return err_set(err, ERR_TEMPORARY, "another session is in the middle of a change");
    box_hold(box);
    settled = commit_box(box, err) && sync_box(box, err);
    clean_box(box);
    box_leave(box);
    return settled;
}

int64_t boxes_due(const struct boxes *b)
{
    int64_t delay = b->last_flush * (FLUSH_SHARE - 1), drain = additions_due(b);

    if (delay > FLUSH_LATEST)
        delay = FLUSH_LATEST;
    if (b->dirty_since == 0)
        return drain;
    if (b->waiters >= FLUSH_WAITERS || b->this_flush > 0)
        return 0;
    return b->dirty_since + delay < drain ? b->dirty_since + delay : drain;
}

bool boxes_may_hurry(struct boxes *b, bool *again)
{
    bool alone = b->hurry && b->waiters == b->seen;

    *again |= b->hurry && !alone;
    b->seen = b->waiters;
    return alone;
}

static void commit_all(struct boxes *b)
{
    struct err err = {0};

    LIST_EACH(&b->dirty, it) {
        struct box *box = CONTAINER(it, struct box, dirty);

        if ((store_in_transaction(box->store) || !list_empty(&box->batch) || box->deferred > 0) && !commit_box(box, &err))
            log_debug("mailbox-commit", "account=%" PRId64 " failed", box->account);
    }
}

/* Synced, or to be synced now; then out of the list, unless something of it is still open, or somebody who was told waits
 * for the next one. */
static void flush_box(struct box *box, bool synced)
{
    struct err err = {0};

    box_hold(box);
    if (synced && !box->elsewhere && !box->broken)
        tell_synced(box, true, NULL);
    else if (!box->held || !list_empty(&box->committed) || link_in_list(&box->logged))
        (void)sync_box(box, &err);
    stay_dirty(box);
    box_leave(box);
}

/* One call for all that is dirty in the file system: much cheaper than one for each database. Where it
 * is not possible or failed, each database is synced and knows its own failures. */
static bool sync_file_system(struct boxes *b, size_t dirty)
{
    int64_t start = clock_monotonic();

    if (dirty < SYNC_TOGETHER || b->fd < 0)
        return false;
    if (syncfs(b->fd) != 0) {
        log_warning("syncfs", "reason=%s", strerror(errno));
        if (errno == EPERM || errno == ENOSYS) {
            close(b->fd);
            b->fd = -1;
        }
        return false;
    }
    metric_add(&syncs, 1);
    metric_observe(&sync_time, clock_monotonic() - start);
    return true;
}

/* Syncs boxes until the time is over; true when each had its turn. Held ones stay dirty. */
static bool sync_all(struct boxes *b, int64_t until)
{
    size_t count = list_length(&b->dirty);
    bool synced = sync_file_system(b, count);

    LIST_EACH(&b->dirty, it) {
        flush_box(CONTAINER(it, struct box, dirty), synced);
        if (--count == 0)
            return true;
        if (!synced && clock_monotonic() >= until)
            return false;
    }
    return true;
}

static bool only_held(const struct boxes *b)
{
    LIST_EACH(&b->dirty, it)
        if (!CONTAINER(it, struct box, dirty)->held)
            return false;
    return true;
}

static bool flush(struct boxes *b, int64_t within)
{
    int64_t start = clock_monotonic();
    bool all;

    if (additions_due(b) <= start)
        additions_drain(b);
    additions_flush(b, SYNC_TOGETHER);
    commit_all(b);
    all = sync_all(b, start + within);
    b->this_flush += clock_monotonic() - start;
    if (!all)
        return false;
    additions_drained(b);
    b->last_flush = b->this_flush;
    b->this_flush = 0;
    b->hurry = false;
    b->dirty_since = only_held(b) ? 0 : clock_monotonic();
    return true;
}

bool boxes_flush(struct boxes *b)
{
    return flush(b, FLUSH_SLICE);
}

void boxes_finish(struct boxes *b)
{
    additions_drain(b);
    while (!only_held(b) && !flush(b, INT64_MAX / 2))
        ;
    additions_drained(b);
    additions_clear(b);
}

/* ---- sweeping ---- */

static bool sweep_box(struct box *box)
{
    struct err err = {0};
    bool more;

    if (!box_begin(box, &err))
        return false;
    if (!store_sweep(box->store, &more, &err)) {
        box_fail(box, &err);
        return false;
    }
    mark_dirty(box);
    return true;
}

bool boxes_sweep(struct boxes *b)
{
    if (!b->maybe_loose)
        return false;
    for (struct map_node *n = map_walk(&b->map, NULL); n != NULL; n = map_walk(&b->map, n)) {
        struct box *box = CONTAINER(n, struct box, node);

        if (box->store == NULL || !store_has_loose(box->store) || box->held || box->broken || box->removed)
            continue;
        if (sweep_box(box))
            return true;
        break; /* tried again when some box is opened or left */
    }
    b->maybe_loose = false;
    return false;
}

bool boxes_wants_sweep(const struct boxes *b)
{
    return b->maybe_loose;
}
