/* Ways to a site that only fail are left alone for a while, so that a thousand messages for servers that
 * hang up, talk nonsense or refuse our login cost a few connections, not a thousand. Bounded: the way that
 * failed longest ago makes room. Times are monotonic, in microseconds. */
#pragma once
#include "base/list.h"
#include "client.h"
#include "way.h"

struct rests {
    struct list list; /* that failed longest ago first */
    size_t count;
};

enum { REST_FAILURES = 3, REST_SECONDS_MAX = 60, REST_WAYS = 16 };

void rests_init(struct rests *rests);
void rests_clear(struct rests *rests);
/* An attempt that began then came to nothing: no message got a verdict. Attempts that ran beside each other count as one. From the third in a row on the way rests for a second, then twice as long each
 * time, up to a minute. Returns the seconds; 0 while it may be tried at once. */
int64_t rests_failed(struct rests *rests, const struct way *way, int64_t began, int64_t now,
    const struct client_outcome *why);
void rests_worked(struct rests *rests, const struct way *way);
struct rest_outcome {
    struct client_outcome outcome; /* points to text */
    char text[600];
};

/* May the way not be tried now? Then *rest says so. */
bool rests_now(const struct rests *rests, const struct way *way, int64_t now, struct rest_outcome *rest);
