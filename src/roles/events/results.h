/* Results of DMARC, counted by day, domain and result for the aggregate reports of the day (docs/reports.md). In events.db, in the
 * transactions of store.h; what was told before is not counted again. */
#pragma once
#include "db/db.h"
#include "ipc/ipc.h"

enum {
    RESULTS_DOMAINS_MAX = 10000,   /* of a day */
    RESULTS_ROWS_MAX = 5000,       /* of a domain and day */
    RESULTS_DAY_ROWS_MAX = 500000, /* of a day */
};

struct results;

struct results *results_new(struct db *db);
void results_free(struct results *r); /* NULL is fine; before db_close */
/* Inside a transaction. *added is false when this result was counted before, or cannot be read. */
MUST_CHECK bool results_add(struct results *r, const struct msg_event *e, bool *added, struct err *err);
