/* What slow servers may take from others, and how long a delivery may last in all. */
#include "relay_world.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

static void open_with(const char *config)
{
    world_open(config);
    snprintf(world.zone, sizeof world.zone,
        "a.test MX 10 a.host\nb.test MX 10 b.host\nc.test MX 10 c.host\nd.test MX 10 d.host\n"
        "a.host A 192.0.2.1\nb.host A 192.0.2.2\nc.host A 192.0.2.3\nd.host A 192.0.2.4\n");
}

/* queue takes a window of two as the word for a server that hangs. */
static void a_new_site_is_not_called_slow(void **state)
{
    static const char *const hang[] = {"a.test", "b.test", "c.test"};
    uint64_t id;

    (void)state;
    open_with("relay { connections = 4 }\n");
    for (int i = 0; i < 3; i++) {
        char ip[IP_TEXT];

        snprintf(ip, sizeof ip, "192.0.2.%d", i + 1);
        world_rule(world_server(ip, ""), "MAIL", "", "HANG", 9);
        world_send(hang[i], "r@x.test");
    }
    world_server("192.0.2.4", "");
    world_run();
    id = world_send("d.test", "r@d.test");
    world_run();
    assert_int_equal(world.relay.by_standing[STANDING_NEW], 3); /* it is crowded: d.test waits */
    assert_in_range(world.window, 3, 10);
    world_pass(20 * SECOND);
    assert_int_equal(world.relay.by_standing[STANDING_SLOW], 3);
    assert_int_equal(world.window, 2);
    world_pass(15 * SECOND);
    world_pass(SECOND);
    assert_int_equal(world_result(id, 0)->status, DELIVERY_RELAYED);
    world_close();
}

/* queue takes a delivery for lost three hours after it last heard of it. */
static void waiting_counts(void **state)
{
    struct server *a;
    uint64_t first, second;

    (void)state;
    open_with("relay { connections_per_destination = 1 }\n");
    a = world_server("192.0.2.1", "");
    a->hold = true;
    first = world_send("a.test", "r@a.test");
    second = world_send("a.test", "s@a.test");
    world_rule(a, "RCPT", "s@a.test", "HANG", 9);
    world_pass(90 * MINUTE);
    world_release(a);
    world_run();
    assert_true(world_has_result(first, 0));
    world_pass(20 * MINUTE);
    assert_false(world_has_result(second, 0));
    world_pass(20 * MINUTE);
    assert_int_equal(world_result(second, 0)->status, DELIVERY_DEFERRED);
    world_close();
}

/* Past its end a message may have been taken: a little longer, but still before queue gives it to another attempt. */
static void the_end_is_waited_for(void **state)
{
    struct server *a;
    uint64_t id;

    (void)state;
    open_with("");
    a = world_server("192.0.2.1", "");
    a->hold = true;
    id = world_send("a.test", "r@a.test");
    world_pass(130 * MINUTE);
    assert_false(world_has_result(id, 0));
    world_release(a);
    assert_int_equal(world_result(id, 0)->status, DELIVERY_RELAYED);
    id = world_send("a.test", "r@a.test");
    world_pass(175 * MINUTE);
    assert_int_equal(world_result(id, 0)->status, DELIVERY_DEFERRED);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_site_is_not_called_slow),
        cmocka_unit_test(waiting_counts),
        cmocka_unit_test(the_end_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
