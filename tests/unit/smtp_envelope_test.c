/* MAIL and RCPT: addresses, parameters, who may relay, limits, and what filter is told. */
#include "smtp_fixture.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void senders_are_read(void **state)
{
    static const struct turn cases[] = {
        {"MAIL FROM:<>", "250 2.1.0"},
        {"MAIL FROM:<a@b.example>", "250 2.1.0"},
        {"mail from:<a@b.example>", "250"},
        {"MAIL FROM: <a@b.example>", "250"},
        {"MAIL FROM:<\"a b\"@b.example>", "250"},
        {"MAIL FROM:<@relay.example:a@b.example>", "250"},
        {"MAIL FROM:<a@[192.0.2.1]>", "250"},
        {"MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME", "250"},
        {"MAIL FROM:<j\xc3\xb6rg@b.example> SMTPUTF8", "250"},
        {"MAIL FROM:<a@b.example> RET=HDRS ENVID=QQ314159", "250"},
        {"MAIL FROM:<a@b.example> BY=120;R", "250"},
        {"MAIL FROM:<a@b.example> BY=-5;N", "250"},
        {"MAIL FROM:<a@b.example> MT-PRIORITY=-3", "250 2.1.0"},
        {"MAIL FROM:<a@b.example> MT-PRIORITY=3", "250 2.3.6"},
        {"MAIL", "501 5.5.4"},
        {"MAIL FROM", "501 5.5.4"},
        {"MAIL FROM:a@b.example", "501 5.1.7"},
        {"MAIL FROM:<a@b.example", "501 5.1.7"},
        {"MAIL FROM:<a>", "501 5.1.7"},
        {"MAIL FROM:<a@>", "501 5.1.7"},
        {"MAIL FROM:<a@-b.example>", "501 5.1.7"},
        {"MAIL FROM:<j\xc3\xb6rg@b.example>", "553 5.6.7"},
        {"MAIL FROM:<a@b.example> SIZE=100001", "552 5.3.4"},
        {"MAIL FROM:<a@b.example> SIZE=x", "501 5.5.4"},
        {"MAIL FROM:<a@b.example> SIZE=1 SIZE=2", "501 5.5.4"},
        {"MAIL FROM:<a@b.example> BODY=9BIT", "501 5.5.4"},
        {"MAIL FROM:<a@b.example> RET=SOME", "501 5.5.4"},
        {"MAIL FROM:<a@b.example> ENVID=a+b", "501 5.5.4"},
        {"MAIL FROM:<a@b.example> BY=0;R", "501 5.5.4"},
        {"MAIL FROM:<a@b.example> MT-PRIORITY=10", "501 5.5.4"},
        {"MAIL FROM:<a@b.example> COLOUR=red", "555 5.5.4"},
        {"MAIL FROM:<a@b.example> REQUIRETLS", "555 5.5.4"},
        {"MAIL FROM:<a@b.example> HOLDFOR=60", "555 5.5.4"},
        {"MAIL FROM:<a@b.example> AUTH=<>", "555 5.5.4"},
    };
    WITH(SERVICE_MX);

    b.set.errors = 1000;
    bench_start(&b);
    converse(&b, {"EHLO c", "250"});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        converse(&b, cases[i], {"RSET", "250"});
    bench_clear(&b);
}

