/* APPEND and REPLACE (RFC 9051, section 6.3.12; RFC 3502, RFC 4315, RFC 8508). See imap.h and imap/append.h.
 *
 * A large message, and each that another one follows, goes to the database in pieces while it comes, as a content that nothing
 * refers to (`loose`, swept after a crash); the others' work goes on meanwhile. The last one, if it is of one piece, waits
 * in memory, so that it is written once. When all are complete, they become messages in one transaction, and the answer
 * waits for the sync: all of them are there, or none. */
#include "base/clock.h"
#include "base/msgid.h"
#include "imap_append.h"
#include "summary.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { PIECE = 64 * 1024, MESSAGES_MAX = 1000, KEYWORDS_MAX = 5000 };

/* ---- life ---- */

static void free_incoming(struct imap *im, struct incoming *m)
{
    if (link_in_list(&m->writer.link))
        store_put_abort(im->box->store, &m->writer);
    summary_free(m->summary);
    list_remove(&m->link);
    free(m);
}

static void clean(struct imap *im)
{
    struct appending *a = im->work;

    box_unwait(im->box, &im->waiter);
    for (struct link *it; (it = list_first(&a->messages)) != NULL;)
        free_incoming(im, CONTAINER(it, struct incoming, link));
    catenate_clear(im);
    buf_clear(&a->piece);
    buf_clear(&a->uids);
}

void append_fail(struct imap *im, const char *code, const char *why)
{
    struct appending *a = im->work;

    a->failed = true;
    a->code = code;
    a->why = why;
}

void append_refuse(struct imap *im, const char *code, const char *why)
{
    imap_input_refuse(&im->input);
    if (code == NULL)
        imap_bad(im, why);
    else
        imap_no(im, code, why);
}

int64_t imap_append_limit(const struct imap *im)
{
    return (int64_t)im->info->message_limit;
}

/* Somebody's failure has rolled back what was written. */
static void on_lost(struct imap *im, bool stored)
{
    (void)stored;
    if (im->work != NULL)
        append_fail(im, "UNAVAILABLE", "The message could not be written, try again later");
}

/* ---- a message arrives ---- */

static struct incoming *current(struct appending *a)
{
    assert(!list_empty(&a->messages));
    return CONTAINER(a->messages.head.prev, struct incoming, link);
}

static void write_piece(struct imap *im);
bool append_put_info(struct imap *im, struct incoming *m, struct err *err);

/* Another one follows: of this one nothing stays in memory. */
static void put_away(struct imap *im)
{
    struct appending *a = im->work;
    struct err err = {0};

    if (a->piece.n > 0)
        write_piece(im);
    if (list_empty(&a->messages) || a->failed || !current(a)->begun || !box_begin(im->box, &err))
        return;
    box_touch(im->box);
    if (!append_put_info(im, current(a), &err))
        box_fail(im->box, &err); /* on_lost hears of it */
}

bool append_open_message(struct imap *im, uint64_t size)
{
    struct appending *a = im->work;
    struct incoming *m;

    if (a->count == MESSAGES_MAX) {
        append_refuse(im, "LIMIT", "Too many messages in one APPEND");
        return false;
    }
    a->keywords += a->grammar.flags.keyword_count;
    if (a->keywords > KEYWORDS_MAX) { /* they are looked up in one turn */
        append_refuse(im, "LIMIT", "Too many keywords in one APPEND");
        return false;
    }
    if (imap_is_over_limit(im, a->count + 1)) {
        append_refuse(im, imap_limit_code(im), "Nothing was stored, these are too many messages");
        return false;
    }
    put_away(im);
    m = xcalloc(1, sizeof *m);
    m->flags = a->grammar.flags;
    m->flags.system &= imap_flags_of_rights(a->rights); /* no more is kept, and that is no fault (RFC 4314, section 4) */
    if (!(a->rights & ACL_WRITE))
        m->flags.keyword_count = 0;
    m->mark = a->grammar.mark;
    m->received = a->grammar.has_date ? a->grammar.date : clock_now();
    m->size = (int64_t)size;
    m->summary = summary_new();
    list_add_last(&a->messages, &m->link);
    a->count++;
    a->bytes += size;
    return true;
}

