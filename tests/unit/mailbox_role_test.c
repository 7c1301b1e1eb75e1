/* Deliveries and sessions of the mailbox role: exactly once, quota, bodies in pieces, peers that go,
 * strangers' nonsense, credit, the locked maildrop. */
#include "base/clock.h"
#include "db/db.h"
#include "fault_vfs.h"
#include "mailbox_world.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ACCOUNT = 261, PREFIX = 60 }; /* of the addresses below */

static char folder[SCRATCH_MAX];
static struct err err;
static struct boxes *boxes;
static struct accounts *accounts;
static struct deliveries *deliveries;
static struct sessions *sessions;

static void start(void)
{
    world_open();
    boxes = boxes_new(str_of(folder), 0, 10, DAY);
    boxes_use_log(boxes, 0, 1);
    accounts = accounts_new(NULL);
    deliveries = deliveries_new(NULL, boxes, accounts);
    sessions = sessions_new(NULL, boxes, accounts);
}

static void stop(void)
{
    sessions_free(sessions);
    deliveries_free(deliveries);
    accounts_free(accounts);
    boxes_free(boxes);
    world_close();
}

static int setup(void **state)
{
    (void)state;
    scratch_make(folder, "mailbox_role_test");
    fault_at(0, false);
    start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault_at(0, false);
    stop();
    scratch_remove(folder);
    return 0;
}

static void expect(const char *text)
{
    if (!str_eq(buf_str(&world_said), str_of(text)))
        fail_msg("expected: %s\n     got: %.*s", text, (int)(world_said.n > 2000 ? 2000 : world_said.n), world_said.p);
    buf_reset(&world_said);
}

static void account_is(bool found, uint64_t bytes, uint64_t messages)
{
    accounts_reply(accounts, &(struct msg_account_reply){.id = world_asked, .account = ACCOUNT, .found = found,
        .quota_bytes = bytes, .quota_messages = messages});
}

/* size 0: that of the body. */
static void offer(uint64_t id, uint64_t message, struct str body, uint64_t size)
{
    deliveries_local(deliveries, world_queue, &(struct msg_deliver_local){.id = id, .message = message,
        .account = ACCOUNT, .n = 1, .size = size ? size : body.n, .sender = STR("s@far.example"),
        .rcpt = STR("r@home.example"), .original = STR("r@home.example"), .body = body});
}

static int64_t stored(void)
{
    struct box *box = boxes_enter(boxes, ACCOUNT, &err);
    int64_t n;

    assert_non_null(box);
    if (!box_settle(box, &err) || !store_check(box->store, &err))
        fail_msg("%s", err.text);
    n = store_totals(box->store).messages;
    box_leave(box);
    return n;
}

#define DELIVERED "250 2.0.0 Delivered to the mailbox\n"
#define DEFERRED_STORAGE "452 4.3.1 The mailbox cannot be written now\n"

static void a_delivery_is_answered_after_the_flush(void **state)
{
    (void)state;
    offer(1, 100, STR("A: b\r\n\r\nx\r\n"), 0);
    expect("account 261\n");
    account_is(true, 0, 0);
    expect("");
    boxes_finish(boxes);
    expect("delivered 1 " DELIVERED "done 1\n");
    offer(2, 101, STR("C: d\r\n\r\ny\r\n"), 0); /* the account is known now */
    boxes_finish(boxes);
    expect("delivered 2 " DELIVERED "done 2\n");
    assert_int_equal(stored(), 2);
    assert_int_equal(deliveries_open(deliveries), 0);
}

static void a_repeated_delivery_is_stored_once(void **state)
{
    (void)state;
    offer(1, 100, STR("x"), 0);
    account_is(true, 0, 0);
    offer(2, 100, STR("x"), 0); /* in the same transaction: another recipient of that account */
    boxes_finish(boxes);
    expect("account 261\ndelivered 1 " DELIVERED "done 1\ndelivered 2 " DELIVERED "done 2\n");
    stop();
    start(); /* after a crash */
    offer(1, 100, STR("x"), 0);
    account_is(true, 0, 0);
    boxes_finish(boxes);
    expect("account 261\ndelivered 1 " DELIVERED "done 1\n");
    assert_int_equal(stored(), 1);
}

