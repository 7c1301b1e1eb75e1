/* `staffetta queue salvage`: what it saves of a shard that is whole, damaged page by page, flipped bit by bit, or on a
 * disk that cannot be read everywhere; and what it refuses, leaving everything as it was. */
#include "base/buf.h"
#include "base/clock.h"
#include "columns.h"
#include "salvage.h"
#include "scratch.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

enum { MESSAGES = 120, RCPTS = 3, PAGE = 16384, PATH_ROOM = SCRATCH_MAX + 80, SAID = 20000 };

static char folder[SCRATCH_MAX], file[SCRATCH_MAX + 40];
static char said[SAID]; /* by the last command, on both outputs */

/* ---- a disk that cannot be read everywhere ---- */

static ino_t bad_file;
static off_t bad_from, bad_to;
static unsigned bad_reads;

ssize_t test_pread(int fd, void *p, size_t n, off_t at) __asm__("pread");
ssize_t test_pread64(int fd, void *p, size_t n, off_t at) __asm__("pread64");
ssize_t test_pread_checked(int fd, void *p, size_t n, off_t at, size_t room) __asm__("__pread64_chk"); /* _FORTIFY_SOURCE */

/* As Linux does it: what comes before the bad place is read, by pages. */
ssize_t test_pread64(int fd, void *p, size_t n, off_t at)
{
    struct stat about;

    if (bad_to > 0 && fstat(fd, &about) == 0 && about.st_ino == bad_file && at < bad_to && at + (off_t)n > bad_from) {
        bad_reads++;
        if (at >= bad_from) {
            errno = EIO;
            return -1;
        }
        n = (size_t)(bad_from - at);
    }
    return syscall(SYS_pread64, fd, p, n, at);
}

ssize_t test_pread(int fd, void *p, size_t n, off_t at)
{
    return test_pread64(fd, p, n, at);
}

ssize_t test_pread_checked(int fd, void *p, size_t n, off_t at, size_t room)
{
    assert_true(n <= room);
    return test_pread64(fd, p, n, at);
}

static void make_unreadable(const char *path, off_t from, off_t to)
{
    struct stat about;

    assert_int_equal(stat(path, &about), 0);
    bad_file = about.st_ino;
    bad_from = from;
    bad_to = to;
    bad_reads = 0;
}

/* ---- a shard ---- */

static size_t size_of(int i)
{
    static const size_t sizes[] = {100, 3000, 70000, 0, 200000, 1000};

    return sizes[(size_t)i % (sizeof sizes / sizeof *sizes)];
}

static char byte_of(int i, size_t at)
{
    return (char)('a' + ((size_t)i * 7 + at / 100) % 26);
}

static void run(struct db *db, const char *format, ...) PRINTF(2, 3);
static void run(struct db *db, const char *format, ...)
{
    struct err err = {0};
    char sql[1000];
    va_list args;

    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    if (!db_exec(db, sql, &err))
        fail_msg("%s: %s", sql, err.text);
}

static void add_body(struct db *db, int i)
{
    static char piece[STORE_PIECE];
    struct stmt *add = stmt_new(db, "INSERT INTO chunk (message, seq, data) VALUES ($1, $2, $3)");
    struct err err = {0};

    for (size_t at = 0, seq = 0; at < size_of(i); at += STORE_PIECE, seq++) {
        size_t n = size_of(i) - at < STORE_PIECE ? size_of(i) - at : STORE_PIECE;

        for (size_t b = 0; b < n; b++)
            piece[b] = byte_of(i, at + b);
        stmt_int(add, 1000 + i);
        stmt_int(add, (int64_t)seq);
        stmt_blob(add, str_from(piece, n));
        assert_true(stmt_run(add, &err));
    }
    stmt_free(add);
}

static void fill(struct db *db)
{
    struct err err = {0};

    assert_true(db_begin(db, &err));
    for (int i = 0; i < MESSAGES; i++) {
        run(db, "INSERT INTO message (" MESSAGE_COLUMNS ", head) VALUES (%d, 1, 1000, 0, 0, 0, 0, 0, 0, 0, %zu, 4, "
            "'from%d@here.test', '', '', '', '', '', '', '', CAST('head' AS BLOB))", 1000 + i, size_of(i) + 4, i);
        for (int r = 0; r < RCPTS; r++)
            run(db, "INSERT INTO recipient (" RCPT_COLUMNS ") VALUES (%d, %d, 0, 0, %d, 1000, 0, 0, 0, 0, 0, 0, 0, 0, "
                "'to%d-%d@there.test', '', '', '', '')", 1000 + i, r, i, i, r);
        add_body(db, i);
    }
    assert_true(db_commit(db, &err));
}

