/* The administrator's session that takes an account's database away: `staffetta account backup` (docs/backup.md).
 *
 *   S: COPY 1000 25000          pages, now and then, while a copy of the database is made beside it (db/copy.h)
 *   S: DATA 102400000           then so many bytes, and the end
 *   S: ERROR code text               instead, and the end
 *
 * The copy is made some milliseconds a turn; deliveries and sessions go on. It is one view of the database: of a moment
 * between two transactions. */
#include "backup.h"
#include "base/clock.h"
#include "base/log.h"
#include "boxes.h"
#include "db/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { PAGES = 16, TURN = 5000, PIECE = 64 * 1024, PATH_ROOM = 4300 };
static const int64_t tell_every = SECOND;

struct backup {
    const struct session_info *info;
    struct db_copy *copy; /* while it is made */
    int fd;               /* of it, when it is sent; -1 before */
    char path[PATH_ROOM];
    int64_t told;
    bool ended, begun;
    struct buf out;
};

static void fail(struct backup *b, enum err_kind kind, const char *why)
{
    log_warning("backup-failed", "account=%" PRId64 " reason=%s", b->info->account, why);
    buf_addf(&b->out, "ERROR %d %s\n", kind == ERR_DAMAGED ? EX_DATAERR : EX_TEMPFAIL, why);
    b->ended = true;
}

static void *backup_open(struct session *session)
{
    struct backup *b = xcalloc(1, sizeof *b);
    char from[PATH_ROOM];
    struct err err = {0};

    b->info = session_info(session);
    b->fd = -1;
    buf_init(&b->out, 4 * PIECE);
    boxes_path(b->info->box->boxes, b->info->account, "", from, sizeof from);
    boxes_path(b->info->box->boxes, b->info->account, ".backup", b->path, sizeof b->path);
    if (b->info->box->backing_up)
        fail(b, ERR_TEMPORARY, "another backup of this account is under way");
    else if (!box_commit_promised(b->info->box, &err) || !db_copy_begin(&b->copy, from, b->path, &err))
        fail(b, err.kind, err.text);
    else
        b->begun = b->info->box->backing_up = true;
    return b;
}

/* ---- making the copy ---- */

static void begin_sending(struct backup *b)
{
    struct stat about;

    db_copy_free(b->copy);
    b->copy = NULL;
    b->fd = open(b->path, O_RDONLY | O_CLOEXEC);
    if (b->fd < 0 || fstat(b->fd, &about) != 0)
        fail(b, ERR_TEMPORARY, strerror(errno));
    else
        buf_addf(&b->out, "DATA %" PRId64 "\n", (int64_t)about.st_size);
    unlink(b->path); /* the descriptor keeps it */
}

static void tell_progress(struct backup *b)
{
    int64_t now = clock_monotonic(), at, of;

    if (now - b->told < tell_every)
        return;
    b->told = now;
    db_copy_progress(b->copy, &at, &of);
    buf_addf(&b->out, "COPY %" PRId64 " %" PRId64 "\n", at, of);
}

static void make_copy(struct backup *b)
{
    int64_t until = clock_monotonic() + TURN;
    struct err err = {0};
    bool done = false;

    while (!done && clock_monotonic() < until)
        if (!db_copy_step(b->copy, PAGES, &done, &err)) {
            fail(b, err.kind, err.text);
            return;
        }
    if (done)
        begin_sending(b);
    else
        tell_progress(b);
}

/* ---- sending it ---- */

static void send_piece(struct backup *b)
{
    char *room = buf_reserve(&b->out, PIECE);
    ssize_t n;

    do
        n = room == NULL ? -1 : read(b->fd, room, PIECE);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        b->out.n += (size_t)n;
    else
        b->ended = true; /* the client counts */
    if (n < 0)
        log_warning("backup-failed", "account=%" PRId64 " reason=%s", b->info->account, strerror(errno));
}

static enum session_next backup_run(void *machine)
{
    struct backup *b = machine;

    if (b->out.n >= PIECE)
        return SESSION_WAITS_OUTPUT;
    if (!b->ended && b->copy != NULL)
        make_copy(b);
    else if (!b->ended)
        send_piece(b);
    return b->ended ? SESSION_ENDS : b->out.n >= PIECE ? SESSION_WAITS_OUTPUT : SESSION_GOES_ON;
}

static bool backup_input(void *machine, struct str bytes)
{
    (void)machine;
    return bytes.n == 0; /* there is nothing to say */
}

static struct buf *backup_output(void *machine)
{
    return &((struct backup *)machine)->out;
}

static size_t backup_taken(void *machine)
{
    (void)machine;
    return 0;
}

static void backup_close(void *machine)
{
    struct backup *b = machine;

    if (b->copy != NULL) {
        db_copy_free(b->copy);
        unlink(b->path);
    }
    if (b->begun)
        b->info->box->backing_up = false;
    if (b->fd >= 0)
        close(b->fd);
    buf_clear(&b->out);
    free(b);
}

const struct protocol backup_protocol = {
    .name = "backup", .open = backup_open, .input = backup_input, .run = backup_run, .output = backup_output, .taken = backup_taken,
    .close = backup_close};
