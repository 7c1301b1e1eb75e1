/* IMAP: LIST, LSUB, CREATE, DELETE, RENAME, SUBSCRIBE, STATUS. */
#include "imap/command.h"
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_folders_test");
    client_open(0);
    return 0;
}

#define FIRST "* LIST (\\HasNoChildren) \"/\" INBOX\r\n* LIST (\\HasNoChildren \\Archive) \"/\" Archive\r\n"             \
    "* LIST (\\HasNoChildren \\Drafts) \"/\" Drafts\r\n* LIST (\\HasNoChildren \\Junk) \"/\" Junk\r\n"                   \
    "* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n* LIST (\\HasNoChildren \\Trash) \"/\" Trash\r\n"

static void list(void **state)
{
    (void)state;
    CONVERSE(0, {"a LIST \"\" *\r\n", FIRST "a OK Done\r\n"}, {"b LIST \"\" %\r\n", FIRST "b OK Done\r\n"},
        {"c LIST \"\" \"\"\r\n", "* LIST (\\Noselect) \"/\" \"\"\r\nc OK Done\r\n"}, {"d LIST \"\" inbox\r\n", "* LIST (\\HasNoChildren) \"/\" INBOX\r\nd OK Done\r\n"},
        {"e LIST \"\" S*\r\n", "* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\ne OK Done\r\n"}, {"f LIST \"\" nothing\r\n", "f OK Done\r\n"},
        {"g LIST (SPECIAL-USE) \"\" (Sent INBOX)\r\n", "* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\ng OK Done\r\n"},
        {"h LIST \"\" Trash RETURN (SUBSCRIBED CHILDREN STATUS (MESSAGES UNSEEN))\r\n",
            "* LIST (\\Subscribed \\HasNoChildren \\Trash) \"/\" Trash\r\n* STATUS Trash (MESSAGES 0 UNSEEN 0)\r\nh OK Done\r\n"},
        {"i LIST\r\n", "i BAD %\r\n"}, {"j LIST (NONSENSE) \"\" *\r\n", "j BAD %\r\n"}, {"k LIST (RECURSIVEMATCH) \"\" *\r\n", "k BAD %\r\n"},
        {"l LIST \"Sen\" \"t\"\r\n", "* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\nl OK Done\r\n"});
}

static void subscriptions(void **state)
{
    (void)state;
    CONVERSE(0, {"a CREATE foo\r\n", "a OK [MAILBOXID (%)] Created\r\n"}, {"b CREATE foo/bar\r\n", "b OK [MAILBOXID (%)] Created\r\n"},
        {"c SUBSCRIBE foo/bar\r\n", "c OK Done\r\n"}, {"d SUBSCRIBE gone/one\r\n", "d OK Done\r\n"}, {"e SUBSCRIBE foo/bar\r\n", "e OK Done\r\n"},
        {"f LSUB \"\" f*\r\n", "* LSUB () \"/\" foo/bar\r\nf OK Done\r\n"}, {"g LSUB \"\" f%\r\n", "* LSUB (\\Noselect) \"/\" foo\r\ng OK Done\r\n"},
        {"h LIST (SUBSCRIBED) \"\" g*\r\n", "* LIST (\\NonExistent \\Noselect \\Subscribed \\HasNoChildren) \"/\" gone/one\r\nh OK Done\r\n"},
        {"i LIST (SUBSCRIBED RECURSIVEMATCH) \"\" f%\r\n", "* LIST (\\HasChildren) \"/\" foo (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\ni OK Done\r\n"},
        {"j SUBSCRIBE foo\r\n", "j OK Done\r\n"},
        {"k LIST (RECURSIVEMATCH SUBSCRIBED) \"\" f%\r\n", "* LIST (\\Subscribed \\HasChildren) \"/\" foo (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\nk OK Done\r\n"},
        {"l UNSUBSCRIBE foo/bar\r\n", "l OK Done\r\n"}, {"m UNSUBSCRIBE foo/bar\r\n", "m OK Done\r\n"},
        {"n LIST (SUBSCRIBED RECURSIVEMATCH) \"\" f%\r\n", "* LIST (\\Subscribed \\HasChildren) \"/\" foo\r\nn OK Done\r\n"},
        {"o LIST \"\" (gone gone/*)\r\n", "o OK Done\r\n"});
}

