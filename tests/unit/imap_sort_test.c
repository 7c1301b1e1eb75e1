/* IMAP: SORT, THREAD, ESORT, PREVIEW, THREADID, I18NLEVEL=1, WITHIN. */
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
    imap_world_open("imap_sort_test");
    client_open(0);
    return 0;
}

static void quietly(unsigned c, const char *say)
{
    client_say(c, say);
    world_flush();
    (void)client_got(c);
}

static void put(const char *text)
{
    world_deliver(str_of(text));
    world_flush();
}

/* Sent in the order 3, 1, 4, 2; the sixth has no header worth the name. */
static void fill(void)
{
    put("From: Walter <walter@x.example>\r\nTo: b@x.example\r\nDate: Mon, 2 Jan 2023 10:00:00 +0000\r\n"
        "Subject: Re: [list] Apples\r\nMessage-ID: <2@x>\r\nReferences: <1@x>\r\n\r\nOne.\r\n");
    put("From: anna@x.example\r\nTo: =?utf-8?q?=C3=A9mil?= <z@x.example>, a@x.example\r\nCc: c@x.example\r\n"
        "Date: Wed, 4 Jan 2023 10:00:00 +0000\r\nSubject: pears\r\nMessage-ID: <4@x>\r\n\r\nTwo, which is longer.\r\n");
    put("From: \"_under\" <a_b@x.example>\r\nTo: A@x.example\r\nDate: Sun, 1 Jan 2023 23:00:00 -0800\r\n"
        "Subject: apples\r\nMessage-ID: <\"1\"@x>\r\n\r\nThree.\r\n");
    put("From: zoe@x.example\r\nDate: Tue, 3 Jan 2023 10:00:00 +0000\r\nSubject: RE: Re: apples (fwd)\r\nMessage-ID: <3@x>\r\n"
        "In-Reply-To: <2@x> <4@x>\r\nCc: B@x.example\r\n\r\nFour, in quite a few words more than the others.\r\n");
    quietly(0, "a SELECT INBOX\r\n");
}

static void criteria(void **state)
{
    (void)state;
    fill();
    CONVERSE(0, {"a SORT (ARRIVAL) UTF-8 ALL\r\n", "* SORT 1 2 3 4\r\na OK Done\r\n"},
        {"b SORT (DATE) UTF-8 ALL\r\n", "* SORT 3 1 4 2\r\nb OK Done\r\n"},
        {"c SORT (REVERSE DATE) US-ASCII ALL\r\n", "* SORT 2 4 1 3\r\nc OK Done\r\n"},
        {"d SORT (SUBJECT) UTF-8 ALL\r\n", "* SORT 1 3 4 2\r\nd OK Done\r\n"},
        {"e SORT (REVERSE SUBJECT REVERSE DATE) UTF-8 ALL\r\n", "* SORT 2 4 1 3\r\ne OK Done\r\n"},
        {"f SORT (REVERSE SUBJECT) UTF-8 ALL\r\n", "* SORT 2 1 3 4\r\nf OK Done\r\n"},
        {"g SORT (FROM) UTF-8 ALL\r\n", "* SORT 2 3 1 4\r\ng OK Done\r\n"},
        {"h SORT (TO) UTF-8 ALL\r\n", "* SORT 4 3 1 2\r\nh OK Done\r\n"},
        {"i SORT (CC) UTF-8 ALL\r\n", "* SORT 1 3 4 2\r\ni OK Done\r\n"},
        {"j SORT (SIZE) UTF-8 2:3\r\n", "* SORT 3 2\r\nj OK Done\r\n"},
        {"k SORT (DISPLAYFROM) UTF-8 ALL\r\n", "* SORT 2 1 4 3\r\nk OK Done\r\n"}, /* '_' stands behind the letters */
        {"l SORT (DISPLAYTO) UTF-8 ALL\r\n", "* SORT 4 3 1 2\r\nl OK Done\r\n"},
        {"m UID SORT (DATE) UTF-8 SUBJECT apples\r\n", "* SORT 3 1 4\r\nm OK Done\r\n"},
        {"n SORT (DATE) UTF-8 SUBJECT nothing\r\n", "* SORT\r\nn OK Done\r\n"},
        {"o SORT (COLOUR) UTF-8 ALL\r\n", "o BAD %\r\n"}, {"p SORT (DATE) KLINGON ALL\r\n", "p NO [BADCHARSET%\r\n"},
        {"q SORT () UTF-8 ALL\r\n", "q BAD %\r\n"}, {"r SORT (DATE) ALL\r\n", "r %\r\n"},
        {"s SORT (DATE) UTF-8 MODSEQ 1\r\n", "* OK [HIGHESTMODSEQ %] Changes\r\n* SORT 3 1 4 2 (MODSEQ %)\r\ns OK Done\r\n"});
}

