/* TLS of a connection: what the policies ask for (tls_rule.h) and whether the server has shown it. DANE is checked once the
 * handshake is done and before anything is said in it. */
#include "connection.h"

#include <stdio.h>
#include <string.h>

enum { CHAIN_MAX = DANE_CHAIN_MAX * DANE_OCTETS_MAX };

static const struct target *target_of(const struct connection *k)
{
    return &k->plan->targets[k->winner->candidate.target];
}

/* The server of k->winner in the plan of what is carried now: that of the first delivery may be another one. */
static size_t target_in(const struct connection *k, const struct plan *plan)
{
    const struct target *mine = target_of(k);

    for (size_t i = 0; i < plan->n; i++)
        if (plan->targets[i].port == mine->port && strcmp(plan->targets[i].host, mine->host) == 0)
            return i;
    return PLAN_TARGETS;
}

void secure_rule(const struct connection *k, struct tls_rule *rule)
{
    tls_rule_of(k->plan, k->winner->candidate.target, k->way.tls, k->d->m.flags, rule);
}

void secure_describe(struct connection *k)
{
    size_t target = target_in(k, k->d->plan), n;
    enum tls_result result = k->checked;
    struct tls_rule rule;

    if (target == PLAN_TARGETS)
        return;
    tls_rule_of(k->d->plan, target, k->way.tls, k->d->m.flags, &rule);
    tls_rule_text(&rule, k->policy);
    if (rule.look && k->was_ready && !(k->proof & PROOF_TLS))
        result = TLS_STARTTLS_NOT_SUPPORTED;
    n = strlen(k->policy);
    if (result != TLS_OK && (rule.look || rule.need != NEED_ANY))
        snprintf(k->policy + n, sizeof k->policy - n, "; %s", tls_result_name(result));
}

void secure_start(struct connection *k)
{
    static const enum conn_verify how[] = {[NEED_ANY] = CONN_VERIFY_OFF, [NEED_TLS] = CONN_VERIFY_OFF, [NEED_DANE] = CONN_VERIFY_OFF,
        [NEED_PKI] = CONN_VERIFY};
    const struct target *t = target_of(k);
    struct tls_rule rule;
    const char *name;
    char ip[IP_TEXT];

    secure_rule(k, &rule);
    ip_format(&k->winner->ip, ip);
    name = t->literal ? ip : rule.need == NEED_DANE ? plan_tlsa_base(t) : t->host;
    k->winner->tls_handshake = true;
    conn_total_limit(k->winner->conn, role_config(k->relay->role)->relay.command_time);
    conn_start_tls_client(k->winner->conn, k->relay->tls, name, rule.look ? CONN_VERIFY_LOOK : how[rule.need]);
}

static size_t read_chain(struct str records, struct str chain[DANE_CHAIN_MAX])
{
    size_t n = 0;

    while (n < DANE_CHAIN_MAX && dns_next_record(&records, &chain[n]))
        n++;
    return n;
}

/* The name of the TLSA records, that of the MX and the domain itself may be in the certificate (RFC 7672 3.2.2). */
static struct dane_verdict check_dane(const struct connection *k)
{
    const struct target *t = target_of(k);
    struct str names[] = {str_of(plan_tlsa_base(t)), str_of(t->host), destination_domain(k->d->at)}, chain[DANE_CHAIN_MAX];
    struct dane_verdict verdict;
    struct dane_set set;
    struct buf records;

    buf_init(&records, CHAIN_MAX);
    conn_tls_chain(k->winner->conn, &records, DANE_CHAIN_MAX);
    plan_tlsa(k->plan, t, &set);
    verdict = dane_verify(&set, chain, read_chain(buf_str(&records), chain), names, sizeof names / sizeof names[0],
        clock_now() / SECOND);
    buf_clear(&records);
    return verdict;
}

void secure_done(struct connection *k)
{
    struct dane_verdict verdict = {.result = TLS_OK, .reason = ""};
    struct tls_rule rule;

    k->proof = PROOF_TLS;
    secure_rule(k, &rule);
    if (rule.need == NEED_DANE) {
        verdict = check_dane(k);
        k->checked = verdict.result;
        k->proof |= verdict.result == TLS_OK ? PROOF_DANE : 0;
    } else if (rule.look || rule.need == NEED_PKI) {
        k->checked = dane_result_of(conn_tls_verified(k->winner->conn));
        k->proof |= k->checked == TLS_OK ? PROOF_PKI : 0;
    }
    secure_describe(k);
    if (tls_rule_is_met(&rule, k->proof))
        client_secured(k->client, (k->proof & (PROOF_DANE | PROOF_PKI)) != 0);
    else
        client_lost(k->client, false, true, verdict.reason);
}

void secure_failed(struct connection *k)
{
    struct tls_rule rule;

    if (k->d == NULL)
        return;
    secure_rule(k, &rule);
    if (rule.need == NEED_PKI)
        k->checked = dane_result_of(conn_tls_verified(k->winner->conn));
    secure_describe(k);
}
