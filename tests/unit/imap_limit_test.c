/* IMAP: MESSAGELIMIT (RFC 9738), with a limit of 3: what is cut, what is refused, what is not limited, and what the answers say. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_limit_test");
    world_message_limit = 3;
    client_open(0);
    world_fill(6);
    client_say(0, "s SELECT INBOX\r\n");
    world_flush();
    (void)client_got(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return imap_world_close();
}

static void is_offered(void **state)
{
    (void)state;
    client_expect(0, "a CAPABILITY\r\n", "* CAPABILITY % MESSAGELIMIT=3 %\r\na OK %\r\n");
    world_message_limit = 0; /* a session keeps what it was told */
    client_open(1);
    client_expect(1, "b SELECT INBOX\r\n", "* FLAGS %\r\n*%\r\n*%\r\n*%\r\n*%\r\n*%\r\n*%\r\n*%\r\n*%\r\nb OK %\r\n");
    client_expect(1, "c UID FETCH 1:* UID\r\n",
        "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\n* 4 FETCH (UID 4)\r\n* 5 FETCH (UID 5)\r\n* 6 FETCH (UID 6)\r\nc OK Done\r\n");
    client_say(1, "d CAPABILITY\r\n");
    world_flush();
    assert_true(str_ifind(client_got(1), STR("MESSAGELIMIT")) < 0);
    client_expect(0, "e FETCH 1:4 UID\r\n", "* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\n* 4 FETCH (UID 4)\r\ne OK [MESSAGELIMIT 3 2] Done\r\n");
}

