/* See spf.h. Each record is a frame; include pushes one, redirect changes the domain of its own. The loop in
 * run() takes a term, starts it, and goes on when its verdict is there; what has to ask returns to the owner
 * first, and the handler of the answer sets the verdict. */
#include "spf.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "dns/records.h"
#include "spf_macro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES_MAX = SPF_TERMS_MAX + 1, ARENA_MAX = 64 * 1024, RECORD_MAX = 8192, TEXT_MAX = 2048, REASON_MAX = 300 };

struct frame {
    struct str domain;
    bool has_record, redirected;
    struct spf_record record; /* its terms: those that were not looked at yet */
    struct str word;          /* the mechanism (or redirect) under way, as it is written */
    struct spf_term term;
};

enum verdict { VERDICT_NO, VERDICT_YES, VERDICT_OPEN };

typedef void answer_fn(struct spf *spf, enum dns_status status, struct str records);
typedef void next_fn(struct spf *spf);

struct spf {
    const struct spf_world *world;
    void *owner;
    struct arena arena;
    struct spf_names names;
    struct frame frames[FRAMES_MAX];
    size_t depth; /* frames in use */
    enum verdict verdict; /* of the mechanism under way in the top frame; NO: take the next one */
    unsigned terms, voids;
    answer_fn *on_answer; /* a question is open */
    char hosts[SPF_NAMES_MAX + 1][DNS_NAME_TEXT]; /* of an MX or PTR answer */
    size_t host_n, host_i;
    bool names_known;     /* those of the client's address were looked up (5.5) */
    next_fn *after_names;
    struct str validated[SPF_NAMES_MAX];
    size_t validated_n;
    bool over;
    enum spf_result result;
    struct str reason, text, explanation; /* text: of the explanation, unexpanded */
};

static struct frame *top(struct spf *spf)
{
    return &spf->frames[spf->depth - 1];
}

static void ask(struct spf *spf, struct str name, unsigned type, answer_fn *on_answer)
{
    spf->on_answer = on_answer;
    spf->world->ask(spf->owner, name, type);
}

/* A copy that lives as long as the check; empty where there is no more room. */
static struct str keep(struct spf *spf, struct str s)
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
    char text[REASON_MAX];

    snprintf(text, sizeof text, "%s%.*s%s", before, STR_ARG(what), after);
    spf->result = result;
    spf->reason = arena_str(&spf->arena, str_of(text));
}

static void fail(struct spf *spf, enum spf_result result, const char *before, struct str what, const char *after)
{
    note(spf, result, before, what, after);
    finish(spf);
}

static bool dns_failed(enum dns_status status)
{
    return status != DNS_OK && status != DNS_NODATA && status != DNS_NXDOMAIN;
}

/* temperror where DNS failed, permerror at the third answer without records (4.6.4). An IPv6 client meets
 * many hosts that exist and have no AAAA: those do not count. False: the check is over. */
static bool answered(struct spf *spf, enum dns_status status, bool counts)
{
    if (dns_failed(status)) {
        fail(spf, SPF_TEMPERROR, "DNS failed for ", top(spf)->word, "");
        return false;
    }
    if (counts && status != DNS_OK && ++spf->voids > SPF_VOIDS_MAX) {
        fail(spf, SPF_PERMERROR, "too many names without records, the last in ", top(spf)->word, "");
        return false;
    }
    return true;
}

static bool count_term(struct spf *spf)
{
    if (++spf->terms <= SPF_TERMS_MAX)
        return true;
    fail(spf, SPF_PERMERROR, "more than 10 terms that ask DNS, the last is ", top(spf)->word, "");
    return false;
}

/* ---- names ---- */

/* The name %{p} stands for: the domain itself, else one below it, else any (7.3). */
static struct str choose_validated(const struct spf *spf, struct str domain)
{
    struct str below = STR(""), any = STR("unknown");

    for (size_t i = spf->validated_n; i-- > 0;) {
        struct str name = spf->validated[i];

        any = name;
        if (str_ieq(name, domain))
            return name;
        if (name.n > domain.n && name.p[name.n - domain.n - 1] == '.' && str_ieq(str_skip(name, name.n - domain.n), domain))
            below = name;
    }
    return below.n > 0 ? below : any;
}

/* Expands into *name, in the arena. False when that is no name DNS can be asked for. */
static bool expand(struct spf *spf, struct str spec, struct str *name)
{
    struct buf out;
    bool ok;

    spf->names.domain = top(spf)->domain;
    spf->names.validated = choose_validated(spf, top(spf)->domain);
    if (spec.n == 0) {
        *name = top(spf)->domain;
        return true;
    }
    buf_init(&out, TEXT_MAX);
    ok = spf_expand_domain(spec, &spf->names, &out) && dns_name_can_be_asked(buf_str(&out));
    *name = ok ? arena_str(&spf->arena, buf_str(&out)) : STR("");
    buf_clear(&out);
    return ok && name->p != NULL;
}

