/* Databases that belong to one process (db_exclude_others): its handles agree, another process is told that they are locked and
 * locks us out in turn, the kernel gives them back when a process dies, and its commits are there. */
#include "db_world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int to_other[2], from_other[2];
static pid_t other;

/* ---- the other process: this program once more ---- */

/* Has the database until it is told to leave it, or killed. */
static int keep_it(const char *file)
{
    struct err err = {0};
    struct db *db;
    char c;

    if (!db_open(&db, file, DB_SYNC_LATER, 0, &err) || !db_migrate(db, one, 1, &err) || !db_begin(db, &err) ||
        !add(db, "of the other", &err) || !db_commit(db, &err) || write(STDOUT_FILENO, "", 1) != 1 || read(STDIN_FILENO, &c, 1) != 1)
        return 1;
    usleep(20000); /* so that whoever opens it now waits */
    db_close(db);
    return 0;
}

static int own(const char *file)
{
    db_exclude_others();
    return keep_it(file);
}

/* 0: it is locked. */
static int look(const char *file)
{
    struct err err = {0};
    struct db *db;

    if (!db_open_read_only(&db, file, &err))
        return strstr(err.text, "locked by another process") == NULL;
    db_close(db);
    return 1;
}

static int become(const char *what, const char *file)
{
    return strcmp(what, "own") == 0 ? own(file) : strcmp(what, "guest") == 0 ? keep_it(file) : look(file);
}

static void begin_other(const char *what)
{
    assert_int_equal(pipe(to_other), 0);
    assert_int_equal(pipe(from_other), 0);
    other = fork();
    assert_true(other >= 0);
    if (other == 0) {
        dup2(to_other[0], STDIN_FILENO);
        dup2(from_other[1], STDOUT_FILENO);
        execl("/proc/self/exe", "other", what, path, (char *)NULL);
        _exit(1);
    }
    close(to_other[0]);
    close(from_other[1]);
}

static void it_has_it(void)
{
    char c;

    assert_int_equal(read(from_other[0], &c, 1), 1);
}

static void it_may_go(void)
{
    assert_int_equal(write(to_other[1], "", 1), 1);
}

static void it_ends(int expected)
{
    int status;

    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), expected);
    close(to_other[1]);
    close(from_other[0]);
}

/* ---- tests ---- */

static bool there_is(const char *suffix)
{
    char name[SCRATCH_MAX + 40];

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

static void must_be_locked(void)
{
    struct err err = {0};
    struct db *db;

    assert_false(db_open(&db, path, DB_SYNC_LATER, 0, &err));
    assert_int_equal(err.kind, ERR_TEMPORARY);
    assert_non_null(strstr(err.text, "locked by another process"));
}

static int64_t things(void)
{
    struct err err = {0};
    struct db *db;
    int64_t n;

    assert_true(db_open(&db, path, DB_SYNC_LATER, 20000, &err));
    n = count(db, "SELECT count(*) FROM thing");
    db_close(db);
    return n;
}

/* A reader keeps its view while another handle writes more than a checkpoint's worth; no index is on disk. */
static void handles_of_one_process_agree(void **state)
{
    enum { COMMITS = 700 };
    struct db *db = opened(DB_SYNC_LATER), *reader;
    struct err err = {0};
    char name[30];

    (void)state;
    assert_true(db_begin(db, &err) && add(db, "first", &err) && db_commit(db, &err));
    assert_true(db_open_read_only(&reader, path, &err) && db_keep_view(reader, &err));
    for (int i = 0; i < COMMITS; i++) {
        snprintf(name, sizeof name, "thing %d", i);
        assert_true(db_begin(db, &err) && add(db, name, &err) && db_commit(db, &err));
    }
    assert_int_equal(count(reader, "SELECT count(*) FROM thing"), 1);
    db_close(reader);
    assert_true(db_open_read_only(&reader, path, &err));
    assert_int_equal(count(reader, "SELECT count(*) FROM thing"), COMMITS + 1);
    assert_true(there_is("-wal"));
    assert_false(there_is("-shm"));
    db_close(reader);
    assert_true(db_begin(db, &err) && add(db, "last", &err) && db_commit(db, &err));
    db_close(db);
    assert_false(there_is("-wal"));
    assert_int_equal(things(), COMMITS + 2);
}

/* Closing a file gives back the locks a process has on it, for the kernel: closing a reader must not. */
static void others_are_kept_out_until_the_last_handle_is_closed(void **state)
{
    struct db *db = opened(DB_SYNC_LATER), *reader;
    struct err err = {0};

    (void)state;
    assert_true(db_open_read_only(&reader, path, &err));
    assert_int_equal(count(reader, "SELECT count(*) FROM thing"), 0);
    db_close(reader);
    begin_other("look");
    it_ends(0);
    db_close(db);
    begin_other("look");
    it_ends(1);
}

/* The process before us, or sqlite3 on the command line. */
static void what_another_process_has_is_waited_for(void **state)
{
    static const char *const others[] = {"own", "guest"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        remove_files();
        begin_other(others[i]);
        it_has_it();
        must_be_locked();
        it_may_go();
        assert_int_equal(things(), 1);
        it_ends(0);
    }
}

static void what_a_killed_process_committed_is_there(void **state)
{
    (void)state;
    begin_other("own");
    it_has_it();
    assert_true(there_is("-wal"));
    kill(other, SIGKILL);
    it_ends(-SIGKILL);
    assert_int_equal(things(), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(handles_of_one_process_agree, fresh),
        cmocka_unit_test_setup(others_are_kept_out_until_the_last_handle_is_closed, fresh),
        cmocka_unit_test_setup(what_another_process_has_is_waited_for, fresh),
        cmocka_unit_test_setup(what_a_killed_process_committed_is_there, fresh),
    };
    int failed;

    if (argc == 3)
        return become(argv[1], argv[2]);
    db_exclude_others();
    world_begin();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_end();
    return failed;
}
