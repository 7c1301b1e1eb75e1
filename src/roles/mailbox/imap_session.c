/* IMAP sessions: from bytes to commands, and tagged answers. See imap.h; what does each command is in imap_verbs.c. */
#include "imap_session.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "box_search.h"
#include "imap.h"
#include "store_events.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct metric bad_commands = METRIC_COUNTER("staffetta_imap_bad_total", "IMAP commands answered BAD.");

/* ---- answers ---- */

bool imap_utf8(const struct imap *im)
{
    return im->enabled & (IMAP_ENABLED_REV2 | IMAP_ENABLED_UTF8);
}

static void clean_work(struct imap *im)
{
    if (im->clean != NULL)
        im->clean(im);
    im->clean = NULL;
    im->work = NULL;
    im->gathered = 0;
}

void imap_tell_where_it_stands(struct imap *im)
{
    if (im->view.folder != NULL && im->enabled & IMAP_ENABLED_CONDSTORE && im->said_modseq > im->view.whole)
        buf_addf(&im->out, "* OK [HIGHESTMODSEQ %" PRId64 "] There is more to come\r\n", im->view.whole);
    im->said_modseq = 0;
}

/* What was told of the selected mailbox is not told again when this takes another turn. */
static void finish_events(struct imap *im)
{
    if (!imap_events_tell(im))
        return;
    imap_tell_where_it_stands(im);
    if (!im->unasked)
        buf_add(&im->out, buf_str(&im->answer));
    im->unasked = im->tells_all = false;
    imap_wire_begin(im);
    if (im->errors >= IMAP_ERRORS_MAX) {
        buf_add(&im->out, STR("* BYE Too many mistakes\r\n"));
        im->closed = true;
    }
    buf_reset(&im->answer);
    im->step = NULL;
    im->literal = NULL;
    clean_work(im);
    imap_places_leave(im);
    arena_clear(&im->arena);
    imap_input_refuse(&im->input); /* a literal that still waits */
    imap_input_done(&im->input);
}

/* The end of a command: tells what changed, then says the answer. */
static void finish(struct imap *im)
{
    if (!imap_view_tell(im))
        return;
    im->step = finish_events;
    finish_events(im);
}

void imap_answer_begin(struct imap *im, const char *status)
{
    buf_reset(&im->answer);
    buf_add(&im->answer, im->tag.n > 0 ? buf_str(&im->tag) : STR("*"));
    buf_addf(&im->answer, " %s ", status);
}

void imap_answer_end(struct imap *im)
{
    imap_limit_tell(im);
    buf_add(&im->answer, STR("\r\n"));
    im->step = finish;
}

static void answer(struct imap *im, const char *status, const char *code, const char *text)
{
    imap_answer_begin(im, status);
    if (code != NULL)
        buf_addf(&im->answer, "[%s] ", code);
    buf_addf(&im->answer, "%s", text);
    imap_answer_end(im);
}

void imap_ok(struct imap *im, const char *code, const char *text)
{
    im->errors = 0;
    if (code == NULL && imap_view_has_gone(im))
        code = "EXPUNGEISSUED";
    answer(im, "OK", code, text);
}

void imap_no(struct imap *im, const char *code, const char *text)
{
    answer(im, "NO", code, text);
}

void imap_bad(struct imap *im, const char *text)
{
    bool no = str_starts(str_of(text), STR("[BADCHARSET")); /* RFC 9051, section 7.1 */

    metric_add(&bad_commands, 1);
    im->tell_expunges = false;
    im->errors++;
    answer(im, no ? "NO" : "BAD", NULL, text);
}

void imap_failed(struct imap *im, const struct err *err)
{
    log_warning("imap-failed", "account=%" PRId64 " command=%s reason=%s", im->info->account, imap_verb_name(im->command.verb),
        err->text);
    if (err->kind == ERR_LIMIT)
        imap_no(im, "LIMIT", err->text);
    else
        imap_no(im, "UNAVAILABLE", "The mailbox cannot be read or written now, try again later");
}

