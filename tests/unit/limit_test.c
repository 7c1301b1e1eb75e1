/* Counting strangers: connections, events an hour, failed logins, and a table that stays small. */
#include "base/clock.h"
#include "net/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct ip at(const char *text)
{
    struct ip ip;

    assert_true(ip_parse(str_of(text), &ip));
    return ip;
}

static void connections_are_counted_per_address(void **state)
{
    struct limit_table *t = limit_new(10);
    struct ip a = at("192.0.2.1"), b = at("192.0.2.2");

    (void)state;
    assert_true(limit_connected(t, &a, 2, 0) && limit_connected(t, &a, 2, 0));
    assert_false(limit_connected(t, &a, 2, 0));
    assert_true(limit_connected(t, &b, 2, 0));
    limit_disconnected(t, &a);
    assert_true(limit_connected(t, &a, 2, 0));
    assert_true(limit_connected(t, &a, 0, 0)); /* 0: no limit */
    limit_free(t);
}

static void ipv6_counts_by_its_64(void **state)
{
    struct limit_table *t = limit_new(10);
    struct ip a = at("2001:db8:1:1::1"), same = at("2001:db8:1:1:ffff::9"), other = at("2001:db8:1:2::1");

    (void)state;
    assert_true(limit_connected(t, &a, 1, 0));
    assert_false(limit_connected(t, &same, 1, 0));
    assert_true(limit_connected(t, &other, 1, 0));
    limit_free(t);
}

static void an_hour_slides(void **state)
{
    struct limit_table *t = limit_new(10);
    struct ip a = at("192.0.2.1");

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_true(limit_count(t, &a, LIMIT_MESSAGES, 100, HOUR));
    assert_false(limit_count(t, &a, LIMIT_MESSAGES, 100, 2 * HOUR - 1));
    assert_true(limit_count(t, &a, LIMIT_RECIPIENTS, 100, HOUR)); /* another counter */
    /* half into the next hour, half of the last one still counts */
    for (int i = 0; i < 50; i++)
        assert_true(limit_count(t, &a, LIMIT_MESSAGES, 100, 2 * HOUR + HOUR / 2));
    assert_false(limit_count(t, &a, LIMIT_MESSAGES, 100, 2 * HOUR + HOUR / 2));
    assert_true(limit_count(t, &a, LIMIT_MESSAGES, 100, 9 * HOUR));
    limit_free(t);
}

static void failed_logins_ban_for_a_while(void **state)
{
    struct limit_table *t = limit_new(10);
    struct ip a = at("192.0.2.1"), b = at("192.0.2.2");

    (void)state;
    assert_int_equal(limit_login_failed(t, &a, 3, 15 * MINUTE, 0), 1);
    assert_int_equal(limit_login_failed(t, &a, 3, 15 * MINUTE, 1), 2);
    assert_false(limit_banned(t, &a, 2));
    assert_int_equal(limit_login_failed(t, &a, 3, 15 * MINUTE, MINUTE), 3);
    assert_true(limit_banned(t, &a, MINUTE));
    assert_false(limit_banned(t, &b, MINUTE));
    assert_false(limit_banned(t, &a, 16 * MINUTE + 1));
    /* the count starts anew after the time */
    assert_int_equal(limit_login_failed(t, &a, 3, 15 * MINUTE, HOUR), 1);
    limit_free(t);
}

static void the_table_stays_small_and_keeps_the_connected(void **state)
{
    struct limit_table *t = limit_new(100);
    struct ip connected = at("192.0.2.1");

    (void)state;
    assert_true(limit_connected(t, &connected, 1, 0));
    for (unsigned i = 0; i < 10000; i++) {
        struct ip ip = {.family = 4, .bytes = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};

        limit_count(t, &ip, LIMIT_MESSAGES, 1, 0);
    }
    assert_int_equal(limit_addresses(t), 100);
    assert_false(limit_connected(t, &connected, 1, 0));
    limit_free(t);
}

static void a_full_table_serves_without_counting(void **state)
{
    struct limit_table *t = limit_new(2);
    struct ip a = at("192.0.2.1"), b = at("192.0.2.2"), c = at("192.0.2.3");

    (void)state;
    assert_true(limit_connected(t, &a, 1, 0) && limit_connected(t, &b, 1, 0));
    assert_true(limit_connected(t, &c, 1, 0) && limit_connected(t, &c, 1, 0));
    limit_disconnected(t, &c);
    assert_int_equal(limit_addresses(t), 2);
    limit_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_counted_per_address),
        cmocka_unit_test(ipv6_counts_by_its_64),
        cmocka_unit_test(an_hour_slides),
        cmocka_unit_test(failed_logins_ban_for_a_while),
        cmocka_unit_test(the_table_stays_small_and_keeps_the_connected),
        cmocka_unit_test(a_full_table_serves_without_counting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
