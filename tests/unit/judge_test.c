/* A stranger's message and its judge: what is found, written and done, with DNS played by hand that answers at once, late, or
 * never, and messages cut anywhere. */
#include "base/clock.h"
#include "arc_sealer.h"
#include "dns/records.h"
#include "roles/filter/judge.h"
#include "roles/filter/message.h"
#include "roles/filter/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { PARTS = 6, QUESTIONS = 200, NOW = 1795318200 };
enum way { AT_ONCE, LATE, NEVER };

static struct dkim_test_key key;

/* ---- DNS ---- */

static const struct record {
    const char *name;
    unsigned type;
    enum dns_status status;
    const char *text;
} zone[] = {
    {"strict.example", DNS_TXT, DNS_OK, "v=spf1 ip4:192.0.2.1 -all exp=why.strict.example"},
    {"why.strict.example", DNS_TXT, DNS_OK, "%{i} is none of ours"},
    {"_dmarc.strict.example", DNS_TXT, DNS_OK, "v=DMARC1; p=reject"},
    {"key._domainkey.strict.example", DNS_TXT, DNS_OK, NULL}, /* the key made at the start */
    {"key._domainkey.lists.example", DNS_TXT, DNS_OK, NULL},
    {"key._domainkey.stranger.example", DNS_TXT, DNS_OK, NULL},
    {"soft.example", DNS_TXT, DNS_OK, "v=spf1 -all"},
    {"_dmarc.soft.example", DNS_TXT, DNS_OK, "v=DMARC1; p=quarantine"},
    {"mild.example", DNS_TXT, DNS_OK, "v=spf1 ~all"},
    {"_dmarc.mild.example", DNS_TXT, DNS_OK, "v=DMARC1; p=none"},
    {"broken.example", DNS_TXT, DNS_SERVFAIL, ""},
    {"_dmarc.broken.example", DNS_TXT, DNS_SERVFAIL, ""},
    {"broken._domainkey.strict.example", DNS_TXT, DNS_SERVFAIL, ""},
    {"broken._domainkey.mild.example", DNS_TXT, DNS_SERVFAIL, ""},
    {"flaky.strict.example", DNS_TXT, DNS_TIMEOUT, ""},
    {"mx.strict.example", DNS_TXT, DNS_OK, "v=spf1 a -all"},
    {"mx.strict.example", DNS_A, DNS_OK, "192.0.2.1"},
    {"1.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "mx.strict.example"},
};

static void add_text(struct buf *out, struct str text)
{
    struct buf rdata;

    buf_init(&rdata, 8000);
    for (; text.n > 0; text = str_skip(text, 200)) {
        buf_add_char(&rdata, (char)str_sub(text, 0, 200).n);
        buf_add(&rdata, str_sub(text, 0, 200));
    }
    dns_add_record(out, buf_str(&rdata));
    buf_clear(&rdata);
}

static void add_data(struct buf *out, const struct record *r)
{
    struct buf rdata;
    struct ip ip;

    if (r->type == DNS_TXT) {
        add_text(out, str_of(r->text != NULL ? r->text : key.record));
        return;
    }
    buf_init(&rdata, 300);
    if (r->type == DNS_PTR)
        assert_true(dns_write_name(&rdata, str_of(r->text)));
    else if (ip_parse(str_of(r->text), &ip))
        buf_add(&rdata, str_from((const char *)ip.bytes, 4));
    dns_add_record(out, buf_str(&rdata));
    buf_clear(&rdata);
}

static const struct record *find(struct str name, unsigned type)
{
    for (size_t i = 0; i < sizeof zone / sizeof *zone; i++)
        if (zone[i].type == type && str_ieq(name, str_of(zone[i].name)))
            return &zone[i];
    return NULL;
}

/* ---- the world of a message and its judge ---- */

struct world {
    enum way way;
    struct judge *judge;
    struct message message;
    const struct judge_policy *policy;
    struct verdict verdict;
    struct buf body, prepend;
    uint64_t flags;
    unsigned code, ends, asked;
    char text[VERDICT_TEXT];
    bool judged;
    struct {
        enum judge_asker who;
        const struct record *record;
    } open[QUESTIONS]; /* way LATE */
    size_t n;
};

static void answer(struct world *w, enum judge_asker who, const struct record *r)
{
    struct buf records;

    buf_init(&records, 16000);
    if (r != NULL && r->status == DNS_OK)
        add_data(&records, r);
    judge_answer(w->judge, who, r != NULL ? r->status : DNS_NXDOMAIN, buf_str(&records));
    buf_clear(&records);
}

static bool on_ask(void *owner, enum judge_asker who, struct str name, unsigned type)
{
    struct world *w = owner;
    const struct record *r = find(name, type);

    assert_true(++w->asked < QUESTIONS);
    assert_true(dns_name_can_be_asked(name));
    if (w->way == AT_ONCE && !str_ends(name, STR("hang.example"))) {
        answer(w, who, r);
    } else {
        for (size_t i = 0; i < w->n; i++)
            assert_true(w->open[i].who != who); /* one at a time */
        w->open[w->n].who = who;
        w->open[w->n++].record = r;
    }
    return true;
}

static void on_done(void *owner)
{
    struct world *w = owner;

    assert_false(w->judged);
    w->judged = true;
    message_judged(&w->message);
}

static const struct judge_world judge_calls = {on_ask, on_done};

static void on_chunk(void *owner, struct str data)
{
    struct world *w = owner;

    buf_add(&w->body, data);
}

static void on_end(void *owner, uint64_t flags, struct str prepend, struct str message_id)
{
    struct world *w = owner;

    (void)message_id;
    w->ends++;
    w->flags = flags;
    buf_add(&w->prepend, prepend);
}

static void on_refuse(void *owner, unsigned code, struct str text)
{
    struct world *w = owner;

    w->ends++;
    w->code = code;
    snprintf(w->text, sizeof w->text, "%.*s", STR_ARG(text));
}

static void ask_sender(void *owner, struct str address)
{
    (void)owner;
    (void)address;
    fail_msg("a stranger has no account");
}

static void wait_for_judge(void *owner)
{
    (void)owner;
}

static const struct verdict *verdict(void *owner)
{
    struct world *w = owner;

    assert_true(judge_is_done(w->judge));
    verdict_of(w->judge, w->policy, &w->verdict);
    return &w->verdict;
}

static int64_t now(void *owner)
{
    (void)owner;
    return NOW * SECOND;
}

static uint64_t random_number(void *owner)
{
    (void)owner;
    return 1;
}

static const struct message_world message_calls = {on_chunk, on_end, on_refuse, ask_sender, NULL, NULL, wait_for_judge,
    verdict, now, random_number};
static const struct message_limits limits = {100000, 50};

struct stranger {
    const char *client, *sender;
};

static void start(struct world *w, enum way way, const struct judge_policy *policy, struct stranger s)
{
    struct judge_subject subject = {.helo = STR("mx.strict.example"), .sender = str_of(s.sender), .hostname = STR("mx.home.example"),
        .now = NOW * SECOND, .dmarc = policy->dmarc != DMARC_MODE_OFF};

    *w = (struct world){.way = way, .policy = policy};
    assert_true(ip_parse(str_of(s.client), &subject.client));
    buf_init(&w->body, 1 << 20);
    buf_init(&w->prepend, IPC_CHUNK);
    w->judge = judge_new(&judge_calls, w, &subject);
    message_begin(&w->message, &message_calls, w, &limits, STR("mx.home.example"), &(struct msg_txn_begin){.message = 1,
        .sender = str_of(s.sender), .trace = STR("Received: us\r\n")});
    message_set_judge(&w->message, w->judge);
}

/* The last that was asked is answered first. */
static void answer_late(struct world *w)
{
    while (w->n > 0) {
        enum judge_asker who = w->open[--w->n].who;

        answer(w, who, w->open[w->n].record);
    }
}

static void feed(struct world *w, struct str text, size_t cut)
{
    for (; text.n > 0; text = str_skip(text, cut))
        message_chunk(&w->message, str_sub(text, 0, cut));
    message_end(&w->message, 0);
    assert_int_equal(w->ends, w->judged);
    if (w->way == LATE)
        answer_late(w);
    (void)judge_hurry(w->judge);
    judge_give_up(w->judge);
    judge_give_up(w->judge); /* once more changes nothing */
    assert_true(w->judged);
    assert_int_equal(w->ends, 1);
}

static void stop(struct world *w)
{
    message_clear(&w->message);
    judge_free(w->judge);
    verdict_clear(&w->verdict);
    buf_clear(&w->body);
    buf_clear(&w->prepend);
}

/* One line, so that parts of it can be looked for. */
static void field_of(const struct world *w, char *out, size_t room)
{
    struct str text = buf_str(&w->prepend);
    size_t n = 0;

    for (size_t i = 0; i < text.n && n + 1 < room; i++)
        if (text.p[i] != '\r' && text.p[i] != '\n')
            out[n++] = text.p[i] == '\t' ? ' ' : text.p[i];
    out[n] = 0;
}

/* ---- what is found and done ---- */

static const struct judge_policy enforce = {.check = true, .dmarc = DMARC_MODE_ENFORCE};
static const struct judge_policy report = {.check = true, .dmarc = DMARC_MODE_REPORT};
static const struct judge_policy off = {.check = true, .dmarc = DMARC_MODE_OFF};
static const struct judge_policy strict_spf = {.check = true, .dmarc = DMARC_MODE_OFF, .refuse_spf_fail = true};
static struct str excused_names[] = {STR("strict.example")};
static const struct judge_policy excused = {.check = true, .dmarc = DMARC_MODE_ENFORCE, .refuse_spf_fail = true,
    .exempt_domains = {excused_names, 1}};
static struct str sealer_names[] = {STR("lists.example"), STR("other.example")};
static const struct judge_policy sealed = {.check = true, .dmarc = DMARC_MODE_ENFORCE, .trusted_sealers = {sealer_names, 2}};

#define TAGS "v=1; a=rsa-sha256; c=relaxed/relaxed; d=strict.example; s=key; h=from;"
#define BROKEN(domain) "v=1; a=rsa-sha256; c=relaxed/relaxed; d=" domain "; s=broken; h=from;"
#define OURS "192.0.2.1"
#define OTHER "198.51.100.9"

static const struct judged {
    const struct judge_policy *policy;
    struct stranger from;
    const char *header;         /* with a body behind it */
    const char *tags;           /* signed with these; NULL: not */
    const char *parts[PARTS];   /* of what is written; "!" before what must not be there */
    unsigned code;
    const char *reply;
    bool junk;
} cases[] = {
    {&enforce, {OURS, "x@strict.example"}, "From: x@strict.example\r\n", NULL,
        {"dmarc=pass header.from=strict.example", "spf=pass", "smtp.mailfrom=strict.example", "smtp.helo=mx.strict.example", "iprev=pass", "dkim=none"}, 0, "", false},
    {&enforce, {OTHER, "x@mild.example"}, "From: x@strict.example\r\n", TAGS,
        {"dmarc=pass", "spf=softfail", "dkim=pass header.d=strict.example", "header.s=key", "header.a=rsa-sha256", "iprev=permerror"}, 0, "", false},
    {&enforce, {OURS, ""}, "From: x@strict.example\r\n", NULL, {"dmarc=pass", "spf=pass", "smtp.helo=mx.strict.example", "!smtp.mailfrom"}, 0, "", false},
    {&enforce, {OTHER, "x@strict.example"}, "From: x@strict.example\r\n", NULL, {"!x"}, 550, "_dmarc.strict.example", false},
    {&enforce, {OURS, "x@mild.example"}, "From: x@sub.strict.example\r\n", NULL, {"!x"}, 550, "sub.strict.example", false},
    /* the HELO name passes, but MAIL FROM does not: only for the null path it would count */
    {&enforce, {OURS, "x@mild.example"}, "From: x@strict.example\r\n", NULL, {"!x"}, 550, "5.7.1", false},
    {&report, {OTHER, "x@strict.example"}, "From: x@strict.example\r\n", NULL, {"dmarc=fail", "policy.dmarc=reject", "spf=fail"}, 0, "", false},
    {&off, {OTHER, "x@strict.example"}, "From: x@strict.example\r\n", NULL, {"!dmarc", "spf=fail"}, 0, "", false},
    {&strict_spf, {OTHER, "x@strict.example"}, "From: x@mild.example\r\n", NULL, {"!x"}, 550, "strict.example explains: 198.51.100.9 is none of ours", false},
    {&excused, {OTHER, "x@sub.strict.example"}, "From: x@sub.strict.example\r\n", NULL, {"dmarc=fail", "policy.dmarc=reject"}, 0, "", false},
    {&excused, {OTHER, "x@strict.example"}, "From: x@notstrict.example\r\n", NULL, {"dmarc=none", "spf=fail"}, 0, "", false},
    {&enforce, {OTHER, "x@soft.example"}, "From: x@soft.example\r\n", NULL, {"dmarc=fail", "policy.dmarc=quarantine", "spf=fail"}, 0, "", true},
    {&enforce, {OTHER, "x@mild.example"}, "From: x@mild.example\r\n", NULL, {"dmarc=fail", "policy.dmarc=none"}, 0, "", false},
    {&enforce, {OTHER, "x@broken.example"}, "From: x@broken.example\r\n", NULL, {"dmarc=temperror", "spf=temperror"}, 0, "", false},
    {&enforce, {OURS, "x@strict.example"}, "Subject: nobody\r\n", NULL, {"dmarc=permerror", "spf=pass"}, 0, "", true},
    {&enforce, {OURS, "x@strict.example"}, "From: x@strict.example\r\nFrom: y@soft.example\r\n", NULL, {"spf=pass"}, 0, "", true},
    {&report, {OTHER, "x@mild.example"}, "From: x@strict.example\r\nFrom: y@mild.example\r\n", NULL, {"dmarc=fail"}, 0, "", false},
    /* who the author is cannot be told: no domain is to be had for nothing in that way */
    {&enforce, {OURS, "x@mild.example"}, "From: x@mild.example\r\nFrom: y@other.example\r\n", NULL, {"dmarc=fail", "policy.dmarc=none"}, 0, "", true},
    {&enforce, {OURS, "x@mild.example"}, "From: <x@strict.example\r\n", NULL, {"dmarc=permerror", "malformed From"}, 0, "", true},
    {&enforce, {OURS, "x@mild.example"}, "From: a@a.example, b@b.example, c@c.example, d@d.example, x@strict.example\r\n", NULL, {"dmarc=permerror"}, 0, "", true},
    {&enforce, {OURS, "x@strict.example"}, "From: Strict, Inc. <x@strict.example>\r\n", NULL, {"dmarc=permerror", "malformed From"}, 0, "", false},
    {&report, {OURS, "x@mild.example"}, "From: <x@strict.example\r\n", NULL, {"dmarc=permerror"}, 0, "", false},
    /* DNS that fails for what would count */
    {&enforce, {OTHER, "x@flaky.strict.example"}, "From: x@strict.example\r\n", NULL, {"spf=temperror", "dmarc=temperror"}, 0, "", true},
    {&enforce, {OTHER, "x@mild.example"}, "From: x@strict.example\r\n", BROKEN("strict.example"), {"dkim=temperror", "dmarc=temperror", "!policy.dmarc"}, 0, "", true},
    {&report, {OTHER, "x@mild.example"}, "From: x@strict.example\r\n", BROKEN("strict.example"), {"dkim=temperror", "dmarc=temperror"}, 0, "", false},
    {&enforce, {OTHER, "x@soft.example"}, "From: x@mild.example\r\n", BROKEN("mild.example"), {"dkim=temperror", "dmarc=temperror"}, 0, "", false},
    {&enforce, {OTHER, "x@broken.example"}, "From: x@strict.example\r\n", BROKEN("mild.example"), {"!x"}, 550, "_dmarc.strict.example", false},
    {&enforce, {OURS, "x@strict.example"}, "From: x@strict.example\r\n", BROKEN("strict.example"), {"dkim=temperror", "dmarc=pass"}, 0, "", false},
    /* name servers that say nothing, of somebody else */
    {&enforce, {OTHER, "x@hang.example"}, "From: x@strict.example\r\n", NULL, {"!x"}, 550, "_dmarc.strict.example", false},
    {&enforce, {OTHER, "x@mild.example"}, "From: x@strict.example\r\n", "v=1; a=rsa-sha256; d=hang.example; s=a; h=from;", {"!x"}, 550, "_dmarc.strict.example", false},
    {&enforce, {OTHER, "x@hang.example"}, "From: x@strict.example\r\n", TAGS, {"dmarc=pass"}, 0, "", false},
    {&enforce, {OTHER, "x@mild.example"}, "From: x@strict.example, y@hang.example\r\n", NULL, {"!x"}, 550, "_dmarc.strict.example", false},
    /* what l= leaves out may be anybody's */
    {&enforce, {OTHER, "x@mild.example"}, "From: x@strict.example\r\n", TAGS " l=0;", {"!x"}, 550, "5.7.1", false},
    {&report, {OTHER, "x@mild.example"}, "From: x@strict.example\r\n", TAGS " l=0;", {"dkim=pass", "leaves out 6 octets", "dmarc=fail"}, 0, "", false},
    {&report, {OTHER, "x@mild.example"}, "From: x@strict.example\r\n", "v=1; a=rsa-sha256; d=strict.example; s=other; h=from;", {"dkim=permerror", "dmarc=fail"}, 0, "", false},
};

static void check_parts(const struct judged *c, const struct world *w, size_t number)
{
    char field[4000];

    field_of(w, field, sizeof field);
    assert_true(strncmp(field, "Authentication-Results: mx.home.example;", 40) == 0);
    assert_non_null(strstr(field, "Received: us"));
    for (size_t i = 0; i < PARTS && c->parts[i] != NULL; i++) {
        const char *part = c->parts[i];

        if ((strstr(field, *part == '!' ? part + 1 : part) != NULL) == (*part == '!'))
            fail_msg("case %zu: %s in %s", number, part, field);
    }
}

static void compose(const struct judged *c, struct buf *out)
{
    struct buf plain;

    buf_init(&plain, 4000);
    buf_addf(&plain, "%s\r\nbody\r\n", c->header);
    if (c->tags != NULL) {
        dkim_sign_by_hand(&key, c->tags, buf_str(&plain), out);
    } else {
        buf_init(out, 4000);
        buf_add(out, buf_str(&plain));
    }
    buf_clear(&plain);
}

static void try(const struct judged *c, size_t number, struct str text, enum way way, size_t cut)
{
    struct world w;

    start(&w, way, c->policy, c->from);
    feed(&w, text, cut);
    if (w.code != c->code || (c->code != 0 && strstr(w.text, c->reply) == NULL))
        fail_msg("case %zu, way %d: %u %s", number, way, w.code, w.text);
    if (w.code == 0) {
        check_parts(c, &w, number);
        assert_int_equal((w.flags & TXN_JUNK) != 0, c->junk);
        assert_true(str_eq(buf_str(&w.body), text)); /* as it came */
    }
    stop(&w);
}

static void strangers_are_judged(void **state)
{
    static const size_t cuts[] = {100000, 1, 7, 64};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t cut = 0; cut < 4; cut++) {
            struct buf text;

            compose(&cases[i], &text);
            try(&cases[i], i, buf_str(&text), AT_ONCE, cuts[cut]);
            try(&cases[i], i, buf_str(&text), LATE, cuts[cut]);
            buf_clear(&text);
        }
}

