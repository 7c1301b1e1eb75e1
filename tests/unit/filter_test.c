/* The filter between its peers: whose transaction is whose, what becomes of it when a peer dies, and
 * who stops reading when too much waits. */
#include "filter_world.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void messages_go_to_their_shard_and_answers_back(void **state)
{
    struct role *role = *state;

    begin(role, 0, 7, 4, 0);
    begin(role, 1, 7, 5, 0); /* the same id of another smtp, the other shard */
    chunk(role, 0, 7, STR("A: b\r\nMessage-ID: <x@y>\r\n\r\nhi"));
    chunk(role, 1, 7, STR("\r\nhello"));
    end(role, 1, 7);
    end(role, 0, 7);
    sent(role, &role->queue[0], "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_chunk 1 29\ntxn_end 1 <x@y>\n");
    sent(role, &role->queue[1], "txn_begin 2 me@a.example\ntxn_rcpt 2 you@b.example\ntxn_chunk 2 7\ntxn_end 2 \n");
    done(role, 0, 2, 250); /* not this shard's: dropped */
    done(role, 1, 2, 250);
    done(role, 0, 1, 452);
    done(role, 0, 1, 250); /* nobody waits any more */
    sent(role, &role->smtp[0], "txn_done 7 452\n");
    sent(role, &role->smtp[1], "txn_done 7 250\n");
}

static void a_refusal_ends_both_sides_once(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 3);
    chunk(role, 0, 1, STR("From: nonsense\r\n\r\nhi"));
    chunk(role, 0, 1, STR("more"));
    end(role, 0, 1);
    sent(role, &role->queue[0], "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_abort 1\n");
    sent(role, &role->smtp[0], "txn_done 1 554\n");
}

static void unknown_ids_are_dropped(void **state)
{
    struct role *role = *state;

    chunk(role, 0, 99, STR("x"));
    end(role, 0, 99);
    transaction_on_abort(role, &role->smtp[0], &(struct msg_txn_abort){99});
    transaction_on_rcpt(role, &role->smtp[0], &(struct msg_txn_rcpt){.id = 99});
    transaction_on_sender_reply(role, &role->directory, &(struct msg_sender_reply){99, 1, 0});
    done(role, 0, 99, 250);
    sent(role, &role->queue[0], "");
    sent(role, &role->smtp[0], "");
}

static void an_abort_is_passed_on(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    begin(role, 0, 1, 4, 0); /* twice: the second is dropped, its recipient is one more */
    transaction_on_abort(role, &role->smtp[0], &(struct msg_txn_abort){1});
    sent(role, &role->queue[0],
        "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_rcpt 1 you@b.example\ntxn_abort 1\n");
    sent(role, &role->smtp[0], "");
}

static void a_lost_queue_fails_what_was_open_there(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    begin(role, 0, 2, 5, 0);
    begin(role, 1, 3, 6, 0);
    chunk(role, 1, 3, STR("\r\n"));
    end(role, 1, 3); /* committed or not: nobody knows */
    role->queue[0].up = false;
    transaction_queue_gone(&role->filter, &role->queue[0]);
    flow_queue_gone(&role->filter, &role->queue[0]);
    sent(role, &role->smtp[0], "txn_done 1 451\nqueue_state 0 0\n");
    sent(role, &role->smtp[1], "txn_done 3 451\nqueue_state 0 0\n");
    begin(role, 0, 4, 4, 0);
    sent(role, &role->smtp[0], "txn_done 4 451\n");
    buf_clear(&role->queue[0].out);
    bring_up(role, &role->queue[0], ROLE_QUEUE, 0);
    sent(role, &role->smtp[0], "queue_state 0 1\n");
    chunk(role, 0, 2, STR("\r\n"));
    end(role, 0, 2);
    done(role, 1, 2, 250);
    sent(role, &role->smtp[0], "txn_done 2 250\n");
}

static void a_lost_smtp_aborts_its_own(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    begin(role, 1, 1, 6, 0);
    role->smtp[0].up = false;
    transaction_source_gone(&role->filter, &role->smtp[0]);
    flow_source_gone(&role->filter);
    sent(role, &role->queue[0],
        "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_begin 2 me@a.example\ntxn_rcpt 2 you@b.example\ntxn_abort 1\n");
    done(role, 0, 2, 451);
    sent(role, &role->smtp[1], "txn_done 1 451\n");
}

