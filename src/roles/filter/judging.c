/* See judging.h. */
#include "judging.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "filter.h"
#include "tally.h"

#include <stdlib.h>

struct judging {
    struct filter *filter;
    struct link link; /* in to_hurry, then in to_give_up */
    const struct judging_owner *calls;
    void *owner;
    struct judge *judge;
    struct dns_query queries[JUDGE_ASKERS];
    int64_t deadline; /* monotonic; 0: the message is not whole yet */
    uint64_t message;
    struct tally_rcpts rcpts;
    bool given_up, decided, told;
    struct verdict verdict;
    struct buf words;
};

/* ---- what is counted ---- */

#define JUDGED(method, result)                                                                     \
    METRIC_COUNTER_L("staffetta_filter_judged_total", "method=\"" method "\",result=\"" result "\"", \
        "Results of checks of mail from strangers; of DKIM one for each signature.")

static struct metric spf_results[] = {[SPF_NONE] = JUDGED("spf", "none"), [SPF_NEUTRAL] = JUDGED("spf", "neutral"),
    [SPF_PASS] = JUDGED("spf", "pass"), [SPF_FAIL] = JUDGED("spf", "fail"), [SPF_SOFTFAIL] = JUDGED("spf", "softfail"),
    [SPF_TEMPERROR] = JUDGED("spf", "temperror"), [SPF_PERMERROR] = JUDGED("spf", "permerror")};
static struct metric dkim_results[] = {[DKIM_NONE] = JUDGED("dkim", "none"), [DKIM_PASS] = JUDGED("dkim", "pass"),
    [DKIM_FAIL] = JUDGED("dkim", "fail"), [DKIM_POLICY] = JUDGED("dkim", "policy"), [DKIM_NEUTRAL] = JUDGED("dkim", "neutral"),
    [DKIM_TEMPERROR] = JUDGED("dkim", "temperror"), [DKIM_PERMERROR] = JUDGED("dkim", "permerror")};
static struct metric dmarc_results[] = {[DMARC_RESULT_PASS] = JUDGED("dmarc", "pass"), [DMARC_RESULT_NONE] = JUDGED("dmarc", "none"),
    [DMARC_RESULT_PERMERROR] = JUDGED("dmarc", "permerror"), [DMARC_RESULT_TEMPERROR] = JUDGED("dmarc", "temperror"),
    [DMARC_RESULT_FAIL] = JUDGED("dmarc", "fail")};
static struct metric iprev_results[] = {[IPREV_PASS] = JUDGED("iprev", "pass"), [IPREV_FAIL] = JUDGED("iprev", "fail"),
    [IPREV_TEMPERROR] = JUDGED("iprev", "temperror"), [IPREV_PERMERROR] = JUDGED("iprev", "permerror")};
static struct metric verdicts[] = {
    [VERDICT_ACCEPT] = METRIC_COUNTER_L("staffetta_filter_verdicts_total", "verdict=\"accept\"", "Mail from strangers, by what was done about it."),
    [VERDICT_JUNK] = METRIC_COUNTER_L("staffetta_filter_verdicts_total", "verdict=\"junk\"", "Mail from strangers, by what was done about it."),
    [VERDICT_REFUSE] = METRIC_COUNTER_L("staffetta_filter_verdicts_total", "verdict=\"refuse\"", "Mail from strangers, by what was done about it."),
};
static struct metric questions = METRIC_COUNTER("staffetta_filter_dns_questions_total", "Questions asked of the resolver.");
static struct metric given_up = METRIC_COUNTER("staffetta_filter_dns_given_up_total", "Messages that went on without answers of DNS, because those took too long.");

static void show(struct metric *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        metric_show(&all[i]);
}

void judgings_show_metrics(void)
{
    show(spf_results, sizeof spf_results / sizeof *spf_results);
    show(dkim_results, sizeof dkim_results / sizeof *dkim_results);
    show(dmarc_results, sizeof dmarc_results / sizeof *dmarc_results);
    show(iprev_results, sizeof iprev_results / sizeof *iprev_results);
    show(verdicts, sizeof verdicts / sizeof *verdicts);
    show(&questions, 1);
    show(&given_up, 1);
}

