/* What web does with text: requests of the command socket, metrics of many processes as one. */
#include "roles/web/exposition.h"
#include "roles/web/request.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_packed),
        cmocka_unit_test(requests_that_are_none),
        cmocka_unit_test(metrics_are_merged),
        cmocka_unit_test(metrics_stay_below_the_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
