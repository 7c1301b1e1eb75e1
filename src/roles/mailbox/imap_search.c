/* SEARCH (RFC 9051, section 6.4.4; ESEARCH, SEARCHRES, CONDSTORE, PARTIAL), and looking through a mailbox for SORT and THREAD.
 * See imap.h. */
#include "imap_find.h"
#include "base/err.h"
#include "imap_candidates.h"
#include "imap_result.h"

#include <stdlib.h>

/* ---- looking ---- */

enum { GAP = 32 }; /* rows that are read in vain rather than looking for the next one anew */

struct looking {
    struct imap *im;
    struct finding *f;
    uint32_t next; /* that may match */
    struct err *err;
    bool failed, stopped, must_wait;
};

static enum match_result compare(struct looking *l, const struct store_message *m)
{
    struct finding *f = l->f;
    enum match_result result = match_message(f->match, m, l->err);

    if (result == MATCH_YES) {
        uid_set_add(&f->uids, m->uid);
        if (m->modseq > f->modseq)
            f->modseq = m->modseq;
    }
    return result;
}

static bool look_at(void *arg, const struct store_message *m)
{
    struct looking *l = arg;
    enum match_result result;

    if (m->uid > l->next) /* that one is gone */
        l->f->at = l->next = candidates_next(l->f->candidates, m->uid);
    if (m->uid == l->next && uid_set_has(&l->im->view.known, m->uid)) {
        l->must_wait = !imap_view_is_on_disk(l->im, m->modseq);
        if (l->must_wait) {
            l->f->at = m->uid;
            return false;
        }
        result = compare(l, m);
        l->failed = result == MATCH_FAILED;
        l->stopped = result == MATCH_UNFINISHED;
        if (l->stopped) {
            l->f->at = m->uid;
            return false;
        }
    }
    if (m->uid >= l->next) {
        l->f->at = m->uid == UINT32_MAX ? 0 : m->uid + 1;
        l->next = candidates_next(l->f->candidates, l->f->at);
    }
    l->stopped = l->failed || l->next == 0 || (l->next > m->uid && l->next - m->uid > GAP) || imap_pause(l->im);
    return !l->stopped;
}

static bool is_all(const struct imap_search_key *root)
{
    if (root->key != IMAP_KEY_AND)
        return root->key == IMAP_KEY_ALL;
    for (const struct imap_search_key *k = root->first; k != NULL; k = k->next)
        if (!is_all(k))
            return false;
    return true;
}

bool finding_begin(struct imap *im, struct finding *f, struct imap_search_key *root)
{
    *f = (struct finding){.at = 1, .all = is_all(root)};
    uid_set_init(&f->uids);
    f->match = match_new(im, root);
    if (f->match == NULL)
        return false;
    f->least = imap_limit_search(im, root);
    if (f->least != 0 && im->command.verb != IMAP_SEARCH) {
        imap_no(im, imap_limit_code(im), "These are too many messages, narrow it down by their uids");
        return false;
    }
    im->limited = f->least;
    if (f->least != 0)
        f->at = f->least;
    f->candidates = f->all ? NULL : candidates_new(im, root);
    return true;
}

int64_t finding_modseq(const struct finding *f)
{
    return match_uses_modseq(f->match) ? f->modseq : 0;
}

void finding_clear(struct finding *f)
{
    match_free(f->match);
    candidates_free(f->candidates);
    uid_set_clear(&f->uids);
    *f = (struct finding){0};
}

/* All that the client knows and that is still there. */
static bool find_all(struct imap *im, struct finding *f)
{
    if (f->least == 0)
        uid_set_copy(&f->uids, &im->view.known);
    for (uint32_t uid = f->least; uid != 0 && (uid = uid_set_next(&im->view.known, uid)) != 0; uid++)
        uid_set_add(&f->uids, uid);
    for (uint32_t uid = 1; (uid = uid_set_next_gone(&im->view.known, &im->view.folder->shown, uid)) != 0; uid++)
        uid_set_remove(&f->uids, uid);
    return true;
}

/* SORT and THREAD walk over what they found. */
static unsigned phases(const struct imap *im)
{
    return im->command.verb == IMAP_SEARCH ? 1 : 2;
}

