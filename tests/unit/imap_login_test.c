/* Conversations with IMAP before login, each in one piece and cut at every byte. See login_world.h. */
#include "base/buf.h"
#include "login_world.h"
#include "roles/access/imap_login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void converse(unsigned flags, const struct turn *turns)
{
    converse_with(&imap_login, "imap.test", flags, turns);
}

#define CAPA "CAPABILITY IMAP4rev2 IMAP4rev1 ID ENABLE LITERAL- SASL-IR"
#define CAPA_PLAIN CAPA " STARTTLS LOGINDISABLED AUTH=SCRAM-SHA-256"
#define CAPA_SECURE CAPA " AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN"
#define CAPA_LOCAL CAPA " AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN"
#define SAY(capa, ...) ((struct turn[]){{NULL, "* OK [" capa "] imap.test IMAP server ready\r\n"}, __VA_ARGS__, {0}})
#define NO_TLS "NO [PRIVACYREQUIRED] Passwords are taken with TLS only, use STARTTLS first\r\n"
#define WRONG "NO [AUTHENTICATIONFAILED] Wrong user or password\r\n"

static void login(void **state)
{
    (void)state;
    converse(LOGIN_SECURE, SAY(CAPA_SECURE,
        {"1 LOGIN al secret\r\n", "<begin USERPASS |al|secret>"},
        {"<result 1>", "1 " WRONG},
        {"2 login \"a l\" \"q\\\"\\\\\"\r\n", "<begin USERPASS |a l|q\"\\>"},
        {"<result 2>", "2 NO [CONTACTADMIN] This account is disabled\r\n"},
        {"3 LOGIN {2}\r\n", "+ Go on\r\n"},
        {"al {3}\r\n", "+ Go on\r\n"},
        {"a b\r\n", "<begin USERPASS |al|a b>"},
        {"<send-only>", "3 NO [AUTHORIZATIONFAILED] This login may not read mail\r\n"},
        {"4 LOGIN {2+}\r\nal {4+}\r\n\xc3\xa9\r\n\r\n", "<begin USERPASS |al|\xc3\xa9\r\n>"},
        {"<result 3>", "4 NO [LIMIT] Too many attempts, try again later\r\n"},
        {"five LOGIN al s\r\n", "<begin USERPASS |al|s>"},
        {"<ok>", "<open five 0>"}));
}

static void login_errors(void **state)
{
    (void)state;
    converse(LOGIN_LOOPBACK, SAY(CAPA_LOCAL,
        {"1 LOGIN al\r\n", "1 BAD Argument missing\r\n"},
        {"2 LOGIN al \"\"\r\n", "2 NO [AUTHENTICATIONFAILED] Not a user and a password\r\n"},
        {"3 LOGIN al \"\xff\"\r\n", "3 NO [AUTHENTICATIONFAILED] Not a user and a password\r\n"},
        {"4 LOGIN al {2000}\r\n", "4 BAD [TOOBIG] The literal is too large\r\n"},
        {"5 LOGIN al {1025+}\r\n", "5 BAD [TOOBIG] The literal is too large\r\n"}));
    converse(LOGIN_LOOPBACK, SAY(CAPA_LOCAL,
        {"1 LOGIN al \"open\r\n", "1 BAD The quoted string has no end\r\n"},
        {"2 LOGIN al pa ss\r\n", "2 BAD Nothing more was expected\r\n"},
        {"3 LOGOUT\r\n", "* BYE Logging out\r\n3 OK Goodbye\r\n<close>"},
        {"4 NOOP\r\n", ""}));
}

