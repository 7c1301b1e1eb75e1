/* What becomes of signatures that are wrong, odd, weak or many, of keys that are not there, and of DNS that fails. */
#include "base/encode.h"
#include "dkim_signer.h"
#include "dkim_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t now = 1700000000;
static const struct dkim_way whole = {1 << 20, false};
static const char letter[] = "From: a@example.org\r\nTo: b@example.net\r\nSubject: one\r\n\r\nbody  text \r\n\r\nmore\r\n\r\n";
static struct dkim_test_key rsa, ed, weak;
static struct dkim_zone zone;

static int make_keys(void **state)
{
    (void)state;
    dkim_make_rsa(&rsa, 2048);
    dkim_make_ed25519(&ed);
    dkim_make_rsa(&weak, 1000);
    return 0;
}

static int clear_keys(void **state)
{
    (void)state;
    dkim_clear_key(&rsa);
    dkim_clear_key(&ed);
    dkim_clear_key(&weak);
    return 0;
}

static int empty_zone(void **state)
{
    (void)state;
    memset(&zone, 0, sizeof zone);
    return 0;
}

static void verify_is(struct str message, const char *result, const char *reason)
{
    struct dkim_verify *v = dkim_verify_message(&zone, message, now, whole);
    const struct dkim_outcome *o;

    assert_int_equal(dkim_verify_count(v), 1);
    o = dkim_verify_outcome(v, 0);
    assert_string_equal(o->reason, reason);
    assert_string_equal(dkim_result_name(o->result), result);
    dkim_verify_free(v);
}

#define TAGS "v=1; a=rsa-sha256; d=example.org; s=s; h=From:To:Subject; "

/* Signs the letter with these tags, and looks what comes of it. */
static void signed_is(const struct dkim_test_key *key, const char *tags, const char *result, const char *reason)
{
    struct buf out;

    dkim_sign_by_hand(key, tags, str_of(letter), &out);
    verify_is(buf_str(&out), result, reason);
    buf_clear(&out);
}

static void tags(void **state)
{
    static const struct {
        const char *tags, *result, *reason;
    } cases[] = {
        {TAGS, "pass", ""},
        {TAGS "c=relaxed/relaxed;", "pass", ""},
        {TAGS "c=relaxed;", "pass", ""},
        {TAGS "c=simple/relaxed;", "pass", ""},
        {TAGS "c=relaxed/simple;", "pass", ""},
        {TAGS "c=nowsp;", "permerror", "unknown canonical form"},
        {TAGS "i=joe@mail.example.org;", "pass", ""},
        {TAGS "i=@EXAMPLE.org;", "pass", ""},
        {TAGS "i=@badexample.org;", "permerror", "i= is not inside d="},
        {TAGS "i=@org;", "permerror", "i= is not inside d="},
        {TAGS "i=example.org;", "neutral", "i= is no identity"},
        {TAGS "t=1699999999; x=1700000001;", "pass", ""},
        {TAGS "t=1600000000; x=1699999999;", "policy", "the signature has expired"},
        {TAGS "t=1700000000; x=1700000000;", "permerror", "x= is not after t="},
        {TAGS "t=1700050000;", "pass", ""},
        {TAGS "t=1800000000;", "policy", "the signature is of the future"},
        {TAGS "t=-1;", "neutral", "t= is no time"},
        {TAGS "q=dns/txt:http;", "pass", ""},
        {TAGS "q=http;", "permerror", "no known way to ask for the key"},
        {TAGS "z=From:x|To:y; unknown=1;", "pass", ""},
        {TAGS "s=s;", "neutral", "the signature is no list of tags"},
        {TAGS "=;", "neutral", "the signature is no list of tags"},
        {"v=2; a=rsa-sha256; d=example.org; s=s; h=From;", "permerror", "unknown version of DKIM"},
        {"v=1; a=rsa-sha1; d=example.org; s=s; h=From;", "permerror", "rsa-sha1 is no longer accepted"},
        {"v=1; a=rsa-md5; d=example.org; s=s; h=From;", "permerror", "unknown algorithm"},
        {"v=1; a=ed25519-sha256; d=example.org; s=s; h=From;", "permerror", "the key is of another kind than the signature"},
        {"v=1; a=rsa-sha256; d=example.org; s=s; h=To:Subject;", "permerror", "From is not signed"},
        {"v=1; a=rsa-sha256; d=example.org; s=s; h=From::To;", "neutral", "h= is no list of fields"},
        {"v=1; a=rsa-sha256; d=example..org; s=s; h=From;", "neutral", "d= is no domain"},
        {"v=1; a=rsa-sha256; d=org; s=s; h=From;", "neutral", "d= is no domain"},
        {"v=1; a=rsa-sha256; d=example.org; s=s s; h=From;", "neutral", "s= is no selector"},
        {"v=1; a=rsa-sha256; d=example.org; s=other; h=From;", "permerror", "there is no key record"},
        {"a=rsa-sha256; d=example.org; s=s; h=From;", "permerror", "v= is missing"},
        {"v=1; a=rsa-sha256; s=s; h=From;", "permerror", "d= is missing"},
        {"v=1; a=rsa-sha256; d=example.org; s=s;", "permerror", "h= is missing"},
        {TAGS "l=x;", "neutral", "l= is no number"},
        {TAGS "l=1000;", "permerror", "l= counts more than the body has"},
        {TAGS "l=99999999999999999999999999999999999999;", "neutral", "l= is no number"},
    };

    (void)state;
    dkim_zone_add(&zone, "s._domainkey.example.org", rsa.record);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        signed_is(&rsa, cases[i].tags, cases[i].result, cases[i].reason);
}

