/* DMARC as a whole (draft-ietf-dmarc-dmarcbis): the examples of appendix B, and a table of cases with the section each
 * comes from. */
#include "dmarc_world.h"

enum { TEXT = 4000 };

/* A name that is not listed does not exist, unless one below it is. "" exists without a TXT record; two records are
 * separated by '|'. */
static const struct {
    const char *name, *text;
} zone[] = {
    {"_dmarc.example.com", "v=DMARC1; p=reject; sp=quarantine; np=none"},
    {"_dmarc.signing.example.com", "v=DMARC1; p=none"},
    {"news.example.com", ""},
    {"_dmarc.named.example.com", ""},
    /* a public suffix with a record */
    {"_dmarc.bank.example", "v=DMARC1; p=quarantine; sp=none; np=reject; psd=y"},
    {"_dmarc.giant.bank.example", "v=DMARC1; p=reject"},
    {"mega.bank.example", ""},
    {"_dmarc.mid.deep.bank.example", "v=DMARC1; p=reject"},
    {"a.mid.deep.bank.example", ""},
    /* an Organizational Domain inside another one */
    {"_dmarc.corp.example", "v=DMARC1; p=none"},
    {"_dmarc.unit.corp.example", "v=DMARC1; p=reject; psd=n"},
    {"www.unit.corp.example", ""},
    {"_dmarc.flat.corp.example", "v=DMARC1; p=quarantine"},
    {"www.flat.corp.example", ""},
    /* strictness */
    {"_dmarc.strict.example", "v=DMARC1; p=reject; adkim=s; aspf=s"},
    {"_dmarc.dkimstrict.example", "v=DMARC1; p=reject; adkim=s"},
    {"_dmarc.spfstrict.example", "v=DMARC1; p=reject; aspf=s"},
    /* testing */
    {"_dmarc.testing.example", "v=DMARC1; p=reject; sp=quarantine; np=none; t=y"},
    {"sub.testing.example", ""},
    {"_dmarc.monitor.example", "v=DMARC1; p=none; t=y"},
    {"_dmarc.subs.example", "v=DMARC1; p=none; sp=reject"},
    {"sub.subs.example", ""},
    {"_dmarc.nps.example", "v=DMARC1; p=none; np=reject"},
    {"sub.nps.example", ""},
    {"_dmarc.same.example", "v=DMARC1; p=reject; sp=reject; np=reject"},
    /* records in trouble */
    {"_dmarc.two.example", "v=DMARC1; p=reject|v=DMARC1; p=none"},
    {"_dmarc.mixed.example", "v=spf1 -all|v=DMARC1; p=reject|hello"},
    {"_dmarc.other.example", "hello"},
    {"_dmarc.nopolicy.example", "v=DMARC1"},
    {"_dmarc.badpolicy.example", "v=DMARC1; p=bad"},
    {"_dmarc.rescued.example", "v=DMARC1; p=bad; rua=mailto:a@rescued.example"},
    {"_dmarc.badsub.example", "v=DMARC1; p=reject; sp=bad"},
    {"_dmarc.pct.example", "v=DMARC1; p=reject; pct=0"},
    {"_dmarc.two.fallback.example", "v=DMARC1; p=none|v=DMARC1; p=none"},
    {"_dmarc.fallback.example", "v=DMARC1; p=reject"},
    {"two.fallback.example", ""},
    /* DNS that fails */
    {"_dmarc.slow.example", "TIMEOUT"},
    {"_dmarc.servfail.example", "SERVFAIL"},
    {"_dmarc.bogus.example", "BOGUS"},
    {"_dmarc.half.example", "v=DMARC1; p=reject; np=none"},
    {"_dmarc.bad.half.example", "SERVFAIL"},
    {"unknown.half.example", "SERVFAIL"},
    {"_dmarc.own.slowtop", "v=DMARC1; p=reject"},
    {"_dmarc.slowtop", "TIMEOUT"},
    /* names */
    {"_dmarc.xn--bcher-kva.example", "v=DMARC1; p=reject"},
    {"_dmarc.localhost", "v=DMARC1; p=reject"},
    {"_dmarc.psdself.example", "v=DMARC1; p=reject; psd=y"},
    {"_dmarc.long.example", "v=DMARC1; p=reject"},
    {"_dmarc.seven.b.c.d.e.f.example", "v=DMARC1; p=quarantine"},
    {"_dmarc.eight.b.c.d.e.f.g.example", "v=DMARC1; p=quarantine"},
    {"_dmarc.p.q.r.s.t.u.psdlong", "v=DMARC1; p=quarantine; psd=y"},
    {"_dmarc.com", "v=spf1 -all"},
};

