/* policies.db: the MTA-STS policies of other domains, kept until they end (RFC 8461 3.2, max_age). A file of its own: a damaged
 * events.db is set aside, which must not take away what keeps mail from being read on the way.
 *
 * While it cannot be opened or written nothing is known: policies are fetched anew, mail goes on. A crash loses what was not synced
 * yet, which is fetched again. */
#pragma once
#include "base/buf.h"
#include "tlspolicy/sts_decide.h"

enum { POLICIES_MAX = 20000 };

struct policies;

struct policies *policies_open(const char *path);
void policies_close(struct policies *p);
/* What is known of the domain: cached->present false where nothing is. `text` gets the policy. */
void policies_get(struct policies *p, struct str domain, struct sts_cached *cached, struct buf *text);
/* text must be a policy. Times in seconds. */
void policies_put(struct policies *p, struct str domain, const struct sts_record *record, struct str text, int64_t now);
/* It was tried to fetch it anew. */
void policies_tried(struct policies *p, struct str domain, int64_t now);
/* Deletes those that have ended. Then the one longest untried of those older than `age` seconds: false when there is none. */
bool policies_oldest(struct policies *p, int64_t now, int64_t age, struct buf *domain, struct sts_record *record);
