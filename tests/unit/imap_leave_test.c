/* IMAP: clients that go in the middle of a change. What they had begun is complete, and what others have in the same transaction
 * is not lost. */
#include "imap_world.h"
#include "roles/mailbox/store_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { MESSAGES = 500, LEAVER = 0, OTHER = 1, SLOW = 2000 };

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_leave_test");
    world_connections = IMAP_CLIENTS;
    world_fill(MESSAGES);
    for (unsigned c = 0; c < 3; c++) {
        client_open(c);
        client_select(c);
    }
    return 0;
}

/* A few turns: more than nothing of it is done, and less than all. */
static void begin(unsigned c, const char *command)
{
    world_tick = SLOW;
    client_say(c, command);
    world_turn();
    assert_true(world_box()->held > 0);
}

static void another_works(void)
{
    client_say(OTHER, "o STORE 500 +FLAGS (\\Flagged)\r\n");
    world_deliver(STR("Subject: delivered\r\n\r\nx\r\n"));
    world_turn();
}

/* What the other one did is there, with what was delivered. */
static void nothing_is_lost(uint64_t rollbacks)
{
    world_tick = WORLD_TICK;
    world_flush();
    assert_int_equal(world_box()->rollbacks, rollbacks);
    assert_int_equal(world_box()->held, 0);
    assert_int_equal(world_box()->left, 0);
    assert_int_equal(sessions_count(world_sessions), 2);
    imap_world_restart(); /* what is not on disk is gone */
    client_open(OTHER);
}

static void leave_in_the_middle_of(const char *command)
{
    uint64_t rollbacks = world_box()->rollbacks;

    begin(LEAVER, command);
    another_works();
    client_close(LEAVER);
    assert_int_equal(world_box()->left, 1);
    nothing_is_lost(rollbacks);
}

static void store(void **state)
{
    (void)state;
    leave_in_the_middle_of("a STORE 1:499 +FLAGS (\\Answered)\r\nb STORE 1:499 +FLAGS (\\Draft)\r\n");
    client_expect(OTHER, "s EXAMINE INBOX\r\n", "%\r\n%\r\n* 501 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n");
    CONVERSE(OTHER, {"a SEARCH RETURN (ALL) ANSWERED\r\n", "* ESEARCH (TAG \"a\") ALL 1:499\r\na OK Done\r\n"},
        {"b SEARCH RETURN (ALL) FLAGGED\r\n", "* ESEARCH (TAG \"b\") ALL 500\r\nb OK Done\r\n"},
        {"c SEARCH RETURN (COUNT) DRAFT\r\n", "* ESEARCH (TAG \"c\") COUNT 0\r\nc OK Done\r\n"}); /* was not begun */
}

static void copy(void **state)
{
    (void)state;
    leave_in_the_middle_of("a COPY 1:499 Sent\r\n");
    CONVERSE(OTHER, {"a STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 501)\r\na OK Done\r\n"},
        {"b STATUS Sent (MESSAGES)\r\n", "* STATUS Sent (MESSAGES 499)\r\nb OK Done\r\n"});
}

static void move(void **state)
{
    (void)state;
    leave_in_the_middle_of("a MOVE 1:499 Sent\r\n");
    CONVERSE(OTHER, {"a STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 2)\r\na OK Done\r\n"},
        {"b STATUS Sent (MESSAGES)\r\n", "* STATUS Sent (MESSAGES 499)\r\nb OK Done\r\n"});
}

static void expunge(void **state)
{
    (void)state;
    client_expect(LEAVER, "d STORE 1:499 +FLAGS.SILENT (\\Deleted)\r\n", "d OK Done\r\n");
    leave_in_the_middle_of("a EXPUNGE\r\n");
    CONVERSE(OTHER, {"a STATUS INBOX (MESSAGES DELETED)\r\n", "* STATUS INBOX (MESSAGES 2 DELETED 0)\r\na OK Done\r\n"});
}

static void rename_inbox(void **state)
{
    (void)state;
    leave_in_the_middle_of("a RENAME INBOX old\r\n");
    CONVERSE(OTHER, {"a STATUS old (MESSAGES)\r\n", "* STATUS old (MESSAGES %)\r\na OK Done\r\n"});
}

