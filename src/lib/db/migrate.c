/* Numbered migrations. The version is the single row of staffetta_schema; a step and its new
 * version are one transaction, so a crash leaves the database at a whole step. The version is read
 * again inside that transaction: several copies of a role may start at once on one database. */
#include "db/driver.h"

#include <inttypes.h>

static const char TABLE[] = "staffetta_schema";

static bool read_version(struct db *db, int64_t *version, struct err *err)
{
    struct stmt *s = stmt_new(db, "SELECT version FROM staffetta_schema");
    bool read;

    *version = stmt_row(s) ? column_int(s, 0) : 0;
    read = stmt_done(s, err);
    stmt_free(s);
    return read;
}

bool db_version(struct db *db, int64_t *version, struct err *err)
{
    bool found;

    *version = 0;
    if (!driver_has_table(db, TABLE, &found, err))
        return false;
    return !found || read_version(db, version, err);
}

static bool write_version(struct db *db, int64_t version, struct err *err)
{
    struct stmt *s =
        stmt_new(db, version == 1 ? "INSERT INTO staffetta_schema (version) VALUES ($1)"
                                  : "UPDATE staffetta_schema SET version = $1");
    bool written;

    stmt_int(s, version);
    written = stmt_run(s, err);
    stmt_free(s);
    return written;
}

/* Inside a transaction. */
static bool apply(struct db *db, const char *const *steps, int64_t version, struct err *err)
{
    if (version == 0 &&
        !db_exec(db, "CREATE TABLE staffetta_schema (version BIGINT NOT NULL)", err))
        return false;
    return driver_run_schema(db, steps[version], err) && write_version(db, version + 1, err);
}

/* Takes one step; *version is what the database had before it. */
static bool take_step(
    struct db *db, const char *const *steps, size_t n, int64_t *version, struct err *err)
{
    if (!db_begin(db, err))
        return false;
    if (!db_version(db, version, err)) {
        db_rollback(db);
        return false;
    }
    if (*version < 0 || *version >= (int64_t)n) {
        db_rollback(db);
        return true;
    }
    if (!apply(db, steps, *version, err)) {
        db_rollback(db);
        return err_prefix(err, "schema step %" PRId64, *version + 1);
    }
    return db_commit(db, err);
}

bool db_migrate_step(struct db *db, const char *const *steps, size_t n, bool *more, struct err *err)
{
    int64_t version;

    *more = false;
    if (!db_version(db, &version, err))
        return false;
    if (version >= 0 && version < (int64_t)n) {
        *more = true;
        return take_step(db, steps, n, &version, err);
    }
    if (version != (int64_t)n)
        return err_set(err, ERR_PERMANENT,
            "the database has version %" PRId64
            ", this program knows %zu: it was made by a newer Staffetta, install that",
            version, n);
    return true;
}

bool db_migrate(struct db *db, const char *const *steps, size_t n, struct err *err)
{
    bool more = true;

    while (more)
        if (!db_migrate_step(db, steps, n, &more, err))
            return false;
    return true;
}