/* ---- ARC ---- */

#define SEAL(n, cv, domain) "i=" n "; a=rsa-sha256; cv=" cv "; d=" domain "; s=key;"
#define SIGNED(n, domain) "i=" n "; a=rsa-sha256; c=relaxed/relaxed; d=" domain "; s=key; h=from;"
#define FOUND(n, what) "i=" n "; mx.lists.example; " what

static const struct chain {
    struct arc_by_hand sets[2]; /* the older one first */
    const char *what;           /* written of it */
    bool rescued;
} chains[] = {
    {{{FOUND("1", "spf=pass smtp.mailfrom=a.example; dmarc=pass header.from=Strict.example"), SIGNED("1", "lists.example"), SEAL("1", "none", "lists.example")}},
        "arc=pass", true},
    {{{FOUND("1", "dmarc=pass header.from=other.example"), SIGNED("1", "lists.example"), SEAL("1", "none", "lists.example")}}, "arc=pass", false},
    {{{FOUND("1", "dmarc=pass"), SIGNED("1", "lists.example"), SEAL("1", "none", "lists.example")}}, "arc=pass", false},
    {{{FOUND("1", "dmarc=fail header.from=strict.example"), SIGNED("1", "lists.example"), SEAL("1", "none", "lists.example")}}, "arc=pass", false},
    {{{FOUND("1", "dmarc=pass header.from=strict.example"), SIGNED("1", "stranger.example"), SEAL("1", "none", "stranger.example")}}, "arc=pass", false},
    {{{FOUND("1", "dmarc=pass header.from=strict.example"), SIGNED("1", "lists.example") " l=0;", SEAL("1", "none", "lists.example")}}, "arc=pass", false},
    {{{FOUND("1", "dmarc=pass header.from=strict.example"), SIGNED("1", "lists.example"), SEAL("1", "pass", "lists.example")}}, "arc=fail", false},
    /* an older one counts when all above it are trusted */
    {{{FOUND("1", "dmarc=pass header.from=strict.example"), SIGNED("1", "lists.example"), SEAL("1", "none", "lists.example")},
         {FOUND("2", "dmarc=fail header.from=strict.example"), SIGNED("2", "lists.example"), SEAL("2", "pass", "lists.example")}}, "arc=pass", true},
    {{{FOUND("1", "dmarc=pass header.from=strict.example"), SIGNED("1", "lists.example"), SEAL("1", "none", "lists.example")},
         {FOUND("2", "dmarc=pass header.from=strict.example"), SIGNED("2", "stranger.example"), SEAL("2", "pass", "stranger.example")}}, "arc=pass", false},
};

