/* Address lists of header fields (RFC 5322 3.4, with 4.4 and RFC 6854), read word by word: what stands
 * before '<' or ':' is a name, what is left when ',' or ';' or the end comes is an addr-spec. */
#include "mime/address_words.h"
#include "mime/header.h"

struct reader {
    struct str rest;
    struct buf *addr; /* the words of this member so far */
    bool gap;         /* blanks since the last word */
    bool broken;      /* two words with nothing between: a name, or no address at all */
    bool done;        /* <...> was read: what follows is no address */
    bool unended;     /* a comment without its end swallowed the rest */
};

static void drop(struct reader *r, size_t n)
{
    r->rest = str_skip(r->rest, n);
}

/* A comment or blanks at the start; false when there are none. */
static bool skip_blank(struct reader *r)
{
    size_t n = address_blank_length(r->rest);

    r->unended = r->unended || n > r->rest.n;
    drop(r, n);
    r->gap = r->gap || n > 0;
    return n > 0;
}

static void forget(struct reader *r)
{
    r->addr->n = 0;
    r->gap = r->broken = false;
}

static bool joins(char c)
{
    return c == '.' || c == '@';
}

/* Adds one word or special to the member. Folding inside a quoted string is taken out. */
static void add_word(struct reader *r, struct str word)
{
    struct buf *addr = r->addr;

    if (r->gap && addr->n && !joins(word.p[0]) && !joins(addr->p[addr->n - 1]))
        r->broken = true;
    r->gap = false;
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] != '\r' && word.p[i] != '\n')
            buf_add_char(addr, word.p[i]);
}

/* "<@route:user@host>": the words between the brackets. */
static void read_angle(struct reader *r)
{
    forget(r);
    drop(r, 1);
    while (r->rest.n && r->rest.p[0] != '>') {
        if (skip_blank(r))
            continue;
        if (r->rest.p[0] == ':' && r->addr->n && r->addr->p[0] == '@') {
            forget(r);
            drop(r, 1);
            continue;
        }
        if (r->rest.p[0] == '<' || (r->rest.p[0] == ',' && !(r->addr->n && r->addr->p[0] == '@')))
            r->broken = true;
        size_t n = address_word_length(r->rest);
        add_word(r, str_sub(r->rest, 0, n));
        drop(r, n);
    }
    if (r->rest.n == 0)
        r->broken = true;
    drop(r, 1);
    r->done = true;
}

/* Reads up to the end of one member. */
static void read_member(struct reader *r)
{
    forget(r);
    r->done = false;
    while (r->rest.n && r->rest.p[0] != ',' && r->rest.p[0] != ';') {
        size_t n;

        if (skip_blank(r))
            continue;
        if (r->rest.p[0] == '<' && !r->done) {
            read_angle(r);
            continue;
        }
        if (r->rest.p[0] == ':' && !r->done) { /* the name of a group ends */
            forget(r);
            drop(r, 1);
            continue;
        }
        n = address_word_length(r->rest);
        if (r->done)
            r->broken = true;
        else
            add_word(r, str_sub(r->rest, 0, n));
        drop(r, n);
    }
    drop(r, 1);
}

/* Index of the '@' that is not inside a quoted local part or a literal; -1 for none or two. */
static ptrdiff_t find_at(struct str addr)
{
    size_t from = addr.n && addr.p[0] == '"' ? address_run_length(addr, '"', '"') : 0;
    struct str rest = str_skip(addr, from);
    ptrdiff_t at = str_find(rest, '@');
    struct str domain = str_skip(rest, (size_t)(at + 1));

    if (at < 0 || (domain.n && domain.p[0] != '[' && str_find(domain, '@') >= 0))
        return -1;
    return (ptrdiff_t)from + at;
}

static bool is_address(const struct reader *r)
{
    struct str addr = buf_str(r->addr);
    ptrdiff_t at = find_at(addr);

    return !r->broken && !r->addr->failed && at > 0 && (size_t)at + 1 < addr.n;
}

bool header_next_address(struct str *rest, struct buf *addr, bool *bad)
{
    struct reader r = {.rest = *rest, .addr = addr};
    bool found = false;

    addr->failed = false;
    while (r.rest.n && !found) {
        read_member(&r);
        found = is_address(&r);
        if (bad != NULL && (r.unended || (!found && (r.addr->n || r.done || r.addr->failed))))
            *bad = true;
        addr->failed = false;
    }
    if (!found)
        addr->n = 0;
    *rest = r.rest;
    return found;
}