bool finding_go_on(struct imap *im, struct finding *f, struct err *err)
{
    struct looking l = {.im = im, .f = f, .err = err, .must_wait = !imap_view_misses_none(im)};
    uint32_t last = uid_set_last(&im->view.known);

    if (f->all)
        return find_all(im, f);
    if (!imap_gathers(im, match_memory(f->match)))
        return imap_gathered_too_much(err);
    if (f->candidates != NULL && !candidates_go_on(f->candidates))
        return false;
    while (!l.must_wait && (l.next = f->at = candidates_next(f->candidates, f->at)) != 0 && f->at <= last) {
        l.stopped = false;
        if (!store_messages_walk(im->box->store, im->view.folder, f->at, last, -1, look_at, &l, err) || l.failed)
            return false;
        if (!l.stopped || l.must_wait)
            break;
        if (imap_pause(im) && f->at != 0 && f->at <= last) {
            imap_tell_progress(im, f->at, 0, phases(im));
            return false;
        }
    }
    if (l.must_wait) {
        imap_settle(im);
        return false;
    }
    f->at = 0;
    return true;
}

/* ---- walking over what was found ---- */

struct telling {
    struct imap *im;
    const struct finding *f;
    uint32_t *at, next; /* next: found, 0 at the end */
    found_fn *tell;
    void *arg;
    struct err *err;
    bool failed, stopped;
};

static bool tell_one(struct telling *t, const struct store_message *m, const struct content_info *keys)
{
    struct content_info made;

    if (keys == NULL && !imap_info(t->im, m, STORE_KEYS, &made, t->err))
        return false;
    return t->tell(t->arg, m, keys ? keys : &made, t->err);
}

static bool tell_found(void *arg, const struct store_message *m, const struct content_info *keys)
{
    struct telling *t = arg;

    if (m->uid > t->next) /* that one is gone */
        t->next = uid_set_next(&t->f->uids, m->uid);
    if (m->uid < t->next)
        return true;
    if (m->uid == t->next) {
        t->failed = !tell_one(t, m, keys);
        *t->at = m->uid == UINT32_MAX ? 0 : m->uid + 1;
        t->next = *t->at ? uid_set_next(&t->f->uids, *t->at) : 0;
    }
    t->stopped = t->failed || t->next == 0 || t->next - *t->at >= GAP || imap_pause(t->im);
    return !t->stopped;
}

bool finding_walk(struct imap *im, const struct finding *f, uint32_t *at, found_fn *tell, void *arg, struct err *err)
{
    struct telling t = {.im = im, .f = f, .at = at, .tell = tell, .arg = arg, .err = err};
    uint32_t last = uid_set_last(&f->uids);

    if (!imap_view_misses_none(im)) {
        imap_settle(im);
        return false;
    }
    while (*at != 0 && (t.next = uid_set_next(&f->uids, *at)) != 0) {
        t.stopped = false;
        if (!store_keys_walk(im->box->store, im->view.folder, t.next, last, tell_found, &t, err) || t.failed)
            return false;
        if (!t.stopped)
            break;
        if (t.next != 0 && imap_pause(im)) {
            imap_tell_progress(im, t.next, 1, phases(im));
            return false;
        }
    }
    *at = 0;
    return true;
}

/* ---- SEARCH ---- */

struct search {
    struct imap_result result; /* first */
    struct finding finding;
};

static void clean(struct imap *im)
{
    struct search *s = im->work;

    finding_clear(&s->finding);
    imap_result_clear(&s->result);
}

static void answer(struct imap *im)
{
    struct search *s = im->work;
    const struct uid_set *uids = &s->finding.uids;
    struct err err = {0};

    if (!imap_gathers(im, uids->count * sizeof *s->result.uids) && !imap_gathered_too_much(&err)) {
        uid_set_clear(&im->view.saved);
        imap_failed(im, &err);
        return;
    }
    s->result.uids = xcalloc((size_t)uids->count + 1, sizeof *s->result.uids);
    for (uint32_t uid = 0; s->result.n < uids->count && (uid = uid_set_next(uids, uid + 1)) != 0;)
        s->result.uids[s->result.n++] = uid;
    s->result.modseq = finding_modseq(&s->finding);
    finding_clear(&s->finding); /* the client may take its time */
    imap_tell_result(im, &s->result);
}

static void search_some(struct imap *im)
{
    struct search *s = im->work;
    struct err err = {0};

    if (finding_go_on(im, &s->finding, &err)) {
        answer(im);
    } else if (err.kind != ERR_NONE) {
        uid_set_clear(&im->view.saved);
        imap_failed(im, &err);
    }
}

void imap_on_search(struct imap *im)
{
    struct search *s = imap_alloc(im, sizeof *s);

    if (s == NULL)
        return;
    *s = (struct search){0};
    im->work = s;
    im->clean = clean;
    if (finding_begin(im, &s->finding, im->command.search.root))
        im->step = search_some;
}
