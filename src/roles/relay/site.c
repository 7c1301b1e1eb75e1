/* A site: the set of servers that some destinations share. Its limits are those of one neighbour:
 * connections, pace, and how many at once, which starts small, grows with success and falls when the
 * site is busy. Deliveries wait here in order; a connection that becomes free takes the first one
 * that fits it. */
#include "relay.h"
#include "base/log.h"
#include "base/metric.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_LIMIT = 5, KEEP_SECONDS = 120, KEEP_SLOW_SECONDS = 1800, POOLS_SECONDS = 30, WAKE_AT_ONCE = 4 };
enum { TRIAL_SECONDS = 30 }; /* spent at a site of which nothing is known, with nothing delivered */

static struct metric spared = METRIC_COUNTER("staffetta_relay_put_off_total",
    "Deliveries that were not tried, since attempts in a row at the same servers had failed.");
static struct metric sites_open = METRIC_GAUGE("staffetta_relay_sites", "Sets of servers known now.");

struct site {
    struct map_node node;
    struct link awake, hungry;
    struct str signature; /* owned */
    struct list waiting;
    struct list idle;     /* connections */
    struct list all;      /* connections, these too */
    size_t members;       /* deliveries here: waiting or carried */
    size_t connections;
    size_t limit, successes;
    int64_t lowered;      /* when the limit fell last */
    bool down;            /* nobody could be reached, or it failed often: queue is told to hold back */
    struct rests rests;
    enum standing standing;
    int64_t worked;       /* when something was delivered last */
    int64_t spent, spent_at; /* seconds its servers were waited for since; when the last one was counted */
    bool made_room;       /* it has looked for an idle connection to close, and not opened its own yet */
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
    list_init(&site->all);
    rests_init(&site->rests);
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
    if (link_in_list(&site->hungry)) {
        list_remove(&site->hungry);
        list_add_last(&relay->hungry[standing], &site->hungry);
    }
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

    if (site->standing == STANDING_SLOW || (site->standing == STANDING_NEW && crowded))
        return 1;
    return site->limit < most ? site->limit : most;
}

/* Two says to queue that it is slow, and one says so even where two was usual: a new one that waits for
 * others to make room is not. */
static uint64_t least_window(const struct site *site)
{
    if (site->standing == STANDING_SLOW)
        return 1;
    return site->down || site->limit == 1 ? 2 : 3;
}

