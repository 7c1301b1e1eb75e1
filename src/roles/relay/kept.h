/* Results that queue has not stored yet. A remote server that took a message cannot be told to forget it:
 * so each final result (delivered, relayed, failed) is kept until queue says that it is on disk
 * (deliver_stored). When the queue process dies first, the next one is told them before anything else
 * (rcpt_told), and what it offers again meanwhile is not sent. It offers nothing to any relay until each has
 * said that it told all: a destination may belong to another copy now (a route was changed), which knows
 * nothing of what this one keeps.
 *
 * Of deliveries under way when queue died, those whose message has been sent to its end are carried on
 * without it ("orphans"): the new process is told a deferral of them, and their results when they come. All
 * others were dropped. */
#pragma once
#include "relay.h"

enum { KEPT_MAX = 100000 };

void kept_init(struct relay *relay);
void kept_clear(struct relay *relay);
/* A final result. When the delivery has a queue, that has just been told. */
void kept_add(struct relay *relay, const struct delivery *d, const struct rcpt *r);
/* The shard's new process is there: it is told, a part at once and the rest in the turns that follow. */
void kept_tell(struct relay *relay, struct channel *queue);
void kept_turn(struct relay *relay);
void kept_queue_gone(struct relay *relay, const struct channel *queue);
/* What is said meanwhile of a recipient whose result is kept or on its way. */
extern const struct client_outcome kept_known;
/* Is the result of this recipient, which is offered now, kept, or on its way? Then it must not be sent; what is
 * kept is told again. */
bool kept_knows(struct relay *relay, const struct delivery *d, const struct rcpt *r);
void kept_on_stored(struct role *role, struct channel *from, const struct msg_deliver_stored *m);
void kept_on_told_stored(struct role *role, struct channel *from, const struct msg_told_stored *m);
void kept_verify(struct relay *relay, struct verification *v);
