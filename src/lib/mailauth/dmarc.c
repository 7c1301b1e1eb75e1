/* See dmarc.h. For each author: walk up from its domain until the policy (and, where a relaxed alignment is possible, the
 * Organizational Domain) is known; then walk from each identifier that may be aligned; then conclude, for which a name
 * may have to be tested for existence. `next` is what is done next when no question is open. */
#include "dmarc.h"
#include "base/arena.h"
#include "base/err.h"
#include "dmarc_walk.h"
#include "dns/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every record of every author's walk can be kept. */
enum { ARENA_MAX = 2 * DMARC_AUTHORS_MAX * DMARC_WALK_MAX * DMARC_RECORD_MAX, PREFIXED = DNS_NAME_TEXT + 8 };

struct identifier {
    struct str domain;
    bool spf;
    bool unsure; /* it could not be checked */
};

typedef void next_fn(struct dmarc *d);
typedef void answer_fn(struct dmarc *d, enum dns_status status, struct str records);

struct dmarc {
    const struct dmarc_world *world;
    void *owner;
    struct arena arena;
    struct dmarc_authors authors;
    struct identifier identifiers[DMARC_SIGNERS_MAX + 1];
    size_t identifier_n;
    size_t author_i, identifier_i;  /* under way */
    struct dmarc_walk own, other;   /* of the author, of the identifier */
    bool own_failed;                /* DNS failed on the way up: the Organizational Domain is not known */
    bool author_exists;             /* shown by the answer to the first question */
    bool unsure;                    /* an identifier might have been aligned, had DNS not failed */
    const struct dmarc_step *step;  /* whose record applies */
    struct dmarc_outcome now, worst;
    next_fn *next;
    answer_fn *on_answer; /* a question is open */
    bool over;
};

static void begin_author(struct dmarc *d);
static void next_identifier(struct dmarc *d);
static void conclude(struct dmarc *d);

const char *dmarc_result_name(enum dmarc_result result)
{
    static const char *const names[] = {"pass", "none", "permerror", "temperror", "fail"};

    return names[result];
}

/* ---- questions ---- */

static bool dns_failed(enum dns_status status)
{
    return status != DNS_OK && status != DNS_NODATA && status != DNS_NXDOMAIN;
}

static void ask(struct dmarc *d, struct str name, unsigned type, answer_fn *on_answer)
{
    d->on_answer = on_answer;
    d->world->ask(d->owner, name, type);
}

/* Asks for the record of the walk's next name. A name that is too long for the prefix has none. */
static void ask_record(struct dmarc *d, struct dmarc_walk *walk, answer_fn *on_answer)
{
    char name[PREFIXED];

    snprintf(name, sizeof name, "_dmarc.%.*s", STR_ARG(dmarc_walk_target(walk)));
    if (dns_name_can_be_asked(str_of(name)))
        ask(d, str_of(name), DNS_TXT, on_answer);
    else
        dmarc_walk_add(walk, STR(""));
}

/* Writes the only DMARC record among the TXT records; nothing where there is none, or more than one (4.10). */
static void choose_record(struct str records, struct buf *out)
{
    struct str rdata;
    struct buf one;
    unsigned n = 0;

    buf_init(&one, DMARC_RECORD_MAX);
    while (dns_next_record(&records, &rdata)) {
        buf_reset(&one);
        if (!dns_read_txt(rdata, &one) || !dmarc_is_record(buf_str(&one)))
            continue;
        buf_reset(out);
        if (++n == 1)
            buf_add(out, buf_str(&one));
    }
    buf_clear(&one);
}

/* Puts the answer into the walk; false when DNS failed. */
static bool take_record(struct dmarc *d, struct dmarc_walk *walk, enum dns_status status, struct str records)
{
    struct buf text;
    struct str kept = STR("");

    if (dns_failed(status))
        return false;
    buf_init(&text, DMARC_RECORD_MAX);
    if (status == DNS_OK)
        choose_record(records, &text);
    if (text.n > 0 && walk == &d->own)
        kept = arena_str(&d->arena, buf_str(&text));
    dmarc_walk_add(walk, walk == &d->own ? kept : buf_str(&text));
    if (walk != &d->own)
        walk->steps[walk->n - 1].text = STR("");
    buf_clear(&text);
    return true;
}

