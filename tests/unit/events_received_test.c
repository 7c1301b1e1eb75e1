/* Reports of others in events.db: each once, its parts together, what they sum up to, and what is no report. */
#include "base/clock.h"
#include "base/msgid.h"
#include "roles/events/received.h"
#include "roles/events/store.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct fixture {
    char folder[SCRATCH_MAX], path[SCRATCH_MAX + 20];
    struct store *store;
    struct buf said;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    scratch_make(f->folder, "received_test");
    snprintf(f->path, sizeof f->path, "%s/events.db", f->folder);
    assert_true(store_open(&f->store, f->path, &f->err));
    buf_init(&f->said, 10000);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    buf_clear(&f->said);
    scratch_remove(f->folder);
    free(f);
    return 0;
}

static bool tell(struct fixture *f, uint64_t message, const char *domain, const char *id, const char *details)
{
    struct msg_event e = {.seq = 1, .time = clock_now(), .message = message, .kind = EVENT_REPORT, .sender = str_of(domain), .rcpt = str_of(id),
        .message_id = STR("far"), .details = str_of(details)};
    bool added = false;

    if (!store_add(f->store, &e, &added, &f->err) || !store_commit(f->store, &f->err))
        fail_msg("%s", f->err.text);
    return added;
}

static void note_sum(void *owner, const struct received_sum *s)
{
    struct fixture *f = owner;

    buf_addf(&f->said, "%.*s %.*s %.*s %.*s %d/%d\n", STR_ARG(s->domain), STR_ARG(s->source), STR_ARG(s->name), STR_ARG(s->result),
        (int)s->messages, (int)s->reports);
}

static void note_report(void *owner, const struct received_report *r)
{
    struct fixture *f = owner;

    buf_addf(&f->said, "%.*s %.*s %.*s %.*s %d\n", STR_ARG(r->domain), STR_ARG(r->reporter), STR_ARG(r->report_id), STR_ARG(r->sender),
        (int)r->messages);
}

static void sums_are(struct fixture *f, const char *domain, int64_t since, const char *wanted)
{
    buf_reset(&f->said);
    assert_true(received_sums(store_received(f->store), str_of(domain), since, 100, note_sum, f, &f->err));
    if (!str_eq(buf_str(&f->said), str_of(wanted)))
        fail_msg("%.*s", STR_ARG(buf_str(&f->said)));
}

static void list_is(struct fixture *f, const char *domain, const char *wanted)
{
    buf_reset(&f->said);
    assert_true(received_list(store_received(f->store), str_of(domain), 0, 100, note_report, f, &f->err));
    if (!str_eq(buf_str(&f->said), str_of(wanted)))
        fail_msg("%.*s", STR_ARG(buf_str(&f->said)));
}

#define HEAD(first) "0\t864000\t950399\tc@far.example\tfar.example\treject\t" first "\n" /* day 10 */

static void reports_are_summed_up(void **state)
{
    struct fixture *f = *state;
    uint64_t one = msgid_new(), two = one + (1 << 24);

    assert_true(tell(f, one, "home.example", "1", HEAD("0") "192.0.2.1\thome.example\tnone\t5\n192.0.2.2\thome.example\treject\t1\n"));
    assert_true(tell(f, one, "home.example", "1", HEAD("2") "192.0.2.3\thome.example\tnone\t7\n"));
    assert_false(tell(f, one, "home.example", "1", HEAD("2") "192.0.2.3\thome.example\tnone\t7\n")); /* told again */
    assert_false(tell(f, two, "home.example", "1", HEAD("0") "192.0.2.9\thome.example\tnone\t9\n")); /* sent again */
    assert_true(tell(f, two, "sub.home.example", "2", HEAD("0") "192.0.2.1\tsub.home.example\tnone\t2\n"));
    assert_true(tell(f, two, "otherhome.example", "3", HEAD("0") "192.0.2.1\totherhome.example\tnone\t2\n"));
    sums_are(f, "home.example", 0, "home.example 192.0.2.3 home.example none 7/1\nhome.example 192.0.2.1 home.example none 5/1\n"
        "sub.home.example 192.0.2.1 sub.home.example none 2/1\nhome.example 192.0.2.2 home.example reject 1/1\n");
    sums_are(f, "home.example", 11, "");
    list_is(f, "home.example", "sub.home.example far 2 far.example 2\nhome.example far 1 far.example 13\n");
    assert_true(tell(f, two, "home.example", "1", "1\t864000\t950399\tc\t\tsts\t0\n\tmx.home.example\tsts successful\t9\n"));
    sums_are(f, "home.example", 10, "home.example 192.0.2.3 home.example none 7/1\nhome.example 192.0.2.1 home.example none 5/1\n"
        "sub.home.example 192.0.2.1 sub.home.example none 2/1\nhome.example 192.0.2.2 home.example reject 1/1\n"
        "home.example  mx.home.example sts successful 9/1\n");
    list_is(f, "", "home.example far 1  9\notherhome.example far 3 far.example 2\nsub.home.example far 2 far.example 2\nhome.example far 1 far.example 13\n");
}

static void nonsense_is_passed_over(void **state)
{
    static const char *const bad[] = {"", "x\n", "0\t1\t2\t3\t4\t5\n", "0\t1\t2\tc\ts\tp\t99999\n", "0\t-1\t2\tc\ts\tp\t0\n",
        "0\t1\t2\tc\x01\ts\tp\t0\n", "2\t1\t2\tc\ts\tp\t0\n"};
    struct fixture *f = *state;
    uint64_t id = msgid_new();

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(tell(f, id, "home.example", "1", bad[i]));
    assert_false(tell(f, id, "", "1", HEAD("0")));
    assert_false(tell(f, id, "home.example", "", HEAD("0")));
    list_is(f, "", "");
    assert_true(tell(f, id, "home.example", "1", HEAD("0") "x\tn\tr\t1\n192.0.2.1\tn\tr\tx\n192.0.2.1\tn\tr\t3\nhalf"));
    list_is(f, "", "home.example far 1 far.example 3\n");
}

static void old_reports_go(void **state)
{
    struct fixture *f = *state;

    assert_true(tell(f, msgid_new(), "home.example", "1", HEAD("0") "192.0.2.1\tn\tr\t3\n"));
    assert_true(received_forget(store_received(f->store), 10 + RECEIVED_KEPT_DAYS, 5, &f->err));
    list_is(f, "", "home.example far 1 far.example 3\n");
    assert_true(received_forget(store_received(f->store), 11 + RECEIVED_KEPT_DAYS, 5, &f->err));
    list_is(f, "", "");
    sums_are(f, "home.example", 0, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(reports_are_summed_up), TEST(nonsense_is_passed_over), TEST(old_reports_go)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
