/* Open account databases: which are open, and for how long. See boxes.h; their files are in box_files.c, the group commit in flush.c. */
#include "boxes_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>

/* A session that waits keeps its database open for the first, an account without session for the second; and how many
 * that are in use are looked at to find one that can be closed. */
enum { REST_AFTER = 10000000, CLOSE_AFTER = 60000000, LOOKS_MOST = 50 };
/* How often and for how long at a time that is looked for. */
enum { TIDY_EVERY = 5000000, TIDY_SOON = 50000, TIDY_SLICE = 5000 };

static struct metric rested = METRIC_COUNTER("staffetta_mailbox_databases_rested_total",
    "Account databases closed while sessions wait.");
static struct metric opened = METRIC_COUNTER("staffetta_mailbox_databases_opened_total", "Account databases opened.");
static struct metric open_now = METRIC_GAUGE("staffetta_mailbox_databases_open", "Account databases open.");
static struct metric failures = METRIC_COUNTER("staffetta_mailbox_open_failures_total",
    "Account databases that could not be opened.");

struct boxes *boxes_new(struct str folder, unsigned copy, size_t most, int64_t keep)
{
    struct boxes *b = xcalloc(1, sizeof *b);

    b->most = most;
    b->keep = keep;
    map_init(&b->map);
    list_init(&b->lru);
    list_init(&b->dirty);
    list_init(&b->filling);
    list_init(&b->indexed);
    list_init(&b->restoring);
    list_init(&b->logged);
    list_init(&b->pending);
    files_open(b, folder, copy);
    metric_show(&open_now);
    metric_show(&failures);
    flush_show_metrics();
    return b;
}

void boxes_set_keep(struct boxes *b, int64_t keep)
{
    b->keep = keep;
}

void boxes_set_index_from(struct boxes *b, int64_t messages)
{
    b->index_from = messages;
}

size_t boxes_open(const struct boxes *b)
{
    return b->open;
}

/* ---- opening and closing ---- */

static void close_store(struct box *box)
{
    struct boxes *b = box->boxes;

    if (box->store == NULL)
        return;
    box_search_rest(box);
    box_unlog(box, false);
    box_forget_records(box);
    store_close(box->store);
    box->store = NULL;
    list_remove(&box->lru);
    b->open--;
    metric_set(&open_now, (int64_t)b->open);
}

static void close_box(struct box *box)
{
    struct boxes *b = box->boxes;

    map_remove(&b->map, &box->node);
    list_remove(&box->dirty);
    close_store(box);
    if (box->removed)
        files_delete(b, box->account);
    str_free(&box->address);
    free(box);
}

void boxes_free(struct boxes *b)
{
    struct map_node *node;

    if (b == NULL)
        return;
    additions_close(b);
    while ((node = map_walk(&b->map, NULL)) != NULL)
        close_box(CONTAINER(node, struct box, node));
    map_clear(&b->map);
    files_close(b);
    free(b);
}

struct box *boxes_find(struct boxes *b, int64_t account)
{
    for (struct map_node *n = map_find(&b->map, map_hash_number((uint64_t)account)); n != NULL;
         n = map_find_next(n)) {
        struct box *box = CONTAINER(n, struct box, node);

        if (box->account == account)
            return box;
    }
    return NULL;
}

static bool is_idle(const struct box *box)
{
    return box->users == 0 && !link_in_list(&box->dirty) && (!link_in_list(&box->logged) || box->broken);
}

/* All its users are sessions that wait for their clients, and nothing of it is under way. */
static bool may_rest(const struct box *box)
{
    size_t watchers = 0;

    if (box->index != NULL && link_in_list(&box->filling)) /* a while yet */
        return false;
    if (box->held > 0 || box->removed || !box_is_settled(box) || link_in_list(&box->logged) || !list_empty(&box->writing) || !list_empty(&box->batch) ||
        !list_empty(&box->committed) || !list_empty(&box->promised) || store_has_loose(box->store))
        return false;
    LIST_EACH(&box->watchers, it) {
        struct box_watcher *w = CONTAINER(it, struct box_watcher, link);

        if (++watchers > box->users || !w->may_rest(w))
            return false;
    }
    return watchers == box->users;
}

/* False: somebody needs it. */
static bool put_away(struct box *box)
{
    if (is_idle(box)) {
        close_box(box);
        return true;
    }
    if (box->users == 0 || !may_rest(box))
        return false;
    LIST_EACH(&box->watchers, it)
        CONTAINER(it, struct box_watcher, link)->rests(CONTAINER(it, struct box_watcher, link));
    close_store(box);
    metric_add(&rested, 1);
    return true;
}

/* Those in use are looked at, a few at a time, and stand behind the others then. */
static void make_room(struct boxes *b)
{
    size_t looks = LOOKS_MOST;

    LIST_EACH(&b->lru, it) {
        struct box *box = CONTAINER(it, struct box, lru);

        if (b->open < b->most || looks-- == 0)
            return;
        if (put_away(box))
            continue;
        list_remove(&box->lru);
        list_add_last(&b->lru, &box->lru);
    }
}

static bool is_unused(const struct box *box, int64_t now)
{
    return now - box->last_used >= (box->users > 0 ? REST_AFTER : CLOSE_AFTER);
}

