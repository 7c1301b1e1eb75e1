/* The shard's books: what came in and what became of it, counted in the database by the commit that
 * changes the rows themselves, so that no crash can put them apart. One row (schema/queue/0002.sql), one
 * update a commit.
 *
 *   recipients waiting = accepted + reported + targets
 *                      - delivered - relayed - discarded - expanded - failed - expired - deleted - written_off
 *   messages waiting   = messages + reports - ended - written_off_messages
 *   failed + expired   = told + untold
 *
 * audit.h holds this against the rows. */
#pragma once
#include "base/err.h"

#include <stdint.h>

struct queue;
struct stmt;

enum ledger_entry {
    LEDGER_MESSAGES, LEDGER_REPORTS, LEDGER_ENDED,
    LEDGER_ACCEPTED, LEDGER_REPORTED, LEDGER_TARGETS,
    LEDGER_DELIVERED, LEDGER_RELAYED, LEDGER_DISCARDED, LEDGER_EXPANDED, LEDGER_FAILED, LEDGER_EXPIRED, LEDGER_DELETED,
    LEDGER_TOLD, LEDGER_UNTOLD,
    LEDGER_WRITTEN_OFF, LEDGER_WRITTEN_OFF_MESSAGES,
    LEDGER_COUNT,
};

struct ledger {
    struct stmt *change, *read;
    int64_t since;               /* wall time: when the books were opened */
    int64_t sums[LEDGER_COUNT];  /* as committed */
    int64_t start[LEDGER_COUNT]; /* when this process began */
    int64_t run[LEDGER_COUNT];   /* of the run under way */
};

/* Reads the row. */
MUST_CHECK bool ledger_open(struct queue *q, struct err *err);
/* Called by run(). */
void ledger_note(struct queue *q, enum ledger_entry entry, int64_t n);
/* The run begins (again): what was noted is forgotten. */
void ledger_begin(struct queue *q);
/* At the end of the run, inside its transaction. */
MUST_CHECK bool ledger_store(struct queue *q, struct err *err);
/* After the commit. */
void ledger_committed(struct queue *q);
/* What the row says now. */
MUST_CHECK bool ledger_read(struct queue *q, int64_t sums[LEDGER_COUNT], struct err *err);
int64_t ledger_recipients(const int64_t sums[LEDGER_COUNT]); /* that must be waiting */
int64_t ledger_messages(const int64_t sums[LEDGER_COUNT]);
