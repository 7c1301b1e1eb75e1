/* IMAP: the server shuts down. A session ends with a word between two commands, never within one. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define BYE "* BYE [UNAVAILABLE] The server is shutting down\r\n"

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_finish_test");
    client_open(0);
    return 0;
}

static void finish(unsigned c)
{
    sessions_finish(world_sessions, world_access, &(struct msg_session_finish){c + 1});
}

static void who_is_silent_is_sent_away(void **state)
{
    (void)state;
    finish(0);
    client_expect(0, "", BYE);
    assert_int_equal(sessions_count(world_sessions), 0);
}

static void idle_ends(void **state)
{
    (void)state;
    CONVERSE(0, {"a EXAMINE INBOX\r\n", "* FLAGS (%)\r\n* OK %\r\n* 0 EXISTS\r\n* 0 RECENT\r\n* OK %\r\n* OK %\r\n* OK %\r\n* OK %\r\na OK %\r\n"},
        {"b IDLE\r\n", "+ idling\r\n"});
    finish(0);
    client_expect(0, "", BYE);
    assert_int_equal(sessions_count(world_sessions), 0);
}

/* What the client sent before is done, and on disk, before the word. */
static void commands_under_way_are_finished(void **state)
{
    (void)state;
    client_say(0, "a CREATE One\r\nb CREATE Two\r\n");
    finish(0);
    client_expect(0, "", "a OK %\r\nb OK %\r\n" BYE);
    assert_int_equal(sessions_count(world_sessions), 0);
    client_open(1);
    CONVERSE(1, {"c STATUS One (MESSAGES)\r\n", "* STATUS One (MESSAGES 0)\r\nc OK %\r\n"},
        {"d STATUS Two (MESSAGES)\r\n", "* STATUS Two (MESSAGES 0)\r\nd OK %\r\n"});
}

static void half_a_command_is_waited_for(void **state)
{
    (void)state;
    client_expect(0, "a APPEND INBOX {10}\r\n", "+ %\r\n");
    finish(0);
    client_expect(0, "A: b\r\n", "");
    client_expect(0, "\r\nxx", "");
    client_expect(0, "\r\n", "a OK [APPENDUID % 1] %\r\n" BYE);
    assert_int_equal(sessions_count(world_sessions), 0);
    client_open(1);
    client_say(1, "b NO");
    world_run();
    finish(1);
    client_expect(1, "OP\r\n", "b OK %\r\n" BYE);
    assert_int_equal(sessions_count(world_sessions), 0);
}

static void somebody_elses_session_stays(void **state)
{
    struct channel *access = world_access;

    (void)state;
    sessions_finish(world_sessions, access, &(struct msg_session_finish){77});
    client_expect(0, "a NOOP\r\n", "a OK %\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_silent_is_sent_away),
        TEST(idle_ends),
        TEST(commands_under_way_are_finished),
        TEST(half_a_command_is_waited_for),
        TEST(somebody_elses_session_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
