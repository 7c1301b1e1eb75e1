/* See judge.h. The machines inside ask and say that they are done from inside the calls made to them: that is only
 * noted there, and looked at when the call is over (settle), so no machine is entered while it is at work. */
#include "judge.h"
#include "base/clock.h"
#include "base/err.h"
#include "mailauth/spf.h"

#include <stdlib.h>
#include <string.h>

struct asker {
    struct judge *judge;
    bool over;  /* its machine is done, or there is none */
    bool wants; /* a question was noted and has to be sent */
    bool open;  /* one was sent and is not answered */
    unsigned type;
    char name[DNS_NAME_TEXT]; /* empty: it was too long */
};

struct judge {
    const struct judge_world *world;
    void *owner;
    struct str hostname;
    struct ip client;
    bool utf8, null_sender;
    struct spf *spf, *helo;
    struct iprev *iprev;
    struct dkim_verify *dkim;
    struct arc_verify *arc;
    struct dmarc *dmarc;
    struct asker askers[JUDGE_ASKERS];
    bool ended, dmarc_started, given_up, settling, done;
};

/* ---- what the machines call ---- */

static void note_question(void *owner, struct str name, unsigned type)
{
    struct asker *a = owner;

    a->wants = true;
    a->type = type;
    a->name[0] = 0;
    if (name.n < sizeof a->name) {
        memcpy(a->name, name.p, name.n);
        a->name[name.n] = 0;
    }
}

static void note_over(void *owner)
{
    struct asker *a = owner;

    a->over = true;
    a->wants = a->open = false;
}

/* Signatures that DMARC may count come first. */
static bool is_urgent(void *owner, struct str domain)
{
    const struct asker *a = owner;

    return a->judge->dmarc != NULL && dmarc_may_concern(a->judge->dmarc, domain);
}

static const struct spf_world spf_world = {note_question, note_over};
static const struct iprev_world iprev_world = {note_question, note_over};
static const struct dkim_verify_world dkim_world = {note_question, note_over, is_urgent};
static const struct arc_verify_world arc_world = {note_question, note_over};
static const struct dmarc_world dmarc_world = {note_question, note_over};

/* ---- */

static struct spf *new_spf(struct judge *j, enum judge_asker who, const struct judge_subject *s, struct str sender)
{
    return spf_new(&spf_world, &j->askers[who],
        &(struct spf_subject){.ip = s->client, .helo = s->helo, .sender = sender, .receiver = s->hostname, .now = s->now});
}

struct judge *judge_new(const struct judge_world *world, void *owner, const struct judge_subject *s)
{
    struct judge *j = xcalloc(1, sizeof *j);

    *j = (struct judge){.world = world, .owner = owner, .hostname = s->hostname, .client = s->client, .utf8 = s->utf8,
        .null_sender = s->sender.n == 0};
    for (size_t i = 0; i < JUDGE_ASKERS; i++)
        j->askers[i].judge = j;
    j->spf = new_spf(j, JUDGE_SPF, s, s->sender);
    if (!j->null_sender)
        j->helo = new_spf(j, JUDGE_HELO, s, (struct str){0});
    j->iprev = iprev_new(&iprev_world, &j->askers[JUDGE_IPREV], &s->client);
    j->dkim = dkim_verify_new(&dkim_world, &j->askers[JUDGE_DKIM], (uint64_t)(s->now / SECOND));
    j->arc = arc_verify_new(&arc_world, &j->askers[JUDGE_ARC], (uint64_t)(s->now / SECOND));
    dkim_verify_use_keys(j->dkim, s->keys);
    arc_verify_use_keys(j->arc, s->keys);
    if (s->dmarc)
        j->dmarc = dmarc_new(&dmarc_world, &j->askers[JUDGE_DMARC]);
    j->askers[JUDGE_HELO].over = j->helo == NULL;
    j->askers[JUDGE_DMARC].over = j->dmarc == NULL;
    return j;
}

