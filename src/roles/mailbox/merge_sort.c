/* See merge_sort.h. */
#include "merge_sort.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

enum { RUN = 512 };

void merge_sort_begin(struct merge_sort *m, void *items, size_t n, size_t size, merge_compare *compare, void *arg)
{
    *m = (struct merge_sort){.items = items, .n = n, .size = size, .compare = compare, .arg = arg};
}

void merge_sort_clear(struct merge_sort *m)
{
    free(m->items);
    free(m->spare);
    *m = (struct merge_sort){0};
}

static size_t end_of(const struct merge_sort *m, size_t at)
{
    return at < m->n ? at : m->n;
}

/* The runs at `from` and behind it become one in `spare`. */
static void begin_pair(struct merge_sort *m, size_t from)
{
    m->from = m->left = m->out = from;
    m->right = end_of(m, from + m->width);
}

static void make_run(struct merge_sort *m)
{
    size_t to = end_of(m, m->from + RUN);

    qsort_r(m->items + m->from * m->size, to - m->from, m->size, m->compare, m->arg);
    m->from = to;
    if (to < m->n)
        return;
    m->width = RUN;
    if (m->n > RUN)
        m->spare = xmalloc(m->n * m->size);
    begin_pair(m, 0);
}

static void take(struct merge_sort *m, size_t *from, size_t n)
{
    memcpy(m->spare + m->out * m->size, m->items + *from * m->size, n * m->size);
    *from += n;
    m->out += n;
}

/* At most `budget` items of the pair; true at its end. */
static bool merge_some(struct merge_sort *m, size_t budget)
{
    size_t middle = end_of(m, m->from + m->width), end = end_of(m, m->from + 2 * m->width);

    for (; budget > 0 && m->left < middle && m->right < end; budget--) {
        bool right = m->compare(m->items + m->left * m->size, m->items + m->right * m->size, m->arg) > 0;

        take(m, right ? &m->right : &m->left, 1);
    }
    if (m->left < middle && m->right < end)
        return false;
    take(m, &m->left, middle - m->left);
    take(m, &m->right, end - m->right);
    return true;
}

static void end_pair(struct merge_sort *m)
{
    char *merged = m->spare;

    if (m->from + 2 * m->width < m->n) {
        begin_pair(m, m->from + 2 * m->width);
        return;
    }
    m->spare = m->items;
    m->items = merged;
    m->width *= 2;
    begin_pair(m, 0);
}

bool merge_sort_go_on(struct merge_sort *m, size_t budget)
{
    if (m->width == 0) {
        for (size_t done = 0; done < budget && m->width == 0 && m->n > 0; done += RUN)
            make_run(m);
        return m->n == 0 || (m->width != 0 && m->width >= m->n);
    }
    if (m->width < m->n && merge_some(m, budget))
        end_pair(m);
    return m->width >= m->n;
}
