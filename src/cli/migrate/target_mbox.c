/* Writes mailbox files below a folder: "INBOX.mbox", "Work/2026.mbox". See target.h, mbox.h.
 *
 * Beside each file lies "NAME.mbox.state": uidvalidity, the last uid written and the length of the file up to there, renamed
 * into place after the file is on disk. What a broken run has written behind that length is cut off by the next one. */
#include "cli/migrate/files.h"
#include "cli/migrate/maildir.h"
#include "cli/migrate/mbox.h"
#include "cli/migrate/mbox_files.h"
#include "cli/migrate/migrate.h"
#include "cli/migrate/target.h"
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 8192, WRITE_AT = 256 * 1024, STATE_EVERY = 1000 };

struct mbox_out {
    struct str top;
    bool dry_run;
    char path[PATH_ROOM];
    int fd;
    uint32_t uidvalidity, last;
    uint32_t writing;  /* uid */
    unsigned unsaved;  /* messages behind the state on disk */
    uint64_t size;     /* of the file, with what waits in `out` */
    struct mbox_writer writer;
    const struct item *item;
    bool begun;
    struct buf out;
};

static bool failed(struct err *err, const char *path)
{
    return err_set(err, ERR_TEMPORARY, "%s: %s", path, strerror(errno));
}

static bool flush(struct mbox_out *m, struct err *err)
{
    size_t done = 0;

    while (done < m->out.n) {
        ssize_t n = write(m->fd, m->out.p + done, m->out.n - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(err, m->path);
        done += (size_t)n;
    }
    m->size += m->out.n;
    buf_reset(&m->out);
    return true;
}

/* ---- the state ---- */

static bool save_state(struct mbox_out *m, struct err *err)
{
    char path[PATH_ROOM + 16], fresh[PATH_ROOM + 32], text[100];
    int fd, n = snprintf(text, sizeof text, "%" PRIu32 " %" PRIu32 " %" PRIu64 "\n", m->uidvalidity, m->last, m->size);
    bool done;

    if (fsync(m->fd) != 0)
        return failed(err, m->path);
    snprintf(path, sizeof path, "%s.state", m->path);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    fd = files_create(fresh);
    done = fd >= 0 && write(fd, text, (size_t)n) == n && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    m->unsaved = 0;
    return ((done && rename(fresh, path) == 0) || failed(err, path)) && folder_sync_parent(path, err);
}

/* False in *found: there is none. */
static bool read_state(struct mbox_out *m, bool *found, struct err *err)
{
    char path[PATH_ROOM + 16], text[101];
    uint64_t numbers[3];
    struct str rest, word;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s.state", m->path);
    fd = files_open(path);
    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || files_failed(err, path);
    n = read(fd, text, sizeof text - 1);
    close(fd);
    rest = str_from(text, n > 0 ? (size_t)n : 0);
    for (size_t i = 0; i < 3; i++)
        if (!str_next_word(&rest, &word) || !str_to_u64(str_trim(word), i < 2 ? UINT32_MAX : INT64_MAX, &numbers[i]))
            return err_set(err, ERR_PERMANENT, "%s: it is not what an export writes; export into another folder", path);
    if (numbers[0] != m->uidvalidity)
        return err_set(err, ERR_PERMANENT, "%s was made of another mailbox, or before it was restored; export into another folder", m->path);
    m->last = (uint32_t)numbers[1];
    m->size = numbers[2];
    return true;
}

/* ---- folders ---- */

static bool make_directories(const struct mbox_out *m, struct err *err)
{
    char path[PATH_ROOM];
    size_t n = strlen(m->path);

    for (size_t i = m->top.n + 1; i < n; i++) {
        if (m->path[i] != '/')
            continue;
        memcpy(path, m->path, i);
        path[i] = 0;
        if (!files_make_directory(path))
            return files_failed(err, path);
        if (!folder_sync_parent(path, err))
            return false;
    }
    return true;
}

/* Cuts off what came behind the state. */
static bool open_file(struct mbox_out *m, bool known, struct err *err)
{
    struct stat about;

    m->fd = files_open_to_write(m->path);
    if (m->fd < 0 || fstat(m->fd, &about) != 0)
        return files_failed(err, m->path);
    if (!known && about.st_size > 0)
        return err_set(err, ERR_PERMANENT, "%s is there already and was not made by an export; export into another folder", m->path);
    if ((uint64_t)about.st_size < m->size)
        return err_set(err, ERR_PERMANENT, "%s is shorter than when it was exported; export into another folder", m->path);
    if (ftruncate(m->fd, (off_t)m->size) != 0 || lseek(m->fd, (off_t)m->size, SEEK_SET) < 0)
        return failed(err, m->path);
    /* the file's name is on disk before a state says how long it is */
    return known || (folder_sync_parent(m->path, err) && save_state(m, err));
}

static bool begin_folder(void *target, struct str name, uint32_t uidvalidity, struct err *err)
{
    struct mbox_out *m = target;
    struct buf path;
    bool known, fits;

    buf_init(&path, PATH_ROOM);
    mbox_path_encode(&path, name);
    fits = (size_t)snprintf(m->path, sizeof m->path, "%.*s/%.*s", STR_ARG(m->top), STR_ARG(buf_str(&path))) < sizeof m->path - 20;
    buf_clear(&path);
    if (!fits)
        return err_set(err, ERR_LIMIT, "%.*s: the path is too long", STR_ARG(name));
    m->uidvalidity = uidvalidity;
    m->last = 0;
    m->size = 0;
    m->unsaved = 0;
    if (!read_state(m, &known, err))
        return false;
    return m->dry_run || (make_directories(m, err) && open_file(m, known, err));
}

static bool has(void *target, const struct item *item)
{
    const struct mbox_out *m = target;

    return item->at <= m->last;
}

static bool end_folder(void *target, struct err *err)
{
    struct mbox_out *m = target;
    bool done = m->dry_run || (flush(m, err) && (m->unsaved == 0 || save_state(m, err)));

    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
    return done;
}

/* ---- a message ---- */

static bool begin(void *target, const struct item *item, struct err *err)
{
    struct mbox_out *m = target;

    (void)err;
    m->item = item;
    m->begun = false;
    return true;
}

/* "Return-Path: <ann@example.org>" stands first in what was delivered. */
static struct str sender_of(struct str piece)
{
    struct str line;

    if (!str_next(&piece, '\n', &line) || !str_istarts(line, STR("Return-Path: <")))
        return STR("");
    line = str_trim(str_skip(line, 14));
    return str_ends(line, STR(">")) ? str_sub(line, 0, line.n - 1) : STR("");
}

static void begin_writing(struct mbox_out *m, struct str piece)
{
    if (!m->begun)
        mbox_writer_begin(&m->writer, sender_of(piece), m->item->received, m->item->flags, m->item->keywords, &m->out);
    m->begun = true;
}

static bool add(void *target, struct str piece, struct err *err)
{
    struct mbox_out *m = target;

    begin_writing(m, piece);
    while (piece.n > 0) {
        struct str part = str_sub(piece, 0, 16 * 1024);

        mbox_writer_feed(&m->writer, part, &m->out);
        piece = str_skip(piece, part.n);
        if (m->out.n >= WRITE_AT && !flush(m, err))
            return false;
    }
    return true;
}

static bool end(void *target, bool *again, struct err *err)
{
    struct mbox_out *m = target;

    *again = false;
    begin_writing(m, STR(""));
    mbox_writer_end(&m->writer, &m->out);
    m->last = (uint32_t)m->item->at;
    if (++m->unsaved < STATE_EVERY)
        return true;
    return flush(m, err) && save_state(m, err);
}

/* ---- all of it ---- */

static bool subscriptions(void *target, const struct str *names, size_t n, struct err *err)
{
    struct mbox_out *m = target;

    return files_write_subscriptions(m->top.p, ".subscriptions", names, n, err);
}

static void free_target(void *target)
{
    struct mbox_out *m = target;

    if (m->fd >= 0)
        close(m->fd);
    mbox_writer_clear(&m->writer);
    buf_clear(&m->out);
    free(m);
}

static const struct target_type type = {begin_folder, has, begin, add, end, end_folder, subscriptions, free_target};

bool mbox_target_new(struct target *target, const struct migration *m, struct err *err)
{
    struct mbox_out *out = xcalloc(1, sizeof *out);

    out->fd = -1;
    out->top = m->place;
    out->dry_run = m->dry_run;
    mbox_writer_init(&out->writer);
    buf_init(&out->out, 2 * WRITE_AT);
    *target = (struct target){&type, out};
    return out->dry_run || folder_make(out->top.p, 0700, err);
}
