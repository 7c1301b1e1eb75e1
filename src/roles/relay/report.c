/* See report.h. */
#include "report.h"
#include "base/random.h"
#include "connection.h"
#include "tlspolicy/tls_outcome.h"

#include <inttypes.h>
#include <stdio.h>

enum { RECORD_OCTETS = 64 };

static struct metric dropped = METRIC_COUNTER("staffetta_relay_events_dropped_total",
    "Results of TLS forgotten because the events role was away.");
static struct metric waiting = METRIC_GAUGE("staffetta_relay_events_waiting", "Results of TLS not acknowledged yet.");

void report_init(struct reporting *r, unsigned copy)
{
    uint64_t number;

    teller_init(&r->teller, &dropped, &waiting);
    random_bytes(&number, sizeof number);
    snprintf(r->name, sizeof r->name, "relay-%u-%016" PRIx64, copy, number);
}

void report_clear(struct reporting *r)
{
    teller_acknowledged(&r->teller, UINT64_MAX);
}

/* "3 1 1 0a0b...": whole certificates are cut. */
static void add_tlsa(const struct plan *plan, const struct target *t, struct buf *out)
{
    struct dane_set set;

    if (t->dane != DANE_AUTHENTICATE)
        return;
    plan_tlsa(plan, t, &set);
    for (size_t i = 0; i < set.n; i++) {
        const struct dns_tlsa *r = &set.records[i];

        buf_addf(out, "%u %u %u ", r->usage, r->selector, r->matching);
        for (size_t j = 0; j < r->data.n && j < RECORD_OCTETS; j++)
            buf_addf(out, "%02x", (unsigned char)r->data.p[j]);
        buf_add_char(out, '\n');
    }
}

static void tell(struct reporting *r, struct tls_outcome *o, const struct plan *plan, const struct target *t)
{
    struct buf policy, details;

    buf_init(&policy, STS_POLICY_MAX + 1);
    buf_init(&details, TLS_OUTCOME_MAX);
    if (o->type == TLSRPT_TLSA && t != NULL)
        add_tlsa(plan, t, &policy);
    else if (o->type == TLSRPT_STS && plan->sts.known)
        buf_add(&policy, plan->sts.policy.text);
    o->policy = buf_str(&policy);
    tls_outcome_write(o, &details);
    if (!details.failed)
        teller_add(&r->teller, &(struct msg_event){.time = clock_now(), .kind = EVENT_TLS, .sender = o->domain,
            .message_id = str_of(r->name), .details = buf_str(&details)});
    buf_clear(&policy);
    buf_clear(&details);
}

static enum tls_result result_of(const struct connection *k, const struct tls_rule *rule, bool ready)
{
    if (k->checked != TLS_OK)
        return k->checked;
    if (rule->result != TLS_OK) /* testing: a server that the policy does not name */
        return rule->result;
    if (ready)
        return k->proof & PROOF_TLS ? TLS_OK : TLS_STARTTLS_NOT_SUPPORTED;
    if (!k->failure.tls)
        return TLS_STARTTLS_NOT_SUPPORTED;
    return TLS_VALIDATION_FAILURE;
}

/* A session that failed for another reason than TLS is none. */
void report_session(struct connection *k, bool ready)
{
    const struct target *t = &k->plan->targets[k->winner->candidate.target];
    char receiving[IP_TEXT], sending[IP_TEXT] = "";
    struct tls_outcome o;
    struct tls_rule rule;

    secure_rule(k, &rule);
    if (k->d->plain & (1u << k->winner->candidate.target)) /* tried again without TLS, which has been told */
        return;
    if (k->reported || rule.published == TLSRPT_NO_POLICY ||
        (!ready && (k->failure.stage != STAGE_TLS || k->failure.outcome.reason != REASON_TLS)))
        return;
    k->reported = true;
    ip_format(&k->winner->ip, receiving);
    if (k->winner->source.family != 0)
        ip_format(&k->winner->source, sending);
    o = (struct tls_outcome){.domain = destination_domain(k->d->at), .type = rule.published, .result = result_of(k, &rule, ready), .mx = str_of(t->host),
        .receiving = str_of(receiving), .sending = str_of(sending)};
    tell(&k->relay->reporting, &o, k->plan, t);
}

void report_forbidden(struct reporting *r, const struct delivery *d, size_t target, const struct tls_rule *rule)
{
    const struct target *t = &d->plan->targets[target];
    struct tls_outcome o = {.domain = destination_domain(d->at), .type = rule->published, .result = rule->result, .mx = str_of(t->host)};

    if (rule->published != TLSRPT_NO_POLICY && rule->result != TLS_OK)
        tell(r, &o, d->plan, t);
}

void report_fetch(struct reporting *r, struct str domain, const struct plan *plan)
{
    struct tls_outcome o = {.domain = domain, .type = TLSRPT_STS, .result = plan->sts_failure};

    if (plan->sts_failure != TLS_OK)
        tell(r, &o, plan, NULL);
}
