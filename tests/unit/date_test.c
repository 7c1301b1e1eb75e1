/* Dates of mail, both ways. */
#include "base/clock.h"
#include "mime/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void dates_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } cases[] = {
        {"Sun, 22 Nov 2026 03:30:00 +0000", 1795318200},
        {"22 Nov 2026 03:30 +0000", 1795318200},
        {"Sun, 22 Nov 2026 05:00:00 +0130", 1795318200},
        {"Sat, 21 Nov 2026 22:30:00 -0500 (EST)", 1795318200},
        {"Sat, 21 Nov 2026 22:30:00 EST", 1795318200},
        {"Sun, 22 Nov 26 03:30:00 GMT", 1795318200},
        {"Sun , (a (b) \\) c) 22 Nov\r\n 2026 03 : 30 : 00 Z", 1795318200},
        {"Sun, 22 November 2026 03:30:00 UT", 1795318200},
        {"1 Jan 1970 00:00:00 +0000", 0},
        {"31 Dec 99 23:59:59 +0000", 946684799},
        {"", -1},
        {"Sun, 22 Nov", -1},
        {"22 Foo 2026 03:30:00 +0000", -1},
        {"32 Nov 2026 03:30:00 +0000", -1},
        {"0 Nov 2026 03:30:00 +0000", -1},
        {"22 Nov 2026 24:30:00 +0000", -1},
        {"22 Nov 2026 03:60:00 +0000", -1},
        {"22 Nov 2026 03:30:00 +0060", -1},
        {"22 Nov 2026 03:30:00 +", -1},
        {"22 Nov 1899 03:30:00 +0000", -1},
        {"22 Nov 2026 03:30:00 +0000 x", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t time = -1;
        bool ok = date_parse(str_of(cases[i].text), &time);

        if (ok != (cases[i].seconds != -1) || (ok && time != cases[i].seconds * SECOND))
            fail_msg("%s: %lld", cases[i].text, (long long)(ok ? time / SECOND : -1));
    }
}

static void dates_are_written(void **state)
{
    static const struct {
        int64_t time;
        const char *text;
    } cases[] = {
        {INT64_C(1795318200) * SECOND + 999999, "Sun, 22 Nov 2026 03:30:00 +0000"},
        {0, "Thu, 01 Jan 1970 00:00:00 +0000"},
        {-5, "Thu, 01 Jan 1970 00:00:00 +0000"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 +0000"},
    };
    char text[DATE_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        date_format(cases[i].time, text);
        assert_string_equal(text, cases[i].text);
    }
}

/* The day as it stands there, whatever the zone. */
static void days_as_written(void **state)
{
    int64_t day;

    (void)state;
    assert_true(date_parse_day(STR("Thu, 1 Jan 1970 23:30:00 -0500"), &day));
    assert_int_equal(day, 0);
    assert_true(date_parse_day(STR("Sat, 2 Jan 1971 00:10:00 +0900"), &day));
    assert_int_equal(day, 366);
    assert_false(date_parse_day(STR("nonsense"), &day));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_as_written),
        cmocka_unit_test(dates_are_read),
        cmocka_unit_test(dates_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
