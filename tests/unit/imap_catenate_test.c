/* IMAP: CATENATE (RFC 4469) in APPEND and REPLACE. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAIL                                                                                                                            \
    "From: a@far.example\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b\r\n"                  \
    "Content-Type: text/x-two\r\n\r\nsecond\r\n--b--\r\n"

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_catenate_test");
    client_open(0);
    client_expect(0, "s SELECT INBOX\r\n", "%\r\n%\r\n* 0 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n");
    client_say(0, "t APPEND INBOX {140+}\r\n");
    assert_int_equal(sizeof MAIL - 1, 140);
    client_expect(0, MAIL "\r\n", "* 1 EXISTS\r\nt OK [APPENDUID % 1] Stored\r\n");
    return 0;
}

#define BODY(tag, n, size, text) {tag " FETCH " n " BODY.PEEK[]\r\n", "* " n " FETCH (BODY[] {" size "}\r\n" text ")\r\n" tag " OK Done\r\n"}

static void parts(void **state)
{
    (void)state;
    CONVERSE(0, {"a APPEND INBOX CATENATE (TEXT {6}\r\n", "+ Go on\r\n"}, {"A: b\r\n URL \"/INBOX/;UID=1/;SECTION=2.MIME\" URL \"/inbox/;UID=1/;SECTION=2\" TEXT {1+}\r\n! URL ;UID=1/;SECTION=1)\r\n",
            "* 2 EXISTS\r\na OK [APPENDUID % 2] Stored\r\n"},
        BODY("b", "2", "46", "A: b\r\nContent-Type: text/x-two\r\n\r\nsecond!first"), {"c APPEND INBOX (\\Seen k) \"03-Feb-2024 04:05:06 +0000\" CATENATE (URL \"/INBOX/;UID=1\")\r\n",
            "* 3 EXISTS\r\nc OK [APPENDUID % 3] Stored\r\n"},
        BODY("d", "3", "140", MAIL), {"e FETCH 3 (FLAGS INTERNALDATE RFC822.SIZE)\r\n", "* 3 FETCH (FLAGS (\\Seen k) INTERNALDATE \"03-Feb-2024 04:05:06 +0000\" RFC822.SIZE 140)\r\ne OK Done\r\n"},
        {"f FETCH 3 BODYSTRUCTURE\r\n", "* 3 FETCH (BODYSTRUCTURE ((\"text\" \"plain\"%\r\nf OK Done\r\n"},
        {"g APPEND INBOX CATENATE (URL \"/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(SUBJECT)\" URL \"/INBOX/;UID=1/;PARTIAL=6.1\" URL ;UID=1/;SECTION=TEXT/;PARTIAL=55)\r\n",
            "* 4 EXISTS\r\ng OK [APPENDUID % 4] Stored\r\n"},
        BODY("h", "4", "22", "Subject: s\r\n\r\na--b--\r\n"), {"i FETCH 1 FLAGS\r\n", "* 1 FETCH (FLAGS ())\r\ni OK Done\r\n"});
}

/* Two sessions, with nothing selected, several messages in one command, literals of URLs. */
static void from_anywhere(void **state)
{
    (void)state;
    client_open(1);
    CONVERSE(1, {"a CREATE x/y\r\n", "a OK %\r\n"}, {"b APPEND x/y CATENATE (URL {8+}\r\n/INBOX/;UID=1)\r\n", "b %\r\n"}, {"c NOOP\r\n", "c OK Done\r\n"});
    CONVERSE(1, {"d APPEND x/y CATENATE (URL {14}\r\n", "+ Go on\r\n"}, {"/INBOX/;UID=1/ TEXT {1}\r\n", "d NO [BADURL /INBOX/;UID=1/] %\r\n"},
        {"e APPEND x/y CATENATE (URL {13}\r\n", "+ Go on\r\n"}, {"/INBOX/;UID=1 URL {28+}\r\n/INBOX/;UID=1/;PARTIAL=0.10)\r\n", "e %\r\n"}, {"f NOOP\r\n", "f OK Done\r\n"},
        {"g APPEND x/y CATENATE (URL /INBOX/;UID=1/;PARTIAL=0.1) {2+}\r\nxy (\\Seen) CATENATE (TEXT {2+}\r\nab URL /INBOX/;UID=1/;PARTIAL=1.1)\r\n", "g OK [APPENDUID % %] Stored\r\n"},
        {"h APPEND x/y CATENATE (URL y/;UID=1)\r\n", "h NO [BADURL y/;UID=1] %\r\n"}, {"i APPEND x/y CATENATE (URL ;UID=1)\r\n", "i NO [BADURL ;UID=1] %\r\n"},
        {"j SELECT x/y\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\nj OK %\r\n"}, {"k APPEND INBOX CATENATE (URL y/;UID=2/;PARTIAL=0.2 URL ;UID=2)\r\n", "k OK [APPENDUID % 2] Stored\r\n"});
    CONVERSE(0, {"b NOOP\r\n", "* 2 EXISTS\r\nb OK Done\r\n"}, {"c FETCH 2 RFC822.SIZE\r\n", "* 2 FETCH (RFC822.SIZE %)\r\nc OK Done\r\n"},
        {"d STORE 1 +FLAGS.SILENT (\\Deleted)\r\n", "d OK Done\r\n"}, {"e EXPUNGE\r\n", "* 1 EXPUNGE\r\ne OK Done\r\n"});
    CONVERSE(1, {"l APPEND INBOX CATENATE (URL /INBOX/;UID=1)\r\n", "l NO [BADURL /INBOX/;UID=1] %\r\n"});
}

