/* SPF, DKIM, DMARC, MTA-STS, TLSRPT: each read as others would read it. */
#include "dns/records.h"
#include "judge.h"
#include "mailauth/dmarc_record.h"
#include "mailauth/spf.h"
#include "mailauth/tag_list.h"
#include "tlspolicy/sts_policy.h"
#include "tlspolicy/tlsrpt.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT = 16384, LEVELS = 8, SENDERS = OUTSIDE_ADDRESSES + OUTSIDE_SENDERS };

/* ---- SPF, by the machine that judges the mail of others ---- */

struct spf_run {
    struct outside_check *check;
    char name[DNS_NAME_TEXT];
    unsigned type;
    bool asked, done;
};

static void on_ask(void *owner, struct str name, unsigned type)
{
    struct spf_run *run = owner;

    run->asked = name.n < sizeof run->name;
    run->type = type;
    memcpy(run->name, name.p, run->asked ? name.n : 0);
    run->name[run->asked ? name.n : 0] = 0;
}

static void on_done(void *owner)
{
    ((struct spf_run *)owner)->done = true;
}

/* The result for one address; false: it needs an answer that is not there yet. */
static bool run_spf(struct outside_check *c, const struct outside_sender *s, struct str sender, enum spf_result *result, struct str *reason)
{
    static const struct spf_world world = {on_ask, on_done};
    struct spf_run run = {.check = c};
    struct spf_subject subject = {.ip = s->ip, .helo = s->helo, .sender = sender, .receiver = c->facts->hostname, .now = c->now};
    struct spf *spf = spf_new(&world, &run, &subject);

    spf_start(spf);
    while (!run.done && run.asked) {
        const struct outside_question *q = judge_look(c, str_of(run.name), run.type);

        run.asked = false;
        if (q != NULL)
            spf_answer(spf, q->status, q->records);
    }
    if (run.done) {
        *result = spf_result_of(spf);
        *reason = judge_text(c, "%.*s", STR_ARG(spf_reason_of(spf)));
    }
    spf_free(spf);
    return run.done;
}

static void note_spf(struct outside_check *c, struct str domain, const struct outside_sender *s, const struct outside_record *publish,
    enum spf_result result, struct str reason)
{
    char ip[IP_TEXT];

    ip_format(&s->ip, ip);
    if (result == SPF_NONE)
        judge_note(c, domain, OUTSIDE_ERROR, publish, "it has no SPF record");
    else if (result == SPF_TEMPERROR)
        judge_note_unknown(c, domain, "DNS does not answer: %.*s", STR_ARG(reason));
    else
        judge_note(c, domain, OUTSIDE_ERROR, publish, "mail from %s comes out as %s: %.*s", ip, spf_result_name(result), STR_ARG(reason));
}

/* All sending addresses; the first that does not pass is told. */
static void judge_spf_of(struct outside_check *c, struct str domain, struct str sender, const struct outside_record *publish,
    const struct outside_sender *senders, size_t n)
{
    size_t passed = 0;

    for (size_t i = 0; i < n; i++) {
        enum spf_result result;
        struct str reason;

        if (!run_spf(c, &senders[i], sender, &result, &reason))
            continue;
        if (result != SPF_PASS) {
            note_spf(c, domain, &senders[i], publish, result, reason);
            return;
        }
        passed++;
    }
    if (n > 0 && passed == n)
        judge_note(c, domain, OUTSIDE_OK, NULL, "mail from %zu address%s passes", n, n == 1 ? "" : "es");
}

void judge_spf(struct outside_check *c)
{
    struct outside_sender senders[SENDERS];
    struct str sender = judge_text(c, "postmaster@%.*s", STR_ARG(c->facts->domain));
    size_t n;

    if (judge_senders(c, senders, &n))
        judge_spf_of(c, c->facts->domain, sender, judge_expected(c, OUTSIDE_SPF, STR("")), senders, n);
}

void judge_helo_spf(struct outside_check *c)
{
    struct outside_sender senders[OUTSIDE_ADDRESSES + OUTSIDE_SENDERS];
    size_t n, own = 0;

    if (!judge_senders(c, senders, &n))
        return;
    while (own < n && str_ieq(senders[own].helo, c->facts->hostname))
        own++; /* those of pools say HELO with names of their own */
    judge_spf_of(c, c->facts->hostname, STR(""), judge_expected(c, OUTSIDE_HELO_SPF, STR("")), senders, own);
}

/* ---- DKIM ---- */

