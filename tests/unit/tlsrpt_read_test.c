/* TLS reports of others: the example of RFC 8460 appendix B, and JSON that is something else. */
#include "base/buf.h"
#include "tlspolicy/tlsrpt_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const char example[] = "{\"organization-name\":\"Company-X\",\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\","
    "\"end-datetime\":\"2016-04-01T23:59:59Z\"},\"contact-info\":\"sts-reporting@company-x.example\",\"report-id\":\"5065427c-23d3\","
    "\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\",\"mode: testing\"],"
    "\"policy-domain\":\"company-y.example\",\"mx-host\":[\"*.mail.company-y.example\"]},\"summary\":{\"total-successful-session-count\":5326,"
    "\"total-failure-session-count\":303},\"failure-details\":[{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"2001:db8:abcd:12::1\","
    "\"receiving-mx-hostname\":\"mx1.mail.company-y.example\",\"failed-session-count\":100},{\"result-type\":\"starttls-not-supported\","
    "\"sending-mta-ip\":\"2001:db8:abcd:13::1\",\"receiving-mx-hostname\":\"mx2.mail.company-y.example\",\"receiving-ip\":\"203.0.113.56\","
    "\"failed-session-count\":200,\"additional-information\":\"https://reports.company-x.example/report_info ? id = 5065427 c - 23 d3# StarttlsNotSupported \"},"
    "{\"result-type\":\"validation-failure\",\"sending-mta-ip\":\"198.51.100.62\",\"receiving-ip\":\"203.0.113.58\","
    "\"receiving-mx-hostname\":\"mx-backup.mail.company-y.example\",\"failed-session-count\":3,\"failure-reason-code\":\"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED\"}]}]}";

static void the_example_is_read(void **state)
{
    static const char wanted[] = " company-y.example sts successful 5326\n2001:db8:abcd:12::1 mx1.mail.company-y.example sts certificate-expired 100\n"
        "2001:db8:abcd:13::1 mx2.mail.company-y.example sts starttls-not-supported 200\n"
        "198.51.100.62 mx-backup.mail.company-y.example sts validation-failure 3\n";
    struct tlsrpt_read r;
    struct arena arena;
    const char *why;
    struct buf said;

    (void)state;
    arena_init(&arena, 8 << 20);
    buf_init(&said, 10000);
    if (!tlsrpt_read(str_of(example), &arena, &r, &why))
        fail_msg("%s", why);
    assert_true(str_eq(r.reporter, STR("Company-X")) && str_eq(r.report_id, STR("5065427c-23d3")) && str_eq(r.domain, STR("company-y.example")));
    assert_true(str_eq(r.policy, STR("sts")) && str_eq(r.contact, STR("sts-reporting@company-x.example")));
    assert_int_equal(r.begins, 1459468800);
    assert_int_equal(r.ends, 1459555199);
    for (size_t i = 0; i < r.n; i++)
        buf_addf(&said, "%.*s %.*s %.*s %llu\n", STR_ARG(r.lines[i].source), STR_ARG(r.lines[i].name), STR_ARG(r.lines[i].result),
            (unsigned long long)r.lines[i].sessions);
    if (!str_eq(buf_str(&said), str_of(wanted)))
        fail_msg("%.*s", STR_ARG(buf_str(&said)));
    buf_clear(&said);
    arena_clear(&arena);
}

#define HEAD "{\"organization-name\":\"o\",\"report-id\":\"1\",\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\"," \
    "\"end-datetime\":\"2016-04-01T23:59:59Z\"},\"policies\":"
#define POLICY(domain, good) "{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":" domain "},\"summary\":{\"total-successful-session-count\":" good "}}"

static void what_is_no_report_is_refused(void **state)
{
    static const char *const bad[] = {"", "{", "[]", "{}", "\"x\"", "null", HEAD "[]}", HEAD "{}}", HEAD "[[],3,null]}",
        HEAD "[" POLICY("\"d.example\"", "0") "]}", HEAD "[" POLICY("\"d.example\"", "-4") "]}", HEAD "[" POLICY("\"d.example\"", "\"4\"") "]}",
        HEAD "[" POLICY("7", "4") "]}", HEAD "[" POLICY("\"d.example\"", "99999999999999999999999") "]}",
        "{\"organization-name\":\"o\",\"report-id\":\"1\",\"date-range\":{\"start-datetime\":\"yesterday\"},\"policies\":[" POLICY("\"d.example\"", "1") "]}"};
    struct tlsrpt_read r;
    struct arena arena;
    struct buf deep;
    const char *why;

    (void)state;
    arena_init(&arena, 32 << 20);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (tlsrpt_read(str_of(bad[i]), &arena, &r, &why))
            fail_msg("taken: %s", bad[i]);
        assert_non_null(why);
    }
    for (size_t n = 0; n < sizeof example - 1; n++)
        assert_false(tlsrpt_read(str_from(example, n), &arena, &r, &why));
    buf_init(&deep, TLSRPT_JSON_MAX + 10);
    while (deep.n < TLSRPT_JSON_MAX)
        buf_add_char(&deep, '[');
    assert_false(tlsrpt_read(buf_str(&deep), &arena, &r, &why));
    buf_add_char(&deep, '[');
    assert_false(tlsrpt_read(buf_str(&deep), &arena, &r, &why));
    assert_string_equal(why, "too large");
    assert_true(tlsrpt_read(STR(HEAD "[" POLICY("\"d\\u0009\\u00e4\"", "4") "]}"), &arena, &r, &why));
    assert_true(str_eq(r.domain, STR("d???")));
    buf_clear(&deep);
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_read),
        cmocka_unit_test(what_is_no_report_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
