/* IMAP: access control lists (RFC 4314) and what they say of one's own mailboxes; NAMESPACE; LIST RETURN (MYRIGHTS). The mailboxes of
 * others are in imap_shared_test.c. Client 0 is r, 1 is ann, 2 is bob. */
#include "roles/mailbox/store_acl.h"
#include "shared_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALL "lrswipkxtecda"

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_acl_test");
    client_open(0);
    return 0;
}

static void is_offered(void **state)
{
    (void)state;
    CONVERSE(0, {"a CAPABILITY\r\n", "* CAPABILITY % ACL RIGHTS=texk LIST-MYRIGHTS %\r\na OK %\r\n"},
        {"b NAMESPACE\r\n", "* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) NIL\r\nb OK Done\r\n"});
}

static void of_the_owner(void **state)
{
    (void)state;
    CONVERSE(0, {"a MYRIGHTS inbox\r\n", "* MYRIGHTS INBOX " ALL "\r\na OK Done\r\n"},
        {"b GETACL INBOX\r\n", "* ACL INBOX r@home.example " ALL "\r\nb OK Done\r\n"},
        {"c LISTRIGHTS INBOX R@Home.example\r\n", "* LISTRIGHTS INBOX R@Home.example " ALL "\r\nc OK Done\r\n"},
        {"d LISTRIGHTS INBOX ann@home.example\r\n", "* LISTRIGHTS INBOX ann@home.example \"\" l r s w i p k x t e c d a\r\nd OK Done\r\n"},
        {"e LISTRIGHTS INBOX anyone\r\n", "* LISTRIGHTS INBOX anyone \"\" l r s w i p k x t e c d a\r\ne OK Done\r\n"},
        {"f LISTRIGHTS INBOX -r@home.example\r\n", "* LISTRIGHTS INBOX -r@home.example \"\"\r\nf OK Done\r\n"},
        {"g SETACL INBOX r@home.example lr\r\n", "g NO [CANNOT] %\r\n"}, {"h SETACL INBOX r@home.example -w\r\n", "h NO [CANNOT] %\r\n"},
        {"i SETACL INBOX -r@home.example +w\r\n", "i NO [CANNOT] %\r\n"}, {"j DELETEACL INBOX r@home.example\r\n", "j NO [CANNOT] %\r\n"},
        {"k SETACL INBOX r@home.example lrswipkxtea\r\n", "k OK %\r\n"}, {"l SETACL INBOX r@home.example +lrswipcda\r\n", "l OK %\r\n"},
        {"m GETACL INBOX\r\n", "* ACL INBOX r@home.example " ALL "\r\nm OK Done\r\n"},
        {"n MYRIGHTS nowhere\r\n", "n NO [NONEXISTENT] %\r\n"}, {"o GETACL nowhere\r\n", "o NO [NONEXISTENT] %\r\n"},
        {"p SETACL nowhere anyone l\r\n", "p NO [NONEXISTENT] %\r\n"}, {"q DELETEACL nowhere anyone\r\n", "q NO [NONEXISTENT] %\r\n"},
        {"r LISTRIGHTS nowhere anyone\r\n", "r NO [NONEXISTENT] %\r\n"}, {"s MYRIGHTS\r\n", "s BAD %\r\n"}, {"t SETACL INBOX anyone\r\n", "t BAD %\r\n"});
}

