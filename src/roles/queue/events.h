/* The story of every message, told to the events role (ipc/teller.h). The story is for people: delivery never waits for it. */
#pragma once
#include "base/buf.h"
#include "ipc/teller.h"

struct queue;
struct role;

struct events {
    struct teller teller;
    struct buf details; /* being built */
};

void events_init(struct events *e);
/* Starts the details of an event and gives the buffer for json_*(); events_end closes and sends. */
struct buf *events_begin(struct queue *q);
void events_end(struct queue *q, enum event_kind kind, uint64_t message, struct str sender, struct str rcpt,
    struct str message_id);
/* Sends what waits, as far as the channel takes it. */
void events_turn(struct queue *q);
void events_peer_up(struct queue *q);
void events_on_ack(struct role *role, struct channel *from, const struct msg_event_ack *m);
