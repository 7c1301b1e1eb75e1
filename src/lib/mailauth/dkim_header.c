/* See dkim_header.h. Fields of one name are chained from the last to the first; a choice keeps in each chain
 * the next field to take. The marks of a choice are valid while they bear its number, so that a new one
 * need not clear them. */
#include "dkim_header.h"
#include "base/err.h"
#include "base/map.h"
#include "tag_list.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct chain {
    struct map_node node;
    size_t name_at, name_n; /* in the text, as the first field writes it */
    size_t last, count;     /* field number */
    size_t next;            /* to be taken; NONE: no more */
    uint64_t choice;
};

struct field {
    size_t at, n, name_n;
    size_t above; /* the field of the same name above; NONE */
};

static const size_t NONE = SIZE_MAX;

struct dkim_header {
    struct buf text, canonical;
    struct field *fields;
    size_t n, room;
    struct map chains;
    uint64_t choices;
    bool too_large;
};

struct dkim_header *dkim_header_new(void)
{
    struct dkim_header *h = xcalloc(1, sizeof *h);

    buf_init(&h->text, DKIM_HEADER_MAX);
    buf_init(&h->canonical, DKIM_HEADER_MAX + 2);
    map_init(&h->chains);
    return h;
}

void dkim_header_free(struct dkim_header *h)
{
    struct map_node *node = NULL, *next;

    if (h == NULL)
        return;
    for (node = map_walk(&h->chains, NULL); node != NULL; node = next) {
        next = map_walk(&h->chains, node);
        free((struct chain *)node);
    }
    map_clear(&h->chains);
    buf_clear(&h->text);
    buf_clear(&h->canonical);
    free(h->fields);
    free(h);
}

/* ---- fields and chains ---- */

static struct chain *find_chain(const struct dkim_header *h, struct str name)
{
    for (struct map_node *node = map_find(&h->chains, map_hash_istr(name)); node != NULL; node = map_find_next(node)) {
        struct chain *chain = (struct chain *)node;

        if (str_ieq(str_from(h->text.p + chain->name_at, chain->name_n), name))
            return chain;
    }
    return NULL;
}

static void chain_field(struct dkim_header *h, size_t number)
{
    struct field *f = &h->fields[number];
    struct str name = dkim_header_name(h, number);
    struct chain *chain = find_chain(h, name);

    if (chain == NULL) {
        chain = xcalloc(1, sizeof *chain);
        *chain = (struct chain){.name_at = f->at, .name_n = f->name_n, .last = NONE};
        map_add(&h->chains, &chain->node, map_hash_istr(name));
    }
    f->above = chain->last;
    chain->last = number;
    chain->count++;
}

static struct str without_line_end(struct str field)
{
    if (str_ends(field, STR("\r\n")))
        return str_sub(field, 0, field.n - 2);
    return str_ends(field, STR("\n")) ? str_sub(field, 0, field.n - 1) : field;
}

void dkim_header_add(struct dkim_header *h, struct str field)
{
    struct field f = {.at = h->text.n};
    ptrdiff_t colon = str_find(field, ':');

    field = without_line_end(field);
    buf_add(&h->text, field);
    h->too_large |= h->text.failed || h->n == DKIM_FIELDS_MAX;
    if (h->too_large)
        return;
    f.n = field.n;
    f.name_n = colon < 0 ? field.n : (size_t)colon;
    while (f.name_n > 0 && tag_is_blank(field.p[f.name_n - 1]))
        f.name_n--;
    if (h->n == h->room) {
        h->room = h->room == 0 ? 32 : h->room * 2;
        h->fields = xrealloc(h->fields, h->room * sizeof *h->fields);
    }
    h->fields[h->n++] = f;
    chain_field(h, h->n - 1);
}

size_t dkim_header_held(const struct dkim_header *h)
{
    return h == NULL ? 0 : sizeof *h + h->text.capacity + h->canonical.capacity + h->room * sizeof *h->fields +
               h->chains.count * sizeof(struct chain) + h->chains.size * sizeof(void *);
}

