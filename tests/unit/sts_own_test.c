/* MTA-STS policies of our own domains: what the configuration makes of them, and that our reader takes what is written. */
#include "tlspolicy/sts_own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const char text_of_config[] =
    "hostname = mail.example.org\n"
    "mta_sts \"example.org\" { mode = enforce max_age = 30d }\n"
    "mta_sts \"b.example\" { mode = none mx = { mx1.b.example, \"*.mx.b.example\" } }\n";

static struct config *parsed(void)
{
    struct config *config = NULL;
    struct err err = {0};

    if (!config_parse(&config, STR("c"), STR(text_of_config), &err))
        fail_msg("%s", err.text);
    return config;
}

static void says(const struct config *config, const char *domain, const char *expected)
{
    struct sts_own own = sts_own_of(config, str_of(domain));
    struct sts_policy policy;
    const char *why;
    struct buf text;

    buf_init(&text, STS_POLICY_MAX);
    sts_own_write(&own, &text);
    if (!str_eq(buf_str(&text), str_of(expected)))
        fail_msg("%.*s", STR_ARG(buf_str(&text)));
    assert_true(sts_policy_read(buf_str(&text), &policy, &why));
    assert_int_equal(policy.mode, own.mode);
    assert_int_equal(policy.max_age, own.max_age);
    assert_int_equal(policy.patterns, own.mx_n);
    buf_clear(&text);
}

static void policies(void **state)
{
    struct config *config = parsed();

    (void)state;
    says(config, "other.example", "version: STSv1\r\nmode: testing\r\nmx: mail.example.org\r\nmax_age: 604800\r\n");
    says(config, "Example.ORG", "version: STSv1\r\nmode: enforce\r\nmx: mail.example.org\r\nmax_age: 2592000\r\n");
    says(config, "b.example", "version: STSv1\r\nmode: none\r\nmx: mx1.b.example\r\nmx: *.mx.b.example\r\nmax_age: 604800\r\n");
    config_free(config);
}

static void ids(void **state)
{
    char one[STS_ID_MAX + 1], other[STS_ID_MAX + 1];
    struct sts_record record;
    struct buf text;

    (void)state;
    sts_own_id(STR("version: STSv1\r\n"), one);
    sts_own_id(STR("version: STSv1\r\n"), other);
    assert_string_equal(one, other);
    sts_own_id(STR("version: STSv1\n"), other);
    assert_string_not_equal(one, other);
    buf_init(&text, 100);
    buf_addf(&text, "v=STSv1; id=%s", one);
    assert_true(sts_record_read(buf_str(&text), &record));
    assert_string_equal(record.id, one);
    buf_clear(&text);
}

static void mistakes(void **state)
{
    static const struct {
        const char *text, *says;
    } all[] = {
        {"hostname = m.example.org mta_sts \"example\" { }", "c:1: section mta_sts \"example\": expected mta_sts \"example.org\" { directives }"},
        {"hostname = m.example.org mta_sts \"a.example\" { mode = on }", "c:1: mode = \"on\": expected testing, enforce or none"},
        {"hostname = m.example.org mta_sts \"a.example\" { max_age = 366d }", "c:1: max_age = \"366d\": expected a time from 1h to 365d"},
        {"hostname = m.example.org mta_sts \"a.example\" { mx = { \"*\" } }", "c:1: mx = \"*\": expected a host name, or *. and a domain"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct config *config = NULL;
        struct err err = {0};

        assert_false(config_parse(&config, STR("c"), str_of(all[i].text), &err));
        assert_string_equal(err.text, all[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies),
        cmocka_unit_test(ids),
        cmocka_unit_test(mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