static bool same_key(struct str record, struct str wanted)
{
    struct tag_list *a = xcalloc(1, sizeof *a), *b = xcalloc(1, sizeof *b);
    struct buf x, y;
    bool same;

    buf_init(&x, TEXT);
    buf_init(&y, TEXT);
    same = tag_list_read(record, a) && tag_list_read(wanted, b) && tag_read_base64(tag_list_value(a, "p"), &x) &&
           tag_read_base64(tag_list_value(b, "p"), &y) && str_eq(buf_str(&x), buf_str(&y));
    buf_clear(&x);
    buf_clear(&y);
    free(a);
    free(b);
    return same;
}

/* One record, and it has the key: with several others would take any (RFC 6376 3.6.2.2). */
static bool has_key(const struct outside_question *q, struct str wanted, size_t *count)
{
    struct str rest = q->records, rdata;
    struct buf text;
    bool found = false;

    buf_init(&text, TEXT);
    for (*count = 0; dns_next_record(&rest, &rdata); ++*count) {
        buf_reset(&text);
        found |= dns_read_txt(rdata, &text) && same_key(buf_str(&text), wanted);
    }
    buf_clear(&text);
    return found && *count == 1;
}

static void judge_key(struct outside_check *c, const struct outside_key *key)
{
    const struct outside_record *publish = judge_expected(c, OUTSIDE_DKIM, key->name);
    const struct outside_question *q = judge_look(c, key->name, DNS_TXT);
    bool retired = str_eq(key->state, STR("retired"));
    size_t count;

    if (q == NULL)
        return;
    if (has_key(q, key->record, &count))
        judge_note(c, key->name, OUTSIDE_OK, NULL, "published; the key is %.*s", STR_ARG(key->state));
    else if (judge_is_silent(q))
        judge_note_unknown(c, key->name, "%.*s", STR_ARG(judge_found(c, q)));
    else if (count > 1)
        judge_note(c, key->name, OUTSIDE_ERROR, publish, "there are %zu records where one belongs", count);
    else if (q->status == DNS_OK)
        judge_note(c, key->name, OUTSIDE_ERROR, publish, "another key is published: %.*s", STR_ARG(judge_found(c, q)));
    else
        judge_note(c, key->name, retired ? OUTSIDE_WARNING : OUTSIDE_ERROR, publish, "the key (%.*s) is not published", STR_ARG(key->state));
}

void judge_dkim(struct outside_check *c)
{
    for (size_t i = 0; i < c->facts->key_count; i++)
        judge_key(c, &c->facts->keys[i]);
    if (c->facts->key_count == 0)
        judge_note(c, c->facts->domain, OUTSIDE_ERROR, NULL, "there are no keys: `staffetta dkim make %.*s` makes them", STR_ARG(c->facts->domain));
}

/* ---- DMARC ---- */

/* Appends the DMARC record of the answer; returns how many there are. */
static size_t dmarc_records(const struct outside_question *q, struct buf *text)
{
    struct str rest = q->records, rdata;
    struct buf one;
    size_t n = 0;

    buf_init(&one, TEXT);
    while (dns_next_record(&rest, &rdata)) {
        buf_reset(&one);
        if (!dns_read_txt(rdata, &one) || !dmarc_is_record(buf_str(&one)))
            continue;
        if (n++ == 0)
            buf_add(text, buf_str(&one));
    }
    buf_clear(&one);
    return n;
}

static void judge_dmarc_record(struct outside_check *c, struct str name, struct str text)
{
    const struct outside_record *publish = judge_expected(c, OUTSIDE_DMARC, STR(""));
    struct dmarc_record record;

    dmarc_read(text, &record);
    if (!record.p.valid)
        judge_note(c, name, OUTSIDE_ERROR, publish, "its policy (p=) is none of none, quarantine and reject: %.*s", STR_ARG(text));
    else if (record.rua.n == 0)
        judge_note(c, name, OUTSIDE_WARNING, publish, "it asks for no reports (rua=), so nobody tells you what is sent in your name: %.*s", STR_ARG(text));
    else
        judge_note(c, name, OUTSIDE_OK, NULL, "%.*s", STR_ARG(text));
}