void judge_free(struct judge *j)
{
    if (j == NULL)
        return;
    spf_free(j->spf);
    spf_free(j->helo);
    iprev_free(j->iprev);
    dkim_verify_free(j->dkim);
    arc_verify_free(j->arc);
    dmarc_free(j->dmarc);
    free(j);
}

/* ---- DMARC, when the others are done ---- */

static bool may_start_dmarc(const struct judge *j)
{
    return j->dmarc != NULL && !j->dmarc_started && j->askers[JUDGE_SPF].over && j->askers[JUDGE_DKIM].over;
}

/* A signature that leaves a part of the body out vouches for no author: anybody may have added that part. */
static void start_dmarc(struct judge *j)
{
    j->dmarc_started = true;
    if (spf_result_of(j->spf) == SPF_PASS)
        dmarc_add_spf(j->dmarc, spf_domain_of(j->spf));
    else if (spf_result_of(j->spf) == SPF_TEMPERROR)
        dmarc_add_unsure(j->dmarc, spf_domain_of(j->spf), true);
    for (size_t i = 0; i < dkim_verify_count(j->dkim); i++) {
        const struct dkim_outcome *o = dkim_verify_outcome(j->dkim, i);

        if (o->result == DKIM_PASS && o->unsigned_octets == 0)
            dmarc_add_dkim(j->dmarc, o->domain);
        else if (o->result == DKIM_TEMPERROR)
            dmarc_add_unsure(j->dmarc, o->domain, false);
    }
    dmarc_start(j->dmarc);
    if (j->given_up && !j->askers[JUDGE_DMARC].over)
        dmarc_give_up(j->dmarc);
}

/* ---- questions and answers ---- */

static void pass_answer(struct judge *j, enum judge_asker who, enum dns_status status, struct str records)
{
    switch (who) {
    case JUDGE_SPF:
        spf_answer(j->spf, status, records);
        break;
    case JUDGE_HELO:
        spf_answer(j->helo, status, records);
        break;
    case JUDGE_IPREV:
        iprev_answer(j->iprev, status, records);
        break;
    case JUDGE_DKIM:
        dkim_verify_answer(j->dkim, status, records);
        break;
    case JUDGE_ARC:
        arc_verify_answer(j->arc, status, records);
        break;
    case JUDGE_DMARC:
        dmarc_answer(j->dmarc, status, records);
        break;
    case JUDGE_ASKERS:
        break;
    }
}

/* Sends what was noted; true if there was something. */
static bool send_questions(struct judge *j)
{
    bool sent = false;

    for (unsigned i = 0; i < JUDGE_ASKERS; i++) {
        struct asker *a = &j->askers[i];

        if (!a->wants)
            continue;
        a->wants = false;
        a->open = sent = true;
        if ((a->name[0] == 0 || !j->world->ask(j->owner, i, str_of(a->name), a->type)) && a->open) {
            a->open = false;
            pass_answer(j, i, DNS_SERVFAIL, (struct str){0});
        }
    }
    return sent;
}

static bool all_over(const struct judge *j)
{
    for (size_t i = 0; i < JUDGE_ASKERS; i++)
        if (!j->askers[i].over)
            return false;
    return true;
}

/* After every call of a machine: what did it leave to do? */
static void settle(struct judge *j)
{
    if (j->settling)
        return;
    j->settling = true;
    for (bool more = true; more;) {
        more = send_questions(j);
        if (may_start_dmarc(j)) {
            start_dmarc(j);
            more = true;
        }
    }
    j->settling = false;
    if (j->ended && !j->done && all_over(j)) {
        j->done = true;
        j->world->done(j->owner);
    }
}

void judge_answer(struct judge *j, enum judge_asker who, enum dns_status status, struct str records)
{
    if (who >= JUDGE_ASKERS || !j->askers[who].open)
        return;
    j->askers[who].open = false;
    pass_answer(j, who, status, records);
    settle(j);
}

