/* SEARCH (RFC 9051, section 6.4.4; ESEARCH, SEARCHRES, CONDSTORE, PARTIAL), and looking through a mailbox for SORT and THREAD.
 * See imap.h. */
#include "imap_find.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- looking ---- */

struct looking {
    struct imap *im;
    struct finding *f;
    struct err *err;
    bool failed;
};

static bool look_at(void *arg, const struct store_message *m)
{
    struct looking *l = arg;
    bool matches;

    l->f->at = m->uid == UINT32_MAX ? 0 : m->uid + 1;
    if (!uid_set_has(&l->im->view.known, m->uid))
        return true;
    if (!match_message(l->f->match, m, &matches, l->err)) {
        l->failed = true;
        return false;
    }
    if (matches) {
        uid_set_add(&l->f->uids, m->uid);
        if (m->modseq > l->f->modseq)
            l->f->modseq = m->modseq;
    }
    return !imap_pause(l->im);
}

bool finding_begin(struct imap *im, struct finding *f, struct imap_search_key *root)
{
    *f = (struct finding){.at = 1};
    uid_set_init(&f->uids);
    f->match = match_new(im, root);
    return f->match != NULL;
}

void finding_clear(struct finding *f)
{
    match_free(f->match);
    uid_set_clear(&f->uids);
}

bool finding_go_on(struct imap *im, struct finding *f, struct err *err)
{
    struct looking l = {im, f, err, false};
    uint32_t last = uid_set_last(&im->view.known);

    if (f->at == 0 || f->at > last)
        return true;
    if (!store_messages_walk(im->box->store, im->view.folder, f->at, last, -1, look_at, &l, err) || l.failed)
        return false;
    if (imap_pause(im) && f->at != 0 && f->at <= last)
        return false;
    f->at = 0;
    return true;
}

/* ---- answers ---- */

struct search {
    struct finding finding;
    uint32_t at; /* of the old answer: the next uid to tell */
    bool began;
};

static void clean(struct imap *im)
{
    finding_clear(&((struct search *)im->work)->finding);
}

static uint32_t number_of(const struct imap *im, uint32_t uid)
{
    return im->command.uid ? uid : imap_view_number(im, uid);
}

static void write_set(struct imap *im, const struct uid_set *uids)
{
    struct imap_set_writer w = {.out = &im->out};

    for (uint32_t uid = 0; (uid = uid_set_next(uids, uid + 1)) != 0;)
        imap_set_add(&w, number_of(im, uid));
    imap_set_end(&w);
}

/* The places from..to, from the end when they are negative (RFC 9394). */
static void write_partial(struct imap *im, const struct imap_search *what, const struct uid_set *uids)
{
    int64_t a = what->partial_from, b = what->partial_to, count = uids->count;
    int64_t low, high;
    struct imap_set_writer w = {.out = &im->out};

    buf_addf(&im->out, " PARTIAL (%" PRId64 ":%" PRId64 " ", a, b);
    if (a < 0) {
        a = count + 1 + a;
        b = count + 1 + b;
    }
    low = a < b ? a : b;
    high = a < b ? b : a;
    if (low < 1)
        low = 1;
    if (high > count)
        high = count;
    if (low > high)
        buf_add(&im->out, STR("NIL"));
    for (int64_t place = low; place <= high; place++)
        imap_set_add(&w, number_of(im, uid_set_at(uids, (uint32_t)place)));
    imap_set_end(&w);
    buf_add_char(&im->out, ')');
}

static void tell_extended(struct imap *im, const struct finding *f, unsigned returns)
{
    const struct uid_set *uids = &f->uids;
    struct buf *out = &im->out;

    buf_add(out, STR("* ESEARCH (TAG "));
    imap_write_string(out, buf_str(&im->tag), false);
    buf_add(out, im->command.uid ? STR(") UID") : STR(")"));
    if (uids->count > 0) {
        if (returns & IMAP_RETURN_MIN)
            buf_addf(out, " MIN %" PRIu32, number_of(im, uid_set_next(uids, 1)));
        if (returns & IMAP_RETURN_MAX)
            buf_addf(out, " MAX %" PRIu32, number_of(im, uid_set_last(uids)));
        if (returns & IMAP_RETURN_ALL) {
            buf_add(out, STR(" ALL "));
            write_set(im, uids);
        }
    }
    if (returns & IMAP_RETURN_PARTIAL)
        write_partial(im, &im->command.search, uids);
    if (returns & IMAP_RETURN_COUNT)
        buf_addf(out, " COUNT %" PRIu32, uids->count);
    if (match_uses_modseq(f->match) && uids->count > 0)
        buf_addf(out, " MODSEQ %" PRId64, f->modseq);
    buf_add(out, STR("\r\n"));
}

/* RFC 5182, section 2.1: with MIN or MAX alone only those are kept. */
static void save(struct imap *im, const struct uid_set *uids, unsigned returns)
{
    struct uid_set *saved = &im->view.saved;
    unsigned ends = returns & (IMAP_RETURN_MIN | IMAP_RETURN_MAX);

    if (ends != 0 && !(returns & (IMAP_RETURN_ALL | IMAP_RETURN_COUNT | IMAP_RETURN_PARTIAL))) {
        uid_set_clear(saved);
        if (uids->count > 0 && ends & IMAP_RETURN_MIN)
            uid_set_add(saved, uid_set_next(uids, 1));
        if (uids->count > 0 && ends & IMAP_RETURN_MAX)
            uid_set_add(saved, uid_set_last(uids));
    } else {
        uid_set_copy(saved, uids);
    }
}

/* "* SEARCH 2 3 5", bit by bit. */
static void tell_plain(struct imap *im)
{
    struct search *s = im->work;
    uint32_t uid;

    if (!s->began)
        buf_add(&im->out, STR("* SEARCH"));
    s->began = true;
    while ((uid = uid_set_next(&s->finding.uids, s->at)) != 0) {
        s->at = uid + 1;
        buf_addf(&im->out, " %" PRIu32, number_of(im, uid));
        if (imap_pause(im))
            return;
    }
    if (match_uses_modseq(s->finding.match) && s->finding.uids.count > 0)
        buf_addf(&im->out, " (MODSEQ %" PRId64 ")", s->finding.modseq);
    buf_add(&im->out, STR("\r\n"));
    imap_ok(im, NULL, "Done");
}

static void answer(struct imap *im)
{
    struct search *s = im->work;
    const struct imap_search *what = &im->command.search;

    if (what->returns & IMAP_RETURN_SAVE)
        save(im, &s->finding.uids, what->returns);
    if (what->esearch || im->enabled & IMAP_ENABLED_REV2) {
        unsigned returns = what->esearch ? what->returns : (unsigned)IMAP_RETURN_ALL;

        if ((returns & ~(unsigned)IMAP_RETURN_SAVE) != 0)
            tell_extended(im, &s->finding, returns);
        imap_ok(im, NULL, "Done");
    } else {
        im->step = tell_plain;
    }
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
    struct search *s = arena_alloc(&im->arena, sizeof *s);

    *s = (struct search){.at = 1};
    im->work = s;
    im->clean = clean;
    if (finding_begin(im, &s->finding, im->command.search.root))
        im->step = search_some;
}
