/* Events on their way to the disk: many share one commit, and only what is on disk is acknowledged.
 * After a crash the senders tell what was not acknowledged again, and the store knows what it has.
 *
 * While the disk takes nothing (full, failing, or the database could not even be opened), what was told is kept
 * here, up to one batch; nothing more is read from those who tell, who keep a bounded number of events themselves.
 * It is tried again, with a new handle of the database, after a second, two, four ... half a minute.
 *
 * A database that is damaged is set aside (events.db.damaged) and a new one begun, which gets what is held: stories
 * are worth less than a process that works. */
#pragma once
#include "base/list.h"
#include "ipc/role.h"
#include "store.h"

struct event;

enum { BATCH_SENDERS = 2 * 64 };

struct batch {
    struct role *role;
    const char *path;    /* of the database */
    struct store *store; /* NULL while it cannot be opened */
    struct event *timer;
    struct list held;    /* what is in the open transaction, or waits for the disk */
    unsigned pending;    /* how many that are */
    size_t held_bytes;
    unsigned known;      /* of them, which were in the database already */
    int64_t pause;       /* before the next try; 0 while all is well */
    int64_t failed_at, warned_at, set_aside_at; /* monotonic */
    int64_t taken; /* since the start */
    struct {
        struct channel *from;
        uint64_t seq; /* 0: nothing to acknowledge */
    } senders[BATCH_SENDERS];
    size_t sender_count;
};

/* Opens the database at `path`, now or as soon as the disk lets it. */
void batch_init(struct batch *b, struct role *role, const char *path);
void batch_add(struct batch *b, struct channel *from, const struct msg_event *e);
/* Commits what is pending and acknowledges it. */
void batch_commit(struct batch *b);
bool batch_failing(const struct batch *b);
/* Somebody else's use of the store failed: when it is damaged it is set aside. */
void batch_store_failed(struct batch *b, const struct err *err);
void batch_verify(const struct batch *b, struct verification *v);
/* The channel is gone: nobody to acknowledge to. */
void batch_peer_gone(struct batch *b, const struct channel *peer);
