/* Chains that are no chains: every rule of the structure, tags, keys that fail, and how many questions are asked. */
#include "arc_sealer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const uint64_t now = 1700000000;
static const struct dkim_way whole = {1 << 20, false};
static const char letter[] = "From: a@example.org\r\nSubject: one\r\n\r\nbody\r\n";
static struct dkim_test_key key, weak;

static int make_keys(void **state)
{
    (void)state;
    dkim_make_rsa(&key, 2048);
    dkim_make_rsa(&weak, 512);
    return 0;
}

static int clear_keys(void **state)
{
    (void)state;
    dkim_clear_key(&key);
    dkim_clear_key(&weak);
    return 0;
}

static struct dkim_zone *new_zone(void)
{
    static struct dkim_zone zone;

    zone.n = zone.asked = 0;
    dkim_zone_add(&zone, "s._domainkey.example.net", key.record);
    return &zone;
}

/* ---- structure ---- */

#define AAR(i) "ARC-Authentication-Results: i=" i "; x.example\r\n"
#define AMS(i) "ARC-Message-Signature: i=" i "; b=x\r\n"
#define SEAL(i, cv) "ARC-Seal: i=" i "; cv=" cv "\r\n"

static const struct {
    const char *fields, *reason;
    unsigned instance;
} structures[] = {
    {AMS("1") SEAL("1", "none"), "no ARC-Authentication-Results", 1},
    {AAR("1") SEAL("1", "none"), "no ARC-Message-Signature", 1},
    {AAR("1") AMS("1"), "no ARC-Seal", 1},
    {AAR("1") AAR("1") AMS("1") SEAL("1", "none"), "two ARC-Authentication-Results", 1},
    {AAR("1") AMS("1") AMS("1") SEAL("1", "none"), "two ARC-Message-Signature", 1},
    {AAR("1") AMS("1") SEAL("1", "none") SEAL("1", "none"), "two ARC-Seal", 1},
    {AAR("2") AMS("2") SEAL("2", "pass"), "no ARC-Authentication-Results", 1},
    {AAR("51") AMS("51") SEAL("51", "none"), "an ARC-Authentication-Results without instance", 0},
    {AAR("0") AMS("1") SEAL("1", "none"), "an ARC-Authentication-Results without instance", 0},
    {AAR("001") AMS("1") SEAL("1", "none"), "an ARC-Authentication-Results without instance", 0},
    {AAR("-1") AMS("1") SEAL("1", "none"), "an ARC-Authentication-Results without instance", 0},
    {AAR("1x") AMS("1") SEAL("1", "none"), "an ARC-Authentication-Results without instance", 0},
    {AAR("1") AMS("") SEAL("1", "none"), "an ARC-Message-Signature without instance", 0},
    {AAR("1") AMS("1") SEAL("one", "none"), "an ARC-Seal without instance", 0},
    {AAR("1") AMS("1") SEAL("1", "pass"), "the first seal does not say cv=none", 1},
    {AAR("1") AMS("1") SEAL("1", ""), "the first seal does not say cv=none", 1},
    {AAR("1") AMS("1") SEAL("1", "none") AAR("2") AMS("2") SEAL("2", "none"), "a later seal does not say cv=pass", 2},
    {AAR("1") AMS("1") SEAL("1", "fail") AAR("2") AMS("2") SEAL("2", "pass"), "the first seal does not say cv=none", 1},
    {AAR("1") AMS("1") SEAL("1", "none") AAR("2") AMS("2") SEAL("2", "fail"), "the chain was broken before", 2},
    {SEAL("7", "fail"), "the chain was broken before", 7},
    {AAR("1") AMS("1") SEAL("1", "none"), "d= is missing", 1},
    {"ARC-Seal: \x01\r\n", "an ARC-Seal without instance", 0},
    {"arc-seal:i=1;cv=none\r\n" AMS("1") "ARC-AUTHENTICATION-RESULTS : (a(b\\))) i (x) = 1 (y) ; z\r\n", "d= is missing", 1},
    {"ARC-Authentication-Results: (i=1; x\r\n" AMS("1") SEAL("1", "none"), "an ARC-Authentication-Results without instance", 0},
};

