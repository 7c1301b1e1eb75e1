/* What a domain's MTA-STS policy is right now, and what it means for one server (RFC 8461 3.3, 4, 5): the decisions alone, as
 * tables. Times in seconds. */
#pragma once
#include "sts_policy.h"
#include "tlsrpt.h"

enum { STS_RETRY = 300, STS_REFRESH = 24 * 3600 }; /* after a failed fetch; of a policy that is good (3.3) */

struct sts_cached {
    bool present;
    struct sts_record record;
    enum sts_mode mode;
    uint32_t max_age;
    int64_t fetched;
};
bool sts_is_fresh(const struct sts_cached *cached, int64_t now);

/* What DNS said of the record. */
enum sts_lookup { STS_LOOKUP_NONE, STS_LOOKUP_FOUND, STS_LOOKUP_FAILED };
/* The last fetch that failed; .at 0: none did. */
struct sts_failed {
    int64_t at;
    struct sts_record record;
};
enum sts_step { STS_NO_POLICY, STS_USE_CACHED, STS_FETCH };
/* record: with STS_LOOKUP_FOUND. Without a record a fresh policy still counts; a fetch that failed is not tried again for
 * STS_RETRY, unless the record has changed. */
enum sts_step sts_next_step(const struct sts_cached *cached, enum sts_lookup lookup, const struct sts_record *record,
    const struct sts_failed *failed, int64_t now);

enum sts_fetch {
    STS_FETCHED, STS_UNREACHABLE, STS_CERTIFICATE, STS_STATUS /* not 200 */, STS_MEDIA_TYPE, STS_TOO_LARGE, STS_INVALID,
};
struct sts_outcome {
    enum sts_step step;        /* STS_NO_POLICY or STS_USE_CACHED; STS_FETCH: the policy just fetched */
    enum tls_result report;    /* for TLSRPT; TLS_OK: nothing */
};
struct sts_outcome sts_after_fetch(const struct sts_cached *cached, enum sts_fetch fetch, int64_t now);

/* May mail go to a server where TLS came to this result? `report`: it goes into the report (6). */
struct sts_permit {
    bool deliver, report;
};
struct sts_permit sts_permit(enum sts_mode mode, enum tls_result result);