static void create(void **state)
{
    (void)state;
    CONVERSE(0, {"a CREATE a/b/c\r\n", "a OK [MAILBOXID (F9)] Created\r\n"}, {"b LIST \"\" a*\r\n", "* LIST (\\HasChildren) \"/\" a\r\n"
            "* LIST (\\HasChildren) \"/\" a/b\r\n* LIST (\\HasNoChildren) \"/\" a/b/c\r\nb OK Done\r\n"},
        {"c CREATE a/b\r\n", "c NO [ALREADYEXISTS] %\r\n"}, {"d CREATE inbox\r\n", "d NO [ALREADYEXISTS] %\r\n"},
        {"e CREATE d/\r\n", "e OK [%] Created\r\n"}, {"f CREATE \"\"\r\n", "f %\r\n"}, {"g CREATE a//b\r\n", "g NO [CANNOT] %\r\n"},
        {"h CREATE /a\r\n", "h NO [CANNOT] %\r\n"}, {"i CREATE Special (USE (\\Sent))\r\n", "i NO [USEATTR] %\r\n"},
        {"j CREATE Special (USE (\\All))\r\n", "j NO [USEATTR] %\r\n"}, {"k DELETE Sent\r\n", "k OK Done\r\n"},
        {"l CREATE Special (USE (\\Sent))\r\n", "l OK [%] Created\r\n"}, {"m LIST \"\" S*\r\n", "* LIST (\\HasNoChildren \\Sent) \"/\" Special\r\nm OK Done\r\n"},
        {"n CREATE \"with space\"\r\n", "n OK [%] Created\r\n"}, {"o LIST \"\" w*\r\n", "* LIST (\\HasNoChildren) \"/\" \"with space\"\r\no OK Done\r\n"});
}

/* Names in modified UTF-7, and in UTF-8 for those that take it; both are one name. */
static void names_in_other_scripts(void **state)
{
    (void)state;
    CONVERSE(0, {"a CREATE Entw&APw-rfe\r\n", "a OK [%] Created\r\n"}, {"b LIST \"\" E*\r\n", "* LIST (\\HasNoChildren) \"/\" Entw&APw-rfe\r\nb OK Done\r\n"},
        {"c CREATE \"Entw\xc3\xbcrfe\"\r\n", "c %\r\n"}, {"d CREATE Entw&-x\r\n", "d OK [%] Created\r\n"}, {"e CREATE Entw&zzz\r\n", "e %\r\n"},
        {"f ENABLE UTF8=ACCEPT\r\n", "* ENABLED UTF8=ACCEPT\r\nf OK Enabled\r\n"}, {"g LIST \"\" Entw*\r\n",
            "* LIST (\\HasNoChildren) \"/\" Entw&x\r\n* LIST (\\HasNoChildren) \"/\" \"Entw\xc3\xbcrfe\"\r\ng OK Done\r\n"},
        {"h STATUS \"Entwu\xcc\x88rfe\" (MESSAGES)\r\n", "* STATUS \"Entw\xc3\xbcrfe\" (MESSAGES 0)\r\nh OK Done\r\n"},
        {"i DELETE \"Entw\xc3\xbcrfe\"\r\n", "i OK Done\r\n"});
}