static void u_labels(void **state)
{
    (void)state;
    dkim_zone_add(&zone, "s._domainkey.xn--bcher-kva.example", rsa.record);
    signed_is(&rsa, "v=1; a=rsa-sha256; d=b\xc3\xbc" "cher.example; s=s; h=From;", "pass", "");
    signed_is(&rsa, "v=1; a=rsa-sha256; d=b\xc3\xbc" "cher.example; i=@XN--bcher-kva.example; s=s; h=From;", "pass", "");
    signed_is(&rsa, "v=1; a=rsa-sha256; d=xn--bcher-kva.example; i=@news.b\xc3\xbc" "cher.example; s=s; h=From;", "pass", "");
    signed_is(&rsa, "v=1; a=rsa-sha256; d=xn--bcher-kva.example; i=@b\xc3\xa4" "cher.example; s=s; h=From;", "permerror", "i= is not inside d=");
    signed_is(&rsa, "v=1; a=rsa-sha256; d=b\xc3.example; s=s; h=From;", "neutral", "the signature is no list of tags");
}

/* A record made of `before`, the key of a good one, and `after`. */
static void record_is(const char *before, const char *after, const char *result, const char *reason)
{
    char record[5000];

    empty_zone(NULL);
    snprintf(record, sizeof record, "%s%s%s", before, strstr(rsa.record, "p="), after);
    dkim_zone_add(&zone, "s._domainkey.example.org", record);
    signed_is(&rsa, TAGS "i=@mail.example.org;", result, reason);
}

