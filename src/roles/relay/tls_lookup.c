/* See tls_lookup.h. A server whose name is an alias has two names that TLSA records may be of: the one its CNAMEs lead to, if
 * they and the addresses are signed, then its own. Where the addresses are not signed but the alias is, only its own. */
#include "tls_lookup.h"

#include <stdio.h>
#include <stdlib.h>

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
};

static void on_answer(struct dns_query *query, const struct msg_dns_reply *reply);

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
    if (--l->open == 0)
        l->done(l->owner);
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

struct tls_lookup *tls_lookup_start(struct relay *relay, struct plan *plan, void (*done)(void *owner), void *owner)
{
    struct tls_lookup *l = xcalloc(1, sizeof *l);

    *l = (struct tls_lookup){.relay = relay, .plan = plan, .done = done, .owner = owner};
    l->open++; /* holds the end back until all are asked */
    for (size_t i = 0; i < plan->n && role_config(relay->role)->relay.dane; i++)
        start(l, i);
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
    free(l);
}
