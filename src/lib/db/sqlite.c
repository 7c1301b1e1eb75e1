/* The SQLite driver: opening, transactions, durability. Statements are in sqlite_stmt.c.
 *
 * Files: NAME.db, and while it is open NAME.db-wal (the log of commits) and NAME.db-shm (its index,
 * made anew after a crash). Pages of 16 KB; with DB_SYNC_LATER (many small databases) of 4 KB.
 * After db_exclude_others the index is in the memory of the process, and the lock on NAME.db is the process's own as
 * long as it has the file open: SQLite's `unix-excl`. The kernel takes it back when the process ends, however it does.
 *
 * What a crash (of the process or the machine) leaves behind, and why it is right:
 *
 * Names. SQLite fsyncs the folder with the first sync of a log, and says nothing when that fails. Therefore each
 * handle fsyncs it once itself, when database and log are there: before SQLite does, since the kernel tells an error
 * once, and before anything is promised. A new database whose name vanishes before that is made again by the next
 * start; a log without its database is no more than a remnant, and SQLite removes it.
 *
 * Commits. A commit appends pages to the log, each with a checksum over all before it, the last one
 * marked. After a crash SQLite reads the log up to the last marked page whose chain of checksums
 * holds: always a whole number of commits, always the first ones; nothing torn or out of order.
 *
 * DB_SYNC_FULL (synchronous=FULL). COMMIT returns after the log is fsynced. If that fsync fails the
 * commit has failed and the next one writes over its pages in the log; a crash before that next
 * commit may bring it back, so "failed" then means "not promised", never "half done".
 *
 * DB_SYNC_LATER (synchronous=NORMAL). COMMIT does not wait; db_sync fsyncs the log. That is enough:
 * what is no longer in the log went into the database file by a checkpoint, and a checkpoint fsyncs
 * the log before it copies and the database before it lets the log be reused. A new process cannot
 * know whether its predecessor synced, so the first db_sync after db_open always does it. When an
 * fsync fails the kernel may have forgotten the pages, and a second fsync would say "done" about
 * nothing. Therefore such a failure is remembered: every later transaction and sync of this handle
 * fails, until the process is restarted and the caller repeats what it had not promised.
 *
 * What an fsync failed to write can be read back from memory until the power goes, also by the next process, and a
 * later fsync says nothing of it. A commit that follows it in the log would be promised, and be lost with it; a
 * checkpoint would copy it into the database file as if the log were there to finish the copy after a loss of power
 * in the middle, and leave a database that is neither old nor new. Therefore nothing is built on a log that a process
 * before this one left: db_open writes its bytes once more, as they are, and fsyncs them. For the same reason a handle
 * whose sync failed makes no checkpoint any more, not when it is closed either.
 *
 * Checkpoints run at every 4000 pages of log (1000 with DB_SYNC_LATER, by db_commit itself) and at close. */
#include "db/sqlite.h"

#include "base/clock.h"
#include "base/folder.h"
#include "db/driver.h"
#include "db/sqlite_checked.h"
#include "db/sqlite_gather.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_PAGES = 1000 }; /* of 4 KB, before a checkpoint, with DB_SYNC_LATER */

static bool excludes_others;

/* What a result code means for the reader of the message, and what to do about it. */
static const struct meaning {
    int code;
    enum err_kind kind;
    const char *text;
} meanings[] = {
    {SQLITE_FULL, ERR_TEMPORARY, "disk full: free space on its file system"},
    {SQLITE_NOTADB, ERR_DAMAGED, "not a database, or damaged: restore it from a backup"},
    {SQLITE_CORRUPT, ERR_DAMAGED, "the database is damaged: restore it from a backup"},
    {SQLITE_BUSY, ERR_TEMPORARY, "locked by another process: try again when that has finished"},
    {SQLITE_LOCKED, ERR_TEMPORARY, "locked by another statement"},
    {SQLITE_PROTOCOL, ERR_TEMPORARY, "locked by another process: try again when that has finished"},
    {SQLITE_READONLY, ERR_PERMANENT,
        "cannot be written: check the owner and mode of the file and its folder"},
    {SQLITE_PERM, ERR_PERMANENT,
        "access refused: check the owner and mode of the file and its folder"},
    {SQLITE_CANTOPEN, ERR_TEMPORARY,
        "cannot be opened: check that its folder exists and belongs to this user"},
    {SQLITE_IOERR, ERR_TEMPORARY, "input/output error: check the disk and the kernel's log"},
    {SQLITE_TOOBIG, ERR_LIMIT, "value too large for a row"},
    {SQLITE_CONSTRAINT, ERR_PERMANENT, "constraint"},
};