static void entries(void **state)
{
    (void)state;
    CONVERSE(0, {"a SETACL INBOX ann@home.example lr\r\n", "a OK Done\r\n"}, {"b SETACL INBOX ANN@home.example +sw\r\n", "b OK Done\r\n"},
        {"c SETACL INBOX ann@home.example -w\r\n", "c OK Done\r\n"}, {"d SETACL INBOX -bob@home.example s\r\n", "d OK Done\r\n"},
        {"e SETACL INBOX anyone l\r\n", "e OK Done\r\n"},
        {"f GETACL INBOX\r\n", "* ACL INBOX r@home.example " ALL " anyone l ann@home.example lrs -bob@home.example s\r\nf OK Done\r\n"},
        {"g SETACL INBOX ann@home.example cd\r\n", "g OK Done\r\n"},
        {"h GETACL INBOX\r\n", "* ACL INBOX r@home.example " ALL " anyone l ann@home.example kxtecd -bob@home.example s\r\nh OK Done\r\n"},
        {"i SETACL INBOX ann@home.example k\r\n", "i OK Done\r\n"}, {"j SETACL INBOX anyone e\r\n", "j OK Done\r\n"},
        {"k GETACL INBOX\r\n", "* ACL INBOX r@home.example " ALL " anyone ed ann@home.example kc -bob@home.example s\r\nk OK Done\r\n"},
        {"l SETACL INBOX ann@home.example \"\"\r\n", "l OK Done\r\n"}, {"m DELETEACL INBOX -bob@home.example\r\n", "m OK Done\r\n"},
        {"n DELETEACL INBOX bob@home.example\r\n", "n OK Done\r\n"}, {"o SETACL INBOX Anyone +\r\n", "o OK Done\r\n"},
        {"p GETACL INBOX\r\n", "* ACL INBOX r@home.example " ALL " anyone ed\r\np OK Done\r\n"},
        {"q SETACL INBOX anyone lrQ\r\n", "q BAD %\r\n"}, {"r SETACL INBOX anyone lrq\r\n", "r BAD %\r\n"}, {"s SETACL INBOX anyone 0\r\n", "s BAD %\r\n"},
        {"t SETACL INBOX \"\" l\r\n", "t BAD %\r\n"}, {"u SETACL INBOX - l\r\n", "u BAD %\r\n"},
        {"v SETACL INBOX nobody@home.example l\r\n", "v NO [CANNOT] %\r\n"}, {"w SETACL INBOX $team l\r\n", "w NO [CANNOT] %\r\n"});
    imap_world_restart();
    client_open(0);
    client_expect(0, "a GETACL INBOX\r\n", "* ACL INBOX r@home.example " ALL " anyone ed\r\na OK Done\r\n");
}

/* Pipelined, and read by another session: only when it is on disk. */
static void at_once(void **state)
{
    (void)state;
    client_open(3);
    client_say(0, "a SETACL Sent anyone l\r\nb GETACL Sent\r\n");
    world_run();
    client_say(3, "c GETACL Sent\r\n");
    world_run();
    assert_int_equal(client_got(0).n + client_got(3).n, 0);
    world_flush();
    client_expect(0, "", "a OK Done\r\n* ACL Sent r@home.example " ALL " anyone l\r\nb OK Done\r\n");
    client_expect(3, "", "* ACL Sent r@home.example " ALL " anyone l\r\nc OK Done\r\n");
}

static void with_their_mailbox(void **state)
{
    (void)state;
    CONVERSE(0, {"a CREATE x\r\n", "a OK [%] Created\r\n"}, {"b SETACL x ann@home.example lk\r\n", "b OK Done\r\n"},
        {"c CREATE x/y/z\r\n", "c OK [%] Created\r\n"}, {"d GETACL x/y/z\r\n", "* ACL x/y/z r@home.example " ALL " ann@home.example lkc\r\nd OK Done\r\n"},
        {"e SETACL x/y/z ann@home.example r\r\n", "e OK Done\r\n"}, {"f RENAME x w\r\n", "f OK Done\r\n"},
        {"g GETACL w/y/z\r\n", "* ACL w/y/z r@home.example " ALL " ann@home.example r\r\ng OK Done\r\n"},
        {"h DELETE w/y/z\r\n", "h OK Done\r\n"}, {"i CREATE w/y/z\r\n", "i OK [%] Created\r\n"},
        {"j GETACL w/y/z\r\n", "* ACL w/y/z r@home.example " ALL " ann@home.example lkc\r\nj OK Done\r\n"},
        {"k DELETE w/y/z\r\n", "k OK Done\r\n"}, {"l DELETE w/y\r\n", "l OK Done\r\n"}, {"m DELETE w\r\n", "m OK Done\r\n"},
        {"n CREATE w\r\n", "n OK [%] Created\r\n"}, {"o GETACL w\r\n", "* ACL w r@home.example " ALL "\r\no OK Done\r\n"});
    world_check();
}

static void in_lists(void **state)
{
    (void)state;
    CONVERSE(0, {"a CREATE x/y\r\n", "a OK [%] Created\r\n"}, {"b SUBSCRIBE gone\r\n", "b OK Done\r\n"},
        {"c LIST \"\" x/% RETURN (MYRIGHTS)\r\n", "* LIST (\\HasNoChildren) \"/\" x/y\r\n* MYRIGHTS x/y " ALL "\r\nc OK Done\r\n"},
        {"d LIST (SUBSCRIBED) \"\" gone RETURN (MYRIGHTS)\r\n",
            "* LIST (\\NonExistent \\Noselect \\Subscribed \\HasNoChildren) \"/\" gone\r\nd OK Done\r\n"},
        {"e LIST \"\" x/y RETURN (STATUS (MESSAGES) MYRIGHTS)\r\n",
            "* LIST (\\HasNoChildren) \"/\" x/y\r\n* MYRIGHTS x/y " ALL "\r\n* STATUS x/y (MESSAGES 0)\r\ne OK Done\r\n"});
}