static void recipients_are_read(void **state)
{
    static const struct turn cases[] = {
        {"RCPT TO:<a@x.example>", "250 2.1.5"},
        {"RCPT TO:<postmaster>", "250 2.1.5"},
        {"RCPT TO:<POSTMASTER>", "250 2.1.5"},
        {"RCPT TO:<a@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@x.example", "250"},
        {"RCPT TO:<a@backup.example>", "250"},
        {"RCPT TO:<@relay.example:a@x.example>", "250"},
        {"RCPT", "501 5.5.4"},
        {"RCPT TO:", "501 5.1.3"},
        {"RCPT TO:<>", "501 5.1.3"},
        {"RCPT TO:<a>", "501 5.1.3"},
        {"RCPT TO:<a@x.example", "501 5.1.3"},
        {"RCPT TO:<a@x.example> NOTIFY=NEVER,DELAY", "501 5.5.4"},
        {"RCPT TO:<a@x.example> ORCPT=nonsense", "501 5.5.4"},
        {"RCPT TO:<a@x.example> COLOUR=red", "555 5.5.4"},
        {"RCPT TO:<j\xc3\xb6rg@x.example>", "553 5.6.7"},
        {"RCPT TO:<unknown@x.example>", "550 5.1.1 No such user\r\n"},
        {"RCPT TO:<disabled@x.example>", "550 5.2.1"},
        {"RCPT TO:<limited@x.example>", "450 4.7.1"},
        {"RCPT TO:<slow@x.example>", "451 4.3.0"},
        {"RCPT TO:<odd@x.example>", "550 5.1.1 No such user here\r\n"}, /* a reply of the wrong class is not passed on */
        {"RCPT TO:<a@remote.example>", "550 5.7.1 Relaying denied"},
    };
    WITH(SERVICE_MX);

    b.set.errors = 1000;
    bench_start(&b);
    converse(&b, {"EHLO c", "250"});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        converse(&b, {"MAIL FROM:<>", "250"}, cases[i], {"RSET", "250"});
    bench_clear(&b);
}

/* Every way to a foreign domain: only those who are known get through. */
static void there_is_no_open_relay(void **state)
{
    static const struct {
        enum service service;
        bool trusted;
        const char *reply;
    } cases[] = {
        {SERVICE_MX, false, "550 5.7.1"},
        {SERVICE_MX, true, "250"},
        {SERVICE_LMTP, false, "550 5.7.1"},
        {SERVICE_LMTP, true, "550 5.7.1"}, /* LMTP is for delivery here, whoever asks */
        {SERVICE_SUBMISSION, true, "250"},
        {SERVICE_LOCAL_SMTP, false, "250"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        WITH(cases[i].service);
        b.client.trusted = cases[i].trusted;
        bench_start(&b);
        converse(&b, {cases[i].service == SERVICE_LMTP ? "LHLO c" : "EHLO c", "250"}, {"MAIL FROM:<user@mine.example>", "250"},
            {"RCPT TO:<a@remote.example>", cases[i].reply}, {"RCPT TO:<a%remote.example@mine.example>", "250"},
            {"RCPT TO:<\"a@remote.example\"@mine.example>", "250"}, {"RCPT TO:<a@remote.example.>", "501"});
        bench_clear(&b);
    }
}

static void submission_wants_a_login(void **state)
{
    WITH(SERVICE_SUBMISSION);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<user@mine.example>", "530 5.7.0"}, {"VRFY x", "530 5.7.0"},
        {"NOOP", "250"}, {"RSET", "250"}, {"AUTH PLAIN AHVzZXIAZ29vZA==", "538 5.7.11"});
    bench_login(&b);
    converse(&b, {"MAIL FROM:<user@mine.example>", "250"}, {"RCPT TO:<a@remote.example>", "250"}, {"DATA", "354"},
        {".", "250"});
    assert_int_equal(b.txn.account, 7);
    assert_int_equal(b.txn.flags, TXN_SUBMISSION);
    bench_clear(&b);
}

static void the_sender_must_belong_to_the_account(void **state)
{
    WITH(SERVICE_SUBMISSION);
    bench_start(&b);
    bench_login(&b);
    converse(&b, {"MAIL FROM:<other@mine.example>", "553 5.7.1"}, {"RCPT TO:<a@x.example>", "503"},
        {"MAIL FROM:<slow@mine.example>", "451 4.3.0"}, {"MAIL FROM:<>", "250"}, {"RSET", "250"},
        {"MAIL FROM:<user@mine.example>", "250"}, {"RSET", "250"}, {"MAIL FROM:<silent@mine.example>", NULL});
    assert_true(smtp_waits(b.s));
    assert_int_equal(b.notes[SMTP_NOTE_MAIL_REFUSED], 2);
    bench_clear(&b);
}

