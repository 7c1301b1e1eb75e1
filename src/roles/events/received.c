/* See received.h. */
#include "received.h"
#include "base/clock.h"
#include "base/ip.h"
#include "base/msgid.h"
#include "mailauth/dmarc_author.h"

#include <stdlib.h>

enum { KINDS = 2, HEAD = 7, LINE = 4, LINES_MAX = 5000 };
#define COUNT_MAX UINT64_C(1000000000000)

struct received {
    struct db *db;
    struct stmt *find, *bounds, *add, *line, *more, *oldest, *drop, *drop_lines, *sums, *list;
};

#define BELOW "(domain = $1 OR domain @like $2)"

struct received *received_new(struct db *db)
{
    struct received *r = xcalloc(1, sizeof *r);

    r->db = db;
    r->find = stmt_new(db, "SELECT number, arrived FROM report_read WHERE kind = $1 AND domain = $2 AND reporter = $3 AND report_id = $4");
    r->bounds = stmt_new(db, "SELECT MIN(number), MAX(number) FROM report_read");
    r->add = stmt_new(db, "INSERT INTO report_read (number, kind, domain, reporter, report_id, day, begins, ends, contact, sender, policy, "
                          "messages, arrived) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12)");
    r->line = stmt_new(db, "INSERT INTO report_line (number, line, source, name, result, count) VALUES ($1, $2, $3, $4, $5, $6) "
                           "ON CONFLICT DO NOTHING");
    r->more = stmt_new(db, "UPDATE report_read SET messages = messages + $2 WHERE number = $1");
    r->oldest = stmt_new(db, "SELECT number FROM report_read WHERE day < $1 ORDER BY number LIMIT 1");
    r->drop = stmt_new(db, "DELETE FROM report_read WHERE number = $1");
    r->drop_lines = stmt_new(db, "DELETE FROM report_line WHERE number = $1");
    r->sums = stmt_new(db, "SELECT domain, source, name, result, CAST(SUM(count) AS BIGINT), COUNT(DISTINCT report_read.number), kind FROM report_read "
                           "JOIN report_line ON report_line.number = report_read.number WHERE " BELOW " AND day >= $3 "
                           "GROUP BY kind, domain, source, name, result ORDER BY kind, 5 DESC, domain, source, name, result LIMIT $4");
    r->list = stmt_new(db, "SELECT domain, reporter, report_id, contact, sender, policy, begins, ends, messages, kind FROM report_read WHERE "
                           BELOW " AND day >= $3 ORDER BY number DESC LIMIT $4");
    return r;
}

/* The statements go with the database. */
void received_free(struct received *r)
{
    free(r);
}

/* ---- writing ---- */

static bool cut(struct str line, struct str *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ptrdiff_t tab = str_find(line, '\t');

        if ((tab < 0) != (i + 1 == n))
            return false;
        values[i] = tab < 0 ? line : str_sub(line, 0, (size_t)tab);
        if (!str_is_printable(values[i]))
            return false;
        line = str_skip(line, values[i].n + 1);
    }
    return true;
}

struct head {
    uint64_t kind, begins, ends, first;
    struct str contact, sender, policy;
};

static bool read_head(struct str line, struct head *h)
{
    struct str v[HEAD];

    if (!cut(line, v, HEAD) || !str_to_u64(v[0], KINDS - 1, &h->kind) || !str_to_u64(v[1], UINT64_C(253402300799), &h->begins) ||
        !str_to_u64(v[2], UINT64_C(253402300799), &h->ends) || !str_to_u64(v[6], LINES_MAX, &h->first))
        return false;
    h->contact = v[3];
    h->sender = v[4];
    h->policy = v[5];
    return true;
}

static bool drop(struct received *r, int64_t number, struct err *err)
{
    stmt_int(r->drop_lines, number);
    if (!stmt_run(r->drop_lines, err))
        return false;
    stmt_int(r->drop, number);
    return stmt_run(r->drop, err);
}

/* A number for a new report; the oldest makes room. */
static bool new_number(struct received *r, int64_t *number, struct err *err)
{
    int64_t first = 0, last = 0;

    if (stmt_row(r->bounds)) {
        first = column_int(r->bounds, 0);
        last = column_int(r->bounds, 1);
    }
    *number = last + 1;
    return stmt_done(r->bounds, err) && (last - first < RECEIVED_MAX || drop(r, first, err));
}

static bool add_head(struct received *r, const struct msg_event *e, const struct head *h, int64_t *number, struct err *err)
{
    if (!new_number(r, number, err))
        return false;
    stmt_int(r->add, *number);
    stmt_int(r->add, (int64_t)h->kind);
    stmt_str(r->add, e->sender);
    stmt_str(r->add, e->message_id);
    stmt_str(r->add, e->rcpt);
    stmt_int(r->add, (int64_t)h->begins / (DAY / SECOND));
    stmt_int(r->add, (int64_t)h->begins);
    stmt_int(r->add, (int64_t)h->ends);
    stmt_str(r->add, h->contact);
    stmt_str(r->add, h->sender);
    stmt_str(r->add, h->policy);
    stmt_int(r->add, msgid_time(e->message));
    return stmt_run(r->add, err);
}

