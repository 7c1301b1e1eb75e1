/* Command lines and parameters: what is taken, and the reply to what is not. */
#include "base/clock.h"
#include "smtp/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void verbs_are_found_in_any_case(void **state)
{
    static const struct {
        const char *line;
        enum smtp_verb verb;
        const char *args;
    } cases[] = {
        {"EHLO client.example", VERB_EHLO, "client.example"},
        {"ehlo  client.example ", VERB_EHLO, "client.example"},
        {"mail FROM:<>", VERB_MAIL, "FROM:<>"},
        {"QUIT", VERB_QUIT, ""},
        {"DATA ", VERB_DATA, ""},
        {"BDAT 10 LAST", VERB_BDAT, "10 LAST"},
        {"MAILFROM:<>", VERB_UNKNOWN, ""},
        {" QUIT", VERB_UNKNOWN, " QUIT"},
        {"", VERB_UNKNOWN, ""},
        {"GET / HTTP/1.1", VERB_UNKNOWN, "/ HTTP/1.1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct command c = command_parse(str_of(cases[i].line));

        assert_int_equal(c.verb, cases[i].verb);
        assert_true(str_eq(c.args, str_of(cases[i].args)));
    }
}

static const struct {
    const char *args;
    unsigned extensions, code; /* 0: taken */
    const char *enhanced;
} mails[] = {
    {"FROM:<a@b.example>", 0, 0, ""},
    {"from:<a@b.example>", 0, 0, ""},
    {"FROM: <a@b.example>", 0, 0, ""},
    {"FROM:<>", 0, 0, ""},
    {"FROM:<a@b.example> SIZE=100 BODY=8BITMIME", EXT_SIZE | EXT_8BITMIME, 0, ""},
    {"FROM:<a@b.example> body=8bitmime size=1  ", EXT_SIZE | EXT_8BITMIME, 0, ""},
    {"FROM:<j\xc3\xb6rg@b.example> SMTPUTF8", EXT_SMTPUTF8, 0, ""},
    {"FROM:<a@b.example> RET=HDRS ENVID=QQ+2B314159", EXT_DSN, 0, ""},
    {"FROM:<a@b.example> AUTH=<>", EXT_AUTH, 0, ""},
    {"FROM:<a@b.example> AUTH=e+3Dmc2@example.com", EXT_AUTH, 0, ""},
    {"FROM:<a@b.example> HOLDFOR=86400", EXT_FUTURERELEASE, 0, ""},
    {"FROM:<a@b.example> HOLDUNTIL=2026-11-22T03:30:00Z", EXT_FUTURERELEASE, 0, ""},
    {"FROM:<a@b.example> BY=120;R", EXT_DELIVERBY, 0, ""},
    {"FROM:<a@b.example> BY=-30;NT", EXT_DELIVERBY, 0, ""},
    {"FROM:<a@b.example> MT-PRIORITY=-9 REQUIRETLS", EXT_MT_PRIORITY | EXT_REQUIRETLS, 0, ""},
    {"FROM <a@b.example>", 0, 501, "5.5.4"},
    {"", 0, 501, "5.5.4"},
    {"TO:<a@b.example>", 0, 501, "5.5.4"},
    {"FROM:a@b.example", 0, 501, "5.1.7"},
    {"FROM:<a@b..example>", 0, 501, "5.1.7"},
    {"FROM:<a@b.example>SIZE=1", EXT_SIZE, 501, "5.5.4"},
    {"FROM:<a@b.example> SIZE=1", 0, 555, "5.5.4"},
    {"FROM:<a@b.example> X-NEW=1", ~0u, 555, "5.5.4"},
    {"FROM:<a@b.example> SIZE=1 SIZE=1", EXT_SIZE, 501, "5.5.4"},
    {"FROM:<a@b.example> SIZE", EXT_SIZE, 501, "5.5.4"},
    {"FROM:<a@b.example> SIZE=", EXT_SIZE, 501, "5.5.4"},
    {"FROM:<a@b.example> SIZE=-1", EXT_SIZE, 501, "5.5.4"},
    {"FROM:<a@b.example> SIZE=99999999999999999999", EXT_SIZE, 0, ""},
    {"FROM:<a@b.example> SIZE=1x", EXT_SIZE, 501, "5.5.4"},
    {"FROM:<a@b.example> SIZE=999999999999999999999999", EXT_SIZE, 501, "5.5.4"},
    {"FROM:<a@b.example> BODY=9BIT", EXT_8BITMIME, 501, "5.5.4"},
    {"FROM:<a@b.example> SMTPUTF8=yes", EXT_SMTPUTF8, 501, "5.5.4"},
    {"FROM:<j\xc3\xb6rg@b.example>", EXT_SMTPUTF8, 553, "5.6.7"},
    {"FROM:<j\xc3\xb6rg@b.example>", 0, 501, "5.1.7"},
    {"FROM:<a@b.example> RET=BOTH", EXT_DSN, 501, "5.5.4"},
    {"FROM:<a@b.example> ENVID=a+2", EXT_DSN, 501, "5.5.4"},
    {"FROM:<a@b.example> ENVID=a+2b", EXT_DSN, 501, "5.5.4"},
    {"FROM:<a@b.example> HOLDFOR=1234567890", EXT_FUTURERELEASE, 501, "5.5.4"},
    {"FROM:<a@b.example> HOLDFOR=60 HOLDUNTIL=2026-11-22T03:30:00Z", EXT_FUTURERELEASE, 501, "5.5.4"},
    {"FROM:<a@b.example> HOLDUNTIL=2026-13-22T03:30:00Z", EXT_FUTURERELEASE, 501, "5.5.4"},
    {"FROM:<a@b.example> HOLDUNTIL=2026-11-22T03:30:00", EXT_FUTURERELEASE, 501, "5.5.4"},
    {"FROM:<a@b.example> HOLDUNTIL=tomorrow", EXT_FUTURERELEASE, 501, "5.5.4"},
    {"FROM:<a@b.example> BY=0;R", EXT_DELIVERBY, 501, "5.5.4"},
    {"FROM:<a@b.example> BY=-1;R", EXT_DELIVERBY, 501, "5.5.4"},
    {"FROM:<a@b.example> BY=60", EXT_DELIVERBY, 501, "5.5.4"},
    {"FROM:<a@b.example> BY=60;X", EXT_DELIVERBY, 501, "5.5.4"},
    {"FROM:<a@b.example> BY=60;RX", EXT_DELIVERBY, 501, "5.5.4"},
    {"FROM:<a@b.example> BY=1234567890;R", EXT_DELIVERBY, 501, "5.5.4"},
    {"FROM:<a@b.example> MT-PRIORITY=10", EXT_MT_PRIORITY, 501, "5.5.4"},
    {"FROM:<a@b.example> MT-PRIORITY=-0", EXT_MT_PRIORITY, 501, "5.5.4"},
    {"FROM:<a@b.example> MT-PRIORITY=-", EXT_MT_PRIORITY, 501, "5.5.4"},
    {"FROM:<a@b.example> REQUIRETLS=1", EXT_REQUIRETLS, 501, "5.5.4"},
    {"FROM:<a@b.example> =1", ~0u, 501, "5.5.4"},
    {"FROM:<a@b.example> -X", ~0u, 501, "5.5.4"},
    {"FROM:<a@b.example> ENVID=\x01", EXT_DSN, 501, "5.5.4"},
};

static void mail_is_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mails / sizeof *mails; i++) {
        struct mail_command m;
        struct refusal no = {0};
        bool ok = command_parse_mail(str_of(mails[i].args), mails[i].extensions, &m, &no);

        if (ok != (mails[i].code == 0) || no.code != mails[i].code)
            fail_msg("%s: %u %s", mails[i].args, no.code, ok ? "taken" : no.text);
        if (!ok)
            assert_true(str_starts(str_of(no.text), str_of(mails[i].enhanced)));
    }
}

