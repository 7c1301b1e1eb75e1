/* Conversations with POP3 before login. The world writes down what it was asked: "<begin PLAIN data>",
 * "<step data>", "<cancel>", "<tls>", "<open flags>", "<close>". */
#include "base/buf.h"
#include "roles/access/pop3_login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct buf said;

/* NUL is written as a bar. */
static void add_data(struct str data)
{
    for (size_t i = 0; i < data.n; i++)
        buf_add_char(&said, data.p[i] ? data.p[i] : '|');
}

static void w_send(void *arg, struct str bytes)
{
    (void)arg;
    buf_add(&said, bytes);
}

static void w_start_tls(void *arg)
{
    (void)arg;
    buf_add(&said, STR("<tls>"));
}

static void w_begin(void *arg, struct str mechanism, bool has_initial, struct str initial)
{
    (void)arg;
    buf_addf(&said, "<begin %.*s%s", STR_ARG(mechanism), has_initial ? " " : "");
    add_data(initial);
    buf_add_char(&said, '>');
}

static void w_step(void *arg, struct str data)
{
    (void)arg;
    buf_add(&said, STR("<step "));
    add_data(data);
    buf_add_char(&said, '>');
}

static void w_cancel(void *arg)
{
    (void)arg;
    buf_add(&said, STR("<cancel>"));
}

static void w_open(void *arg, unsigned flags, struct str tag)
{
    (void)arg;
    assert_int_equal(tag.n, 0);
    buf_addf(&said, "<open %u>", flags);
}

static void w_close(void *arg)
{
    (void)arg;
    buf_add(&said, STR("<close>"));
}

static const struct login_world world = {w_send, w_start_tls, w_begin, w_step, w_cancel, w_open, w_close};

/* A turn: the client's bytes, or a word of the world beginning with '<': "<challenge x>", "<ok x>",
 * "<send-only>", "<result N>", "<secured>". */
struct turn {
    const char *say, *expect;
};

static void world_says(void *m, const char *what)
{
    struct str word = str_of(what), rest = str_skip(word, 1);
    struct login_outcome outcome = {.result = AUTH_OK, .may_read = true};

    rest.n--;
    if (str_starts(rest, STR("challenge "))) {
        pop3_login.challenge(m, str_skip(rest, 10));
    } else if (str_starts(rest, STR("ok"))) {
        outcome.data = str_skip(rest, 3);
        pop3_login.done(m, &outcome);
    } else if (str_starts(rest, STR("send-only"))) {
        outcome.may_read = false;
        pop3_login.done(m, &outcome);
    } else if (str_starts(rest, STR("result "))) {
        outcome.result = (enum auth_result)(rest.p[7] - '0');
        pop3_login.done(m, &outcome);
    } else if (str_starts(rest, STR("secured"))) {
        pop3_login.secured(m);
    } else {
        fail_msg("unknown word %s", what);
    }
}

/* Feeds bytes as a connection does: what is not used comes again with the rest. */
static void feed(void *m, struct buf *pending, struct str bytes)
{
    size_t used;

    buf_add(pending, bytes);
    while (pending->n > 0 && !pop3_login.waits(m) && (used = pop3_login.input(m, buf_str(pending))) > 0)
        buf_consume(pending, used);
}

static void converse(unsigned flags, const struct turn *turns)
{
    void *m = pop3_login.new(&world, NULL, STR("pop.test"), flags);
    struct buf pending;

    buf_init(&pending, 100000);
    buf_init(&said, 100000);
    pop3_login.greet(m);
    for (; turns->expect != NULL; turns++) {
        if (turns->say != NULL && turns->say[0] == '<') {
            world_says(m, turns->say);
            feed(m, &pending, (struct str){0});
        } else if (turns->say != NULL) {
            feed(m, &pending, str_of(turns->say));
        }
        if (!str_eq(buf_str(&said), str_of(turns->expect)))
            fail_msg("after %s\n expected: %s\n      got: %.*s", turns->say ? turns->say : "greeting", turns->expect,
                STR_ARG(buf_str(&said)));
        buf_reset(&said);
    }
    pop3_login.free(m);
    buf_clear(&pending);
    buf_clear(&said);
}

