/* The administrator's session that puts an account's database in place of what there is: `staffetta account restore`
 * (docs/backup.md).
 *
 *   C: RESTORE 102400000 overwrite|new sha256     then so many bytes
 *   S: READY            they may come
 *   S: CHECK 5          now and then, while they are looked at: seconds
 *   S: DONE 123 4567    messages and bytes that are there now, and the end
 *   S: ERROR code text  an exit code and why not, and the end
 *
 * The bytes go into a file of their own, which one restore of an account at a time may have. It is synced (a part at a time: a sync holds
 * up the process), held against the checksum, opened (it must be a mailbox, and is brought to the newest schema; some milliseconds a turn),
 * given new uidvalidities, and only then renamed over the old one,
 * which nobody uses any more and whose log is empty. So a crash at any moment leaves the old mailbox or the new one. What is left of a
 * restore that was broken off, the log of its file too, is removed by the next before it writes: that log would be applied to whatever
 * has the name. */
#include "backup.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/folder.h"
#include "base/log.h"
#include "boxes.h"
#include "store_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { LINE = 200, PATH_ROOM = 4300, TURN = 5000, SYNC_EVERY = 2 * 1024 * 1024 };
static const int64_t patience = 30 * SECOND, tell_every = SECOND;

enum state { AT_COMMAND, AT_BYTES, AT_CHECKING, AT_PLACING, ENDED };

struct restore {
    struct session *session;
    const struct session_info *info;
    struct boxes *boxes;
    struct box_restoring claim; /* the files of `fresh` are ours */
    enum state state;
    struct buf unread, out;
    size_t taken;
    uint64_t size, got, synced;
    bool overwrite;
    char sum[2 * crypto_hash_sha256_BYTES + 1];
    crypto_hash_sha256_state hash;
    int fd;
    char path[PATH_ROOM], fresh[PATH_ROOM];
    struct store_taking *taking; /* while it is looked at */
    struct store *store;         /* what came of it */
    int64_t told;
    int64_t until; /* everybody else has let go of the old one */
};

static void end(struct restore *r, int code, const char *text)
{
    if (code != 0)
        log_warning("restore-failed", "account=%" PRId64 " reason=%s", r->info->account, text);
    if (code == 0)
        buf_addf(&r->out, "DONE %s\n", text);
    else
        buf_addf(&r->out, "ERROR %d %s\n", code, text);
    r->state = ENDED;
}

/* ---- the command ---- */

static bool parse(struct restore *r, struct str line)
{
    struct str verb, size, how, sum;

    if (!str_next_word(&line, &verb) || !str_next_word(&line, &size) || !str_next_word(&line, &how) || !str_next_word(&line, &sum))
        return false;
    r->overwrite = str_eq(how, STR("overwrite"));
    if (!str_eq(verb, STR("RESTORE")) || !str_to_u64(size, INT64_MAX, &r->size) || sum.n != sizeof r->sum - 1)
        return false;
    memcpy(r->sum, sum.p, sum.n);
    return r->overwrite || str_eq(how, STR("new"));
}

/* May what is there be replaced? A damaged one may, when that is wanted. */
static bool may_replace(struct restore *r)
{
    struct err err = {0};
    struct box *box;
    bool empty;

    if (r->overwrite)
        return true;
    if (!boxes_exist(r->boxes, r->info->account))
        return true;
    box = boxes_enter_existing(r->boxes, r->info->account, &err);
    if (box == NULL) {
        end(r, EX_TEMPFAIL, err.text);
        return false;
    }
    empty = store_totals(box->store).messages == 0;
    box_leave(box);
    if (!empty)
        end(r, EX_CANTCREAT, "the mailbox is not empty; --overwrite replaces what is in it");
    return empty;
}

/* Of this restore, or of one that was broken off. */
static bool remove_fresh(const struct restore *r)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal", ""};
    char path[PATH_ROOM + 16];
    bool gone = true;

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(path, sizeof path, "%s%s", r->fresh, suffixes[i]);
        gone &= unlink(path) == 0 || errno == ENOENT;
    }
    return gone;
}

