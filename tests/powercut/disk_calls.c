/* The calls that take the place of those of the C library, by their names in the linked program. They ask the
 * kernel directly; below the watched folder they are written to the tape, or fail when it is their turn. Files
 * the machine really has are used, so that SQLite's locks and mapped memory are real. */
#include "disk_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

enum { FILES = 4096, CREATE = 0100, TRUNCATE = 01000, NOW = -100 /* AT_FDCWD */, REMOVE_FOLDER = 0x200, PATH_MOST = 4096 };

/* In C under names of our own, since headers have some of them as macros or with other asm names. */
int disk_open(const char *path, int flags, ...) __asm__("open");
int disk_open64(const char *path, int flags, ...) __asm__("open64");
int disk_close(int fd) __asm__("close");
long disk_write(int fd, const void *p, size_t n) __asm__("write");
long disk_pwrite(int fd, const void *p, size_t n, long at) __asm__("pwrite");
long disk_pwrite64(int fd, const void *p, size_t n, long at) __asm__("pwrite64");
int disk_ftruncate(int fd, long size) __asm__("ftruncate");
int disk_ftruncate64(int fd, long size) __asm__("ftruncate64");
int disk_fsync(int fd) __asm__("fsync");
int disk_fdatasync(int fd) __asm__("fdatasync");
int disk_syncfs(int fd) __asm__("syncfs");
int disk_mkdir(const char *path, unsigned mode) __asm__("mkdir");
int disk_rmdir(const char *path) __asm__("rmdir");
int disk_unlink(const char *path) __asm__("unlink");
int disk_rename(const char *from, const char *to) __asm__("rename");
int disk_link(const char *from, const char *to) __asm__("link");
long syscall(long number, ...);

static char root[PATH_MOST];
static bool recording;
static struct {
    int node;  /* 0: not below the folder (the root itself is FOLDER_OPEN) */
    bool watched;
    size_t at; /* of write() */
} files[FILES];

static unsigned turn, count;
static int fail_error;
static bool fail_forever, has_failed, only_syncs;

void disk_fail(unsigned n, int error, bool forever)
{
    turn = n;
    count = 0;
    fail_error = error;
    fail_forever = forever;
    has_failed = only_syncs = false;
}

void disk_fail_sync(unsigned n, int error)
{
    disk_fail(n, error, false);
    only_syncs = true;
}

bool disk_failed(void)
{
    return has_failed;
}

/* Whether it is this call's turn to fail. */
static bool fails(bool sync)
{
    if (only_syncs && !sync)
        return false;
    count++;
    if (turn == 0 || count < turn || (count > turn && !fail_forever))
        return false;
    return has_failed = true;
}

static bool fails_with_error(bool sync)
{
    bool now = fails(sync) && fail_error != 0;

    if (now)
        errno = fail_error;
    return now;
}

void disk_record(const char *folder)
{
    recording = false;
    tape_erase();
    snprintf(root, sizeof root, "%s", folder);
    tape_take_folder(folder, DISK_ROOT);
    memset(files, 0, sizeof files);
    recording = true;
}

void disk_pause(void)
{
    recording = false;
}

/* The folder's node and the last part of the name; false when it is not below the root. */
static bool locate(const char *path, int *folder, const char **name)
{
    size_t n = strlen(root);
    const char *slash;
    char part[256];

    if (n == 0 || strncmp(path, root, n) != 0 || path[n] != '/')
        return false;
    *folder = DISK_ROOT;
    for (path += n + 1; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
        if ((size_t)(slash - path) >= sizeof part)
            abort();
        memcpy(part, path, (size_t)(slash - path));
        part[slash - path] = 0;
        *folder = names_find(*folder, part);
        if (*folder < 0)
            return recording ? false : (*folder = DISK_ROOT, *name = path, true);
    }
    *name = path;
    return true;
}

static struct tape_op *add_name(enum tape_kind kind, int node, int folder, const char *name)
{
    struct tape_op *op = tape_add(kind, node);

    op->folder = folder;
    op->name = strdup(name);
    names_set(folder, name, kind == TAPE_LINK ? node : -1);
    return op;
}

static bool is_watched(int fd)
{
    return fd >= 0 && fd < FILES && files[fd].watched;
}

static void note_open(int fd, const char *path, int flags)
{
    int folder = DISK_ROOT, node = DISK_ROOT;
    const char *name = "";

    if (fd < 0 || fd >= FILES)
        return;
    files[fd].watched = false;
    if (strcmp(path, root) != 0 || root[0] == 0) {
        if (!locate(path, &folder, &name))
            return;
        node = recording ? names_find(folder, name) : DISK_ROOT;
        if (node < 0) {
            if (!(flags & CREATE))
                return;
            node = disk_new_node(false);
            add_name(TAPE_LINK, node, folder, name);
        }
    }
    files[fd].watched = true;
    files[fd].node = node;
    files[fd].at = 0;
    if (recording && (flags & TRUNCATE))
        tape_add(TAPE_TRUNCATE, node);
}

static bool below_root(const char *path)
{
    int folder;
    const char *name;

    return (root[0] != 0 && strcmp(path, root) == 0) || locate(path, &folder, &name);
}

static int open_file(const char *path, int flags, unsigned mode)
{
    int fd;

    if (below_root(path) && fails_with_error(false))
        return -1;
    fd = (int)syscall(SYS_openat, NOW, path, flags, mode);
    note_open(fd, path, flags);
    return fd;
}

int disk_open(const char *path, int flags, ...)
{
    unsigned mode = 0;
    va_list args;

    va_start(args, flags);
    if (flags & CREATE)
        mode = va_arg(args, unsigned);
    va_end(args);
    return open_file(path, flags, mode);
}