/* Behind a FETCH that was shown in part. */
static void fetch(void **state)
{
    (void)state;
    uint64_t rollbacks = world_box()->rollbacks;

    world_tick = SLOW;
    client_say(LEAVER, "a FETCH 1:499 BODY[TEXT]\r\n");
    for (unsigned turns = 0; world_box()->held == 0; turns++) {
        assert_true(turns < 1000);
        world_turn();
    }
    another_works();
    client_close(LEAVER);
    nothing_is_lost(rollbacks);
    CONVERSE(OTHER, {"a STATUS INBOX (UNSEEN)\r\n", "* STATUS INBOX (UNSEEN 2)\r\na OK Done\r\n"});
}

/* With a client that does not read, and with the process that had all the connections. */
static void access_goes(void **state)
{
    (void)state;
    uint64_t rollbacks = world_box()->rollbacks;

    imap_clients[LEAVER].stingy = true;
    begin(LEAVER, "a STORE 1:499 +FLAGS (\\Answered)\r\n");
    begin(OTHER, "a STORE 500 +FLAGS (\\Answered)\r\nb COPY 1:* Sent\r\n");
    world_deliver(STR("Subject: delivered\r\n\r\nx\r\n"));
    sessions_peer_gone(world_sessions, world_access);
    for (unsigned c = 0; c < IMAP_CLIENTS; c++)
        imap_clients[c].open = false;
    world_tick = WORLD_TICK;
    world_flush();
    assert_int_equal(world_box()->rollbacks, rollbacks);
    assert_int_equal(sessions_count(world_sessions), 0);
    imap_world_restart();
    client_open(OTHER);
    CONVERSE(OTHER, {"s SELECT INBOX\r\n", "%\r\n%\r\n* 501 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n"},
        {"a SEARCH RETURN (ALL) ANSWERED\r\n", "* ESEARCH (TAG \"a\") ALL 1:500\r\na OK Done\r\n"});
}

/* A rollback by somebody else takes all of it, and nobody holds the box afterwards. */
static void undone(void **state)
{
    (void)state;
    struct err err = {0};

    begin(LEAVER, "a STORE 1:499 +FLAGS (\\Answered)\r\n");
    client_close(LEAVER);
    err_set(&err, ERR_TEMPORARY, "somebody's storage failed");
    box_fail(world_box(), &err);
    world_tick = WORLD_TICK;
    world_flush();
    assert_int_equal(world_box()->held, 0);
    assert_int_equal(sessions_count(world_sessions), 2);
    CONVERSE(OTHER, {"a SEARCH RETURN (COUNT) ANSWERED\r\n", "* ESEARCH (TAG \"a\") COUNT 0\r\na OK Done\r\n"});
}

/* One client too many: its change is undone, with what is in the transaction, as if it had not been said. */
static void too_many(void **state)
{
    (void)state;
    uint64_t rollbacks = world_box()->rollbacks;

    for (unsigned c = 3; c < SESSIONS_LEFT + 3; c++) {
        client_open(c);
        client_select(c);
    }
    world_tick = SLOW;
    for (unsigned c = 2; c < SESSIONS_LEFT + 3; c++)
        client_say(c, "a STORE 1:499 +FLAGS (\\Answered)\r\n");
    world_turn();
    assert_int_equal(world_box()->held, SESSIONS_LEFT + 1);
    for (unsigned c = 2; c < SESSIONS_LEFT + 2; c++)
        client_close(c);
    assert_int_equal(world_box()->left, SESSIONS_LEFT);
    assert_int_equal(world_box()->rollbacks, rollbacks);
    client_close(SESSIONS_LEFT + 2);
    assert_int_equal(world_box()->left, SESSIONS_LEFT);
    assert_int_equal(world_box()->rollbacks, rollbacks + 1);
    world_tick = WORLD_TICK;
    world_flush();
    assert_int_equal(world_box()->left, 0);
    assert_int_equal(sessions_count(world_sessions), 2);
    CONVERSE(OTHER, {"a SEARCH RETURN (COUNT) ANSWERED\r\n", "* ESEARCH (TAG \"a\") COUNT 0\r\na OK Done\r\n"});
}

/* The account goes: so does what goes on without its client. */
static void account_goes(void **state)
{
    (void)state;
    begin(LEAVER, "a STORE 1:499 +FLAGS (\\Answered)\r\n");
    client_close(LEAVER);
    assert_int_equal(sessions_count(world_sessions), 3);
    sessions_end_account(world_sessions, IMAP_WORLD_ACCOUNT);
    assert_int_equal(sessions_count(world_sessions), 0);
    world_tick = WORLD_TICK;
    client_was_told(OTHER, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(store, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(copy, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(move, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(expunge, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(rename_inbox, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(fetch, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(access_goes, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(undone, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(too_many, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(account_goes, setup, imap_world_teardown)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
