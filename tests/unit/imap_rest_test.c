/* IMAP: databases of accounts whose sessions wait are closed, and nobody notices. */
#include "base/clock.h"
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SELECTED "* FLAGS (%)\r\n* OK %\r\n* 3 EXISTS\r\n* 0 RECENT\r\n* OK %\r\n* OK %\r\n* OK %\r\n* OK %\r\n* OK %\r\n"

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_rest_test");
    client_open(0);
    client_open(1);
    for (int i = 0; i < 3; i++)
        world_deliver(STR("Subject: a\r\n\r\nx\r\n"));
    world_flush();
    client_expect(0, "a SELECT INBOX\r\n", SELECTED "a OK [READ-WRITE] Selected\r\n");
    client_expect(1, "a SELECT INBOX\r\n", SELECTED "a OK [READ-WRITE] Selected\r\n");
    return 0;
}

static bool rests(void)
{
    world_later(11 * SECOND);
    (void)boxes_tidy(world_boxes);
    return world_box()->store == NULL;
}

static void a_command_wakes_it(void **state)
{
    (void)state;
    client_expect(0, "b IDLE\r\n", "+ idling\r\n");
    assert_true(rests());
    assert_int_equal(boxes_open(world_boxes), 0);
    client_expect(1, "b STORE 2 +FLAGS (\\Flagged)\r\n", "* 2 FETCH (FLAGS (\\Flagged))\r\nb OK Done\r\n");
    client_expect(0, "", "* 2 FETCH (FLAGS (\\Flagged))\r\n");
    assert_true(rests());
    client_expect(0, "DONE\r\n", "b OK Idle is over\r\n");
    client_expect(1, "c FETCH 1:* (UID FLAGS)\r\n",
        "* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS (\\Flagged))\r\n* 3 FETCH (UID 3 FLAGS ())\r\nc OK Done\r\n");
}

static void a_delivery_wakes_it(void **state)
{
    (void)state;
    client_expect(0, "b IDLE\r\n", "+ idling\r\n");
    assert_true(rests());
    world_deliver(STR("Subject: b\r\n\r\nx\r\n"));
    world_flush();
    client_expect(0, "", "* 4 EXISTS\r\n");
    client_expect(1, "c NOOP\r\n", "* 4 EXISTS\r\nc OK Done\r\n");
}

/* What could not be told yet is told first: who is behind keeps it open. */
static void who_is_behind_keeps_it_open(void **state)
{
    (void)state;
    client_expect(0, "b STORE 1 +FLAGS.SILENT (\\Deleted)\r\n", "b OK Done\r\n");
    client_expect(0, "c EXPUNGE\r\n", "* 1 EXPUNGE\r\nc OK Done\r\n");
    assert_false(rests()); /* client 1 has not heard of it */
    client_expect(1, "c NOOP\r\n", "* 1 EXPUNGE\r\nc OK Done\r\n");
    while (boxes_sweep(world_boxes))
        world_flush();
    world_flush();
    assert_true(rests());
    client_expect(1, "d UID SEARCH ALL\r\n", "* SEARCH 2 3\r\nd OK Done\r\n");
}

static void half_a_command_keeps_it_open(void **state)
{
    (void)state;
    client_expect(0, "b NOOP", "");
    assert_false(rests());
    client_expect(0, "\r\n", "b OK Done\r\n");
    assert_true(rests());
}

static void clients_go_while_it_rests(void **state)
{
    (void)state;
    assert_true(rests());
    client_close(0);
    assert_non_null(world_box());
    client_close(1);
    assert_null(boxes_find(world_boxes, IMAP_WORLD_ACCOUNT)); /* nothing of it is left */
    client_open(0);
    client_expect(0, "a SELECT INBOX\r\n", SELECTED "a OK [READ-WRITE] Selected\r\n");
}

static void the_server_shuts_down_without_opening_it(void **state)
{
    (void)state;
    client_expect(0, "b IDLE\r\n", "+ idling\r\n");
    assert_true(rests());
    for (unsigned c = 0; c < 2; c++) {
        sessions_finish(world_sessions, world_access, &(struct msg_session_finish){c + 1});
        client_expect(c, "", "* BYE [UNAVAILABLE] The server is shutting down\r\n");
    }
    assert_int_equal(boxes_open(world_boxes), 0);
}

static void the_account_goes_while_it_rests(void **state)
{
    (void)state;
    assert_true(rests());
    boxes_remove(world_boxes, IMAP_WORLD_ACCOUNT);
    client_say(0, "b NOOP\r\n");
    world_flush();
    assert_true(text_matches(STR("* BYE %\r\n"), client_got(0)));
    client_close(1);
    client_open(0);
    client_expect(0, "a EXAMINE INBOX\r\n", "* FLAGS (%)\r\n* OK %\r\n* 0 EXISTS\r\n* 0 RECENT\r\n* OK %\r\n* OK %\r\n* OK %\r\n* OK %\r\na OK %\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_command_wakes_it),
        TEST(a_delivery_wakes_it),
        TEST(who_is_behind_keeps_it_open),
        TEST(half_a_command_keeps_it_open),
        TEST(clients_go_while_it_rests),
        TEST(the_server_shuts_down_without_opening_it),
        TEST(the_account_goes_while_it_rests),
    };

    return cmocka_run_group_tests_name("imap_rest", tests, NULL, NULL);
}
