/* The daily check: the same as `staffetta check`, for the server and each of its domains, one after the other. What has changed
 * since the day before is logged and mailed to the postmaster; what is wrong now is in `staffetta status` and the metrics.
 *
 * It runs here because web may ask everybody: directory for domains, keys and what was found the last time, the resolver for
 * DNS, relay for connections; and because it is a source of the line.
 *
 * A change counts as told when the queue has taken the message about it; only then what was found is stored. A crash in
 * between tells it twice, never not at all. */
#pragma once
#include "web.h"

struct watch;

struct watch *watch_new(struct web *web);
/* The configuration is another one: what is under way begins anew. */
void watch_reload(struct watch *w);
void watch_on_txn_done(struct watch *w, struct channel *from, const struct msg_txn_done *m);
void watch_peer_gone(struct watch *w, struct channel *peer);
/* The problems of the last time, for `staffetta status`: `row` gets a JSON object each, at most WATCH_SHOWN. */
enum { WATCH_SHOWN = 100 };
void watch_rows(struct watch *w, void (*row)(void *owner, struct str json), void *owner);