static void fetch(void **state)
{
    (void)state;
    CONVERSE(0, {"a FETCH 1:* UID\r\n", "* 4 FETCH (UID 4)\r\n* 5 FETCH (UID 5)\r\n* 6 FETCH (UID 6)\r\na OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"b UID FETCH 1:3 UID\r\n", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\nb OK Done\r\n"},
        {"c UID FETCH 1:3,6 UID\r\n", "* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\n* 6 FETCH (UID 6)\r\nc OK [MESSAGELIMIT 3 2] Done\r\n"},
        {"d UID FETCH 1,4:6 UID\r\n", "* 4 FETCH (UID 4)\r\n* 5 FETCH (UID 5)\r\n* 6 FETCH (UID 6)\r\nd OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"e UID FETCH 6:4294967295 UID\r\n", "* 6 FETCH (UID 6)\r\ne OK Done\r\n"}, {"f UID FETCH 100:200 UID\r\n", "f OK Done\r\n"},
        {"g FETCH 1:2,4:5 BODY[TEXT]\r\n", "* 2 FETCH (BODY[TEXT] {12}\r\nText of 2.\r\n)\r\n* 4 FETCH (BODY[TEXT] {12}\r\nText of 4.\r\n)\r\n"
            "* 5 FETCH (BODY[TEXT] {12}\r\nText of 5.\r\n)\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* 4 FETCH (FLAGS (\\Seen))\r\n* 5 FETCH (FLAGS (\\Seen))\r\ng OK [MESSAGELIMIT 3 2] Done\r\n"},
        {"h UID FETCH 1:* UID (PARTIAL 1:3)\r\n", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\nh OK Done\r\n"},
        {"i UID FETCH 1:* UID (PARTIAL -3:-1)\r\n", "* 4 FETCH (UID 4)\r\n* 5 FETCH (UID 5)\r\n* 6 FETCH (UID 6)\r\ni OK Done\r\n"},
        {"j UID FETCH 1:* UID (PARTIAL 1:4)\r\n", "j NO [MESSAGELIMIT 3] %\r\n"}, {"k UID FETCH 1:* UID (PARTIAL -1:-4)\r\n", "k NO [MESSAGELIMIT 3] %\r\n"},
        {"l FETCH 7 UID\r\n", "l BAD %\r\n"}, {"m NOOP\r\n", "m OK Done\r\n"});
}

/* Numbers are counted among what the client knows; its tagged answer has a code already: an untagged NO. */
static void beside_other_codes(void **state)
{
    (void)state;
    client_open(1);
    client_say(1, "a SELECT INBOX\r\nb STORE 6 +FLAGS.SILENT (\\Deleted)\r\nc EXPUNGE\r\n");
    world_flush();
    (void)client_got(1);
    client_expect(0, "a FETCH 1:* UID\r\n", "* 4 FETCH (UID 4)\r\n* 5 FETCH (UID 5)\r\n* NO [MESSAGELIMIT 3 4] %\r\na OK [EXPUNGEISSUED] Done\r\n");
    client_expect(0, "b UID FETCH 1:5 UID\r\n", "* 3 FETCH (UID 3)\r\n* 4 FETCH (UID 4)\r\n* 5 FETCH (UID 5)\r\n* 6 EXPUNGE\r\nb OK [MESSAGELIMIT 3 3] Done\r\n");
}

static void store(void **state)
{
    (void)state;
    CONVERSE(0, {"a STORE 1:* +FLAGS.SILENT (\\Flagged)\r\n", "a OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"b UID STORE 1:3 FLAGS (\\Answered)\r\n", "* 1 FETCH (UID 1 FLAGS (\\Answered))\r\n* 2 FETCH (UID 2 FLAGS (\\Answered))\r\n"
            "* 3 FETCH (UID 3 FLAGS (\\Answered))\r\nb OK Done\r\n"},
        {"c SEARCH FLAGGED\r\n", "* SEARCH 4 5 6\r\nc OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"d SEARCH UID 1:3 FLAGGED\r\n", "* SEARCH\r\nd OK Done\r\n"},
        {"e UID STORE 1:6 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)\r\n", "* OK [HIGHESTMODSEQ %] %\r\n* NO [MESSAGELIMIT 3 4] %\r\ne OK [MODIFIED 4:6] %\r\n"});
}

static void search(void **state)
{
    (void)state;
    CONVERSE(0, {"a SEARCH ALL\r\n", "* SEARCH 4 5 6\r\na OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"b UID SEARCH SUBJECT m\r\n", "* SEARCH 4 5 6\r\nb OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"c UID SEARCH SUBJECT m2\r\n", "* SEARCH\r\nc OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"d UID SEARCH UID 1:3 SUBJECT m2\r\n", "* SEARCH 2\r\nd OK Done\r\n"}, {"e SEARCH 1:3\r\n", "* SEARCH 1 2 3\r\ne OK Done\r\n"},
        {"f SEARCH 1:4 2:6 SUBJECT m\r\n", "* SEARCH 2 3 4\r\nf OK Done\r\n"}, {"g SEARCH (1:5 UID 2:6)\r\n", "* SEARCH 3 4 5\r\ng OK [MESSAGELIMIT 3 3] Done\r\n"},
        {"h SEARCH OR 1:2 3\r\n", "* SEARCH\r\nh OK [MESSAGELIMIT 3 4] Done\r\n"}, {"i SEARCH NOT 6\r\n", "* SEARCH 4 5\r\ni OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"j UID SEARCH UIDBEFORE 4\r\n", "* SEARCH 1 2 3\r\nj OK Done\r\n"}, {"k UID SEARCH UIDAFTER 3\r\n", "* SEARCH 4 5 6\r\nk OK Done\r\n"},
        {"l UID SEARCH UIDAFTER 1 UIDBEFORE 5\r\n", "* SEARCH 2 3 4\r\nl OK Done\r\n"}, {"m UID SEARCH UIDAFTER 6\r\n", "* SEARCH\r\nm OK Done\r\n"},
        {"n UID SEARCH UIDAFTER 4294967295\r\n", "* SEARCH\r\nn OK Done\r\n"}, {"o UID SEARCH UIDBEFORE 1\r\n", "* SEARCH\r\no OK Done\r\n"},
        {"p UID SEARCH UIDAFTER 0\r\n", "p BAD %\r\n"}, {"q UID SEARCH UIDBEFORE 1:2\r\n", "q BAD %\r\n"}, {"r UID SEARCH UIDAFTER\r\n", "r BAD %\r\n"},
        {"s UID SEARCH RETURN (MIN MAX COUNT) ALL\r\n", "* ESEARCH (TAG \"s\") UID MIN 4 MAX 6 COUNT 3\r\ns OK [MESSAGELIMIT 3 4] Done\r\n"});
}

/* What is kept is what was found (RFC 5182). */
static void saved(void **state)
{
    (void)state;
    CONVERSE(0, {"a SEARCH RETURN (SAVE) ALL\r\n", "a OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"b UID FETCH $ UID\r\n", "* 4 FETCH (UID 4)\r\n* 5 FETCH (UID 5)\r\n* 6 FETCH (UID 6)\r\nb OK Done\r\n"},
        {"c UID SEARCH $ UIDBEFORE 6\r\n", "* SEARCH 4 5\r\nc OK Done\r\n"});
    world_message_limit = 5;
    client_open(1);
    client_say(1, "a SELECT INBOX\r\nb SEARCH RETURN (SAVE) UID 1:5\r\n");
    world_flush();
    (void)client_got(1);
    client_expect(1, "c UID FETCH $ UID\r\n", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\n* 4 FETCH (UID 4)\r\n* 5 FETCH (UID 5)\r\nc OK Done\r\n");
    client_expect(1, "d COPY $ Sent\r\n", "d OK [COPYUID % 1:5 1:5] Done\r\n");
}

static void all_or_nothing(void **state)
{
    (void)state;
    CONVERSE(0, {"a COPY 1:* Sent\r\n", "a NO [MESSAGELIMIT 3 4] %\r\n"}, {"b UID COPY 1:4 Sent\r\n", "b NO [MESSAGELIMIT 3 2] %\r\n"},
        {"c STATUS Sent (MESSAGES)\r\n", "* STATUS Sent (MESSAGES 0)\r\nc OK Done\r\n"}, {"d COPY 4:6 Sent\r\n", "d OK [COPYUID % 4:6 1:3] Done\r\n"},
        {"e APPEND Trash {1+}\r\na {1+}\r\nb {1+}\r\nc {1+}\r\nd\r\n", "e NO [MESSAGELIMIT 3] %\r\n"},
        {"f APPEND Trash {1+}\r\na {1+}\r\nb {1+}\r\nc {1}\r\n", "f NO [MESSAGELIMIT 3] %\r\n"},
        {"g STATUS Trash (MESSAGES)\r\n", "* STATUS Trash (MESSAGES 0)\r\ng OK Done\r\n"},
        {"h APPEND Trash {1+}\r\na {1+}\r\nb {1+}\r\nc\r\n", "h OK [APPENDUID % 1:3] Stored\r\n"});
}

static void move(void **state)
{
    (void)state;
    CONVERSE(0, {"a MOVE 1:* Sent\r\n", "* OK [COPYUID % 4:6 1:3] Moved\r\n* 6 EXPUNGE\r\n* 5 EXPUNGE\r\n* 4 EXPUNGE\r\na OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"b UID MOVE 1:3 Sent\r\n", "* OK [COPYUID % 1:3 4:6] Moved\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nb OK Done\r\n"});
}

/* EXPUNGE, CLOSE, STATUS are not limited; UID EXPUNGE counts what is \Deleted. */
static void expunge(void **state)
{
    (void)state;
    CONVERSE(0, {"a STORE 4:6 +FLAGS.SILENT (\\Deleted)\r\n", "a OK Done\r\n"}, {"b STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\n", "b OK Done\r\n"},
        {"c STATUS INBOX (DELETED)\r\n", "* STATUS INBOX (DELETED 5)\r\nc OK Done\r\n"},
        {"d UID EXPUNGE 1:6\r\n", "* 6 EXPUNGE\r\n* 5 EXPUNGE\r\n* 4 EXPUNGE\r\nd OK [MESSAGELIMIT 3 4] Done\r\n"},
        {"e UID EXPUNGE 1:6\r\n", "* 2 EXPUNGE\r\n* 1 EXPUNGE\r\ne OK Done\r\n"});
    world_fill(6);
    CONVERSE(0, {"f NOOP\r\n", "* 7 EXISTS\r\nf OK Done\r\n"}, {"g STORE 1:3 +FLAGS.SILENT (\\Deleted)\r\n", "g OK Done\r\n"},
        {"h STORE 4:6 +FLAGS.SILENT (\\Deleted)\r\n", "h OK Done\r\n"},
        {"i UID EXPUNGE 3,7:8\r\n", "* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\ni OK Done\r\n"},
        {"j STORE 4 +FLAGS.SILENT (\\Deleted)\r\n", "j OK Done\r\n"}, {"k EXPUNGE\r\n", "* 4 EXPUNGE\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nk OK Done\r\n"});
}

static void sorting(void **state)
{
    (void)state;
    CONVERSE(0, {"a SORT (SUBJECT) UTF-8 ALL\r\n", "a NO [MESSAGELIMIT 3] %\r\n"}, {"b UID SORT (REVERSE SUBJECT) UTF-8 UID 2:4\r\n", "* SORT 4 3 2\r\nb OK Done\r\n"},
        {"c UID THREAD REFERENCES UTF-8 ALL\r\n", "c NO [MESSAGELIMIT 3] %\r\n"}, {"d UID THREAD REFERENCES UTF-8 UIDAFTER 4\r\n", "* THREAD (5)(6)\r\nd OK Done\r\n"});
}

/* What NOTIFY fetches is the server's own command. */
static void not_of_the_servers_own(void **state)
{
    (void)state;
    client_expect(0, "a NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge))\r\n", "a OK %\r\n");
    world_fill(4);
    client_expect(0, "", "* 10 EXISTS\r\n* 7 FETCH (UID 7)\r\n* 8 FETCH (UID 8)\r\n* 9 FETCH (UID 9)\r\n* 10 FETCH (UID 10)\r\n");
}

/* The same when every turn does as little as it can. */
static void with_slow_turns(void **state)
{
    world_tick = 2000;
    expunge(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(is_offered), TEST(fetch), TEST(beside_other_codes), TEST(store), TEST(search), TEST(saved),
        TEST(all_or_nothing), TEST(move), TEST(expunge), TEST(sorting), TEST(not_of_the_servers_own), TEST(with_slow_turns)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