#define GREETING {NULL, "+OK pop.test POP3 server ready\r\n"}
#define SAY(...) ((struct turn[]){GREETING, __VA_ARGS__, {0}})

static void user_and_pass(void **state)
{
    (void)state;
    converse(LOGIN_SECURE, SAY(
        {"USER al\r\n", "+OK Now the password\r\n"},
        {"PASS two words \r\n", "<begin USERPASS |al|two words >"},
        {"<result 1>", "-ERR [AUTH] Wrong user or password\r\n"},
        {"PASS again\r\n", "-ERR USER comes first\r\n"},
        {"user al@x.test\r\n", "+OK Now the password\r\n"},
        {"pass s\r\n", "<begin USERPASS |al@x.test|s>"},
        {"<ok>", "<open 0>"}));
}

static void user_and_pass_errors(void **state)
{
    (void)state;
    converse(LOGIN_LOOPBACK, SAY(
        {"PASS x\r\n", "-ERR USER comes first\r\n"},
        {"USER\r\n", "-ERR Not a user name\r\n"},
        {"USER \xff\r\n", "-ERR Not a user name\r\n"},
        {"USER al\r\n", "+OK Now the password\r\n"},
        {"PASS\r\n", "-ERR [AUTH] Not a password\r\n"},
        {"PASS \xc3\r\n", "-ERR [AUTH] Not a password\r\n"},
        {"PASS \xc3\xa9\r\n", "<begin USERPASS |al|\xc3\xa9>"},
        {"<send-only>", "-ERR [AUTH] This login may not read mail\r\n"},
        {"STAT\r\n", "-ERR Log in first\r\n"},
        {"APOP a b\r\n", "-ERR Unknown command\r\n"},
        {"NOOP\r\n", "+OK\r\n"},
        {"QUIT\r\n", "+OK Goodbye\r\n<close>"}));
}

static void no_passwords_without_tls(void **state)
{
    (void)state;
    converse(LOGIN_STARTTLS, SAY(
        {"USER al\r\n", "-ERR Passwords are taken with TLS only, use STLS first\r\n"},
        {"PASS x\r\n", "-ERR [AUTH] Passwords are taken with TLS only, use STLS first\r\n"},
        {"AUTH PLAIN AGFsAHg=\r\n", "-ERR [AUTH] Passwords are taken with TLS only, use STLS first\r\n"},
        {"AUTH LOGIN\r\n", "-ERR [AUTH] Passwords are taken with TLS only, use STLS first\r\n"},
        {"AUTH\r\n", "+OK Mechanisms follow\r\nSCRAM-SHA-256\r\n.\r\n"},
        {"AUTH SCRAM-SHA-256-PLUS\r\n", "-ERR No such mechanism\r\n"},
        {"AUTH scram-sha-256 biws\r\n", "<begin SCRAM-SHA-256 n,,>"}));
}

#define CAPA_TOP "+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n"
#define CAPA_END "LANG\r\nIMPLEMENTATION Staffetta\r\n.\r\n"

static void capabilities(void **state)
{
    (void)state;
    converse(LOGIN_STARTTLS, SAY(
        {"CAPA\r\n", CAPA_TOP "SASL SCRAM-SHA-256\r\nSTLS\r\nUTF8\r\n" CAPA_END},
        {"STLS\r\n", "+OK Begin TLS negotiation\r\n<tls>"},
        {"CAPA\r\n", ""},
        {"<secured>", CAPA_TOP "USER\r\nSASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN\r\nUTF8 USER\r\n" CAPA_END},
        {"STLS\r\n", "-ERR TLS is active already\r\n"}));
    converse(LOGIN_LOOPBACK, SAY(
        {"CAPA\r\n", CAPA_TOP "USER\r\nSASL SCRAM-SHA-256 PLAIN LOGIN\r\nUTF8 USER\r\n" CAPA_END},
        {"STLS\r\n", "-ERR TLS is not available here\r\n"}));
}

