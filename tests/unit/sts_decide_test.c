/* The fault matrix of MTA-STS: every state of the record, of what is cached and of the fetch, and what each comes to. */
#include "tlspolicy/sts_decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

static const int64_t now = 1700000000;
static const struct sts_record one = {"1"}, two = {"2"};
static const struct sts_failed none = {.at = 0};

/* Fetched `ago` seconds ago, good for two days. */
static struct sts_cached cached(int64_t ago)
{
    return (struct sts_cached){true, one, STS_ENFORCE, 2 * 24 * 3600, now - ago};
}

enum { RECENT = 3600, OLD = 30 * 3600, OVER = 48 * 3600 };

static const struct {
    int64_t ago;               /* 0: nothing is cached */
    enum sts_lookup lookup;
    const struct sts_record *record;
    int64_t failed_ago;        /* 0: no fetch failed */
    const struct sts_record *failed;
    enum sts_step wanted;
} steps[] = {
    {0, STS_LOOKUP_NONE, NULL, 0, NULL, STS_NO_POLICY},
    {0, STS_LOOKUP_FAILED, NULL, 0, NULL, STS_NO_POLICY},
    {0, STS_LOOKUP_FOUND, &one, 0, NULL, STS_FETCH},
    {0, STS_LOOKUP_FOUND, &one, 299, &one, STS_NO_POLICY},
    {0, STS_LOOKUP_FOUND, &one, 300, &one, STS_FETCH},
    {0, STS_LOOKUP_FOUND, &two, 1, &one, STS_FETCH},
    {0, STS_LOOKUP_FOUND, &one, -5, &one, STS_FETCH}, /* the clock was set back */
    /* an attacker who takes the record away, or DNS, changes nothing while the policy is fresh */
    {RECENT, STS_LOOKUP_NONE, NULL, 0, NULL, STS_USE_CACHED},
    {RECENT, STS_LOOKUP_FAILED, NULL, 0, NULL, STS_USE_CACHED},
    {RECENT, STS_LOOKUP_FOUND, &one, 0, NULL, STS_USE_CACHED},
    {RECENT, STS_LOOKUP_FOUND, &two, 0, NULL, STS_FETCH},
    {RECENT, STS_LOOKUP_FOUND, &two, 10, &two, STS_USE_CACHED},
    {RECENT, STS_LOOKUP_FOUND, &two, 10, &one, STS_FETCH},
    {OLD, STS_LOOKUP_FOUND, &one, 0, NULL, STS_FETCH},
    {OLD, STS_LOOKUP_FOUND, &one, 10, &one, STS_USE_CACHED},
    {OLD, STS_LOOKUP_FAILED, NULL, 0, NULL, STS_USE_CACHED},
    {OVER, STS_LOOKUP_NONE, NULL, 0, NULL, STS_NO_POLICY},
    {OVER, STS_LOOKUP_FAILED, NULL, 0, NULL, STS_NO_POLICY},
    {OVER, STS_LOOKUP_FOUND, &one, 0, NULL, STS_FETCH},
    {OVER, STS_LOOKUP_FOUND, &one, 10, &one, STS_NO_POLICY},
    {-10, STS_LOOKUP_NONE, NULL, 0, NULL, STS_NO_POLICY}, /* fetched in the future: not to be believed */
};

static void next_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct sts_cached c = steps[i].ago == 0 ? (struct sts_cached){.present = false} : cached(steps[i].ago);
        struct sts_failed f = steps[i].failed_ago == 0 ? none : (struct sts_failed){now - steps[i].failed_ago, *steps[i].failed};

        if (sts_next_step(&c, steps[i].lookup, steps[i].record, &f, now) != steps[i].wanted)
            fail_msg("step %zu", i);
    }
}

static const struct {
    enum sts_fetch fetch;
    const char *report;
} fetches[] = {
    {STS_UNREACHABLE, "sts-policy-fetch-error"},
    {STS_CERTIFICATE, "sts-webpki-invalid"},
    {STS_STATUS, "sts-policy-fetch-error"},
    {STS_MEDIA_TYPE, "sts-policy-invalid"},
    {STS_TOO_LARGE, "sts-policy-invalid"},
    {STS_INVALID, "sts-policy-invalid"},
};

static void fetches_that_fail(void **state)
{
    const struct sts_cached absent = {.present = false}, fresh = cached(RECENT), over = cached(OVER);

    (void)state;
    for (size_t i = 0; i < sizeof fetches / sizeof fetches[0]; i++) {
        assert_int_equal(sts_after_fetch(&absent, fetches[i].fetch, now).step, STS_NO_POLICY);
        assert_int_equal(sts_after_fetch(&over, fetches[i].fetch, now).step, STS_NO_POLICY);
        assert_int_equal(sts_after_fetch(&fresh, fetches[i].fetch, now).step, STS_USE_CACHED);
        assert_string_equal(tls_result_name(sts_after_fetch(&fresh, fetches[i].fetch, now).report), fetches[i].report);
    }
    assert_int_equal(sts_after_fetch(&fresh, STS_FETCHED, now).step, STS_FETCH);
    assert_int_equal(sts_after_fetch(&fresh, STS_FETCHED, now).report, TLS_OK);
}

static void permits(void **state)
{
    (void)state;
    for (int mode = STS_NONE; mode <= STS_ENFORCE; mode++)
        for (int result = TLS_OK; result <= TLS_STS_WEBPKI_INVALID; result++) {
            struct sts_permit p = sts_permit((enum sts_mode)mode, (enum tls_result)result);

            assert_int_equal(p.deliver, result == TLS_OK || mode != STS_ENFORCE);
            assert_int_equal(p.report, result != TLS_OK && mode != STS_NONE);
            assert_int_equal(tls_result_name((enum tls_result)result)[0] == '\0', result == TLS_OK);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_steps),
        cmocka_unit_test(fetches_that_fail),
        cmocka_unit_test(permits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
