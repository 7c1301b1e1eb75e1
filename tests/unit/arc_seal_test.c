/* What is sealed here passes here, over any number of hops and with both kinds of keys; what was changed on the way is
 * found at the right set; a chain that cannot go on is not sealed. */
#include "arc_sealer.h"
#include "mailauth/arc_seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const uint64_t now = 1700000000;
static const struct dkim_way whole = {1 << 20, false};
static const char letter[] = "Received: by x\r\nFrom: a@example.org\r\nTo: b@example.net\r\nSubject: one\r\n"
                             "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nDKIM-Signature: v=1; a=x\r\n\r\nbody\r\n";
static struct dkim_test_key keys[2];
static struct dkim_zone zone;

static int make_keys(void **state)
{
    (void)state;
    dkim_make_rsa(&keys[0], 2048);
    dkim_make_ed25519(&keys[1]);
    dkim_zone_add(&zone, "s0._domainkey.example.net", keys[0].record);
    dkim_zone_add(&zone, "s1._domainkey.example.net", keys[1].record);
    return 0;
}

static int clear_keys(void **state)
{
    (void)state;
    dkim_clear_key(&keys[0]);
    dkim_clear_key(&keys[1]);
    return 0;
}

/* Seals once more, taking what the chain says; the message grows in place. */
static bool add_set(struct buf *message, size_t key)
{
    struct arc_verify *v = arc_verify_message(&zone, buf_str(message), now, whole);
    struct buf out;
    bool ok = arc_seal_message(&keys[key], "example.net", key == 0 ? "s0" : "s1", now, arc_verify_outcome(v)->result, buf_str(message), &out);

    arc_verify_free(v);
    if (!ok) {
        buf_clear(&out);
        return false;
    }
    buf_clear(message);
    *message = out;
    return true;
}

static void begin(struct buf *message, const char *text)
{
    buf_init(message, 1 << 22);
    buf_add(message, str_of(text));
}

static void replace(struct buf *message, const char *from, const char *to)
{
    ptrdiff_t at = str_ifind(buf_str(message), str_of(from));
    struct buf out;

    assert_true(at >= 0);
    buf_init(&out, 1 << 22);
    buf_add(&out, str_sub(buf_str(message), 0, (size_t)at));
    buf_add(&out, str_of(to));
    buf_add(&out, str_skip(buf_str(message), (size_t)at + strlen(from)));
    buf_clear(message);
    *message = out;
}

static void fifty_hops(void **state)
{
    struct buf message;

    (void)state;
    begin(&message, letter);
    for (unsigned i = 1; i <= ARC_SETS_MAX; i++) {
        struct arc_verify *v;
        const struct arc_outcome *o;

        assert_true(add_set(&message, i % 2));
        v = arc_verify_message(&zone, buf_str(&message), now, whole);
        o = arc_verify_outcome(v);
        assert_int_equal(o->result, ARC_PASS);
        assert_int_equal(o->sets, i);
        assert_int_equal(o->oldest_pass, 0);
        assert_true(str_eq(arc_verify_set(v, i).domain, STR("example.net")));
        assert_true(str_eq(arc_verify_set(v, i).selector, i % 2 == 0 ? STR("s0") : STR("s1")));
        assert_true(str_starts(str_trim(arc_verify_set(v, i).results), STR("mx.example.net;")));
        arc_verify_free(v);
    }
    assert_false(add_set(&message, 0));
    buf_clear(&message);
}

/* A list changes the message at its hop and seals what comes out. */
static void what_hops_change(void **state)
{
    struct arc_verify *v;
    struct buf message;

    (void)state;
    begin(&message, letter);
    for (unsigned i = 1; i <= 5; i++) {
        if (i == 3)
            replace(&message, "Subject: one", "Subject: [list] one");
        v = arc_verify_message(&zone, buf_str(&message), now, whole);
        assert_int_equal(arc_verify_outcome(v)->result, i == 1 ? ARC_NONE : i == 3 ? ARC_FAIL : ARC_PASS);
        arc_verify_free(v);
        struct buf out;

        /* verified before the change was made: the chain was good then */
        assert_true(arc_seal_message(&keys[0], "example.net", "s0", now, i == 1 ? ARC_NONE : ARC_PASS, buf_str(&message), &out));
        buf_clear(&message);
        message = out;
    }
    v = arc_verify_message(&zone, buf_str(&message), now, whole);
    assert_int_equal(arc_verify_outcome(v)->result, ARC_PASS);
    assert_int_equal(arc_verify_outcome(v)->oldest_pass, 3);
    arc_verify_free(v);
    buf_clear(&message);
}

static const struct {
    const char *from, *to, *reason;
    unsigned instance;
} changes[] = {
    {"Subject: one", "Subject: two", "the signature is not right", 2},
    {"\r\nbody\r\n", "\r\nbodz\r\n", "the body is not the one that was signed", 2},
    {"i=1; mx.example.net", "i=1; mx.example.com", "a seal is not right", 2},
    {"i=2; mx.example.net", "i=2; mx.example.com", "a seal is not right", 2},
    {"cv=pass", "cv=none", "a later seal does not say cv=pass", 2},
    {"cv=none", "cv=pass", "the first seal does not say cv=none", 1},
    {"cv=pass", "cv=fail", "the chain was broken before", 2},
    {"i=1; mx", "i=3; mx", "no ARC-Authentication-Results", 1},
    {"From: a@", "From: x@evil.example\r\nFrom: a@", "the signature is not right", 2},
    {"DKIM-Signature: v=1; a=x\r\n", "", "the signature is not right", 2},
};