static void count(const struct judge *j)
{
    metric_add(&spf_results[judge_spf(j)], 1);
    metric_add(&iprev_results[judge_iprev(j)], 1);
    if (judge_signatures(j) == 0)
        metric_add(&dkim_results[DKIM_NONE], 1);
    for (size_t i = 0; i < judge_signatures(j); i++)
        metric_add(&dkim_results[judge_signature(j, i)->result], 1);
    if (judge_dmarc(j) != NULL)
        metric_add(&dmarc_results[judge_dmarc(j)->result], 1);
}

/* ---- questions ---- */

static void send_question(void *world, const struct msg_dns_ask *ask)
{
    struct filter *f = world;
    struct channel *resolver = role_peer(f->role, ROLE_RESOLVER, 0);

    if (resolver != NULL)
        ipc_send_dns_ask(resolver, ask); /* else asked again when it is back */
}

static void on_answer(struct dns_query *query, const struct msg_dns_reply *m)
{
    struct judging *g = query->owner;
    enum dns_status status = m->status <= DNS_BOGUS ? (enum dns_status)m->status : DNS_SERVFAIL;

    judge_answer(g->judge, (enum judge_asker)(query - g->queries), status, m->records);
    g->calls->after(g->owner);
}

static bool ask(void *owner, enum judge_asker who, struct str name, unsigned type)
{
    struct judging *g = owner;
    struct dns_client *dns = &g->filter->judgings.dns;

    if (dns->pending.count >= FILTER_QUESTIONS_MAX)
        return false;
    metric_add(&questions, 1);
    return dns_client_ask(dns, &g->queries[who], name, type, on_answer, g);
}

static void on_done(void *owner)
{
    struct judging *g = owner;

    list_remove(&g->link);
    g->calls->done(g->owner);
}

static const struct judge_world world = {ask, on_done};

void judging_on_dns_reply(struct role *role, struct channel *from, const struct msg_dns_reply *m)
{
    struct filter *f = role_state(role);

    (void)from;
    dns_client_reply(&f->judgings.dns, m);
}

/* ---- all of them ---- */

void judgings_init(struct filter *f)
{
    dns_client_init(&f->judgings.dns, send_question, f);
    list_init(&f->judgings.to_hurry.list);
    list_init(&f->judgings.to_give_up.list);
    f->judgings.keys = dkim_key_cache_new();
    judgings_set_policy(f);
}

void judgings_set_policy(struct filter *f)
{
    judge_policy_set(&f->judgings.policy, role_config(f->role));
}

void judgings_resolver_up(struct filter *f)
{
    dns_client_resend(&f->judgings.dns);
}

static struct judging *first_of(const struct waiting_list *w)
{
    struct link *first = list_first(&w->list);

    return first != NULL ? CONTAINER(first, struct judging, link) : NULL;
}

static int64_t next_of(const struct waiting_list *w)
{
    const struct judging *first = first_of(w);

    return first != NULL ? first->deadline : INT64_MAX;
}

int64_t judgings_next(const struct filter *f)
{
    int64_t hurry = next_of(&f->judgings.to_hurry), give_up = next_of(&f->judgings.to_give_up);

    return hurry < give_up ? hurry : give_up;
}

static struct judging *due(const struct waiting_list *w, int64_t now)
{
    struct judging *first = first_of(w);

    return first != NULL && first->deadline <= now ? first : NULL;
}

static void wait_until(struct waiting_list *w, struct judging *g, int64_t deadline)
{
    if (w->last < deadline)
        w->last = deadline;
    g->deadline = w->last;
    list_add_last(&w->list, &g->link);
}

static void count_given_up(struct judging *g)
{
    metric_add(&given_up, !g->given_up);
    g->given_up = true;
}

static void cancel(struct judging *g, bool dmarc_too)
{
    for (size_t i = 0; i < JUDGE_ASKERS; i++)
        if (i != JUDGE_DMARC || dmarc_too)
            dns_client_cancel(&g->filter->judgings.dns, &g->queries[i]);
}

static int64_t last_fifth(const struct judgings *all)
{
    return all->policy.time / 5;
}

