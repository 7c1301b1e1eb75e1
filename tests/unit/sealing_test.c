/* Mail of strangers that goes on, sealed in the filter: what leaves has a chain that verifies, however it came and was cut; whose key it is; chains
 * that must not be added to; and what happens when directory says no, late or nothing. DNS answers at once. */
#include "arc_sealer.h"
#include "base/clock.h"
#include "roles/filter/judge.h"
#include "roles/filter/message.h"
#include "roles/filter/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { TYPE_TXT = 16 };
enum directory { AT_ONCE, LATE, SILENT, KEYS_FAIL, SIGNING_FAILS };

struct world {
    struct message *message;
    struct judge *judge;
    enum directory directory;
    struct buf out, asked; /* asked: domains whose keys were asked for */
    unsigned code, keys, signatures;
    bool ended, by_ed25519;
    struct verdict verdict;
    char hash[DKIM_HASH];
};

static const uint64_t seconds = 1795318200;
static struct dkim_test_key rsa, ed25519;
static struct dkim_zone zone;

static int make_keys(void **state)
{
    (void)state;
    dkim_make_rsa(&rsa, 2048);
    dkim_make_ed25519(&ed25519);
    dkim_zone_add(&zone, "r._domainkey.home.example", rsa.record);
    dkim_zone_add(&zone, "e._domainkey.small.example", ed25519.record);
    dkim_zone_add(&zone, "r._domainkey.other.example", rsa.record);
    dkim_zone_fail(&zone, "r._domainkey.broken.example", DNS_SERVFAIL);
    return 0;
}

static int clear_keys(void **state)
{
    (void)state;
    dkim_clear_key(&rsa);
    dkim_clear_key(&ed25519);
    return 0;
}

/* ---- the world of a message ---- */

static void on_chunk(void *owner, struct str data)
{
    buf_add(&((struct world *)owner)->out, data);
}

static void on_end(void *owner, uint64_t flags, struct str prepend, struct str message_id)
{
    struct world *w = owner;
    struct buf whole;

    (void)flags;
    (void)message_id;
    assert_false(w->ended || w->code);
    w->ended = true;
    buf_init(&whole, 1 << 23);
    buf_add(&whole, prepend);
    buf_add(&whole, buf_str(&w->out));
    buf_clear(&w->out);
    w->out = whole;
}

static void on_refuse(void *owner, unsigned code, struct str text)
{
    struct world *w = owner;

    (void)text;
    assert_false(w->ended || w->code);
    w->code = code;
}

static bool waits_for_me(const struct world *w)
{
    return w->directory == LATE || w->directory == SILENT;
}

static void answer_keys(struct world *w)
{
    struct str domain = buf_str(&w->asked);
    bool home = str_ends(domain, STR("home.example ")), small = str_ends(domain, STR("small.example "));

    message_keys(w->message, &(struct msg_dkim_keys_reply){.failed = w->directory == KEYS_FAIL,
        .rsa = home && w->directory != KEYS_FAIL ? STR("r") : STR(""), .ed25519 = small || home ? STR("e") : STR("")});
}

static void answer_signatures(struct world *w)
{
    struct buf out;

    buf_init(&out, 1 << 12);
    dkim_sign_bytes(w->by_ed25519 ? &ed25519 : &rsa, (const unsigned char *)w->hash, &out);
    message_signatures(w->message, &(struct msg_dkim_sign_reply){.failed = w->directory == SIGNING_FAILS,
        .rsa_signature = w->by_ed25519 ? STR("") : buf_str(&out), .ed25519_signature = w->by_ed25519 ? buf_str(&out) : STR("")});
    buf_clear(&out);
}

static void on_sender(void *owner, struct str address)
{
    (void)owner;
    (void)address;
    fail();
}

static void on_keys(void *owner, struct str domain)
{
    struct world *w = owner;

    w->keys++;
    buf_add(&w->asked, domain);
    buf_add_char(&w->asked, ' ');
    if (!waits_for_me(w))
        answer_keys(w);
}

static void on_signatures(void *owner, const struct msg_dkim_sign_ask *ask)
{
    struct world *w = owner;
    struct str hash = ask->rsa.n > 0 ? ask->rsa_hash : ask->ed25519_hash;

    w->signatures++;
    w->by_ed25519 = ask->rsa.n == 0;
    assert_int_equal(ask->rsa.n + ask->ed25519.n, 1); /* one key makes both */
    assert_int_equal(hash.n, DKIM_HASH);
    memcpy(w->hash, hash.p, DKIM_HASH);
    if (!waits_for_me(w))
        answer_signatures(w);
}

static void on_wait(void *owner)
{
    (void)owner;
}

static const struct verdict *on_verdict(void *owner)
{
    return &((struct world *)owner)->verdict;
}

static int64_t now(void *owner)
{
    (void)owner;
    return (int64_t)seconds * SECOND;
}

static uint64_t random_number(void *owner)
{
    (void)owner;
    return 255;
}