static void structure(void **state)
{
    struct dkim_zone *zone = new_zone();
    struct buf message;

    (void)state;
    for (size_t i = 0; i < sizeof structures / sizeof structures[0]; i++) {
        struct arc_verify *v;

        buf_init(&message, 1 << 16);
        buf_add(&message, str_of(structures[i].fields));
        buf_add(&message, str_of(letter));
        v = arc_verify_message(zone, buf_str(&message), now, whole);
        assert_int_equal(arc_verify_outcome(v)->result, ARC_FAIL);
        assert_string_equal(arc_verify_outcome(v)->reason, structures[i].reason);
        assert_int_equal(arc_verify_outcome(v)->instance, structures[i].instance);
        arc_verify_free(v);
        buf_clear(&message);
    }
    assert_int_equal(zone->asked, 0);
    arc_result_is(zone, str_of(letter), now, ARC_NONE, "");
    arc_result_is(zone, STR(""), now, ARC_NONE, "");
}

/* Ten thousand fields of ARC cost no question and no memory beyond the header. */
static void fields_without_end(void **state)
{
    struct dkim_zone *zone = new_zone();
    struct buf message;

    (void)state;
    buf_init(&message, 1 << 22);
    for (unsigned i = 0; i < 10000; i++)
        buf_addf(&message, "ARC-Seal: i=%u; cv=pass\r\n", i % 60);
    buf_add(&message, str_of(letter));
    arc_result_is(zone, buf_str(&message), now, ARC_FAIL, NULL);
    buf_reset(&message);
    buf_add(&message, STR(AAR("1") AMS("1") SEAL("1", "none")));
    for (unsigned i = 0; i < DKIM_FIELDS_MAX; i++)
        buf_add(&message, STR("X: y\r\n"));
    buf_add(&message, str_of(letter));
    arc_result_is(zone, buf_str(&message), now, ARC_FAIL, "the header is too large");
    buf_clear(&message);
    assert_int_equal(zone->asked, 0);
}

/* ---- tags and keys ---- */

#define GOOD_AAR "i=1; x.example; none"
#define GOOD_AMS "i=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=s; h=From:Subject;"
#define GOOD_SEAL "i=1; a=rsa-sha256; cv=none; d=example.net; s=s;"

static const struct {
    struct arc_by_hand set;
    const char *reason; /* "" for pass */
} by_hand[] = {
    {{GOOD_AAR, GOOD_AMS, GOOD_SEAL}, ""},
    {{"i=01; x.example", GOOD_AMS, GOOD_SEAL}, ""},
    {{GOOD_AAR, GOOD_AMS " v=7; z=x;", GOOD_SEAL}, ""},
    {{GOOD_AAR, GOOD_AMS, GOOD_SEAL " x=1; l=9; bh=none; c=wild; q=dns/txt;"}, ""},
    {{GOOD_AAR, GOOD_AMS, "i=1; a=rsa-sha256; cv=NONE; d=EXAMPLE.net; s=S;"}, ""},
    {{GOOD_AAR, GOOD_AMS " x=1699999999;", GOOD_SEAL}, "the signature has expired"},
    {{GOOD_AAR, GOOD_AMS " t=1800000000;", GOOD_SEAL}, "the signature is of the future"},
    {{GOOD_AAR, GOOD_AMS, GOOD_SEAL " t=1800000000;"}, "the signature is of the future"},
    {{GOOD_AAR, GOOD_AMS, GOOD_SEAL " h=From;"}, "a seal with h="},
    {{GOOD_AAR, GOOD_AMS, "i=1; a=rsa-sha1; cv=none; d=example.net; s=s;"}, "rsa-sha1 is no longer accepted"},
    {{GOOD_AAR, GOOD_AMS, "i=1; a=rsa-sha256; cv=none; d=example.net; s=other;"}, "there is no key record"},
    {{GOOD_AAR, "i=1; a=rsa-sha256; d=example.net; s=s; h=From:ARC-Seal;", GOOD_SEAL}, "h= names ARC-Seal"},
    {{GOOD_AAR, "i=1; a=rsa-sha256; d=example.net; s=weak; h=From;", GOOD_SEAL}, "the RSA key has less than 1024 bits"},
    {{GOOD_AAR, "i=1; a=rsa-sha256; d=example.net; s=revoked; h=From;", GOOD_SEAL}, "the key was revoked"},
    {{GOOD_AAR, "i=1; a=rsa-sha256; d=localhost; s=s; h=From;", GOOD_SEAL}, "d= is no domain"},
    {{GOOD_AAR, "i=1; a=ed25519-sha256; d=example.net; s=s; h=From;", GOOD_SEAL}, "the key is of another kind than the signature"},
};

