/* COPY and MOVE from an account's mailbox to another account's, and where not all flags may be kept (RFC 4314, section 4). See imap.h.
 *
 * The contents are read from one database and written into the other piece by piece, as contents that nothing refers to (`loose`, swept
 * after a crash), while others work on. When all are there, they become messages in one transaction: all of them, or none. A MOVE
 * removes the old ones after that is on disk: a crash in between leaves a message in both mailboxes, never in none.
 *
 * im->box is the database that is being changed: first that of the copies, then, for MOVE, that of the selected mailbox. */
#include "imap.h"
#include "base/log.h"
#include "base/msgid.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MESSAGES_MAX = 20000 };

struct transferred {
    struct link link;
    struct content_writer writer;
    struct store_new message;
    struct str more; /* its keywords of later slots; owned */
    uint32_t uid;    /* of the old one */
};

struct transfer {
    struct imap_set set;
    uint32_t at;      /* the next uid to look at; 0: none is left */
    struct box *from, *to;
    int64_t to_id, to_uidvalidity;
    unsigned rights;  /* there */
    bool moves;
    bool lost;        /* somebody's failure has rolled back what was written */
    struct list messages; /* struct transferred */
    size_t count;
    uint64_t bytes;
    struct transferred *current; /* its bytes are under way */
    struct store_message source;
    int64_t offset;
    struct content_pin pin;
    struct link *next; /* to become a message, or to be removed */
    struct buf from_uids, to_uids;
    struct imap_set_writer from_writer, to_writer;
};

/* ---- life ---- */

static void clean(struct imap *im)
{
    struct transfer *t = im->work;

    box_unwait(im->box, &im->waiter);
    store_unpin(t->from->store, &t->pin);
    for (struct link *it; (it = list_first(&t->messages)) != NULL;) {
        struct transferred *m = CONTAINER(it, struct transferred, link);

        if (link_in_list(&m->writer.link))
            store_put_abort(t->to->store, &m->writer);
        list_remove(&m->link);
        str_free(&m->more);
        free(m);
    }
    buf_clear(&t->from_uids);
    buf_clear(&t->to_uids);
}

static void on_lost(struct imap *im, bool stored)
{
    (void)stored;
    if (im->work != NULL)
        ((struct transfer *)im->work)->lost = true;
}

static void refuse(struct imap *im)
{
    imap_no(im, "UNAVAILABLE", "The messages could not be copied, try again later");
}

/* ---- removing, for MOVE ---- */

static void on_removed(struct imap *im, bool stored)
{
    if (stored)
        imap_ok(im, NULL, "Done");
    else
        imap_no(im, "UNAVAILABLE", "The messages are copied, but they could not be removed here");
}

static void remove_some(struct imap *im)
{
    struct transfer *t = im->work;
    struct err err = {0};
    bool found;

    if (!imap_still_holds(im))
        return;
    for (; t->next != &t->messages.head; t->next = t->next->next) {
        if (imap_pause(im))
            return;
        if (!store_message_expunge(im->box->store, im->view.folder, CONTAINER(t->next, struct transferred, link)->uid, &found, &err)) {
            imap_undo(im, &err);
            return;
        }
    }
    imap_release(im);
    imap_when_synced(im, on_removed);
}

static void begin_removing(struct imap *im)
{
    struct transfer *t = im->work;

    im->box = t->from;
    if (!imap_may(im, im->box, im->view.folder, ACL_TO_DELETE | ACL_EXPUNGE, 0, "NONEXISTENT") || !imap_hold(im))
        return;
    store_new_modseq(im->box->store);
    t->next = t->messages.head.next;
    im->step = remove_some;
}

/* ---- all are there: they become messages ---- */

static void write_copyuid(struct buf *out, const struct transfer *t)
{
    if (t->count > 0 && !t->from_uids.failed && !t->to_uids.failed)
        buf_addf(out, "[COPYUID %" PRId64 " %.*s %.*s] ", t->to_uidvalidity, STR_ARG(buf_str(&t->from_uids)), STR_ARG(buf_str(&t->to_uids)));
}

static void on_copied(struct imap *im, bool stored)
{
    struct transfer *t = im->work;

    if (!stored) {
        refuse(im);
    } else if (!t->moves) {
        imap_answer_begin(im, "OK");
        write_copyuid(&im->answer, t);
        buf_add(&im->answer, STR("Done"));
        imap_answer_end(im);
    } else if (t->count == 0) {
        imap_ok(im, NULL, "Done");
    } else {
        buf_add(&im->out, STR("* OK ")); /* RFC 6851, section 4.3: before the messages go */
        write_copyuid(&im->out, t);
        buf_add(&im->out, STR("Copied\r\n"));
        begin_removing(im);
    }
}

