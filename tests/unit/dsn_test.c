/* Delivery status reports: their parts, their words, and that no text from outside can add a line. */
#include "smtp/dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define NOON INT64_C(1795318200000000)

static struct dsn_rcpt failed_rcpt(void)
{
    return (struct dsn_rcpt){.action = DSN_FAILED, .address = STR("gone@far.example"),
        .orcpt = STR("rfc822;old+2Bname@here.example"), .code = 550, .text = STR("5.1.1 No such user here"),
        .remote = true, .host = STR("mx.far.example"), .last_attempt = NOON};
}

static struct dsn_report report_of(const struct dsn_rcpt *rcpts, size_t n)
{
    return (struct dsn_report){.hostname = STR("mail.here.example"), .to = STR("me@here.example"),
        .queue_id = STR("0123456789ABC"), .report_id = STR("00R2-77"), .envid = STR("QQ+2B314"), .subject = STR("Hello"),
        .message_id = STR("<orig@here.example>"), .arrived = NOON, .now = NOON, .rcpts = rcpts, .n = n};
}

static struct buf write_report(const struct dsn_report *r)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    dsn_write_head(&out, r);
    buf_add(&out, STR("Subject: Hello\r\n"));
    dsn_write_tail(&out, r);
    assert_false(out.failed);
    return out;
}

/* Each text must be there, one after the other. */
static void check_order(struct str text, const char *const *wanted)
{
    for (; *wanted != NULL; wanted++) {
        ptrdiff_t at = str_ifind(text, str_of(*wanted));

        if (at < 0)
            fail_msg("missing: %s", *wanted);
        text = str_skip(text, (size_t)at + strlen(*wanted));
    }
}

static void a_failure_report_has_all_parts(void **state)
{
    static const char *const wanted[] = {
        "Date: Sun, 22 Nov 2026 03:30:00 +0000\r\n",
        "From: Mail Delivery System <MAILER-DAEMON@mail.here.example>\r\n",
        "To: <me@here.example>\r\n",
        "Subject: Undelivered mail: Hello\r\n",
        "Message-ID: <report-00R2-77@mail.here.example>\r\n",
        "References: <orig@here.example>\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "MIME-Version: 1.0\r\n",
        "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"report-00R2-77\"\r\n",
        "\r\nThis is a report",
        "\r\n--report-00R2-77\r\n",
        "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
        "<gone@far.example>\r\n",
        "There is no such address.",
        "mx.far.example said: 550 5.1.1 No such user here\r\n",
        "Check the spelling",
        "0123456789ABC",
        "\r\n--report-00R2-77\r\n",
        "Content-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mail.here.example\r\n"
        "Original-Envelope-Id: QQ+314\r\n"
        "Arrival-Date: Sun, 22 Nov 2026 03:30:00 +0000\r\n\r\n"
        "Original-Recipient: rfc822; old+name@here.example\r\n"
        "Final-Recipient: rfc822; gone@far.example\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx.far.example\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n"
        "Last-Attempt-Date: Sun, 22 Nov 2026 03:30:00 +0000\r\n",
        "\r\n--report-00R2-77\r\n",
        "Content-Type: text/rfc822-headers\r\n\r\nSubject: Hello\r\n",
        "\r\n--report-00R2-77--\r\n",
        NULL,
    };
    struct dsn_rcpt rcpt = failed_rcpt();
    struct dsn_report r = report_of(&rcpt, 1);
    struct buf out = write_report(&r);

    (void)state;
    check_order(buf_str(&out), wanted);
    assert_true(str_is_ascii(buf_str(&out)));
    assert_int_equal(str_ifind(buf_str(&out), STR("8bit")), -1);
    buf_clear(&out);
}

