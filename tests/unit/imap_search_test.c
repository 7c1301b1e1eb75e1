/* IMAP: SEARCH, ESEARCH, SEARCHRES. (SORT and THREAD have tests of their own.) */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SELECTED "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK [READ-WRITE] Selected\r\n"

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_search_test");
    world_fill(5);
    client_open(0);
    CONVERSE(0, {"s SELECT INBOX\r\n", SELECTED}, {"a STORE 1,3 +FLAGS.SILENT (\\Seen k)\r\n", "* FLAGS (%)\r\n%\r\na OK Done\r\n"},
        {"b STORE 2 +FLAGS.SILENT (\\Deleted)\r\n", "b OK Done\r\n"}, {"c UID EXPUNGE 2\r\n", "* 2 EXPUNGE\r\nc OK Done\r\n"});
    return 0; /* uids 1 3 4 5 */
}

static int teardown(void **state)
{
    (void)state;
    return imap_world_close();
}

static void keys(void **state)
{
    (void)state;
    CONVERSE(0, {"a SEARCH ALL\r\n", "* SEARCH 1 2 3 4\r\na OK Done\r\n"}, {"b UID SEARCH ALL\r\n", "* SEARCH 1 3 4 5\r\nb OK Done\r\n"},
        {"c SEARCH SEEN\r\n", "* SEARCH 1 2\r\nc OK Done\r\n"}, {"d SEARCH UNSEEN 2:3\r\n", "* SEARCH 3\r\nd OK Done\r\n"},
        {"e SEARCH KEYWORD K\r\n", "* SEARCH 1 2\r\ne OK Done\r\n"}, {"f SEARCH UID 3:4\r\n", "* SEARCH 2 3\r\nf OK Done\r\n"},
        {"g SEARCH OR SUBJECT m1 SUBJECT M5\r\n", "* SEARCH 1 4\r\ng OK Done\r\n"}, {"h SEARCH NOT (SEEN OR SUBJECT m4 SUBJECT nothing)\r\n", "* SEARCH 1 2 3 4\r\nh OK Done\r\n"},
        {"i SEARCH BODY \"text of 4\"\r\n", "* SEARCH 3\r\ni OK Done\r\n"}, {"j SEARCH TEXT far.example\r\n", "* SEARCH 1 2 3 4\r\nj OK Done\r\n"},
        {"k SEARCH CHARSET UTF-8 FROM {1+}\r\ns\r\n", "* SEARCH 1 2 3 4\r\nk OK Done\r\n"}, {"l SEARCH CHARSET KLINGON ALL\r\n", "l NO [BADCHARSET%] %\r\n"},
        {"m SEARCH\r\n", "m BAD %\r\n"}, {"n SEARCH NONSENSE\r\n", "n BAD %\r\n"}, {"o SEARCH NOT\r\n", "o BAD %\r\n"}, {"p SEARCH (ALL\r\n", "p BAD %\r\n"},
        {"q SEARCH SINCE 1-Jan-2020 SMALLER 100000 LARGER 3\r\n", "* SEARCH 1 2 3 4\r\nq OK Done\r\n"}, {"r SEARCH BEFORE 1-Jan-2020\r\n", "* SEARCH\r\nr OK Done\r\n"},
        {"s SEARCH YOUNGER 10000\r\n", "* SEARCH 1 2 3 4\r\ns OK Done\r\n"}, {"t SEARCH HEADER X-None \"\"\r\n", "* SEARCH\r\nt OK Done\r\n"},
        {"u SEARCH 9:12\r\n", "* SEARCH\r\nu OK Done\r\n"}, {"v SEARCH HEADER SUBJECT \"\"\r\n", "* SEARCH 1 2 3 4\r\nv OK Done\r\n"});
}

static void extended(void **state)
{
    (void)state;
    CONVERSE(0, {"a SEARCH RETURN (MIN MAX COUNT ALL) ALL\r\n", "* ESEARCH (TAG \"a\") MIN 1 MAX 4 ALL 1:4 COUNT 4\r\na OK Done\r\n"},
        {"b UID SEARCH RETURN () UNSEEN\r\n", "* ESEARCH (TAG \"b\") UID ALL 4:5\r\nb OK Done\r\n"},
        {"c SEARCH RETURN (COUNT) DELETED\r\n", "* ESEARCH (TAG \"c\") COUNT 0\r\nc OK Done\r\n"}, {"d SEARCH RETURN (MIN) DELETED\r\n", "* ESEARCH (TAG \"d\")\r\nd OK Done\r\n"},
        {"e SEARCH RETURN (NONSENSE) ALL\r\n", "e BAD %\r\n"}, {"f UID SEARCH RETURN (SAVE) SEEN\r\n", "f OK Done\r\n"},
        {"g FETCH $ UID\r\n", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 3)\r\ng OK Done\r\n"}, {"h SEARCH $ SUBJECT m3\r\n", "* SEARCH 2\r\nh OK Done\r\n"},
        {"i SEARCH RETURN (SAVE MIN) UNSEEN\r\n", "* ESEARCH (TAG \"i\") MIN 3\r\ni OK Done\r\n"}, {"j UID FETCH $ FLAGS\r\n", "* 3 FETCH (UID 4 FLAGS ())\r\nj OK Done\r\n"},
        {"k SEARCH RETURN (SAVE) UID 4:5\r\n", "k OK Done\r\n"}, {"l UID STORE $ +FLAGS.SILENT (\\Deleted)\r\n", "l OK Done\r\n"}, {"m UID EXPUNGE $\r\n", "* 4 EXPUNGE\r\n* 3 EXPUNGE\r\nm OK Done\r\n"},
        {"n FETCH $ UID\r\n", "n OK Done\r\n"}, {"o ENABLE IMAP4rev2\r\n", "* ENABLED IMAP4rev2\r\no OK Enabled\r\n"}, {"p SEARCH ALL\r\n", "* ESEARCH (TAG \"p\") ALL 1:2\r\np OK Done\r\n"},
        {"q SEARCH RETURN (SAVE) ALL\r\n", "q OK Done\r\n"}, {"r COPY $ Sent\r\n", "r OK [COPYUID % 1,3 1:2] Done\r\n"}, {"s MOVE $ Sent\r\n", "* OK [COPYUID % 1,3 3:4] Moved\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\ns OK Done\r\n"});
}

static void in_many_turns(void **state)
{
    (void)state;
    world_tick = 2000;
    CONVERSE(0, {"a SEARCH TEXT text\r\n", "* SEARCH 1 2 3 4\r\na OK Done\r\n"}, {"b UID SEARCH RETURN (ALL) BODY of\r\n", "* ESEARCH (TAG \"b\") UID ALL 1,3:5\r\nb OK Done\r\n"},
        {"c SEARCH MODSEQ 1\r\n", "* OK [HIGHESTMODSEQ %] %\r\n* SEARCH 1 2 3 4 (MODSEQ %)\r\nc OK Done\r\n"});
    world_tick = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys),
        TEST(extended),
        TEST(in_many_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
