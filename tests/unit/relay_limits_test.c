/* What relay does to a place at once and in a second: connections in use again, limits that grow and fall. */
#include "relay_cases.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

static void connections_are_reused(void **state)
{
    struct server *a;

    (void)state;
    open_world("relay { messages_per_connection = 4\n connections_per_destination = 1 }\n");
    a = world_server("192.0.2.1", OFFERS);
    for (int i = 0; i < 10; i++) {
        world_send("x.test", "r@x.test");
        world_run();
    }
    assert_int_equal(a->messages, 10);
    assert_int_equal(a->connections, 3);
    assert_int_equal(a->most_open, 1);
    world_close();
}

static void a_stale_connection_costs_nothing(void **state)
{
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    world_send("x.test", "r@x.test");
    world_run();
    world_rule(a, "MAIL", "", "CLOSE", 1); /* it had gone while nobody looked */
    id = world_send("x.test", "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_string_equal(world_result(id, 0)->host, "mx1.test");
    assert_int_equal(a->connections, 2);
    world_close();
}

static void concurrency_grows_and_falls(void **state)
{
    struct server *a;

    (void)state;
    open_world("relay { connections_per_destination = 8 }\n");
    a = world_server("192.0.2.1", OFFERS);
    a->hold = true;
    for (int i = 0; i < 40; i++)
        world_send("x.test", "r@x.test");
    world_run();
    assert_int_equal(a->most_open, 5);
    assert_int_equal(world.window, 10);
    for (int i = 0; i < 20; i++)
        world_release(a);
    assert_int_equal(a->messages, 40);
    assert_true(a->most_open > 5 && a->most_open <= 8);
    assert_true(world.window > 10);
    /* 421 halves it */
    for (int i = 0; i < 3; i++)
        world_send("x.test", "r@x.test");
    world_rule(a, "MAIL", "", "421 too much", 1);
    world_pass(2 * SECOND);
    for (int i = 0; i < 5; i++)
        world_release(a);
    assert_true(world.window < 16);
    world_close();
}

static void concurrency_falls_at_each_step(void **state)
{
    static const struct {
        const char *verb, *says;
    } troubles[] = {{"GREETING", "421 too many connections"}, {"GREETING", "450 4.7.1 slow down"}, {"MAIL", "421 4.7.0 too fast"},
        {"MAIL", "450 4.7.1 slow down"}, {"RCPT", "451 4.3.2 too many at once"}, {"END", "451 4.3.2 too busy"},
        {"RCPT", "421 4.7.0 bye"}, {"END", "421 4.3.2 later"}, {"MAIL", "HANG"}};

    (void)state;
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        struct server *a;
        uint64_t before;

        open_world("relay { connections_per_destination = 20 messages_per_connection = 1 idle_time = 0s }\n");
        a = world_server("192.0.2.1", OFFERS);
        for (int n = 0; n < 60; n++)
            world_send("x.test", "r@x.test");
        world_run();
        before = world.window;
        assert_true(before > 10);
        world_pass(2 * SECOND);
        world_rule(a, troubles[i].verb, "", troubles[i].says, 1);
        world_send("x.test", "r@x.test");
        world_run();
        if (strcmp(troubles[i].says, "HANG") == 0)
            world_time_out();
        if (world.window >= before)
            fail_msg("%s at %s: %d, was %d", troubles[i].says, troubles[i].verb, (int)world.window, (int)before);
        world_close();
    }
}

static void destinations_with_the_same_servers_share_the_limit(void **state)
{
    struct server *a, *b;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    b = world_server("192.0.2.2", OFFERS);
    a->hold = b->hold = true;
    for (int i = 0; i < 20; i++) {
        world_send("x.test", "r@x.test");
        world_send("y.test", "r@y.test");
    }
    world_run();
    assert_int_equal(a->open + b->open, 5);
    for (int i = 0; i < 30; i++) {
        world_release(a);
        world_release(b);
    }
    assert_int_equal(world.done_n, 40);
    world_close();
}

static void connections_in_all_are_limited(void **state)
{
    struct server *a, *b;

    (void)state;
    open_world("relay { connections = 2 }\n");
    a = world_server("192.0.2.1", OFFERS);
    b = world_server("192.0.2.3", OFFERS);
    a->hold = true;
    for (int i = 0; i < 6; i++)
        world_send("x.test", "r@x.test");
    world_run();
    assert_int_equal(a->open, 2);
    world_send("z.test", "r@z.test");
    world_run();
    assert_int_equal(b->connections, 0);
    for (int i = 0; i < 10; i++)
        world_release(a);
    assert_int_equal(world.done_n, 7); /* an idle one made room */
    assert_int_equal(b->messages, 1);
    world_close();
}

static void pace(void **state)
{
    struct server *a;

    (void)state;
    open_world("relay { messages_per_second = 3 }\n");
    a = world_server("192.0.2.1", OFFERS);
    for (int i = 0; i < 20; i++)
        world_send("x.test", "r@x.test");
    world_run();
    assert_int_equal(a->messages, 1);
    world_pass(SECOND);
    assert_int_equal(a->messages, 4);
    world_pass(SECOND);
    assert_int_equal(a->messages, 7);
    world_pass(100 * SECOND);
    assert_int_equal(a->messages, 10); /* what was not used is not saved up */
    world_close();
}

static void many_recipients_are_cut(void **state)
{
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("relay { recipients_per_transaction = 2 }\n");
    a = world_server("192.0.2.1", OFFERS);
    id = world_send("x.test", "a@x.test b@x.test c@x.test d@x.test e@x.test");
    world_run();
    for (uint64_t i = 0; i < 5; i++)
        expect(id, i, DELIVERY_RELAYED, "taken");
    assert_int_equal(a->messages, 3);
    assert_int_equal(a->connections, 1);
    /* the server's own limit, said late */
    world_rule(a, "RCPT", "b@", "452 4.5.3 too many", 1);
    id = world_send("x.test", "a@x.test b@x.test");
    world_run();
    expect(id, 1, DELIVERY_RELAYED, "taken");
    assert_int_equal(a->messages, 5);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_reused),
        cmocka_unit_test(a_stale_connection_costs_nothing),
        cmocka_unit_test(concurrency_grows_and_falls),
        cmocka_unit_test(concurrency_falls_at_each_step),
        cmocka_unit_test(destinations_with_the_same_servers_share_the_limit),
        cmocka_unit_test(connections_in_all_are_limited),
        cmocka_unit_test(pace),
        cmocka_unit_test(many_recipients_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
