/* events.db: what is found again, in which order, once only, and for how long. */
#include "base/clock.h"
#include "base/msgid.h"
#include "roles/events/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    char folder[64], path[100];
    struct store *store;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    snprintf(f->folder, sizeof f->folder, "/tmp/events-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/events.db", f->folder);
    assert_true(store_open(&f->store, f->path, &f->err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct fixture *f = *state;

    store_close(f->store);
    for (size_t i = 0; i < 3; i++) {
        char path[120];

        snprintf(path, sizeof path, "%s%s", f->path, ends[i]);
        unlink(path);
    }
    rmdir(f->folder);
    free(f);
    return 0;
}

static bool add(struct fixture *f, uint64_t message, int64_t time, enum event_kind kind, const char *sender, const char *rcpt,
    const char *message_id)
{
    struct msg_event e = {.seq = 1, .time = time, .message = message, .kind = kind, .sender = str_of(sender),
        .rcpt = str_of(rcpt), .message_id = str_of(message_id), .details = STR("{\"a\":1}")};
    bool added = false;

    if (!store_add(f->store, &e, &added, &f->err))
        fail_msg("%s", f->err.text);
    return added;
}

static size_t find(struct fixture *f, const char *what, int64_t since, int64_t *messages, size_t n)
{
    size_t found;

    if (!store_find(f->store, str_of(what), since, messages, n, &found, &f->err))
        fail_msg("%s", f->err.text);
    return found;
}

static void collect(void *owner, const struct store_event *e)
{
    struct buf *out = owner;

    buf_addf(out, "%d:%.*s ", (int)e->kind, STR_ARG(e->rcpt));
}

static void a_story_is_found_by_each_of_its_names(void **state)
{
    struct fixture *f = *state;
    uint64_t id = msgid_new();
    int64_t now = clock_now(), found[5];
    char text[MSGID_TEXT + 1];

    msgid_format(id, text);
    assert_true(add(f, id, now, EVENT_ACCEPTED, "Anna@X.example", "bob@y.example", "<One@x.example>"));
    assert_true(add(f, id, now + 5, EVENT_RELAYED, "Anna@X.example", "bob@y.example", "<One@x.example>"));
    assert_int_equal(find(f, text, 0, found, 5), 1);
    assert_int_equal(find(f, "anna@x.example", 0, found, 5), 1);
    assert_int_equal(find(f, "BOB@y.example", 0, found, 5), 1);
    assert_int_equal(find(f, "<one@x.example>", 0, found, 5), 1);
    assert_int_equal(find(f, "one@x.example", 0, found, 5), 1);
    assert_int_equal((uint64_t)found[0], id);
    assert_int_equal(find(f, "carol@y.example", 0, found, 5), 0);
    assert_int_equal(find(f, "", 0, found, 5), 0);
    assert_int_equal(find(f, "anna@x.example", now + SECOND, found, 5), 0);
    assert_true(store_commit(f->store, &f->err));
}

static void an_event_told_again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct store_place place = {.message = 77};
    struct buf out;
    size_t n;

    buf_init(&out, 1000);
    assert_true(add(f, 77, 1000, EVENT_ACCEPTED, "a@x", "b@y", ""));
    assert_true(store_commit(f->store, &f->err));
    assert_false(add(f, 77, 1000, EVENT_ACCEPTED, "a@x", "b@y", ""));
    assert_true(add(f, 77, 1000, EVENT_ACCEPTED, "a@x", "c@y", ""));
    assert_true(add(f, 77, 1000, EVENT_DEFERRED, "a@x", "b@y", ""));
    assert_true(add(f, 77, 900, EVENT_ACCEPTED, "a@x", "", ""));
    assert_true(store_walk(f->store, &place, 10, collect, &out, &n, &f->err));
    assert_int_equal(n, 4);
    buf_add_char(&out, 0);
    assert_string_equal(out.p, "0: 0:b@y 0:c@y 4:b@y ");
    buf_clear(&out);
}

