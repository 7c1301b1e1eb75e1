/* See pools.h. */
#include "pools.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pools_init(struct pools *p)
{
    *p = (struct pools){0};
}

void pools_clear(struct pools *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->pools[i].sources);
    free(p->pools);
    pools_init(p);
}

static struct pool *find(const struct pools *p, struct str name)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_ieq(str_of(p->pools[i].name), name))
            return &p->pools[i];
    return NULL;
}

static struct pool *find_or_add(struct pools *p, struct str name)
{
    struct pool *pool = find(p, name);

    if (pool != NULL || p->n == POOLS_MAX || name.n >= sizeof pool->name)
        return pool;
    p->pools = xrealloc(p->pools, (p->n + 1) * sizeof p->pools[0]);
    pool = &p->pools[p->n++];
    *pool = (struct pool){0};
    memcpy(pool->name, name.p, name.n);
    return pool;
}

static bool read_line(struct pools *p, struct str line)
{
    struct str name, address, weight, hello;
    struct source source = {0};
    struct pool *pool;
    uint64_t number;

    if (!str_next_word(&line, &name) || !str_next_word(&line, &address) || !str_next_word(&line, &weight) ||
        !ip_parse(address, &source.ip) || !str_to_u64(weight, 1000000, &number))
        return false;
    if (str_next_word(&line, &hello) && hello.n < sizeof source.hello && str_is_printable(hello))
        memcpy(source.hello, hello.p, hello.n);
    source.weight = (unsigned)number;
    pool = find_or_add(p, name);
    if (pool == NULL || pool->n == SOURCES_MAX)
        return false;
    pool->sources = xrealloc(pool->sources, (pool->n + 1) * sizeof pool->sources[0]);
    pool->sources[pool->n++] = source;
    return true;
}

size_t pools_read(struct pools *p, struct str text)
{
    struct str line;
    size_t bad = 0;

    pools_clear(p);
    p->known = true;
    while (text.n > 0 && str_next(&text, '\n', &line))
        if (str_trim(line).n > 0 && !read_line(p, line))
            bad++;
    return bad;
}

/* Everybody's turn grows by his weight; the longest waiting one pays for all. */
static struct source *take_turn(struct pool *pool, uint8_t family, int64_t now, bool *any)
{
    struct source *best = NULL;
    int64_t total = 0;

    *any = false;
    for (size_t i = 0; i < pool->n; i++) {
        struct source *s = &pool->sources[i];

        if (s->ip.family != family || s->weight == 0)
            continue;
        *any = true;
        if (s->bad_until > now)
            continue;
        s->current += s->weight;
        total += s->weight;
        if (best == NULL || s->current > best->current)
            best = s;
    }
    if (best != NULL)
        best->current -= total;
    return best;
}

enum pools_result pools_pick(struct pools *p, struct str name, uint8_t family, int64_t now, struct source **source)
{
    bool is_default = name.n == 0 || str_ieq(name, STR("default")), any;
    struct pool *pool = find(p, is_default ? STR("default") : name);

    *source = NULL;
    if (pool == NULL)
        return is_default ? POOLS_ANY : POOLS_UNKNOWN;
    *source = take_turn(pool, family, now, &any);
    if (*source != NULL)
        return POOLS_SOURCE;
    return any ? POOLS_ALL_BAD : POOLS_NO_FAMILY;
}

bool pools_hold_address(const struct pools *p, const struct ip *ip)
{
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->pools[i].n; j++)
            if (ip_equal(&p->pools[i].sources[j].ip, ip))
                return true;
    return false;
}
