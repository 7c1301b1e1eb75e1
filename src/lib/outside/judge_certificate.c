/* The certificate: for whom and until when, and what DNS says about it. */
#include "base/clock.h"
#include "dns/text.h"
#include "judge.h"
#include "tlspolicy/dane.h"

#include <inttypes.h>

static void judge_times(struct outside_check *c, const struct outside_certificate *cert)
{
    struct str name = c->facts->hostname;
    int64_t left = cert->not_after - c->now;

    if (cert->not_before > c->now)
        judge_note(c, name, OUTSIDE_ERROR, NULL, "the certificate is not valid yet");
    else if (left <= 0)
        judge_note(c, name, OUTSIDE_ERROR, NULL, "the certificate ended %" PRId64 " days ago", -left / DAY);
    else if (left < c->facts->config->check.certificate_time)
        judge_note(c, name, OUTSIDE_WARNING, NULL, "the certificate ends in %" PRId64 " days: renew it", left / DAY);
    else if (cert->self_signed)
        judge_note(c, name, OUTSIDE_WARNING, NULL, "nobody but this server has signed its certificate: mail programs ask their user");
    else
        judge_note(c, name, OUTSIDE_OK, NULL, "signed by %s, for %" PRId64 " more days", cert->issuer[0] ? cert->issuer : "somebody", left / DAY);
}

void judge_certificate(struct outside_check *c)
{
    const struct outside_certificate *cert = &c->facts->certificate;

    if (!cert->there) {
        judge_note(c, c->facts->hostname, OUTSIDE_ERROR, NULL, "there is no certificate: mail comes and goes in clear text, and nobody can log in from elsewhere");
        return;
    }
    if (!outside_certificate_covers(cert, c->facts->hostname))
        judge_note(c, c->facts->hostname, OUTSIDE_ERROR, NULL, "the certificate is not for this name but for %s", cert->name_count ? cert->names[0] : "none");
    judge_times(c, cert);
}

/* Does a record name this certificate, as senders would judge? */
static bool fits(const struct outside_check *c, struct str records)
{
    struct str name = c->facts->hostname;
    struct dane_set set;
    struct dane_verdict verdict;

    dane_read(records, &set);
    if (set.n == 0 || c->facts->chain_count == 0)
        return false;
    verdict = dane_verify(&set, c->facts->chain, c->facts->chain_count, &name, 1, c->now / SECOND);
    return verdict.result == TLS_OK;
}

void judge_tlsa(struct outside_check *c)
{
    const struct outside_record *publish = judge_expected(c, OUTSIDE_TLSA, STR(""));
    const struct outside_question *q = publish == NULL ? NULL : judge_look(c, publish->name, DNS_TLSA);

    if (q == NULL)
        return;
    if (judge_is_silent(q))
        judge_note_unknown(c, publish->name, "%.*s", STR_ARG(judge_found(c, q)));
    else if (q->status != DNS_OK && q->secure)
        judge_note(c, publish->name, OUTSIDE_WARNING, publish, "the zone is signed with DNSSEC, but has no TLSA record: others could verify this server by it");
    else if (q->status != DNS_OK)
        judge_note(c, publish->name, OUTSIDE_OK, NULL, "there is none; it would be of use only in a zone signed with DNSSEC");
    else if (!fits(c, q->records))
        judge_note(c, publish->name, q->secure ? OUTSIDE_ERROR : OUTSIDE_WARNING, publish, "no record is for this certificate: %.*s", STR_ARG(judge_found(c, q)));
    else
        judge_note(c, publish->name, OUTSIDE_OK, NULL, q->secure ? "it is for this certificate" : "it is for this certificate; the zone is not signed with DNSSEC, so nobody looks at it");
}

/* Of the names from `name` up, the first that has CAA records (RFC 8659 3); NULL: none has, or it is not known yet. */
static const struct outside_question *closest_caa(struct outside_check *c, struct str name, struct str *where, bool *silent)
{
    const struct outside_question *found = NULL;

    for (*where = name; str_find(name, '.') > 0; name = str_skip(name, (size_t)str_find(name, '.') + 1)) {
        const struct outside_question *q = judge_look(c, name, DNS_CAA);

        if (q == NULL || found != NULL)
            continue; /* all are asked at once */
        *silent = *silent || judge_is_silent(q);
        if (q->status == DNS_OK) {
            found = q;
            *where = name;
        }
    }
    return c->waits ? NULL : found;
}

static bool allows(const struct outside_question *q, struct str authority)
{
    struct str rest = q->records, rdata, value;
    bool restricts = false;
    struct dns_caa caa;

    while (dns_next_record(&rest, &rdata)) {
        if (!dns_read_caa(rdata, &caa) || !str_ieq(caa.tag, STR("issue")))
            continue;
        restricts = true;
        if (str_next(&caa.value, ';', &value) && str_ieq(str_trim(value), authority))
            return true;
    }
    return !restricts;
}

void judge_caa(struct outside_check *c)
{
    const struct outside_record *publish = judge_expected(c, OUTSIDE_CAA, STR(""));
    struct str domain = c->facts->domain, where, authority;
    const struct outside_question *q;
    bool silent = false;
    ptrdiff_t quote;

    if (publish == NULL)
        return;
    q = closest_caa(c, domain, &where, &silent);
    quote = str_find(publish->data, '"');
    authority = str_sub(publish->data, (size_t)quote + 1, publish->data.n - 1);
    if (q == NULL && silent)
        judge_note_unknown(c, domain, "DNS does not answer");
    else if (q == NULL)
        judge_note(c, domain, OUTSIDE_WARNING, publish, "there is no such record: every authority may sign certificates for it");
    else if (allows(q, authority))
        judge_note(c, where, OUTSIDE_OK, NULL, "%.*s", STR_ARG(judge_found(c, q)));
    else
        judge_note(c, where, OUTSIDE_ERROR, publish, "it does not let %.*s sign certificates: %.*s", STR_ARG(authority), STR_ARG(judge_found(c, q)));
}
