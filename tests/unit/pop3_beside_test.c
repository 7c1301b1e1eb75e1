/* POP3 sessions on a mailbox that IMAP sessions work in at the same time. */
#include "base/clock.h"
#include "imap_world.h"
#include "roles/mailbox/store_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MESSAGES = 500, IMAP = 0, POP = 1, SLOW = 2000 };

static int setup(void **state)
{
    (void)state;
    imap_world_open("pop3_beside_test");
    world_fill(MESSAGES);
    client_open(IMAP);
    client_select(IMAP);
    return 0;
}

static void open_pop(unsigned c)
{
    imap_clients[c].open = true;
    imap_clients[c].unpaid = 0;
    sessions_start(world_sessions, world_access, &(struct msg_session_open){.id = c + 1, .protocol = SESSION_POP3,
        .account = IMAP_WORLD_ACCOUNT, .login = STR("r@home.example"), .client = STR("127.0.0.1")});
}

/* The box is held by the IMAP session, which is in the middle of it. */
static void begin_change(const char *command)
{
    world_tick = SLOW;
    client_say(IMAP, command);
    world_turn();
    assert_int_equal(world_box()->held, 1);
}

static void end_change(void)
{
    world_tick = WORLD_TICK;
    world_flush();
}

static void login_waits_for_the_change(void **state)
{
    (void)state;
    begin_change("a STORE 1:* +FLAGS.SILENT (\\Deleted)\r\nb UID EXPUNGE 1:498\r\n");
    open_pop(POP);
    sessions_data(world_sessions, world_access, &(struct msg_session_data){POP + 1, STR("STAT\r\n")});
    world_turn();
    boxes_finish(world_boxes);
    client_was_told(POP, "");
    end_change();
    client_was_told(POP, "+OK % messages (% octets)\r\n+OK % %\r\n");
    client_expect(POP, "QUIT\r\n", "+OK Goodbye, % messages left\r\n");
    open_pop(POP);
    world_flush();
    client_was_told(POP, "+OK 2 messages (% octets)\r\n");
}