static const struct message_world calls = {on_chunk, on_end, on_refuse, on_sender, on_keys, on_signatures, on_wait, on_verdict, now, random_number};
static const struct message_limits limits = {1 << 20, 5};

static bool on_question(void *owner, enum judge_asker who, struct str name, unsigned type)
{
    struct world *w = owner;
    enum dns_status status = DNS_NXDOMAIN;
    struct buf records;
    char text[300];

    buf_init(&records, 1 << 16);
    snprintf(text, sizeof text, "%.*s", STR_ARG(name));
    if (type == TYPE_TXT)
        status = dkim_zone_look_up(&zone, text, &records);
    judge_answer(w->judge, who, status, buf_str(&records));
    buf_clear(&records);
    return true;
}

static void on_judged(void *owner)
{
    message_judged(((struct world *)owner)->message);
}

static const struct judge_world judge_calls = {on_question, on_judged};

/* ---- */

/* Domains: those of recipients that go on, split at blanks. */
static void start(struct world *w, struct message *m, enum directory directory, const char *domains)
{
    struct str rest = str_of(domains), one;

    *w = (struct world){.message = m, .directory = directory};
    buf_init(&w->out, 1 << 22);
    buf_init(&w->asked, 1 << 12);
    w->judge = judge_new(&judge_calls, w, &(struct judge_subject){.client = {.family = 4, .bytes = {192, 0, 2, 1}}, .helo = STR("mx.far.example"),
        .sender = STR("x@far.example"), .hostname = STR("mx.home.example"), .now = (int64_t)seconds * SECOND, .dmarc = true});
    message_begin(m, &calls, w, &limits, STR("mx.home.example"), &(struct msg_txn_begin){.message = 1, .sender = STR("x@far.example"),
        .trace = STR("Received: us\r\n")});
    message_set_judge(m, w->judge);
    while (str_next_word(&rest, &one))
        message_goes_on(m, one);
}

static void stop(struct world *w, struct message *m)
{
    message_clear(m);
    judge_free(w->judge);
    buf_clear(&w->out);
    buf_clear(&w->asked);
}

static void feed(struct message *m, struct str text, size_t cut)
{
    message_chunk(m, str_sub(text, 0, cut));
    message_chunk(m, str_skip(text, cut));
    message_end(m, 0);
}

static bool has(const struct world *w, const char *text)
{
    return str_ifind(buf_str(&w->out), str_of(text)) >= 0;
}

static const char plain[] = "From: x@far.example\r\nTo: you@home.example\r\nSubject: x\r\nDate: y\r\n\r\nhello\r\n";

static void what_goes_on_verifies(void **state)
{
    static const char *const messages[] = {plain, "From: x@far.example\r\n\r\n", "From: x@far.example\r\nno field\r\n",
        "From a mailbox file\r\nReturn-Path: <x@y>\r\nFrom: x@far.example\r\nSubject: two\r\n  lines\r\n\r\n.\r\n \t\r\n\r\n\r\n",
        "From: x@far.example\r\nAuthentication-Results: mx.home.example; spf=pass\r\nDKIM-Signature: v=1; d=x\r\n\r\n\xc3\xa4 \xff"};

    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        for (size_t cut = 0; cut <= strlen(messages[i]); cut++) {
            struct message m;
            struct world w;

            start(&w, &m, cut % 2 ? LATE : AT_ONCE, "home.example");
            feed(&m, str_of(messages[i]), cut);
            if (w.directory == LATE) {
                answer_keys(&w);
                answer_signatures(&w);
                answer_signatures(&w);
            }
            assert_true(w.ended);
            assert_int_equal(w.signatures, 2);
            assert_true(str_starts(buf_str(&w.out), STR("ARC-Seal: i=1; a=rsa-sha256; cv=none; d=home.example; s=r;")));
            assert_true(has(&w, "ARC-Authentication-Results: i=1; mx.home.example;"));
            arc_result_is(&zone, buf_str(&w.out), seconds, ARC_PASS, NULL);
            stop(&w, &m);
        }
}

static void a_large_body_streams_past(void **state)
{
    static char piece[IPC_CHUNK];
    struct message m;
    struct world w;

    (void)state;
    memset(piece, 'x', sizeof piece);
    memcpy(piece + 1000, " \t\r\n\r\n", 6);
    start(&w, &m, LATE, "home.example");
    message_chunk(&m, STR("From: x@far.example\r\n\r\n"));
    for (int i = 0; i < 20; i++) {
        if (i == 10)
            answer_keys(&w);
        message_chunk(&m, str_from(piece, sizeof piece));
        assert_true(message_held(&m) < 100000);
    }
    message_end(&m, 0);
    answer_signatures(&w);
    assert_false(w.ended);
    answer_signatures(&w);
    arc_result_is(&zone, buf_str(&w.out), seconds, ARC_PASS, NULL);
    stop(&w, &m);
}

