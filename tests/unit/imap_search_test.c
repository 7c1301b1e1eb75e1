/* IMAP: SEARCH, ESEARCH, SEARCHRES. (SORT and THREAD have tests of their own.) */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_search_test");
    world_fill(5);
    client_open(0);
    CONVERSE(0, SELECT_INBOX, {"a STORE 1,3 +FLAGS.SILENT (\\Seen k)\r\n", "* FLAGS (%)\r\n%\r\na OK Done\r\n"},
        {"b STORE 2 +FLAGS.SILENT (\\Deleted)\r\n", "b OK Done\r\n"}, {"c UID EXPUNGE 2\r\n", "* 2 EXPUNGE\r\nc OK Done\r\n"});
    return 0; /* uids 1 3 4 5 */
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

/* What a program costs was asked of each key twice at each level: with fifty levels it never ended. */
static void nested_deeply(void **state)
{
    char say[400], or[1000];
    int n = snprintf(say, sizeof say, "a SEARCH"), m = snprintf(or, sizeof or, "b SEARCH");

    (void)state;
    for (int i = 0; i < 48; i++) {
        n += snprintf(say + n, sizeof say - (size_t)n, " NOT");
        m += snprintf(or + m, sizeof or - (size_t)m, "%s", i % 2 == 0 ? " OR SEEN" : " NOT");
    }
    snprintf(say + n, sizeof say - (size_t)n, " BODY \"text of 4\"\r\n");
    snprintf(or + m, sizeof or - (size_t)m, " BODY \"text of 4\"\r\n");
    client_expect(0, say, "* SEARCH 3\r\na OK Done\r\n");
    client_expect(0, or, "* SEARCH 1 2 3\r\nb OK Done\r\n");
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

/* RFC 9394; uids 1 3 4 5. */
static void partial(void **state)
{
    (void)state;
    CONVERSE(0, {"a UID SEARCH RETURN (PARTIAL 1:2) ALL\r\n", "* ESEARCH (TAG \"a\") UID PARTIAL (1:2 1,3)\r\na OK Done\r\n"},
        {"b SEARCH RETURN (PARTIAL -1:-2 COUNT) ALL\r\n", "* ESEARCH (TAG \"b\") PARTIAL (-1:-2 3:4) COUNT 4\r\nb OK Done\r\n"},
        {"c SEARCH RETURN (PARTIAL -3:-2) ALL\r\n", "* ESEARCH (TAG \"c\") PARTIAL (-3:-2 2:3)\r\nc OK Done\r\n"},
        {"d SEARCH RETURN (PARTIAL 9:3) ALL\r\n", "* ESEARCH (TAG \"d\") PARTIAL (9:3 3:4)\r\nd OK Done\r\n"},
        {"e SEARCH RETURN (PARTIAL 5:9) ALL\r\n", "* ESEARCH (TAG \"e\") PARTIAL (5:9 NIL)\r\ne OK Done\r\n"},
        {"f SEARCH RETURN (PARTIAL -5:-9) ALL\r\n", "* ESEARCH (TAG \"f\") PARTIAL (-5:-9 NIL)\r\nf OK Done\r\n"},
        {"g SEARCH RETURN (PARTIAL 1:2) SUBJECT nothing\r\n", "* ESEARCH (TAG \"g\") PARTIAL (1:2 NIL)\r\ng OK Done\r\n"},
        {"h SEARCH RETURN (PARTIAL 4294967295:4294967295) ALL\r\n", "* ESEARCH (TAG \"h\") PARTIAL (4294967295:4294967295 NIL)\r\nh OK Done\r\n"},
        {"i SEARCH RETURN (PARTIAL 0:2) ALL\r\n", "i BAD %\r\n"}, {"j SEARCH RETURN (PARTIAL -1:2) ALL\r\n", "j BAD %\r\n"},
        {"k SEARCH RETURN (PARTIAL 1:2 ALL) ALL\r\n", "k BAD %\r\n"}, {"l SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL\r\n", "l BAD %\r\n"},
        {"m SEARCH RETURN (PARTIAL 1:*) ALL\r\n", "m BAD %\r\n"}, {"n SEARCH RETURN (PARTIAL) ALL\r\n", "n BAD %\r\n"},
        {"o UID SORT RETURN (PARTIAL 1:3) (REVERSE SUBJECT) UTF-8 ALL\r\n", "* ESEARCH (TAG \"o\") UID PARTIAL (1:3 5,4,3)\r\no OK Done\r\n"});
    world_tick = 2000;
    CONVERSE(0, {"p UID SEARCH RETURN (MAX PARTIAL 1:3) ALL\r\n", "* ESEARCH (TAG \"p\") UID MAX 5 PARTIAL (1:3 1,3:4)\r\np OK Done\r\n"});
    world_tick = 0;
}

/* What "$" is afterwards: RFC 9394, section 3.2. */
static void partial_saved(void **state)
{
    (void)state;
    CONVERSE(0, {"a UID SEARCH RETURN (SAVE PARTIAL 2:3) ALL\r\n", "* ESEARCH (TAG \"a\") UID PARTIAL (2:3 3:4)\r\na OK Done\r\n"},
        {"b UID SEARCH $\r\n", "* SEARCH 3 4\r\nb OK Done\r\n"}, {"c UID SEARCH RETURN (SAVE PARTIAL 2:2 MIN) ALL\r\n", "* ESEARCH (TAG \"c\") UID MIN 1 PARTIAL (2:2 3)\r\nc OK Done\r\n"},
        {"d UID SEARCH $\r\n", "* SEARCH 1 3\r\nd OK Done\r\n"}, {"e UID SEARCH RETURN (SAVE PARTIAL 2:2 MIN MAX) ALL\r\n", "* ESEARCH (TAG \"e\") UID MIN 1 MAX 5 PARTIAL (2:2 3)\r\ne OK Done\r\n"},
        {"f UID SEARCH $\r\n", "* SEARCH 1 3 5\r\nf OK Done\r\n"}, {"g UID SEARCH RETURN (SAVE PARTIAL 2:2 COUNT MIN) ALL\r\n", "* ESEARCH (TAG \"g\") UID MIN 1 PARTIAL (2:2 3) COUNT 4\r\ng OK Done\r\n"},
        {"h UID SEARCH $\r\n", "* SEARCH 1 3 4 5\r\nh OK Done\r\n"}, {"i UID SEARCH RETURN (SAVE PARTIAL 9:10) ALL\r\n", "* ESEARCH (TAG \"i\") UID PARTIAL (9:10 NIL)\r\ni OK Done\r\n"},
        {"j UID SEARCH $\r\n", "* SEARCH\r\nj OK Done\r\n"});
}

static void partial_fetch(void **state)
{
    (void)state;
    CONVERSE(0, {"a UID FETCH 1:* (FLAGS) (PARTIAL 1:2)\r\n", "* 1 FETCH (UID 1 FLAGS (\\Seen k))\r\n* 2 FETCH (UID 3 FLAGS (\\Seen k))\r\na OK Done\r\n"},
        {"b UID FETCH 1:* (UID) (PARTIAL -2:-1)\r\n", "* 3 FETCH (UID 4)\r\n* 4 FETCH (UID 5)\r\nb OK Done\r\n"},
        {"c UID FETCH 3:4,5 (UID) (PARTIAL 3:2)\r\n", "* 3 FETCH (UID 4)\r\n* 4 FETCH (UID 5)\r\nc OK Done\r\n"},
        {"d UID FETCH 1:* (UID) (PARTIAL 5:6)\r\n", "d OK Done\r\n"}, {"e FETCH 1:* (UID) (PARTIAL 1:2)\r\n", "e BAD %\r\n"},
        {"f UID FETCH 1:* (UID) (PARTIAL 1:2 PARTIAL 1:2)\r\n", "f BAD %\r\n"}, {"g UID FETCH 1:* (UID) (PARTIAL 0:1)\r\n", "g BAD %\r\n"},
        {"h UID FETCH 1:* (UID) (PARTIAL -2:-1 CHANGEDSINCE 999999)\r\n", "* OK [HIGHESTMODSEQ %] %\r\nh OK Done\r\n"},
        {"i UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 PARTIAL 3:4)\r\n", "* 3 FETCH (UID 4 MODSEQ (%) FLAGS ())\r\n* 4 FETCH (UID 5 MODSEQ (%) FLAGS ())\r\ni OK Done\r\n"},
        {"j UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)]) (PARTIAL -1:-1)\r\n", "* 4 FETCH (UID 5 BODY[HEADER.FIELDS (SUBJECT)] {15}\r\nSubject: m5\r\n\r\n)\r\nj OK Done\r\n"});
}

static void in_many_turns(void **state)
{
    (void)state;
    world_tick = 2000;
    CONVERSE(0, {"a SEARCH TEXT text\r\n", "* SEARCH 1 2 3 4\r\na OK Done\r\n"}, {"b UID SEARCH RETURN (ALL) BODY of\r\n", "* ESEARCH (TAG \"b\") UID ALL 1,3:5\r\nb OK Done\r\n"},
        {"c SEARCH MODSEQ 1\r\n", "* OK [HIGHESTMODSEQ %] %\r\n* SEARCH 1 2 3 4 (MODSEQ %)\r\nc OK Done\r\n"});
    world_tick = WORLD_TICK;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys), TEST(nested_deeply),
        TEST(extended),
        TEST(partial),
        TEST(partial_saved),
        TEST(partial_fetch),
        TEST(in_many_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
