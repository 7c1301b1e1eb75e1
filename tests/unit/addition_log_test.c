/* The log of additions (docs/mailbox.md): its records and groups, and its file. What databases take from it: additions_test.c. */
#include "roles/mailbox/addition_log.h"
#include "scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ACCOUNT = 261, OTHER = 262 };

static char folder[SCRATCH_MAX];
static struct err err; /* of the call that failed last */

static int setup(void **state)
{
    (void)state;
    scratch_make_in_memory(folder, "addition_log_test");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

/* ---- records and groups ---- */

static struct addition sample(int64_t account, int64_t uid, struct str bytes)
{
    return (struct addition){account, 1, 77, uid, 1000 + uid, -5, INT64_MAX, 3, 1, uid << 40, -uid, STR("kw"), bytes};
}

static void check_same(const struct addition *a, const struct addition *b)
{
    assert_memory_equal(a, b, offsetof(struct addition, more));
    assert_true(str_eq(a->more, b->more));
    assert_true(str_eq(a->bytes, b->bytes));
}

static void write_group(struct buf *group, int64_t account, int64_t first, unsigned n)
{
    buf_init(group, ADDITION_GROUP_MAX);
    group->n = buf_reserve(group, ADDITION_HEADER) != NULL ? ADDITION_HEADER : 0;
    for (unsigned i = 0; i < n; i++) {
        struct addition a = sample(account, first + i, i % 2 ? STR("") : STR("some bytes"));

        addition_write(group, &a);
    }
}

static void a_record_is_read_as_it_was_written(void **state)
{
    struct buf group;
    struct addition_group g;
    struct addition a, b;
    struct str rest;

    (void)state;
    write_group(&group, ACCOUNT, 1, 3);
    addition_seal(group.p, group.n, 8, 9, 3);
    assert_true(addition_header(buf_str(&group), &g));
    assert_int_equal(g.run, 8);
    assert_int_equal(g.number, 9);
    assert_int_equal(g.length, group.n);
    assert_int_equal(g.count, 3);
    assert_true(addition_is_whole(buf_str(&group)));
    rest = str_skip(buf_str(&group), ADDITION_HEADER);
    for (int64_t uid = 1; uid <= 3; uid++) {
        a = sample(ACCOUNT, uid, uid % 2 ? STR("some bytes") : STR(""));
        assert_true(addition_read(&rest, &b));
        check_same(&a, &b);
    }
    assert_false(addition_read(&rest, &b));
    buf_clear(&group);
}

/* No bit of a group may be another, and no part of it is taken for all. */
static void a_group_that_is_not_whole_is_none(void **state)
{
    struct buf group;
    struct addition_group g;

    (void)state;
    write_group(&group, ACCOUNT, 1, 2);
    addition_seal(group.p, group.n, 1, 1, 2);
    for (size_t bit = 0; bit < group.n * 8; bit++) {
        group.p[bit / 8] = (char)(group.p[bit / 8] ^ 1 << bit % 8);
        assert_false(addition_header(buf_str(&group), &g) && g.length == group.n && addition_is_whole(buf_str(&group)));
        group.p[bit / 8] = (char)(group.p[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t n = 0; n < group.n; n++)
        assert_false(addition_is_whole(str_from(group.p, n)));
    buf_clear(&group);
}

static void a_record_that_is_cut_off_is_none(void **state)
{
    struct buf group;
    struct addition a;

    (void)state;
    write_group(&group, ACCOUNT, 1, 1);
    for (size_t n = 0; n < group.n - ADDITION_HEADER; n++) {
        struct str rest = str_from(group.p + ADDITION_HEADER, n);

        assert_false(addition_read(&rest, &a));
    }
    buf_clear(&group);
}

/* ---- the file ---- */

static struct addition_log *open_log(unsigned copy, unsigned copies)
{
    struct addition_log *log;

    OK(addition_log_open(&log, str_of(folder), copy, copies, 0, &err));
    OK(addition_log_scan(log, &err));
    return log;
}

static void append(struct addition_log *log, int64_t account, int64_t first, unsigned n)
{
    struct buf group;

    write_group(&group, account, first, n);
    OK(addition_log_append(log, &group, n, &err));
    buf_clear(&group);
}

struct told {
    int64_t next; /* uid */
    unsigned n;
};

static bool tell(void *arg, const struct addition *a, struct err *why)
{
    struct told *t = arg;

    (void)why;
    assert_int_equal(a->uid, t->next);
    t->next++;
    t->n++;
    return true;
}

/* How many records an account has, whose uids are those from `first` on. */
static unsigned count_records(struct addition_log *log, int64_t account, int64_t first)
{
    struct told t = {first, 0};

    OK(addition_log_walk(log, account, tell, &t, &err));
    return t.n;
}

static void the_next_process_finds_the_records_in_order(void **state)
{
    struct addition_log *log = open_log(0, 1);

    (void)state;
    assert_true(addition_log_is_empty(log));
    append(log, ACCOUNT, 1, 3);
    append(log, OTHER, 1, 2);
    append(log, ACCOUNT, 4, 1);
    addition_log_close(log);
    log = open_log(0, 1);
    assert_int_equal(addition_log_next_account(log, 0), ACCOUNT);
    assert_int_equal(addition_log_next_account(log, ACCOUNT), OTHER);
    assert_int_equal(addition_log_next_account(log, OTHER), 0);
    assert_int_equal(count_records(log, ACCOUNT, 1), 4);
    assert_int_equal(count_records(log, OTHER, 1), 2);
    OK(addition_log_clear(log, &err));
    addition_log_close(log);
    log = open_log(0, 1);
    assert_int_equal(addition_log_next_account(log, 0), 0);
    addition_log_close(log);
}

/* What stands behind the newest group is from before, though it is whole. */
static void a_log_begun_anew_ends_at_its_newest_group(void **state)
{
    struct addition_log *log = open_log(0, 1);

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        append(log, ACCOUNT, 1 + i, 1);
    addition_log_restart(log);
    append(log, ACCOUNT, 100, 1);
    append(log, ACCOUNT, 101, 1);
    addition_log_close(log);
    log = open_log(0, 1);
    assert_int_equal(count_records(log, ACCOUNT, 100), 2);
    addition_log_close(log);
}

/* Also where the numbers would fit. */
static void a_log_ends_where_another_run_begins(void **state)
{
    struct addition_log *log = open_log(0, 1);

    (void)state;
    append(log, ACCOUNT, 1, 1);
    append(log, ACCOUNT, 2, 1);
    addition_log_close(log);
    log = open_log(0, 1);
    append(log, ACCOUNT, 200, 1);
    addition_log_close(log);
    log = open_log(0, 1);
    assert_int_equal(count_records(log, ACCOUNT, 200), 1);
    addition_log_close(log);
}

static void log_path(char path[SCRATCH_MAX + 40], unsigned copy, unsigned copies)
{
    snprintf(path, SCRATCH_MAX + 40, "%s/additions-%u-of-%u.log", folder, copy, copies);
}

static void a_torn_group_ends_the_log(void **state)
{
    char path[SCRATCH_MAX + 40];
    struct addition_log *log = open_log(0, 1);

    (void)state;
    log_path(path, 0, 1);
    append(log, ACCOUNT, 1, 1);
    append(log, ACCOUNT, 2, 50);
    addition_log_close(log);
    for (off_t size = 2 * ADDITION_BLOCK; size > ADDITION_BLOCK; size -= 512) {
        assert_int_equal(truncate(path, size), 0);
        log = open_log(0, 1);
        assert_int_equal(count_records(log, ACCOUNT, 1), 1);
        addition_log_close(log);
    }
}

static void a_changed_group_ends_the_log(void **state)
{
    char path[SCRATCH_MAX + 40], byte;
    struct addition_log *log = open_log(0, 1);
    int fd;

    (void)state;
    log_path(path, 0, 1);
    append(log, ACCOUNT, 1, 1);
    append(log, ACCOUNT, 2, 3);
    append(log, ACCOUNT, 5, 1);
    addition_log_close(log);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, ADDITION_BLOCK + 200), 1);
    byte = (char)(byte ^ 4);
    assert_int_equal(pwrite(fd, &byte, 1, ADDITION_BLOCK + 200), 1);
    close(fd);
    log = open_log(0, 1);
    assert_int_equal(count_records(log, ACCOUNT, 1), 1);
    addition_log_close(log);
}

static void a_log_is_full_at_some_time(void **state)
{
    struct addition_log *log = open_log(0, 1);
    int64_t n = 0;

    (void)state;
    for (; addition_log_fits(log, 300); n++)
        append(log, ACCOUNT, 1 + n, 1);
    assert_int_equal(n, 4096); /* 16 MB */
    addition_log_restart(log);
    assert_true(addition_log_fits(log, 300));
    assert_false(addition_log_fits(log, ADDITION_GROUP_MAX + 1));
    addition_log_close(log);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(a_record_is_read_as_it_was_written),
        TEST(a_group_that_is_not_whole_is_none),
        TEST(a_record_that_is_cut_off_is_none),
        TEST(the_next_process_finds_the_records_in_order),
        TEST(a_log_begun_anew_ends_at_its_newest_group),
        TEST(a_log_ends_where_another_run_begins),
        TEST(a_torn_group_ends_the_log),
        TEST(a_changed_group_ends_the_log),
        TEST(a_log_is_full_at_some_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