bool judge_hurry(struct judge *j)
{
    bool open = false;

    if (j->done)
        return false;
    for (size_t i = 0; i < JUDGE_ASKERS; i++)
        open |= i != JUDGE_DMARC && !j->askers[i].over;
    if (!j->askers[JUDGE_SPF].over)
        spf_give_up(j->spf);
    if (!j->askers[JUDGE_HELO].over)
        spf_give_up(j->helo);
    if (!j->askers[JUDGE_IPREV].over)
        iprev_give_up(j->iprev);
    if (!j->askers[JUDGE_DKIM].over)
        dkim_verify_give_up(j->dkim);
    if (!j->askers[JUDGE_ARC].over)
        arc_verify_give_up(j->arc);
    settle(j);
    return open;
}

void judge_give_up(struct judge *j)
{
    if (j->done)
        return;
    j->given_up = true;
    (void)judge_hurry(j);
    if (j->done)
        return;
    dmarc_give_up(j->dmarc); /* all others are over, so it has started */
    settle(j);
}

/* ---- the message ---- */

void judge_start(struct judge *j)
{
    spf_start(j->spf);
    if (j->helo != NULL)
        spf_start(j->helo);
    iprev_start(j->iprev);
    settle(j);
}

void judge_field(struct judge *j, const struct header_field *f)
{
    if (f->name.n == 0)
        return; /* no field: the first line of a mailbox file */
    dkim_verify_field(j->dkim, f->raw);
    arc_verify_field(j->arc, f->raw);
    if (j->dmarc != NULL && f->name.n == 4 && str_ieq(f->name, STR("From")))
        dmarc_add_from(j->dmarc, f->value);
}

void judge_header_end(struct judge *j)
{
    dkim_verify_header_end(j->dkim);
    arc_verify_header_end(j->arc);
    settle(j);
}

void judge_body(struct judge *j, struct str bytes)
{
    dkim_verify_body(j->dkim, bytes);
    arc_verify_body(j->arc, bytes);
}

void judge_end(struct judge *j)
{
    j->ended = true;
    dkim_verify_end(j->dkim);
    arc_verify_end(j->arc);
    settle(j);
}

/* ---- what came of it ---- */

bool judge_is_done(const struct judge *j)
{
    return j->done;
}

size_t judge_held(const struct judge *j)
{
    return sizeof *j + spf_held(j->spf) + spf_held(j->helo) + iprev_held() + dkim_verify_held(j->dkim) + arc_verify_held(j->arc) +
           dmarc_held(j->dmarc);
}

const struct ip *judge_client(const struct judge *j)
{
    return &j->client;
}

enum spf_result judge_spf(const struct judge *j)
{
    return spf_result_of(j->spf);
}

bool judge_has_null_path(const struct judge *j)
{
    return j->null_sender;
}

struct str judge_spf_domain(const struct judge *j)
{
    return spf_domain_of(j->spf);
}

struct str judge_spf_explanation(const struct judge *j)
{
    return spf_explanation_of(j->spf);
}

enum iprev_result judge_iprev(const struct judge *j)
{
    return iprev_result_of(j->iprev);
}

size_t judge_signatures(const struct judge *j)
{
    return dkim_verify_count(j->dkim);
}

const struct dkim_outcome *judge_signature(const struct judge *j, size_t number)
{
    return dkim_verify_outcome(j->dkim, number);
}

const struct arc_outcome *judge_arc(const struct judge *j)
{
    return arc_verify_outcome(j->arc);
}

struct arc_set judge_arc_set(const struct judge *j, unsigned instance)
{
    return arc_verify_set(j->arc, instance);
}

const struct dmarc_outcome *judge_dmarc(const struct judge *j)
{
    return j->dmarc != NULL ? dmarc_outcome_of(j->dmarc) : NULL;
}

/* ---- in words ---- */

static void write_spf(const struct spf *spf, bool helo, struct auth_results *r)
{
    auth_results_spf(r, spf_result_of(spf), helo, spf_domain_of(spf), spf_reason_of(spf));
}