static void seal(const struct chain *c, struct buf *out)
{
    struct buf below;

    arc_seal_by_hand(&key, &c->sets[0], STR("From: x@strict.example\r\n\r\nbody\r\n"), out);
    if (c->sets[1].seal == NULL)
        return;
    below = *out;
    arc_seal_by_hand(&key, &c->sets[1], buf_str(&below), out);
    buf_clear(&below);
}

static void trusted_sealers_rescue(void **state)
{
    static const struct stranger forwarder = {OTHER, "x@lists.example"};

    (void)state;
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
        for (int believes = 0; believes < 2; believes++) {
            const struct judge_policy *policy = believes ? &sealed : &report;
            struct judged c = {.policy = policy, .from = forwarder, .parts = {chains[i].what, "dmarc=fail"}};
            struct buf text;

            if (believes && !chains[i].rescued) {
                c.code = 550;
                c.reply = "_dmarc.strict.example";
            }
            seal(&chains[i], &text);
            try(&c, i, buf_str(&text), AT_ONCE, 100000);
            try(&c, i, buf_str(&text), LATE, 10);
            c.policy = &enforce; /* nobody is believed */
            c.code = 550;
            c.reply = "_dmarc.strict.example";
            try(&c, i, buf_str(&text), AT_ONCE, 100000);
            buf_clear(&text);
        }
}