bool append_fits(struct imap *im, size_t messages, uint64_t size)
{
    const struct appending *a = im->work;
    uint64_t bytes = a->bytes + size;

    if (a->replaces && bytes <= a->freed)
        return true;
    if (imap_fits(im, a->replaces ? 0 : a->count + messages, bytes - (a->replaces ? a->freed : 0)))
        return true;
    imap_input_refuse(&im->input); /* NO was said */
    return false;
}

void append_stream(struct imap *im)
{
    if (imap_input_literal(&im->input)->synchronizing)
        buf_add(&im->out, STR("+ Go on\r\n"));
    imap_input_stream(&im->input);
}

static void begin_message(struct imap *im)
{
    uint64_t size = imap_input_literal(&im->input)->size;

    im->step = NULL;
    if (size == 0) /* RFC 3502, section 6.3.11: how a client changes its mind */
        append_refuse(im, "CANNOT", "A message has at least one byte");
    else if (size > (uint64_t)imap_append_limit(im))
        append_refuse(im, "TOOBIG", "The message is larger than this server takes");
    else if (append_fits(im, 1, size) && append_open_message(im, size))
        append_stream(im);
}

static bool put_piece(struct imap *im, struct incoming *m, struct str piece, struct err *err)
{
    if (!m->begun && !store_put_begin(im->box->store, &m->writer, (int64_t)msgid_new(), m->size, err))
        return false;
    if (!m->begun) {
        im->synced = on_lost;
        box_writing(im->box, &im->waiter);
    }
    m->begun = true;
    return store_put_piece(im->box->store, &m->writer, piece, err);
}

bool append_put_info(struct imap *im, struct incoming *m, struct err *err)
{
    struct content_info info;
    bool done;

    if (m->summary == NULL)
        return true;
    summary_end(m->summary, &info);
    done = store_info_put(im->box->store, m->writer.id, &info, err);
    summary_free(m->summary);
    m->summary = NULL;
    return done;
}

/* One summary may take megabytes: of each session there is one at most, and none when all together take too much. */
void append_note_structure(struct imap *im, struct incoming *m, struct str piece)
{
    if (m->summary == NULL)
        return;
    summary_add(m->summary, piece);
    if (imap_gathers(im, summary_memory(m->summary)))
        return;
    summary_free(m->summary);
    m->summary = NULL;
}

/* Into the database, a piece at a time. */
static void write_piece(struct imap *im)
{
    struct appending *a = im->work;
    struct incoming *m = current(a);
    struct err err = {0};

    if (!a->failed && box_begin(im->box, &err)) {
        box_touch(im->box);
        append_note_structure(im, m, buf_str(&a->piece));
        if (!put_piece(im, m, buf_str(&a->piece), &err))
            box_fail(im->box, &err); /* on_lost hears of it, if this was not the first piece */
    }
    if (err.kind != ERR_NONE)
        on_lost(im, false);
    buf_reset(&a->piece);
}

void imap_append_bytes(struct imap *im, struct str bytes)
{
    struct appending *a = im->work;

    while (bytes.n > 0) {
        struct str part = str_sub(bytes, 0, PIECE - a->piece.n);

        if (part.n == 0)
            write_piece(im);
        buf_add(&a->piece, part);
        bytes = str_skip(bytes, part.n);
    }
}

void append_flush(struct imap *im)
{
    if (current(im->work)->begun)
        write_piece(im);
}

void imap_append_streamed_literal(struct imap *im)
{
    struct appending *a = im->work;

    if (!a->grammar.catenate) /* otherwise more may follow */
        append_flush(im);
    imap_input_forget(&im->input);
    imap_append_streamed(&a->grammar);
}

/* ---- the command, step by step ---- */

/* The message of REPLACE; false: an answer was said. */
static bool find_replaced(struct imap *im)
{
    struct appending *a = im->work;
    struct store_message m;
    struct err err = {0};
    bool found = false;

    if (!imap_view_resolve(im, &a->grammar.set, im->command.uid)) {
        imap_input_refuse(&im->input); /* BAD was said */
        return false;
    }
    a->replaced = imap_view_next(im, &a->grammar.set, 1);
    if (a->replaced != 0 && !store_message_get(im->view.box->store, im->view.folder, a->replaced, &m, &found, &err)) {
        imap_input_refuse(&im->input);
        imap_failed(im, &err);
    } else if (!found) {
        append_refuse(im, "NONEXISTENT", "There is no such message");
    } else {
        a->freed = im->box == im->view.box ? (uint64_t)m.size : 0; /* else in another account */
    }
    return found;
}

