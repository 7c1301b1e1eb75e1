/* See sqlite_layer.h. */
#include "db/sqlite_layer.h"

sqlite3_file *sqlite_layer_real(sqlite3_file *f)
{
    return ((struct layer_file *)(void *)f)->real;
}

static int pass_close(sqlite3_file *f)
{
    sqlite3_file *r = sqlite_layer_real(f);

    return r->pMethods == NULL ? SQLITE_OK : r->pMethods->xClose(r);
}

static int pass_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return sqlite_layer_real(f)->pMethods->xRead(sqlite_layer_real(f), p, n, at);
}

static int pass_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    return sqlite_layer_real(f)->pMethods->xWrite(sqlite_layer_real(f), p, n, at);
}

static int pass_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return sqlite_layer_real(f)->pMethods->xTruncate(sqlite_layer_real(f), size);
}

static int pass_sync(sqlite3_file *f, int flags)
{
    return sqlite_layer_real(f)->pMethods->xSync(sqlite_layer_real(f), flags);
}

static int pass_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return sqlite_layer_real(f)->pMethods->xFileSize(sqlite_layer_real(f), size);
}

static int pass_lock(sqlite3_file *f, int level)
{
    return sqlite_layer_real(f)->pMethods->xLock(sqlite_layer_real(f), level);
}

static int pass_unlock(sqlite3_file *f, int level)
{
    return sqlite_layer_real(f)->pMethods->xUnlock(sqlite_layer_real(f), level);
}

static int pass_reserved(sqlite3_file *f, int *out)
{
    return sqlite_layer_real(f)->pMethods->xCheckReservedLock(sqlite_layer_real(f), out);
}

static int pass_control(sqlite3_file *f, int op, void *arg)
{
    return sqlite_layer_real(f)->pMethods->xFileControl(sqlite_layer_real(f), op, arg);
}

static int pass_sector(sqlite3_file *f)
{
    return sqlite_layer_real(f)->pMethods->xSectorSize(sqlite_layer_real(f));
}

static int pass_device(sqlite3_file *f)
{
    return sqlite_layer_real(f)->pMethods->xDeviceCharacteristics(sqlite_layer_real(f));
}

static int pass_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return sqlite_layer_real(f)->pMethods->xShmMap(sqlite_layer_real(f), page, size, extend, out);
}

static int pass_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return sqlite_layer_real(f)->pMethods->xShmLock(sqlite_layer_real(f), offset, n, flags);
}

static void pass_shm_barrier(sqlite3_file *f)
{
    sqlite_layer_real(f)->pMethods->xShmBarrier(sqlite_layer_real(f));
}

static int pass_shm_unmap(sqlite3_file *f, int delete_it)
{
    return sqlite_layer_real(f)->pMethods->xShmUnmap(sqlite_layer_real(f), delete_it);
}

const sqlite3_io_methods sqlite_layer_methods = {.iVersion = 2,
    .xClose = pass_close,
    .xRead = pass_read,
    .xWrite = pass_write,
    .xTruncate = pass_truncate,
    .xSync = pass_sync,
    .xFileSize = pass_size,
    .xLock = pass_lock,
    .xUnlock = pass_unlock,
    .xCheckReservedLock = pass_reserved,
    .xFileControl = pass_control,
    .xSectorSize = pass_sector,
    .xDeviceCharacteristics = pass_device,
    .xShmMap = pass_shm_map,
    .xShmLock = pass_shm_lock,
    .xShmBarrier = pass_shm_barrier,
    .xShmUnmap = pass_shm_unmap};

int sqlite_layer_open(sqlite3_vfs *below, sqlite3_filename name, sqlite3_file *f, size_t size, int flags, int *out,
    const sqlite3_io_methods *methods)
{
    struct layer_file *layer = (struct layer_file *)(void *)f;
    int rc;

    layer->base.pMethods = NULL;
    layer->real = (sqlite3_file *)(void *)((char *)f + size);
    layer->real->pMethods = NULL;
    rc = below->xOpen(below, name, layer->real, flags, out);
    if (layer->real->pMethods != NULL)
        layer->base.pMethods = methods;
    return rc;
}

void sqlite_layer_register(sqlite3_vfs *layer, sqlite3_vfs *below, const char *name, size_t size,
    int (*open)(sqlite3_vfs *, sqlite3_filename, sqlite3_file *, int, int *))
{
    *layer = *below;
    layer->szOsFile = (int)size + below->szOsFile;
    layer->zName = name;
    layer->xOpen = open;
    sqlite3_vfs_register(layer, 0);
}
