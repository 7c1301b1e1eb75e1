/* See box_search.h. The box at the head of the list `filling` is worked on until its index knows everything. */
#include "box_search.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "boxes_private.h"

#include <inttypes.h>
#include <unistd.h>

enum {
    REST = 200 * 1000, /* after a sync, or work of a session, more may come */
    GAP = 60 * 1000,   /* between two turns of filling while there is such work */
    RETRY = MINUTE,    /* after a failure */
};

static struct metric indexes_open = METRIC_GAUGE("staffetta_mailbox_search_indexes_open", "Full-text indexes open.");
static struct metric turns = METRIC_COUNTER("staffetta_mailbox_search_turns_total", "Turns of filling full-text indexes.");
static struct metric failures = METRIC_COUNTER("staffetta_mailbox_search_failures_total",
    "Failures of full-text indexes; the messages were read instead.");

/* ---- opening and closing ---- */

static void close_index(struct box *box)
{
    if (box->index == NULL)
        return;
    search_index_close(box->index);
    box->index = NULL;
    list_remove(&box->indexed);
    metric_add(&indexes_open, -1);
}

/* Closes the one opened longest ago. */
static void make_room(struct boxes *b)
{
    size_t n = 0;

    LIST_EACH(&b->indexed, it)
        n++;
    if (n >= BOX_SEARCH_OPEN)
        close_index(CONTAINER(list_first(&b->indexed), struct box, indexed));
}

static bool is_wanted(const struct box *box)
{
    int64_t from = box->boxes->index_from;

    return from > 0 && box->searchers > 0 && box->store != NULL && !box->broken && !box->removed && store_totals(box->store).messages >= from;
}

static void open_index(struct box *box)
{
    static uint64_t serial;
    char path[BOX_PATH_ROOM];
    struct err err = {0};

    make_room(box->boxes);
    files_search_path(box->boxes, box->account, path);
    if (!search_index_open(&box->index, path, box->store, box->account, &err)) {
        box_search_failed(box, &err);
        return;
    }
    box->index_serial = ++serial;
    list_add_last(&box->boxes->indexed, &box->indexed);
    metric_add(&indexes_open, 1);
}

static void want_fill(struct box *box, int64_t when)
{
    struct boxes *b = box->boxes;

    if (list_empty(&b->filling) && b->fill_due < when) /* who is under way is not put off again and again */
        b->fill_due = when;
    if (!link_in_list(&box->filling))
        list_add_last(&b->filling, &box->filling);
}

void box_search_failed(struct box *box, const struct err *err)
{
    char path[BOX_PATH_ROOM];

    metric_add(&failures, 1);
    log_warning("search-index", "account=%" PRId64 " reason=%s", box->account, err->text);
    close_index(box);
    if (err->kind == ERR_TEMPORARY || err->kind == ERR_LIMIT) {
        box->index_retry = clock_monotonic() + RETRY;
        return;
    }
    files_search_path(box->boxes, box->account, path);
    search_index_remove(path);
}

void box_search_check(struct box *box, struct search_index_size *size)
{
    char path[BOX_PATH_ROOM];
    struct err err = {0};

    *size = (struct search_index_size){0};
    files_search_path(box->boxes, box->account, path);
    box_search_enter(box);
    if (is_wanted(box) && box->index == NULL && access(path, F_OK) == 0)
        open_index(box);
    if (box->index != NULL && (!search_index_check(box->index, &err) || !search_index_size(box->index, size, &err)))
        box_search_failed(box, &err);
    box_search_leave(box);
}

void box_search_remake(struct box *box)
{
    char path[BOX_PATH_ROOM];

    close_index(box);
    files_search_path(box->boxes, box->account, path);
    search_index_remove(path);
    box->index_retry = 0;
    if (is_wanted(box))
        want_fill(box, 0);
}

/* ---- sessions ---- */

void box_search_enter(struct box *box)
{
    box->searchers++;
    if (is_wanted(box))
        want_fill(box, clock_monotonic() + REST);
}

void box_search_rest(struct box *box)
{
    struct err err = {0};

    list_remove(&box->filling);
    if (box->index != NULL && !search_index_commit(box->index, &err))
        box_search_failed(box, &err);
    close_index(box);
}

void box_search_leave(struct box *box)
{
    if (--box->searchers == 0)
        box_search_rest(box);
}

void box_search_synced(struct box *box)
{
    if (is_wanted(box))
        want_fill(box, clock_monotonic() + REST);
}

/* Its folder was looked at before, or can be now: what the store shows is on disk. */
static bool knows(struct box *box, struct folder *f)
{
    struct err err = {0};

    if (search_index_upto(box->index, f) > 0)
        return true;
    if (!box_is_settled(box))
        return false;
    if (search_index_verify(box->index, f, &err))
        return search_index_upto(box->index, f) > 0;
    box_search_failed(box, &err);
    want_fill(box, 0);
    return false;
}

struct search_index *box_search(struct box *box, struct folder *f, uint32_t *upto, uint64_t *serial)
{
    if (!is_wanted(box) || box->index_retry > clock_monotonic())
        return NULL;
    if (box->index == NULL)
        open_index(box);
    if (box->index == NULL || !knows(box, f))
        return NULL;
    *upto = search_index_upto(box->index, f);
    *serial = box->index_serial;
    return box->index;
}

/* ---- filling ---- */

static struct box *next_box(const struct boxes *b, int64_t now)
{
    LIST_EACH(&b->filling, it) {
        struct box *box = CONTAINER(it, struct box, filling);

        if (box->index_retry <= now && box_is_settled(box))
            return box;
    }
    return NULL;
}

void boxes_are_busy(struct boxes *b)
{
    b->busy_at = clock_monotonic();
}

/* While clients and mail keep the process busy the indexes get a turn now and then, so that they are filled in the end. */
static int64_t turn_due(const struct boxes *b)
{
    int64_t rested = b->busy_at + REST, waited = b->filled_at + GAP;
    int64_t polite = rested < waited ? rested : waited;

    return polite > b->fill_due ? polite : b->fill_due;
}

int64_t boxes_fill_due(const struct boxes *b)
{
    int64_t now = clock_monotonic(), due = turn_due(b);

    if (list_empty(&b->filling))
        return INT64_MAX;
    if (due > now || next_box(b, now) != NULL)
        return due;
    return now + SECOND; /* they wait for a flush, or for another try */
}

static void fill_box(struct box *box, int64_t until)
{
    struct err err = {0};
    bool more = true;

    if (!is_wanted(box)) {
        list_remove(&box->filling);
        return;
    }
    if (box->index == NULL)
        open_index(box);
    if (box->index != NULL && !search_index_fill(box->index, until, &more, &err))
        box_search_failed(box, &err);
    if (!more)
        list_remove(&box->filling);
}

void boxes_fill(struct boxes *b, int64_t within)
{
    int64_t start = clock_monotonic();
    struct box *box = next_box(b, start);

    if (box == NULL)
        return;
    fill_box(box, start + within);
    metric_add(&turns, 1);
    b->filled_at = clock_monotonic();
    b->fill_due = 2 * b->filled_at - start;
}
