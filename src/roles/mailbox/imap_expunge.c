/* EXPUNGE and CLOSE (RFC 9051, sections 6.4.1 and 6.4.3). See imap.h.
 *
 * One transaction, held open over as many turns as it takes, committed and synced before the answer: all of it is there, or
 * nothing. */
#include "imap.h"

#include <inttypes.h>

struct expunging {
    uint32_t at; /* the next uid to look at */
    struct imap_set set;
    bool closes;
    struct uid_set counted; /* MESSAGELIMIT: those of the set that are \Deleted */
};

static void clean(struct imap *im)
{
    uid_set_clear(&((struct expunging *)im->work)->counted);
}

static void on_expunged(struct imap *im, bool stored)
{
    struct expunging *e = im->work;

    if (!stored) {
        imap_no(im, "UNAVAILABLE", "The messages could not be removed, try again later");
        return;
    }
    if (e->closes)
        imap_view_close(im);
    if (!e->closes && im->enabled & IMAP_ENABLED_CONDSTORE) {
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
    struct expunging *e = d->im->work;
    bool wanted = m->flags & IMAP_DELETED && uid_set_has(d->im->limited != 0 ? &e->counted : &d->im->view.known, m->uid);

    e->at = m->uid + 1;
    if (wanted && (e->closes || !d->im->command.uid || imap_view_next(d->im, &e->set, m->uid) == m->uid))
        d->uids[d->n++] = m->uid;
    return d->n < sizeof d->uids / sizeof *d->uids && !imap_pause(d->im);
}

static void expunge_some(struct imap *im)
{
    struct expunging *e = im->work;
    struct folder *f = im->view.folder;
    struct deleted d = {.im = im};
    struct err err = {0};
    bool found, done = true;

    if (!imap_still_holds(im))
        return;
    if (e->at >= im->view.uidnext || f->now.deleted == 0) {
        imap_release(im);
        imap_when_synced(im, on_expunged);
        return;
    }
    done = store_flags_walk(im->box->store, f, e->at, im->view.uidnext - 1, -1, note_deleted, &d, &err);
    if (done && d.n == 0 && !imap_pause(im))
        e->at = im->view.uidnext;
    for (size_t i = 0; i < d.n && done; i++)
        done = store_message_expunge(im->box->store, f, d.uids[i], &found, &err);
    if (!done)
        imap_undo(im, &err);
    else
        imap_tell_progress(im, e->at, 0, 1);
}

static void expunge(struct imap *im)
{
    struct expunging *e = im->work;

    e->at = 1;
    if (!imap_hold(im))
        return;
    store_new_modseq(im->box->store);
    im->step = expunge_some;
}

/* ---- UID EXPUNGE of more than the limit: those that are \Deleted count, so they are looked for first ---- */

static bool count_deleted(void *arg, const struct store_message *m)
{
    struct imap *im = arg;
    struct expunging *e = im->work;

    e->at = m->uid + 1;
    if (m->flags & IMAP_DELETED && imap_view_next(im, &e->set, m->uid) == m->uid)
        uid_set_add(&e->counted, m->uid);
    return !imap_pause_between_rows(im);
}

static void count_some(struct imap *im)
{
    struct expunging *e = im->work;
    uint32_t before = e->at;
    struct err err = {0};

    if (e->at < im->view.uidnext && !store_flags_walk(im->box->store, im->view.folder, e->at, im->view.uidnext - 1, -1, count_deleted, im, &err)) {
        imap_failed(im, &err);
        return;
    }
    if (e->at != before && imap_pause(im) && e->at < im->view.uidnext)
        return;
    if (imap_is_over_limit(im, e->counted.count))
        e->set.least = im->limited = uid_set_at(&e->counted, e->counted.count - im->info->command_limit + 1);
    expunge(im);
}

/* ---- the commands ---- */

/* NULL: NO was said. */
static struct expunging *begin(struct imap *im, bool closes)
{
    struct expunging *e = imap_alloc(im, sizeof *e);

    if (e == NULL)
        return NULL;
    *e = (struct expunging){.at = 1, .set = im->command.copy.set, .closes = closes};
    uid_set_init(&e->counted);
    im->work = e;
    im->clean = clean;
    return e;
}

void imap_on_expunge(struct imap *im)
{
    if (!imap_view_may_write(im) || (im->command.uid && !imap_view_resolve(im, &im->command.copy.set, true)))
        return;
    if (begin(im, false) == NULL)
        return;
    if (im->command.uid && imap_is_over_limit(im, (uint64_t)im->view.folder->now.deleted))
        im->step = count_some;
    else
        expunge(im);
}

void imap_expunge_and_close(struct imap *im)
{
    if (begin(im, true) != NULL)
        expunge(im);
}