/* ---- the end of one author, and of all ---- */

static void finish(struct dmarc *d)
{
    const struct dmarc_authors *a = &d->authors;
    const char *fault = NULL;

    if (a->malformed)
        fault = "malformed From field";
    else if (a->fields != 1)
        fault = a->fields == 0 ? "no From field" : "more than one From field";
    else if (a->too_many)
        fault = "too many author domains";
    d->worst.bad_from = a->fields != 1 || a->too_many || (a->malformed && a->n == 0) || d->author_i < a->n;
    if (fault != NULL && d->worst.result < DMARC_RESULT_PERMERROR) {
        d->worst.result = DMARC_RESULT_PERMERROR;
        d->worst.reason = fault;
    }
    d->over = true;
    d->world->done(d->owner);
}

static bool is_worse(const struct dmarc_outcome *a, const struct dmarc_outcome *b)
{
    return a->result != b->result ? a->result > b->result : a->policy > b->policy;
}

static void end_author(struct dmarc *d, enum dmarc_result result, const char *reason)
{
    d->now.result = result;
    d->now.reason = reason;
    if (d->author_i == 0 || is_worse(&d->now, &d->worst))
        d->worst = d->now;
    d->author_i++;
    d->next = d->author_i < d->authors.n ? begin_author : finish;
}

/* ---- the author's record ---- */

static struct str author(const struct dmarc *d)
{
    return str_of(d->authors.domains[d->author_i]);
}

static struct str top_label(struct str domain)
{
    return str_skip(domain, (size_t)(str_rfind(domain, '.') + 1));
}

/* Is a walk needed to tell whether this identifier is aligned? */
static bool may_be_related(const struct dmarc *d, const struct identifier *id, const struct dmarc_record *record)
{
    bool strict = id->spf ? record->spf_strict : record->dkim_strict;
    bool known = id->spf ? d->now.spf_aligned : d->now.dkim_aligned;

    return !strict && !known && !str_eq(id->domain, author(d)) && str_eq(top_label(id->domain), top_label(author(d)));
}

/* The author's own record was found: is there a reason to go on to its Organizational Domain? */
static bool needs_organisation(const struct dmarc *d)
{
    struct dmarc_record record;

    dmarc_read(d->own.steps[0].text, &record);
    for (size_t i = 0; i < d->identifier_n; i++)
        if (may_be_related(d, &d->identifiers[i], &record))
            return true;
    return false;
}

static void choose_policy(struct dmarc *d)
{
    d->step = d->own_failed && (d->own.n == 0 || !d->own.steps[0].found) ? NULL : dmarc_walk_policy(&d->own);
    if (d->step == NULL) {
        if (d->own_failed)
            end_author(d, DMARC_RESULT_TEMPERROR, "DNS failed");
        else
            end_author(d, DMARC_RESULT_NONE, "no policy");
        return;
    }
    dmarc_read(d->step->text, &d->now.record);
    d->now.policy_domain = dmarc_walk_suffix(&d->own, d->step->labels);
    if (dmarc_is_usable(&d->now.record))
        d->next = next_identifier;
    else
        end_author(d, DMARC_RESULT_PERMERROR, "the record has no valid policy");
}

static void on_own_record(struct dmarc *d, enum dns_status status, struct str records)
{
    /* Where a name below it exists, so does the author's (RFC 8020). */
    if (d->own.n == 0)
        d->author_exists = status == DNS_OK || status == DNS_NODATA;
    if (take_record(d, &d->own, status, records))
        return;
    d->own_failed = true;
    d->next = choose_policy;
}

static void walk_own(struct dmarc *d)
{
    bool enough = d->own.n == 1 && d->own.steps[0].found && !needs_organisation(d);

    if (d->own.next == 0 || enough)
        d->next = choose_policy;
    else
        ask_record(d, &d->own, on_own_record);
}

static void note_alignment(struct dmarc *d, const struct identifier *id)
{
    if (id->unsure)
        d->unsure = true;
    else if (id->spf)
        d->now.spf_aligned = true;
    else
        d->now.dkim_aligned = true;
}