static void tags_and_keys(void **state)
{
    struct dkim_zone *zone = new_zone();

    (void)state;
    dkim_zone_add(zone, "weak._domainkey.example.net", weak.record);
    dkim_zone_add(zone, "revoked._domainkey.example.net", "v=DKIM1; p=");
    for (size_t i = 0; i < sizeof by_hand / sizeof by_hand[0]; i++) {
        struct buf out;

        arc_seal_by_hand(&key, &by_hand[i].set, str_of(letter), &out);
        arc_result_is(zone, buf_str(&out), now, by_hand[i].reason[0] == '\0' ? ARC_PASS : ARC_FAIL, by_hand[i].reason);
        buf_clear(&out);
    }
}

/* l= is honoured, and told. */
static void length(void **state)
{
    static const struct arc_by_hand set = {GOOD_AAR, GOOD_AMS " l=4;", GOOD_SEAL};
    struct arc_verify *v;
    struct buf out;

    (void)state;
    arc_seal_by_hand(&key, &set, str_of(letter), &out);
    buf_add(&out, STR("more\r\n"));
    v = arc_verify_message(new_zone(), buf_str(&out), now, whole);
    assert_int_equal(arc_verify_outcome(v)->result, ARC_PASS);
    assert_int_equal(arc_verify_outcome(v)->unsigned_octets, 8);
    arc_verify_free(v);
    buf_clear(&out);
}

/* ---- DNS ---- */

/* A chain of `n` sets, each of another domain: "dN.example". */
static void make_chain(unsigned n, struct dkim_zone *zone, struct buf *message)
{
    buf_init(message, 1 << 22);
    buf_add(message, str_of(letter));
    for (unsigned i = 1; i <= n; i++) {
        char domain[40], name[80];
        struct buf out;

        snprintf(domain, sizeof domain, "d%u.example", i);
        snprintf(name, sizeof name, "s._domainkey.%s", domain);
        dkim_zone_add(zone, name, key.record);
        assert_true(arc_seal_message(&key, domain, "s", now, i == 1 ? ARC_NONE : ARC_PASS, buf_str(message), &out));
        buf_clear(message);
        *message = out;
    }
}

static void questions(void **state)
{
    struct dkim_zone *zone = new_zone();
    struct buf message;

    (void)state;
    make_chain(20, zone, &message);
    arc_result_is(zone, buf_str(&message), now, ARC_PASS, "");
    assert_int_equal(zone->asked, 20); /* a set's signature and seal share their key */
    zone->asked = 0;
    buf_add(&message, STR("changed\r\n"));
    arc_result_is(zone, buf_str(&message), now, ARC_FAIL, "the body is not the one that was signed");
    buf_clear(&message);
}

