/* A site: the set of servers that some destinations share. Its limits are those of one neighbour:
 * connections, pace, and how many at once, which starts small, grows with success and falls when the
 * site is busy. Deliveries wait here in order; a connection that becomes free takes the first one
 * that fits it. */
#include "relay.h"
#include "base/log.h"
#include "base/metric.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_LIMIT = 5, KEEP_SECONDS = 120, KEEP_SLOW_SECONDS = 1800, POOLS_SECONDS = 30 };

static struct metric sites_open = METRIC_GAUGE("staffetta_relay_sites", "Sets of servers known now.");

struct site {
    struct map_node node;
    struct link awake;
    struct str signature; /* owned */
    struct list waiting;
    struct list idle;     /* connections */
    size_t members;       /* deliveries here: waiting or carried */
    size_t connections;
    size_t limit, successes;
    int64_t lowered;      /* when the limit fell last */
    bool down;            /* nobody could be reached: one tries at a time */
    enum standing standing;
    int64_t worked;       /* when something was delivered last */
    int64_t allowance;    /* messages that may start now, in millionths (messages_per_second) */
    int64_t refilled, last_used;
};

static struct site *find_or_add(struct relay *relay, const struct plan *plan)
{
    struct str signature = str_of(plan->signature);
    uint64_t hash = map_hash_str(signature);
    struct site *site;

    for (struct map_node *node = map_find(&relay->sites, hash); node != NULL; node = map_find_next(node)) {
        site = CONTAINER(node, struct site, node);
        if (str_eq(site->signature, signature))
            return site;
    }
    site = xcalloc(1, sizeof *site);
    site->signature = str_dup(signature);
    site->limit = FIRST_LIMIT;
    site->standing = STANDING_NEW;
    site->allowance = SECOND;
    site->refilled = clock_monotonic();
    list_init(&site->waiting);
    list_init(&site->idle);
    map_add(&relay->sites, &site->node, hash);
    metric_set(&sites_open, (int64_t)relay->sites.count);
    return site;
}

static size_t most_connections(const struct relay *relay)
{
    int64_t most = role_config(relay->role)->relay.connections_per_destination;

    return most < 1 ? 1 : (size_t)most;
}

static bool is_full(const struct relay *relay)
{
    return relay->connection_count >= (size_t)role_config(relay->role)->relay.connections;
}

static void set_standing(struct relay *relay, struct site *site, enum standing standing)
{
    relay->by_standing[site->standing] -= site->connections;
    relay->by_standing[standing] += site->connections;
    site->standing = standing;
}

/* May a site of this standing have one more of all connections? */
static bool has_place(const struct relay *relay, enum standing standing)
{
    size_t all = (size_t)role_config(relay->role)->relay.connections;
    size_t slow = relay->by_standing[STANDING_SLOW], other = slow + relay->by_standing[STANDING_NEW];

    if (standing == STANDING_SLOW)
        return slow < (all + 3) / 4;
    return standing == STANDING_GOOD || other < all - all / 4;
}

/* A new one gets few connections when half of all are taken, a slow one is tried by one at a time. */
static size_t limit_of(const struct relay *relay, const struct site *site)
{
    size_t most = most_connections(relay);
    bool crowded = 2 * relay->connection_count > (size_t)role_config(relay->role)->relay.connections;

    if (site->down || site->standing == STANDING_SLOW || (site->standing == STANDING_NEW && crowded))
        return 1;
    return site->limit < most ? site->limit : most;
}

/* Two says to queue that it is slow: a new one that waits for others to make room is not. */
static uint64_t least_window(const struct site *site)
{
    return site->down || site->standing == STANDING_SLOW || site->limit == 1 ? 2 : 3;
}

/* Twice the connections keeps each busy; the shards of queue share it. */
static void send_window(struct relay *relay, struct site *site, struct destination *to)
{
    unsigned shards = role_peers(relay->role, ROLE_QUEUE);
    uint64_t window = limit_of(relay, site) * 2, least = least_window(site);

    if (shards > 1)
        window = (window + shards - 1) / shards;
    destination_send_window(relay, to, window < least ? least : window);
}