/* At the domain, else at a parent that speaks for it (the tree walk; at most LEVELS names, all asked at once). */
void judge_dmarc(struct outside_check *c)
{
    const struct outside_record *publish = judge_expected(c, OUTSIDE_DMARC, STR(""));
    struct str own = judge_text(c, "_dmarc.%.*s", STR_ARG(c->facts->domain)), at = c->facts->domain;
    bool silent = false, found = false;
    struct buf text;

    buf_init(&text, TEXT);
    for (int i = 0; i < LEVELS && !found && str_find(at, '.') > 0; i++, at = str_skip(at, (size_t)str_find(at, '.') + 1)) {
        struct str name = judge_text(c, "_dmarc.%.*s", STR_ARG(at));
        const struct outside_question *q = judge_look(c, name, DNS_TXT);
        size_t n = q == NULL ? 0 : dmarc_records(q, &text);

        silent = silent || (q != NULL && judge_is_silent(q));
        if (q == NULL || n == 0)
            continue;
        found = true;
        if (n > 1)
            judge_note(c, name, OUTSIDE_ERROR, publish, "there are %zu DMARC records, so none counts", n);
        else
            judge_dmarc_record(c, name, buf_str(&text));
    }
    buf_clear(&text);
    if (!found && silent)
        judge_note_unknown(c, own, "DNS does not answer");
    else if (!found)
        judge_note(c, own, OUTSIDE_ERROR, publish, "there is no DMARC record");
}

/* ---- MTA-STS, TLSRPT ---- */

static void judge_sts_host(struct outside_check *c)
{
    const struct outside_record *r = judge_expected(c, OUTSIDE_STS_HOST, STR(""));
    bool here = r != NULL && judge_leads_here(c, r->name);
    const struct outside_question *a = r == NULL ? NULL : judge_look(c, r->name, DNS_A);

    if (a == NULL)
        return;
    if (here && !c->facts->sts_covered)
        judge_note(c, r->name, OUTSIDE_ERROR, NULL, "no certificate is for this name: nobody takes the policy from there");
    else if (here)
        judge_note(c, r->name, OUTSIDE_OK, NULL, "leads to this server");
    else if (judge_is_silent(a))
        judge_note_unknown(c, r->name, "%.*s", STR_ARG(judge_found(c, a)));
    else
        judge_note(c, r->name, OUTSIDE_ERROR, r, "the policy is fetched from this name, and it does not lead to this server");
}

/* Nothing is said where this server hands out no policy: then it is not its business. */
void judge_sts(struct outside_check *c)
{
    const struct outside_record *publish = judge_expected(c, OUTSIDE_STS, STR(""));
    const struct outside_question *q = publish == NULL ? NULL : judge_look(c, publish->name, DNS_TXT);
    enum policy_found found;
    struct sts_record record;

    if (q == NULL)
        return;
    found = sts_record_of(q->records, &record);
    if (judge_is_silent(q))
        judge_note_unknown(c, publish->name, "%.*s", STR_ARG(judge_found(c, q)));
    else if (found == POLICY_NONE)
        judge_note(c, publish->name, OUTSIDE_WARNING, publish, "there is no MTA-STS record");
    else if (found == POLICY_BAD)
        judge_note(c, publish->name, OUTSIDE_ERROR, publish, "the MTA-STS record is not in order, or there are several: %.*s", STR_ARG(judge_found(c, q)));
    else if (!str_eq(str_of(record.id), c->facts->sts_id))
        judge_note(c, publish->name, OUTSIDE_ERROR, publish, "its id is not the one of the policy, which others therefore do not fetch anew: %s", record.id);
    else
        judge_note(c, publish->name, OUTSIDE_OK, NULL, "it names the policy this server hands out");
    judge_sts_host(c);
}

void judge_tlsrpt(struct outside_check *c)
{
    const struct outside_record *publish = judge_expected(c, OUTSIDE_TLSRPT, STR(""));
    const struct outside_question *q = publish == NULL ? NULL : judge_look(c, publish->name, DNS_TXT);
    struct tlsrpt_record record;
    enum policy_found found;
    struct buf text;

    if (q == NULL)
        return;
    buf_init(&text, TEXT);
    found = policy_text_choose(q->records, STR("v=TLSRPTv1"), &text);
    if (judge_is_silent(q))
        judge_note_unknown(c, publish->name, "%.*s", STR_ARG(judge_found(c, q)));
    else if (found == POLICY_NONE)
        judge_note(c, publish->name, OUTSIDE_WARNING, publish, "there is no TLSRPT record");
    else if (found == POLICY_BAD || !tlsrpt_record_read(buf_str(&text), &record))
        judge_note(c, publish->name, OUTSIDE_WARNING, publish, "the TLSRPT record asks for nothing, or there are several: %.*s", STR_ARG(judge_found(c, q)));
    else
        judge_note(c, publish->name, OUTSIDE_OK, NULL, "%.*s", STR_ARG(buf_str(&text)));
    buf_clear(&text);
}
