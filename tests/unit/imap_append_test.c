/* IMAP: APPEND in all its forms. */
#include "base/clock.h"
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_append_test");
    client_open(0);
    return 0;
}

#define SELECTED(n) "%\r\n%\r\n* " n " EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK [READ-WRITE] Selected\r\n"

static void one_message(void **state)
{
    (void)state;
    CONVERSE(0, {"a APPEND Sent {10}\r\n", "+ Go on\r\n"}, {"A: b\r\n\r\nxy\r\n", "a OK [APPENDUID % 1] Stored\r\n"},
        {"b APPEND \"Sent\" (\\Seen $K) \" 3-Feb-2024 04:05:06 +0100\" {10+}\r\nA: c\r\n\r\nzz\r\n", "b OK [APPENDUID % 2] Stored\r\n"},
        {"s SELECT Sent\r\n", SELECTED("2")}, {"c FETCH 1:2 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\r\n",
            "* 1 FETCH (FLAGS () INTERNALDATE \"%\" RFC822.SIZE 10 BODY[] {10}\r\nA: b\r\n\r\nxy)\r\n"
            "* 2 FETCH (FLAGS (\\Seen $K) INTERNALDATE \"03-Feb-2024 03:05:06 +0000\" RFC822.SIZE 10 BODY[] {10}\r\nA: c\r\n\r\nzz)\r\nc OK Done\r\n"},
        {"d APPEND {4}\r\n", "+ Go on\r\n"}, {"Sent {4}\r\n", "+ Go on\r\n"}, {"abcd\r\n", "* 3 EXISTS\r\nd OK [APPENDUID % 3] Stored\r\n"},
        {"e APPEND nowhere {4}\r\n", "e NO [TRYCREATE] %\r\n"}, {"f NOOP\r\n", "f OK Done\r\n"},
        {"g APPEND nowhere {4+}\r\nabcd\r\nh NOOP\r\n", "g NO [TRYCREATE] %\r\nh OK Done\r\n"},
        {"i APPEND Sent\r\n", "i BAD %\r\n"}, {"j APPEND Sent (\\Seen\r\n", "j BAD %\r\n"}, {"k APPEND Sent \"yesterday\" {3}\r\n", "k BAD %\r\n"},
        {"l APPEND Sent {3} x\r\n", "l BAD %\r\n"}, {"m APPEND Sent {3+}\r\nabcx\r\n", "m BAD %\r\n"}, {"n STATUS Sent (MESSAGES)\r\n", "* STATUS Sent (MESSAGES 3)\r\nn OK Done\r\n"});
}

/* RFC 3502: all or nothing; an empty message is how a client changes its mind. */
static void several_messages(void **state)
{
    (void)state;
    CONVERSE(0, {"a APPEND Sent {1+}\r\na (\\Seen) {2+}\r\nbc {3+}\r\ndef\r\n", "a OK [APPENDUID % 1:3] Stored\r\n"},
        {"b APPEND Sent {1}\r\n", "+ Go on\r\n"}, {"x {1}\r\n", "+ Go on\r\n"}, {"y {0}\r\n", "b NO [CANNOT] %\r\n"}, {"c NOOP\r\n", "c OK Done\r\n"},
        {"d APPEND Sent {1+}\r\nx {0+}\r\n\r\n", "d NO [CANNOT] %\r\n"}, {"e APPEND Sent {0+}\r\n\r\n", "e NO [CANNOT] %\r\n"},
        {"f APPEND Sent {1+}\r\nx nonsense\r\n", "f BAD %\r\n"}, {"g STATUS Sent (MESSAGES UIDNEXT)\r\n", "* STATUS Sent (MESSAGES 3 UIDNEXT 4)\r\ng OK Done\r\n"},
        {"h APPEND Sent {1}\r\n", "+ Go on\r\n"}, {"x {99999999999}\r\n", "h NO [TOOBIG] %\r\n"},
        {"i STATUS Sent (MESSAGES UIDNEXT)\r\n", "* STATUS Sent (MESSAGES 3 UIDNEXT 4)\r\ni OK Done\r\n"});
}

/* It is waited for, but not for ever. */
static void directory_is_away(void **state)
{
    (void)state;
    world_directory_goes();
    client_expect(0, "a APPEND Sent {3+}\r\nabc\r\nb NOOP\r\n", "");
    world_directory_comes();
    client_expect(0, "", "a OK [APPENDUID % 1] Stored\r\nb OK Done\r\n");
    world_directory_answers = false; /* it goes before it has answered */
    world_directory_goes();
    world_directory_comes();
    client_expect(0, "c APPEND Sent {3}\r\n", "");
    world_directory_goes();
    world_later(SESSION_LATER - SECOND);
    world_turn();
    client_expect(0, "", "");
    world_later(SECOND);
    world_turn();
    client_expect(0, "", "c NO [UNAVAILABLE] %\r\n");
    client_expect(0, "d APPEND Sent {3+}\r\nabc\r\n", "");
    client_close(0);
    world_directory_answers = true;
    world_directory_comes();
    client_open(0);
    client_expect(0, "e STATUS Sent (MESSAGES)\r\n", "* STATUS Sent (MESSAGES 1)\r\ne OK Done\r\n");
}

