/* DMARC aggregate reports: rows are kept and read back, equal ones have equal marks, and the XML is what the schema wants (that
 * it is valid by the schema itself is shown in tests/e2e/test_reports.py). */
#include "mailauth/aggregate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const struct aggregate_row sample = {.source = {"192.0.2.1", 9}, .action = AGGREGATE_QUARANTINE, .spf_aligned = true,
    .reason = AGGREGATE_LOCAL_POLICY, .comment = {"a <b> & \"c\"", 11}, .header_from = {"a.example", 9}, .envelope_from = {"b.example", 9},
    .envelope_to = {"home.example", 12}, .spf_domain = {"b.example", 9}, .spf_result = {"pass", 4},
    .signatures = {{{"a.example", 9}, {"one", 3}, {"pass", 4}}, {{"c.example", 9}, {"two", 3}, {"fail", 4}}}, .signature_count = 2};

static void pack(const struct aggregate_row *row, struct buf *out)
{
    buf_init(out, AGGREGATE_ROW_MAX);
    aggregate_pack(row, out);
    assert_false(out->failed);
}

static bool same(const struct aggregate_row *a, const struct aggregate_row *b)
{
    struct buf one, two;
    bool equal;

    pack(a, &one);
    pack(b, &two);
    equal = str_eq(buf_str(&one), buf_str(&two));
    buf_clear(&one);
    buf_clear(&two);
    return equal;
}

static void rows_are_read_back(void **state)
{
    struct aggregate_row row, bare = {.source = STR("2001:db8::1")};
    struct buf text;

    (void)state;
    pack(&sample, &text);
    assert_true(aggregate_unpack(buf_str(&text), &row));
    assert_true(same(&row, &sample));
    assert_int_equal(row.signature_count, 2);
    assert_true(str_eq(row.signatures[1].selector, STR("two")));
    assert_true(str_eq(row.comment, sample.comment));
    for (size_t n = 0; n < text.n; n++) {
        struct str part = str_sub(buf_str(&text), 0, n);
        bool whole_lines = n > 0 && part.p[n - 1] == '\n';

        assert_int_equal(aggregate_unpack(part, &row), whole_lines);
    }
    buf_clear(&text);
    pack(&bare, &text);
    assert_true(aggregate_unpack(buf_str(&text), &row));
    assert_true(same(&row, &bare));
    buf_clear(&text);
}

static void what_is_no_row_is_refused(void **state)
{
    static const char *const bad[] = {"", "\n", "a\n", "192.0.2.1\t4\t0\t0\t0\t\t\t\t\t\t\n", "192.0.2.1\t0\t2\t0\t0\t\t\t\t\t\t\n",
        "192.0.2.1\t0\t0\t0\t6\t\t\t\t\t\t\n", "192.0.2.1\t0\t0\t0\t0\t\t\t\t\t\t\t\n", "192.0.2.1\t0\t0\t0\t0\t\t\t\t\t\t\na\tb\n",
        "192.0.2.1\tx\t0\t0\t0\t\t\t\t\t\t\n"};
    struct aggregate_row row;
    struct buf many;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(aggregate_unpack(str_of(bad[i]), &row));
    pack(&sample, &many);
    for (int i = 0; i < AGGREGATE_SIGNATURES_MAX; i++)
        buf_add(&many, STR("d.example\ts\tpass\n"));
    assert_false(aggregate_unpack(buf_str(&many), &row));
    buf_clear(&many);
}

static void values_cannot_break_out(void **state)
{
    struct aggregate_row row, odd = {.source = STR("192.0.2.1"), .header_from = STR("a\tb\nc\xff\x7f")};
    char longest[AGGREGATE_VALUE_MAX + 50];
    struct buf text;

    (void)state;
    memset(longest, 'x', sizeof longest);
    odd.comment = str_from(longest, sizeof longest);
    pack(&odd, &text);
    assert_true(aggregate_unpack(buf_str(&text), &row));
    assert_true(str_eq(row.header_from, STR("a?b?c??")));
    assert_int_equal(row.comment.n, AGGREGATE_VALUE_MAX);
    buf_clear(&text);
}

static void marks_tell_rows_apart(void **state)
{
    char one[AGGREGATE_MARK], two[AGGREGATE_MARK], three[AGGREGATE_MARK];

    (void)state;
    aggregate_mark(STR("a\n"), one);
    aggregate_mark(STR("a\n"), two);
    aggregate_mark(STR("b\n"), three);
    assert_string_equal(one, two);
    assert_string_not_equal(one, three);
    assert_int_equal(strlen(one), AGGREGATE_MARK - 1);
}

static const struct aggregate_report report = {.organisation = {"A & B", 5}, .contact = {"postmaster@home.example", 23},
    .submitter = {"home.example", 12}, .domain = {"a.example", 9},
    .record = {"v=DMARC1; p=reject; np=none; aspf=s; fo=1:d; ruf=mailto:x@a.example; t=y; rua=mailto:x@a.example", 96},
    .begins = 1795305600, .ends = 1795391999, .left_out = 3};

static void a_report_is_written(void **state)
{
    static const char wanted[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n"
        "<version>1.0</version>\n<report_metadata>\n<org_name>A &amp; B</org_name>\n<email>postmaster@home.example</email>\n"
        "<report_id>2026-11-22.a.example@home.example</report_id>\n<date_range>\n<begin>1795305600</begin>\n<end>1795391999</end>\n</date_range>\n"
        "<error>3 messages are not in this report: there were too many different results</error>\n<generator>Staffetta</generator>\n"
        "</report_metadata>\n<policy_published>\n<domain>a.example</domain>\n<p>reject</p>\n<np>none</np>\n<adkim>r</adkim>\n<aspf>s</aspf>\n"
        "<discovery_method>treewalk</discovery_method>\n<fo>1:d</fo>\n<testing>y</testing>\n</policy_published>\n"
        "<record>\n<row>\n<source_ip>192.0.2.1</source_ip>\n<count>7</count>\n<policy_evaluated>\n<disposition>quarantine</disposition>\n"
        "<dkim>fail</dkim>\n<spf>pass</spf>\n<reason>\n<type>local_policy</type>\n<comment>a &lt;b&gt; &amp; \"c\"</comment>\n</reason>\n"
        "</policy_evaluated>\n</row>\n<identifiers>\n<header_from>a.example</header_from>\n<envelope_from>b.example</envelope_from>\n"
        "<envelope_to>home.example</envelope_to>\n</identifiers>\n<auth_results>\n<dkim>\n<domain>a.example</domain>\n<selector>one</selector>\n"
        "<result>pass</result>\n</dkim>\n<dkim>\n<domain>c.example</domain>\n<selector>two</selector>\n<result>fail</result>\n</dkim>\n"
        "<spf>\n<domain>b.example</domain>\n<scope>mfrom</scope>\n<result>pass</result>\n</spf>\n</auth_results>\n</record>\n</feedback>\n";
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 16);
    aggregate_write_head(&report, &out);
    aggregate_write_row(&sample, 7, &out);
    aggregate_write_end(&out);
    if (!str_eq(buf_str(&out), str_of(wanted)))
        fail_msg("%.*s", STR_ARG(buf_str(&out)));
    buf_reset(&out);
    aggregate_write_file_name(&report, &out);
    assert_true(str_eq(buf_str(&out), STR("home.example!a.example!1795305600!1795391999.xml.gz")));
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_back),
        cmocka_unit_test(what_is_no_row_is_refused),
        cmocka_unit_test(values_cannot_break_out),
        cmocka_unit_test(marks_tell_rows_apart),
        cmocka_unit_test(a_report_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
