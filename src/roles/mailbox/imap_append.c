/* APPEND and REPLACE (RFC 9051, section 6.3.12; RFC 3502, RFC 4315, RFC 8508). See imap.h and imap/append.h.
 *
 * Each message goes to the database in pieces while it comes, as a content that nothing refers to (`loose`, swept after a
 * crash); the others' work goes on meanwhile. When the last one is complete, all become messages in one transaction,
 * and the answer waits for the sync: all of them are there, or none. */
#include "base/clock.h"
#include "base/msgid.h"
#include "imap.h"
#include "summary.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { PIECE = 64 * 1024, MESSAGES_MAX = 1000 };

struct incoming {
    struct link link;
    struct content_writer writer;
    struct summary *summary;
    struct imap_flags flags;
    struct str mark; /* of an import */
    int64_t received;
    bool complete;
};

struct appending {
    struct imap_append grammar;
    struct folder *to;    /* looked up anew by its number when all are there */
    int64_t to_id;
    int64_t to_uidvalidity; /* told after the commit, when somebody may have deleted it */
    struct list messages; /* struct incoming */
    size_t count;
    uint64_t bytes;       /* of all so far, announced */
    struct buf piece;
    bool replaces;
    uint32_t replaced;    /* its uid */
    bool failed;          /* NO is said when the rest was read */
    const char *code, *why;
    struct buf uids;
    struct imap_set_writer uid_writer;
};

static void literal_or_end(struct imap *im);

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
    buf_clear(&a->piece);
    buf_clear(&a->uids);
}

/* What is still to come of the command is read and thrown away. */
static void fail(struct imap *im, const char *code, const char *why)
{
    struct appending *a = im->work;

    a->failed = true;
    a->code = code;
    a->why = why;
}

/* The literal that was announced is not wanted: the command ends here. */
static void refuse(struct imap *im, const char *code, const char *why)
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
        fail(im, "UNAVAILABLE", "The message could not be written, try again later");
}

/* ---- a message arrives ---- */

static struct incoming *current(struct appending *a)
{
    assert(!list_empty(&a->messages));
    return CONTAINER(a->messages.head.prev, struct incoming, link);
}

static bool open_message(struct imap *im, struct err *err)
{
    struct appending *a = im->work;
    struct incoming *m = xcalloc(1, sizeof *m);

    m->flags = a->grammar.flags;
    m->mark = a->grammar.mark;
    m->received = a->grammar.has_date ? a->grammar.date : clock_now();
    m->summary = summary_new();
    list_add_last(&a->messages, &m->link);
    a->count++;
    if (!store_begin(im->box->store, err) || !store_put_begin(im->box->store, &m->writer, (int64_t)msgid_new(), err))
        return false;
    im->synced = on_lost;
    box_writing(im->box, &im->waiter);
    return true;
}

static void begin_message(struct imap *im)
{
    struct appending *a = im->work;
    uint64_t size = imap_input_literal(&im->input)->size;
    struct err err = {0};

    im->step = NULL;
    if (size == 0) { /* RFC 3502, section 6.3.11: how a client changes its mind */
        refuse(im, "CANNOT", "A message has at least one byte");
    } else if (size > (uint64_t)imap_append_limit(im)) {
        refuse(im, "TOOBIG", "The message is larger than this server takes");
    } else if (a->count == MESSAGES_MAX) {
        refuse(im, "LIMIT", "Too many messages in one APPEND");
    } else if (!imap_fits(im, a->count + 1, a->bytes + size)) {
        imap_input_refuse(&im->input); /* NO was said */
    } else if (!open_message(im, &err)) {
        imap_input_refuse(&im->input);
        imap_undo(im, &err);
    } else {
        a->bytes += size;
        if (imap_input_literal(&im->input)->synchronizing)
            buf_add(&im->out, STR("+ Go on\r\n"));
        imap_input_stream(&im->input);
    }
}

