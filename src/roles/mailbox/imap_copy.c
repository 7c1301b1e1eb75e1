/* COPY and MOVE within an account (RFC 9051, sections 6.4.7 and 6.4.8), and RENAME of INBOX. See imap.h; to another account:
 * imap_transfer.c.
 *
 * One transaction, held open over as many turns as it takes, committed and synced before the answer: all of it is there, or
 * nothing. */
#include "imap_uids.h"
#include "store_annotation.h"

#include <inttypes.h>

struct copying {
    struct imap_uids uids;
    struct folder *from;    /* the selected one, or INBOX that is renamed */
    struct folder *to;
    int64_t to_uidvalidity; /* told after the commit, when somebody may have deleted it */
    bool moves;
    struct buf from_uids, to_uids;
    struct imap_set_writer from_writer, to_writer;
    uint64_t done;
    uint64_t messages, bytes; /* of all that will be copied */
};

static void clean(struct imap *im)
{
    struct copying *c = im->work;

    buf_clear(&c->from_uids);
    buf_clear(&c->to_uids);
}

/* NULL: NO was said. */
static struct copying *begin(struct imap *im, struct folder *from, struct imap_set set)
{
    struct copying *c = imap_alloc(im, sizeof *c);

    if (c == NULL)
        return NULL;
    *c = (struct copying){.from = from};
    imap_uids_begin(&c->uids, set);
    buf_init(&c->from_uids, IMAP_OUTPUT_MAX / 4);
    buf_init(&c->to_uids, IMAP_OUTPUT_MAX / 4);
    c->from_writer.out = &c->from_uids;
    c->to_writer.out = &c->to_uids;
    im->work = c;
    im->clean = clean;
    return c;
}

static void write_copyuid(struct buf *out, const struct copying *c)
{
    if (c->done == 0 || c->from_uids.failed || c->to_uids.failed)
        return;
    buf_addf(out, "[COPYUID %" PRId64 " %.*s %.*s] ", c->to_uidvalidity, STR_ARG(buf_str(&c->from_uids)), STR_ARG(buf_str(&c->to_uids)));
}

static void on_copied(struct imap *im, bool stored)
{
    struct copying *c = im->work;

    if (!stored) {
        imap_no(im, "UNAVAILABLE", "The messages could not be copied, try again later");
    } else if (c->moves) { /* RFC 6851, section 4.3: before the messages go */
        if (c->done > 0) {
            buf_add(&im->out, STR("* OK "));
            write_copyuid(&im->out, c);
            buf_add(&im->out, STR("Moved\r\n"));
        }
        imap_ok(im, NULL, "Done");
    } else {
        imap_answer_begin(im, "OK");
        write_copyuid(&im->answer, c);
        buf_add(&im->answer, STR("Done"));
        imap_answer_end(im);
    }
}

static void on_renamed(struct imap *im, bool stored)
{
    if (stored)
        imap_ok(im, NULL, "Done");
    else
        imap_no(im, "UNAVAILABLE", "The mailbox could not be renamed, try again later");
}

static bool copy_many(struct imap *im, struct copying *c, const uint32_t *uids, size_t n, struct err *err)
{
    struct store_copied copied[STORE_MANY];
    int64_t bytes = store_totals(im->box->store).bytes;
    size_t count;

    if (!store_messages_copy(im->box->store, c->from, uids, n, c->to, c->moves, copied, &count, err))
        return false;
    imap_promise_kept(im, count, (uint64_t)(store_totals(im->box->store).bytes - bytes));
    for (size_t i = 0; i < count; i++) {
        imap_set_add(&c->from_writer, copied[i].uid);
        imap_set_add(&c->to_writer, copied[i].copy);
    }
    c->done += count;
    return true;
}

static void copy_some(struct imap *im)
{
    struct copying *c = im->work;
    struct err err = {0};
    uint32_t uids[STORE_MANY];
    bool more = true;

    if (!imap_still_holds(im))
        return;
    while (more) {
        size_t n = imap_uids_take(im, &c->uids, uids, &more);

        if (!copy_many(im, c, uids, n, &err)) {
            imap_undo(im, &err);
            return;
        }
        if (more && imap_pause(im)) {
            imap_tell_progress(im, c->uids.at, 0, 1);
            return;
        }
    }
    imap_set_end(&c->from_writer);
    imap_set_end(&c->to_writer);
    imap_release(im);
    imap_when_synced(im, c->uids.all != NULL ? on_renamed : on_copied);
}