static void delete(void **state)
{
    (void)state;
    world_fill(1);
    client_open(1);
    CONVERSE(0, {"a DELETE INBOX\r\n", "a NO [CANNOT] %\r\n"}, {"b DELETE nowhere\r\n", "b NO [NONEXISTENT] %\r\n"},
        {"c CREATE x/y\r\n", "c OK [%] Created\r\n"}, {"d DELETE x\r\n", "d OK Done\r\n"}, {"e LIST \"\" x*\r\n",
            "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" x\r\n* LIST (\\HasNoChildren) \"/\" x/y\r\ne OK Done\r\n"},
        {"f SELECT x\r\n", "f NO [NONEXISTENT] %\r\n"}, {"g DELETE x\r\n", "g NO [HASCHILDREN] %\r\n"}, {"h CREATE x\r\n", "h OK [%] Created\r\n"},
        {"i SELECT x/y\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ni OK %\r\n"});
    CONVERSE(1, {"a DELETE x/y\r\n", "a NO [INUSE] %\r\n"});
    CONVERSE(0, {"j DELETE x/y\r\n", "* OK [CLOSED] %\r\nj OK Done\r\n"}, {"k NOOP\r\n", "k OK Done\r\n"}, {"l FETCH 1 FLAGS\r\n", "l BAD %\r\n"},
        {"m DELETE x\r\n", "m OK Done\r\n"}, {"n LIST \"\" x*\r\n", "n OK Done\r\n"}, {"s SELECT INBOX\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n"},
        {"o COPY 1 Junk\r\n", "o OK [%] Done\r\n"}, {"p DELETE Junk\r\n", "p OK Done\r\n"}, {"q FETCH 1 BODY.PEEK[TEXT]\r\n", "* 1 FETCH (%\r\nText of 1.\r\n)\r\nq OK Done\r\n"});
    while (boxes_sweep(world_boxes))
        world_flush();
    CONVERSE(0, {"r FETCH 1 BODY.PEEK[TEXT]\r\n", "* 1 FETCH (%\r\nText of 1.\r\n)\r\nr OK Done\r\n"}, {"s CREATE Junk\r\n", "s OK [%] Created\r\n"},
        {"t STATUS Junk (MESSAGES UIDNEXT)\r\n", "* STATUS Junk (MESSAGES 0 UIDNEXT 1)\r\nt OK Done\r\n"});
}

static void rename_(void **state)
{
    (void)state;
    world_fill(2);
    client_open(1);
    CONVERSE(0, {"a CREATE a/b/c\r\n", "a OK [%] Created\r\n"}, {"b RENAME a x/y\r\n", "b OK Done\r\n"}, {"c LIST \"\" (a* x*)\r\n",
            "* LIST (\\HasChildren) \"/\" x\r\n* LIST (\\HasChildren) \"/\" x/y\r\n* LIST (\\HasChildren) \"/\" x/y/b\r\n"
            "* LIST (\\HasNoChildren) \"/\" x/y/b/c\r\nc OK Done\r\n"},
        {"d RENAME x x/z\r\n", "d NO [CANNOT] %\r\n"}, {"e RENAME nowhere z\r\n", "e NO [NONEXISTENT] %\r\n"}, {"f RENAME x Sent\r\n", "f NO [ALREADYEXISTS] %\r\n"},
        {"g RENAME x INBOX\r\n", "g NO [ALREADYEXISTS] %\r\n"}, {"h RENAME x \"\"\r\n", "h %\r\n"},
        {"s SELECT INBOX\r\n", "%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n"});
    CONVERSE(1, {"a RENAME INBOX old/mail\r\n", "a OK Done\r\n"}, {"b STATUS INBOX (MESSAGES UIDNEXT)\r\n", "* STATUS INBOX (MESSAGES 0 UIDNEXT 3)\r\nb OK Done\r\n"},
        {"c STATUS old/mail (MESSAGES)\r\n", "* STATUS old/mail (MESSAGES 2)\r\nc OK Done\r\n"});
    CONVERSE(0, {"i NOOP\r\n", "* 2 EXPUNGE\r\n* 1 EXPUNGE\r\ni OK Done\r\n"}, {"s SELECT old/mail\r\n", "%\r\n%\r\n* 2 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\n%\r\ns OK %\r\n"});
    CONVERSE(1, {"d RENAME old new\r\n", "d OK Done\r\n"});
    CONVERSE(0, {"j STORE 1 +FLAGS (\\Seen)\r\n", "* 1 FETCH (FLAGS (\\Seen))\r\nj OK Done\r\n"}, {"k STATUS new/mail (UNSEEN)\r\n", "* STATUS new/mail (UNSEEN 1)\r\nk OK Done\r\n"},
        {"l RENAME x y\r\n", "l OK Done\r\n"}, {"m RENAME y/y/b y/b\r\n", "m OK Done\r\n"});
    imap_world_restart();
    client_open(0);
    client_expect(0, "a LIST \"\" (y* new*)\r\n", "* LIST (\\HasChildren) \"/\" new\r\n* LIST (\\HasNoChildren) \"/\" new/mail\r\n"
        "* LIST (\\HasChildren) \"/\" y\r\n* LIST (\\HasChildren) \"/\" y/b\r\n* LIST (\\HasNoChildren) \"/\" y/b/c\r\n"
        "* LIST (\\HasNoChildren) \"/\" y/y\r\na OK Done\r\n");
}

