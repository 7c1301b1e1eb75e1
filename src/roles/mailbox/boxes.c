/* Open account databases and the group commit over them. See boxes.h. */
#include "boxes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLUSH_SLICE = 10000, FLUSH_LATEST = 100000, FLUSH_SHARE = 5, FLUSH_WAITERS = 1000, SYNC_TOGETHER = 8, PATH_ROOM = 4200 };

struct boxes {
    struct str folder;
    int fd;       /* of the folder, to sync its file system; -1: not possible */
    dev_t device; /* its file system */
    struct buf empty; /* a database without account: copied for new ones */
    size_t most;
    int64_t keep;
    struct map map;
    struct list idle;
    struct list dirty;
    size_t waiters;        /* in batches and committed */
    int64_t dirty_since;   /* monotonic, 0 for not at all */
    int64_t last_flush;    /* how long the last flush took */
    int64_t this_flush;    /* time spent so far in the one under way, 0 for none */
    bool maybe_loose;
};

static struct metric syncs = METRIC_COUNTER("staffetta_mailbox_syncs_total", "Syncs of account databases, of one or of many together.");
static struct metric sync_time = METRIC_HISTOGRAM("staffetta_mailbox_sync_seconds", "Time of one sync.");
static struct metric opened = METRIC_COUNTER("staffetta_mailbox_databases_opened_total", "Account databases opened.");
static struct metric open_now = METRIC_GAUGE("staffetta_mailbox_databases_open", "Account databases open.");
static struct metric failures = METRIC_COUNTER("staffetta_mailbox_storage_failures_total", "Transactions of account databases that failed.");

static bool read_file(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    char *room;

    while (fd >= 0 && (room = buf_reserve(out, 65536)) != NULL && (n = read(fd, room, 65536)) > 0)
        out->n += (size_t)n;
    if (fd >= 0)
        close(fd);
    return n == 0 || err_set(err, ERR_TEMPORARY, "%s: cannot be read", path);
}

/* SQLite needs many syncs to make a database; a copy needs one. Without it accounts are made slower. */
static void make_empty(struct boxes *b, unsigned copy)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char path[PATH_ROOM], file[PATH_ROOM + 16];
    struct err err = {0};

    buf_init(&b->empty, 4 * 1024 * 1024);
    snprintf(path, sizeof path, "%.*s/empty-%u.db", STR_ARG(b->folder), copy);
    unlink(path);
    if (!store_make_empty(path, &err) || !read_file(path, &b->empty, &err)) {
        log_warning("mailbox-empty", "reason=%s", err.text);
        buf_reset(&b->empty);
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(file, sizeof file, "%s%s", path, suffixes[i]);
        unlink(file);
    }
}

struct boxes *boxes_new(struct str folder, unsigned copy, size_t most, int64_t keep)
{
    struct boxes *b = xcalloc(1, sizeof *b);
    struct stat about;

    b->folder = str_dup(folder);
    b->fd = open(b->folder.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->fd >= 0 && fstat(b->fd, &about) == 0)
        b->device = about.st_dev;
    b->most = most;
    b->keep = keep;
    map_init(&b->map);
    list_init(&b->idle);
    list_init(&b->dirty);
    make_empty(b, copy);
    metric_show(&open_now);
    metric_show(&failures);
    return b;
}

void boxes_set_keep(struct boxes *b, int64_t keep)
{
    b->keep = keep;
}

size_t boxes_open(const struct boxes *b)
{
    return b->map.count;
}

/* ---- files ---- */

static void folder_of(const struct boxes *b, int64_t account, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%.*s/%02x", STR_ARG(b->folder), (unsigned)(account % 256));
}

static void path_of(const struct boxes *b, int64_t account, const char *suffix, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%.*s/%02x/%" PRId64 ".db%s", STR_ARG(b->folder),
        (unsigned)(account % 256), account, suffix);
}

static void delete_files(struct boxes *b, int64_t account)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".new"};
    char path[PATH_ROOM];
    bool deleted = false;

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        path_of(b, account, suffixes[i], path);
        if (unlink(path) == 0)
            deleted = true;
        else if (errno != ENOENT)
            log_error("mailbox-not-deleted", "account=%" PRId64 " file=%s reason=%s", account, path,
                strerror(errno));
    }
    if (deleted)
        log_info("mailbox-deleted", "account=%" PRId64, account);
}

