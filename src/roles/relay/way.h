/* A way to a site: what deliveries must have in common to share a connection. The same server may answer
 * one source address and not another, one login and not another. */
#pragma once
#include "base/str.h"
#include "ipc/messages.h"

struct way {
    enum route_kind route;
    enum route_tls tls;
    uint64_t credential; /* 0: none */
    struct str pool;     /* of source addresses; owned by who holds the way */
};

static inline bool way_equal(const struct way *a, const struct way *b)
{
    return a->route == b->route && a->tls == b->tls && a->credential == b->credential && str_eq(a->pool, b->pool);
}