/* In a mailbox of somebody else; false: an answer was said. */
static bool may_append(struct imap *im, const struct appending *a)
{
    if (im->box == im->home || imap_may(im, im->box, a->to, ACL_INSERT, 0, "TRYCREATE"))
        return true;
    imap_input_refuse(&im->input);
    return false;
}

static bool find_mailbox(struct imap *im)
{
    struct appending *a = im->work;

    a->to = store_folder_find(im->box->store, im->place.name);
    if (!may_append(im, a))
        return false;
    a->to_id = a->to == NULL ? 0 : a->to->id;
    a->to_uidvalidity = a->to == NULL ? 0 : a->to->uidvalidity;
    a->rights = a->to == NULL ? 0 : imap_rights(im, im->box, a->to);
    if (a->to == NULL)
        append_refuse(im, "TRYCREATE", "There is no such mailbox");
    else if (a->replaces && im->view.read_only)
        append_refuse(im, "READ-ONLY", "The mailbox was opened with EXAMINE");
    else
        return !a->replaces || find_replaced(im);
    return false;
}

static void on_located(struct imap *im)
{
    im->step = NULL;
    if (!imap_is_somewhere(im, &im->place, "TRYCREATE")) {
        imap_input_refuse(&im->input);
        return;
    }
    im->box = im->place.box;
    if (find_mailbox(im))
        append_go_on(im);
}

/* A name. */
static void take_literal(struct imap *im)
{
    if (imap_input_literal(&im->input)->size > IMAP_COMMAND_MAX) {
        append_refuse(im, NULL, "[TOOBIG] The literal is too large");
        return;
    }
    if (imap_input_literal(&im->input)->synchronizing)
        buf_add(&im->out, STR("+ Go on\r\n"));
    imap_input_take(&im->input);
}

/* True when another step may follow at once. */
static bool take_step(struct imap *im, enum imap_append_step step)
{
    struct appending *a = im->work;

    switch (step) {
    case IMAP_APPEND_BAD:
        append_refuse(im, NULL, a->grammar.why);
        return false;
    case IMAP_APPEND_TAKE:
        take_literal(im);
        return false;
    case IMAP_APPEND_BEGIN:
        imap_locate(im, a->grammar.mailbox, &im->place, on_located);
        return false;
    case IMAP_APPEND_MESSAGE_BEGIN:
        if (a->grammar.catenate)
            imap_with_quota(im, catenate_begin);
        return !a->grammar.catenate;
    case IMAP_APPEND_MESSAGE_END:
        if (a->grammar.catenate)
            catenate_end(im);
        return true;
    case IMAP_APPEND_LITERAL:
        if (a->grammar.catenate)
            catenate_literal(im);
        else
            imap_with_quota(im, begin_message);
        return false;
    case IMAP_APPEND_URL:
        catenate_url(im);
        return false;
    case IMAP_APPEND_END:
        append_complete(im);
        return false;
    }
    return false;
}

void append_go_on(struct imap *im)
{
    struct appending *a = im->work;
    bool whole = !imap_input_asks(&im->input);

    while (take_step(im, imap_append_next(&a->grammar, imap_input_command(&im->input), whole)))
        ;
}

static void begin(struct imap *im, bool replaces)
{
    struct appending *a = imap_alloc(im, sizeof *a);

    if (a == NULL)
        return;
    *a = (struct appending){.replaces = replaces};
    list_init(&a->messages);
    buf_init(&a->piece, PIECE);
    buf_init(&a->uids, 64 * 1024);
    a->uid_writer.out = &a->uids;
    imap_append_init(&a->grammar, &im->arena, replaces, imap_utf8(im));
    a->grammar.marks = im->info->flags & SESSION_ADMIN;
    im->work = a;
    im->clean = clean;
    im->literal = append_go_on;
    append_go_on(im);
}

void imap_on_append(struct imap *im)
{
    begin(im, false);
}

void imap_on_replace(struct imap *im)
{
    begin(im, true);
}
