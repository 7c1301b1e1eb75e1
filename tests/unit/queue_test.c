/* The life of messages in the queue, played in a small world (queue_world.h). */
#include "queue_world.h"

#include <stdio.h>
#include <string.h>

static int open_tight_world(void **state)
{
    (void)state;
    world_open("queue { memory = 1M }");
    return 0;
}

static void a_message_is_answered_after_its_commit_and_delivered(void **state)
{
    (void)state;
    world_send("s@remote.test", "u@local.test", 0, 0, 1000);
    assert_int_equal(world.answers, 0);
    assert_int_equal(world_count("message"), 0);
    world_run();
    assert_int_equal(world.code, 250);
    assert_int_equal(strncmp(world.reply, "2.0.0 queued as ", 16), 0);
    assert_int_equal(world.delivered, 1);
    assert_int_equal(world.last_body.n, 1000 + 37);
    assert_int_equal(world.events[EVENT_ACCEPTED], 1);
    assert_int_equal(world.events[EVENT_DELIVERED], 1);
    assert_int_equal(world.events[EVENT_DONE], 1);
    assert_empty();
}

static void messages_of_one_turn_share_a_commit(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        world_send("s@remote.test", "u@local.test", 0, 0, 100);
    queue_turn(world.queue);
    assert_int_equal(world_count("message"), 50);
    world_run();
    assert_int_equal(world.accepted, 50);
    assert_int_equal(world.delivered, 50);
    assert_empty();
}

static void long_bodies_go_through_chunk_rows(void **state)
{
    static const size_t sizes[] = {65535 - 37, 65536 - 37, 65537 - 37, 65536, 65537, 131072, 131073, 1000000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        world_send("s@remote.test", "u@local.test x@remote.test", 0, 0, sizes[i]);
        assert_true(world.queue->incoming.bytes < 3 * 1024 * 1024);
        world_run();
        assert_int_equal(world.last_body.n, sizes[i] + 37);
        for (size_t at = 0; at < sizes[i]; at++)
            if (world.last_body.p[37 + at] != (at % 65536 % 64 == 62   ? '\r'
                                               : at % 65536 % 64 == 63 ? '\n'
                                                                       : (char)('a' + at % 65536 / 64 % 26)))
                fail_msg("size %zu: wrong byte at %zu", sizes[i], at);
        assert_empty();
    }
    assert_int_equal(world.delivered, sizeof sizes / sizeof sizes[0]);
}

static void an_aborted_message_leaves_nothing(void **state)
{
    uint64_t message = 0, id = world_txn_begin("s@remote.test", 0, &message);

    (void)state;
    world_txn_rcpt(id, "u@local.test", 0);
    world_txn_chunk(id, 3000000);
    world_run();
    assert_true(world_count("chunk") > 20);
    world_txn_abort(id);
    world_pass(SECOND);
    assert_int_equal(world.answers, 0);
    assert_empty();
}

static void a_filter_that_dies_takes_its_open_messages_along(void **state)
{
    uint64_t message = 0, id = world_txn_begin("s@remote.test", 0, &message);

    (void)state;
    world_txn_rcpt(id, "u@local.test", 0);
    world_txn_chunk(id, 300000);
    world_send("s@remote.test", "done@local.test", 0, 0, 100);
    world_peer(ROLE_FILTER, false);
    world_pass(SECOND);
    assert_int_equal(world.answers, 0); /* nobody to tell */
    assert_int_equal(world.delivered, 1); /* what was ended counts */
    assert_empty();
}

static void a_message_without_recipients_is_refused(void **state)
{
    (void)state;
    world_send("s@remote.test", "", 0, 0, 10);
    world_run();
    assert_int_equal(world.code, 554);
    assert_empty();
}

static void a_queue_id_cannot_be_taken_twice(void **state)
{
    uint64_t message, id;

    (void)state;
    world_peer(ROLE_DIRECTORY, false);
    message = world_send("s@remote.test", "u@local.test", 0, 0, 10);
    world_txn_begin("s@remote.test", 0, &message); /* open already */
    queue_turn(world.queue);
    world_run();
    assert_int_equal(world.refused, 1);
    assert_int_equal(world.accepted, 1);
    for (size_t size = 10; size < 200000; size += 199000) {
        world.code = 0;
        id = world_txn_begin("s@remote.test", 0, &message);
        world_txn_rcpt(id, "u@local.test", 0);
        world_txn_chunk(id, size);
        world_txn_end(id, 0);
        world_run();
        assert_int_equal(world.code, 451);
    }
    assert_int_equal(world_count("message"), 1);
    world_peer(ROLE_DIRECTORY, true);
    world_run();
    assert_int_equal(world.delivered, 1);
    assert_empty();
}

