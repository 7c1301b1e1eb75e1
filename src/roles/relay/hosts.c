/* See hosts.h. */
#include "hosts.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_PAUSE = 30, LONGEST_PAUSE = 600 }; /* seconds */

struct host {
    struct map_node node;
    struct link link;
    struct ip ip;
    uint16_t port;
    unsigned failures;
    int64_t dead_until;
};

void hosts_init(struct hosts *h, size_t limit)
{
    *h = (struct hosts){.limit = limit};
    map_init(&h->map);
    list_init(&h->by_use);
}

static void forget(struct hosts *h, struct host *host)
{
    map_remove(&h->map, &host->node);
    list_remove(&host->link);
    free(host);
}

void hosts_clear(struct hosts *h)
{
    while (!list_empty(&h->by_use))
        forget(h, CONTAINER(list_first(&h->by_use), struct host, link));
    map_clear(&h->map);
}

static uint64_t hash(const struct ip *ip, uint16_t port)
{
    return map_hash_str((struct str){(const char *)ip, sizeof *ip}) + port;
}

static struct host *find(const struct hosts *h, const struct ip *ip, uint16_t port)
{
    struct map_node *node = map_find(&h->map, hash(ip, port));

    for (; node != NULL; node = map_find_next(node)) {
        struct host *host = CONTAINER(node, struct host, node);

        if (host->port == port && ip_equal(&host->ip, ip))
            return host;
    }
    return NULL;
}

static struct host *find_or_add(struct hosts *h, const struct ip *ip, uint16_t port)
{
    struct host *host = find(h, ip, port);

    if (host == NULL) {
        struct link *oldest = list_first(&h->by_use);

        if (h->map.count >= h->limit && oldest != NULL)
            forget(h, CONTAINER(oldest, struct host, link));
        host = xcalloc(1, sizeof *host);
        host->ip = *ip;
        host->port = port;
        map_add(&h->map, &host->node, hash(ip, port));
    }
    list_remove(&host->link);
    list_add_last(&h->by_use, &host->link);
    return host;
}

void hosts_failed(struct hosts *h, const struct ip *ip, uint16_t port, int64_t now)
{
    struct host *host = find_or_add(h, ip, port);
    int64_t pause = FIRST_PAUSE;

    for (unsigned i = 0; i < host->failures && pause < LONGEST_PAUSE; i++)
        pause *= 2;
    host->failures++;
    host->dead_until = now + (pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE) * SECOND;
}

void hosts_worked(struct hosts *h, const struct ip *ip, uint16_t port)
{
    struct host *host = find(h, ip, port);

    if (host != NULL)
        forget(h, host);
}

bool hosts_is_dead(const struct hosts *h, const struct ip *ip, uint16_t port, int64_t now)
{
    const struct host *host = find(h, ip, port);

    return host != NULL && host->dead_until > now;
}