/* Two processes made the same queue id: what arrived at another time is another message. */
static void a_queue_id_that_comes_twice_is_two_messages(void **state)
{
    (void)state;
    for (int64_t arrived = 1; arrived <= 2; arrived++)
        deliveries_local(deliveries, world_queue, &(struct msg_deliver_local){.id = (uint64_t)arrived, .message = 100,
            .account = ACCOUNT, .n = 1, .size = 1, .arrived = arrived, .sender = STR("s@far.example"),
            .rcpt = STR("r@home.example"), .original = STR("r@home.example"), .body = STR("x")});
    account_is(true, 0, 0);
    boxes_finish(boxes);
    assert_int_equal(stored(), 2);
}

static void nothing_is_answered_before_a_crash_loses_it(void **state)
{
    (void)state;
    offer(1, 100, STR("x"), 0);
    account_is(true, 0, 0);
    expect("account 261\n");
    stop(); /* without a flush */
    start();
    assert_int_equal(stored(), 0);
}

static void quota_is_exact(void **state)
{
    (void)state;
    offer(1, 100, STR("0123456789"), 0);
    account_is(true, 2 * (PREFIX + 10), 0);
    offer(2, 101, STR("0123456789x"), 0); /* one byte too many */
    offer(3, 102, STR("0123456789"), 0); /* to the last byte */
    boxes_finish(boxes);
    expect("account 261\ndeferred 2 452 4.2.2 Mailbox full\ndone 2\n"
           "delivered 1 " DELIVERED "done 1\ndelivered 3 " DELIVERED "done 3\n");
}

static void quota_of_messages(void **state)
{
    (void)state;
    offer(1, 100, STR("x"), 0);
    account_is(true, 0, 1);
    offer(2, 101, STR("x"), 0);
    expect("account 261\ndeferred 2 452 4.2.2 Mailbox full\ndone 2\n");
    accounts_forget(accounts, ACCOUNT); /* it was raised */
    offer(3, 102, STR("x"), 0);
    account_is(true, 0, 2);
    boxes_finish(boxes);
    expect("account 261\ndelivered 1 " DELIVERED "done 1\ndelivered 3 " DELIVERED "done 3\n");
    assert_int_equal(stored(), 2);
}

static void an_unknown_account_fails(void **state)
{
    (void)state;
    offer(1, 100, STR("x"), 0);
    account_is(false, 0, 0);
    expect("account 261\nfailed 1 550 5.1.1 No such user\ndone 1\n");
}

static void without_directory_it_is_deferred(void **state)
{
    (void)state;
    offer(1, 100, STR("x"), 0);
    accounts_unreachable(accounts);
    expect("account 261\ndeferred 1 451 4.3.0 The directory cannot be asked now\ndone 1\n");
    world_directory = NULL;
    offer(2, 101, STR("x"), 0);
    expect("deferred 2 451 4.3.0 The directory cannot be asked now\ndone 2\n");
}

static void chunk(uint64_t id, uint64_t offset, size_t n)
{
    static char bytes[IPC_CHUNK];

    memset(bytes, 'x', sizeof bytes);
    deliveries_chunk(deliveries, world_queue, &(struct msg_body_chunk){id, offset, {bytes, n}});
}

static void a_large_body_is_fetched(void **state)
{
    (void)state;
    offer(1, 100, (struct str){0}, 100000);
    account_is(true, 0, 0);
    expect("account 261\npiece 1 0\n");
    chunk(1, 0, IPC_CHUNK);
    expect("piece 1 65536\n");
    chunk(1, 0, IPC_CHUNK); /* not what was asked for */
    expect("");
    boxes_finish(boxes); /* a flush in the middle */
    chunk(1, IPC_CHUNK, 100000 - IPC_CHUNK);
    expect("piece 1 100000\n");
    chunk(1, 100000, 0);
    expect("");
    boxes_finish(boxes);
    expect("delivered 1 " DELIVERED "done 1\n");
    assert_int_equal(stored(), 1);
}

