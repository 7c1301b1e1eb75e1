/* May new mail come in? No while the disk is nearly full, the bodies arriving need too much memory, or
 * commits fail; the filters are told when that changes. Delivering goes on in all cases. */
#pragma once
#include "base/str.h"

#include <stdint.h>

struct queue;
struct channel;

struct health {
    bool accepting;
    const char *reason; /* with its enhanced code; for !accepting */
    int64_t next;       /* monotonic: of the next look at the disk */
    bool disk_full;
    char folder[4096];
};

void health_init(struct queue *q, const char *folder);
void health_turn(struct queue *q);
int64_t health_wake_in(const struct queue *q);
/* False with what to answer. */
bool health_accepts(struct queue *q, struct str *reason);
/* So much over the memory limit that transactions under way must be refused. */
bool health_over_limit(const struct queue *q);
void health_peer_up(struct queue *q, struct channel *c);
