/* See tls_results.h. */
#include "tls_results.h"
#include "base/clock.h"
#include "base/metric.h"
#include "tlspolicy/tls_outcome.h"

#include <stdlib.h>

static struct metric counted = METRIC_COUNTER("staffetta_events_tls_results_total", "Results of TLS counted for reports.");
static struct metric left_out = METRIC_COUNTER("staffetta_events_tls_results_left_out_total",
    "Of these, of domains that found no room.");
static struct metric unreadable = METRIC_COUNTER("staffetta_events_tls_results_unreadable_total", "Results of TLS that cannot be read.");

struct tls_results {
    struct db *db;
    struct stmt *told, *look, *count, *again, *add, *forget_domains, *forget_failures;
    int64_t newest; /* day */
};

/* The row of a domain, or with type 0 that of the day. */
struct row {
    int64_t successful, listed, state;
    bool there;
};

struct tls_results *tls_results_new(struct db *db)
{
    struct tls_results *r = xcalloc(1, sizeof *r);

    r->db = db;
    r->told = stmt_new(db, "INSERT INTO report_teller (name, seq, day) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET "
                           "seq = excluded.seq, day = excluded.day WHERE report_teller.seq < excluded.seq");
    r->look = stmt_new(db, "SELECT successful, listed, state FROM tls_domain WHERE day = $1 AND domain = $2 AND type = $3");
    r->count = stmt_new(db, "INSERT INTO tls_domain (day, domain, type, policy, successful, failed, listed, state) "
                            "VALUES ($1, $2, $3, $4, $5, $6, $7, 0) ON CONFLICT (day, domain, type) DO UPDATE SET policy = excluded.policy, "
                            "successful = tls_domain.successful + excluded.successful, failed = tls_domain.failed + excluded.failed, "
                            "listed = tls_domain.listed + excluded.listed");
    r->again = stmt_new(db, "UPDATE tls_failure SET count = count + 1 WHERE day = $1 AND domain = $2 AND type = $3 AND result = $4 AND "
                            "mx = $5 AND receiving = $6 AND sending = $7");
    r->add = stmt_new(db, "INSERT INTO tls_failure (day, domain, type, result, mx, receiving, sending, count) "
                          "VALUES ($1, $2, $3, $4, $5, $6, $7, 1)");
    r->forget_domains = stmt_new(db, "DELETE FROM tls_domain WHERE day < $1");
    r->forget_failures = stmt_new(db, "DELETE FROM tls_failure WHERE day < $1");
    metric_show(&counted);
    metric_show(&left_out);
    metric_show(&unreadable);
    return r;
}

void tls_results_free(struct tls_results *r)
{
    if (r == NULL)
        return;
    stmt_free(r->told);
    stmt_free(r->look);
    stmt_free(r->count);
    stmt_free(r->again);
    stmt_free(r->add);
    stmt_free(r->forget_domains);
    stmt_free(r->forget_failures);
    free(r);
}

static bool look(struct tls_results *r, int64_t day, struct str domain, int64_t type, struct row *row, struct err *err)
{
    *row = (struct row){.there = false};
    stmt_int(r->look, day);
    stmt_str(r->look, domain);
    stmt_int(r->look, type);
    if (stmt_row(r->look))
        *row = (struct row){column_int(r->look, 0), column_int(r->look, 1), column_int(r->look, 2), true};
    return stmt_done(r->look, err);
}

static bool count(struct tls_results *r, int64_t day, const struct tls_outcome *o, int64_t successful, int64_t failed, int64_t listed,
    struct err *err)
{
    stmt_int(r->count, day);
    stmt_str(r->count, o->domain);
    stmt_int(r->count, o->type);
    stmt_str(r->count, o->policy);
    stmt_int(r->count, successful);
    stmt_int(r->count, failed);
    stmt_int(r->count, listed);
    return stmt_run(r->count, err);
}

static void bind_failure(struct stmt *s, int64_t day, const struct tls_outcome *o)
{
    stmt_int(s, day);
    stmt_str(s, o->domain);
    stmt_int(s, o->type);
    stmt_str(s, str_of(tls_result_name(o->result)));
    stmt_str(s, o->mx);
    stmt_str(s, o->receiving);
    stmt_str(s, o->sending);
}

static bool add_failure(struct tls_results *r, int64_t day, const struct tls_outcome *o, const struct row *row, struct err *err)
{
    int64_t changed = 0;
    bool room = row->listed < TLS_RESULTS_ROWS_MAX;

    bind_failure(r->again, day, o);
    if (!stmt_run_count(r->again, &changed, err))
        return false;
    if (changed == 0 && room) {
        bind_failure(r->add, day, o);
        if (!stmt_run(r->add, err))
            return false;
    }
    return count(r, day, o, 0, 1, changed == 0 && room, err);
}

/* A new day: those that are too old go. */
static bool forget(struct tls_results *r, int64_t day, struct err *err)
{
    if (day <= r->newest)
        return true;
    r->newest = day;
    stmt_int(r->forget_domains, day - TLS_RESULTS_KEEP_DAYS);
    stmt_int(r->forget_failures, day - TLS_RESULTS_KEEP_DAYS);
    return stmt_run(r->forget_domains, err) && stmt_run(r->forget_failures, err);
}

static bool add(struct tls_results *r, int64_t day, const struct tls_outcome *o, struct err *err)
{
    const struct tls_outcome whole = {.domain = STR(""), .policy = STR("")};
    struct row all, own;

    if (!forget(r, day, err))
        return false;
    /* What comes when the reports of its day are made already counts for the next one. */
    do {
        if (!look(r, day, whole.domain, 0, &all, err))
            return false;
        day += all.state != 0;
    } while (all.state != 0);
    if (!look(r, day, o->domain, o->type, &own, err))
        return false;
    if (!own.there && all.successful >= TLS_RESULTS_DOMAINS_MAX) {
        metric_add(&left_out, 1);
        return true;
    }
    if (!own.there && !count(r, day, &whole, 1, 0, 0, err))
        return false;
    return o->result == TLS_OK ? count(r, day, o, 1, 0, 0, err) : add_failure(r, day, o, &own, err);
}

bool tls_results_add(struct tls_results *r, const struct msg_event *e, bool *added, struct err *err)
{
    struct tls_outcome o;
    int64_t changed = 0;

    *added = false;
    if (e->time <= 0 || !tls_outcome_read(e->sender, e->details, &o)) {
        metric_add(&unreadable, 1);
        return true;
    }
    stmt_str(r->told, e->message_id);
    stmt_int(r->told, (int64_t)(e->seq & INT64_MAX));
    stmt_int(r->told, e->time / DAY);
    if (!stmt_run_count(r->told, &changed, err))
        return false;
    if (changed == 0)
        return true;
    *added = true;
    metric_add(&counted, 1);
    return add(r, e->time / DAY, &o, err);
}
