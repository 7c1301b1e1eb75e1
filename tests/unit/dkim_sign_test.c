/* What is signed here passes here, with both kinds of keys at once, and does not when anything signed was changed; the
 * field is well folded and names what it should. */
#include "dkim_signer.h"
#include "dkim_world.h"
#include "mailauth/dkim_sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const uint64_t now = 1700000000;
static const struct dkim_way whole = {1 << 20, false};
static const char both[] = "pass/example.org/rsa-sha256 pass/example.org/ed25519-sha256";
static struct dkim_test_key keys[2];
static struct dkim_zone zone;

static int make_keys(void **state)
{
    (void)state;
    dkim_make_rsa(&keys[0], 2048);
    dkim_make_ed25519(&keys[1]);
    dkim_zone_add(&zone, "s0._domainkey.example.org", keys[0].record);
    dkim_zone_add(&zone, "s1._domainkey.example.org", keys[1].record);
    return 0;
}

static int clear_keys(void **state)
{
    (void)state;
    dkim_clear_key(&keys[0]);
    dkim_clear_key(&keys[1]);
    return 0;
}

static void result_is(struct str message, const char *wanted)
{
    struct dkim_verify *v = dkim_verify_message(&zone, message, now, whole);

    assert_string_equal(dkim_describe(v), wanted);
    dkim_verify_free(v);
}

static void sign(const char *message, struct buf *out)
{
    assert_true(dkim_sign_message(keys, 2, "example.org", now, str_of(message), out));
}

static void every_form_of_message(void **state)
{
    static const char *const messages[] = {
        "From: a@example.org\r\n\r\n",
        "From: a@example.org\r\n\r\n\r\n\r\n",
        "From: a@example.org\r\n\r\nhello",
        "From: a@example.org\r\n",
        "From : a@example.org\r\nSUBJECT:  two\t blanks \r\n  and folding\r\nTo:\r\n\r\n \t \r\nx \t y \r\n\r\n",
        "From: a@example.org\r\nFrom: b@example.org\r\nReceived: x\r\nReceived: y\r\nCc: c\r\nCc: d\r\n\r\nbody\r\n",
        "From: \xc3\xa4@example.org\r\nSubject: gr\xc3\xbc\xc3\x9f\r\n\r\n\xff\xfe\r\n.\r\n",
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        sign(messages[i], &out);
        result_is(buf_str(&out), both);
        buf_clear(&out);
    }
}

static void messages_of_others(void **state)
{
    static const char *const files[] = {"dkimpy-plain.eml", "dkimpy-gmail.eml", "mail-auth-003.eml", "mail-auth-004.eml",
        "mail-auth-006.eml", "mimekit-gmail.eml", "mimekit-multipart-no-end-boundary.eml"};
    struct buf message, out;

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        dkim_read_message(files[i], &message);
        assert_true(dkim_sign_message(keys, 2, "example.org", now, buf_str(&message), &out));
        struct dkim_verify *v = dkim_verify_message(&zone, buf_str(&out), now, whole);

        assert_memory_equal(dkim_describe(v), both, sizeof both - 1);
        dkim_verify_free(v);
        buf_clear(&out);
        buf_clear(&message);
    }
}

static const char letter[] = "Received: by x\r\nFrom: a@example.org\r\nTo: b@example.net\r\nSubject: one\r\n"
                             "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n";

/* Puts `to` where `from` is, and looks what becomes of both signatures. */
static void change(const char *from, const char *to, const char *wanted)
{
    struct buf out, changed;
    ptrdiff_t at;

    sign(letter, &out);
    buf_init(&changed, 1 << 20);
    at = str_ifind(buf_str(&out), str_of(from));
    assert_true(at >= 0);
    buf_add(&changed, str_sub(buf_str(&out), 0, (size_t)at));
    buf_add(&changed, str_of(to));
    buf_add(&changed, str_skip(buf_str(&out), (size_t)at + strlen(from)));
    result_is(buf_str(&changed), wanted);
    buf_clear(&out);
    buf_clear(&changed);
}

