/* IMAP: STORE, EXPUNGE, COPY, MOVE, CLOSE. */
#include "imap_world.h"
#include "roles/mailbox/store_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_change_test");
    world_fill(5);
    client_open(0);
    client_select(0);
    return 0;
}

static void store_flags(void **state)
{
    (void)state;
    CONVERSE(0, {"a STORE 1 FLAGS (\\Seen \\Flagged)\r\n", "* 1 FETCH (FLAGS (\\Seen \\Flagged))\r\na OK Done\r\n"},
        {"b STORE 1:2 +FLAGS \\Answered\r\n", "* 1 FETCH (FLAGS (\\Seen \\Answered \\Flagged))\r\n* 2 FETCH (FLAGS (\\Answered))\r\nb OK Done\r\n"},
        {"c STORE 1 -FLAGS.SILENT (\\Seen)\r\n", "c OK Done\r\n"}, {"d FETCH 1 FLAGS\r\n", "* 1 FETCH (FLAGS (\\Answered \\Flagged))\r\nd OK Done\r\n"},
        {"e UID STORE 5 FLAGS (\\Draft)\r\n", "* 5 FETCH (UID 5 FLAGS (\\Draft))\r\ne OK Done\r\n"},
        {"f UID STORE 9 FLAGS ()\r\n", "f OK Done\r\n"}, {"g STORE 6 FLAGS ()\r\n", "g BAD %\r\n"}, {"h STORE 5:9 FLAGS ()\r\n", "h BAD %\r\n"},
        {"i STORE 1 FLAGS (\\Recent)\r\n", "i BAD %\r\n"}, {"j STORE 1 FLAGS\r\n", "j BAD %\r\n"}, {"k STORE 1 FLAG (\\Seen)\r\n", "k BAD %\r\n"},
        {"l STORE 1:* FLAGS.SILENT ()\r\n", "l OK Done\r\n"}, {"m FETCH * FLAGS\r\n", "* 5 FETCH (FLAGS ())\r\nm OK Done\r\n"},
        {"n STORE 1 +FLAGS ()\r\n", "* 1 FETCH (FLAGS ())\r\nn OK Done\r\n"});
}

static void keywords(void **state)
{
    (void)state;
    CONVERSE(0, {"a STORE 1 +FLAGS ($Forwarded Work)\r\n",
            "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded Work)\r\n"
            "* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded Work \\*)] Flags\r\n"
            "* 1 FETCH (FLAGS ($Forwarded Work))\r\na OK Done\r\n"},
        {"b STORE 1 +FLAGS (work \\Seen)\r\n", "* 1 FETCH (FLAGS (\\Seen $Forwarded Work))\r\nb OK Done\r\n"},
        {"c STORE 1 -FLAGS (WORK Unknown)\r\n", "* 1 FETCH (FLAGS (\\Seen $Forwarded))\r\nc OK Done\r\n"},
        {"d SEARCH KEYWORD $forwarded\r\n", "* SEARCH 1\r\nd OK Done\r\n"}, {"e SEARCH UNKEYWORD nothing\r\n", "* SEARCH 1 2 3 4 5\r\ne OK Done\r\n"},
        {"f COPY 1 Sent\r\n", "f OK [COPYUID % 1 1] Done\r\n"}, {"s SELECT Sent\r\n",
            "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded)\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n"},
        {"g FETCH 1 FLAGS\r\n", "* 1 FETCH (FLAGS (\\Seen $Forwarded))\r\ng OK Done\r\n"});
    for (int i = 0; i < 100; i++) {
        char line[100];

        snprintf(line, sizeof line, "k STORE 1 +FLAGS.SILENT (k%d)\r\n", i);
        client_expect(0, line, "* FLAGS (%)\r\n%\r\nk OK Done\r\n");
    }
    CONVERSE(0, {"h SEARCH KEYWORD k99\r\n", "* SEARCH 1\r\nh OK Done\r\n"}, {"i COPY 1 Junk\r\n", "i OK [COPYUID % 1 1] Done\r\n"},
        {"j STORE 1 FLAGS (k98)\r\n", "* 1 FETCH (FLAGS (k98))\r\nj OK Done\r\n"}, {"s EXAMINE Junk\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n"},
        {"l FETCH 1 FLAGS\r\n", "* 1 FETCH (FLAGS (\\Seen $Forwarded k0 % k99))\r\nl OK Done\r\n"});
}