static void a_large_message_in_pieces(void **state)
{
    static char body[300000];

    (void)state;
    memset(body, 'x', sizeof body);
    client_say(0, "a APPEND Sent {300000+}\r\n");
    client_say_bytes(0, str_from(body, sizeof body));
    client_expect(0, "\r\ns SELECT Sent\r\n", "a OK [APPENDUID % 1] Stored\r\n" SELECTED("1"));
    client_expect(0, "b FETCH 1 BODY.PEEK[]<299990.100>\r\n", "* 1 FETCH (BODY[]<299990> {10}\r\nxxxxxxxxxx)\r\nb OK Done\r\n");
    client_say(0, "c APPEND Sent {300000}\r\n");
    world_flush();
    client_say_bytes(0, str_from(body, sizeof body / 2));
    world_flush();
    client_close(0);
    world_flush();
    client_open(0);
    client_expect(0, "a STATUS Sent (MESSAGES UIDNEXT SIZE)\r\n", "* STATUS Sent (MESSAGES 1 UIDNEXT 2 SIZE 300000)\r\na OK Done\r\n");
    while (boxes_sweep(world_boxes))
        world_flush();
}

static void quota(void **state)
{
    (void)state;
    world_quota_bytes = 1000;
    CONVERSE(0, {"a APPEND Sent {999}\r\n", "+ Go on\r\n"});
    for (int i = 0; i < 111; i++)
        client_say(0, "123456789");
    CONVERSE(0, {"\r\n", "a OK [APPENDUID % 1] Stored\r\n"}, {"b APPEND Sent {2}\r\n", "b NO [OVERQUOTA] %\r\n"},
        {"c APPEND Sent {2+}\r\nab\r\n", "c NO [OVERQUOTA] %\r\n"}, {"d APPEND Sent {1+}\r\na {1+}\r\nb\r\n", "d NO [OVERQUOTA] %\r\n"},
        {"e APPEND Sent {1}\r\n", "+ Go on\r\n"}, {"x\r\n", "e OK [APPENDUID % 2] Stored\r\n"});
}

/* Each alone fits, and is asked for; together they do not: the last one that comes is refused. */
static void quota_of_several_at_once(void **state)
{
    (void)state;
    world_quota_bytes = 1000;
    client_open(1);
    client_open(2);
    CONVERSE(0, {"a APPEND Sent {9}\r\n", "+ Go on\r\n"}, {"A: b\r\n\r\nc\r\n", "a OK [APPENDUID % 1] Stored\r\n"});
    for (unsigned c = 0; c < 3; c++)
        client_expect(c, "a APPEND Sent {500}\r\n", "+ Go on\r\n");
    for (unsigned c = 0; c < 3; c++)
        for (int i = 0; i < 50; i++)
            client_say(c, "123456789\n");
    client_expect(1, "\r\n", "a OK [APPENDUID % 2] Stored\r\n");
    client_expect(0, "\r\n", "a NO [OVERQUOTA] %\r\n");
    client_expect(2, "\r\nb NOOP\r\n", "a NO [OVERQUOTA] %\r\nb OK Done\r\n");
    client_expect(0, "b STATUS Sent (MESSAGES SIZE)\r\n", "* STATUS Sent (MESSAGES 2 SIZE 509)\r\nb OK Done\r\n");
}

/* What is known of each is written when the next one begins, and is true of it. */
static void structures_of_several(void **state)
{
    static const char part[] = "Subject: s%u\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/x%u\r\n\r\na\r\n--b\r\n\r\nb\r\n--b--\r\n";
    char message[300], say[400];

    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        snprintf(message, sizeof message, part, i, i);
        snprintf(say, sizeof say, "%s {%zu+}\r\n%s", i == 1 ? "a APPEND Sent" : "", strlen(message), message);
        client_say(0, say);
        world_run();
    }
    client_expect(0, "\r\n", "a OK [APPENDUID % 1:3] Stored\r\n");
    CONVERSE(0, {"s SELECT Sent\r\n", SELECTED("3")}, {"b FETCH 1:3 BODY\r\n",
        "* 1 FETCH (BODY ((\"text\" \"x1\" %)(%) \"mixed\"))\r\n* 2 FETCH (BODY ((\"text\" \"x2\" %)(%) \"mixed\"))\r\n"
        "* 3 FETCH (BODY ((\"text\" \"x3\" %)(%) \"mixed\"))\r\nb OK Done\r\n"},
        {"c SORT (REVERSE SUBJECT) UTF-8 ALL\r\n", "* SORT 3 2 1\r\nc OK Done\r\n"});
}

