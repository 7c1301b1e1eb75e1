/* TLSRPT: records, addresses, and a report that another JSON library reads as the one of RFC 8460 appendix B. */
#include "tlspolicy/tlsrpt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

static const struct {
    const char *text;
    size_t n;
    const char *first;
} records[] = {
    {"v=TLSRPTv1;rua=mailto:reports@example.com", 1, "mailto:reports@example.com"},
    {"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt?a=b", 1, "https://reporting.example.com/v1/tlsrpt?a=b"},
    {"v=TLSRPTv1; x=y; rua=mailto:a@b.example , https://c.example/ ;", 2, "mailto:a@b.example"},
    {"v=TLSRPTv1; rua=ftp://x.example, MAILTO:a@b.example", 1, "MAILTO:a@b.example"},
    {"v=TLSRPTv1; rua=mailto:a@b.example; rua=mailto:c@d.example", 1, "mailto:a@b.example"},
    {"v=TLSRPTv1; rua=ftp://x.example", 0, NULL},
    {"v=TLSRPTv1; rua=", 0, NULL},
    {"v=TLSRPTv1;", 0, NULL},
    {"v=TLSRPTv2; rua=mailto:a@b.example", 0, NULL},
    {"v=tlsrptv1; rua=mailto:a@b.example", 0, NULL},
    {"v=TLSRPTv1; rua=mailto:a@b.example; junk", 0, NULL},
    {"v=TLSRPTv1; rua=http://x.example/", 0, NULL},
};

static void texts(void **state)
{
    struct tlsrpt_record record;
    struct buf many;

    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        assert_int_equal(tlsrpt_record_read(str_of(records[i].text), &record), records[i].n > 0);
        if (records[i].n == 0)
            continue;
        assert_int_equal(record.n, records[i].n);
        assert_true(str_eq(record.uris[0], str_of(records[i].first)));
    }
    buf_init(&many, 1 << 16);
    buf_add(&many, STR("v=TLSRPTv1; rua=mailto:a@b.example"));
    for (unsigned i = 0; i < 1000; i++)
        buf_addf(&many, ",mailto:a%u@b.example", i);
    assert_true(tlsrpt_record_read(buf_str(&many), &record));
    assert_int_equal(record.n, TLSRPT_URIS_MAX);
    buf_clear(&many);
}

static void addresses(void **state)
{
    static const struct {
        const char *uri, *address;
    } cases[] = {
        {"mailto:a@Example.com", "a@example.com"}, {"mailto:a%2Bb%2c%20@example.com", NULL}, {"mailto:a%2Bb%2C@example.com", NULL},
        {"mailto:a%2bb@example.com?subject=x", "a+b@example.com"}, {"mailto:a%2@example.com", NULL}, {"mailto:a@example.com%2", NULL},
        {"mailto:a@example.com%0d%0a", NULL}, {"mailto:", NULL}, {"https://a@example.com", NULL},
        {"mailto:%22a%20b%22@example.com", "\"a b\"@example.com"}, {"mailto:a@b.example,c@d.example", NULL},
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_init(&out, 2000);
        assert_int_equal(tlsrpt_mail_address(str_of(cases[i].uri), &out), cases[i].address != NULL);
        if (cases[i].address != NULL)
            assert_true(str_eq(buf_str(&out), str_of(cases[i].address)));
        buf_clear(&out);
    }
}

static struct ip ip_of(const char *text)
{
    struct ip ip;

    assert_true(ip_parse(str_of(text), &ip));
    return ip;
}

/* RFC 8460 appendix B, as data. */
static const char example[] =
    "{\"organization-name\": \"Company-X\", \"date-range\": {\"start-datetime\": \"2016-04-01T00:00:00Z\", \"end-datetime\": "
    "\"2016-04-01T23:59:59Z\"}, \"contact-info\": \"sts-reporting@company-x.example\", \"report-id\": "
    "\"5065427c-23d3-47ca-b6e0-946ea0e8c4be\", \"policies\": [{\"policy\": {\"policy-type\": \"sts\", \"policy-string\": [\"version: STSv1\","
    "\"mode: testing\", \"mx: *.mail.company-y.example\",\"max_age: 86400\"], \"policy-domain\": \"company-y.example\", \"mx-host\": "
    "[\"*.mail.company-y.example\"]}, \"summary\": {\"total-successful-session-count\": 5326, \"total-failure-session-count\": 303},"
    "\"failure-details\": [{\"result-type\": \"certificate-expired\", \"sending-mta-ip\": \"2001:db8:abcd:12::1\", \"receiving-mx-hostname\": "
    "\"mx1.mail.company-y.example\", \"failed-session-count\": 100}, {\"result-type\": \"starttls-not-supported\", \"sending-mta-ip\": "
    "\"2001:db8:abcd:13::1\", \"receiving-mx-hostname\": \"mx2.mail.company-y.example\", \"receiving-ip\": \"203.0.113.56\", "
    "\"failed-session-count\": 200}, {\"result-type\": \"validation-failure\", \"sending-mta-ip\": \"198.51.100.62\", \"receiving-ip\": "
    "\"203.0.113.58\", \"receiving-mx-hostname\": \"mx-backup.mail.company-y.example\", \"failed-session-count\": 3, "
    "\"failure-reason-code\": \"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED\"}]}]}";