static void refused(void **state)
{
    (void)state;
    CONVERSE(0, {"a APPEND INBOX CATENATE (URL \"/INBOX/;UID=9\")\r\n", "a NO [BADURL /INBOX/;UID=9] %\r\n"},
        {"b APPEND INBOX CATENATE (URL \"/nowhere/;UID=1\")\r\n", "b NO [BADURL /nowhere/;UID=1] %\r\n"},
        {"c APPEND INBOX CATENATE (URL \"/INBOX;UIDVALIDITY=5/;UID=1\")\r\n", "c NO [BADURL /INBOX;UIDVALIDITY=5/;UID=1] %\r\n"},
        {"d APPEND INBOX CATENATE (URL \"/INBOX/;UID=1/;SECTION=3\")\r\n", "d NO [BADURL /INBOX/;UID=1/;SECTION=3] %\r\n"},
        {"e APPEND INBOX CATENATE (TEXT {3+}\r\nabc URL \"imap://x]y/\" TEXT {5+}\r\nrest!)\r\n", "e NO [BADURL imap://x%5Dy/] %\r\n"},
        {"f APPEND INBOX CATENATE (TEXT {3+}\r\nabc URL nonsense TEXT {5}\r\n", "f NO [BADURL nonsense] %\r\n"}, {"g NOOP\r\n", "g OK Done\r\n"},
        {"h APPEND INBOX CATENATE ()\r\n", "h BAD %\r\n"}, {"i APPEND INBOX CATENATE (TEXT abc)\r\n", "i BAD %\r\n"}, {"j APPEND INBOX CATENATE (PICTURE \"x\")\r\n", "j BAD %\r\n"},
        {"k APPEND INBOX CATENATE (URL /INBOX/;UID=1\r\n", "k BAD %\r\n"}, {"l APPEND INBOX CATENATE (TEXT {0+}\r\n)\r\n", "l NO [CANNOT] %\r\n"},
        {"m APPEND INBOX CATENATE (URL /INBOX/;UID=1/;PARTIAL=140)\r\n", "m NO [CANNOT] %\r\n"}, {"n APPEND nowhere CATENATE (URL /INBOX/;UID=1)\r\n", "n NO [TRYCREATE] %\r\n"},
        {"o APPEND INBOX CATENATE (TEXT {52428801}\r\n", "o NO [TOOBIG] %\r\n"}, {"p APPEND INBOX CATENATE (URL /INBOX/;UID=1 TEXT {52428661}\r\n", "p NO [TOOBIG] %\r\n"},
        {"q APPEND INBOX CATENATE (UTF8 (~{3+}\r\nabc) URL {13+}\r\n/INBOX/;UID=1)\r\n", "* 2 EXISTS\r\nq OK [APPENDUID % 2] Stored\r\n"},
        {"r APPEND INBOX CATENATE (UTF8 (~{3+}\r\nabc)\r\n", "r BAD %\r\n"}, {"s UID SEARCH ALL\r\n", "* SEARCH 1 2\r\ns OK Done\r\n"});
}