static const struct meaning *meaning_of(int code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].code == code)
            return &meanings[i];
    return NULL;
}

bool sqlite_failed(struct db *db, int rc, struct err *err)
{
    const struct meaning *m = meaning_of(rc & 0xff);
    int system_errno = sqlite3_system_errno(db->raw);

    if ((rc & 0xff) == SQLITE_NOMEM)
        fatal("out of memory in %s", db->path);
    if ((rc & 0xff) == SQLITE_IOERR && system_errno == ENOSPC)
        m = meaning_of(SQLITE_FULL);
    if (m == NULL)
        return err_set(err, ERR_PERMANENT, "%s: %s", db->path, sqlite3_errmsg(db->raw));
    if (m->code == SQLITE_CONSTRAINT)
        return err_set(err, m->kind, "%s: %s", db->path, sqlite3_errmsg(db->raw));
    if ((m->code == SQLITE_IOERR || m->code == SQLITE_CANTOPEN) && system_errno != 0)
        return err_set(err, m->kind, "%s: %s (%s)", db->path, m->text, strerror(system_errno));
    return err_set(err, m->kind, "%s: %s", db->path, m->text);
}

bool sqlite_usable(struct db *db, struct err *err)
{
    if (db->in_transaction && sqlite3_get_autocommit(db->raw))
        return err_set(
            err, ERR_TEMPORARY, "%s: the transaction was undone by an earlier failure", db->path);
    return true;
}

static bool run(struct db *db, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(db->raw, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK || sqlite_failed(db, rc, err);
}

/* One number from a query of our own. */
static bool ask(struct db *db, const char *sql, int64_t *value, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->raw, sql, -1, &s, NULL);

    *value = 0;
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        *value = sqlite3_column_int64(s, 0);
        rc = SQLITE_OK;
    } else if (rc == SQLITE_DONE) {
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_OK)
        sqlite_failed(db, rc, err);
    sqlite3_finalize(s);
    return rc == SQLITE_OK;
}

/* Two processes that open a new database at once may get BUSY here without the busy handler being
 * asked. */
