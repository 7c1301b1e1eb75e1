/* See imap_candidates.h. Each text of the program with three characters or more is asked for by itself; then the sets are put
 * together as the program says: AND needs all that are known, OR needs both to be known, NOT knows nothing. */
#include "imap_candidates.h"
#include "base/metric.h"
#include "box_search.h"
#include "grams.h"

#include <stdlib.h>

static struct metric indexed = METRIC_COUNTER("staffetta_imap_searches_indexed_total",
    "Searches for which the full-text index said which messages to read.");

struct term {
    const struct imap_search_key *key;
    struct uid_set uids;
    bool known; /* else too many messages have it */
};

struct candidates {
    struct imap *im;
    struct box *box;
    struct folder *folder;
    const struct imap_search_key *root;
    uint64_t serial; /* of the index */
    uint32_t upto;
    struct term terms[CANDIDATES_TERMS];
    size_t n, at;
    int64_t after;   /* in the term under way */
    struct buf query;
    struct uid_set uids;
    bool done, known;
};

/* ---- terms ---- */

static bool is_term(const struct imap_search_key *k)
{
    return k->key == IMAP_KEY_TEXT || k->key == IMAP_KEY_BODY || k->key == IMAP_KEY_HEADER;
}

/* False: there are too many. What stands below NOT is of no use. */
static bool collect(struct candidates *c, const struct imap_search_key *k)
{
    struct buf query;
    bool asked;

    if (k->key == IMAP_KEY_AND || k->key == IMAP_KEY_OR) {
        for (const struct imap_search_key *child = k->first; child != NULL; child = child->next)
            if (!collect(c, child))
                return false;
        return true;
    }
    if (!is_term(k))
        return true;
    buf_init(&query, 4096);
    asked = grams_query(k->text, &query);
    buf_clear(&query);
    if (!asked)
        return true;
    if (c->n == CANDIDATES_TERMS)
        return false;
    c->terms[c->n++] = (struct term){.key = k, .known = true};
    return true;
}

struct candidates *candidates_new(struct imap *im, const struct imap_search_key *root)
{
    struct candidates *c;

    if (im->view.known.count < CANDIDATES_LEAST)
        return NULL;
    c = xcalloc(1, sizeof *c);
    c->im = im;
    c->box = im->box;
    c->folder = im->view.folder;
    c->root = root;
    buf_init(&c->query, 4096);
    if (collect(c, root) && c->n > 0 && box_search(c->box, c->folder, &c->upto, &c->serial) != NULL)
        return c;
    candidates_free(c);
    return NULL;
}

void candidates_free(struct candidates *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n; i++)
        uid_set_clear(&c->terms[i].uids);
    uid_set_clear(&c->uids);
    buf_clear(&c->query);
    free(c);
}

/* ---- putting together ---- */

static struct term *term_of(struct candidates *c, const struct imap_search_key *k)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->terms[i].key == k)
            return &c->terms[i];
    return NULL;
}

static void keep_common(struct uid_set *uids, const struct uid_set *other)
{
    for (uint32_t uid = 1; (uid = uid_set_next_gone(uids, other, uid)) != 0;)
        uid_set_remove(uids, uid);
}

static void add_all(struct uid_set *uids, const struct uid_set *other)
{
    for (uint32_t uid = 1; (uid = uid_set_next_gone(other, uids, uid)) != 0;)
        uid_set_add(uids, uid);
}

static bool combine(struct candidates *c, const struct imap_search_key *k, struct uid_set *uids);

/* `uids` becomes those of all children: common ones for AND (of the children that know), any for OR. */
static bool combine_children(struct candidates *c, const struct imap_search_key *k, struct uid_set *uids)
{
    bool known = false;

    for (const struct imap_search_key *child = k->first; child != NULL; child = child->next) {
        struct uid_set more;
        bool knows;

        uid_set_init(&more);
        knows = combine(c, child, &more);
        if (k->key == IMAP_KEY_OR && !knows) {
            uid_set_clear(&more);
            return false;
        }
        if (knows && !known)
            uid_set_copy(uids, &more);
        else if (knows && k->key == IMAP_KEY_OR)
            add_all(uids, &more);
        else if (knows)
            keep_common(uids, &more);
        known |= knows;
        uid_set_clear(&more);
    }
    return known;
}

/* False: all may match. */
static bool combine(struct candidates *c, const struct imap_search_key *k, struct uid_set *uids)
{
    const struct term *t;

    if (k->key == IMAP_KEY_AND || k->key == IMAP_KEY_OR)
        return combine_children(c, k, uids);
    t = term_of(c, k);
    if (t == NULL || !t->known)
        return false;
    uid_set_copy(uids, &t->uids);
    return true;
}

/* ---- asking ---- */

static bool give_up(struct candidates *c)
{
    c->known = false;
    c->done = true;
    return true;
}

/* One step of one term. False: the index has failed. */
static bool ask(struct candidates *c, struct search_index *ix)
{
    struct term *t = &c->terms[c->at];
    struct err err = {0};

    buf_reset(&c->query);
    if (!grams_query(t->key->text, &c->query) ||
        !search_index_find(ix, c->folder, buf_str(&c->query), &c->after, &t->uids, &err)) {
        if (err.kind != ERR_NONE)
            box_search_failed(c->box, &err);
        return false;
    }
    if (t->uids.count > c->im->view.known.count / 2) { /* reading half of them saves nothing */
        t->known = false;
        uid_set_clear(&t->uids);
        c->after = 0;
    }
    if (c->after == 0)
        c->at++;
    return true;
}

bool candidates_go_on(struct candidates *c)
{
    if (c->done)
        return true;
    while (c->at < c->n) {
        uint32_t upto;
        uint64_t serial;
        struct search_index *ix = box_search(c->box, c->folder, &upto, &serial);

        if (ix == NULL || serial != c->serial || !ask(c, ix))
            return give_up(c);
        if (imap_pause(c->im))
            return false;
    }
    c->known = combine(c, c->root, &c->uids);
    c->done = true;
    metric_add(&indexed, c->known);
    return true;
}

uint32_t candidates_next(const struct candidates *c, uint32_t from)
{
    uint32_t next;

    if (c == NULL || !c->known || from == 0 || from > c->upto)
        return from;
    next = uid_set_next(&c->uids, from);
    return next != 0 && next <= c->upto ? next : c->upto + 1; /* 0 behind the last of all uids */
}