static void begin(struct restore *r, struct str line)
{
    if (!parse(r, line)) {
        end(r, EX_USAGE, "RESTORE size overwrite|new sha256");
        return;
    }
    if (!may_replace(r))
        return;
    if (!boxes_claim(r->boxes, &r->claim, r->info->account)) {
        end(r, EX_TEMPFAIL, "another restore of this account is under way");
        return;
    }
    if (!remove_fresh(r)) {
        end(r, EX_IOERR, "what is left of an earlier restore cannot be removed");
        return;
    }
    r->fd = open(r->fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0) {
        end(r, EX_IOERR, strerror(errno));
        return;
    }
    crypto_hash_sha256_init(&r->hash);
    buf_add(&r->out, STR("READY\n"));
    r->state = AT_BYTES;
}

/* ---- the bytes ---- */

static bool write_all(struct restore *r, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(r->fd, bytes.p, bytes.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes = str_skip(bytes, (size_t)n);
    }
    return true;
}

static bool sum_is_right(struct restore *r)
{
    unsigned char sum[crypto_hash_sha256_BYTES];
    struct buf text;
    bool same;

    buf_init(&text, 2 * sizeof sum + 1);
    crypto_hash_sha256_final(&r->hash, sum);
    hex_encode(&text, str_from((const char *)sum, sizeof sum));
    same = str_eq(buf_str(&text), str_of(r->sum));
    buf_clear(&text);
    return same;
}

static void failed(struct restore *r, const struct err *err)
{
    end(r, err->kind == ERR_TEMPORARY ? EX_TEMPFAIL : EX_DATAERR, err->text);
}

static void begin_checking(struct restore *r)
{
    struct err err = {0};

    close(r->fd);
    r->fd = -1;
    r->state = AT_CHECKING;
    r->told = clock_monotonic();
    r->until = r->told;
    if (!sum_is_right(r))
        end(r, EX_DATAERR, "the checksum is wrong");
    else if (!store_take_begin(&r->taking, r->fresh, r->info->account, &err))
        failed(r, &err);
}

static void take_bytes(struct restore *r)
{
    struct str bytes = str_sub(buf_str(&r->unread), 0, r->size - r->got < r->unread.n ? (size_t)(r->size - r->got) : r->unread.n);

    if (!write_all(r, bytes)) {
        end(r, EX_IOERR, strerror(errno));
        return;
    }
    crypto_hash_sha256_update(&r->hash, (const unsigned char *)bytes.p, bytes.n);
    r->got += bytes.n;
    r->taken += bytes.n;
    buf_consume(&r->unread, bytes.n);
    if ((r->got == r->size || r->got - r->synced >= SYNC_EVERY) && fsync(r->fd) != 0) {
        end(r, EX_IOERR, strerror(errno));
        return;
    }
    if (r->got - r->synced >= SYNC_EVERY)
        r->synced = r->got;
    if (r->got == r->size)
        begin_checking(r);
}

/* ---- is it a mailbox? ---- */

static void tell_time(struct restore *r)
{
    int64_t now = clock_monotonic();

    if (now - r->told < tell_every)
        return;
    r->told = now;
    buf_addf(&r->out, "CHECK %" PRId64 "\n", (now - r->until) / SECOND);
}

static void look_at_it(struct restore *r)
{
    struct err err = {0};

    if (!store_take_step(r->taking, clock_monotonic() + TURN, &r->store, &err)) {
        failed(r, &err);
        return;
    }
    tell_time(r);
    if (r->store == NULL)
        return;
    r->state = AT_PLACING;
    r->until = clock_monotonic() + patience;
}

/* ---- putting it in place ---- */

/* NULL when there is none that can be read. When only the moment is bad, the restore has to wait: uids may not be given again. */
static bool open_old(struct restore *r, struct store **old, struct err *err)
{
    struct err why = {0};

    if (!boxes_exist(r->boxes, r->info->account) || store_open(old, r->path, r->info->account, 0, &why))
        return true;
    if (why.kind == ERR_TEMPORARY || !r->overwrite) {
        *err = why;
        return false;
    }
    log_warning("restore", "account=%" PRId64 " reason=the old mailbox cannot be read: %s", r->info->account, why.text);
    return true;
}

/* Uids and modseqs that the old one has given must not mean something else in the new one. */
static bool prepare(struct restore *r, struct store_totals *holds, struct err *err)
{
    struct store *old = NULL;
    bool done = open_old(r, &old, err) && store_supersede(r->store, old, err) && store_sync(r->store, err);

    *holds = store_totals(r->store);
    store_close(r->store);
    r->store = NULL;
    store_close(old);
    return done;
}