static unsigned address_type(const struct spf *spf)
{
    return spf->names.ip.family == 6 ? DNS_AAAA : DNS_A;
}

/* Is one of the addresses in a network of this size with the client's? */
static bool holds_client(const struct spf *spf, struct str records, unsigned bits4, unsigned bits6)
{
    enum dns_type type = address_type(spf) == DNS_A ? DNS_A : DNS_AAAA;
    struct str rdata;

    while (dns_next_record(&records, &rdata)) {
        struct network net = {.ip.family = type == DNS_A ? 4 : 6, .bits = (uint8_t)(type == DNS_A ? bits4 : bits6)};

        if (rdata.n != (type == DNS_A ? 4 : 16))
            continue;
        memcpy(net.ip.bytes, rdata.p, rdata.n);
        if (network_holds(&net, &spf->names.ip))
            return true;
    }
    return false;
}

/* ---- the names of the client's address, each of which has to lead back to it (5.5) ---- */

static void names_done(struct spf *spf)
{
    spf->names_known = true;
    spf->after_names(spf);
}

static void on_name_addresses(struct spf *spf, enum dns_status status, struct str records);

static void next_name(struct spf *spf)
{
    if (spf->host_i == spf->host_n)
        names_done(spf);
    else
        ask(spf, str_of(spf->hosts[spf->host_i]), address_type(spf), on_name_addresses);
}

static void on_name_addresses(struct spf *spf, enum dns_status status, struct str records)
{
    if (status == DNS_OK && holds_client(spf, records, 32, 128)) {
        struct str name = arena_str(&spf->arena, str_of(spf->hosts[spf->host_i]));

        if (name.p != NULL)
            spf->validated[spf->validated_n++] = name;
    }
    spf->host_i++;
    next_name(spf);
}

/* An error is no name (5.5); of more than ten names the first ten are used (4.6.4). */
static void on_names(struct spf *spf, enum dns_status status, struct str records)
{
    struct str rdata;

    spf->host_n = spf->host_i = 0;
    while (status == DNS_OK && spf->host_n < SPF_NAMES_MAX && dns_next_record(&records, &rdata))
        if (dns_read_target(rdata, spf->hosts[spf->host_n]) && spf->hosts[spf->host_n][0] != '\0')
            spf->host_n++;
    next_name(spf);
}

static void find_names(struct spf *spf, next_fn *after)
{
    struct buf name;

    spf->after_names = after;
    buf_init(&name, TEXT_MAX);
    if (spf_expand_domain(STR("%{ir}.%{v}.arpa"), &spf->names, &name))
        ask(spf, buf_str(&name), DNS_PTR, on_names);
    else
        names_done(spf);
    buf_clear(&name);
}

/* Calls `next`, with the validated names known where `spec` needs them. */
static void with_names(struct spf *spf, bool needed, next_fn *next)
{
    if (needed && !spf->names_known)
        find_names(spf, next);
    else
        next(spf);
}

/* ---- mechanisms: each sets the verdict, or asks ---- */

static void matches(struct spf *spf, bool yes)
{
    spf->verdict = yes ? VERDICT_YES : VERDICT_NO;
}

static void on_addresses(struct spf *spf, enum dns_status status, struct str records)
{
    const struct spf_term *term = &top(spf)->term;

    if (answered(spf, status, status == DNS_NXDOMAIN || address_type(spf) == DNS_A))
        matches(spf, holds_client(spf, records, term->bits4, term->bits6));
}

static void start_a(struct spf *spf, struct str name)
{
    ask(spf, name, address_type(spf), on_addresses);
}

static void on_mx_addresses(struct spf *spf, enum dns_status status, struct str records);

static void next_mx(struct spf *spf)
{
    if (spf->host_i == spf->host_n)
        matches(spf, false);
    else
        ask(spf, str_of(spf->hosts[spf->host_i]), address_type(spf), on_mx_addresses);
}

static void on_mx_addresses(struct spf *spf, enum dns_status status, struct str records)
{
    const struct spf_term *term = &top(spf)->term;

    if (!answered(spf, status, status == DNS_NXDOMAIN || address_type(spf) == DNS_A))
        return;
    if (holds_client(spf, records, term->bits4, term->bits6)) {
        matches(spf, true);
        return;
    }
    spf->host_i++;
    next_mx(spf);
}

