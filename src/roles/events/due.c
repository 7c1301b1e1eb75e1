/* See due.h. */
#include "due.h"
#include "base/clock.h"
#include "ipc/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POSTPONED = 3, KEPT_DAYS = 30, WEEK = 7, FORGET_STEP = 20 };

struct due {
    struct db *db;
    struct stmt *open_day, *close_day, *next_domain, *set_domain, *wake, *plan, *next, *when, *set, *unanswered, *accepted, *domain,
        *rows, *done_domains, *drop_rows, *drop_domain, *drop_days, *drop_old_rows, *drop_due, *drop_tellers;
};

#define ITEM "day, kind, domain, destination, size_limit, tries, message"

struct due *due_new(struct db *db)
{
    struct due *d = xcalloc(1, sizeof *d);

    d->db = db;
    d->open_day = stmt_new(db, "SELECT day FROM dmarc_domain WHERE domain = '' AND state = 0 ORDER BY day LIMIT 1");
    d->close_day = stmt_new(db, "UPDATE dmarc_domain SET state = 1 WHERE day = $1 AND domain = ''");
    d->next_domain = stmt_new(db, "SELECT a.day, a.domain, a.record, a.left_out FROM dmarc_domain a JOIN dmarc_domain b ON b.day = a.day "
                                  "AND b.domain = '' AND b.state = 1 WHERE a.state = 0 AND a.domain <> '' ORDER BY a.day, a.domain LIMIT 1");
    d->set_domain = stmt_new(db, "UPDATE dmarc_domain SET state = $3 WHERE day = $1 AND domain = $2");
    d->wake = stmt_new(db, "UPDATE dmarc_domain SET state = 0 WHERE state = 3 AND domain <> ''");
    d->plan = stmt_new(db, "INSERT INTO report_due (" ITEM ", state, due_at, reason) VALUES ($1, $2, $3, $4, $5, 0, 0, 0, $6, '') "
                           "ON CONFLICT DO NOTHING");
    d->next = stmt_new(db, "SELECT " ITEM " FROM report_due WHERE state = 0 AND due_at <= $1 ORDER BY due_at, day, kind, domain, destination LIMIT 1");
    d->when = stmt_new(db, "SELECT due_at FROM report_due WHERE state = 0 ORDER BY due_at LIMIT 1");
    d->set = stmt_new(db, "UPDATE report_due SET state = $5, due_at = $6, tries = $7, message = $8, reason = $9 "
                          "WHERE day = $1 AND kind = $2 AND domain = $3 AND destination = $4");
    d->unanswered = stmt_new(db, "SELECT " ITEM " FROM report_due WHERE state = 1 AND due_at <= $1 ORDER BY due_at LIMIT 1");
    d->accepted = stmt_new(db, "SELECT message FROM event WHERE message = $1 AND kind = 0 LIMIT 1");
    d->domain = stmt_new(db, "SELECT day, domain, record, left_out FROM dmarc_domain WHERE day = $1 AND domain = $2");
    d->rows = stmt_new(db, "SELECT mark, count, packed FROM dmarc_row WHERE day = $1 AND domain = $2 AND mark > $3 ORDER BY mark LIMIT $4");
    d->done_domains = stmt_new(db, "SELECT day, domain FROM dmarc_domain a WHERE state = 1 AND domain <> '' AND NOT EXISTS (SELECT 1 FROM "
                                   "report_due b WHERE b.day = a.day AND b.kind = 0 AND b.domain = a.domain AND b.state < 2) LIMIT 1");
    d->drop_rows = stmt_new(db, "DELETE FROM dmarc_row WHERE day = $1 AND domain = $2");
    d->drop_domain = stmt_new(db, "DELETE FROM dmarc_domain WHERE day = $1 AND domain = $2");
    d->drop_days = stmt_new(db, "DELETE FROM dmarc_domain WHERE day < $1");
    d->drop_old_rows = stmt_new(db, "DELETE FROM dmarc_row WHERE day < $1");
    d->drop_due = stmt_new(db, "DELETE FROM report_due WHERE day < $1");
    d->drop_tellers = stmt_new(db, "DELETE FROM report_teller WHERE day < $1");
    return d;
}

