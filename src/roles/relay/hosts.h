/* Servers (address and port) that do not answer are remembered for a while. Bounded: the oldest entry
 * makes room. Time is given, monotonic. */
#pragma once
#include "base/ip.h"
#include "base/list.h"
#include "base/map.h"

struct hosts {
    struct map map;
    struct list by_use; /* least recently changed first */
    size_t limit;
};

void hosts_init(struct hosts *h, size_t limit);
void hosts_clear(struct hosts *h);
/* No connection came up: dead for 30 seconds, then twice that each time, up to 10 minutes. */
void hosts_failed(struct hosts *h, const struct ip *ip, uint16_t port, int64_t now);
void hosts_worked(struct hosts *h, const struct ip *ip, uint16_t port);
bool hosts_is_dead(const struct hosts *h, const struct ip *ip, uint16_t port, int64_t now);
