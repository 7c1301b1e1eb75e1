/* Loss of power, and any call failing, while `staffetta queue salvage` works on a shard: afterwards every message is
 * there, those that stood in the log alone too, if need be after the command was given once more. */
#include "disk.h"
#include "lock.h"
#include "salvage.h"
#include "scratch.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

enum { MESSAGES = 40, IN_LOG = 6, PATH_ROOM = SCRATCH_MAX + 60 };

static char folder[SCRATCH_MAX], source[SCRATCH_MAX], file[SCRATCH_MAX + 40];

static void copy(const char *end)
{
    char from[PATH_ROOM + 10], to[PATH_ROOM + 10], piece[65536];
    FILE *in, *out;
    size_t n;

    snprintf(from, sizeof from, "%s/s.db%s", source, end);
    snprintf(to, sizeof to, "%s%s", file, end);
    in = fopen(from, "r");
    out = fopen(to, "w");
    assert_true(in != NULL && out != NULL);
    while ((n = fread(piece, 1, sizeof piece, in)) > 0)
        assert_int_equal(fwrite(piece, 1, n, out), n);
    fclose(in);
    fclose(out);
}

/* Large enough that the shard has many pages. */
static void add(struct db *db, int id)
{
    struct err err = {0};
    char sql[700];

    snprintf(sql, sizeof sql, "INSERT INTO message SELECT %d, 1, 1000, 0, 0, 0, 0, 0, 0, 0, 3000, 3000, 'from@here.test', '', '', "
        "'', '', '', '', '', CAST(printf('%%.3000c', 'h') AS BLOB); INSERT INTO recipient SELECT %d, 0, 0, 0, 1, 1000, 0, 0, 0, 0, 0, 0, 0, "
        "0, 'to@there.test', '', '', '', ''", id, id);
    if (!db_begin(db, &err) || !db_exec(db, sql, &err) || !db_commit(db, &err))
        fail_msg("%s", err.text);
}

/* As a process left it that was killed: the last messages are in the log alone. */
static void make_shard(void)
{
    char path[PATH_ROOM], sql[200];
    struct store *store;
    struct err err = {0};

    disk_pause();
    disk_remove(folder);
    snprintf(path, sizeof path, "%s/s.db", source);
    disk_remove(source);
    assert_true(store_open(&store, path, &err));
    for (int i = 1; i <= 2 * MESSAGES - IN_LOG; i++)
        add(store_db(store), i);
    /* The log puts its messages on pages that these leave; in a new file others stand there, so the old log beside it
     * is seen. (Pages of recipients say the same in both: the test did not see it when the log held no others.) */
    snprintf(sql, sizeof sql, "DELETE FROM recipient WHERE message <= %d; DELETE FROM message WHERE id <= %d", MESSAGES, MESSAGES);
    assert_true(db_exec(store_db(store), sql, &err));
    store_close(store);
    assert_true(store_open(&store, path, &err));
    for (int i = 1; i <= IN_LOG; i++)
        add(store_db(store), 2 * MESSAGES - IN_LOG + i);
    copy("");
    copy("-wal");
    store_close(store);
    disk_record(folder);
}

static int salvage(void)
{
    int out = dup(1), errors = dup(2), null = open("/dev/null", O_WRONLY), code;

    fflush(NULL);
    dup2(null, 1);
    dup2(null, 2);
    code = salvage_run(file);
    fflush(NULL);
    dup2(out, 1);
    dup2(errors, 2);
    close(null);
    close(out);
    close(errors);
    return code;
}

static bool all_there(char *why, size_t size)
{
    struct store *store;
    struct err err = {0};
    struct stmt *s;
    int64_t n;

    if (lock_salvage_is_open(file) && (store_open(&store, file, &err) || salvage() != EX_OK)) {
        snprintf(why, size, "it is not finished by the next time");
        return false;
    }
    if (!store_open(&store, file, &err) || !db_check_integrity(store_db(store), &err)) {
        snprintf(why, size, "%s", err.text);
        return false;
    }
    s = stmt_new(store_db(store), "SELECT count(*) FROM message m, recipient r WHERE m.id = r.message");
    n = stmt_row(s) ? column_int(s, 0) : -1;
    assert_true(stmt_done(s, &err));
    store_close(store);
    snprintf(why, size, "%d of %d messages are there", (int)n, MESSAGES);
    return n == MESSAGES;
}

static void check(size_t at, enum disk_loss loss, uint64_t seed)
{
    char why[400];

    disk_remove(folder);
    disk_lose_power(at, loss, seed, folder);
    if (!all_there(why, sizeof why))
        fail_msg("power lost at %zu of %zu, losing %s (%d): %s", at, disk_length(), disk_loss_name(loss), (int)seed, why);
}

/* The last operations change names, few of them. */
static uint64_t seeds(size_t at, enum disk_loss loss)
{
    if (loss != DISK_LOSES_SOME && loss != DISK_LOSES_LAST)
        return 1;
    return at + 12 > disk_length() ? 24 : 4;
}

static void a_loss_of_power_in_a_salvage_loses_nothing(void **state)
{
    (void)state;
    make_shard();
    assert_int_equal(salvage(), EX_OK);
    disk_pause();
    for (size_t at = 1; at <= disk_length(); at++)
        for (int loss = 0; loss < DISK_LOSSES; loss++)
            for (uint64_t seed = 0; seed < seeds(at, (enum disk_loss)loss); seed++)
                check(at, (enum disk_loss)loss, seed);
    print_message("powercut: %zu operations on tape\n", disk_length());
    disk_remove(folder);
    disk_lose_power(disk_length(), DISK_LOSES_ALL, 1, folder);
    if (lock_salvage_is_open(file))
        fail_msg("what the command said is done is not");
}

/* Killed there, or the disk takes nothing more. */
static void a_failing_call_in_a_salvage_loses_nothing(void **state)
{
    bool failed = true;
    char why[400];

    (void)state;
    for (unsigned n = 1; failed; n++) {
        make_shard();
        disk_fail(n, n % 2 ? EIO : ENOSPC, n % 3 == 0);
        (void)salvage();
        failed = disk_failed();
        disk_fail(0, 0, false);
        if (!all_there(why, sizeof why))
            fail_msg("call %u failed: %s", n, why);
    }
}

/* Killed there, without a loss of power; the next run finishes it, and then the power goes. */
static void what_a_killed_salvage_left_is_not_trusted(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned n = 1; failed; n++) {
        size_t from;

        make_shard();
        disk_fail(n, EIO, true);
        (void)salvage();
        failed = disk_failed();
        disk_fail(0, 0, false);
        if (!lock_salvage_is_open(file))
            continue;
        from = disk_length();
        assert_int_equal(salvage(), EX_OK);
        disk_pause();
        for (size_t at = from; at <= disk_length(); at++)
            for (uint64_t seed = 0; seed < 24; seed++)
                check(at, DISK_LOSES_SOME, seed);
        check(disk_length(), DISK_LOSES_ALL, 1);
    }
}

static int setup(void **state)
{
    (void)state;
    scratch_make_in_memory(folder, "powercut_salvage");
    scratch_make_in_memory(source, "powercut_shard");
    snprintf(file, sizeof file, "%s/queue-0.db", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    disk_pause();
    scratch_remove(folder);
    scratch_remove(source);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_loss_of_power_in_a_salvage_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_killed_salvage_left_is_not_trusted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failing_call_in_a_salvage_loses_nothing, setup, teardown),
    };

    return cmocka_run_group_tests_name("powercut_salvage", tests, NULL, NULL);
}