static const struct str strings[] = {{"version: STSv1", 14}, {"mode: testing", 13}, {"mx: *.mail.company-y.example", 28}, {"max_age: 86400", 14}};
static const struct str patterns[] = {{"*.mail.company-y.example", 24}};

static void report_is(const struct tlsrpt_report *report, const char *wanted)
{
    json_error_t error;
    json_t *a, *b;
    struct buf out;

    buf_init(&out, 1 << 16);
    assert_true(tlsrpt_write(report, &out));
    a = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, &error);
    if (a == NULL)
        fail_msg("%s: %.*s", error.text, STR_ARG(buf_str(&out)));
    b = json_loads(wanted, 0, &error);
    assert_non_null(b);
    if (!json_equal(a, b))
        fail_msg("%.*s", STR_ARG(buf_str(&out)));
    json_decref(a);
    json_decref(b);
    buf_clear(&out);
}

static void example_of_the_rfc(void **state)
{
    const struct tlsrpt_failure failures[] = {
        {.result = TLS_CERTIFICATE_EXPIRED, .sending = ip_of("2001:db8:abcd:0012::1"), .mx = STR("mx1.mail.company-y.example"), .sessions = 100},
        {.result = TLS_STARTTLS_NOT_SUPPORTED, .sending = ip_of("2001:db8:abcd:0013::1"), .receiving = ip_of("203.0.113.56"),
            .mx = STR("mx2.mail.company-y.example"), .sessions = 200},
        {.result = TLS_VALIDATION_FAILURE, .sending = ip_of("198.51.100.62"), .receiving = ip_of("203.0.113.58"),
            .mx = STR("mx-backup.mail.company-y.example"), .sessions = 3, .reason = STR("X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED")},
    };
    const struct tlsrpt_policy policy = {.type = TLSRPT_STS, .domain = STR("company-y.example"), .strings = strings, .string_count = 4,
        .mx = patterns, .mx_count = 1, .successful = 5326, .failed = 303, .failures = failures, .failure_count = 3};
    const struct tlsrpt_report report = {.organization = STR("Company-X"), .contact = STR("sts-reporting@company-x.example"),
        .id = STR("5065427c-23d3-47ca-b6e0-946ea0e8c4be"), .start = 1459468800, .end = 1459555199, .policies = &policy, .policy_count = 1};

    (void)state;
    report_is(&report, example);
}

/* What strangers say cannot leave its place; two policies; nothing at all; no room. */
static void hostile_text(void **state)
{
    const struct tlsrpt_failure failure = {.result = TLS_DNSSEC_INVALID, .mx = STR("a\",\"x\":\"\\\r\n\x01\xff"), .sessions = 1};
    const struct tlsrpt_policy policies[] = {{.type = TLSRPT_NO_POLICY, .domain = STR("a.example"), .successful = 1},
        {.type = TLSRPT_TLSA, .domain = STR("b.example"), .failed = UINT32_MAX, .failures = &failure, .failure_count = 1}};
    struct tlsrpt_report report = {.organization = STR("o"), .contact = STR("c"), .id = STR("i"), .policies = policies, .policy_count = 2};
    struct buf small;

    (void)state;
    report_is(&report, "{\"organization-name\":\"o\",\"date-range\":{\"start-datetime\":\"1970-01-01T00:00:00Z\",\"end-datetime\":\"1970-01-01T00:00:00Z\"},"
                       "\"contact-info\":\"c\",\"report-id\":\"i\",\"policies\":[{\"policy\":{\"policy-type\":\"no-policy-found\",\"policy-domain\":\"a.example\"},"
                       "\"summary\":{\"total-successful-session-count\":1,\"total-failure-session-count\":0}},{\"policy\":{\"policy-type\":\"tlsa\",\"policy-domain\":"
                       "\"b.example\"},\"summary\":{\"total-successful-session-count\":0,\"total-failure-session-count\":4294967295},\"failure-details\":[{"
                       "\"result-type\":\"dnssec-invalid\",\"receiving-mx-hostname\":\"a\\\",\\\"x\\\":\\\"\\\\\\r\\n\\u0001\\ufffd\",\"failed-session-count\":1}]}]}");
    for (size_t room = 0; room < 300; room += 7) {
        buf_init(&small, room);
        assert_false(tlsrpt_write(&report, &small));
        buf_clear(&small);
    }
    report.policy_count = 0;
    report_is(&report, "{\"organization-name\":\"o\",\"date-range\":{\"start-datetime\":\"1970-01-01T00:00:00Z\",\"end-datetime\":\"1970-01-01T00:00:00Z\"},"
                       "\"contact-info\":\"c\",\"report-id\":\"i\",\"policies\":[]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(addresses),
        cmocka_unit_test(example_of_the_rfc),
        cmocka_unit_test(hostile_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
