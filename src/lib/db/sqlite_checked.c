/* See sqlite_checked.h. In WAL mode the database file is written a page at a time by checkpoints: there the checksum is
 * put into a copy of the page. Reads of less than a page (the first bytes of the header) are passed on as they are. */
#include "db/sqlite_checked.h"
#include "db/sqlite_gather.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LEAST_PAGE = 512, LARGEST_PAGE = 65536 };

struct checked_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *below;

static sqlite3_file *real(sqlite3_file *f)
{
    return ((struct checked_file *)(void *)f)->real;
}

static bool is_page(int n, sqlite3_int64 at)
{
    return n >= LEAST_PAGE && n <= LARGEST_PAGE && (n & (n - 1)) == 0 && at % n == 0;
}

/* Each step is one-to-one in the sum so far, so that a change of one word is always seen. */
static uint64_t checksum(const unsigned char *page, int n, sqlite3_int64 at)
{
    uint64_t sum = (uint64_t)at + UINT64_C(0x5bd1e995);

    for (int i = 0; i < n; i += 8) {
        uint64_t word;

        memcpy(&word, page + i, 8);
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 32;
    }
    return sum;
}

static int c_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    int rc = real(f)->pMethods->xRead(real(f), p, n, at);
    uint64_t kept;

    if (rc == SQLITE_IOERR_SHORT_READ && is_page(n, at) && at > 0) /* cut off: SQLite would take it for zeros */
        return SQLITE_CORRUPT;
    if (rc != SQLITE_OK || !is_page(n, at))
        return rc;
    memcpy(&kept, (const unsigned char *)p + n - SQLITE_CHECKED_BYTES, SQLITE_CHECKED_BYTES);
    return kept == checksum(p, n - SQLITE_CHECKED_BYTES, at) ? SQLITE_OK : SQLITE_CORRUPT;
}

static int c_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    static unsigned char page[LARGEST_PAGE];
    uint64_t sum;

    if (!is_page(n, at))
        return real(f)->pMethods->xWrite(real(f), p, n, at);
    memcpy(page, p, (size_t)n - SQLITE_CHECKED_BYTES);
    sum = checksum(page, n - SQLITE_CHECKED_BYTES, at);
    memcpy(page + n - SQLITE_CHECKED_BYTES, &sum, SQLITE_CHECKED_BYTES);
    return real(f)->pMethods->xWrite(real(f), page, n, at);
}

/* ---- the rest is passed on ---- */

static int c_close(sqlite3_file *f)
{
    sqlite3_file *r = real(f);

    return r->pMethods == NULL ? SQLITE_OK : r->pMethods->xClose(r);
}

static int c_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return real(f)->pMethods->xTruncate(real(f), size);
}

static int c_sync(sqlite3_file *f, int flags)
{
    return real(f)->pMethods->xSync(real(f), flags);
}

static int c_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real(f)->pMethods->xFileSize(real(f), size);
}

static int c_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}

static int c_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int c_reserved(sqlite3_file *f, int *out)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int c_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int c_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int c_device(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int c_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}

static int c_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void c_shm_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int c_shm_unmap(sqlite3_file *f, int delete_it)
{
    return real(f)->pMethods->xShmUnmap(real(f), delete_it);
}

static const sqlite3_io_methods methods = {.iVersion = 2,
    .xClose = c_close,
    .xRead = c_read,
    .xWrite = c_write,
    .xTruncate = c_truncate,
    .xSync = c_sync,
    .xFileSize = c_size,
    .xLock = c_lock,
    .xUnlock = c_unlock,
    .xCheckReservedLock = c_reserved,
    .xFileControl = c_control,
    .xSectorSize = c_sector,
    .xDeviceCharacteristics = c_device,
    .xShmMap = c_shm_map,
    .xShmLock = c_shm_lock,
    .xShmBarrier = c_shm_barrier,
    .xShmUnmap = c_shm_unmap};

/* Only the database file itself is ours. */
static int c_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
    struct checked_file *c = (struct checked_file *)(void *)f;
    int rc;

    (void)vfs;
    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return below->xOpen(below, name, f, flags, out);
    c->base.pMethods = NULL;
    c->real = (sqlite3_file *)(void *)(c + 1);
    c->real->pMethods = NULL;
    rc = below->xOpen(below, name, c->real, flags, out);
    if (c->real->pMethods != NULL)
        c->base.pMethods = &methods;
    return rc;
}

const char *sqlite_checked_vfs(void)
{
    static sqlite3_vfs layer;

    if (below == NULL) {
        below = sqlite3_vfs_find(sqlite_gather_vfs());
        layer = *below;
        layer.szOsFile = (int)sizeof(struct checked_file) + below->szOsFile;
        layer.zName = "checked";
        layer.xOpen = c_open;
        sqlite3_vfs_register(&layer, 0);
    }
    return layer.zName;
}