void imap_begin_turn(struct imap *im, int64_t within)
{
    im->turn_ends = clock_monotonic() + within;
    im->looks = 0;
}

/* A client that does not read must not keep the transaction open. */
static bool has_enough_output(const struct imap *im)
{
    return im->out.n >= IMAP_OUTPUT_HIGH && !im->holding;
}

bool imap_pause(struct imap *im)
{
    bool late = clock_monotonic() >= im->turn_ends;

    return has_enough_output(im) || (++im->looks > IMAP_LOOKS && late);
}

/* Looking at the clock takes as long as writing the flags of a message. */
bool imap_pause_between_rows(struct imap *im)
{
    enum { ROWS = 16 };

    return has_enough_output(im) || (++im->rows % ROWS == 0 && imap_pause(im));
}

void imap_tell_progress(struct imap *im, uint32_t at, unsigned phase, unsigned phases)
{
    const struct uid_set *known = &im->view.known;
    struct str tag = buf_str(&im->tag);

    if (im->turn_ends < im->progress_due || known->count == 0 || im->unasked)
        return;
    im->progress_due = im->turn_ends + IMAP_PROGRESS;
    buf_add(&im->out, STR("* OK [INPROGRESS ("));
    if (str_find(tag, ']') >= 0) /* some clients look for the end of the code there */
        buf_add(&im->out, STR("NIL"));
    else
        imap_write_string(&im->out, tag, false);
    buf_addf(&im->out, " %" PRIu64 " %" PRIu64 ")] Still at it\r\n", (uint64_t)phase * known->count + uid_set_below(known, at),
        (uint64_t)phases * known->count);
}

/* ---- waiting for the disk ---- */

/* A session that waits, in IDLE or between two commands, keeps its own box and that of the selected mailbox. */
static bool has_broken_box(const struct imap *im)
{
    return im->home->broken || imap_box_between(im)->broken;
}

static void on_visible(struct box_watcher *w)
{
    struct imap *im = CONTAINER(w, struct imap, watcher);

    if (has_broken_box(im) || (im->idling && imap_view_is_behind(im)) || imap_notify_wants_turn(im))
        session_wake(im->session);
}

/* ---- a box whose sessions all wait for their clients ---- */

static bool may_rest(struct box_watcher *w)
{
    const struct imap *im = CONTAINER(w, struct imap, watcher);

    return im->step == NULL && im->literal == NULL && im->work == NULL && !im->waiting && !im->closed && im->unread.n == 0 &&
           im->deflated.n == 0 && im->out.n == 0 && im->wire.n == 0 && !im->returns && imap_input_is_between(&im->input) &&
           !imap_view_is_behind(im) && !imap_notify_wants_turn(im);
}

/* Memory that a waiting session does not need goes as well. */
static void on_rest(struct box_watcher *w)
{
    struct imap *im = CONTAINER(w, struct imap, watcher);

    if (im->view.box == im->home)
        imap_view_rest(im);
    imap_notify_rest(im);
    imap_input_clear(&im->input);
    imap_input_init(&im->input);
    arena_clear(&im->arena);
    buf_clear(&im->unread);
    buf_clear(&im->out);
    buf_clear(&im->answer);
    imap_wire_rest(im);
}

static void end_without_mailbox(struct imap *im, const struct err *err)
{
    log_warning("imap-failed", "account=%" PRId64 " reason=%s", im->info->account, err->text);
    buf_add(&im->out, STR("* BYE [UNAVAILABLE] The mailbox cannot be read now\r\n"));
    im->idling = false;
    im->closed = true;
    session_wake(im->session);
}

void imap_view_woken(struct imap *im)
{
    struct err err = {0};

    if (!imap_view_wake(im, &err))
        end_without_mailbox(im, &err);
}

