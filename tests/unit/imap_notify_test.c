/* IMAP: NOTIFY, and METADATA told unasked. Client 0 listens, client 1 changes. */
#include "base/clock.h"
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SELECTED "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n"
#define BOTH "MessageNew MessageExpunge"

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_notify_test");
    client_open(0);
    client_open(1);
    return 0;
}

/* What client 0 hears without having said anything. */
static void hears(const char *expected)
{
    client_expect(0, "", expected);
}

static void says(const char *say)
{
    client_say(1, say);
    world_flush();
    (void)client_got(1);
}

static void grammar(void **state)
{
    (void)state;
    CONVERSE(0, {"a NOTIFY\r\n", "a BAD %\r\n"}, {"b NOTIFY SET\r\n", "b BAD %\r\n"}, {"c NOTIFY SET (PERSONAL (MessageNew))\r\n", "c BAD %\r\n"},
        {"d NOTIFY SET (PERSONAL (FlagChange))\r\n", "d BAD %\r\n"}, {"e NOTIFY SET (SELECTED (MailboxName))\r\n", "e BAD %\r\n"},
        {"f NOTIFY SET (PERSONAL (MessageNew (UID) MessageExpunge))\r\n", "f BAD %\r\n"},
        {"g NOTIFY SET (SELECTED (" BOTH ")) (SELECTED-DELAYED (" BOTH "))\r\n", "g BAD %\r\n"}, {"h NOTIFY SET (SUBTREE (MailboxName))\r\n", "h BAD %\r\n"},
        {"i NOTIFY SET (PERSONAL (" BOTH " AnnotationChange))\r\n",
            "i NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange)] %\r\n"},
        {"j NOTIFY SET (PERSONAL (Whatever))\r\n", "j NO [BADEVENT (%)] %\r\n"}, {"k NOTIFY SET (EVERYBODY (MailboxName))\r\n", "k BAD %\r\n"},
        {"l NOTIFY SET (SELECTED (MessageNew (UID WHATEVER) MessageExpunge))\r\n", "l BAD %\r\n"}, {"m NOTIFY NONE x\r\n", "m BAD %\r\n"},
        {"n NOTIFY SET (PERSONAL (MailboxName)) x\r\n", "n BAD %\r\n"}, {"o NOTIFY NONE\r\n", "o OK %\r\n"}, {"p notify set (selected none) (personal NONE)\r\n", "p OK %\r\n"},
        {"q NOTIFY SET (MAILBOXES (INBOX \"Sent\" nowhere) (" BOTH " FlagChange)) (SUBTREE x MailboxName)\r\n", "q OK %\r\n"});
}

static void status_of_others(void **state)
{
    (void)state;
    world_fill(2);
    CONVERSE(0, {"a NOTIFY SET STATUS (MAILBOXES (INBOX nowhere) (" BOTH "))\r\n", "* STATUS INBOX (MESSAGES 2 UIDNEXT 3 UIDVALIDITY % UNSEEN 2)\r\na OK %\r\n"});
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    world_run();
    assert_int_equal(client_got(0).n, 0); /* not on disk */
    hears("* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY % UNSEEN 3)\r\n");
    says("a SELECT INBOX\r\nb STORE 1 +FLAGS (\\Seen \\Deleted)\r\n");
    hears(""); /* no FlagChange */
    says("c EXPUNGE\r\n");
    hears("* STATUS INBOX (MESSAGES 2 UIDNEXT 4 UIDVALIDITY % UNSEEN 2)\r\n");
    says("d COPY 1 Sent\r\n");
    hears("");
    CONVERSE(0, {"b ENABLE CONDSTORE\r\n", "* ENABLED CONDSTORE\r\nb OK %\r\n"},
        {"c NOTIFY SET STATUS (PERSONAL (" BOTH " FlagChange)) (SELECTED NONE)\r\n",
            "* STATUS INBOX (%HIGHESTMODSEQ %)\r\n* STATUS Archive (%)\r\n* STATUS Drafts (%)\r\n* STATUS Junk (%)\r\n"
            "* STATUS Sent (MESSAGES 1 UIDNEXT 2 UIDVALIDITY % UNSEEN 1 HIGHESTMODSEQ %)\r\n* STATUS Trash (%)\r\nc OK %\r\n"});
    says("e STORE 1 +FLAGS (\\Seen)\r\n");
    hears("* STATUS INBOX (UIDVALIDITY % UNSEEN 1 HIGHESTMODSEQ %)\r\n");
    says("f MOVE 1 Sent\r\n");
    hears("* STATUS INBOX (MESSAGES 1 UIDNEXT 4 %)\r\n* STATUS Sent (MESSAGES 2 UIDNEXT 3 %)\r\n");
    CONVERSE(0, {"d NOTIFY NONE\r\n", "d OK %\r\n"});
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("");
}