/* Into the database, a piece at a time. */
static void write_piece(struct imap *im)
{
    struct appending *a = im->work;
    struct incoming *m = current(a);
    struct err err = {0};

    if (!a->failed && box_begin(im->box, &err)) {
        box_touch(im->box);
        summary_add(m->summary, buf_str(&a->piece));
        if (!store_put_piece(im->box->store, &m->writer, buf_str(&a->piece), &err))
            box_fail(im->box, &err); /* on_lost hears of it */
    }
    buf_reset(&a->piece);
}

void imap_append_bytes(struct imap *im, struct str bytes)
{
    struct appending *a = im->work;

    while (bytes.n > 0) {
        struct str part = str_sub(bytes, 0, PIECE - a->piece.n);

        buf_add(&a->piece, part);
        bytes = str_skip(bytes, part.n);
        if (a->piece.n == PIECE)
            write_piece(im);
    }
}

void imap_append_streamed_literal(struct imap *im)
{
    struct appending *a = im->work;

    if (a->piece.n > 0)
        write_piece(im);
    current(a)->complete = true;
    imap_input_forget(&im->input);
    imap_append_streamed(&a->grammar);
}

/* ---- all are there ---- */

static void write_appenduid(struct buf *out, const struct appending *a, const char *before)
{
    buf_addf(out, "%s[APPENDUID %" PRId64 " %.*s] Stored", before, a->to_uidvalidity, STR_ARG(buf_str(&a->uids)));
}

static void on_stored(struct imap *im, bool stored)
{
    struct appending *a = im->work;

    if (!stored) {
        imap_no(im, "UNAVAILABLE", "The message could not be written, try again later");
        return;
    }
    if (a->replaces) { /* RFC 8508, section 3.3: before the old one goes */
        write_appenduid(&im->out, a, "* OK ");
        buf_add(&im->out, STR("\r\n"));
        imap_ok(im, NULL, "Done");
        return;
    }
    if (a->uids.n == 0) {
        imap_ok(im, NULL, "All of it was imported before");
        return;
    }
    imap_answer_begin(im, "OK");
    write_appenduid(&im->answer, a, "");
    imap_answer_end(im);
}

static bool put_info(struct imap *im, struct incoming *m, struct err *err)
{
    struct content_info info;

    summary_end(m->summary, &info);
    return store_info_put(im->box->store, m->writer.id, &info, err);
}

static bool add_message(struct imap *im, struct incoming *m, struct err *err)
{
    struct appending *a = im->work;
    struct store *s = im->box->store;
    struct store_new n = {.content = m->writer.id, .size = m->writer.size, .received = m->received, .flags = m->flags.system};
    struct buf more;
    uint32_t uid;
    bool done = true;

    buf_init(&more, STORE_KEYWORDS_MAX / 8 + 1);
    for (size_t i = 0; i < m->flags.keyword_count && done; i++) {
        int slot = 0;

        done = store_keyword(s, a->to, m->flags.keywords[i], true, &slot, err);
        if (done)
            store_set_keyword(&n.flags, &more, slot, true);
    }
    n.more = buf_str(&more);
    done = done && store_put_end(s, &m->writer, err) && put_info(im, m, err) && store_message_add(s, a->to, &n, &uid, err);
    if (done)
        imap_set_add(&a->uid_writer, uid);
    buf_clear(&more);
    return done;
}

/* What was imported before is not stored again; its bytes are swept. */
static bool add_message_once(struct imap *im, struct incoming *m, struct err *err)
{
    struct store *s = im->box->store;
    bool known = false;

    if (m->mark.n > 0 && !store_mark_is_known(s, m->mark, &known, err))
        return false;
    if (known)
        return true;
    return (m->mark.n == 0 || store_mark_put(s, m->mark, err)) && add_message(im, m, err);
}

static bool add_all(struct imap *im, struct err *err)
{
    struct appending *a = im->work;
    bool found;

    LIST_EACH(&a->messages, it)
        if (!add_message_once(im, CONTAINER(it, struct incoming, link), err))
            return false;
    imap_set_end(&a->uid_writer);
    return !a->replaces || store_message_expunge(im->box->store, im->view.folder, a->replaced, &found, err);
}

