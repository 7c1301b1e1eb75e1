/* The PROXY protocol: what is accepted, what waits for more, what is refused. */
#include "net/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

struct line {
    struct str bytes;
    enum proxy_result result;
    const char *source; /* NULL: keeps the connection's address */
    uint16_t port;
};

static const struct line lines[] = {
    {STR("PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\nEHLO"), PROXY_DONE, "192.0.2.1", 56324},
    {STR("PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n"), PROXY_DONE, "2001:db8::1", 1},
    {STR("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 25\r\n"), PROXY_DONE, "192.0.2.1", 1},
    {STR("PROXY UNKNOWN\r\n"), PROXY_DONE, NULL, 0},
    {STR("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), PROXY_DONE, NULL, 0},
    {STR("PROXY TCP4 192.0.2.1 198.51.100.1 56324 25"), PROXY_MORE, NULL, 0},
    {STR("PRO"), PROXY_MORE, NULL, 0},
    {STR(""), PROXY_MORE, NULL, 0},
    {STR("EHLO x\r\n"), PROXY_BAD, NULL, 0},
    {STR("PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\n"), PROXY_BAD, NULL, 0},
    {STR("PROXY TCP4 2001:db8::1 198.51.100.1 56324 25\r\n"), PROXY_BAD, NULL, 0},
    {STR("PROXY TCP4 192.0.2.1 198.51.100.1 66324 25\r\n"), PROXY_BAD, NULL, 0},
    {STR("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n"), PROXY_BAD, NULL, 0},
    {STR("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n"), PROXY_BAD, NULL, 0},
    {STR("PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n"), PROXY_BAD, NULL, 0},
    {STR("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        PROXY_BAD, NULL, 0},
    {STR(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0\x19" "TLS"), PROXY_DONE, "192.0.2.1", 56324},
    {STR(SIGNATURE "\x21\x11\0\x0f\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0\x19" "\4\0\0"), PROXY_DONE, "192.0.2.1", 56324},
    {STR(SIGNATURE "\x20\x00\0\0"), PROXY_DONE, NULL, 0},
    {STR(SIGNATURE "\x21\x31\0\0"), PROXY_DONE, NULL, 0},
    {STR(SIGNATURE "\x21\x11\0\x0c\xc0\0\2"), PROXY_MORE, NULL, 0},
    {STR("\r\n\r\n\0\r\nQU"), PROXY_MORE, NULL, 0},
    {STR(SIGNATURE "\x21\x11\0\x0b\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0"), PROXY_BAD, NULL, 0},
    {STR(SIGNATURE "\x31\x11\0\x0c"), PROXY_BAD, NULL, 0},
    {STR(SIGNATURE "\x21\x11\xff\xff"), PROXY_BAD, NULL, 0},
};

static void reads_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct proxy_header h;
        struct ip want;
        size_t used;

        assert_int_equal(proxy_parse(lines[i].bytes, &h, &used), lines[i].result);
        if (lines[i].result != PROXY_DONE)
            continue;
        assert_int_equal(h.local, lines[i].source == NULL);
        if (lines[i].source == NULL)
            continue;
        assert_true(ip_parse(str_of(lines[i].source), &want) && ip_equal(&want, &h.source));
        assert_int_equal(h.source_port, lines[i].port);
        assert_int_equal(h.destination_port, 25);
    }
}

static void uses_the_header_and_no_more(void **state)
{
    struct proxy_header h;
    size_t used;

    (void)state;
    proxy_parse(lines[0].bytes, &h, &used);
    assert_int_equal(used, lines[0].bytes.n - 4);
    proxy_parse(STR(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\0\x19" "TLS"), &h, &used);
    assert_int_equal(used, 28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_headers),
        cmocka_unit_test(uses_the_header_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
