/* SPF beyond its suite: limits, loops, hostile answers, what is said of a result. */
#include "base/buf.h"
#include "dns/records.h"
#include "mailauth/spf.h"
#include "mailauth/spf_macro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char asked[600];
static unsigned asked_type, questions;
static bool over;

static void on_ask(void *owner, struct str name, unsigned type)
{
    (void)owner;
    snprintf(asked, sizeof asked, "%.*s", STR_ARG(name));
    asked_type = type;
    questions++;
}

static void on_done(void *owner)
{
    (void)owner;
    assert_false(over);
    over = true;
}

static const struct spf_world world = {.ask = on_ask, .done = on_done};

static struct spf *begin(const char *ip, const char *sender)
{
    struct spf_subject subject = {.helo = STR("helo.example"), .sender = str_of(sender), .receiver = STR("mx.example")};

    assert_true(ip_parse(str_of(ip), &subject.ip));
    over = false;
    questions = 0;
    return spf_new(&world, NULL, &subject);
}

static void add_txt(struct buf *out, struct str text)
{
    struct buf rdata;

    buf_init(&rdata, 70000);
    for (size_t at = 0; at < text.n; at += 200) {
        struct str part = str_sub(text, at, at + 200);

        buf_add_char(&rdata, (char)part.n);
        buf_add(&rdata, part);
    }
    dns_add_record(out, buf_str(&rdata));
    buf_clear(&rdata);
}

static void answer_txt(struct spf *spf, const char *text)
{
    struct buf out;

    assert_int_equal(asked_type, DNS_TXT);
    buf_init(&out, 100000);
    add_txt(&out, str_of(text));
    spf_answer(spf, DNS_OK, buf_str(&out));
    buf_clear(&out);
}

static void answer_ip4(struct spf *spf, const char *text)
{
    struct buf out;
    struct ip ip;

    buf_init(&out, 100);
    assert_true(ip_parse(str_of(text), &ip));
    dns_add_record(&out, str_from((const char *)ip.bytes, 4));
    spf_answer(spf, DNS_OK, buf_str(&out));
    buf_clear(&out);
}

static void expect_end(struct spf *spf, enum spf_result result, const char *reason)
{
    assert_true(over);
    assert_string_equal(spf_result_name(spf_result_of(spf)), spf_result_name(result));
    if (!str_eq(spf_reason_of(spf), str_of(reason)))
        fail_msg("\"%.*s\" instead of \"%s\"", STR_ARG(spf_reason_of(spf)), reason);
    spf_answer(spf, DNS_OK, STR("")); /* an answer too many changes nothing */
    spf_give_up(spf);
    spf_free(spf);
}

/* ---- what is said ---- */

static void reasons(void **state)
{
    struct spf *spf;

    (void)state;
    spf = begin("192.0.2.1", "u@a.example");
    spf_start(spf);
    answer_txt(spf, "v=spf1 ip4:192.0.2.0/24 -all");
    expect_end(spf, SPF_PASS, "matched ip4:192.0.2.0/24");
    spf = begin("192.0.2.1", "u@a.example");
    spf_start(spf);
    spf_answer(spf, DNS_NXDOMAIN, STR(""));
    expect_end(spf, SPF_NONE, "a.example has no SPF record");
    spf = begin("192.0.2.1", "");
    spf_start(spf);
    assert_string_equal(asked, "helo.example");
    answer_txt(spf, "v=spf1 a");
    spf_answer(spf, DNS_SERVFAIL, STR(""));
    expect_end(spf, SPF_TEMPERROR, "DNS failed for a");
    spf = begin("192.0.2.1", "u@a.example");
    spf_start(spf);
    answer_txt(spf, "v=spf1 include:b.example -all");
    answer_txt(spf, "no record of ours");
    expect_end(spf, SPF_PERMERROR, "b.example has no SPF record and another one needs it");
    spf = begin("192.0.2.1", "u@a.example");
    spf_start(spf);
    answer_txt(spf, "v=spf1 ip5:1.2.3.4");
    expect_end(spf, SPF_PERMERROR, "the record of a.example cannot be read");
}

static void the_owner_gives_up(void **state)
{
    struct spf *spf = begin("192.0.2.1", "u@a.example");

    (void)state;
    spf_start(spf);
    answer_txt(spf, "v=spf1 a -all");
    spf_give_up(spf);
    expect_end(spf, SPF_TEMPERROR, "DNS took too long for a.example");
}

/* ---- limits ---- */

static void a_record_that_includes_itself(void **state)
{
    struct spf *spf = begin("192.0.2.1", "u@a.example");

    (void)state;
    spf_start(spf);
    for (int i = 0; i <= SPF_TERMS_MAX && !over; i++)
        answer_txt(spf, "v=spf1 include:a.example");
    assert_int_equal(questions, 1 + SPF_TERMS_MAX);
    expect_end(spf, SPF_PERMERROR, "more than 10 terms that ask DNS, the last is include:a.example");
}

static void a_record_that_redirects_to_itself(void **state)
{
    struct spf *spf = begin("192.0.2.1", "u@a.example");

    (void)state;
    spf_start(spf);
    for (int i = 0; i <= SPF_TERMS_MAX && !over; i++)
        answer_txt(spf, "v=spf1 redirect=a.example");
    assert_int_equal(questions, 1 + SPF_TERMS_MAX);
    expect_end(spf, SPF_PERMERROR, "more than 10 terms that ask DNS, the last is redirect=a.example");
}

