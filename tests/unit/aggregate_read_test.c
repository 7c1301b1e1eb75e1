/* Reports of others: what is taken out of them, in any cuts and packings, and what every kind of hostile one comes to. */
#include "mailauth/aggregate.h"
#include "mailauth/aggregate_read.h"
#include "mime/unpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* As RFC 7489 has it: no namespace, elements in another order. */
#define OLD "<?xml version=\"1.0\"?>\n<feedback><report_metadata><org_name>far &amp; wide</org_name><email>a@far.example</email>" \
    "<report_id>77</report_id><date_range><begin>1000</begin><end>2000</end></date_range></report_metadata>" \
    "<policy_published><domain>home.example</domain><p>reject</p><pct>100</pct></policy_published>"
#define RECORD(ip, n) "<record><row><source_ip>" ip "</source_ip><count>" n "</count><policy_evaluated><disposition>none</disposition>" \
    "<dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>home.example</header_from></identifiers>" \
    "<auth_results><spf><domain>x.example</domain><result>pass</result></spf></auth_results></record>"
#define END "</feedback>"

static struct aggregate_reader *read_in(struct str text, size_t piece, bool *ok)
{
    struct aggregate_reader *r = aggregate_reader_new();

    *ok = true;
    while (*ok && text.n > 0) {
        *ok = aggregate_reader_add(r, str_sub(text, 0, piece));
        text = str_skip(text, piece);
    }
    *ok = *ok && aggregate_reader_end(r);
    return r;
}

static void reports_are_read_in_any_cuts(void **state)
{
    struct str text = STR(OLD RECORD("192.0.2.1", "5") RECORD("2001:DB8::1", "1") RECORD("192.0.2.1", "2") END);

    (void)state;
    for (size_t piece = 1; piece <= text.n; piece = piece < 40 ? piece + 1 : piece * 2) {
        struct aggregate_head head;
        struct aggregate_line line;
        const void *at = NULL;
        uint64_t sum = 0;
        unsigned lines = 0;
        bool ok;
        struct aggregate_reader *r = read_in(text, piece, &ok);

        if (!ok)
            fail_msg("%s", aggregate_reader_why(r));
        aggregate_reader_head(r, &head);
        assert_true(str_eq(head.reporter, STR("far & wide")) && str_eq(head.report_id, STR("77")));
        assert_true(str_eq(head.domain, STR("home.example")) && str_eq(head.policy, STR("reject")));
        assert_int_equal(head.begins * 10000 + head.ends, 10002000);
        while (aggregate_reader_next(r, &at, &line)) {
            assert_true(str_eq(line.source, STR("192.0.2.1")) ? line.count == 7 : str_eq(line.source, STR("2001:db8::1")));
            assert_true(str_eq(line.result, STR("none dkim=pass spf=fail")));
            sum += line.count;
            lines++;
        }
        assert_int_equal(lines * 100 + sum, 208);
        aggregate_reader_free(r);
    }
}

static void own_reports_are_read(void **state)
{
    struct aggregate_report report = {.organisation = STR("o"), .contact = STR("c@o.example"), .submitter = STR("o.example"),
        .domain = STR("home.example"), .record = STR("v=DMARC1; p=none; rua=mailto:a@home.example"), .begins = 86400, .ends = 172799};
    struct aggregate_row row = {.source = STR("192.0.2.1"), .action = AGGREGATE_REJECT, .header_from = STR("home.example")};
    struct aggregate_line line;
    const void *at = NULL;
    struct aggregate_reader *r;
    struct buf text;
    bool ok;

    (void)state;
    buf_init(&text, 1 << 16);
    aggregate_write_head(&report, &text);
    aggregate_write_row(&row, 3, &text);
    aggregate_write_end(&text);
    r = read_in(buf_str(&text), 100, &ok);
    assert_true(ok);
    assert_true(aggregate_reader_next(r, &at, &line));
    assert_true(str_eq(line.result, STR("reject dkim=fail spf=fail")));
    assert_false(aggregate_reader_next(r, &at, &line));
    aggregate_reader_free(r);
    buf_clear(&text);
}

