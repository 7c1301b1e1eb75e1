/* A text as each of the things of MTA-STS and TLSRPT: records, a policy and the hosts it allows, an address to report to, a result to count. Every
 * view is inside the text; a policy allows what its patterns say and nothing else. */
#include "tlspolicy/sts_policy.h"
#include "tlspolicy/tls_outcome.h"
#include "tlspolicy/tlsrpt.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct str part, struct str all)
{
    return part.n == 0 || (part.p >= all.p && part.p + part.n <= all.p + all.n);
}

static void check_patterns(const struct sts_policy *policy)
{
    struct str rest = policy->text, pattern;
    unsigned n = 0;

    for (; sts_policy_next_pattern(&rest, &pattern); n++) {
        assert(inside(pattern, policy->text) && pattern.n > 0);
        if (str_find(pattern, '*') < 0)
            assert(sts_policy_allows(policy, pattern));
    }
    assert(n == policy->patterns && policy->max_age <= STS_AGE_MAX);
    assert(!sts_policy_allows(policy, STR("")) && !sts_policy_allows(policy, STR(".")));
}

/* What is read is written the same way again. */
static void check_outcome(struct str all)
{
    struct tls_outcome o, again;
    struct buf out;

    if (!tls_outcome_read(STR("a.example"), all, &o))
        return;
    assert(inside(o.mx, all) && inside(o.receiving, all) && inside(o.sending, all) && inside(o.policy, all));
    buf_init(&out, TLS_OUTCOME_MAX);
    tls_outcome_write(&o, &out);
    assert(!out.failed && tls_outcome_read(STR("a.example"), buf_str(&out), &again));
    assert(again.type == o.type && again.result == o.result && str_eq(again.mx, o.mx) && str_eq(again.receiving, o.receiving));
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size};
    struct tlsrpt_record report;
    struct sts_record record;
    struct sts_policy policy;
    const char *why = NULL;
    struct buf out;

    if (sts_record_read(all, &record))
        assert(record.id[0] != '\0' && strlen(record.id) <= STS_ID_MAX);
    (void)sts_record_of(all, &record);
    if (sts_policy_read(all, &policy, &why))
        check_patterns(&policy);
    else
        assert(why != NULL);
    (void)sts_is_media_type(all);
    check_outcome(all);
    buf_init(&out, 2000);
    (void)tlsrpt_mail_address(all, &out);
    if (tlsrpt_record_read(all, &report)) {
        assert(report.n > 0 && report.n <= TLSRPT_URIS_MAX);
        for (size_t i = 0; i < report.n; i++) {
            assert(inside(report.uris[i], all));
            (void)tlsrpt_mail_address(report.uris[i], &out);
        }
    }
    buf_clear(&out);
    return 0;
}