static void names_without_records(void **state)
{
    struct spf *spf = begin("192.0.2.1", "u@a.example");

    (void)state;
    spf_start(spf);
    answer_txt(spf, "v=spf1 a:1.example a:2.example a:3.example +all");
    for (int i = 0; i < 3; i++)
        spf_answer(spf, i == 1 ? DNS_NODATA : DNS_NXDOMAIN, STR(""));
    expect_end(spf, SPF_PERMERROR, "too many names without records, the last in a:3.example");
    /* hosts that have IPv4 addresses only are no such names for a client with IPv6 */
    spf = begin("2001:db8::1", "u@a.example");
    spf_start(spf);
    answer_txt(spf, "v=spf1 a:1.example a:2.example a:3.example +all");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(asked_type, DNS_AAAA);
        spf_answer(spf, DNS_NODATA, STR(""));
    }
    expect_end(spf, SPF_PASS, "matched +all");
}

static void an_include_that_fails_is_no_match(void **state)
{
    struct spf *spf = begin("192.0.2.1", "u@a.example");

    (void)state;
    spf_start(spf);
    answer_txt(spf, "v=spf1 include:b.example ~a:c.example ?all");
    answer_txt(spf, "v=spf1 -all");
    assert_string_equal(asked, "c.example");
    answer_ip4(spf, "192.0.2.1");
    expect_end(spf, SPF_SOFTFAIL, "matched ~a:c.example");
}

/* Anything may come back: the check ends, and asks no more than its terms and hosts allow. */
static void random_answers_end(void **state)
{
    static const char *const pieces[] = {"v=spf1 ", "a ", "mx ", "ptr ", "include:b.example ", "include:%{i}.%{p}.example ", "-all ", "exists:%{l}.x.example ",
        "redirect=%{d2}.example ", "exp=%{p}.example ", "ip4:10.0.0.0/8 ", "a:%{s}.example//64 ", "x=%{c} ", "?mx:%{h}//0 "};
    static const char bytes[] = "\0\4\12\0\0\1\0\6\0\12\1a\1b\0\0\3\1c\0";

    (void)state;
    srand(7);
    for (int round = 0; round < 20000; round++) {
        struct spf *spf = begin(round % 2 ? "10.1.2.3" : "2001:db8::5", round % 3 ? "u@a.example" : "");

        spf_start(spf);
        while (!over) {
            enum dns_status status = rand() % 8 == 0 ? (enum dns_status)(rand() % 6) : DNS_OK;
            struct buf text, out;

            buf_init(&text, 1000);
            buf_init(&out, 100000);
            buf_add(&text, STR("v=spf1 "));
            for (int i = rand() % 14; i > 0; i--)
                buf_add(&text, str_of(pieces[(size_t)rand() % (sizeof pieces / sizeof pieces[0])]));
            if (asked_type == DNS_TXT)
                add_txt(&out, buf_str(&text));
            else
                buf_add(&out, str_sub(str_from(bytes, sizeof bytes), 0, (size_t)rand() % sizeof bytes));
            spf_answer(spf, status, buf_str(&out));
            buf_clear(&out);
            buf_clear(&text);
            assert_true(questions < 1 + SPF_TERMS_MAX * (1 + SPF_NAMES_MAX) + 1 + SPF_NAMES_MAX + 2);
        }
        assert_true(spf_reason_of(spf).n > 0);
        spf_free(spf);
    }
}

/* ---- macros ---- */

static void macros(void **state)
{
    static const struct {
        const char *spec, *expanded; /* NULL: has no value */
    } cases[] = { /* RFC 7208 7.4 */
        {"%{s}", "strong-bad@email.example.com"}, {"%{o}", "email.example.com"}, {"%{d}", "email.example.com"},
        {"%{d4}", "email.example.com"}, {"%{d3}", "email.example.com"}, {"%{d2}", "example.com"}, {"%{d1}", "com"},
        {"%{dr}", "com.example.email"}, {"%{d2r}", "example.email"}, {"%{l}", "strong-bad"}, {"%{l-}", "strong.bad"},
        {"%{lr}", "strong-bad"}, {"%{lr-}", "bad.strong"}, {"%{l1r-}", "strong"}, {"%{d0}", NULL}, {"%{x}", NULL}, {"%", NULL},
        {"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"}, {"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
        {"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
        {"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"}, {"%%%_%-x", "% %20x"}, {"%{S}", "strong-bad%40email.example.com"},
        {"%{d999999999999}", "email.example.com"}, {"%{d", NULL}, {"%{d2r.-+,/_=}.x", "email-example.com.x"},
    };
    struct spf_names names = {.local = STR("strong-bad"), .sender_domain = STR("email.example.com"), .domain = STR("email.example.com"),
        .helo = STR("h.example"), .validated = STR("unknown"), .receiver = STR("r.example"), .ip = {.family = 4, .bytes = {192, 0, 2, 3}}};
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0] - 1; i++) {
        bool ok = spf_expand_domain(str_of(cases[i].spec), &names, &out);

        if (ok != (cases[i].expanded != NULL) || (ok && !str_eq(buf_str(&out), str_of(cases[i].expanded))))
            fail_msg("%s is %.*s", cases[i].spec, STR_ARG(buf_str(&out)));
        buf_reset(&out);
    }
    /* a local part outside ASCII has no value (RFC 8616 4) */
    names.local = STR("m\xc3\xbcller");
    assert_false(spf_expand_domain(STR("%{l}.x.example"), &names, &out));
    buf_reset(&out);
    assert_true(spf_expand_domain(STR("%{o}"), &names, &out));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons),
        cmocka_unit_test(the_owner_gives_up),
        cmocka_unit_test(a_record_that_includes_itself),
        cmocka_unit_test(a_record_that_redirects_to_itself),
        cmocka_unit_test(names_without_records),
        cmocka_unit_test(an_include_that_fails_is_no_match),
        cmocka_unit_test(random_answers_end),
        cmocka_unit_test(macros),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
