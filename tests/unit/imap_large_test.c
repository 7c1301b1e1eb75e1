/* IMAP: work on one large message takes many turns, and others have theirs between: SEARCH of texts, SORT after one, BINARY and
 * BINARY.SIZE. Nothing is found twice, or missed where two pieces meet. */
#include "base/encode.h"
#include "imap_world.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_SIZE = 1500000, MANY_TURNS = 20 };

static struct buf text; /* what the message says, before encoding */

/* Words that are nowhere twice, some of them beyond ASCII, in lines. */
static void make_text(void)
{
    buf_init(&text, 4 * TEXT_SIZE);
    for (unsigned i = 0; text.n < TEXT_SIZE; i++)
        buf_addf(&text, "w%07u%s%s", i, i % 5 == 0 ? "ÄÖÜß" : "", i % 12 == 11 ? "\r\n" : " ");
}

static void make_message(struct buf *out)
{
    buf_init(out, 4 * TEXT_SIZE);
    buf_add(out, STR("Subject: large\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"));
    for (size_t at = 0; at < text.n; at += 57) {
        base64_encode(out, str_sub(buf_str(&text), at, at + 57 < text.n ? at + 57 : text.n));
        buf_add(out, STR("\r\n"));
    }
    buf_add(out, STR("--b\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<p>and <b>f\xfcr</b> the end</p>\r\n--b--\r\n"));
}

static void append(struct str message)
{
    struct buf command;

    buf_init(&command, 4 * TEXT_SIZE);
    buf_addf(&command, "a APPEND INBOX {%zu+}\r\n%.*s\r\n", message.n, STR_ARG(message));
    client_say_bytes(0, buf_str(&command));
    world_flush();
    assert_true(text_matches(STR("a OK %\r\n"), client_got(0)));
    buf_clear(&command);
}

static int setup(void **state)
{
    struct buf message;

    (void)state;
    imap_world_open("imap_large_test");
    make_text();
    make_message(&message);
    world_fill(1);
    client_open(0);
    client_open(1);
    append(buf_str(&message));
    buf_clear(&message);
    client_select(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_clear(&text);
    return imap_world_close();
}

static bool has_answered(unsigned c)
{
    const struct buf *got = &imap_clients[c].got;

    return memmem(got->p, got->n, "OK Done", 7) != NULL;
}

/* How many turns it takes; each of them answers another client. */
static unsigned turns_of(const char *command)
{
    unsigned turns = 0;

    world_tick = 2000;
    client_say(0, command);
    while (!has_answered(0)) {
        assert_true(turns < 100000);
        if (turns++ < 100) {
            client_say(1, "n NOOP\r\n");
            world_turn();
            assert_true(has_answered(1));
            (void)client_got(1);
        } else {
            world_turn();
        }
    }
    world_tick = WORLD_TICK;
    return turns;
}

static const struct {
    const char *command, *answer;
    bool at_once;
} commands[] = {
    {"a SEARCH BODY \"nowhere\"\r\n", "* SEARCH\r\na OK Done\r\n", false},
    {"a SEARCH TEXT \"THE END\"\r\n", "* SEARCH 2\r\na OK Done\r\n", false},
    {"a SEARCH BODY {4+}\r\nF\xc3\x9cR\r\n", "* SEARCH 2\r\na OK Done\r\n", false},
    {"a SEARCH BODY w0000003\r\n", "* SEARCH 2\r\na OK Done\r\n", true},
    {"a SEARCH SUBJECT m1 BODY nowhere\r\n", "* SEARCH\r\na OK Done\r\n", true},
    {"a SEARCH NOT BODY nowhere NOT TEXT nothing\r\n", "* SEARCH 1 2\r\na OK Done\r\n", false},
    {"a SEARCH OR BODY \"text of 1\" OR BODY w0000003 BODY \"the end\"\r\n", "* SEARCH 1 2\r\na OK Done\r\n", false},
    {"a SORT (REVERSE ARRIVAL) UTF-8 NOT BODY nowhere\r\n", "* SORT 2 1\r\na OK Done\r\n", false},
    {"a THREAD REFERENCES UTF-8 BODY \"the end\"\r\n", "* THREAD (2)\r\na OK Done\r\n", false},
    {"a FETCH 2 BINARY.SIZE[1]\r\n", "* 2 FETCH (BINARY.SIZE[1] 1500010)\r\na OK Done\r\n", false},
    {"a FETCH 2 (BINARY.PEEK[1]<16.9> BINARY.SIZE[2])\r\n", "* 2 FETCH (BINARY[1]<16> ~{9}\r\n w0000001 BINARY.SIZE[2] 29)\r\na OK Done\r\n", false},
    {"a FETCH 2 BINARY.PEEK[1]<9999999.1>\r\n", "* 2 FETCH (BINARY[1]<9999999> ~{0}\r\n)\r\na OK Done\r\n", false},
};

static void takes_turns(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        unsigned turns = turns_of(commands[i].command);
        struct str got = client_got(0);

        if (!text_matches(str_of(commands[i].answer), got))
            fail_msg("%s%.*s", commands[i].command, STR_ARG(got));
        if (commands[i].at_once ? turns > MANY_TURNS : turns < MANY_TURNS)
            fail_msg("%s: %u turns", commands[i].command, turns);
    }
}