static bool switch_to_wal(struct db *db, int busy_ms, struct err *err)
{
    int64_t until = clock_monotonic() + busy_ms * (SECOND / 1000);
    int rc;

    for (;;) {
        rc = sqlite3_exec(db->raw, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if ((rc & 0xff) != SQLITE_BUSY || clock_monotonic() >= until)
            break;
        sqlite3_sleep(5);
    }
    return rc == SQLITE_OK || sqlite_failed(db, rc, err);
}

static void configure(struct db *db)
{
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db->raw, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
}

static bool prepare_for_writing(struct db *db, int busy_ms, struct err *err)
{
    bool later = db->sync == DB_SYNC_LATER;

    /* secure_delete=FAST clears deleted content where that costs no further write. */
    if (!run(db, later ? "PRAGMA page_size = 4096" : "PRAGMA page_size = 16384", err) ||
        !run(db, "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = FAST",
            err) ||
        !switch_to_wal(db, busy_ms, err))
        return false;
    /* What is read again soon is little; the rest the kernel has. A commit may hold more than the cache: written early,
     * pages would be written twice. */
    return run(db,
        later ? "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024;"
                "PRAGMA journal_size_limit = 16777216"
              : "PRAGMA synchronous = FULL; PRAGMA cache_size = -1024; PRAGMA cache_spill = 256;"
                "PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864",
        err);
}

static int on_logged(void *arg, sqlite3 *raw, const char *name, int pages)
{
    struct db *db = arg;

    (void)raw;
    (void)name;
    db->log_pages = pages;
    return SQLITE_OK;
}

/* A path as the url of a file that does not change. Two slashes at its start are no name of a host. */
static void write_immutable(struct buf *url, const char *path)
{
    buf_add(url, path[0] == '/' ? STR("file://") : STR("file:"));
    for (const char *p = path; *p; p++)
        if (*p == '%' || *p == '?' || *p == '#')
            buf_addf(url, "%%%02x", (unsigned)*p);
        else
            buf_add_char(url, *p);
    buf_addf(url, "?immutable=1%c", 0);
}

static bool open_raw(struct db **out, const char *path, int flags, const char *vfs, int busy_ms, struct err *err)
{
    struct db *db = xcalloc(1, sizeof *db);
    struct buf url;
    int rc;

    buf_init(&url, 64 * 1024);
    if (flags & SQLITE_OPEN_URI)
        write_immutable(&url, path);

    db->path = xstrndup(path, strlen(path));
    db->named = strcmp(path, ":memory:") == 0; /* no name to sync */
    list_init(&db->stmts);
    rc = sqlite3_open_v2(flags & SQLITE_OPEN_URI ? url.p : path, &db->raw, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
    buf_clear(&url);
    /* SQLite opens for reading what it could not open for writing, also when only the moment was bad (no space, no memory):
     * a handle that stays would never write again. */
    if (rc == SQLITE_OK && flags & SQLITE_OPEN_READWRITE && sqlite3_db_readonly(db->raw, "main") == 1)
        rc = SQLITE_READONLY;
    if (rc != SQLITE_OK) {
        sqlite_failed(db, rc, err);
        db_close(db);
        return false;
    }
    sqlite3_busy_timeout(db->raw, busy_ms);
    configure(db);
    *out = db;
    return true;
}

static sqlite3_file *log_of(struct db *db)
{
    sqlite3_file *file = NULL;

    sqlite3_file_control(db->raw, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    return file != NULL && file->pMethods != NULL ? file : NULL;
}

/* Of the database and its log. */
static bool sync_names(struct db *db, struct err *err)
{
    db->named = db->named || folder_sync_parent(db->path, err);
    return db->named;
}

static bool sync_file(struct db *db, sqlite3_file *file, struct err *err)
{
    if (!sync_names(db, err))
        return false;
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK ||
           err_set(err, ERR_TEMPORARY, "%s: sync failed: check the disk, then restart the server", db->path);
}

static bool write_again(struct db *db, sqlite3_file *log, struct err *err)
{
    enum { PIECE = 65536 };
    char *piece = xcalloc(1, PIECE);
    sqlite3_int64 size = 0;
    bool done = log->pMethods->xFileSize(log, &size) == SQLITE_OK;

    for (sqlite3_int64 at = 0; done && at < size; at += PIECE) {
        int n = size - at < PIECE ? (int)(size - at) : PIECE;

        done = log->pMethods->xRead(log, piece, n, at) == SQLITE_OK &&
               log->pMethods->xWrite(log, piece, n, at) == SQLITE_OK;
    }
    free(piece);
    if (!done)
        return err_set(err, ERR_TEMPORARY, "%s: its log cannot be written: check the disk and the kernel's log", db->path);
    return size == 0 || sync_file(db, log, err);
}

/* Whatever a process before this one left in the log is made durable: see the head of the file. The write lock keeps
 * the log as it is meanwhile. Where another process has that lock it is alive and knows what it synced. */
static bool renew_log(struct db *db, struct err *err)
{
    int rc = sqlite3_exec(db->raw, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    sqlite3_file *log;
    bool done;

    if (rc != SQLITE_OK)
        return (rc & 0xff) == SQLITE_BUSY || sqlite_failed(db, rc, err);
    log = log_of(db);
    done = log == NULL || write_again(db, log, err);
    return run(db, "ROLLBACK", done ? err : NULL) && done;
}

static bool open_checked(struct db *db)
{
    int bytes = SQLITE_CHECKED_BYTES;

    return sqlite3_file_control(db->raw, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes) == SQLITE_OK;
}

static bool open_to_write(struct db **out, const char *path, enum db_sync sync, const char *vfs, bool checked, int busy_ms,
    struct err *err)
{
    struct db *db;

    *out = NULL;
    if (!open_raw(&db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs, busy_ms, err))
        return false;
    db->sync = sync;
    db->unsynced = true;
    if (sync == DB_SYNC_LATER)
        sqlite3_wal_hook(db->raw, on_logged, db);
    if ((checked && !open_checked(db)) || !prepare_for_writing(db, busy_ms, err) || !renew_log(db, err) ||
        (sync == DB_SYNC_FULL && !sync_names(db, err))) {
        db_close(db);
        return false;
    }
    *out = db;
    return true;
}

bool db_open(struct db **out, const char *path, enum db_sync sync, int busy_ms, struct err *err)
{
    return open_to_write(out, path, sync, sqlite_gather_vfs(), false, busy_ms, err);
}

bool db_open_derived(struct db **out, const char *path, struct err *err)
{
    return open_to_write(out, path, DB_SYNC_LATER, sqlite_checked_vfs(), true, 1000, err);
}

void db_exclude_others(void)
{
    sqlite3_vfs *alone = sqlite3_vfs_find("unix-excl");

    if (alone == NULL || sqlite3_vfs_register(alone, 1) != SQLITE_OK)
        fatal("SQLite cannot keep a database to one process");
    excludes_others = true;
}

static bool open_to_read(struct db **out, const char *path, int flags, struct err *err)
{
    struct db *db;

    *out = NULL;
    if (!open_raw(&db, path, flags, NULL, 1000, err))
        return false;
    if (!run(db,
            "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;"
            "SELECT count(*) FROM sqlite_schema",
            err)) {
        db_close(db);
        return false;
    }
    *out = db;
    return true;
}

bool db_open_read_only(struct db **out, const char *path, struct err *err)
{
    /* A file that could not be written would ask the kernel for a lock of a reader: in the place of the one this process has. */
    return open_to_read(out, path, excludes_others ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, err);
}

bool db_open_immutable(struct db **out, const char *path, struct err *err)
{
    return open_to_read(out, path, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
}

bool db_keep_view(struct db *db, struct err *err)
{
    return run(db, "BEGIN; SELECT count(*) FROM sqlite_schema", err);
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    sqlite_free_statements(db);
    if (db->sync_failed)
        sqlite3_db_config(db->raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (sqlite3_close(db->raw) != SQLITE_OK)
        fatal("%s: closed while statements are in use", db->path);
    free(db->path);
    free(db);
}

/* After a failed fsync nothing that this handle writes can be promised: see the head of the file.
 */
static bool sync_trusted(struct db *db, struct err *err)
{
    if (db->sync_failed)
        return err_set(err, ERR_TEMPORARY,
            "%s: an earlier sync failed: check the disk, then restart the server", db->path);
    return true;
}

bool db_begin(struct db *db, struct err *err)
{
    if (db->in_transaction)
        fatal("%s: transaction inside a transaction", db->path);
    if (!sync_trusted(db, err) || !run(db, "BEGIN IMMEDIATE", err))
        return false;
    db->in_transaction = true;
    return true;
}

static bool sync_log(struct db *db, struct err *err)
{
    sqlite3_file *file = log_of(db);

    if (file == NULL)
        sqlite3_file_control(db->raw, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (file == NULL || file->pMethods == NULL)
        return err_set(err, ERR_PERMANENT, "%s: no file to sync", db->path);
    if (sync_file(db, file, err))
        return true;
    db->sync_failed = true;
    return false;
}

/* DB_SYNC_LATER. SQLite's own would hide that the log's fsync failed, and a db_sync after it would succeed. What
 * fails later is tried again with the next one; the log has everything until then. */
static bool checkpoint(struct db *db, struct err *err)
{
    db->log_pages = 0;
    if (!sync_log(db, err))
        return false;
    sqlite3_wal_checkpoint_v2(db->raw, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return true;
}

bool db_commit(struct db *db, struct err *err)
{
    if (!db->in_transaction)
        fatal("%s: commit without a transaction", db->path);
    if (!sqlite_usable(db, err) || !sync_trusted(db, err) || !run(db, "COMMIT", err)) {
        db_rollback(db);
        return false;
    }
    db->in_transaction = false;
    return db->log_pages < LOG_PAGES || checkpoint(db, err);
}

void db_rollback(struct db *db)
{
    /* A rollback only forgets; if SQLite has done it already there is nothing left to do. */
    if (!sqlite3_get_autocommit(db->raw))
        sqlite3_exec(db->raw, "ROLLBACK", NULL, NULL, NULL);
    if (!sqlite3_get_autocommit(db->raw))
        fatal("%s: cannot roll back: %s", db->path, sqlite3_errmsg(db->raw));
    db->in_transaction = false;
}

bool db_in_transaction(const struct db *db)
{
    return db->in_transaction;
}

bool db_sync(struct db *db, struct err *err)
{
    int64_t ignored;

    if (db->sync == DB_SYNC_FULL || !db->unsynced)
        return true;
    if (!sync_trusted(db, err))
        return false;
    /* A read makes sure that the log is open, also where a process before us wrote it. */
    if (!ask(db, "SELECT count(*) FROM sqlite_schema", &ignored, err) || !sync_log(db, err))
        return false;
    db->unsynced = db->in_transaction;
    return true;
}

bool db_exec(struct db *db, const char *sql, struct err *err)
{
    if (!sqlite_usable(db, err))
        return false;
    db->unsynced = true;
    return run(db, sql, err);
}

static bool check(struct db *db, const char *how, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->raw, how, -1, &s, NULL);
    bool sound = false;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(s, 0);

        sound = text != NULL && strcmp(text, "ok") == 0;
        if (!sound)
            err_set(err, ERR_DAMAGED, "%s: damaged (%s): restore it from a backup", db->path,
                text == NULL ? "?" : text);
    } else {
        sqlite_failed(db, rc, err);
    }
    sqlite3_finalize(s);
    return sound;
}

bool db_check_integrity(struct db *db, struct err *err)
{
    return check(db, "PRAGMA integrity_check(1)", err);
}

bool db_check_pages(struct db *db, struct err *err)
{
    return check(db, "PRAGMA quick_check(1)", err);
}

bool db_data_version(struct db *db, int64_t *version, struct err *err)
{
    return ask(db, "PRAGMA data_version", version, err);
}

bool db_size(struct db *db, int64_t *used, int64_t *unused, struct err *err)
{
    int64_t size, count, free_pages;

    *used = *unused = 0;
    if (!ask(db, "PRAGMA page_size", &size, err) || !ask(db, "PRAGMA page_count", &count, err) ||
        !ask(db, "PRAGMA freelist_count", &free_pages, err))
        return false;
    *unused = free_pages * size;
    *used = (count - free_pages) * size;
    return true;
}

bool driver_has_table(struct db *db, const char *name, bool *found, struct err *err)
{
    char sql[200];
    int64_t n;

    snprintf(sql, sizeof sql,
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '%s'", name);
    if (!ask(db, sql, &n, err))
        return false;
    *found = n > 0;
    return true;
}

char *sqlite_translate(const char *text)
{
    static const struct driver_words words = {
        .id = "INTEGER PRIMARY KEY", .blob = "BLOB", .clustered = "WITHOUT ROWID", .like = "LIKE"};

    return driver_translate(text, &words);
}

bool driver_run_schema(struct db *db, const char *text, struct err *err)
{
    char *sql = sqlite_translate(text);
    bool done = db_exec(db, sql, err);

    free(sql);
    return done;
}
