/* Intrusive binary min-heap ordered by a 64-bit key: timers, retry schedules. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    size_t place; /* 1-based; 0 while in no heap */
};

struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
};

void heap_init(struct heap *h);
void heap_clear(struct heap *h); /* frees the table, not the elements */
void heap_add(struct heap *h, struct heap_node *node, int64_t key);
void heap_remove(struct heap *h, struct heap_node *node); /* harmless when in no heap */
struct heap_node *heap_first(const struct heap *h);       /* smallest key, or NULL */