static void a_walk_goes_on_where_it_stopped(void **state)
{
    struct fixture *f = *state;
    struct store_place place = {.message = 5};
    struct buf out;
    size_t n, total = 0;

    buf_init(&out, 10000);
    for (int i = 0; i < 50; i++) {
        char rcpt[20];

        snprintf(rcpt, sizeof rcpt, "%02d@x", i);
        assert_true(add(f, 5, 1000 + i / 10, EVENT_ACCEPTED, "a@x", rcpt, ""));
    }
    do {
        assert_true(store_walk(f->store, &place, 7, collect, &out, &n, &f->err));
        total += n;
    } while (n == 7);
    assert_int_equal(total, 50);
    assert_true(str_ends(buf_str(&out), STR("0:48@x 0:49@x ")));
    buf_clear(&out);
}

static void the_newest_messages_come_oldest_first(void **state)
{
    struct fixture *f = *state;
    int64_t found[3];

    for (uint64_t i = 1; i <= 10; i++)
        assert_true(add(f, i, 1000, EVENT_ACCEPTED, "a@x", "b@y", ""));
    assert_int_equal(find(f, "b@y", 0, found, 3), 3);
    assert_int_equal(found[0], 8);
    assert_int_equal(found[2], 10);
}

static void what_was_refused_is_found_by_address(void **state)
{
    struct fixture *f = *state;
    int64_t now = clock_now(), found[5];

    assert_true(add(f, 0, now, EVENT_REJECTED, "spam@x", "bob@y", ""));
    assert_false(add(f, 0, now, EVENT_REJECTED, "spam@x", "bob@y", ""));
    assert_true(add(f, 0, now + 3, EVENT_REJECTED, "spam@x", "bob@y", ""));
    assert_int_equal(find(f, "bob@y", 0, found, 5), 2);
    assert_int_equal(msgid_time((uint64_t)found[0]), now / 1000 * 1000);
}

static void old_stories_are_forgotten_in_steps(void **state)
{
    struct fixture *f = *state;
    uint64_t fresh = msgid_new();
    int64_t deleted, total = 0, found[1];
    bool more = true;
    int steps = 0;

    for (uint64_t i = 1; i <= 1200; i++)
        assert_true(add(f, i, 1000, EVENT_ACCEPTED, "a@x", "b@y", ""));
    assert_true(add(f, fresh, clock_now(), EVENT_ACCEPTED, "a@x", "b@y", ""));
    assert_true(store_commit(f->store, &f->err));
    for (; more; steps++) {
        assert_true(store_prune(f->store, clock_now() - DAY, &deleted, &more, &f->err));
        total += deleted;
    }
    assert_int_equal(total, 1200);
    assert_in_range(steps, 3, 4);
    assert_int_equal(find(f, "a@x", 0, found, 1), 1);
    assert_int_equal((uint64_t)found[0], fresh);
}

static void what_was_committed_is_there_after_a_crash(void **state)
{
    struct fixture *f = *state;
    int64_t found[5];

    assert_true(add(f, 1, 1000, EVENT_ACCEPTED, "a@x", "b@y", ""));
    assert_true(store_commit(f->store, &f->err));
    assert_true(add(f, 2, 1000, EVENT_ACCEPTED, "a@x", "b@y", ""));
    store_rollback(f->store);
    store_close(f->store);
    assert_true(store_open(&f->store, f->path, &f->err));
    assert_int_equal(find(f, "a@x", 0, found, 5), 1);
    assert_int_equal(found[0], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_story_is_found_by_each_of_its_names),
        TEST(an_event_told_again_changes_nothing),
        TEST(a_walk_goes_on_where_it_stopped),
        TEST(the_newest_messages_come_oldest_first),
        TEST(what_was_refused_is_found_by_address),
        TEST(old_stories_are_forgotten_in_steps),
        TEST(what_was_committed_is_there_after_a_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
