/* IMAP: what no mail program sends: literals while idling, commands that ask for the same thing thousands of times, names and keywords
 * without end. The session goes on, and nobody waits long for it. */
#include "imap_world.h"
#include "roles/mailbox/store_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* There memory is set out otherwise, and much slower. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
enum { MANY = 1 << 12 };
#else
enum { MANY = 1 << 17 };
#endif

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_hostile_test");
    world_fill(2);
    client_open(0);
    CONVERSE(0, SELECT_INBOX);
    return 0;
}

static void say_many(unsigned c, const char *begin, const char *piece, unsigned n, const char *end)
{
    struct buf text;

    buf_init(&text, 1 << 20);
    buf_add(&text, str_of(begin));
    for (unsigned i = 0; i < n; i++)
        buf_add(&text, str_of(piece));
    buf_add(&text, str_of(end));
    client_say_bytes(c, buf_str(&text));
    buf_clear(&text);
}

static void literals_while_idling(void **state)
{
    (void)state;
    CONVERSE(0, {"a IDLE\r\n", "+ idling\r\n"}, {"b APPEND INBOX {3+}\r\nabc\r\nc NOOP\r\n", "a BAD DONE expected\r\nc OK Done\r\n"},
        {"d IDLE\r\n", "+ idling\r\n"}, {"e APPEND INBOX {3}\r\n", "d BAD DONE expected\r\n"}, {"f NOOP\r\n", "f OK Done\r\n"},
        {"g IDLE\r\n", "+ idling\r\n"}, {"DONE {4+}\r\nDONE\r\nh NOOP\r\n", "g BAD DONE expected\r\nh OK Done\r\n"},
        {"i IDLE\r\n", "+ idling\r\n"});
    say_many(0, "j ", "x", 70000, "\r\nk NOOP\r\n");
    client_expect(0, "", "i BAD DONE expected\r\nk OK Done\r\n");
    client_expect(0, "l STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 2)\r\nl OK Done\r\n");
}

/* Turns until there is an answer to what was said. */
static unsigned turns(unsigned c, const char *tag)
{
    unsigned n = 0;
    struct buf got;

    buf_init(&got, 1 << 20);
    world_tick = 2000;
    while (++n < 100000 && str_ifind(buf_str(&got), str_of(tag)) < 0) {
        world_turn();
        buf_add(&got, client_got(c));
    }
    world_tick = 0;
    buf_clear(&got);
    return n;
}

static void many_items_take_many_turns(void **state)
{
    (void)state;
    say_many(0, "a FETCH 1 (UID", " BODY.PEEK[HEADER.FIELDS (SUBJECT)]", 100, ")\r\n");
    assert_true(turns(0, "a OK") > 20);
    say_many(0, "b FETCH 1:2 (UID", " ENVELOPE", 100, ")\r\n");
    assert_true(turns(0, "b OK") > 20);
    client_expect(0, "c FETCH 1 (UID ENVELOPE BODY.PEEK[HEADER.FIELDS (X Subject Y)])\r\n",
        "* 1 FETCH (UID 1 ENVELOPE (%) BODY[HEADER.FIELDS (X Subject Y)] {%}\r\nSubject: m1\r\n\r\n)\r\nc OK Done\r\n");
}

static void many_names_of_fields(void **state)
{
    (void)state;
    say_many(0, "a FETCH 1 BODY.PEEK[HEADER.FIELDS (subject", " x", 2000, ")]\r\n");
    client_expect(0, "", "a BAD %\r\n");
    say_many(0, "b FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (from to date", " x", 500, ")]\r\n");
    client_expect(0, "", "* 1 FETCH (BODY[HEADER.FIELDS.NOT (%)] {%}\r\nReturn-Path: %\r\nDelivered-To: %\r\nSubject: m1\r\n\r\n)\r\nb OK Done\r\n");
}

static void searches_without_end(void **state)
{
    (void)state;
    say_many(0, "a SEARCH", " NOT TEXT q", 1000, "\r\n");
    client_expect(0, "", "* SEARCH 1 2\r\na OK Done\r\n");
    say_many(0, "b SEARCH", " NOT SUBJECT q", 4000, "\r\n");
    client_expect(0, "", "* SEARCH 1 2\r\nb OK Done\r\n");
    say_many(0, "c SEARCH", " UNKEYWORD q", 5000, "\r\n");
    client_expect(0, "", "c NO [LIMIT] %\r\n");
    say_many(0, "d SEARCH", " NOT TEXT q", 60, "\r\n");
    client_expect(0, "", "* SEARCH 1 2\r\nd OK Done\r\n");
    say_many(0, "e SORT (REVERSE ARRIVAL", " SUBJECT", 5000, ") UTF-8 ALL\r\n");
    client_expect(0, "", "* SORT 2 1\r\ne OK Done\r\n");
}