/* What is the same name is aligned, strictly and relaxed; no walk is needed for it (4.10.2). */
static void begin_author(struct dmarc *d)
{
    d->now = (struct dmarc_outcome){.author = author(d)};
    d->own_failed = d->author_exists = d->unsure = false;
    d->step = NULL;
    for (size_t i = 0; i < d->identifier_n; i++)
        if (str_eq(d->identifiers[i].domain, author(d)))
            note_alignment(d, &d->identifiers[i]);
    d->identifier_i = 0;
    dmarc_walk_begin(&d->own, author(d));
    d->next = walk_own;
}

/* ---- alignment ---- */

static bool is_at_or_below(struct str name, struct str domain)
{
    return str_eq(name, domain) ||
           (name.n > domain.n && name.p[name.n - domain.n - 1] == '.' && str_ends(name, domain));
}

static void end_identifier(struct dmarc *d, bool aligned)
{
    if (aligned)
        note_alignment(d, &d->identifiers[d->identifier_i]);
    d->identifier_i++;
    d->next = next_identifier;
}

static void on_other_record(struct dmarc *d, enum dns_status status, struct str records)
{
    if (take_record(d, &d->other, status, records))
        return;
    d->unsure = true;
    end_identifier(d, false);
}

static void walk_other(struct dmarc *d)
{
    const struct dmarc_step *known;

    if (d->other.next == 0) {
        end_identifier(d, str_eq(dmarc_walk_organisation(&d->other), dmarc_walk_organisation(&d->own)));
        return;
    }
    known = dmarc_walk_known(&d->own, dmarc_walk_target(&d->other));
    if (known != NULL)
        dmarc_walk_add(&d->other, known->text);
    else
        ask_record(d, &d->other, on_other_record);
}

static void next_identifier(struct dmarc *d)
{
    const struct identifier *id = &d->identifiers[d->identifier_i];

    if (d->identifier_i == d->identifier_n) {
        d->next = conclude;
    } else if (!may_be_related(d, id, &d->now.record)) {
        end_identifier(d, false);
    } else if (d->own_failed) {
        d->unsure = true;
        end_identifier(d, false);
    } else if (!is_at_or_below(id->domain, dmarc_walk_organisation(&d->own))) {
        end_identifier(d, false);
    } else {
        dmarc_walk_begin(&d->other, id->domain);
        d->next = walk_other;
    }
}

/* ---- the conclusion ---- */

static bool any_passed(const struct dmarc *d)
{
    for (size_t i = 0; i < d->identifier_n; i++)
        if (!d->identifiers[i].unsure)
            return true;
    return false;
}

static void take_policy(struct dmarc *d, enum dmarc_who who)
{
    d->now.published = dmarc_choose_policy(&d->now.record, who);
    d->now.policy = dmarc_lower(&d->now.record, d->now.published);
}

static void fail(struct dmarc *d, enum dmarc_who who)
{
    take_policy(d, who);
    end_author(d, DMARC_RESULT_FAIL, any_passed(d) ? "no identifier is aligned" : "no identifier passed");
}

/* Neither pass nor fail (5.3.6). Whether the author's domain exists is not asked for. */
static void doubt(struct dmarc *d)
{
    take_policy(d, d->step->labels == d->own.labels ? DMARC_DOMAIN : DMARC_SUBDOMAIN);
    end_author(d, DMARC_RESULT_TEMPERROR, "DNS failed");
}

static void on_existence(struct dmarc *d, enum dns_status status, struct str records)
{
    (void)records;
    if (dns_failed(status))
        end_author(d, DMARC_RESULT_TEMPERROR, "DNS failed");
    else
        fail(d, status == DNS_NXDOMAIN ? DMARC_NO_DOMAIN : DMARC_SUBDOMAIN);
}

/* A CNAME is asked for: that question is not led on to another name, which may be missing where the author's is not. */
static void conclude(struct dmarc *d)
{
    const struct dmarc_record *record = &d->now.record;

    if (d->now.spf_aligned || d->now.dkim_aligned)
        end_author(d, DMARC_RESULT_PASS, d->now.dkim_aligned ? "DKIM is aligned" : "SPF is aligned");
    else if (d->unsure)
        doubt(d);
    else if (d->step->labels == d->own.labels)
        fail(d, DMARC_DOMAIN);
    else if (d->author_exists || dmarc_choose_policy(record, DMARC_NO_DOMAIN) == dmarc_choose_policy(record, DMARC_SUBDOMAIN))
        fail(d, DMARC_SUBDOMAIN);
    else
        ask(d, author(d), DNS_CNAME, on_existence);
}

