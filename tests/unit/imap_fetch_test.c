/* IMAP: FETCH of everything, in one turn and in many, with a client that reads slowly. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char simple[] = "From: Ann <ann@a.example>\r\nTo: bob@b.example, \"C. D.\" <cd@c.example>\r\nSubject: Hello =?utf-8?q?W=C3=B6rld?=\r\n"
                             "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <1@a.example>\r\n\r\nOne\r\nTwo\r\n";
static const char mixed[] = "From: ann@a.example\r\nSubject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\npreamble\r\n"
                            "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nW=C3=B6rld\r\n"
                            "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n"
                            "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninside\r\n--b--\r\n";

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_fetch_test");
    world_deliver(str_of(simple));
    world_deliver(str_of(mixed));
    world_flush();
    client_open(0);
    client_select(0);
    return 0;
}

static void short_items(void **state)
{
    (void)state;
    CONVERSE(0, {"a FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n", "* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"% +0000\" RFC822.SIZE %)\r\na OK Done\r\n"},
        {"b FETCH 1:2 UID\r\n", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\nb OK Done\r\n"}, {"c UID FETCH 2,1,2 FLAGS\r\n",
            "* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS ())\r\nc OK Done\r\n"},
        {"d FETCH 2 FAST\r\n", "* 2 FETCH (FLAGS () INTERNALDATE \"%\" RFC822.SIZE %)\r\nd OK Done\r\n"},
        {"e FETCH 1 (EMAILID THREADID SAVEDATE)\r\n", "* 1 FETCH (EMAILID (M%) THREADID % SAVEDATE \"%\")\r\ne OK Done\r\n"},
        {"f FETCH 3 FLAGS\r\n", "f BAD %\r\n"}, {"g FETCH 0 FLAGS\r\n", "g BAD %\r\n"}, {"h FETCH 1\r\n", "h BAD %\r\n"}, {"i FETCH 1 ()\r\n", "i BAD %\r\n"},
        {"j FETCH 1 NONSENSE\r\n", "j BAD %\r\n"}, {"k FETCH 1 (FLAGS\r\n", "k BAD %\r\n"}, {"l UID FETCH 77 FLAGS\r\n", "l OK Done\r\n"},
        {"m FETCH *:1 UID\r\n", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\nm OK Done\r\n"}, {"n UID FETCH 90:* UID\r\n", "* 2 FETCH (UID 2)\r\nn OK Done\r\n"},
        {"o FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\n", "o BAD %\r\n"}, {"p UID FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\n", "p BAD %\r\n"});
}

static void envelope_and_structure(void **state)
{
    (void)state;
    CONVERSE(0, {"a FETCH 1 ENVELOPE\r\n",
            "* 1 FETCH (ENVELOPE (\"Mon, 7 Feb 1994 21:52:25 -0800\" \"Hello =?utf-8?q?W=C3=B6rld?=\" ((\"Ann\" NIL \"ann\" \"a.example\")) "
            "((\"Ann\" NIL \"ann\" \"a.example\")) ((\"Ann\" NIL \"ann\" \"a.example\")) ((NIL NIL \"bob\" \"b.example\")(\"C. D.\" NIL \"cd\" \"c.example\")) "
            "NIL NIL NIL \"<1@a.example>\"))\r\na OK Done\r\n"},
        {"b FETCH 1 BODY\r\n", "* 1 FETCH (BODY (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 10 2))\r\nb OK Done\r\n"},
        {"c FETCH 2 (BODYSTRUCTURE FLAGS)\r\n", "* 2 FETCH (BODYSTRUCTURE ((\"%\" \"%\" (\"charset\" \"utf-8\") NIL NIL \"quoted-printable\" 10 0 %)"
            "(\"application\" \"octet-stream\" NIL NIL NIL \"base64\" 8 %)(\"message\" \"rfc822\" %) \"mixed\" (\"boundary\" \"b\") %) FLAGS ())\r\nc OK Done\r\n"},
        {"d FETCH 1 ALL\r\n", "* 1 FETCH (FLAGS () INTERNALDATE % RFC822.SIZE % ENVELOPE (%))\r\nd OK Done\r\n"});
}

static void sections(void **state)
{
    (void)state;
    CONVERSE(0, {"a FETCH 1 BODY.PEEK[TEXT]\r\n", "* 1 FETCH (BODY[TEXT] {10}\r\nOne\r\nTwo\r\n)\r\na OK Done\r\n"},
        {"b FETCH 1 BODY.PEEK[HEADER.FIELDS (subject from)]\r\n",
            "* 1 FETCH (BODY[HEADER.FIELDS (subject from)] {%}\r\nFrom: Ann <ann@a.example>\r\nSubject: %\r\n\r\n)\r\nb OK Done\r\n"},
        {"c FETCH 1 BODY.PEEK[TEXT]<2.4>\r\n", "* 1 FETCH (BODY[TEXT]<2> {4}\r\ne\r\nT)\r\nc OK Done\r\n"},
        {"d FETCH 1 BODY.PEEK[TEXT]<99.4>\r\n", "* 1 FETCH (BODY[TEXT]<99> {0}\r\n)\r\nd OK Done\r\n"},
        {"e FETCH 2 (BODY.PEEK[1] BODY.PEEK[2] BODY.PEEK[3.HEADER] BODY.PEEK[3.TEXT] BODY.PEEK[1.MIME])\r\n",
            "* 2 FETCH (BODY[1] {10}\r\nW=C3=B6rld BODY[2] {8}\r\nAAECAw== BODY[3.HEADER] {18}\r\nSubject: inner\r\n\r\n BODY[3.TEXT] {6}\r\ninside"
            " BODY[1.MIME] {%}\r\nContent-Type: %\r\nContent-Transfer-Encoding: %\r\n\r\n)\r\ne OK Done\r\n"},
        {"f FETCH 2 (BINARY.PEEK[1] BINARY.SIZE[2])\r\n", "* 2 FETCH (BINARY[1] ~{6}\r\nW\xc3\xb6rld BINARY.SIZE[2] 4)\r\nf OK Done\r\n"},
        {"g FETCH 2 BODY.PEEK[9]\r\n", "* 2 FETCH (BODY[9] NIL)\r\ng OK Done\r\n"}, {"h FETCH 2 BODY.PEEK[1\r\n", "h BAD %\r\n"},
        {"i FETCH 2 FLAGS\r\n", "* 2 FETCH (FLAGS ())\r\ni OK Done\r\n"}, {"j FETCH 1 (RFC822.HEADER)\r\n", "* 1 FETCH (RFC822.HEADER {%}\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n\r\n)\r\nj OK Done\r\n"},
        {"k FETCH 1 FLAGS\r\n", "* 1 FETCH (FLAGS ())\r\nk OK Done\r\n"},
        {"l FETCH 1 RFC822.TEXT\r\n", "* 1 FETCH (RFC822.TEXT {10}\r\nOne\r\nTwo\r\n)\r\n* 1 FETCH (FLAGS (\\Seen))\r\nl OK Done\r\n"},
        {"m FETCH 1:2 BODY[TEXT]<0.1>\r\n", "* 1 FETCH (BODY[TEXT]<0> {1}\r\nO)\r\n* 2 FETCH (BODY[TEXT]<0> {1}\r\np)\r\n* 2 FETCH (FLAGS (\\Seen))\r\nm OK Done\r\n"},
        {"n UID STORE 2 -FLAGS.SILENT (\\Seen)\r\n", "n OK Done\r\n"},
        {"o UID FETCH 2 BODY[TEXT]<0.1>\r\n", "* 2 FETCH (UID 2 BODY[TEXT]<0> {1}\r\np)\r\n* 2 FETCH (UID 2 FLAGS (\\Seen))\r\no OK Done\r\n"});
}

/* Another one removes what this one asks for: its numbers stay, until a command that may tell. */
static void messages_that_are_gone(void **state)
{
    (void)state;
    client_open(1);
    CONVERSE(1, SELECT_INBOX, {"a STORE 1 +FLAGS.SILENT (\\Deleted)\r\n", "a OK Done\r\n"}, {"b EXPUNGE\r\n", "* 1 EXPUNGE\r\nb OK Done\r\n"});
    CONVERSE(0, {"a FETCH 1:2 UID\r\n", "* 2 FETCH (UID 2)\r\na OK [EXPUNGEISSUED] Done\r\n"}, {"b STORE 1:2 +FLAGS (\\Seen)\r\n", "* 2 FETCH (FLAGS (\\Seen))\r\nb OK [EXPUNGEISSUED] Done\r\n"},
        {"c SEARCH ALL\r\n", "* SEARCH 2\r\nc OK [EXPUNGEISSUED] Done\r\n"}, {"d FETCH 3 UID\r\n", "d BAD %\r\n"}, {"e COPY 1 Sent\r\n", "* 1 EXPUNGE\r\ne OK Done\r\n"},
        {"f FETCH 1 UID\r\n", "* 1 FETCH (UID 2)\r\nf OK Done\r\n"});
}