static enum dns_status status_of(const char *text)
{
    static const char *const words[] = {"SERVFAIL", "TIMEOUT", "BOGUS"};

    for (size_t i = 0; i < 3; i++)
        if (strcmp(text, words[i]) == 0)
            return (enum dns_status)(DNS_SERVFAIL + i);
    return DNS_OK;
}

static enum dns_status look_up(const char *name, unsigned type, struct buf *out)
{
    enum dns_status status = DNS_NXDOMAIN;

    for (size_t i = 0; i < sizeof zone / sizeof zone[0]; i++) {
        struct str rest = str_of(zone[i].text), text;
        size_t before = strlen(zone[i].name) - strlen(name);

        if (strlen(zone[i].name) > strlen(name) && zone[i].name[before - 1] == '.' && strcmp(zone[i].name + before, name) == 0)
            status = DNS_NODATA;
        if (strcmp(zone[i].name, name) != 0)
            continue;
        if (status_of(zone[i].text) != DNS_OK)
            return status_of(zone[i].text);
        if (rest.n == 0 || type != DNS_TXT)
            return DNS_NODATA;
        while (str_next(&rest, '|', &text))
            dmarc_test_pack(text, out);
        return DNS_OK;
    }
    return status;
}

static void answer_all(struct dmarc *d, struct lookups *l)
{
    l->n = 0;
    l->over = false;
    dmarc_start(d);
    while (!l->over) {
        struct buf records;
        size_t asked = l->n;
        enum dns_status status;

        assert_true(asked > 0);
        buf_init(&records, 1 << 20);
        status = look_up(l->names[asked - 1], l->types[asked - 1], &records);
        dmarc_answer(d, status, buf_str(&records));
        buf_clear(&records);
        assert_true(l->over || l->n == asked + 1);
    }
}

/* ---- cases ---- */

struct message {
    const char *section;
    const char *from; /* fields, separated by '|' */
    const char *spf, *dkim; /* what passed, or with '?' could not be checked; NULL: nothing. Signers are separated by blanks */
    const char *expected;
    size_t questions; /* 0: not looked at */
};