static void bodies_that_lie_about_their_size(void **state)
{
    (void)state;
    offer(1, 100, (struct str){0}, 70000);
    account_is(true, 0, 0);
    chunk(1, 0, IPC_CHUNK);
    chunk(1, IPC_CHUNK, IPC_CHUNK);
    expect("account 261\npiece 1 0\npiece 1 65536\ndeferred 1 451 4.3.5 The delivery was not understood\ndone 1\n");
    offer(2, 101, (struct str){0}, 70000);
    chunk(2, 0, 5);
    chunk(2, 5, 0);
    expect("piece 2 0\npiece 2 5\ndeferred 2 451 4.3.5 The delivery was not understood\ndone 2\n");
    offer(3, 102, STR("abc"), 4);
    expect("deferred 3 451 4.3.5 The delivery was not understood\ndone 3\n");
    chunk(9, 0, 10); /* nobody waits for it */
    expect("");
    while (boxes_sweep(boxes))
        boxes_finish(boxes);
    assert_int_equal(stored(), 0);
}

static void numbers_of_strangers(void **state)
{
    static const uint64_t bad[] = {0, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        deliveries_local(deliveries, world_queue, &(struct msg_deliver_local){.id = 1, .message = 5, .account = bad[i]});
        deliveries_local(deliveries, world_queue, &(struct msg_deliver_local){.id = 2, .message = bad[i], .account = ACCOUNT});
        expect("deferred 1 451 4.3.5 The delivery was not understood\ndone 1\n"
               "deferred 2 451 4.3.5 The delivery was not understood\ndone 2\n");
    }
    offer(5, 100, STR("x"), 0);
    offer(5, 101, STR("y"), 0); /* the number is in use: dropped */
    account_is(true, 0, 0);
    boxes_finish(boxes);
    expect("account 261\ndelivered 5 " DELIVERED "done 5\n");
}

static void a_queue_that_goes_in_the_middle(void **state)
{
    struct channel *queue = world_queue;

    (void)state;
    offer(1, 100, (struct str){0}, 100000);
    offer(2, 101, STR("x"), 0);
    account_is(true, 0, 0);
    chunk(1, 0, IPC_CHUNK);
    buf_reset(&world_said);
    world_queue = NULL;
    deliveries_peer_gone(deliveries, queue);
    boxes_finish(boxes);
    expect("");
    assert_int_equal(deliveries_open(deliveries), 0);
    while (boxes_sweep(boxes))
        boxes_finish(boxes);
    assert_int_equal(stored(), 1); /* the one in the batch is kept: its repetition will find it */
}

static void a_full_disk_defers_and_loses_nothing(void **state)
{
    (void)state;
    for (int n = 1; n < 60; n++) {
        fault_at(n, true);
        offer(1, 100, STR("x"), 0);
        account_is(true, 0, 0);
        offer(2, 101, STR("y"), 0);
        boxes_finish(boxes);
        assert_int_equal(deliveries_open(deliveries), 0);
        if (!fault_happened())
            break;
        assert_true(str_ifind(buf_str(&world_said), STR("done 1\n")) >= 0);
        fault_at(0, false);
        stop();
        start();
    }
    fault_at(0, false);
    buf_reset(&world_said);
    offer(3, 100, STR("x"), 0);
    offer(4, 101, STR("y"), 0);
    account_is(true, 0, 0);
    boxes_finish(boxes);
    assert_int_equal(stored(), 2);
}

static void removal_of_an_account_in_the_middle(void **state)
{
    (void)state;
    offer(1, 100, (struct str){0}, 100000);
    account_is(true, 0, 0);
    chunk(1, 0, IPC_CHUNK);
    buf_reset(&world_said);
    sessions_end_account(sessions, ACCOUNT);
    boxes_remove(boxes, ACCOUNT);
    expect("failed 1 550 5.1.1 No such user\ndone 1\n");
    boxes_finish(boxes);
}

/* ---- sessions ---- */

static void open_session(uint64_t id, struct str input)
{
    sessions_start(sessions, world_access, &(struct msg_session_open){.id = id, .protocol = SESSION_POP3,
        .account = ACCOUNT, .login = STR("r@home.example"), .client = STR("192.0.2.1"), .input = input});
}

static void say(uint64_t id, const char *text)
{
    sessions_data(sessions, world_access, &(struct msg_session_data){id, str_of(text)});
}