int disk_open64(const char *path, int flags, ...)
{
    unsigned mode = 0;
    va_list args;

    va_start(args, flags);
    if (flags & CREATE)
        mode = va_arg(args, unsigned);
    va_end(args);
    return open_file(path, flags, mode);
}

int disk_close(int fd)
{
    if (fd >= 0 && fd < FILES)
        files[fd].watched = false;
    return (int)syscall(SYS_close, fd);
}

/* ---- bytes ---- */

static void note_write(int fd, const void *p, long n, size_t at)
{
    struct tape_op *op;

    if (!recording || n <= 0)
        return;
    op = tape_add(TAPE_WRITE, files[fd].node);
    op->bytes = malloc((size_t)n);
    if (op->bytes == NULL)
        abort();
    memcpy(op->bytes, p, (size_t)n);
    op->offset = at;
    op->n = (size_t)n;
}

/* How much of n is to be written: all; none (-1, with errno); a part, when it is cut short. */
static long granted(int fd, size_t n)
{
    if (!is_watched(fd) || !fails(false))
        return (long)n;
    if (fail_error == 0)
        return n > 1 ? (long)n / 2 : (long)n;
    errno = fail_error;
    return -1;
}

long disk_write(int fd, const void *p, size_t n)
{
    long some = granted(fd, n), written = some < 0 ? -1 : syscall(SYS_write, fd, p, (size_t)some);

    if (is_watched(fd) && written > 0) {
        note_write(fd, p, written, files[fd].at);
        files[fd].at += (size_t)written;
    }
    return written;
}

static long write_there(int fd, const void *p, size_t n, long at)
{
    long some = granted(fd, n), written = some < 0 ? -1 : syscall(SYS_pwrite64, fd, p, (size_t)some, at);

    if (is_watched(fd))
        note_write(fd, p, written, (size_t)at);
    return written;
}

long disk_pwrite(int fd, const void *p, size_t n, long at)
{
    return write_there(fd, p, n, at);
}

long disk_pwrite64(int fd, const void *p, size_t n, long at)
{
    return write_there(fd, p, n, at);
}

static int truncate_file(int fd, long size)
{
    int result;

    if (is_watched(fd) && fails_with_error(false))
        return -1;
    result = (int)syscall(SYS_ftruncate, fd, size);
    if (result == 0 && recording && is_watched(fd))
        tape_add(TAPE_TRUNCATE, files[fd].node)->offset = (size_t)size;
    return result;
}

int disk_ftruncate(int fd, long size)
{
    return truncate_file(fd, size);
}

int disk_ftruncate64(int fd, long size)
{
    return truncate_file(fd, size);
}

/* ---- syncs ---- */

static int sync_node(int fd, long call)
{
    if (!is_watched(fd))
        return (int)syscall(call, fd);
    if (fails_with_error(true)) {
        if (recording && fail_error == EIO)
            tape_add(TAPE_SYNC_FAILED, files[fd].node);
        return -1;
    }
    if (recording)
        tape_add(TAPE_SYNC, files[fd].node);
    return 0;
}

int disk_fsync(int fd)
{
    return sync_node(fd, SYS_fsync);
}

int disk_fdatasync(int fd)
{
    return sync_node(fd, SYS_fdatasync);
}

int disk_syncfs(int fd)
{
    if (!is_watched(fd))
        return (int)syscall(SYS_syncfs, fd);
    if (fails_with_error(true))
        return -1;
    if (recording)
        tape_add(TAPE_SYNC_ALL, files[fd].node);
    return 0;
}

/* ---- names ---- */

int disk_mkdir(const char *path, unsigned mode)
{
    int folder, result;
    const char *name;
    bool watched = locate(path, &folder, &name);

    if (watched && fails_with_error(false))
        return -1;
    result = (int)syscall(SYS_mkdirat, NOW, path, mode);
    if (result == 0 && watched && recording)
        add_name(TAPE_LINK, disk_new_node(true), folder, name);
    return result;
}

static int remove_name(const char *path, int flags)
{
    int folder, result;
    const char *name;
    bool watched = locate(path, &folder, &name);

    if (watched && fails_with_error(false))
        return -1;
    result = (int)syscall(SYS_unlinkat, NOW, path, flags);
    if (result == 0 && watched && recording)
        add_name(TAPE_UNLINK, 0, folder, name);
    return result;
}

int disk_rmdir(const char *path)
{
    return remove_name(path, REMOVE_FOLDER);
}

int disk_unlink(const char *path)
{
    return remove_name(path, 0);
}

int disk_rename(const char *from, const char *to)
{
    int folder, other, result;
    const char *name, *new_name;
    bool watched = locate(from, &folder, &name) && locate(to, &other, &new_name);
    struct tape_op *op;

    if (watched && fails_with_error(false))
        return -1;
    result = (int)syscall(SYS_renameat, NOW, from, NOW, to);
    if (result != 0 || !watched || !recording)
        return result;
    if (folder != other)
        abort(); /* nobody here does */
    op = add_name(TAPE_RENAME, names_find(folder, name), folder, name);
    op->to = strdup(new_name);
    names_set(folder, new_name, op->node);
    return 0;
}

int disk_link(const char *from, const char *to)
{
    int folder, other, result;
    const char *name, *new_name;
    bool watched = locate(from, &folder, &name) && locate(to, &other, &new_name);

    if (watched && fails_with_error(false))
        return -1;
    result = (int)syscall(SYS_linkat, NOW, from, NOW, to, 0);
    if (result == 0 && watched && recording)
        add_name(TAPE_LINK, names_find(folder, name), other, new_name);
    return result;
}
