/* The files of account databases: where they are, how a new one is made, how all of one go. */
#include "boxes_private.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/log.h"
#include "search_index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = BOX_PATH_ROOM };
static const int64_t predecessor_ends = 5 * SECOND;

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

void files_open(struct boxes *b, struct str folder, unsigned copy)
{
    struct stat about;

    b->folder = str_dup(folder);
    b->patient_until = clock_monotonic() + predecessor_ends;
    b->fd = open(b->folder.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->fd >= 0 && fstat(b->fd, &about) == 0)
        b->device = about.st_dev;
    make_empty(b, copy);
}

void files_close(struct boxes *b)
{
    str_free(&b->folder);
    buf_clear(&b->empty);
    if (b->fd >= 0)
        close(b->fd);
}

static void folder_of(const struct boxes *b, int64_t account, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%.*s/%02x", STR_ARG(b->folder), (unsigned)(account % BOX_FOLDERS));
}

static void path_of(const struct boxes *b, int64_t account, const char *suffix, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%.*s/%02x/%" PRId64 ".db%s", STR_ARG(b->folder),
        (unsigned)(account % BOX_FOLDERS), account, suffix);
}

void files_search_path(const struct boxes *b, int64_t account, char path[BOX_PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%.*s/%02x/%" PRId64 ".search", STR_ARG(b->folder), (unsigned)(account % BOX_FOLDERS), account);
}

void files_delete(const struct boxes *b, int64_t account)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".new", ".backup", ".restore", ".restore-wal", ".restore-shm",
        ".restore-journal"};
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
    files_search_path(b, account, path);
    search_index_remove(path);
    if (deleted)
        log_info("mailbox-deleted", "account=%" PRId64, account);
}

bool files_exist(const struct boxes *b, int64_t account)
{
    char path[PATH_ROOM];

    path_of(b, account, "", path);
    return access(path, F_OK) == 0;
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

/* The name appears when the bytes are on disk; it is on disk itself with the first db_sync, which syncs the folder. */
static bool create_file(const struct boxes *b, const char *path, struct err *err)
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

/* Its name must be on disk before a promise is made about what is in it; a process before this one may have died
 * just before that. */
static bool make_folder(struct boxes *b, int64_t account, const char *path, struct err *err)
{
    bool *named = &b->named[account % BOX_FOLDERS];

    *named = (*named && access(path, F_OK) == 0) || folder_make(path, 0700, err);
    return *named;
}

/* Soon after the start the process before this one may not be dead yet and have databases: it is waited for. Later whoever has
 * one is a program of the administrator's, which may keep it: only that account waits then. Milliseconds. */
static int patience(const struct boxes *b)
{
    int64_t left = b->patient_until - clock_monotonic();

    return left > 0 ? (int)(left / (SECOND / 1000)) : 0;
}

bool files_open_store(struct boxes *b, int64_t account, struct store **store, bool *elsewhere, struct err *err)
{
    char path[PATH_ROOM];
    struct stat about;

    folder_of(b, account, path);
    if (!make_folder(b, account, path, err))
        return false;
    *elsewhere = stat(path, &about) != 0 || about.st_dev != b->device;
    path_of(b, account, "", path);
    if (b->empty.n > 0 && access(path, F_OK) != 0 && errno == ENOENT && !create_file(b, path, err))
        return false;
    return store_open(store, path, account, patience(b), err);
}

/* ---- for restoring ---- */

bool boxes_are_restoring(const struct boxes *b, int64_t account)
{
    LIST_EACH(&b->restoring, it)
        if (CONTAINER(it, struct box_restoring, link)->account == account)
            return true;
    return false;
}

bool boxes_claim(struct boxes *b, struct box_restoring *r, int64_t account)
{
    if (boxes_are_restoring(b, account))
        return false;
    r->account = account;
    list_add_last(&b->restoring, &r->link);
    return true;
}

void boxes_path(const struct boxes *b, int64_t account, const char *suffix, char *path, size_t size)
{
    char whole[PATH_ROOM];

    path_of(b, account, suffix, whole);
    snprintf(path, size, "%s", whole);
}

bool boxes_exist(const struct boxes *b, int64_t account)
{
    return files_exist(b, account);
}

bool boxes_make_folder(struct boxes *b, int64_t account)
{
    char path[PATH_ROOM];
    struct err err = {0};

    folder_of(b, account, path);
    if (make_folder(b, account, path, &err))
        return true;
    log_warning("mailbox-folder", "reason=%s", err.text);
    return false;
}

void boxes_forget_derived(const struct boxes *b, int64_t account)
{
    char path[PATH_ROOM];

    files_search_path(b, account, path);
    search_index_remove(path);
}