static void on_woken(struct box_watcher *w)
{
    struct imap *im = CONTAINER(w, struct imap, watcher);

    imap_notify_wake(im);
    if (im->view.box == im->home)
        imap_view_woken(im);
}

static void wake_box(struct imap *im, struct box *box)
{
    struct err err = {0};

    bool needed = box->store != NULL || im->unread.n > 0 || im->deflated.n > 0 || (box == im->home && imap_notify_others_behind(im));

    if (!im->closed && needed && !box_wake(box, &err))
        end_without_mailbox(im, &err);
}

/* A session that only has to say goodbye needs no database. */
static void wake_boxes(struct imap *im)
{
    wake_box(im, im->home);
    if (imap_box_between(im) != im->home)
        wake_box(im, im->view.box);
}

struct folder *imap_folder(struct imap *im, struct str name, const char *code)
{
    struct folder *f = store_folder_find(im->box->store, name);

    if (f == NULL)
        imap_no(im, code, "There is no such mailbox");
    return f;
}

/* ---- commands ---- */

static void keep_tag(struct imap *im, struct str tag)
{
    buf_reset(&im->tag);
    buf_add(&im->tag, tag);
}

static void on_command(struct imap *im)
{
    const char *why;
    bool parsed;

    if (im->idling) {
        imap_idle_line(im, imap_input_command(&im->input));
        return;
    }
    if (im->literal != NULL) {
        im->literal(im);
        return;
    }
    if (imap_input_command(&im->input).n == 0) { /* an empty line */
        imap_input_done(&im->input);
        return;
    }
    im->arena.ceiling = IMAP_ARENA_MAX - IMAP_ARENA_KEPT;
    parsed = imap_command_parse(imap_input_command(&im->input), imap_utf8(im), &im->arena, &im->command, &why);
    im->arena.ceiling = IMAP_ARENA_MAX;
    if (parsed) {
        keep_tag(im, im->command.tag);
        if (imap_has_memory(im))
            imap_run_command(im);
        return;
    }
    keep_tag(im, im->command.tag);
    if (str_starts(str_of(why), STR("[BADCHARSET")) && im->command.search.returns & IMAP_RETURN_SAVE) /* RFC 5182, section 2.1 */
        uid_set_clear(&im->view.saved);
    imap_bad(im, why);
}

/* A literal: of a message it is streamed, of anything else collected, if it is small enough. */
static void on_literal(struct imap *im)
{
    struct str rest;
    bool known;

    if (im->idling) { /* ends it like any other line but DONE */
        imap_input_refuse(&im->input);
        imap_idle_line(im, STR(""));
        return;
    }
    if (im->literal != NULL) {
        im->literal(im);
        return;
    }
    arena_clear(&im->arena);
    known = imap_command_verb(imap_input_command(&im->input), &im->command.tag, &im->command.uid, &im->command.verb, &rest);
    keep_tag(im, imap_input_tag(&im->input));
    if (known && (im->command.verb == IMAP_APPEND || im->command.verb == IMAP_REPLACE)) {
        imap_run_command(im);
        return;
    }
    if (imap_input_literal(&im->input)->size > IMAP_COMMAND_MAX) {
        imap_input_refuse(&im->input);
        if (known && im->command.verb == IMAP_SETMETADATA)
            imap_no(im, IMAP_METADATA_MAXSIZE, "The value is too large");
        else
            imap_bad(im, "[TOOBIG] The literal is too large");
        return;
    }
    if (imap_input_literal(&im->input)->synchronizing)
        buf_add(&im->out, STR("+ Go on\r\n"));
    imap_input_take(&im->input);
}

static void on_too_long(struct imap *im)
{
    if (im->idling) {
        imap_idle_line(im, STR(""));
        return;
    }
    keep_tag(im, imap_input_tag(&im->input));
    imap_bad(im, "The command is too long");
}