/* A name that only stands above others is none of a mailbox, but what is below it can be renamed by it. */
static void rename_of_a_name_above(void **state)
{
    (void)state;
    client_open(1);
    CONVERSE(0, {"a CREATE a/b/c/d\r\n", "a OK [%] Created\r\n"}, {"b DELETE a\r\n", "b OK Done\r\n"}, {"c DELETE a/b/c\r\n", "c OK Done\r\n"},
        {"d CREATE a/e\r\n", "d OK [%] Created\r\n"}, {"e DELETE a\r\n", "e OK Done\r\n"}, {"f CREATE ab\r\n", "f OK [%] Created\r\n"}, {"g CREATE z/b\r\n", "g OK [%] Created\r\n"},
        {"h RENAME a z\r\n", "h NO [ALREADYEXISTS] %\r\n"}, {"i RENAME a z/b/x\r\n", "i OK Done\r\n"},
        {"j LIST \"\" (a* z*)\r\n", "* LIST (\\HasNoChildren) \"/\" ab\r\n* LIST (\\HasChildren) \"/\" z\r\n* LIST (\\HasChildren) \"/\" z/b\r\n"
            "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" z/b/x\r\n* LIST (\\HasChildren) \"/\" z/b/x/b\r\n"
            "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" z/b/x/b/c\r\n* LIST (\\HasNoChildren) \"/\" z/b/x/b/c/d\r\n"
            "* LIST (\\HasNoChildren) \"/\" z/b/x/e\r\nj OK Done\r\n"},
        {"k RENAME z/b/x z/b/x/b/c/y\r\n", "k NO [CANNOT] %\r\n"}, {"l RENAME a q\r\n", "l NO [NONEXISTENT] %\r\n"}, {"m RENAME z/b/x ab\r\n", "m NO [ALREADYEXISTS] %\r\n"});
    client_expect(1, "a NOTIFY SET (PERSONAL (MailboxName))\r\n", "a OK %\r\n");
    client_expect(0, "n RENAME z/b/x q\r\n", "n OK Done\r\n");
    client_expect(1, "", "* LIST (\\HasChildren) \"/\" q/b (\"OLDNAME\" (z/b/x/b))\r\n* LIST (\\HasNoChildren) \"/\" q/e (\"OLDNAME\" (z/b/x/e))\r\n");
    imap_world_restart();
    client_open(0);
    client_expect(0, "a LIST \"\" q*\r\n", "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" q\r\n* LIST (\\HasChildren) \"/\" q/b\r\n"
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" q/b/c\r\n* LIST (\\HasNoChildren) \"/\" q/b/c/d\r\n* LIST (\\HasNoChildren) \"/\" q/e\r\na OK Done\r\n");
}

