/* STORE, EXPUNGE, CLOSE, COPY, MOVE (RFC 9051, sections 6.4.3, 6.4.6 to 6.4.8; UNCHANGEDSINCE of RFC 7162). See imap.h.
 *
 * Each is one transaction, held open over as many turns as it takes, committed and synced before the answer: all of
 * it is there, or nothing. */
#include "imap.h"
#include "store_annotation.h"

#include <assert.h>
#include <inttypes.h>

static_assert((int)IMAP_STORE_SET == STORE_FLAGS_SET && (int)IMAP_STORE_ADD == STORE_FLAGS_ADD &&
    (int)IMAP_STORE_REMOVE == STORE_FLAGS_REMOVE, "the grammar's kinds are the store's");

struct change {
    uint32_t at;            /* the next uid to look at */
    struct imap_set set;
    size_t portion;         /* how many are worked on at once */
    struct folder *from;    /* the selected one, or INBOX that is renamed */
    bool all;               /* everything in it, whether the client knows it or not */
    /* STORE */
    unsigned rights;        /* in the mailbox */
    int64_t flags;          /* system flags and keywords of the first slots */
    struct str more;        /* of later slots */
    struct uid_set refused; /* UNCHANGEDSINCE */
    bool full;              /* the telling stopped at a message, because there is enough output */
    bool must_wait;         /* or because it is not on disk */
    /* COPY, MOVE */
    struct folder *to;
    int64_t to_uidvalidity; /* told after the commit, when somebody may have deleted it */
    bool moves, closes;
    struct buf from_uids, to_uids;
    struct imap_set_writer from_writer, to_writer;
    uint64_t done;
    uint64_t messages, bytes; /* of all that will be copied */
};

static void clean(struct imap *im)
{
    struct change *c = im->work;

    uid_set_clear(&c->refused);
    buf_clear(&c->from_uids);
    buf_clear(&c->to_uids);
}

static struct change *begin(struct imap *im, struct imap_set set)
{
    struct change *c = arena_alloc(&im->arena, sizeof *c);

    *c = (struct change){.at = 1, .set = set, .from = im->view.folder};
    buf_init(&c->from_uids, IMAP_OUTPUT_MAX / 4);
    buf_init(&c->to_uids, IMAP_OUTPUT_MAX / 4);
    c->from_writer.out = &c->from_uids;
    c->to_writer.out = &c->to_uids;
    im->work = c;
    im->clean = clean;
    return c;
}

static bool may_write(struct imap *im)
{
    if (im->view.read_only)
        imap_no(im, "READ-ONLY", "The mailbox was opened with EXAMINE");
    return !im->view.read_only;
}

/* The next uid of the command's set; 0 at its end. */
static uint32_t next_uid(struct imap *im, struct change *c)
{
    uint32_t uid = 0;

    if (c->at != 0)
        uid = c->all ? uid_set_next(&c->from->uids, c->at) : imap_view_next(im, &c->set, c->at);

    c->at = uid == UINT32_MAX ? 0 : uid + 1;
    return uid;
}

/* ---- STORE ---- */

static void tell_store(struct imap *im);

/* The next uids of the command, at most STORE_MANY; *more: that was not the end. It begins with few and takes more as long
 * as that is fast. */
static size_t next_uids(struct imap *im, struct change *c, uint32_t *uids, bool *more)
{
    size_t n = 0;

    if (c->portion < STORE_MANY)
        c->portion = c->portion == 0 ? 1 : c->portion * 2;
    while (n < c->portion && (uids[n] = next_uid(im, c)) != 0)
        n++;
    *more = n == c->portion;
    return n;
}

static void on_stored(struct imap *im, bool stored)
{
    struct change *c = im->work;

    if (!stored) {
        uid_set_clear(&im->view.own);
        imap_no(im, "UNAVAILABLE", "The change could not be written, try again later");
        return;
    }
    c->at = 1;
    im->step = tell_store;
}

/* What this client changes has a modseq of its own, so that only that is not told to it again: if another session has
 * changed flags since the last turn, what was changed before is told. */
static void begin_own(struct imap *im)
{
    struct imap_view *v = &im->view;

    if (v->own_modseq != 0 && v->own_modseq == store_modseq(im->box->store))
        return;
    uid_set_clear(&v->own);
    v->own_modseq = store_new_modseq(im->box->store);
}

/* What FLAGS (...) may not change. */
static int64_t kept_flags(unsigned rights)
{
    int64_t all = IMAP_SEEN | IMAP_ANSWERED | IMAP_FLAGGED | IMAP_DELETED | IMAP_DRAFT;

    return (all & ~(int64_t)imap_flags_of_rights(rights)) | (rights & ACL_WRITE ? 0 : -((int64_t)1 << STORE_KEYWORD_SHIFT));
}

