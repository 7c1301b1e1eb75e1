/* Events on their way to the disk: many share one commit, and only what is on disk is acknowledged.
 * After a crash the senders tell what was not acknowledged again, and the store knows what it has. */
#pragma once
#include "ipc/role.h"
#include "store.h"

struct event;

enum { BATCH_SENDERS = 2 * 64 };

struct batch {
    struct role *role;
    struct store *store;
    struct event *timer;
    unsigned pending;
    int64_t taken; /* since the start */
    struct {
        struct channel *from;
        uint64_t seq; /* 0: nothing to acknowledge */
    } senders[BATCH_SENDERS];
    size_t sender_count;
};

void batch_init(struct batch *b, struct role *role, struct store *store);
void batch_add(struct batch *b, struct channel *from, const struct msg_event *e);
/* Commits what is pending and acknowledges it. */
void batch_commit(struct batch *b);
void batch_verify(const struct batch *b, struct verification *v);
/* The channel is gone: nobody to acknowledge to. */
void batch_peer_gone(struct batch *b, const struct channel *peer);