/* Twice the connections keeps each busy; the shards of queue share it. */
static void send_window(struct relay *relay, struct site *site, struct destination *to)
{
    unsigned shards = role_peers(relay->role, ROLE_QUEUE);
    uint64_t limit = site->down ? 1 : limit_of(relay, site);
    uint64_t window = site->standing == STANDING_SLOW ? 1 : limit * 2, least = least_window(site);

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

static struct rest_key key_of(const struct delivery *d)
{
    return (struct rest_key){&d->way, d->sender};
}

/* Was it not tried, since the way it has to go rests? One that has been at another server goes on. */
static bool put_off(struct relay *relay, struct site *site, struct delivery *d)
{
    struct rest_outcome rest;

    if (d->attempts > 0 || !rests_now(&site->rests, key_of(d), clock_monotonic(), &rest))
        return false;
    metric_add(&spared, 1);
    delivery_finish(relay, d, &rest.outcome, NULL);
    return true;
}

/* Where only one may try at a time, does one? Others pass by, who go another way. */
static bool is_being_tried(const struct site *site, const struct delivery *d)
{
    enum rest_trial trial = rests_trial(&site->rests, key_of(d));

    if (trial == TRIAL_NONE)
        return false;
    LIST_EACH(&site->all, it) {
        const struct delivery *other = connection_carries(it);

        if (other != NULL && way_equal(&other->way, &d->way) && (trial == TRIAL_OF_ALL || other->sender == d->sender))
            return true;
    }
    return false;
}

struct delivery *site_next_for(struct relay *relay, struct site *site, const struct connection *k)
{
    if (relay->draining || !may_start(relay, site))
        return NULL;
    LIST_EACH(&site->waiting, it) {
        struct delivery *d = CONTAINER(it, struct delivery, link);

        if (!connection_fits(k, d) || put_off(relay, site, d) || is_being_tried(site, d))
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

/* Would closing a connection of `other` give a place to a site of this standing? */
static bool holds_place_for(const struct site *other, enum standing standing, bool full)
{
    if (list_empty(&other->idle))
        return false;
    return full || other->standing == STANDING_SLOW || (standing == STANDING_NEW && other->standing == STANDING_NEW);
}

/* Closes an idle connection that takes the place this site looks for; one, until it has opened its own. */
static void make_room(struct relay *relay, struct site *site, bool full)
{
    struct map_node *node = map_walk(&relay->sites, NULL);

    if (site->made_room)
        return;
    site->made_room = true;
    while (node != NULL && !holds_place_for(CONTAINER(node, struct site, node), site->standing, full))
        node = map_walk(&relay->sites, node);
    if (node == NULL)
        return;
    connection_close(connection_of_idle(list_first(&CONTAINER(node, struct site, node)->idle)));
}

/* It is told when there may be a place. */
static void go_hungry(struct relay *relay, struct site *site)
{
    list_remove(&site->hungry);
    list_add_last(&relay->hungry[site->standing], &site->hungry);
}

/* Where a limit is reached, an idle connection that does not fit is closed: the one that is wanted
 * starts when the other end has closed it too. */
static bool may_connect(struct relay *relay, struct site *site)
{
    bool place;

    if (site->connections >= limit_of(relay, site)) {
        if (!list_empty(&site->idle))
            connection_close(connection_of_idle(list_first(&site->idle)));
        return false;
    }
    place = has_place(relay, site->standing);
    if (place && !is_full(relay))
        return true;
    relay->starved |= !place && site->standing == STANDING_NEW;
    make_room(relay, site, place);
    go_hungry(relay, site);
    return false;
}

/* The next one that may go, or NULL; those that may not be tried now are put off on the way. */
static struct delivery *first_that_may_go(struct relay *relay, struct site *site)
{
    LIST_EACH(&site->waiting, it) {
        struct delivery *d = CONTAINER(it, struct delivery, link);

        if (!put_off(relay, site, d) && !is_being_tried(site, d))
            return d;
    }
    return NULL;
}

static void pump(struct relay *relay, struct site *site)
{
    struct delivery *d;

    while (!relay->draining && relay->pools.known && may_start(relay, site) && (d = first_that_may_go(relay, site)) != NULL) {
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

/* There is a place, or (`idle`) a connection that may make one. */
static void wake_hungry(struct relay *relay, bool idle)
{
    for (size_t s = 0; s < STANDINGS; s++)
        for (int n = 0; n < WAKE_AT_ONCE && !list_empty(&relay->hungry[s]); n++) {
            struct site *site = CONTAINER(list_first(&relay->hungry[s]), struct site, hungry);

            list_remove(&site->hungry);
            site->made_room &= !idle;
            site_wake(relay, site);
        }
}

/* ---- learning ---- */

void site_connection_opened(struct relay *relay, struct site *site, struct link *link)
{
    list_add_last(&site->all, link);
    site->connections++;
    site->made_room = false;
    relay->by_standing[site->standing]++;
    relay->connection_count++;
}

void site_connection_closed(struct relay *relay, struct site *site)
{
    site->connections--;
    relay->by_standing[site->standing]--;
    relay->connection_count--;
    site->last_used = clock_monotonic();
    site_wake(relay, site);
    wake_hungry(relay, false);
}

void site_connection_idle(struct relay *relay, struct site *site, struct link *idle)
{
    list_add_last(&site->idle, idle);
    wake_hungry(relay, true); /* it may make room for another site */
}

void site_answers(struct site *site, const struct delivery *d)
{
    site->down = false;
    rests_worked(&site->rests, key_of(d));
}

void site_worked(struct relay *relay, struct site *site, struct destination *from)
{
    site->down = false;
    site->worked = clock_monotonic();
    site->spent = 0;
    set_standing(relay, site, STANDING_GOOD);
    if (site->limit < most_connections(relay) && ++site->successes >= site->limit && site->worked - site->lowered >= SECOND) {
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

void site_spends(struct relay *relay, struct site *site, struct destination *from, int64_t now)
{
    if (site->standing != STANDING_NEW || site->spent_at == now)
        return;
    site->spent_at = now;
    if (++site->spent <= TRIAL_SECONDS)
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

bool site_has_enough(struct relay *relay, struct site *site, const struct delivery *d)
{
    size_t all = 0, same_way = 0;

    LIST_EACH(&site->all, it) {
        bool let_in = connection_carries(it) != d && connection_is_let_in(it);

        all += let_in;
        same_way += let_in && way_equal(connection_way(it), &d->way);
    }
    if (same_way == 0)
        return false;
    site->lowered = clock_monotonic();
    site->successes = 0;
    if (site->limit > all)
        site->limit = all;
    send_window(relay, site, d->at);
    return true;
}

static void log_rests(const struct site *site, const struct delivery *d, const struct rest_failure *failure, int64_t all, int64_t own)
{
    if (all > 0)
        log_info("site-rests", "servers=%.*s seconds=%lld pool=%.*s text=%.*s", STR_ARG(str_trim(site->signature)),
            (long long)all, STR_ARG(d->way.pool), STR_ARG(failure->outcome->text));
    if (own > 0)
        log_info("sender-rests", "sender=<%.*s> servers=%.*s seconds=%lld pool=%.*s text=%.*s", STR_ARG(d->m.sender),
            STR_ARG(str_trim(site->signature)), (long long)own, STR_ARG(d->way.pool), STR_ARG(failure->outcome->text));
}

void site_failed(struct relay *relay, struct site *site, const struct delivery *of, const struct rest_failure *failure)
{
    int64_t own, all = rests_failed(&site->rests, key_of(of), failure, clock_monotonic(), &own);

    log_rests(site, of, failure, all, own);
    site->down |= all > 0 || failure->unreachable;
    if (all == 0 && own == 0 && !failure->unreachable)
        return;
    LIST_EACH(&site->waiting, it) {
        struct delivery *d = CONTAINER(it, struct delivery, link);

        if (!put_off(relay, site, d) && failure->unreachable && way_equal(&d->way, &of->way) && d->attempts == 0)
            delivery_finish(relay, d, failure->outcome, NULL);
    }
}

/* ---- time ---- */

static void free_site(struct relay *relay, struct site *site)
{
    map_remove(&relay->sites, &site->node);
    list_remove(&site->awake);
    list_remove(&site->hungry);
    str_free(&site->signature);
    rests_clear(&site->rests);
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
        site->made_room = false;
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
