/* Loss of power under mixed work of queue and mailbox: at the syncs of a run, every kind of loss of what was not
 * synced; then the roles start on what is left, and every promise is looked after. Then the run goes on from one of
 * those disks.
 *
 * POWERCUT_SEEDS=100 POWERCUT_FIRST=1 runs that many seeds, each with more work, at every sync (tests/powercut/run). */
#include "line.h"
#include "queue_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct effort {
    unsigned generations, steps, cuts, losses; /* cuts: 0 for all; losses: pictures a cut */
};

static int64_t time_of_loss;
static unsigned long pictures, cuts, operations;

static void check(uint64_t seed, size_t at, enum disk_loss loss, uint64_t variant)
{
    char why[400] = "";

    disk_remove(line_folder());
    disk_lose_power(at, loss, variant, line_folder());
    world_freeze_clock(time_of_loss);
    line_boot();
    if (!line_keeps_promises(at, why, sizeof why)) {
        if (getenv("POWERCUT_TAPE") != NULL)
            disk_dump(0, at);
        fail_msg("seed %llu, power lost at %zu of %zu, losing %s (%llu): %s", (unsigned long long)seed, at,
            disk_length(), disk_loss_name(loss), (unsigned long long)variant, why);
    }
    line_halt();
    pictures++;
}

/* The next place at which power is to be lost: before a sync, when most is under way, or after the last one. */
static size_t next_cut(size_t at, size_t stride)
{
    for (at++; at < disk_length(); at++)
        if (disk_is_sync(at) && --stride == 0)
            return at;
    return disk_length();
}

static void check_cut(uint64_t seed, size_t at, unsigned losses)
{
    cuts++;
    for (unsigned i = 0; i < losses; i++) {
        enum disk_loss loss = losses >= DISK_LOSSES && i < DISK_LOSSES ? (enum disk_loss)i
                              : line_random(2) ? DISK_LOSES_SOME
                                               : (enum disk_loss)line_random(DISK_LOSSES);

        check(seed, at, loss, line_random(UINT32_MAX));
    }
}

/* Loses power at places up to `last`, then goes on from one of the disks found there. */
static void generation(uint64_t seed, const struct effort *e)
{
    size_t last, stride;

    line_work(e->steps);
    disk_pause();
    time_of_loss = clock_now();
    line_halt();
    operations += disk_length();
    last = disk_length() / 2 + line_random(disk_length() / 2 + 1);
    stride = e->cuts == 0 ? 1 : disk_count_syncs() / e->cuts + 1;
    for (size_t at = next_cut(line_random(stride), stride); at < last; at = next_cut(at, stride))
        check_cut(seed, at, e->losses);
    disk_remove(line_folder());
    disk_lose_power(last, DISK_LOSES_SOME, line_random(UINT32_MAX), line_folder());
    line_forget_after(last);
    disk_record(line_folder());
    world_freeze_clock(time_of_loss);
    line_boot();
}

static void run_seed(uint64_t seed, const struct effort *e)
{
    char why[400] = "";

    line_open(seed);
    for (unsigned i = 0; i < e->generations; i++)
        generation(seed, e);
    disk_pause();
    if (!line_keeps_promises(disk_length(), why, sizeof why))
        fail_msg("seed %llu, at the end: %s", (unsigned long long)seed, why);
    line_close();
}

/* A process that made the folder of an account's database and died before the name was on disk: the next one must
 * not trust what it finds. */
static void a_folder_left_by_a_dead_process_keeps_its_mail(void **state)
{
    char path[300], why[400] = "";

    (void)state;
    line_open(1);
    for (int i = 1; i <= LINE_BOXES; i++) {
        snprintf(path, sizeof path, "%s/mailbox/%02x", line_folder(), (unsigned)i);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    line_work(6);
    line_finish();
    disk_pause();
    line_halt();
    disk_remove(line_folder());
    disk_lose_power(disk_length(), DISK_LOSES_ALL, 1, line_folder());
    line_boot();
    if (!line_keeps_promises(disk_length(), why, sizeof why))
        fail_msg("%s", why);
    line_close();
}

/* ---- one database: each sync fails once, then the power goes ---- */

static const char *database_path(void)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/queue/one.db", line_folder());
    return path;
}