static void write_signature(const struct dkim_outcome *o, struct auth_results *r)
{
    struct buf reason;

    buf_init(&reason, AUTH_RESULTS_VALUE_MAX);
    buf_add(&reason, str_of(o->reason));
    if (o->unsigned_octets > 0)
        buf_addf(&reason, "%sl= leaves out %llu octets of the body", reason.n > 0 ? "; " : "", (unsigned long long)o->unsigned_octets);
    if (o->testing)
        buf_addf(&reason, "%sthe key is being tested", reason.n > 0 ? "; " : "");
    auth_results_dkim(r, &(struct auth_results_dkim){.result = dkim_result_name(o->result), .reason = buf_str(&reason),
        .domain = o->domain, .identity = o->identity, .selector = o->selector, .algorithm = o->algorithm, .signature = o->text});
    buf_clear(&reason);
}

static void write_signatures(const struct judge *j, struct auth_results *r)
{
    size_t others = dkim_verify_not_looked_at(j->dkim);
    struct buf reason;

    for (size_t i = 0; i < dkim_verify_count(j->dkim); i++)
        write_signature(dkim_verify_outcome(j->dkim, i), r);
    if (others > 0) {
        buf_init(&reason, AUTH_RESULTS_VALUE_MAX);
        buf_addf(&reason, "%zu signatures were not looked at", others);
        auth_results_add(r, "dkim", dkim_result_name(DKIM_POLICY), buf_str(&reason));
        buf_clear(&reason);
    } else if (dkim_verify_count(j->dkim) == 0) {
        auth_results_add(r, "dkim", dkim_result_name(DKIM_NONE), STR(""));
    }
}

/* Said only of mail that has a chain. */
static void write_arc(const struct judge *j, struct auth_results *r)
{
    const struct arc_outcome *o = judge_arc(j);

    if (o->result != ARC_NONE)
        auth_results_arc(r, arc_result_name(o->result), str_of(o->reason), &j->client, o->result == ARC_PASS ? (int)o->oldest_pass : -1);
}

/* DMARC first: where there is not room for all, it is what counts. */
void judge_write_field(const struct judge *j, struct buf *out)
{
    struct auth_results r;

    auth_results_begin(&r, j->hostname, j->utf8);
    if (j->dmarc != NULL)
        auth_results_dmarc(&r, dmarc_outcome_of(j->dmarc));
    write_spf(j->spf, j->null_sender, &r);
    if (j->helo != NULL)
        write_spf(j->helo, true, &r);
    auth_results_iprev(&r, iprev_result_of(j->iprev), &j->client);
    write_arc(j, &r);
    write_signatures(j, &r);
    buf_add(out, auth_results_end(&r));
    auth_results_clear(&r);
}

enum { SUMMARY_MAX = 3000 }; /* where no more signatures are told: others add to it */

static void write_word(struct buf *out, const char *method, const char *result, struct str domain)
{
    buf_addf(out, "%s%s=%s", out->n > 0 ? " " : "", method, result);
    if (domain.n > 0)
        buf_addf(out, " (%.*s)", STR_ARG(str_sub(domain, 0, DNS_NAME_TEXT)));
}

void judge_write_summary(const struct judge *j, struct buf *out)
{
    if (j->dmarc != NULL)
        write_word(out, "dmarc", dmarc_result_name(judge_dmarc(j)->result), judge_dmarc(j)->author);
    write_word(out, "spf", spf_result_name(judge_spf(j)), judge_spf_domain(j));
    write_word(out, "iprev", iprev_result_name(judge_iprev(j)), (struct str){0});
    if (judge_arc(j)->result != ARC_NONE)
        write_word(out, "arc", arc_result_name(judge_arc(j)->result), (struct str){0});
    if (judge_signatures(j) == 0)
        write_word(out, "dkim", dkim_result_name(DKIM_NONE), (struct str){0});
    for (size_t i = 0; i < judge_signatures(j) && out->n < SUMMARY_MAX; i++)
        write_word(out, "dkim", dkim_result_name(judge_signature(j, i)->result), judge_signature(j, i)->domain);
}
