/* The SQL interface: statements, transactions, migrations, and every operation made to fail in turn. What holds
 * for every driver; what SQLite adds is in sqlite_test.c. */
#include "db_world.h"
#include "fault_vfs.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void binds_and_reads(void **state)
{
    struct db *db = opened(DB_SYNC_FULL);
    struct err err = {0};
    struct stmt *read =
        stmt_new(db, "SELECT name, body, id FROM thing WHERE name >= $1 ORDER BY name");
    struct stmt *empty = stmt_new(db, "UPDATE thing SET body = $1, name = $2 WHERE name = 'b'");
    int64_t changed;

    (void)state;
    assert_true(add(db, "b", &err) && add(db, "a", &err) && add(db, "c", &err));
    stmt_str(read, STR("b"));
    assert_true(stmt_row(read));
    assert_true(str_eq(column_str(read, 0), STR("b")));
    assert_true(str_eq(column_str(read, 1), str_from("\0\1", 2)));
    assert_true(column_int(read, 2) == 1);
    assert_true(stmt_row(read));
    assert_true(str_eq(column_str(read, 0), STR("c")));
    assert_false(stmt_row(read));
    assert_true(stmt_done(read, &err));
    stmt_null(empty);
    stmt_str(empty, STR(""));
    assert_true(stmt_run_count(empty, &changed, &err));
    assert_int_equal(changed, 1);
    stmt_str(read, (struct str){NULL, 0});
    assert_true(stmt_row(read));
    assert_true(column_is_null(read, 1) && column_str(read, 1).n == 0);
    assert_true(column_str(read, 0).n == 0 && !column_is_null(read, 0));
    assert_true(stmt_done(read, &err)); /* abandoned early */
    stmt_str(read, STR("c"));
    assert_true(stmt_row(read));
    assert_true(stmt_done(read, &err));
    assert_true(db_check_integrity(db, &err));
    assert_true(db_check_pages(db, &err));
    db_close(db);
}

/* Statements hold words of the driver as schema files do. */
static void like_ignores_case(void **state)
{
    struct db *db = opened(DB_SYNC_FULL);

    (void)state;
    assert_int_equal(count(db, "SELECT 'Ab%C' @like 'aB\\%c' ESCAPE '\\'"), 1);
    assert_int_equal(count(db, "SELECT 'AbxC' @like 'aB\\%c' ESCAPE '\\'"), 0);
    assert_int_equal(count(db, "SELECT '@likely' = '@' || 'likely'"), 1);
    db_close(db);
}

static void failures_are_latched(void **state)
{
    struct db *db = opened(DB_SYNC_FULL);
    struct err err = {0};

    (void)state;
    assert_true(db_begin(db, &err));
    assert_true(add(db, "same", &err));
    assert_false(add(db, "same", &err));
    assert_int_equal(err.kind, ERR_PERMANENT);
    assert_true(db_in_transaction(db));
    db_rollback(db);
    assert_false(db_in_transaction(db));
    db_rollback(db);
    assert_int_equal(count(db, "SELECT count(*) FROM thing"), 0);
    assert_false(db_exec(db, "CREATE TABLE broken (", &err));
    db_close(db);
}

/* Nothing slips out of a transaction that is no more. */
static void a_failed_transaction_is_not_committed(void **state)
{
    struct db *db = opened(DB_SYNC_FULL);
    struct err err = {0};

    (void)state;
    assert_true(db_begin(db, &err));
    assert_true(add(db, "a", &err));
    assert_true(db_exec(db, "ROLLBACK", &err)); /* as a server or a full disk would end it */
    assert_false(add(db, "b", &err));
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_false(db_commit(db, &err));
    assert_false(db_in_transaction(db));
    assert_int_equal(count(db, "SELECT count(*) FROM thing"), 0);
    assert_true(db_begin(db, &err) && add(db, "c", &err) && db_commit(db, &err));
    assert_int_equal(count(db, "SELECT count(*) FROM thing"), 1);
    db_close(db);
}

static void migrates_from_every_version(void **state)
{
    struct db *db = opened(DB_SYNC_FULL);
    struct err err = {0};
    int64_t version;
    static const char *const bad[] = {
        FIRST_STEP, "CREATE TABLE fine (id @id); CREATE TABLE broken ("};

    (void)state;
    assert_true(db_version(db, &version, &err) && version == 1);
    assert_true(add(db, "kept", &err));
    assert_false(db_migrate(db, bad, 2, &err));
    assert_non_null(strstr(err.text, "schema step 2"));
    assert_true(db_version(db, &version, &err) && version == 1);
    assert_false(db_exec(db, "DROP TABLE fine", &err)); /* is not there */
    assert_true(db_migrate(db, two, 2, &err));
    assert_true(db_migrate(db, two, 2, &err));
    assert_int_equal(count(db, "SELECT size FROM thing WHERE name = 'kept'"), 7);
    assert_false(db_migrate(db, one, 1, &err));
    assert_non_null(strstr(err.text, "newer Staffetta"));
    db_close(db);
    remove_files();
    assert_true(db_open(&db, path, DB_SYNC_LATER, 10, &err));
    assert_true(db_version(db, &version, &err) && version == 0);
    assert_true(db_migrate(db, two, 2, &err));
    assert_true(db_version(db, &version, &err) && version == 2);
    db_close(db);
}

