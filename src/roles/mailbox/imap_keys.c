/* See imap_keys.h. Subject and dates are kept with the message; addresses come from its tree. */
#include "imap_keys.h"
#include "base/err.h"
#include "mime/fold.h"
#include "mime/part.h"
#include "mime/part_blob.h"
#include "mime/words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TREE_ARENA_MAX = 16 * 1024 * 1024, TEXT_MAX = 64 * 1024, KEY_MAX = 1000 };

struct sort_keys {
    struct imap *im;
    struct arena arena; /* the tree of the message looked at */
    struct buf text, folded;
};

/* ---- comparing ---- */

bool sort_key_is_text(enum imap_sort_key key)
{
    return key != IMAP_SORT_ARRIVAL && key != IMAP_SORT_DATE && key != IMAP_SORT_SIZE;
}

uint64_t sort_key_prefix(enum imap_sort_key which, const union sort_key *key)
{
    uint64_t prefix = 0;

    if (!sort_key_is_text(which))
        return (uint64_t)key->number ^ UINT64_C(1) << 63;
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < key->text.n ? (unsigned char)key->text.p[i] : 0);
    return prefix;
}

int sort_key_compare(enum imap_sort_key which, const union sort_key *a, const union sort_key *b)
{
    if (sort_key_is_text(which))
        return str_cmp(a->text, b->text);
    return (a->number > b->number) - (a->number < b->number);
}

/* ---- making ---- */

struct sort_keys *sort_keys_new(struct imap *im)
{
    struct sort_keys *k = xcalloc(1, sizeof *k);

    k->im = im;
    arena_init(&k->arena, TREE_ARENA_MAX);
    buf_init(&k->text, TEXT_MAX);
    buf_init(&k->folded, 4 * TEXT_MAX);
    return k;
}

void sort_keys_free(struct sort_keys *k)
{
    if (k == NULL)
        return;
    arena_clear(&k->arena);
    buf_clear(&k->text);
    buf_clear(&k->folded);
    free(k);
}

/* Capitals, as i;unicode-casemap has them: '_' stands behind 'Z'. */
static bool keep_text(struct str folded, struct arena *arena, union sort_key *key)
{
    char *p;

    folded = str_sub(folded, 0, folded.n < KEY_MAX ? folded.n : KEY_MAX);
    p = arena_alloc(arena, folded.n + 1);
    if (p == NULL)
        return false;
    for (size_t i = 0; i < folded.n; i++)
        p[i] = (char)(folded.p[i] >= 'a' && folded.p[i] <= 'z' ? folded.p[i] - 'a' + 'A' : folded.p[i]);
    key->text = str_from(p, folded.n);
    return true;
}

static const struct mime_address *first_address(const struct mime_envelope *e, enum imap_sort_key key)
{
    if (e == NULL)
        return NULL;
    switch ((int)key) {
    case IMAP_SORT_CC: return e->cc;
    case IMAP_SORT_FROM: case IMAP_SORT_DISPLAYFROM: return e->from;
    default: return e->to;
    }
}

static void add_address(struct buf *out, const struct mime_address *a, bool display)
{
    if (display && a->name.n > 0)
        mime_decode_words(a->name, out);
    if (out->n > 0)
        return;
    buf_add(out, a->mailbox);
    if (display && a->mailbox.p != NULL && a->host.p != NULL) {
        buf_add_char(out, '@');
        buf_add(out, a->host);
    }
}

static bool address_key(struct sort_keys *k, const struct mime_part *tree, enum imap_sort_key which, struct arena *arena,
    union sort_key *key)
{
    const struct mime_address *a = first_address(tree->envelope, which);

    buf_reset(&k->text);
    buf_reset(&k->folded);
    if (a != NULL)
        add_address(&k->text, a, which == IMAP_SORT_DISPLAYFROM || which == IMAP_SORT_DISPLAYTO);
    mime_casefold(buf_str(&k->text), &k->folded);
    return keep_text(buf_str(&k->folded), arena, key);
}

static const struct mime_part *tree_of(struct sort_keys *k, const struct store_message *m, struct err *err)
{
    struct content_info info;
    const struct mime_part *tree;

    if (!imap_info(k->im, m, STORE_TREE, &info, err))
        return NULL;
    arena_clear(&k->arena);
    tree = mime_tree_unpack(info.tree, &k->arena);
    if (tree == NULL)
        err_set(err, ERR_PERMANENT, "content %" PRId64 ": its structure is damaged", m->content);
    return tree;
}

bool sort_keys_get(struct sort_keys *k, const struct store_message *m, const struct content_info *info, struct arena *arena,
    union sort_key *keys, struct err *err)
{
    const struct imap_search *what = &k->im->command.search;
    const struct mime_part *tree = NULL;
    bool room = true;

    for (size_t i = 0; i < what->sort_count; i++)
        if (what->sort[i].key == IMAP_SORT_SUBJECT) /* first: the tree may take its place */
            room &= keep_text(info->subject, arena, &keys[i]);
    for (size_t i = 0; i < what->sort_count; i++) {
        switch (what->sort[i].key) {
        case IMAP_SORT_ARRIVAL: keys[i].number = m->received; break;
        case IMAP_SORT_DATE: keys[i].number = info->sent ? info->sent : m->received; break;
        case IMAP_SORT_SIZE: keys[i].number = m->size; break;
        case IMAP_SORT_SUBJECT: break;
        case IMAP_SORT_CC: case IMAP_SORT_FROM: case IMAP_SORT_TO: case IMAP_SORT_DISPLAYFROM: case IMAP_SORT_DISPLAYTO:
            if (tree == NULL && (tree = tree_of(k, m, err)) == NULL)
                return false;
            room &= address_key(k, tree, what->sort[i].key, arena, &keys[i]);
            break;
        }
    }
    return room || err_set(err, ERR_LIMIT, "Too many messages to sort, search for fewer");
}
