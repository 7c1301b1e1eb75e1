/* IMAP: SELECT, EXAMINE, CLOSE, UNSELECT, NOOP, ENABLE, IDLE, LOGOUT, and what is wrong in which state. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_select_test");
    client_open(0);
    return 0;
}

#define SELECTED(exists, uidnext)                                                                                     \
    "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)\r\n"                                                     \
    "* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft \\*)] Flags\r\n"                             \
    "* " exists " EXISTS\r\n* 0 RECENT\r\n"
#define NUMBERS(uidnext)                                                                                              \
    "* OK [UIDVALIDITY %] UIDs\r\n* OK [UIDNEXT " uidnext "] Next\r\n* OK [HIGHESTMODSEQ %] Changes\r\n"              \
    "* OK [MAILBOXID (F1)] Id\r\n"

static void an_empty_mailbox(void **state)
{
    (void)state;
    CONVERSE(0, {"a SELECT INBOX\r\n", SELECTED("0", "1") NUMBERS("1") "a OK [READ-WRITE] Selected\r\n"},
        {"b FETCH 1 FLAGS\r\n", "b BAD %\r\n"}, {"c FETCH 1:* FLAGS\r\n", "c BAD %\r\n"}, {"d FETCH * FLAGS\r\n", "d BAD %\r\n"},
        {"e UID FETCH 1:* FLAGS\r\n", "e OK Done\r\n"}, {"f SEARCH ALL\r\n", "* SEARCH\r\nf OK Done\r\n"},
        {"g UID STORE 1:* +FLAGS (\\Seen)\r\n", "g OK Done\r\n"}, {"h EXPUNGE\r\n", "h OK Done\r\n"},
        {"i UID COPY 1:* Sent\r\n", "i OK Done\r\n"}, {"j UID MOVE 1:* Sent\r\n", "j OK Done\r\n"}, {"k CHECK\r\n", "k OK Done\r\n"},
        {"l CLOSE\r\n", "l OK Unselected\r\n"}, {"m CLOSE\r\n", "m BAD %\r\n"});
}

static void a_mailbox_with_messages(void **state)
{
    (void)state;
    world_fill(3);
    CONVERSE(0, {"a select inbox\r\n", SELECTED("3", "4") "* OK [UNSEEN 1] First unseen\r\n" NUMBERS("4") "a OK [READ-WRITE] Selected\r\n"},
        {"b STORE 1 FLAGS (\\Seen)\r\n", "* 1 FETCH (FLAGS (\\Seen))\r\nb OK Done\r\n"},
        {"c EXAMINE InBox\r\n", "* FLAGS (%)\r\n* OK [PERMANENTFLAGS ()] Flags\r\n* 3 EXISTS\r\n* 0 RECENT\r\n"
            "* OK [UNSEEN 2] First unseen\r\n" NUMBERS("4") "c OK [READ-ONLY] Selected\r\n"},
        {"d STORE 1 FLAGS ()\r\n", "d NO [READ-ONLY] %\r\n"}, {"e EXPUNGE\r\n", "e NO [READ-ONLY] %\r\n"},
        {"f MOVE 1 Sent\r\n", "f NO [READ-ONLY] %\r\n"},
        {"g FETCH 2 BODY[TEXT]\r\n", "* 2 FETCH (BODY[TEXT] {12}\r\nText of 2.\r\n)\r\ng OK Done\r\n"},
        {"h FETCH 2 FLAGS\r\n", "* 2 FETCH (FLAGS ())\r\nh OK Done\r\n"}, /* EXAMINE marks nothing */
        {"i COPY 2 Sent\r\n", "i OK [COPYUID % 2 1] Done\r\n"}, {"j CLOSE\r\n", "j OK Unselected\r\n"},
        {"k SELECT nowhere\r\n", "k NO [NONEXISTENT] %\r\n"}, {"l FETCH 1 FLAGS\r\n", "l BAD %\r\n"});
}

/* The highest message goes: UIDNEXT does not. */
static void uidnext_never_goes_back(void **state)
{
    (void)state;
    world_fill(3);
    CONVERSE(0, {"a SELECT INBOX\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n* OK [UIDNEXT 4] Next\r\n%\r\n%\r\na OK %\r\n"},
        {"b STORE 3 +FLAGS.SILENT (\\Deleted)\r\n", "b OK Done\r\n"}, {"c EXPUNGE\r\n", "* 3 EXPUNGE\r\nc OK Done\r\n"},
        {"d SELECT INBOX\r\n", "%\r\n%\r\n* 2 EXISTS\r\n%\r\n%\r\n%\r\n* OK [UIDNEXT 4] Next\r\n%\r\n%\r\nd OK %\r\n"},
        {"e STATUS INBOX (MESSAGES UIDNEXT)\r\n", "* STATUS INBOX (MESSAGES 2 UIDNEXT 4)\r\ne OK Done\r\n"});
}

