/* See tls_lookup.h.
 *
 * A server whose name is an alias has two names that TLSA records may be of: the one its CNAMEs lead to, if
 * they and the addresses are signed, then its own. Where the addresses are not signed but the alias is, only its own.
 *
 * A domain without a record in DNS may have a policy that was fetched before (RFC 8461 3.1: one that is not there, or cannot be looked
 * up, takes none away), so events is asked in any case. While events is away, a domain with a record waits for it, as for DNS; one
 * without goes by the policy of the plan before this one, if there was one, which is what this process knows. */
#include "tls_lookup.h"
#include "tlspolicy/sts_decide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum step { STEP_ALIAS, STEP_OWN, STEP_IS_ALIAS_SIGNED };

struct question {
    struct dns_query query;
    struct tls_lookup *lookup;
    size_t target;
    enum step step;
};

struct tls_lookup {
    struct relay *relay;
    struct plan *plan;
    void (*done)(void *owner);
    void *owner;
    struct question questions[PLAN_TARGETS];
    size_t open;
    /* MTA-STS */
    struct link link; /* relay.policy_questions, while events is asked */
    struct str domain;
    const struct plan *before;
    struct dns_query txt;
    enum sts_lookup found;
    struct sts_record record;
    uint64_t id;
};

static void on_answer(struct dns_query *query, const struct msg_dns_reply *reply);

static void end_one(struct tls_lookup *l)
{
    if (--l->open == 0)
        l->done(l->owner);
}

/* ---- DANE ---- */

/* A name that is too long to be asked for has no records. */
static void ask(struct question *q, enum step step)
{
    struct tls_lookup *l = q->lookup;
    const struct target *t = &l->plan->targets[q->target];
    char name[DNS_NAME_TEXT + 16];

    q->step = step;
    if (step == STEP_IS_ALIAS_SIGNED)
        snprintf(name, sizeof name, "%s", t->host);
    else
        snprintf(name, sizeof name, "_%u._tcp.%s", t->port, step == STEP_ALIAS ? t->alias : t->host);
    if (dns_client_ask(&l->relay->dns, &q->query, str_of(name), step == STEP_IS_ALIAS_SIGNED ? DNS_CNAME : DNS_TLSA, on_answer, q))
        l->open++;
}

static void on_cname(struct question *q, struct target *t, const struct msg_dns_reply *reply)
{
    if (reply->status == DNS_OK && reply->secure)
        ask(q, STEP_OWN);
    else if (reply->status != DNS_OK && reply->status != DNS_NODATA && reply->status != DNS_NXDOMAIN)
        t->dane = DANE_SKIP;
}

static void on_answer(struct dns_query *query, const struct msg_dns_reply *reply)
{
    struct question *q = query->owner;
    struct tls_lookup *l = q->lookup;
    struct target *t = &l->plan->targets[q->target];

    if (q->step == STEP_IS_ALIAS_SIGNED)
        on_cname(q, t, reply);
    else
        plan_take_tlsa(l->plan, t, q->step == STEP_ALIAS, reply);
    if (q->step == STEP_ALIAS && t->dane == DANE_OPPORTUNISTIC)
        ask(q, STEP_OWN);
    end_one(l);
}

/* ---- MTA-STS ---- */

static void ask_events(struct tls_lookup *l, struct channel *events)
{
    ipc_send_sts_ask(events,
        &(struct msg_sts_ask){l->id, l->found, l->domain, str_of(l->found == STS_LOOKUP_FOUND ? l->record.id : "")});
}

static void on_record(struct dns_query *query, const struct msg_dns_reply *reply)
{
    struct tls_lookup *l = query->owner;
    struct channel *events = role_peer(l->relay->role, ROLE_EVENTS, 0);

    if (reply->status == DNS_OK && reply->ttl < l->plan->published_ttl)
        l->plan->published_ttl = (uint32_t)reply->ttl;
    if (reply->status == DNS_OK && sts_record_of(reply->records, &l->record) == POLICY_FOUND)
        l->found = STS_LOOKUP_FOUND;
    else if (reply->status != DNS_OK && reply->status != DNS_NODATA && reply->status != DNS_NXDOMAIN)
        l->found = STS_LOOKUP_FAILED;
    if (events == NULL && l->found != STS_LOOKUP_FOUND) {
        if (l->before != NULL && l->before->sts.known)
            (void)plan_take_sts(l->plan, l->before->sts.policy.text);
        end_one(l);
        return;
    }
    l->id = role_next_id(l->relay->role);
    list_add_last(&l->relay->policy_questions, &l->link);
    if (events != NULL)
        ask_events(l, events);
}

void tls_lookup_on_reply(struct role *role, struct channel *from, const struct msg_sts_reply *m)
{
    struct relay *relay = role_state(role);

    (void)from;
    LIST_EACH(&relay->policy_questions, it) {
        struct tls_lookup *l = CONTAINER(it, struct tls_lookup, link);

        if (l->id != m->id)
            continue;
        list_remove(it);
        if (m->known && plan_take_sts(l->plan, m->policy) && m->ttl < l->plan->published_ttl)
            l->plan->published_ttl = (uint32_t)m->ttl;
        l->plan->sts_failure = m->failure <= TLS_STS_WEBPKI_INVALID ? (enum tls_result)m->failure : TLS_OK;
        report_fetch(&relay->reporting, l->domain, l->plan);
        end_one(l);
        return;
    }
}

void tls_lookup_events_up(struct relay *relay)
{
    LIST_EACH(&relay->policy_questions, it)
        ask_events(CONTAINER(it, struct tls_lookup, link), role_peer(relay->role, ROLE_EVENTS, 0));
}

static void start_sts(struct tls_lookup *l)
{
    char name[DNS_NAME_TEXT + 16];

    snprintf(name, sizeof name, "_mta-sts.%.*s", STR_ARG(l->domain));
    if (l->plan->by_mx && l->domain.n < DNS_NAME_TEXT && dns_client_ask(&l->relay->dns, &l->txt, str_of(name), DNS_TXT, on_record, l))
        l->open++;
}

static void start(struct tls_lookup *l, size_t target)
{
    const struct target *t = &l->plan->targets[target];
    struct question *q = &l->questions[target];

    *q = (struct question){.lookup = l, .target = target};
    if (plan_may_have_tlsa(l->plan, t))
        ask(q, t->alias[0] != '\0' ? STEP_ALIAS : STEP_OWN);
    else if (l->plan->by_mx && l->plan->secure && t->alias[0] != '\0')
        ask(q, STEP_IS_ALIAS_SIGNED);
}

struct tls_lookup *tls_lookup_start(struct relay *relay, struct plan *plan, struct str domain, const struct plan *before,
    void (*done)(void *owner), void *owner)
{
    struct tls_lookup *l = xcalloc(1, sizeof *l);

    *l = (struct tls_lookup){.relay = relay, .plan = plan, .domain = domain, .before = before, .done = done, .owner = owner,
        .found = STS_LOOKUP_NONE};
    l->open++; /* holds the end back until all are asked */
    for (size_t i = 0; i < plan->n && role_config(relay->role)->relay.dane; i++)
        start(l, i);
    if (role_config(relay->role)->relay.mta_sts)
        start_sts(l);
    if (--l->open > 0)
        return l;
    tls_lookup_free(l);
    return NULL;
}

void tls_lookup_free(struct tls_lookup *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < PLAN_TARGETS; i++)
        dns_client_cancel(&l->relay->dns, &l->questions[i].query);
    dns_client_cancel(&l->relay->dns, &l->txt);
    list_remove(&l->link);
    free(l);
}
