/* What happened, once for people (log), once for `staffetta trace` (event), once as numbers. Called after
 * the commit only. */
#pragma once
#include "store.h"

struct queue;
struct verdict;
struct mail;

/* judged: what filter found out about the sender. */
void story_accepted(struct queue *q, const struct message_row *m, const struct rcpt_row *rcpts, size_t n, struct str judged);
void story_verdict(struct queue *q, const struct verdict *v);
/* A report about `mail` was queued as `report`. */
void story_report(struct queue *q, const struct mail *mail, const struct message_row *report, bool delay, size_t rcpts);
/* Commands of the administrator: EVENT_HELD, EVENT_RELEASED, EVENT_DELETED; who: uid of the caller. */
void story_command(struct queue *q, unsigned event, const struct rcpt_row *r, struct str sender, uint64_t uid);
void story_ended(struct queue *q, uint64_t message);
