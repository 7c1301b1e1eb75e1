/* Intrusive doubly linked list: the link sits in the element, nothing is allocated. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *prev, *next; /* both NULL while in no list */
};

struct list {
    struct link head;
};

#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
/* Walks a list; the current element may be removed inside the loop. */
#define LIST_EACH(list, it)                                                                        \
    for (struct link *it = (list)->head.next, *it##_next = it->next; it != &(list)->head;          \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
    l->head.prev = l->head.next = &l->head;
}

static inline bool list_empty(const struct list *l)
{
    return l->head.next == &l->head;
}

static inline bool link_in_list(const struct link *e)
{
    return e->next != NULL;
}

static inline void list_insert_before(struct link *at, struct link *e)
{
    e->prev = at->prev;
    e->next = at;
    at->prev->next = e;
    at->prev = e;
}

static inline void list_add_last(struct list *l, struct link *e)
{
    list_insert_before(&l->head, e);
}

static inline void list_add_first(struct list *l, struct link *e)
{
    list_insert_before(l->head.next, e);
}

/* Harmless for an element in no list. */
static inline void list_remove(struct link *e)
{
    if (!link_in_list(e))
        return;
    e->prev->next = e->next;
    e->next->prev = e->prev;
    e->prev = e->next = NULL;
}

static inline struct link *list_first(const struct list *l)
{
    return list_empty(l) ? NULL : l->head.next;
}
