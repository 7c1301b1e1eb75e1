/* See addition_log.h. */
#include "addition_log.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 4200, LOG_MAX = 16 * 1024 * 1024, OTHERS_MAX = 256, LOCK_EVERY = 20000 /* microseconds */ };

/* Where a record stands. */
struct place {
    int64_t account;
    uint64_t at;
    uint32_t length;
    uint32_t file; /* 0: our own, else of `others` */
    size_t order;
};

/* A log of another number of copies. */
struct other {
    unsigned copy, copies;
};

struct addition_log {
    struct str folder;
    unsigned copy, copies;
    int fd;
    uint64_t run, number, at;
    int64_t patience;
    bool failed; /* until the next restart */
    struct other *others;
    size_t other_count;
    struct place *places;
    size_t place_count, place_room;
};

/* ---- names ---- */

static void path_of(const struct addition_log *log, const struct other *o, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%.*s/additions-%u-of-%u.log", STR_ARG(log->folder), o->copy, o->copies);
}

static void mark_of(const struct addition_log *log, const struct other *o, unsigned copy, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%.*s/additions-%u-of-%u.log.%u-of-%u", STR_ARG(log->folder), o->copy, o->copies, copy, log->copies);
}

static bool failed(const char *path, struct err *err)
{
    return err_set(err, ERR_TEMPORARY, "%s: %s", path, strerror(errno));
}

/* "additions-K-of-N.log" of another N. */
static void note_other(struct addition_log *log, const char *name)
{
    struct other o;
    int n = 0;

    if (sscanf(name, "additions-%9u-of-%9u.log%n", &o.copy, &o.copies, &n) != 2 || n == 0 || name[n] != 0 || o.copies == log->copies ||
        log->other_count == OTHERS_MAX)
        return;
    log->others = xrealloc(log->others, (log->other_count + 1) * sizeof *log->others);
    log->others[log->other_count++] = o;
}

static bool find_others(struct addition_log *log, struct err *err)
{
    DIR *dir = opendir(log->folder.p);

    if (dir == NULL)
        return failed(log->folder.p, err);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        note_other(log, e->d_name);
    closedir(dir);
    return true;
}

/* Marks that copies of another number left beside our own log: of an earlier life of it. */
static bool remove_marks(struct addition_log *log, struct err *err)
{
    char name[80], path[PATH_ROOM];
    DIR *dir = opendir(log->folder.p);

    if (dir == NULL)
        return failed(log->folder.p, err);
    snprintf(name, sizeof name, "additions-%u-of-%u.log.", log->copy, log->copies);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%.*s/%s", STR_ARG(log->folder), e->d_name);
        if (strncmp(e->d_name, name, strlen(name)) == 0)
            unlink(path);
    }
    closedir(dir);
    return folder_sync(log->folder.p, err);
}

/* ---- life ---- */

static bool lock(int fd, short type, int64_t patience)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
    int64_t until = clock_monotonic() + patience;

    while (fcntl(fd, F_SETLK, &whole) != 0) {
        if ((errno != EAGAIN && errno != EACCES) || clock_monotonic() >= until)
            return false; /* errno says it */
        usleep(LOCK_EVERY);
    }
    return true;
}

static void new_run(struct addition_log *log)
{
    random_bytes(&log->run, sizeof log->run);
    log->failed = false;
}

bool addition_log_open(struct addition_log **out, struct str folder, unsigned copy, unsigned copies, int64_t patience, struct err *err)
{
    struct addition_log *log = xcalloc(1, sizeof *log);
    char path[PATH_ROOM];
    bool opened;

    *log = (struct addition_log){.folder = str_dup(folder), .copy = copy, .copies = copies, .number = 1};
    path_of(log, &(struct other){copy, copies}, path);
    log->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    opened = (log->fd >= 0 && lock(log->fd, F_WRLCK, patience) && fsync(log->fd) == 0) || failed(path, err);
    log->patience = patience;
    if (!opened || !remove_marks(log, err) || !find_others(log, err)) {
        addition_log_close(log);
        return false;
    }
    new_run(log);
    *out = log;
    return true;
}