/* The directory is silent: the command waits, and its client may go. */
static void without_directory(void **state)
{
    (void)state;
    world_directory_answers = false;
    client_say(0, "a APPEND Sent {2}\r\n");
    world_flush();
    assert_int_equal(client_got(0).n, 0);
    world_directory_answers = true;
    client_expect(0, "", "+ Go on\r\n");
    client_expect(0, "ab\r\n", "a OK [APPENDUID % 1] Stored\r\n");
    imap_world_restart();
    client_open(0);
    world_directory_answers = false;
    client_say(0, "b APPEND Sent {2}\r\n");
    world_flush();
    client_close(0);
    world_directory_answers = true;
    world_run();
}

/* Many at once: each is let in by what there is when it comes, and looked at again when it is complete. Never more than the quota is
 * accepted, and no more is refused than must be. */
static void many_at_once(void **state)
{
    enum { AT_ONCE = 8, SIZE = 100, FIT = 4 };
    char body[SIZE + 1];
    unsigned stored = 0, refused = 0;

    (void)state;
    memset(body, 'x', SIZE);
    body[SIZE] = 0;
    world_quota_bytes = FIT * SIZE + SIZE / 2;
    imap_world_restart();
    for (unsigned c = 0; c < AT_ONCE; c++) {
        client_open(c);
        client_expect(c, "a APPEND INBOX {100}\r\n", "+ Go on\r\n");
    }
    for (unsigned c = 0; c < AT_ONCE; c++) {
        client_say(c, body);
        client_say(c, "\r\n");
        if (c % 3 == 0)
            world_run();
    }
    world_flush();
    for (unsigned c = 0; c < AT_ONCE; c++) {
        struct str got = client_got(c);

        stored += text_matches(STR("a OK % Stored\r\n"), got);
        refused += text_matches(STR("a NO [OVERQUOTA] %\r\n"), got);
    }
    assert_int_equal(stored, FIT);
    assert_int_equal(refused, AT_ONCE - FIT);
    client_say(0, "b STATUS INBOX (MESSAGES SIZE)\r\n");
    world_flush();
    assert_true(str_ifind(client_got(0), STR("MESSAGES 4 SIZE 400")) >= 0);
}

static void utf8(void **state)
{
    (void)state;
    CONVERSE(0, {"a ENABLE UTF8=ACCEPT\r\n", "* ENABLED UTF8=ACCEPT\r\na OK Enabled\r\n"},
        {"b APPEND Sent UTF8 (~{11+}\r\nA: \xc3\xbc\r\n\r\nxy)\r\n", "b OK [APPENDUID % 1] Stored\r\n"},
        {"c APPEND Sent ~{11+}\r\nA: \xc3\xbc\r\n\r\nxy\r\n", "c OK [APPENDUID % 2] Stored\r\n"},
        {"d APPEND Sent CATENATE (URL \"/INBOX/;UID=1\")\r\n", "d %\r\n"}, {"e NOOP\r\n", "e OK Done\r\n"}, {"s SELECT Sent\r\n", SELECTED("2")},
        {"f FETCH 1 BODY.PEEK[]\r\n", "* 1 FETCH (BODY[] {11}\r\nA: \xc3\xbc\r\n\r\nxy)\r\nf OK Done\r\n"});
}

/* REPLACE is APPEND and EXPUNGE in one. */
static void replace(void **state)
{
    (void)state;
    world_fill(2);
    CONVERSE(0, {"a REPLACE 1 INBOX {3+}\r\nabc\r\n", "a BAD %\r\n"}, {"b NOOP\r\n", "b OK Done\r\n"}, {"s SELECT INBOX\r\n", SELECTED("2")},
        {"c REPLACE 1 INBOX {3+}\r\nabc\r\n", "* OK [APPENDUID % 3] Stored\r\n* 1 EXPUNGE\r\n* 2 EXISTS\r\nc OK Done\r\n"},
        {"d UID REPLACE 2 Sent (\\Seen) {3+}\r\nabc\r\n", "* OK [APPENDUID % 1] Stored\r\n* 1 EXPUNGE\r\nd OK Done\r\n"},
        {"e REPLACE 9 INBOX {3+}\r\nabc\r\n", "e BAD %\r\n"}, {"f UID REPLACE 9 INBOX {3+}\r\nabc\r\n", "f NO [NONEXISTENT] %\r\n"},
        {"g REPLACE 1 nowhere {3}\r\n", "g NO [TRYCREATE] %\r\n"}, {"h REPLACE 1 INBOX {0+}\r\n\r\n", "h NO [CANNOT] %\r\n"},
        {"i REPLACE 1:2 INBOX {3+}\r\nabc\r\n", "i BAD %\r\n"}, {"j UID SEARCH ALL\r\n", "* SEARCH 3\r\nj OK Done\r\n"});
}

