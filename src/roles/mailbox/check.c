/* The administrator's session that looks whether a mailbox is sound: `staffetta mailbox check` while the server runs.
 *
 *   S: CHECK 3          seconds, now and then
 *   S: SOUND 7 7 123    messages; of the search index: messages, bytes; and the end
 *   S: ERROR code text  instead, and the end
 *
 * It reads through a connection of its own that keeps one view of the database, some milliseconds a turn: deliveries and sessions go on, the
 * log of the database grows meanwhile. Bodies are not read. */
#include "backup.h"
#include "base/clock.h"
#include "base/log.h"
#include "box_search.h"
#include "boxes.h"
#include "store_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>

enum { TURN = 5000, PATH_ROOM = 4300 };
static const int64_t tell_every = SECOND;

struct check {
    const struct session_info *info;
    struct box *box; /* entered */
    struct db *db;
    struct store_check *check;
    int64_t began, told;
    bool ended;
    struct buf out;
};

static void fail(struct check *c, const struct err *err)
{
    int code = err->kind == ERR_TEMPORARY ? EX_TEMPFAIL : err->kind == ERR_DAMAGED ? EX_DATAERR : EX_NOINPUT;

    log_warning("check-failed", "account=%" PRId64 " reason=%s", c->info->account, err->text);
    buf_addf(&c->out, "ERROR %d %s\n", code, err->text);
    c->ended = true;
}

static bool open_view(struct check *c, struct boxes *boxes, struct err *err)
{
    char path[PATH_ROOM];

    boxes_path(boxes, c->info->account, "", path, sizeof path);
    return box_commit_promised(c->box, err) && db_open_read_only(&c->db, path, err) && db_keep_view(c->db, err) && store_check_new(&c->check, c->db, CHECK_SOUND, err);
}

/* What was changed and is not committed yet is not seen. */
static void *check_open(struct session *session)
{
    struct check *c = xcalloc(1, sizeof *c);
    struct err err = {0};

    c->info = session_info(session);
    c->began = c->told = clock_monotonic();
    buf_init(&c->out, 8192);
    c->box = boxes_enter_existing(session_boxes(session), c->info->account, &err);
    if (c->box == NULL || !open_view(c, session_boxes(session), &err))
        fail(c, &err);
    return c;
}

static void say_sound(struct check *c)
{
    struct search_index_size index;

    box_search_check(c->box, &index);
    buf_addf(&c->out, "SOUND %" PRId64 " %" PRId64 " %" PRId64 "\n", store_check_numbers(c->check)->messages, index.docs, index.bytes);
    c->ended = true;
}

static void go_on(struct check *c)
{
    int64_t now = clock_monotonic();
    struct err err = {0};
    bool done;

    if (!store_check_step(c->check, now + TURN, &done, &err)) {
        fail(c, &err);
    } else if (done) {
        say_sound(c);
    } else if (now - c->told >= tell_every) {
        c->told = now;
        buf_addf(&c->out, "CHECK %" PRId64 "\n", (now - c->began) / SECOND);
    }
}

static enum session_next check_run(void *machine)
{
    struct check *c = machine;

    if (c->out.n >= 4096)
        return SESSION_WAITS_OUTPUT;
    if (!c->ended)
        go_on(c);
    return c->ended ? SESSION_ENDS : SESSION_GOES_ON;
}

static bool check_input(void *machine, struct str bytes)
{
    (void)machine;
    return bytes.n == 0; /* there is nothing to say */
}

static struct buf *check_output(void *machine)
{
    return &((struct check *)machine)->out;
}

static size_t check_taken(void *machine)
{
    (void)machine;
    return 0;
}

static void check_close(void *machine)
{
    struct check *c = machine;

    store_check_free(c->check);
    db_close(c->db);
    if (c->box != NULL)
        box_leave(c->box);
    buf_clear(&c->out);
    free(c);
}

static void check_finish(void *machine)
{
    struct check *c = machine;
    struct err err = {0};

    err_set(&err, ERR_TEMPORARY, "the server is being stopped; try again");
    if (!c->ended)
        fail(c, &err);
}

const struct protocol check_protocol = {
    .name = "check", .open = check_open, .input = check_input, .run = check_run, .output = check_output, .taken = check_taken,
    .close = check_close, .finish = check_finish, .without_box = true};
