/* See policies.h. */
#include "policies.h"
#include "policies_0001.sql.h"
#include "base/log.h"
#include "base/metric.h"
#include "db/db.h"
#include "store.h"

#include <stdlib.h>
#include <string.h>

static struct metric known = METRIC_GAUGE("staffetta_events_policies", "MTA-STS policies of other domains that are kept.");

struct policies {
    struct db *db; /* NULL: cannot be opened */
    struct stmt *get, *put, *tried, *old, *end, *count, *drop;
};

static bool open_database(struct db **db, const char *path, struct err *err)
{
    static const char *const steps[] = {schema_policies_0001};

    if (db_open(db, path, DB_SYNC_LATER, 10000, err) && db_migrate(*db, steps, sizeof steps / sizeof *steps, err))
        return true;
    db_close(*db);
    *db = NULL;
    return false;
}

static void failed(struct policies *p, const char *doing, const struct err *err)
{
    log_warning("policies", "doing=%s reason=%s", doing, err->text);
    if (db_in_transaction(p->db))
        db_rollback(p->db);
}

static void note_count(struct policies *p)
{
    struct err err = {0};

    if (stmt_row(p->count))
        metric_set(&known, column_int(p->count, 0));
    if (!stmt_done(p->count, &err))
        log_warning("policies", "doing=count reason=%s", err.text);
}

struct policies *policies_open(const char *path)
{
    struct policies *p = xcalloc(1, sizeof *p);
    struct err err = {0};

    if (!open_database(&p->db, path, &err)) {
        log_warning("policies", "doing=open reason=%s", err.text);
        if (err.kind != ERR_DAMAGED || !store_set_aside(path, &err) || !open_database(&p->db, path, &err))
            return p;
    }
    p->get = stmt_new(p->db, "SELECT id, policy, fetched FROM sts_policy WHERE domain = $1");
    p->put = stmt_new(p->db, "INSERT INTO sts_policy (domain, id, policy, fetched, ends, tried) VALUES ($1, $2, $3, $4, $5, $6) "
                             "ON CONFLICT (domain) DO UPDATE SET id = excluded.id, policy = excluded.policy, fetched = excluded.fetched, "
                             "ends = excluded.ends, tried = excluded.tried");
    p->tried = stmt_new(p->db, "UPDATE sts_policy SET tried = $2 WHERE domain = $1");
    p->old = stmt_new(p->db, "SELECT domain, id FROM sts_policy WHERE tried < $1 ORDER BY tried LIMIT 1");
    p->end = stmt_new(p->db, "DELETE FROM sts_policy WHERE ends <= $1");
    p->count = stmt_new(p->db, "SELECT COUNT(*) FROM sts_policy");
    p->drop = stmt_new(p->db, "DELETE FROM sts_policy WHERE domain IN (SELECT domain FROM sts_policy ORDER BY ends LIMIT $1)");
    note_count(p);
    return p;
}

void policies_close(struct policies *p)
{
    if (p != NULL)
        db_close(p->db);
    free(p);
}

static void take_id(struct sts_record *record, struct str id)
{
    size_t n = id.n < STS_ID_MAX ? id.n : STS_ID_MAX;

    if (n > 0)
        memcpy(record->id, id.p, n);
    record->id[n] = '\0';
}

void policies_get(struct policies *p, struct str domain, struct sts_cached *cached, struct buf *text)
{
    struct sts_policy policy;
    struct err err = {0};
    const char *why;

    *cached = (struct sts_cached){.present = false};
    if (p->db == NULL)
        return;
    stmt_str(p->get, domain);
    if (stmt_row(p->get)) {
        take_id(&cached->record, column_str(p->get, 0));
        buf_add(text, column_str(p->get, 1));
        cached->fetched = column_int(p->get, 2);
        cached->present = !text->failed && sts_policy_read(buf_str(text), &policy, &why);
    }
    if (!stmt_done(p->get, &err)) {
        log_warning("policies", "doing=read reason=%s", err.text);
        cached->present = false;
    }
    if (!cached->present)
        return;
    cached->mode = policy.mode;
    cached->max_age = policy.max_age;
}

/* Those that end first make room. */
static bool make_room(struct policies *p, struct err *err)
{
    int64_t n = 0;

    if (stmt_row(p->count))
        n = column_int(p->count, 0);
    if (!stmt_done(p->count, err))
        return false;
    if (n < POLICIES_MAX)
        return true;
    stmt_int(p->drop, n - POLICIES_MAX + 1);
    return stmt_run(p->drop, err);
}

void policies_put(struct policies *p, struct str domain, const struct sts_record *record, struct str text, int64_t now)
{
    struct sts_policy policy;
    struct err err = {0};
    const char *why;

    if (p->db == NULL || !sts_policy_read(text, &policy, &why))
        return;
    if (!db_begin(p->db, &err) || !make_room(p, &err)) {
        failed(p, "write", &err);
        return;
    }
    stmt_str(p->put, domain);
    stmt_str(p->put, str_of(record->id));
    stmt_str(p->put, text);
    stmt_int(p->put, now);
    stmt_int(p->put, now + (int64_t)policy.max_age);
    stmt_int(p->put, now);
    if (!stmt_run(p->put, &err) || !db_commit(p->db, &err) || !db_sync(p->db, &err))
        failed(p, "write", &err);
    note_count(p);
}

void policies_tried(struct policies *p, struct str domain, int64_t now)
{
    struct err err = {0};

    if (p->db == NULL)
        return;
    stmt_str(p->tried, domain);
    stmt_int(p->tried, now);
    if (!stmt_run(p->tried, &err))
        failed(p, "write", &err);
}

bool policies_oldest(struct policies *p, int64_t now, int64_t age, struct buf *domain, struct sts_record *record)
{
    struct err err = {0};

    if (p->db == NULL)
        return false;
    stmt_int(p->end, now);
    if (!stmt_run(p->end, &err)) {
        failed(p, "clean", &err);
        return false;
    }
    buf_reset(domain);
    stmt_int(p->old, now - age);
    if (stmt_row(p->old)) {
        buf_add(domain, column_str(p->old, 0));
        take_id(record, column_str(p->old, 1));
    }
    return stmt_done(p->old, &err) && domain->n > 0;
}