static void records(void **state)
{
    (void)state;
    record_is("", "", "pass", "");
    record_is("v=DKIM1; g=*; n=some text; ", ";", "pass", "");
    record_is("v=DKIM1; h=sha1:sha256; s=email; t=y; ", "", "pass", "");
    record_is("v=DKIM1; s=other:*; ", "", "pass", "");
    record_is("v=DKIM2; ", "", "permerror", "the key record has an unknown version");
    record_is("v=DKIM1: g=*; k=rsa; ", "", "permerror", "the key record has an unknown version");
    record_is("k=rsa; v=DKIM1; ", "", "permerror", "the key record has an unknown version");
    record_is("v=DKIM1; k=ed25519-sha256; ", "", "permerror", "the key is of another kind than the signature");
    record_is("v=DKIM1; h=sha1; ", "", "permerror", "the key is not for SHA-256");
    record_is("v=DKIM1; s=tlsrpt; ", "", "permerror", "the key is not for mail");
    record_is("v=DKIM1; t=y:s; ", "", "permerror", "the key forbids that i= is below d=");
    record_is("v=DKIM1; p=; x", "", "permerror", "the key was revoked");
    record_is("v=DKIM1; p=AAAA; x", "", "permerror", "the key is no RSA key");
    record_is("v=DKIM1; p=A*AA; x", "", "permerror", "the key is no base64");
    record_is("v=DKIM1; q", "", "permerror", "the key record has no key");
    record_is("hello ", "", "permerror", "the key record cannot be read");
}

/* An RSAPublicKey of numbers that are all ones: of `modulus` and `exponent` octets, the first 0x7f. */
static void add_bare_key(size_t modulus, size_t exponent)
{
    size_t n = 4 + modulus + 2 + exponent;
    struct buf der, text;

    empty_zone(NULL);
    buf_init(&der, 4000);
    buf_init(&text, DKIM_KEY_TEXT);
    buf_add(&der, str_from((const char[]){0x30, (char)0x82, (char)(n >> 8), (char)n}, 4));
    buf_add(&der, str_from((const char[]){2, (char)0x82, (char)(modulus >> 8), (char)modulus, 0x7f}, 5));
    for (size_t i = 1; i < modulus; i++)
        buf_add_char(&der, (char)0xff);
    buf_add(&der, str_from((const char[]){2, (char)exponent, 0x7f}, 3));
    for (size_t i = 1; i < exponent; i++)
        buf_add_char(&der, (char)0xff);
    buf_add(&text, STR("v=DKIM1; p="));
    base64_encode(&text, buf_str(&der));
    buf_add_char(&text, '\0');
    dkim_zone_add(&zone, "s._domainkey.example.org", text.p);
    buf_clear(&der);
    buf_clear(&text);
}

static void weak_and_huge_keys(void **state)
{
    (void)state;
    dkim_zone_add(&zone, "s._domainkey.example.org", weak.record);
    signed_is(&weak, TAGS, "policy", "the RSA key has less than 1024 bits");
    add_bare_key(1025, 1);
    signed_is(&rsa, TAGS, "policy", "the RSA key has more than 8192 bits");
    add_bare_key(256, 9);
    signed_is(&rsa, TAGS, "policy", "the exponent of the RSA key is too large");
    add_bare_key(256, 1);
    signed_is(&rsa, TAGS, "fail", "the signature is not right");
}

