/* When a DKIM key goes on to its next state: pure, from the rows of one domain and the time (docs/dkim.md has the drawing). */
#pragma once
#include "dkim_rows.h"

#include "base/clock.h"

/* Rows of keys that are over are forgotten after this. */
#define DKIM_FORGET (30 * DAY)

struct dkim_schedule {
    int64_t rotate, publish_wait, retire_keep; /* rotate 0: never */
};

/* Does what is due, and marks the rows that changed. */
void dkim_schedule_advance(struct dkim_rows *rows, const struct dkim_schedule *schedule, int64_t now);
/* Algorithms (1 << enum dkim_algorithm) without a key that signs, or will once it is published. */
unsigned dkim_schedule_missing(const struct dkim_rows *rows);
/* Those whose key that signs is old and has no successor yet. */
unsigned dkim_schedule_aged(const struct dkim_rows *rows, const struct dkim_schedule *schedule, int64_t now);
/* Those that have no key on its way: what `dkim rotate` makes. */
unsigned dkim_schedule_without_successor(const struct dkim_rows *rows);
/* DNS was asked for this key's record: what follows from the answer. */
void dkim_schedule_looked(struct dkim_row *row, enum dkim_record record, int64_t now);
/* Somebody says that the record is there. */
void dkim_schedule_confirm(struct dkim_row *row, int64_t now);
void dkim_schedule_revoke(struct dkim_row *row, int64_t now);
/* Has DNS to be asked now? */
bool dkim_schedule_looks(const struct dkim_row *row, int64_t now);