static void stls_errors(void **state)
{
    (void)state;
    converse(LOGIN_STARTTLS, SAY(
        {"STLS now\r\n", "-ERR STLS takes no argument\r\n"},
        {"UTF8\r\n", "+OK UTF8 mode\r\n"},
        {"STLS\r\n", "-ERR STLS comes before UTF8\r\n"}));
}

static void sasl_exchanges(void **state)
{
    (void)state;
    converse(LOGIN_SECURE, SAY(
        {"AUTH PLAIN AGFsAHg=\r\n", "<begin PLAIN |al|x>"},
        {"<result 1>", "-ERR [AUTH] Wrong user or password\r\n"},
        {"AUTH PLAIN =\r\n", "<begin PLAIN >"},
        {"<result 4>", "-ERR Malformed response\r\n"},
        {"AUTH PLAIN\r\n", "<begin PLAIN>"},
        {"<challenge >", "+ \r\n"},
        {"AGFsAHg=\r\n", "<step |al|x>"},
        {"<result 5>", "-ERR [SYS/TEMP] Logins are not possible now, try again later\r\n"},
        {"AUTH LOGIN\r\n", "<begin LOGIN>"},
        {"<challenge User Name>", "+ VXNlciBOYW1l\r\n"},
        {"*\r\n", "<cancel>-ERR Cancelled\r\n"},
        {"AUTH SCRAM-SHA-256 biws\r\n", "<begin SCRAM-SHA-256 n,,>"},
        {"<challenge r=1>", "+ cj0x\r\n"},
        {"cD0x\r\n", "<step p=1>"},
        {"<ok v=2>", "+ dj0y\r\n"},
        {"\r\n", "<open 0>"}));
}

static void sasl_errors(void **state)
{
    (void)state;
    converse(LOGIN_SECURE, SAY(
        {"AUTH CRAM-MD5\r\n", "-ERR No such mechanism\r\n"},
        {"AUTH PLAIN a b\r\n", "-ERR Too many arguments\r\n"},
        {"AUTH PLAIN AAA\r\n", "-ERR Malformed response\r\n"},
        {"AUTH PLAIN =AAA\r\n", "-ERR Malformed response\r\n"},
        {"AUTH PLAIN AA=A\r\n", "-ERR Malformed response\r\n"},
        {"AUTH PLAIN\r\n", "<begin PLAIN>"},
        {"<challenge >", "+ \r\n"},
        {"!!!!\r\n", "<cancel>-ERR Malformed response\r\n"},
        {"NOOP\r\n", "+OK\r\n"},
        {"AUTH SCRAM-SHA-256 biws\r\n", "<begin SCRAM-SHA-256 n,,>"},
        {"<ok v=2>", "+ dj0y\r\n"},
        {"*\r\n", "-ERR Cancelled\r\n"},
        {"AUTH SCRAM-SHA-256 biws\r\n", "<begin SCRAM-SHA-256 n,,>"},
        {"<ok v=2>", "+ dj0y\r\n"},
        {"AAAA\r\n", "-ERR Malformed response\r\n"}));
}

static void too_many_failures_close(void **state)
{
    (void)state;
    converse(LOGIN_SECURE, SAY(
        {"USER a\r\nPASS b\r\n", "+OK Now the password\r\n<begin USERPASS |a|b>"},
        {"<result 1>", "-ERR [AUTH] Wrong user or password\r\n"},
        {"USER a\r\nPASS b\r\n", "+OK Now the password\r\n<begin USERPASS |a|b>"},
        {"<result 2>", "-ERR [AUTH] This account is disabled\r\n"},
        {"USER a\r\nPASS b\r\n", "+OK Now the password\r\n<begin USERPASS |a|b>"},
        {"<result 3>", "-ERR [SYS/TEMP] Too many attempts, try again later\r\n"},
        {"USER a\r\nPASS b\r\n", "+OK Now the password\r\n<begin USERPASS |a|b>"},
        {"<result 9>", "-ERR [SYS/TEMP] Logins are not possible now, try again later\r\n"},
        {"USER a\r\nPASS b\r\n", "+OK Now the password\r\n<begin USERPASS |a|b>"},
        {"<result 1>", "-ERR [AUTH] Wrong user or password\r\n<close>"},
        {"NOOP\r\n", ""}));
}

