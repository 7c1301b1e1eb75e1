/* IMAP: how far mailboxes may be shared (`sharing` of the configuration): what is refused, and that what was granted before has no effect.
 * Client 0 is r, the owner; 1 is ann, 2 is bob, of the same domain; 3 is eve, of another one. */
#include "roles/mailbox/store_acl.h"
#include "shared_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ALL "lrswipkxtecda"
#define OWNER "* ACL INBOX r@home.example " ALL
#define BEYOND "* NO Some of these rights have no effect: %\r\n"

static int setup(void **state)
{
    (void)state;
    shared_world_open("imap_sharing_test");
    client_open_as(3, EVE);
    return 0;
}

static void select_of_r(unsigned c)
{
    client_expect(c, "s SELECT " OF_R "INBOX\"\r\n", "* FLAGS %\r\n* OK %\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK %\r\n* OK %\r\n* OK %\r\n* OK %\r\n* OK %\r\n"
        "s OK [READ-ONLY] Selected\r\n");
}

/* Nothing of it is to be had: as if there were no such mailbox. */
static void expect_nothing(unsigned c)
{
    CONVERSE(c, {"a LIST \"\" \"Other Users*\"\r\n", "a OK Done\r\n"},
        {"b SELECT " OF_R "INBOX\"\r\n", "b NO [NONEXISTENT] There is no such mailbox\r\n"},
        {"c STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "c NO [NONEXISTENT] %\r\n"}, {"d MYRIGHTS " OF_R "INBOX\"\r\n", "d NO [NONEXISTENT] %\r\n"},
        {"e APPEND " OF_R "INBOX\" {4}\r\n", "e NO [TRYCREATE] %\r\n"}, {"f GETMETADATA " OF_R "INBOX\" /shared/comment\r\n", "f NO [NONEXISTENT] %\r\n"},
        {"g CREATE " OF_R "INBOX/x\"\r\n", "g NO [NONEXISTENT] %\r\n"}, {"h DELETE " OF_R "INBOX\"\r\n", "h NO [NONEXISTENT] %\r\n"},
        {"i GETACL " OF_R "INBOX\"\r\n", "i NO [NONEXISTENT] %\r\n"}, {"j LIST \"\" " OF_R "INBOX\" RETURN (MYRIGHTS STATUS (MESSAGES))\r\n", "j OK Done\r\n"});
}

static void expect_it(unsigned c)
{
    CONVERSE(c, {"a LIST \"\" \"Other Users/r@home.example/%\"\r\n", "* LIST (\\HasNoChildren) \"/\" " OF_R "INBOX\"\r\na OK Done\r\n"},
        {"b STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 1)\r\nb OK Done\r\n"},
        {"c MYRIGHTS " OF_R "INBOX\"\r\n", "* MYRIGHTS " OF_R "INBOX\" lr\r\nc OK Done\r\n"});
    select_of_r(c);
    client_expect(c, "d UNSELECT\r\n", "d OK %\r\n");
}

static void within_the_domain(void **state)
{
    (void)state;
    world_fill(1);
    world_sharing = SHARING_DOMAIN;
    CONVERSE(0, {"a SETACL INBOX anyone lr\r\n", "a NO [NOPERM] On this server mailboxes are shared with accounts that are named, not with anyone\r\n"},
        {"b SETACL INBOX anyone +r\r\n", "b NO [NOPERM] %\r\n"}, {"c SETACL INBOX anyone -r\r\n", "c NO [NOPERM] %\r\n"},
        {"d SETACL INBOX eve@other.example lr\r\n", "d NO [NOPERM] On this server mailboxes are shared with accounts of the owner's domain only\r\n"},
        {"e SETACL INBOX nobody@other.example lr\r\n", "e NO [NOPERM] On this server mailboxes are shared with accounts of the owner's domain only\r\n"},
        {"f SETACL INBOX -eve@other.example lr\r\n", "f NO [NOPERM] %\r\n"}, {"g DELETEACL INBOX eve@other.example\r\n", "g NO [NOPERM] %\r\n"},
        {"h DELETEACL INBOX nobody@other.example\r\n", "h NO [NOPERM] %\r\n"}, {"i SETACL INBOX nobody@home.example lr\r\n", "i NO [CANNOT] %\r\n"},
        {"j LISTRIGHTS INBOX anyone\r\n", "* LISTRIGHTS INBOX anyone \"\"\r\nj OK Done\r\n"},
        {"k LISTRIGHTS INBOX eve@other.example\r\n", "* LISTRIGHTS INBOX eve@other.example \"\"\r\nk OK Done\r\n"},
        {"l LISTRIGHTS INBOX nobody@other.example\r\n", "* LISTRIGHTS INBOX nobody@other.example \"\"\r\nl OK Done\r\n"},
        {"m LISTRIGHTS INBOX ann@home.example\r\n", "* LISTRIGHTS INBOX ann@home.example \"\" l %\r\nm OK Done\r\n"},
        {"n SETACL INBOX ann@home.example lr\r\n", "n OK Done\r\n"}, {"o SETACL INBOX -anyone s\r\n", "o OK Done\r\n"},
        {"p GETACL INBOX\r\n", OWNER " ann@home.example lr -anyone s\r\np OK Done\r\n"},
        {"q SETACL INBOX r@home.example " ALL "\r\n", "q OK %\r\n"});
    expect_it(1);
    expect_nothing(2);
    expect_nothing(3);
}