static void expunge(void **state)
{
    (void)state;
    CONVERSE(0, {"a EXPUNGE\r\n", "a OK Done\r\n"}, {"b STORE 1,3,5 +FLAGS.SILENT (\\Deleted)\r\n", "b OK Done\r\n"},
        {"c UID EXPUNGE 2:3\r\n", "* 3 EXPUNGE\r\nc OK Done\r\n"}, {"d FETCH 1:* UID\r\n",
            "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 4)\r\n* 4 FETCH (UID 5)\r\nd OK Done\r\n"},
        {"e EXPUNGE\r\n", "* 4 EXPUNGE\r\n* 1 EXPUNGE\r\ne OK Done\r\n"}, {"f UID SEARCH ALL\r\n", "* SEARCH 2 4\r\nf OK Done\r\n"},
        {"g EXPUNGE 1\r\n", "g BAD %\r\n"}, {"h UID EXPUNGE\r\n", "h BAD %\r\n"}, {"i STORE 1 +FLAGS (\\Deleted)\r\n", "%\r\ni OK Done\r\n"},
        {"j CLOSE\r\n", "j OK Done\r\n"}, {"k STATUS INBOX (MESSAGES DELETED)\r\n", "* STATUS INBOX (MESSAGES 1 DELETED 0)\r\nk OK Done\r\n"},
        SELECT_INBOX, {"l STORE 1 +FLAGS (\\Deleted)\r\n", "%\r\nl OK Done\r\n"}, {"m UNSELECT\r\n", "m OK Unselected\r\n"},
        {"n STATUS INBOX (MESSAGES DELETED)\r\n", "* STATUS INBOX (MESSAGES 1 DELETED 1)\r\nn OK Done\r\n"});
}

static void copy(void **state)
{
    (void)state;
    CONVERSE(0, {"a COPY 1,3:4 Sent\r\n", "a OK [COPYUID % 1,3:4 1:3] Done\r\n"}, {"b COPY 1 nowhere\r\n", "b NO [TRYCREATE] %\r\n"},
        {"c COPY 9 Sent\r\n", "c BAD %\r\n"}, {"d UID COPY 9 Sent\r\n", "d OK Done\r\n"}, {"e COPY 1 INBOX\r\n", "* 6 EXISTS\r\ne OK [COPYUID % 1 6] Done\r\n"},
        {"f STATUS Sent (MESSAGES UIDNEXT UNSEEN)\r\n", "* STATUS Sent (MESSAGES 3 UIDNEXT 4 UNSEEN 3)\r\nf OK Done\r\n"},
        {"g FETCH 6 BODY.PEEK[TEXT]\r\n", "* 6 FETCH (BODY[TEXT] {12}\r\nText of 1.\r\n)\r\ng OK Done\r\n"});
}

static void move(void **state)
{
    (void)state;
    CONVERSE(0, {"a MOVE 2,4 Sent\r\n", "* OK [COPYUID % 2,4 1:2] Moved\r\n* 4 EXPUNGE\r\n* 2 EXPUNGE\r\na OK Done\r\n"},
        {"b UID MOVE 5 Sent\r\n", "* OK [COPYUID % 5 3] Moved\r\n* 3 EXPUNGE\r\nb OK Done\r\n"}, {"c MOVE 1 nowhere\r\n", "c NO [TRYCREATE] %\r\n"},
        {"d UID MOVE 5 Sent\r\n", "d OK Done\r\n"}, {"e MOVE 1 INBOX\r\n", "* OK [COPYUID % 1 6] Moved\r\n* 1 EXPUNGE\r\n* 2 EXISTS\r\ne OK Done\r\n"},
        {"f UID SEARCH ALL\r\n", "* SEARCH 3 6\r\nf OK Done\r\n"}, {"g ENABLE QRESYNC\r\n", "* ENABLED QRESYNC\r\n* OK [HIGHESTMODSEQ %] %\r\ng OK Enabled\r\n"},
        {"h MOVE 1:2 Sent\r\n", "* OK [COPYUID % 3,6 4:5] Moved\r\n* VANISHED 3,6\r\nh OK %\r\n"});
}