/* RFC 8508, section 3.4: only what grows counts. */
static void replace_and_quota(void **state)
{
    (void)state;
    world_quota_messages = 1;
    world_quota_bytes = 100;
    CONVERSE(0, {"r APPEND INBOX {3+}\r\nxyz\r\n", "r OK [APPENDUID % 1] Stored\r\n"}, {"s SELECT INBOX\r\n", SELECTED("1")}, {"a APPEND INBOX {3}\r\n", "a NO [OVERQUOTA] %\r\n"},
        {"b REPLACE 1 INBOX {90+}\r\n123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890\r\n",
            "* OK [APPENDUID % 2] Stored\r\n* 1 EXPUNGE\r\n* 1 EXISTS\r\nb OK Done\r\n"},
        {"c REPLACE 1 INBOX {101}\r\n", "c NO [OVERQUOTA] %\r\n"}, {"d REPLACE 1 Sent {3}\r\n", "+ Go on\r\n"},
        {"xyz\r\n", "* OK [APPENDUID % 1] Stored\r\n* 1 EXPUNGE\r\nd OK Done\r\n"});
    imap_world_restart();
    client_open(0);
    world_quota_bytes = 2; /* lowered below what is there: a smaller one is an improvement */
    CONVERSE(0, {"e SELECT Sent\r\n", "%\r\n%\r\n* 1 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ne OK %\r\n"},
        {"f REPLACE 1 Sent {3+}\r\nabc\r\n", "* OK [APPENDUID % 2] Stored\r\n* 1 EXPUNGE\r\n* 1 EXISTS\r\nf OK Done\r\n"},
        {"g REPLACE 1 Sent {4+}\r\nabcd\r\n", "g NO [OVERQUOTA] %\r\n"}, {"h UID FETCH 1:* BODY.PEEK[]\r\n", "* 1 FETCH (UID 2 BODY[] {3}\r\nabc)\r\nh OK Done\r\n"});
}

/* Two replace one message at once: the second one finds it gone, and nothing of it is stored. */
static void replace_in_two_sessions(void **state)
{
    (void)state;
    world_fill(2);
    client_open(1);
    CONVERSE(0, {"s SELECT INBOX\r\n", SELECTED("2")}, {"a UID REPLACE 1 INBOX {3}\r\n", "+ Go on\r\n"});
    CONVERSE(1, {"s SELECT INBOX\r\n", SELECTED("2")}, {"a ENABLE QRESYNC\r\n", "* ENABLED QRESYNC\r\n%\r\na OK Enabled\r\n"},
        {"b REPLACE 1 INBOX {3+}\r\nnew\r\n", "* OK [APPENDUID % 3] Stored\r\n* VANISHED 1\r\n* 2 EXISTS\r\nb OK Done\r\n"});
    CONVERSE(0, {"old\r\n", "* 1 EXPUNGE\r\n* 2 EXISTS\r\na NO [NONEXISTENT] %\r\n"}, {"b UID SEARCH ALL\r\n", "* SEARCH 2 3\r\nb OK Done\r\n"},
        {"c EXAMINE INBOX\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\nc OK [READ-ONLY] %\r\n"}, {"d REPLACE 1 INBOX {3}\r\n", "d NO [READ-ONLY] %\r\n"},
        {"e UNSELECT\r\n", "e OK %\r\n"}, {"f UID REPLACE 2 INBOX {3}\r\n", "f BAD %\r\n"});
    CONVERSE(1, {"c NOOP\r\n", "c OK Done\r\n"}, {"d UID SEARCH ALL\r\n", "* SEARCH 2 3\r\nd OK Done\r\n"});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_message),
        TEST(several_messages),
        TEST(a_large_message_in_pieces),
        TEST(quota), TEST(quota_of_several_at_once), TEST(structures_of_several),
        TEST(directory_is_away),
        TEST(without_directory),
        TEST(many_at_once),
        TEST(utf8),
        TEST(replace),
        TEST(replace_and_quota),
        TEST(replace_in_two_sessions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
