/* See verdict.h. */
#include "verdict.h"
#include "mailauth/dmarc_author.h"
#include "rescue.h"

#include <stdlib.h>
#include <string.h>

/* ---- the settings ---- */

static struct network_list copy_networks(const struct network_list *list)
{
    struct network_list copy = {xcalloc(list->n + 1, sizeof *copy.items), list->n};

    for (size_t i = 0; i < list->n; i++)
        copy.items[i] = list->items[i];
    return copy;
}

static struct domain_list copy_domains(struct str_list from)
{
    struct domain_list list = {xcalloc(from.n + 1, sizeof *list.items), 0};
    char canonical[DNS_NAME_TEXT];

    for (size_t i = 0; i < from.n; i++)
        if (dmarc_canonical_domain(from.items[i], canonical))
            list.items[list.n++] = str_dup(str_of(canonical));
    return list;
}

static void clear_domains(struct domain_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        str_free(&list->items[i]);
    free(list->items);
}

bool domain_list_holds(const struct domain_list *list, struct str domain)
{
    for (size_t i = 0; i < list->n; i++) {
        struct str one = list->items[i];

        if (str_ieq(domain, one))
            return true;
        if (domain.n > one.n && domain.p[domain.n - one.n - 1] == '.' && str_ieq(str_skip(domain, domain.n - one.n), one))
            return true;
    }
    return false;
}

void judge_policy_clear(struct judge_policy *p)
{
    clear_domains(&p->exempt_domains);
    clear_domains(&p->trusted_sealers);
    free(p->exempt_nets.items);
    free(p->neighbours.items);
    *p = (struct judge_policy){0};
}

static enum dmarc_mode mode_of(struct str text)
{
    if (str_eq(text, STR("enforce")))
        return DMARC_MODE_ENFORCE;
    return str_eq(text, STR("report")) ? DMARC_MODE_REPORT : DMARC_MODE_OFF;
}

void judge_policy_set(struct judge_policy *p, const struct config *config)
{
    judge_policy_clear(p);
    p->check = config->auth.check;
    p->refuse_spf_fail = config->auth.refuse_spf_fail;
    p->dmarc = mode_of(config->auth.dmarc);
    p->time = config->auth.time;
    p->reports = config->auth.report_from.n > 0;
    p->exempt_nets = copy_networks(&config->exempt_nets);
    p->neighbours = copy_networks(&config->relay_nets);
    p->exempt_domains = copy_domains(config->exempt_domains);
    p->trusted_sealers = copy_domains(config->auth.trusted_sealers);
}

bool judge_policy_wants(const struct judge_policy *p, const struct msg_txn_begin *begin, struct ip *client)
{
    if (!p->check || begin->account != 0 || begin->flags & (TXN_SUBMISSION | TXN_LOCAL | TXN_LMTP))
        return false;
    return ip_parse(begin->client, client) && !ip_is_loopback(client) && !network_list_holds(&p->neighbours, client);
}

static bool is_exempt(const struct judge_policy *p, const struct ip *client, struct str domain)
{
    return network_list_holds(&p->exempt_nets, client) || domain_list_holds(&p->exempt_domains, domain);
}

/* ---- the verdict ---- */

const char *verdict_action_name(enum verdict_action action)
{
    static const char *const names[] = {"accept", "junk", "refuse"};

    return names[action];
}

static void let_pass(struct verdict *v, enum aggregate_reason reason, const char *why)
{
    v->reason = reason;
    v->why = why;
}

static void refuse_for_dmarc(const struct dmarc_outcome *o, struct verdict *v)
{
    v->action = VERDICT_REFUSE;
    v->code = 550;
    buf_addf(&v->text, "5.7.1 The domain %.*s in the From field lets mail be refused that neither SPF nor DKIM vouches for "
        "(DMARC, TXT record of _dmarc.%.*s)", STR_ARG(o->author), STR_ARG(o->policy_domain));
}

static void refuse_for_spf(const struct judge *j, struct verdict *v)
{
    struct str why = judge_spf_explanation(j);
    char ip[IP_TEXT], domain[DNS_NAME_TEXT] = "";

    ip_format(judge_client(j), ip);
    v->action = VERDICT_REFUSE;
    v->code = 550;
    let_pass(v, AGGREGATE_LOCAL_POLICY, "SPF fail is refused here");
    dmarc_canonical_domain(judge_spf_domain(j), domain);
    buf_addf(&v->text, "5.7.23 %s may not send for %s (SPF, TXT record of that domain)", ip, domain);
    if (why.n > 0) /* not our words: RFC 7208 6.2 */
        buf_addf(&v->text, "; %s explains: %.*s", domain, STR_ARG(str_sub(why, 0, 500)));
}

static void apply_policy(const struct dmarc_outcome *o, struct verdict *v)
{
    if (o->policy != o->published)
        let_pass(v, AGGREGATE_TEST_MODE, "");
    if (o->policy == DMARC_REJECT)
        refuse_for_dmarc(o, v);
    else if (o->policy == DMARC_QUARANTINE)
        v->action = VERDICT_JUNK;
}

static void apply_fail(const struct judge *j, const struct judge_policy *p, const struct dmarc_outcome *o, struct verdict *v)
{
    if (o->policy == DMARC_NONE)
        apply_policy(o, v);
    else if (p->dmarc != DMARC_MODE_ENFORCE)
        let_pass(v, AGGREGATE_LOCAL_POLICY, "policies are not enforced here");
    else if (is_exempt(p, judge_client(j), o->author))
        let_pass(v, AGGREGATE_LOCAL_POLICY, "exempt here");
    else if (!o->bad_from && rescue_by_seal(j, &p->trusted_sealers, o->author, &v->sealer))
        let_pass(v, AGGREGATE_FORWARDER, "arc=pass");
    else
        apply_policy(o, v);
}

/* Nothing is refused because DNS failed, nor because of From itself. But it is not let in as if nothing were wrong: then every domain
 * could be pretended that has a slow name server somewhere, or with a second From. */
static void set_aside(const struct judge *j, const struct judge_policy *p, const struct dmarc_outcome *o, struct verdict *v)
{
    bool in_doubt = o->result == DMARC_RESULT_TEMPERROR && o->policy != DMARC_NONE;

    if (!(o->bad_from || in_doubt) || v->action != VERDICT_ACCEPT || p->dmarc != DMARC_MODE_ENFORCE || is_exempt(p, judge_client(j), o->author))
        return;
    if (!o->bad_from && rescue_by_seal(j, &p->trusted_sealers, o->author, &v->sealer))
        return;
    v->action = VERDICT_JUNK;
    let_pass(v, AGGREGATE_LOCAL_POLICY, o->bad_from ? "the author is not clear" : "DNS failed");
}

static void apply_dmarc(const struct judge *j, const struct judge_policy *p, struct verdict *v)
{
    const struct dmarc_outcome *o = judge_dmarc(j);

    if (o == NULL)
        return;
    if (o->result == DMARC_RESULT_FAIL)
        apply_fail(j, p, o, v);
    set_aside(j, p, o, v);
}

void verdict_of(const struct judge *j, const struct judge_policy *policy, struct verdict *v)
{
    *v = (struct verdict){.action = VERDICT_ACCEPT, .why = ""};
    buf_init(&v->text, VERDICT_TEXT);
    if (policy->refuse_spf_fail && judge_spf(j) == SPF_FAIL && !is_exempt(policy, judge_client(j), judge_spf_domain(j)))
        refuse_for_spf(j, v);
    else
        apply_dmarc(j, policy, v);
}

void verdict_clear(struct verdict *v)
{
    buf_clear(&v->text);
}