static void each_action_has_its_words(void **state)
{
    static const struct {
        enum dsn_action action;
        const char *text, *wanted[6];
    } cases[] = {
        {DSN_DELAYED, "4.4.1 Connection timed out",
            {"Subject: Delayed mail", "still being tried", "It will be tried until Sun, 22 Nov 2026", "Action: delayed\r\nStatus: 4.4.1",
                "Will-Retry-Until: Sun, 22 Nov"}},
        {DSN_DELIVERED, "2.0.0 kept", {"Subject: Mail delivered", "in the recipient's mailbox", "Action: delivered\r\nStatus: 2.0.0"}},
        {DSN_RELAYED, "", {"Subject: Mail passed on", "no delivery reports", "Action: relayed\r\nStatus: 2.0.0"}},
        {DSN_EXPANDED, "", {"list", "Action: expanded\r\nStatus: 2.0.0"}},
        {DSN_FAILED, "4.4.7 too old", {"Subject: Undelivered", "as long as possible", "Action: failed\r\nStatus: 4.4.7"}},
        {DSN_FAILED, "no enhanced code", {"Action: failed\r\nStatus: 5.0.0"}},
        {DSN_DELAYED, "5.1.1 strange", {"Status: 4.0.0"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dsn_rcpt rcpt = {.action = cases[i].action, .address = STR("a@b.example"), .text = str_of(cases[i].text),
            .retry_until = NOON};
        struct dsn_report r = report_of(&rcpt, 1);
        struct buf out = write_report(&r);

        check_order(buf_str(&out), cases[i].wanted);
        buf_clear(&out);
    }
}

static void the_worst_action_names_the_report(void **state)
{
    static const char *const wanted[] = {"Subject: Undelivered mail", "<a@b.example>", "<gone@far.example>",
        "Final-Recipient: rfc822; a@b.example", "\r\n\r\nOriginal-Recipient", NULL};
    struct dsn_rcpt rcpts[] = {{.action = DSN_DELIVERED, .address = STR("a@b.example")}, failed_rcpt()};
    struct dsn_report r = report_of(rcpts, 2);
    struct buf out = write_report(&r);

    (void)state;
    check_order(buf_str(&out), wanted);
    buf_clear(&out);
}

static void utf8_addresses_make_a_global_report(void **state)
{
    static const char *const wanted[] = {
        "To: <j\xc3\xb6rg@here.example>\r\n",
        "report-type=global-delivery-status",
        "Content-Transfer-Encoding: 8bit\r\n",
        "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n",
        "Original-Recipient: utf-8; \xc3\xb6@x.example\r\n",
        "Final-Recipient: utf-8; \xc3\xa4@far.example\r\n",
        "Content-Type: message/global\r\n",
        NULL,
    };
    struct dsn_rcpt rcpt = {.address = STR("\xc3\xa4@far.example"), .orcpt = STR("utf-8;\\x{F6}@x.example")};
    struct dsn_report r = report_of(&rcpt, 1);
    struct buf out;

    (void)state;
    r.to = STR("j\xc3\xb6rg@here.example");
    r.original_utf8 = r.full = true;
    assert_true(dsn_needs_utf8(&r));
    out = write_report(&r);
    check_order(buf_str(&out), wanted);
    buf_clear(&out);
}

static void a_plain_report_keeps_utf8_recipients_in_armour(void **state)
{
    struct dsn_rcpt rcpt = {.address = STR("a@far.example"), .orcpt = STR("utf-8;\\x{F6}@x.example")};
    struct dsn_report r = report_of(&rcpt, 1);
    struct buf out;

    (void)state;
    r.full = r.original_8bit = true;
    out = write_report(&r);
    assert_true(str_ifind(buf_str(&out), STR("Original-Recipient: utf-8; \\x{F6}@x.example\r\n")) > 0);
    assert_true(str_ifind(buf_str(&out), STR("message/rfc822\r\nContent-Transfer-Encoding: 8bit")) > 0);
    assert_true(str_is_ascii(buf_str(&out)));
    buf_clear(&out);
}

/* Every line of the report must be one that the builder began itself. */
static void nothing_from_outside_adds_a_line(void **state)
{
#define EVIL "x\r\nX-Evil: 1\n\r\n--report-00R2-77--\r\n"
    struct dsn_rcpt rcpt = {.address = STR(EVIL), .orcpt = STR("rfc822;" "a+0D+0AX-Evil:+201"), .code = 550,
        .text = STR(EVIL), .remote = true, .host = STR(EVIL)};
    struct dsn_report r = {.hostname = STR(EVIL), .to = STR(EVIL), .queue_id = STR(EVIL), .report_id = STR("00R2-77\r\n"),
        .envid = STR("+0D+0AX-Evil:+201"), .subject = STR(EVIL), .message_id = STR(EVIL), .now = NOON, .rcpts = &rcpt, .n = 1};
    struct buf out = write_report(&r);
    struct str rest = buf_str(&out), line;
    size_t boundaries = 0;

    (void)state;
    while (rest.n && str_next(&rest, '\n', &line)) {
        assert_true(rest.n == 0 || (line.n && line.p[line.n - 1] == '\r'));
        assert_false(str_istarts(line, STR("X-Evil")));
        boundaries += str_starts(line, STR("--report"));
        assert_true(line.n <= 998);
    }
    assert_int_equal(boundaries, 4);
    buf_clear(&out);
}

static void a_full_buffer_is_noticed(void **state)
{
    struct dsn_rcpt rcpt = failed_rcpt();
    struct dsn_report r = report_of(&rcpt, 1);
    struct buf out;

    (void)state;
    buf_init(&out, 500);
    dsn_write_head(&out, &r);
    assert_true(out.failed);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_report_has_all_parts),
        cmocka_unit_test(each_action_has_its_words),
        cmocka_unit_test(the_worst_action_names_the_report),
        cmocka_unit_test(utf8_addresses_make_a_global_report),
        cmocka_unit_test(a_plain_report_keeps_utf8_recipients_in_armour),
        cmocka_unit_test(nothing_from_outside_adds_a_line),
        cmocka_unit_test(a_full_buffer_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