static bool add_message(struct imap *im, struct transfer *t, struct folder *to, struct transferred *m, struct err *err)
{
    uint32_t uid;

    m->message.more = m->more;
    if (!store_put_end(im->box->store, &m->writer, err) || !store_message_add(im->box->store, to, &m->message, &uid, err))
        return false;
    imap_promise_kept(im, 1, (uint64_t)m->message.size);
    imap_set_add(&t->from_writer, m->uid);
    imap_set_add(&t->to_writer, uid);
    return true;
}

static void add_some(struct imap *im)
{
    struct transfer *t = im->work;
    struct err err = {0};
    struct folder *to;

    if (!imap_still_holds(im))
        return;
    to = store_folder_by_id(im->box->store, t->to_id);
    for (; to != NULL && t->next != &t->messages.head; t->next = t->next->next) {
        if (imap_pause(im))
            return;
        if (!add_message(im, t, to, CONTAINER(t->next, struct transferred, link), &err)) {
            imap_undo(im, &err);
            return;
        }
    }
    if (to == NULL) {
        err_set(&err, ERR_TEMPORARY, "the mailbox was deleted");
        imap_undo(im, &err);
        return;
    }
    imap_set_end(&t->from_writer);
    imap_set_end(&t->to_writer);
    imap_release(im);
    imap_when_synced(im, on_copied);
}

/* Before the transaction that others share is touched. */
static void begin_adding(struct imap *im)
{
    struct transfer *t = im->work;
    struct folder *to = store_folder_by_id(im->box->store, t->to_id);

    if (t->lost)
        refuse(im);
    else if (imap_may(im, im->box, to, ACL_INSERT, 0, "TRYCREATE") && imap_fits(im, t->count, t->bytes) && imap_hold(im)) {
        imap_promise(im, t->count, t->bytes);
        t->next = t->messages.head.next;
        store_new_modseq(im->box->store);
        im->step = add_some;
    }
}

/* ---- the contents ---- */

/* Its flags, as far as they may be set there; keywords by their names. */
static bool choose_flags(struct imap *im, struct transfer *t, struct folder *to, struct transferred *m, struct err *err)
{
    const struct folder *from = im->view.folder;
    struct buf more;
    bool done = true;

    m->message.flags = t->source.flags & (int64_t)imap_flags_of_rights(t->rights);
    if (!(t->rights & ACL_WRITE))
        return true;
    buf_init(&more, STORE_KEYWORDS_MAX / 8 + 1);
    for (size_t i = 0; i < from->keyword_count && done; i++) {
        int slot;

        if (!store_has_keyword(t->source.flags, t->source.more, (int)i))
            continue;
        done = store_keyword(im->box->store, to, from->keywords[i], true, &slot, err);
        if (!done && err->kind == ERR_LIMIT) { /* as far as there is room */
            *err = (struct err){0};
            done = true;
        } else if (done) {
            store_set_keyword(&m->message.flags, &more, slot, true);
        }
    }
    m->more = str_dup(buf_str(&more));
    buf_clear(&more);
    return done;
}

static bool begin_content(struct imap *im, struct transfer *t, struct folder *to, struct err *err)
{
    struct transferred *m = xcalloc(1, sizeof *m);

    t->count++;
    t->bytes += (uint64_t)t->source.size;
    m->uid = t->source.uid;
    m->message = (struct store_new){.content = (int64_t)msgid_new(), .size = t->source.size, .received = t->source.received,
        .features = t->source.features};
    list_add_last(&t->messages, &m->link);
    t->current = m;
    t->offset = 0;
    store_pin(t->from->store, &t->pin, t->source.content);
    return choose_flags(im, t, to, m, err) && store_put_begin(im->box->store, &m->writer, m->message.content, t->source.size, err);
}

/* The old one cannot be read: that is no fault of the database that is written. */
static bool unreadable(const struct imap *im, struct transfer *t, struct err *err)
{
    log_warning("imap-transfer", "account=%" PRId64 " from=%" PRId64 " reason=%s", im->info->account, t->from->account, err->text);
    *err = (struct err){0};
    t->lost = true;
    return false;
}