/* Nothing is refused when DNS says nothing, and nothing is junk but for its From. */
static void silence_refuses_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world w;
        struct buf text;
        char field[4000];

        compose(&cases[i], &text);
        start(&w, NEVER, cases[i].policy, cases[i].from);
        feed(&w, buf_str(&text), 50);
        field_of(&w, field, sizeof field);
        assert_int_equal(w.code, 0);
        assert_int_equal((w.flags & TXN_JUNK) != 0, cases[i].policy == &enforce && judge_dmarc(w.judge)->bad_from);
        assert_non_null(strstr(field, "spf=temperror"));
        assert_non_null(strstr(field, "iprev=temperror"));
        if (cases[i].tags != NULL)
            assert_non_null(strstr(field, "dkim=temperror"));
        stop(&w);
        buf_clear(&text);
    }
}

/* Signatures of long names do not push the rest out of what the log and the trace say. */
static void the_summary_is_bounded(void **state)
{
    struct buf text, words;
    struct world w;

    (void)state;
    buf_init(&text, 100000);
    buf_init(&words, IPC_TEXT);
    for (unsigned i = 0; i < DKIM_SIGNATURES_MAX; i++)
        buf_addf(&text, "DKIM-Signature: v=1; a=rsa-sha256; s=a; h=from; b=AAAA; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; d=%060u.%060u.%060u.example\r\n", i, i, i);
    buf_add(&text, STR("From: x@strict.example\r\n\r\nbody\r\n"));
    start(&w, AT_ONCE, &enforce, (struct stranger){OURS, "x@strict.example"});
    feed(&w, buf_str(&text), 100000);
    assert_int_equal(judge_signatures(w.judge), DKIM_SIGNATURES_MAX);
    judge_write_summary(w.judge, &words);
    assert_true(!words.failed && words.n < 3500);
    assert_true(str_starts(buf_str(&words), STR("dmarc=pass (strict.example) spf=pass (strict.example) iprev=pass dkim=permerror (000")));
    stop(&w);
    buf_clear(&text);
    buf_clear(&words);
}

