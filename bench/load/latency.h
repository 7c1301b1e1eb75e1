/*
 * latency: how long things took, kept one by one (microseconds) up to a ceiling, and their
 * percentiles.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct latency {
    uint32_t *us;
    size_t count, room, dropped; /* dropped: over the ceiling, not in the percentiles */
};

/* Adds one duration. Memory grows up to 4 million of them. */
void latency_add(struct latency *l, uint64_t nanoseconds);

/* Writes `"p50": N, "p95": N, "p99": N, "max": N` in microseconds; nothing added gives zeros.
 * Sorts. */
void latency_print(struct latency *l, FILE *out);
