/* Events of a role on their way to the events role: numbered, kept until they are acknowledged (on disk there), told again to
 * a new process of events. Bounded: when events is away for long, the oldest are dropped and counted. */
#pragma once
#include "base/list.h"
#include "base/metric.h"
#include "ipc/ipc.h"

struct kept_event;

struct teller {
    struct list kept;          /* struct kept_event, oldest first */
    struct kept_event *unsent; /* the first one not given to the channel, NULL for none */
    size_t count, bytes;
    uint64_t seq;
    struct metric *dropped, *waiting; /* the owner's */
};

void teller_init(struct teller *t, struct metric *dropped, struct metric *waiting);
/* Copies the event and numbers it; texts that are too long are cut. */
void teller_add(struct teller *t, const struct msg_event *event);
/* Each turn: gives the channel (NULL: events is away) what waits, as far as it takes it. */
void teller_turn(struct teller *t, struct channel *events);
/* There is a new process of events. */
void teller_peer_up(struct teller *t);
void teller_acknowledged(struct teller *t, uint64_t seq);