static void one_writes_others_wait(void **state)
{
    struct db *db = opened(DB_SYNC_FULL), *other;
    struct err err = {0};

    (void)state;
    assert_true(db_begin(db, &err));
    assert_true(db_open(&other, path, DB_SYNC_FULL, 10, &err));
    assert_false(db_begin(other, &err));
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(err.text, "locked"));
    db_rollback(db);
    assert_true(db_begin(other, &err));
    db_rollback(other);
    db_close(other);
    assert_true(db_open_read_only(&other, path, &err));
    assert_false(db_exec(other, "CREATE TABLE no (x BIGINT)", &err));
    assert_non_null(strstr(err.text, "cannot be written"));
    db_close(other);
    db_close(db);
}

static void sync_later_syncs_once(void **state)
{
    struct db *db = opened(DB_SYNC_LATER);
    struct err err = {0};

    (void)state;
    assert_true(db_sync(db, &err));
    fault_at(0, false);
    for (int i = 0; i < 20; i++) {
        char name[20];

        snprintf(name, sizeof name, "n%d", i);
        assert_true(db_begin(db, &err) && add(db, name, &err) && db_commit(db, &err));
    }
    assert_int_equal(fault_syncs(), 0);
    assert_true(db_sync(db, &err));
    assert_int_equal(fault_syncs(), 1);
    assert_true(db_sync(db, &err));
    assert_int_equal(fault_syncs(), 1);
    db_close(db);
}

static void changes_of_others_are_seen(void **state)
{
    struct db *db = opened(DB_SYNC_FULL), *other;
    struct err err = {0};
    int64_t before, after;

    (void)state;
    assert_true(db_data_version(db, &before, &err));
    assert_true(db_data_version(db, &after, &err) && after == before);
    assert_true(db_open(&other, path, DB_SYNC_FULL, 1000, &err) && add(other, "theirs", &err));
    assert_true(db_data_version(db, &after, &err) && after != before);
    db_close(other);
    db_close(db);
}

/* One run from nothing: open, migrate, two transactions, sync. *promised counts what was said to be
 * durable. */
static bool work(enum db_sync sync, int *promised, struct err *err)
{
    struct db *db = NULL;
    bool done = db_open(&db, path, sync, 100, err) && db_migrate(db, two, 2, err);

    *promised = 0;
    for (int i = 0; done && i < 2; i++) {
        done = db_begin(db, err);
        if (done && (!add(db, i ? "c" : "a", err) || !add(db, i ? "d" : "b", err))) {
            db_rollback(db);
            done = false;
        }
        done = done && db_commit(db, err) && db_sync(db, err);
        *promised += done;
    }
    db_close(db);
    return done;
}

static void check_after_fault(enum db_sync sync, int promised)
{
    struct err err = {0};
    struct db *db;
    int64_t things, version = 0;

    fault_at(0, false);
    if (!db_open(&db, path, sync, 100, &err) || !db_version(db, &version, &err))
        fail_msg("cannot be opened after a fault: %s", err.text);
    if (!db_check_integrity(db, &err))
        fail_msg("%s", err.text);
    assert_true(version >= 0 && version <= 2);
    assert_true(promised == 0 || version == 2);
    if (version == 2) {
        things = count(db, "SELECT count(*) FROM thing");
        assert_int_equal(things % 2, 0);
        assert_true(things >= promised * 2);
    }
    if (!db_migrate(db, two, 2, &err))
        fail_msg("%s", err.text);
    db_close(db);
}

static void every_operation_fails_in_turn(void **state)
{
    (void)state;
    for (int mode = 0; mode < 4; mode++) {
        enum db_sync sync = mode & 1 ? DB_SYNC_LATER : DB_SYNC_FULL;
        bool failed = true;
        int n = 1, promised;

        for (; failed; n++) {
            struct err err = {0};
            bool done;

            remove_files();
            fault_at(n, mode & 2);
            done = work(sync, &promised, &err);
            failed = fault_happened();
            if (!failed && !done)
                fail_msg("%s", err.text);
            if (!done)
                assert_true(err.kind != ERR_NONE && err.text[0] != 0);
            check_after_fault(sync, promised);
        }
        assert_true(n > 15); /* the faults did reach the work */
    }
}

/* A process killed in the middle of a transaction leaves whole commits only. */
static void killed_in_a_transaction(void **state)
{
    struct err err = {0};
    struct db *db;
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        db = opened(DB_SYNC_LATER);
        if (db_begin(db, &err) && add(db, "in", &err) && db_commit(db, &err) &&
            db_begin(db, &err) && add(db, "out", &err))
            _exit(0);
        _exit(1);
    }
    assert_true(
        waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    db = opened(DB_SYNC_LATER);
    assert_int_equal(count(db, "SELECT count(*) FROM thing WHERE name = 'in'"), 1);
    assert_int_equal(count(db, "SELECT count(*) FROM thing"), 1);
    fault_at(0, false);
    assert_true(db_sync(db, &err));
    assert_int_equal(fault_syncs(), 1); /* the dead process may not have done it */
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(binds_and_reads, fresh),
        cmocka_unit_test_setup(like_ignores_case, fresh),
        cmocka_unit_test_setup(failures_are_latched, fresh),
        cmocka_unit_test_setup(a_failed_transaction_is_not_committed, fresh),
        cmocka_unit_test_setup(migrates_from_every_version, fresh),
        cmocka_unit_test_setup(one_writes_others_wait, fresh),
        cmocka_unit_test_setup(sync_later_syncs_once, fresh),
        cmocka_unit_test_setup(changes_of_others_are_seen, fresh),
        cmocka_unit_test_setup(every_operation_fails_in_turn, fresh),
        cmocka_unit_test_setup(killed_in_a_transaction, fresh),
    };
    int failed;

    world_begin();
    fault_install();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_end();
    return failed;
}
