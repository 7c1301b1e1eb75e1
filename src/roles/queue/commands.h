/* `staffetta queue ...`: summary, list, show, hold, release, retry, delete, export. Each command is a
 * cursor over the table that does a slice a turn, so that a million recipients hold up nothing and need
 * no memory; it stops after CONTROL_ROWS rows until it is asked for more. */
#pragma once
#include "base/list.h"
#include "ipc/ipc.h"

struct queue;

struct commands {
    struct list running;
};

void commands_init(struct commands *c);
void commands_turn(struct queue *q);
int64_t commands_wake_in(const struct queue *q);
void commands_on_ask(struct role *role, struct channel *from, const struct msg_control_ask *m);
void commands_on_more(struct role *role, struct channel *from, const struct msg_control_more *m);
void commands_on_cancel(struct role *role, struct channel *from, const struct msg_control_cancel *m);
void commands_peer_gone(struct queue *q, struct channel *c);