static void on_mx(struct spf *spf, enum dns_status status, struct str records)
{
    struct str rdata;

    if (!answered(spf, status, true))
        return;
    spf->host_n = spf->host_i = 0;
    while (spf->host_n <= SPF_NAMES_MAX && dns_next_record(&records, &rdata)) {
        char *host = spf->hosts[spf->host_n];

        if (dns_read_printable(str_skip(rdata, 2), host) && host[0] != '\0')
            spf->host_n++;
    }
    if (spf->host_n > SPF_NAMES_MAX)
        fail(spf, SPF_PERMERROR, "more than 10 hosts in ", top(spf)->word, "");
    else
        next_mx(spf);
}

static void start_mx(struct spf *spf, struct str name)
{
    ask(spf, name, DNS_MX, on_mx);
}

static void start_ptr(struct spf *spf, struct str name)
{
    bool found = false;

    for (size_t i = 0; i < spf->validated_n; i++) {
        struct str host = spf->validated[i];

        found |= str_ieq(host, name) || (host.n > name.n && host.p[host.n - name.n - 1] == '.' &&
                                            str_ieq(str_skip(host, host.n - name.n), name));
    }
    matches(spf, found);
}

static void on_exists(struct spf *spf, enum dns_status status, struct str records)
{
    (void)records;
    if (answered(spf, status, true))
        matches(spf, status == DNS_OK);
}

static void start_exists(struct spf *spf, struct str name)
{
    ask(spf, name, DNS_A, on_exists);
}

static void start_include(struct spf *spf, struct str name)
{
    spf->frames[spf->depth++] = (struct frame){.domain = name};
    spf->verdict = VERDICT_NO;
}

static const struct mechanism {
    bool counts, needs_names;
    void (*start)(struct spf *spf, struct str name);
} mechanisms[] = {
    [SPF_INCLUDE] = {true, false, start_include},
    [SPF_A] = {true, false, start_a},
    [SPF_MX] = {true, false, start_mx},
    [SPF_PTR] = {true, true, start_ptr},
    [SPF_EXISTS] = {true, false, start_exists},
};

/* A name that cannot be asked for is one that does not exist (4.8); included, it has no record. */
static void start_with_name(struct spf *spf)
{
    const struct spf_term *term = &top(spf)->term;
    struct str name;

    if (expand(spf, term->domain, &name))
        mechanisms[term->kind].start(spf, name);
    else if (term->kind == SPF_INCLUDE)
        fail(spf, SPF_PERMERROR, "no domain to include in ", top(spf)->word, "");
    else
        matches(spf, false);
}

static void start_term(struct spf *spf)
{
    const struct spf_term *term = &top(spf)->term;
    struct network net = {.ip = term->ip, .bits = (uint8_t)(term->ip.family == 4 ? term->bits4 : term->bits6)};

    top(spf)->word = term->word;
    spf->verdict = VERDICT_OPEN;
    if (term->kind == SPF_ALL)
        matches(spf, true);
    else if (term->kind == SPF_IP4 || term->kind == SPF_IP6)
        matches(spf, network_holds(&net, &spf->names.ip));
    else if (count_term(spf))
        with_names(spf, mechanisms[term->kind].needs_names || spf_uses_validated(term->domain), start_with_name);
}

/* ---- records ---- */

/* The one SPF record among the TXT records; false when the check is over. *text is in the arena. */
static bool choose_record(struct spf *spf, struct str records, struct str *text)
{
    struct str rdata;
    struct buf one;
    bool ok = true;

    *text = STR("");
    buf_init(&one, RECORD_MAX);
    while (ok && dns_next_record(&records, &rdata)) {
        buf_reset(&one);
        if (!dns_read_txt(rdata, &one) || !spf_is_record(buf_str(&one)))
            continue;
        if (text->n > 0) {
            fail(spf, SPF_PERMERROR, "", top(spf)->domain, " has more than one SPF record");
            ok = false;
        } else {
            *text = arena_str(&spf->arena, buf_str(&one));
        }
    }
    buf_clear(&one);
    return ok;
}

static void leave(struct spf *spf, enum spf_result result);

static void on_record(struct spf *spf, enum dns_status status, struct str records)
{
    struct frame *f = top(spf);
    struct str text;

    if (dns_failed(status)) {
        fail(spf, SPF_TEMPERROR, "DNS failed for the record of ", f->domain, "");
        return;
    }
    if (!choose_record(spf, records, &text))
        return;
    if (text.n == 0)
        leave(spf, SPF_NONE);
    else if (!spf_read(text, &f->record))
        fail(spf, SPF_PERMERROR, "the record of ", f->domain, " cannot be read");
    else
        f->has_record = true;
}

static bool is_domain(struct str name)
{
    return dns_name_can_be_asked(name) && str_find(name, '.') > 0;
}

static void ask_record(struct spf *spf)
{
    if (is_domain(top(spf)->domain))
        ask(spf, top(spf)->domain, DNS_TXT, on_record);
    else
        leave(spf, SPF_NONE);
}