static int setup(void **state)
{
    struct store *store;
    struct err err = {0};
    char path[PATH_ROOM];

    (void)state;
    scratch_make(folder, "salvage_test");
    snprintf(path, sizeof path, "%s/queue", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(file, sizeof file, "%s/queue/queue-0.db", folder);
    assert_true(store_open(&store, file, &err));
    fill(store_db(store));
    store_close(store);
    bad_to = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bad_to = 0;
    scratch_remove(folder);
    return 0;
}

static bool is_there(const char *end)
{
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s%s", file, end);
    return access(path, F_OK) == 0;
}

/* ---- the command ---- */

static void read_said(int fd)
{
    ssize_t n = syscall(SYS_pread64, fd, said, (size_t)(SAID - 1), (off_t)0);

    said[n > 0 ? n : 0] = 0;
}

static int salvage(void)
{
    char path[PATH_ROOM];
    int out = dup(1), errors = dup(2), fd, code;

    snprintf(path, sizeof path, "%s/said", folder);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && out >= 0 && errors >= 0);
    fflush(NULL);
    dup2(fd, 1);
    dup2(fd, 2);
    code = salvage_run(file);
    fflush(NULL);
    dup2(out, 1);
    dup2(errors, 2);
    read_said(fd);
    close(fd);
    close(out);
    close(errors);
    return code;
}

static int64_t number(struct db *db, const char *sql)
{
    struct stmt *s = stmt_new(db, sql);
    struct err err = {0};
    int64_t n = stmt_row(s) ? column_int(s, 0) : -1;

    if (!stmt_done(s, &err))
        fail_msg("%s: %s", sql, err.text);
    stmt_free(s);
    return n;
}

/* A message that was saved is the one it was, but for what a flipped bit changed where nothing can tell. */
static void check_body(struct db *db, int64_t id, bool exactly)
{
    struct stmt *s = stmt_new(db, "SELECT data FROM chunk WHERE message = $1 ORDER BY seq");
    struct err err = {0};
    size_t n = 0;
    int i = (int)(id - 1000);

    stmt_int(s, id);
    while (stmt_row(s)) {
        struct str data = column_str(s, 0);

        for (size_t b = 0; exactly && b < data.n; b++)
            if (data.p[b] != byte_of(i, n + b))
                fail_msg("message %d is not what it was at byte %zu", i, n + b);
        n += data.n;
    }
    assert_true(stmt_done(s, &err));
    stmt_free(s);
    if (exactly)
        assert_int_equal(n, size_of(i));
}

static int64_t check_shard(bool exactly)
{
    struct store *store;
    struct err err = {0};
    struct db *db;
    int64_t n;

    if (!store_open(&store, file, &err))
        fail_msg("%s", err.text);
    db = store_db(store);
    if (!db_check_integrity(db, &err))
        fail_msg("%s", err.text);
    assert_int_equal(number(db, "SELECT count(*) FROM recipient r WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.id = "
                                "r.message)"), 0);
    assert_int_equal(number(db, "SELECT count(*) FROM message m WHERE NOT EXISTS (SELECT 1 FROM recipient r WHERE "
                                "m.id = r.message)"), 0);
    n = number(db, "SELECT count(*) FROM message");
    assert_int_equal(number(db, "SELECT messages FROM ledger"), n);
    assert_int_equal(number(db, "SELECT accepted FROM ledger"), number(db, "SELECT count(*) FROM recipient"));
    for (int i = 0; i < MESSAGES; i++) {
        char sql[100];

        snprintf(sql, sizeof sql, "SELECT count(*) FROM message WHERE id = %d", 1000 + i);
        if (number(db, sql) > 0)
            check_body(db, 1000 + i, exactly);
    }
    store_close(store);
    return n;
}