void addition_log_close(struct addition_log *log)
{
    if (log == NULL)
        return;
    if (log->fd >= 0)
        close(log->fd);
    str_free(&log->folder);
    free(log->others);
    free(log->places);
    free(log);
}

/* ---- reading ---- */

/* All n bytes, or false: there are not so many, or errno says why. */
static bool read_at(int fd, char *to, size_t n, uint64_t at)
{
    errno = 0;
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return true;
}

static void note_place(struct addition_log *log, const struct place *p)
{
    if (log->place_count == log->place_room) {
        log->place_room = log->place_room == 0 ? 1024 : 2 * log->place_room;
        log->places = xrealloc(log->places, log->place_room * sizeof *log->places);
    }
    log->places[log->place_count] = *p;
    log->places[log->place_count].order = log->place_count;
    log->place_count++;
}

static void note_records(struct addition_log *log, uint32_t file, struct str group, uint64_t at)
{
    struct str records = str_skip(group, ADDITION_HEADER);
    struct addition a;

    for (const char *from = records.p; addition_read(&records, &a); from = records.p)
        if (a.account > 0 && a.account % log->copies == log->copy)
            note_place(log, &(struct place){a.account, at + (uint64_t)(from - group.p), (uint32_t)(records.p - from), file, 0});
}

/* The next group, in `group`; false: the log ends here, or errno says why that is not known. */
static bool read_group(int fd, uint64_t at, struct buf *group, struct addition_group *g)
{
    char header[ADDITION_HEADER], *room;

    buf_reset(group);
    if (!read_at(fd, header, sizeof header, at) || !addition_header(str_from(header, sizeof header), g))
        return false;
    room = buf_reserve(group, g->length);
    if (room == NULL || !read_at(fd, room, g->length, at))
        return false;
    group->n = g->length;
    return addition_is_whole(buf_str(group));
}

static uint64_t blocks(uint64_t n)
{
    return (n + ADDITION_BLOCK - 1) / ADDITION_BLOCK * ADDITION_BLOCK;
}

static bool scan_file(struct addition_log *log, int fd, uint32_t file)
{
    struct addition_group g, before = {0};
    struct buf group;
    bool first = true;

    buf_init(&group, ADDITION_GROUP_MAX);
    errno = 0;
    for (uint64_t at = 0; read_group(fd, at, &group, &g); at += blocks(g.length)) {
        if (!first && (g.run != before.run || g.number != before.number + 1))
            break;
        note_records(log, file, buf_str(&group), at);
        before = g;
        first = false;
        errno = 0;
    }
    buf_clear(&group);
    return errno == 0;
}