static void parse_mail(const char *args, struct mail_command *m)
{
    struct refusal no;

    if (!command_parse_mail(str_of(args), ~0u, m, &no))
        fail_msg("%s: %u %s", args, no.code, no.text);
}

static void the_values_of_mail_are_kept(void **state)
{
    struct mail_command m;

    (void)state;
    parse_mail("FROM:<a@b.example> SIZE=12345 RET=FULL ENVID=x+2By BODY=BINARYMIME SMTPUTF8 REQUIRETLS", &m);
    assert_int_equal(m.size, 12345);
    assert_int_equal(m.flags, TXN_RET_FULL | TXN_BINARYMIME | TXN_SMTPUTF8 | TXN_REQUIRETLS);
    assert_true(str_eq(m.envid, STR("x+2By")));
    assert_int_equal(m.priority, 9);
    assert_false(m.has_by || m.has_priority);
    parse_mail("FROM:<> HOLDFOR=60 BY=-5;NT MT-PRIORITY=3", &m);
    assert_int_equal(m.hold_for, 60);
    assert_int_equal(m.by_seconds, -5);
    assert_int_equal(m.flags, TXN_BY_TRACE);
    assert_int_equal(m.priority, 12);
    parse_mail("FROM:<> MT-PRIORITY=-9 BY=+7;r", &m);
    assert_int_equal(m.priority, 0);
    assert_int_equal(m.by_seconds, 7);
    assert_int_equal(m.flags, TXN_BY_RETURN);
    parse_mail("FROM:<> HOLDUNTIL=2026-11-22T04:30:00.25+01:00", &m);
    assert_int_equal(m.hold_until, INT64_C(1795318200) * SECOND);
}