static void in_all_domains(void **state)
{
    (void)state;
    world_fill(1);
    world_sharing = SHARING_SERVER;
    CONVERSE(0, {"a SETACL INBOX anyone lr\r\n", "a NO [NOPERM] %\r\n"}, {"b SETACL INBOX eve@other.example lr\r\n", "b OK Done\r\n"},
        {"c SETACL INBOX nobody@other.example lr\r\n", "c NO [CANNOT] %\r\n"}, {"d GETACL INBOX\r\n", OWNER " eve@other.example lr\r\nd OK Done\r\n"});
    expect_it(3);
    expect_nothing(1);
    world_sharing = SHARING_ANYONE;
    owner_grants("INBOX", "anyone", "lr");
    expect_it(1);
    expect_it(3);
}

static void with_nobody(void **state)
{
    (void)state;
    world_fill(1);
    owner_grants("INBOX", "ann@home.example", "lr");
    world_sharing = SHARING_NONE;
    CONVERSE(0, {"a SETACL INBOX ann@home.example lrs\r\n", "a NO [NOPERM] On this server mailboxes are not shared\r\n"},
        {"b SETACL INBOX anyone l\r\n", "b NO [NOPERM] %\r\n"}, {"c SETACL INBOX r@home.example " ALL "\r\n", "c OK %\r\n"},
        {"d GETACL INBOX\r\n", BEYOND OWNER " ann@home.example lr\r\nd OK Done\r\n"});
    expect_nothing(1);
}

/* What was granted while it was allowed. */
static void has_no_effect(void **state)
{
    (void)state;
    world_fill(1);
    owner_grants("INBOX", "anyone", "lr");
    expect_it(2);
    expect_it(3);
    world_sharing = SHARING_SERVER;
    expect_nothing(2);
    expect_nothing(3);
    client_expect(0, "a GETACL INBOX\r\n", BEYOND OWNER " anyone lr\r\na OK Done\r\n");
    owner_grants("INBOX", "eve@other.example", "lr");
    expect_it(3);
    world_sharing = SHARING_DOMAIN;
    expect_nothing(3);
    imap_world_restart();
    client_open(0);
    client_open_as(3, EVE);
    expect_nothing(3);
    /* It can be taken away, and only that. */
    CONVERSE(0, {"a GETACL INBOX\r\n", BEYOND OWNER " anyone lr eve@other.example lr\r\na OK Done\r\n"},
        {"b SETACL INBOX anyone l\r\n", "b NO [NOPERM] %\r\n"}, {"c SETACL INBOX eve@other.example -r\r\n", "c OK Done\r\n"},
        {"d SETACL INBOX eve@other.example +s\r\n", "d NO [NOPERM] %\r\n"}, {"e DELETEACL INBOX eve@other.example\r\n", "e OK Done\r\n"},
        {"f GETACL INBOX\r\n", BEYOND OWNER " anyone lr\r\nf OK Done\r\n"}, {"g SETACL INBOX anyone \"\"\r\n", "g OK Done\r\n"},
        {"h GETACL INBOX\r\n", OWNER "\r\nh OK Done\r\n"});
    world_sharing = SHARING_ANYONE;
    expect_nothing(3);
}

/* The configuration is read anew while the mailbox is selected, and while others are listened to. */
static void while_selected(void **state)
{
    (void)state;
    world_fill(1);
    owner_grants("INBOX", "eve@other.example", "lr");
    owner_grants("Sent", "eve@other.example", "lr");
    select_of_r(3);
    client_expect(3, "a NOTIFY SET (SUBTREE \"Other Users\" (MessageNew MessageExpunge)) (SELECTED (MessageNew MessageExpunge FlagChange))\r\n", "a OK %\r\n");
    client_expect(3, "b FETCH 1 FLAGS\r\n", "* 1 FETCH (FLAGS ())\r\nb OK Done\r\n");
    world_sharing = SHARING_DOMAIN;
    client_expect(3, "c FETCH 1 FLAGS\r\n", "c NO [%] %\r\n");
    world_fill(1);
    CONVERSE(0, {"a APPEND Sent {4+}\r\na: b\r\n", "a OK [APPENDUID %] Stored\r\n"}, {"b CREATE x\r\n", "b OK [%] Created\r\n"});
    client_was_told(3, "");
    CONVERSE(3, {"d NOOP\r\n", "d OK Done\r\n"}, {"e SEARCH ALL\r\n", "e NO [%] %\r\n"}, {"f COPY 1 Sent\r\n", "f NO [%] %\r\n"});
    world_sharing = SHARING_SERVER;
    client_expect(3, "g FETCH 1 FLAGS\r\n", "* FLAGS %\r\n* OK %\r\n* 1 FETCH (FLAGS ())\r\n* 2 EXISTS\r\ng OK Done\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(within_the_domain, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(in_all_domains, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(with_nobody, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(has_no_effect, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(while_selected, setup, imap_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