/* Nothing that carries a password is taken, and a literal is refused before it is sent. */
static void no_passwords_without_tls(void **state)
{
    (void)state;
    converse(LOGIN_STARTTLS, SAY(CAPA_PLAIN,
        {"1 LOGIN al x\r\n", "1 " NO_TLS},
        {"2 LOGIN {2}\r\n", "2 " NO_TLS},
        {"3 LOGIN {2+}\r\nal {1+}\r\nx\r\n", "3 " NO_TLS},
        {"4 AUTHENTICATE PLAIN AGFsAHg=\r\n", "4 " NO_TLS},
        {"5 AUTHENTICATE LOGIN\r\n", "5 " NO_TLS},
        {"6 AUTHENTICATE SCRAM-SHA-256-PLUS\r\n", "6 NO [CANNOT] No such mechanism\r\n"},
        {"7 AUTHENTICATE scram-sha-256 biws\r\n", "<begin SCRAM-SHA-256 n,,>"}));
}

static void before_login(void **state)
{
    (void)state;
    converse(LOGIN_LOOPBACK, SAY(CAPA_LOCAL,
        {"1 CAPABILITY\r\n", "* " CAPA_LOCAL "\r\n1 OK That is what there is before login\r\n"},
        {"2 NOOP\r\n", "2 OK Done\r\n"},
        {"3 ID NIL\r\n", "* ID (\"name\" \"Staffetta\")\r\n3 OK Pleased to meet you\r\n"},
        {"4 ID (\"name\" {3+}\r\nabc \"version\" NIL)\r\n", "* ID (\"name\" \"Staffetta\")\r\n4 OK Pleased to meet you\r\n"},
        {"5 SELECT INBOX\r\n", "5 BAD Log in first\r\n"},
        {"6 APPEND INBOX {10}\r\n", "6 BAD Log in first\r\n"},
        {"7 APPEND INBOX {10+}\r\n0123456789\r\n", "7 BAD Log in first\r\n"},
        {"8 AUTHENTICATE {5}\r\n", "8 BAD A literal is not expected here\r\n"},
        {"9 STARTTLS\r\n", "9 BAD TLS is not available here\r\n"},
        {"10 UNKNOWN\r\n", "10 BAD Unknown command\r\n"},
        {"11 UNKNOWN {9999999999}\r\n", "11 BAD Unknown command\r\n"},
        {"\r\n", "* BAD A tag and a command expected\r\n"},
        {"* NOOP\r\n", "* BAD A tag and a command expected\r\n"},
        {"a+b NOOP {5}\r\n", "* BAD Unknown command\r\n"},
        {"12 NOOP x\r\n", "12 BAD Nothing more was expected\r\n"},
        {"13\r\n", "13 BAD Unknown command\r\n"}));
}

static void starttls(void **state)
{
    (void)state;
    converse(LOGIN_STARTTLS, SAY(CAPA_PLAIN,
        {"a STARTTLS now\r\n", "a BAD Nothing more was expected\r\n"},
        {"b STARTTLS\r\n", "b OK Begin TLS negotiation\r\n<tls>"},
        {"<secured>", ""},
        {"c CAPABILITY\r\n", "* " CAPA_SECURE "\r\nc OK That is what there is before login\r\n"},
        {"d STARTTLS\r\n", "d BAD TLS is active already\r\n"},
        {"e LOGIN al x\r\n", "<begin USERPASS |al|x>"}));
}

/* What came in clear behind STARTTLS is not looked at: the connection drops it. */
static void nothing_is_taken_behind_starttls(void **state)
{
    void *m = imap_login.new(&login_said, NULL, STR("h"), LOGIN_STARTTLS);
    struct str all = STR("a STARTTLS\r\nb LOGIN al x\r\n");

    (void)state;
    buf_init(&said, 10000);
    assert_int_equal(imap_login.input(m, all), strlen("a STARTTLS\r\n"));
    assert_true(imap_login.waits(m));
    assert_int_equal(imap_login.input(m, STR("b LOGIN al x\r\n")), 0);
    imap_login.free(m);
    buf_clear(&said);
}

