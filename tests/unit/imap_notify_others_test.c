/* IMAP: NOTIFY of mailboxes that others share (RFC 5465 with RFC 4314). Client 0 is r, the owner; 1 is ann, who listens; 2 is bob. */
#include "base/clock.h"
#include "imap_world.h"
#include "roles/mailbox/store_acl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { R = IMAP_WORLD_ACCOUNT, ANN, BOB };
#define OF_R "\"Other Users/r@home.example/"
#define EVENTS "(MessageNew MessageExpunge FlagChange MailboxName MailboxMetadataChange)"
#define BOTH "MessageNew MessageExpunge"

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_notify_others_test");
    client_open(0);
    client_open_as(1, ANN);
    client_open_as(2, BOB);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return imap_world_close();
}

static void does(const char *say)
{
    client_say(0, say);
    world_flush();
    if (str_ifind(client_got(0), STR(" OK ")) < 0)
        fail_msg("%s", say);
}

static void hears(const char *expected)
{
    world_flush();
    client_expect(1, "", expected);
}

static void notify(const char *set, const char *expected)
{
    char text[500];

    snprintf(text, sizeof text, "n NOTIFY SET %s\r\n", set);
    client_expect(1, text, expected);
}

static void message(const char *mailbox)
{
    char text[200];

    snprintf(text, sizeof text, "m APPEND %s {12+}\r\nA: b\r\n\r\nxy\r\n\r\n", mailbox);
    does(text);
}

