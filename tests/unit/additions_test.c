/* The log of additions (docs/mailbox.md): what the databases take from it after a kill, a failure of theirs, and with another number of
 * copies. A process that dies is boxes_free, which commits nothing. Its file: addition_log_test.c. */
#include "base/clock.h"
#include "fault_vfs.h"
#include "roles/mailbox/addition_log.h"
#include "roles/mailbox/boxes.h"
#include "roles/mailbox/store_private.h"
#include "scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { ACCOUNT = 261, OTHER = 262, MANY = 20 };

static char folder[SCRATCH_MAX];
static struct err err; /* of the call that failed last */

static int setup(void **state)
{
    (void)state;
    scratch_make_in_memory(folder, "additions_test");
    fault_at(0, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault_at(0, false);
    scratch_remove(folder);
    return 0;
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

static void log_path(char path[SCRATCH_MAX + 40], unsigned copy, unsigned copies)
{
    snprintf(path, SCRATCH_MAX + 40, "%s/additions-%u-of-%u.log", folder, copy, copies);
}


struct watcher {
    struct waiter waiter;
    int told; /* 1: stored, -1: not */
};

static void on_told(struct waiter *w, bool stored, const struct err *why)
{
    (void)why;
    CONTAINER(w, struct watcher, waiter)->told = stored ? 1 : -1;
}

static struct boxes *open_boxes(unsigned copy, unsigned copies)
{
    struct boxes *b = boxes_new(str_of(folder), copy, 10, DAY);

    boxes_use_log(b, copy, copies);
    return b;
}

/* One message that may be logged; 1: it was promised, -1: refused. */
static int add(struct boxes *b, struct box *box, int64_t id, struct str text)
{
    struct store_delivery d = {.message = id, .content = id + 1000, .size = (int64_t)text.n, .received = 1};
    struct watcher one = {.waiter.done = on_told};

    if (!box_begin_addition(box, &err))
        return -1;
    box_batch(box, &one.waiter);
    if (!store_put(box->store, d.content, text, &err) || !store_deliver(box->store, &d, &err))
        box_fail(box, &err);
    else
        box_record(box, id, text);
    while (one.told == 0)
        boxes_flush(b);
    return one.told;
}

static struct box *enter(struct boxes *b, int64_t account)
{
    struct box *box = boxes_enter(b, account, &err);

    if (box == NULL)
        fail_msg("%s", err.text);
    return box;
}

/* So many messages with the ids and uids from 1 on, and the database is sound. */
static void check_box(struct box *box, int64_t messages)
{
    struct store_item items[400];
    size_t n;
    bool was;

    OK(box_settle(box, &err));
    OK(store_check(box->store, &err));
    assert_int_equal(store_totals(box->store).messages, messages);
    OK(store_list(box->store, 0, items, 400, &n, &err));
    for (int64_t id = 1; id <= messages && id <= (int64_t)n; id++) {
        assert_int_equal(items[id - 1].uid, id);
        OK(store_was_delivered(box->store, id, &was, &err));
        assert_true(was);
    }
}

static void check_account(struct boxes *b, int64_t account, int64_t messages)
{
    struct box *box = enter(b, account);

    check_box(box, messages);
    box_leave(box);
}

/* What its database has without the log. */
static int64_t in_database(int64_t account)
{
    struct boxes *b = boxes_new(str_of(folder), 0, 10, DAY);
    struct box *box = enter(b, account);
    int64_t messages = store_totals(box->store).messages;

    box_leave(box);
    boxes_free(b);
    return messages;
}

static void what_was_promised_survives_a_kill(void **state)
{
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT), *other = enter(b, OTHER);
    struct store_message before[MANY], m;
    bool found;

    (void)state;
    for (int64_t id = 1; id < MANY; id++) {
        assert_int_equal(add(b, box, id, STR("Subject: x\r\n\r\nbytes\r\n")), 1);
        assert_int_equal(add(b, other, id, STR("other")), 1);
        OK(store_message_get(box->store, store_inbox(box->store), (uint32_t)id, &before[id], &found, &err));
        assert_true(found);
    }
    assert_int_equal(store_inbox(box->store)->durable.messages, MANY - 1);
    assert_true(box_is_settled(box));
    box_leave(box);
    box_leave(other);
    boxes_free(b);
    assert_int_equal(in_database(ACCOUNT), 1); /* so the log was used */
    for (int times = 0; times < 2; times++) {
        b = open_boxes(0, 1);
        check_account(b, ACCOUNT, MANY - 1);
        check_account(b, OTHER, MANY - 1);
        box = enter(b, ACCOUNT);
        for (int64_t id = 1; id < MANY; id++) {
            OK(store_message_get(box->store, store_inbox(box->store), (uint32_t)id, &m, &found, &err));
            assert_true(found);
            assert_int_equal(m.uid, before[id].uid); /* what is between it and the next member is anything */
            assert_memory_equal(&m.modseq, &before[id].modseq, offsetof(struct store_message, more) - offsetof(struct store_message, modseq));
        }
        box_leave(box);
        boxes_free(b);
    }
}

/* Its modification sequences are above all that the process before may have told. */
static void modseqs_stay_above(void **state)
{
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT);
    int64_t told;

    (void)state;
    for (int64_t id = 1; id < MANY; id++)
        assert_int_equal(add(b, box, id, STR("x")), 1);
    OK(box_begin(box, &err));
    told = store_new_modseq(box->store); /* not committed */
    box_leave(box);
    boxes_free(b);
    b = open_boxes(0, 1);
    box = enter(b, ACCOUNT);
    OK(box_begin(box, &err));
    assert_true(store_new_modseq(box->store) > told);
    box_leave(box);
    boxes_free(b);
}

