/* Windows, shares and pace of destinations. */
#include "destination.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/buf.h"

#include <stdlib.h>

enum {
    PACE_OVER = SECOND / 4,      /* microseconds of work */
    SPAN_MOST = SECOND,          /* of one span without an end */
    SPAN_AGAIN = MINUTE,         /* one that is longer says nothing, unless there was another one shortly before */
    PACE_GUESSED = SECOND / 10000,
    RETURN_SOON = SECOND / 2,    /* until what was put back comes again */
    RETURN_LATE = 10 * SECOND,
    RETURN_VAIN = 2 * SECOND,    /* without a move, from then on it is in vain */
    RETURN_LAST = 10 * MINUTE,
    RETURN_STEADY = MINUTE,      /* when the pace has been the same for as long */
    RETURN_EACH = SECOND / 2000, /* of all that waits: a return in vain costs a write */
    STEADY = 4,                  /* times faster or slower is another pace */
    RETURN_NEW = SECOND / 1000,  /* the same of those in memory of which nothing is known */
    WINDOW_FIRST = 10, /* until relay says */
    WINDOW_LOCAL = 1000,
    WINDOW_NARROW = 2, /* relay tries one at a time (1: and the servers do not answer) */
    SHARE = 64,        /* of what is free, for each that is not known to be good */
};

static struct destination *make(struct lane *lane, struct str name, uint64_t window)
{
    struct destination *d = xcalloc(1, sizeof *d);