/* RFC 8508, section 4.2: the message that is replaced gives its text to the new one. */
static void replace(void **state)
{
    (void)state;
    CONVERSE(0, {"a UID REPLACE 1 INBOX CATENATE (TEXT {6+}\r\nTo: x\n URL \"/INBOX/;UID=1\")\r\n", "* OK [APPENDUID % 2] Stored\r\n* 1 EXPUNGE\r\n* 1 EXISTS\r\na OK Done\r\n"},
        BODY("b", "1", "146", "To: x\n" MAIL), {"c REPLACE 1 INBOX CATENATE (URL \"/INBOX/;UID=1\")\r\n", "c NO [BADURL %] %\r\n"}, {"d UID SEARCH ALL\r\n", "* SEARCH 2\r\nd OK Done\r\n"});
}

static void quota(void **state)
{
    (void)state;
    imap_world_restart();
    client_open(0);
    world_quota_bytes = 350;
    CONVERSE(0, {"s SELECT INBOX\r\n", "%\r\n%\r\n* 1 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n"},
        {"a APPEND Sent CATENATE (URL /INBOX/;UID=1 URL /INBOX/;UID=1)\r\n", "a NO [OVERQUOTA] %\r\n"},
        {"b APPEND Sent CATENATE (URL /INBOX/;UID=1 TEXT {75}\r\n", "b NO [OVERQUOTA] %\r\n"}, {"c APPEND Sent CATENATE (URL /INBOX/;UID=1 TEXT {75+}\r\n"
            "123456789012345678901234567890123456789012345678901234567890123456789012345)\r\nd NOOP\r\n", "c NO [OVERQUOTA] %\r\nd OK Done\r\n"},
        {"e REPLACE 1 INBOX CATENATE (URL /INBOX/;UID=1 URL /INBOX/;UID=1)\r\n", "* OK [APPENDUID % 2] Stored\r\n* 1 EXPUNGE\r\n* 1 EXISTS\r\ne OK Done\r\n"},
        {"f APPEND Sent CATENATE (URL /INBOX/;UID=2/;PARTIAL=0.70)\r\n", "f OK [APPENDUID % 1] Stored\r\n"}, {"g APPEND Sent CATENATE (URL /INBOX/;UID=2/;PARTIAL=0.1)\r\n", "g NO [OVERQUOTA] %\r\n"});
}

/* A large one is copied over many turns; its source may be expunged meanwhile, and the client may go. */
static void large(void **state)
{
    static char body[300000];

    (void)state;
    memset(body, 'x', sizeof body);
    client_say(0, "a APPEND INBOX {300000+}\r\n");
    client_say_bytes(0, str_from(body, sizeof body));
    client_expect(0, "\r\n", "* 2 EXISTS\r\na OK [APPENDUID % 2] Stored\r\n");
    client_open(1);
    client_expect(1, "s SELECT INBOX\r\n", "%\r\n%\r\n* 2 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n");
    world_tick = 2000;
    client_say(0, "b APPEND Sent CATENATE (URL /INBOX/;UID=2 URL /INBOX/;UID=2/;PARTIAL=0.10)\r\n");
    world_turn();
    world_turn();
    client_expect(1, "b STORE 2 +FLAGS.SILENT (\\Deleted)\r\n", "b OK Done\r\n");
    world_tick = 0;
    client_expect(0, "", "* 2 FETCH (FLAGS (\\Deleted))\r\nb OK [APPENDUID % 1] Stored\r\n");
    client_expect(0, "c STATUS Sent (MESSAGES SIZE)\r\n", "* STATUS Sent (MESSAGES 1 SIZE 300010)\r\nc OK Done\r\n");
    world_tick = 2000;
    client_say(0, "d APPEND Sent CATENATE (URL /INBOX/;UID=2 TEXT {5}\r\n");
    world_turn();
    world_turn();
    client_close(0);
    world_tick = 0;
    world_flush();
    client_expect(1, "c STATUS Sent (MESSAGES SIZE)\r\n", "* STATUS Sent (MESSAGES 1 SIZE 300010)\r\nc OK Done\r\n");
    while (boxes_sweep(world_boxes))
        world_flush();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(parts), TEST(from_anywhere), TEST(refused), TEST(replace), TEST(quota), TEST(large)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
