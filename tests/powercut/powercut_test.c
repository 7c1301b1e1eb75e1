/* Loss of power under mixed work of queue and mailbox, and cases of their own for what it found. */
#include "cut.h"
#include "db/db.h"
#include "line.h"
#include "mailroom.h"
#include "queue_world.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A process that made the folder of an account's database and died before the name was on disk: the next one must
 * not trust what it finds. One box at a time, since a sync of the file system for many would do it, too. */
static void a_folder_left_by_a_dead_process_keeps_its_mail(void **state)
{
    char path[300], why[400] = "";

    (void)state;
    line_open(1);
    for (int i = 1; i <= LINE_BOXES; i++) {
        snprintf(path, sizeof path, "%s/mailbox/%02x", line_folder(), (unsigned)i);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (int i = 0; i < LINE_BOXES; i++)
        line_deliver(1u << i);
    disk_pause();
    line_halt();
    disk_remove(line_folder());
    disk_lose_power(disk_length(), DISK_LOSES_ALL, 1, line_folder());
    line_boot();
    if (!line_keeps_promises(disk_length(), why, sizeof why))
        fail_msg("%s", why);
    line_close();
}

static void count_one(void *arg, int64_t uid, struct str bytes)
{
    (void)uid;
    (void)bytes;
    ++*(int *)arg;
}

/* What was answered is there without a restart. */
static void expect_messages(unsigned boxes, unsigned failing)
{
    struct err err = {0};
    int n = 0;

    for (size_t i = 0; i < line->messages; i++)
        n += line->message[i].answered != LINE_NEVER;
    assert_true(n > 0);

    for (int i = 0; i < LINE_BOXES; i++) {
        int found = 0;

        if (!(boxes & 1u << i))
            continue;
        if (!mailroom_walk(i + 1, count_one, &found, &err))
            fail_msg("%s", err.text);
        if (found != n)
            fail_msg("sync %u failed: %d of %d messages are in box%d", failing, found, n, i + 1);
    }
}

/* A sync on the way of the message after `before` others fails once; the next one comes; then the power goes. */
static bool deliver_past_a_failed_sync(unsigned boxes, int before, unsigned failing)
{
    char why[400] = "";
    bool failed;

    line_open(1);
    for (int i = 0; i < before; i++)
        line_deliver(boxes);
    disk_fail_sync(failing, EIO);
    line_deliver(boxes);
    failed = disk_failed();
    disk_fail(0, 0, false);
    if (before == 0) {
        line_deliver(boxes);
        expect_messages(boxes, failing);
    }
    disk_pause();
    line_halt();
    disk_remove(line_folder());
    disk_lose_power(disk_length(), DISK_LOSES_ALL, 1, line_folder());
    line_boot();
    if (!line_keeps_promises(disk_length(), why, sizeof why))
        fail_msg("sync %u failed: %s", failing, why);
    line_close();
    return failed;
}

static void each_sync_of_a_delivery_that_fails_is_made_up_for(void **state)
{
    enum { ONE = 1, MANY = 0x1ff };

    (void)state;
    for (unsigned n = 1; deliver_past_a_failed_sync(ONE, 0, n); n++)
        ;
    for (unsigned n = 1; deliver_past_a_failed_sync(MANY, 1, n); n++)
        ;
}

enum { BLOB_MOST = 3 * 1024 * 1024 };

/* ---- one database: each sync fails once, then the power goes ---- */

static const char *database_path(void)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/queue/one.db", line_folder());
    return path;
}