    d->lane = lane;
    d->name = str_dup(name);
    d->window = window;
    d->standing = lane->role == ROLE_RELAY ? STANDING_NEW : STANDING_GOOD;
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

/* ---- standing ---- */

static void set_standing(struct destination *d, enum standing standing)
{
    struct lane *lane = d->lane;

    if (d->standing == standing)
        return;
    lane->by_standing[d->standing] -= d->under_way;
    lane->by_standing[standing] += d->under_way;
    lane->held[d->standing] -= d->under_way + d->waiting_n;
    lane->held[standing] += d->under_way + d->waiting_n;
    d->standing = standing;
}

void destination_judge(struct destination *d, bool good)
{
    if (d->lane->role != ROLE_RELAY)
        return;
    d->moved = clock_monotonic();
    if (good)
        set_standing(d, STANDING_GOOD);
    else
        set_standing(d, d->window <= WINDOW_NARROW ? STANDING_SLOW : STANDING_NEW);
}

void destination_set_window(struct destination *d, uint64_t window)
{
    bool narrower = window < d->window;

    d->window = window;
    if (narrower && window <= WINDOW_NARROW)
        set_standing(d, STANDING_SLOW);
}

void destination_count(struct destination *d, enum mail_class class, int n)
{
    size_t by = (size_t)n, bulk = class == CLASS_BULK ? by : 0;

    d->under_way += by;
    d->bulk += bulk;
    d->lane->under_way += by;
    d->lane->bulk += bulk;
    d->lane->by_standing[d->standing] += by;
    d->lane->held[d->standing] += by;
}

void destination_wait(struct destination *d, enum mail_class class, int n)
{
    if (n > 0 && d->waiting_n == 0 && d->under_way == 0)
        d->moved = clock_monotonic();
    d->waiting_n += (size_t)n;
    d->waiting_bulk += class == CLASS_BULK ? (size_t)n : 0;
    d->lane->held[d->standing] += (size_t)n;
}

/* Of so many places, used as `used` says: those left for a destination of this standing, which is not
 * known to be good. */
static size_t places_left(enum standing standing, const size_t used[STANDINGS], size_t places)
{
    size_t slow = used[STANDING_SLOW], all = slow + used[STANDING_NEW], share = places - places / 8;

    if (standing == STANDING_SLOW) {
        share = (places + 1) / 2;
        all = slow;
    }
    return all < share ? share - all : 0;
}

/* What it may take of them: its window while half is free, then a part of the rest, so that there is
 * always something for the next one. */
static size_t part_of(const struct destination *d, size_t left, size_t places)
{
    size_t part = left / SHARE, least = 2 * left > places ? (size_t)d->window : 1;

    return part > least ? part : least;
}

static bool lane_has_room(const struct destination *d, size_t limit)
{
    size_t left;

    if (d->lane->under_way >= limit || d->standing == STANDING_GOOD)
        return d->lane->under_way < limit;
    left = places_left(d->standing, d->lane->by_standing, limit);
    return left > 0 && d->under_way < part_of(d, left, limit);
}

/* How many recipients it may keep waiting. */
static size_t waiting_limit(const struct destination *d, enum mail_class class, size_t active)
{
    size_t limit = class == CLASS_BULK ? active / 8 : active / 2, left, part;

    if (limit < d->window)
        limit = (size_t)d->window;
    if (d->standing == STANDING_GOOD)
        return limit;
    left = places_left(d->standing, d->lane->held, active);
    if (left == 0)
        return 0;
    part = part_of(d, left, active);
    if (class == CLASS_BULK)
        part = (part + 1) / 2;
    return part < limit ? part : limit;
}

bool destination_has_room(const struct destination *d, enum mail_class class, size_t active)
{
    return d->waiting_n < waiting_limit(d, CLASS_TRANSACTIONAL, active) &&
           (class != CLASS_BULK || d->waiting_bulk < waiting_limit(d, CLASS_BULK, active));
}

bool destination_has_too_many(const struct destination *d, enum mail_class class, size_t active)
{
    return d->waiting_n > waiting_limit(d, CLASS_TRANSACTIONAL, active) ||
           (class == CLASS_BULK && d->waiting_bulk > waiting_limit(d, CLASS_BULK, active));
}

enum mail_class destination_may_start(const struct destination *d, size_t lane_limit)
{
    if (d->under_way >= d->window || !lane_has_room(d, lane_limit))
        return CLASS_COUNT;
    if (!list_empty(&d->waiting[CLASS_TRANSACTIONAL]))
        return CLASS_TRANSACTIONAL;
    if (!list_empty(&d->waiting[CLASS_BULK]) && d->bulk < bulk_window(d) &&
        d->lane->bulk < bulk_share(lane_limit))
        return CLASS_BULK;
    return CLASS_COUNT;
}

/* Results come in bursts, so the pace is taken over a while; a faster one is believed at once. */
static void reckon_pace(struct destination *d, int64_t now)
{
    int64_t pace = d->busy / (int64_t)d->ended;

    d->interval = d->interval == 0 || pace < d->interval ? pace + 1 : (d->interval + pace) / 2;
    d->busy = 0;
    d->ended = 0;
    if (d->interval / STEADY <= d->steady && d->steady / STEADY <= d->interval)
        return;
    d->steady = d->interval;
    d->steady_since = now;
}

/* What hung is not slow when it goes on, and a relay that dies ends nothing. */
static bool tells_the_pace(struct destination *d, size_t n, int64_t now)
{
    int64_t before = d->hung;

    if (d->last_end == 0 || n == 0)
        return false;
    if (now - d->last_end <= SPAN_MOST)
        return true;
    d->hung = now;
    return before != 0 && now - before < SPAN_AGAIN;
}

void destination_ended(struct destination *d, size_t n, int64_t now)
{
    int64_t span = now - d->last_end;
    bool goes_on = d->under_way > 0 || d->waiting_n > 0;

    d->last_used = now;
    if (n > 0)
        d->moved = now;
    if (tells_the_pace(d, n, now)) {
        d->busy += span < SPAN_MOST ? span : SPAN_MOST;
        d->ended += n;
    }
    d->last_end = goes_on ? now : 0; /* the pace is that of the work, not of what comes */
    if (d->busy >= PACE_OVER && d->ended > 0)
        reckon_pace(d, now);
}

/* However wrong the pace was taken, nobody waits for longer than it takes to look at all that waits again. */
static int64_t latest(size_t all)
{
    int64_t after = (int64_t)all * RETURN_EACH;

    if (after < RETURN_LATE)
        return RETURN_LATE;
    return after < RETURN_LAST ? after : RETURN_LAST;
}

/* How long nothing has come of it: what is put back meanwhile is back after as long again, so that one that was good and
 * hangs does not cost a write for each every half a second. */
static int64_t still(const struct destination *d)
{
    return d->moved ? clock_monotonic() - d->moved : 0;
}

/* Of the first one put back. */
static int64_t soonest(const struct destination *d)
{
    int64_t after = still(d), unknown = (int64_t)d->lane->held[STANDING_NEW] * RETURN_NEW;

    if (after < RETURN_SOON)
        after = RETURN_SOON;
    if (d->standing != STANDING_GOOD && d->interval == 0 && unknown > after)
        after = unknown;
    return d->standing == STANDING_SLOW || after > RETURN_LATE ? RETURN_LATE : after;
}

/* Mail does not go there, or has not for a while: to look again costs a write and brings nothing. */
static bool is_in_vain(const struct destination *d)
{
    return d->standing == STANDING_SLOW || still(d) > RETURN_VAIN;
}

/* However many such destinations there are, together they come back no faster than one each RETURN_EACH. */
static int64_t behind_others(struct lane *lane, int64_t at, int64_t now)
{
    if (lane->vain_at < now)
        lane->vain_at = now;
    lane->vain_at += RETURN_EACH;
    if (lane->vain_at > now + RETURN_LAST)
        lane->vain_at = now + RETURN_LAST;
    return at > lane->vain_at ? at : lane->vain_at;
}

/* A pace that has been the same for a while is no guess. */
static int64_t latest_by_pace(const struct destination *d, size_t all)
{
    int64_t most = latest(all), known = d->steady_since ? clock_monotonic() - d->steady_since : 0;

    known = known < RETURN_STEADY ? known : RETURN_STEADY;
    return known > most ? known : most;
}

/* The places given at a pace that was taken too slow are nearer than they seemed. */
static void bring_back(struct destination *d, int64_t now, int64_t interval)
{
    if (interval < d->park_pace && d->park_at > now)
        d->park_at = now + (int64_t)((double)(d->park_at - now) * (double)interval / (double)d->park_pace);
    d->park_pace = interval;
}

int64_t destination_park(struct destination *d, int64_t now, size_t all)
{
    int64_t interval = d->interval > 0 ? d->interval : PACE_GUESSED;
    int64_t after = (int64_t)d->waiting_n * interval, least = soonest(d), most = latest_by_pace(d, all);
    int64_t first = now + (after > least ? after : least);

    if (is_in_vain(d)) /* its own places stay near: it may go on at any time */
        return behind_others(d->lane, first < now + most ? first : now + most, now);
    bring_back(d, now, interval);
    if (d->park_at < first)
        d->park_at = first;
    d->park_at += interval;
    if (d->park_at > now + most)
        d->park_at = now + most;
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