/* *messages counts what was not there before. */
static bool add_line(struct received *r, int64_t number, int64_t at, struct str line, int64_t *messages, struct err *err)
{
    struct str v[LINE];
    int64_t changed = 0;
    uint64_t count;
    struct ip ip;

    if (!cut(line, v, LINE) || (v[0].n > 0 && !ip_parse(v[0], &ip)) || !str_to_u64(v[3], COUNT_MAX, &count))
        return true;
    stmt_int(r->line, number);
    stmt_int(r->line, at);
    stmt_str(r->line, v[0]);
    stmt_str(r->line, v[1]);
    stmt_str(r->line, v[2]);
    stmt_int(r->line, (int64_t)count);
    if (!stmt_run_count(r->line, &changed, err))
        return false;
    *messages += changed > 0 ? (int64_t)count : 0;
    return true;
}

static bool add_lines(struct received *r, int64_t number, uint64_t first, struct str lines, bool *added, struct err *err)
{
    int64_t messages = 0;
    struct str line;

    for (int64_t at = (int64_t)first; at < LINES_MAX && str_next(&lines, '\n', &line); at++)
        if (!add_line(r, number, at, line, &messages, err))
            return false;
    *added = *added || messages > 0;
    stmt_int(r->more, number);
    stmt_int(r->more, messages);
    return stmt_run(r->more, err);
}

static bool is_sound(const struct msg_event *e, char domain[DNS_NAME_TEXT])
{
    return dmarc_canonical_domain(e->sender, domain) && e->rcpt.n > 0 && e->message_id.n > 0 && str_is_printable(e->rcpt) &&
           str_is_printable(e->message_id);
}

bool received_add(struct received *r, const struct msg_event *e, bool *added, struct err *err)
{
    ptrdiff_t end = str_find(e->details, '\n');
    int64_t number = 0, arrived = 0;
    struct msg_event canonical = *e;
    char domain[DNS_NAME_TEXT];
    struct head head;

    *added = false;
    if (end < 0 || !is_sound(e, domain) || !read_head(str_sub(e->details, 0, (size_t)end), &head))
        return true;
    canonical.sender = str_of(domain);
    stmt_int(r->find, (int64_t)head.kind);
    stmt_str(r->find, canonical.sender);
    stmt_str(r->find, e->message_id);
    stmt_str(r->find, e->rcpt);
    if (stmt_row(r->find)) {
        number = column_int(r->find, 0);
        arrived = column_int(r->find, 1);
    }
    if (!stmt_done(r->find, err))
        return false;
    if (number != 0 && arrived != msgid_time(e->message))
        return true; /* the same report once more */
    if (number == 0) {
        *added = true;
        if (!add_head(r, &canonical, &head, &number, err))
            return false;
    }
    return add_lines(r, number, head.first, str_skip(e->details, (size_t)end + 1), added, err);
}

bool received_forget(struct received *r, int64_t today, int n, struct err *err)
{
    int64_t number = 1;
    bool ok = true;

    if (!db_begin(r->db, err))
        return false;
    while (ok && number != 0 && n-- > 0) {
        number = 0;
        stmt_int(r->oldest, today - RECEIVED_KEPT_DAYS);
        if (stmt_row(r->oldest))
            number = column_int(r->oldest, 0);
        ok = stmt_done(r->oldest, err) && (number == 0 || drop(r, number, err));
    }
    if (ok && db_commit(r->db, err))
        return true;
    if (db_in_transaction(r->db))
        db_rollback(r->db);
    return false;
}

/* ---- reading ---- */

static void bind_query(struct stmt *s, struct str domain, struct buf *pattern, int64_t since, int64_t limit)
{
    buf_init(pattern, DNS_NAME_TEXT + 2);
    buf_addf(pattern, domain.n > 0 ? "%%.%.*s" : "%%%.*s", STR_ARG(domain));
    stmt_str(s, domain);
    stmt_str(s, buf_str(pattern));
    stmt_int(s, since);
    stmt_int(s, limit);
}

bool received_sums(struct received *r, struct str domain, int64_t since, int64_t limit,
    void (*each)(void *, const struct received_sum *), void *owner, struct err *err)
{
    struct stmt *s = r->sums;
    struct buf pattern;
    bool ok;

    bind_query(s, domain, &pattern, since, limit);
    while (stmt_row(s))
        each(owner, &(struct received_sum){.domain = column_str(s, 0), .source = column_str(s, 1), .name = column_str(s, 2),
            .result = column_str(s, 3), .messages = column_int(s, 4), .reports = column_int(s, 5), .is_tls = column_int(s, 6) != 0});
    ok = stmt_done(s, err);
    buf_clear(&pattern);
    return ok;
}

bool received_list(struct received *r, struct str domain, int64_t since, int64_t limit,
    void (*each)(void *, const struct received_report *), void *owner, struct err *err)
{
    struct stmt *s = r->list;
    struct buf pattern;
    bool ok;

    bind_query(s, domain, &pattern, since, limit);
    while (stmt_row(s))
        each(owner, &(struct received_report){.domain = column_str(s, 0), .reporter = column_str(s, 1), .report_id = column_str(s, 2),
            .contact = column_str(s, 3), .sender = column_str(s, 4), .policy = column_str(s, 5), .begins = column_int(s, 6),
            .ends = column_int(s, 7), .messages = column_int(s, 8), .is_tls = column_int(s, 9) != 0});
    ok = stmt_done(s, err);
    buf_clear(&pattern);
    return ok;
}
