/* Open account databases. See boxes.h; their files are in box_files.c, the group commit in flush.c. */
#include "boxes_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <inttypes.h>
#include <stdlib.h>

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
    list_init(&b->idle);
    list_init(&b->dirty);
    list_init(&b->filling);
    list_init(&b->indexed);
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
    return b->map.count;
}

/* ---- opening and closing ---- */

static void close_box(struct box *box)
{
    struct boxes *b = box->boxes;

    map_remove(&b->map, &box->node);
    list_remove(&box->lru);
    list_remove(&box->dirty);
    list_remove(&box->filling);
    box_search_close(box);
    store_close(box->store);
    if (box->removed)
        files_delete(b, box->account);
    free(box);
    metric_set(&open_now, (int64_t)b->map.count);
}

void boxes_free(struct boxes *b)
{
    struct map_node *node;

    if (b == NULL)
        return;
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

/* May it be closed to make room? */
static bool is_idle(const struct box *box)
{
    return box->users == 0 && !link_in_list(&box->dirty);
}

static void make_room(struct boxes *b)
{
    LIST_EACH(&b->idle, it) {
        struct box *box = CONTAINER(it, struct box, lru);

        if (b->map.count < b->most)
            return;
        if (is_idle(box))
            close_box(box);
    }
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

static struct box *open_box(struct boxes *b, int64_t account, struct err *err)
{
    struct box *box;
    struct store *store;
    bool elsewhere;

    make_room(b);
    if (!files_open_store(b, account, &store, &elsewhere, err)) {
        metric_add(&failures, 1);
        return NULL;
    }
    box = xcalloc(1, sizeof *box);
    box->boxes = b;
    box->account = account;
    box->store = store;
    box->elsewhere = elsewhere;
    list_init(&box->writing);
    list_init(&box->batch);
    list_init(&box->committed);
    list_init(&box->watchers);
    map_add(&b->map, &box->node, map_hash_number((uint64_t)account));
    list_add_last(&b->idle, &box->lru);
    metric_add(&opened, 1);
    metric_set(&open_now, (int64_t)b->map.count);
    tidy(b, box);
    return box;
}

void box_hold(struct box *box)
{
    list_remove(&box->lru);
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
    if (box == NULL)
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
    if (store_has_loose(box->store))
        box->boxes->maybe_loose = true;
    if (--box->users > 0)
        return;
    if (box->removed && !link_in_list(&box->dirty))
        close_box(box);
    else
        list_add_last(&box->boxes->idle, &box->lru);
}

void boxes_remove(struct boxes *b, int64_t account)
{
    struct box *box = boxes_find(b, account);
    struct err err = {0};

    if (box == NULL) {
        files_delete(b, account);
        return;
    }
    box->removed = true;
    err_set(&err, ERR_PERMANENT, "the account was removed");
    box_hold(box);
    box_fail(box, &err);
    box_leave(box);
}
