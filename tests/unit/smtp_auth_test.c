/* AUTH: every mechanism's dialogue, everything that can go wrong, slowing down and banning. */
#include "smtp_fixture.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define GOOD "AHVzZXIAZ29vZA=="     /* \0user\0good */
#define BAD "AHVzZXIAYmFk"          /* \0user\0bad */
static void plain_works_with_and_without_initial_response(void **state)
{
    GREETED(SERVICE_SUBMISSION);
    bench_secure(&b);
    converse(&b, {"auth plain " GOOD, "235 2.7.0"}, {"AUTH PLAIN " GOOD, "503 5.5.1 You are logged in already"});
    bench_clear(&b);
    bench_init(&b, SERVICE_SUBMISSION);
    bench_start(&b);
    bench_secure(&b);
    converse(&b, {"AUTH PLAIN", "334 \r\n"}, {GOOD, "235 2.7.0"});
    assert_int_equal(b.notes[SMTP_NOTE_LOGIN], 1);
    assert_int_equal(b.cancelled, 0);
    bench_clear(&b);
}

static void the_last_data_of_a_mechanism_is_confirmed(void **state)
{
    GREETED(SERVICE_SUBMISSION);
    bench_secure(&b);
    converse(&b, {"AUTH SCRAM-SHA-256", "334 Y2hhbGxlbmdl\r\n"}, {"Z29vZA==", "334 dj1wcm9vZg==\r\n"});
    converse(&b, {"", "235 2.7.0"}, {"MAIL FROM:<user@mine.example>", "250"});
    bench_clear(&b);
    bench_init(&b, SERVICE_SUBMISSION);
    bench_start(&b);
    bench_secure(&b);
    converse(&b, {"AUTH SCRAM-SHA-256-PLUS =", "334"}, {"Z29vZA==", "334"}, {"*", "501 5.7.0"},
        {"MAIL FROM:<user@mine.example>", "530 5.7.0"}, {"AUTH LOGIN", "334"}, {"Z29vZA==", "334"}, {"eA==", "501 5.5.2"},
        {"MAIL FROM:<user@mine.example>", "530 5.7.0"});
    assert_int_equal(b.cancelled, 0); /* directory was through with it */
    bench_clear(&b);
}

static void mistakes_are_told_apart(void **state)
{
    static const struct turn cases[] = {
        {"AUTH", "501 5.5.4"},
        {"AUTH CRAM-MD5", "504 5.5.4"},
        {"AUTH NONSENSE", "504 5.5.4"},
        {"AUTH GSSAPI", "504 5.5.4"},
        {"AUTH PLAIN !", "501 5.5.2"},
        {"AUTH PLAIN " GOOD "x", "501 5.5.2"},
        {"AUTH PLAIN AHVzZXIAZGlzYWJsZWQ=", "525 5.7.13"},
        {"AUTH PLAIN AHVzZXIAd2FpdA==", "454 4.7.0 Too many"},
        {"AUTH PLAIN AHVzZXIAb2Rk", "501 5.5.2"},
        {"AUTH PLAIN AHVzZXIAYnJva2Vu", "454 4.7.0 Logins"},
        {"AUTH PLAIN AHVzZXIAcmVhZG9ubHk=", "550 5.7.1"},
        {"AUTH PLAIN " BAD, "535 5.7.8"},
        {"MAIL FROM:<user@mine.example>", "530 5.7.0"},
    };
    GREETED(SERVICE_SUBMISSION);

    bench_secure(&b);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        converse(&b, cases[i]);
    converse(&b, {"AUTH LOGIN", "334"}, {"*", "501 5.7.0"}, {"AUTH LOGIN", "334"}, {"!", "501 5.5.2"}, {"NOOP", "250"});
    assert_int_equal(b.cancelled, 2);
    bench_clear(&b);
}

