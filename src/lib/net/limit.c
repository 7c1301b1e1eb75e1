#include "net/limit.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"

#include <stdlib.h>

/* How far to look for an address without connections before giving up on counting a new one. */
enum { EVICT_TRIES = 64 };

struct rate {
    int64_t hour; /* number of the hour that `now` counts */
    uint64_t now, before;
};

struct address {
    struct map_node node;
    struct link quiet; /* least recently used first */
    struct ip ip;
    uint64_t connections;
    struct rate rates[LIMIT_KINDS];
    unsigned failures;
    int64_t first_failure, banned_until;
};

struct limit_table {
    struct map map;
    struct list quiet;
    size_t most;
};

struct limit_table *limit_new(size_t most_addresses)
{
    struct limit_table *t = xcalloc(1, sizeof *t);

    map_init(&t->map);
    list_init(&t->quiet);
    t->most = most_addresses;
    return t;
}

static void forget(struct limit_table *t, struct address *a)
{
    map_remove(&t->map, &a->node);
    list_remove(&a->quiet);
    free(a);
}

void limit_free(struct limit_table *t)
{
    if (t == NULL)
        return;
    LIST_EACH(&t->quiet, it)
        forget(t, CONTAINER(it, struct address, quiet));
    map_clear(&t->map);
    free(t);
}

size_t limit_addresses(const struct limit_table *t)
{
    return t->map.count;
}

static uint64_t hash_of(const struct ip *key)
{
    return map_hash_str(str_from((const char *)key->bytes, sizeof key->bytes)) + key->family;
}

static struct address *find(const struct limit_table *t, const struct ip *key)
{
    for (struct map_node *n = map_find(&t->map, hash_of(key)); n != NULL; n = map_find_next(n)) {
        struct address *a = CONTAINER(n, struct address, node);

        if (ip_equal(&a->ip, key))
            return a;
    }
    return NULL;
}

static bool make_room(struct limit_table *t)
{
    int tries = 0;

    if (t->map.count < t->most)
        return true;
    LIST_EACH(&t->quiet, it) {
        struct address *a = CONTAINER(it, struct address, quiet);

        if (a->connections == 0) {
            forget(t, a);
            return true;
        }
        if (++tries >= EVICT_TRIES)
            break;
    }
    return false;
}

/* NULL when the table is full of connected addresses: better uncounted than unserved. */
static struct address *touch(struct limit_table *t, const struct ip *ip)
{
    struct ip key = ip_limit_key(ip);
    struct address *a = find(t, &key);

    if (a == NULL) {
        if (!make_room(t))
            return NULL;
        a = xcalloc(1, sizeof *a);
        a->ip = key;
        map_add(&t->map, &a->node, hash_of(&key));
    }
    list_remove(&a->quiet);
    list_add_last(&t->quiet, &a->quiet);
    return a;
}

static struct address *look(const struct limit_table *t, const struct ip *ip)
{
    struct ip key = ip_limit_key(ip);

    return find(t, &key);
}

bool limit_connected(struct limit_table *t, const struct ip *ip, uint64_t most, int64_t now)
{
    struct address *a = touch(t, ip);

    (void)now;
    if (a != NULL && most > 0 && a->connections >= most)
        return false;
    if (a != NULL)
        a->connections++;
    return true;
}

void limit_disconnected(struct limit_table *t, const struct ip *ip)
{
    struct address *a = look(t, ip);

    if (a != NULL && a->connections > 0)
        a->connections--;
}

static void turn_over(struct rate *r, int64_t now)
{
    int64_t hour = now / HOUR;

    if (hour == r->hour)
        return;
    r->before = hour == r->hour + 1 ? r->now : 0;
    r->now = 0;
    r->hour = hour;
}

bool limit_count(struct limit_table *t, const struct ip *ip, enum limit_kind kind, uint64_t most, int64_t now)
{
    struct address *a = touch(t, ip);
    struct rate *r;
    uint64_t left_of_before;

    if (a == NULL)
        return true;
    r = &a->rates[kind];
    turn_over(r, now);
    left_of_before = (uint64_t)((double)r->before * (double)(HOUR - now % HOUR) / (double)HOUR);
    if (most > 0 && left_of_before + r->now >= most)
        return false;
    r->now++;
    return true;
}

unsigned limit_login_failed(struct limit_table *t, const struct ip *ip, uint64_t most, int64_t within, int64_t now)
{
    struct address *a = touch(t, ip);

    if (a == NULL)
        return 1;
    if (a->failures == 0 || now - a->first_failure > within) {
        a->failures = 0;
        a->first_failure = now;
    }
    a->failures++;
    if (most > 0 && a->failures >= most)
        a->banned_until = now + within;
    return a->failures;
}

bool limit_banned(struct limit_table *t, const struct ip *ip, int64_t now)
{
    struct address *a = look(t, ip);

    return a != NULL && a->banned_until > now;
}