/* Of a file whose database is closed; a log that is still there could be applied to another database of that name. */
static bool has_log(const char *path)
{
    char log[PATH_ROOM + 8];

    snprintf(log, sizeof log, "%s-wal", path);
    return access(log, F_OK) == 0;
}

static bool place(struct restore *r, struct store_totals *holds, struct err *err)
{
    char other[PATH_ROOM + 8];

    if (!prepare(r, holds, err))
        return false;
    if (has_log(r->path) || has_log(r->fresh))
        return err_set(err, ERR_TEMPORARY, "the log of the database could not be emptied; try again");
    snprintf(other, sizeof other, "%s-shm", r->path);
    unlink(other);
    if (rename(r->fresh, r->path) != 0)
        return err_set(err, ERR_TEMPORARY, "%s: %s", r->path, strerror(errno));
    boxes_forget_derived(r->boxes, r->info->account);
    return folder_sync_parent(r->path, err);
}

static void try_to_place(struct restore *r)
{
    struct store_totals holds = {0};
    struct err err = {0};
    char text[100];

    session_end_others(r->session);
    if (!boxes_let_go(r->boxes, r->info->account)) {
        if (clock_monotonic() > r->until)
            end(r, EX_TEMPFAIL, "the mailbox is in use; try again");
        return;
    }
    if (!place(r, &holds, &err)) {
        failed(r, &err);
        return;
    }
    log_info("restored", "account=%" PRId64 " messages=%" PRId64 " bytes=%" PRId64, r->info->account, holds.messages, holds.bytes);
    snprintf(text, sizeof text, "%" PRId64 " %" PRId64, holds.messages, holds.bytes);
    end(r, 0, text);
}

/* ---- the protocol ---- */

static void *restore_open(struct session *session)
{
    struct restore *r = xcalloc(1, sizeof *r);

    r->session = session;
    r->info = session_info(session);
    r->boxes = session_boxes(session);
    r->fd = -1;
    buf_init(&r->unread, 2 * SESSION_WINDOW);
    buf_init(&r->out, 8192);
    boxes_path(r->boxes, r->info->account, "", r->path, sizeof r->path);
    boxes_path(r->boxes, r->info->account, ".restore", r->fresh, sizeof r->fresh);
    if (!boxes_make_folder(r->boxes, r->info->account))
        end(r, EX_IOERR, "the folder of the mailbox cannot be made");
    return r;
}

static bool restore_input(void *machine, struct str bytes)
{
    struct restore *r = machine;

    buf_add(&r->unread, bytes);
    return !r->unread.failed;
}

static void read_command(struct restore *r)
{
    ptrdiff_t at = str_find(buf_str(&r->unread), '\n');
    char line[LINE];

    if (at < 0 || at >= LINE) {
        if (r->unread.n >= LINE)
            end(r, EX_USAGE, "a command expected");
        return;
    }
    memcpy(line, r->unread.p, (size_t)at);
    r->taken += (size_t)at + 1;
    buf_consume(&r->unread, (size_t)at + 1);
    begin(r, str_from(line, (size_t)at));
}

static enum session_next restore_run(void *machine)
{
    struct restore *r = machine;

    if (r->state == AT_COMMAND)
        read_command(r);
    if (r->state == AT_BYTES)
        take_bytes(r);
    if (r->state == AT_CHECKING || r->state == AT_PLACING) {
        if (r->state == AT_CHECKING)
            look_at_it(r);
        else
            try_to_place(r);
        return r->state == ENDED ? SESSION_ENDS : SESSION_GOES_ON;
    }
    return r->state == ENDED ? SESSION_ENDS : SESSION_WAITS_INPUT;
}

static struct buf *restore_output(void *machine)
{
    return &((struct restore *)machine)->out;
}

static size_t restore_taken(void *machine)
{
    struct restore *r = machine;
    size_t taken = r->taken;

    r->taken = 0;
    return taken;
}

static void restore_close(void *machine)
{
    struct restore *r = machine;

    if (r->fd >= 0)
        close(r->fd);
    store_take_free(r->taking);
    store_close(r->store);
    if (link_in_list(&r->claim.link))
        (void)remove_fresh(r); /* renamed, or of no use */
    list_remove(&r->claim.link);
    buf_clear(&r->unread);
    buf_clear(&r->out);
    free(r);
}

const struct protocol restore_protocol = {
    .name = "restore", .open = restore_open, .input = restore_input, .run = restore_run, .output = restore_output, .taken = restore_taken,
    .close = restore_close, .without_box = true};
