/* Authentication-Results (RFC 8601): what is written cannot be broken out of and can be read again; forged fields are
 * recognised in every spelling. */
#include "mailauth/auth_results.h"
#include "mailauth/auth_results_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 20000, NAME = 23 };

/* ---- writing ---- */

static void assert_written(struct auth_results *r, const char *expected)
{
    struct str field = auth_results_end(r);

    if (!str_eq(field, str_of(expected)))
        print_error("%.*s\n", STR_ARG(field));
    assert_true(str_eq(field, str_of(expected)));
    auth_results_clear(r);
}

static void nothing_was_checked(void **state)
{
    struct auth_results r;

    (void)state;
    auth_results_begin(&r, STR("mx.example.org"), false);
    assert_written(&r, "Authentication-Results: mx.example.org; none\r\n");
}

static void all_methods(void **state)
{
    const struct auth_results_dkim good = {.result = "pass", .domain = STR("example.com"), .identity = STR("@news.example.com"),
        .selector = STR("s1"), .algorithm = STR("ed25519-sha256"), .signature = STR("abc/\r\n de+f gh==")};
    const struct auth_results_dkim bad = {.result = "fail", .reason = STR("body has changed"), .domain = STR("example.net"),
        .selector = STR("x"), .algorithm = STR("rsa-sha256")};
    struct dmarc_outcome dmarc = {.result = DMARC_RESULT_FAIL, .policy = DMARC_QUARANTINE, .author = STR("example.com"), .reason = "no identifier is aligned"};
    struct ip ip4, ip6;
    struct auth_results r;

    (void)state;
    assert_true(ip_parse(STR("192.0.2.1"), &ip4) && ip_parse(STR("2001:db8::1"), &ip6));
    auth_results_begin(&r, STR("mx.example.org"), false);
    auth_results_iprev(&r, IPREV_PASS, &ip6);
    auth_results_spf(&r, SPF_SOFTFAIL, false, STR("example.com"), STR("matched ~all"));
    auth_results_spf(&r, SPF_PASS, true, STR("mail.example.com"), STR(""));
    auth_results_dkim(&r, &good);
    auth_results_dkim(&r, &bad);
    auth_results_dmarc(&r, &dmarc);
    dmarc.result = DMARC_RESULT_PASS;
    auth_results_dmarc(&r, &dmarc);
    auth_results_arc(&r, "pass", STR(""), &ip4, 0);
    auth_results_arc(&r, "none", STR(""), &ip4, -1);
    assert_written(&r, "Authentication-Results: mx.example.org;\r\n"
        "\tiprev=pass policy.iprev=\"2001:db8::1\";\r\n"
        "\tspf=softfail reason=\"matched ~all\" smtp.mailfrom=example.com;\r\n"
        "\tspf=pass smtp.helo=mail.example.com;\r\n"
        "\tdkim=pass header.d=example.com header.i=@news.example.com header.s=s1\r\n"
        "\theader.a=ed25519-sha256 header.b=\"abc/de+f\";\r\n"
        "\tdkim=fail reason=\"body has changed\" header.d=example.net header.s=x\r\n"
        "\theader.a=rsa-sha256;\r\n"
        "\tdmarc=fail reason=\"no identifier is aligned\" header.from=example.com\r\n"
        "\tpolicy.dmarc=quarantine;\r\n"
        "\tdmarc=pass header.from=example.com;\r\n"
        "\tarc=pass smtp.remote-ip=192.0.2.1 header.oldest-pass=0;\r\n"
        "\tarc=none smtp.remote-ip=192.0.2.1\r\n");
}

