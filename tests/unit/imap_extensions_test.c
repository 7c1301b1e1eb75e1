/* IMAP: extensions that change how the others speak: UIDONLY, INPROGRESS. And what is offered. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_extensions_test");
    world_fill(5);
    client_open(0);
    return 0;
}

#define UIDS_ONLY {"u ENABLE UIDONLY\r\n", "* ENABLED UIDONLY\r\nu OK Enabled\r\n"}

static void offered(void **state)
{
    (void)state;
    CONVERSE(0, {"a CAPABILITY\r\n", "* CAPABILITY IMAP4rev2 IMAP4rev1 % PARTIAL % REPLACE % UIDONLY INPROGRESS % APPENDLIMIT=52428800\r\na OK %\r\n"},
        {"b STATUS INBOX (APPENDLIMIT DELETED DELETED-STORAGE)\r\n", "* STATUS INBOX (DELETED 0 DELETED-STORAGE 0 APPENDLIMIT 52428800)\r\nb OK Done\r\n"},
        {"c LIST \"\" INBOX RETURN (STATUS (APPENDLIMIT DELETED))\r\n", "* LIST (\\HasNoChildren) \"/\" INBOX\r\n* STATUS INBOX (DELETED 0 APPENDLIMIT 52428800)\r\nc OK Done\r\n"},
        SELECT_INBOX, {"d STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\n", "d OK Done\r\n"},
        {"e STATUS INBOX (DELETED)\r\n", "* STATUS INBOX (DELETED 2)\r\ne OK Done\r\n"}, {"f EXPUNGE\r\n", "* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nf OK Done\r\n"},
        {"g STATUS INBOX (DELETED DELETED-STORAGE)\r\n", "* STATUS INBOX (DELETED 0 DELETED-STORAGE 0)\r\ng OK Done\r\n"});
}

/* Whatever names messages by number is refused, and leaves the session usable. */
static void numbers_are_refused(void **state)
{
    (void)state;
    CONVERSE(0, UIDS_ONLY, {"v ENABLE UIDONLY\r\n", "* ENABLED\r\nv OK Enabled\r\n"},
        {"s SELECT INBOX\r\n", "%\r\n%\r\n* 5 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %] %\r\n%\r\n%\r\n%\r\ns OK [READ-WRITE] Selected\r\n"},
        {"a FETCH 1 FLAGS\r\n", "a BAD [UIDREQUIRED] %\r\n"}, {"b STORE 1 FLAGS ()\r\n", "b BAD [UIDREQUIRED] %\r\n"},
        {"c SEARCH ALL\r\n", "c BAD [UIDREQUIRED] %\r\n"}, {"d COPY 1 Sent\r\n", "d BAD [UIDREQUIRED] %\r\n"}, {"e MOVE 1 Sent\r\n", "e BAD [UIDREQUIRED] %\r\n"},
        {"f SORT (DATE) UTF-8 ALL\r\n", "f BAD [UIDREQUIRED] %\r\n"}, {"g THREAD REFERENCES UTF-8 ALL\r\n", "g BAD [UIDREQUIRED] %\r\n"},
        {"h UID SEARCH 1:2\r\n", "h BAD [UIDREQUIRED] %\r\n"}, {"i UID SEARCH OR SEEN (NOT *)\r\n", "i BAD [UIDREQUIRED] %\r\n"},
        {"j UID SORT (DATE) UTF-8 1\r\n", "j BAD [UIDREQUIRED] %\r\n"}, {"k REPLACE 1 INBOX {3}\r\n", "k BAD [UIDREQUIRED] %\r\n"},
        {"l REPLACE 1 INBOX {3+}\r\nabc\r\nm NOOP\r\n", "l BAD [UIDREQUIRED] %\r\nm OK Done\r\n"},
        {"n ENABLE QRESYNC\r\n", "* ENABLED QRESYNC\r\n%\r\nn OK Enabled\r\n"}, {"o SELECT INBOX (QRESYNC (1 5 1:3 (1 1)))\r\n", "o BAD [UIDREQUIRED] %\r\n"},
        {"p UID SEARCH RETURN (SAVE) UID 2:3\r\n", "p OK Done\r\n"}, {"q UID SEARCH $\r\n", "* SEARCH 2 3\r\nq OK Done\r\n"}, {"r UID FETCH $ UID\r\n", "* 2 UIDFETCH (UID 2)\r\n* 3 UIDFETCH (UID 3)\r\nr OK Done\r\n"});
}

