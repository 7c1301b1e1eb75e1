/* Greeting, order of commands, what is offered where, lines, errors and limits, XCLIENT, draining. */
#include "smtp_fixture.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void greets_and_says_goodbye(void **state)
{
    WITH(SERVICE_MX);
    b.s = NULL;
    bench_start(&b);
    converse(&b, {"EHLO c.example", "250-mail.test\r\n250-PIPELINING\r\n250-SIZE 100000\r\n"}, {"NOOP", "250 2.0.0"},
        {"NOOP with words", "250 2.0.0"}, {"HELP", "214"}, {"VRFY user", "252 2.5.2"}, {"VRFY", "501 5.5.4"},
        {"EXPN list", "502 5.5.1"}, {"ETRN x", "502 5.5.1"}, {"RSET", "250 2.0.0"}, {"QUIT", "221 2.0.0"});
    assert_true(b.closed);
    assert_int_equal(bench_feed(&b, STR("NOOP\r\n")), 6); /* dropped */
    bench_clear(&b);
}

static void helo_is_enough_for_a_message(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"HELO c", "250 mail.test\r\n"}, {"MAIL FROM:<>", "250 2.1.0"}, {"RCPT TO:<u@x.example>", "250 2.1.5"},
        {"DATA", "354"}, {"hello", NULL}, {".", "250 2.0.0 queued"});
    assert_true(holds(&b.envelope, "protocol=SMTP"));
    bench_clear(&b);
}

static void names_are_checked(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO", "501 5.5.4"}, {"EHLO a b", "501 5.5.4"}, {"EHLO a<b>", "501 5.5.4"}, {"HELO", "501"},
        {"EHLO [192.0.2.7]", "250-"}, {"EHLO [IPv6:2001:db8::1]", "250-"}, {"ehlo under_score", "250-"});
    bench_clear(&b);
}

static void order_is_enforced(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"MAIL FROM:<>", "503 5.5.1 Send EHLO first"}, {"RCPT TO:<a@b.example>", "503"}, {"DATA", "503"},
        {"RSET", "250"}, {"EHLO c", "250"}, {"RCPT TO:<a@b.example>", "503 5.5.1 Send MAIL first"},
        {"DATA", "503 5.5.1 Send MAIL first"}, {"MAIL FROM:<>", "250"},
        {"MAIL FROM:<>", "503 5.5.1 A transaction is open"}, {"DATA", "503 5.5.1 Send RCPT first"},
        {"STARTTLS", "503"}, {"RCPT TO:<unknown@x.example>", "550"}, {"DATA", "554 5.5.1 No valid recipients"},
        {"RCPT TO:<a@x.example>", "250"}, {"RSET", "250"}, {"DATA", "503"}, {"MAIL FROM:<>", "250"},
        {"RCPT TO:<a@x.example>", "250"}, {"EHLO again", "250"}, {"DATA", "503"});
    assert_int_equal(b.begun, 0);
    bench_clear(&b);
}

static bool offers(struct bench *b, const char *keyword)
{
    char text[64];

    exchange_at(b, (struct str){0}, "", __FILE__, __LINE__);
    bench_feed(b, b->set.service == SERVICE_LMTP ? STR("LHLO c\r\n") : STR("EHLO c\r\n"));
    for (int last = 0; last < 2; last++) {
        snprintf(text, sizeof text, "250%c%s", last ? ' ' : '-', keyword);
        if (str_ifind(buf_str(&b->out), str_of(text)) >= 0)
            return true;
    }
    return false;
}

static void what_is_offered_depends_on_the_place(void **state)
{
    static const char *const always[] = {"PIPELINING\r", "SIZE 100000\r", "8BITMIME\r", "BINARYMIME\r", "CHUNKING\r",
        "SMTPUTF8\r", "DSN\r", "ENHANCEDSTATUSCODES\r", "LIMITS RCPTMAX=5 MAILMAX=50\r", "DELIVERBY\r", "MT-PRIORITY",
        "VRFY\r", "HELP\r"};
    static const enum service services[] = {SERVICE_MX, SERVICE_SUBMISSION, SERVICE_LMTP, SERVICE_LOCAL_SMTP};

    for (size_t i = 0; i < 4; i++) {
        WITH(services[i]);
        bench_start(&b);
        for (size_t k = 0; k < sizeof always / sizeof always[0]; k++)
            assert_true(offers(&b, always[k]));
        assert_false(offers(&b, "AUTH")); /* not without TLS */
        assert_false(offers(&b, "REQUIRETLS"));
        assert_false(offers(&b, "XCLIENT"));
        assert_true(offers(&b, "STARTTLS"));
        assert_int_equal(offers(&b, "FUTURERELEASE 2592000 2026-12-22T"),
            services[i] == SERVICE_SUBMISSION || services[i] == SERVICE_LOCAL_SMTP);
        smtp_secured(b.s, STR("TLSv1.3 X"), true);
        assert_int_equal(offers(&b, "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 LOGIN PLAIN\r"), services[i] == SERVICE_SUBMISSION);
        assert_true(offers(&b, "REQUIRETLS\r"));
        assert_false(offers(&b, "STARTTLS"));
        bench_clear(&b);
    }
}

