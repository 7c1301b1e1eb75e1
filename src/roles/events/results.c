/* See results.h. */
#include "results.h"
#include "base/clock.h"
#include "base/metric.h"
#include "mailauth/aggregate.h"
#include "mailauth/dmarc_author.h"

#include <stdlib.h>

static struct metric counted = METRIC_COUNTER("staffetta_events_results_total", "Results of DMARC counted for reports.");
static struct metric left_out = METRIC_COUNTER("staffetta_events_results_left_out_total",
    "Of these, results that reports do not list: there were too many different ones.");
static struct metric unreadable = METRIC_COUNTER("staffetta_events_results_unreadable_total", "Results that cannot be read.");

struct results {
    struct db *db;
    struct stmt *told, *again, *look, *add, *count;
};

/* What a result is counted under. */
struct place {
    int64_t day;
    struct str domain, record, packed;
    char mark[AGGREGATE_MARK];
};

struct results *results_new(struct db *db)
{
    struct results *r = xcalloc(1, sizeof *r);

    r->db = db;
    r->told = stmt_new(db, "INSERT INTO report_teller (name, seq, day) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET "
                           "seq = excluded.seq, day = excluded.day WHERE report_teller.seq < excluded.seq");
    r->again = stmt_new(db, "UPDATE dmarc_row SET count = count + 1 WHERE day = $1 AND domain = $2 AND mark = $3");
    r->look = stmt_new(db, "SELECT messages, listed, state FROM dmarc_domain WHERE day = $1 AND domain = $2");
    r->add = stmt_new(db, "INSERT INTO dmarc_row (day, domain, mark, count, packed) VALUES ($1, $2, $3, 1, $4)");
    r->count = stmt_new(db, "INSERT INTO dmarc_domain (day, domain, record, messages, listed, left_out, state) "
                            "VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (day, domain) DO UPDATE SET record = excluded.record, "
                            "messages = dmarc_domain.messages + excluded.messages, listed = dmarc_domain.listed + excluded.listed, "
                            "left_out = dmarc_domain.left_out + excluded.left_out");
    metric_show(&counted);
    metric_show(&left_out);
    metric_show(&unreadable);
    return r;
}

/* The statements go with the database. */
void results_free(struct results *r)
{
    free(r);
}

static bool read_place(const struct msg_event *e, struct place *p)
{
    ptrdiff_t end = str_find(e->details, '\n');
    struct aggregate_row row;
    char canonical[DNS_NAME_TEXT];

    if (end < 0 || e->time <= 0 || !dmarc_canonical_domain(e->sender, canonical) || !str_eq(str_of(canonical), e->sender))
        return false;
    *p = (struct place){.day = e->time / DAY, .domain = e->sender, .record = str_sub(e->details, 0, (size_t)end),
        .packed = str_skip(e->details, (size_t)end + 1)};
    if (!str_is_printable(p->record) || !dmarc_is_record(p->record) || !aggregate_unpack(p->packed, &row))
        return false;
    aggregate_mark(p->packed, p->mark);
    return true;
}

/* What is there already of a domain, all zero for nothing. */
static bool look(struct results *r, int64_t day, struct str domain, int64_t *messages, int64_t *listed, int64_t *state, struct err *err)
{
    *messages = *listed = *state = 0;
    stmt_int(r->look, day);
    stmt_str(r->look, domain);
    if (stmt_row(r->look)) {
        *messages = column_int(r->look, 0);
        *listed = column_int(r->look, 1);
        *state = column_int(r->look, 2);
    }
    return stmt_done(r->look, err);
}

static bool count(struct results *r, int64_t day, struct str domain, struct str record, int64_t messages, int64_t listed, int64_t more,
    struct err *err)
{
    stmt_int(r->count, day);
    stmt_str(r->count, domain);
    stmt_str(r->count, record);
    stmt_int(r->count, messages);
    stmt_int(r->count, listed);
    stmt_int(r->count, more);
    return stmt_run(r->count, err);
}

/* A row that was not there before, if there is room for it. */
static bool add_row(struct results *r, const struct place *p, int64_t domains, int64_t day_rows, struct err *err)
{
    int64_t messages, listed, state;
    bool is_new;

    if (!look(r, p->day, p->domain, &messages, &listed, &state, err))
        return false;
    is_new = messages == 0;
    if (is_new && domains >= RESULTS_DOMAINS_MAX) {
        metric_add(&left_out, 1);
        return count(r, p->day, STR(""), STR(""), 0, 0, 1, err);
    }
    if (listed >= RESULTS_ROWS_MAX || day_rows >= RESULTS_DAY_ROWS_MAX) {
        metric_add(&left_out, 1);
        return count(r, p->day, p->domain, p->record, 1, 0, 1, err) && count(r, p->day, STR(""), STR(""), is_new, 0, 0, err);
    }
    stmt_int(r->add, p->day);
    stmt_str(r->add, p->domain);
    stmt_str(r->add, str_of(p->mark));
    stmt_str(r->add, p->packed);
    return stmt_run(r->add, err) && count(r, p->day, p->domain, p->record, 1, 1, 0, err) &&
           count(r, p->day, STR(""), STR(""), is_new, 1, 0, err);
}

static bool add(struct results *r, struct place *p, struct err *err)
{
    int64_t domains, rows, state, changed;

    /* What comes when the reports of its day are made already counts for the next one. */
    do {
        if (!look(r, p->day, STR(""), &domains, &rows, &state, err))
            return false;
        p->day += state != 0;
    } while (state != 0);
    stmt_int(r->again, p->day);
    stmt_str(r->again, p->domain);
    stmt_str(r->again, str_of(p->mark));
    if (!stmt_run_count(r->again, &changed, err))
        return false;
    if (changed > 0)
        return count(r, p->day, p->domain, p->record, 1, 0, 0, err);
    return add_row(r, p, domains, rows, err);
}

bool results_add(struct results *r, const struct msg_event *e, bool *added, struct err *err)
{
    struct place p;
    int64_t changed = 0;

    *added = false;
    if (!read_place(e, &p)) {
        metric_add(&unreadable, 1);
        return true;
    }
    stmt_str(r->told, e->message_id);
    stmt_int(r->told, (int64_t)(e->seq & INT64_MAX));
    stmt_int(r->told, p.day);
    if (!stmt_run_count(r->told, &changed, err))
        return false;
    if (changed == 0)
        return true;
    *added = true;
    metric_add(&counted, 1);
    return add(r, &p, err);
}
