/* What web does with text: requests of the command socket, metrics of many processes as one; and which
 * processes a command goes to. */
#include "roles/web/exposition.h"
#include "roles/web/request.h"
#include "roles/web/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void requests_are_packed(void **state)
{
    struct request r;
    struct err err = {0};

    (void)state;
    request_init(&r);
    assert_true(request_parse(&r, STR("{\"command\":\"queue\",\"args\":[\"list\",\"a=\\u00fc\"]}"), &err));
    assert_true(str_eq(buf_str(&r.command), STR("queue")));
    assert_true(str_eq(buf_str(&r.args), STR("list\0a=\xc3\xbc\0")));
    request_clear(&r);
    request_init(&r);
    assert_true(request_parse(&r, STR("{\"command\":\"status\"}"), &err));
    assert_int_equal(r.args.n, 0);
    request_clear(&r);
}

static void requests_that_are_none(void **state)
{
    static const char *const lines[] = {"", "x", "[]", "5", "{}", "{\"command\":5}", "{\"command\":\"a\",\"command\":\"b\"}",
        "{\"command\":\"a\",\"args\":{}}", "{\"command\":\"a\",\"args\":[5]}", "{\"command\":\"a\",\"args\":[\"\\u0000\"]}",
        "{\"command\":\"a\",\"args\":[[\"b\"]]}", "{\"command\":\"a\"} trailing", "{\"command\":\"\xff\"}",
        "{\"command\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct request r;
        struct err err = {0};

        request_init(&r);
        if (request_parse(&r, str_of(lines[i]), &err))
            fail_msg("taken: %s", lines[i]);
        assert_true(err.text[0]);
        request_clear(&r);
    }
}

static const char one[] = "# HELP a_total What a counts.\n# TYPE a_total counter\na_total{role=\"x\"} 3\n"
                          "# HELP h Seconds.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum{} 0.5\nh_count{} 1\n";
static const char two[] = "# HELP a_total Something else.\n# TYPE a_total counter\na_total{role=\"y\"} 4\n"
                          "bare 7\n9 nonsense\n\n# a comment\n";

static void metrics_are_merged(void **state)
{
    struct exposition *e = exposition_new(10000);
    struct buf out;
    int64_t sum;

    (void)state;
    buf_init(&out, 10000);
    exposition_add(e, str_of(one));
    exposition_add(e, str_of(two));
    assert_true(exposition_write(e, &out));
    buf_add_char(&out, 0);
    assert_string_equal(out.p, "# HELP a_total What a counts.\n# TYPE a_total counter\na_total{role=\"x\"} 3\na_total{role=\"y\"} 4\n"
                               "# HELP h Seconds.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum{} 0.5\nh_count{} 1\nbare 7\n");
    assert_true(exposition_sum(e, "a_total", NULL, &sum));
    assert_int_equal(sum, 7);
    assert_true(exposition_sum(e, "a_total", "role=\"y\"", &sum));
    assert_int_equal(sum, 4);
    assert_true(exposition_largest(e, "a_total", NULL, &sum));
    assert_int_equal(sum, 4);
    assert_false(exposition_sum(e, "b_total", NULL, &sum));
    buf_clear(&out);
    exposition_free(e);
}

static void metrics_stay_below_the_ceiling(void **state)
{
    struct exposition *e = exposition_new(1000);
    struct buf out;

    (void)state;
    buf_init(&out, 100000);
    for (int i = 0; i < 100; i++)
        exposition_add(e, str_of(one));
    assert_false(exposition_write(e, &out));
    assert_true(out.n <= 1000);
    buf_clear(&out);
    exposition_free(e);
}

/* ---- routes ---- */

enum { SHARDS = 4, BOXES = 3 };

/* The world of routes.c. */
unsigned role_peers(const struct role *role, enum role_id peer)
{
    (void)role;
    return peer == ROLE_QUEUE ? SHARDS : peer == ROLE_MAILBOX ? BOXES : 1;
}

static const struct {
    const char *command;
    struct str args;
    enum role_id role;
    size_t count;   /* copies asked */
    unsigned first; /* the others follow */
    bool finder;    /* one of them has it */
} routed[] = {
    {"account", STR("show\0a@b.example\0"), ROLE_DIRECTORY, 1, 0},
    {"queue", STR("list\0"), ROLE_QUEUE, SHARDS, 0},
    {"queue", STR("show\0" "0000000000006\0"), ROLE_QUEUE, SHARDS, 2, true},
    {"mailbox", STR("show\0account=7\0"), ROLE_MAILBOX, 1, 1},
    {"mailbox", STR("check\0account=9\0"), ROLE_MAILBOX, 1, 0},
    {"mailbox", STR("account=9223372036854775807\0show\0"), ROLE_MAILBOX, 1, 1},
    {"mailbox", STR("stats\0"), ROLE_MAILBOX, BOXES, 0},
    {"mailbox", STR(""), ROLE_MAILBOX, BOXES, 0},
    {"mailbox", STR("show\0account=\0"), ROLE_MAILBOX, BOXES, 0},
    {"mailbox", STR("show\0account=-1\0"), ROLE_MAILBOX, BOXES, 0},
    {"mailbox", STR("show\0account=7x\0"), ROLE_MAILBOX, BOXES, 0},
    {"mailbox", STR("show\0account=9223372036854775808\0"), ROLE_MAILBOX, BOXES, 0},
};

static void commands_find_their_role(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof routed / sizeof *routed; i++) {
        struct ask_target targets[ROUTE_TARGETS];
        struct web web = {0};
        size_t n = 0;

        assert_int_equal(route_command(&web, str_of(routed[i].command), routed[i].args, targets, &n),
            routed[i].finder ? ROUTE_FINDER : ROUTE_ROLES);
        if (n != routed[i].count)
            fail_msg("row %zu: %zu targets", i, n);
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(targets[k].role, routed[i].role);
            assert_int_equal(targets[k].copy, routed[i].finder ? (routed[i].first + k) % n : routed[i].first + k);
        }
    }
}

static void commands_without_a_role(void **state)
{
    struct ask_target targets[ROUTE_TARGETS];
    struct web web = {0};
    size_t n = 5;

    (void)state;
    assert_int_equal(route_command(&web, STR("status"), STR(""), targets, &n), ROUTE_HERE);
    assert_int_equal(n, 0);
    assert_int_equal(route_command(&web, STR("mailboxes"), STR(""), targets, &n), ROUTE_UNKNOWN);
    assert_int_equal(route_command(&web, STR(""), STR(""), targets, &n), ROUTE_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_packed),
        cmocka_unit_test(requests_that_are_none),
        cmocka_unit_test(metrics_are_merged),
        cmocka_unit_test(metrics_stay_below_the_ceiling),
        cmocka_unit_test(commands_find_their_role),
        cmocka_unit_test(commands_without_a_role),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
