/* MTA-STS records and policies, good and bad, and which hosts a policy allows. */
#include "dns/records.h"
#include "tlspolicy/sts_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* ---- records ---- */

static const struct {
    const char *text, *id; /* NULL: no record of a policy */
} records[] = {
    {"v=STSv1; id=20160831085700Z;", "20160831085700Z"},
    {"v=STSv1;id=1", "1"},
    {"v=STSv1 \t; \tid=a ; x=y; a.b-c_d=!", "a"},
    {"v=STSv1; x=y; id=a; id=b", "a"},
    {"v=STSv1; id=12345678901234567890123456789012", "12345678901234567890123456789012"},
    {"v=STSv1; id=123456789012345678901234567890123", NULL},
    {"v=STSv1; id=a-b", NULL},
    {"v=STSv1; id=", NULL},
    {"v=STSv1;", NULL},
    {"v=STSv1", NULL},
    {"v=STSv1 id=a", NULL},
    {"v=STSv2; id=a", NULL},
    {"V=STSv1; id=a", NULL},
    {"v=stsv1; id=a", NULL},
    {" v=STSv1; id=a", NULL},
    {"id=a; v=STSv1", NULL},
    {"v=STSv1; ID=a", NULL},
    {"v=STSv1; id=a;; x=y", NULL},
    {"v=STSv1; id=a; nothing", NULL},
    {"v=STSv1; id=a; =x", NULL},
    {"v=STSv1; id=a; x=\x01", NULL},
    {"v=STSv1; id=a; x=\xc3\xa4", NULL},
    {"", NULL},
};

static void texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct sts_record record;

        assert_int_equal(sts_record_read(str_of(records[i].text), &record), records[i].id != NULL);
        if (records[i].id != NULL)
            assert_string_equal(record.id, records[i].id);
    }
}

static void add_txt(struct buf *out, const char *text)
{
    struct buf rdata;

    buf_init(&rdata, 300);
    buf_add_char(&rdata, (char)strlen(text));
    buf_add(&rdata, str_of(text));
    dns_add_record(out, buf_str(&rdata));
    buf_clear(&rdata);
}

static void answers(void **state)
{
    struct sts_record record;
    struct buf out;

    (void)state;
    buf_init(&out, 10000);
    assert_int_equal(sts_record_of(buf_str(&out), &record), POLICY_NONE);
    add_txt(&out, "v=spf1 -all");
    add_txt(&out, "v=STSv1");
    assert_int_equal(sts_record_of(buf_str(&out), &record), POLICY_NONE);
    add_txt(&out, "v=STSv1; id=good;");
    assert_int_equal(sts_record_of(buf_str(&out), &record), POLICY_FOUND);
    assert_string_equal(record.id, "good");
    add_txt(&out, "v=STSv1; id=good;");
    assert_int_equal(sts_record_of(buf_str(&out), &record), POLICY_BAD);
    buf_reset(&out);
    add_txt(&out, "v=STSv1; id=!");
    assert_int_equal(sts_record_of(buf_str(&out), &record), POLICY_BAD);
    buf_clear(&out);
}

/* ---- policies ---- */

#define HEAD "version: STSv1\r\nmode: enforce\r\nmax_age: 604800\r\n"