static void run(void)
{
    while (sessions_run(sessions))
        ;
}

static void deliver(uint64_t id, struct str body)
{
    offer(id, 1000 + id, body, 0);
    if (id == 1)
        account_is(true, 0, 0);
    boxes_finish(boxes);
    buf_reset(&world_said);
}

static void a_session_reads_and_removes(void **state)
{
    (void)state;
    deliver(1, STR("A: b\r\n\r\nx\r\n"));
    deliver(2, STR("C: d\r\n\r\ny\r\n"));
    open_session(7, STR("STAT\r\n"));
    run();
    expect("+OK 2 messages (142 octets)\r\n+OK 2 142\r\n");
    assert_int_equal(world_granted, 6);
    say(7, "RETR 2\r\nDELE 1\r\nQUIT\r\n");
    run();
    boxes_finish(boxes); /* the goodbye waits for the disk */
    run();
    expect("+OK 71 octets\r\nReturn-Path: <s@far.example>\r\nDelivered-To: r@home.example\r\nC: d\r\n\r\ny\r\n.\r\n"
           "+OK Message 1 deleted\r\n+OK Goodbye, 1 messages left\r\n<close 7>");
    assert_int_equal(sessions_count(sessions), 0);
    assert_int_equal(stored(), 1);
}

static void the_maildrop_is_locked(void **state)
{
    struct channel other = {ROLE_ACCESS, 0, 99};

    (void)state;
    open_session(1, (struct str){0});
    open_session(2, (struct str){0});
    run();
    expect("+OK 0 messages (0 octets)\r\n-ERR [IN-USE] Another session has this mailbox open\r\n<close 2>");
    sessions_close(sessions, &other, &(struct msg_session_close){1}); /* not its session */
    assert_int_equal(sessions_count(sessions), 1);
    sessions_peer_gone(sessions, world_access);
    assert_int_equal(sessions_count(sessions), 0);
    open_session(3, (struct str){0});
    run();
    expect("+OK 0 messages (0 octets)\r\n");
}

static void an_account_has_so_many_sessions(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 9; id++)
        sessions_start(sessions, world_access, &(struct msg_session_open){.id = id, .protocol = SESSION_IMAP,
            .account = ACCOUNT, .login = STR("r@home.example"), .client = STR("192.0.2.1"), .tag = STR("a1")});
    expect("a1 NO [LIMIT] This account has too many connections\r\n* BYE Too many connections\r\n<close 9>");
    assert_int_equal(sessions_count(sessions), 8);
    sessions_start(sessions, world_access, &(struct msg_session_open){.id = 10, .protocol = SESSION_IMAP,
        .account = ACCOUNT + 1, .tag = STR("b1")});
    assert_int_equal(sessions_count(sessions), 9);
    open_session(11, (struct str){0});
    expect("-ERR [IN-USE] This account has too many connections\r\n<close 11>");
    sessions_close(sessions, world_access, &(struct msg_session_close){1});
    assert_int_equal(sessions_count(sessions), 8);
    open_session(12, (struct str){0});
    assert_int_equal(sessions_count(sessions), 9);
}

static void a_session_that_vanishes_removes_nothing(void **state)
{
    (void)state;
    deliver(1, STR("x"));
    open_session(1, STR("DELE 1\r\n"));
    run();
    sessions_close(sessions, world_access, &(struct msg_session_close){1});
    assert_int_equal(stored(), 1);
}

static void mail_that_comes_later_is_not_in_the_snapshot(void **state)
{
    (void)state;
    deliver(1, STR("x"));
    open_session(1, STR("DELE 1\r\n"));
    run();
    deliver(2, STR("y"));
    say(1, "STAT\r\nRETR 2\r\nQUIT\r\n");
    run();
    boxes_finish(boxes);
    run();
    expect("+OK 0 0\r\n-ERR No such message\r\n+OK Goodbye, 0 messages left\r\n<close 1>");
    assert_int_equal(stored(), 1);
}

