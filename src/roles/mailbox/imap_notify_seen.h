/* The mailboxes of an owner that a client may look up, as they were when somebody looked: found by their numbers and by their names in
 * the time of a binary search, however many the owner shares. See imap_notify_others.c. */
#pragma once
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct seen {
    int64_t folder;
    unsigned rights;
    struct str name; /* as this client says it; owned */
};

struct seen_list {
    struct seen *all;       /* by rising number */
    const struct seen **by_name; /* the same in the order of names, from seen_sort on */
    size_t n, room;
    size_t bytes; /* of memory that it takes, or will when it is sorted */
};

/* Numbers come rising. The name is copied. */
void seen_add(struct seen_list *l, int64_t folder, unsigned rights, struct str name);
void seen_sort(struct seen_list *l); /* all are there: they may be looked for */
void seen_clear(struct seen_list *l);
const struct seen *seen_find(const struct seen_list *l, int64_t folder);
const struct seen *seen_named(const struct seen_list *l, struct str name);
bool seen_has_below(const struct seen_list *l, struct str name);