static void returns(void **state)
{
    (void)state;
    fill();
    CONVERSE(0, {"a SORT RETURN () (DATE) UTF-8 ALL\r\n", "* ESEARCH (TAG \"a\") ALL 3,1,4,2\r\na OK Done\r\n"},
        {"b UID SORT RETURN (MIN MAX COUNT) (DATE) UTF-8 ALL\r\n", "* ESEARCH (TAG \"b\") UID MIN 3 MAX 2 COUNT 4\r\nb OK Done\r\n"},
        {"c SORT RETURN (ALL) (ARRIVAL) UTF-8 ALL\r\n", "* ESEARCH (TAG \"c\") ALL 1:4\r\nc OK Done\r\n"},
        {"d SORT RETURN (ALL COUNT) (DATE) UTF-8 SUBJECT nothing\r\n", "* ESEARCH (TAG \"d\") COUNT 0\r\nd OK Done\r\n"},
        {"e SORT RETURN (SAVE) (DATE) UTF-8 SUBJECT apples\r\n", "e OK Done\r\n"},
        {"f SEARCH $\r\n", "* SEARCH 1 3 4\r\nf OK Done\r\n"},
        {"g SEARCH RETURN (SAVE MIN) ALL\r\n", "* ESEARCH (TAG \"g\") MIN 1\r\ng OK Done\r\n"},
        {"h SEARCH $\r\n", "* SEARCH 1\r\nh OK Done\r\n"});
}

static void threads(void **state)
{
    (void)state;
    fill();
    CONVERSE(0, {"a THREAD REFERENCES UTF-8 ALL\r\n", "* THREAD (3 1 4)(2)\r\na OK Done\r\n"},
        {"b UID THREAD REFERENCES UTF-8 ALL\r\n", "* THREAD (3 1 4)(2)\r\nb OK Done\r\n"},
        {"c THREAD ORDEREDSUBJECT UTF-8 ALL\r\n", "* THREAD (3 (1)(4))(2)\r\nc OK Done\r\n"},
        {"d THREAD REFERENCES UTF-8 SUBJECT nothing\r\n", "* THREAD\r\nd OK Done\r\n"},
        {"e THREAD REFERENCES UTF-8 NOT 3\r\n", "* THREAD (1 4)(2)\r\ne OK Done\r\n"},
        {"f THREAD REFERENCES UTF-8 NOT 1\r\n", "* THREAD (3 4)(2)\r\nf OK Done\r\n"},
        {"g THREAD JWZ UTF-8 ALL\r\n", "g BAD %\r\n"});
}

/* What another client expunged is neither sorted nor threaded any more, and not told during SORT. */
static void messages_that_are_gone(void **state)
{
    (void)state;
    fill();
    client_open(1);
    quietly(1, "a SELECT INBOX\r\n");
    CONVERSE(1, {"b STORE 1 +FLAGS.SILENT (\\Deleted)\r\n", "b OK Done\r\n"},
        {"c EXPUNGE\r\n", "* 1 EXPUNGE\r\nc OK Done\r\n"});
    CONVERSE(0, {"a SORT (DATE) UTF-8 ALL\r\n", "* SORT 3 4 2\r\na OK [EXPUNGEISSUED] Done\r\n"},
        {"b SORT (DATE) UTF-8 NOT SUBJECT nothing\r\n", "* SORT 3 4 2\r\nb OK [EXPUNGEISSUED] Done\r\n"},
        {"c SEARCH ALL\r\n", "* SEARCH 2 3 4\r\nc OK [EXPUNGEISSUED] Done\r\n"},
        {"d UID SORT (DATE) UTF-8 ALL\r\n", "* SORT 3 4 2\r\n* 1 EXPUNGE\r\nd OK Done\r\n"});
}