static const struct {
    const char *text, *why; /* NULL: it is good */
} policies[] = {
    {HEAD "mx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\n", NULL},
    {"version:STSv1\nmode:\ttesting\nmax_age: 0\nmx: a.example", NULL},
    {"mx: a.example\nmax_age: 1\nmode: none\nversion: STSv1  \t\n", NULL},
    {"version: STSv1\nmode: none\nmax_age: 1", NULL},
    {HEAD "mx: a.example\n\n\nx.y-z_1: \xc3\xa4 \xe2\x82\xac!\n", NULL},
    {HEAD "mx: a.example\nmode: nonsense\nversion: 2\nmax_age: x", NULL},
    {HEAD, "a field is missing"},
    {"", "a field is missing"},
    {"mode: enforce\nmax_age: 1\nmx: a.example", "a field is missing"},
    {"version: STSv1\nmax_age: 1\nmx: a.example", "a field is missing"},
    {"version: STSv1\nmode: enforce\nmx: a.example", "a field is missing"},
    {"version: STSv2\nmode: enforce\nmax_age: 1\nmx: a.example", "the version is not STSv1"},
    {"version: STSv1\nmode: Enforce\nmax_age: 1\nmx: a.example", "the mode is none of enforce, testing and none"},
    {"version: STSv1\nmode: enforce\nmax_age: -1\nmx: a.example", "max_age is no number of seconds"},
    {"version: STSv1\nmode: enforce\nmax_age: 12345678901\nmx: a.example", "max_age is no number of seconds"},
    {HEAD "mx: *\n", "a pattern in mx is no name"},
    {HEAD "mx: a.*.example\n", "a pattern in mx is no name"},
    {HEAD "mx: *.*.example\n", "a pattern in mx is no name"},
    {HEAD "mx: b\xc3\xbc" "cher.example\n", "a pattern in mx is no name"},
    {HEAD "mx: a.example, b.example\n", "a pattern in mx is no name"},
    {HEAD "mx:\n", "a line is no field"},
    {HEAD "mx a.example\n", "a line is no field"},
    {HEAD " mx: a.example\n", "a line is no field"},
    {HEAD "mx: a.example\x01\n", "a line is no field"},
    {HEAD "mx: a.example\nx: \xff\n", "a line is no field"},
    {"\xef\xbb\xbfversion: STSv1\n", "a line is no field"},
    {"<html>\n<body>version: STSv1</body>", "a line is no field"},
};

static void files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        struct sts_policy policy;
        const char *why = NULL;
        bool ok = sts_policy_read(str_of(policies[i].text), &policy, &why);

        if (ok != (policies[i].why == NULL))
            fail_msg("policy %zu: %s", i, why);
        if (!ok)
            assert_string_equal(why, policies[i].why);
    }
}

static void fields(void **state)
{
    static const char large[] = "version: STSv1\nmode: testing\nmax_age: 9999999999\nmx: a.example\nmx: *.b.example\n";
    struct str rest, pattern;
    struct sts_policy policy;
    const char *why;
    struct buf text;

    (void)state;
    assert_true(sts_policy_read(STR(large), &policy, &why));
    assert_string_equal(sts_mode_name(policy.mode), "testing");
    assert_int_equal(policy.max_age, STS_AGE_MAX);
    assert_int_equal(policy.patterns, 2);
    rest = policy.text;
    assert_true(sts_policy_next_pattern(&rest, &pattern) && str_eq(pattern, STR("a.example")));
    assert_true(sts_policy_next_pattern(&rest, &pattern) && str_eq(pattern, STR("*.b.example")));
    assert_false(sts_policy_next_pattern(&rest, &pattern));
    buf_init(&text, 2 * STS_POLICY_MAX);
    buf_add(&text, STR(HEAD "mx: a.example\n"));
    while (text.n < STS_POLICY_MAX)
        buf_add(&text, STR("\n"));
    assert_true(sts_policy_read(buf_str(&text), &policy, &why));
    buf_add(&text, STR("\n"));
    assert_false(sts_policy_read(buf_str(&text), &policy, &why));
    assert_string_equal(why, "the policy has over 64 KB");
    buf_clear(&text);
}

static void hosts(void **state)
{
    static const char *const good[] = {"mail.example.com", "MAIL.example.COM", "mail.example.com.", "a.example.net", "_a.example.net"};
    static const char *const bad[] = {"", ".", "example.com", "xmail.example.com", "a.mail.example.com", "example.net", ".example.net",
        "a.b.example.net", "aexample.net", "*", "mail.example.com..", "a.example.net.example"};
    struct sts_policy policy;
    const char *why;

    (void)state;
    assert_true(sts_policy_read(STR(HEAD "mx: mail.example.com\r\nmx: *.example.net\r\n"), &policy, &why));
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(sts_policy_allows(&policy, str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (sts_policy_allows(&policy, str_of(bad[i])))
            fail_msg("allows \"%s\"", bad[i]);
}

static void media_types(void **state)
{
    (void)state;
    assert_true(sts_is_media_type(STR("text/plain")));
    assert_true(sts_is_media_type(STR("Text/Plain ; charset=latin1")));
    assert_false(sts_is_media_type(STR("text/html")));
    assert_false(sts_is_media_type(STR("text/plainer")));
    assert_false(sts_is_media_type(STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(answers),
        cmocka_unit_test(files),
        cmocka_unit_test(fields),
        cmocka_unit_test(hosts),
        cmocka_unit_test(media_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