/* A message that came and went between two looks at the disk changed nothing but UIDNEXT; many changes are one STATUS. */
static void only_the_last_state(void **state)
{
    (void)state;
    CONVERSE(0, {"a NOTIFY SET (INBOXES (" BOTH "))\r\n", "a OK %\r\n"});
    for (int i = 0; i < 3; i++)
        world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* STATUS INBOX (MESSAGES 3 UIDNEXT 4 %)\r\n");
    says("a SELECT INBOX\r\nb STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n");
    client_say(1, "c EXPUNGE\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    world_flush();
    hears("* STATUS INBOX (MESSAGES 1 UIDNEXT 5 %)\r\n");
}

static void failed_changes_are_not_told(void **state)
{
    static const char *const commands[] = {"a CREATE x\r\n", "a SUBSCRIBE y\r\n", "a UNSUBSCRIBE Sent\r\n", "a DELETE Sent\r\n",
        "a RENAME Sent x\r\n", "a SETMETADATA INBOX (/shared/a \"1\")\r\n"};
    struct err err = {0};

    (void)state;
    CONVERSE(0, {"a NOTIFY SET (PERSONAL (" BOTH " MailboxName SubscriptionChange MailboxMetadataChange))\r\n", "a OK %\r\n"});
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        client_say(1, commands[i]);
        world_run();
        world_deliver(STR("A: b\r\n\r\nx\r\n"));
        err_set(&err, ERR_TEMPORARY, "the disk");
        box_fail(world_box(), &err);
        world_flush();
        assert_true(text_matches(STR("a NO [UNAVAILABLE] %\r\n"), client_got(1)));
        hears("");
    }
    says("d CREATE x\r\n");
    hears("* LIST (\\HasNoChildren) \"/\" x\r\n");
}

static void the_selected_mailbox(void **state)
{
    (void)state;
    world_fill(3);
    CONVERSE(0, {"a SELECT INBOX\r\n", SELECTED "%\r\na OK %\r\n"}, {"b NOTIFY SET (SELECTED (" BOTH " FlagChange))\r\n", "b OK %\r\n"});
    says("a SELECT INBOX\r\nb STORE 2 +FLAGS (\\Deleted)\r\n");
    hears("* 2 FETCH (UID 2 FLAGS (\\Deleted))\r\n");
    says("c EXPUNGE\r\n");
    hears("* 2 EXPUNGE\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* 3 EXISTS\r\n");
    CONVERSE(0, {"c UID FETCH 4 UID\r\n", "* 3 FETCH (UID 4)\r\nc OK Done\r\n"}, {"d NOTIFY SET (SELECTED (" BOTH "))\r\n", "d OK %\r\n"});
    says("d STORE 1 +FLAGS (\\Flagged)\r\n");
    hears("");
    CONVERSE(0, {"e NOOP\r\n", "e OK Done\r\n"}, {"f NOTIFY SET (SELECTED (" BOTH " FlagChange))\r\n", "* 1 FETCH (UID 1 FLAGS (\\Flagged))\r\nf OK %\r\n"},
        {"g UNSELECT\r\n", "g OK %\r\n"});
    says("e STORE 1 -FLAGS (\\Flagged)\r\n");
    hears("");
}

