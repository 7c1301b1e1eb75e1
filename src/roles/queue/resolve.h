/* Asks directory where a recipient goes, before every attempt. Many questions are under way at once;
 * while directory is away they wait here and are asked again when it is back. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "ipc/ipc.h"
#include "store.h"

struct queue;
struct rcpt;

struct resolve {
    struct list waiting[CLASS_COUNT];
    struct map asked;
    size_t in_flight;
};

void resolve_init(struct resolve *r);
void resolve_add(struct queue *q, struct rcpt *r);
/* Harmless when it is not here. */
void resolve_remove(struct queue *q, struct rcpt *r);
void resolve_turn(struct queue *q);
void resolve_on_reply(struct role *role, struct channel *from, const struct msg_resolve_reply *m);
/* Once a minute: a question that got no answer is asked again. */
void resolve_sweep(struct queue *q);
void resolve_peer_gone(struct queue *q);