/* ---- opening and closing ---- */

static void close_box(struct box *box)
{
    struct boxes *b = box->boxes;

    map_remove(&b->map, &box->node);
    list_remove(&box->lru);
    list_remove(&box->dirty);
    store_close(box->store);
    if (box->removed)
        delete_files(b, box->account);
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
    str_free(&b->folder);
    buf_clear(&b->empty);
    if (b->fd >= 0)
        close(b->fd);
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
    return box->users == 0 && !link_in_list(&box->dirty) && !box->broken;
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

/* A new folder's name must be on disk before a promise is made about what is in it. */
static bool sync_folder(const char *folder, struct err *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;

    if (!synced)
        err_set(err, ERR_TEMPORARY, "%s: cannot sync: %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    return synced;
}

static bool write_all(int fd, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n <= 0)
            return false;
        bytes = str_skip(bytes, (size_t)n);
    }
    return fdatasync(fd) == 0;
}

/* The name appears when the bytes are on disk; it is on disk itself with the first sync of the log,
 * which syncs the folder. */
static bool create_file(struct boxes *b, const char *path, struct err *err)
{
    char fresh[PATH_ROOM + 8];
    int fd;
    bool written;

    snprintf(fresh, sizeof fresh, "%s.new", path);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    written = fd >= 0 && write_all(fd, buf_str(&b->empty));
    if (!written)
        err_set(err, ERR_TEMPORARY, "%s: %s", fresh, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (written && rename(fresh, path) != 0)
        written = err_set(err, ERR_TEMPORARY, "%s: %s", path, strerror(errno));
    return written;
}

static bool open_store(struct boxes *b, int64_t account, struct store **store, struct err *err)
{
    char path[PATH_ROOM];

    folder_of(b, account, path);
    if (mkdir(path, 0700) != 0) {
        if (errno != EEXIST)
            return err_set(err, ERR_TEMPORARY, "%s: %s", path, strerror(errno));
    } else if (!sync_folder(b->folder.p, err)) {
        return false;
    }
    path_of(b, account, "", path);
    if (b->empty.n > 0 && access(path, F_OK) != 0 && errno == ENOENT && !create_file(b, path, err))
        return false;
    return store_open(store, path, account, err);
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
    char path[PATH_ROOM];
    struct stat about;

    make_room(b);
    if (!open_store(b, account, &store, err)) {
        metric_add(&failures, 1);
        return NULL;
    }
    box = xcalloc(1, sizeof *box);
    box->boxes = b;
    box->account = account;
    box->store = store;
    folder_of(b, account, path);
    box->elsewhere = stat(path, &about) != 0 || about.st_dev != b->device;
    list_init(&box->writing);
    list_init(&box->batch);
    list_init(&box->committed);
    map_add(&b->map, &box->node, map_hash_number((uint64_t)account));
    list_add_last(&b->idle, &box->lru);
    metric_add(&opened, 1);
    metric_set(&open_now, (int64_t)b->map.count);
    tidy(b, box);
    return box;
}

static void hold(struct box *box)
{
    list_remove(&box->lru);
    box->users++;
}

struct box *boxes_enter(struct boxes *b, int64_t account, struct err *err)
{
    struct box *box = boxes_find(b, account);

    if (box == NULL)
        box = open_box(b, account, err);
    if (box == NULL)
        return NULL;
    if (box->removed || box->broken) {
        err_set(err, ERR_TEMPORARY, box->removed ? "the account is being removed" : "the disk failed");
        return NULL;
    }
    hold(box);
    return box;
}

struct box *boxes_enter_existing(struct boxes *b, int64_t account, struct err *err)
{
    char path[PATH_ROOM];

    path_of(b, account, "", path);
    if (boxes_find(b, account) == NULL && access(path, F_OK) != 0) {
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
        delete_files(b, account);
        return;
    }
    box->removed = true;
    err_set(&err, ERR_PERMANENT, "the account was removed");
    hold(box);
    box_fail(box, &err);
    box_leave(box);
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

bool box_begin(struct box *box, struct err *err)
{
    if (store_begin(box->store, err))
        return true;
    box_fail(box, err);
    return false;
}

void box_batch(struct box *box, struct waiter *w)
{
    list_remove(&w->link);
    list_add_last(&box->batch, &w->link);
    box->boxes->waiters++;
    mark_dirty(box);
}

void box_writing(struct box *box, struct waiter *w)
{
    list_remove(&w->link);
    list_add_last(&box->writing, &w->link);
    mark_dirty(box);
}

void box_touch(struct box *box)
{
    mark_dirty(box);
}

/* A waiter may leave the box in its done(): the caller keeps the box alive. */
static void tell(struct list *waiters, bool stored, const struct err *err)
{
    struct link *first;

    while ((first = list_first(waiters)) != NULL) {
        struct waiter *w = CONTAINER(first, struct waiter, link);

        list_remove(&w->link);
        w->done(w, stored, err);
    }
}

static size_t list_length(const struct list *l)
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
    store_rollback(box->store);
    box->rollbacks++;
    box->boxes->waiters -= list_length(&box->batch);
    hold(box);
    tell(&box->batch, false, err);
    tell(&box->writing, false, err);
    box_leave(box);
}

/* ---- flush ---- */

static bool commit_box(struct box *box, struct err *err)
{
    if (box->held)
        return true;
    if (!store_commit(box->store, err)) {
        box_fail(box, err);
        return false;
    }
    LIST_EACH(&box->batch, it) {
        list_remove(it);
        list_add_last(&box->committed, it);
    }
    return true;
}

static void tell_synced(struct box *box, bool synced, const struct err *err)
{
    box->boxes->waiters -= list_length(&box->committed);
    tell(&box->committed, synced, err);
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
    if (!box->held && list_empty(&box->batch) && list_empty(&box->committed))
        list_remove(&box->dirty);
}

bool box_settle(struct box *box, struct err *err)
{
    bool settled;

    hold(box);
    settled = commit_box(box, err) && sync_box(box, err);
    clean_box(box);
    box_leave(box);
    return settled;
}

int64_t boxes_due(const struct boxes *b)
{
    int64_t delay = b->last_flush * (FLUSH_SHARE - 1);

    if (delay > FLUSH_LATEST)
        delay = FLUSH_LATEST;
    if (b->dirty_since == 0)
        return INT64_MAX;
    if (b->waiters >= FLUSH_WAITERS || b->this_flush > 0)
        return 0;
    return b->dirty_since + delay;
}

static void commit_all(struct boxes *b)
{
    struct err err = {0};

    LIST_EACH(&b->dirty, it) {
        struct box *box = CONTAINER(it, struct box, dirty);

        if (store_in_transaction(box->store) && !commit_box(box, &err))
            log_debug("mailbox-commit", "account=%" PRId64 " failed", box->account);
    }
}

/* Synced, or to be synced now; then out of the list, unless something of it is still open. */
static void flush_box(struct box *box, bool synced)
{
    struct err err = {0};

    hold(box);
    if (synced && !box->elsewhere)
        tell_synced(box, true, NULL);
    else if (!box->held || !list_empty(&box->committed))
        (void)sync_box(box, &err);
    list_remove(&box->dirty);
    if (box->held || store_in_transaction(box->store))
        list_add_last(&box->boxes->dirty, &box->dirty);
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

    commit_all(b);
    all = sync_all(b, start + within);
    b->this_flush += clock_monotonic() - start;
    if (!all)
        return false;
    b->last_flush = b->this_flush;
    b->this_flush = 0;
    b->dirty_since = only_held(b) ? 0 : clock_monotonic();
    return true;
}

bool boxes_flush(struct boxes *b)
{
    return flush(b, FLUSH_SLICE);
}

void boxes_finish(struct boxes *b)
{
    while (!only_held(b) && !flush(b, INT64_MAX / 2))
        ;
}

/* ---- sweeping ---- */

static bool sweep_box(struct box *box)
{
    struct err err = {0};
    bool more;

    if (!store_begin(box->store, &err) || !store_sweep(box->store, &more, &err)) {
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

        if (!store_has_loose(box->store) || box->held || box->broken || box->removed)
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
