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

static bool copy_file(const char *from, const char *to, struct err *err)
{
    static char piece[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    ssize_t n = -1;

    if (in < 0 && errno == ENOENT)
        return true;
    if (in >= 0)
        out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    while (in >= 0 && out >= 0 && (n = read(in, piece, sizeof piece)) > 0)
        if (write(out, piece, (size_t)n) != n)
            break;
    if (n != 0)
        err_set(err, ERR_TEMPORARY, "%s: %s", in < 0 ? from : to, strerror(errno));
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return n == 0;
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

    forget(copy);
    forget(fresh);
    return copy_file(file, copy, err) && stretch(copy, err) && copy_file(beside(file, "-wal", wal), beside(copy, "-wal", copied_wal), err) &&
           salvage_copy(copy, fresh, r, err);
}

/* By a second name: FILE is there at any time, since a server that finds none begins with an empty shard. */
static bool keep_damaged(const char *file)
{
    char wal[PATH_ROOM], damaged[PATH_ROOM], damaged_wal[PATH_ROOM];
    int why;

    beside(file, "-wal", wal);
    beside(file, ".damaged", damaged);
    if (link(file, damaged) != 0)
        return false;
    if (link(wal, beside(file, ".damaged-wal", damaged_wal)) == 0 || errno == ENOENT)
        return true;
    why = errno;
    unlink(damaged);
    errno = why;
    return false;
}

static bool swap(const char *file, const char *fresh, const struct stat *owner, struct err *err)
{
    char from[PATH_ROOM], folder[PATH_ROOM];
    const char *slash = strrchr(file, '/');

    snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - file), slash == NULL ? "." : file);
    if (access(beside(fresh, "-wal", from), F_OK) == 0)
        return err_set(err, ERR_TEMPORARY, "%s: is there still: is the disk full?", from);
    if (chown(fresh, owner->st_uid, owner->st_gid) != 0 || !keep_damaged(file) || !folder_sync(folder, err) ||
        (unlink(beside(file, "-wal", from)) != 0 && errno != ENOENT) || rename(fresh, file) != 0)
        return err->text[0] != 0 ? false : err_set(err, ERR_TEMPORARY, "%s: %s", file, strerror(errno));
    unlink(beside(file, "-shm", from));
    return folder_sync(folder, err);
}

/* The shard's lock, until this process ends: a server that starts meanwhile, or a second command, waits. A server
 * of another user must be able to open it. */
static bool keep_others_out(const char *file, const struct stat *owner, struct err *err)
{
    int fd;

    if (!lock_take(file, &fd, err))
        return false;
    return fchown(fd, owner->st_uid, owner->st_gid) == 0 ||
           err_set(err, ERR_TEMPORARY, "%s.lock: %s", file, strerror(errno));
}

int salvage_run(const char *file)
{
    char copy[PATH_ROOM], fresh[PATH_ROOM], old[PATH_ROOM];
    struct salvage_result r;
    struct err err = {0};
    struct stat about;
    bool done;

    umask(077);
    if (strlen(file) > FILE_MOST)
        return refuse(EX_USAGE, file, "the name is too long");
    if (stat(file, &about) != 0)
        return refuse(EX_NOINPUT, file, strerror(errno));
    if (server_runs(file))
        return refuse(EX_TEMPFAIL, file, "the server is running; stop it first");
    if (!keep_others_out(file, &about, &err))
        return refuse(EX_TEMPFAIL, file, err.text);
    if (access(beside(file, ".damaged", old), F_OK) == 0)
        return refuse(EX_CANTCREAT, old, "is there already, from an earlier time; move it away first");
    beside(file, ".copy", copy);
    beside(file, ".salvaged", fresh);
    done = copy_and_save(file, copy, fresh, &r, &err) && swap(file, fresh, &about, &err);
    forget(copy);
    if (!done) {
        forget(fresh);
        return refuse(EX_DATAERR, file, err.text);
    }
    printf("saved %zu messages with %zu recipients; lost %zu messages", r.messages, r.recipients, r.lost);
    if (r.doubtful > 0)
        printf("; of %zu messages a recipient may be missing", r.doubtful);
    printf("\nthe damaged file is %s\n", old);
    return EX_OK;
}