static void sasl_exchanges(void **state)
{
    (void)state;
    converse(LOGIN_SECURE, SAY(CAPA_SECURE,
        {"1 AUTHENTICATE PLAIN AGFsAHg=\r\n", "<begin PLAIN |al|x>"},
        {"<result 1>", "1 " WRONG},
        {"2 AUTHENTICATE PLAIN =\r\n", "<begin PLAIN >"},
        {"<result 4>", "2 BAD Malformed response\r\n"},
        {"3 authenticate plain\r\n", "<begin PLAIN>"},
        {"<challenge >", "+ \r\n"},
        {"AGFsAHg=\r\n", "<step |al|x>"},
        {"<result 5>", "3 NO [UNAVAILABLE] Logins are not possible now, try again later\r\n"},
        {"4 AUTHENTICATE LOGIN\r\n", "<begin LOGIN>"},
        {"<challenge User Name>", "+ VXNlciBOYW1l\r\n"},
        {"*\r\n", "<cancel>4 BAD Cancelled\r\n"},
        {"5 AUTHENTICATE SCRAM-SHA-256 biws\r\n", "<begin SCRAM-SHA-256 n,,>"},
        {"<challenge r=1>", "+ cj0x\r\n"},
        {"cD0x\r\n", "<step p=1>"},
        {"<ok v=2>", "+ dj0y\r\n"},
        {"\r\n", "<open 5 0>"}));
}

static void sasl_errors(void **state)
{
    (void)state;
    converse(LOGIN_SECURE, SAY(CAPA_SECURE,
        {"1 AUTHENTICATE CRAM-MD5\r\n", "1 NO [CANNOT] No such mechanism\r\n"},
        {"2 AUTHENTICATE PLAIN a b\r\n", "2 BAD Malformed response\r\n"},
        {"3 AUTHENTICATE\r\n", "3 BAD Argument missing\r\n"},
        {"4 AUTHENTICATE PLAIN\r\n", "<begin PLAIN>"},
        {"<challenge >", "+ \r\n"},
        {"!!!!\r\n", "<cancel>4 BAD Malformed response\r\n"},
        {"5 NOOP\r\n", "5 OK Done\r\n"},
        {"6 AUTHENTICATE SCRAM-SHA-256 biws\r\n", "<begin SCRAM-SHA-256 n,,>"},
        {"<ok v=2>", "+ dj0y\r\n"},
        {"*\r\n", "6 BAD Cancelled\r\n"},
        {"7 AUTHENTICATE SCRAM-SHA-256 biws\r\n", "<begin SCRAM-SHA-256 n,,>"},
        {"<ok v=2>", "+ dj0y\r\n"},
        {"AAAA\r\n", "7 BAD Malformed response\r\n"}));
}

static void too_many_failures_close(void **state)
{
    (void)state;
    converse(LOGIN_SECURE, SAY(CAPA_SECURE,
        {"1 LOGIN a b\r\n", "<begin USERPASS |a|b>"}, {"<result 1>", "1 " WRONG},
        {"2 LOGIN a b\r\n", "<begin USERPASS |a|b>"}, {"<result 1>", "2 " WRONG},
        {"3 LOGIN a b\r\n", "<begin USERPASS |a|b>"}, {"<result 1>", "3 " WRONG},
        {"4 LOGIN a b\r\n", "<begin USERPASS |a|b>"},
        {"<result 9>", "4 NO [UNAVAILABLE] Logins are not possible now, try again later\r\n"},
        {"5 LOGIN a b\r\n", "<begin USERPASS |a|b>"}, {"<result 1>", "5 " WRONG "* BYE Too many failed logins\r\n<close>"},
        {"6 NOOP\r\n", ""}));
}

static void too_many_errors_close(void **state)
{
    char many[200] = "", errors[1000] = "";

    (void)state;
    for (int i = 0; i < 20; i++) {
        strncat(many, "a X\r\n", 6);
        strncat(errors, "a BAD Unknown command\r\n", 30);
    }
    strncat(errors, "* BYE Too many errors\r\n<close>", 60);
    converse(0, SAY(CAPA " LOGINDISABLED AUTH=SCRAM-SHA-256", {many, errors}));
}