static void authors_wait_for_the_directory(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 3);
    chunk(role, 0, 1, STR("From: b@a.example, c@a.example\r\n\r\n"));
    end(role, 0, 1);
    sent(role, &role->directory, "sender_ask 2 b@a.example\nsender_ask 3 c@a.example\ndkim_keys_ask 4 a.example\n");
    transaction_on_sender_reply(role, &role->directory, &(struct msg_sender_reply){3, 1, 0});
    transaction_on_sender_reply(role, &role->directory, &(struct msg_sender_reply){3, 1, 0}); /* said twice */
    sent(role, &role->queue[0], "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_chunk 1 34\n");
    transaction_on_sender_reply(role, &role->directory, &(struct msg_sender_reply){2, 1, 0});
    sent(role, &role->queue[0], "");
    transaction_on_keys_reply(role, &role->directory, &(struct msg_dkim_keys_reply){.id = 4, .rsa = STR("s")});
    transaction_on_keys_reply(role, &role->directory, &(struct msg_dkim_keys_reply){.id = 4, .failed = 1});
    sent(role, &role->directory, "dkim_sign_ask 5 a.example s 32\n");
    sent(role, &role->queue[0], "");
    transaction_on_sign_reply(role, &role->directory, &(struct msg_dkim_sign_reply){.id = 5, .rsa_signature = STR("x")});
    sent(role, &role->queue[0], "txn_end 1 \n");
    done(role, 0, 1, 250);
    sent(role, &role->smtp[0], "txn_done 1 250\n");
}

static void a_lost_directory_fails_what_waits_for_it(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 3);
    chunk(role, 0, 1, STR("From: b@a.example\r\n\r\n"));
    role->directory.up = false;
    transaction_directory_gone(&role->filter);
    sent(role, &role->smtp[0], "txn_done 1 451\n");
    begin(role, 0, 2, 4, 3);
    chunk(role, 0, 2, STR("From: b@a.example\r\n\r\n"));
    sent(role, &role->smtp[0], "txn_done 2 451\n");
}

static void a_silent_directory_is_given_up(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 3);
    chunk(role, 0, 1, STR("From: b@a.example\r\n\r\n"));
    transaction_give_up(&role->filter, clock_monotonic() + 30 * SECOND);
    sent(role, &role->smtp[0], "");
    transaction_give_up(&role->filter, clock_monotonic() + 61 * SECOND);
    sent(role, &role->smtp[0], "txn_done 1 451\n");
    sent(role, &role->directory, "sender_ask 2 b@a.example\ndkim_keys_ask 3 a.example\n");
    transaction_on_keys_reply(role, &role->directory, &(struct msg_dkim_keys_reply){.id = 3});
}

static void a_full_queue_stops_smtp(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    role->queue[0].backlog = CHANNEL_HIGH + 1;
    chunk(role, 0, 1, STR("\r\nx"));
    assert_false(role->smtp[0].reading || role->smtp[1].reading);
    bring_up(role, &role->smtp[1], ROLE_SMTP, 1); /* a new one is not read either */
    assert_false(role->smtp[1].reading);
    role->queue[0].backlog = 10;
    role->queue[1].backlog = CHANNEL_HIGH + 1;
    role->queue[0].drained(role, &role->queue[0]);
    assert_false(role->smtp[0].reading);
    role->queue[1].backlog = 0;
    role->queue[1].drained(role, &role->queue[1]);
    assert_true(role->smtp[0].reading && role->smtp[1].reading);
    role->queue[0].backlog = CHANNEL_HIGH + 1;
    chunk(role, 0, 1, STR("x"));
    assert_false(role->smtp[0].reading);
    role->queue[0].up = false; /* it dies instead of reading */
    transaction_queue_gone(&role->filter, &role->queue[0]);
    flow_queue_gone(&role->filter, &role->queue[0]);
    assert_true(role->smtp[0].reading);
}

static void a_slow_smtp_stops_queue(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    role->smtp[0].backlog = CHANNEL_HIGH + 1;
    done(role, 0, 1, 451);
    assert_false(role->queue[0].reading || role->queue[1].reading);
    role->smtp[0].up = false;
    transaction_source_gone(&role->filter, &role->smtp[0]);
    flow_source_gone(&role->filter);
    assert_true(role->queue[0].reading && role->queue[1].reading);
}

static void smtp_learns_whether_queue_takes_mail(void **state)
{
    struct role *role = *state;
    struct msg_queue_state full = {1, 2, 0, STR("4.3.1 Disk is nearly full")};

    flow_on_queue_state(role, &role->queue[1], &full);
    full.shard = 0;
    flow_on_queue_state(role, &role->queue[1], &full); /* speaks for another shard: dropped */
    sent(role, &role->smtp[0], "queue_state 1 0\n");
    buf_clear(&role->smtp[1].out);
    bring_up(role, &role->smtp[1], ROLE_SMTP, 1);
    sent(role, &role->smtp[1], "queue_state 1 0\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_go_to_their_shard_and_answers_back),
        TEST(a_refusal_ends_both_sides_once),
        TEST(unknown_ids_are_dropped),
        TEST(an_abort_is_passed_on),
        TEST(a_lost_queue_fails_what_was_open_there),
        TEST(a_lost_smtp_aborts_its_own),
        TEST(authors_wait_for_the_directory),
        TEST(a_lost_directory_fails_what_waits_for_it),
        TEST(a_silent_directory_is_given_up),
        TEST(a_full_queue_stops_smtp),
        TEST(a_slow_smtp_stops_queue),
        TEST(smtp_learns_whether_queue_takes_mail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