static const struct message messages[] = {
    /* the examples of the draft */
    {"4.4 table 1", "news.example.com", NULL, "foo.example.com", "pass dkim example.com", 0},
    {"4.4 table 1", "news.example.com", NULL, "news.example.com", "pass dkim example.com", 3},
    {"4.4 table 1", "news.example.com", NULL, "foo.example.net", "fail quarantine example.com", 4},
    {"B.1.1 1", "example.com", "example.com", NULL, "pass spf example.com", 1},
    {"B.1.1 2", "example.com", "child.example.com", NULL, "pass spf example.com", 3},
    {"B.1.1 3", "child.example.com", "example.net", NULL, "fail none example.com", 0},
    {"B.1.2 1", "example.com", NULL, "example.com", "pass dkim example.com", 1},
    {"B.1.2 2", "child.example.com", NULL, "example.com", "pass dkim example.com", 3},
    {"B.1.2 3", "child.example.com", NULL, "example.net", "fail none example.com", 0},
    {"B.4.1", "example.com", "example.com", "signing.example.com", "pass spf dkim example.com", 3},
    {"B.4.2", "a.b.c.d.e.f.g.h.i.j.k.example.com", "example.com", "signing.example.com", "pass spf dkim example.com", 9},
    {"B.4.3", "giant.bank.example", "mail.giant.bank.example", "mail.mega.bank.example", "pass spf giant.bank.example", 3},
    {"B.4.3", "giant.bank.example", NULL, "mail.mega.bank.example", "fail reject giant.bank.example", 2},
    /* what passed and what did not (5.3.3 to 5.3.5) */
    {"5.3.5", "example.com", NULL, NULL, "fail reject example.com", 1},
    {"5.3.5", "example.com", "example.net", "example.org", "fail reject example.com", 1},
    {"5.3.5", "example.com", "example.net", "example.org example.net example.com", "pass dkim example.com", 1},
    {"4.4.1", "example.com", NULL, "a.example.org b.example.com c.example.net", "pass dkim example.com", 0},
    {"4.4", "EXAMPLE.com", "Example.COM", NULL, "pass spf example.com", 1},
    {"4.4", "example.com", "example.com.", "EXAMPLE.COM.", "pass spf dkim example.com", 1},
    {"4.4", "example.com", "notexample.com", "example.com.evil.example", "fail reject example.com", 0},
    {"4.4", "example.com", "com", "", "fail reject example.com", 0},
    /* strict and relaxed (3.2.10) */
    {"3.2.10.2", "strict.example", "mail.strict.example", "mail.strict.example", "fail reject strict.example", 1},
    {"3.2.10.2", "strict.example", "strict.example", NULL, "pass spf strict.example", 1},
    {"3.2.10.2", "strict.example", NULL, "strict.example", "pass dkim strict.example", 1},
    {"4.7 adkim", "dkimstrict.example", "a.dkimstrict.example", "a.dkimstrict.example", "pass spf dkimstrict.example", 0},
    {"4.7 aspf", "spfstrict.example", "a.spfstrict.example", "a.spfstrict.example", "pass dkim spfstrict.example", 0},
    {"3.2.10.2", "sub.strict.example", "strict.example", NULL, "fail reject strict.example", 0},
    {"3.2.10.2", "sub.strict.example", "sub.strict.example", NULL, "pass spf strict.example", 0},
    /* whose record (4.10.1) */
    {"4.10.1", "nowhere.example", "nowhere.example", NULL, "none", 2},
    {"4.10.1", "signing.example.com", NULL, NULL, "fail none signing.example.com", 1},
    {"4.10.1 sp", "news.example.com", NULL, NULL, "fail quarantine example.com", 0},
    {"4.10.1 np", "missing.example.com", NULL, NULL, "fail none example.com", 4},
    {"A.4", "named.example.com", NULL, NULL, "fail quarantine example.com", 3},
    {"4.10.1 sp", "sub.subs.example", NULL, NULL, "fail reject subs.example", 0},
    {"4.10.1 np", "missing.subs.example", NULL, NULL, "fail reject subs.example", 3},
    {"4.10.1 p", "subs.example", NULL, NULL, "fail none subs.example", 1},
    {"4.10.1 np", "missing.nps.example", NULL, NULL, "fail reject nps.example", 4},
    {"4.10.1 sp", "sub.nps.example", NULL, NULL, "fail none nps.example", 4},
    {"4.10.1", "missing.same.example", NULL, NULL, "fail reject same.example", 3},
    {"4.10.1", "mid.deep.bank.example", NULL, NULL, "fail reject mid.deep.bank.example", 1},
    /* public suffixes (4.7 psd, 4.10.2) */
    {"4.10.1 psd", "mega.bank.example", NULL, NULL, "fail none bank.example", 3},
    {"4.10.1 psd np", "missing.bank.example", NULL, NULL, "fail reject bank.example", 3},
    {"4.10.1 psd p", "bank.example", NULL, NULL, "fail quarantine bank.example", 1},
    {"4.10.1 psd", "a.mid.deep.bank.example", NULL, NULL, "fail none bank.example", 0},
    {"4.10.2 psd", "a.mid.deep.bank.example", NULL, "deep.bank.example", "pass dkim bank.example", 0},
    {"4.10.2 psd", "mega.bank.example", NULL, "bank.example", "fail none bank.example", 0},
    {"4.10.2 psd", "bank.example", NULL, "mega.bank.example", "fail quarantine bank.example", 2},
    {"4.10.2 psd", "bank.example", NULL, "bank.example", "pass dkim bank.example", 1},
    {"4.10.2 psd", "psdself.example", NULL, "a.psdself.example", "fail reject psdself.example", 0},
    {"4.10.2 psd", "a.psdself.example", NULL, "b.a.psdself.example", "pass dkim psdself.example", 0},
    {"4.10.2 psd=n", "unit.corp.example", NULL, "www.unit.corp.example", "pass dkim unit.corp.example", 2},
    {"4.10.2 psd=n", "unit.corp.example", NULL, "corp.example", "fail reject unit.corp.example", 1},
    {"4.10.2 psd=n", "corp.example", NULL, "unit.corp.example", "fail none corp.example", 3},
    {"4.10.1 psd=n", "www.unit.corp.example", NULL, NULL, "fail reject unit.corp.example", 2},
    {"4.10.2 3", "flat.corp.example", NULL, "corp.example", "pass dkim flat.corp.example", 3},
    {"4.10.1", "www.flat.corp.example", NULL, NULL, "fail none corp.example", 4},
    /* testing (4.7 t) */
    {"4.7 t", "testing.example", NULL, NULL, "fail reject>quarantine testing.example", 1},
    {"4.7 t", "sub.testing.example", NULL, NULL, "fail quarantine>none testing.example", 0},
    {"4.7 t", "missing.testing.example", NULL, NULL, "fail none testing.example", 0},
    {"4.7 t", "monitor.example", NULL, NULL, "fail none monitor.example", 0},
    {"4.7 t", "testing.example", NULL, "testing.example", "pass dkim testing.example", 0},
    /* records in trouble (4.8, 4.10, 4.10.1) */
    {"4.10 2", "two.example", NULL, NULL, "none", 2},
    {"4.10 2", "mixed.example", NULL, NULL, "fail reject mixed.example", 1},
    {"4.10 2", "other.example", NULL, NULL, "none", 2},
    {"4.10 2", "two.fallback.example", NULL, NULL, "fail reject fallback.example", 3},
    {"4.10.1", "nopolicy.example", NULL, "nopolicy.example", "permerror nopolicy.example", 1},
    {"4.10.1", "badpolicy.example", NULL, "badpolicy.example", "permerror badpolicy.example", 1},
    {"4.10.1", "rescued.example", NULL, NULL, "fail none rescued.example", 1},
    {"4.10.1", "badsub.example", NULL, NULL, "permerror badsub.example", 1},
    {"C.5.2", "pct.example", NULL, NULL, "fail reject pct.example", 1},
    /* DNS that fails (5.3.6) */
    {"5.3.6", "slow.example", "slow.example", NULL, "temperror", 1},
    {"5.3.6", "servfail.example", "servfail.example", NULL, "temperror", 1},
    {"5.3.6", "bogus.example", NULL, "bogus.example", "temperror", 1},
    {"5.3.6", "sub.slow.example", NULL, "slow.example", "temperror", 2},
    {"5.3.6", "half.example", NULL, "bad.half.example", "temperror (reject) half.example", 3},
    {"5.3.6", "half.example", "half.example", "bad.half.example", "pass spf half.example", 3},
    {"5.3.6", "unknown.half.example", NULL, NULL, "temperror half.example", 4},
    {"5.3.6", "own.slowtop", NULL, "mail.own.slowtop", "temperror (reject) own.slowtop", 2},
    {"5.3.6", "own.slowtop", "own.slowtop", "mail.own.slowtop", "pass spf own.slowtop", 2},
    {"5.3.6", "own.slowtop", NULL, "else.where", "fail reject own.slowtop", 1},
    {"5.3.6", "strict.example", NULL, "?strict.example", "temperror (reject) strict.example", 1},
    {"5.3.6", "strict.example", "?strict.example", NULL, "temperror (reject) strict.example", 1},
    {"5.3.6", "strict.example", "?mail.strict.example", "?mail.strict.example", "fail reject strict.example", 1},
    {"5.3.6", "strict.example", "strict.example", "?strict.example", "pass spf strict.example", 1},
    {"5.3.6", "strict.example", NULL, "?strict.example strict.example", "pass dkim strict.example", 1},
    {"5.3.6", "strict.example", NULL, "strict.example ?strict.example", "pass dkim strict.example", 1},
    {"5.3.6", "example.com", NULL, "?foo.example.com", "temperror (reject) example.com", 3},
    {"5.3.6", "news.example.com", NULL, "?example.com", "temperror (quarantine) example.com", 0},
    {"5.3.6", "testing.example", NULL, "?testing.example", "temperror (reject)>quarantine testing.example", 1},
    {"5.3.6", "monitor.example", NULL, "?monitor.example", "temperror monitor.example", 1},
    {"5.3.6", "nowhere.example", NULL, "?nowhere.example", "none", 2},
    {"5.3.6", "strict.example", "?else.where", "?other.net", "fail reject strict.example", 1},
    {"5.3.6", "a@strict.example, b@pct.example", NULL, "?strict.example", "fail reject pct.example", 0},
    /* long names (4.10 4) */
    {"4.10 4", "x.seven.b.c.d.e.f.example", NULL, NULL, "fail quarantine seven.b.c.d.e.f.example", 8},
    {"4.10 4", "x.eight.b.c.d.e.f.g.example", NULL, NULL, "none", 8},
    {"4.10 4", "1.2.3.p.q.r.s.t.u.psdlong", NULL, "3.p.q.r.s.t.u.psdlong", "pass dkim p.q.r.s.t.u.psdlong", 0},
    {"4.10 4", "1.2.3.p.q.r.s.t.u.psdlong", NULL, "4.p.q.r.s.t.u.psdlong", "fail quarantine p.q.r.s.t.u.psdlong", 0},
    /* authors (4.2, 5.3.1, 11.5) */
    {"5.3.1", "Name <u@example.com>", "example.com", NULL, "pass spf example.com", 0},
    {"5.3.1", "\"b@bank.example\" <u@(c)example . com>", "example.com", NULL, "pass spf example.com", 0},
    {"5.3.1", "\"a@b\"@example.com", "example.com", NULL, "pass spf example.com", 0},
    {"5.3.1 IDN", "u@b\xc3\xbc" "cher.example", NULL, "xn--bcher-kva.example", "pass dkim xn--bcher-kva.example", 0},
    {"5.3.1 IDN", "u@B\xc3\x9c" "CHER.example", NULL, "b\xc3\xbc" "cher.example", "pass dkim xn--bcher-kva.example", 0},
    {"5.3.1 IDN", "u@xn--bcher-kva.example", NULL, NULL, "fail reject xn--bcher-kva.example", 0},
    {"5.3.1 IDN", "u@\xff.example", NULL, NULL, "permerror", 0},
    {"5.3.1", "u@localhost", NULL, NULL, "fail reject localhost", 1},
    {"5.3.1", "u@[192.0.2.1]", "example.com", NULL, "none", 0},
    {"RFC 6854", "Undisclosed:;", "example.com", NULL, "none", 0},
    {"RFC 6854", "Team: a@example.com, b@example.com;", "example.com", NULL, "pass spf example.com", 1},
    {"4.2", "", "example.com", NULL, "permerror", 0},
    {"4.2", NULL, "example.com", NULL, "permerror", 0},
    {"4.2", "Somebody", "example.com", NULL, "permerror", 0},
    {"4.2", "u@", "example.com", NULL, "permerror", 0},
    {"4.2", "u@ex ample..com", "example.com", NULL, "permerror", 0},
    {"4.2", "<u@example.com", "example.com", NULL, "permerror", 0},
    {"4.4", "u@example.com|u@example.com", "example.com", NULL, "permerror example.com", 0},
    {"4.4", "u@example.com|u@strict.example", "example.com", NULL, "fail reject strict.example", 0},
    {"11.5", "a@example.com, b@example.com", "example.com", NULL, "pass spf example.com", 1},
    {"11.5", "a@example.com, b@strict.example", "example.com", "strict.example", "pass spf example.com", 2},
    {"11.5", "a@example.com, b@strict.example", "example.com", NULL, "fail reject strict.example", 0},
    {"11.5", "a@monitor.example, b@pct.example, c@flat.corp.example", NULL, NULL, "fail reject pct.example", 0},
    {"11.5", "a@example.com, b@nowhere.example", "example.com", NULL, "none", 0},
    {"11.5", "a@example.com, b@slow.example", "example.com", NULL, "temperror", 0},
    {"11.5", "a@nopolicy.example, b@pct.example", NULL, NULL, "fail reject pct.example", 0},
    {"11.5", "a@slow.example, b@pct.example", NULL, NULL, "fail reject pct.example", 0},
    {"11.5", "a@a.example, a@b.example, a@c.example, a@d.example, a@pct.example", NULL, NULL, "permerror", 0},
};