static void messages(void **state)
{
    (void)state;
    does("a SETACL INBOX ann@home.example lr\r\n");
    notify("(MAILBOXES " OF_R "INBOX\" (" BOTH " FlagChange))", "n OK You will hear of it\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    world_run();
    assert_int_equal(client_got(1).n, 0); /* not on disk */
    hears("* STATUS " OF_R "INBOX\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY % UNSEEN 1)\r\n");
    client_say(0, "b SELECT INBOX\r\nc STORE 1 +FLAGS (\\Seen \\Deleted)\r\n");
    hears("* STATUS " OF_R "INBOX\" (UIDVALIDITY % UNSEEN 0)\r\n");
    client_say(0, "d EXPUNGE\r\n");
    hears("* STATUS " OF_R "INBOX\" (MESSAGES 0 UIDNEXT 2 UIDVALIDITY % UNSEEN 0)\r\n");
    message("Sent"); /* another mailbox */
    hears("");
    client_expect(1, "e ENABLE CONDSTORE\r\n", "* ENABLED CONDSTORE\r\ne OK %\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* STATUS " OF_R "INBOX\" (MESSAGES 1 UIDNEXT 3 UIDVALIDITY % UNSEEN 1 HIGHESTMODSEQ %)\r\n");
    client_expect(1, "f NOTIFY NONE\r\n", "f OK %\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("");
}

static void which_mailboxes(void **state)
{
    (void)state;
    does("a CREATE p/q\r\n");
    does("b SETACL p ann@home.example lr\r\n");
    does("c SETACL p/q ann@home.example lr\r\n");
    does("d SETACL Sent anyone lr\r\n");
    notify("(PERSONAL (" BOTH "))", "n OK %\r\n");
    message("p");
    hears("");
    notify("(SUBTREE " OF_R "p\" (" BOTH "))", "n OK %\r\n");
    message("p");
    message("p/q");
    message("Sent");
    hears("* STATUS " OF_R "p\" (MESSAGES 2 %)\r\n* STATUS " OF_R "p/q\" (MESSAGES 1 %)\r\n");
    notify("(SUBTREE \"Other Users\" (" BOTH "))", "n OK %\r\n");
    message("Sent");
    hears("* STATUS " OF_R "Sent\" (MESSAGES 2 %)\r\n");
    notify("(SUBSCRIBED (" BOTH "))", "n OK %\r\n");
    message("p");
    hears("");
    client_expect(1, "s SUBSCRIBE " OF_R "p\"\r\n", "s OK Done\r\n");
    message("p");
    message("p/q");
    hears("* STATUS " OF_R "p\" (MESSAGES 4 %)\r\n");
    notify("STATUS (SUBTREE \"Other Users\" (" BOTH "))", "* STATUS " OF_R "Sent\" (MESSAGES 2 UIDNEXT 3 UIDVALIDITY % UNSEEN 2)\r\n"
        "* STATUS " OF_R "p\" (MESSAGES 4 %)\r\n* STATUS " OF_R "p/q\" (MESSAGES 2 %)\r\nn OK %\r\n");
    client_expect(2, "n NOTIFY SET (SUBTREE " OF_R "p\" (" BOTH "))\r\n", "n OK %\r\n"); /* bob may not see it */
    message("p");
    client_expect(2, "", "");
}

/* Granted, and taken away: as if the mailbox were made and deleted (section 5.4); of what may not be seen nothing is told. */
static void rights(void **state)
{
    (void)state;
    does("a CREATE hidden\r\n");
    does("b SETACL INBOX ann@home.example lr\r\n");
    notify("(SUBTREE \"Other Users\" " EVENTS ")", "n OK %\r\n");
    message("hidden");
    does("c RENAME hidden hidden2\r\n");
    hears("");
    does("d SETACL hidden2 ann@home.example lr\r\n");
    hears("* LIST (\\HasNoChildren) \"/\" " OF_R "hidden2\"\r\n");
    message("hidden2");
    hears("* STATUS " OF_R "hidden2\" (MESSAGES 2 %)\r\n");
    does("e SETACL hidden2 ann@home.example l\r\n");
    hears("");
    message("hidden2");
    hears(""); /* needs "r" */
    does("f DELETEACL hidden2 ann@home.example\r\n");
    hears("* LIST (\\NonExistent \\Noselect \\HasNoChildren) \"/\" " OF_R "hidden2\"\r\n");
    message("hidden2");
    does("g DELETE hidden2\r\n");
    hears("");
    does("h SETACL INBOX -anyone r\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("");
}

static void no_access(void **state)
{
    (void)state;
    does("a SETACL INBOX ann@home.example lr\r\n");
    does("b SETACL Sent ann@home.example l\r\n");
    does("c SETACL Junk ann@home.example rswi\r\n");
    notify("STATUS (SUBTREE \"Other Users\" (" BOTH "))", "* LIST (\\NoAccess) \"/\" " OF_R "Sent\"\r\n* STATUS " OF_R "INBOX\" (MESSAGES 0 %)\r\nn OK %\r\n");
    message("Junk");
    message("Sent");
    hears("");
    notify("(MAILBOXES " OF_R "INBOX\" (" BOTH "))", "n OK %\r\n");
}

static void names(void **state)
{
    (void)state;
    does("a CREATE x\r\n");
    does("b SETACL x ann@home.example lrk\r\n");
    notify("(SUBTREE \"Other Users\" " EVENTS ")", "n OK %\r\n");
    does("c CREATE x/y\r\n"); /* gets the rights of the one above */
    hears("* LIST (\\HasNoChildren) \"/\" " OF_R "x/y\"\r\n* LIST (\\HasChildren) \"/\" " OF_R "x\"\r\n");
    does("d RENAME x w\r\n"); /* what is below goes along */
    hears("* LIST (\\HasChildren) \"/\" " OF_R "w\" (\"OLDNAME\" (" OF_R "x\"))\r\n");
    does("e RENAME w/y w/z\r\n");
    hears("* LIST (\\HasNoChildren) \"/\" " OF_R "w/z\" (\"OLDNAME\" (" OF_R "w/y\"))\r\n");
    does("f SETMETADATA w (/shared/comment \"c\")\r\n");
    hears("* METADATA " OF_R "w\" /shared/comment\r\n");
    does("g SETMETADATA w (/private/comment \"c\")\r\n");
    does("h SUBSCRIBE w\r\n");
    does("i SETMETADATA \"\" (/private/comment \"c\")\r\n");
    hears("");
    client_expect(1, "k CREATE " OF_R "w/own\"\r\n", "k OK %\r\n"); /* one's own doing is not told */
    hears("");
    does("l DELETE w/z\r\n");
    hears("* LIST (\\NonExistent \\Noselect \\HasNoChildren) \"/\" " OF_R "w/z\"\r\n* LIST (\\HasChildren) \"/\" " OF_R "w\"\r\n");
    does("m RENAME w/own other\r\n");
    hears("* LIST (\\HasNoChildren) \"/\" " OF_R "other\" (\"OLDNAME\" (" OF_R "w/own\"))\r\n");
}

/* What another failure undoes is never told. */
static void undone(void **state)
{
    struct err err = {0};

    (void)state;
    does("a SETACL INBOX ann@home.example lr\r\n");
    notify("(SUBTREE \"Other Users\" " EVENTS ")", "n OK %\r\n");
    client_say(0, "b SETACL Sent ann@home.example lr\r\n");
    world_run();
    err_set(&err, ERR_TEMPORARY, "the disk");
    box_fail(world_box(), &err);
    world_flush();
    assert_true(text_matches(STR("b NO %\r\n"), client_got(0)));
    hears("");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* STATUS " OF_R "INBOX\" (MESSAGES 1 %)\r\n");
}

/* Selected, it is told of as selected; else as one of the set. */
static void selected(void **state)
{
    (void)state;
    does("a SETACL INBOX ann@home.example lr\r\n");
    client_say(1, "a SELECT " OF_R "INBOX\"\r\n");
    world_flush();
    (void)client_got(1);
    notify("(SELECTED (" BOTH ")) (SUBTREE \"Other Users\" (" BOTH "))", "n OK %\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* 1 EXISTS\r\n");
    client_expect(1, "b UNSELECT\r\n", "b OK %\r\n");
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* STATUS " OF_R "INBOX\" (MESSAGES 2 %)\r\n");
}

static bool all_rest(void)
{
    world_later(11 * SECOND);
    (void)boxes_tidy(world_boxes);
    return boxes_open(world_boxes) == 0;
}

/* Listening keeps no database open, and a change opens what it needs. */
static void resting(void **state)
{
    (void)state;
    does("a SETACL INBOX ann@home.example lr\r\n");
    notify("(SUBSCRIBED (" BOTH " MailboxName)) (SUBTREE \"Other Users\" (" BOTH " MailboxName))", "n OK %\r\n");
    assert_true(all_rest());
    world_deliver(STR("A: b\r\n\r\nx\r\n"));
    hears("* STATUS " OF_R "INBOX\" (MESSAGES 1 %)\r\n");
    assert_true(all_rest());
    does("b SETACL Sent ann@home.example lr\r\n");
    hears("* LIST (\\HasNoChildren) \"/\" " OF_R "Sent\"\r\n");
    client_expect(1, "c NOOP\r\n", "c OK Done\r\n");
    assert_true(all_rest());
    client_expect(1, "d NOTIFY NONE\r\n", "d OK %\r\n");
}

/* The owner's account is removed: who listened hears that he missed something, and goes on. */
static void owner_is_removed(void **state)
{
    (void)state;
    does("a SETACL INBOX ann@home.example lr\r\n");
    notify("(SUBTREE \"Other Users\" (" BOTH ")) (PERSONAL (" BOTH "))", "n OK %\r\n");
    sessions_end_account(world_sessions, R);
    hears("* OK [NOTIFICATIONOVERFLOW] %\r\n");
    assert_false(imap_clients[0].open);
    client_expect(1, "b NOOP\r\n", "b OK Done\r\n");
    client_open(0);
    message("INBOX");
    hears("");
    notify("(SUBTREE \"Other Users\" (" BOTH "))", "n OK %\r\n");
    message("INBOX");
    hears("* STATUS " OF_R "INBOX\" (MESSAGES 2 %)\r\n");
}

static void directory_is_away(void **state)
{
    (void)state;
    does("a SETACL INBOX ann@home.example lr\r\n");
    world_directory_goes();
    notify("(SUBTREE \"Other Users\" (" BOTH "))", "* NO [UNAVAILABLE] %\r\nn OK %\r\n");
    world_directory_comes();
    notify("(PERSONAL (" BOTH "))", "n OK %\r\n"); /* is not asked */
    world_directory_answers = false;
    client_expect(1, "b NOTIFY SET (SUBTREE \"Other Users\" (" BOTH "))\r\n", "");
    client_close(1);
    world_directory_answers = true;
    world_run();
}

/* Every turn does as little as it can. */
static void for_one_with_slow_turns(void **state)
{
    (void)state;
    does("a SETACL INBOX ann@home.example lr\r\n");
    notify("(SUBTREE \"Other Users\" (" BOTH ")) (PERSONAL (" BOTH "))", "n OK %\r\n");
    world_tick = 2000;
    for (int i = 0; i < 5; i++)
        world_deliver(STR("A: b\r\n\r\nx\r\n"));
    client_say(2, "a APPEND INBOX {5+}\r\nA: b\n\r\n");
    hears("* STATUS " OF_R "INBOX\" (MESSAGES 5 UIDNEXT 6 %)\r\n");
    does("b SETACL Sent ann@home.example lr\r\n");
    hears("");
}

/* ---- owners who share very much ---- */

static unsigned times(struct str text, const char *what)
{
    unsigned n = 0;

    for (ptrdiff_t at; (at = str_ifind(text, str_of(what))) >= 0; n++)
        text = str_skip(text, (size_t)at + 1);
    return n;
}

/* Mailboxes ABOVE/0, ABOVE/1 ...: each may be seen by ann. */
static void shares_many(unsigned client, const char *above, unsigned n, size_t padding)
{
    char text[1200], pad[1000] = "";

    memset(pad, 'x', padding);
    snprintf(text, sizeof text, "a CREATE %s\r\nb SETACL %s ann@home.example lr\r\n", above, above);
    client_say(client, text);
    for (unsigned i = 0; i < n; i++) {
        snprintf(text, sizeof text, "c CREATE %s/%s%u\r\n", above, pad, i);
        client_say(client, text);
        if (i % 16 == 15)
            world_flush();
    }
    world_flush();
    assert_int_equal(times(client_got(client), " OK "), n + 2);
}

/* More than fits an output at once: each is told, and once. */
static void status_of_very_many(void **state)
{
    struct str got;

    (void)state;
    shares_many(0, "top", 80, 900);
    shares_many(2, "all", 80, 900);
    client_say(1, "n NOTIFY SET STATUS (SUBTREE \"Other Users\" (" BOTH "))\r\n");
    world_flush();
    got = client_got(1);
    assert_int_equal(times(got, "* STATUS "), 162);
    assert_int_equal(times(got, "n OK "), 1);
}

/* The same when few fit a turn; and a turn does not tell all of what became different. */
static void names_of_very_many(void **state)
{
    struct str got;

    (void)state;
    shares_many(0, "top", 1, 0);
    notify("(SUBTREE \"Other Users\" (MailboxName))", "n OK %\r\n");
    world_tick = 2000;
    shares_many(0, "other", 100, 0);
    got = client_got(1);
    assert_int_equal(times(got, "r@home.example/other/"), 100);
    client_say(0, "d DELETEACL other ann@home.example\r\ne RENAME top end\r\n");
    for (unsigned i = 0; i < 100; i++) {
        char text[60];

        snprintf(text, sizeof text, "f DELETEACL other/%u ann@home.example\r\n", i);
        client_say(0, text);
    }
    world_flush();
    got = client_got(1);
    assert_int_equal(times(got, "* LIST (\\NonExistent \\Noselect \\HasNoChildren) \"/\" \"Other Users/r@home.example/other/"), 100);
    assert_int_equal(times(got, "(\"OLDNAME\""), 1);
}

/* What a session keeps of others' names has a bound; when it compares, it has them twice. */
static void too_much_to_see(void **state)
{
    (void)state;
    shares_many(0, "top", 4400, 900);
    notify("(SUBTREE \"Other Users\" (MailboxName))", "n OK %\r\n");
    does("x CREATE top/one-more\r\n");
    hears("* OK [NOTIFICATIONOVERFLOW] %\r\n");
    does("x CREATE top/and-more\r\n");
    hears("");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(messages), TEST(which_mailboxes), TEST(rights), TEST(no_access), TEST(names), TEST(undone),
        TEST(selected), TEST(resting), TEST(owner_is_removed), TEST(directory_is_away), TEST(for_one_with_slow_turns),
        TEST(status_of_very_many), TEST(names_of_very_many), TEST(too_much_to_see)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