/* Texts of every length, around the places where one piece ends and the next begins, wherever those are. */
static void is_found_everywhere(void **state)
{
    static const size_t lengths[] = {1, 2, 9, 40, 300};

    (void)state;
    for (size_t i = 0; i < 150; i++) {
        size_t n = lengths[i % 5], at = i < 100 ? i * 24576 / 2 % (TEXT_SIZE / 2) + i : i * 9973;
        struct str line = str_sub(buf_str(&text), at, at + n);
        struct buf command;

        buf_init(&command, 4096);
        buf_addf(&command, "a UID SEARCH CHARSET UTF-8 2 BODY {%zu+}\r\n%.*s\r\n", n, STR_ARG(line));
        client_say_bytes(0, buf_str(&command));
        world_flush();
        if (str_is_utf8(line) && !text_matches(STR("* SEARCH 2\r\na OK Done\r\n"), client_got(0)))
            fail_msg("%zu bytes at %zu: %.*s", n, at, STR_ARG(line));
        (void)client_got(0);
        buf_clear(&command);
    }
}

/* Many texts, none of which is there, and one that is. */
static void many_texts(void **state)
{
    struct buf command;
    unsigned turns;
    struct str got;

    (void)state;
    buf_init(&command, 64 * 1024);
    buf_add(&command, STR("a SEARCH 2 BODY \"the end\""));
    for (unsigned i = 0; i < 100; i++)
        buf_addf(&command, " NOT BODY x%u NOT TEXT y%u", i, i);
    buf_add(&command, STR("\r\n"));
    client_say_bytes(0, buf_str(&command));
    buf_clear(&command);
    turns = turns_of("");
    got = client_got(0);
    assert_true(turns > 200);
    assert_true(str_ends(got, STR("* SEARCH 2\r\na OK Done\r\n")));
}

/* The message goes, or the client does, after any number of turns. */
static void ends_in_the_middle(void **state)
{
    static const char *const texts[] = {"a SEARCH NOT BODY nowhere\r\n", "a FETCH 2 BINARY.SIZE[1]\r\n", "a SORT (SIZE) UTF-8 TEXT \"the end\"\r\n"};
    struct str got;

    (void)state;
    client_select(1);
    for (unsigned i = 0; i < 12; i++) {
        client_open(2);
        client_say(2, "s SELECT INBOX\r\n");
        world_flush();
        (void)client_got(2);
        world_tick = 2000;
        client_say(2, texts[i % 3]);
        for (unsigned k = 0; k < i; k++)
            world_turn();
        world_tick = WORLD_TICK;
        client_close(2);
    }
    world_tick = 2000;
    client_say(0, texts[0]);
    client_say(1, "d STORE 2 +FLAGS.SILENT (\\Deleted)\r\ne EXPUNGE\r\n");
    for (unsigned k = 0; k < MANY_TURNS; k++) {
        world_turn();
        boxes_finish(world_boxes);
    }
    assert_true(text_matches(STR("d OK Done\r\n* 2 EXPUNGE\r\ne OK Done\r\n"), client_got(1)));
    world_flush();
    got = client_got(0);
    if (!text_matches(STR("* SEARCH 1\r\na OK [EXPUNGEISSUED] Done\r\n"), got))
        fail_msg("%.*s", STR_ARG(got));
}

/* RFC 9051, section 7.5.2: the others are shown all the same. */
static void unknown_encodings(void **state)
{
    (void)state;
    client_expect(0, "a APPEND INBOX {77+}\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nabc\r\n\r\n", "* 3 EXISTS\r\na OK %\r\n");
    for (world_tick = WORLD_TICK; world_tick <= 2000; world_tick += 2000 - WORLD_TICK)
        CONVERSE(0, {"b FETCH 3 BINARY[1]\r\n", "b NO [UNKNOWN-CTE] %\r\n"}, {"c FETCH 3 (BODY.PEEK[1] BINARY.SIZE[1])\r\n", "c NO [UNKNOWN-CTE] %\r\n"},
            {"d FETCH 1,3 (FLAGS BINARY.SIZE[1])\r\n", "* 1 FETCH (FLAGS () BINARY.SIZE[1] %)\r\nd NO [UNKNOWN-CTE] %\r\n"},
            {"e FETCH 3 BINARY.SIZE[]\r\n", "* 3 FETCH (BINARY.SIZE[] 77)\r\ne OK Done\r\n"}, {"f FETCH 3 BODY.PEEK[1]\r\n", "* 3 FETCH (BODY[1] {5}\r\nabc\r\n)\r\nf OK Done\r\n"});
    world_tick = WORLD_TICK;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(takes_turns),
        TEST(is_found_everywhere),
        TEST(many_texts),
        TEST(ends_in_the_middle),
        TEST(unknown_encodings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