/* Nobody may have mailboxes of his own where those of others are. */
static void reserved_names(void **state)
{
    (void)state;
    CONVERSE(0, {"a CREATE \"Other Users\"\r\n", "a NO [CANNOT] %\r\n"}, {"b CREATE \"Other Users/x\"\r\n", "b NO [CANNOT] %\r\n"},
        {"c RENAME Sent \"Other Users/Sent\"\r\n", "c NO [CANNOT] %\r\n"}, {"d CREATE \"Other Users/nobody@home.example/x\"\r\n", "d NO [NONEXISTENT] %\r\n"},
        {"e RENAME INBOX \"Other Users/ann@home.example/x\"\r\n", "e NO [CANNOT] %\r\n"}, {"f CREATE \"Other Usersx\"\r\n", "f OK [%] Created\r\n"});
}

static void hints_for_the_others(void **state)
{
    (void)state;
    client_expect(0, "a SETACL INBOX ann@home.example lr\r\n", "a OK Done\r\n");
    assert_true(world_share_is_noted(R, ANN));
    CONVERSE(0, {"b SETACL Sent ann@home.example l\r\n", "b OK Done\r\n"}, {"c DELETEACL INBOX ann@home.example\r\n", "c OK Done\r\n"});
    assert_true(world_share_is_noted(R, ANN));
    client_expect(0, "d DELETEACL Sent ann@home.example\r\n", "d OK Done\r\n");
    assert_false(world_share_is_noted(R, ANN));
    client_expect(0, "e SETACL Sent -bob@home.example l\r\n", "e OK Done\r\n");
    assert_false(world_share_is_noted(R, BOB));
    client_expect(0, "f SETACL Sent anyone l\r\n", "f OK Done\r\n");
    assert_true(world_share_is_noted(R, ACL_ANYONE));
}

/* An account that is removed is granted nothing; its entries go when somebody looks. */
static void removed_account(void **state)
{
    struct err err = {0};
    bool has;

    (void)state;
    CONVERSE(0, {"a SETACL INBOX ann@home.example lr\r\n", "a OK Done\r\n"}, {"b SETACL Sent ann@home.example lr\r\n", "b OK Done\r\n"},
        {"c SETACL INBOX bob@home.example l\r\n", "c OK Done\r\n"});
    world_account_gone[ANN - R] = true;
    imap_world_restart();
    client_open(0);
    client_expect(0, "a GETACL INBOX\r\n", "* ACL INBOX r@home.example " ALL " bob@home.example l\r\na OK Done\r\n");
    assert_true(store_acl_has(world_box()->store, ANN, &has, &err) && !has);
    assert_true(store_acl_has(world_box()->store, BOB, &has, &err) && has);
}

static void directory_is_away(void **state)
{
    struct channel *directory = world_directory;

    (void)state;
    world_directory = NULL;
    CONVERSE(0, {"a SETACL INBOX ann@home.example lr\r\n", "a NO [UNAVAILABLE] %\r\n"}, {"b SETACL INBOX anyone lr\r\n", "b OK Done\r\n"},
        {"c SELECT \"Other Users/ann@home.example/INBOX\"\r\n", "c NO [UNAVAILABLE] %\r\n"},
        {"d LIST \"\" INBOX\r\n", "* LIST (\\HasNoChildren) \"/\" INBOX\r\nd OK Done\r\n"},
        {"e LIST \"\" (*BOX)\r\n", "* NO [UNAVAILABLE] %\r\n* LIST (\\HasNoChildren) \"/\" INBOX\r\ne OK Done\r\n"});
    world_directory = directory;
}

static void too_many(void **state)
{
    struct acl_entry e = {.rights = ACL_LOOKUP};
    struct err err = {0};

    (void)state;
    assert_true(box_begin(world_box(), &err));
    for (e.grantee = 1000; e.grantee < 1000 + ACL_ENTRIES_MAX; e.grantee++)
        assert_true(store_acl_set(world_box()->store, store_inbox(world_box()->store), &e, &err));
    box_touch(world_box());
    world_flush();
    CONVERSE(0, {"a SETACL INBOX ann@home.example lr\r\n", "a NO [LIMIT] %\r\n"}, {"b SETACL Sent ann@home.example lr\r\n", "b OK Done\r\n"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_offered, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(of_the_owner, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(entries, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(at_once, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(with_their_mailbox, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(in_lists, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(reserved_names, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(hints_for_the_others, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(removed_account, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(directory_is_away, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(too_many, setup, imap_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