static void literals_for_names(void **state)
{
    (void)state;
    CONVERSE(0, {"a APPEND {300000}\r\n", "a BAD [TOOBIG] %\r\n"}, {"b NOOP\r\n", "b OK Done\r\n"},
        {"c APPEND INBOX CATENATE (URL {9000000000}\r\n", "c BAD [TOOBIG] %\r\n"}, {"d NOOP\r\n", "d OK Done\r\n"});
}

static void empty_annotations(void **state)
{
    (void)state;
    CONVERSE(0, {"a SETMETADATA INBOX (/private/comment \"\")\r\n", "a OK Done\r\n"},
        {"b GETMETADATA INBOX /private/comment\r\n", "* METADATA INBOX (/private/comment \"\")\r\nb OK Done\r\n"},
        {"c SETMETADATA INBOX (/private/comment NIL)\r\n", "c OK Done\r\n"},
        {"d GETMETADATA INBOX /private/comment\r\n", "* METADATA INBOX (/private/comment NIL)\r\nd OK Done\r\n"});
}

/* Whoever may set flags in a mailbox could make its FLAGS longer than a session may say: nobody could select it any more. */
static void keywords_without_end(void **state)
{
    char k[300];
    char say[400];

    (void)state;
    memset(k, 'k', sizeof k);
    snprintf(say, sizeof say, "a STORE 1 +FLAGS.SILENT (%.200s)\r\n", k);
    client_expect(0, say, "* FLAGS (%)\r\n%\r\na OK Done\r\n");
    snprintf(say, sizeof say, "b STORE 1 +FLAGS.SILENT (%.201s)\r\n", k);
    client_expect(0, say, "b BAD A keyword %\r\n");
    snprintf(say, sizeof say, "c APPEND INBOX (x %.201s) {3+}\r\nabc\r\n", k);
    client_expect(0, say, "c BAD A keyword %\r\n");
    CONVERSE(0, {"d STORE 1 +FLAGS (f\xc3\xbcr)\r\n", "d BAD A keyword %\r\n"}, {"e STORE 1 +FLAGS f\xff\r\n", "e BAD A keyword %\r\n"},
        {"f NOOP\r\n", "f OK Done\r\n"});
    say_many(0, "g STORE 1 +FLAGS.SILENT (", "k ", 500, "\\Seen)\r\n");
    client_expect(0, "", "* FLAGS (%)\r\n%\r\ng OK Done\r\n");
    say_many(0, "h STORE 1 +FLAGS.SILENT (", "k ", 501, "\\Seen)\r\n");
    client_expect(0, "", "h BAD So many keywords %\r\n");
}

/* They are beside the quota, and LIST has them all in its hands. */
static void subscriptions_without_end(void **state)
{
    struct box *box = world_box();
    struct err err = {0};
    char name[20];

    (void)state;
    assert_true(box_begin(box, &err));
    for (int i = 0; i < STORE_SUBSCRIPTIONS_MAX; i++) {
        snprintf(name, sizeof name, "n%d", i);
        assert_true(store_subscribe(box->store, str_of(name), true, &err));
    }
    box_touch(box);
    world_flush();
    CONVERSE(0, {"a SUBSCRIBE x\r\n", "a NO [LIMIT] %\r\n"}, {"b UNSUBSCRIBE n1\r\n", "b OK Done\r\n"}, {"c UNSUBSCRIBE n2\r\n", "c OK Done\r\n"});
    while (boxes_sweep(world_boxes))
        world_flush();
}

/* A mailbox with two thousand keywords and many messages that have the last: the flags of each are told whole. */
static void many_keywords_on_many_messages(void **state)
{
    struct buf text;
    struct str got;
    char last[100];

    (void)state;
    buf_init(&text, 1 << 20);
    for (unsigned first = 0; first < 2000; first += 500) {
        buf_reset(&text);
        buf_addf(&text, "k%u STORE 1 FLAGS.SILENT (", first);
        for (unsigned i = first; i < first + 500; i++)
            buf_addf(&text, "%skeyword%u", i > first ? " " : "", i);
        buf_addf(&text, ")\r\n");
        client_say_bytes(0, buf_str(&text));
        world_flush();
        (void)client_got(0);
    }
    buf_clear(&text);
    client_say(0, "a STORE 1:2 FLAGS.SILENT (keyword1999)\r\n");
    for (unsigned n = 2; n < MANY; n *= 2) {
        client_say(0, "b COPY 1:* INBOX\r\n");
        world_flush();
        (void)client_got(0);
    }
    client_say(0, "c FETCH 1:* (FLAGS)\r\n");
    world_flush();
    got = client_got(0);
    snprintf(last, sizeof last, "* %d FETCH (FLAGS (keyword1999))\r\nc OK Done\r\n", MANY);
    assert_true(str_ends(got, str_of(last)));
    assert_true(str_ifind(got, STR("FLAGS ())")) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(literals_while_idling),
        TEST(many_items_take_many_turns),
        TEST(many_names_of_fields),
        TEST(searches_without_end),
        TEST(literals_for_names),
        TEST(empty_annotations),
        TEST(keywords_without_end),
        TEST(subscriptions_without_end),
        TEST(many_keywords_on_many_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