static void refused(struct str text)
{
    bool ok;
    struct aggregate_reader *r = read_in(text, 4096, &ok);

    if (ok)
        fail_msg("taken: %.*s", (int)(text.n < 300 ? text.n : 300), text.p);
    assert_true(aggregate_reader_why(r)[0] != 0);
    aggregate_reader_free(r);
}

static void hostile_reports_are_refused(void **state)
{
    static const char *const bad[] = {"", "x", "<feedback>", OLD, OLD END, "<other/>", OLD RECORD("a.b", "1") END, OLD RECORD("192.0.2.1", "x") END,
        OLD RECORD("192.0.2.1", "-1") END, OLD RECORD("192.0.2.1", "99999999999999999999") END, OLD RECORD("192.0.2.1", "1") "</wrong>",
        "<!DOCTYPE feedback [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>" OLD RECORD("192.0.2.1", "1") END,
        "<!DOCTYPE feedback SYSTEM \"file:///etc/passwd\"><feedback/>", "<!DOCTYPE f [<!ENTITY % x SYSTEM \"http://x.example/\">%x;]><feedback/>",
        OLD "<record><row><source_ip>&undefined;</source_ip></row></record>" END,
        "<feedback><report_metadata><org_name>o</org_name><report_id>1</report_id><date_range><begin>9</begin><end>8</end></date_range>"
        "</report_metadata><policy_published><domain>d.example</domain></policy_published>" RECORD("192.0.2.1", "1") END};
    struct buf text;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(str_of(bad[i]));
    buf_init(&text, 32 << 20);
    buf_add(&text, STR("<feedback>"));
    for (int i = 0; i < 100; i++)
        buf_add(&text, STR("<a>"));
    refused(buf_str(&text));
    buf_reset(&text);
    buf_add(&text, STR("<feedback a=\""));
    for (int i = 0; i < 500000; i++)
        buf_add(&text, STR("xxxxxxxxxxxxxxxx"));
    refused(buf_str(&text)); /* one tag of 8 MB */
    buf_reset(&text);
    buf_add(&text, STR(OLD));
    for (int i = 0; i <= AGGREGATE_LINES_MAX; i++)
        buf_addf(&text, RECORD("10.0.%d.%d", "1"), i / 250, i % 250);
    buf_add(&text, STR(END));
    refused(buf_str(&text));
    buf_clear(&text);
}

static void long_values_are_cut(void **state)
{
    struct aggregate_head head;
    struct buf text;
    struct aggregate_reader *r;
    bool ok;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_add(&text, STR("<feedback><report_metadata><org_name>\x01\xc3\xa4"));
    refused(buf_str(&text)); /* a control character is no XML */
    buf_reset(&text);
    buf_add(&text, STR("<feedback><report_metadata><org_name>\xc3\xa4\n\t"));
    for (int i = 0; i < 20000; i++)
        buf_add(&text, STR("long "));
    buf_add(&text, STR("</org_name><report_id>1</report_id><date_range><begin>1</begin><end>2</end></date_range></report_metadata>"
        "<policy_published><domain>d.example</domain></policy_published>" RECORD("192.0.2.1", "1") END));
    r = read_in(buf_str(&text), 1000, &ok);
    assert_true(ok);
    aggregate_reader_head(r, &head);
    assert_int_equal(head.reporter.n, 255);
    assert_true(str_is_printable(head.reporter));
    aggregate_reader_free(r);
    buf_clear(&text);
}

/* ---- packings ---- */

static void squeeze(struct buf *out, struct str in, int bits)
{
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (z_const Bytef *)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = (Bytef *)buf_reserve(out, deflateBound(&z, in.n));
    z.avail_out = (uInt)deflateBound(&z, in.n);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->n += z.total_out;
    deflateEnd(&z);
}