static void a_copy_over_the_quota_copies_nothing(void **state)
{
    (void)state;
    imap_world_restart();
    world_quota_messages = 7;
    client_open(0);
    CONVERSE(0, SELECT_INBOX, {"a COPY 1:3 Sent\r\n", "a NO [OVERQUOTA] %\r\n"},
        {"b STATUS Sent (MESSAGES)\r\n", "* STATUS Sent (MESSAGES 0)\r\nb OK Done\r\n"}, {"c COPY 1:2 Sent\r\n", "c OK [COPYUID %] Done\r\n"},
        {"d MOVE 1:2 Sent\r\n", "%\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\nd OK Done\r\n"});
}

/* Copies that take many turns each, beside each other and beside a delivery. */
static void copies_at_once_keep_within_the_quota(void **state)
{
    (void)state;
    imap_world_restart();
    world_quota_messages = 1200;
    world_fill(495); /* with the five that are there: 500 */
    world_tick = 2000;
    client_open(0);
    client_open(1);
    client_expect(0, "s SELECT INBOX\r\n", INBOX_SELECTED);
    client_expect(1, "s SELECT INBOX\r\n", INBOX_SELECTED);
    client_say(0, "a COPY 1:* Sent\r\n");
    client_say(1, "a COPY 1:* Trash\r\n");
    world_turn();
    world_turn();
    client_expect(0, "", "a OK [COPYUID %] Done\r\n");
    client_expect(1, "", "a NO [OVERQUOTA] %\r\n");
    CONVERSE(1, {"b COPY 1:200 Trash\r\n", "b OK [COPYUID %] Done\r\n"}, {"c COPY 1 Trash\r\n", "c NO [OVERQUOTA] %\r\n"},
        {"d STATUS Trash (MESSAGES)\r\n", "* STATUS Trash (MESSAGES 200)\r\nd OK Done\r\n"});
}

static void conditional_store(void **state)
{
    (void)state;
    client_open(1);
    CONVERSE(1, {"s SELECT INBOX (CONDSTORE)\r\n", INBOX_SELECTED},
        {"a STORE 2 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)\r\n", "a OK [MODIFIED 2] Some had been changed\r\n"},
        {"b STORE 2 +FLAGS (\\Seen)\r\n", "* 2 FETCH (FLAGS (\\Seen) MODSEQ (%))\r\nb OK Done\r\n"},
        {"c STORE 2 +FLAGS.SILENT (\\Flagged)\r\n", "* 2 FETCH (MODSEQ (%))\r\nc OK Done\r\n"},
        {"d UID STORE 1:3 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Answered)\r\n", "d OK [MODIFIED 1:3] Some had been changed\r\n"},
        {"e STORE 1 (UNCHANGEDSINCE 99999999) +FLAGS.SILENT (\\Answered)\r\n", "* 1 FETCH (MODSEQ (%))\r\ne OK Done\r\n"},
        {"f FETCH 1 (FLAGS) (CHANGEDSINCE 99999999)\r\n", "f OK Done\r\n"}, {"g SEARCH MODSEQ 1\r\n", "* SEARCH 1 2 3 4 5 (MODSEQ %)\r\ng OK Done\r\n"},
        {"h FETCH 1 MODSEQ\r\n", "* 1 FETCH (MODSEQ (%))\r\nh OK Done\r\n"}, {"i EXPUNGE\r\n", "i OK [HIGHESTMODSEQ %] Done\r\n"});
    client_expect(0, "b NOOP\r\n", "* 1 FETCH (FLAGS (\\Answered))\r\n* 2 FETCH (FLAGS (\\Seen \\Flagged))\r\nb OK Done\r\n");
}

/* A command that takes many turns: nobody sees a part of it; when its client goes, nothing of it is there. */
static void changes_in_many_turns(void **state)
{
    (void)state;
    client_open(1);
    client_select(1);
    world_tick = 2000; /* one portion in the first turn */
    client_say(0, "a STORE 1:* +FLAGS (\\Flagged)\r\n");
    world_turn();
    assert_int_equal(world_box()->held, 1);
    boxes_finish(world_boxes); /* it is held */
    client_say(1, "b NOOP\r\n");
    world_turn();
    assert_true(text_matches(STR("b OK Done\r\n"), client_got(1)));
    world_flush();
    assert_true(text_matches(STR("* 1 FETCH (%)\r\n* 2 FETCH (%)\r\n* 3 FETCH (%)\r\n* 4 FETCH (%)\r\n* 5 FETCH (%)\r\na OK Done\r\n"), client_got(0)));
    client_expect(1, "c NOOP\r\n", "* 1 FETCH (%)\r\n* 2 FETCH (%)\r\n* 3 FETCH (%)\r\n* 4 FETCH (%)\r\n* 5 FETCH (%)\r\nc OK Done\r\n");
    client_say(0, "d MOVE 1:* Sent\r\n");
    world_turn();
    assert_int_equal(world_box()->held, 1);
    client_close(0);
    world_flush();
    client_expect(1, "e NOOP\r\n", "* 5 EXPUNGE\r\n* 4 EXPUNGE\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\ne OK Done\r\n");
    client_expect(1, "f STATUS Sent (MESSAGES)\r\n", "* STATUS Sent (MESSAGES 5)\r\nf OK Done\r\n");
}

