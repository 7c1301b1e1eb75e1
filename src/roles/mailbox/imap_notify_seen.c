/* What a client may look up of an owner's mailboxes. See imap_notify_seen.h. */
#include "imap_notify_seen.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdlib.h>

void seen_add(struct seen_list *l, int64_t folder, unsigned rights, struct str name)
{
    if (l->n == l->room) {
        l->room = l->room == 0 ? 16 : 2 * l->room;
        l->all = xrealloc(l->all, l->room * sizeof *l->all);
    }
    l->all[l->n++] = (struct seen){folder, rights, str_dup(name)};
    l->bytes += sizeof *l->all + sizeof *l->by_name + name.n;
}

static int by_name(const void *a, const void *b)
{
    const struct seen *const *left = a, *const *right = b;

    return str_cmp((*left)->name, (*right)->name);
}

void seen_sort(struct seen_list *l)
{
    if (l->n == 0)
        return;
    l->by_name = xcalloc(l->n, sizeof *l->by_name);
    for (size_t i = 0; i < l->n; i++)
        l->by_name[i] = &l->all[i];
    qsort(l->by_name, l->n, sizeof *l->by_name, by_name);
}

void seen_clear(struct seen_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        str_free(&l->all[i].name);
    free(l->all);
    free(l->by_name);
    *l = (struct seen_list){0};
}

const struct seen *seen_find(const struct seen_list *l, int64_t folder)
{
    size_t from = 0, to = l->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (l->all[middle].folder < folder)
            from = middle + 1;
        else
            to = middle;
    }
    return from < l->n && l->all[from].folder == folder ? &l->all[from] : NULL;
}

/* The place of the first name that is not before this one. */
static size_t place_of(const struct seen_list *l, struct str name)
{
    size_t from = 0, to = l->by_name != NULL ? l->n : 0;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (str_cmp(l->by_name[middle]->name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

const struct seen *seen_named(const struct seen_list *l, struct str name)
{
    size_t at = place_of(l, name);

    return l->by_name != NULL && at < l->n && str_eq(l->by_name[at]->name, name) ? l->by_name[at] : NULL;
}

/* Between a name and those below it may stand others: "a", "a-b", "a/b". */
bool seen_has_below(const struct seen_list *l, struct str name)
{
    size_t from = 0, to = l->by_name != NULL ? l->n : 0;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        struct str other = l->by_name[middle]->name;
        int order = str_cmp(str_sub(other, 0, name.n), name);

        if (order == 0 && other.n > name.n && other.p[name.n] == '/')
            return true;
        if (order < 0 || (order == 0 && (other.n == name.n || (unsigned char)other.p[name.n] < '/')))
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}