static int by_account(const void *x, const void *y)
{
    const struct place *a = x, *b = y;

    if (a->account != b->account)
        return a->account < b->account ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* -1: it is gone, which only means that all have what is theirs. */
static int open_other(const struct addition_log *log, const struct other *o, char path[PATH_ROOM])
{
    path_of(log, o, path);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool scan_other(struct addition_log *log, size_t i, struct err *err)
{
    char path[PATH_ROOM];
    int fd;
    bool done;

    mark_of(log, &log->others[i], log->copy, path);
    if (access(path, F_OK) == 0)
        return true;
    fd = open_other(log, &log->others[i], path);
    if (fd < 0)
        return errno == ENOENT || failed(path, err);
    done = (lock(fd, F_RDLCK, log->patience) && scan_file(log, fd, (uint32_t)i + 1)) || failed(path, err); /* its process is gone */
    close(fd);
    return done;
}

bool addition_log_scan(struct addition_log *log, struct err *err)
{
    addition_log_forget_scan(log);
    for (size_t i = 0; i < log->other_count; i++)
        if (!scan_other(log, i, err))
            return false;
    if (!scan_file(log, log->fd, 0))
        return failed(log->folder.p, err);
    if (log->place_count > 0)
        qsort(log->places, log->place_count, sizeof *log->places, by_account);
    return true;
}

int64_t addition_log_next_account(const struct addition_log *log, int64_t after)
{
    for (size_t i = 0; i < log->place_count; i++)
        if (log->places[i].account > after)
            return log->places[i].account;
    return 0;
}

static bool tell_place(struct addition_log *log, int fd, const struct place *p, addition_fn *tell, void *arg, struct err *err)
{
    struct addition a;
    struct buf bytes;
    struct str record;
    char *room;
    bool done;

    buf_init(&bytes, ADDITION_GROUP_MAX);
    room = buf_reserve(&bytes, p->length);
    done = room != NULL && read_at(fd, room, p->length, p->at);
    if (done)
        bytes.n = p->length;
    record = buf_str(&bytes);
    if (!done || !addition_read(&record, &a) || a.account != p->account)
        done = err_set(err, ERR_TEMPORARY, "%s: the log of additions cannot be read", log->folder.p);
    else
        done = tell(arg, &a, err);
    buf_clear(&bytes);
    return done;
}

bool addition_log_walk(struct addition_log *log, int64_t account, addition_fn *tell, void *arg, struct err *err)
{
    char path[PATH_ROOM];
    bool done = true;

    for (size_t i = 0; i < log->place_count && done; i++) {
        const struct place *p = &log->places[i];
        int fd = log->fd;

        if (p->account != account)
            continue;
        if (p->file > 0)
            fd = open_other(log, &log->others[p->file - 1], path);
        done = (fd >= 0 || failed(path, err)) && tell_place(log, fd, p, tell, arg, err);
        if (p->file > 0 && fd >= 0)
            close(fd);
    }
    return done;
}

void addition_log_forget_scan(struct addition_log *log)
{
    free(log->places);
    log->places = NULL;
    log->place_count = log->place_room = 0;
}

/* ---- writing ---- */

bool addition_log_fits(const struct addition_log *log, size_t n)
{
    return !log->failed && n <= ADDITION_GROUP_MAX && log->at + blocks(n) <= LOG_MAX;
}

bool addition_log_is_empty(const struct addition_log *log)
{
    return log->at == 0 && !log->failed;
}

static bool write_at(int fd, struct str bytes, uint64_t at)
{
    while (bytes.n > 0) {
        ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = str_skip(bytes, (size_t)n);
        at += (uint64_t)n;
    }
    return true;
}

bool addition_log_append(struct addition_log *log, struct buf *group, uint32_t count, struct err *err)
{
    addition_seal(group->p, group->n, log->run, log->number++, count);
    log->failed = !write_at(log->fd, buf_str(group), log->at) || fdatasync(log->fd) != 0;
    log->at += blocks(group->n);
    return !log->failed || failed("the log of additions", err);
}

void addition_log_restart(struct addition_log *log)
{
    log->at = 0;
    if (log->failed)
        new_run(log);
}

/* ---- nothing in it is needed ---- */

/* Ours is left; the log itself goes when all have left theirs. */
static bool take_other(struct addition_log *log, const struct other *o, struct err *err)
{
    char path[PATH_ROOM];
    int fd;

    mark_of(log, o, log->copy, path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(path, err);
    close(fd);
    if (!folder_sync(log->folder.p, err))
        return false;
    for (unsigned i = 0; i < log->copies; i++) {
        mark_of(log, o, i, path);
        if (access(path, F_OK) != 0)
            return true;
    }
    path_of(log, o, path);
    if ((unlink(path) != 0 && errno != ENOENT) || !folder_sync(log->folder.p, err))
        return failed(path, err);
    for (unsigned i = 0; i < log->copies; i++) {
        mark_of(log, o, i, path);
        unlink(path);
    }
    return true;
}

bool addition_log_clear(struct addition_log *log, struct err *err)
{
    static const char nothing[ADDITION_BLOCK];
    struct stat about;

    addition_log_restart(log);
    if (fstat(log->fd, &about) != 0)
        return failed(log->folder.p, err);
    if (about.st_size > 0 && (!write_at(log->fd, str_from(nothing, sizeof nothing), 0) || fdatasync(log->fd) != 0))
        return failed(log->folder.p, err);
    for (size_t i = 0; i < log->other_count; i++)
        if (!take_other(log, &log->others[i], err))
            return false;
    log->other_count = 0;
    return true;
}