static void add_words(struct dmarc *d, const char *words)
{
    struct str rest = str_of(words), word;

    while (str_next_word(&rest, &word))
        if (word.p[0] == '?')
            dmarc_add_unsure(d, str_skip(word, 1), false);
        else
            dmarc_add_dkim(d, word);
}

static void add_path(struct dmarc *d, const char *domain)
{
    if (domain != NULL && *domain == '?')
        dmarc_add_unsure(d, str_of(domain + 1), true);
    else if (domain != NULL)
        dmarc_add_spf(d, str_of(domain));
}

/* A domain alone stands for an address in it. */
static void add_from(struct dmarc *d, const char *fields)
{
    struct str rest = str_of(fields), field;
    char text[TEXT];

    while (fields != NULL && str_next(&rest, '|', &field)) {
        bool plain = field.n > 0 && str_find(field, '@') < 0 && str_find(field, '.') >= 0;

        snprintf(text, sizeof text, "%s%.*s", plain ? "user@" : " ", STR_ARG(field));
        dmarc_add_from(d, str_of(text));
    }
}

static void describe(const struct dmarc_outcome *o, struct buf *out)
{
    buf_addf(out, "%s", dmarc_result_name(o->result));
    if (o->result == DMARC_RESULT_PASS)
        buf_addf(out, "%s%s", o->spf_aligned ? " spf" : "", o->dkim_aligned ? " dkim" : "");
    if (o->result == DMARC_RESULT_FAIL)
        buf_addf(out, " %s", dmarc_policy_name(o->published));
    else if (o->published != DMARC_NONE)
        buf_addf(out, " (%s)", dmarc_policy_name(o->published));
    if (o->policy != o->published)
        buf_addf(out, ">%s", dmarc_policy_name(o->policy));
    if (o->policy_domain.n > 0)
        buf_addf(out, " %.*s", STR_ARG(o->policy_domain));
}