/* What is known of the old one is true of the new one too. */
static bool end_content(struct imap *im, struct transfer *t, struct err *err)
{
    struct content_info info;
    bool done;

    im->box = t->from;
    done = imap_info(im, &t->source, STORE_ALL_INFO, &info, err);
    im->box = t->to;
    if (!done)
        return unreadable(im, t, err);
    done = store_info_put(im->box->store, t->current->message.content, &info, err);
    t->current = NULL;
    return done;
}

static bool copy_piece(struct imap *im, struct transfer *t, struct err *err)
{
    struct str piece;

    if (t->offset >= t->source.size)
        return end_content(im, t, err);
    if (!store_read(t->from->store, t->source.content, t->offset, &piece, err) ||
        (piece.n == 0 && !err_set(err, ERR_PERMANENT, "content %" PRId64 " is shorter than its message", t->source.content)))
        return unreadable(im, t, err);
    t->offset += (int64_t)piece.n;
    return store_put_piece(im->box->store, &t->current->writer, piece, err);
}

/* The next message of the set that is there; *found false: there is none. */
static bool find_next(struct imap *im, struct transfer *t, bool *found, struct err *err)
{
    uint32_t uid;

    *found = false;
    while (!*found && t->at != 0 && (uid = imap_view_next(im, &t->set, t->at)) != 0) {
        t->at = uid == UINT32_MAX ? 0 : uid + 1;
        if (!store_message_get(t->from->store, im->view.folder, uid, &t->source, found, err))
            return unreadable(im, t, err);
    }
    return true;
}

/* False: an answer was said. */
static bool fits(struct imap *im, const struct transfer *t)
{
    if (t->count == MESSAGES_MAX) {
        imap_no(im, "LIMIT", "Too many messages at once for the mailbox of another account");
        return false;
    }
    if (!imap_gathers(im, (t->count + 1) * (sizeof(struct transferred) + 64))) {
        imap_no(im, "LIMIT", "The sessions of this account take too much memory together, try again later");
        return false;
    }
    return imap_fits(im, t->count + 1, t->bytes + (uint64_t)t->source.size);
}

/* One unit of work in the open transaction; false: an answer was said, or the next stage has begun. */
static bool work(struct imap *im, struct transfer *t, struct err *err)
{
    struct folder *to = store_folder_by_id(im->box->store, t->to_id);
    bool found = true;

    if (t->current != NULL)
        return copy_piece(im, t, err);
    if (!find_next(im, t, &found, err))
        return false;
    if (!found) {
        begin_adding(im);
        return false;
    }
    if (to == NULL)
        imap_no(im, "TRYCREATE", "The mailbox was deleted");
    return to != NULL && fits(im, t) && begin_content(im, t, to, err);
}

static void transfer_some(struct imap *im)
{
    struct transfer *t = im->work;
    struct err err = {0};
    bool goes_on = true;

    while (goes_on && !t->lost) {
        if (imap_pause(im)) {
            imap_tell_progress(im, t->at, 0, 1);
            return;
        }
        if (!box_begin(im->box, &err))
            break;
        box_touch(im->box);
        if (!link_in_list(&im->waiter.link)) {
            im->synced = on_lost;
            box_writing(im->box, &im->waiter);
        }
        goes_on = work(im, t, &err);
    }
    if (err.kind != ERR_NONE) {
        t->lost = true;
        imap_undo(im, &err);
    } else if (t->lost) {
        refuse(im);
    }
}

static void with_quota(struct imap *im)
{
    im->step = transfer_some;
}

void imap_transfer(struct imap *im, struct imap_set set, struct folder *to, bool moves)
{
    struct transfer *t = imap_alloc(im, sizeof *t);

    if (t == NULL)
        return;
    *t = (struct transfer){.set = set, .at = 1, .from = im->view.box, .to = im->place.box, .to_id = to->id,
        .to_uidvalidity = to->uidvalidity, .moves = moves};
    list_init(&t->messages);
    buf_init(&t->from_uids, IMAP_OUTPUT_MAX / 4);
    buf_init(&t->to_uids, IMAP_OUTPUT_MAX / 4);
    t->from_writer.out = &t->from_uids;
    t->to_writer.out = &t->to_uids;
    im->box = t->to;
    t->rights = imap_rights(im, t->to, to);
    im->work = t;
    im->clean = clean;
    imap_with_quota(im, with_quota);
}
