/* SELECT, EXAMINE, CLOSE, UNSELECT, CHECK (RFC 9051, sections 6.3.2 and 6.4.1; CONDSTORE and QRESYNC of RFC 7162, MAILBOXID of
 * RFC 8474). See imap.h. */
#include "imap.h"

#include <inttypes.h>

struct resync {
    struct folder *folder;
    uint32_t at;     /* where the walk over changed messages goes on */
    uint32_t going;  /* where that over those which went meanwhile does */
    bool vanished_told;
};

/* ---- what a client asks to be brought up to date (RFC 7162, section 3.2.5) ---- */

struct vanished {
    struct imap *im;
    const struct imap_set *known;
    uint32_t uidnext; /* later ones were never on disk: nobody was told of them */
    struct uid_set uids;
};

static bool note_vanished(void *arg, uint32_t uid)
{
    struct vanished *v = arg;

    if (uid < v->uidnext && (v->known->n == 0 || imap_set_has(v->known, uid)) && !uid_set_has(&v->im->view.known, uid))
        uid_set_add(&v->uids, uid);
    return true;
}

/* Not remembered any more: everything the client may know that is not there. */
static void all_that_is_missing(struct vanished *v)
{
    struct imap_set_writer w = {.out = &v->im->out};
    struct imap_range all = {1, v->uidnext - 1};
    const struct imap_range *ranges = v->known->n > 0 ? v->known->ranges : &all;
    size_t n = v->known->n > 0 ? v->known->n : (size_t)(all.to > 0);

    for (size_t i = 0; i < n; i++) {
        uint64_t from = ranges[i].from, to = ranges[i].to < all.to ? ranges[i].to : all.to;

        while (from <= to) {
            uint32_t there = uid_set_next(&v->im->view.known, (uint32_t)from);
            uint64_t until = there == 0 || there > to ? to + 1 : there;

            if (until > from)
                imap_set_add_range(&w, (uint32_t)from, (uint32_t)(until - 1));
            from = until + 1;
        }
    }
    imap_set_end(&w);
}

bool imap_tell_vanished(struct imap *im, struct folder *f, const struct imap_set *known, int64_t since, struct err *err)
{
    struct vanished v = {.im = im, .known = known, .uidnext = (uint32_t)f->durable.uidnext};
    struct imap_set_writer w = {.out = &im->out};
    size_t before = im->out.n, text;
    bool remembered, done;

    uid_set_init(&v.uids);
    done = store_expunged_walk(im->box->store, f, since, note_vanished, &v, &remembered, err);
    buf_add(&im->out, STR("* VANISHED (EARLIER) "));
    text = im->out.n;
    if (!remembered)
        all_that_is_missing(&v);
    else
        for (uint32_t uid = 0; (uid = uid_set_next(&v.uids, uid + 1)) != 0;)
            imap_set_add(&w, uid);
    imap_set_end(&w);
    if (im->out.n == text || !done)
        im->out.n = before;
    else
        buf_add(&im->out, STR("\r\n"));
    uid_set_clear(&v.uids);
    return done;
}

static bool is_wanted(const struct imap *im, uint32_t uid)
{
    const struct imap_set *known = &im->command.select.known_uids;

    return known->n == 0 || imap_set_has(known, uid);
}

static bool tell_changed(void *arg, const struct store_message *m)
{
    struct imap *im = arg;
    struct resync *r = im->work;

    r->at = m->uid + 1;
    if (!uid_set_has(&im->view.known, m->uid) || !is_wanted(im, m->uid))
        return true;
    if (imap_begin_fetch(im, m->uid, true))
        buf_add_char(&im->out, ' ');
    imap_write_message_flags(im, m);
    buf_add_char(&im->out, ' ');
    imap_write_modseq(im, m);
    buf_add(&im->out, STR(")\r\n"));
    return !imap_pause(im);
}

static void selected(struct imap *im)
{
    unsigned changing = ACL_INSERT | ACL_EXPUNGE | ACL_SEEN | ACL_WRITE | ACL_TO_DELETE; /* RFC 4314, section 5.2: flags are shared */

    imap_ok(im, im->view.read_only || !(im->view.rights & changing) ? "READ-ONLY" : "READ-WRITE", "Selected");
}

static void resync(struct imap *im);

static void resync_now(struct imap *im, bool stored)
{
    if (!stored && im->box->broken) { /* else nothing of what was lost was this session's */
        imap_view_close(im);
        imap_no(im, "UNAVAILABLE", "The mailbox cannot be read now, try again later");
        return;
    }
    imap_begin_turn(im, 0);
    im->step = resync;
    resync(im);
}

/* What the client was told to be there and went before the walk came to it: the client hears which it is, so that it
 * understands when it is told that it is gone. */
static bool tell_going(struct imap *im)
{
    struct resync *r = im->work;
    struct imap_view *v = &im->view;

    if (im->enabled & IMAP_ENABLED_UIDONLY) /* there are no numbers that could be mistaken */
        return true;
    while ((r->going = uid_set_next_gone(&v->known, &v->folder->shown, r->going)) != 0) {
        uint32_t uid = r->going++;

        if (!is_wanted(im, uid))
            continue;
        (void)imap_begin_fetch(im, uid, true);
        buf_add(&im->out, STR(")\r\n"));
        if (imap_pause(im))
            return false;
    }
    return true;
}

