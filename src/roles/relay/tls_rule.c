/* See tls_rule.h. */
#include "tls_rule.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const basis_names[] = {[BASIS_NONE] = "none", [BASIS_ROUTE] = "route", [BASIS_DANE] = "dane",
    [BASIS_STS] = "sts", [BASIS_STS_TESTING] = "sts-testing", [BASIS_REQUIRETLS] = "requiretls", [BASIS_WAIVED] = "waived"};

static const enum tls_need needs_of_route[] = {[TLS_OPPORTUNISTIC] = NEED_ANY, [TLS_NONE] = NEED_ANY, [TLS_REQUIRED] = NEED_TLS,
    [TLS_VERIFIED] = NEED_PKI, [TLS_IMPLICIT] = NEED_PKI};

PRINTF(2, 3) static void because(struct tls_rule *rule, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(rule->why, sizeof rule->why, format, args);
    va_end(args);
}

static void begin(struct tls_rule *rule, enum route_tls route)
{
    static const char *const words[] = {[TLS_OPPORTUNISTIC] = "", [TLS_NONE] = "the route says tls=none",
        [TLS_REQUIRED] = "the route says tls=required", [TLS_VERIFIED] = "the route says tls=verified",
        [TLS_IMPLICIT] = "the route says tls=implicit"};

    *rule = (struct tls_rule){.basis = route == TLS_OPPORTUNISTIC ? BASIS_NONE : BASIS_ROUTE, .need = needs_of_route[route],
        .published = TLSRPT_NO_POLICY};
    because(rule, "%s", words[route]);
}

static void refuse(struct tls_rule *rule, enum tls_result result)
{
    rule->skip = true;
    rule->result = result;
}

/* True when DANE says what is needed. */
static bool by_dane(const struct target *t, struct tls_rule *rule)
{
    if (t->dane == DANE_OPPORTUNISTIC)
        return false;
    rule->basis = BASIS_DANE;
    rule->published = TLSRPT_TLSA;
    if (t->dane == DANE_SKIP) {
        because(rule, "the TLSA records of %s cannot be had, or are forged", t->host);
        refuse(rule, TLS_DNSSEC_INVALID);
    } else if (t->dane == DANE_ENCRYPT) {
        because(rule, "signed TLSA records of %s, none of which can be used: any certificate", t->host);
        rule->need = rule->need == NEED_PKI ? NEED_PKI : NEED_TLS;
    } else {
        because(rule, "signed TLSA records of %s", plan_tlsa_base(t));
        rule->need = NEED_DANE;
    }
    return true;
}

static bool by_sts(const struct plan *plan, const struct target *t, struct tls_rule *rule)
{
    bool allowed, enforced = plan->sts.known && plan->sts.policy.mode == STS_ENFORCE;

    if (!plan->sts.known || plan->sts.policy.mode == STS_NONE)
        return false;
    allowed = sts_policy_allows(&plan->sts.policy, str_of(t->host));
    rule->basis = enforced ? BASIS_STS : BASIS_STS_TESTING;
    rule->published = TLSRPT_STS;
    rule->look = !enforced;
    if (enforced)
        rule->need = NEED_PKI;
    if (allowed) {
        because(rule, "an MTA-STS policy that allows %s", t->host);
        return true;
    }
    because(rule, "%s is not among the servers of the MTA-STS policy", t->host);
    rule->result = TLS_VALIDATION_FAILURE;
    rule->skip = enforced;
    return true;
}

static void why_none(const struct plan *plan, const struct target *t, struct tls_rule *rule)
{
    const char *sts = plan->sts.known ? "MTA-STS policy of mode none" : "no MTA-STS policy";

    if (!plan->by_mx || t->literal)
        because(rule, "nothing is published for a server that was not looked up by MX");
    else if (!plan->secure)
        because(rule, "MX records not signed by DNSSEC, %s", sts);
    else if (t->unsigned_address)
        because(rule, "addresses of %s not signed by DNSSEC, %s", t->host, sts);
    else
        because(rule, "no signed TLSA records of %s, %s", t->host, sts);
}

/* The recipient's servers must be known for sure (RFC 8689 4.2.1), and so must the one we talk to. */
static void by_requiretls(const struct plan *plan, const struct target *t, struct tls_rule *rule)
{
    bool sts = plan->sts.known && plan->sts.policy.mode != STS_NONE && sts_policy_allows(&plan->sts.policy, str_of(t->host));

    rule->basis = BASIS_REQUIRETLS;
    rule->look = false;
    if (rule->need != NEED_DANE)
        rule->need = NEED_PKI;
    if (rule->skip || !plan->by_mx || plan->secure || sts)
        return;
    because(rule, "REQUIRETLS, and the MX records are not signed (DNSSEC), nor in an MTA-STS policy");
    rule->skip = rule->lasting = true;
}

void tls_rule_of(const struct plan *plan, size_t target, enum route_tls route, uint64_t flags, struct tls_rule *rule)
{
    const struct target *t = &plan->targets[target];

    begin(rule, route);
    if (route == TLS_NONE && !(flags & TXN_REQUIRETLS))
        return;
    if (!by_dane(t, rule) && !by_sts(plan, t, rule) && route == TLS_OPPORTUNISTIC)
        why_none(plan, t, rule);
    if (flags & TXN_REQUIRETLS) {
        by_requiretls(plan, t, rule);
    } else if (flags & TXN_TLS_OPTIONAL && rule->basis != BASIS_NONE && rule->basis != BASIS_ROUTE) {
        begin(rule, route);
        rule->basis = BASIS_WAIVED;
        because(rule, "the sender asks that no policy holds it up (TLS-Required: No)");
    }
}

bool tls_rule_is_met(const struct tls_rule *rule, unsigned proof)
{
    static const unsigned wanted[] = {[NEED_ANY] = 0, [NEED_TLS] = PROOF_TLS, [NEED_DANE] = PROOF_DANE, [NEED_PKI] = PROOF_PKI};

    return !rule->skip && (proof & wanted[rule->need]) == wanted[rule->need];
}

void tls_rule_text(const struct tls_rule *rule, char out[TLS_RULE_TEXT])
{
    snprintf(out, TLS_RULE_TEXT, "%s%s%s", basis_names[rule->basis], rule->why[0] != '\0' ? ": " : "", rule->why);
}
