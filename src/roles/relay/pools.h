/* Source addresses: pools of local addresses with weights and EHLO names, taken in turn by weight. An
 * address that cannot be bound is left out for a while. Pure but for the bind test, which is given. */
#pragma once
#include "base/ip.h"
#include "base/str.h"

struct source {
    struct ip ip; /* family 0: whatever the kernel chooses */
    char hello[256];
    unsigned weight;
    int64_t current;   /* smooth weighted round robin */
    int64_t bad_until; /* monotonic */
};

struct pool {
    char name[64];
    struct source *sources;
    size_t n;
};

struct pools {
    struct pool *pools;
    size_t n;
    bool known; /* the directory has told us */
};

enum { POOLS_MAX = 256, SOURCES_MAX = 4096 };

void pools_init(struct pools *p);
void pools_clear(struct pools *p);
/* Lines "pool address weight ehlo-name\n"; bad lines are passed over and counted. Replaces all. */
size_t pools_read(struct pools *p, struct str text);

enum pools_result {
    POOLS_ANY,         /* no pool of that name is needed ("" or "default" is not defined): bind nothing */
    POOLS_SOURCE,      /* *source is to be bound */
    POOLS_NO_FAMILY,   /* the pool has no address of this family */
    POOLS_ALL_BAD,     /* it has, but none can be used now */
    POOLS_UNKNOWN,     /* no such pool */
};
/* The next source of the pool (empty name: "default") for a family. */
enum pools_result pools_pick(struct pools *p, struct str pool, uint8_t family, int64_t now, struct source **source);
bool pools_hold_address(const struct pools *p, const struct ip *ip);