static void too_many_errors_close(void **state)
{
    char many[100] = "", errors[1000] = "";

    (void)state;
    for (int i = 0; i < 20; i++)
        strncat(many, "X\r\n", 4);
    for (int i = 0; i < 19; i++)
        strncat(errors, "-ERR Unknown command\r\n", 30);
    strncat(errors, "-ERR Too many errors, goodbye\r\n<close>", 60);
    converse(0, SAY({many, errors}));
}

static void language_and_utf8(void **state)
{
    (void)state;
    converse(LOGIN_SECURE, SAY(
        {"LANG\r\n", "+OK Language listing follows:\r\nen English\r\n.\r\n"},
        {"LANG en\r\n", "+OK en Language changed\r\n"},
        {"LANG tlh\r\n", "-ERR No such language\r\n"},
        {"UTF8 x\r\n", "-ERR UTF8 takes no argument\r\n"},
        {"UTF8\r\n", "+OK UTF8 mode\r\n"},
        {"AUTH PLAIN AGFsAHg=\r\n", "<begin PLAIN |al|x>"},
        {"<ok>", "<open 2>"}));
}

/* What follows the login belongs to mailbox and is not touched. */
static void pipelined_input_is_left(void **state)
{
    void *m = pop3_login.new(&world, NULL, STR("h"), LOGIN_SECURE);
    struct str all = STR("USER a\nPASS b\r\nSTAT\r\n");

    (void)state;
    buf_init(&said, 10000);
    assert_int_equal(pop3_login.input(m, all), all.n - 6);
    assert_true(pop3_login.waits(m));
    assert_int_equal(pop3_login.input(m, STR("STAT\r\n")), 0);
    pop3_login.done(m, &(struct login_outcome){.result = AUTH_OK, .may_read = true});
    assert_int_equal(pop3_login.input(m, STR("STAT\r\n")), 0);
    pop3_login.free(m);
    buf_clear(&said);
}

static void long_lines(void **state)
{
    static char over[600], endless[3000], response[23000], fits[800];

    (void)state;
    memset(over, 'x', 511);
    memcpy(over + 511, "\r\n", 3);
    memset(endless, 'y', sizeof endless - 1);
    memset(response, 'A', sizeof response - 1);
    memcpy(fits, "AUTH PLAIN ", 11);
    memset(fits + 11, 'A', 600);
    memcpy(fits + 611, "\r\n", 3);
    converse(LOGIN_SECURE, SAY(
        {over, "-ERR Line too long\r\n"},
        {endless, "-ERR Line too long\r\n"},
        {endless, ""},
        {"\r\nNOOP\r\n", "+OK\r\n"},
        {"AUTH LOGIN\r\n", "<begin LOGIN>"},
        {"<challenge x>", "+ eA==\r\n"},
        {response, "<cancel>-ERR Line too long\r\n"},
        {"\r\nNOOP\r\n", "+OK\r\n"}));
    converse(0, SAY({fits, "-ERR [AUTH] Passwords are taken with TLS only, use STLS first\r\n"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_and_pass),
        cmocka_unit_test(user_and_pass_errors),
        cmocka_unit_test(no_passwords_without_tls),
        cmocka_unit_test(capabilities),
        cmocka_unit_test(stls_errors),
        cmocka_unit_test(sasl_exchanges),
        cmocka_unit_test(sasl_errors),
        cmocka_unit_test(too_many_failures_close),
        cmocka_unit_test(too_many_errors_close),
        cmocka_unit_test(language_and_utf8),
        cmocka_unit_test(pipelined_input_is_left),
        cmocka_unit_test(long_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