/* Nothing of it is told, but for what the client does itself; later all of it. */
static void nothing_of_the_selected_mailbox(void **state)
{
    (void)state;
    world_fill(3);
    CONVERSE(0, {"a SELECT INBOX\r\n", SELECTED "%\r\na OK %\r\n"}, {"b NOTIFY SET (PERSONAL (MailboxName))\r\n", "b OK %\r\n"});
    says("a SELECT INBOX\r\nb STORE 2 +FLAGS.SILENT (\\Deleted)\r\nc EXPUNGE\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("");
    CONVERSE(0, {"c NOOP\r\n", "c OK Done\r\n"}, {"d FETCH 3 UID\r\n", "* 3 FETCH (UID 3)\r\nd OK [EXPUNGEISSUED] Done\r\n"},
        {"e STORE 1 +FLAGS (\\Seen)\r\n", "* 1 FETCH (FLAGS (\\Seen))\r\ne OK [EXPUNGEISSUED] Done\r\n"}, {"f IDLE\r\n", "+ idling\r\n"});
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("");
    CONVERSE(0, {"DONE\r\n", "f OK %\r\n"}, {"g NOTIFY SET (SELECTED (" BOTH "))\r\n", "* 2 EXPUNGE\r\n* 4 EXISTS\r\ng OK %\r\n"}, {"h NOTIFY NONE\r\n", "h OK %\r\n"});
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    CONVERSE(0, {"i NOOP\r\n", "i OK Done\r\n"}, {"j STORE 1 +FLAGS.SILENT (\\Deleted)\r\n", "j OK Done\r\n"}, {"k EXPUNGE\r\n", "* 1 EXPUNGE\r\n* 4 EXISTS\r\nk OK Done\r\n"});
}

/* RFC 7162, section 6: a client that goes now would take the modseq of the FETCH for where it stands. */
static void where_it_stands(void **state)
{
    (void)state;
    world_fill(3);
    CONVERSE(0, {"a ENABLE CONDSTORE\r\n", "* ENABLED CONDSTORE\r\na OK %\r\n"}, {"b SELECT INBOX\r\n", SELECTED "%\r\nb OK %\r\n"},
        {"c NOTIFY SET (SELECTED-DELAYED (" BOTH " FlagChange))\r\n", "c OK %\r\n"});
    says("a SELECT INBOX\r\nb STORE 2 +FLAGS.SILENT (\\Deleted)\r\nc EXPUNGE\r\n");
    (void)client_got(0);
    says("d STORE 1 +FLAGS.SILENT (\\Seen)\r\n");
    hears("* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (%))\r\n* OK [HIGHESTMODSEQ %] %\r\n");
    says("e NOOP\r\n"); /* nothing of it again before something else happens */
    hears("");
}

static void selected_delayed(void **state)
{
    (void)state;
    world_fill(3);
    CONVERSE(0, {"a SELECT INBOX\r\n", SELECTED "%\r\na OK %\r\n"}, {"b NOTIFY SET (SELECTED-DELAYED (" BOTH " FlagChange))\r\n", "b OK %\r\n"});
    says("a SELECT INBOX\r\nb STORE 2 +FLAGS.SILENT (\\Deleted)\r\nc EXPUNGE\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* 4 EXISTS\r\n");
    CONVERSE(0, {"c FETCH 3 UID\r\n", "* 3 FETCH (UID 3)\r\nc OK [EXPUNGEISSUED] Done\r\n"}, {"d NOOP\r\n", "* 2 EXPUNGE\r\nd OK Done\r\n"});
    says("d STORE 1 +FLAGS.SILENT (\\Deleted)\r\ne EXPUNGE\r\n");
    CONVERSE(0, {"e IDLE\r\n", "+ idling\r\n* 1 EXPUNGE\r\n"});
    says("f STORE 1 +FLAGS.SILENT (\\Deleted)\r\ng EXPUNGE\r\n");
    hears("* 1 EXPUNGE\r\n");
    CONVERSE(0, {"DONE\r\n", "e OK %\r\n"});
}

static void new_messages_are_fetched(void **state)
{
    (void)state;
    CONVERSE(0, {"a SELECT INBOX\r\n", SELECTED "a OK %\r\n"},
        {"b NOTIFY SET (SELECTED (MessageNew (UID FLAGS BODY[HEADER.FIELDS (SUBJECT)]) MessageExpunge))\r\n", "b OK %\r\n"});
    world_deliver(STR("Subject: one\r\n\r\nx\r\n"));
    world_deliver(STR("Subject: two\r\n\r\nx\r\n"));
    hears("* 2 EXISTS\r\n* 1 FETCH (UID 1 FLAGS () BODY[HEADER.FIELDS (SUBJECT)] {16}\r\nSubject: one\r\n\r\n)\r\n"
        "* 2 FETCH (UID 2 FLAGS () BODY[HEADER.FIELDS (SUBJECT)] {16}\r\nSubject: two\r\n\r\n)\r\n");
    CONVERSE(0, {"c UID FETCH 1 FLAGS\r\n", "* 1 FETCH (UID 1 FLAGS ())\r\nc OK Done\r\n"}, {"d IDLE\r\n", "+ idling\r\n"});
    world_deliver(STR("Subject: three\r\n\r\nx\r\n"));
    hears("* 3 EXISTS\r\n* 3 FETCH (UID 3 FLAGS () BODY[HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: three\r\n\r\n)\r\n");
    CONVERSE(0, {"DONE\r\n", "d OK %\r\n"});
    client_say(0, "e NO");
    world_run();
    world_deliver(STR("Subject: 4\r\n\r\nx\r\n"));
    hears(""); /* in the middle of a command */
    CONVERSE(0, {"OP\r\n", "* 4 EXISTS\r\ne OK Done\r\n* 4 FETCH (UID 4 FLAGS () BODY[HEADER.FIELDS (SUBJECT)] {14}\r\nSubject: 4\r\n\r\n)\r\n"});
    world_deliver(STR("Subject: 5\r\n\r\nx\r\n"));
    client_say(0, "f UNSELECT\r\n");
    hears("f OK %\r\n");
    says("a SELECT INBOX\r\nb STORE 5 +FLAGS.SILENT (\\Deleted)\r\nc EXPUNGE\r\n");
    hears("");
}

static void names(void **state)
{
    (void)state;
    CONVERSE(0, {"a NOTIFY SET (PERSONAL (MailboxName SubscriptionChange))\r\n", "a OK %\r\n"});
    says("a CREATE a/b\r\n");
    hears("* LIST (\\HasChildren) \"/\" a\r\n* LIST (\\HasNoChildren) \"/\" a/b\r\n* LIST (\\HasChildren) \"/\" a\r\n");
    says("b SUBSCRIBE a/b\r\n");
    hears("* LIST (\\Subscribed \\HasNoChildren) \"/\" a/b\r\n");
    says("c RENAME a c\r\n");
    hears("* LIST (\\HasChildren) \"/\" c (\"OLDNAME\" (a))\r\n");
    says("d DELETE c/b\r\n");
    hears("* LIST (\\NonExistent \\Noselect \\HasNoChildren) \"/\" c/b\r\n* LIST (\\HasNoChildren) \"/\" c\r\n");
    says("e SUBSCRIBE nowhere\r\nf UNSUBSCRIBE a/b\r\n");
    hears("* LIST (\\NonExistent \\Noselect \\Subscribed \\HasNoChildren) \"/\" nowhere\r\n* LIST (\\NonExistent \\Noselect \\HasNoChildren) \"/\" a/b\r\n");
    CONVERSE(0, {"b CREATE own\r\n", "b OK [%] Created\r\n"}, {"c RENAME own own2\r\n", "c OK Done\r\n"}, {"d SUBSCRIBE own2\r\n", "d OK Done\r\n"}, {"e DELETE own2\r\n", "e OK Done\r\n"});
    CONVERSE(0, {"f NOTIFY SET (MAILBOXES x MailboxName) (SUBTREE y MailboxName) (SUBSCRIBED (SubscriptionChange MailboxName))\r\n", "f OK %\r\n"});
    says("g CREATE x/x\r\nh CREATE y/y\r\ni CREATE other\r\nj CREATE nowhere\r\nk UNSUBSCRIBE Sent\r\n");
    hears("* LIST (\\HasChildren) \"/\" x\r\n* LIST (\\HasChildren) \"/\" x\r\n* LIST (\\HasChildren) \"/\" y\r\n* LIST (\\HasNoChildren) \"/\" y/y\r\n"
        "* LIST (\\HasChildren) \"/\" y\r\n* LIST (\\Subscribed \\HasNoChildren) \"/\" nowhere\r\n");
    says("l RENAME x z\r\n");
    hears("* LIST (\\HasChildren) \"/\" z (\"OLDNAME\" (x))\r\n");
}

static void annotations(void **state)
{
    (void)state;
    CONVERSE(0, {"a NOTIFY SET (MAILBOXES Sent (MailboxMetadataChange)) (INBOXES (ServerMetadataChange))\r\n", "a OK %\r\n"});
    says("a SETMETADATA Sent (/shared/comment \"x\" /private/comment \"y\")\r\nb SETMETADATA INBOX (/shared/comment \"x\")\r\nc SETMETADATA \"\" (/private/a \"1\")\r\n");
    hears("* METADATA Sent /shared/comment /private/comment\r\n* METADATA \"\" /private/a\r\n");
    says("d SETMETADATA Sent (/shared/comment NIL)\r\n");
    hears("* METADATA Sent /shared/comment\r\n");
    CONVERSE(0, {"b SETMETADATA Sent (/shared/comment NIL)\r\n", "b OK Done\r\n"}, {"c NOTIFY NONE\r\n", "c OK %\r\n"});
    says("e SETMETADATA Sent (/shared/comment \"2\")\r\n");
    hears("");
}

/* RFC 5464, section 4.1: without NOTIFY; the rest is as ever. */
static void metadata_enabled(void **state)
{
    (void)state;
    world_fill(1);
    CONVERSE(0, {"a ENABLE METADATA\r\n", "* ENABLED METADATA\r\na OK %\r\n"}, {"b SELECT INBOX\r\n", SELECTED "%\r\nb OK %\r\n"});
    says("a SETMETADATA Sent (/shared/comment \"x\")\r\nb CREATE z\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* METADATA Sent /shared/comment\r\n");
    CONVERSE(0, {"c NOOP\r\n", "* 2 EXISTS\r\nc OK Done\r\n"}, {"d ENABLE METADATA\r\n", "* ENABLED\r\nd OK %\r\n"});
    client_close(0);
    says("c SETMETADATA Sent (/shared/comment \"y\")\r\n");
}

/* More than is kept for somebody who does not read. */
static void overflow(void **state)
{
    (void)state;
    world_fill(1);
    CONVERSE(0, {"a SELECT INBOX\r\n", SELECTED "%\r\na OK %\r\n"}, {"b NOTIFY SET (PERSONAL (SubscriptionChange)) (SELECTED (" BOTH "))\r\n", "b OK %\r\n"});
    imap_clients[0].stingy = true;
    for (int i = 0; i < 6000; i++) {
        char say[100];

        snprintf(say, sizeof say, "s SUBSCRIBE %d-a-name-that-is-long-enough-to-fill-the-output\r\n", i);
        client_say(1, say);
        if (i % 50 == 49)
            world_flush();
    }
    imap_clients[0].stingy = false;
    world_turn();
    world_flush();
    assert_true(str_ends(client_got(0), STR("\r\n* OK [NOTIFICATIONOVERFLOW] Too much has happened, nothing more will be told\r\n")));
    says("t SUBSCRIBE one-more\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("");
    CONVERSE(0, {"c NOOP\r\n", "c OK Done\r\n"}, {"d NOTIFY SET (SELECTED (" BOTH ")) (PERSONAL (SubscriptionChange))\r\n", "* 2 EXISTS\r\nd OK %\r\n"});
    says("u SUBSCRIBE two-more\r\n");
    hears("* LIST (%) \"/\" two-more\r\n");
}

/* Few changes with very long lists of names: what is kept of them has a bound in bytes, too. */
static void overflow_of_names(void **state)
{
    struct buf say;

    (void)state;
    CONVERSE(0, {"a NOTIFY SET (PERSONAL (MailboxMetadataChange))\r\n", "a OK %\r\n"});
    imap_clients[0].stingy = true;
    for (int n = 0; n < 8; n++) {
        buf_init(&say, 256 * 1024);
        buf_addf(&say, "b SETMETADATA INBOX (");
        for (int i = 0; i < 900; i++)
            buf_addf(&say, "%s{209+}\r\n/private/%0200d NIL", i > 0 ? " " : "", i);
        buf_addf(&say, ")\r\n");
        client_say_bytes(1, buf_str(&say));
        buf_clear(&say);
        world_flush();
        assert_true(str_starts(client_got(1), STR("b OK ")));
    }
    imap_clients[0].stingy = false;
    world_turn();
    world_flush();
    assert_true(str_ends(client_got(0), STR("\r\n* OK [NOTIFICATIONOVERFLOW] Too much has happened, nothing more will be told\r\n")));
    CONVERSE(0, {"c NOOP\r\n", "c OK Done\r\n"});
}

static void take_a_rest(void)
{
    world_tick = 60 * SECOND;
    (void)clock_monotonic();
    world_tick = 0;
    (void)boxes_tidy(world_boxes);
    assert_null(world_box()->store);
}

/* The database of sessions that wait is closed; they hear all the same. */
static void while_the_database_is_closed(void **state)
{
    (void)state;
    world_fill(2);
    CONVERSE(0, {"a SELECT INBOX\r\n", SELECTED "%\r\na OK %\r\n"},
        {"b NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge FlagChange)) (PERSONAL (" BOTH " MailboxName))\r\n", "b OK %\r\n"});
    take_a_rest();
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* 3 EXISTS\r\n* 3 FETCH (UID 3)\r\n");
    take_a_rest();
    says("a CREATE z\r\nb SELECT INBOX\r\nc COPY 1 z\r\n");
    hears("* LIST (\\HasNoChildren) \"/\" z\r\n* STATUS z (MESSAGES 1 %)\r\n");
    take_a_rest();
    CONVERSE(0, {"c NOTIFY SET (SELECTED NONE) (PERSONAL (" BOTH "))\r\n", "c OK %\r\n"});
    take_a_rest();
    client_close(0);
    says("d NOOP\r\n");
}

/* The same with turns in which hardly anything can be done. */
static void in_small_turns(void **state)
{
    world_tick = 2000;
    the_selected_mailbox(state);
    client_expect(1, "z UNSELECT\r\n", "z OK %\r\n");
    client_expect(0, "z NOTIFY NONE\r\n", "z OK %\r\n");
    names(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(grammar, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(status_of_others, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(only_the_last_state, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(failed_changes_are_not_told, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(the_selected_mailbox, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(nothing_of_the_selected_mailbox, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(selected_delayed, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(where_it_stands, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(new_messages_are_fetched, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(names, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(annotations, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(metadata_enabled, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(overflow, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(overflow_of_names, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(in_small_turns, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(while_the_database_is_closed, setup, imap_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
