/* What the SQLite driver adds to db_test.c: its messages, its memory of a failed sync, its pages. */
#include "db_world.h"
#include "fault_vfs.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* After a constraint has refused a row the transaction goes on. */
static void a_refused_row_is_named(void **state)
{
    struct db *db = opened(DB_SYNC_FULL);
    struct err err = {0};

    (void)state;
    assert_true(db_begin(db, &err) && add(db, "same", &err));
    assert_false(add(db, "same", &err));
    assert_non_null(strstr(err.text, "UNIQUE"));
    assert_true(add(db, "other", &err) && db_commit(db, &err));
    assert_int_equal(count(db, "SELECT count(*) FROM thing"), 2);
    db_close(db);
}

static void errors_say_what_to_do(void **state)
{
    struct err err = {0};
    struct db *db;
    char missing[SCRATCH_MAX + 20];
    FILE *f;

    (void)state;
    snprintf(missing, sizeof missing, "%s/nowhere/x.db", folder);
    assert_false(db_open(&db, missing, DB_SYNC_FULL, 10, &err));
    assert_non_null(strstr(err.text, "folder"));
    assert_false(db_open_read_only(&db, path, &err));
    f = fopen(path, "w");
    for (int i = 0; i < 2000; i++)
        fputs("this is no database ", f);
    fclose(f);
    assert_false(db_open(&db, path, DB_SYNC_FULL, 10, &err));
    assert_non_null(strstr(err.text, "not a database"));
}

/* SQLite opens such a file for reading: an account whose file could not be opened for writing once, for want of space,
 * took no mail until a restart. */
