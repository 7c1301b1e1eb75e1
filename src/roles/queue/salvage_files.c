/* The command around salvage.c: which files, who may, and what takes the place of what. */
#include "lock.h"
#include "salvage.h"

#include "base/buf.h"
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, FILE_MOST = PATH_ROOM - 64 };
enum { PIECE = 1 << 16, UNREADABLE = 4096 /* the kernel reads by pages */ };

static int refuse(int code, const char *what, const char *why)
{
    fprintf(stderr, "staffetta: %s: %s\n", what, why);
    return code;
}

/* FILE, and what is beside it. */
static const char *beside(const char *file, const char *end, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%.*s%.32s", (int)FILE_MOST, file, end);
    return path;
}

/* The supervisor holds data/lock while a server runs; FILE is data/queue/queue-N.db. */
static bool server_runs(const char *file)
{
    char path[PATH_ROOM];
    const char *slash = strrchr(file, '/');
    int fd;
    bool locked;

    snprintf(path, sizeof path, "%.*s/../lock", slash == NULL ? 1 : (int)(slash - file), slash == NULL ? "." : file);
    fd = open(path, O_RDWR | O_CLOEXEC);
    locked = fd >= 0 && lockf(fd, F_TEST, 0) != 0;
    if (fd >= 0)
        close(fd);
    return locked;
}

static bool write_all(int fd, const char *bytes, size_t n, off_t at)
{
    ssize_t some = 1;

    for (; n > 0 && some > 0; n -= (size_t)some, bytes += some, at += some)
        if ((some = pwrite(fd, bytes, n, at)) < 0)
            break;
    return n == 0;
}

/* Bytes that are not those of the file, and can be told from them. */
static bool mark_hole(int out, off_t at, size_t n)
{
    char piece[UNREADABLE];

    for (size_t i = 0; i < n; i++)
        piece[i] = SALVAGE_HOLE[((size_t)at + i) % SALVAGE_HOLE_LENGTH];
    return write_all(out, piece, n, at);
}

/* The bytes [at, at + n). What the disk cannot read (EIO) is marked in the copy, in the smallest pieces in which it
 * shows. */
static bool copy_piece(int in, int out, off_t at, size_t n, size_t *unreadable)
{
    char piece[PIECE];
    ssize_t some;
    size_t half;

    while (n > 0 && (some = pread(in, piece, n, at)) != 0) {
        if (some < 0 && errno != EIO)
            return false;
        if (some < 0 && n <= UNREADABLE) {
            *unreadable += n;
            return mark_hole(out, at, n);
        }
        if (some < 0) {
            half = (n / 2 + UNREADABLE - 1) / UNREADABLE * UNREADABLE;
            return copy_piece(in, out, at, half, unreadable) &&
                   copy_piece(in, out, at + (off_t)half, n - half, unreadable);
        }
        if (!write_all(out, piece, (size_t)some, at))
            return false;
        at += some;
        n -= (size_t)some;
    }
    return true;
}

static bool copy_bytes(int in, int out, size_t *unreadable)
{
    struct stat about;

    if (out < 0 || fstat(in, &about) != 0 || ftruncate(out, about.st_size) != 0)
        return false;
    for (off_t at = 0; at < about.st_size; at += PIECE)
        if (!copy_piece(in, out, at, about.st_size - at < PIECE ? (size_t)(about.st_size - at) : PIECE, unreadable))
            return false;
    return true;
}

static bool copy_file(const char *from, const char *to, size_t *unreadable, struct err *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out;
    bool done;

    if (in < 0 && errno == ENOENT)
        return true;
    if (in < 0)
        return err_set(err, ERR_TEMPORARY, "%s: %s", from, strerror(errno));
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    done = copy_bytes(in, out, unreadable);
    if (!done)
        err_set(err, ERR_TEMPORARY, "%s to %s: %s", from, to, strerror(errno));
    close(in);
    if (out >= 0)
        close(out);
    return done;
}

/* SQLite opens no file that is shorter than its header says: what was cut off comes back as zeros. */
static bool stretch(const char *file, struct err *err)
{
    unsigned char head[32] = {0};
    struct stat about;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    off_t whole;
    bool done = fd >= 0 && fstat(fd, &about) == 0;

    if (done && read(fd, head, sizeof head) == (ssize_t)sizeof head) {
        whole = (off_t)(head[16] << 8 | head[17]) * ((off_t)head[28] << 24 | head[29] << 16 | head[30] << 8 | head[31]);
        if (whole > about.st_size && whole / 1024 <= about.st_size) /* not by what looks like nonsense */
            done = ftruncate(fd, whole) == 0;
    }
    if (!done)
        err_set(err, ERR_TEMPORARY, "%s: %s", file, strerror(errno));
    if (fd >= 0)
        close(fd);
    return done;
}

static void forget(const char *file)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char path[PATH_ROOM];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        unlink(beside(file, ends[i], path));
}

/* A copy is read, since even reading may change the files of a database. */
static bool copy_and_save(const char *file, const char *copy, const char *fresh, struct salvage_result *r, struct err *err)
{
    char wal[PATH_ROOM], copied_wal[PATH_ROOM];
    size_t unreadable = 0;
    bool done;

    forget(copy);
    forget(fresh);
    beside(file, "-wal", wal);
    beside(copy, "-wal", copied_wal);
    done = copy_file(file, copy, &unreadable, err) && stretch(copy, err) && copy_file(wal, copied_wal, &unreadable, err) &&
           salvage_copy(copy, fresh, r, err);
    r->unreadable = unreadable;
    return done;
}