static void hurry(struct judging *g, int64_t now)
{
    struct judgings *all = &g->filter->judgings;

    list_remove(&g->link);
    cancel(g, false);
    wait_until(&all->to_give_up, g, now + last_fifth(all)); /* done takes it out again */
    if (judge_hurry(g->judge))
        count_given_up(g);
    g->calls->after(g->owner);
}

static void give_up(struct judging *g)
{
    list_remove(&g->link);
    cancel(g, true);
    count_given_up(g);
    judge_give_up(g->judge);
    g->calls->after(g->owner);
}

void judgings_sweep(struct filter *f, int64_t now)
{
    struct judging *g;

    while ((g = due(&f->judgings.to_hurry, now)) != NULL)
        hurry(g, now);
    while ((g = due(&f->judgings.to_give_up, now)) != NULL)
        give_up(g);
}

/* ---- one ---- */

struct judging *judging_begin(struct filter *f, const struct msg_txn_begin *begin, const struct judging_owner *calls, void *owner)
{
    const struct judge_policy *policy = &f->judgings.policy;
    struct judge_subject subject = {.helo = begin->helo, .sender = begin->sender, .hostname = f->hostname, .now = clock_now(),
        .utf8 = (begin->flags & TXN_SMTPUTF8) != 0, .dmarc = policy->dmarc != DMARC_MODE_OFF,
        .keys = f->judgings.keys};
    struct judging *g;

    if (!judge_policy_wants(policy, begin, &subject.client))
        return NULL;
    g = xcalloc(1, sizeof *g);
    g->filter = f;
    g->calls = calls;
    g->owner = owner;
    g->message = begin->message;
    buf_init(&g->words, IPC_TEXT);
    g->judge = judge_new(&world, g, &subject);
    return g;
}

void judging_free(struct judging *g)
{
    if (g == NULL)
        return;
    list_remove(&g->link);
    cancel(g, true);
    judge_free(g->judge);
    verdict_clear(&g->verdict);
    buf_clear(&g->words);
    free(g);
}

struct judge *judging_judge(struct judging *g)
{
    return g != NULL ? g->judge : NULL;
}

size_t judging_held(const struct judging *g)
{
    return g != NULL ? sizeof *g + judge_held(g->judge) : 0;
}

void judging_ended(struct judging *g, int64_t now)
{
    struct judgings *all = &g->filter->judgings;

    if (!judge_is_done(g->judge))
        wait_until(&all->to_hurry, g, now + all->policy.time - last_fifth(all));
}

const struct verdict *judging_verdict(struct judging *g)
{
    char id[MSGID_TEXT + 1], ip[IP_TEXT];

    if (g->decided)
        return &g->verdict;
    g->decided = true;
    verdict_of(g->judge, &g->filter->judgings.policy, &g->verdict);
    judge_write_summary(g->judge, &g->words);
    if (g->verdict.action == VERDICT_JUNK)
        buf_add(&g->words, STR(" verdict=junk"));
    if (g->verdict.sealer.n > 0)
        buf_addf(&g->words, " sealer=%.*s", STR_ARG(g->verdict.sealer));
    count(g->judge);
    metric_add(&verdicts[g->verdict.action], 1);
    msgid_format(g->message, id);
    ip_format(judge_client(g->judge), ip);
    log_info("judged", "message=%s client=%s verdict=%s found=%.*s", id, ip, verdict_action_name(g->verdict.action), STR_ARG(buf_str(&g->words)));
    return &g->verdict;
}

void judging_rcpt(struct judging *g, struct str address)
{
    if (g != NULL)
        tally_rcpt(&g->rcpts, address);
}

void judging_tell(struct judging *g)
{
    if (g == NULL || !g->decided || g->told)
        return;
    g->told = true;
    if (g->filter->judgings.policy.reports)
        tally_message(&g->filter->tally, g->message, g->judge, &g->verdict, &g->rcpts);
}

struct str judging_author(const struct judging *g)
{
    const struct dmarc_outcome *o = g != NULL && g->decided ? judge_dmarc(g->judge) : NULL;

    return o != NULL && o->result == DMARC_RESULT_PASS ? o->author : STR("");
}

struct str judging_words(const struct judging *g)
{
    return g != NULL && g->decided ? buf_str(&g->words) : (struct str){0};
}
