/* STORE (RFC 9051, section 6.4.6; UNCHANGEDSINCE of RFC 7162). See imap.h.
 *
 * One transaction, held open over as many turns as it takes, committed and synced before the answer: all of it is there, or
 * nothing. Then the new flags are told, of what is on disk. */
#include "imap_uids.h"

#include <assert.h>
#include <inttypes.h>

static_assert((int)IMAP_STORE_SET == STORE_FLAGS_SET && (int)IMAP_STORE_ADD == STORE_FLAGS_ADD &&
    (int)IMAP_STORE_REMOVE == STORE_FLAGS_REMOVE, "the grammar's kinds are the store's");

struct storing {
    struct imap_uids uids;
    unsigned rights;        /* in the mailbox */
    int64_t flags;          /* system flags and keywords of the first slots */
    struct str more;        /* of later slots */
    struct uid_set refused; /* UNCHANGEDSINCE */
    bool full;              /* the telling stopped at a message, because there is enough output */
    bool must_wait;         /* or because it is not on disk */
};

static void clean(struct imap *im)
{
    struct storing *w = im->work;

    uid_set_clear(&w->refused);
}

/* ---- the change ---- */

static void tell_store(struct imap *im);

static void on_stored(struct imap *im, bool stored)
{
    struct storing *w = im->work;

    if (!stored) {
        uid_set_clear(&im->view.own);
        imap_no(im, "UNAVAILABLE", "The change could not be written, try again later");
        return;
    }
    imap_uids_rewind(&w->uids);
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
    struct storing *w = im->work;
    const struct imap_store *what = &im->command.store;
    const struct store_flagging flagging = {(enum store_flags_how)what->kind, w->flags, w->more,
        what->unchanged_since_given ? (int64_t)what->unchanged_since : -1, &im->view.own, &w->refused,
        kept_flags(w->rights), !(w->rights & ACL_WRITE)};
    struct err err = {0};
    uint32_t uids[STORE_MANY];
    bool more = true;

    if (!imap_still_holds(im))
        return;
    begin_own(im);
    while (more) {
        size_t n = imap_uids_take(im, &w->uids, uids, &more);

        if (!store_messages_flag(im->box->store, im->view.folder, uids, n, &flagging, &err)) {
            imap_undo(im, &err);
            return;
        }
        if (more && imap_pause(im)) {
            imap_tell_progress(im, w->uids.at, 0, 1);
            return;
        }
    }
    imap_release(im);
    imap_when_synced(im, on_stored);
}

/* ---- telling it ---- */

static void end_store(struct imap *im)
{
    struct storing *w = im->work;
    struct imap_set_writer modified = {.out = &im->answer};

    if (w->refused.count == 0) {
        imap_ok(im, NULL, "Done");
        return;
    }
    imap_answer_begin(im, "OK");
    buf_add(&im->answer, STR("[MODIFIED "));
    for (uint32_t uid = 0; (uid = uid_set_next(&w->refused, uid + 1)) != 0;)
        imap_set_add(&modified, im->command.uid ? uid : imap_view_number(im, uid));
    imap_set_end(&modified);
    buf_add(&im->answer, STR("] Some had been changed"));
    imap_answer_end(im);
}

/* The new flags of each, and its modseq when the client wants to know of those. Nothing is told of what is not on disk. */
static bool tell_one(void *arg, const struct store_message *m)
{
    struct imap *im = arg;
    struct storing *w = im->work;
    bool silent = im->command.store.silent, modseq = im->enabled & IMAP_ENABLED_CONDSTORE;

    if (uid_set_has(&w->refused, m->uid) || (silent && !uid_set_has(&im->view.own, m->uid)))
        return true;
    if (!imap_view_is_on_disk(im, m->modseq)) { /* another client is changing it */
        w->uids.at = m->uid;
        w->must_wait = true;
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
    w->full = im->out.n >= IMAP_OUTPUT_HIGH;
    if (w->full)
        imap_uids_pass(&w->uids, m->uid);
    return !w->full;
}

/* Until the turn is over, or something must be waited for; *all: nothing is left. */
static bool tell_some(struct imap *im, bool *all, struct err *err)
{
    struct storing *w = im->work;
    uint32_t uids[STORE_MANY];
    bool more = true;

    *all = false;
    while (more && !w->must_wait) {
        size_t n = imap_uids_take(im, &w->uids, uids, &more);

        w->full = false;
        if (!store_messages_pick(im->box->store, im->view.folder, uids, n, tell_one, im, err))
            return false;
        if (w->full || (more && !w->must_wait && imap_pause(im)))
            return true;
    }
    *all = !w->must_wait;
    return true;
}

static void tell_store(struct imap *im)
{
    struct storing *w = im->work;
    struct store *s = im->box->store;
    bool wanted = !im->command.store.silent || im->enabled & IMAP_ENABLED_CONDSTORE, all = !wanted, done;
    struct err err = {0};

    if (!imap_view_knows_keywords(im))
        imap_view_tell_keywords(im);
    w->must_wait = !imap_view_misses_none(im);
    if (wanted) {
        store_begin_reading(s);
        done = tell_some(im, &all, &err);
        store_end_reading(s);
        if (!done) {
            imap_failed(im, &err);
            return;
        }
        if (w->must_wait)
            imap_settle(im);
    }
    if (all)
        end_store(im);
}

/* ---- beginning ---- */

/* Keywords that are only taken away need no slot. */
static bool find_keywords(struct imap *im, struct storing *w, struct err *err)
{
    const struct imap_store *what = &im->command.store;
    struct buf more;
    bool done = true;

    buf_init(&more, STORE_KEYWORDS_MAX / 8 + 1);
    w->flags = what->flags.system;
    for (size_t i = 0; i < what->flags.keyword_count && done; i++) {
        int slot;

        done = store_keyword(im->box->store, im->view.folder, what->flags.keywords[i], what->kind != IMAP_STORE_REMOVE, &slot, err);
        if (done && slot >= 0)
            store_set_keyword(&w->flags, &more, slot, true);
    }
    w->more = arena_str(&im->arena, buf_str(&more));
    buf_clear(&more);
    return done && (w->more.p != NULL || err_set(err, ERR_LIMIT, "The command takes too much memory"));
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

/* NULL: NO was said. */
static struct storing *begin(struct imap *im, unsigned rights)
{
    struct storing *w = imap_alloc(im, sizeof *w);

    if (w == NULL)
        return NULL;
    *w = (struct storing){.rights = rights};
    imap_uids_begin(&w->uids, im->command.store.set);
    im->work = w;
    im->clean = clean;
    return w;
}

void imap_on_store(struct imap *im)
{
    struct imap_store *what = &im->command.store;
    unsigned rights = imap_view_rights(im);
    struct err err = {0};
    struct storing *w;

    if (!imap_view_may_write(im) || !may_store(im, rights) || !imap_view_resolve(im, &what->set, im->command.uid))
        return;
    imap_limit_set(im, &what->set);
    if (what->unchanged_since_given)
        imap_enable_condstore(im);
    w = begin(im, rights);
    if (w == NULL || !imap_hold(im))
        return;
    uid_set_clear(&im->view.own);
    im->view.own_modseq = 0;
    begin_own(im);
    if (find_keywords(im, w, &err)) {
        im->step = store_some;
    } else if (err.kind == ERR_LIMIT) { /* what others have in the transaction stays */
        imap_release(im);
        imap_failed(im, &err);
    } else {
        imap_undo(im, &err);
    }
}
