/* Reports on their way, in events.db: which days are closed, which domains have to be planned, what is due, what became of it.
 * docs/reports.md says what each step leaves behind.
 *
 * Each function that writes is a transaction of its own, on disk when it returns; none may be open before. */
#pragma once
#include "db/db.h"
#include "mailauth/aggregate.h"

struct due;

enum due_kind { DUE_DMARC, DUE_TLS };
enum due_state { DUE_WAITS, DUE_HANDED, DUE_SENT, DUE_GIVEN_UP };
enum { DUE_ADDRESS = 512, DUE_REASON = 300, DUE_DOMAIN = 256 };

/* A domain of a closed day whose destinations are not known yet. Texts are copies. */
struct due_domain {
    int64_t day;
    uint64_t left_out;
    char domain[DUE_DOMAIN];
    struct buf record;
};

struct due_item {
    int64_t day, size_limit, tries, message;
    enum due_kind kind;
    char domain[DUE_DOMAIN], destination[DUE_ADDRESS];
};

struct due *due_new(struct db *db);
void due_free(struct due *d);

/* The oldest day that is counted still; false in *found for none. */
MUST_CHECK bool due_open_day(struct due *d, int64_t *day, bool *found, struct err *err);
/* From now on nothing more counts for this day. */
MUST_CHECK bool due_close_day(struct due *d, int64_t day, struct err *err);
/* The next one to be planned; record is given by the caller. */
MUST_CHECK bool due_next_domain(struct due *d, struct due_domain *out, bool *found, struct err *err);
/* That domain's report waits for DNS: due_wake makes all such due again. */
MUST_CHECK bool due_postpone(struct due *d, const struct due_domain *domain, struct err *err);
MUST_CHECK bool due_wake(struct due *d, struct err *err);
/* Its destinations are these: addresses, each ended by NUL, with their limits. */
MUST_CHECK bool due_plan(struct due *d, const struct due_domain *domain, struct str addresses, const uint64_t *limits, int64_t now,
    struct err *err);

MUST_CHECK bool due_next(struct due *d, int64_t now, struct due_item *out, bool *found, struct err *err);
/* When the first that waits is due; INT64_MAX for nothing. */
MUST_CHECK bool due_when(struct due *d, int64_t *when, struct err *err);
MUST_CHECK bool due_set(struct due *d, const struct due_item *item, enum due_state state, int64_t due_at, struct str reason, struct err *err);
/* The oldest that was handed over before `before` and not answered; *taken: the story of its message says that it was taken. */
MUST_CHECK bool due_unanswered(struct due *d, int64_t before, struct due_item *out, bool *found, bool *taken, struct err *err);

/* The domain's record and what it counts, for the head of the report. */
MUST_CHECK bool due_domain_of(struct due *d, const struct due_item *item, struct due_domain *out, bool *found, struct err *err);
/* At most n rows behind `mark` (empty at first), which moves; *count says how many there were. */
MUST_CHECK bool due_rows(struct due *d, const struct due_item *item, char mark[AGGREGATE_MARK], size_t n,
    void (*each)(void *owner, const struct aggregate_row *row, uint64_t count), void *owner, size_t *count, struct err *err);

/* Deletes what nothing waits for any more, a bounded number; `today`: lists of what was sent are kept for 30 days. */
MUST_CHECK bool due_forget(struct due *d, int64_t today, struct err *err);