/* The quota may have taken time: the mailbox could be gone. */
static void begin_copy(struct imap *im)
{
    struct copying *c = im->work;

    c->to = store_folder_find(im->box->store, im->command.copy.mailbox);
    if (!imap_may(im, im->box, c->to, ACL_INSERT, 0, "TRYCREATE") || !imap_hold(im))
        return;
    imap_promise(im, c->messages, c->bytes);
    c->to_uidvalidity = c->to->uidvalidity;
    store_new_modseq(im->box->store);
    im->step = copy_some;
}

/* ---- does it fit? Known before anything is written ---- */

static bool add_size(void *arg, const struct store_message *m)
{
    struct imap *im = arg;
    struct copying *c = im->work;

    imap_uids_pass(&c->uids, m->uid);
    if (imap_view_next(im, &c->uids.set, m->uid) == m->uid) {
        c->messages++;
        c->bytes += (uint64_t)m->size;
    }
    return !imap_pause(im);
}

static void measure(struct imap *im)
{
    struct copying *c = im->work;
    struct err err = {0};

    if (!store_messages_walk(im->box->store, c->from, c->uids.at, UINT32_MAX, -1, add_size, im, &err)) {
        imap_failed(im, &err);
    } else if (!imap_pause(im) && imap_fits(im, c->messages, c->bytes)) {
        imap_uids_rewind(&c->uids);
        begin_copy(im);
    }
}

static void with_quota(struct imap *im)
{
    if (im->quota.quota_bytes == 0 && im->quota.quota_messages == 0)
        begin_copy(im);
    else
        im->step = measure;
}

static void copy_within(struct imap *im)
{
    struct copying *c = begin(im, im->view.folder, im->command.copy.set);

    if (c == NULL)
        return;
    im->command.copy.mailbox = im->place.name;
    c->moves = im->command.verb == IMAP_MOVE;
    if (c->moves)
        begin_copy(im);
    else
        imap_with_quota(im, with_quota);
}

/* Where the mailbox of the command is. Within an account rows are copied; to another one, contents. */
static void on_located(struct imap *im)
{
    unsigned all_flags = ACL_SEEN | ACL_WRITE | ACL_TO_DELETE;
    struct folder *to;
    bool within;

    im->step = NULL;
    if (!imap_is_somewhere(im, &im->place, "TRYCREATE"))
        return;
    to = store_folder_find(im->place.box->store, im->place.name);
    if (!imap_may(im, im->place.box, to, ACL_INSERT, 0, "TRYCREATE"))
        return;
    within = im->place.box == im->box && (imap_rights(im, im->place.box, to) & all_flags) == all_flags;
    if (within)
        copy_within(im);
    else
        imap_transfer(im, im->command.copy.set, to, im->command.verb == IMAP_MOVE);
}

void imap_on_copy(struct imap *im)
{
    uint32_t least;

    if (!imap_view_resolve(im, &im->command.copy.set, im->command.uid))
        return;
    least = imap_limit_least(im, &im->command.copy.set);
    if (least == 0) {
        imap_locate(im, im->command.copy.mailbox, &im->place, on_located);
        return;
    }
    imap_answer_begin(im, "NO"); /* all or nothing */
    buf_addf(&im->answer, "[%s %" PRIu32 "] Nothing was copied, these are too many: try those from that uid on", imap_limit_code(im), least);
    imap_answer_end(im);
}

void imap_on_move(struct imap *im)
{
    if (!imap_view_may_write(im) || !imap_view_resolve(im, &im->command.copy.set, im->command.uid))
        return;
    imap_limit_set(im, &im->command.copy.set);
    imap_locate(im, im->command.copy.mailbox, &im->place, on_located);
}

/* ---- RENAME INBOX (RFC 9051, section 6.3.6): its messages move, it stays ---- */

/* Its annotations are copied: it keeps them (RFC 5464, section 4.1). */
void imap_rename_inbox(struct imap *im, bool (*make)(struct imap *im, struct str name, struct folder **f, struct err *err))
{
    struct copying *c = begin(im, store_inbox(im->box->store), (struct imap_set){0});
    struct err err = {0};

    if (c == NULL)
        return;
    c->uids.all = &c->from->uids;
    c->moves = true;
    if (!imap_annotations_may_be_copied(im, c->from) || !imap_hold(im))
        return;
    if (store_folder_load(im->box->store, c->from, &err) && make(im, im->command.mailbox.to, &c->to, &err) &&
        store_annotations_copy(im->box->store, c->from, c->to, &err))
        im->step = copy_some;
    else
        imap_undo(im, &err);
}
