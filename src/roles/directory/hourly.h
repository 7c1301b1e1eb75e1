/* What each account and credential sent within the last hour: twelve slots of five minutes, so a
 * limit recovers gradually. Kept in memory (a restart forgives), at most HOURLY_MAX senders; idle
 * ones are dropped. */
#pragma once
#include "base/map.h"

enum { HOURLY_SLOTS = 12, HOURLY_MAX = 100000 };

struct hourly {
    struct map map;
    struct list order; /* least recently used first */
};

struct hourly_use {
    int64_t messages, recipients;
};

void hourly_init(struct hourly *l);
void hourly_clear(struct hourly *l);
/* What this sender used in the hour before now (monotonic). */
struct hourly_use hourly_used(struct hourly *l, int64_t principal, int64_t now);
void hourly_charge(
    struct hourly *l, int64_t principal, int64_t messages, int64_t recipients, int64_t now);
