/* IMAP: nothing is told that is undone later. One client's change waits for its commit; another asks; the answer waits too, and is
 * that of after the commit, or of before when the transaction is rolled back. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    const char *change, *ask;
    const char *undone, *done; /* the answer */
    bool at_once;              /* it does not wait: `undone` is what it says anyway */
} questions[] = {
    {"STORE 2 +FLAGS.SILENT (\\Flagged)", "FETCH 2 FLAGS", "* 2 FETCH (FLAGS ())\r\nq OK Done\r\n", "* 2 FETCH (FLAGS (\\Flagged))\r\n%\r\nq OK Done\r\n", false},
    {"STORE 2 +FLAGS.SILENT (\\Flagged)", "UID FETCH 2:3 (FLAGS)", "* 2 FETCH (UID 2 FLAGS ())\r\n* 3 FETCH (UID 3 FLAGS ())\r\nq OK Done\r\n", NULL, false},
    {"STORE 2 +FLAGS.SILENT (\\Flagged)", "FETCH 2 RFC822.SIZE", "* 2 FETCH (RFC822.SIZE 108)\r\nq OK Done\r\n", NULL, true},
    {"STORE 2 +FLAGS.SILENT (\\Flagged)", "SEARCH FLAGGED", "* SEARCH\r\nq OK Done\r\n", "* SEARCH 2\r\n%\r\nq OK Done\r\n", false},
    {"STORE 2 +FLAGS.SILENT (word)", "SEARCH KEYWORD word", "* SEARCH\r\nq OK Done\r\n", "* SEARCH 2\r\n%\r\n%\r\n%\r\nq OK Done\r\n", false},
    {"STORE 2 +FLAGS.SILENT (\\Flagged)", "SORT (DATE) US-ASCII FLAGGED", "* SORT\r\nq OK Done\r\n", "* SORT 2\r\n%\r\nq OK Done\r\n", false},
    {"STORE 2 +FLAGS.SILENT (\\Flagged)", "THREAD REFERENCES US-ASCII FLAGGED", "* THREAD\r\nq OK Done\r\n", "* THREAD (2)\r\n%\r\nq OK Done\r\n", false},
    {"STORE 2 +FLAGS.SILENT (\\Flagged)", "NOOP", "q OK Done\r\n", NULL, true},
    {"UID EXPUNGE 1", "FETCH 1:* UID", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\nq OK Done\r\n",
        "* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\nq OK [EXPUNGEISSUED] Done\r\n", false},
    {"UID MOVE 1 Sent", "FETCH 1:* UID", "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\nq OK Done\r\n",
        "* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\nq OK [EXPUNGEISSUED] Done\r\n", false},
    {"UID EXPUNGE 1", "SEARCH TEXT text", "* SEARCH 1 2 3\r\nq OK Done\r\n", "* SEARCH 2 3\r\nq OK [EXPUNGEISSUED] Done\r\n", false},
    {"UID EXPUNGE 1", "SEARCH ALL", "* SEARCH 1 2 3\r\nq OK Done\r\n", NULL, true},
    {"UID EXPUNGE 1", "SORT (DATE) US-ASCII ALL", "* SORT 1 2 3\r\nq OK Done\r\n", NULL, false},
    {"UID EXPUNGE 1", "STATUS INBOX (MESSAGES DELETED)", "* STATUS INBOX (MESSAGES 3 DELETED 1)\r\nq OK Done\r\n", NULL, true},
    {"UID EXPUNGE 1", "GETQUOTA \"\"", "* QUOTA \"\" (MESSAGE 3 100)\r\nq OK Done\r\n", NULL, true},
    {"COPY 1:3 INBOX", "STATUS INBOX (MESSAGES UIDNEXT)", "* STATUS INBOX (MESSAGES 3 UIDNEXT 4)\r\nq OK Done\r\n", NULL, true},
    {"CREATE new", "STATUS new (MESSAGES)", "q NO [NONEXISTENT] %\r\n", "* STATUS new (MESSAGES 0)\r\nq OK Done\r\n", false},
    {"CREATE new", "SELECT new", "q NO [NONEXISTENT] %\r\n", NULL, false},
    {"CREATE new", "LIST \"\" n*", "q OK Done\r\n", "* LIST (\\HasNoChildren) \"/\" new\r\nq OK Done\r\n", false},
    {"CREATE new", "CREATE new", "q OK [MAILBOXID (%)] Created\r\n", "q NO [ALREADYEXISTS] %\r\n", false},
    {"DELETE Junk", "LIST \"\" J*", "* LIST (\\HasNoChildren \\Junk) \"/\" Junk\r\nq OK Done\r\n", "q OK Done\r\n", false},
    {"RENAME Junk Spam", "STATUS Junk (MESSAGES)", "* STATUS Junk (MESSAGES 0)\r\nq OK Done\r\n", "q NO [NONEXISTENT] %\r\n", false},
    {"SUBSCRIBE new", "LSUB \"\" n*", "q OK Done\r\n", "* LSUB () \"/\" new\r\nq OK Done\r\n", false},
    {"STORE 2 +FLAGS.SILENT (word)", "EXAMINE INBOX",
        "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)\r\n%\r\n* 3 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\nq OK %\r\n", NULL, true},
};