static void tell_explanation(struct spf *spf)
{
    struct buf out;

    buf_init(&out, TEXT_MAX);
    spf->names.validated = choose_validated(spf, top(spf)->domain);
    if (spf_expand_text(spf->text, &spf->names, &out))
        spf->explanation = arena_str(&spf->arena, buf_str(&out));
    buf_clear(&out);
    finish(spf);
}

static void on_explanation(struct spf *spf, enum dns_status status, struct str records)
{
    struct str rdata;
    struct buf text;

    buf_init(&text, TEXT_MAX);
    if (status == DNS_OK && dns_next_record(&records, &rdata) && records.n == 0 && dns_read_txt(rdata, &text))
        spf->text = keep(spf, buf_str(&text));
    buf_clear(&text);
    with_names(spf, spf_uses_validated(spf->text), tell_explanation);
}

static void explain(struct spf *spf)
{
    struct str name;

    if (expand(spf, top(spf)->record.exp, &name))
        ask(spf, name, DNS_TXT, on_explanation);
    else
        finish(spf);
}

/* The result of the record that was asked for first. */
static void conclude(struct spf *spf, enum spf_result result)
{
    const struct frame *f = top(spf);

    if (result == SPF_NONE)
        note(spf, result, "", f->domain, " has no SPF record");
    else if (spf->verdict == VERDICT_YES)
        note(spf, result, "matched ", f->word, "");
    else
        note(spf, result, "nothing in the record of ", f->domain, " matched");
    if (result == SPF_FAIL && f->record.exp.n > 0)
        with_names(spf, spf_uses_validated(f->record.exp), explain);
    else
        finish(spf);
}

/* The top frame has its result. Included by another one, it is the verdict there (5.2). */
static void leave(struct spf *spf, enum spf_result result)
{
    struct str domain = top(spf)->domain;

    if (result == SPF_NONE && (spf->depth > 1 || top(spf)->redirected)) {
        fail(spf, SPF_PERMERROR, "", domain, " has no SPF record and another one needs it");
    } else if (spf->depth == 1) {
        conclude(spf, result);
    } else {
        spf->depth--;
        matches(spf, result == SPF_PASS);
    }
}

static void redirect(struct spf *spf)
{
    struct frame *f = top(spf);
    struct str name;

    if (!expand(spf, f->record.redirect, &name))
        fail(spf, SPF_PERMERROR, "no domain to go to in ", f->word, "");
    else
        *f = (struct frame){.domain = name, .redirected = true};
}

static void end_of_record(struct spf *spf)
{
    struct frame *f = top(spf);

    if (f->record.redirect.n == 0) {
        leave(spf, SPF_NEUTRAL);
        return;
    }
    f->word = f->record.redirect;
    if (count_term(spf))
        with_names(spf, spf_uses_validated(f->record.redirect), redirect);
}

static void next_term(struct spf *spf)
{
    struct frame *f = top(spf);

    if (spf_next_term(&f->record.terms, &f->term) != SPF_NEXT_TERM)
        end_of_record(spf);
    else if (f->term.kind < SPF_REDIRECT)
        start_term(spf);
}

static void step(struct spf *spf)
{
    if (!top(spf)->has_record)
        ask_record(spf);
    else if (spf->verdict == VERDICT_YES)
        leave(spf, top(spf)->term.result);
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
    arena_init(&spf->arena, ARENA_MAX);
    spf->names = (struct spf_names){.ip = subject->ip, .now = subject->now, .helo = keep(spf, without_dot(subject->helo)),
        .receiver = keep(spf, subject->receiver), .local = STR("postmaster"), .validated = STR("unknown")};
    spf->names.sender_domain = subject->sender.n > 0 ? keep(spf, without_dot(str_skip(subject->sender, (size_t)(at + 1)))) : spf->names.helo;
    if (at > 0)
        spf->names.local = keep(spf, str_sub(subject->sender, 0, (size_t)at));
    spf->frames[spf->depth++] = (struct frame){.domain = spf->names.sender_domain};
    return spf;
}

void spf_free(struct spf *spf)
{
    if (spf == NULL)
        return;
    arena_clear(&spf->arena);
    free(spf);
}

void spf_start(struct spf *spf)
{
    run(spf);
}

void spf_answer(struct spf *spf, enum dns_status status, struct str records)
{
    answer_fn *on_answer = spf->on_answer;

    if (spf->over || on_answer == NULL)
        return;
    spf->on_answer = NULL;
    on_answer(spf, status, records);
    run(spf);
}

void spf_give_up(struct spf *spf)
{
    if (!spf->over)
        fail(spf, SPF_TEMPERROR, "DNS took too long for ", spf->names.sender_domain, "");
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