static void store_some(struct imap *im)
{
    struct change *c = im->work;
    const struct imap_store *what = &im->command.store;
    const struct store_flagging flagging = {(enum store_flags_how)what->kind, c->flags, c->more,
        what->unchanged_since_given ? (int64_t)what->unchanged_since : -1, &im->view.own, &c->refused,
        kept_flags(c->rights), !(c->rights & ACL_WRITE)};
    struct err err = {0};
    uint32_t uids[STORE_MANY];
    bool more = true;

    if (!imap_still_holds(im))
        return;
    begin_own(im);
    while (more) {
        size_t n = next_uids(im, c, uids, &more);

        if (!store_messages_flag(im->box->store, im->view.folder, uids, n, &flagging, &err)) {
            imap_undo(im, &err);
            return;
        }
        if (more && imap_pause(im)) {
            imap_tell_progress(im, c->at, 0, 1);
            return;
        }
    }
    imap_release(im);
    imap_when_synced(im, on_stored);
}

static void end_store(struct imap *im)
{
    struct change *c = im->work;
    struct imap_set_writer w = {.out = &im->answer};

    if (c->refused.count == 0) {
        imap_ok(im, NULL, "Done");
        return;
    }
    imap_answer_begin(im, "OK");
    buf_add(&im->answer, STR("[MODIFIED "));
    for (uint32_t uid = 0; (uid = uid_set_next(&c->refused, uid + 1)) != 0;)
        imap_set_add(&w, im->command.uid ? uid : imap_view_number(im, uid));
    imap_set_end(&w);
    buf_add(&im->answer, STR("] Some had been changed"));
    imap_answer_end(im);
}

/* The new flags of each, and its modseq when the client wants to know of those. Nothing is told of what is not on disk. */
static bool tell_one(void *arg, const struct store_message *m)
{
    struct imap *im = arg;
    struct change *c = im->work;
    bool silent = im->command.store.silent, modseq = im->enabled & IMAP_ENABLED_CONDSTORE;

    if (uid_set_has(&c->refused, m->uid) || (silent && !uid_set_has(&im->view.own, m->uid)))
        return true;
    if (!imap_view_is_on_disk(im, m->modseq)) { /* another client is changing it */
        c->at = m->uid;
        c->must_wait = true;
        return false;
    }
    if (imap_begin_fetch(im, m->uid, im->command.uid || im->enabled & (IMAP_ENABLED_QRESYNC | IMAP_ENABLED_REV2)))
        buf_add_char(&im->out, ' ');
    if (!silent)
        imap_write_message_flags(im, m);
    if (modseq && !silent)
        buf_add_char(&im->out, ' ');
    if (modseq)
        imap_write_modseq(im, m);
    buf_add(&im->out, STR(")\r\n"));
    c->full = im->out.n >= IMAP_OUTPUT_HIGH;
    if (c->full)
        c->at = m->uid == UINT32_MAX ? 0 : m->uid + 1;
    return !c->full;
}

/* Until the turn is over, or something must be waited for; *all: nothing is left. */
static bool tell_some(struct imap *im, bool *all, struct err *err)
{
    struct change *c = im->work;
    uint32_t uids[STORE_MANY];
    bool more = true;

    *all = false;
    while (more && !c->must_wait) {
        size_t n = next_uids(im, c, uids, &more);

        c->full = false;
        if (!store_messages_pick(im->box->store, im->view.folder, uids, n, tell_one, im, err))
            return false;
        if (c->full || (more && !c->must_wait && imap_pause(im)))
            return true;
    }
    *all = !c->must_wait;
    return true;
}

static void tell_store(struct imap *im)
{
    struct change *c = im->work;
    struct store *s = im->box->store;
    bool wanted = !im->command.store.silent || im->enabled & IMAP_ENABLED_CONDSTORE, all = !wanted, done;
    struct err err = {0};

    if (!imap_view_knows_keywords(im))
        imap_view_tell_keywords(im);
    c->must_wait = !imap_view_misses_none(im);
    if (wanted) {
        store_begin_reading(s);
        done = tell_some(im, &all, &err);
        store_end_reading(s);
        if (!done) {
            imap_failed(im, &err);
            return;
        }
        if (c->must_wait)
            imap_settle(im);
    }
    if (all)
        end_store(im);
}