static void say(unsigned c, const char *tag, const char *command)
{
    client_say(c, tag);
    client_say(c, command);
    client_say(c, "\r\n");
    world_run();
}

static void begin(size_t i)
{
    imap_world_open("imap_undone_test");
    world_quota_messages = 100;
    world_fill(3);
    client_open(0);
    client_open(1);
    client_say(0, "s SELECT INBOX\r\n");
    client_say(1, "s SELECT INBOX\r\nd STORE 1 +FLAGS.SILENT (\\Deleted)\r\n");
    world_flush();
    client_say(0, "n NOOP\r\n");
    world_flush();
    (void)client_got(0);
    (void)client_got(1);
    say(1, "c ", questions[i].change);
    assert_int_equal(client_got(1).n, 0);
    say(0, "q ", questions[i].ask);
}

static void fails(void)
{
    struct err err = {0};

    err_set(&err, ERR_TEMPORARY, "somebody's storage failed");
    box_fail(world_box(), &err);
}

static void expect(size_t i, const char *expected)
{
    struct str got = client_got(0);

    if (expected != NULL && !text_matches(str_of(expected), got))
        world_expected(questions[i].ask, str_of(expected), got);
    assert_true(got.n > 0);
}

static void the_change_is_undone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        begin(i);
        if (!questions[i].at_once && imap_clients[0].got.n > 0)
            world_expected(questions[i].ask, STR(""), client_got(0));
        fails();
        world_flush();
        expect(i, questions[i].undone);
        assert_int_equal(imap_world_close(), 0);
    }
}

static void the_change_is_made(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        begin(i);
        world_flush();
        expect(i, questions[i].at_once ? NULL : questions[i].done);
        assert_int_equal(imap_world_close(), 0);
    }
}

/* Two clients change the same message in one transaction after the other's: each is told what it is on disk. */
static void what_a_store_says_is_on_disk(void **state)
{
    (void)state;
    imap_world_open("imap_undone_test");
    world_fill(1);
    client_open(0);
    client_open(1);
    client_say(0, "s SELECT INBOX\r\n");
    client_say(1, "s SELECT INBOX\r\n");
    world_flush();
    (void)client_got(0);
    (void)client_got(1);
    client_say(1, "a STORE 1 +FLAGS.SILENT (\\Seen)\r\nb STORE 1 +FLAGS.SILENT (\\Flagged)\r\n");
    client_say(0, "c STORE 1 +FLAGS (\\Answered)\r\n");
    world_run();
    boxes_finish(world_boxes); /* a and c */
    world_run();               /* b is made before the answer to c */
    assert_int_equal(client_got(0).n, 0);
    fails();
    world_flush();
    assert_true(text_matches(STR("* 1 FETCH (FLAGS (\\Seen \\Answered))\r\nc OK Done\r\n"), client_got(0)));
    assert_int_equal(imap_world_close(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_change_is_undone), cmocka_unit_test(the_change_is_made),
        cmocka_unit_test(what_a_store_says_is_on_disk)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