/* With turns as short as they can be nothing is left out and nothing twice. */
static void many_turns(void **state)
{
    struct buf expected;

    (void)state;
    world_fill(300);
    quietly(0, "a SELECT INBOX\r\n");
    buf_init(&expected, 100000);
    buf_add(&expected, STR("* SORT"));
    for (int i = 300; i > 0; i--)
        buf_addf(&expected, " %d", i);
    buf_add(&expected, STR("\r\nb OK Done\r\n* SORT"));
    for (int i = 300; i > 0; i--)
        if (i % 40 == 0)
            buf_addf(&expected, " %d", i);
    buf_add(&expected, STR("\r\nc OK Done\r\n"));
    buf_add_char(&expected, 0);
    for (int slow = 0; slow < 2; slow++) {
        world_tick = slow ? 2000 : WORLD_TICK;
        client_expect(0, "b SORT (REVERSE ARRIVAL REVERSE DATE) UTF-8 ALL\r\nc SORT (REVERSE ARRIVAL) UTF-8 40,80,120,160,200,240,280\r\n",
            expected.p);
    }
    world_tick = WORLD_TICK;
    buf_clear(&expected);
}

static void previews(void **state)
{
    (void)state;
    put("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        "Caf=C3=A9  and\r\n\r\n\tcake.\r\n");
    put("Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n \r\n--b\r\n"
        "Content-Type: text/html\r\n\r\n<style>p{}</style><p>Hello &amp; <b>goodbye</b></p>\r\n--b--\r\n");
    put("Content-Type: image/png\r\n\r\nnot text\r\n");
    put("Subject: long\r\n\r\n123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "
        "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 and on\r\n");
    quietly(0, "a SELECT INBOX\r\n");
    CONVERSE(0, {"b FETCH 1:2 PREVIEW (LAZY)\r\n", "* 1 FETCH (PREVIEW NIL)\r\n* 2 FETCH (PREVIEW NIL)\r\nb OK Done\r\n"},
        {"c FETCH 1:3 (PREVIEW)\r\n", "* 1 FETCH (PREVIEW {15}\r\nCaf\xc3\xa9 and cake.)\r\n* 2 FETCH (PREVIEW \"Hello & goodbye\")\r\n"
            "* 3 FETCH (PREVIEW \"\")\r\nc OK Done\r\n"},
        {"d FETCH 2:3 (PREVIEW (LAZY) UID)\r\n", "* 2 FETCH (PREVIEW \"Hello & goodbye\" UID 2)\r\n"
            "* 3 FETCH (PREVIEW \"\" UID 3)\r\nd OK Done\r\n"},
        {"e FETCH 4 PREVIEW\r\n", "* 4 FETCH (PREVIEW \"123456789 123456789 123456789 123456789 123456789 123456789 123456789 "
            "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "
            "123456789 123456789\")\r\ne OK Done\r\n"},
        {"f FETCH 1 FLAGS\r\n", "* 1 FETCH (FLAGS ())\r\nf OK Done\r\n"});
}

static struct str thread_id(const char *say, char *out)
{
    struct str got, rest;
    ptrdiff_t at;

    client_say(0, say);
    world_flush();
    got = client_got(0);
    at = str_find(got, 'T');
    rest = str_skip(got, (size_t)at);
    while ((at = str_find(rest, '(')) >= 0)
        rest = str_skip(rest, (size_t)at + 1);
    at = str_find(rest, ')');
    assert_true(at > 0);
    memcpy(out, rest.p, (size_t)at);
    return str_from(out, (size_t)at);
}

static void thread_ids(void **state)
{
    char first[64], second[64], other[64], say[100];
    struct str id;

    (void)state;
    fill();
    put("Subject: none\r\n\r\n\r\n");
    quietly(0, "n NOOP\r\n");
    id = thread_id("a FETCH 1 THREADID\r\n", first);
    assert_true(id.n == 17);
    assert_true(str_eq(id, thread_id("b FETCH 3 THREADID\r\n", second))); /* also when the id is quoted in one of them */
    assert_false(str_eq(id, thread_id("c FETCH 2 THREADID\r\n", other)));
    snprintf(say, sizeof say, "d SEARCH THREADID %.*s\r\n", STR_ARG(id));
    CONVERSE(0, {say, "* SEARCH 1 3\r\nd OK Done\r\n"}, {"e FETCH 5 (THREADID)\r\n", "* 5 FETCH (THREADID NIL)\r\ne OK Done\r\n"},
        {"f SEARCH THREADID T0\r\n", "* SEARCH\r\nf OK Done\r\n"});
}

static void within(void **state)
{
    (void)state;
    fill();
    CONVERSE(0, {"a SEARCH YOUNGER 3600\r\n", "* SEARCH 1 2 3 4\r\na OK Done\r\n"}, {"b SEARCH OLDER 3600\r\n", "* SEARCH\r\nb OK Done\r\n"},
        {"c SEARCH YOUNGER 0\r\n", "c BAD %\r\n"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(criteria, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(returns, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(threads, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(messages_that_are_gone, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(many_turns, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(previews, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(thread_ids, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(within, setup, imap_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