static bool cannot_ask(void *owner, enum judge_asker who, struct str name, unsigned type)
{
    (void)owner;
    (void)who;
    (void)name;
    (void)type;
    return false;
}

static void note_done(void *owner)
{
    ++*(unsigned *)owner;
}

static void questions_that_cannot_be_asked_fail(void **state)
{
    static const struct judge_world calls = {cannot_ask, note_done};
    struct judge_subject subject = {.helo = STR("mx.a.example"), .sender = STR("x@a.example"), .hostname = STR("mx.home.example"), .dmarc = true,
        .client = {4, {192, 0, 2, 1}}};
    struct header_field from = {STR("From"), STR(" x@a.example"), STR("From: x@a.example\r\n")};
    unsigned times = 0;
    struct judge *j = judge_new(&calls, &times, &subject);

    (void)state;
    judge_start(j);
    judge_field(j, &from);
    assert_true(judge_held(j) > from.raw.n);
    judge_header_end(j);
    assert_int_equal(times, 0);
    judge_answer(j, JUDGE_SPF, DNS_OK, STR("")); /* nothing is open */
    judge_answer(j, JUDGE_ASKERS, DNS_OK, STR(""));
    judge_end(j);
    assert_int_equal(times, 1);
    assert_int_equal(judge_spf(j), SPF_TEMPERROR);
    assert_int_equal(judge_dmarc(j)->result, DMARC_RESULT_TEMPERROR);
    judge_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_are_judged),
        cmocka_unit_test(trusted_sealers_rescue),
        cmocka_unit_test(silence_refuses_nothing),
        cmocka_unit_test(the_summary_is_bounded),
        cmocka_unit_test(questions_that_cannot_be_asked_fail),
    };
    int failed;

    dkim_make_rsa(&key, 1024);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    dkim_clear_key(&key);
    return failed;
}
