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
    assert_int_equal(world.window, 1);
    world_pass(15 * SECOND);
    world_pass(SECOND);
    assert_int_equal(world_result(id, 0)->status, DELIVERY_RELAYED);
    world_close();
}

/* Eight places, six of them for new sites: a new one gets in although the six are taken by idle connections. */
static void idle_new_sites_make_room(void **state)
{
    char name[16], ip[IP_TEXT], rcpt[32];
    size_t n = 0;
    uint64_t id;

    (void)state;
    world_open("relay { connections = 8 }\n");
    for (int i = 1; i <= 9; i++) {
        n += (size_t)snprintf(world.zone + n, sizeof world.zone - n, "d%d.test MX 10 h%d\nh%d A 192.0.2.%d\n", i, i, i, i);
        snprintf(ip, sizeof ip, "192.0.2.%d", i);
        world_server(ip, "");
    }
    for (int i = 1; i <= 6; i++) {
        snprintf(name, sizeof name, "d%d.test", i);
        snprintf(rcpt, sizeof rcpt, "r@%s", name);
        world_rule(&world.servers[i - 1], "RCPT", "", "550 5.1.1 nobody", 1);
        world_send(name, rcpt);
        world_run();
    }
    assert_int_equal(world.relay.by_standing[STANDING_NEW], 6);
    id = world_send("d7.test", "r@d7.test");
    world_run();
    assert_int_equal(world_result(id, 0)->status, DELIVERY_RELAYED);
    id = world_send("d8.test", "r@d8.test");
    world_run(); /* d7 is good now, and took none of their places */
    assert_int_equal(world_result(id, 0)->status, DELIVERY_RELAYED);
    assert_int_equal(world.relay.by_standing[STANDING_NEW], 5);
    world_close();
}

/* Each answer comes after ten seconds, and the last one is 4xx: that is slow as well, and makes room. */
static void slow_refusals_lose_their_place(void **state)
{
    static const char *const slow[] = {"a.test", "b.test", "c.test"};
    uint64_t id;

    (void)state;
    open_with("relay { connections = 4 }\n");
    for (int i = 0; i < 3; i++) {
        char ip[IP_TEXT];
        struct server *s;

        snprintf(ip, sizeof ip, "192.0.2.%d", i + 1);
        s = world_server(ip, "");
        s->slow = true;
        world_rule(s, "RCPT", "", "450 4.2.0 later", 99);
        world_send(slow[i], "r@x.test");
    }
    world_server("192.0.2.4", "");
    world_run();
    id = world_send("d.test", "r@d.test");
    world_run();
    for (int i = 0; i < 20 && !world_has_result(id, 0); i++) {
        for (int n = 0; n < 10; n++)
            world_pass(SECOND);
        for (int k = 0; k < 3; k++)
            world_speak(&world.servers[k]);
        for (int k = 0; k < 3 && i % 4 == 3; k++)
            world_send(slow[k], "r@x.test");
    }
    assert_int_equal(world_result(id, 0)->status, DELIVERY_RELAYED);
    world_close();
}

/* queue may be busy: that is not the server's fault. */
static void our_own_queue_is_not_their_slowness(void **state)
{
    struct msg_deliver_remote m;
    char big[3000];
    uint64_t id;

    (void)state;
    open_with("");
    world_server("192.0.2.1", "");
    memset(big, 'x', sizeof big);
    memcpy(big, "A: b\r\n\r\n", 8);
    memcpy(big + sizeof big - 2, "\r\n", 2);
    world.big = str_from(big, sizeof big);
    m = world_message("a.test");
    m.body = (struct str){0};
    m.size = sizeof big;
    world.holds_bodies = true;
    id = world_deliver(&m, "r@a.test");
    for (int i = 0; i < 60; i++)
        world_pass(SECOND);
    assert_int_equal(world.relay.by_standing[STANDING_NEW], 1);
    world.holds_bodies = false;
    world_run();
    assert_int_equal(world_result(id, 0)->status, DELIVERY_RELAYED);
    world_close();
}

/* It had a window of two already: queue must hear all the same that it hangs now. */
static void a_narrow_good_site_that_hangs_is_told(void **state)
{
    struct server *a;
    uint64_t id = 0;

    (void)state;
    open_with("relay { connections_per_destination = 1 }\n");
    a = world_server("192.0.2.1", "");
    world_rule(a, "MAIL", "", "421 4.3.2 too busy", 3);
    for (int i = 0; i < 4; i++) {
        id = world_send("a.test", "r@a.test");
        world_pass(2 * SECOND);
    }
    assert_int_equal(world_result(id, 0)->status, DELIVERY_RELAYED);
    assert_int_equal(world.window, 2);
    world_rule(a, "MAIL", "", "HANG", 1);
    world_send("a.test", "r@a.test");
    world_pass(20 * SECOND);
    assert_int_equal(world.relay.by_standing[STANDING_SLOW], 1);
    assert_int_equal(world.window, 1);
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
        cmocka_unit_test(idle_new_sites_make_room),
        cmocka_unit_test(slow_refusals_lose_their_place),
        cmocka_unit_test(our_own_queue_is_not_their_slowness),
        cmocka_unit_test(a_narrow_good_site_that_hangs_is_told),
        cmocka_unit_test(waiting_counts),
        cmocka_unit_test(the_end_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
