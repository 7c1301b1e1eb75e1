/* Windows, shares and pace of destinations. */
#include "destination.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/buf.h"

#include <stdlib.h>

enum { WINDOW_FIRST = 10 /* until relay says */, WINDOW_LOCAL = 1000 };

static struct destination *make(struct lane *lane, struct str name, uint64_t window)
{
    struct destination *d = xcalloc(1, sizeof *d);

    d->lane = lane;
    d->name = str_dup(name);
    d->window = window;
    d->interval = SECOND / 20;
    d->last_used = clock_monotonic();
    list_init(&d->waiting[CLASS_TRANSACTIONAL]);
    list_init(&d->waiting[CLASS_BULK]);
    list_init(&d->routes);
    return d;
}

struct destination *destination_local(struct dispatch *d, unsigned copy)
{
    struct lane *lane = &d->mailbox[copy % LANES_MAX];

    if (lane->local == NULL)
        lane->local = make(lane, (struct str){0}, WINDOW_LOCAL);
    return lane->local;
}

struct destination *destination_find(struct dispatch *d, struct str name)
{
    for (struct map_node *n = map_find(&d->destinations, map_hash_istr(name)); n; n = map_find_next(n)) {
        struct destination *dest = CONTAINER(n, struct destination, by_name);

        if (str_ieq(dest->name, name))
            return dest;
    }
    return NULL;
}

struct destination *destination_remote(struct dispatch *d, unsigned copies, struct str name)
{
    struct destination *dest = destination_find(d, name);
    unsigned copy = (unsigned)(str_stable_hash(name) % (copies ? copies : 1));

    if (dest != NULL)
        return dest;
    dest = make(&d->relay[copy % LANES_MAX], name, WINDOW_FIRST);
    map_add(&d->destinations, &dest->by_name, map_hash_istr(name));
    return dest;
}

struct route *destination_route(struct destination *d, const struct msg_resolve_reply *m, struct str domain)
{
    struct route *r;

    LIST_EACH(&d->routes, it) {
        r = CONTAINER(it, struct route, link);
        if (r->kind == m->route && r->tls == m->tls && r->credential == m->credential && str_eq(r->hosts, m->hosts) &&
            str_eq(r->pool, m->pool) && (m->route != ROUTE_MX || m->hosts.n || str_ieq(r->domain, domain)))
            return r;
    }
    r = xcalloc(1, sizeof *r);
    r->kind = m->route;
    r->tls = m->tls;
    r->credential = m->credential;
    r->hosts = str_dup(m->hosts);
    r->pool = str_dup(m->pool);
    r->domain = str_dup(domain);
    list_add_first(&d->routes, &r->link);
    return r;
}

uint64_t bulk_share(uint64_t places)
{
    return places < 2 ? places : places - (places + 3) / 4;
}

/* relay asks for twice as many deliveries as it has connections, to keep each busy; bulk that hangs must
 * leave some of those free. */
static uint64_t bulk_window(const struct destination *d)
{
    return d->lane->role == ROLE_RELAY ? bulk_share((d->window + 1) / 2) : bulk_share(d->window);
}

enum mail_class destination_may_start(const struct destination *d, size_t lane_limit)
{
    if (d->under_way >= d->window || d->lane->under_way >= lane_limit)
        return CLASS_COUNT;
    if (!list_empty(&d->waiting[CLASS_TRANSACTIONAL]))
        return CLASS_TRANSACTIONAL;
    if (!list_empty(&d->waiting[CLASS_BULK]) && d->bulk < bulk_window(d) &&
        d->lane->bulk < bulk_share(lane_limit))
        return CLASS_BULK;
    return CLASS_COUNT;
}

void destination_ended(struct destination *d, size_t n, int64_t now)
{
    int64_t span = d->last_end ? now - d->last_end : 0;

    d->last_used = now;
    if (d->last_end && n > 0) {
        span /= (int64_t)n;
        d->interval += (span - d->interval) / 8;
    }
    d->last_end = now;
}

int64_t destination_park(struct destination *d, int64_t now)
{
    int64_t interval = d->interval < 10 ? 10 : d->interval;
    int64_t first = now + (int64_t)d->waiting_n * interval;

    if (first < now + 10 * SECOND)
        first = now + 10 * SECOND;
    if (d->park_at < first)
        d->park_at = first;
    d->park_at += interval;
    if (d->park_at > now + 10 * MINUTE)
        d->park_at = now + 10 * MINUTE;
    return d->park_at;
}

static void destination_free(struct destination *d)
{
    LIST_EACH(&d->routes, it) {
        struct route *r = CONTAINER(it, struct route, link);

        str_free(&r->hosts);
        str_free(&r->pool);
        str_free(&r->domain);
        free(r);
    }
    str_free(&d->name);
    free(d);
}

void destination_free_idle(struct dispatch *d, int64_t unused_since)
{
    struct map_node *n = map_walk(&d->destinations, NULL);

    while (n != NULL) {
        struct destination *dest = CONTAINER(n, struct destination, by_name);

        n = map_walk(&d->destinations, n);
        if (dest->waiting_n > 0 || dest->under_way > 0 || dest->last_used > unused_since)
            continue;
        list_remove(&dest->ready);
        map_remove(&d->destinations, &dest->by_name);
        destination_free(dest);
    }
}