static void loopback_may_log_in_without_tls(void **state)
{
    WITH(SERVICE_SUBMISSION);
    b.client.loopback = true;
    bench_start(&b);
    assert_true(offers(&b, "AUTH SCRAM-SHA-256 LOGIN PLAIN\r"));
    bench_clear(&b);
}

static void lmtp_and_smtp_greet_differently(void **state)
{
    WITH(SERVICE_LMTP);
    bench_start(&b);
    converse(&b, {"MAIL FROM:<>", "503 5.5.1 Send LHLO first"}, {"EHLO c", "500 5.5.1"}, {"HELO c", "500 5.5.1"},
        {"LHLO c", "250-mail.test"});
    bench_clear(&b);
    bench_init(&b, SERVICE_MX);
    bench_start(&b);
    converse(&b, {"LHLO c", "500 5.5.1"});
    bench_clear(&b);
}

static void starttls_starts_anew(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"STARTTLS now", "501 5.5.4"});
    exchange(&b, "STARTTLS\r\nMAIL FROM:<injected@x.example>\r\n", "220 2.0.0 Ready to start TLS\r\n");
    smtp_secured(b.s, STR("TLSv1.2 X"), true);
    converse(&b, {"MAIL FROM:<>", "503 5.5.1 Send EHLO first"}, {"EHLO c", "250"}, {"STARTTLS", "503 5.5.1 TLS is on"});
    bench_clear(&b);
    bench_init(&b, SERVICE_MX);
    b.set.starttls = false;
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"STARTTLS", "502 5.5.1"});
    bench_clear(&b);
}

static void starttls_may_come_before_ehlo(void **state)
{
    for (int helo = 0; helo < 2; helo++) {
        WITH(SERVICE_SUBMISSION);
        bench_start(&b);
        if (helo)
            converse(&b, {"HELO c", "250"});
        converse(&b, {"STARTTLS", "220"});
        smtp_secured(b.s, STR("TLSv1.3 X"), true);
        converse(&b, {"MAIL FROM:<>", "503 5.5.1 Send EHLO first"}, {"EHLO c", "250"});
        bench_clear(&b);
    }
}


static void pipelined_commands_are_answered_in_order(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    bench_feed(&b, STR("EHLO c\r\n"));
    exchange(&b, "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nRCPT TO:<unknown@y.example>\r\nDATA\r\n",
        "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n550 5.1.1 No such user\r\n354 End the message with <CR><LF>.<CR><LF>\r\n");
    exchange(&b, "x\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n",
        "250 2.0.0 queued\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n221 2.0.0 Bye\r\n");
    bench_clear(&b);
}

static void waits_for_an_answer_before_the_next_line(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "250"});
    exchange(&b, "RCPT TO:<silent@x.example>\r\nRSET\r\n", "");
    assert_true(smtp_waits(b.s));
    assert_int_equal(bench_feed(&b, STR("RSET\r\n")), 0);
    smtp_rcpt_answer(b.s, RCPT_LOCAL, 0, STR(""));
    assert_false(smtp_waits(b.s));
    smtp_rcpt_answer(b.s, RCPT_UNKNOWN, 0, STR("")); /* nobody asked */
    smtp_sender_answer(b.s, true, false);
    smtp_auth_challenge(b.s, STR("x"));
    smtp_auth_done(b.s, AUTH_OK, 7, AUTH_MAY_SEND, STR("x"), STR(""));
    smtp_txn_done(b.s, 250, STR("2.0.0 x"));
    smtp_resume(b.s);
    assert_true(str_eq(buf_str(&b.out), STR("250 2.1.5 Ok\r\n")));
    bench_clear(&b);
}

