/* events.db: what is found again, in which order, once only, and for how long. */
#include "base/clock.h"
#include "base/msgid.h"
#include "fault_vfs.h"
#include "roles/events/store.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    char folder[SCRATCH_MAX], path[SCRATCH_MAX + 20];
    struct store *store;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    scratch_make(f->folder, "events_test");
    snprintf(f->path, sizeof f->path, "%s/events.db", f->folder);
    assert_true(store_open(&f->store, f->path, &f->err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    scratch_remove(f->folder);
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

enum { BATCHES = 4, BATCH = 5 };

static bool tell(struct store *s, int batch, struct err *err)
{
    for (int i = 0; i < BATCH; i++) {
        struct msg_event e = {.seq = 1, .time = 1000 + batch * BATCH + i, .message = 9, .kind = EVENT_DEFERRED,
            .rcpt = STR("b@y"), .details = STR("{}")};
        bool added;

        if (!store_add(s, &e, &added, err))
            return false;
    }
    return store_commit(s, err);
}

static size_t count(struct store *s)
{
    struct store_place place = {.message = 9};
    struct err err = {0};
    struct buf out;
    size_t n;

    buf_init(&out, 10000);
    if (!store_walk(s, &place, 1000, collect, &out, &n, &err))
        fail_msg("%s", err.text);
    buf_clear(&out);
    return n;
}

/* The n-th write, sync or open fails. What was committed before is there; telling it all again, as the
 * senders do, makes it whole and doubles nothing. True while the failure was reached. */
static bool survives_fault(struct fixture *f, int n, bool forever)
{
    struct err err = {0};
    size_t promised = 0;
    bool ok, happened;

    store_close(f->store);
    f->store = NULL;
    fault_at(n, forever);
    ok = store_open(&f->store, f->path, &err);
    for (int i = 0; ok && i < BATCHES; i++) {
        ok = tell(f->store, i, &err);
        promised += ok ? BATCH : 0;
    }
    happened = fault_happened();
    if (!ok && f->store != NULL)
        store_rollback(f->store);
    fault_at(0, false);
    if (f->store != NULL)
        store_close(f->store);
    f->store = NULL;
    assert_true(store_open(&f->store, f->path, &f->err));
    if (count(f->store) < promised)
        fail_msg("fault %d: %zu events of %zu promised", n, count(f->store), promised);
    for (int i = 0; i < BATCHES; i++)
        assert_true(tell(f->store, i, &f->err));
    assert_int_equal(count(f->store), BATCHES * BATCH);
    return happened;
}

static void empty_files(struct fixture *f)
{
    static const char *const ends[] = {"", "-wal", "-shm"};

    store_close(f->store);
    f->store = NULL;
    for (size_t i = 0; i < 3; i++) {
        char path[sizeof f->path + 10];

        snprintf(path, sizeof path, "%s%s", f->path, ends[i]);
        unlink(path);
    }
    assert_true(store_open(&f->store, f->path, &f->err));
}

static off_t size_of(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 ? about.st_size : -1;
}

static void write_one_byte(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputc('x', file);
    assert_int_equal(fclose(file), 0);
}

/* Twice: the second one takes the place of the first. */
static void a_damaged_file_is_set_aside(void **state)
{
    struct fixture *f = *state;
    char aside[sizeof f->path + 20], log[sizeof f->path + 20], aside_log[sizeof f->path + 20];

    snprintf(aside, sizeof aside, "%s.damaged", f->path);
    snprintf(log, sizeof log, "%s-wal", f->path);
    snprintf(aside_log, sizeof aside_log, "%s.damaged-wal", f->path);
    for (int i = 0; i < 2; i++) {
        struct err err = {0};

        assert_true(tell(f->store, 0, &f->err));
        if (size_of(f->path) < 4096)
            skip(); /* a server's database is no file */
        store_close(f->store);
        f->store = NULL;
        assert_int_equal(truncate(f->path, 5000 + i), 0);
        assert_false(store_open(&f->store, f->path, &err));
        assert_int_equal(err.kind, ERR_DAMAGED);
        write_one_byte(i == 0 ? log : aside_log);
        assert_true(store_set_aside(f->path, &f->err));
        assert_int_equal(size_of(aside), 5000 + i);
        assert_int_equal(size_of(log), -1);
        assert_int_equal(size_of(aside_log), i == 0 ? 1 : -1);
        assert_true(store_open(&f->store, f->path, &f->err));
        assert_int_equal(count(f->store), 0);
    }
}

static void every_failing_operation_is_survived(void **state)
{
    struct fixture *f = *state;
    int reached = 0;

    for (int forever = 0; forever < 2; forever++) {
        empty_files(f);
        for (int n = 1; survives_fault(f, n, forever); n++) {
            reached++;
            empty_files(f);
        }
    }
    assert_true(reached > 20);
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
        TEST(a_damaged_file_is_set_aside),
        TEST(every_failing_operation_is_survived),
    };

    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