/* Only while all is on disk: what somebody's change takes away would not be told, and could come back. */
static void resync(struct imap *im)
{
    struct resync *r = im->work;
    struct err err = {0};
    struct imap_select *select = &im->command.select;
    bool done = true;

    if (store_in_transaction(im->box->store) || r->folder->is_waiting) {
        imap_when_synced(im, resync_now);
        return;
    }
    if (!r->vanished_told) {
        imap_set_normalize(&select->known_uids, UINT32_MAX);
        done = imap_tell_vanished(im, r->folder, &select->known_uids, (int64_t)select->modseq, &err);
    }
    r->vanished_told = true;
    if (!done || !store_flags_walk(im->box->store, r->folder, r->at, UINT32_MAX, (int64_t)im->command.select.modseq, tell_changed,
                     im, &err)) {
        imap_view_close(im);
        imap_failed(im, &err);
    } else if (!imap_pause(im) && tell_going(im)) {
        selected(im);
    }
}

/* ---- SELECT ---- */

static bool describe(struct imap *im, struct folder *f, struct err *err)
{
    struct imap_view *v = &im->view;
    uint32_t unseen = 0; /* not said of what is not on disk yet */

    imap_view_tell_keywords(im);
    buf_addf(&im->out, "* %" PRIu32 " EXISTS\r\n", v->known.count);
    if (!(im->enabled & IMAP_ENABLED_REV2)) {
        buf_add(&im->out, STR("* 0 RECENT\r\n"));
        if (!f->changed && !f->is_waiting && !store_first_unseen(im->box->store, f, &unseen, err))
            return false;
        if (unseen != 0 && imap_view_number(im, unseen) != 0 && !(im->enabled & IMAP_ENABLED_UIDONLY))
            buf_addf(&im->out, "* OK [UNSEEN %" PRIu32 "] First unseen\r\n", imap_view_number(im, unseen));
    }
    buf_addf(&im->out, "* OK [UIDVALIDITY %" PRId64 "] UIDs\r\n* OK [UIDNEXT %" PRId64 "] Next\r\n* OK [HIGHESTMODSEQ %" PRId64
        "] Changes\r\n* OK [MAILBOXID (", f->uidvalidity, f->durable.uidnext, v->modseq);
    imap_write_mailbox_id(im, &im->out, im->box, f);
    buf_add(&im->out, STR(")] Id\r\n"));
    if (im->enabled & IMAP_ENABLED_REV2)
        imap_tell_name(im, "", imap_full_name(im, f->name), im->command.written);
    return true;
}

static bool wants_resync(const struct imap *im, const struct folder *f)
{
    const struct imap_select *s = &im->command.select;

    return s->qresync && s->uidvalidity == (uint32_t)f->uidvalidity && s->modseq > 0;
}

static void open_view(struct imap *im)
{
    struct folder *f = im->view.folder;
    struct err err = {0};
    struct resync *r;

    imap_view_open(im, f, im->command.verb == IMAP_EXAMINE);
    if (!describe(im, f, &err)) {
        imap_view_close(im);
        imap_failed(im, &err);
    } else if (wants_resync(im, f)) {
        r = imap_alloc(im, sizeof *r);
        if (r == NULL) {
            imap_view_close(im);
            return;
        }
        *r = (struct resync){.folder = f, .at = 1, .going = 1};
        im->work = r;
        im->step = resync;
    } else {
        selected(im);
    }
}

static void on_synced(struct imap *im, bool stored)
{
    if (stored && im->view.folder->is_shown) {
        open_view(im);
        return;
    }
    imap_view_close(im);
    imap_no(im, "UNAVAILABLE", "The mailbox cannot be read now, try again later");
}

void imap_leave_the_other(struct imap *im)
{
    if (im->view.folder == NULL)
        return;
    if (im->enabled & (IMAP_ENABLED_QRESYNC | IMAP_ENABLED_REV2))
        buf_add(&im->out, STR("* OK [CLOSED] The other mailbox is closed\r\n"));
    imap_view_close(im);
}

/* What a client is shown is on disk: if something is on its way there, SELECT waits for it. */
void imap_on_select(struct imap *im)
{
    struct imap_select *s = &im->command.select;
    struct err err = {0};
    struct folder *f;

    if (s->qresync && !(im->enabled & IMAP_ENABLED_QRESYNC)) {
        imap_bad(im, "ENABLE QRESYNC comes first");
        return;
    }
    imap_leave_the_other(im);
    f = imap_folder(im, s->mailbox, "NONEXISTENT");
    if (f == NULL)
        return;
    if (s->condstore)
        im->enabled |= IMAP_ENABLED_CONDSTORE;
    if (!imap_view_enter(im))
        return;
    if (!store_folder_watch(im->box->store, f, box_is_settled(im->box), &err)) {
        imap_view_close(im);
        imap_failed(im, &err);
        return;
    }
    im->view.folder = f;
    if (f->is_shown && !(s->qresync && store_in_transaction(im->box->store)))
        open_view(im);
    else
        imap_when_synced(im, on_synced);
}

/* ---- leaving ---- */

void imap_on_unselect(struct imap *im)
{
    imap_view_close(im);
    imap_ok(im, NULL, "Unselected");
}

/* CLOSE expunges without telling (RFC 9051, section 6.4.1): imap_expunge.c does that, then comes back. */
void imap_on_close(struct imap *im)
{
    if (im->view.read_only || im->view.folder->now.deleted == 0 || !(imap_view_rights(im) & ACL_EXPUNGE))
        imap_on_unselect(im);
    else
        imap_expunge_and_close(im);
}

void imap_on_check(struct imap *im)
{
    imap_ok(im, NULL, "Done");
}