/* By a second name: FILE is there at any time, since a server that finds none begins with an empty shard. The log's
 * comes first: .damaged beside .salvaged says that both are kept and that the new file is whole. */
static bool keep_damaged(const char *file)
{
    char wal[PATH_ROOM], damaged[PATH_ROOM], damaged_wal[PATH_ROOM];
    bool kept_wal;
    int why;

    beside(file, "-wal", wal);
    beside(file, ".damaged", damaged);
    kept_wal = link(wal, beside(file, ".damaged-wal", damaged_wal)) == 0;
    if (!kept_wal && errno != ENOENT)
        return false;
    if (link(file, damaged) == 0)
        return true;
    why = errno;
    if (kept_wal)
        unlink(damaged_wal);
    errno = why;
    return false;
}

static void folder_of(const char *file, char folder[PATH_ROOM])
{
    const char *slash = strrchr(file, '/');

    snprintf(folder, PATH_ROOM, "%.*s", slash == NULL ? 1 : (int)(slash - file), slash == NULL ? "." : file);
}

static bool failed(const char *file, struct err *err)
{
    return err_set(err, ERR_TEMPORARY, "%s: %s", file, strerror(errno));
}

/* The old log goes, for good, before the new file takes the name beside it: SQLite would take that log for its own.
 * Between the two the server does not start (lock_salvage_is_open) and this goes on where it stopped. */
static bool put_in_place(const char *file, const char *fresh, const char *folder, struct err *err)
{
    char path[PATH_ROOM];

    if ((unlink(beside(file, "-wal", path)) != 0 && errno != ENOENT) ||
        (unlink(beside(file, "-shm", path)) != 0 && errno != ENOENT))
        return failed(path, err);
    if (!folder_sync(folder, err))
        return false;
    return rename(fresh, file) == 0 ? folder_sync(folder, err) : failed(file, err);
}

static bool swap(const char *file, const char *fresh, const struct stat *owner, struct err *err)
{
    char path[PATH_ROOM], folder[PATH_ROOM];

    folder_of(file, folder);
    if (access(beside(fresh, "-wal", path), F_OK) == 0)
        return err_set(err, ERR_TEMPORARY, "%s: is there still: is the disk full?", path);
    if (chown(fresh, owner->st_uid, owner->st_gid) != 0)
        return failed(fresh, err);
    /* The name of the new file is on disk since it was opened, its bytes since it was closed. */
    if (!keep_damaged(file))
        return failed(file, err);
    return folder_sync(folder, err) && put_in_place(file, fresh, folder, err);
}

/* A run before this one was cut off when all was copied. */
static int finish(const char *file, const char *fresh, const char *old)
{
    char folder[PATH_ROOM];
    struct err err = {0};

    folder_of(file, folder);
    if (!folder_sync(folder, &err) || !put_in_place(file, fresh, folder, &err))
        return refuse(EX_TEMPFAIL, file, err.text);
    printf("what an earlier run saved is in place now\nthe damaged file is %s\n", old);
    return EX_OK;
}

/* The shard's lock: a server that starts meanwhile, or a second command, waits. A server of another user must be able
 * to open it. */
static bool keep_others_out(const char *file, const struct stat *owner, int *lock, struct err *err)
{
    if (!lock_take(file, lock, err))
        return false;
    if (fchown(*lock, owner->st_uid, owner->st_gid) == 0)
        return true;
    err_set(err, ERR_TEMPORARY, "%s.lock: %s", file, strerror(errno));
    close(*lock);
    return false;
}

static void tell(const struct salvage_result *r, const char *old)
{
    printf("saved %zu messages with %zu recipients; lost %zu messages", r->messages, r->recipients, r->lost);
    if (r->doubtful > 0)
        printf("; of %zu messages a recipient may be missing", r->doubtful);
    if (r->unreadable > 0)
        printf("; %zu bytes cannot be read from the disk", r->unreadable);
    printf("\nthe damaged file is %s\n", old);
}

static int run_alone(const char *file, const struct stat *owner)
{
    char copy[PATH_ROOM], fresh[PATH_ROOM], old[PATH_ROOM];
    struct salvage_result r;
    struct err err = {0};
    bool done;

    beside(file, ".damaged", old);
    beside(file, ".copy", copy);
    beside(file, ".salvaged", fresh);
    if (lock_salvage_is_open(file))
        return finish(file, fresh, old);
    if (access(old, F_OK) == 0)
        return refuse(EX_CANTCREAT, old, "is there already, from an earlier time; move it away first");
    done = copy_and_save(file, copy, fresh, &r, &err) && swap(file, fresh, owner, &err);
    forget(copy);
    if (!done && lock_salvage_is_open(file))
        err_prefix(&err, "run it again");
    else if (!done)
        forget(fresh);
    if (!done)
        return refuse(EX_DATAERR, file, err.text);
    tell(&r, old);
    return EX_OK;
}

int salvage_run(const char *file)
{
    struct err err = {0};
    struct stat about;
    int lock, code;

    umask(077);
    if (strlen(file) > FILE_MOST)
        return refuse(EX_USAGE, file, "the name is too long");
    if (stat(file, &about) != 0)
        return refuse(EX_NOINPUT, file, strerror(errno));
    if (server_runs(file))
        return refuse(EX_TEMPFAIL, file, "the server is running; stop it first");
    if (!keep_others_out(file, &about, &lock, &err))
        return refuse(EX_TEMPFAIL, file, err.text);
    code = run_alone(file, &about);
    close(lock);
    return code;
}
