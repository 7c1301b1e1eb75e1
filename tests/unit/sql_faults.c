/* See sql_faults.h: the linker puts these calls in the place of those of lib/db. */
#include "sql_faults.h"
#include "db/db.h"

bool __real_db_begin(struct db *db, struct err *err);
bool __real_db_commit(struct db *db, struct err *err);
bool __real_stmt_run(struct stmt *s, struct err *err);
bool __real_stmt_run_count(struct stmt *s, int64_t *changed, struct err *err);
bool __real_stmt_done(struct stmt *s, struct err *err);
bool __wrap_db_begin(struct db *db, struct err *err);
bool __wrap_db_commit(struct db *db, struct err *err);
bool __wrap_stmt_run(struct stmt *s, struct err *err);
bool __wrap_stmt_run_count(struct stmt *s, int64_t *changed, struct err *err);
bool __wrap_stmt_done(struct stmt *s, struct err *err);

jmp_buf world_death;
static unsigned fail_in, die_in;
static bool has_failed, disk_full;

static bool fails(struct err *err)
{
    if (die_in > 0 && --die_in == 0) {
        has_failed = true;
        longjmp(world_death, 1);
    }
    if (fail_in == 0 || --fail_in > 0)
        return false;
    has_failed = true;
    err_set(err, ERR_TEMPORARY, "injected failure");
    return true;
}

bool __wrap_db_begin(struct db *db, struct err *err)
{
    return !fails(err) && __real_db_begin(db, err);
}

bool __wrap_db_commit(struct db *db, struct err *err)
{
    if (disk_full)
        return err_set(err, ERR_TEMPORARY, "disk full (injected)");
    return !fails(err) && __real_db_commit(db, err);
}

/* What was bound is dropped, as after a real failure. */
static bool fail_statement(struct stmt *s, struct err *err)
{
    if (!fails(err))
        return false;
    (void)!__real_stmt_done(s, NULL);
    return true;
}

bool __wrap_stmt_run(struct stmt *s, struct err *err)
{
    return !fail_statement(s, err) && __real_stmt_run(s, err);
}

bool __wrap_stmt_run_count(struct stmt *s, int64_t *changed, struct err *err)
{
    return !fail_statement(s, err) && __real_stmt_run_count(s, changed, err);
}

bool __wrap_stmt_done(struct stmt *s, struct err *err)
{
    return !fail_statement(s, err) && __real_stmt_done(s, err);
}

void world_fail_at(unsigned n)
{
    fail_in = n;
    has_failed = false;
}

void world_die_at(unsigned n)
{
    die_in = n;
    has_failed = false;
}

bool world_failed(void)
{
    return has_failed;
}

void world_disk_full(bool full)
{
    disk_full = full;
}