bool dkim_header_is_too_large(const struct dkim_header *h)
{
    return h->too_large;
}

size_t dkim_header_count(const struct dkim_header *h)
{
    return h->n;
}

struct str dkim_header_field(const struct dkim_header *h, size_t number)
{
    return str_from(h->text.p + h->fields[number].at, h->fields[number].n);
}

struct str dkim_header_name(const struct dkim_header *h, size_t number)
{
    return str_sub(dkim_header_field(h, number), 0, h->fields[number].name_n);
}

struct str dkim_header_value(const struct dkim_header *h, size_t number)
{
    struct str field = dkim_header_field(h, number);
    ptrdiff_t colon = str_find(field, ':');

    return colon < 0 ? STR("") : str_skip(field, (size_t)colon + 1);
}

size_t dkim_header_count_of(const struct dkim_header *h, struct str name)
{
    const struct chain *chain = find_chain(h, name);

    return chain == NULL ? 0 : chain->count;
}

/* ---- hashing ---- */

static void hash_bytes(EVP_MD_CTX *md, struct str bytes)
{
    if (EVP_DigestUpdate(md, bytes.p, bytes.n) != 1)
        fatal("SHA-256 failed");
}

void dkim_header_hash_field(struct dkim_header *h, size_t number, enum dkim_canon canon, EVP_MD_CTX *md)
{
    buf_reset(&h->canonical);
    dkim_canon_field(canon, dkim_header_field(h, number), &h->canonical);
    buf_add(&h->canonical, STR("\r\n"));
    hash_bytes(md, buf_str(&h->canonical));
}

/* The lowest field of the chain that this choice has not taken yet, or NONE. */
static size_t take(const struct dkim_header *h, struct chain *chain, size_t without)
{
    size_t number;

    if (chain->choice != h->choices) {
        chain->choice = h->choices;
        chain->next = chain->last;
    }
    if (chain->next != NONE && chain->next == without)
        chain->next = h->fields[chain->next].above;
    number = chain->next;
    if (number != NONE)
        chain->next = h->fields[number].above;
    return number;
}

size_t dkim_header_hash(struct dkim_header *h, struct str names, enum dkim_canon canon, size_t without,
    struct evp_md_ctx_st *md)
{
    struct str name;
    size_t octets = 0;

    h->choices++;
    while (tag_next_item(&names, ':', &name)) {
        struct chain *chain = find_chain(h, name);
        size_t number = chain == NULL ? NONE : take(h, chain, without);

        if (number == NONE)
            continue;
        dkim_header_hash_field(h, number, canon, md);
        octets += h->fields[number].n;
    }
    return octets;
}

/* The field up to and with "b=", and what stands from the next ';' on. */
static void cut_own_value(struct str field, struct str *before, struct str *after)
{
    size_t at = (size_t)(str_find(field, ':') + 1);

    *before = field;
    *after = STR("");
    while (at < field.n) {
        struct str rest = str_skip(field, at);
        ptrdiff_t end = str_find(rest, ';');
        struct str tag = str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);
        ptrdiff_t equals = str_find(tag, '=');

        if (equals >= 0 && str_eq(str_trim(str_sub(tag, 0, (size_t)equals)), STR("b"))) {
            *before = str_sub(field, 0, at + (size_t)equals + 1);
            *after = str_skip(rest, tag.n);
            return;
        }
        at += tag.n + 1;
    }
}

void dkim_header_hash_own(struct str field, enum dkim_canon canon, struct evp_md_ctx_st *md)
{
    struct str before, after;
    struct buf text, canonical;

    cut_own_value(without_line_end(field), &before, &after);
    buf_init(&text, field.n + 1);
    buf_add(&text, before);
    buf_add(&text, after);
    buf_init(&canonical, field.n + 2);
    dkim_canon_field(canon, buf_str(&text), &canonical);
    hash_bytes(md, buf_str(&canonical));
    buf_clear(&text);
    buf_clear(&canonical);
}