/* The statements go with the database. */
void due_free(struct due *d)
{
    free(d);
}

static bool end(struct due *d, bool done, struct err *err)
{
    if (done && db_commit(d->db, err))
        return db_sync(d->db, err);
    if (db_in_transaction(d->db))
        db_rollback(d->db);
    return false;
}

/* ---- days and domains ---- */

bool due_open_day(struct due *d, int64_t *day, bool *found, struct err *err)
{
    *found = stmt_row(d->open_day);
    if (*found)
        *day = column_int(d->open_day, 0);
    return stmt_done(d->open_day, err);
}

bool due_close_day(struct due *d, int64_t day, struct err *err)
{
    if (!db_begin(d->db, err))
        return false;
    stmt_int(d->close_day, day);
    return end(d, stmt_run(d->close_day, err), err);
}

static void copy(char *to, size_t room, struct str from)
{
    snprintf(to, room, "%.*s", STR_ARG(from));
}

static bool read_domain(struct stmt *s, struct due_domain *out, bool *found, struct err *err)
{
    *found = stmt_row(s);
    if (*found) {
        out->day = column_int(s, 0);
        copy(out->domain, sizeof out->domain, column_str(s, 1));
        buf_reset(&out->record);
        buf_add(&out->record, column_str(s, 2));
        out->left_out = (uint64_t)column_int(s, 3);
    }
    return stmt_done(s, err);
}

bool due_next_domain(struct due *d, struct due_domain *out, bool *found, struct err *err)
{
    return read_domain(d->next_domain, out, found, err);
}

static bool set_domain(struct due *d, const struct due_domain *domain, int64_t state, struct err *err)
{
    stmt_int(d->set_domain, domain->day);
    stmt_str(d->set_domain, str_of(domain->domain));
    stmt_int(d->set_domain, state);
    return stmt_run(d->set_domain, err);
}

bool due_postpone(struct due *d, const struct due_domain *domain, struct err *err)
{
    return db_begin(d->db, err) && end(d, set_domain(d, domain, POSTPONED, err), err);
}

bool due_wake(struct due *d, struct err *err)
{
    return db_begin(d->db, err) && end(d, stmt_run(d->wake, err), err);
}

