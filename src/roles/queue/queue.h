/* The role's state: one struct a module, each described in the module's header. */
#pragma once
#include "audit.h"
#include "batch.h"
#include "commands.h"
#include "counts.h"
#include "dispatch.h"
#include "events.h"
#include "expire.h"
#include "health.h"
#include "incoming.h"
#include "ipc/role.h"
#include "ledger.h"
#include "mail.h"
#include "resolve.h"
#include "schedule.h"
#include "store.h"

struct queue {
    struct role *role;
    struct store *store;
    struct batch batch;
    struct mails mails;
    struct incoming incoming;
    struct schedule schedule;
    struct resolve resolve;
    struct dispatch dispatch;
    struct expire expire;
    struct events events;
    struct health health;
    struct counts counts;
    struct ledger ledger;
    struct audit audit;
    struct commands commands;
    bool draining;
    int64_t drain_until; /* monotonic */
};

extern const struct handlers queue_handlers;

/* Opens the shard's database below config->data. */
MUST_CHECK bool queue_open(struct queue **queue, struct role *role, struct err *err);
void queue_close(struct queue *q);
/* All work of one turn of the loop. */
void queue_turn(struct queue *q);
/* Microseconds until queue_turn has something to do without a message coming in; at most a second. */
int64_t queue_wake_in(struct queue *q);
void queue_peer_up(struct queue *q, struct channel *c);
void queue_peer_gone(struct queue *q, struct channel *c);
void queue_verify(struct queue *q, struct verification *v);
void queue_drain(struct queue *q, int64_t within);
/* The last recipient of a message is gone, and so is the message. */
void queue_message_ended(struct queue *q, uint64_t message);