static void uids_only(void **state)
{
    (void)state;
    client_open(1);
    CONVERSE(0, UIDS_ONLY, {"s SELECT INBOX\r\n", "%\r\n%\r\n* 5 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK [READ-WRITE] Selected\r\n"},
        {"a UID STORE 2 +FLAGS (\\Deleted)\r\n", "* 2 UIDFETCH (FLAGS (\\Deleted))\r\na OK Done\r\n"}, {"b EXPUNGE\r\n", "* VANISHED 2\r\nb OK Done\r\n"},
        {"c UID FETCH 1:3 (FLAGS RFC822.SIZE)\r\n", "* 1 UIDFETCH (FLAGS () RFC822.SIZE %)\r\n* 3 UIDFETCH (FLAGS () RFC822.SIZE %)\r\nc OK Done\r\n"},
        {"d UID FETCH 5 BODY.PEEK[HEADER.FIELDS (SUBJECT)]\r\n", "* 5 UIDFETCH (BODY[HEADER.FIELDS (SUBJECT)] {15}\r\nSubject: m5\r\n\r\n)\r\nd OK Done\r\n"},
        {"e UID SEARCH ALL\r\n", "* SEARCH 1 3 4 5\r\ne OK Done\r\n"}, {"f UID MOVE 3 Sent\r\n", "* OK [COPYUID % 3 1] Moved\r\n* VANISHED 3\r\nf OK Done\r\n"},
        {"g UID REPLACE 4 INBOX {3+}\r\nabc\r\n", "* OK [APPENDUID % 6] Stored\r\n* VANISHED 4\r\n* 3 EXISTS\r\ng OK Done\r\n"});
    CONVERSE(1, SELECT_INBOX, {"a STORE 1 +FLAGS (\\Seen)\r\n", "* 1 FETCH (FLAGS (\\Seen))\r\na OK Done\r\n"},
        {"b UID STORE 5 +FLAGS.SILENT (\\Deleted)\r\n", "b OK Done\r\n"}, {"c UID EXPUNGE 5\r\n", "* 2 EXPUNGE\r\nc OK Done\r\n"});
    CONVERSE(0, {"h NOOP\r\n", "* VANISHED 5\r\n* 1 UIDFETCH (FLAGS (\\Seen))\r\nh OK Done\r\n"}, {"i ENABLE CONDSTORE\r\n", "* ENABLED CONDSTORE\r\n%\r\ni OK Enabled\r\n"},
        {"j UID STORE 1 (UNCHANGEDSINCE 1) -FLAGS (\\Seen)\r\n", "j OK [MODIFIED 1] %\r\n"},
        {"k UID STORE 1 -FLAGS (\\Seen)\r\n", "* 1 UIDFETCH (FLAGS () MODSEQ (%))\r\nk OK Done\r\n"}, {"l IDLE\r\n", "+ idling\r\n"});
    client_expect(1, "d STORE 1 +FLAGS (\\Flagged)\r\n", "* 1 FETCH (FLAGS (\\Flagged))\r\nd OK Done\r\n");
    CONVERSE(0, {"DONE\r\n", "* 1 UIDFETCH (FLAGS (\\Flagged) MODSEQ (%))\r\nl OK Idle is over\r\n"});
}

/* Every turn does as little as it can and takes eleven seconds. */
static void slowly(const char *say, const char *expected)
{
    struct str got;

    world_tick = 2000;
    client_say(0, say);
    while (sessions_ready(world_sessions)) {
        world_turn();
        world_later(11000000);
    }
    world_tick = 0;
    world_flush();
    got = client_got(0);
    if (!text_matches(str_of(expected), got))
        world_expected(say, str_of(expected), got);
}

static void progress(void **state)
{
    (void)state;
    CONVERSE(0, SELECT_INBOX);
    slowly("a SEARCH BODY nothing\r\n", "* OK [INPROGRESS (\"a\" 4 5)] %\r\n* SEARCH\r\na OK Done\r\n");
    slowly("b]c UID SORT (SUBJECT) UTF-8 SUBJECT m\r\n", "* OK [INPROGRESS (NIL 4 10)] %\r\n* OK [INPROGRESS (NIL 6 10)] %\r\n* OK [INPROGRESS (NIL 9 10)] %\r\n* SORT 1 2 3 4 5\r\nb]c OK Done\r\n");
    for (int i = 0; i < 7; i++) /* many are changed at a time */
        client_expect(0, "d COPY 1:* INBOX\r\n", "* % EXISTS\r\nd OK [COPYUID %] Done\r\n");
    slowly("d\\e COPY 1:640 Sent\r\n", "* OK [INPROGRESS (\"d\\\\e\" % 640)] %\r\n* OK [INPROGRESS (\"d\\\\e\" % 640)] %\r\nd\\e OK [COPYUID % 1:640 1:640] Done\r\n");
    slowly("f STORE 1:640 +FLAGS.SILENT (\\Deleted)\r\n", "* OK [INPROGRESS (\"f\" % 640)] %\r\n* OK [INPROGRESS (\"f\" % 640)] %\r\nf OK Done\r\n");
    slowly("g NOOP\r\n", "g OK Done\r\n");
    client_expect(0, "h SEARCH BODY nothing\r\n", "* SEARCH\r\nh OK Done\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(offered),
        TEST(numbers_are_refused),
        TEST(uids_only),
        TEST(progress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