static void what_may_change(void **state)
{
    (void)state;
    change("Subject: one", "subject :\tone ", both);
    change("Received: by x\r\n", "", both);
    change("Received: by x\r\n", "Received: by y\r\nX-New: 1\r\n", both);
    change("\r\nbody\r\n", "\r\nbody \r\n\r\n\r\n", both);
}

static void what_may_not(void **state)
{
    static const char none[] = "fail/example.org/rsa-sha256 fail/example.org/ed25519-sha256";

    (void)state;
    change("Subject: one", "Subject: two", none);
    change("Subject: one", "Subj: one", none);
    change("\r\nbody\r\n", "\r\nbodz\r\n", none);
    change("\r\nbody\r\n", "\r\n body\r\n", none);
    change("\r\nbody\r\n", "\r\n", none);
    change("Received: by x\r\n", "From: c@example.org\r\n", none);
    change("Received: by x\r\n", "Subject: c@example.org\r\n", none);
    change("Received: by x\r\n", "Date: now\r\n", none);
    change("Received: by x\r\n", "To: c@example.org\r\n", none);
}

static void fields_are_folded(void **state)
{
    struct buf out;
    struct str rest, line;

    (void)state;
    sign(letter, &out);
    for (rest = buf_str(&out); str_next(&rest, '\n', &line) && !str_starts(line, STR("Received"));) {
        assert_in_range(line.n, 10, 77);
        assert_true(str_ends(line, STR("\r")));
        assert_true(line.p[0] == '\t' || str_starts(line, STR("DKIM-Signature: v=1; a=")));
    }
    assert_true(str_ifind(buf_str(&out), STR("h=From:From:Subject:Subject:Date:Date:To:To:Message-ID;")) > 0);
    assert_true(str_ifind(buf_str(&out), STR(" l=")) < 0);
    buf_clear(&out);
}

static void what_cannot_be_signed(void **state)
{
    struct dkim_sign_key key = {DKIM_RSA_SHA256, STR("s")}, nameless = {DKIM_RSA_SHA256, STR("a b")};
    struct dkim_sign *s;
    struct buf out, many;

    (void)state;
    assert_null(dkim_sign_new(STR("example"), &key, 1, now, 0));
    assert_null(dkim_sign_new(STR("example.org;x=1"), &key, 1, now, 0));
    assert_null(dkim_sign_new(STR("example.org"), &nameless, 1, now, 0));
    assert_null(dkim_sign_new(STR("example.org"), &key, DKIM_SIGN_KEYS_MAX + 1, now, 0));
    s = dkim_sign_new(STR("example.org"), NULL, 0, now, 0); /* keys may come later, once */
    assert_false(dkim_sign_set_keys(s, &nameless, 1) || dkim_sign_set_keys(s, &key, 0));
    assert_true(dkim_sign_set_keys(s, &key, 1));
    assert_false(dkim_sign_set_keys(s, &key, 1));
    dkim_sign_free(s);
    assert_false(dkim_sign_message(keys, 2, "example.org", now, STR("To: x\r\n\r\n"), &out));
    buf_clear(&out);
    buf_init(&many, 2 << 20);
    for (int i = 0; i < 30; i++)
        buf_add(&many, STR("From: a@example.org\r\n"));
    assert_false(dkim_sign_message(keys, 2, "example.org", now, buf_str(&many), &out));
    buf_clear(&out);
    while (many.n <= DKIM_HEADER_MAX)
        buf_add(&many, STR("X: a long field that makes the header too large\r\n"));
    assert_false(dkim_sign_message(keys, 2, "example.org", now, buf_str(&many), &out));
    buf_clear(&out);
    buf_clear(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_message), cmocka_unit_test(messages_of_others), cmocka_unit_test(what_may_change),
        cmocka_unit_test(what_may_not), cmocka_unit_test(fields_are_folded), cmocka_unit_test(what_cannot_be_signed),
    };

    return cmocka_run_group_tests(tests, make_keys, clear_keys);
}