static void rcpt_is_taken_or_refused(void **state)
{
    static const struct {
        const char *args;
        unsigned extensions, flags, code, notify;
    } cases[] = {
        {"TO:<a@b.example>", 0, 0, 0, 0},
        {"to: <a@b.example>", 0, 0, 0, 0},
        {"TO:<postmaster>", 0, 0, 0, 0},
        {"TO:<PostMaster>", 0, 0, 0, 0},
        {"TO:<@hop.example:a@b.example>", 0, 0, 0, 0},
        {"TO:<a@b.example> NOTIFY=NEVER", EXT_DSN, 0, 0, NOTIFY_NEVER},
        {"TO:<a@b.example> NOTIFY=success,Failure ORCPT=rfc822;a+2Bb@b.example", EXT_DSN, 0, 0,
            NOTIFY_SUCCESS | NOTIFY_FAILURE},
        {"TO:<a@b.example> ORCPT=utf-8;j\\x{F6}rg@b.example NOTIFY=DELAY", EXT_DSN, 0, 0, NOTIFY_DELAY},
        {"TO:<a@b.example> ORCPT=utf-8;j\xc3\xb6rg@b.example", EXT_DSN, ADDRESS_UTF8, 0, 0},
        {"TO:<j\xc3\xb6rg@b.example>", 0, ADDRESS_UTF8, 0, 0},
        {"TO:<j\xc3\xb6rg@b.example>", 0, 0, 553, 0},
        {"TO:<>", 0, ADDRESS_NULL, 501, 0},
        {"TO:<user>", 0, 0, 501, 0},
        {"TO:<postmasters>", 0, 0, 501, 0},
        {"TO:<a@b.example", 0, 0, 501, 0},
        {"FROM:<a@b.example>", 0, 0, 501, 0},
        {"TO:<a@b.example> NOTIFY=NEVER", 0, 0, 555, 0},
        {"TO:<a@b.example> NOTIFY=NEVER,DELAY", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> NOTIFY=", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> NOTIFY=ALWAYS", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> NOTIFY=DELAY NOTIFY=DELAY", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> ORCPT=a@b.example", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> ORCPT=rfc822;", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> ORCPT=rfc 822;a", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> ORCPT=rfc822;a=b", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> ORCPT=utf-8;\\x{D800}", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> ORCPT=utf-8;\\x{110000}", EXT_DSN, 0, 501, 0},
        {"TO:<a@b.example> ORCPT=utf-8;\\x{41", EXT_DSN, 0, 501, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rcpt_command r;
        struct refusal no = {0};
        bool ok = command_parse_rcpt(str_of(cases[i].args), cases[i].extensions, cases[i].flags, &r, &no);

        if (ok != (cases[i].code == 0) || no.code != cases[i].code)
            fail_msg("%s: %u %s", cases[i].args, no.code, ok ? "taken" : no.text);
        if (ok)
            assert_int_equal(r.notify, cases[i].notify);
    }
}

static void bdat_and_helo(void **state)
{
    struct refusal no = {0};
    struct str name;
    uint64_t size;
    bool last;

    (void)state;
    assert_true(command_parse_bdat(STR("0 last"), &size, &last, &no) && size == 0 && last);
    assert_true(command_parse_bdat(STR("86"), &size, &last, &no) && size == 86 && !last);
    assert_false(command_parse_bdat(STR(""), &size, &last, &no));
    assert_false(command_parse_bdat(STR("-1"), &size, &last, &no));
    assert_false(command_parse_bdat(STR("1 FIRST"), &size, &last, &no));
    assert_false(command_parse_bdat(STR("1 LAST 2"), &size, &last, &no));
    assert_false(command_parse_bdat(STR("99999999999999999999"), &size, &last, &no));
    assert_int_equal(no.code, 501);
    assert_true(command_parse_helo(STR(" [192.0.2.1] "), &name, &no) && str_eq(name, STR("[192.0.2.1]")));
    assert_true(command_parse_helo(STR("WIN_PC"), &name, &no));
    assert_false(command_parse_helo(STR(""), &name, &no));
    assert_false(command_parse_helo(STR("a b"), &name, &no));
    assert_false(command_parse_helo(STR("a(b"), &name, &no));
    assert_false(command_parse_helo(STR("a\rb"), &name, &no));
}

static void xtext_goes_both_ways(void **state)
{
    static const char bytes[] = "a+b=c d\r\n\xc3\xb6~!";
    struct buf coded, plain;

    (void)state;
    buf_init(&coded, 200);
    buf_init(&plain, 200);
    xtext_encode(&coded, STR(bytes));
    assert_true(str_eq(buf_str(&coded), STR("a+2Bb+3Dc+20d+0D+0A+C3+B6~!")));
    assert_true(xtext_decode(&plain, buf_str(&coded)) && str_eq(buf_str(&plain), STR(bytes)));
    assert_false(xtext_is_valid(STR("+4")));
    assert_false(xtext_is_valid(STR("+")));
    assert_false(xtext_is_valid(STR("a b")));
    assert_false(xtext_is_valid(STR("a=b")));
    assert_false(xtext_is_valid(STR("+4g")));
    buf_clear(&coded);
    buf_clear(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_are_found_in_any_case),
        cmocka_unit_test(mail_is_taken_or_refused),
        cmocka_unit_test(the_values_of_mail_are_kept),
        cmocka_unit_test(rcpt_is_taken_or_refused),
        cmocka_unit_test(bdat_and_helo),
        cmocka_unit_test(xtext_goes_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