/* Works off what the client sent until a command needs time, or nothing whole is left. */
static void read_commands(struct imap *im)
{
    struct str rest = buf_str(&im->unread);
    enum imap_input_event event = IMAP_INPUT_COMMAND;

    while (event != IMAP_INPUT_MORE && im->step == NULL && !im->closed && !im->returns && !imap_pause(im)) {
        event = imap_input_next(&im->input, &rest);
        switch (event) {
        case IMAP_INPUT_MORE: break;
        case IMAP_INPUT_COMMAND: on_command(im); break;
        case IMAP_INPUT_LITERAL: on_literal(im); break;
        case IMAP_INPUT_BYTES: imap_append_bytes(im, imap_input_bytes(&im->input)); break;
        case IMAP_INPUT_STREAMED: imap_append_streamed_literal(im); break;
        case IMAP_INPUT_TOO_LONG: on_too_long(im); break;
        }
    }
    if (im->compression == NULL)
        im->taken += im->unread.n - rest.n;
    buf_consume(&im->unread, im->unread.n - rest.n);
}

/* ---- the protocol of the session ---- */

static void *session_open(struct session *session)
{
    struct imap *im = xcalloc(1, sizeof *im);

    im->session = session;
    im->info = session_info(session);
    im->home = im->box = im->info->box;
    im->waiter = (struct waiter){.done = imap_on_synced, .hurry = true};
    im->watcher = (struct box_watcher){.changed = on_visible, .may_rest = may_rest, .rests = on_rest, .woken = on_woken};
    box_watch(im->home, &im->watcher);
    box_search_enter(im->home);
    imap_note_shares(im);
    buf_init(&im->unread, IMAP_UNREAD_MAX);
    buf_init(&im->out, IMAP_OUTPUT_MAX);
    buf_init(&im->answer, IMAP_OUTPUT_MAX); /* COPYUID and MODIFIED may be long */
    buf_init(&im->tag, IMAP_TAG_MAX);
    arena_init(&im->arena, IMAP_ARENA_MAX);
    imap_input_init(&im->input);
    if (im->info->tag.n > 0) { /* the answer to the command that logged in */
        buf_add(&im->out, im->info->tag);
        buf_add(&im->out, STR(" OK ["));
        imap_write_capabilities(im, &im->out);
        buf_add(&im->out, STR("] Logged in\r\n"));
    }
    return im;
}

static bool session_input(void *machine, struct str bytes)
{
    struct imap *im = machine;

    return imap_wire_input(im, bytes);
}

static void session_finish(void *machine)
{
    ((struct imap *)machine)->finishing = true;
}

/* All that the client sent is done: it can be sent away, also out of IDLE. */
static void leave(struct imap *im)
{
    buf_add(&im->out, STR("* BYE [UNAVAILABLE] The server is shutting down\r\n"));
    im->idling = false;
    im->closed = true;
}

/* A sync failed: as long as this session is there nobody gets another handle (boxes.h), so it goes too, as soon as the command
 * under way is answered. */
static void leave_broken_box(struct imap *im)
{
    struct err err = {0};

    err_set(&err, ERR_TEMPORARY, "the disk failed");
    end_without_mailbox(im, &err);
}

static bool has_input(const struct imap *im)
{
    return im->unread.n > 0 || im->deflated.n > 0;
}

/* Until the client says more; while idling it was told everything. */
static bool rests(struct imap *im)
{
    if (im->returns) /* everything was said */
        return !has_input(im);
    return !has_input(im) && (!im->idling || imap_view_tell_news(im)) && imap_notify_tell(im);
}

