#include "base/heap.h"
#include "base/err.h"

#include <stdlib.h>

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_clear(struct heap *h)
{
    free(h->nodes);
    heap_init(h);
}

static void put(struct heap *h, size_t place, struct heap_node *node)
{
    h->nodes[place - 1] = node;
    node->place = place;
}

static void rise(struct heap *h, struct heap_node *node, size_t place)
{
    while (place > 1 && h->nodes[place / 2 - 1]->key > node->key) {
        put(h, place, h->nodes[place / 2 - 1]);
        place /= 2;
    }
    put(h, place, node);
}

static void sink(struct heap *h, struct heap_node *node, size_t place)
{
    for (;;) {
        size_t child = place * 2;

        if (child > h->count)
            break;
        if (child < h->count && h->nodes[child]->key < h->nodes[child - 1]->key)
            child++;
        if (h->nodes[child - 1]->key >= node->key)
            break;
        put(h, place, h->nodes[child - 1]);
        place = child;
    }
    put(h, place, node);
}

void heap_add(struct heap *h, struct heap_node *node, int64_t key)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity ? h->capacity * 2 : 64;
        h->nodes = xrealloc(h->nodes, h->capacity * sizeof(struct heap_node *));
    }
    node->key = key;
    h->count++;
    rise(h, node, h->count);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    size_t place = node->place;
    struct heap_node *last;

    if (place == 0)
        return;
    node->place = 0;
    last = h->nodes[--h->count];
    if (last == node)
        return;
    if (place > 1 && h->nodes[place / 2 - 1]->key > last->key)
        rise(h, last, place);
    else
        sink(h, last, place);
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->count ? h->nodes[0] : NULL;
}