static bool insert(struct db *db, int id, size_t size, struct err *err)
{
    static char bytes[3 * 1024 * 1024];
    struct stmt *add = stmt_new(db, "INSERT INTO t (id, data) VALUES ($1, $2)");
    bool done = db_begin(db, err);

    memset(bytes, 'a' + id, size);
    stmt_int(add, id);
    stmt_blob(add, str_from(bytes, size));
    if (done && !stmt_run(add, err)) {
        db_rollback(db);
        done = false;
    }
    stmt_free(add);
    return done && db_commit(db, err);
}

/* Writes more than the log may hold without a checkpoint; returns how many rows are promised. */
static int write_rows(enum db_sync sync, int rows, unsigned failing)
{
    struct db *db = NULL;
    struct err err = {0};
    int promised = 0;

    if (!db_open(&db, database_path(), sync, 100, &err) ||
        !db_exec(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)", &err) || !db_sync(db, &err))
        fail_msg("%s", err.text);
    disk_fail_sync(failing, EIO);
    for (int id = 0; id < rows && insert(db, id, id % 2 ? 300 : 3 * 1024 * 1024, &err); id++)
        if (db_sync(db, &err))
            promised = id + 1;
    disk_pause();
    db_close(db);
    return promised;
}

static void expect_rows(enum db_sync sync, int promised, unsigned failing)
{
    struct db *db = NULL;
    struct err err = {0};
    struct stmt *all;
    int rows = 0;

    if (!db_open(&db, database_path(), sync, 100, &err) || !db_check_integrity(db, &err))
        fail_msg("sync %u: %s", failing, err.text);
    all = stmt_new(db, "SELECT id FROM t ORDER BY id");
    while (stmt_row(all))
        assert_int_equal(column_int(all, 0), rows++);
    assert_true(stmt_done(all, &err));
    if (rows < promised)
        fail_msg("sync %u: %d rows were promised, %d are there", failing, promised, rows);
    db_close(db);
}

static void fail_each_sync(enum db_sync sync, int rows)
{
    bool failed = true;

    for (unsigned n = 1; failed; n++) {
        int promised;

        line_open(1);
        disk_pause();
        line_halt();
        disk_record(line_folder());
        promised = write_rows(sync, rows, n);
        failed = disk_failed();
        disk_fail(0, 0, false);
        disk_remove(line_folder());
        disk_lose_power(disk_length(), DISK_LOSES_ALL, 1, line_folder());
        expect_rows(sync, promised, n);
        line_boot();
        line_close();
        if (!failed)
            assert_int_equal(promised, rows);
    }
}

static void after_a_failed_sync_nothing_is_promised(void **state)
{
    (void)state;
    for (int rows = 2; rows < 6; rows++) {
        fail_each_sync(DB_SYNC_FULL, rows);
        fail_each_sync(DB_SYNC_LATER, rows);
    }
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void a_loss_of_power_breaks_no_promise(void **state)
{
    static const struct effort brief = {2, 12, 8, 3}, thorough = {3, 16, 0, DISK_LOSSES + 1};
    uint64_t first = from_environment("POWERCUT_FIRST", 1), seeds = from_environment("POWERCUT_SEEDS", 0);

    (void)state;
    for (uint64_t seed = first; seed < first + (seeds == 0 ? 4 : seeds); seed++)
        run_seed(seed, seeds == 0 ? &brief : &thorough);
    print_message("powercut: %lu operations on tape, power lost at %lu places, %lu disks looked at\n", operations, cuts,
        pictures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loss_of_power_breaks_no_promise),
        cmocka_unit_test(after_a_failed_sync_nothing_is_promised),
        cmocka_unit_test(a_folder_left_by_a_dead_process_keeps_its_mail),
    };

    return cmocka_run_group_tests_name("powercut", tests, NULL, NULL);
}