static enum session_next work(struct imap *im)
{
    if (has_enough_output(im))
        return SESSION_WAITS_OUTPUT;
    wake_boxes(im);
    imap_begin_turn(im, IMAP_TURN);
    do {
        if (im->waiting && !imap_directory_is_late(im))
            return SESSION_WAITS_INPUT;
        if (im->step != NULL)
            im->step(im);
        else if (imap_wire_returns(im))
            return SESSION_RETURNS;
        else if (im->finishing && !im->closed && !has_input(im) && im->literal == NULL && imap_input_is_between(&im->input))
            leave(im);
        else if (has_broken_box(im) && !im->closed)
            leave_broken_box(im);
        else if (im->closed)
            return SESSION_ENDS;
        else if (rests(im))
            return SESSION_WAITS_INPUT;
        else if (im->unread.n > 0 && !im->returns)
            read_commands(im);
        else if (im->deflated.n > 0)
            imap_wire_inflate(im);
        if (im->out.failed) {
            log_warning("imap-output", "account=%" PRId64 " reason=an answer is larger than its buffer", im->info->account);
            return SESSION_ENDS;
        }
    } while (!imap_pause(im));
    return has_enough_output(im) ? SESSION_WAITS_OUTPUT : SESSION_GOES_ON;
}

static enum session_next session_run(void *machine)
{
    struct imap *im = machine;
    enum session_next next = SESSION_GOES_ON;
    bool sent = imap_wire_output(im);

    if (sent || im->holding) {
        next = work(im);
        sent = imap_wire_output(im);
    }
    if (!imap_keeps_within_memory(im))
        return SESSION_ENDS;
    if (sent)
        return next;
    return im->wire.n >= IMAP_OUTPUT_HIGH && !im->holding ? SESSION_WAITS_OUTPUT : SESSION_GOES_ON;
}

static struct buf *session_output(void *machine)
{
    struct imap *im = machine;

    return im->compression != NULL ? &im->wire : &im->out;
}

static size_t session_taken(void *machine)
{
    struct imap *im = machine;
    size_t taken = im->taken;

    im->taken = 0;
    return taken;
}

static struct str session_left(void *machine)
{
    return imap_wire_left(machine);
}

/* A change half done when the session ends: nothing of it may be committed. */
static void give_up(struct imap *im)
{
    struct err err = {0};
    bool lost = im->rollbacks != im->box->rollbacks;

    if (!im->holding)
        return;
    imap_release(im);
    err_set(&err, ERR_TEMPORARY, "a change was given up");
    if (!lost)
        box_fail(im->box, &err);
}

/* Nobody hears what is said. When nothing is held any more, all that the command does is in the transaction: it is committed with
 * what others have there. */
static bool session_go_on(void *machine)
{
    struct imap *im = machine;

    imap_begin_turn(im, IMAP_TURN);
    while (im->holding && !imap_pause(im)) {
        im->step(im);
        buf_reset(&im->out);
    }
    return im->holding;
}

static void session_close(void *machine)
{
    struct imap *im = machine;

    box_unwait(im->box, &im->waiter);
    list_remove(&im->asking.link);
    list_remove(&im->locating.waiter.link);
    give_up(im);
    list_remove(&im->watcher.link);
    box_search_leave(im->home);
    clean_work(im);
    imap_forget_memory(im);
    imap_view_close(im);
    imap_places_leave(im);
    imap_notify_end(im);
    imap_input_clear(&im->input);
    arena_clear(&im->arena);
    buf_clear(&im->unread);
    buf_clear(&im->out);
    buf_clear(&im->answer);
    buf_clear(&im->tag);
    imap_wire_clear(im);
    free(im);
}

static bool session_uses(void *machine, const struct box *box)
{
    const struct imap *im = machine;

    return box == im->view.box || box == im->place.box || box == im->source.box || box == im->box;
}

static void session_forget(void *machine, const struct box *box)
{
    imap_notify_forget(machine, box);
}

const struct protocol imap_protocol = {
    .name = "imap", .open = session_open, .input = session_input, .run = session_run, .output = session_output, .taken = session_taken,
    .close = session_close, .finish = session_finish, .left = session_left, .uses = session_uses, .forget = session_forget, .go_on = session_go_on};