static const struct {
    const char *value, *written;
    bool utf8;
} values[] = {
    {"example.com", "example.com", false},
    {"user+x@example.com", "user+x@example.com", false},
    {"@example.com", "@example.com", false},
    {"a b", "\"a b\"", false},
    {"x; dkim=pass", "\"x; dkim=pass\"", false},
    {"x\r\nBcc: y", "\"x??Bcc: y\"", false},
    {"x\" dkim=pass \"", "\"x\\\" dkim=pass \\\"\"", false},
    {"x\\", "\"x\\\\\"", false},
    {"(x", "\"(x\"", false},
    {"a@b@c", "\"a@b@c\"", false},
    {"a..b@c", "\"a..b@c\"", false},
    {"a@[192.0.2.1]", "\"a@[192.0.2.1]\"", false},
    {"a@", "\"a@\"", false},
    {"a@b.", "\"a@b.\"", false},
    {"\x1b[2J", "\"?[2J\"", false},
    {"\x7f", "\"?\"", false},
    {"b\xc3\xbc" "cher", "\"b??cher\"", false},
    {"b\xc3\xbc" "cher", "\"b\xc3\xbc" "cher\"", true},
    {"b\xff" "cher\xc3", "\"b?cher?\"", true},
    {"\xc2\x9b" "2J", "\"?2J\"", true},
};

static void values_stay_in_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct auth_results r;
        char expected[200];

        auth_results_begin(&r, STR("x"), values[i].utf8);
        auth_results_add(&r, "dkim", "pass", STR(""));
        auth_results_property(&r, "header", "d", str_of(values[i].value));
        snprintf(expected, sizeof expected, "Authentication-Results: x;\r\n\tdkim=pass header.d=%s\r\n", values[i].written);
        assert_written(&r, expected);
    }
}

/* Every line is within RFC 5322 2.1.1, and the whole within its ceiling; the results that are there are whole. */
static void everything_is_bounded(void **state)
{
    static char huge[5000];
    struct auth_results r;
    struct auth_statement result;
    struct str field, rest, line;
    unsigned version, n = 0;
    struct buf id;

    (void)state;
    memset(huge, '"', sizeof huge);
    buf_init(&id, TEXT);
    auth_results_begin(&r, str_from(huge, sizeof huge), false);
    for (size_t i = 0; i < 500; i++)
        auth_results_spf(&r, SPF_PASS, false, str_from(huge, sizeof huge), str_from(huge, sizeof huge));
    field = auth_results_end(&r);
    assert_in_range(field.n, AUTH_RESULTS_FIELD_MAX - 2000, AUTH_RESULTS_FIELD_MAX + 10);
    rest = field;
    while (str_next(&rest, '\n', &line))
        assert_true(line.n < 998);
    assert_true(auth_results_read_head(str_skip(field, NAME), &id, &version, &rest));
    assert_int_equal(id.n, AUTH_RESULTS_VALUE_MAX + 3);
    while (auth_results_next(&rest, &result) == AUTH_RESULTS_NEXT) {
        struct auth_property property;
        struct buf value;

        n++;
        buf_init(&value, TEXT);
        assert_int_equal(auth_results_next_property(&result.rest, &property, &value), AUTH_RESULTS_NEXT);
        assert_true(str_eq(property.property, STR("reason")) && property.ptype.n == 0);
        assert_int_equal(auth_results_next_property(&result.rest, &property, &value), AUTH_RESULTS_NEXT);
        assert_true(str_eq(property.property, STR("mailfrom")) && str_ends(buf_str(&value), STR("\"...")));
        assert_int_equal(auth_results_next_property(&result.rest, &property, &value), AUTH_RESULTS_END);
        buf_clear(&value);
    }
    assert_int_equal(rest.n, 0);
    assert_in_range(n, 5, 20);
    auth_results_clear(&r);
    buf_clear(&id);
}

/* ---- whose field ---- */

