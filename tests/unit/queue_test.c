/* The life of messages in the queue, played in a small world (queue_world.h). */
#include "queue_world.h"

#include <stdio.h>
#include <string.h>

static int open_world(void **state)
{
    (void)state;
    world_open("");
    return 0;
}

static int open_tight_world(void **state)
{
    (void)state;
    world_open("queue { memory = 1M }");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close();
    return 0;
}

static void assert_empty(void)
{
    assert_int_equal(world_count("message"), 0);
    assert_int_equal(world_count("recipient"), 0);
    assert_int_equal(world_count("chunk"), 0);
    assert_int_equal(world.queue->counts.messages, 0);
    assert_int_equal(world.queue->counts.all.waiting[0] + world.queue->counts.all.waiting[1], 0);
    assert_int_equal(world.queue->counts.all.held, 0);
    assert_int_equal(world.queue->counts.all.deferred, 0);
    assert_int_equal(world.queue->mails.active_count[0] + world.queue->mails.active_count[1], 0);
    assert_int_equal(world.queue->mails.by_id.count, 0);
    assert_int_equal(world.queue->mails.body_bytes, 0);
    assert_int_equal(world.queue->incoming.count, 0);
    assert_int_equal(world.queue->incoming.bytes, 0);
    assert_int_equal(world.queue->dispatch.under_way, 0);
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
    assert_true(world.queue->events.count >= 3);
    world_peer(ROLE_EVENTS, true);
    world_run();
    assert_int_equal(world.events[EVENT_ACCEPTED], 1);
    assert_int_equal(world.events[EVENT_DONE], 1);
    assert_int_equal(world.queue->events.count, 0);
    assert_int_equal(world.queue->events.bytes, 0);
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

#define TIGHT(f) cmocka_unit_test_setup_teardown(f, open_tight_world, close_world)
#define SMALL(f) cmocka_unit_test_setup_teardown(f, open_small_world, close_world)
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
        TEST(an_account_keeps_a_copy_and_forwards),
        TEST(an_alias_loop_ends),
        TEST(a_delay_is_told_once_and_the_end_too),
        TEST(nothing_outlives_its_lifetime),
        TEST(what_is_overdue_is_seen),
        TEST(a_dying_relay_costs_no_attempt_at_first),
        TEST(a_full_disk_refuses_mail_and_loses_nothing),
        TIGHT(too_much_mail_at_once_is_refused_and_what_is_there_ends),
        TEST(hold_until_is_honoured),
        TEST(a_message_due_by_a_time_is_returned_then),
        TEST(a_late_message_is_told_at_its_time_and_as_a_delay),
        TEST(what_a_bounce_gives_back),
        TEST(events_wait_for_their_role),
        TEST(drain_finishes_what_is_under_way),
        TEST(drain_ends_in_time),
        SMALL(bulk_never_delays_transactional_mail),
        cmocka_unit_test_setup_teardown(many_slow_destinations_leave_room_for_others, open_tiny_world, close_world),
        SMALL(one_slow_destination_leaves_room_for_others),
        SMALL(the_table_is_worked_off),
        TEST(what_others_lose_is_tried_again),
        TEST(what_we_lose_is_found_again),
        TEST(higher_priority_goes_first),
        TEST(windows_are_kept),
        TEST(nonsense_is_dropped),
        TEST(a_delivery_that_asks_beyond_the_end_is_deferred),
    };

    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
