/* Who gets the places of the queue and of relay: classes, priorities, destinations that hang; and what is lost or said
 * wrongly between queue and its peers. */
#include "queue_world.h"

#include <stdio.h>
#include <string.h>

static int open_tiny_world(void **state)
{
    (void)state;
    world_open("queue { active = 80 } relay { connections = 10 }");
    return 0;
}

static int open_small_world(void **state)
{
    (void)state;
    world_open("queue { active = 80 }");
    return 0;
}

/* Bulk that hangs fills its share of window and memory; transactional mail to the same place goes. */
static void bulk_never_delays_transactional_mail(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++)
        world_send("s@local.test", "slow@remote.test", 0, TXN_BULK, 10);
    world_run();
    assert_int_equal(world.held_back, 3);
    assert_true(world.queue->mails.active_count[CLASS_BULK] <= 60);
    for (int i = 0; i < 5; i++)
        world_send("s@local.test", "u@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.relayed, 5);
    for (int i = 0; i < 400 && world.relayed < 305; i++) {
        world_release();
        world_pass(MINUTE);
    }
    assert_int_equal(world.relayed, 305);
    assert_empty();
}

/* A long line for one destination is sent back to the table and does not keep others out. */
static void one_slow_destination_leaves_room_for_others(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++)
        world_send("s@local.test", "slow@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.held_back, 10);
    assert_true(world.queue->mails.active_count[CLASS_TRANSACTIONAL] < 80);
    world_send("s@local.test", "u@other.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.relayed, 1);
    for (int i = 0; i < 100 && world.relayed < 301; i++) {
        world_release();
        world_pass(MINUTE);
    }
    assert_int_equal(world.relayed, 301);
    assert_int_equal(world.deliveries, 301);
    assert_empty();
}

static void narrow(int i)
{
    char name[40];

    snprintf(name, sizeof name, "d%d.remote.test", i);
    dispatch_on_window(world.queue->role, role_peer(world.queue->role, ROLE_RELAY, 0),
        &(struct msg_window){.window = 2, .destination = str_of(name)});
}

/* More destinations that hang than fit into memory: once relay has said so, others find a place. */
static void many_slow_destinations_leave_room_for_others(void **state)
{
    char rcpt[40];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(rcpt, sizeof rcpt, "slow@d%d.remote.test", i % 200);
        world_send("s@local.test", rcpt, 0, 0, 10);
    }
    world_run();
    assert_in_range(world.held_back, 5, 20); /* the lane has twenty places */
    assert_in_range(world.queue->dispatch.held[STANDING_NEW], 20, 70);
    for (int i = 0; i < 200; i++)
        narrow(i);
    assert_int_equal(world.queue->dispatch.held[STANDING_NEW], 0);
    assert_in_range(world.queue->dispatch.held[STANDING_SLOW], 5, 40);
    for (int i = 0; i < 5; i++)
        world_release();
    world_send("s@local.test", "u@other.test", 0, 0, 10);
    for (int i = 0; i < 20 && world_count("recipient where address='u@other.test'") > 0; i++)
        world_pass(10 * SECOND);
    assert_int_equal(world_count("recipient where address='u@other.test'"), 0);
    for (int i = 0; i < 2000 && world.relayed < 1001; i++) {
        world_release();
        world_pass(MINUTE);
    }
    assert_int_equal(world.relayed, 1001);
    for (int i = 0; i < STANDINGS; i++)
        assert_int_equal(world.queue->dispatch.held[i], 0);
    assert_empty();
}

/* More than fits into memory is worked off in the order of arrival. */
static void the_table_is_worked_off(void **state)
{
    (void)state;
    world_peer(ROLE_DIRECTORY, false);
    for (int i = 0; i < 1000; i++)
        world_send("s@local.test", "u@local.test x@remote.test", 0, i % 2 ? TXN_BULK : 0, 10);
    world_run();
    assert_true(world.queue->mails.active_count[0] + world.queue->mails.active_count[1] <= 80);
    world_peer(ROLE_DIRECTORY, true);
    world_run();
    for (int i = 0; i < 100 && world_count("recipient") > 0; i++)
        world_pass(10 * SECOND);
    assert_int_equal(world.delivered, 1000);
    assert_int_equal(world.relayed, 1000);
    assert_empty();
}

/* More than fits, for a destination nobody knows yet, before relay is there: nothing is put off for longer than it takes. */
static void a_first_burst_stands_still_for_a_moment_only(void **state)
{
    int64_t now = 20000 * DAY, passed = 0;

    (void)state;
    world_freeze_clock(now);
    world_peer(ROLE_RELAY, false);
    for (int i = 0; i < 3000; i++)
        world_send("s@local.test", "u@remote.test", 0, 0, 10);
    world_run();
    assert_true(world_metric("staffetta_queue_parked_total") > 2900);
    world_peer(ROLE_RELAY, true);
    world_run();
    for (; passed < 60 * SECOND && world.relayed < 3000; passed += SECOND / 10)
        world_pass(SECOND / 10);
    assert_int_equal(world.relayed, 3000);
    assert_true(passed < 10 * SECOND);
    assert_empty();
    world_freeze_clock(0);
}