static void status(void **state)
{
    (void)state;
    world_fill(2);
    CONVERSE(0, {"a STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)\r\n", "* STATUS INBOX (MESSAGES 2 RECENT 0 UIDNEXT 3 UIDVALIDITY % UNSEEN 2)\r\na OK Done\r\n"},
        {"b STATUS INBOX (SIZE DELETED HIGHESTMODSEQ MAILBOXID APPENDLIMIT)\r\n",
            "* STATUS INBOX (DELETED 0 SIZE % HIGHESTMODSEQ % APPENDLIMIT % MAILBOXID (F1))\r\nb OK Done\r\n"},
        {"c STATUS nowhere (MESSAGES)\r\n", "c NO [NONEXISTENT] %\r\n"}, {"d STATUS INBOX ()\r\n", "d BAD %\r\n"}, {"e STATUS INBOX (NONSENSE)\r\n", "e BAD %\r\n"},
        {"f STATUS INBOX MESSAGES\r\n", "f BAD %\r\n"});
}

/* Mailboxes that come and go while another session lists them turn by turn, and creations that others wait for. */
static void while_others_change_them(void **state)
{
    (void)state;
    client_open(1);
    for (int i = 0; i < 20; i++) {
        char line[100];

        snprintf(line, sizeof line, "a CREATE box%02d\r\n", i);
        client_expect(0, line, "a OK [%] Created\r\n");
    }
    world_tick = 2000;
    client_say(0, "b LIST \"\" box* RETURN (STATUS (MESSAGES))\r\n");
    world_turn();
    world_turn();
    world_tick = WORLD_TICK;
    for (int i = 0; i < 20; i++) {
        char line[100];

        snprintf(line, sizeof line, i % 2 ? "a DELETE box%02d\r\n" : "a RENAME box%02d other%02d\r\n", i, i);
        client_say(1, line);
    }
    world_flush();
    while (boxes_sweep(world_boxes))
        world_flush();
    assert_true(str_ends(client_got(0), STR("b OK Done\r\n")));
    client_got(1);
    client_say(1, "c CREATE new/one\r\n");
    client_say(0, "c SELECT new/one\r\nd APPEND new/one {4+}\r\nabcd\r\n");
    world_flush();
    assert_true(text_matches(STR("c OK [MAILBOXID (%)] Created\r\n"), client_got(1)));
    assert_true(text_matches(STR("%\r\n%\r\n* 0 EXISTS\r\n%\r\n%\r\n%\r\n%\r\n%\r\nc OK [READ-WRITE] Selected\r\n* 1 EXISTS\r\nd OK [APPENDUID % 1] Stored\r\n"), client_got(0)));
    client_say(0, "e UNSELECT\r\nf APPEND new/one {4}\r\n");
    world_flush();
    client_expect(1, "d DELETE new/one\r\n", "d OK Done\r\n");
    while (boxes_sweep(world_boxes))
        world_flush();
    client_expect(0, "abcd\r\n", "e OK Unselected\r\n+ Go on\r\nf NO [TRYCREATE] %\r\n");
}

/* One pattern more than that is refused. */
static void many_patterns(void **state)
{
    char say[600];
    int n = snprintf(say, sizeof say, "a LIST \"\" (INBOX");

    (void)state;
    for (int i = 1; i < IMAP_PATTERNS_MAX; i++)
        n += snprintf(say + n, sizeof say - (size_t)n, " x");
    snprintf(say + n, sizeof say - (size_t)n, ")\r\n");
    client_expect(0, say, "* LIST (\\HasNoChildren) \"/\" INBOX\r\na OK Done\r\n");
    snprintf(say + n, sizeof say - (size_t)n, " x)\r\n");
    client_expect(0, say, "a BAD So many patterns%\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(list), TEST(many_patterns),
        TEST(subscriptions),
        TEST(create),
        TEST(names_in_other_scripts),
        TEST(delete),
        TEST(rename_),
        TEST(rename_of_a_name_above),
        TEST(status),
        TEST(while_others_change_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