static void lines_are_bounded_and_end_with_crlf(void **state)
{
    static char text[20000];
    WITH(SERVICE_MX);
    bench_start(&b);
    memset(text, 'x', sizeof text);
    converse(&b, {"EHLO c", "250"});
    exchange(&b, "NOOP\n", "500 5.5.2 Lines end with CR and LF\r\n");
    exchange(&b, "\n", "500 5.5.2 Lines end with CR and LF\r\n");
    exchange(&b, "\r\n", "500 5.5.2 Unknown command\r\n");
    exchange(&b, "NO\0OP\r\n", "500 5.5.2 Unknown command\r\n");
    memcpy(text, "NOOP ", 5);
    memcpy(text + 4094, "\r\n", 2);
    exchange_at(&b, str_from(text, 4096), "250 2.0.0 Ok\r\n", __FILE__, __LINE__);
    memset(text + 4094, 'x', 2);
    exchange_at(&b, str_from(text, 4096), "", __FILE__, __LINE__);
    exchange_at(&b, str_from(text, 9000), "", __FILE__, __LINE__);
    exchange(&b, "\r\nNOOP\r\n", "500 5.5.2 Line too long\r\n250 2.0.0 Ok\r\n");
    bench_clear(&b);
}

static void errors_and_nonsense_are_limited(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    b.set.errors = 3;
    converse(&b, {"MAIL", "503"}, {"RCPT", "503"});
    exchange(&b, "DATA\r\nNOOP\r\n", "503 5.5.1 Send EHLO first\r\n421 4.7.0 Too many errors\r\n");
    assert_true(b.closed);
    bench_clear(&b);
    bench_init(&b, SERVICE_MX);
    b.set.unknown_commands = 2;
    bench_start(&b);
    converse(&b, {"FOO", "500 5.5.2"});
    exchange(&b, "BAR\r\n", "500 5.5.2 Unknown command\r\n421 4.7.0 Too many unknown commands\r\n");
    assert_true(b.closed);
    bench_clear(&b);
}

static void browsers_and_tls_clients_are_cut(void **state)
{
    static const struct str first[] = {STR("GET / HTTP/1.1\r\n"), STR("POST /x HTTP/1.1\r\n"), STR("get / HTTP/1.0\n"),
        STR("CONNECT a:25 HTTP/1.1\r\n"), STR("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03")};

    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        WITH(SERVICE_MX);
        bench_start(&b);
        exchange_at(&b, first[i], "421 4.7.0 This is a mail server\r\n", __FILE__, __LINE__);
        assert_true(b.closed);
        assert_int_equal(b.notes[SMTP_NOTE_CUT], 1);
        bench_clear(&b);
    }
}

static void early_talkers_are_cut(void **state)
{
    WITH(SERVICE_MX);
    b.set.greeting_delay = 5 * SECOND;
    b.wait_for_resume = true;
    bench_start(&b);
    assert_int_equal(b.delayed, 5 * SECOND);
    assert_false(smtp_waits(b.s)); /* else nobody would notice the talker */
    exchange(&b, "EHLO c\r\n", "554 5.5.1 You talked before the greeting\r\n");
    assert_true(b.closed);
    bench_clear(&b);
    bench_init(&b, SERVICE_MX);
    b.set.greeting_delay = 5 * SECOND;
    b.wait_for_resume = true;
    bench_start(&b);
    smtp_resume(b.s);
    assert_true(str_eq(buf_str(&b.out), STR("220 mail.test ESMTP Staffetta\r\n")));
    converse(&b, {"EHLO c", "250"});
    bench_clear(&b);
}

static void strict_listeners_want_the_reply_to_be_read(void **state)
{
    WITH(SERVICE_MX);
    b.set.strict = true;
    bench_start(&b);
    exchange(&b, "EHLO c\r\nMAIL FROM:<>\r\n", "503 5.5.1 You did not wait for the reply to EHLO\r\n");
    assert_true(b.closed);
    bench_clear(&b);
}