/* What one client cannot have does not undo what others have in the same transaction. */
static void too_many_keywords_are_one_clients_trouble(void **state)
{
    struct buf line;
    struct str got;

    (void)state;
    for (int i = 0; i <= STORE_KEYWORDS_MAX / 500; i++) {
        buf_init(&line, 64 * 1024);
        buf_addf(&line, "k%d STORE 1 +FLAGS.SILENT (", i);
        for (int k = 0; k < 500; k++)
            buf_addf(&line, "%skw%dx%d", k > 0 ? " " : "", i, k);
        buf_addf(&line, ")\r\n%c", 0);
        world_deliver(STR("A: b\r\n\r\nx\r\n"));
        client_say(0, line.p);
        world_flush();
        assert_true(str_ifind(client_got(0), i < STORE_KEYWORDS_MAX / 500 ? STR("OK Done") : STR("NO [LIMIT]")) >= 0);
        buf_clear(&line);
    }
    client_say(0, "b STATUS INBOX (MESSAGES)\r\n");
    world_flush();
    assert_true(str_ifind(client_got(0), STR("(MESSAGES 10)")) >= 0);
    client_open(1); /* it says so: no new one fits (RFC 9051, section 7.1) */
    client_say(1, "a SELECT INBOX\r\n");
    world_flush();
    got = client_got(1);
    assert_true(str_ifind(got, STR("[PERMANENTFLAGS (")) >= 0 && str_ifind(got, STR("\\*")) < 0);
    client_say(1, "b SELECT Sent\r\n");
    world_flush();
    assert_true(str_ifind(client_got(1), STR("\\*)]")) >= 0);
}

/* The connection is lost after any number of turns of any of these. */
static void the_client_goes_in_the_middle(void **state)
{
    static const char *const commands[] = {"a STORE 1:* +FLAGS (\\Seen k)\r\n", "a EXPUNGE\r\n", "a COPY 1:* Sent\r\n", "a MOVE 1:* Sent\r\n",
        "a FETCH 1:* (FLAGS BODY[])\r\n", "a UID FETCH 1:* (ENVELOPE BODYSTRUCTURE)\r\n", "a SEARCH TEXT text\r\n", "a CLOSE\r\n",
        "a APPEND Sent {5+}\r\nA: b\r\n", "a APPEND Sent {5+}\r\nA: b {6+}\r\nC: def\r\n", "a CREATE x/y\r\n", "a RENAME INBOX z\r\n",
        "a LIST \"\" * RETURN (STATUS (MESSAGES))\r\n", "a IDLE\r\nDONE\r\n", "a SELECT Sent\r\n", "a DELETE Sent\r\n", "a RENAME Sent x\r\n"};

    (void)state;
    world_tick = 2000;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        for (int turns = 0; turns < 12; turns++) {
            imap_world_restart();
            client_open(1);
            client_say(1, "s SELECT INBOX\r\ns STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
            world_flush();
            client_say(1, commands[i]);
            for (int k = 0; k < turns; k++)
                world_turn();
            client_close(1);
            if (turns % 2) { /* or everything ends there */
                world_run();
                world_check();
            }
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(store_flags),
        TEST(keywords),
        TEST(expunge),
        TEST(copy),
        TEST(move),
        TEST(a_copy_over_the_quota_copies_nothing), TEST(copies_at_once_keep_within_the_quota),
        TEST(conditional_store),
        TEST(changes_in_many_turns),
        TEST(too_many_keywords_are_one_clients_trouble),
        TEST(the_client_goes_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