static void auth_has_its_place(void **state)
{
    GREETED(SERVICE_MX);
    bench_secure(&b);
    converse(&b, {"AUTH PLAIN " GOOD, "502 5.5.1"});
    bench_clear(&b);
    bench_init(&b, SERVICE_SUBMISSION);
    bench_start(&b);
    converse(&b, {"AUTH PLAIN " GOOD, "503 5.5.1"}, {"HELO c", "250"}, {"AUTH PLAIN " GOOD, "502"}, {"EHLO c", "250"},
        {"AUTH PLAIN " GOOD, "538 5.7.11"});
    bench_login(&b);
    converse(&b, {"MAIL FROM:<>", "250"}, {"AUTH PLAIN " GOOD, "503 5.5.1"});
    bench_clear(&b);
    bench_init(&b, SERVICE_SUBMISSION);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"STARTTLS", "220"});
    smtp_secured(b.s, STR("TLSv1.2 X"), false);
    converse(&b, {"EHLO c", "250"}, {"AUTH SCRAM-SHA-256-PLUS", "504"}); /* nothing to bind to */
    bench_clear(&b);
}

static void failures_get_slower(void **state)
{
    GREETED(SERVICE_SUBMISSION);
    bench_secure(&b);
    converse(&b, {"AUTH PLAIN " BAD, "535 5.7.8"});
    assert_int_equal(b.delayed, SECOND / 2);
    converse(&b, {"AUTH PLAIN " BAD, "535 5.7.8"});
    assert_int_equal(b.delayed, SECOND);
    exchange(&b, "AUTH PLAIN " BAD "\r\nNOOP\r\n",
        "535 5.7.8 Wrong name or password\r\n421 4.7.0 Too many failed logins, try again later\r\n");
    assert_true(b.closed);
    bench_clear(&b);
    bench_init(&b, SERVICE_SUBMISSION);
    bench_start(&b);
    bench_secure(&b);
    b.failures = 100; /* from other connections of this address */
    b.wait_for_resume = true;
    converse(&b, {"AUTH PLAIN " BAD, NULL});
    assert_int_equal(b.delayed, 8 * SECOND);
    assert_true(smtp_waits(b.s));
    smtp_resume(b.s);
    assert_true(str_eq(buf_str(&b.out), STR("535 5.7.8 Wrong name or password\r\n")));
    bench_clear(&b);
}

static void a_ban_ends_the_session(void **state)
{
    GREETED(SERVICE_SUBMISSION);
    bench_secure(&b);
    b.ban = true;
    exchange(&b, "AUTH PLAIN " BAD "\r\n",
        "535 5.7.8 Wrong name or password\r\n421 4.7.0 Too many failed logins, try again later\r\n");
    assert_true(b.closed);
    bench_clear(&b);
}

static void long_responses_fit_and_longer_ones_do_not(void **state)
{
    static char line[20000];
    GREETED(SERVICE_SUBMISSION);
    bench_secure(&b);
    converse(&b, {"AUTH LOGIN", "334"});
    memset(line, 'A', sizeof line);
    line[12280] = 0;
    converse(&b, {line, "535 5.7.8"}, {"AUTH LOGIN", "334"});
    line[12280] = 'A';
    line[19996] = 0;
    converse(&b, {line, "500 5.5.2 Line too long"}, {"NOOP", "250"});
    assert_int_equal(b.cancelled, 1);
    memcpy(line, "AUTH PLAIN AAAA", 15);
    line[11 + 8000] = 0;
    converse(&b, {line, "535 5.7.8"});
    bench_clear(&b);
}

static void a_client_that_leaves_cancels(void **state)
{
    GREETED(SERVICE_SUBMISSION);
    bench_secure(&b);
    converse(&b, {"AUTH LOGIN", "334"}, {"c2lsZW50", NULL});
    assert_true(smtp_waits(b.s));
    smtp_free(b.s);
    b.s = NULL;
    assert_int_equal(b.cancelled, 1);
    bench_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_works_with_and_without_initial_response),
        cmocka_unit_test(the_last_data_of_a_mechanism_is_confirmed),
        cmocka_unit_test(mistakes_are_told_apart),
        cmocka_unit_test(auth_has_its_place),
        cmocka_unit_test(failures_get_slower),
        cmocka_unit_test(a_ban_ends_the_session),
        cmocka_unit_test(long_responses_fit_and_longer_ones_do_not),
        cmocka_unit_test(a_client_that_leaves_cancels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