static bool run_message(const struct message *m)
{
    static struct lookups l;
    struct dmarc *d = dmarc_new(&dmarc_test_world, &l);
    struct buf out;
    bool ok;

    buf_init(&out, TEXT);
    add_from(d, m->from);
    add_path(d, m->spf);
    add_words(d, m->dkim);
    answer_all(d, &l);
    describe(dmarc_outcome_of(d), &out);
    ok = str_eq(buf_str(&out), str_of(m->expected)) && (m->questions == 0 || m->questions == l.n) && dmarc_outcome_of(d)->reason != NULL;
    if (!ok) {
        print_error("%s: %s (%s; %s): %.*s, %zu questions, instead of %s, %zu\n", m->section, m->from, m->spf, m->dkim,
            STR_ARG(buf_str(&out)), l.n, m->expected, m->questions);
        for (size_t i = 0; i < l.n; i++)
            print_error("    %s %u\n", l.names[i], l.types[i]);
    }
    buf_clear(&out);
    dmarc_free(d);
    return ok;
}

static void messages_have_their_outcome(void **state)
{
    size_t n = sizeof messages / sizeof messages[0];
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < n; i++)
        wrong += !run_message(&messages[i]);
    assert_true(n >= 60);
    assert_int_equal(wrong, 0);
}

