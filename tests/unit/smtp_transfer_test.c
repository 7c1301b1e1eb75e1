/* DATA and BDAT: content, faults, verdicts, LMTP's replies, and filter failing at every moment. */
#include "smtp_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void open_txn(struct bench *b, const char *mail)
{
    converse(b, {b->set.service == SERVICE_LMTP ? "LHLO c" : "EHLO c", "250"}, {mail, "250"},
        {"RCPT TO:<u@x.example>", "250"});
}

static void content_arrives_unstuffed(void **state)
{
    GREETED(SERVICE_MX);
    open_txn(&b, "MAIL FROM:<>");
    converse(&b, {"DATA now", "501 5.5.4"}, {"DATA", "354"});
    exchange(&b, "Subject: x\r\n\r\n..dot\r\n.\r\n", "250 2.0.0 queued\r\n");
    assert_true(str_eq(buf_str(&b.content), STR("Subject: x\r\n\r\n.dot\r\n")));
    assert_int_equal(b.begun, 1);
    assert_int_equal(b.ended, 1);
    assert_int_equal(b.aborted, 0);
    assert_int_equal(b.notes[SMTP_NOTE_MESSAGE_TAKEN], 1);
    converse(&b, {"DATA", "503"});
    bench_clear(&b);
}

/* After each of these the session is in step: nothing of the content became a command. */
static void smuggled_commands_stay_content(void **state)
{
    static const struct {
        struct str content;
        const char *reply;
    } cases[] = {
        {STR("a\n.\nMAIL FROM:<evil@x.example>\r\n.\r\n"), "554 5.6.0 The message holds a LF without CR\r\n"},
        {STR("a\r\n.\nRSET\r\n.\r\n"), "554 5.6.0 The message holds a LF without CR\r\n"},
        {STR("a\n.\r\nRSET\r\n.\r\n"), "554 5.6.0 The message holds a LF without CR\r\n"},
        {STR("a\r.\r\nRSET\r\n.\r\n"), "554 5.6.0 The message holds a CR without LF\r\n"},
        {STR("a\r.\rRSET\r\n.\r\n"), "554 5.6.0 The message holds a CR without LF\r\n"},
        {STR("a\0b\r\n.\r\n"), "554 5.6.0 The message holds a NUL byte\r\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GREETED(SERVICE_MX);
        open_txn(&b, "MAIL FROM:<>");
        converse(&b, {"DATA", "354"});
        exchange_at(&b, cases[i].content, cases[i].reply, __FILE__, __LINE__);
        assert_int_equal(b.ended, 0);
        assert_int_equal(b.aborted, 1);
        assert_int_equal(b.notes[SMTP_NOTE_MESSAGE_REFUSED], 1);
        converse(&b, {"MAIL FROM:<>", "250"}, {"RCPT TO:<u@x.example>", "250"}, {"DATA", "354"}, {".", "250"});
        assert_int_equal(b.ended, 1);
        bench_clear(&b);
    }
}

static void big_messages_are_refused_at_their_end(void **state)
{
    static char block[60000];
    GREETED(SERVICE_MX);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = i % 100 == 98 ? '\r' : i % 100 == 99 ? '\n' : 'x';
    open_txn(&b, "MAIL FROM:<> SIZE=10");
    converse(&b, {"DATA", "354"});
    exchange_at(&b, str_from(block, sizeof block), "", __FILE__, __LINE__);
    assert_int_equal(b.aborted, 0);
    exchange_at(&b, str_from(block, sizeof block), "", __FILE__, __LINE__);
    assert_int_equal(b.aborted, 1);
    exchange(&b, ".\r\n", "552 5.3.4 The message is larger than this server takes\r\n");
    bench_clear(&b);
}

static void the_verdict_is_passed_on(void **state)
{
    static const struct {
        unsigned verdict;
        const char *text, *reply;
    } cases[] = {
        {250, "2.0.0 queued as X", "250 2.0.0 queued as X\r\n"},
        {550, "5.7.1 no\r\n250 yes\xff", "550 5.7.1 no??250 yes?\r\n"},
        {452, "4.3.1 full", "452 4.3.1 full\r\n"},
        {0, "x", "451 4.3.0 Local error, try again later\r\n"},
        {354, "x", "451 4.3.0 Local error, try again later\r\n"},
        {999, "x", "451 4.3.0 Local error, try again later\r\n"},
        {250, "", "451 4.3.0 Local error, try again later\r\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GREETED(SERVICE_MX);
        b.verdict = cases[i].verdict;
        b.verdict_text = cases[i].text;
        open_txn(&b, "MAIL FROM:<>");
        converse(&b, {"DATA", "354"});
        exchange(&b, "", "");
        bench_feed(&b, STR("x\r\n.\r\n"));
        assert_true(str_eq(buf_str(&b.out), str_of(cases[i].reply)));
        converse(&b, {"MAIL FROM:<>", "250"});
        bench_clear(&b);
    }
}

static void filter_may_fail_at_any_moment(void **state)
{
    for (int moment = 0; moment < 3; moment++) {
        GREETED(SERVICE_MX);
        b.silent_filter = true;
        open_txn(&b, "MAIL FROM:<>");
        if (moment == 0) {
            b.no_filter = true;
            converse(&b, {"DATA", "451 4.3.0"}, {"RCPT TO:<u@x.example>", "503"});
        } else {
            converse(&b, {"DATA", "354"}, {"half", NULL});
            if (moment == 1)
                smtp_txn_done(b.s, 451, STR("4.3.0 gone"));
            assert_int_equal(b.out.n, 0);
            bench_feed(&b, STR("more\r\n.\r\n"));
            if (moment == 2) {
                assert_true(smtp_waits(b.s));
                smtp_txn_done(b.s, 451, STR("4.3.0 gone"));
            }
            assert_true(str_eq(buf_str(&b.out), STR("451 4.3.0 gone\r\n")));
            assert_int_equal(b.content.n, moment == 1 ? 6 : 12);
        }
        assert_int_equal(b.aborted, 0);
        converse(&b, {"NOOP", "250"});
        bench_clear(&b);
    }
}

static void an_early_acceptance_is_not_believed(void **state)
{
    GREETED(SERVICE_MX);
    open_txn(&b, "MAIL FROM:<>");
    converse(&b, {"DATA", "354"}, {"half", NULL});
    smtp_txn_done(b.s, 250, STR("2.0.0 lies"));
    exchange(&b, ".\r\n", "451 4.3.0 Local error, try again later\r\n");
    bench_clear(&b);
}

static void nothing_is_read_until_the_message_is_safe(void **state)
{
    GREETED(SERVICE_MX);
    b.silent_filter = true;
    open_txn(&b, "MAIL FROM:<>");
    converse(&b, {"DATA", "354"});
    exchange(&b, "x\r\n.\r\nQUIT\r\n", "");
    assert_true(smtp_waits(b.s));
    smtp_txn_done(b.s, 250, STR("2.0.0 queued"));
    exchange(&b, "QUIT\r\n", "221 2.0.0 Bye\r\n");
    bench_clear(&b);
}

static void lmtp_answers_for_each_recipient(void **state)
{
    GREETED(SERVICE_LMTP);
    open_txn(&b, "MAIL FROM:<>");
    converse(&b, {"RCPT TO:<unknown@x.example>", "550"}, {"RCPT TO:<v@x.example>", "250"}, {"DATA", "354"});
    exchange(&b, "x\r\n.\r\nNOOP\r\n", "250 2.0.0 queued\r\n250 2.0.0 queued\r\n250 2.0.0 Ok\r\n");
    open_txn(&b, "MAIL FROM:<>");
    exchange(&b, "BDAT 3 LAST\r\nx\r\n", "250 2.0.0 queued\r\n");
    bench_clear(&b);
}

/* RFC 2033 4.2: a reply for every RCPT that was answered with 250, also for one given twice; a client that
 * waits for as many would hang. All of them are one error, or the last ones would never be sent. */
static void lmtp_answers_for_recipients_named_twice(void **state)
{
    GREETED(SERVICE_LMTP);
    open_txn(&b, "MAIL FROM:<>");
    converse(&b, {"RCPT TO:<u@x.example>", "250"}, {"RCPT TO:<u@x.example>", "250 2.1.5 Ok, once"}, {"DATA", "354"});
    exchange(&b, "x\r\n.\r\nNOOP\r\n", "250 2.0.0 queued\r\n250 2.0.0 queued\r\n250 2.0.0 queued\r\n250 2.0.0 Ok\r\n");
    b.set.errors = 3;
    b.verdict = 451;
    b.verdict_text = "4.3.0 later";
    open_txn(&b, "MAIL FROM:<>");
    converse(&b, {"RCPT TO:<v@x.example>", "250"}, {"RCPT TO:<w@x.example>", "250"}, {"DATA", "354"});
    exchange(&b, "x\r\n.\r\nNOOP\r\n", "451 4.3.0 later\r\n451 4.3.0 later\r\n451 4.3.0 later\r\n250 2.0.0 Ok\r\n");
    bench_clear(&b);
}

/* ---- BDAT ---- */

static void chunks_make_a_message(void **state)
{
    GREETED(SERVICE_MX);
    open_txn(&b, "MAIL FROM:<>");
    exchange(&b, "BDAT 5\r\nab\r\n.BDAT 2\r\n\r\nBDAT 0 LAST\r\nNOOP\r\n",
        "250 2.0.0 5 octets taken\r\n250 2.0.0 2 octets taken\r\n250 2.0.0 queued\r\n250 2.0.0 Ok\r\n");
    assert_true(str_eq(buf_str(&b.content), STR("ab\r\n.\r\n"))); /* dots mean nothing here */
    assert_int_equal(b.begun, 1);
    bench_clear(&b);
}

static void chunks_may_be_binary(void **state)
{
    GREETED(SERVICE_MX);
    open_txn(&b, "MAIL FROM:<> BODY=BINARYMIME");
    converse(&b, {"DATA", "503 5.5.1 BODY=BINARYMIME needs BDAT"});
    exchange(&b, "BDAT 8 LAST\r\na\0\n\r\r\n.\n", "250 2.0.0 queued\r\n");
    assert_true(str_eq(buf_str(&b.content), STR("a\0\n\r\r\n.\n")));
    assert_int_equal(b.txn.flags, TXN_BINARYMIME);
    bench_clear(&b);
}

static void text_chunks_are_checked(void **state)
{
    GREETED(SERVICE_MX);
    open_txn(&b, "MAIL FROM:<>");
    exchange(&b, "BDAT 4\r\na\n.\nBDAT 2\r\nabBDAT 2 LAST\r\n\r\n",
        "554 5.6.0 The message holds a LF without CR\r\n554 5.6.0 The message holds a LF without CR\r\n"
        "554 5.6.0 The message holds a LF without CR\r\n");
    assert_int_equal(b.aborted, 1);
    converse(&b, {"MAIL FROM:<>", "250"}, {"RCPT TO:<u@x.example>", "250"});
    exchange(&b, "BDAT 1\r\n\rBDAT 1 LAST\r\n\n", "250 2.0.0 1 octets taken\r\n250 2.0.0 queued\r\n");
    open_txn(&b, "MAIL FROM:<>");
    exchange(&b, "BDAT 1 LAST\r\n\r", "554 5.6.0 The message holds a CR without LF\r\n");
    bench_clear(&b);
}

static void stray_chunks_are_read_and_dropped(void **state)
{
    GREETED(SERVICE_MX);
    exchange(&b, "BDAT 6\r\nQUIT\r\nNOOP\r\n", "503 5.5.1 BDAT needs MAIL and RCPT first\r\n250 2.0.0 Ok\r\n");
    converse(&b, {"EHLO c", "250"}, {"MAIL FROM:<>", "250"}, {"RCPT TO:<unknown@x.example>", "550"});
    exchange(&b, "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "554 5.5.1 No valid recipients\r\n250 2.0.0 Ok\r\n");
    assert_int_equal(b.begun, 0);
    bench_clear(&b);
    bench_init(&b, SERVICE_SUBMISSION);
    bench_start(&b);
    exchange(&b, "BDAT 6\r\nQUIT\r\nNOOP\r\n", "503 5.5.1 BDAT needs MAIL and RCPT first\r\n250 2.0.0 Ok\r\n");
    bench_clear(&b);
}

static void bdat_and_data_do_not_mix(void **state)
{
    GREETED(SERVICE_MX);
    open_txn(&b, "MAIL FROM:<>");
    exchange(&b, "BDAT 2\r\n\r\nDATA\r\nRCPT TO:<v@x.example>\r\nMAIL FROM:<>\r\nRSET\r\nBDAT 2\r\n\r\n",
        "250 2.0.0 2 octets taken\r\n503 5.5.1 The message is being sent with BDAT\r\n"
        "503 5.5.1 The message is being sent with BDAT\r\n503 5.5.1 The message is being sent with BDAT\r\n"
        "250 2.0.0 Ok\r\n503 5.5.1 BDAT needs MAIL and RCPT first\r\n");
    assert_int_equal(b.aborted, 1);
    bench_clear(&b);
}

static void a_chunk_of_unknown_size_ends_the_session(void **state)
{
    static const struct str cases[] = {STR("BDAT\r\n"), STR("BDAT x\r\n"), STR("BDAT 1 FIRST\r\n"), STR("BDAT -1\r\n"),
        STR("BDAT 99999999999999999999\r\n")};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GREETED(SERVICE_MX);
        open_txn(&b, "MAIL FROM:<>");
        exchange_at(&b, cases[i], "501 5.5.4 Syntax: BDAT size [LAST]\r\n", __FILE__, __LINE__);
        assert_true(b.closed);
        bench_clear(&b);
    }
}

static void big_chunks_are_refused(void **state)
{
    static char block[60000];
    GREETED(SERVICE_MX);
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = i % 100 == 98 ? '\r' : i % 100 == 99 ? '\n' : 'x';
    open_txn(&b, "MAIL FROM:<>");
    for (int i = 0; i < 2; i++) {
        exchange(&b, "BDAT 60000\r\n", "");
        exchange_at(&b, str_from(block, sizeof block),
            i ? "552 5.3.4 The message is larger than this server takes\r\n" : "250 2.0.0 60000 octets taken\r\n",
            __FILE__, __LINE__);
    }
    exchange(&b, "BDAT 0 LAST\r\n", "552 5.3.4 The message is larger than this server takes\r\n");
    open_txn(&b, "MAIL FROM:<>");
    exchange(&b, "BDAT 200002 LAST\r\n", "552 5.3.4 The message is larger than this server takes\r\n");
    assert_true(b.closed); /* reading so much for nothing helps nobody */
    bench_clear(&b);
}

static void filter_may_fail_between_chunks(void **state)
{
    GREETED(SERVICE_MX);
    open_txn(&b, "MAIL FROM:<>");
    exchange(&b, "BDAT 2\r\n\r\n", "250 2.0.0 2 octets taken\r\n");
    smtp_txn_done(b.s, 550, STR("5.7.1 we do not like it"));
    exchange(&b, "BDAT 2\r\n\r\nBDAT 0 LAST\r\n", "550 5.7.1 we do not like it\r\n550 5.7.1 we do not like it\r\n");
    open_txn(&b, "MAIL FROM:<>");
    b.no_filter = true;
    exchange(&b, "BDAT 2 LAST\r\n\r\n", "451 4.3.0 No message can be taken now, try again later\r\n");
    assert_int_equal(b.aborted, 0);
    bench_clear(&b);
}

static void every_split_gives_the_same_replies(void **state)
{
    static const char text[] = "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<u@x.example>\r\nBDAT 4\r\na\r\nbBDAT 2 LAST\r\n\r\n"
                               "MAIL FROM:<>\r\nRCPT TO:<u@x.example>\r\nDATA\r\n..x\r\n.\r\nQUIT\r\n";
    struct str all = STR(text);
    struct buf want;

    buf_init(&want, 1 << 20);
    for (size_t cut = 0; cut <= all.n; cut++) {
        size_t used;
        GREETED(SERVICE_MX);
        used = bench_feed(&b, str_sub(all, 0, cut));
        bench_feed(&b, str_skip(all, used));
        if (cut == 0)
            buf_add(&want, buf_str(&b.out));
        assert_true(str_eq(buf_str(&b.out), buf_str(&want)));
        assert_int_equal(b.ended, 2);
        bench_clear(&b);
    }
    buf_clear(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_arrives_unstuffed),
        cmocka_unit_test(smuggled_commands_stay_content),
        cmocka_unit_test(big_messages_are_refused_at_their_end),
        cmocka_unit_test(the_verdict_is_passed_on),
        cmocka_unit_test(filter_may_fail_at_any_moment),
        cmocka_unit_test(an_early_acceptance_is_not_believed),
        cmocka_unit_test(nothing_is_read_until_the_message_is_safe),
        cmocka_unit_test(lmtp_answers_for_each_recipient),
        cmocka_unit_test(lmtp_answers_for_recipients_named_twice),
        cmocka_unit_test(chunks_make_a_message),
        cmocka_unit_test(chunks_may_be_binary),
        cmocka_unit_test(text_chunks_are_checked),
        cmocka_unit_test(stray_chunks_are_read_and_dropped),
        cmocka_unit_test(bdat_and_data_do_not_mix),
        cmocka_unit_test(a_chunk_of_unknown_size_ends_the_session),
        cmocka_unit_test(big_chunks_are_refused),
        cmocka_unit_test(filter_may_fail_between_chunks),
        cmocka_unit_test(every_split_gives_the_same_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