void site_take(struct relay *relay, struct delivery *d, bool first)
{
    struct site *site = d->site;

    if (site == NULL) {
        site = d->site = find_or_add(relay, d->plan);
        site->members++;
        send_window(relay, site, d->at);
    }
    site->last_used = clock_monotonic();
    if (first)
        list_add_first(&site->waiting, &d->link);
    else
        list_add_last(&site->waiting, &d->link);
    site_wake(relay, site);
}

void site_leave(struct relay *relay, struct delivery *d)
{
    (void)relay;
    list_remove(&d->link);
    if (d->site != NULL)
        d->site->members--;
    d->site = NULL;
}

/* ---- pace ---- */

static bool may_start(struct relay *relay, struct site *site)
{
    int64_t rate = role_config(relay->role)->relay.messages_per_second, now = clock_monotonic();

    if (rate <= 0)
        return true;
    if (now - site->refilled > 0) {
        site->allowance += (now - site->refilled) * rate;
        if (site->allowance > rate * SECOND)
            site->allowance = rate * SECOND;
        site->refilled = now;
    }
    return site->allowance >= SECOND;
}

static void note_start(struct relay *relay, struct site *site)
{
    if (role_config(relay->role)->relay.messages_per_second > 0)
        site->allowance -= SECOND;
}

/* ---- who goes next ---- */

struct delivery *site_next_for(struct relay *relay, struct site *site, const struct connection *k)
{
    if (relay->draining || !may_start(relay, site))
        return NULL;
    LIST_EACH(&site->waiting, it) {
        struct delivery *d = CONTAINER(it, struct delivery, link);

        if (!connection_fits(k, d))
            continue;
        list_remove(it);
        note_start(relay, site);
        return d;
    }
    return NULL;
}

/* An idle connection that fits, or NULL. */
static struct connection *idle_for(struct site *site, const struct delivery *d)
{
    LIST_EACH(&site->idle, it) {
        struct connection *k = connection_of_idle(it);

        if (connection_fits(k, d))
            return k;
    }
    return NULL;
}

static void close_one_idle(struct relay *relay, struct site *site)
{
    if (!list_empty(&site->idle)) {
        connection_close(connection_of_idle(list_first(&site->idle)));
        return;
    }
    for (struct map_node *node = map_walk(&relay->sites, NULL); node != NULL; node = map_walk(&relay->sites, node)) {
        struct site *other = CONTAINER(node, struct site, node);

        if (!list_empty(&other->idle)) {
            connection_close(connection_of_idle(list_first(&other->idle)));
            return;
        }
    }
}

/* Where a limit is reached, an idle connection that does not fit is closed: the one that is wanted
 * starts when the other end has closed it too. */
static bool may_connect(struct relay *relay, struct site *site)
{
    if (site->connections >= limit_of(relay, site)) {
        if (!list_empty(&site->idle))
            connection_close(connection_of_idle(list_first(&site->idle)));
        return false;
    }
    if (is_full(relay)) {
        close_one_idle(relay, site);
        return false;
    }
    if (has_place(relay, site->standing))
        return true;
    relay->starved |= site->standing == STANDING_NEW;
    return false; /* the next sweep asks again */
}

static void pump(struct relay *relay, struct site *site)
{
    while (!relay->draining && relay->pools.known && !list_empty(&site->waiting) && may_start(relay, site)) {
        struct delivery *d = CONTAINER(list_first(&site->waiting), struct delivery, link);
        struct connection *k = idle_for(site, d);

        if (k == NULL && !may_connect(relay, site))
            return;
        list_remove(&d->link);
        note_start(relay, site);
        if (k != NULL)
            connection_carry(k, d);
        else
            connection_open(relay, site, d);
    }
}

void site_wake(struct relay *relay, struct site *site)
{
    if (!link_in_list(&site->awake))
        list_add_last(&relay->awake, &site->awake);
}

void site_wake_all(struct relay *relay)
{
    for (struct map_node *node = map_walk(&relay->sites, NULL); node != NULL; node = map_walk(&relay->sites, node))
        site_wake(relay, CONTAINER(node, struct site, node));
}