/* RFC 7162, section 6: what it was told is not all there is. */
static void where_a_client_stands_while_expunges_wait(void **state)
{
    (void)state;
    client_open(1);
    CONVERSE(1, {"e ENABLE QRESYNC\r\n", "%\r\ne OK Enabled\r\n"}, SELECT_INBOX);
    CONVERSE(0, {"a STORE 1 +FLAGS.SILENT (\\Deleted)\r\n", "a OK Done\r\n"}, {"b EXPUNGE\r\n", "* 1 EXPUNGE\r\nb OK Done\r\n"});
    CONVERSE(1, {"a STORE 2 +FLAGS.SILENT (\\Seen)\r\n", "* 2 FETCH (UID 2 MODSEQ (%))\r\n* OK [HIGHESTMODSEQ %] %\r\na OK [EXPUNGEISSUED] Done\r\n"},
        {"b NOOP\r\n", "* VANISHED 1\r\nb OK Done\r\n"}, {"c STORE 1 +FLAGS.SILENT (\\Flagged)\r\n", "* 1 FETCH (UID 2 MODSEQ (%))\r\nc OK Done\r\n"},
        {"d UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\n", "* VANISHED (EARLIER) 1\r\n* 1 FETCH (UID 2 MODSEQ (%) FLAGS (\\Seen \\Flagged))\r\nd OK Done\r\n"});
}

