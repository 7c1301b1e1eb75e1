/* Account databases: exactly once, exact sums, contents in pieces, removal, the group commit, and every
 * failing write. */
#include "base/clock.h"
#include "db/db.h"
#include "fault_vfs.h"
#include "roles/mailbox/boxes.h"
#include "roles/mailbox/store_private.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { ACCOUNT = 261 }; /* folder 05 */

static char folder[SCRATCH_MAX];
static struct err err; /* of the call that failed last */

static int setup(void **state)
{
    (void)state;
    scratch_make(folder, "mailbox_test");
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

static struct store *open_store(const char *name)
{
    struct store *s;
    char path[SCRATCH_MAX + 20];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(store_open(&s, path, ACCOUNT, 0, &err));
    return s;
}

static bool deliver(struct store *s, int64_t message, struct str text, struct err *why)
{
    struct store_delivery d = {.message = message, .content = message + 1000, .size = (int64_t)text.n, .received = 1};

    return store_put(s, d.content, text, why) && store_deliver(s, &d, why);
}

/* The whole content of a message, read piece by piece. */
static struct str read_all(struct store *s, int64_t uid, struct buf *out)
{
    int64_t content;
    struct str piece;

    buf_reset(out);
    OK(store_find(s, uid, &content, &err));
    assert_true(content != 0);
    do {
        OK(store_read(s, content, (int64_t)out->n, &piece, &err));
        buf_add(out, piece);
    } while (piece.n > 0);
    assert_false(out->failed);
    return buf_str(out);
}

static void a_message_is_kept_and_counted(void **state)
{
    struct store *s = open_store("a.db");
    struct store_item items[4];
    struct buf text;
    size_t n;
    bool was;

    (void)state;
    buf_init(&text, 100000);
    OK(store_begin(s, &err));
    OK(deliver(s, 7, STR("A: b\r\n\r\nx\r\n"), &err));
    OK(deliver(s, 8, STR(""), &err));
    OK(store_commit(s, &err));
    OK(store_sync(s, &err));
    store_close(s);
    s = open_store("a.db");
    assert_int_equal(store_totals(s).messages, 2);
    assert_int_equal(store_totals(s).bytes, 11);
    assert_int_equal(store_uidnext(s), 3);
    OK(store_list(s, 0, items, 4, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(items[0].uid, 1);
    assert_int_equal(items[0].size, 11);
    assert_true(str_eq(read_all(s, 1, &text), STR("A: b\r\n\r\nx\r\n")));
    assert_int_equal(read_all(s, 2, &text).n, 0);
    OK(store_was_delivered(s, 7, &was, &err));
    assert_true(was);
    OK(store_was_delivered(s, 9, &was, &err));
    assert_false(was);
    OK(store_check(s, &err));
    store_close(s);
    buf_clear(&text);
}

static void fill(char *p, size_t n, size_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + (i + seed) % 23);
}

static void large_contents_come_in_pieces(void **state)
{
    static const size_t pieces[] = {65536 + 80, 65536, 65536, 17};
    struct store *s = open_store("a.db");
    struct store_delivery d = {.message = 5, .content = 77};
    struct content_writer w;
    struct buf want, got;
    char piece[66000];

    (void)state;
    buf_init(&want, 1000000);
    buf_init(&got, 1000000);
    OK(store_begin(s, &err));
    OK(store_put_begin(s, &w, d.content, 0, &err));
    for (size_t i = 0; i < 4; i++) {
        fill(piece, pieces[i], i);
        buf_add(&want, str_from(piece, pieces[i]));
        OK(store_put_piece(s, &w, str_from(piece, pieces[i]), &err));
        OK(store_commit(s, &err)); /* pieces may be spread over transactions */
        OK(store_begin(s, &err));
    }
    d.size = w.size;
    OK(store_put_end(s, &w, &err));
    OK(store_deliver(s, &d, &err));
    OK(store_commit(s, &err));
    OK(store_check(s, &err));
    assert_true(str_eq(read_all(s, 1, &got), buf_str(&want)));
    assert_int_equal(store_totals(s).bytes, (int64_t)want.n);
    for (int64_t at = 0; at < (int64_t)want.n; at += 9973) {
        struct str view;

        OK(store_read(s, d.content, at, &view, &err));
        assert_true(view.n > 0 && str_eq(view, str_sub(buf_str(&want), (size_t)at, (size_t)at + view.n)));
    }
    store_close(s);
    buf_clear(&want);
    buf_clear(&got);
}

static int64_t count_rows(struct store *s, const char *table);

/* Pieces of a body that never became complete are swept, while one that still arrives is left alone. */
static void unfinished_contents_are_swept(void **state)
{
    struct store *s = open_store("a.db");
    struct content_writer lost, arriving;
    char piece[1000];
    bool more = true;

    (void)state;
    fill(piece, sizeof piece, 1);
    OK(store_begin(s, &err));
    OK(store_put_begin(s, &lost, 5, 0, &err));
    for (int i = 0; i < 40; i++)
        OK(store_put_piece(s, &lost, str_from(piece, sizeof piece), &err));
    OK(store_commit(s, &err));
    store_close(s); /* the process died */
    s = open_store("a.db");
    assert_true(store_has_loose(s));
    assert_int_equal(count_rows(s, "content_chunk"), 39);
    OK(store_begin(s, &err));
    OK(store_put_begin(s, &arriving, 4, 0, &err));
    OK(store_put_piece(s, &arriving, str_from(piece, sizeof piece), &err));
    while (more)
        OK(store_sweep(s, &more, &err));
    OK(store_commit(s, &err));
    assert_false(store_has_loose(s));
    assert_int_equal(count_rows(s, "content_chunk"), 0);
    assert_int_equal(count_rows(s, "content"), 1);
    store_put_abort(s, &arriving);
    assert_true(store_has_loose(s));
    more = true;
    OK(store_begin(s, &err));
    while (more)
        OK(store_sweep(s, &more, &err));
    OK(store_commit(s, &err));
    assert_int_equal(count_rows(s, "content"), 0);
    assert_int_equal(count_rows(s, "loose"), 0);
    store_close(s);
}

static void removed_messages_leave_a_trace_and_no_content(void **state)
{
    struct store *s = open_store("a.db");
    bool found, more = true;

    (void)state;
    OK(store_begin(s, &err));
    for (int64_t i = 1; i <= 3; i++)
        OK(deliver(s, i, STR("12345"), &err));
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    OK(store_expunge(s, 2, &found, &err));
    assert_true(found);
    OK(store_expunge(s, 2, &found, &err));
    assert_false(found);
    OK(store_commit(s, &err));
    assert_int_equal(store_totals(s).messages, 2);
    assert_int_equal(store_totals(s).bytes, 10);
    OK(store_check(s, &err));
    OK(store_begin(s, &err));
    while (more)
        OK(store_sweep(s, &more, &err));
    OK(deliver(s, 4, STR("x"), &err));
    OK(store_commit(s, &err));
    assert_int_equal(count_rows(s, "content"), 3);
    assert_int_equal(count_rows(s, "expunged"), 1);
    assert_int_equal(store_uidnext(s), 5); /* never given again */
    OK(store_check(s, &err));
    store_close(s);
}

static void rollback_takes_everything_back(void **state)
{
    struct store *s = open_store("a.db");

    (void)state;
    OK(store_begin(s, &err));
    OK(deliver(s, 1, STR("one"), &err));
    OK(store_commit(s, &err));
    OK(store_begin(s, &err));
    OK(deliver(s, 2, STR("two"), &err));
    assert_int_equal(store_totals(s).messages, 2);
    store_rollback(s);
    assert_int_equal(store_totals(s).messages, 1);
    assert_int_equal(store_uidnext(s), 2);
    OK(store_check(s, &err));
    store_close(s);
}

/* Whatever write or sync fails: either the whole transaction is there, or nothing of it, and the
 * next attempt works. */
static void every_failing_write(void **state)
{
    bool done = false;

    for (int n = 1; !done; n++) {
        struct store *s = NULL;
        char path[SCRATCH_MAX + 20];
        bool first = false, was;

        snprintf(path, sizeof path, "%s/b.db", folder);
        fault_at(n, false);
        if (store_open(&s, path, ACCOUNT, 0, &err)) {
            first = store_begin(s, &err) && deliver(s, 1, STR("one"), &err) && deliver(s, 2, STR("two"), &err) &&
                    store_commit(s, &err) && store_sync(s, &err);
            if (!first)
                store_rollback(s);
        }
        done = !fault_happened();
        store_close(s);
        fault_at(0, false);
        s = open_store("b.db");
        OK(store_check(s, &err));
        OK(store_was_delivered(s, 1, &was, &err));
        assert_int_equal(store_totals(s).messages, was ? 2 : 0);
        assert_true(was || !first);
        if (!was) {
            OK(store_begin(s, &err));
            OK(deliver(s, 1, STR("one"), &err));
            OK(store_commit(s, &err));
        }
        store_close(s);
        teardown(state);
        setup(state);
        assert_true(n < 1000);
    }
}

/* ---- boxes ---- */

struct watcher {
    struct waiter waiter;
    int told; /* 0 not yet, 1 stored, -1 not stored */
    int syncs; /* that there had been by then */
};

static void on_told(struct waiter *w, bool stored, const struct err *why)
{
    (void)why;
    CONTAINER(w, struct watcher, waiter)->told = stored ? 1 : -1;
    CONTAINER(w, struct watcher, waiter)->syncs = fault_syncs();
}

static void watch(struct watcher *w)
{
    *w = (struct watcher){.waiter = {.done = on_told}};
}

static void waiters_hear_after_the_sync(void **state)
{
    struct boxes *b = boxes_new(str_of(folder), 0, 10, DAY);
    struct box *box = boxes_enter(b, ACCOUNT, &err);
    struct watcher one, two;

    (void)state;
    assert_non_null(box);
    watch(&one);
    watch(&two);
    assert_true(boxes_due(b) == INT64_MAX);
    OK(box_begin(box, &err));
    box_batch(box, &one.waiter);
    OK(deliver(box->store, 1, STR("one"), &err));
    OK(box_begin(box, &err));
    box_batch(box, &two.waiter);
    OK(deliver(box->store, 2, STR("two"), &err));
    assert_int_equal(one.told, 0);
    assert_true(boxes_due(b) < INT64_MAX);
    fault_at(0, false);
    assert_true(boxes_flush(b));
    assert_int_equal(fault_syncs(), 1); /* one for both */
    assert_int_equal(one.told, 1);
    assert_int_equal(two.told, 1);
    assert_true(one.syncs == 1 && two.syncs == 1);
    assert_true(boxes_due(b) == INT64_MAX);
    box_leave(box);
    boxes_free(b);
}

static void a_failed_transaction_fails_all_that_shared_it(void **state)
{
    struct boxes *b = boxes_new(str_of(folder), 0, 10, DAY);
    struct box *box = boxes_enter(b, ACCOUNT, &err), *other = boxes_enter(b, ACCOUNT + 1, &err);
    struct watcher one, writing, elsewhere;

    (void)state;
    watch(&one);
    watch(&writing);
    watch(&elsewhere);
    OK(box_begin(other, &err));
    box_batch(other, &elsewhere.waiter);
    OK(deliver(other->store, 1, STR("one"), &err));
    OK(box_begin(box, &err));
    box_batch(box, &one.waiter);
    OK(deliver(box->store, 1, STR("one"), &err));
    box_writing(box, &writing.waiter);
    err_set(&err, ERR_TEMPORARY, "for the test");
    box_fail(box, &err);
    assert_int_equal(one.told, -1);
    assert_int_equal(writing.told, -1);
    assert_int_equal(elsewhere.told, 0);
    assert_int_equal(store_totals(box->store).messages, 0);
    boxes_finish(b);
    assert_int_equal(elsewhere.told, 1);
    box_leave(box);
    box_leave(other);
    boxes_free(b);
}

/* One failed write or sync costs one attempt, not the account until the next start. */
static void after_a_failed_sync_the_next_one_opens_it_anew(void **state)
{
    bool happened = true, was;

    for (int n = 1; happened; n++) {
        struct boxes *b = boxes_new(str_of(folder), 0, 10, DAY);
        struct box *box = boxes_enter(b, ACCOUNT, &err);
        struct watcher one;

        watch(&one);
        OK(box_begin(box, &err));
        box_batch(box, &one.waiter);
        OK(deliver(box->store, 1, STR("one"), &err));
        fault_at(n, false);
        boxes_finish(b);
        happened = fault_happened();
        fault_at(0, false);
        assert_int_not_equal(one.told, 0);
        box_leave(box);
        box = boxes_enter(b, ACCOUNT, &err);
        assert_non_null(box);
        OK(store_was_delivered(box->store, 1, &was, &err));
        assert_true(was || one.told == -1);
        if (!was) {
            OK(box_begin(box, &err));
            box_batch(box, &one.waiter);
            OK(deliver(box->store, 1, STR("one"), &err));
            boxes_finish(b);
            assert_int_equal(one.told, 1);
        }
        box_leave(box);
        boxes_free(b);
        b = boxes_new(str_of(folder), 0, 10, DAY);
        box = boxes_enter(b, ACCOUNT, &err);
        assert_non_null(box);
        assert_int_equal(store_totals(box->store).messages, 1);
        box_leave(box);
        boxes_free(b);
        teardown(state);
        setup(state);
    }
}

static void a_failing_disk_defers(void **state)
{
    struct boxes *b = boxes_new(str_of(folder), 0, 10, DAY);
    struct box *box = boxes_enter(b, ACCOUNT, &err);
    struct watcher one;

    (void)state;
    watch(&one);
    fault_at(1, true);
    if (box_begin(box, &err)) {
        box_batch(box, &one.waiter);
        if (!deliver(box->store, 1, STR("one"), &err))
            box_fail(box, &err);
        while (one.told == 0)
            boxes_flush(b);
        assert_int_equal(one.told, -1);
    }
    fault_at(0, false);
    box_leave(box);
    boxes_free(b);
    b = boxes_new(str_of(folder), 0, 10, DAY);
    box = boxes_enter(b, ACCOUNT, &err);
    assert_non_null(box);
    OK(store_check(box->store, &err));
    box_leave(box);
    boxes_free(b);
}

static void a_held_box_is_not_committed(void **state)
{
    struct boxes *b = boxes_new(str_of(folder), 0, 10, DAY);
    struct box *box = boxes_enter(b, ACCOUNT, &err);
    struct watcher one;

    (void)state;
    watch(&one);
    box->held = true;
    OK(box_begin(box, &err));
    box_batch(box, &one.waiter);
    OK(deliver(box->store, 1, STR("one"), &err));
    boxes_finish(b);
    assert_int_equal(one.told, 0);
    assert_true(store_in_transaction(box->store));
    box->held = false;
    OK(box_settle(box, &err));
    assert_int_equal(one.told, 1);
    box_leave(box);
    boxes_free(b);
}

static void idle_boxes_make_room(void **state)
{
    struct boxes *b = boxes_new(str_of(folder), 0, 1, DAY);
    struct box *box = boxes_enter(b, ACCOUNT, &err), *other;

    (void)state;
    other = boxes_enter(b, ACCOUNT + 1, &err); /* the first one is in use: both stay */
    assert_int_equal(boxes_open(b), 2);
    box_leave(box);
    box_leave(other);
    box = boxes_enter(b, ACCOUNT + 1, &err);
    assert_non_null(box);
    box_leave(box);
    assert_non_null(boxes_find(b, ACCOUNT));
    box = boxes_enter(b, ACCOUNT, &err);
    box_leave(box);
    boxes_free(b);
}

static bool exists(const char *suffix)
{
    char path[SCRATCH_MAX + 20];

    snprintf(path, sizeof path, "%s/05/261.db%s", folder, suffix);
    return access(path, F_OK) == 0;
}

static void a_removed_account_loses_its_files(void **state)
{
    struct boxes *b = boxes_new(str_of(folder), 0, 10, DAY);
    struct box *box = boxes_enter(b, ACCOUNT, &err);
    struct watcher one;

    (void)state;
    watch(&one);
    OK(box_begin(box, &err));
    box_batch(box, &one.waiter);
    OK(deliver(box->store, 1, STR("one"), &err));
    boxes_remove(b, ACCOUNT);
    assert_int_equal(one.told, -1);
    assert_true(exists(""));
    assert_null(boxes_enter(b, ACCOUNT, &err));
    box_leave(box);
    boxes_finish(b);
    assert_false(exists("") || exists("-wal") || exists("-shm"));
    box = boxes_enter(b, ACCOUNT, &err);
    assert_non_null(box);
    box_leave(box);
    boxes_finish(b);
    boxes_remove(b, ACCOUNT);
    assert_false(exists(""));
    boxes_free(b);
}

static void sweeping_goes_on_until_nothing_is_loose(void **state)
{
    struct boxes *b = boxes_new(str_of(folder), 0, 10, DAY);
    struct box *box = boxes_enter(b, ACCOUNT, &err);
    bool found;
    int turns = 0;

    (void)state;
    OK(box_begin(box, &err));
    for (int64_t i = 1; i <= 250; i++)
        OK(deliver(box->store, i, STR("one"), &err));
    for (int64_t i = 1; i <= 250; i++)
        OK(store_expunge(box->store, i, &found, &err));
    box_touch(box);
    OK(box_settle(box, &err));
    box_leave(box);
    assert_true(boxes_wants_sweep(b));
    while (boxes_sweep(b))
        turns++;
    assert_true(turns >= 3);
    boxes_finish(b);
    assert_int_equal(count_rows(box->store, "content"), 0);
    boxes_free(b);
}

/* ---- */

#include "roles/mailbox/store_private.h"
#include "scratch.h"

static int64_t count_rows(struct store *s, const char *table)
{
    char sql[100];
    struct stmt *count;
    int64_t n;

    snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM %s", table);
    count = stmt_new(s->db, sql);
    n = stmt_row(count) ? column_int(count, 0) : -1;
    OK(stmt_done(count, &err));
    stmt_free(count);
    return n;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_kept_and_counted),
        TEST(large_contents_come_in_pieces),
        TEST(unfinished_contents_are_swept),
        TEST(removed_messages_leave_a_trace_and_no_content),
        TEST(rollback_takes_everything_back),
        TEST(every_failing_write),
        TEST(waiters_hear_after_the_sync),
        TEST(after_a_failed_sync_the_next_one_opens_it_anew),
        TEST(a_failed_transaction_fails_all_that_shared_it),
        TEST(a_failing_disk_defers),
        TEST(a_held_box_is_not_committed),
        TEST(idle_boxes_make_room),
        TEST(a_removed_account_loses_its_files),
        TEST(sweeping_goes_on_until_nothing_is_loose),
    };

    db_exclude_others();
    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
