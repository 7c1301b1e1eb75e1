/* A domain: where its mail goes, and how mail programs find its servers. */
#include "dns/text.h"
#include "judge.h"

enum { HOSTS = 20 };

void judge_mx(struct outside_check *c)
{
    const struct outside_question *mx = judge_look(c, c->facts->domain, DNS_MX);
    const struct outside_record *publish = judge_expected(c, OUTSIDE_MX, STR(""));
    struct dns_mx hosts[HOSTS];
    bool ours = false;
    size_t n;

    if (mx == NULL)
        return;
    n = dns_read_mx(mx->records, hosts, HOSTS);
    for (size_t i = 0; i < n; i++)
        ours = ours || str_ieq(str_of(hosts[i].host), c->facts->hostname);
    if (judge_is_silent(mx))
        judge_note_unknown(c, c->facts->domain, "%.*s", STR_ARG(judge_found(c, mx)));
    else if (n == 0)
        judge_note(c, c->facts->domain, OUTSIDE_ERROR, publish, "the domain has no MX record");
    else if (!ours)
        judge_note(c, c->facts->domain, OUTSIDE_ERROR, publish, "its mail goes elsewhere: %.*s", STR_ARG(judge_found(c, mx)));
    else
        judge_note(c, c->facts->domain, OUTSIDE_OK, NULL, "%s%.*s", n > 1 ? "with others: " : "", STR_ARG(judge_found(c, mx)));
}

/* The number right; each one that is wrong is told. */
static size_t count_expected(struct outside_check *c, enum outside_kind kind, unsigned type, size_t *silent)
{
    size_t right = 0;

    for (size_t i = 0; i < c->records.n; i++) {
        const struct outside_record *r = &c->records.items[i];
        const struct outside_question *q;

        if (r->kind != kind || r->type != type || (q = judge_look(c, r->name, r->type)) == NULL)
            continue;
        if (judge_holds(q, r->data))
            right++;
        else if (judge_is_silent(q))
            ++*silent;
        else
            judge_note(c, r->name, OUTSIDE_WARNING, r, q->status == DNS_OK ? "it says something else: %.*s" : "%.*s", STR_ARG(judge_found(c, q)));
    }
    return right;
}

static void judge_srv_of(struct outside_check *c, enum outside_kind kind)
{
    size_t silent = 0, right = count_expected(c, kind, DNS_SRV, &silent);

    if (silent > 0)
        judge_note_unknown(c, c->facts->domain, "DNS does not answer for %zu of the records", silent);
    if (right > 0)
        judge_note(c, c->facts->domain, OUTSIDE_OK, NULL, "%zu record%s as %s should be", right, right == 1 ? "" : "s", right == 1 ? "it" : "they");
}

void judge_srv(struct outside_check *c)
{
    judge_srv_of(c, OUTSIDE_SRV);
}

/* Names that may lead here by a CNAME or by addresses. */
static void judge_names(struct outside_check *c, enum outside_kind kind)
{
    for (size_t i = 0; i < c->records.n; i++) {
        const struct outside_record *r = &c->records.items[i];

        if (r->kind != kind || r->type != DNS_CNAME)
            continue;
        if (judge_leads_here(c, r->name))
            judge_note(c, r->name, OUTSIDE_OK, NULL, "leads to this server");
        else if (!c->waits) {
            const struct outside_question *a = judge_look(c, r->name, DNS_A);

            if (a != NULL && judge_is_silent(a))
                judge_note_unknown(c, r->name, "%.*s", STR_ARG(judge_found(c, a)));
            else
                judge_note(c, r->name, OUTSIDE_WARNING, r, "it does not lead to this server");
        }
    }
}

void judge_autoconfig(struct outside_check *c)
{
    judge_names(c, OUTSIDE_AUTOCONFIG);
    judge_srv_of(c, OUTSIDE_AUTOCONFIG);
}
