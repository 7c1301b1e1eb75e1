/* What each account and credential sent within the last hour: twelve slots of five minutes, so a limit
 * recovers gradually. Kept in memory (a restart forgives), at most LIMITS_MAX senders; idle ones are dropped. */
#pragma once
#include "base/map.h"

enum { LIMITS_SLOTS = 12, LIMITS_MAX = 100000 };

struct limits {
    struct map map;
    struct list order; /* least recently used first */
};

struct limit_use {
    int64_t messages, recipients;
};

void limits_init(struct limits *l);
void limits_clear(struct limits *l);
/* What this sender used in the hour before now (monotonic). */
struct limit_use limits_used(struct limits *l, int64_t principal, int64_t now);
void limits_charge(struct limits *l, int64_t principal, int64_t messages, int64_t recipients, int64_t now);