static bool plan_one(struct due *d, const struct due_domain *domain, struct str address, uint64_t limit, int64_t now, struct err *err)
{
    stmt_int(d->plan, domain->day);
    stmt_int(d->plan, DUE_DMARC);
    stmt_str(d->plan, str_of(domain->domain));
    stmt_str(d->plan, address);
    stmt_int(d->plan, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
    stmt_int(d->plan, now);
    return stmt_run(d->plan, err);
}

bool due_plan(struct due *d, const struct due_domain *domain, struct str addresses, const uint64_t *limits, int64_t now, struct err *err)
{
    struct str one;
    bool ok = true;

    if (!db_begin(d->db, err))
        return false;
    for (size_t i = 0; ok && addresses.n > 0 && str_next(&addresses, 0, &one); i++)
        ok = plan_one(d, domain, one, limits[i], now, err);
    return end(d, ok && set_domain(d, domain, 1, err), err);
}

/* ---- what is due ---- */

static bool read_item(struct stmt *s, struct due_item *out, bool *found, struct err *err)
{
    *found = stmt_row(s);
    if (*found) {
        *out = (struct due_item){.day = column_int(s, 0), .kind = (enum due_kind)column_int(s, 1), .size_limit = column_int(s, 4),
            .tries = column_int(s, 5), .message = column_int(s, 6)};
        copy(out->domain, sizeof out->domain, column_str(s, 2));
        copy(out->destination, sizeof out->destination, column_str(s, 3));
    }
    return stmt_done(s, err);
}

bool due_next(struct due *d, int64_t now, struct due_item *out, bool *found, struct err *err)
{
    stmt_int(d->next, now);
    return read_item(d->next, out, found, err);
}

bool due_when(struct due *d, int64_t *when, struct err *err)
{
    *when = stmt_row(d->when) ? column_int(d->when, 0) : INT64_MAX;
    return stmt_done(d->when, err);
}

bool due_set(struct due *d, const struct due_item *item, enum due_state state, int64_t due_at, struct str reason, struct err *err)
{
    if (!db_begin(d->db, err))
        return false;
    stmt_int(d->set, item->day);
    stmt_int(d->set, item->kind);
    stmt_str(d->set, str_of(item->domain));
    stmt_str(d->set, str_of(item->destination));
    stmt_int(d->set, state);
    stmt_int(d->set, due_at);
    stmt_int(d->set, item->tries);
    stmt_int(d->set, item->message);
    stmt_str(d->set, str_sub(reason, 0, DUE_REASON));
    return end(d, stmt_run(d->set, err), err);
}

bool due_unanswered(struct due *d, int64_t before, struct due_item *out, bool *found, bool *taken, struct err *err)
{
    stmt_int(d->unanswered, before);
    if (!read_item(d->unanswered, out, found, err))
        return false;
    *taken = false;
    if (!*found)
        return true;
    stmt_int(d->accepted, out->message);
    *taken = stmt_row(d->accepted);
    return stmt_done(d->accepted, err);
}

/* ---- what is in the report ---- */

bool due_domain_of(struct due *d, const struct due_item *item, struct due_domain *out, bool *found, struct err *err)
{
    stmt_int(d->domain, item->day);
    stmt_str(d->domain, str_of(item->domain));
    return read_domain(d->domain, out, found, err);
}

bool due_rows(struct due *d, const struct due_item *item, char mark[AGGREGATE_MARK], size_t n,
    void (*each)(void *owner, const struct aggregate_row *row, uint64_t count), void *owner, size_t *count, struct err *err)
{
    char after[AGGREGATE_MARK];

    memcpy(after, mark, sizeof after);
    *count = 0;
    stmt_int(d->rows, item->day);
    stmt_str(d->rows, str_of(item->domain));
    stmt_str(d->rows, str_of(after));
    stmt_int(d->rows, (int64_t)n);
    while (stmt_row(d->rows)) {
        struct aggregate_row row;

        copy(mark, AGGREGATE_MARK, column_str(d->rows, 0));
        ++*count;
        if (aggregate_unpack(column_str(d->rows, 2), &row))
            each(owner, &row, (uint64_t)column_int(d->rows, 1));
    }
    return stmt_done(d->rows, err);
}

/* ---- the end ---- */

static bool forget_domain(struct due *d, bool *more, struct err *err)
{
    char domain[DUE_DOMAIN];
    int64_t day = 0;

    *more = stmt_row(d->done_domains);
    if (*more) {
        day = column_int(d->done_domains, 0);
        copy(domain, sizeof domain, column_str(d->done_domains, 1));
    }
    if (!stmt_done(d->done_domains, err))
        return false;
    if (!*more)
        return true;
    stmt_int(d->drop_rows, day);
    stmt_str(d->drop_rows, str_of(domain));
    stmt_int(d->drop_domain, day);
    stmt_str(d->drop_domain, str_of(domain));
    return stmt_run(d->drop_rows, err) && stmt_run(d->drop_domain, err);
}

/* What is older than a week is reported to nobody any more. A closed day stays that long, so that what is told late counts for a
 * later one. */
bool due_forget(struct due *d, int64_t today, struct err *err)
{
    bool more = true, ok = true;

    if (!db_begin(d->db, err))
        return false;
    for (int i = 0; ok && more && i < FORGET_STEP; i++)
        ok = forget_domain(d, &more, err);
    stmt_int(d->drop_days, today - WEEK);
    stmt_int(d->drop_old_rows, today - WEEK);
    stmt_int(d->drop_due, today - KEPT_DAYS);
    stmt_int(d->drop_tellers, today - KEPT_DAYS);
    ok = ok && stmt_run(d->drop_days, err) && stmt_run(d->drop_old_rows, err) && stmt_run(d->drop_due, err) && stmt_run(d->drop_tellers, err);
    return end(d, ok, err);
}
