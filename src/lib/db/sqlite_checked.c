/* See sqlite_checked.h. In WAL mode the database file is written a page at a time by checkpoints: there the checksum is
 * put into a copy of the page. Reads of less than a page (the first bytes of the header) are passed on as they are. */
#include "db/sqlite_checked.h"
#include "db/sqlite_gather.h"
#include "db/sqlite_layer.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LEAST_PAGE = 512, LARGEST_PAGE = 65536 };

static sqlite3_vfs *below;
static sqlite3_io_methods methods;

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
    int rc = sqlite_layer_real(f)->pMethods->xRead(sqlite_layer_real(f), p, n, at);
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
        return sqlite_layer_real(f)->pMethods->xWrite(sqlite_layer_real(f), p, n, at);
    memcpy(page, p, (size_t)n - SQLITE_CHECKED_BYTES);
    sum = checksum(page, n - SQLITE_CHECKED_BYTES, at);
    memcpy(page + n - SQLITE_CHECKED_BYTES, &sum, SQLITE_CHECKED_BYTES);
    return sqlite_layer_real(f)->pMethods->xWrite(sqlite_layer_real(f), page, n, at);
}

/* Only the database file itself is ours. */
static int c_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
    (void)vfs;
    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return below->xOpen(below, name, f, flags, out);
    return sqlite_layer_open(below, name, f, sizeof(struct layer_file), flags, out, &methods);
}

const char *sqlite_checked_vfs(void)
{
    static sqlite3_vfs layer;

    if (below == NULL) {
        below = sqlite3_vfs_find(sqlite_gather_vfs());
        methods = sqlite_layer_methods;
        methods.xRead = c_read;
        methods.xWrite = c_write;
        sqlite_layer_register(&layer, below, "checked", sizeof(struct layer_file), c_open);
    }
    return layer.zName;
}
