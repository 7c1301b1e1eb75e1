/* Replies of remote servers: whole, in pieces, too long, no replies at all; and what they mean. */
#include "smtp/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void feed_all(struct reply *r, const char *bytes, enum reply_state want)
{
    size_t used;
    enum reply_state got = reply_feed(r, str_of(bytes), &used);

    if (got != want)
        fail_msg("%s: %d instead of %d", bytes, (int)got, (int)want);
}

static void check_words(const struct reply *r, const char *want)
{
    struct buf words;

    buf_init(&words, 1000);
    reply_words(r, 100, &words);
    if (!str_eq(buf_str(&words), str_of(want)))
        fail_msg("'%.*s' instead of '%s'", STR_ARG(buf_str(&words)), want);
    buf_clear(&words);
}

static void replies_are_read(void **state)
{
    static const struct {
        const char *bytes;
        unsigned code, class;
        const char *words;
    } cases[] = {
        {"250 ok\r\n", 250, 0, "ok"},
        {"250\r\n", 250, 0, ""},
        {"250 \n", 250, 0, ""},
        {"550 5.1.1 no such user\r\n", 550, 5, "5.1.1 no such user"},
        {"550-5.1.1 no\r\n550 5.1.1 such user\r\n", 550, 5, "5.1.1 no such user"},
        {"550-first\r\n550-\r\n550 last\r\n", 550, 0, "first last"},
        {"550 4.1.1 of another class\r\n", 550, 0, "of another class"},
        {"421 4.7.0 a\tb\x01" "c\xff\r\n", 421, 4, "4.7.0 a b?c?"},
        {"550 5.1.1 nicht gef\xc3\xbcnd\xc3\xa9\r\n", 550, 5, "5.1.1 nicht gef\xc3\xbcnd\xc3\xa9"},
        {"550 5.1.1 a\xc2\x9b" "2Jb\xc2\x85\r\n", 550, 5, "5.1.1 a?2Jb?"},
        {"550 5.1.1\r\n", 550, 5, "5.1.1"},
        {"250 2.0.0.1 x\r\n", 250, 0, "2.0.0.1 x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply r;

        reply_init(&r);
        feed_all(&r, cases[i].bytes, REPLY_DONE);
        assert_int_equal(r.code, cases[i].code);
        assert_int_equal(r.enhanced.class, cases[i].class);
        check_words(&r, cases[i].words);
        reply_clear(&r);
    }
}

static void every_cut_gives_the_same(void **state)
{
    static const char bytes[] = "250-one\r\n250-2.0.0 two\r\n250 three\r\n354 go\r\n";
    const size_t first = 35;

    (void)state;
    for (size_t cut = 0; cut < first; cut++) {
        struct reply r;
        size_t used;

        reply_init(&r);
        assert_int_equal(reply_feed(&r, str_from(bytes, cut), &used), REPLY_MORE);
        assert_int_equal(used, cut);
        assert_int_equal(reply_feed(&r, str_of(bytes + cut), &used), REPLY_DONE);
        assert_int_equal(used + cut, first);
        check_words(&r, "2.0.0 one two three");
        assert_int_equal(reply_feed(&r, str_of(bytes + first), &used), REPLY_DONE);
        assert_int_equal(r.code, 354);
        check_words(&r, "go");
        reply_clear(&r);
    }
}

static void what_is_no_reply_is_said_so(void **state)
{
    static const char *const cases[] = {"SSH-2.0-OpenSSH\r\n", "\r\n", "25 x\r\n", "150 x\r\n", "650 x\r\n", "250x\r\n",
        "250-a\r\n251 b\r\n", "+OK\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply r;

        reply_init(&r);
        feed_all(&r, cases[i], REPLY_BAD);
        assert_non_null(r.why);
        feed_all(&r, "250 ok\r\n", REPLY_BAD);
        reply_clear(&r);
    }
}

static void endless_replies_are_cut_off(void **state)
{
    enum reply_state got = REPLY_MORE;
    struct reply r;
    size_t used;
    int n = 0;

    (void)state;
    reply_init(&r);
    while (got == REPLY_MORE && n++ < 10000)
        got = reply_feed(&r, STR("250-aaaaaaaaaa\r\n"), &used);
    assert_int_equal(got, REPLY_BAD);
    reply_clear(&r);
    reply_init(&r);
    for (n = 0, got = REPLY_MORE; got == REPLY_MORE && n < 10000; n++)
        got = reply_feed(&r, STR("250 aaaaaaaaaaaaaaaaaaaaaaa"), &used);
    assert_int_equal(got, REPLY_BAD);
    assert_true(r.partial.capacity <= REPLY_LINE_MAX);
    reply_clear(&r);
}

static void ehlo_is_understood(void **state)
{
    struct capabilities c;
    struct reply r;

    (void)state;
    reply_init(&r);
    feed_all(&r,
        "250-mx.example SIZE 1 greets\r\n250-SIZE 52428800\r\n250-pipelining\r\n250-8BITMIME\r\n"
        "250-AUTH PLAIN login X-OTHER SCRAM-SHA-256\r\n250-AUTH=CRAM-MD5\r\n"
        "250-LIMITS RCPTMAX=20 MAILMAX=5 X=1\r\n250-DELIVERBY 240,x\r\n250-FUTURERELEASE 86400 2027-01-01T00:00:00Z\r\n"
        "250-X-UNKNOWN 1\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-STARTTLS\r\n"
        "250-MT-PRIORITY MIXER\r\n250-REQUIRETLS\r\n250 ENHANCEDSTATUSCODES\r\n",
        REPLY_DONE);
    reply_capabilities(&r, &c);
    assert_int_equal(c.extensions, EXT_SIZE | EXT_PIPELINING | EXT_8BITMIME | EXT_AUTH | EXT_LIMITS | EXT_DELIVERBY |
                                       EXT_FUTURERELEASE | EXT_CHUNKING | EXT_BINARYMIME | EXT_SMTPUTF8 | EXT_DSN |
                                       EXT_STARTTLS | EXT_MT_PRIORITY | EXT_REQUIRETLS | EXT_ENHANCEDSTATUSCODES);
    assert_int_equal(c.mechanisms, MECH_PLAIN | MECH_LOGIN | MECH_SCRAM_SHA_256 | MECH_CRAM_MD5);
    assert_int_equal(c.size, 52428800);
    assert_int_equal(c.rcpt_max, 20);
    assert_int_equal(c.mail_max, 5);
    assert_int_equal(c.deliver_by_min, 240);
    assert_int_equal(c.hold_seconds_max, 86400);
    feed_all(&r, "250-x\r\n250 SIZE nonsense\r\n", REPLY_DONE);
    reply_capabilities(&r, &c);
    assert_int_equal(c.extensions, EXT_SIZE);
    assert_int_equal(c.size, 0);
    reply_clear(&r);
}

static void refusals_have_reasons(void **state)
{
    static const struct {
        unsigned code;
        const char *text;
        enum smtp_stage stage;
        enum delivery_reason reason;
    } cases[] = {
        {250, "ok", STAGE_RCPT, REASON_NONE},
        {550, "5.1.1 The email account that you tried to reach does not exist", STAGE_RCPT, REASON_NO_USER},
        {550, "5.1.1 <a@b>: Recipient address rejected: User unknown in virtual mailbox table", STAGE_RCPT, REASON_NO_USER},
        {550, "Requested action not taken", STAGE_RCPT, REASON_NO_USER},
        {552, "5.2.2 The email account that you tried to reach is over quota", STAGE_RCPT, REASON_MAILBOX_FULL},
        {452, "4.2.2 Mailbox full", STAGE_RCPT, REASON_MAILBOX_FULL},
        {550, "5.7.1 Service unavailable; client host blocked using Spamhaus", STAGE_RCPT, REASON_POLICY},
        {554, "no mail from you", STAGE_CONNECT, REASON_POLICY},
        {550, "5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy", STAGE_END, REASON_POLICY},
        {550, "5.7.1 words without meaning", STAGE_RCPT, REASON_POLICY},
        {421, "4.7.0 Try again later, closing connection", STAGE_MAIL, REASON_RATE},
        {450, "4.2.0 Greylisted, see https://x.example", STAGE_RCPT, REASON_RATE},
        {451, "", STAGE_RCPT, REASON_RATE},
        {452, "4.5.3 Too many recipients", STAGE_RCPT, REASON_RATE},
        {554, "5.6.0 Message contains a virus", STAGE_END, REASON_CONTENT},
        {554, "rejected", STAGE_END, REASON_CONTENT},
        {552, "5.3.4 Message size exceeds fixed limit", STAGE_MAIL, REASON_LIMIT},
        {530, "5.7.0 Must issue a STARTTLS command first", STAGE_MAIL, REASON_TLS},
        {550, "5.7.10 nothing", STAGE_MAIL, REASON_TLS},
        {550, "5.4.4 nothing", STAGE_RCPT, REASON_DNS},
        {556, "5.1.10 nothing", STAGE_RCPT, REASON_DNS},
        {503, "bad sequence", STAGE_DATA, REASON_PROTOCOL},
        {550, "5.6.7 nothing", STAGE_MAIL, REASON_PROTOCOL},
        {451, "4.3.0 nothing", STAGE_END, REASON_OTHER},
        {499, "", STAGE_END, REASON_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum delivery_reason got = reply_classify(cases[i].code, str_of(cases[i].text), cases[i].stage);

        if (got != cases[i].reason)
            fail_msg("%u %s: %s", cases[i].code, cases[i].text, delivery_reason_name(got));
    }
}

static void words_are_cut_between_characters(void **state)
{
    struct reply r;
    struct buf words;

    (void)state;
    reply_init(&r);
    feed_all(&r, "550 \xc3\xb6\xc3\xb6\xc3\xb6\r\n", REPLY_DONE);
    buf_init(&words, 100);
    reply_words(&r, 3, &words);
    assert_true(str_eq(buf_str(&words), STR("\xc3\xb6")));
    buf_clear(&words);
    reply_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read),
        cmocka_unit_test(every_cut_gives_the_same),
        cmocka_unit_test(what_is_no_reply_is_said_so),
        cmocka_unit_test(endless_replies_are_cut_off),
        cmocka_unit_test(ehlo_is_understood),
        cmocka_unit_test(refusals_have_reasons),
        cmocka_unit_test(words_are_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