static bool insert(struct db *db, int id, size_t size, struct err *err)
{
    static char bytes[BLOB_MOST];
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

/* How many rows are promised from that place of the tape on. */
static struct {
    size_t at;
    int rows;
} promises[32];
static size_t promise_count;

static void promise(int rows)
{
    assert_true(promise_count < sizeof promises / sizeof *promises);
    promises[promise_count].at = disk_length();
    promises[promise_count++].rows = rows;
}

/* NULL with err set when something fails. */
static struct db *try_to_open(enum db_sync sync, struct err *err)
{
    struct db *db = NULL;

    if (db_open(&db, database_path(), sync, 100, err) &&
        db_exec(db, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, data BLOB)", err) && db_sync(db, err))
        return db;
    db_close(db);
    return NULL;
}

static struct db *open_database(enum db_sync sync)
{
    struct err err = {0};
    struct db *db = try_to_open(sync, &err);

    if (db == NULL)
        fail_msg("%s", err.text);
    return db;
}

static int count_rows(struct db *db)
{
    struct stmt *all = stmt_new(db, "SELECT id FROM t ORDER BY id");
    struct err err = {0};
    int rows = 0;

    while (stmt_row(all))
        assert_int_equal(column_int(all, 0), rows++);
    assert_true(stmt_done(all, &err));
    stmt_free(all);
    return rows;
}

/* Every second one has `size` bytes. */
static void write_rows(struct db *db, int rows, size_t size)
{
    struct err err = {0};

    for (int id = count_rows(db); id < rows && insert(db, id, id % 2 ? 300 : size, &err); id++)
        if (db_sync(db, &err))
            promise(id + 1);
}

static bool has_table(struct db *db)
{
    struct stmt *find = stmt_new(db, "SELECT name FROM sqlite_schema WHERE name = 't'");
    bool found = stmt_row(find);

    stmt_free(find);
    return found;
}

static void expect_rows(enum db_sync sync, size_t at, enum disk_loss loss, unsigned failing)
{
    struct db *db = NULL;
    struct err err = {0};
    int rows, promised = 0;

    disk_remove(line_folder());
    disk_lose_power(at, loss, 1, line_folder());
    for (size_t i = 0; i < promise_count && promises[i].at <= at; i++)
        promised = promises[i].rows;
    if (!db_open(&db, database_path(), sync, 100, &err) || !db_check_integrity(db, &err))
        fail_msg("sync %u failed, power lost at %zu, losing %s: %s", failing, at, disk_loss_name(loss), err.text);
    rows = has_table(db) ? count_rows(db) : 0;
    if (rows < promised)
        fail_msg("sync %u failed, power lost at %zu, losing %s: %d rows were promised, %d are there", failing, at,
            disk_loss_name(loss), promised, rows);
    db_close(db);
}

/* A disk with nothing on it but the folder of the database. */
static void begin_database(void)
{
    line_open(1);
    disk_pause();
    line_halt();
    disk_record(line_folder());
    promise_count = 0;
}

static void end_database(void)
{
    line_boot();
    line_close();
}

/* More than the log may hold without a checkpoint. */
static void fail_each_sync(enum db_sync sync, int rows)
{
    bool failed = true;

    for (unsigned n = 1; failed; n++) {
        struct db *db;

        begin_database();
        db = open_database(sync);
        disk_fail_sync(n, EIO);
        write_rows(db, rows, BLOB_MOST);
        disk_pause();
        db_close(db);
        failed = disk_failed();
        disk_fail(0, 0, false);
        if (!failed)
            assert_int_equal(promises[promise_count - 1].rows, rows);
        expect_rows(sync, disk_length(), DISK_LOSES_ALL, n);
        end_database();
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

/* The sync that fails is one of those that make a new database; then it is opened once more. SQLite says nothing of
 * that of the folder with the name of its log. */
static void fail_each_sync_of_a_new_one(enum db_sync sync)
{
    enum { ROWS = 3 };
    bool failed = true;

    for (unsigned n = 1; failed; n++) {
        struct err err = {0};
        struct db *db;

        begin_database();
        disk_fail_sync(n, EIO);
        db = try_to_open(sync, &err);
        failed = disk_failed();
        disk_fail(0, 0, false);
        if (db == NULL)
            db = open_database(sync);
        write_rows(db, ROWS, 300);
        disk_pause();
        db_close(db);
        assert_int_equal(promises[promise_count - 1].rows, ROWS);
        expect_rows(sync, disk_length(), DISK_LOSES_ALL, n);
        end_database();
    }
}

static void a_new_log_whose_folder_was_not_synced_is_nothing_to_promise_on(void **state)
{
    (void)state;
    fail_each_sync_of_a_new_one(DB_SYNC_FULL);
    fail_each_sync_of_a_new_one(DB_SYNC_LATER);
}

/* The process whose sync failed ends, in order or killed; the next one goes on with what it finds. */
static void go_on_after_each_sync(enum db_sync sync, bool killed)
{
    enum { ROWS = 5, SIZE = 100000 };
    bool failed = true;

    for (unsigned n = 1; failed; n++) {
        struct db *db;
        size_t from;

        begin_database();
        db = open_database(sync);
        write_rows(db, 2, SIZE);
        db_close(db); /* now it is all in the database file, and a new log changes pages of it */
        db = open_database(sync);
        disk_fail_sync(n, EIO);
        write_rows(db, ROWS, SIZE);
        failed = disk_failed();
        from = disk_length();
        disk_fail(killed ? 1 : 0, EIO, true);
        db_close(db);
        disk_fail(0, 0, false);
        db = open_database(sync);
        promise(count_rows(db)); /* what is found may be told: a command that is repeated says "is there already" */
        write_rows(db, ROWS + 3, SIZE);
        db_close(db);
        disk_pause();
        assert_int_equal(promises[promise_count - 1].rows, ROWS + 3);
        for (size_t at = from; at <= disk_length(); at++) {
            if (!disk_is_sync(at) && at < disk_length())
                continue;
            for (int loss = 0; loss < DISK_LOSSES; loss++)
                expect_rows(sync, at, (enum disk_loss)loss, n);
        }
        end_database();
    }
}

static void what_a_failed_sync_left_is_nothing_to_build_on(void **state)
{
    (void)state;
    for (int killed = 0; killed < 2; killed++) {
        go_on_after_each_sync(DB_SYNC_FULL, killed);
        go_on_after_each_sync(DB_SYNC_LATER, killed);
    }
}

static void a_loss_of_power_breaks_no_promise(void **state)
{
    static const struct cut_world on_the_line = {line_open, line_close, line_folder, line_boot, line_halt, line_work,
        world_freeze_clock, line_keeps_promises, line_forget_after};
    static const struct cut_effort brief = {4, 2, 12, 8, 3}, thorough = {1, 3, 16, 0, DISK_LOSSES + 1};

    (void)state;
    cut_run(&on_the_line, &brief, &thorough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loss_of_power_breaks_no_promise),
        cmocka_unit_test(each_sync_of_a_delivery_that_fails_is_made_up_for),
        cmocka_unit_test(after_a_failed_sync_nothing_is_promised),
        cmocka_unit_test(a_new_log_whose_folder_was_not_synced_is_nothing_to_promise_on),
        cmocka_unit_test(what_a_failed_sync_left_is_nothing_to_build_on),
        cmocka_unit_test(a_folder_left_by_a_dead_process_keeps_its_mail),
    };

    db_exclude_others();
    return cmocka_run_group_tests_name("powercut", tests, NULL, NULL);
}
