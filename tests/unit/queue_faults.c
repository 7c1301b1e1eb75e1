#include "queue_world_private.h"

#include <stdio.h>

static int64_t time_passed, frozen;

int64_t __real_clock_now(void);
int64_t __real_clock_monotonic(void);
int64_t __wrap_clock_now(void);
int64_t __wrap_clock_monotonic(void);
bool __real_stmt_done(struct stmt *s, struct err *err);

int64_t __wrap_clock_now(void)
{
    return (frozen ? frozen : __real_clock_now()) + time_passed;
}

int64_t __wrap_clock_monotonic(void)
{
    return (frozen ? frozen : __real_clock_monotonic()) + time_passed;
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