static void a_drain_makes_the_log_unnecessary(void **state)
{
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT);

    (void)state;
    for (int64_t id = 1; id < MANY; id++)
        assert_int_equal(add(b, box, id, STR("x")), 1);
    box_leave(box);
    boxes_finish(b);
    boxes_free(b);
    assert_int_equal(in_database(ACCOUNT), MANY - 1);
    b = open_boxes(0, 1);
    check_account(b, ACCOUNT, MANY - 1);
    boxes_free(b);
}

/* More than the log has room for, in turns with what cannot be logged. */
static void a_full_log_is_begun_anew(void **state)
{
    static char text[60000];
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT), *other = enter(b, OTHER);

    (void)state;
    memset(text, 'x', sizeof text);
    for (int64_t id = 1; id <= 300; id++) {
        assert_int_equal(add(b, box, id, str_from(text, sizeof text)), 1);
        if (id % 7 == 0) {
            OK(box_begin(box, &err));
            box_touch(box);
        }
    }
    for (int64_t id = 1; id <= 3; id++)
        assert_int_equal(add(b, other, id, STR("x")), 1);
    box_leave(box);
    box_leave(other);
    boxes_free(b);
    b = open_boxes(0, 1);
    check_account(b, ACCOUNT, 300);
    check_account(b, OTHER, 3);
    boxes_free(b);
}

/* Who is told of one box goes on in another one of the same group: that is not promised with it. */
static struct box *next_box;
static struct watcher next_change;

static void on_told_go_on(struct waiter *w, bool stored, const struct err *why)
{
    bool found;

    on_told(w, stored, why);
    OK(box_begin(next_box, &err));
    box_batch(next_box, &next_change.waiter);
    OK(store_expunge(next_box->store, 1, &found, &err));
}

static void on_told_look(struct waiter *w, bool stored, const struct err *why)
{
    on_told(w, stored, why);
    assert_int_equal(store_inbox(next_box->store)->durable.messages, 3);
    assert_int_equal(next_change.told, 0);
}

static void begin_one(struct box *box, int64_t id, struct waiter *w)
{
    struct store_delivery d = {.message = id, .content = id + 1000, .size = 1, .received = 1};

    OK(box_begin_addition(box, &err));
    box_batch(box, w);
    OK(store_put(box->store, d.content, STR("x"), &err));
    OK(store_deliver(box->store, &d, &err));
    box_record(box, id, STR("x"));
}