static void whose_key_it_is(void **state)
{
    static const struct {
        const char *domains, *asked, *seal;
    } cases[] = {
        {"none.example home.example", "none.example home.example ", "d=home.example; s=r;"},
        {"small.example home.example", "small.example ", "a=ed25519-sha256; cv=none; d=small.example; s=e;"},
        {"home.example HOME.example home.example", "home.example ", "d=home.example;"},
        {"a.example b.example", "a.example b.example ", NULL},
        {"a.example b.example c.example d.example home.example", "a.example b.example c.example d.example ", NULL},
        {"", "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message m;
        struct world w;

        start(&w, &m, AT_ONCE, cases[i].domains);
        feed(&m, str_of(plain), 10);
        assert_true(w.ended);
        assert_true(str_eq(buf_str(&w.asked), str_of(cases[i].asked)));
        assert_int_equal(has(&w, "ARC-Seal"), cases[i].seal != NULL);
        assert_true(cases[i].seal == NULL || has(&w, cases[i].seal));
        stop(&w, &m);
    }
}

/* The message with a set that another server put on top of it. */
static void sealed_before(const char *domain, enum arc_result chain, struct buf *out)
{
    struct buf text;

    buf_init(&text, 1 << 16);
    buf_add(&text, STR("Authentication-Results: mx.other.example; none\r\n"));
    buf_add(&text, str_of(plain));
    assert_true(arc_seal_message(&rsa, domain, "r", seconds - 60, chain, buf_str(&text), out));
    buf_clear(&text);
}

static void chains_that_came(void **state)
{
    static const struct {
        const char *domain;
        bool changed;
        const char *seal;
        enum arc_result after;
    } cases[] = {
        {"other.example", false, "ARC-Seal: i=2; a=rsa-sha256; cv=pass; d=home.example;", ARC_PASS},
        {"other.example", true, "ARC-Seal: i=2; a=rsa-sha256; cv=fail; d=home.example;", ARC_FAIL},
        {"broken.example", false, NULL, ARC_FAIL}, /* DNS fails: the next one may find it whole */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf text;
        struct message m;
        struct world w;

        sealed_before(cases[i].domain, ARC_NONE, &text);
        if (cases[i].changed)
            buf_add(&text, STR("one line more\r\n"));
        start(&w, &m, AT_ONCE, "home.example");
        feed(&m, buf_str(&text), 100);
        assert_true(w.ended);
        assert_true(cases[i].seal == NULL ? !has(&w, "d=home.example;") : has(&w, cases[i].seal));
        arc_result_is(&zone, buf_str(&w.out), seconds, cases[i].after, NULL);
        buf_reset(&text);
        buf_add(&text, buf_str(&w.out));
        stop(&w, &m);
        start(&w, &m, AT_ONCE, "home.example"); /* and once more through here */
        feed(&m, buf_str(&text), 10);
        assert_true(w.ended);
        assert_int_equal(has(&w, "ARC-Seal: i=3; a=rsa-sha256; cv=pass;"), i == 0);
        if (i == 1) /* what is called broken gets nothing more (RFC 8617 5.1) */
            assert_false(has(&w, "ARC-Seal: i=3"));
        stop(&w, &m);
        buf_clear(&text);
    }
}

static void directory_cannot(void **state)
{
    static const enum directory ways[] = {KEYS_FAIL, SIGNING_FAILS, SILENT};

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (unsigned answers = 0; answers < (ways[i] == SILENT ? 3 : 1); answers++) {
            struct message m;
            struct world w;

            start(&w, &m, ways[i], "home.example");
            feed(&m, str_of(plain), 10);
            if (answers > 0)
                answer_keys(&w);
            if (answers > 1)
                answer_signatures(&w);
            assert_false(w.ended);
            if (ways[i] == SILENT)
                message_directory_gone(&m);
            assert_int_equal(w.code, 451);
            answer_keys(&w); /* too late */
            answer_signatures(&w);
            stop(&w, &m);
        }
}

static void what_is_refused_or_cannot_be_sealed(void **state)
{
    struct message m;
    struct world w;

    (void)state;
    start(&w, &m, AT_ONCE, "home.example");
    w.verdict = (struct verdict){.action = VERDICT_REFUSE, .code = 550};
    feed(&m, str_of(plain), 10);
    assert_int_equal(w.code, 550);
    assert_int_equal(w.signatures, 0);
    stop(&w, &m);
    start(&w, &m, AT_ONCE, "home.example");
    feed(&m, STR("Subject: no author\r\n\r\nx\r\n"), 10);
    assert_true(w.ended && w.keys == 0 && !has(&w, "ARC-Seal"));
    stop(&w, &m);
    start(&w, &m, LATE, "home.example"); /* the message goes before its keys are known */
    message_chunk(&m, STR("From: x@far.example\r\n\r\n"));
    stop(&w, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_goes_on_verifies), cmocka_unit_test(a_large_body_streams_past),
        cmocka_unit_test(whose_key_it_is), cmocka_unit_test(chains_that_came), cmocka_unit_test(directory_cannot),
        cmocka_unit_test(what_is_refused_or_cannot_be_sealed)};

    return cmocka_run_group_tests(tests, make_keys, clear_keys);
}
