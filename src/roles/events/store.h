/* events.db: what happened to every message. Writes are collected in a transaction that the caller
 * ends; reads see what was added so far. */
#pragma once
#include "base/err.h"
#include "ipc/ipc.h"

struct due;
struct received;
struct store;

MUST_CHECK bool store_open(struct store **store, const char *path, struct err *err);
/* Gives a damaged database, which nobody has open, the name PATH.damaged (and its log PATH.damaged-wal), in the place of
 * one that was set aside before. The next store_open begins a new one. */
MUST_CHECK bool store_set_aside(const char *path, struct err *err);
void store_close(struct store *s);

/* Reports on their way, in the same database (due.h); valid until store_close. */
struct due *store_due(struct store *s);
/* Reports of others, the same (received.h). */
struct received *store_received(struct store *s);

/* Adds an event, opening a transaction when there is none. *added is false when it was known already.
 * An event without a message gets one of its own, so that its story can be found by address. */
MUST_CHECK bool store_add(struct store *s, const struct msg_event *e, bool *added, struct err *err);
/* Ends the transaction and puts it on disk. */
MUST_CHECK bool store_commit(struct store *s, struct err *err);
/* Whether a transaction can be begun (outside of one): false after a failed sync, until it is opened anew. */
bool store_is_usable(struct store *s);
void store_rollback(struct store *s);

/* The newest messages, at most n, that have to do with a queue id, a Message-ID or an address, oldest
 * of them first; those that began before `since` are left out. *found says how many. */
MUST_CHECK bool store_find(struct store *s, struct str what, int64_t since, int64_t *messages, size_t n, size_t *found,
    struct err *err);

/* One event; views live until the next call on the store. */
struct store_event {
    int64_t message, time, kind;
    struct str rcpt, sender, message_id, details;
};
/* Where a walk over the events of one message stands; start with {.message = id}. */
struct store_place {
    int64_t message, time, kind;
    char rcpt[IPC_ADDRESS];
    size_t rcpt_length;
};
/* Calls each() for at most n events behind *place and moves it; *count says how many there were. */
MUST_CHECK bool store_walk(struct store *s, struct store_place *place, size_t n,
    void (*each)(void *owner, const struct store_event *e), void *owner, size_t *count, struct err *err);

/* Deletes a bounded number of the oldest events of messages that began before `before`; *more when
 * there are others. Inside the open transaction, or one of its own. */
MUST_CHECK bool store_prune(struct store *s, int64_t before, int64_t *deleted, bool *more, struct err *err);