/* What follows the login belongs to mailbox and is not touched. */
static void pipelined_input_is_left(void **state)
{
    void *m = imap_login.new(&login_said, NULL, STR("h"), LOGIN_SECURE);
    struct str all = STR("a LOGIN a b\r\nb SELECT INBOX\r\n");

    (void)state;
    buf_init(&said, 10000);
    assert_int_equal(imap_login.input(m, all), strlen("a LOGIN a b\r\n"));
    assert_true(imap_login.waits(m));
    assert_int_equal(imap_login.input(m, STR("b SELECT INBOX\r\n")), 0);
    imap_login.done(m, &(struct login_outcome){.result = AUTH_OK, .may_read = true});
    assert_int_equal(imap_login.input(m, STR("b SELECT INBOX\r\n")), 0);
    imap_login.free(m);
    buf_clear(&said);
}

static void long_input(void **state)
{
    static char line[9000], endless[30000], response[23000], fits[8300];

    (void)state;
    memset(line, 'x', sizeof line - 1);
    memcpy(line, "tag ", 4);
    memset(endless, 'y', sizeof endless - 1);
    memset(response, 'A', sizeof response - 1);
    memset(fits, 'A', 8100);
    memcpy(fits, "1 AUTHENTICATE PLAIN ", 21);
    memcpy(fits + 8100, "\r\n", 3);
    converse(LOGIN_SECURE, SAY(CAPA_SECURE,
        {line, ""},
        {"\r\n", "tag BAD The command is too long\r\n"},
        {endless, ""},
        {endless, ""},
        {"\r\n1 NOOP\r\n", "* BAD The command is too long\r\n1 OK Done\r\n"},
        {"2 AUTHENTICATE LOGIN\r\n", "<begin LOGIN>"},
        {"<challenge x>", "+ eA==\r\n"},
        {response, "<cancel>2 BAD The response is too long\r\n"},
        {"\r\n3 NOOP\r\n", "3 OK Done\r\n"}));
    converse(0, SAY(CAPA " LOGINDISABLED AUTH=SCRAM-SHA-256", {fits, "1 " NO_TLS}));
}

/* A command of many literals, each small enough. */
static void a_command_of_many_literals_is_too_long(void **state)
{
    static char data[1001];
    struct buf command;
    const char *id;

    (void)state;
    memset(data, 'z', sizeof data - 1);
    buf_init(&command, 25000);
    buf_add(&command, STR("1 ID ("));
    for (int i = 0; i < 20; i++)
        buf_addf(&command, "{1000+}\r\n%s ", data);
    buf_add(&command, STR(")\r\n2 NOOP\r\n"));
    buf_add_char(&command, 0);
    id = command.p;
    converse(LOGIN_SECURE, SAY(CAPA_SECURE, {id, "1 BAD The command is too long\r\n2 OK Done\r\n"}));
    buf_clear(&command);
}

static void a_tag_over_the_limit_is_not_answered_by_half(void **state)
{
    char command[200], tag[66];

    (void)state;
    memset(tag, 't', sizeof tag - 1);
    tag[65] = 0;
    snprintf(command, sizeof command, "%s LOGIN {5000}\r\n", tag);
    converse(LOGIN_SECURE, SAY(CAPA_SECURE, {command, "* BAD Unknown command\r\n"}));
    snprintf(command, sizeof command, "%s LOGIN {5000}\r\n", tag + 1);
    converse(LOGIN_SECURE, SAY(CAPA_SECURE, {command, "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt BAD [TOOBIG] The literal is too large\r\n"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login),
        cmocka_unit_test(login_errors),
        cmocka_unit_test(no_passwords_without_tls),
        cmocka_unit_test(before_login),
        cmocka_unit_test(starttls),
        cmocka_unit_test(nothing_is_taken_behind_starttls),
        cmocka_unit_test(sasl_exchanges),
        cmocka_unit_test(sasl_errors),
        cmocka_unit_test(too_many_failures_close),
        cmocka_unit_test(too_many_errors_close),
        cmocka_unit_test(pipelined_input_is_left),
        cmocka_unit_test(long_input),
        cmocka_unit_test(a_command_of_many_literals_is_too_long),
        cmocka_unit_test(a_tag_over_the_limit_is_not_answered_by_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