static const struct {
    const char *value;
    enum auth_results_claim claim;
} claims[] = {
    {" mx.example.org; none", AUTH_RESULTS_OURS},
    {"mx.example.org;none", AUTH_RESULTS_OURS},
    {" MX.Example.ORG; spf=pass", AUTH_RESULTS_OURS},
    {" mx.example.org 1; spf=pass", AUTH_RESULTS_OURS},
    {" mx.example.org 2; spf=pass", AUTH_RESULTS_OURS},
    {" mx.example.org (c) 1 (d) ; spf=pass", AUTH_RESULTS_OURS},
    {"\r\n\tmx.example.org\r\n ;\r\n spf=pass", AUTH_RESULTS_OURS},
    {" (a comment) mx.example.org; spf=pass", AUTH_RESULTS_OURS},
    {" (a (nested; \\) \" ) comment)\tmx.example.org(more);spf=pass", AUTH_RESULTS_OURS},
    {" \"mx.example.org\"; spf=pass", AUTH_RESULTS_OURS},
    {" \"mx\\.example.\\org\" 1; spf=pass", AUTH_RESULTS_OURS},
    {" \"mx.exam\r\nple.org\"; spf=pass", AUTH_RESULTS_OURS},
    {" \" mx.example.org \"; spf=pass", AUTH_RESULTS_OURS},
    {" mx.example.org.; spf=pass", AUTH_RESULTS_OURS},
    {" mail.example.net; spf=pass", AUTH_RESULTS_FOREIGN},
    {" example.org; spf=pass", AUTH_RESULTS_FOREIGN},
    {" a.mx.example.org; spf=pass", AUTH_RESULTS_FOREIGN},
    {" mx.example.orgs; spf=pass", AUTH_RESULTS_FOREIGN},
    {" (mx.example.org) other.example; spf=pass", AUTH_RESULTS_FOREIGN},
    {" mail.example.net 1; none", AUTH_RESULTS_FOREIGN},
    {" mail.example.net 2; none", AUTH_RESULTS_VERSION},
    {" mail.example.net 0; none", AUTH_RESULTS_VERSION},
    {"", AUTH_RESULTS_MALFORMED},
    {" ;", AUTH_RESULTS_MALFORMED},
    {" mx.example.org", AUTH_RESULTS_MALFORMED},
    {" mx.example.org spf=pass", AUTH_RESULTS_MALFORMED},
    {" mx.example.org/1; spf=pass", AUTH_RESULTS_MALFORMED},
    {" mx.example.org, x; spf=pass", AUTH_RESULTS_MALFORMED},
    {" =?utf-8?q?mx.example.org?=; spf=pass", AUTH_RESULTS_MALFORMED},
    {" <mx.example.org>; spf=pass", AUTH_RESULTS_MALFORMED},
    {" (mx.example.org; spf=pass", AUTH_RESULTS_MALFORMED},
    {" \"mx.example.org; spf=pass", AUTH_RESULTS_MALFORMED},
    {" mx.example.org 99999999999999999999; none", AUTH_RESULTS_MALFORMED},
    {" mx.example.org 1 1; none", AUTH_RESULTS_MALFORMED},
    {" \x01mx.example.org; none", AUTH_RESULTS_MALFORMED},
};

static void forged_fields_are_recognised(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++)
        if (auth_results_claim_of(str_of(claims[i].value), STR("mx.example.org")) != claims[i].claim) {
            print_error("\"%s\"\n", claims[i].value);
            fail();
        }
    /* RFC 8601 5: A-labels and U-labels are one name. */
    assert_int_equal(auth_results_claim_of(STR("b\xc3\xbc" "cher.example; none"), STR("xn--bcher-kva.example")), AUTH_RESULTS_OURS);
    assert_int_equal(auth_results_claim_of(STR("xn--bcher-kva.example; none"), STR("b\xc3\xbc" "cher.example")), AUTH_RESULTS_OURS);
    /* A name that is no domain. */
    assert_int_equal(auth_results_claim_of(STR("\"Our MX\"; none"), STR("our mx")), AUTH_RESULTS_OURS);
}

/* ---- reading: the examples of RFC 8601 appendix B, and what breaks the grammar ---- */

