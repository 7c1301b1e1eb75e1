/* Reports of others about our domains, in events.db: written as filter has read them (docs/reports.md), summed up for people. */
#pragma once
#include "db/db.h"
#include "ipc/ipc.h"

enum {
    RECEIVED_MAX = 20000,      /* reports kept; then the oldest goes for each new one */
    RECEIVED_KEPT_DAYS = 180,
};

struct received;

struct received *received_new(struct db *db);
void received_free(struct received *r);
/* Inside a transaction. *added is false for a report that is there already (by its reporter and id), and for nonsense. */
MUST_CHECK bool received_add(struct received *r, const struct msg_event *e, bool *added, struct err *err);
/* Deletes reports older than that, at most n; a transaction of its own. */
MUST_CHECK bool received_forget(struct received *r, int64_t today, int n, struct err *err);

/* What reports about this domain (canonical), and those below it, say of days from `since` on: each source, author and result once,
 * the most messages first. Views live during the call. */
struct received_sum {
    struct str domain, source, name, result;
    int64_t messages, reports; /* of TLS: sessions */
    bool is_tls;
};
MUST_CHECK bool received_sums(struct received *r, struct str domain, int64_t since, int64_t limit,
    void (*each)(void *owner, const struct received_sum *sum), void *owner, struct err *err);

struct received_report {
    struct str domain, reporter, report_id, contact, sender, policy;
    int64_t begins, ends, messages;
    bool is_tls;
};
/* The newest first; domain empty: all. */
MUST_CHECK bool received_list(struct received *r, struct str domain, int64_t since, int64_t limit,
    void (*each)(void *owner, const struct received_report *report), void *owner, struct err *err);
