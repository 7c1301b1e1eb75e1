/* Sorting bit by bit, so that a million items hold nobody up: short runs first, then they are merged. Stable. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef int merge_compare(const void *a, const void *b, void *arg);

struct merge_sort {
    char *items, *spare; /* of the heap; freed by merge_sort_clear */
    size_t n, size;      /* items, bytes of one */
    merge_compare *compare;
    void *arg;
    size_t width; /* of the runs that are in order; 0: none yet */
    size_t from;  /* where the pair of runs under way begins */
    size_t left, right, out;
};

/* Takes over `items`. */
void merge_sort_begin(struct merge_sort *m, void *items, size_t n, size_t size, merge_compare *compare, void *arg);
/* Handles about so many items; true: m->items are in order. */
bool merge_sort_go_on(struct merge_sort *m, size_t budget);
void merge_sort_clear(struct merge_sort *m);
