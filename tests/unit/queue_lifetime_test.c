/* What has a time in the queue: delays told, lifetimes that end in whatever state, FUTURERELEASE and DELIVERBY. */
#include "queue_world.h"

#include <stdio.h>
#include <string.h>

static void a_delay_is_told_once_and_the_end_too(void **state)
{
    (void)state;
    world_send("s@local.test", "later@remote.test", 0, 0, 10);
    world_run();
    for (int hour = 0; hour < 3; hour++)
        world_pass(HOUR);
    assert_int_equal(world.events[EVENT_DELAY_NOTICE], 0);
    world_pass(HOUR + MINUTE);
    assert_int_equal(world.events[EVENT_DELAY_NOTICE], 1);
    for (int hour = 0; hour < 115; hour++)
        world_pass(HOUR);
    assert_int_equal(world.events[EVENT_DELAY_NOTICE], 1);
    assert_int_equal(world.events[EVENT_FAILED], 0);
    for (int hour = 0; hour < 3; hour++)
        world_pass(HOUR);
    assert_int_equal(world.events[EVENT_FAILED], 1);
    assert_int_equal(world.events[EVENT_BOUNCED], 1);
    assert_empty();
}

/* Whatever is broken, in whatever state: no recipient outlives its lifetime by more than the grace. */
static void nothing_outlives_its_lifetime(void **state)
{
    (void)state;
    world_peer(ROLE_RELAY, false);
    world_send("s@local.test", "a@remote.test", 0, 0, 10); /* waits for relay */
    world_send("s@local.test", "slow@local.test", 0, 0, 10); /* mailbox never answers */
    world_run();
    world_peer(ROLE_DIRECTORY, false);
    world_send("s@local.test", "b@remote.test", 0, 0, 10); /* waits for directory */
    world_run();
    world_pass(4 * DAY);
    assert_int_equal(world.events[EVENT_FAILED], 0);
    world_pass(DAY + MINUTE);
    world_pass(20 * MINUTE);
    world_pass(2 * MINUTE);
    assert_int_equal(world.events[EVENT_FAILED], 3);
    assert_int_equal(world.events[EVENT_BOUNCED], 3);
    world_release(); /* too late: changes nothing */
    world_run();
    assert_int_equal(world.events[EVENT_DELIVERED], 0);
    assert_int_equal(world.events[EVENT_DELAY_NOTICE], 1);
    assert_int_equal(world_count("recipient"), 4); /* the reports */
    world_peer(ROLE_DIRECTORY, true);
    world_run();
    assert_int_equal(world.reports, 4);
    assert_empty();
}

static bool summary_has(const char *text)
{
    world_command("summary");
    return str_ifind(buf_str(&world.rows), str_of(text)) >= 0;
}

/* While nothing can be stored nothing can end: the number says so until it can. */
static void what_is_overdue_is_seen(void **state)
{
    int64_t overdue;

    (void)state;
    world_send("s@local.test", "slow@local.test", 0, 0, 10);
    world_run();
    assert_true(summary_has("\"oldest_overdue_seconds\":0,"));
    world_pass(5 * SECOND);
    assert_in_range(world_metric("staffetta_queue_oldest_overdue_seconds"), 0, 10);
    world_disk_full(true);
    world_pass(5 * DAY + HOUR);
    world_pass(20 * MINUTE);
    overdue = world_metric("staffetta_queue_oldest_overdue_seconds");
    assert_in_range(overdue, 3600, 3600 + 20 * 60); /* of 80 minutes 15 are grace */
    world_pass(HOUR);
    assert_in_range(world_metric("staffetta_queue_oldest_overdue_seconds"), overdue + 3540, overdue + 3660);
    assert_true(summary_has("\"oldest_overdue_seconds\":"));
    assert_false(summary_has("\"oldest_overdue_seconds\":0,"));
    assert_int_equal(world_count("recipient"), 1);
    world_disk_full(false);
    world_pass(20 * MINUTE);
    world_pass(20 * MINUTE);
    assert_true(summary_has("\"oldest_overdue_seconds\":0,"));
    assert_int_equal(world_metric("staffetta_queue_oldest_overdue_seconds"), 0);
    assert_int_equal(world.events[EVENT_FAILED], 1);
    world_release();
    world_run();
    assert_empty();
}

static void hold_until_is_honoured(void **state)
{
    uint64_t id = ++world.next_txn;

    (void)state;
    queue_handlers.txn_begin(world.queue->role, role_peer(world.queue->role, ROLE_FILTER, 0),
        &(struct msg_txn_begin){.id = id, .message = msgid_new(), .hold_until = clock_now() + HOUR});
    world_txn_rcpt(id, "u@local.test", 0);
    world_txn_end(id, 0);
    world_run();
    assert_int_equal(world.code, 250);
    world_pass(59 * MINUTE);
    assert_int_equal(world.delivered, 0);
    world_pass(2 * MINUTE);
    assert_int_equal(world.delivered, 1);
    assert_empty();
}

static void a_message_due_by_a_time_is_returned_then(void **state)
{
    uint64_t id = ++world.next_txn;

    (void)state;
    queue_handlers.txn_begin(world.queue->role, role_peer(world.queue->role, ROLE_FILTER, 0),
        &(struct msg_txn_begin){.id = id, .message = msgid_new(), .sender = STR("s@local.test"),
            .flags = TXN_BY_RETURN, .deliver_by = clock_now() + 10 * MINUTE});
    world_txn_rcpt(id, "later@remote.test", 0);
    world_txn_end(id, 0);
    world_run();
    world_pass(9 * MINUTE);
    assert_int_equal(world.events[EVENT_FAILED], 0);
    world_pass(2 * MINUTE);
    assert_int_equal(world.events[EVENT_FAILED], 1);
    assert_int_equal(world.reports, 1);
    assert_empty();
}

static void a_late_message_is_told_at_its_time_and_as_a_delay(void **state)
{
    uint64_t id = ++world.next_txn;

    (void)state;
    queue_handlers.txn_begin(world.queue->role, role_peer(world.queue->role, ROLE_FILTER, 0),
        &(struct msg_txn_begin){.id = id, .message = msgid_new(), .sender = STR("s@local.test"),
            .deliver_by = clock_now() + 10 * MINUTE});
    world_txn_rcpt(id, "later@remote.test", 0);
    world_txn_end(id, 0);
    world_run();
    world_pass(9 * MINUTE);
    assert_int_equal(world.events[EVENT_DELAY_NOTICE], 0);
    world_pass(2 * MINUTE);
    assert_int_equal(world.events[EVENT_DELAY_NOTICE], 1);
    assert_true(str_ifind(buf_str(&world.last_body), STR("Status: 4.4.7")) >= 0);
    world_pass(3 * HOUR);
    assert_int_equal(world.events[EVENT_DELAY_NOTICE], 1);
    world_pass(HOUR);
    assert_int_equal(world.events[EVENT_DELAY_NOTICE], 2);
    assert_int_equal(world.events[EVENT_FAILED], 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_delay_is_told_once_and_the_end_too),
        TEST(nothing_outlives_its_lifetime),
        TEST(what_is_overdue_is_seen),
        TEST(hold_until_is_honoured),
        TEST(a_message_due_by_a_time_is_returned_then),
        TEST(a_late_message_is_told_at_its_time_and_as_a_delay),
    };

    return cmocka_run_group_tests_name("queue_lifetime", tests, NULL, NULL);
}