static void xclient_is_for_listed_networks(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"XCLIENT ADDR=192.0.2.9", "550 5.7.0"});
    bench_clear(&b);
    bench_init(&b, SERVICE_MX);
    b.client.may_xclient = true;
    bench_start(&b);
    assert_true(offers(&b, "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r"));
    converse(&b, {"XCLIENT", "501 5.5.4"}, {"XCLIENT ADDR=nonsense", "501"}, {"XCLIENT COLOUR=red", "501"},
        {"XCLIENT LOGIN=a@b.example+0D+0ABcc:", "501"}, {"XCLIENT ADDR=+2", "501"}, {"XCLIENT HELO=a<b", "501"}, {"XCLIENT PORT=70000", "501"},
        {"XCLIENT NAME=[UNAVAILABLE] ADDR=10.0.0.1 PORT=77 PROTO=ESMTP HELO=inner.example LOGIN=joe+2Bx DESTADDR=::1",
            "220 mail.test"},
        {"MAIL FROM:<>", "503 5.5.1 Send EHLO first"}, {"EHLO inner.example", "250"}, {"MAIL FROM:<a@x.example>", "250"},
        {"RCPT TO:<x@remote.example>", "250"}, {"XCLIENT ADDR=10.0.0.2", "503"}, {"DATA", "354"}, {".", "250"});
    assert_true(holds(&b.envelope, "login=joe+x client=10.0.0.1 helo=inner.example protocol=ESMTP"));
    converse(&b, {"XCLIENT ADDR=IPV6:2001:db8::5", "220"}, {"EHLO c", "250"}, {"MAIL FROM:<a@x.example>", "250"},
        {"RCPT TO:<x@remote.example>", "550 5.7.1"});
    bench_clear(&b);
}

static void draining_waits_for_the_message(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "250"}, {"RCPT TO:<a@x.example>", "250"}, {"DATA", "354"});
    smtp_drain(b.s);
    assert_false(b.closed);
    converse(&b, {"hello", NULL}, {".", "250 2.0.0 queued"}, {"MAIL FROM:<>", "421 4.3.2"});
    assert_true(b.closed);
    bench_clear(&b);
    bench_init(&b, SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"});
    smtp_drain(b.s);
    assert_true(b.closed && str_starts(buf_str(&b.out), STR("250-")));
    bench_clear(&b);
    bench_init(&b, SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "250"});
    smtp_drain(b.s);
    exchange(&b, "RCPT TO:<a@x.example>\r\nRSET\r\nMAIL FROM:<>\r\n",
        "250 2.1.5 Ok\r\n250 2.0.0 Ok\r\n421 4.3.2 The server is going down, try again soon\r\n");
    bench_clear(&b);
}

static void messages_of_a_connection_are_limited(void **state)
{
    WITH(SERVICE_MX);
    b.set.messages_per_connection = 2;
    bench_start(&b);
    converse(&b, {"EHLO c", "250"});
    for (int i = 0; i < 2; i++)
        converse(&b, {"MAIL FROM:<>", "250"}, {"RCPT TO:<a@x.example>", "250"}, {"DATA", "354"}, {".", "250"});
    converse(&b, {"MAIL FROM:<>", "421 4.7.0"});
    assert_true(b.closed);
    bench_clear(&b);
}

static void a_client_that_vanishes_leaves_nothing(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "250"}, {"RCPT TO:<a@x.example>", "250"}, {"DATA", "354"},
        {"half a message", NULL});
    smtp_free(b.s);
    b.s = NULL;
    assert_int_equal(b.begun, 1);
    assert_int_equal(b.aborted, 1);
    bench_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greets_and_says_goodbye),
        cmocka_unit_test(helo_is_enough_for_a_message),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(order_is_enforced),
        cmocka_unit_test(what_is_offered_depends_on_the_place),
        cmocka_unit_test(loopback_may_log_in_without_tls),
        cmocka_unit_test(lmtp_and_smtp_greet_differently),
        cmocka_unit_test(starttls_starts_anew),
        cmocka_unit_test(starttls_may_come_before_ehlo),
        cmocka_unit_test(pipelined_commands_are_answered_in_order),
        cmocka_unit_test(waits_for_an_answer_before_the_next_line),
        cmocka_unit_test(lines_are_bounded_and_end_with_crlf),
        cmocka_unit_test(errors_and_nonsense_are_limited),
        cmocka_unit_test(browsers_and_tls_clients_are_cut),
        cmocka_unit_test(early_talkers_are_cut),
        cmocka_unit_test(strict_listeners_want_the_reply_to_be_read),
        cmocka_unit_test(xclient_is_for_listed_networks),
        cmocka_unit_test(draining_waits_for_the_message),
        cmocka_unit_test(messages_of_a_connection_are_limited),
        cmocka_unit_test(a_client_that_vanishes_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
