/* SORT (RFC 5256, ESORT of RFC 5267, SORT=DISPLAY of RFC 5957). See imap.h.
 *
 * The messages that match are found first; then the keys of each are read; then they are sorted, all of it over as many
 * turns as it takes. Equal ones stay in the order of the mailbox. */
#include "imap_find.h"
#include "base/err.h"
#include "imap_keys.h"
#include "imap_result.h"
#include "merge_sort.h"

#include <stdlib.h>

enum { KEYS_MAX = 96 * 1024 * 1024, AT_A_TIME = 4096 };

/* The first key's first bytes decide nearly always. */
struct item {
    uint64_t prefix;
    union sort_key *keys; /* NULL: the prefix is all there is */
    uint32_t uid;
};

struct sort {
    struct imap_result result; /* first */
    struct finding finding;
    struct sort_keys *keys;
    struct arena arena;
    struct item *items;
    size_t n;
    uint32_t at;
    struct merge_sort sorting;
};

static void clean(struct imap *im)
{
    struct sort *s = im->work;

    finding_clear(&s->finding);
    sort_keys_free(s->keys);
    arena_clear(&s->arena);
    free(s->items);
    merge_sort_clear(&s->sorting);
    imap_result_clear(&s->result);
}

/* ---- sorting ---- */

static int by_keys(const void *a, const void *b, void *arg)
{
    const struct item *x = a, *y = b;
    const struct imap_search *what = arg;

    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    for (size_t i = 0; x->keys != NULL && i < what->sort_count; i++) {
        int c = sort_key_compare(what->sort[i].key, &x->keys[i], &y->keys[i]);

        if (c != 0)
            return what->sort[i].reverse ? -c : c;
    }
    return (x->uid > y->uid) - (x->uid < y->uid);
}

static void tell(struct imap *im)
{
    struct sort *s = im->work;
    const struct item *items = (const struct item *)(const void *)s->sorting.items;

    s->result.uids = xcalloc(s->n + 1, sizeof *s->result.uids);
    for (size_t i = 0; i < s->n; i++)
        s->result.uids[i] = items[i].uid;
    s->result.n = (uint32_t)s->n;
    s->result.modseq = finding_modseq(&s->finding);
    finding_clear(&s->finding); /* the client may take its time */
    arena_clear(&s->arena);
    merge_sort_clear(&s->sorting);
    im->gathered = s->n * sizeof *s->result.uids;
    imap_tell_result(im, &s->result);
}

static void sort_some(struct imap *im)
{
    struct sort *s = im->work;

    while (!merge_sort_go_on(&s->sorting, AT_A_TIME))
        if (imap_pause(im))
            return;
    tell(im);
}

/* ---- gathering ---- */

static bool add_item(void *arg, const struct store_message *m, const struct content_info *info, struct err *err)
{
    struct imap *im = arg;
    struct sort *s = im->work;
    const struct imap_search *what = &im->command.search;
    bool short_one = what->sort_count == 1 && !sort_key_is_text(what->sort[0].key);
    union sort_key one, *keys = &one;
    struct item *item = &s->items[s->n];

    if (!short_one)
        keys = arena_alloc(&s->arena, what->sort_count * sizeof *keys);
    if (keys == NULL)
        return err_set(err, ERR_LIMIT, "Too many messages to sort, search for fewer");
    if (!sort_keys_get(s->keys, m, info, &s->arena, keys, err))
        return false;
    item->prefix = sort_key_prefix(what->sort[0].key, keys);
    if (what->sort[0].reverse)
        item->prefix = ~item->prefix;
    item->keys = short_one ? NULL : keys;
    item->uid = m->uid;
    s->n++;
    return true;
}

/* Items, as many again to sort them with, results, keys. */
static bool has_memory(struct imap *im, struct err *err)
{
    const struct sort *s = im->work;

    return imap_gathers(im, s->finding.uids.count * (2 * sizeof *s->items + sizeof *s->result.uids) + s->arena.used) || imap_gathered_too_much(err);
}

static void gather(struct imap *im)
{
    struct sort *s = im->work;
    struct err err = {0};

    if (has_memory(im, &err) && finding_walk(im, &s->finding, &s->at, add_item, im, &err)) {
        merge_sort_begin(&s->sorting, s->items, s->n, sizeof *s->items, by_keys, &im->command.search);
        s->items = NULL;
        im->step = sort_some;
    } else if (err.kind != ERR_NONE) {
        imap_failed(im, &err);
    }
}

static void look(struct imap *im)
{
    struct sort *s = im->work;
    struct err err = {0};

    if (finding_go_on(im, &s->finding, &err)) {
        im->step = gather;
        if (has_memory(im, &err))
            s->items = xcalloc((size_t)s->finding.uids.count + 1, sizeof *s->items);
    }
    if (err.kind != ERR_NONE)
        imap_failed(im, &err);
}

void imap_on_sort(struct imap *im)
{
    struct sort *s = imap_alloc(im, sizeof *s);

    if (s == NULL)
        return;
    *s = (struct sort){.at = 1};
    arena_init(&s->arena, KEYS_MAX);
    s->keys = sort_keys_new(im);
    im->work = s;
    im->clean = clean;
    if (finding_begin(im, &s->finding, im->command.search.root))
        im->step = look;
}