static void what_is_noted_at_mail_is_what_was_said(void **state)
{
    static const struct {
        const char *line;
        unsigned code;
    } refused[] = {{"MAIL FROM:<a@b.example> SIZE=100001", 552}, {"MAIL FROM:<a@b.example> NOSUCH=1", 555},
        {"MAIL FROM:a b", 501}, {"MAIL FROM:<a@b.example>", 450}};

    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"});
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char code[4];

        b.over_messages = refused[i].code == 450;
        snprintf(code, sizeof code, "%u", refused[i].code);
        converse(&b, {refused[i].line, code});
        assert_int_equal(b.notes[SMTP_NOTE_MAIL_REFUSED], i + 1);
        assert_int_equal(b.note_code, refused[i].code);
    }
    bench_clear(&b);
}

static void listed_networks_submit_in_any_name(void **state)
{
    WITH(SERVICE_MX);
    b.client.trusted = true;
    bench_start(&b);
    converse(&b, {"EHLO printer", "250"}, {"MAIL FROM:<scan@anything.example>", "250"}, {"RCPT TO:<a@remote.example>", "250"},
        {"DATA", "354"}, {".", "250"});
    assert_int_equal(b.txn.flags, TXN_SUBMISSION | TXN_NO_SENDER_CHECK);
    bench_clear(&b);
}

static void the_local_socket_knows_its_user(void **state)
{
    WITH(SERVICE_LOCAL_SMTP);
    b.client.uid = 1000;
    bench_start(&b);
    converse(&b, {"EHLO localhost", "250"}, {"MAIL FROM:<root@mail.test>", "250"}, {"RCPT TO:<a@remote.example>", "250"},
        {"DATA", "354"}, {".", "250"});
    assert_int_equal(b.txn.flags, TXN_SUBMISSION | TXN_NO_SENDER_CHECK | TXN_LOCAL);
    assert_true(str_starts(buf_str(&b.trace), STR("Received: by mail.test (local user 1000) with ESMTP\r\n\tid ")));
    bench_clear(&b);
}

static void the_envelope_reaches_filter(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    bench_secure(&b);
    converse(&b,
        {"MAIL FROM:<A.b@SENDER.example> SIZE=500 BODY=8BITMIME RET=FULL ENVID=id+2B1 MT-PRIORITY=-2 REQUIRETLS BY=60;RT",
            "250"},
        {"RCPT TO:<one@X.Example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;One@x.example", "250"},
        {"RCPT TO:<unknown@x.example>", "550"}, {"RCPT TO:<two@x.example> NOTIFY=NEVER", "250"}, {"DATA", "354"});
    assert_true(str_eq(buf_str(&b.envelope),
        STR("from=A.b@sender.example to=one@x.example notify=6 orcpt=rfc822;One@x.example to=two@x.example notify=1 "
            "orcpt= envid=id+2B1 login= client=192.0.2.1 helo=c.example protocol=ESMTPS")));
    assert_int_equal(b.txn.flags, TXN_8BITMIME | TXN_RET_FULL | TXN_REQUIRETLS | TXN_BY_RETURN | TXN_BY_TRACE);
    assert_int_equal(b.txn.size, 500);
    assert_int_equal(b.txn.priority, 7);
    assert_true(b.txn.deliver_by == b.now + 60 * SECOND);
    assert_int_equal(b.txn.message, 1234567890123);
    assert_int_equal(b.charged, 1);
    bench_clear(&b);
}

static void the_same_recipient_counts_once(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "250"}, {"RCPT TO:<a@x.example>", "250"}, {"RCPT TO:<a@X.example>", "250"},
        {"RCPT TO:<A@x.example>", "250"}, {"DATA", "354"});
    assert_int_equal(b.txn.rcpts, 2); /* local parts are case-sensitive until directory says otherwise */
    bench_clear(&b);
}