/* The maildrop is locked by the one that waits. */
static void login_waits_so_long(void **state)
{
    (void)state;
    begin_change("a STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
    assert_true(sessions_due(world_sessions) == INT64_MAX);
    open_pop(POP);
    open_pop(POP + 1);
    world_box()->held++; /* somebody else's work, that does not end */
    world_flush();
    client_was_told(POP, "");
    client_was_told(POP + 1, "-ERR [IN-USE] Another session has this mailbox open\r\n");
    assert_true(sessions_due(world_sessions) <= clock_monotonic() + SESSION_LATER);
    world_later(SESSION_LATER);
    world_turn();
    client_was_told(POP, "-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later\r\n");
    assert_false(imap_clients[POP].open);
    assert_true(sessions_due(world_sessions) == INT64_MAX);
    world_box()->held--;
    end_change();
    open_pop(POP);
    world_flush();
    client_was_told(POP, "+OK 500 messages (% octets)\r\n");
}

static void the_client_goes_while_login_waits(void **state)
{
    (void)state;
    begin_change("a STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
    open_pop(POP);
    world_turn();
    client_close(POP);
    assert_true(sessions_due(world_sessions) == INT64_MAX);
    end_change();
    client_was_told(IMAP, "a OK Done\r\n");
}

/* After a sync that failed a session that waits for its client would keep everybody out as long as it likes. */
static void the_disk_fails_while_it_waits(void **state)
{
    struct box *box = world_box();
    struct err err = {0};

    (void)state;
    open_pop(POP);
    world_flush();
    client_was_told(POP, "+OK 500 messages (% octets)\r\n");
    client_expect(POP, "DELE 1\r\n", "+OK %\r\n");
    err_set(&err, ERR_TEMPORARY, "no sync");
    box->broken = true; /* as a sync leaves it that fails */
    box_fail(box, &err);
    world_run();
    assert_false(imap_clients[POP].open);
    open_pop(POP);
    world_flush();
    client_was_told(POP, "+OK 500 messages (% octets)\r\n");
}

/* What was rolled back meanwhile is nothing to a login. */
static void login_after_a_rollback(void **state)
{
    struct err err = {0};

    (void)state;
    begin_change("a STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
    open_pop(POP);
    world_turn();
    err_set(&err, ERR_TEMPORARY, "somebody's storage failed");
    box_fail(world_box(), &err);
    end_change();
    client_was_told(POP, "+OK 500 messages (% octets)\r\n");
    client_was_told(IMAP, "a NO [UNAVAILABLE] %\r\n");
}

static void log_in_and_mark(void)
{
    open_pop(POP);
    world_flush();
    client_was_told(POP, "+OK 500 messages (% octets)\r\n");
    client_expect(POP, "DELE 1\r\nDELE 500\r\n", "+OK Message 1 deleted\r\n+OK Message 500 deleted\r\n");
}

static void quit_waits_for_the_change(void **state)
{
    (void)state;
    log_in_and_mark();
    begin_change("a STORE 2:* +FLAGS.SILENT (\\Deleted)\r\n");
    client_say(POP, "QUIT\r\n");
    world_turn();
    boxes_finish(world_boxes);
    client_was_told(POP, "");
    end_change();
    client_was_told(POP, "+OK Goodbye, 498 messages left\r\n");
    client_expect(IMAP, "b NOOP\r\n", "a OK [EXPUNGEISSUED] Done\r\n* 500 EXPUNGE\r\n* 1 EXPUNGE\r\nb OK Done\r\n");
    assert_false(imap_clients[POP].open);
}

/* It cannot be kept: neither is it said. */
static void quit_with_what_is_undone(void **state)
{
    struct err err = {0};

    (void)state;
    log_in_and_mark();
    begin_change("a STORE 2:* +FLAGS.SILENT (\\Deleted)\r\n");
    client_say(POP, "QUIT\r\n");
    world_turn();
    err_set(&err, ERR_TEMPORARY, "somebody's storage failed");
    box_fail(world_box(), &err);
    end_change();
    client_was_told(POP, "-ERR [SYS/TEMP] Deleted messages were not removed\r\n");
    client_expect(IMAP, "b NOOP\r\n", "a NO [UNAVAILABLE] %\r\nb OK Done\r\n");
}

/* It has said QUIT, and does not wait for the answer: what it removes is removed, what others do is not lost. */
static void the_client_goes_after_quit(void **state)
{
    (void)state;
    log_in_and_mark();
    begin_change("a STORE 2:* +FLAGS.SILENT (\\Deleted)\r\n");
    client_say(POP, "QUIT\r\n");
    world_turn();
    client_close(POP);
    end_change();
    client_was_told(IMAP, "a OK [EXPUNGEISSUED] Done\r\n");
    client_expect(IMAP, "b NOOP\r\n", "* 500 EXPUNGE\r\n* 1 EXPUNGE\r\nb OK Done\r\n");
}

/* The same in the middle of a removal that takes several turns. */
static void the_client_goes_in_the_removal(void **state)
{
    uint64_t rollbacks = world_box()->rollbacks;
    unsigned most = 0;

    (void)state;
    client_close(IMAP);
    world_fill(1000);
    open_pop(POP);
    world_flush();
    for (unsigned i = 1; i <= 1400; i++) {
        char line[40];

        snprintf(line, sizeof line, "DELE %u\r\n", i);
        client_say(POP, line);
        world_run();
    }
    client_got(POP);
    client_say(POP, "QUIT\r\n");
    world_turn();
    world_deliver(STR("Subject: delivered\r\n\r\nx\r\n"));
    assert_int_equal(world_box()->held, 1);
    client_close(POP);
    for (; sessions_count(world_sessions) > 0; most++)
        world_turn();
    assert_true(most < 20);
    world_flush();
    assert_int_equal(world_box()->rollbacks, rollbacks);
    imap_world_restart();
    client_open(IMAP);
    client_expect(IMAP, "a STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 101)\r\na OK Done\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(login_waits_for_the_change, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(login_waits_so_long, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(the_client_goes_while_login_waits, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(the_disk_fails_while_it_waits, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(login_after_a_rollback, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(quit_waits_for_the_change, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(quit_with_what_is_undone, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(the_client_goes_after_quit, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(the_client_goes_in_the_removal, setup, imap_world_teardown)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