static void describe(struct str value, struct buf *out)
{
    struct auth_statement result;
    struct auth_property property;
    enum auth_results_next next;
    unsigned version;
    struct buf text;
    struct str rest;

    buf_init(&text, TEXT);
    if (!auth_results_read_head(value, &text, &version, &rest)) {
        buf_add(out, STR("bad"));
    } else {
        buf_addf(out, "%.*s %u", (int)text.n, text.p, version);
        while ((next = auth_results_next(&rest, &result)) == AUTH_RESULTS_NEXT) {
            buf_addf(out, "; %.*s/%u=%.*s", STR_ARG(result.method), result.version, STR_ARG(result.result));
            while ((next = auth_results_next_property(&result.rest, &property, &text)) == AUTH_RESULTS_NEXT)
                buf_addf(out, " %.*s.%.*s=%.*s", STR_ARG(property.ptype), STR_ARG(property.property), (int)text.n, text.n ? text.p : "");
            if (next == AUTH_RESULTS_BAD)
                buf_add(out, STR(" bad"));
        }
        if (next == AUTH_RESULTS_BAD)
            buf_add(out, STR("; bad"));
    }
    buf_clear(&text);
}

static const struct {
    const char *value, *read;
} fields[] = {
    {" example.org 1; none", "example.org 1; /1="},
    {" example.com;\r\n          spf=pass smtp.mailfrom=example.net", "example.com 1; spf/1=pass smtp.mailfrom=example.net"},
    {" example.com;\r\n  auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n  spf=pass smtp.mailfrom=example.net",
        "example.com 1; auth/1=pass smtp.auth=sender@example.net; spf/1=pass smtp.mailfrom=example.net"},
    {" example.com; iprev=pass\r\n policy.iprev=192.0.2.200", "example.com 1; iprev/1=pass policy.iprev=192.0.2.200"},
    {" example.com;\r\n dkim=pass reason=\"good signature\"\r\n header.i=@mail-router.example.net;\r\n dkim=fail reason=\"bad signature\"\r\n header.i=@newyork.example.com",
        "example.com 1; dkim/1=pass .reason=good signature header.i=@mail-router.example.net; dkim/1=fail .reason=bad signature header.i=@newyork.example.com"},
    {" foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n"
        " policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462",
        "foo.example.net 1; dkim/1=fail policy.expired=1362471462"},
    {" a; dkim/2=pass", "a 1; dkim/2=pass"},
    {" a; x=y p.q=\"u ; v\"@b.example r.s=\"t \\\" (z\"", "a 1; x/1=y p.q=\"u ; v\"@b.example r.s=t \" (z"},
    {" a; x=y reason=z (no) (comment)", "a 1; x/1=y .reason=z"},
    {" a;", "a 1; bad"},
    {" a; x", "a 1; bad"},
    {" a; =pass", "a 1; bad"},
    {" a; x=", "a 1; bad"},
    {" a; none; x=y", "a 1; bad"},
    {" a; x=y z", "a 1; x/1=y bad"},
    {" a; x=y p.=q", "a 1; x/1=y bad"},
    {" a; x=y p.q", "a 1; x/1=y bad"},
    {" a; x=y p.q=", "a 1; x/1=y bad"},
    {" a; x=y p.q=\"r", "a 1; bad"},
    {" a; x=y (c", "a 1; bad"},
    {" a; x/=y", "a 1; bad"},
    {" a; x=y; x=z;", "a 1; x/1=y; x/1=z; bad"},
};

static void fields_are_read(void **state)
{
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct buf out;

        buf_init(&out, TEXT);
        describe(str_of(fields[i].value), &out);
        if (!str_eq(buf_str(&out), str_of(fields[i].read))) {
            print_error("\"%s\": %.*s\n", fields[i].value, STR_ARG(buf_str(&out)));
            wrong++;
        }
        buf_clear(&out);
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_checked),
        cmocka_unit_test(all_methods),
        cmocka_unit_test(values_stay_in_their_place),
        cmocka_unit_test(everything_is_bounded),
        cmocka_unit_test(forged_fields_are_recognised),
        cmocka_unit_test(fields_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