static void recipients_of_a_message_are_limited(void **state)
{
    char line[64];
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "250"});
    for (int i = 0; i < 5; i++) {
        snprintf(line, sizeof line, "RCPT TO:<a%d@x.example>", i);
        converse(&b, {line, "250"});
    }
    converse(&b, {"RCPT TO:<a6@x.example>", "452 4.5.3"}, {"DATA", "354"}, {".", "250"});
    assert_int_equal(b.txn.rcpts, 5);
    bench_clear(&b);
}

static void addresses_have_budgets(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    b.over_messages = true;
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "450 4.7.1"});
    b.over_messages = false;
    b.over_recipients = true;
    converse(&b, {"MAIL FROM:<>", "250"}, {"RCPT TO:<a@x.example>", "450 4.7.1"});
    bench_clear(&b);
}

static void a_full_queue_says_so_at_mail(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    b.queue_full = true;
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "452 4.3.1 Disk is nearly full"}, {"RCPT TO:<a@x.example>", "503"});
    b.queue_full = false;
    converse(&b, {"MAIL FROM:<>", "250"});
    bench_clear(&b);
}

static void messages_may_be_held(void **state)
{
    WITH(SERVICE_LOCAL_SMTP);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<> HOLDFOR=2592001", "501 5.5.4"},
        {"MAIL FROM:<> HOLDUNTIL=2027-01-22T00:00:00Z", "501 5.5.4"}, {"MAIL FROM:<> HOLDFOR=60 HOLDUNTIL=2026-11-23T00:00:00Z", "501"},
        {"MAIL FROM:<> HOLDFOR=3600", "250"}, {"RCPT TO:<a@x.example>", "250"}, {"DATA", "354"}, {".", "250"});
    assert_true(b.txn.hold_until == b.now + HOUR);
    converse(&b, {"MAIL FROM:<> HOLDUNTIL=2026-11-23T00:00:00Z", "250"}, {"RCPT TO:<a@x.example>", "250"}, {"DATA", "354"},
        {".", "250"});
    assert_true(b.txn.hold_until == INT64_C(1795392000) * SECOND);
    converse(&b, {"MAIL FROM:<> HOLDUNTIL=2020-11-23T00:00:00Z", "250"}, {"RCPT TO:<a@x.example>", "250"}, {"DATA", "354"});
    assert_true(b.txn.hold_until == 0); /* long past */
    bench_clear(&b);
}

static void postmaster_needs_no_domain(void **state)
{
    WITH(SERVICE_MX);
    b.set.postmaster = STR("admin@mine.example");
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "250"}, {"RCPT TO:<Postmaster>", "250"}, {"DATA", "354"});
    assert_true(holds(&b.envelope, "to=admin@mine.example "));
    bench_clear(&b);
}