static void what_may_not_change(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct arc_verify *v;
        struct buf message;

        begin(&message, letter);
        assert_true(add_set(&message, 0) && add_set(&message, 1));
        replace(&message, changes[i].from, changes[i].to);
        v = arc_verify_message(&zone, buf_str(&message), now, whole);
        assert_int_equal(arc_verify_outcome(v)->result, ARC_FAIL);
        assert_string_equal(arc_verify_outcome(v)->reason, changes[i].reason);
        assert_int_equal(arc_verify_outcome(v)->instance, changes[i].instance);
        arc_verify_free(v);
        buf_clear(&message);
    }
}

/* A broken chain is sealed once, its seal covers its own set only, and then nobody goes on (5.1.2, 5.1). */
static void a_broken_chain(void **state)
{
    struct buf message;

    (void)state;
    begin(&message, letter);
    assert_true(add_set(&message, 0) && add_set(&message, 1));
    replace(&message, "Subject: one", "Subject: two");
    assert_true(add_set(&message, 0));
    assert_true(str_ifind(buf_str(&message), STR("ARC-Seal: i=3; a=rsa-sha256; cv=fail;")) == 0);
    arc_result_is(&zone, buf_str(&message), now, ARC_FAIL, "the chain was broken before");
    assert_false(add_set(&message, 0));
    buf_clear(&message);
}

/* What a seal of a broken chain signs is the same whatever the older sets are. */
static void a_broken_chain_covers_itself(void **state)
{
    static const char *const older[] = {"ARC-Seal: i=1; a=one\r\n", "ARC-Seal: i=1; a=another\r\n"};
    struct buf out[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct buf message;

        begin(&message, older[i]);
        buf_add(&message, str_of(letter));
        assert_true(arc_seal_message(&keys[0], "example.net", "s0", now, ARC_FAIL, buf_str(&message), &out[i]));
        buf_clear(&message);
    }
    assert_true(str_eq(str_sub(buf_str(&out[0]), 0, (size_t)str_ifind(buf_str(&out[0]), STR("ARC-Seal: i=1"))),
        str_sub(buf_str(&out[1]), 0, (size_t)str_ifind(buf_str(&out[1]), STR("ARC-Seal: i=1")))));
    buf_clear(&out[0]);
    buf_clear(&out[1]);
}

static void begin_refuses(void **state)
{
    struct arc_seal *late;
    struct buf message, out;

    (void)state;
    begin(&message, letter);
    assert_false(arc_seal_message(&keys[0], "example.net", "s0", now, ARC_PASS, buf_str(&message), &out));
    buf_clear(&out);
    assert_false(arc_seal_message(&keys[0], "example.net", "s0", now, ARC_FAIL, buf_str(&message), &out));
    buf_clear(&out);
    assert_true(add_set(&message, 0));
    assert_false(arc_seal_message(&keys[0], "example.net", "s0", now, ARC_NONE, buf_str(&message), &out));
    buf_clear(&out);
    replace(&message, "i=1; mx", "i=x; mx");
    assert_false(arc_seal_message(&keys[0], "example.net", "s0", now, ARC_PASS, buf_str(&message), &out));
    buf_clear(&out);
    buf_clear(&message);
    begin(&message, "Subject: no author\r\n\r\n");
    assert_false(arc_seal_message(&keys[0], "example.net", "s0", now, ARC_NONE, buf_str(&message), &out));
    buf_clear(&out);
    buf_clear(&message);
    assert_null(arc_seal_new(STR("no domain"), STR("s"), DKIM_RSA_SHA256, now));
    assert_null(arc_seal_new(STR("example.net"), STR(""), DKIM_RSA_SHA256, now));
    late = arc_seal_new(STR(""), STR(""), DKIM_RSA_SHA256, now);
    assert_false(arc_seal_set_key(late, STR("no domain"), STR("s"), DKIM_RSA_SHA256));
    assert_false(arc_seal_set_key(late, STR("example.net"), STR(""), DKIM_RSA_SHA256));
    arc_seal_field(late, STR("From: x@example.org\r\n"));
    assert_true(arc_seal_header_end(late));
    arc_seal_end(late);
    assert_false(arc_seal_begin(late, ARC_NONE, STR("Authentication-Results: x; none"))); /* no key */
    assert_true(arc_seal_set_key(late, STR("example.net"), STR("s"), DKIM_RSA_SHA256));
    assert_true(arc_seal_begin(late, ARC_NONE, STR("Authentication-Results: x; none")));
    arc_seal_free(late);
}

static void fields_are_folded(void **state)
{
    struct str rest, line;
    struct buf message;

    (void)state;
    begin(&message, letter);
    assert_true(add_set(&message, 0));
    for (rest = buf_str(&message); str_next(&rest, '\n', &line) && !str_starts(line, STR("Received"));) {
        assert_in_range(line.n, 10, 77);
        assert_true(str_ends(line, STR("\r")));
        assert_true(line.p[0] == '\t' || str_starts(line, STR("ARC-")));
    }
    assert_true(str_ifind(buf_str(&message), STR("h=From:From:Subject:Subject:Date:Date:To:To:DKIM-Signature;")) > 0);
    buf_clear(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_hops),
        cmocka_unit_test(what_hops_change),
        cmocka_unit_test(what_may_not_change),
        cmocka_unit_test(a_broken_chain),
        cmocka_unit_test(a_broken_chain_covers_itself),
        cmocka_unit_test(begin_refuses),
        cmocka_unit_test(fields_are_folded),
    };

    return cmocka_run_group_tests(tests, make_keys, clear_keys);
}