/* Keywords that are only taken away need no slot. */
static bool find_keywords(struct imap *im, struct change *c, struct err *err)
{
    const struct imap_store *what = &im->command.store;
    struct buf more;
    bool done = true;

    buf_init(&more, STORE_KEYWORDS_MAX / 8 + 1);
    c->flags = what->flags.system;
    for (size_t i = 0; i < what->flags.keyword_count && done; i++) {
        int slot;

        done = store_keyword(im->box->store, im->view.folder, what->flags.keywords[i], what->kind != IMAP_STORE_REMOVE, &slot, err);
        if (done && slot >= 0)
            store_set_keyword(&c->flags, &more, slot, true);
    }
    c->more = arena_str(&im->arena, buf_str(&more));
    buf_clear(&more);
    return done;
}

/* In a mailbox of somebody else: what may not be changed is left out, and that is a fault only when nothing remains (RFC 4314, section
 * 4). False: NO was said. */
static bool may_store(struct imap *im, unsigned rights)
{
    struct imap_store *what = &im->command.store;
    bool any = what->flags.system != 0 || what->flags.keyword_count > 0;

    what->flags.system &= imap_flags_of_rights(rights);
    if (!(rights & ACL_WRITE))
        what->flags.keyword_count = 0;
    if (what->kind == IMAP_STORE_SET ? (rights & (ACL_SEEN | ACL_WRITE | ACL_TO_DELETE)) != 0
                                     : !any || what->flags.system != 0 || what->flags.keyword_count > 0)
        return true;
    imap_no(im, "NOPERM", "The owner of the mailbox has not granted that");
    return false;
}

void imap_on_store(struct imap *im)
{
    struct imap_store *what = &im->command.store;
    unsigned rights = imap_view_rights(im);
    struct err err = {0};
    struct change *c;

    if (!may_write(im) || !may_store(im, rights) || !imap_view_resolve(im, &what->set, im->command.uid))
        return;
    if (what->unchanged_since_given)
        imap_enable_condstore(im);
    c = begin(im, what->set);
    c->rights = rights;
    if (!imap_hold(im))
        return;
    uid_set_clear(&im->view.own);
    im->view.own_modseq = 0;
    begin_own(im);
    if (find_keywords(im, c, &err)) {
        im->step = store_some;
    } else if (err.kind == ERR_LIMIT) { /* what others have in the transaction stays */
        imap_release(im);
        imap_failed(im, &err);
    } else {
        imap_undo(im, &err);
    }
}

/* ---- EXPUNGE, CLOSE ---- */

static void on_expunged(struct imap *im, bool stored)
{
    struct change *c = im->work;

    if (!stored) {
        imap_no(im, "UNAVAILABLE", "The messages could not be removed, try again later");
        return;
    }
    if (c->closes)
        imap_view_close(im);
    if (!c->closes && im->enabled & IMAP_ENABLED_CONDSTORE) {
        imap_answer_begin(im, "OK");
        buf_addf(&im->answer, "[HIGHESTMODSEQ %" PRId64 "] Done", im->view.folder->shown_modseq);
        imap_answer_end(im);
    } else {
        imap_ok(im, NULL, "Done");
    }
}

struct deleted {
    struct imap *im;
    uint32_t uids[200];
    size_t n;
};

static bool note_deleted(void *arg, const struct store_message *m)
{
    struct deleted *d = arg;
    struct change *c = d->im->work;
    bool wanted = m->flags & IMAP_DELETED && uid_set_has(&d->im->view.known, m->uid);

    c->at = m->uid + 1;
    if (wanted && (c->closes || !d->im->command.uid || imap_view_next(d->im, &c->set, m->uid) == m->uid))
        d->uids[d->n++] = m->uid;
    return d->n < sizeof d->uids / sizeof *d->uids && !imap_pause(d->im);
}

static void expunge_some(struct imap *im)
{
    struct change *c = im->work;
    struct folder *f = im->view.folder;
    struct deleted d = {.im = im};
    struct err err = {0};
    bool found, done = true;

    if (!imap_still_holds(im))
        return;
    if (c->at >= im->view.uidnext || f->now.deleted == 0) {
        imap_release(im);
        imap_when_synced(im, on_expunged);
        return;
    }
    done = store_flags_walk(im->box->store, f, c->at, im->view.uidnext - 1, -1, note_deleted, &d, &err);
    if (done && d.n == 0 && !imap_pause(im))
        c->at = im->view.uidnext;
    for (size_t i = 0; i < d.n && done; i++)
        done = store_message_expunge(im->box->store, f, d.uids[i], &found, &err);
    if (!done)
        imap_undo(im, &err);
    else
        imap_tell_progress(im, c->at, 0, 1);
}

