#include "queue_world_private.h"

#include <stdio.h>

static int64_t time_passed, frozen;
static unsigned fail_in;
static bool has_failed, disk_full;

int64_t __real_clock_now(void);
int64_t __real_clock_monotonic(void);
int64_t __wrap_clock_now(void);
int64_t __wrap_clock_monotonic(void);
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

int64_t __wrap_clock_now(void)
{
    return (frozen ? frozen : __real_clock_now()) + time_passed;
}

int64_t __wrap_clock_monotonic(void)
{
    return (frozen ? frozen : __real_clock_monotonic()) + time_passed;
}

jmp_buf world_death;
static unsigned die_in;

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

bool __wrap_stmt_run(struct stmt *s, struct err *err)
{
    if (fails(err)) {
        (void)!__real_stmt_done(s, NULL);
        return false;
    }
    return __real_stmt_run(s, err);
}

bool __wrap_stmt_run_count(struct stmt *s, int64_t *changed, struct err *err)
{
    if (fails(err)) {
        (void)!__real_stmt_done(s, NULL);
        return false;
    }
    return __real_stmt_run_count(s, changed, err);
}

bool __wrap_stmt_done(struct stmt *s, struct err *err)
{
    if (fails(err)) {
        (void)!__real_stmt_done(s, NULL);
        return false;
    }
    return __real_stmt_done(s, err);
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

void faults_begin(void)
{
    time_passed = 0;
    world_fail_at(0);
    world_die_at(0);
    world_disk_full(false);
}

void faults_add_time(int64_t span)
{
    time_passed += span;
}

void world_freeze_clock(int64_t now)
{
    frozen = now;
    time_passed = 0;
}

int64_t world_count(const char *table)
{
    char sql[128];
    struct stmt *s;
    int64_t n;

    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    s = stmt_new(store_db(world.queue->store), sql);
    assert_true(stmt_row(s));
    n = column_int(s, 0);
    assert_true(__real_stmt_done(s, NULL));
    stmt_free(s);
    return n;
}
