/* What relay and queue owe each other when one of them dies: no recipient gets it twice, no result is lost. */
#include "relay_cases.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

static void queue_dies(void **state)
{
    struct server *a;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    a->hold = true;
    for (int i = 0; i < 20; i++)
        world_send("x.test", "r@x.test");
    world_send("slow.test", "r@x.test");
    world_run();
    assert_int_equal(a->open, 5);
    world_queue(false);
    world_run();
    /* Their messages were sent to the end: whether they were taken is still to come. */
    assert_int_equal(a->open, 5);
    assert_int_equal(world.relay.deliveries.count, 5);
    for (int i = 0; i < 5; i++)
        world_release(a);
    assert_int_equal(world.relay.deliveries.count, 0);
    assert_int_equal(a->messages, 5);
    assert_int_equal(world.told_n, 0);
    assert_int_equal(world.result_n, 1); /* slow.test does not exist */
    world_queue(true);
    assert_int_equal(world.told_n, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(world.told[i].status, DELIVERY_RELAYED);
    assert_int_equal(world.relay.kept.count, 5);
    world_run();
    assert_int_equal(world.relay.kept.count, 0);
    world_queue(false);
    world_queue(true);
    assert_int_equal(world.told_n, 5);
    relay_verify(NULL, NULL);
    world_close();
}

static void queue_dies_before_the_end_was_sent(void **state)
{
    struct server *a;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", "");
    world_rule(a, "DATA", "", "HANG", 1);
    world_send("x.test", "r@x.test");
    world_run();
    assert_int_equal(a->open, 1);
    world_queue(false);
    assert_int_equal(a->open, 0);
    assert_int_equal(world.relay.deliveries.count, 0);
    world_queue(true);
    assert_int_equal(world.told_n, 0);
    world_close();
}

static void what_is_under_way_is_not_sent_again(void **state)
{
    struct msg_deliver_remote m;
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    a->hold = true;
    m = world_message("x.test");
    world_deliver(&m, "r@x.test");
    world_run();
    world_queue(false);
    world_queue(true);
    id = world_deliver(&m, "r@x.test s@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "earlier attempt");
    assert_false(world_has_result(id, 1));
    world_release(a);
    world_release(a);
    assert_int_equal(a->messages, 2);
    expect(id, 1, DELIVERY_RELAYED, "taken");
    assert_int_equal(world.told_n, 2); /* that its result is still to come, and the result */
    assert_int_equal(world.told[0].status, DELIVERY_DEFERRED);
    assert_int_equal(world.told[1].status, DELIVERY_RELAYED);
    assert_int_equal(world.told_all, 1);
    assert_int_equal(world.relay.kept.count, 0);
    relay_verify(NULL, NULL);
    world_close();
}

static void what_was_not_stored_is_told_and_not_sent_again(void **state)
{
    struct msg_deliver_remote m, n;
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    world_rule(a, "RCPT", "no@", "550 5.1.1 no", 9);
    world.stores_nothing = true;
    m = world_message("x.test");
    n = world_message("x.test");
    world_deliver(&m, "r@x.test no@x.test");
    world_deliver(&n, "r@x.test");
    world_run();
    assert_int_equal(a->messages, 2);
    assert_int_equal(world.relay.kept.count, 3);
    world_queue(false);
    world_queue(true);
    assert_int_equal(world.told_n, 3);
    assert_int_equal(world.told[0].status + world.told[1].status + world.told[2].status, 2 * DELIVERY_RELAYED + DELIVERY_FAILED);
    id = world_deliver(&m, "r@x.test no@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "earlier attempt");
    expect(id, 1, DELIVERY_DEFERRED, "earlier attempt");
    assert_int_equal(a->messages, 2);
    assert_int_equal(world.told_n, 5);
    world.stores_nothing = false;
    world_run();
    assert_int_equal(world.relay.kept.count, 0);
    relay_verify(NULL, NULL);
    world_close();
}

/* A number that an alias' target got after the recipient it belonged to was ended. */
static void a_number_given_again_is_no_earlier_attempt(void **state)
{
    struct msg_deliver_remote m, n;
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    world.stores_nothing = true;
    m = world_message("x.test");
    world_deliver(&m, "r@x.test");
    world_run();
    a->hold = true;
    n = world_message("x.test");
    world_deliver(&n, "r@x.test");
    world_run();
    world_queue(false);
    world_queue(true);
    world_deliver(&m, "new@x.test");
    id = world_deliver(&n, "new@x.test");
    a->hold = false;
    world_run();
    expect(id - 1, 0, DELIVERY_RELAYED, "taken");
    expect(id, 0, DELIVERY_RELAYED, "taken");
    world_close();
}

/* Its database took the result neither then nor later, and it lives. */
static void queue_lost_a_result_and_offers_again(void **state)
{
    struct msg_deliver_remote m;
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    world.stores_nothing = true;
    m = world_message("x.test");
    world_deliver(&m, "r@x.test");
    world_run();
    id = world_deliver(&m, "r@x.test");
    world_run();
    assert_int_equal(a->messages, 1);
    expect(id, 0, DELIVERY_DEFERRED, "earlier attempt");
    assert_int_equal(world.told_n, 1);
    world.stores_nothing = false;
    world_run();
    assert_int_equal(world.relay.kept.count, 0);
    relay_verify(NULL, NULL);
    world_close();
}

static void an_orphan_that_is_lost_leaves_nothing(void **state)
{
    struct msg_deliver_remote m;
    struct server *a;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    a->hold = true;
    m = world_message("x.test");
    world_deliver(&m, "r@x.test");
    world_run();
    world_queue(false);
    world_time_out();
    assert_int_equal(world.relay.deliveries.count, 0);
    assert_int_equal(world.relay.connection_count, 0);
    a->hold = false;
    world_queue(true);
    assert_int_equal(world.told_n, 0);
    expect((world_deliver(&m, "r@x.test"), world_run(), world.results[world.result_n - 1].id), 0, DELIVERY_RELAYED, "taken");
    world_close();
}

/* Thousands of results: a part a turn, while queue stores them, offers some of them again, and dies once more. */
static void many_are_told_in_parts(void **state)
{
    enum { MESSAGES = 30, RCPTS = 100 };
    static char rcpts[RCPTS * 16];
    struct msg_deliver_remote m = {0};
    size_t all = MESSAGES * RCPTS;
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("relay { recipients_per_transaction = 100 }");
    a = world_server("192.0.2.1", OFFERS);
    world.stores_nothing = true;
    for (int i = 0; i < RCPTS; i++)
        snprintf(rcpts + strlen(rcpts), sizeof rcpts - strlen(rcpts), "%sr%d@x.test", i ? " " : "", i);
    for (int i = 0; i < MESSAGES; i++) {
        m = world_message("x.test");
        world_deliver(&m, rcpts);
        world_run();
    }
    assert_int_equal(world.relay.kept.count, all);
    world.result_n = 0; /* room */
    world_queue(false);
    world_queue(true);
    assert_in_range(world.told_n, 1, 500);
    assert_int_equal(world.told_all, 0);
    id = world_deliver(&m, "r0@x.test"); /* the last message: its turn has not come */
    relay_turn(NULL);
    assert_in_range(world.told_n, 502, 1001);
    world_queue(false);
    world.told_n = 0;
    world_queue(true);
    world.stores_nothing = false;
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "earlier attempt");
    assert_int_equal(world.told_n, all);
    assert_int_equal(world.told_all, 1);
    assert_int_equal(world.told_all_n, all);
    assert_int_equal(world.relay.kept.count, 0);
    assert_int_equal(a->messages, MESSAGES);
    relay_verify(NULL, NULL);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_dies),
        cmocka_unit_test(queue_dies_before_the_end_was_sent),
        cmocka_unit_test(what_is_under_way_is_not_sent_again),
        cmocka_unit_test(what_was_not_stored_is_told_and_not_sent_again),
        cmocka_unit_test(many_are_told_in_parts),
        cmocka_unit_test(a_number_given_again_is_no_earlier_attempt),
        cmocka_unit_test(queue_lost_a_result_and_offers_again),
        cmocka_unit_test(an_orphan_that_is_lost_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