static void expunge(struct imap *im, bool closes)
{
    struct change *c = begin(im, im->command.copy.set);

    c->closes = closes;
    if (!imap_hold(im))
        return;
    store_new_modseq(im->box->store);
    im->step = expunge_some;
}

void imap_on_expunge(struct imap *im)
{
    if (may_write(im) && (!im->command.uid || imap_view_resolve(im, &im->command.copy.set, true)))
        expunge(im, false);
}

void imap_expunge_and_close(struct imap *im)
{
    expunge(im, true);
}

/* ---- COPY, MOVE ---- */

static void write_copyuid(struct buf *out, const struct change *c)
{
    if (c->done == 0 || c->from_uids.failed || c->to_uids.failed)
        return;
    buf_addf(out, "[COPYUID %" PRId64 " %.*s %.*s] ", c->to_uidvalidity, STR_ARG(buf_str(&c->from_uids)), STR_ARG(buf_str(&c->to_uids)));
}

static void on_copied(struct imap *im, bool stored)
{
    struct change *c = im->work;

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

static bool copy_many(struct imap *im, struct change *c, const uint32_t *uids, size_t n, struct err *err)
{
    struct store_copied copied[STORE_MANY];
    size_t count;

    if (!store_messages_copy(im->box->store, c->from, uids, n, c->to, c->moves, copied, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        imap_set_add(&c->from_writer, copied[i].uid);
        imap_set_add(&c->to_writer, copied[i].copy);
    }
    c->done += count;
    return true;
}

static void copy_some(struct imap *im)
{
    struct change *c = im->work;
    struct err err = {0};
    uint32_t uids[STORE_MANY];
    bool more = true;

    if (!imap_still_holds(im))
        return;
    while (more) {
        size_t n = next_uids(im, c, uids, &more);

        if (!copy_many(im, c, uids, n, &err)) {
            imap_undo(im, &err);
            return;
        }
        if (more && imap_pause(im)) {
            imap_tell_progress(im, c->at, 0, 1);
            return;
        }
    }
    imap_set_end(&c->from_writer);
    imap_set_end(&c->to_writer);
    imap_release(im);
    imap_when_synced(im, c->all ? on_renamed : on_copied);
}

/* The quota may have taken time: the mailbox could be gone. */
static void begin_copy(struct imap *im)
{
    struct change *c = im->work;

    c->to = imap_folder(im, im->command.copy.mailbox, "TRYCREATE");
    if (c->to == NULL || !imap_hold(im))
        return;
    c->to_uidvalidity = c->to->uidvalidity;
    store_new_modseq(im->box->store);
    im->step = copy_some;
}

/* ---- does it fit? Known before anything is written ---- */

static bool add_size(void *arg, const struct store_message *m)
{
    struct imap *im = arg;
    struct change *c = im->work;

    c->at = m->uid + 1;
    if (imap_view_next(im, &c->set, m->uid) == m->uid) {
        c->messages++;
        c->bytes += (uint64_t)m->size;
    }
    return !imap_pause(im);
}

static void measure(struct imap *im)
{
    struct change *c = im->work;
    struct err err = {0};

    if (!store_messages_walk(im->box->store, c->from, c->at, UINT32_MAX, -1, add_size, im, &err)) {
        imap_failed(im, &err);
    } else if (!imap_pause(im) && imap_fits(im, c->messages, c->bytes)) {
        c->at = 1;
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
    struct change *c = begin(im, im->command.copy.set);

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
    if (imap_view_resolve(im, &im->command.copy.set, im->command.uid))
        imap_locate(im, im->command.copy.mailbox, &im->place, on_located);
}

void imap_on_move(struct imap *im)
{
    if (may_write(im))
        imap_on_copy(im);
}

/* ---- RENAME INBOX (RFC 9051, section 6.3.6): its messages move, it stays ---- */

/* Its annotations are copied: it keeps them (RFC 5464, section 4.1). */
void imap_rename_inbox(struct imap *im, bool (*make)(struct imap *im, struct str name, struct folder **f, struct err *err))
{
    struct change *c = begin(im, (struct imap_set){0});
    struct err err = {0};

    c->from = store_inbox(im->box->store);
    c->all = c->moves = true;
    if (!imap_annotations_may_be_copied(im, c->from) || !imap_hold(im))
        return;
    if (store_folder_load(im->box->store, c->from, &err) && make(im, im->command.mailbox.to, &c->to, &err) &&
        store_annotations_copy(im->box->store, c->from, c->to, &err))
        im->step = copy_some;
    else
        imap_undo(im, &err);
}