static void a_file_that_cannot_be_written_is_not_opened(void **state)
{
    struct err err = {0};
    struct db *db = opened(DB_SYNC_FULL);
    int status = 0;
    pid_t child;

    (void)state;
    db_close(db);
    assert_true(chmod(folder, 0755) == 0 && chmod(path, 0444) == 0);
    child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        _exit(!db_open(&db, path, DB_SYNC_LATER, 10, &err) && strstr(err.text, "cannot be written") != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void a_failed_sync_is_remembered(void **state)
{
    struct db *db = opened(DB_SYNC_FULL);
    struct err err = {0};

    (void)state;
    fault_at(0, false);
    assert_true(db_begin(db, &err) && add(db, "full", &err) && db_commit(db, &err));
    assert_true(fault_syncs() >= 1);
    db_close(db);
    db = opened(DB_SYNC_LATER);
    assert_true(add(db, "lost?", &err));
    fault_at(1, false);
    assert_false(db_sync(db, &err));
    assert_false(db_sync(db, &err));
    assert_non_null(strstr(err.text, "earlier sync failed"));
    assert_false(db_begin(db, &err));
    db_close(db);
    db = opened(DB_SYNC_LATER);
    assert_true(add(db, "before", &err) && db_begin(db, &err) && add(db, "under way", &err));
    fault_at(1, false);
    assert_false(db_sync(db, &err));
    assert_false(db_commit(db, &err));
    assert_false(db_in_transaction(db));
    db_close(db);
}

static void a_sync_inside_a_transaction_is_not_that_of_its_commit(void **state)
{
    struct db *db = opened(DB_SYNC_LATER);
    struct err err = {0};

    (void)state;
    assert_true(db_begin(db, &err) && add(db, "under way", &err) && db_sync(db, &err) && db_commit(db, &err));
    fault_at(0, false);
    assert_true(db_sync(db, &err));
    assert_true(fault_syncs() >= 1);
    db_close(db);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[4096];
    size_t n;
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");

    assert_true(in != NULL && out != NULL);
    while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* What another process would find if this one were gone now. */
static int64_t count_in_files(const char *sql)
{
    char other[sizeof path + 8], log[sizeof path + 8], other_log[sizeof path + 16];
    struct err err = {0};
    struct db *db;
    int64_t n;

    snprintf(other, sizeof other, "%s.copy", path);
    snprintf(log, sizeof log, "%s-wal", path);
    snprintf(other_log, sizeof other_log, "%s.copy-wal", path);
    copy_file(path, other);
    copy_file(log, other_log);
    assert_true(db_open(&db, other, DB_SYNC_LATER, 10, &err));
    n = count(db, sql);
    db_close(db);
    remove(other);
    remove(other_log);
    return n;
}

/* Also where it was too large for the cache, and pages that were in the log already were changed again. */
static void a_commit_is_in_the_files_when_it_returns(void **state)
{
    struct db *db = opened(DB_SYNC_LATER);
    struct err err = {0};
    char name[20];

    (void)state;
    assert_true(add(db, "small", &err));
    assert_int_equal(count_in_files("SELECT count(*) FROM thing"), 1);
    for (int round = 0; round < 3; round++) {
        assert_true(db_begin(db, &err));
        for (int i = 0; i < 3000; i++) {
            snprintf(name, sizeof name, "large %d %d", round, i);
            assert_true(add(db, name, &err));
        }
        assert_true(db_exec(db, "UPDATE thing SET body = randomblob(1000)", &err));
        assert_true(db_exec(db, "UPDATE thing SET body = zeroblob(900) WHERE id < 100", &err));
        assert_true(db_commit(db, &err));
        assert_int_equal(count_in_files("SELECT count(*) FROM thing"), 1 + 3000 * (round + 1));
        assert_int_equal(count_in_files("SELECT count(*) FROM thing WHERE length(body) = 900"), 99);
    }
    db_close(db);
}

static void own_changes_are_no_news(void **state)
{
    struct db *db = opened(DB_SYNC_FULL);
    struct err err = {0};
    int64_t before, after;

    (void)state;
    assert_true(db_data_version(db, &before, &err));
    assert_true(add(db, "mine", &err));
    assert_true(db_data_version(db, &after, &err) && after == before);
    db_close(db);
}

static void size_counts_pages(void **state)
{
    struct db *db = opened(DB_SYNC_FULL);
    struct err err = {0};
    int64_t used, unused, before;

    (void)state;
    assert_true(db_size(db, &before, &unused, &err));
    assert_true(before > 0 && before % 16384 == 0);
    assert_true(
        db_exec(db, "INSERT INTO thing (name, body) VALUES ('big', zeroblob(1000000))", &err));
    assert_true(db_size(db, &used, &unused, &err));
    assert_true(used >= before + 950000);
    assert_true(db_exec(db, "DELETE FROM thing", &err));
    assert_true(db_size(db, &used, &unused, &err));
    assert_true(unused >= 950000 && used <= before + 16384);
    db_close(db);
}

static const char big[] = "INSERT INTO thing (name, body) VALUES (hex(randomblob(8)), randomblob(60000))";

/* The second write of the commit is told to fail, and there is none. */
static void a_commit_is_one_write(void **state)
{
    struct db *db = opened(DB_SYNC_LATER);
    struct err err = {0};

    (void)state;
    assert_true(db_begin(db, &err) && db_exec(db, big, &err));
    fault_at(2, false);
    assert_true(db_commit(db, &err));
    assert_false(fault_happened());
    fault_at(0, false);
    assert_int_equal(count(db, "SELECT count(*) FROM thing"), 1);
    db_close(db);
}

/* Half of it is in the log then, and the next commit is written over it. */
static void a_commit_whose_write_fails_is_undone(void **state)
{
    struct db *db = opened(DB_SYNC_LATER);
    struct err err = {0};

    (void)state;
    assert_true(db_begin(db, &err) && db_exec(db, big, &err));
    fault_at(1, false);
    assert_false(db_commit(db, &err));
    assert_true(fault_happened());
    assert_int_equal(count(db, "SELECT count(*) FROM thing"), 0);
    assert_true(db_begin(db, &err) && add(db, "next", &err) && db_commit(db, &err));
    assert_int_equal(count(db, "SELECT count(*) FROM thing"), 1);
    db_close(db);
    db = opened(DB_SYNC_LATER);
    assert_int_equal(count(db, "SELECT count(*) FROM thing"), 1);
    assert_true(db_check_integrity(db, &err));
    db_close(db);
}

/* Its first pages are in the log before it ends, and it reads them there. */
static void a_transaction_larger_than_the_cache_reads_itself(void **state)
{
    struct db *db = opened(DB_SYNC_LATER);
    struct err err = {0};

    (void)state;
    for (int end = 0; end < 2; end++) {
        assert_true(db_begin(db, &err));
        for (int i = 0; i < 60; i++)
            assert_true(db_exec(db, big, &err));
        assert_int_equal(count(db, "SELECT sum(length(body)) FROM thing"), 60 * 60000);
        if (end == 0)
            db_rollback(db);
        else
            assert_true(db_commit(db, &err));
    }
    assert_true(db_check_integrity(db, &err));
    db_close(db);
    db = opened(DB_SYNC_LATER);
    assert_int_equal(count(db, "SELECT sum(length(body)) FROM thing"), 60 * 60000);
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_refused_row_is_named, fresh),
        cmocka_unit_test_setup(errors_say_what_to_do, fresh),
        cmocka_unit_test_setup(a_file_that_cannot_be_written_is_not_opened, fresh),
        cmocka_unit_test_setup(a_failed_sync_is_remembered, fresh),
        cmocka_unit_test_setup(a_sync_inside_a_transaction_is_not_that_of_its_commit, fresh),
        cmocka_unit_test_setup(a_commit_is_in_the_files_when_it_returns, fresh),
        cmocka_unit_test_setup(own_changes_are_no_news, fresh),
        cmocka_unit_test_setup(size_counts_pages, fresh),
        cmocka_unit_test_setup(a_commit_is_one_write, fresh),
        cmocka_unit_test_setup(a_commit_whose_write_fails_is_undone, fresh),
        cmocka_unit_test_setup(a_transaction_larger_than_the_cache_reads_itself, fresh),
    };
    int failed;

    world_begin();
    fault_install();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_end();
    return failed;
}
