/* See sts_decide.h. */
#include "sts_decide.h"

#include <string.h>

bool sts_is_fresh(const struct sts_cached *cached, int64_t now)
{
    return cached->present && now >= cached->fetched && now - cached->fetched < (int64_t)cached->max_age;
}

static bool same(const struct sts_record *a, const struct sts_record *b)
{
    return strcmp(a->id, b->id) == 0;
}

enum sts_step sts_next_step(const struct sts_cached *cached, enum sts_lookup lookup, const struct sts_record *record,
    const struct sts_failed *failed, int64_t now)
{
    bool fresh = sts_is_fresh(cached, now);
    enum sts_step otherwise = fresh ? STS_USE_CACHED : STS_NO_POLICY;

    if (lookup != STS_LOOKUP_FOUND)
        return otherwise;
    if (fresh && same(&cached->record, record) && now - cached->fetched < STS_REFRESH)
        return STS_USE_CACHED;
    if (failed->at > 0 && same(&failed->record, record) && now >= failed->at && now - failed->at < STS_RETRY)
        return otherwise;
    return STS_FETCH;
}

static const enum tls_result reports[] = {
    [STS_FETCHED] = TLS_OK,
    [STS_UNREACHABLE] = TLS_STS_FETCH_ERROR,
    [STS_CERTIFICATE] = TLS_STS_WEBPKI_INVALID,
    [STS_STATUS] = TLS_STS_FETCH_ERROR,
    [STS_MEDIA_TYPE] = TLS_STS_POLICY_INVALID,
    [STS_TOO_LARGE] = TLS_STS_POLICY_INVALID,
    [STS_INVALID] = TLS_STS_POLICY_INVALID,
};

/* A policy that cannot be fetched leaves the one there is, as long as it is fresh. */
struct sts_outcome sts_after_fetch(const struct sts_cached *cached, enum sts_fetch fetch, int64_t now)
{
    if (fetch == STS_FETCHED)
        return (struct sts_outcome){STS_FETCH, TLS_OK};
    return (struct sts_outcome){sts_is_fresh(cached, now) ? STS_USE_CACHED : STS_NO_POLICY, reports[fetch]};
}

struct sts_permit sts_permit(enum sts_mode mode, enum tls_result result)
{
    bool good = result == TLS_OK;

    return (struct sts_permit){.deliver = good || mode != STS_ENFORCE, .report = !good && mode != STS_NONE};
}