static void a_big_message_to_a_slow_client(void **state)
{
    static char body[1000000];
    size_t got = 0;

    (void)state;
    memset(body, 'x', sizeof body);
    memcpy(body, "A: b\r\n\r\n", 8);
    client_say(0, "a APPEND INBOX {1000000+}\r\n");
    client_say_bytes(0, str_from(body, sizeof body));
    client_expect(0, "\r\n", "* 3 EXISTS\r\na OK [APPENDUID % 3] Stored\r\n");
    imap_clients[0].stingy = true;
    client_say(0, "b FETCH 3 BODY.PEEK[]\r\nc NOOP\r\n");
    world_run();
    assert_int_equal(imap_clients[0].got.n, SESSION_OUTPUT_WINDOW);
    for (int i = 0; i < 2000 && imap_clients[0].unpaid > 0; i++) {
        client_pay(0, 1000);
        world_run();
    }
    got = imap_clients[0].got.n;
    assert_true(got > 1000000 && got < 1000200);
    assert_true(str_ends(buf_str(&imap_clients[0].got), STR("xx)\r\nb OK Done\r\nc OK Done\r\n")));
    (void)client_got(0);
    imap_clients[0].stingy = false;
}

/* IDLE with more to tell than fits waits for the client without turning in circles. */
static void idle_and_a_slow_client(void **state)
{
    char line[100];

    (void)state;
    client_open(1);
    for (int i = 0; i < 40; i++) {
        snprintf(line, sizeof line, "a STORE 1 +FLAGS.SILENT (a-rather-long-keyword-of-many-characters-%d)\r\n", i);
        client_expect(0, line, "%\r\n%\r\na OK Done\r\n");
    }
    client_expect(0, "b UID COPY 1 INBOX\r\n", "* 3 EXISTS\r\nb OK %\r\n");
    for (int i = 0; i < 6; i++) {
        client_say(0, "c COPY 1:* INBOX\r\n");
        world_flush();
    }
    (void)client_got(0);
    client_say(1, "s SELECT INBOX\r\ni IDLE\r\n");
    world_flush();
    (void)client_got(1);
    imap_clients[1].stingy = true;
    for (int i = 0; i < 60; i++) {
        snprintf(line, sizeof line, "a STORE 1:* %cFLAGS.SILENT (\\Answered)\r\n", i % 2 ? '-' : '+');
        client_say(0, line);
        world_flush();
    }
    (void)client_got(0);
    for (int i = 0; i < 200; i++) {
        client_pay(1, 100000);
        world_flush();
    }
    client_say(1, "DONE\r\n");
    world_flush();
    assert_true(str_ends(client_got(1), STR("i OK Idle is over\r\n")));
}

static void in_many_turns(void **state)
{
    struct str got;
    static struct buf whole;

    (void)state;
    buf_init(&whole, 1 << 20);
    client_say(0, "a FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[1] BINARY.PEEK[2])\r\n");
    world_flush();
    buf_add(&whole, client_got(0));
    world_tick = 2000;
    client_say(0, "a FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[1] BINARY.PEEK[2])\r\n");
    world_flush();
    got = client_got(0);
    assert_true(str_eq(buf_str(&whole), got));
    world_tick = WORLD_TICK;
    buf_clear(&whole);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(short_items),
        TEST(envelope_and_structure),
        TEST(sections),
        TEST(messages_that_are_gone),
        TEST(where_a_client_stands_while_expunges_wait),
        TEST(a_big_message_to_a_slow_client),
        TEST(idle_and_a_slow_client),
        TEST(in_many_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