/* Changes nothing, leaves nothing behind. */
static void refuses(int code, const char *words)
{
    struct stat before, after;

    assert_int_equal(stat(file, &before), 0);
    assert_int_equal(salvage(), code);
    if (strstr(said, words) == NULL)
        fail_msg("\"%s\" was expected, it said: %s", words, said);
    assert_int_equal(stat(file, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_false(is_there(".damaged"));
    assert_false(is_there(".copy"));
    assert_false(is_there(".salvaged"));
}

/* ---- tests ---- */

static void a_whole_shard_is_saved_whole(void **state)
{
    char expected[100];

    (void)state;
    assert_int_equal(salvage(), EX_OK);
    snprintf(expected, sizeof expected, "saved %d messages with %d recipients; lost 0 messages\n", MESSAGES, MESSAGES * RCPTS);
    assert_non_null(strstr(said, expected));
    assert_int_equal(check_shard(true), MESSAGES);
    assert_true(is_there(".damaged"));
    assert_false(is_there(".copy"));
    assert_int_equal(salvage(), EX_CANTCREAT); /* .damaged is there */
}

static off_t size_of_file(const char *path)
{
    struct stat about;

    assert_int_equal(stat(path, &about), 0);
    return about.st_size;
}

static void bad_sectors_cost_what_is_on_them(void **state)
{
    off_t middle = size_of_file(file) / 2 / PAGE * PAGE;

    (void)state;
    make_unreadable(file, middle, middle + 3 * PAGE);
    assert_int_equal(salvage(), EX_OK);
    assert_true(bad_reads > 0);
    assert_non_null(strstr(said, "; 49152 bytes cannot be read from the disk\n"));
    bad_to = 0;
    assert_in_range(check_shard(true), MESSAGES * 3 / 4, MESSAGES - 1);
}

static void one_bad_sector_costs_one_page_of_the_kernel(void **state)
{
    off_t middle = size_of_file(file) / 2 / PAGE * PAGE + 5000 / 512 * 512;

    (void)state;
    make_unreadable(file, middle, middle + 512);
    assert_int_equal(salvage(), EX_OK);
    assert_non_null(strstr(said, " bytes cannot be read from the disk\n"));
    bad_to = 0;
    assert_in_range(check_shard(true), MESSAGES - 3, MESSAGES);
}

static void the_last_sectors_are_bad(void **state)
{
    (void)state;
    make_unreadable(file, size_of_file(file) - 5 * PAGE, size_of_file(file));
    assert_int_equal(salvage(), EX_OK);
    bad_to = 0;
    assert_in_range(check_shard(true), MESSAGES / 2, MESSAGES);
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[4 << 20];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    size_t n;

    assert_non_null(in);
    assert_non_null(out);
    n = fread(bytes, 1, sizeof bytes, in);
    assert_true(n < sizeof bytes);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void an_unreadable_log_costs_what_is_in_it(void **state)
{
    struct store *store;
    struct err err = {0};
    char wal[PATH_ROOM], other[PATH_ROOM];

    (void)state;
    /* A process that ended without closing: copied while it is open. */
    assert_true(store_open(&store, file, &err));
    run(store_db(store), "UPDATE message SET login = 'later' WHERE id = 1000");
    snprintf(other, sizeof other, "%s/kept", folder);
    snprintf(wal, sizeof wal, "%s-wal", file);
    copy_file(wal, other);
    store_close(store);
    assert_int_equal(rename(other, wal), 0);
    make_unreadable(wal, 0, size_of_file(wal));
    assert_int_equal(salvage(), EX_OK);
    assert_non_null(strstr(said, "cannot be read from the disk"));
    bad_to = 0;
    assert_int_equal(check_shard(true), MESSAGES);
}

static void a_bad_first_page_is_said(void **state)
{
    (void)state;
    make_unreadable(file, 0, 4096);
    refuses(EX_DATAERR, "queue-0.db");
}

static void replace_by_database(const char *schema)
{
    struct db *db;
    struct err err = {0};

    assert_int_equal(unlink(file), 0);
    assert_true(db_open(&db, file, DB_SYNC_FULL, 100, &err));
    run(db, "%s", schema);
    db_close(db);
}

static void another_kind_of_database_is_refused(void **state)
{
    (void)state;
    replace_by_database("CREATE TABLE event (message BIGINT, time BIGINT)");
    refuses(EX_DATAERR, "no shard of the queue");
    replace_by_database("CREATE TABLE message (account BIGINT, uid BIGINT); CREATE TABLE recipient (a BIGINT);"
                        "CREATE TABLE chunk (a BIGINT)");
    refuses(EX_DATAERR, "no shard of the queue");
    replace_by_database("PRAGMA user_version = 1");
    refuses(EX_DATAERR, "no shard of the queue");
}

static void what_is_no_database_is_refused(void **state)
{
    FILE *f;

    (void)state;
    f = fopen(file, "w");
    fprintf(f, "Dear reader, this is a letter of more than a hundred characters, and not in any way a database of "
               "messages that wait for their delivery.\n");
    fclose(f);
    refuses(EX_DATAERR, "not a database");
    f = fopen(file, "w");
    fclose(f);
    refuses(EX_DATAERR, "no shard of the queue");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(salvage(), EX_NOINPUT);
}

static void not_beside_a_server_that_runs(void **state)
{
    char path[PATH_ROOM];
    int fd, ready[2];
    char byte;
    pid_t child;

    (void)state;
    snprintf(path, sizeof path, "%s/lock", folder);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        fd = open(path, O_RDWR | O_CREAT, 0600);
        if (fd < 0 || lockf(fd, F_LOCK, 0) != 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    refuses(EX_TEMPFAIL, "the server is running");
    kill(child, SIGTERM);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
}

/* ---- any damage: never a crash, and what is saved is whole ---- */

static char *keep(size_t *n)
{
    FILE *f = fopen(file, "r");
    char *bytes;

    *n = (size_t)size_of_file(file);
    bytes = malloc(*n);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    fclose(f);
    return bytes;
}

static void put(const char *bytes, size_t n)
{
    static const char *const ends[] = {".damaged", "-wal", ".damaged-wal"};
    char path[PATH_ROOM];
    FILE *f;

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", file, ends[i]);
        unlink(path);
    }
    unlink(file);
    f = fopen(file, "w");
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static int64_t salvage_of(const char *bytes, size_t n, bool exactly)
{
    int code;

    put(bytes, n);
    code = salvage();
    if (code == EX_DATAERR)
        return 0;
    if (code != EX_OK)
        fail_msg("%d: %s", code, said);
    return check_shard(exactly);
}

static void any_page_may_be_gone(void **state)
{
    size_t n;
    char *whole = keep(&n), *damaged = malloc(n);
    int64_t saved, sum = 0, tries = 0;

    (void)state;
    for (size_t page = 0; page < n / PAGE; page += page < 12 ? 1 : 17) {
        memcpy(damaged, whole, n);
        memset(damaged + page * PAGE, 0, PAGE);
        saved = salvage_of(damaged, n, false);
        if (page > 12)
            assert_in_range(saved, MESSAGES * 3 / 4, MESSAGES);
        sum += saved;
        tries++;
    }
    assert_true(sum > tries * MESSAGES / 2);
    free(whole);
    free(damaged);
}

static void any_bits_may_flip(void **state)
{
    const char *rounds = getenv("STAFFETTA_SEEDS");
    size_t n;
    char *whole = keep(&n), *damaged = malloc(n);
    unsigned long last = rounds == NULL ? 12 : strtoul(rounds, NULL, 10);

    (void)state;
    for (unsigned long seed = 1; seed <= last; seed++) {
        srand48((long)seed);
        memcpy(damaged, whole, n);
        for (long flips = 1 + lrand48() % 40; flips > 0; flips--) {
            size_t at = (size_t)lrand48() % (seed % 3 ? n : 12 * PAGE);

            damaged[at] ^= (char)(1 << lrand48() % 8);
        }
        (void)salvage_of(damaged, n, false);
    }
    free(whole);
    free(damaged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_shard_is_saved_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_sectors_cost_what_is_on_them, setup, teardown),
        cmocka_unit_test_setup_teardown(one_bad_sector_costs_one_page_of_the_kernel, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_sectors_are_bad, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unreadable_log_costs_what_is_in_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_first_page_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(another_kind_of_database_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_database_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(not_beside_a_server_that_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(any_page_may_be_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(any_bits_may_flip, setup, teardown),
    };

    return cmocka_run_group_tests_name("salvage", tests, NULL, NULL);
}