/* ---- who is given up ---- */

struct given_up {
    const char *from, *dkim;
    size_t answers; /* that came in time */
    const char *expected;
    bool bad_from;
    const char *spf;
};

static const struct given_up given_up[] = {
    {"strict.example", NULL, 0, "temperror", false},
    /* a name server that says nothing, of one author, takes nothing from what is known of another */
    {"a@strict.example, b@slow.example", NULL, 1, "fail reject strict.example", false},
    {"a@slow.example, b@strict.example", NULL, 0, "temperror", true},
    {"a@strict.example, b@slow.example, c@pct.example", NULL, 1, "fail reject strict.example", true},
    {"u@example.com", "foo.example.com", 2, "temperror (reject) example.com", false},
    {"u@example.com", "example.com", 2, "pass dkim example.com", false, "foo.example.com"},
    {"u@news.example.com|u@strict.example", NULL, 0, "temperror", true},
};

static void answer_some(struct dmarc *d, struct lookups *l, size_t answers)
{
    dmarc_start(d);
    for (; answers > 0; answers--) {
        struct buf records;
        enum dns_status status;

        buf_init(&records, 1 << 20);
        status = look_up(l->names[l->n - 1], l->types[l->n - 1], &records);
        dmarc_answer(d, status, buf_str(&records));
        buf_clear(&records);
    }
}

static void giving_up_keeps_what_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof given_up / sizeof given_up[0]; i++) {
        const struct given_up *g = &given_up[i];
        static struct lookups l;
        struct dmarc *d = dmarc_new(&dmarc_test_world, &l);
        struct buf out;

        l.n = 0;
        l.over = false;
        buf_init(&out, TEXT);
        add_from(d, g->from);
        add_path(d, g->spf);
        add_words(d, g->dkim);
        answer_some(d, &l, g->answers);
        assert_false(l.over);
        dmarc_give_up(d);
        assert_true(l.over);
        dmarc_give_up(d);
        dmarc_answer(d, DNS_OK, STR(""));
        describe(dmarc_outcome_of(d), &out);
        if (!str_eq(buf_str(&out), str_of(g->expected)) || dmarc_outcome_of(d)->bad_from != g->bad_from)
            fail_msg("%s: %.*s, %d", g->from, STR_ARG(buf_str(&out)), dmarc_outcome_of(d)->bad_from);
        assert_true(dmarc_outcome_of(d)->author.n > 0);
        buf_clear(&out);
        dmarc_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages_have_their_outcome), cmocka_unit_test(giving_up_keeps_what_is_known)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