int64_t boxes_tidy(struct boxes *b)
{
    int64_t now = clock_monotonic(), until = now + TIDY_SLICE;
    bool all = true;

    additions_retry(b);
    LIST_EACH(&b->lru, it) {
        struct box *box = CONTAINER(it, struct box, lru);

        all = clock_monotonic() < until;
        if (!all)
            break;
        if (is_unused(box, now) && put_away(box))
            b->given_back = true;
    }
    if (all && b->given_back) {
        malloc_trim(0); /* pages of many databases */
        b->given_back = false;
    }
    return now + (all ? TIDY_EVERY : TIDY_SOON);
}

/* What happened to be left over, once a time the database is opened. */
static void tidy(struct boxes *b, struct box *box)
{
    struct err err = {0};

    if (store_has_loose(box->store))
        b->maybe_loose = true;
    if (!store_begin(box->store, &err) ||
        !store_prune(box->store, clock_now() - b->keep, &err) || !store_commit(box->store, &err)) {
        store_rollback(box->store);
        log_warning("mailbox-tidy", "account=%" PRId64 " reason=%s", box->account, err.text);
    }
}

static void used(struct box *box)
{
    box->last_used = clock_monotonic();
    list_remove(&box->lru);
    list_add_last(&box->boxes->lru, &box->lru);
}

static bool open_store(struct box *box, struct err *err)
{
    struct boxes *b = box->boxes;

    make_room(b);
    if (!files_open_store(b, box->account, &box->store, &box->elsewhere, err)) {
        metric_add(&failures, 1);
        return false;
    }
    if (!additions_take(b, box->account, box->store, err)) {
        metric_add(&failures, 1);
        store_close(box->store);
        box->store = NULL;
        return false;
    }
    box->uncovered = true;
    box->deferred = box->deferred_bytes = 0;
    b->open++;
    metric_add(&opened, 1);
    metric_set(&open_now, (int64_t)b->open);
    tidy(b, box);
    return true;
}

static struct box *open_box(struct boxes *b, int64_t account, struct err *err)
{
    struct box *box = xcalloc(1, sizeof *box);

    box->boxes = b;
    box->account = account;
    list_init(&box->writing);
    list_init(&box->batch);
    list_init(&box->committed);
    list_init(&box->promised);
    list_init(&box->watchers);
    if (!open_store(box, err)) {
        free(box);
        return NULL;
    }
    map_add(&b->map, &box->node, map_hash_number((uint64_t)account));
    return box;
}

void box_set_address(struct box *box, struct str address)
{
    if (str_eq(box->address, address))
        return;
    str_free(&box->address);
    box->address = str_dup(address);
}

bool box_wake(struct box *box, struct err *err)
{
    bool was_closed = box->store == NULL;

    if (was_closed && box->removed)
        return err_set(err, ERR_TEMPORARY, "the account is being removed");
    if (was_closed && !open_store(box, err))
        return false;
    used(box);
    if (was_closed)
        LIST_EACH(&box->watchers, it)
            CONTAINER(it, struct box_watcher, link)->woken(CONTAINER(it, struct box_watcher, link));
    if (was_closed)
        box_search_synced(box);
    return true;
}

void box_hold(struct box *box)
{
    box->users++;
}

struct box *boxes_enter(struct boxes *b, int64_t account, struct err *err)
{
    struct box *box = boxes_find(b, account);

    if (box != NULL && box->broken && is_idle(box)) { /* opening it makes what the sync left durable, or fails */
        close_box(box);
        box = NULL;
    }
    if (box == NULL)
        box = open_box(b, account, err);
    if (box == NULL || !box_wake(box, err))
        return NULL;
    if (box->removed || box->broken) {
        err_set(err, ERR_TEMPORARY, box->removed ? "the account is being removed" : "the disk failed");
        return NULL;
    }
    box_hold(box);
    return box;
}

struct box *boxes_enter_existing(struct boxes *b, int64_t account, struct err *err)
{
    if (boxes_find(b, account) == NULL && !files_exist(b, account)) {
        err_set(err, ERR_PERMANENT, "the account has no mailbox yet");
        return NULL;
    }
    return boxes_enter(b, account, err);
}

void box_leave(struct box *box)
{
    if (box->store != NULL && store_has_loose(box->store))
        box->boxes->maybe_loose = true;
    if (--box->users > 0)
        return;
    if (box->store == NULL || (box->removed && !link_in_list(&box->dirty)))
        close_box(box);
}

bool boxes_let_go(struct boxes *b, int64_t account)
{
    struct box *box = boxes_find(b, account);
    struct err err = {0};

    if (box == NULL)
        return true;
    if (box->removed) /* it closes itself */
        return false;
    if (!box->broken && box->store != NULL) {
        if (link_in_list(&box->logged) && !box_settle(box, &err))
            log_warning("mailbox-settle", "account=%" PRId64 " reason=%s", account, err.text);
        err_set(&err, ERR_TEMPORARY, "the mailbox is being restored");
        box_hold(box);
        box_fail(box, &err);
        box_leave(box);
    }
    box->broken = true;
    if (!is_idle(box))
        return false;
    close_box(box);
    return true;
}

void boxes_remove(struct boxes *b, int64_t account)
{
    struct box *box = boxes_find(b, account);
    struct err err = {0};

    additions_forget(b, account);
    if (box == NULL) {
        files_delete(b, account);
        return;
    }
    box->removed = true;
    err_set(&err, ERR_PERMANENT, "the account was removed");
    box_hold(box);
    if (box->store != NULL)
        box_fail(box, &err);
    box_leave(box);
}