static void run(struct dmarc *d)
{
    while (!d->over && d->on_answer == NULL)
        d->next(d);
}

/* ---- from outside ---- */

struct dmarc *dmarc_new(const struct dmarc_world *world, void *owner)
{
    struct dmarc *d = xcalloc(1, sizeof *d);

    d->world = world;
    d->owner = owner;
    arena_init(&d->arena, ARENA_MAX);
    d->worst = (struct dmarc_outcome){.result = DMARC_RESULT_NONE, .reason = "no author has a domain"};
    return d;
}

void dmarc_free(struct dmarc *dmarc)
{
    if (dmarc == NULL)
        return;
    arena_clear(&dmarc->arena);
    free(dmarc);
}

size_t dmarc_held(const struct dmarc *dmarc)
{
    return dmarc == NULL ? 0 : sizeof *dmarc + dmarc->arena.used;
}

void dmarc_add_from(struct dmarc *dmarc, struct str value)
{
    dmarc_authors_add(&dmarc->authors, value);
}

static bool is_same(const struct identifier *id, struct str domain, bool spf)
{
    return id->spf == spf && (spf || str_eq(id->domain, domain));
}

/* Signers of the same domain, and those over the limit, are left out: one place is kept for SPF. */
static void add_identifier(struct dmarc *d, struct str domain, bool spf, bool unsure)
{
    char name[DNS_NAME_TEXT];
    size_t signers = 0;
    struct str kept;

    if (!dmarc_canonical_domain(domain, name))
        return;
    for (size_t i = 0; i < d->identifier_n; i++) {
        if (is_same(&d->identifiers[i], str_of(name), spf)) {
            d->identifiers[i].unsure &= unsure;
            return;
        }
        signers += !d->identifiers[i].spf;
    }
    if (!spf && signers == DMARC_SIGNERS_MAX)
        return;
    kept = arena_str(&d->arena, str_of(name));
    if (kept.p != NULL)
        d->identifiers[d->identifier_n++] = (struct identifier){.domain = kept, .spf = spf, .unsure = unsure};
}

void dmarc_add_spf(struct dmarc *dmarc, struct str domain)
{
    add_identifier(dmarc, domain, true, false);
}

void dmarc_add_dkim(struct dmarc *dmarc, struct str domain)
{
    add_identifier(dmarc, domain, false, false);
}

void dmarc_add_unsure(struct dmarc *dmarc, struct str domain, bool spf)
{
    add_identifier(dmarc, domain, spf, true);
}

bool dmarc_may_concern(const struct dmarc *dmarc, struct str domain)
{
    char name[DNS_NAME_TEXT];

    if (!dmarc_canonical_domain(domain, name))
        return false;
    for (size_t i = 0; i < dmarc->authors.n; i++)
        if (is_at_or_below(str_of(name), str_of(dmarc->authors.domains[i])) || is_at_or_below(str_of(dmarc->authors.domains[i]), str_of(name)))
            return true;
    return false;
}

void dmarc_start(struct dmarc *dmarc)
{
    dmarc->next = dmarc->authors.n > 0 ? begin_author : finish;
    run(dmarc);
}

void dmarc_answer(struct dmarc *dmarc, enum dns_status status, struct str records)
{
    answer_fn *on_answer = dmarc->on_answer;

    if (dmarc->over || on_answer == NULL)
        return;
    dmarc->on_answer = NULL;
    on_answer(dmarc, status, records);
    run(dmarc);
}

void dmarc_give_up(struct dmarc *dmarc)
{
    if (dmarc->over)
        return;
    dmarc->on_answer = NULL;
    if (dmarc->step != NULL) {
        dmarc->unsure = true;
        conclude(dmarc);
    } else if (dmarc->author_i < dmarc->authors.n) {
        dmarc->now.author = author(dmarc);
        end_author(dmarc, DMARC_RESULT_TEMPERROR, "DNS took too long");
    }
    finish(dmarc);
}

const struct dmarc_outcome *dmarc_outcome_of(const struct dmarc *dmarc)
{
    return &dmarc->worst;
}
