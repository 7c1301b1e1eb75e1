/* latency: durations and their percentiles. The contract is in latency.h. */
#include "latency.h"

#include <stdlib.h>

#define CEILING (4u << 20)

static void grow(struct latency *l)
{
    size_t room = l->room ? l->room * 2 : 4096;
    uint32_t *us = realloc(l->us, room * sizeof *us);

    if (!us)
        abort();
    l->us = us;
    l->room = room;
}

void latency_add(struct latency *l, uint64_t nanoseconds)
{
    uint64_t us = nanoseconds / 1000;

    if (l->count == CEILING) {
        l->dropped++;
        return;
    }
    if (l->count == l->room)
        grow(l);
    l->us[l->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint32_t percentile(const struct latency *l, unsigned int percent)
{
    return l->count ? l->us[(l->count - 1) * percent / 100] : 0;
}

void latency_print(struct latency *l, FILE *out)
{
    if (l->count)
        qsort(l->us, l->count, sizeof *l->us, compare);
    fprintf(out, "\"p50\": %u, \"p95\": %u, \"p99\": %u, \"max\": %u", percentile(l, 50),
        percentile(l, 95), percentile(l, 99), percentile(l, 100));
}