static void zip_head(struct buf *out, int method, int flags, size_t size)
{
    char head[30] = {'P', 'K', 3, 4, 20};

    head[6] = (char)flags;
    head[8] = (char)method;
    head[18] = (char)(size & 255);
    head[19] = (char)(size >> 8);
    head[26] = 5; /* of the name */
    buf_add(out, str_from(head, sizeof head));
    buf_add(out, STR("a.xml"));
}

static enum unpack_result pull(struct str in, uint64_t limit, struct buf *out)
{
    enum unpack_result result;
    struct unpack u;
    size_t got;

    unpack_begin(&u, in, limit);
    do {
        char room[77];

        result = unpack_next(&u, room, sizeof room, &got);
        buf_add(out, str_from(room, got));
    } while (result == UNPACK_MORE);
    unpack_clear(&u);
    return result;
}

static void packings_are_opened(void **state)
{
    struct str text = STR("a text that is long enough to be worth it, it is, it is, it is, it is");
    struct buf in, out;

    (void)state;
    buf_init(&in, 1 << 20);
    buf_init(&out, 1 << 20);
    for (int kind = 0; kind < 5; kind++) {
        buf_reset(&in);
        buf_reset(&out);
        if (kind == 0 || kind == 4)
            squeeze(&in, str_sub(text, 0, kind == 4 ? 10 : text.n), 31);
        if (kind == 4)
            squeeze(&in, str_skip(text, 10), 31); /* two members */
        if (kind == 1)
            zip_head(&in, 8, 8, 0);
        if (kind == 1)
            squeeze(&in, text, -15);
        if (kind == 2)
            zip_head(&in, 0, 0, text.n);
        if (kind >= 2 && kind < 4)
            buf_add(&in, text);
        assert_int_equal(pull(buf_str(&in), 1000, &out), UNPACK_END);
        assert_true(str_eq(buf_str(&out), text));
        if (kind != 3) /* every cut is damaged */
            for (size_t n = 4; n < in.n - (kind == 4 ? 40 : 0); n++) {
                enum unpack_result result;

                buf_reset(&out);
                result = pull(str_sub(buf_str(&in), 0, n), 1000, &out);
                assert_true(result == UNPACK_BAD || (kind == 4 && result == UNPACK_END));
            }
    }
    buf_reset(&in);
    zip_head(&in, 8, 1, 0); /* encrypted */
    buf_add(&in, text);
    assert_int_equal(pull(buf_str(&in), 1000, &out), UNPACK_BAD);
    buf_reset(&in);
    zip_head(&in, 14, 0, 0); /* LZMA */
    buf_add(&in, text);
    assert_int_equal(pull(buf_str(&in), 1000, &out), UNPACK_BAD);
    buf_clear(&in);
    buf_clear(&out);
}

static void bombs_do_not_go_off(void **state)
{
    struct buf zeros, in, out;

    (void)state;
    buf_init(&zeros, 64 << 20);
    buf_init(&in, 64 << 20);
    buf_init(&out, 64 << 20);
    memset(buf_reserve(&zeros, 32 << 20), 0, 32 << 20);
    zeros.n = 32 << 20;
    squeeze(&in, buf_str(&zeros), 31);
    assert_true(in.n < 40000);
    assert_int_equal(pull(buf_str(&in), 1 << 30, &out), UNPACK_TOO_LARGE); /* the ratio */
    assert_true(out.n < (2 << 20));
    buf_reset(&out);
    assert_int_equal(pull(buf_str(&in), 5000, &out), UNPACK_TOO_LARGE); /* the sum */
    assert_true(out.n < 5100);
    buf_clear(&zeros);
    buf_clear(&in);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_are_read_in_any_cuts),
        cmocka_unit_test(own_reports_are_read),
        cmocka_unit_test(hostile_reports_are_refused),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(packings_are_opened),
        cmocka_unit_test(bombs_do_not_go_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
