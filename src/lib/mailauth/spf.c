/* See spf.h. Each record is a frame; include pushes one, redirect changes the domain of its own. The loop in
 * run() takes a term, starts it, and goes on when its verdict is there; what has to ask returns to the owner
 * first, and the handler of the answer sets the verdict. */
#include "spf_private.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

struct spf_frame *spf_top(struct spf *spf)
{
    return &spf->frames[spf->depth - 1];
}

void spf_ask(struct spf *spf, struct str name, unsigned type, spf_answer_fn *on_answer)
{
    spf->on_answer = on_answer;
    spf->world->ask(spf->owner, name, type);
}

/* A copy that lives as long as the check; empty where there is no more room. */
struct str spf_keep(struct spf *spf, struct str s)
{
    struct str copy = arena_str(&spf->arena, s);

    return copy.p != NULL ? copy : STR("");
}

/* ---- the end ---- */

static void finish(struct spf *spf)
{
    spf->over = true;
    spf->world->done(spf->owner);
}

static void note(struct spf *spf, enum spf_result result, const char *before, struct str what, const char *after)
{
    char text[SPF_REASON_MAX];

    snprintf(text, sizeof text, "%s%.*s%s", before, STR_ARG(what), after);
    spf->result = result;
    spf->reason = spf_keep(spf, str_of(text));
}

void spf_fail(struct spf *spf, enum spf_result result, const char *before, struct str what, const char *after)
{
    note(spf, result, before, what, after);
    finish(spf);
}

bool spf_count_term(struct spf *spf)
{
    if (++spf->terms <= SPF_TERMS_MAX)
        return true;
    spf_fail(spf, SPF_PERMERROR, "more than 10 terms that ask DNS, the last is ", spf_top(spf)->word, "");
    return false;
}

/* ---- records ---- */

/* The one SPF record among the TXT records; false when the check is over. *text is in the arena. */
static bool choose_record(struct spf *spf, struct str records, struct str *text)
{
    struct str rdata;
    struct buf one;
    bool ok = true;

    *text = STR("");
    buf_init(&one, SPF_RECORD_MAX);
    while (ok && dns_next_record(&records, &rdata)) {
        buf_reset(&one);
        if (!dns_read_txt(rdata, &one) || !spf_is_record(buf_str(&one)))
            continue;
        if (text->n > 0) {
            spf_fail(spf, SPF_PERMERROR, "", spf_top(spf)->domain, " has more than one SPF record");
            ok = false;
        } else {
            *text = spf_keep(spf, buf_str(&one));
            ok = text->n > 0; /* never taken for a domain without a record */
            if (!ok)
                spf_fail(spf, SPF_PERMERROR, "the records are too large together, the last is that of ", spf_top(spf)->domain, "");
        }
    }
    buf_clear(&one);
    return ok;
}

static void leave(struct spf *spf, enum spf_result result);

static void on_record(struct spf *spf, enum dns_status status, struct str records)
{
    struct spf_frame *f = spf_top(spf);
    struct str text;

    if (dns_failed(status)) {
        spf_fail(spf, SPF_TEMPERROR, "DNS failed for the record of ", f->domain, "");
        return;
    }
    if (!choose_record(spf, records, &text))
        return;
    if (text.n == 0)
        leave(spf, SPF_NONE);
    else if (!spf_read(text, &f->record))
        spf_fail(spf, SPF_PERMERROR, "the record of ", f->domain, " cannot be read");
    else
        f->has_record = true;
}

static bool is_domain(struct str name)
{
    return dns_name_can_be_asked(name) && str_find(name, '.') > 0;
}

static void ask_record(struct spf *spf)
{
    if (is_domain(spf_top(spf)->domain))
        spf_ask(spf, spf_top(spf)->domain, DNS_TXT, on_record);
    else
        leave(spf, SPF_NONE);
}

static void tell_explanation(struct spf *spf)
{
    struct buf out;

    buf_init(&out, SPF_TEXT_MAX);
    spf->names.validated = spf_choose_validated(spf, spf_top(spf)->domain);
    if (spf_expand_text(spf->text, &spf->names, &out))
        spf->explanation = spf_keep(spf, buf_str(&out));
    buf_clear(&out);
    finish(spf);
}

static void on_explanation(struct spf *spf, enum dns_status status, struct str records)
{
    struct str rdata;
    struct buf text;

    buf_init(&text, SPF_TEXT_MAX);
    if (status == DNS_OK && dns_next_record(&records, &rdata) && records.n == 0 && dns_read_txt(rdata, &text))
        spf->text = spf_keep(spf, buf_str(&text));
    buf_clear(&text);
    spf_with_names(spf, spf_uses_validated(spf->text), tell_explanation);
}

static void explain(struct spf *spf)
{
    struct str name;

    if (spf_expand(spf, spf_top(spf)->record.exp, &name))
        spf_ask(spf, name, DNS_TXT, on_explanation);
    else
        finish(spf);
}