void site_pump(struct relay *relay)
{
    while (!list_empty(&relay->awake)) {
        struct site *site = CONTAINER(list_first(&relay->awake), struct site, awake);

        list_remove(&site->awake);
        pump(relay, site);
    }
}

/* ---- learning ---- */

void site_connection_opened(struct relay *relay, struct site *site)
{
    site->connections++;
    relay->by_standing[site->standing]++;
    relay->connection_count++;
}

void site_connection_closed(struct relay *relay, struct site *site)
{
    bool was_full = is_full(relay);

    site->connections--;
    relay->by_standing[site->standing]--;
    relay->connection_count--;
    site->last_used = clock_monotonic();
    if (was_full)
        site_wake_all(relay);
    else
        site_wake(relay, site);
}

void site_connection_idle(struct relay *relay, struct site *site, struct link *idle)
{
    list_add_last(&site->idle, idle);
    if (is_full(relay))
        site_wake_all(relay); /* it may make room for another site */
}

void site_up(struct site *site)
{
    site->down = false;
}

void site_worked(struct relay *relay, struct site *site, struct destination *from)
{
    site->down = false;
    site->worked = clock_monotonic();
    set_standing(relay, site, STANDING_GOOD);
    if (site->limit < most_connections(relay) && ++site->successes >= site->limit) {
        site->limit++;
        site->successes = 0;
        site_wake(relay, site);
    }
    send_window(relay, site, from);
}

void site_stuck(struct relay *relay, struct site *site, struct destination *from, int64_t since)
{
    if (site->standing == STANDING_SLOW || site->worked > since)
        return;
    set_standing(relay, site, STANDING_SLOW);
    send_window(relay, site, from);
}

bool site_is_slow(const struct site *site)
{
    return site->standing == STANDING_SLOW;
}

void site_busy(struct relay *relay, struct site *site, struct destination *from)
{
    int64_t now = clock_monotonic();

    if (now - site->lowered < SECOND)
        return; /* many connections hear the same at the same time */
    site->lowered = now;
    site->successes = 0;
    site->limit = site->limit > 1 ? site->limit / 2 : 1;
    send_window(relay, site, from);
}

void site_down(struct relay *relay, struct site *site, const struct client_outcome *outcome)
{
    site->down = true;
    LIST_EACH(&site->waiting, it)
        delivery_finish(relay, CONTAINER(it, struct delivery, link), outcome, NULL);
}

/* ---- time ---- */

static void free_site(struct relay *relay, struct site *site)
{
    map_remove(&relay->sites, &site->node);
    list_remove(&site->awake);
    str_free(&site->signature);
    free(site);
    metric_set(&sites_open, (int64_t)relay->sites.count);
}

/* Without the directory the source addresses are not known, and nothing may start. */
static void give_up_without_pools(struct relay *relay, struct site *site, int64_t now)
{
    LIST_EACH(&site->waiting, it) {
        struct delivery *d = CONTAINER(it, struct delivery, link);

        if (now - d->started > POOLS_SECONDS * SECOND)
            delivery_finish(relay, d,
                &(struct client_outcome){DELIVERY_DEFERRED, REASON_OTHER, 451, false, false,
                    STR("4.3.0 the source addresses are not known yet")},
                NULL);
    }
}

void site_sweep(struct relay *relay, int64_t now)
{
    struct map_node *node = map_walk(&relay->sites, NULL);

    while (node != NULL) {
        struct site *site = CONTAINER(node, struct site, node);

        node = map_walk(&relay->sites, node);
        if (!relay->pools.known)
            give_up_without_pools(relay, site, now);
        if (!list_empty(&site->waiting))
            site_wake(relay, site);
        if (site->members > 0 || site->connections > 0 ||
            now - site->last_used < (site->standing == STANDING_SLOW ? KEEP_SLOW_SECONDS : KEEP_SECONDS) * SECOND)
            continue;
        free_site(relay, site);
    }
}

void site_close(struct relay *relay)
{
    for (struct map_node *node; (node = map_walk(&relay->sites, NULL)) != NULL;)
        free_site(relay, CONTAINER(node, struct site, node));
    map_clear(&relay->sites);
}
