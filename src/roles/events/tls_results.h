/* Results of TLS with servers of other domains (EVENT_TLS of relay), counted by day and domain for the reports of RFC 8460: tables tls_domain and
 * tls_failure of events.db, in the transactions of store.h; what was told before is not counted again.
 *
 * Who makes reports walks tls_domain of a day that is over (domain '' is the row of the whole day), and for each (domain, type) tls_failure;
 * `state` of the row of the day, once it is not 0, turns what still comes for it to the next day. */
#pragma once
#include "db/db.h"
#include "ipc/ipc.h"

enum {
    TLS_RESULTS_DOMAINS_MAX = 10000, /* of a day */
    TLS_RESULTS_ROWS_MAX = 500,      /* different failures of a domain and day; the others are only counted in `failed` */
    TLS_RESULTS_KEEP_DAYS = 10,      /* older days are deleted */
};

struct tls_results;

struct tls_results *tls_results_new(struct db *db);
void tls_results_free(struct tls_results *r); /* NULL is fine; before db_close */
/* Inside a transaction. *added is false when this result was counted before, or cannot be read. */
MUST_CHECK bool tls_results_add(struct tls_results *r, const struct msg_event *e, bool *added, struct err *err);
