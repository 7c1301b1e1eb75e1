/* The end of APPEND and REPLACE: messages that have all come become messages of the mailbox, in one transaction, over as many turns as that
 * takes; then the answer. See imap_append.h. */
#include "imap_append.h"
#include "base/msgid.h"
#include "summary.h"

#include <inttypes.h>

static void write_appenduid(struct buf *out, const struct appending *a, const char *before)
{
    buf_addf(out, "%s[APPENDUID %" PRId64 " %.*s] Stored", before, a->to_uidvalidity, STR_ARG(buf_str(&a->uids)));
}

static void on_removed(struct imap *im, bool stored)
{
    if (stored)
        imap_ok(im, NULL, "Done");
    else
        imap_no(im, "UNAVAILABLE", "The new message is stored, but the old one could not be removed");
}

/* The new one is in the mailbox of another account, and on disk: only now the old one goes. */
static void remove_replaced(struct imap *im)
{
    struct appending *a = im->work;
    struct err err = {0};
    bool found;

    im->box = im->view.box;
    if (!imap_may(im, im->box, im->view.folder, ACL_TO_DELETE | ACL_EXPUNGE, 0, "NONEXISTENT") || !imap_begin(im))
        return;
    store_new_modseq(im->box->store);
    if (store_message_expunge(im->box->store, im->view.folder, a->replaced, &found, &err))
        imap_when_synced(im, on_removed);
    else
        imap_undo(im, &err);
}

static void on_stored(struct imap *im, bool stored)
{
    struct appending *a = im->work;

    if (!stored) {
        imap_no(im, "UNAVAILABLE", "The message could not be written, try again later");
        return;
    }
    if (a->grammar.written.p != NULL && im->enabled & IMAP_ENABLED_REV2) /* RFC 9051, section 6.3.12 */
        imap_tell_name(im, "", imap_full_name(im, im->place.name), a->grammar.written);
    if (a->replaces) { /* RFC 8508, section 3.3: before the old one goes */
        write_appenduid(&im->out, a, "* OK ");
        buf_add(&im->out, STR("\r\n"));
        if (im->box != im->view.box)
            remove_replaced(im);
        else
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

static bool put_bytes(struct imap *im, struct incoming *m, struct err *err)
{
    struct appending *a = im->work;

    if (m->begun)
        return store_put_end(im->box->store, &m->writer, err);
    m->writer.id = (int64_t)msgid_new();
    m->writer.size = (int64_t)a->piece.n;
    append_note_structure(im, m, buf_str(&a->piece));
    return store_put(im->box->store, m->writer.id, buf_str(&a->piece), err);
}

static bool add_message(struct imap *im, struct incoming *m, struct err *err)
{
    struct appending *a = im->work;
    struct store *s = im->box->store;
    struct store_new n = {.received = m->received, .flags = m->flags.system};
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
    done = done && put_bytes(im, m, err) && append_put_info(im, m, err);
    n.content = m->writer.id;
    n.size = m->writer.size;
    done = done && store_message_add(s, a->to, &n, &uid, err);
    if (done)
        imap_set_add(&a->uid_writer, uid);
    if (done && a->recorded)
        box_record(im->box, 0, buf_str(&a->piece));
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

/* As many as fit into a turn, one at least. */
static bool add_messages(struct imap *im, struct err *err)
{
    struct appending *a = im->work;

    do {
        struct incoming *m = CONTAINER(a->adding, struct incoming, link);

        a->adding = a->adding->next != &a->messages.head ? a->adding->next : NULL;
        if (!add_message_once(im, m, err))
            return false;
        imap_promise_kept(im, 1, (uint64_t)m->writer.size);
    } while (a->adding != NULL && !imap_pause(im));
    return true;
}

static bool expunge_replaced(struct imap *im, struct err *err)
{
    const struct appending *a = im->work;
    bool found;

    return !a->replaces || im->box != im->view.box || store_message_expunge(im->box->store, im->view.folder, a->replaced, &found, err);
}

static void add_some(struct imap *im)
{
    struct appending *a = im->work;
    struct err err = {0};

    if (im->holding && !imap_still_holds(im))
        return;
    if (!add_messages(im, &err) || (a->adding == NULL && !expunge_replaced(im, &err))) {
        imap_undo(im, &err);
    } else if (a->adding == NULL) {
        imap_set_end(&a->uid_writer);
        imap_release(im);
        imap_when_synced(im, on_stored);
    }
}

/* One whole message, with nothing beside it that would have to be written (docs/mailbox.md, The log of additions). */
static bool may_be_recorded(struct imap *im, const struct appending *a)
{
    const struct incoming *m = CONTAINER(a->messages.head.next, const struct incoming, link);
    struct err err = {0};
    bool known = a->count == 1 && !a->replaces && !m->begun && m->mark.n == 0;

    for (size_t i = 0; i < m->flags.keyword_count && known; i++) {
        int slot;

        known = store_keyword(im->box->store, a->to, m->flags.keywords[i], false, &slot, &err) && slot >= 0;
    }
    return known;
}

/* Several may take several turns; what they will add is kept free meanwhile. */
static void begin_adding(struct imap *im)
{
    struct appending *a = im->work;

    a->adding = list_first(&a->messages);
    a->recorded = may_be_recorded(im, a);
    if (a->recorded ? !imap_begin_addition(im) : a->count == 1 ? !imap_begin(im) : !imap_hold(im))
        return;
    if (a->count > 1)
        imap_promise(im, a->count, a->bytes);
    im->step = add_some;
    add_some(im);
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

/* Another session may have taken it away while the new one came. */
static bool replaced_is_there(struct imap *im, const struct appending *a)
{
    struct store_message m;
    struct err err = {0};
    bool found;

    if (!a->replaces)
        return true;
    if (!store_message_get(im->view.box->store, im->view.folder, a->replaced, &m, &found, &err))
        append_fail(im, "UNAVAILABLE", "The mailbox cannot be read now, try again later");
    else if (!found)
        append_fail(im, "NONEXISTENT", "The message to be replaced is gone");
    return !a->failed;
}

void append_complete(struct imap *im)
{
    struct appending *a = im->work;

    a->to = store_folder_by_id(im->box->store, a->to_id);
    if (a->to == NULL && !a->failed)
        append_fail(im, "TRYCREATE", "The mailbox was deleted");
    if (a->to != NULL && !a->failed && im->box != im->home && !(imap_rights(im, im->box, a->to) & ACL_INSERT))
        append_fail(im, "NOPERM", "The owner of the mailbox does not grant that any more");
    if (a->replaces && !a->failed && (imap_view_rights(im) & (ACL_TO_DELETE | ACL_EXPUNGE)) != (ACL_TO_DELETE | ACL_EXPUNGE))
        append_fail(im, "NOPERM", "The owner of the mailbox does not grant that any more");
    if (!a->failed && !keywords_fit(im, a))
        append_fail(im, "LIMIT", "Too many keywords in this mailbox");
    if (a->failed || !replaced_is_there(im, a)) {
        imap_no(im, a->code, a->why);
        return;
    }
    if (append_fits(im, 0, 0)) /* others have added something meanwhile */
        begin_adding(im);
}
