/* Messages on their way in, from filter. The body is collected up to STORE_PIECE bytes; what is longer
 * goes into chunk rows piece by piece, so that a message of any size needs little memory. txn_end makes
 * the transaction an operation of the batch; txn_done(250) is sent by its done(), after the commit. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "ipc/ipc.h"

struct queue;

struct incoming {
    struct map by_key;     /* (channel, id of filter) */
    struct map by_message; /* no two at once with one queue id */
    size_t count, bytes;
    int64_t answered, unheard; /* 250s; those whose filter was gone */
};

void incoming_init(struct incoming *in);
void incoming_on_begin(struct role *role, struct channel *from, const struct msg_txn_begin *m);
void incoming_on_rcpt(struct role *role, struct channel *from, const struct msg_txn_rcpt *m);
void incoming_on_chunk(struct role *role, struct channel *from, const struct msg_txn_chunk *m);
void incoming_on_end(struct role *role, struct channel *from, const struct msg_txn_end *m);
void incoming_on_abort(struct role *role, struct channel *from, const struct msg_txn_abort *m);
/* Drops what came over this channel and was not ended. */
void incoming_peer_gone(struct queue *q, struct channel *c);