static void what_is_begun_while_others_are_told_is_not_promised(void **state)
{
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT), *other = enter(b, OTHER);
    struct watcher first = {.waiter.done = on_told_go_on}, second = {.waiter.done = on_told_look};

    (void)state;
    next_box = other;
    next_change = (struct watcher){.waiter.done = on_told};
    for (int64_t id = 1; id < 3; id++) {
        assert_int_equal(add(b, box, id, STR("x")), 1);
        assert_int_equal(add(b, other, id, STR("x")), 1);
    }
    begin_one(box, 3, &first.waiter);
    begin_one(other, 3, &second.waiter);
    while (second.told == 0 || next_change.told == 0)
        boxes_flush(b);
    assert_int_equal(first.told, 1);
    assert_int_equal(second.told, 1);
    assert_int_equal(next_change.told, 1);
    box_leave(box);
    box_leave(other);
    boxes_free(b);
    b = open_boxes(0, 1);
    check_account(b, ACCOUNT, 3);
    other = enter(b, OTHER);
    assert_int_equal(store_totals(other->store).messages, 2);
    box_leave(other);
    boxes_free(b);
}

/* A change that fails takes nothing with it that was promised. */
static void a_change_that_fails_is_alone(void **state)
{
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT);
    struct watcher one = {.waiter.done = on_told};
    bool found;

    (void)state;
    for (int64_t id = 1; id < 5; id++)
        assert_int_equal(add(b, box, id, STR("x")), 1);
    OK(box_begin(box, &err));
    box_batch(box, &one.waiter);
    OK(store_expunge(box->store, 1, &found, &err));
    err_set(&err, ERR_TEMPORARY, "for the test");
    box_fail(box, &err);
    assert_int_equal(one.told, -1);
    assert_false(box->broken);
    check_box(box, 4);
    box_leave(box);
    boxes_free(b);
}

/* The transaction with what was promised is lost: the next handle has it again. */
static void a_lost_transaction_is_taken_from_the_log(void **state)
{
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT), *other = enter(b, OTHER);

    (void)state;
    for (int64_t id = 1; id < 5; id++) {
        assert_int_equal(add(b, box, id, STR("x")), 1);
        assert_int_equal(add(b, other, id, STR("x")), 1);
    }
    err_set(&err, ERR_TEMPORARY, "for the test");
    box_fail(box, &err);
    assert_true(box->broken);
    assert_int_equal(add(b, box, 9, STR("x")), -1);
    assert_int_equal(add(b, other, 5, STR("x")), 1); /* without the log */
    box_leave(box);
    check_account(b, ACCOUNT, 4);
    assert_int_equal(add(b, other, 6, STR("x")), 1);
    box_leave(other);
    boxes_free(b);
    b = open_boxes(0, 1);
    check_account(b, ACCOUNT, 4);
    check_account(b, OTHER, 6);
    boxes_free(b);
}

/* A database that cannot take its records is not opened without them, and the log is kept until it can. */
static void a_database_that_cannot_take_its_records_waits(void **state)
{
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT), *other = enter(b, OTHER);

    (void)state;
    for (int64_t id = 1; id < 5; id++) {
        assert_int_equal(add(b, box, id, STR("x")), 1);
        assert_int_equal(add(b, other, id, STR("x")), 1);
    }
    box_leave(box);
    box_leave(other);
    boxes_free(b);
    fault_at(1, true);
    b = open_boxes(0, 1);
    assert_null(boxes_enter(b, ACCOUNT, &err));
    fault_at(0, false);
    check_account(b, OTHER, 4);
    boxes_finish(b); /* ACCOUNT still waits: nothing is forgotten */
    boxes_free(b);
    b = open_boxes(0, 1);
    check_account(b, ACCOUNT, 4);
    check_account(b, OTHER, 4);
    boxes_free(b);
}

/* No file may grow: neither the log nor a database takes the message, so it is not promised. */
static void what_cannot_be_written_is_not_promised(void **state)
{
    struct rlimit limit, before;
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT);

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    for (int64_t id = 1; id < 4; id++)
        assert_int_equal(add(b, box, id, STR("x")), 1);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 512;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(add(b, box, 4, STR("x")), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    box_leave(box);
    check_account(b, ACCOUNT, 3);
    box = enter(b, ACCOUNT);
    assert_int_equal(add(b, box, 4, STR("x")), 1);
    box_leave(box);
    boxes_free(b);
    b = open_boxes(0, 1);
    check_account(b, ACCOUNT, 4);
    boxes_free(b);
}

