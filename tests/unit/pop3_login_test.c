/* Conversations with POP3 before login, each in one piece and cut at every byte. See login_world.h. */
#include "base/buf.h"
#include "login_world.h"
#include "roles/access/pop3_login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void converse(unsigned flags, const struct turn *turns)
{
    converse_with(&pop3_login, "pop.test", flags, turns);
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
    void *m = pop3_login.new(&login_said, NULL, STR("h"), LOGIN_SECURE);
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