/* Bulk has places of its own: a long line of other mail before it does not send each of it back again and again. */
static void bulk_behind_a_line_is_not_put_back_for_each_delivery(void **state)
{
    int64_t parked;

    (void)state;
    world_send("s@local.test", "u@remote.test", 0, 0, 10);
    world_run(); /* known to be good */
    for (int i = 0; i < 40; i++)
        world_send("s@local.test", "slow@remote.test", 0, 0, 10);
    world_run();
    parked = world_metric("staffetta_queue_parked_total");
    for (int i = 0; i < 5; i++)
        world_send("s@local.test", "b@remote.test", 0, TXN_BULK, 10);
    world_run();
    assert_int_equal(world_metric("staffetta_queue_parked_total"), parked);
    for (int i = 0; i < 10; i++)
        world_release(), world_pass(MINUTE);
    assert_int_equal(world.relayed, 46);
    assert_empty();
}

/* relay widens and narrows the window. */
static void windows_are_kept(void **state)
{
    struct channel *relay = role_peer(world.queue->role, ROLE_RELAY, 0);

    (void)state;
    for (int i = 0; i < 30; i++)
        world_send("s@local.test", "slow@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.held_back, 10);
    dispatch_on_window(world.queue->role, relay, &(struct msg_window){.window = 25, .destination = STR("remote.test")});
    world_run();
    assert_int_equal(world.held_back, 25);
    dispatch_on_window(world.queue->role, relay, &(struct msg_window){.window = 2, .destination = STR("remote.test")});
    world_release();
    world_run();
    assert_int_equal(world.held_back, 2);
    world_release();
    world_run();
    world_release();
    world_run();
    world_release();
    world_run();
    assert_int_equal(world.relayed, 30);
}

/* Its window is as narrow as it gets, and all is well; then relay says that it hangs. */
static void a_good_destination_with_a_narrow_window_turns_slow(void **state)
{
    struct channel *relay = role_peer(world.queue->role, ROLE_RELAY, 0);
    struct msg_window window = {.window = 2, .destination = STR("remote.test")};

    (void)state;
    world_send("s@local.test", "slow@remote.test", 0, 0, 10);
    world_run();
    dispatch_on_window(world.queue->role, relay, &window);
    world_release();
    world_run();
    world_send("s@local.test", "slow@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.queue->dispatch.held[STANDING_GOOD], 1);
    window.window = 1;
    dispatch_on_window(world.queue->role, relay, &window);
    assert_int_equal(world.queue->dispatch.held[STANDING_SLOW], 1);
    world_release();
    world_run();
    assert_int_equal(world.relayed, 2);
    assert_int_equal(world.queue->dispatch.held[STANDING_SLOW], 0);
}

/* A stranger's nonsense is dropped. */
static void nonsense_is_dropped(void **state)
{
    struct role *role = world.queue->role;
    struct channel *relay = role_peer(role, ROLE_RELAY, 0), *filter = role_peer(role, ROLE_FILTER, 0);

    (void)state;
    world_send("s@local.test", "slow@remote.test", 0, 0, 100000);
    world_run();
    for (uint64_t id = world.last_delivery - 10; id < world.last_delivery + 10; id++) {
        dispatch_on_rcpt_done(role, relay, &(struct msg_rcpt_done){.id = id, .n = 77});
        dispatch_on_rcpt_done(role, filter, &(struct msg_rcpt_done){.id = id, .n = 1});
        dispatch_on_deliver_done(role, filter, &(struct msg_deliver_done){.id = id});
        resolve_on_reply(role, filter, &(struct msg_resolve_reply){.id = id, .result = 99});
        queue_handlers.txn_end(role, filter, &(struct msg_txn_end){.id = id + 100000});
        queue_handlers.txn_rcpt(role, filter, &(struct msg_txn_rcpt){.id = id + 100000});
        queue_handlers.txn_abort(role, filter, &(struct msg_txn_abort){.id = id + 100000});
        queue_handlers.txn_begin(role, filter, &(struct msg_txn_begin){.id = id + 200000, .message = UINT64_MAX - id});
        commands_on_more(role, filter, &(struct msg_control_more){.id = id});
        events_on_ack(role, filter, &(struct msg_event_ack){.seq = 0});
    }
    dispatch_on_window(role, relay, &(struct msg_window){.window = 0, .destination = STR("remote.test")});
    dispatch_on_window(role, relay, &(struct msg_window){.window = 5, .destination = STR("unknown.test")});
    world_run();
    assert_int_equal(world.held_back, 1);
    world_release();
    world_run();
    assert_int_equal(world.relayed, 1);
    assert_empty();
}

/* An impossible status or a body asked for beyond its end is a delivery that failed for now. */
static void a_delivery_that_asks_beyond_the_end_is_deferred(void **state)
{
    struct channel *relay = role_peer(world.queue->role, ROLE_RELAY, 0);

    (void)state;
    world_send("s@local.test", "slow@remote.test", 0, 0, 100000);
    world_run();
    dispatch_on_body_ask(world.queue->role, relay,
        &(struct msg_body_ask){.id = world.last_delivery, .offset = UINT64_MAX - 1});
    world_run();
    assert_int_equal(world.events[EVENT_DEFERRED], 1);
    world_pass(2 * MINUTE);
    world_release();
    world_run();
    assert_int_equal(world.events[EVENT_RELAYED], 1);
    assert_empty();
}

static void send_with_priority(const char *rcpt, uint64_t priority)
{
    uint64_t id = ++world.next_txn;

    queue_handlers.txn_begin(world.queue->role, role_peer(world.queue->role, ROLE_FILTER, 0),
        &(struct msg_txn_begin){.id = id, .message = msgid_new(), .priority = priority});
    world_txn_rcpt(id, rcpt, 0);
    world_txn_end(id, 0);
}

/* Whoever loses a question or a delivery: it is asked again, or tried again. */
static void what_others_lose_is_tried_again(void **state)
{
    (void)state;
    world.silent_directory = true;
    world_send("s@local.test", "u@local.test", 0, 0, 10);
    world_run();
    world.silent_directory = false;
    world_pass(MINUTE);
    assert_int_equal(world.delivered, 0);
    world_pass(2 * MINUTE);
    world_pass(2 * MINUTE);
    assert_int_equal(world.delivered, 1);
    world_send("s@local.test", "slow@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.held_back, 1);
    world_pass(2 * HOUR);
    assert_int_equal(world.events[EVENT_DEFERRED], 0);
    world_pass(2 * HOUR);
    assert_int_equal(world.events[EVENT_DEFERRED], 1);
    world_pass(2 * MINUTE);
    assert_int_equal(world.held_back, 2);
    world_release();
    world_run();
    assert_int_equal(world.events[EVENT_RELAYED], 1);
    assert_empty();
}

/* A row the scheduler has lost sight of is found by the sweep. */
static void what_we_lose_is_found_again(void **state)
{
    (void)state;
    world_peer(ROLE_DIRECTORY, false);
    world_send("s@local.test", "u@local.test", 0, 0, 10);
    world_run();
    for (struct map_node *n = map_walk(&world.queue->mails.active, NULL); n; n = map_walk(&world.queue->mails.active, NULL)) {
        struct rcpt *r = CONTAINER(n, struct rcpt, by_place);

        schedule_forget(world.queue, r->row.message, r->row.n);
    }
    world_peer(ROLE_DIRECTORY, true);
    world_run();
    assert_int_equal(world.delivered, 0);
    world_pass(2 * MINUTE);
    assert_int_equal(world.delivered, 1);
    assert_empty();
}

static void higher_priority_goes_first(void **state)
{
    (void)state;
    world_peer(ROLE_RELAY, false);
    send_with_priority("low@remote.test", 5);
    send_with_priority("normal@remote.test", 9);
    send_with_priority("high@remote.test", 15);
    send_with_priority("highest@remote.test", 18);
    send_with_priority("high2@remote.test", 15);
    world_run();
    world_peer(ROLE_RELAY, true);
    world_run();
    assert_true(str_starts(buf_str(&world.order),
        STR("highest@remote.test high@remote.test high2@remote.test low@remote.test normal@remote.test ")));
    assert_empty();
}

#define SMALL(f) cmocka_unit_test_setup_teardown(f, open_small_world, close_world)
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SMALL(bulk_never_delays_transactional_mail),
        cmocka_unit_test_setup_teardown(many_slow_destinations_leave_room_for_others, open_tiny_world, close_world),
        SMALL(one_slow_destination_leaves_room_for_others),
        SMALL(the_table_is_worked_off),
        SMALL(a_first_burst_stands_still_for_a_moment_only),
        SMALL(bulk_behind_a_line_is_not_put_back_for_each_delivery),
        TEST(what_others_lose_is_tried_again),
        TEST(what_we_lose_is_found_again),
        TEST(higher_priority_goes_first),
        TEST(windows_are_kept),
        TEST(a_good_destination_with_a_narrow_window_turns_slow),
        TEST(nonsense_is_dropped),
        TEST(a_delivery_that_asks_beyond_the_end_is_deferred),
    };

    return cmocka_run_group_tests_name("queue_window", tests, NULL, NULL);
}