static void unfinished_pieces_are_swept_at_start(void **state)
{
    uint64_t message = 0, id = world_txn_begin("s@remote.test", 0, &message);

    (void)state;
    world_txn_rcpt(id, "u@local.test", 0);
    world_txn_chunk(id, 3000000);
    world_run();
    assert_true(world_count("chunk") > 0);
    world_crash();
    assert_int_equal(world_count("chunk"), 0);
    world_run();
    assert_empty();
}

static void a_crash_repeats_what_was_under_way(void **state)
{
    (void)state;
    world_send("s@remote.test", "slow@local.test slow@remote.test", 0, 0, 100000);
    world_run();
    assert_int_equal(world.code, 250);
    assert_int_equal(world.held_back, 2);
    world_crash();
    world_run();
    assert_int_equal(world.held_back, 2);
    world_release();
    world_run();
    assert_int_equal(world.delivered, 1);
    assert_int_equal(world.relayed, 1);
    assert_empty();
}

static void recipients_of_one_destination_share_a_delivery(void **state)
{
    (void)state;
    world_send("s@local.test", "a@remote.test b@remote.test c@remote.test d@other.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.relayed, 4);
    assert_int_equal(world.deliveries, 2);
    assert_int_equal(world.max_per_delivery, 3);
    assert_empty();
}

static void a_deferred_recipient_is_tried_again(void **state)
{
    (void)state;
    world_send("s@remote.test", "once@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.events[EVENT_DEFERRED], 1);
    assert_int_equal(world.queue->counts.all.deferred, 1);
    world_pass(40 * SECOND);
    assert_int_equal(world.deliveries, 1);
    world_pass(40 * SECOND);
    assert_int_equal(world.relayed, 1);
    assert_empty();
}

static void a_failure_is_reported_to_the_sender_once(void **state)
{
    (void)state;
    world_send("s@local.test", "gone@remote.test gone@local.test nobody@local.test ok@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.events[EVENT_FAILED], 3);
    assert_true(world.reports >= 1 && world.reports <= 3);
    assert_int_equal(world.events[EVENT_BOUNCED], world.reports);
    assert_true(str_ifind(buf_str(&world.last_body), STR("multipart/report")) >= 0);
    assert_true(str_ifind(buf_str(&world.last_body), STR("Subject: hello")) >= 0);
    assert_empty();
}

static void nothing_is_reported_about_a_report(void **state)
{
    (void)state;
    world_send("", "gone@remote.test", 0, 0, 10);
    world_send("nobody@local.test", "gone@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.events[EVENT_BOUNCED], 1); /* about the second; itself fails silently */
    assert_empty();
}

static void success_is_reported_when_asked_for(void **state)
{
    (void)state;
    world_send("s@local.test", "u@local.test", NOTIFY_SUCCESS, 0, 10);
    world_run();
    assert_int_equal(world.reports, 1);
    assert_true(str_ifind(buf_str(&world.last_body), STR("Action: delivered")) >= 0);
    world_send("s@local.test", "x@remote.test", NOTIFY_SUCCESS, 0, 10);
    world_run();
    assert_int_equal(world.reports, 2);
    assert_true(str_ifind(buf_str(&world.last_body), STR("Action: relayed")) >= 0);
    world_send("s@local.test", "gone@remote.test", NOTIFY_SUCCESS, 0, 10);
    world_send("s@local.test", "gone@remote.test", NOTIFY_NEVER, 0, 10);
    world_run();
    assert_int_equal(world.reports, 2);
    assert_empty();
}

static void an_alias_is_replaced_by_its_targets(void **state)
{
    (void)state;
    world_send("s@local.test", "list@local.test a@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.events[EVENT_EXPANDED], 1);
    assert_int_equal(world.delivered, 2); /* a@ only once */
    assert_int_equal(world.relayed, 1);
    assert_int_equal(world.reports, 0);
    world_send("s@local.test", "list@local.test", NOTIFY_SUCCESS, 0, 10);
    world_run();
    assert_int_equal(world.reports, 1); /* expanded; the targets' success is not reported */
    assert_true(str_ifind(buf_str(&world.last_body), STR("Action: expanded")) >= 0);
    world_send("s@local.test", "single@local.test", NOTIFY_SUCCESS, 0, 10);
    world_run();
    assert_int_equal(world.reports, 2); /* delivered, by inheritance */
    assert_true(str_ifind(buf_str(&world.last_body), STR("Action: delivered")) >= 0);
    assert_empty();
}

/* The next server is told a rewritten sender, and one delivery has one sender; a report goes to the sender himself. */
static void a_rewritten_sender_is_for_the_next_server_only(void **state)
{
    (void)state;
    buf_reset(&world.senders);
    world_send("s@stranger.test", "both@local.test d@remote.test", 0, 0, 500);
    world_pass(MINUTE);
    assert_int_equal(world.relayed, 3); /* one of them is the report */
    assert_int_equal(world.reports, 1);
    assert_true(str_ends(buf_str(&world.order), STR("s@stranger.test ")));
    assert_true(str_eq(buf_str(&world.senders), STR("s@stranger.test SRS0=rewritten@local.test  "))); /* the report has none */
    assert_empty();
}

static void an_account_keeps_a_copy_and_forwards(void **state)
{
    (void)state;
    world_send("s@local.test", "keep@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.delivered, 1);
    assert_int_equal(world.relayed, 1);
    assert_empty();
}

static void an_alias_loop_ends(void **state)
{
    (void)state;
    world_send("s@remote.test", "loop@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.events[EVENT_EXPANDED], 10);
    assert_int_equal(world.events[EVENT_FAILED], 1);
    assert_int_equal(world.events[EVENT_BOUNCED], 1);
    assert_empty();
}

static void a_dying_relay_costs_no_attempt_at_first(void **state)
{
    (void)state;
    world_send("s@local.test", "slow@remote.test", 0, 0, 10);
    world_run();
    for (int i = 0; i < 2; i++) {
        world_peer(ROLE_RELAY, false);
        world_run();
        assert_int_equal(world.events[EVENT_DEFERRED], 0);
        world_peer(ROLE_RELAY, true);
        world_run();
    }
    world_peer(ROLE_RELAY, false); /* a message that kills the process is put off */
    world_run();
    assert_int_equal(world.events[EVENT_DEFERRED], 1);
    world_peer(ROLE_RELAY, true);
    world_pass(2 * MINUTE);
    world_release();
    world_run();
    assert_int_equal(world.relayed, 1);
    assert_empty();
}

static void a_full_disk_refuses_mail_and_loses_nothing(void **state)
{
    (void)state;
    world_send("s@local.test", "slow@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.accepted, 1);
    world_disk_full(true);
    world_send("s@local.test", "u@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.code, 452);
    world_release(); /* a result that cannot be stored now */
    world_run();
    assert_int_equal(world_count("recipient"), 1);
    assert_false(world.accepting);
    world_send("s@local.test", "u@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.refused, 2);
    world_disk_full(false);
    world_pass(2 * SECOND);
    assert_int_equal(world_count("recipient"), 0);
    assert_true(world.accepting);
    assert_int_equal(world.relayed, 1);
    assert_int_equal(world.events[EVENT_RELAYED], 1);
    world_send("s@local.test", "u@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.code, 250);
    assert_empty();
}

/* Bodies that wait for more of themselves: beyond the budget nothing new comes in, beyond twice the
 * budget nothing at all; what is there can still end. */
static void too_much_mail_at_once_is_refused_and_what_is_there_ends(void **state)
{
    uint64_t ids[40], message;
    unsigned n = 0;

    (void)state;
    world_run();
    while (world.accepting && n < 40) {
        message = 0;
        ids[n] = world_txn_begin("s@remote.test", 0, &message);
        world_txn_rcpt(ids[n], "u@local.test", 0);
        world_txn_chunk(ids[n++], 60000);
        world_run();
    }
    assert_true(n >= (1 << 20) / 60000 && n < 20);
    assert_int_equal(world_count("chunk"), 0);
    world_send("s@local.test", "u@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.code, 452);
    assert_non_null(strstr(world.reply, "4.3.1 Too much mail at once"));
    for (unsigned i = 0; i < n; i++)
        world_txn_end(ids[i], 0);
    world_run();
    assert_int_equal(world.accepted, n);
    assert_int_equal(world.delivered, n);
    assert_true(world.accepting);
    world_send("s@local.test", "u@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.code, 250);
    assert_empty();
}

/* The original comes back whole up to 64 KB, unless the sender or REQUIRETLS (RFC 8689 5) says header only. */
static void what_a_bounce_gives_back(void **state)
{
    static const struct {
        uint64_t flags;
        size_t size;
        bool whole;
    } cases[] = {{0, 1000, true}, {0, 60000, true}, {0, 70000, false}, {TXN_RET_FULL, 1000, true},
        {TXN_RET_HDRS, 1000, false}, {TXN_REQUIRETLS | TXN_RET_FULL, 1000, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_send("s@local.test", "gone@remote.test", 0, cases[i].flags, cases[i].size);
        world_run();
        assert_int_equal(world.reports, i + 1);
        if ((str_ifind(buf_str(&world.last_body), STR("aaaaaaaaaa")) >= 0) != cases[i].whole)
            fail_msg("case %zu", i);
        assert_true(str_ifind(buf_str(&world.last_body), STR("Subject: hello")) >= 0);
    }
    assert_empty();
}

static void events_wait_for_their_role(void **state)
{
    (void)state;
    world_peer(ROLE_EVENTS, false);
    world_send("s@local.test", "u@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.events[EVENT_ACCEPTED], 0);
    assert_true(world.queue->events.teller.count >= 3);
    world_peer(ROLE_EVENTS, true);
    world_run();
    assert_int_equal(world.events[EVENT_ACCEPTED], 1);
    assert_int_equal(world.events[EVENT_DONE], 1);
    assert_int_equal(world.queue->events.teller.count, 0);
    assert_int_equal(world.queue->events.teller.bytes, 0);
}

static void drain_finishes_what_is_under_way(void **state)
{
    (void)state;
    world_send("s@local.test", "slow@local.test", 0, 0, 10);
    world_run();
    queue_drain(world.queue, 10 * SECOND);
    world_run();
    assert_false(world.exited);
    world_send("s@local.test", "u@local.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.code, 421);
    world_release();
    world_run();
    assert_true(world.exited);
    assert_empty();
}

static void drain_ends_in_time(void **state)
{
    (void)state;
    world_send("s@local.test", "slow@local.test", 0, 0, 10);
    world_run();
    queue_drain(world.queue, 10 * SECOND);
    world_pass(11 * SECOND);
    assert_true(world.exited);
    assert_int_equal(world_count("recipient"), 1);
}

#define TIGHT(f) cmocka_unit_test_setup_teardown(f, open_tight_world, close_world)
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_answered_after_its_commit_and_delivered),
        TEST(messages_of_one_turn_share_a_commit),
        TEST(long_bodies_go_through_chunk_rows),
        TEST(an_aborted_message_leaves_nothing),
        TEST(a_filter_that_dies_takes_its_open_messages_along),
        TEST(a_message_without_recipients_is_refused),
        TEST(a_queue_id_cannot_be_taken_twice),
        TEST(unfinished_pieces_are_swept_at_start),
        TEST(a_crash_repeats_what_was_under_way),
        TEST(recipients_of_one_destination_share_a_delivery),
        TEST(a_deferred_recipient_is_tried_again),
        TEST(a_failure_is_reported_to_the_sender_once),
        TEST(nothing_is_reported_about_a_report),
        TEST(success_is_reported_when_asked_for),
        TEST(an_alias_is_replaced_by_its_targets),
        TEST(a_rewritten_sender_is_for_the_next_server_only),
        TEST(an_account_keeps_a_copy_and_forwards),
        TEST(an_alias_loop_ends),
        TEST(a_dying_relay_costs_no_attempt_at_first),
        TEST(a_full_disk_refuses_mail_and_loses_nothing),
        TIGHT(too_much_mail_at_once_is_refused_and_what_is_there_ends),
        TEST(what_a_bounce_gives_back),
        TEST(events_wait_for_their_role),
        TEST(drain_finishes_what_is_under_way),
        TEST(drain_ends_in_time),
    };

    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