static void dns_that_fails(void **state)
{
    static const struct {
        enum dns_status status;
        const char *result, *reason;
    } cases[] = {
        {DNS_SERVFAIL, "temperror", "DNS failed for the key"}, {DNS_TIMEOUT, "temperror", "DNS failed for the key"},
        {DNS_BOGUS, "temperror", "DNS failed for the key"}, {DNS_NODATA, "permerror", "there is no key record"},
        {DNS_NXDOMAIN, "permerror", "there is no key record"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        empty_zone(NULL);
        dkim_zone_fail(&zone, "s._domainkey.example.org", cases[i].status);
        signed_is(&rsa, TAGS, cases[i].result, cases[i].reason);
    }
}

static void a_good_record_beside_bad_ones(void **state)
{
    (void)state;
    dkim_zone_add(&zone, "s._domainkey.example.org", "hello world");
    dkim_zone_add(&zone, "s._domainkey.example.org", "v=DKIM1; p=");
    dkim_zone_add(&zone, "s._domainkey.example.org", rsa.record);
    signed_is(&rsa, TAGS, "pass", "");
    assert_int_equal(zone.asked, 1);
}

/* l= is honoured, and said: what stands behind it anybody may have written. */
static void a_counted_body(void **state)
{
    struct dkim_verify *v;
    struct buf out;

    (void)state;
    dkim_zone_add(&zone, "s._domainkey.example.org", rsa.record);
    dkim_sign_by_hand(&rsa, TAGS "c=simple/relaxed; l=11;", str_of(letter), &out);
    buf_add(&out, STR("added\r\n"));
    v = dkim_verify_message(&zone, buf_str(&out), now, whole);
    assert_string_equal(dkim_describe(v), "pass/example.org/rsa-sha256");
    assert_true(dkim_verify_outcome(v, 0)->has_length);
    assert_int_equal(dkim_verify_outcome(v, 0)->unsigned_octets, strlen("body text\r\n\r\nmore\r\n\r\nadded\r\n") - 11);
    assert_int_equal(dkim_verify_outcome(v, 0)->key_bits, 2048);
    dkim_verify_free(v);
    buf_clear(&out);
}

static void testing_is_told(void **state)
{
    char record[5000];
    struct dkim_verify *v;
    struct buf out;

    (void)state;
    snprintf(record, sizeof record, "t=y; %s", strstr(rsa.record, "p="));
    dkim_zone_add(&zone, "s._domainkey.example.org", record);
    dkim_sign_by_hand(&rsa, TAGS, str_of(letter), &out);
    v = dkim_verify_message(&zone, buf_str(&out), now, whole);
    assert_true(dkim_verify_outcome(v, 0)->testing);
    assert_false(dkim_verify_outcome(v, 0)->has_length);
    dkim_verify_free(v);
    buf_clear(&out);
}

/* A thousand signatures: sixteen are looked at, and their common key is asked for once. */
static void many_signatures(void **state)
{
    struct dkim_verify *v;
    struct buf one, all;
    size_t field;

    (void)state;
    dkim_zone_add(&zone, "s._domainkey.example.org", rsa.record);
    dkim_sign_by_hand(&rsa, TAGS "c=relaxed/relaxed;", str_of(letter), &one);
    field = one.n - strlen(letter);
    buf_init(&all, 1 << 20);
    for (int i = 0; i < 1000; i++)
        buf_add(&all, str_sub(buf_str(&one), 0, field));
    buf_add(&all, str_of(letter));
    v = dkim_verify_message(&zone, buf_str(&all), now, whole);
    assert_int_equal(dkim_verify_count(v), DKIM_SIGNATURES_MAX);
    assert_int_equal(dkim_verify_not_looked_at(v), 1000 - DKIM_SIGNATURES_MAX);
    for (size_t i = 0; i < DKIM_SIGNATURES_MAX; i++)
        assert_int_equal(dkim_verify_outcome(v, i)->result, DKIM_PASS);
    assert_int_equal(zone.asked, 1);
    dkim_verify_free(v);
    buf_clear(&one);
    buf_clear(&all);
}

static void a_header_too_large(void **state)
{
    struct dkim_verify *v;
    struct buf one, all;

    (void)state;
    dkim_sign_by_hand(&rsa, TAGS, str_of(letter), &one);
    buf_init(&all, 4 << 20);
    buf_add(&all, str_sub(buf_str(&one), 0, one.n - strlen(letter)));
    while (all.n < DKIM_HEADER_MAX)
        buf_add(&all, STR("X: a long field that makes the header too large\r\n"));
    buf_add(&all, str_of(letter));
    v = dkim_verify_message(&zone, buf_str(&all), now, whole);
    assert_int_equal(dkim_verify_count(v), 0);
    assert_int_equal(dkim_verify_not_looked_at(v), 1);
    assert_int_equal(zone.asked, 0);
    dkim_verify_free(v);
    buf_clear(&one);
    buf_clear(&all);
}

/* ---- giving up ---- */

static unsigned asked, ended;

static void on_ask(void *owner, struct str name, unsigned type)
{
    (void)owner, (void)name, (void)type;
    asked++;
}

static void on_done(void *owner)
{
    (void)owner;
    ended++;
}

static void feed(void *owner, struct str field)
{
    dkim_verify_field(owner, field);
}

static void giving_up(void **state)
{
    static const struct dkim_verify_world world = {.ask = on_ask, .done = on_done};
    struct dkim_verify *v = dkim_verify_new(&world, NULL, now);
    struct buf out;
    struct str body;

    (void)state;
    asked = ended = 0;
    dkim_sign_by_hand(&rsa, TAGS, str_of(letter), &out);
    body = dkim_walk_header(buf_str(&out), feed, v);
    dkim_verify_header_end(v);
    dkim_verify_body(v, body);
    dkim_verify_end(v);
    assert_int_equal(asked, 1);
    assert_int_equal(ended, 0);
    dkim_verify_give_up(v);
    assert_int_equal(ended, 1);
    assert_int_equal(dkim_verify_outcome(v, 0)->result, DKIM_TEMPERROR);
    dkim_verify_answer(v, DNS_NXDOMAIN, STR(""));
    dkim_verify_give_up(v);
    assert_int_equal(ended, 1);
    assert_int_equal(dkim_verify_outcome(v, 0)->result, DKIM_TEMPERROR);
    dkim_verify_free(v);
    buf_clear(&out);
}

/* ---- urgent ones ---- */

static char first_asked[DNS_NAME_TEXT];

static void note_first(void *owner, struct str name, unsigned type)
{
    (void)owner, (void)type;
    if (asked++ == 0)
        snprintf(first_asked, sizeof first_asked, "%.*s", STR_ARG(name));
}

static bool is_author(void *owner, struct str domain)
{
    (void)owner;
    return str_eq(domain, STR("example.org"));
}

/* The key of the signature that counts is asked for before those of fifteen others that stand above it. */
static void urgent_keys_come_first(void **state)
{
    static const struct dkim_verify_world world = {.ask = note_first, .done = on_done, .is_urgent = is_author};
    struct dkim_verify *v = dkim_verify_new(&world, NULL, now);

    (void)state;
    asked = ended = 0;
    for (unsigned i = 0; i < DKIM_SIGNATURES_MAX; i++) {
        char field[400];

        snprintf(field, sizeof field, "DKIM-Signature: v=1; a=rsa-sha256; d=%s; s=s%u; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n",
            i + 1 < DKIM_SIGNATURES_MAX ? "stranger.example" : "example.org", i);
        dkim_verify_field(v, str_of(field));
    }
    dkim_verify_header_end(v);
    assert_string_equal(first_asked, "s15._domainkey.example.org");
    dkim_verify_answer(v, DNS_NXDOMAIN, STR(""));
    assert_int_equal(asked, 2);
    dkim_verify_end(v);
    dkim_verify_give_up(v);
    assert_int_equal(ended, 1);
    assert_int_equal(dkim_verify_outcome(v, 0)->result, DKIM_TEMPERROR);
    assert_int_equal(dkim_verify_outcome(v, 15)->result, DKIM_PERMERROR);
    dkim_verify_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(tags, empty_zone), cmocka_unit_test_setup(u_labels, empty_zone), cmocka_unit_test_setup(records, empty_zone),
        cmocka_unit_test_setup(weak_and_huge_keys, empty_zone), cmocka_unit_test_setup(dns_that_fails, empty_zone),
        cmocka_unit_test_setup(a_good_record_beside_bad_ones, empty_zone), cmocka_unit_test_setup(a_counted_body, empty_zone),
        cmocka_unit_test_setup(testing_is_told, empty_zone), cmocka_unit_test_setup(many_signatures, empty_zone),
        cmocka_unit_test_setup(a_header_too_large, empty_zone), cmocka_unit_test(giving_up),
        cmocka_unit_test(urgent_keys_come_first),
    };

    return cmocka_run_group_tests(tests, make_keys, clear_keys);
}