static void dns_fails(void **state)
{
    struct dkim_zone *zone = new_zone();
    struct arc_verify *v;
    struct buf message;

    (void)state;
    make_chain(3, zone, &message);
    for (unsigned i = 1; i <= 3; i++) {
        zone->keys[i].status = DNS_TIMEOUT;
        zone->asked = 0;
        v = arc_verify_message(zone, buf_str(&message), now, (struct dkim_way){100, true});
        assert_int_equal(arc_verify_outcome(v)->result, ARC_FAIL);
        assert_string_equal(arc_verify_outcome(v)->reason, "DNS failed for the key");
        assert_int_equal(arc_verify_outcome(v)->instance, i);
        assert_true(arc_verify_outcome(v)->dns_failed);
        assert_int_equal(zone->asked, 4 - i); /* newest first, and nothing after the failure */
        arc_verify_free(v);
        zone->keys[i].status = DNS_OK;
    }
    buf_clear(&message);
}

static unsigned asked, done;

static void on_ask(void *owner, struct str name, unsigned type)
{
    (void)owner;
    (void)name;
    (void)type;
    asked++;
}

static void on_done(void *owner)
{
    (void)owner;
    done++;
}

static void feed_field(void *owner, struct str field)
{
    arc_verify_field(owner, field);
}

/* The owner's own limit: before the body is over and after it; answers nobody waits for are dropped. */
static void giving_up(void **state)
{
    static const struct arc_verify_world world = {.ask = on_ask, .done = on_done};
    struct dkim_zone *zone = new_zone();
    struct buf message;

    (void)state;
    make_chain(2, zone, &message);
    for (unsigned early = 0; early < 2; early++) {
        struct arc_verify *v = arc_verify_new(&world, NULL, now);
        struct str body = dkim_walk_header(buf_str(&message), feed_field, v);

        asked = done = 0;
        arc_verify_header_end(v);
        arc_verify_body(v, body);
        assert_int_equal(asked, 1);
        if (early == 1)
            arc_verify_give_up(v);
        assert_int_equal(done, 0);
        arc_verify_end(v);
        assert_int_equal(done, early);
        arc_verify_give_up(v);
        arc_verify_answer(v, DNS_OK, STR(""));
        assert_int_equal(done, 1);
        assert_int_equal(asked, 1);
        assert_int_equal(arc_verify_outcome(v)->result, ARC_FAIL);
        assert_true(arc_verify_outcome(v)->dns_failed);
        arc_verify_free(v);
    }
    buf_clear(&message);
}

/* Older message signatures are looked at as far as the octets to be hashed allow. */
static void large_header(void **state)
{
    struct dkim_zone *zone = new_zone();
    struct buf large, out;
    struct arc_verify *v;

    (void)state;
    buf_init(&large, 1 << 22);
    buf_add(&large, STR("Subject: "));
    for (unsigned i = 0; i < 9000; i++)
        buf_addf(&large, "%099u\r\n ", i);
    buf_add(&large, STR("\r\n"));
    buf_add(&large, str_of(letter));
    for (unsigned i = 1; i <= 8; i++) {
        assert_true(arc_seal_message(&key, "example.net", "s", now, i == 1 ? ARC_NONE : ARC_PASS, buf_str(&large), &out));
        buf_clear(&large);
        large = out;
    }
    v = arc_verify_message(zone, buf_str(&large), now, whole);
    assert_int_equal(arc_verify_outcome(v)->result, ARC_PASS);
    assert_int_equal(arc_verify_outcome(v)->oldest_pass, 4); /* of 0.93 MB: four more than the newest */
    arc_verify_free(v);
    buf_clear(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structure),
        cmocka_unit_test(fields_without_end),
        cmocka_unit_test(tags_and_keys),
        cmocka_unit_test(length),
        cmocka_unit_test(questions),
        cmocka_unit_test(dns_fails),
        cmocka_unit_test(giving_up),
        cmocka_unit_test(large_header),
    };

    return cmocka_run_group_tests(tests, make_keys, clear_keys);
}