/* The result of the record that was asked for first. */
static void conclude(struct spf *spf, enum spf_result result)
{
    const struct spf_frame *f = spf_top(spf);

    if (result == SPF_NONE)
        note(spf, result, "", f->domain, " has no SPF record");
    else if (spf->verdict == SPF_VERDICT_YES)
        note(spf, result, "matched ", f->word, "");
    else
        note(spf, result, "nothing in the record of ", f->domain, " matched");
    if (result == SPF_FAIL && f->record.exp.n > 0)
        spf_with_names(spf, spf_uses_validated(f->record.exp), explain);
    else
        finish(spf);
}

/* The top frame has its result. Included by another one, it is the verdict there (5.2). */
static void leave(struct spf *spf, enum spf_result result)
{
    struct str domain = spf_top(spf)->domain;

    if (result == SPF_NONE && (spf->depth > 1 || spf_top(spf)->redirected)) {
        spf_fail(spf, SPF_PERMERROR, "", domain, " has no SPF record and another one needs it");
    } else if (spf->depth == 1) {
        conclude(spf, result);
    } else {
        spf->depth--;
        spf->verdict = result == SPF_PASS ? SPF_VERDICT_YES : SPF_VERDICT_NO;
    }
}

static void redirect(struct spf *spf)
{
    struct spf_frame *f = spf_top(spf);
    struct str name;

    if (!spf_expand(spf, f->record.redirect, &name))
        spf_fail(spf, SPF_PERMERROR, "no domain to go to in ", f->word, "");
    else
        *f = (struct spf_frame){.domain = name, .redirected = true};
}

static void end_of_record(struct spf *spf)
{
    static const struct str before = STR("redirect=");
    struct spf_frame *f = spf_top(spf);

    if (f->record.redirect.n == 0) {
        leave(spf, SPF_NEUTRAL);
        return;
    }
    f->word = str_from(f->record.redirect.p - before.n, f->record.redirect.n + before.n);
    if (spf_count_term(spf))
        spf_with_names(spf, spf_uses_validated(f->record.redirect), redirect);
}

static void next_term(struct spf *spf)
{
    struct spf_frame *f = spf_top(spf);

    if (spf_next_term(&f->record.terms, &f->term) != SPF_NEXT_TERM)
        end_of_record(spf);
    else if (f->term.kind < SPF_REDIRECT)
        spf_start_term(spf);
}

static void step(struct spf *spf)
{
    if (!spf_top(spf)->has_record)
        ask_record(spf);
    else if (spf->verdict == SPF_VERDICT_YES)
        leave(spf, spf_top(spf)->term.result);
    else
        next_term(spf);
}

static void run(struct spf *spf)
{
    while (!spf->over && spf->on_answer == NULL)
        step(spf);
}

/* ---- from outside ---- */

static struct str without_dot(struct str name)
{
    return str_ends(name, STR(".")) ? str_sub(name, 0, name.n - 1) : name;
}

struct spf *spf_new(const struct spf_world *world, void *owner, const struct spf_subject *subject)
{
    struct spf *spf = xcalloc(1, sizeof *spf);
    ptrdiff_t at = str_rfind(subject->sender, '@');

    spf->world = world;
    spf->owner = owner;
    arena_init(&spf->arena, SPF_ARENA_MAX);
    spf->names = (struct spf_names){.ip = subject->ip, .now = subject->now, .helo = spf_keep(spf, without_dot(subject->helo)),
        .receiver = spf_keep(spf, subject->receiver), .local = STR("postmaster"), .validated = STR("unknown")};
    spf->names.sender_domain = subject->sender.n > 0 ? spf_keep(spf, without_dot(str_skip(subject->sender, (size_t)(at + 1)))) : spf->names.helo;
    if (at > 0)
        spf->names.local = spf_keep(spf, str_sub(subject->sender, 0, (size_t)at));
    spf->frames[spf->depth++] = (struct spf_frame){.domain = spf->names.sender_domain};
    return spf;
}

void spf_free(struct spf *spf)
{
    if (spf == NULL)
        return;
    arena_clear(&spf->arena);
    free(spf);
}

size_t spf_held(const struct spf *spf)
{
    return spf == NULL ? 0 : sizeof *spf + spf->arena.used;
}

void spf_start(struct spf *spf)
{
    run(spf);
}

void spf_answer(struct spf *spf, enum dns_status status, struct str records)
{
    spf_answer_fn *on_answer = spf->on_answer;

    if (spf->over || on_answer == NULL)
        return;
    spf->on_answer = NULL;
    on_answer(spf, status, records);
    run(spf);
}

void spf_give_up(struct spf *spf)
{
    if (!spf->over)
        spf_fail(spf, SPF_TEMPERROR, "DNS took too long for ", spf->names.sender_domain, "");
}

enum spf_result spf_result_of(const struct spf *spf)
{
    return spf->result;
}

struct str spf_domain_of(const struct spf *spf)
{
    return spf->names.sender_domain;
}

struct str spf_reason_of(const struct spf *spf)
{
    return spf->reason;
}

struct str spf_explanation_of(const struct spf *spf)
{
    for (size_t i = 0; i < spf->explanation.n; i++)
        if (spf->explanation.p[i] < 0x20 || spf->explanation.p[i] > 0x7e)
            return STR("");
    return spf->explanation;
}
