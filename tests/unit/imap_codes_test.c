/* IMAP: response codes (RFC 5530; RFC 9051, section 7.1): each refusal has the one that fits. And what IMAP4rev2 tells of names. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_codes_test");
    world_fill(2);
    client_open(0);
    return 0;
}

#define SELECTED "%\r\n%\r\n* 2 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n"

static void of_mailboxes(void **state)
{
    (void)state;
    CONVERSE(0, {"a SELECT none\r\n", "a NO [NONEXISTENT] %\r\n"}, {"b EXAMINE none\r\n", "b NO [NONEXISTENT] %\r\n"}, {"c STATUS none (MESSAGES)\r\n", "c NO [NONEXISTENT] %\r\n"},
        {"d DELETE none\r\n", "d NO [NONEXISTENT] %\r\n"}, {"e RENAME none x\r\n", "e NO [NONEXISTENT] %\r\n"}, {"f RENAME Sent Trash\r\n", "f NO [ALREADYEXISTS] %\r\n"},
        {"g CREATE Sent\r\n", "g NO [ALREADYEXISTS] %\r\n"}, {"h CREATE inbox\r\n", "h NO [ALREADYEXISTS] %\r\n"}, {"i CREATE \"a*b\"\r\n", "i NO [CANNOT] %\r\n"},
        {"j CREATE /x\r\n", "j NO [CANNOT] %\r\n"}, {"k DELETE INBOX\r\n", "k NO [CANNOT] %\r\n"}, {"l RENAME Sent Sent/x\r\n", "l NO [CANNOT] %\r\n"},
        {"m CREATE x (USE (\\All))\r\n", "m NO [USEATTR] %\r\n"}, {"n APPEND none {1}\r\n", "n NO [TRYCREATE] %\r\n"}, {"o CREATE u/v\r\n", "o OK %\r\n"}, {"p DELETE u\r\n", "p OK Done\r\n"},
        {"q DELETE u\r\n", "q NO [HASCHILDREN] %\r\n"}, {"r DELETE u/v\r\n", "r OK Done\r\n"}, {"s DELETE u\r\n", "s NO [NONEXISTENT] %\r\n"},
        {"t GETQUOTA x\r\n", "t NO [NONEXISTENT] %\r\n"}, {"u SETQUOTA \"\" (STORAGE 1)\r\n", "u NO [NOPERM] %\r\n"}, {"v GETQUOTAROOT none\r\n", "v NO [NONEXISTENT] %\r\n"});
    client_open(1);
    CONVERSE(1, {"a SELECT Trash\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\na OK [READ-WRITE] %\r\n"});
    CONVERSE(0, {"w DELETE Trash\r\n", "w NO [INUSE] %\r\n"});
}

static void of_messages(void **state)
{
    (void)state;
    CONVERSE(0, {"a EXAMINE INBOX\r\n", SELECTED "a OK [READ-ONLY] %\r\n"}, {"b STORE 1 FLAGS ()\r\n", "b NO [READ-ONLY] %\r\n"}, {"c EXPUNGE\r\n", "c NO [READ-ONLY] %\r\n"},
        {"d MOVE 1 Sent\r\n", "d NO [READ-ONLY] %\r\n"}, {"e COPY 1 none\r\n", "e NO [TRYCREATE] %\r\n"}, {"f SELECT INBOX\r\n", SELECTED "f OK [READ-WRITE] %\r\n"},
        {"g MOVE 1 none\r\n", "g NO [TRYCREATE] %\r\n"}, {"h SEARCH CHARSET x ALL\r\n", "h NO [BADCHARSET (US-ASCII UTF-8)] %\r\n"}, {"i SELECT {300000}\r\n", "i BAD [TOOBIG] %\r\n"},
        {"j UID REPLACE 9 INBOX {1}\r\n", "j NO [NONEXISTENT] %\r\n"}, {"k APPEND INBOX {99999999999}\r\n", "k NO [TOOBIG] %\r\n"}, {"l APPEND INBOX {0}\r\n", "l NO [CANNOT] %\r\n"},
        {"m APPEND INBOX CATENATE (URL x)\r\n", "m NO [BADURL x] %\r\n"}, {"n UID SEARCH RETURN (SAVE) ALL\r\n", "n OK Done\r\n"}, {"o SEARCH RETURN (SAVE) CHARSET x ALL\r\n", "o NO [BADCHARSET%] %\r\n"},
        {"p SEARCH $\r\n", "* SEARCH\r\np OK Done\r\n"}, {"q UID SEARCH RETURN (SAVE) ALL\r\n", "q OK Done\r\n"}, {"r SEARCH RETURN (SAVE) NONSENSE\r\n", "r BAD %\r\n"}, {"s SEARCH $\r\n", "* SEARCH 1 2\r\ns OK Done\r\n"});
    world_directory_answers = true;
    imap_world_restart();
    client_open(0);
    world_quota_messages = 2;
    CONVERSE(0, {"a APPEND INBOX {1}\r\n", "a NO [OVERQUOTA] %\r\n"}, {"b SELECT INBOX\r\n", SELECTED "b OK %\r\n"}, {"c COPY 1 Sent\r\n", "c NO [OVERQUOTA] %\r\n"});
}

/* Names come in another form than they are kept in: OLDNAME tells (RFC 9051, sections 6.3.2 to 6.3.6). u + diaeresis is u-umlaut. */
static void old_names(void **state)
{
    (void)state;
    CONVERSE(0, {"a CREATE \"u&Awg-\"\r\n", "a OK [%] Created\r\n"}, {"b ENABLE IMAP4rev2\r\n", "* ENABLED IMAP4rev2\r\nb OK Enabled\r\n"},
        {"c CREATE \"o\xcc\x88\"\r\n", "* LIST () \"/\" \"\xc3\xb6\" (\"OLDNAME\" (\"o\xcc\x88\"))\r\nc OK [%] Created\r\n"}, {"d CREATE plain\r\n", "d OK [%] Created\r\n"},
        {"e SELECT inbox\r\n", "%\r\n%\r\n* 2 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n* LIST () \"/\" INBOX (\"OLDNAME\" (inbox))\r\ne OK [READ-WRITE] %\r\n"},
        {"f SELECT INBOX\r\n", "* OK [CLOSED] %\r\n%\r\n%\r\n* 2 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n* LIST () \"/\" INBOX\r\nf OK [READ-WRITE] %\r\n"},
        {"g RENAME plain \"a\xcc\x88\"\r\n", "* LIST () \"/\" \"\xc3\xa4\" (\"OLDNAME\" (plain))\r\ng OK Done\r\n"},
        {"h RENAME \"a\xcc\x88\" plain\r\n", "* LIST () \"/\" plain (\"OLDNAME\" (\"a\xcc\x88\"))\r\nh OK Done\r\n"}, {"i RENAME plain other\r\n", "i OK Done\r\n"},
        {"l APPEND \"u\xcc\x88\" {1+}\r\nx\r\n", "* LIST () \"/\" \"\xc3\xbc\" (\"OLDNAME\" (\"u\xcc\x88\"))\r\nl OK [APPENDUID % 1] Stored\r\n"},
        {"m APPEND other {1+}\r\nx\r\n", "m OK [APPENDUID % 1] Stored\r\n"}, {"n APPEND \"y\xcc\x88\" {1+}\r\nx\r\n", "n NO [TRYCREATE] %\r\n"},
        {"j DELETE \"u\xcc\x88\"\r\n", "* LIST (\\NonExistent) \"/\" \"\xc3\xbc\" (\"OLDNAME\" (\"u\xcc\x88\"))\r\nj OK Done\r\n"}, {"k DELETE other\r\n", "k OK Done\r\n"});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(of_mailboxes), TEST(of_messages), TEST(old_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