static void received_fields_say_how_it_came(void **state)
{
    char id[MSGID_TEXT + 1], want[400];
    WITH(SERVICE_MX);
    ip_parse(STR("2001:db8::1"), &b.client.ip);
    bench_start(&b);
    converse(&b, {"EHLO mx.example", "250"}, {"MAIL FROM:<a@b.example>", "250"}, {"RCPT TO:<u@x.example>", "250"},
        {"DATA", "354"}, {".", "250"});
    msgid_format(b.txn.message, id);
    snprintf(want, sizeof want, "Received: from mx.example ([IPv6:2001:db8::1])\r\n\tby mail.test with ESMTP\r\n"
        "\tid %s for <u@x.example>;\r\n\tSun, 22 Nov 2026 03:30:00 +0000\r\n", id);
    assert_true(str_eq(buf_str(&b.trace), str_of(want)));
    converse(&b, {"MAIL FROM:<a@b.example> SMTPUTF8", "250"}, {"RCPT TO:<u@x.example>", "250"}, {"RCPT TO:<v@x.example>", "250"},
        {"DATA", "354"}, {".", "250"});
    assert_true(holds(&b.trace, "with UTF8SMTP\r\n"));
    assert_false(holds(&b.trace, " for <"));
    /* A header is ASCII unless the message was announced with SMTPUTF8. */
    converse(&b, {"EHLO b\xc3\xbcro", "250"}, {"MAIL FROM:<a@b.example>", "250"}, {"RCPT TO:<u@x.example>", "250"}, {"DATA", "354"},
        {".", "250"});
    assert_true(str_is_ascii(buf_str(&b.trace)) && holds(&b.trace, "from b??ro ("));
    converse(&b, {"MAIL FROM:<a@b.example> SMTPUTF8", "250"}, {"RCPT TO:<u@x.example>", "250"}, {"DATA", "354"}, {".", "250"});
    assert_true(holds(&b.trace, "from b\xc3\xbcro ("));
    bench_clear(&b);
    bench_init(&b, SERVICE_SUBMISSION);
    bench_start(&b);
    bench_login(&b);
    converse(&b, {"MAIL FROM:<user@mine.example>", "250"}, {"RCPT TO:<u@x.example>", "250"}, {"DATA", "354"}, {".", "250"});
    assert_true(str_starts(buf_str(&b.trace),
        STR("Received: by mail.test with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n\tid ")));
    assert_false(holds(&b.trace, "192.0.2.1")); /* where the user sits is his business */
    bench_clear(&b);
}

static void directory_says_what_a_recipient_is(void **state)
{
    WITH(SERVICE_MX);
    bench_start(&b);
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<s@far.example>", "250"}, {"RCPT TO:<forwards@x.example>", "250"}, {"RCPT TO:<plain@x.example>", "250"},
        {"DATA", "354"}, {"x\r\n.", "250"});
    assert_int_equal(b.bounces, 0);
    assert_int_equal(b.txn.flags & TXN_JUNK, 0);
    assert_true(str_ifind(buf_str(&b.envelope), STR(" forwards=forwards@x.example envid")) >= 0);
    converse(&b, {"MAIL FROM:<>", "250"}, {"RCPT TO:<junk@x.example>", "250"}, {"DATA", "354"}, {"x\r\n.", "250"});
    assert_int_equal(b.bounces, 1);
    assert_int_equal(b.txn.flags & TXN_JUNK, TXN_JUNK);
    assert_true(str_ifind(buf_str(&b.envelope), STR("forwards=")) < 0);
    converse(&b, {"MAIL FROM:<s@far.example>", "250"}, {"RCPT TO:<plain@x.example>", "250"}, {"DATA", "354"}, {"x\r\n.", "250"});
    assert_int_equal(b.txn.flags & TXN_JUNK, 0);
    bench_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directory_says_what_a_recipient_is),
        cmocka_unit_test(senders_are_read),
        cmocka_unit_test(recipients_are_read),
        cmocka_unit_test(there_is_no_open_relay),
        cmocka_unit_test(submission_wants_a_login),
        cmocka_unit_test(the_sender_must_belong_to_the_account),
        cmocka_unit_test(what_is_noted_at_mail_is_what_was_said),
        cmocka_unit_test(listed_networks_submit_in_any_name),
        cmocka_unit_test(the_local_socket_knows_its_user),
        cmocka_unit_test(the_envelope_reaches_filter),
        cmocka_unit_test(the_same_recipient_counts_once),
        cmocka_unit_test(recipients_of_a_message_are_limited),
        cmocka_unit_test(addresses_have_budgets),
        cmocka_unit_test(a_full_queue_says_so_at_mail),
        cmocka_unit_test(messages_may_be_held),
        cmocka_unit_test(postmaster_needs_no_domain),
        cmocka_unit_test(received_fields_say_how_it_came),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
