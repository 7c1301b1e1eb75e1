/* Is a file that came from outside the database of a mailbox? See store.h.
 *
 * SQLite does what a file says: it has views in place of tables, computed columns, constraints that are expressions. So the file
 * must have our tables, with our columns, and nothing else, before and after it is brought to the newest schema. What is counted or
 * goes on from a number must be a number that a mailbox can have; what is told to clients as it stands (names, keywords) must be
 * text (store_check.h: CHECK_PLAUSIBLE). Whether rows fit together is for `account verify` and `mailbox check`: whoever reads them
 * believes none. */
#include "store_private.h"
#include "base/clock.h"
#include "store_check.h"

#include <stdlib.h>

static bool is_none(struct err *err, const char *why)
{
    return err_set(err, ERR_DAMAGED, "this is no mailbox: %s", why);
}

/* The number that a query gives. */
static bool number(struct db *db, const char *sql, int64_t *value, struct err *err)
{
    struct stmt *ask = stmt_new(db, sql);
    bool done;

    *value = stmt_row(ask) ? column_int(ask, 0) : 0;
    done = stmt_done(ask, err);
    stmt_free(ask);
    return done;
}

bool backup_is_mailbox(struct db *db, struct err *err)
{
    static const char strange[] = "SELECT COUNT(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index') OR rootpage = 0";
    static const char needed[] = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('staffetta_schema', 'folder', 'message', "
                                 "'content', 'content_chunk', 'loose')";
    int64_t n, version;

    if (!number(db, strange, &n, err))
        return false;
    if (n > 0)
        return is_none(err, "it has more than tables");
    if (!number(db, needed, &n, err))
        return false;
    if (n != 6)
        return is_none(err, "it has not its tables");
    if (!db_version(db, &version, err))
        return false;
    return version > 0 || is_none(err, "it has no version");
}

/* ---- the same tables ---- */

/* Tables and indexes, and what is in them besides columns. */
static const char things[] = "SELECT type || ' ' || name || ' ' || tbl_name || CASE WHEN upper(COALESCE(sql, '')) GLOB '*[^A-Z]CHECK[^A-Z]*' "
    "OR upper(COALESCE(sql, '')) GLOB '*[^A-Z]AS[^A-Z]*' THEN ' with expressions' ELSE '' END FROM sqlite_schema ORDER BY 1";
static const char columns[] = "SELECT s.name || ' ' || c.cid || ' ' || c.name || ' ' || c.type || ' ' || c.pk || ' ' || c.hidden || ' ' || "
    "COALESCE(c.dflt_value, '') FROM sqlite_schema s, pragma_table_xinfo(s.name) c WHERE s.type = 'table' ORDER BY s.name, c.cid";

static bool next_is_same(struct stmt *a, struct stmt *b, bool *more)
{
    bool one = stmt_row(a), other = stmt_row(b);

    *more = one && other;
    return one == other && (!one || str_eq(column_str(a, 0), column_str(b, 0)));
}

static bool say_same(struct db *db, struct db *ours, const char *sql, struct err *err)
{
    struct stmt *a = stmt_new(db, sql), *b = stmt_new(ours, sql);
    bool more = true, same = true, done;

    while (same && more)
        same = next_is_same(a, b, &more);
    done = stmt_done(a, err);
    done = stmt_done(b, err) && done;
    stmt_free(a);
    stmt_free(b);
    return done && (same || is_none(err, "its tables are other ones"));
}

bool backup_has_our_tables(struct db *db, size_t version, struct err *err)
{
    struct db *ours;
    bool same;

    if (!db_open(&ours, ":memory:", DB_SYNC_LATER, 0, err))
        return false;
    same = db_migrate(ours, store_steps, version, err) && say_same(db, ours, things, err) && say_same(db, ours, columns, err);
    db_close(ours);
    return same;
}

/* ---- in turns ---- */

struct store_taking {
    struct store *store;
    struct store_check *check; /* NULL: it is brought to the newest schema yet */
};

bool store_take_begin(struct store_taking **out, const char *path, int64_t account, struct err *err)
{
    struct store_taking *t = xcalloc(1, sizeof *t);

    t->store = store_new(account);
    *out = t;
    if (db_open(&t->store->db, path, DB_SYNC_LATER, 5000, err) && backup_is_mailbox(t->store->db, err))
        return true;
    store_take_free(t);
    *out = NULL;
    return false;
}

void store_take_free(struct store_taking *t)
{
    if (t == NULL)
        return;
    store_check_free(t->check);
    store_close(t->store);
    free(t);
}

/* One step of the schema, or the tables when that was the last. */
static bool bring_up(struct store_taking *t, struct err *err)
{
    bool more;

    if (!store_migrate_step(t->store->db, &more, err))
        return false;
    return more || (backup_has_our_tables(t->store->db, STORE_VERSION, err) && store_check_new(&t->check, t->store->db, CHECK_PLAUSIBLE, err));
}

bool store_take_step(struct store_taking *t, int64_t until, struct store **store, struct err *err)
{
    struct err why = {0};
    bool done = false;

    *store = NULL;
    do {
        if (t->check == NULL && !bring_up(t, err))
            return false;
    } while (t->check == NULL && clock_monotonic() < until);
    if (t->check == NULL)
        return true;
    if (!store_check_step(t->check, until, &done, &why))
        return why.kind == ERR_DAMAGED ? is_none(err, why.text) : err_set(err, why.kind, "%s", why.text);
    if (!done)
        return true;
    store_check_free(t->check);
    t->check = NULL;
    if (!store_load(t->store, err))
        return false;
    *store = t->store;
    t->store = NULL;
    return true;
}

bool store_open_backup(struct store **out, const char *path, int64_t account, struct err *err)
{
    struct store_taking *t;
    bool done;

    *out = NULL;
    if (!store_take_begin(&t, path, account, err))
        return false;
    done = store_take_step(t, INT64_MAX, out, err);
    store_take_free(t);
    return done;
}