/* Known before anything is written into a transaction that others share. One that comes twice counts twice. */
static bool keywords_fit(struct imap *im, const struct appending *a)
{
    size_t n = a->to->keyword_count;
    struct err err = {0};

    LIST_EACH(&a->messages, it) {
        const struct imap_flags *flags = &CONTAINER(it, struct incoming, link)->flags;

        for (size_t i = 0; i < flags->keyword_count; i++) {
            int slot;

            n += store_keyword(im->box->store, a->to, flags->keywords[i], false, &slot, &err) && slot < 0;
        }
    }
    return n <= STORE_KEYWORDS_MAX;
}

static void complete(struct imap *im)
{
    struct appending *a = im->work;
    struct err err = {0};

    a->to = store_folder_by_id(im->box->store, a->to_id);
    if (a->to == NULL && !a->failed)
        fail(im, "TRYCREATE", "The mailbox was deleted");
    if (!a->failed && !keywords_fit(im, a))
        fail(im, "LIMIT", "Too many keywords in this mailbox");
    if (a->failed) {
        imap_no(im, a->code, a->why);
        return;
    }
    if (!imap_begin(im))
        return;
    if (add_all(im, &err))
        imap_when_synced(im, on_stored);
    else
        imap_undo(im, &err);
}

/* ---- the command, step by step ---- */

static bool find_mailbox(struct imap *im)
{
    struct appending *a = im->work;

    a->to = store_folder_find(im->box->store, a->grammar.mailbox);
    a->to_id = a->to == NULL ? 0 : a->to->id;
    a->to_uidvalidity = a->to == NULL ? 0 : a->to->uidvalidity;
    if (a->to == NULL)
        refuse(im, "TRYCREATE", "There is no such mailbox");
    else if (a->replaces && im->view.read_only)
        refuse(im, "READ-ONLY", "The mailbox was opened with EXAMINE");
    else if (a->replaces && imap_view_resolve(im, &a->grammar.set, im->command.uid)) {
        a->replaced = imap_view_next(im, &a->grammar.set, 1);
        if (a->replaced != 0)
            return true;
        refuse(im, "NONEXISTENT", "There is no such message");
    } else if (a->replaces)
        imap_input_refuse(&im->input); /* BAD was said */
    else
        return true;
    return false;
}

/* True when another step may follow at once. */
static bool take_step(struct imap *im, enum imap_append_step step, bool whole)
{
    struct appending *a = im->work;

    switch (step) {
    case IMAP_APPEND_BAD:
        refuse(im, NULL, a->grammar.why);
        return false;
    case IMAP_APPEND_TAKE:
        if (imap_input_literal(&im->input)->synchronizing)
            buf_add(&im->out, STR("+ Go on\r\n"));
        imap_input_take(&im->input);
        return false;
    case IMAP_APPEND_BEGIN:
        return find_mailbox(im);
    case IMAP_APPEND_MESSAGE_BEGIN:
    case IMAP_APPEND_MESSAGE_END:
        return true;
    case IMAP_APPEND_LITERAL:
        imap_with_quota(im, begin_message);
        return false;
    case IMAP_APPEND_URL:
        refuse(im, "BADURL", "CATENATE is not offered here");
        return false;
    case IMAP_APPEND_END:
        complete(im);
        return false;
    }
    (void)whole;
    return false;
}

static void literal_or_end(struct imap *im)
{
    struct appending *a = im->work;
    bool whole = !imap_input_asks(&im->input);

    while (take_step(im, imap_append_next(&a->grammar, imap_input_command(&im->input), whole), whole))
        ;
}

static void begin(struct imap *im, bool replaces)
{
    struct appending *a = arena_alloc(&im->arena, sizeof *a);

    *a = (struct appending){.replaces = replaces};
    list_init(&a->messages);
    buf_init(&a->piece, PIECE);
    buf_init(&a->uids, 64 * 1024);
    a->uid_writer.out = &a->uids;
    imap_append_init(&a->grammar, &im->arena, replaces, imap_utf8(im));
    a->grammar.marks = im->info->flags & SESSION_ADMIN;
    im->work = a;
    im->clean = clean;
    im->literal = literal_or_end;
    literal_or_end(im);
}

void imap_on_append(struct imap *im)
{
    begin(im, false);
}

void imap_on_replace(struct imap *im)
{
    begin(im, true);
}
