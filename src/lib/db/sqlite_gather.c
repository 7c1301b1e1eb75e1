/* See sqlite_gather.h. A process gathers for one log at a time, in one buffer: the log of a transaction that is not at its end yet
 * may keep it, and others are written through.
 *
 * Gathered is what makes the log longer. What is written again inside it goes straight to the file: a transaction too large for the
 * cache changes pages it has logged already, and once its last page is written gives all its headers new checksums, the
 * one that ends the commit too.
 *
 * Of the log SQLite writes: its header; for each page a header of 24 bytes, with the size of the database in the page that ends a
 * commit and 0 in all others, and the page. A commit is shown to others (and to the connection itself) after that last
 * write. Pages of a transaction that is too large for the cache come before; only the connection itself may read these,
 * by xRead.
 *
 * What fails. The write that ends a commit: nothing is kept, SQLite undoes the transaction, as it does when one of its
 * pages alone fails. Any other: what was gathered stays and is written by the next call, since the transaction it
 * belongs to may live. */
#include "db/sqlite_gather.h"
#include "db/sqlite_layer.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { FRAME_HEADER = 24, GATHER_MOST = 0x1ffff /* SQLite's own layer takes no more in one call */ };

struct log_file {
    struct layer_file base;
    bool ends;          /* the page that comes next ends a commit */
    sqlite3_int64 end;  /* behind all that was written since the log began anew */
};

static sqlite3_vfs *below;
static sqlite3_io_methods methods;

static struct {
    struct log_file *of; /* NULL: the buffer is free */
    sqlite3_int64 at;
    int n;
    unsigned char bytes[GATHER_MOST];
} gathered;

static struct log_file *log_of(sqlite3_file *f)
{
    return (struct log_file *)(void *)f;
}

static void forget(const struct log_file *log)
{
    if (gathered.of == log)
        gathered.of = NULL;
}

static int write_gathered(const struct log_file *log)
{
    int rc;

    if (gathered.of != log)
        return SQLITE_OK;
    rc = log->base.real->pMethods->xWrite(log->base.real, gathered.bytes, gathered.n, gathered.at);
    if (rc == SQLITE_OK)
        forget(log);
    return rc;
}

/* True when it was taken. */
static bool gather(struct log_file *log, const void *p, int n, sqlite3_int64 at)
{
    if (gathered.of == NULL && n <= GATHER_MOST) {
        gathered.of = log;
        gathered.at = at;
        gathered.n = 0;
    }
    if (gathered.of != log || at != gathered.at + gathered.n || n > GATHER_MOST - gathered.n)
        return false;
    memcpy(gathered.bytes + gathered.n, p, (size_t)n);
    gathered.n += n;
    return true;
}

/* The header of the page that ends a commit. */
static bool is_last_header(const unsigned char *p, int n)
{
    return n == FRAME_HEADER && (p[4] | p[5] | p[6] | p[7]) != 0;
}

static int put(struct log_file *log, const void *p, int n, sqlite3_int64 at)
{
    bool longer = at == 0 || at >= log->end;
    int rc;

    if (longer && gather(log, p, n, at))
        return SQLITE_OK;
    rc = write_gathered(log);
    if (rc != SQLITE_OK)
        return rc;
    return longer && gather(log, p, n, at) ? SQLITE_OK : log->base.real->pMethods->xWrite(log->base.real, p, n, at);
}

static void note_end(struct log_file *log, int n, sqlite3_int64 at)
{
    if (at == 0 || at + n > log->end)
        log->end = at + n;
}

static int g_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    struct log_file *log = log_of(f);
    bool ended = log->ends;
    int rc = put(log, p, n, at);

    log->ends = is_last_header(p, n) && (at == 0 || at >= log->end);
    if (rc == SQLITE_OK)
        note_end(log, n, at);
    if (!ended)
        return rc;
    if (rc == SQLITE_OK)
        rc = write_gathered(log);
    forget(log);
    return rc;
}

static int g_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    int rc = write_gathered(log_of(f));

    return rc == SQLITE_OK ? sqlite_layer_real(f)->pMethods->xRead(sqlite_layer_real(f), p, n, at) : rc;
}

static int g_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int rc = write_gathered(log_of(f));

    return rc == SQLITE_OK ? sqlite_layer_real(f)->pMethods->xTruncate(sqlite_layer_real(f), size) : rc;
}

static int g_sync(sqlite3_file *f, int flags)
{
    int rc = write_gathered(log_of(f));

    return rc == SQLITE_OK ? sqlite_layer_real(f)->pMethods->xSync(sqlite_layer_real(f), flags) : rc;
}

static int g_size(sqlite3_file *f, sqlite3_int64 *size)
{
    int rc = write_gathered(log_of(f));

    return rc == SQLITE_OK ? sqlite_layer_real(f)->pMethods->xFileSize(sqlite_layer_real(f), size) : rc;
}

/* What was gathered for a transaction that did not end is not missed. */
static int g_close(sqlite3_file *f)
{
    forget(log_of(f));
    return sqlite_layer_methods.xClose(f);
}

/* Only logs are ours. */
static int g_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return below->xOpen(below, name, f, flags, out);
    log_of(f)->ends = false;
    log_of(f)->end = 0;
    return sqlite_layer_open(below, name, f, sizeof(struct log_file), flags, out, &methods);
}

const char *sqlite_gather_vfs(void)
{
    static sqlite3_vfs layer;

    if (below == NULL) {
        below = sqlite3_vfs_find(NULL);
        methods = sqlite_layer_methods;
        methods.xClose = g_close;
        methods.xRead = g_read;
        methods.xWrite = g_write;
        methods.xTruncate = g_truncate;
        methods.xSync = g_sync;
        methods.xFileSize = g_size;
        sqlite_layer_register(&layer, below, "gather", sizeof(struct log_file), g_open);
    }
    return layer.zName;
}