/* What is not on disk yet is not told: neither by SELECT nor by STATUS. */
static void what_is_not_on_disk_is_not_told(void **state)
{
    (void)state;
    world_fill(1);
    client_open(1);
    client_expect(0, "a SELECT INBOX\r\n", "%\r\n%\r\n* 1 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\na OK %\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    client_say(0, "b NOOP\r\nc STATUS INBOX (MESSAGES UIDNEXT)\r\n");
    client_say(1, "d SELECT INBOX\r\n");
    world_run();
    assert_true(text_matches(STR("b OK Done\r\n* STATUS INBOX (MESSAGES 1 UIDNEXT 2)\r\nc OK Done\r\n"), client_got(0)));
    assert_true(text_matches(STR("%\r\n%\r\n* 1 EXISTS\r\n%\r\n%\r\n* OK [UIDNEXT 2] Next\r\n%\r\n%\r\nd OK %\r\n"), client_got(1)));
    world_flush();
    client_expect(0, "e NOOP\r\n", "* 2 EXISTS\r\ne OK Done\r\n");
    client_expect(1, "e NOOP\r\n", "* 2 EXISTS\r\ne OK Done\r\n");
}

static void wrong_states_and_words(void **state)
{
    (void)state;
    CONVERSE(0, {"a FETCH 1 FLAGS\r\n", "a BAD %\r\n"}, {"b LOGIN x y\r\n", "b BAD %\r\n"}, {"c STARTTLS\r\n", "c BAD %\r\n"},
        {"d AUTHENTICATE PLAIN\r\n", "d BAD %\r\n"}, {"e FROBNICATE\r\n", "e BAD %\r\n"}, {"f\r\n", "f BAD %\r\n"}, {"\r\n", ""},
        {"g NOOP now\r\n", "g BAD %\r\n"}, {"* NOOP\r\n", "* BAD %\r\n"}, {"h SELECT\r\n", "h BAD %\r\n"},
        {"i SELECT \"INBOX\r\n", "i BAD %\r\n"}, {"j UNSELECT\r\n", "j BAD %\r\n"}, {"k noop\r\n", "k OK Done\r\n"},
        {"l SELECT {5}\r\n", "+ Go on\r\n"}, {"INBOX\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\nl OK [READ-WRITE] Selected\r\n"},
        {"m UNSELECT\r\n", "m OK Unselected\r\n"}, {"n SELECT {5+}\r\nINBOX (X)\r\n", "n BAD %\r\n"},
        {"o SELECT INBOX (QRESYNC (1 2))\r\n", "o BAD %\r\n"}, {"p LOGOUT\r\n", "* BYE Logging out\r\np OK Goodbye\r\n"});
    assert_false(imap_clients[0].open);
}

static void too_many_mistakes_end_it(void **state)
{
    (void)state;
    for (int i = 0; i < 49; i++)
        client_expect(0, "a WHAT\r\n", "a BAD %\r\n");
    client_expect(0, "a WHAT\r\n", "a BAD %\r\n* BYE %\r\n");
    assert_false(imap_clients[0].open);
}

static void literals_that_are_too_long(void **state)
{
    (void)state;
    CONVERSE(0, {"a SELECT {300000}\r\n", "a BAD [TOOBIG] %\r\n"}, {"b NOOP\r\n", "b OK Done\r\n"});
    client_say(0, "c SELECT {300000+}\r\n");
    for (int i = 0; i < 3000; i++) {
        client_say(0, "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789");
        world_run();
    }
    client_expect(0, "\r\nd NOOP\r\n", "c BAD [TOOBIG] %\r\nd OK Done\r\n");
}

static void enable(void **state)
{
    (void)state;
    CONVERSE(0, {"a ENABLE CONDSTORE X-UNKNOWN\r\n", "* ENABLED CONDSTORE\r\na OK Enabled\r\n"},
        {"b ENABLE CONDSTORE\r\n", "* ENABLED\r\nb OK Enabled\r\n"}, {"c ENABLE qresync utf8=accept\r\n", "* ENABLED QRESYNC UTF8=ACCEPT\r\nc OK Enabled\r\n"},
        {"d ENABLE IMAP4rev2\r\n", "* ENABLED IMAP4rev2\r\nd OK Enabled\r\n"}, {"e ENABLE\r\n", "e BAD %\r\n"},
        {"f SELECT INBOX\r\n", "* FLAGS (%)\r\n* OK [PERMANENTFLAGS (%)] Flags\r\n* 0 EXISTS\r\n" NUMBERS("1")
            "* LIST () \"/\" INBOX\r\nf OK [READ-WRITE] Selected\r\n"});
}

/* RFC 7162, section 3.1: whoever asks for CONDSTORE with a mailbox open is told where it stands. */
static void condstore_enabled_while_selected(void **state)
{
    (void)state;
    world_fill(1);
    CONVERSE(0, {"a SELECT INBOX\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\na OK %\r\n"},
        {"b ENABLE CONDSTORE\r\n", "* ENABLED CONDSTORE\r\n* OK [HIGHESTMODSEQ %] %\r\nb OK Enabled\r\n"});
}

static void idle(void **state)
{
    (void)state;
    world_fill(2);
    client_open(1);
    CONVERSE(0, {"a IDLE\r\n", "+ idling\r\n"}, {"DONE\r\n", "a OK Idle is over\r\n"},
        {"a SELECT INBOX\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\na OK %\r\n"}, {"b IDLE\r\n", "+ idling\r\n"});
    world_deliver(STR("x"));
    world_flush();
    client_expect(0, "", "* 3 EXISTS\r\n");
    CONVERSE(1, {"a SELECT INBOX\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\na OK %\r\n"},
        {"b STORE 1,3 +FLAGS (\\Deleted)\r\n", "* 1 FETCH (FLAGS (\\Deleted))\r\n* 3 FETCH (FLAGS (\\Deleted))\r\nb OK Done\r\n"});
    client_expect(0, "", "* 1 FETCH (FLAGS (\\Deleted))\r\n* 3 FETCH (FLAGS (\\Deleted))\r\n");
    client_expect(1, "c EXPUNGE\r\n", "* 3 EXPUNGE\r\n* 1 EXPUNGE\r\nc OK Done\r\n");
    CONVERSE(0, {"", "* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n"}, {"DONE\r\n", "b OK Idle is over\r\n"}, {"c IDLE\r\n", "+ idling\r\n"},
        {"NOOP\r\n", "c BAD %\r\n"}, {"d NOOP\r\n", "d OK Done\r\n"}, {"e IDLE\r\nDONE\r\nf NOOP\r\n", "+ idling\r\ne OK Idle is over\r\nf OK Done\r\n"});
    client_say(0, "g IDLE\r\n");
    world_run();
    client_close(0);
    world_deliver(STR("y"));
    world_flush();
}

static void small_things(void **state)
{
    (void)state;
    CONVERSE(0, {"a CAPABILITY\r\n", "* CAPABILITY IMAP4rev2 IMAP4rev1 %\r\na OK %\r\n"}, {"b ID NIL\r\n", "* ID (\"name\" \"Staffetta\")\r\nb OK %\r\n"},
        {"c ID (\"name\" \"x\" \"version\" NIL)\r\n", "* ID (\"name\" \"Staffetta\")\r\nc OK %\r\n"}, {"d ID (\"name\")\r\n", "d BAD %\r\n"},
        {"e NAMESPACE\r\n", "* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) NIL\r\ne OK Done\r\n"}, {"f CHECK\r\n", "f BAD %\r\n"},
        {"g GETQUOTAROOT INBOX\r\n", "* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" ()\r\ng OK Done\r\n"},
        {"h GETQUOTA x\r\n", "h NO [NONEXISTENT] %\r\n"}, {"i SETQUOTA \"\" (STORAGE 1)\r\n", "i NO [NOPERM] %\r\n"});
}

static void quota_of_the_account(void **state)
{
    (void)state;
    world_quota_bytes = 10 * 1024;
    world_quota_messages = 7;
    world_fill(2);
    CONVERSE(0, {"a GETQUOTA \"\"\r\n", "* QUOTA \"\" (STORAGE 1 10 MESSAGE 2 7)\r\na OK Done\r\n"});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_mailbox),
        TEST(a_mailbox_with_messages),
        TEST(uidnext_never_goes_back),
        TEST(what_is_not_on_disk_is_not_told),
        TEST(wrong_states_and_words),
        TEST(too_many_mistakes_end_it),
        TEST(literals_that_are_too_long),
        TEST(enable),
        TEST(condstore_enabled_while_selected),
        TEST(idle),
        TEST(small_things),
        TEST(quota_of_the_account),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
