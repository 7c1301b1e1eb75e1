/* Sequence sets. See set.h. */
#include "set.h"

#include <stdlib.h>

/* ---- reading ---- */

/* seq-number: nz-number or "*". */
static bool read_number(struct str *rest, uint32_t *number)
{
    uint64_t value = 0;
    size_t n = 0;

    if (rest->n > 0 && rest->p[0] == '*') {
        *number = IMAP_SET_STAR;
        *rest = str_skip(*rest, 1);
        return true;
    }
    for (; n < rest->n && ascii_is_digit(rest->p[n]); n++) {
        value = value * 10 + (uint64_t)(rest->p[n] - '0');
        if (value > UINT32_MAX)
            return false;
    }
    if (n == 0 || value == 0)
        return false;
    *rest = str_skip(*rest, n);
    *number = (uint32_t)value;
    return true;
}

static bool take(struct str *rest, char c)
{
    if (rest->n == 0 || rest->p[0] != c)
        return false;
    *rest = str_skip(*rest, 1);
    return true;
}

/* How many ranges the text can hold: one more than it has commas up to the first blank or bracket. */
static size_t count_ranges(struct str text)
{
    size_t n = 1;

    for (size_t i = 0; i < text.n && text.p[i] != ' ' && text.p[i] != ')'; i++)
        n += text.p[i] == ',';
    return n;
}

bool imap_set_parse(struct str *rest, struct arena *arena, struct imap_set *set)
{
    *set = (struct imap_set){0};
    if (take(rest, '$')) {
        set->saved = true;
        return true;
    }
    set->ranges = arena_alloc(arena, count_ranges(*rest) * sizeof *set->ranges);
    if (set->ranges == NULL)
        return false;
    do {
        struct imap_range *r = &set->ranges[set->n];

        if (!read_number(rest, &r->from))
            return false;
        r->to = r->from;
        if (take(rest, ':') && !read_number(rest, &r->to))
            return false;
        set->n++;
    } while (take(rest, ','));
    return true;
}

/* ---- normal form ---- */

static int by_start(const void *a, const void *b)
{
    const struct imap_range *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

static void resolve(struct imap_range *r, uint32_t largest)
{
    uint32_t from = r->from == IMAP_SET_STAR ? largest : r->from;
    uint32_t to = r->to == IMAP_SET_STAR ? largest : r->to;

    *r = from <= to ? (struct imap_range){from, to} : (struct imap_range){to, from};
}

void imap_set_normalize(struct imap_set *set, uint32_t largest)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        resolve(&set->ranges[i], largest);
    if (set->n > 1)
        qsort(set->ranges, set->n, sizeof *set->ranges, by_start);
    for (size_t i = 0; i < set->n; i++) {
        struct imap_range r = set->ranges[i];

        if (r.to == 0) /* only `*` of an empty mailbox is 0 */
            continue;
        if (r.from == 0)
            r.from = 1;
        if (n > 0 && (uint64_t)r.from <= (uint64_t)set->ranges[n - 1].to + 1) {
            if (r.to > set->ranges[n - 1].to)
                set->ranges[n - 1].to = r.to;
        } else {
            set->ranges[n++] = r;
        }
    }
    set->n = n;
}

size_t imap_set_from(const struct imap_set *set, uint32_t number)
{
    size_t low = 0, high = set->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->ranges[middle].to < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool imap_set_has(const struct imap_set *set, uint32_t number)
{
    size_t i = imap_set_from(set, number);

    return i < set->n && set->ranges[i].from <= number;
}

uint64_t imap_set_count(const struct imap_set *set)
{
    uint64_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        n += (uint64_t)set->ranges[i].to - set->ranges[i].from + 1;
    return n;
}

/* ---- writing ---- */

static void flush(struct imap_set_writer *w)
{
    if (w->first == 0)
        return;
    buf_addf(w->out, "%s%u", w->any ? "," : "", w->first);
    if (w->last > w->first)
        buf_addf(w->out, ":%u", w->last);
    w->any = true;
    w->first = 0;
}

void imap_set_add_range(struct imap_set_writer *w, uint32_t from, uint32_t to)
{
    if (w->first != 0 && from == w->last + 1) {
        w->last = to;
        return;
    }
    flush(w);
    w->first = from;
    w->last = to;
}

void imap_set_add(struct imap_set_writer *w, uint32_t number)
{
    imap_set_add_range(w, number, number);
}

void imap_set_end(struct imap_set_writer *w)
{
    flush(w);
}