static void output_waits_for_credit(void **state)
{
    static char body[60000];

    (void)state;
    memset(body, 'z', sizeof body);
    deliver(1, str_from(body, sizeof body));
    open_session(1, STR("RETR 1\r\nRETR 1\r\n"));
    run();
    assert_int_equal(world_said.n, SESSION_WINDOW);
    sessions_more(sessions, world_access, &(struct msg_session_more){1, 1000});
    run();
    assert_int_equal(world_said.n, SESSION_WINDOW + 1000);
    for (int i = 0; i < 60; i++) {
        sessions_more(sessions, world_access, &(struct msg_session_more){1, 1000});
        run();
    }
    assert_true(str_ends(buf_str(&world_said), STR("zz\r\n.\r\n")));
    assert_int_equal(sessions_count(sessions), 1);
    buf_reset(&world_said);
    sessions_more(sessions, world_access, &(struct msg_session_more){1, UINT64_MAX}); /* a stranger */
    expect("<close 1>");
}

static void input_beyond_the_credit_ends_the_session(void **state)
{
    static char much[SESSION_WINDOW + 1];

    (void)state;
    open_session(1, (struct str){0});
    memset(much, 'x', sizeof much);
    sessions_data(sessions, world_access, &(struct msg_session_data){1, {much, SESSION_WINDOW}});
    expect("");
    sessions_data(sessions, world_access, &(struct msg_session_data){1, {much, 1}});
    expect("<close 1>");
    say(1, "STAT\r\n");
    expect("");
    sessions_start(sessions, world_access, &(struct msg_session_open){.id = 2, .protocol = 9, .account = ACCOUNT});
    expect("<close 2>");
    sessions_start(sessions, world_access, &(struct msg_session_open){.id = 3, .account = 0});
    expect("-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later\r\n<close 3>");
}

/* While very many messages are removed, deliveries join the transaction; a failure then takes back both. */
static void a_removal_in_several_turns(void **state)
{
    bool again;

    (void)state;
    for (uint64_t i = 1; i <= 1500; i++) {
        offer(i, 1000 + i, STR("x"), 0);
        if (i == 1)
            account_is(true, 0, 0);
    }
    boxes_finish(boxes);
    buf_reset(&world_said);
    open_session(1, (struct str){0});
    run();
    for (int i = 1; i <= 1500; i++) {
        char dele[32];

        snprintf(dele, sizeof dele, "DELE %d\r\n", i);
        say(1, dele);
        run();
        sessions_more(sessions, world_access, &(struct msg_session_more){1, world_said.n});
        buf_reset(&world_said);
    }
    sessions_start(sessions, world_access, &(struct msg_session_open){.id = 1}); /* in use: dropped */
    assert_int_equal(stored(), 1500);
    say(1, "QUIT\r\n");
    again = sessions_run(sessions);
    assert_true(again);
    offer(5000, 9000, STR("y"), 0);
    boxes_finish(boxes);
    assert_int_equal(deliveries_open(deliveries), 1); /* held */
    run();
    boxes_finish(boxes);
    assert_int_equal(deliveries_open(deliveries), 0);
    assert_int_equal(stored(), 1);
    while (boxes_sweep(boxes))
        boxes_finish(boxes);
    assert_int_equal(stored(), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_delivery_is_answered_after_the_flush),
        TEST(a_repeated_delivery_is_stored_once),
        TEST(a_queue_id_that_comes_twice_is_two_messages),
        TEST(nothing_is_answered_before_a_crash_loses_it),
        TEST(quota_is_exact),
        TEST(quota_of_messages),
        TEST(an_unknown_account_fails),
        TEST(without_directory_it_is_deferred),
        TEST(a_large_body_is_fetched),
        TEST(bodies_that_lie_about_their_size),
        TEST(numbers_of_strangers),
        TEST(a_queue_that_goes_in_the_middle),
        TEST(a_full_disk_defers_and_loses_nothing),
        TEST(removal_of_an_account_in_the_middle),
        TEST(a_session_reads_and_removes),
        TEST(the_maildrop_is_locked),
        TEST(an_account_has_so_many_sessions),
        TEST(a_session_that_vanishes_removes_nothing),
        TEST(mail_that_comes_later_is_not_in_the_snapshot),
        TEST(output_waits_for_credit),
        TEST(input_beyond_the_credit_ends_the_session),
        TEST(a_removal_in_several_turns),
    };

    db_exclude_others();
    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