/* What takes the place of a database, or of an account, gets nothing of the old one. */
static void a_restored_mailbox_takes_nothing(void **state)
{
    struct boxes *b = open_boxes(0, 1);
    struct box *box = enter(b, ACCOUNT), *other = enter(b, OTHER);
    char path[SCRATCH_MAX + 20];
    struct store *s;

    (void)state;
    for (int64_t id = 1; id < 5; id++) {
        assert_int_equal(add(b, box, id, STR("x")), 1);
        assert_int_equal(add(b, other, id, STR("x")), 1);
    }
    box_leave(box);
    box_leave(other);
    boxes_free(b);
    snprintf(path, sizeof path, "%s/05/%d.db", folder, ACCOUNT);
    OK(store_open(&s, path, ACCOUNT, 0, &err));
    OK(store_supersede(s, NULL, &err));
    OK(store_sync(s, &err));
    store_close(s);
    b = boxes_new(str_of(folder), 0, 10, DAY);
    boxes_remove(b, OTHER);
    boxes_free(b);
    b = open_boxes(0, 1);
    assert_false(boxes_exist(b, OTHER));
    check_account(b, ACCOUNT, 1);
    boxes_free(b);
}

/* After a crash the server is started with two copies, then with one again. */
static void another_number_of_copies_takes_it_as_well(void **state)
{
    char path[SCRATCH_MAX + 40];
    struct boxes *b = open_boxes(0, 1), *second;
    struct box *box = enter(b, ACCOUNT), *other = enter(b, OTHER);

    (void)state;
    for (int64_t id = 1; id < 5; id++) {
        assert_int_equal(add(b, box, id, STR("x")), 1);
        assert_int_equal(add(b, other, id, STR("x")), 1);
    }
    box_leave(box);
    box_leave(other);
    boxes_free(b);
    log_path(path, 0, 1);
    b = open_boxes(0, 2);
    assert_int_equal(access(path, F_OK), 0); /* the other one has not been here */
    check_account(b, OTHER, 4);
    box = enter(b, OTHER);
    assert_int_equal(add(b, box, 5, STR("x")), 1);
    assert_int_equal(add(b, box, 6, STR("x")), 1);
    box_leave(box);
    second = open_boxes(1, 2);
    assert_int_not_equal(access(path, F_OK), 0);
    check_account(second, ACCOUNT, 4);
    boxes_free(b);
    boxes_free(second);
    b = open_boxes(0, 1);
    check_account(b, OTHER, 6);
    check_account(b, ACCOUNT, 4);
    boxes_free(b);
    log_path(path, 0, 2);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* Every write or sync of a database fails in turn; what was promised is there afterwards. */
static void every_failure_keeps_what_was_promised(void **state)
{
    bool happened = true;

    for (int n = 1; happened; n++) {
        struct boxes *b = open_boxes(0, 1);
        struct box *box = enter(b, ACCOUNT);
        int64_t promised = 0, id = 0;

        assert_int_equal(add(b, box, ++id, STR("x")), 1);
        promised = 1;
        fault_at(n, false);
        while (++id < 8 && promised == id - 1) {
            promised += add(b, box, id, STR("y")) == 1;
            if (id % 3 == 0 && box_begin(box, &err))
                box_touch(box);
            if (id == 5)
                boxes_finish(b);
        }
        happened = fault_happened();
        fault_at(0, false);
        box_leave(box);
        boxes_free(b);
        b = open_boxes(0, 1);
        box = enter(b, ACCOUNT);
        OK(store_check(box->store, &err));
        assert_true(store_totals(box->store).messages >= promised);
        box_leave(box);
        boxes_free(b);
        teardown(state);
        setup(state);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(what_was_promised_survives_a_kill),
        TEST(modseqs_stay_above),
        TEST(a_drain_makes_the_log_unnecessary),
        TEST(a_full_log_is_begun_anew),
        TEST(what_is_begun_while_others_are_told_is_not_promised),
        TEST(a_change_that_fails_is_alone),
        TEST(a_lost_transaction_is_taken_from_the_log),
        TEST(a_database_that_cannot_take_its_records_waits),
        TEST(what_cannot_be_written_is_not_promised),
        TEST(a_restored_mailbox_takes_nothing),
        TEST(another_number_of_copies_takes_it_as_well),
        TEST(every_failure_keeps_what_was_promised),
    };

    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
