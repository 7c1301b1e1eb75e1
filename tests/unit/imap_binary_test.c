/* IMAP: BINARY of text has CRLF as line ends, whatever was encoded (RFC 3516, section 6); of anything else the bytes as they are. */
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
    imap_world_open("imap_binary_test");
    client_open(0);
    return 0;
}

/* A message with one part, which becomes the next one of INBOX, selected. */
static void message(const char *type, const char *encoding, struct str body)
{
    struct buf text;
    char say[60];

    buf_init(&text, 4 * 1024 * 1024);
    buf_addf(&text, "MIME-Version: 1.0\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", type, encoding);
    buf_add(&text, body);
    snprintf(say, sizeof say, "a APPEND INBOX {%zu+}\r\n", text.n);
    client_say(0, say);
    client_say_bytes(0, buf_str(&text));
    buf_clear(&text);
    client_say(0, "\r\ns SELECT INBOX\r\n");
    world_flush();
    (void)client_got(0);
}

/* "a LF b CRLF c CR d LF LF" in base64 */
#define MIXED "YQpiDQpjDWQKCg==\r\n"
#define TOLD "a\r\nb\r\nc\rd\r\n\r\n"

static void of_text(void **state)
{
    (void)state;
    message("text/plain; charset=utf-8", "base64", STR(MIXED));
    CONVERSE(0, {"a FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1])\r\n", "* 1 FETCH (BINARY.SIZE[1] 13 BINARY[1] ~{13}\r\n" TOLD ")\r\na OK Done\r\n"},
        {"b FETCH 1 BINARY.PEEK[1]<1.4>\r\n", "* 1 FETCH (BINARY[1]<1> ~{4}\r\n\r\nb\r)\r\nb OK Done\r\n"},
        {"c FETCH 1 BINARY.PEEK[1]<2.99>\r\n", "* 1 FETCH (BINARY[1]<2> ~{11}\r\n\nb\r\nc\rd\r\n\r\n)\r\nc OK Done\r\n"},
        {"d FETCH 1 BODY.PEEK[1]\r\n", "* 1 FETCH (BODY[1] {18}\r\n" MIXED ")\r\nd OK Done\r\n"});
}

static void of_lines_without_encoding(void **state)
{
    (void)state;
    message("text/html", "8bit", STR("a\nb\r\n\xff\n"));
    CONVERSE(0, {"a FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1])\r\n", "* 1 FETCH (BINARY.SIZE[1] 9 BINARY[1] ~{9}\r\na\r\nb\r\n\xff\r\n)\r\na OK Done\r\n"},
        {"b FETCH 1 BODY.PEEK[1]\r\n", "* 1 FETCH (BODY[1] {7}\r\na\nb\r\n\xff\n)\r\nb OK Done\r\n"});
    message("Text/Plain", "quoted-printable", STR("a=0Ab=0D=0Ac=\r\nd\r\n"));
    client_expect(0, "c FETCH 2 BINARY.PEEK[1]\r\n", "* 2 FETCH (BINARY[1] ~{10}\r\na\r\nb\r\ncd\r\n)\r\nc OK Done\r\n");
}

/* The same bytes as something else, in a charset of two bytes, in a message that is asked for as a whole: as they are. */
static void of_other_things(void **state)
{
    static const char *const types[] = {"application/octet-stream", "image/png", "text/plain; charset=UTF-16", "text/plain; charset=\"utf-16le\"",
        "text/plain; charset=UCS-2", "text/plain; charset=utf-32be"};
    char say[60], expected[100];

    (void)state;
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
        message(types[i], "base64", STR(MIXED));
        snprintf(say, sizeof say, "a FETCH %u (BINARY.SIZE[1] BINARY.PEEK[1])\r\n", i + 1);
        snprintf(expected, sizeof expected, "* %u FETCH (BINARY.SIZE[1] 10 BINARY[1] ~{10}\r\na\nb\r\nc\rd\n\n)\r\na OK Done\r\n", i + 1);
        client_expect(0, say, expected);
    }
    message("text/plain", "8bit", STR("a\nb\n"));
    client_expect(0, "b FETCH 7 BINARY.SIZE[]\r\n", "* 7 FETCH (BINARY.SIZE[] 84)\r\nb OK Done\r\n");
}

/* Line ends where the pieces meet that a message is read in. */
static void of_a_large_text(void **state)
{
    enum { LINES = 30000 };
    struct buf body, told;
    char line[120];
    struct str got;

    (void)state;
    buf_init(&body, 2 * 1024 * 1024);
    buf_init(&told, 2 * 1024 * 1024);
    for (unsigned i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof line, "%.*s", (int)(i % 7), "xxxxxxx");

        buf_add(&body, str_from(line, (size_t)n));
        buf_add(&body, i % 3 == 0 ? STR("\n") : STR("\r\n"));
        buf_add(&told, str_from(line, (size_t)n));
        buf_add(&told, STR("\r\n"));
    }
    message("text/plain", "8bit", buf_str(&body));
    for (world_tick = WORLD_TICK; world_tick <= 2000; world_tick += 2000 - WORLD_TICK) {
        client_say(0, "a FETCH 1 BINARY.PEEK[1]\r\n");
        world_flush();
        got = client_got(0);
        snprintf(line, sizeof line, "* 1 FETCH (BINARY[1] ~{%zu}\r\n", told.n);
        if (!str_starts(got, str_of(line)))
            fail_msg("%s: %.*s", line, STR_ARG(str_sub(got, 0, got.n < 100 ? got.n : 100)));
        assert_true(str_eq(str_sub(str_skip(got, strlen(line)), 0, told.n), buf_str(&told)));
    }
    world_tick = WORLD_TICK;
    buf_clear(&body);
    buf_clear(&told);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(of_text), TEST(of_lines_without_encoding), TEST(of_other_things), TEST(of_a_large_text)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
