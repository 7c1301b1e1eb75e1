/* IMAP: GETMETADATA, SETMETADATA, LIST RETURN (METADATA ...). */
#include "imap_world.h"
#include "roles/mailbox/store_annotation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_metadata_test");
    client_open(0);
    return 0;
}

static void set_and_get(void **state)
{
    (void)state;
    client_open(1);
    CONVERSE(0, {"a SETMETADATA INBOX (/private/comment \"mine\" /shared/Comment {6}\r\n", "+ %\r\n"}, {"a\r\nb \n)\r\n", "a OK Done\r\n"});
    CONVERSE(1, {"a GETMETADATA INBOX /private/COMMENT\r\n", "* METADATA INBOX (/private/comment \"mine\")\r\na OK Done\r\n"},
        {"b GETMETADATA inbox (/shared/comment /private/comment)\r\n",
            "* METADATA INBOX (/shared/comment {6}\r\na\r\nb \n)\r\n* METADATA INBOX (/private/comment \"mine\")\r\nb OK Done\r\n"},
        {"c GETMETADATA INBOX /private/other\r\n", "* METADATA INBOX (/private/other NIL)\r\nc OK Done\r\n"},
        {"d SETMETADATA INBOX (/private/comment NIL /private/empty \"\")\r\n", "d OK Done\r\n"},
        {"e GETMETADATA INBOX (/private/comment /private/empty)\r\n",
            "* METADATA INBOX (/private/comment NIL)\r\n* METADATA INBOX (/private/empty \"\")\r\ne OK Done\r\n"},
        {"f GETMETADATA nowhere /private/comment\r\n", "f NO [NONEXISTENT] %\r\n"}, {"g SETMETADATA nowhere (/private/comment \"x\")\r\n", "g NO [NONEXISTENT] %\r\n"},
        {"h GETMETADATA Sent /shared/comment\r\n", "* METADATA Sent (/shared/comment NIL)\r\nh OK Done\r\n"});
    imap_world_restart();
    client_open(0);
    CONVERSE(0, {"a GETMETADATA INBOX (/shared/comment /private/comment)\r\n",
        "* METADATA INBOX (/shared/comment {6}\r\na\r\nb \n)\r\n* METADATA INBOX (/private/comment NIL)\r\na OK Done\r\n"});
}

static void names_of_entries(void **state)
{
    (void)state;
    CONVERSE(0, {"a SETMETADATA INBOX (/comment \"x\")\r\n", "a BAD %\r\n"}, {"b SETMETADATA INBOX (/private \"x\")\r\n", "b BAD %\r\n"},
        {"c SETMETADATA INBOX (/private/a//b \"x\")\r\n", "c BAD %\r\n"}, {"d SETMETADATA INBOX (/private/a/ \"x\")\r\n", "d BAD %\r\n"},
        {"e SETMETADATA INBOX (\"/private/a*\" \"x\")\r\n", "e BAD %\r\n"}, {"f SETMETADATA INBOX (\"/private/a%\" \"x\")\r\n", "f BAD %\r\n"},
        {"g SETMETADATA INBOX (\"/private/\xc3\xbc\" \"x\")\r\n", "g BAD %\r\n"}, {"h SETMETADATA INBOX (/privates/a \"x\")\r\n", "h BAD %\r\n"},
        {"i SETMETADATA INBOX (/shared/vendor/token \"x\")\r\n", "i BAD %\r\n"}, {"j SETMETADATA INBOX (/shared/vendor/token/a \"x\")\r\n", "j OK Done\r\n"},
        {"k SETMETADATA INBOX (/private/a \"x\" /private/A \"y\")\r\n", "k BAD %\r\n"}, {"l SETMETADATA INBOX ()\r\n", "l BAD %\r\n"},
        {"m SETMETADATA INBOX (/private/a)\r\n", "m BAD %\r\n"}, {"n GETMETADATA INBOX\r\n", "n BAD %\r\n"}, {"o GETMETADATA INBOX ()\r\n", "o BAD %\r\n"},
        {"p GETMETADATA INBOX /other/a\r\n", "p BAD %\r\n"}, {"q GETMETADATA (SIZE 3) INBOX /private/a\r\n", "q BAD %\r\n"},
        {"r GETMETADATA INBOX (/private/a /private/A)\r\n", "* METADATA INBOX (/private/a NIL)\r\n* METADATA INBOX (/private/a NIL)\r\nr OK Done\r\n"});
}

static void depth_and_size(void **state)
{
    (void)state;
    CONVERSE(0, {"a SETMETADATA Sent (/private/f/v \"1\" /private/f/v/small \"SMALLER 5000\" /private/f/v/boss/one \"b\" /private/f/vx \"no\" /shared/f/v/s \"s\")\r\n", "a OK Done\r\n"},
        {"b GETMETADATA (DEPTH 0) Sent /private/f/v\r\n", "* METADATA Sent (/private/f/v \"1\")\r\nb OK Done\r\n"},
        {"c GETMETADATA (DEPTH 1) Sent /private/f/v\r\n", "* METADATA Sent (/private/f/v \"1\" /private/f/v/small \"SMALLER 5000\")\r\nc OK Done\r\n"},
        {"d GETMETADATA Sent (DEPTH infinity) (/private/f/v)\r\n",
            "* METADATA Sent (/private/f/v \"1\" /private/f/v/boss/one \"b\" /private/f/v/small \"SMALLER 5000\")\r\nd OK Done\r\n"},
        {"e GETMETADATA (DEPTH infinity) Sent (/shared /private/f/vx /private/none)\r\n",
            "* METADATA Sent (/shared/f/v/s \"s\")\r\n* METADATA Sent (/private/f/vx \"no\")\r\ne OK Done\r\n"},
        {"f GETMETADATA (MAXSIZE 2) Sent (/private/f/v/small /private/f/vx)\r\n",
            "* METADATA Sent (/private/f/vx \"no\")\r\nf OK [METADATA LONGENTRIES 12] %\r\n"},
        {"g GETMETADATA Sent (MAXSIZE 1 DEPTH infinity) /private/f\r\n",
            "* METADATA Sent (/private/f/v \"1\" /private/f/v/boss/one \"b\")\r\ng OK [METADATA LONGENTRIES 12] %\r\n"},
        {"h GETMETADATA (MAXSIZE 12) Sent /private/f/v/small\r\n", "* METADATA Sent (/private/f/v/small \"SMALLER 5000\")\r\nh OK Done\r\n"},
        {"i GETMETADATA (DEPTH 2) Sent /private/f\r\n", "i BAD %\r\n"}, {"j GETMETADATA (MAXSIZE -1) Sent /private/f\r\n", "j BAD %\r\n"});
}

/* Entries without a mailbox: the account's own; /shared ones are the administrator's. */
static void of_the_server(void **state)
{
    (void)state;
    client_open(1);
    CONVERSE(0, {"a SETMETADATA \"\" (/private/vendor/x/y \"1\")\r\n", "a OK Done\r\n"}, {"b SETMETADATA \"\" (/private/a \"1\" /shared/comment \"x\")\r\n", "b NO [NOPERM] %\r\n"},
        {"c SETMETADATA \"\" (/shared/admin \"x\")\r\n", "c NO [NOPERM] %\r\n"});
    CONVERSE(1, {"a GETMETADATA \"\" (/private/vendor/x/y /shared/admin /shared/comment /private/a)\r\n",
        "* METADATA \"\" (/private/vendor/x/y \"1\")\r\n* METADATA \"\" (/shared/admin \"mailto:postmaster@home.example\")\r\n"
        "* METADATA \"\" (/shared/comment NIL)\r\n* METADATA \"\" (/private/a NIL)\r\na OK Done\r\n"},
        {"b GETMETADATA (DEPTH 1) \"\" /shared\r\n", "* METADATA \"\" (/shared/admin \"mailto:postmaster@home.example\")\r\nb OK Done\r\n"},
        {"c GETMETADATA INBOX /private/vendor/x/y\r\n", "* METADATA INBOX (/private/vendor/x/y NIL)\r\nc OK Done\r\n"});
}

/* RFC 6154, section 5.4. */
static void special_use(void **state)
{
    (void)state;
    CONVERSE(0, {"a GETMETADATA Sent /private/specialuse\r\n", "* METADATA Sent (/private/specialuse \"\\\\Sent\")\r\na OK Done\r\n"},
        {"b GETMETADATA INBOX /private/specialuse\r\n", "* METADATA INBOX (/private/specialuse NIL)\r\nb OK Done\r\n"},
        {"c CREATE Other\r\n", "c OK [%] Created\r\n"}, {"d SETMETADATA Other (/private/specialuse \"\\\\Sent\")\r\n", "d NO [USEATTR] %\r\n"},
        {"e SETMETADATA Other (/private/specialuse \"\\\\All\")\r\n", "e NO [USEATTR] %\r\n"}, {"f SETMETADATA Sent (/private/specialuse \"\\\\sent\")\r\n", "f OK Done\r\n"},
        {"g SETMETADATA Sent (/private/specialuse NIL)\r\n", "g OK Done\r\n"}, {"h SETMETADATA Other (/private/specialuse \"\\\\SENT\")\r\n", "h OK Done\r\n"},
        {"i LIST \"\" (Sent Other)\r\n", "* LIST (\\HasNoChildren \\Sent) \"/\" Other\r\n* LIST (\\HasNoChildren) \"/\" Sent\r\ni OK Done\r\n"},
        {"j GETMETADATA (DEPTH infinity) Other /private\r\n", "* METADATA Other (/private/specialuse \"\\\\Sent\")\r\nj OK Done\r\n"});
    imap_world_restart();
    client_open(0);
    CONVERSE(0, {"a LIST (SPECIAL-USE) \"\" (Sent Other)\r\n", "* LIST (\\HasNoChildren \\Sent) \"/\" Other\r\na OK Done\r\n"});
}

static void with_their_mailbox(void **state)
{
    (void)state;
    world_fill(1);
    CONVERSE(0, {"a CREATE x/y\r\n", "a OK [%] Created\r\n"}, {"b SETMETADATA x/y (/private/comment \"c\" /shared/comment \"d\")\r\n", "b OK Done\r\n"},
        {"c RENAME x z\r\n", "c OK Done\r\n"}, {"d GETMETADATA z/y (/private/comment /shared/comment)\r\n",
            "* METADATA z/y (/private/comment \"c\")\r\n* METADATA z/y (/shared/comment \"d\")\r\nd OK Done\r\n"},
        {"e DELETE z/y\r\n", "e OK Done\r\n"}, {"f CREATE z/y\r\n", "f OK [%] Created\r\n"},
        {"g GETMETADATA (DEPTH infinity) z/y (/private /shared/comment)\r\n", "g OK Done\r\n"},
        {"h SETMETADATA INBOX (/private/comment \"i\")\r\n", "h OK Done\r\n"}, {"i RENAME INBOX old\r\n", "i OK Done\r\n"},
        {"j GETMETADATA old /private/comment\r\n", "* METADATA old (/private/comment \"i\")\r\nj OK Done\r\n"},
        {"k GETMETADATA INBOX /private/comment\r\n", "* METADATA INBOX (/private/comment \"i\")\r\nk OK Done\r\n"});
    assert_int_equal(world_box()->held, 0);
}

/* Nothing but the last of these is refused, and of that nothing is kept. */
static void limits(void **state)
{
    char *large = calloc(1, 300000), say[200];

    (void)state;
    for (int i = 0; i < ANNOTATIONS_MAX; i++) {
        snprintf(say, sizeof say, "a SETMETADATA INBOX (/private/n%d \"v\")\r\n", i);
        client_expect(0, say, "a OK Done\r\n");
    }
    CONVERSE(0, {"b SETMETADATA INBOX (/private/n0 \"w\" /private/more \"v\")\r\n", "b NO [METADATA TOOMANY] %\r\n"},
        {"c GETMETADATA INBOX /private/n0\r\n", "* METADATA INBOX (/private/n0 \"v\")\r\nc OK Done\r\n"},
        {"d SETMETADATA INBOX (/private/n0 NIL /private/more \"v\")\r\n", "d OK Done\r\n"}, {"e SETMETADATA Sent (/private/more \"v\")\r\n", "e OK Done\r\n"},
        {"f SETMETADATA Sent (/private/a {300000}\r\n", "f NO [METADATA MAXSIZE 65536] %\r\n"});
    memset(large, 'x', 65537);
    client_expect(0, "g SETMETADATA Sent (/private/b \"1\" /private/a {65537}\r\n", "+ %\r\n");
    client_say(0, large);
    CONVERSE(0, {")\r\n", "g NO [METADATA MAXSIZE 65536] %\r\n"}, {"h GETMETADATA Sent (/private/a /private/b)\r\n",
        "* METADATA Sent (/private/a NIL)\r\n* METADATA Sent (/private/b NIL)\r\nh OK Done\r\n"});
    large[65536] = 0;
    for (int i = 0; i < 63; i++) {
        snprintf(say, sizeof say, "i SETMETADATA Sent (/private/l%d {65536}\r\n", i);
        client_expect(0, say, "+ %\r\n");
        client_say(0, large);
        client_expect(0, ")\r\n", "i OK Done\r\n");
    }
    client_expect(0, "j SETMETADATA Junk (/private/a {65536}\r\n", "+ %\r\n");
    client_say(0, large);
    CONVERSE(0, {")\r\n", "j NO [OVERQUOTA] %\r\n"}, {"k SETMETADATA Sent (/private/l0 NIL)\r\n", "k OK Done\r\n"});
    client_say(0, "l GETMETADATA (DEPTH infinity) Sent (/private /private /private)\r\n");
    world_flush();
    assert_true(client_got(0).n > 3 * 62 * 65536u);
    client_expect(0, "m RENAME INBOX old\r\n", "m OK Done\r\n");
    free(large);
}

/* A value is bytes. */
static void bytes(void **state)
{
    static const char expected[] = "* METADATA INBOX (/private/b ~{4}\r\na\0\xff\n)\r\nb OK Done\r\n";

    (void)state;
    client_expect(0, "a SETMETADATA INBOX (/private/b ~{4}\r\n", "+ %\r\n");
    client_say_bytes(0, str_from("a\0\xff\n", 4));
    CONVERSE(0, {")\r\n", "a OK Done\r\n"});
    client_say(0, "b GETMETADATA INBOX /private/b\r\n");
    world_flush();
    assert_true(str_eq(client_got(0), str_from(expected, sizeof expected - 1)));
}

static void list(void **state)
{
    (void)state;
    client_open(1);
    CONVERSE(0, {"a SETMETADATA Sent (/shared/color \"#b71c1c\" /private/a \"1\")\r\n", "a OK Done\r\n"}, {"b CREATE n/x\r\n", "b OK [%] Created\r\n"},
        {"c DELETE n\r\n", "c OK Done\r\n"});
    CONVERSE(1, {"a LIST \"\" (Sent Junk n) RETURN (METADATA (/shared/Color /private/a /shared/color))\r\n",
        "* LIST (\\HasNoChildren \\Junk) \"/\" Junk\r\n* METADATA Junk (/shared/color NIL /private/a NIL)\r\n"
        "* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n* METADATA Sent (/shared/color \"#b71c1c\" /private/a \"1\")\r\n"
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" n\r\na OK Done\r\n"},
        {"b LIST (SPECIAL-USE) \"\" S* RETURN (STATUS (MESSAGES) METADATA (/private/specialuse))\r\n",
            "* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n* STATUS Sent (MESSAGES 0)\r\n* METADATA Sent (/private/specialuse \"\\\\Sent\")\r\nb OK Done\r\n"},
        {"c LIST \"\" Sent RETURN (METADATA (/nothing))\r\n", "c BAD %\r\n"}, {"d LIST \"\" Sent RETURN (METADATA)\r\n", "d BAD %\r\n"});
}

/* What another session is changing is told when it is on disk, and never when it fails. */
static void not_before_it_is_on_disk(void **state)
{
    struct err err = {0};

    (void)state;
    client_open(1);
    client_say(0, "a SETMETADATA Sent (/shared/a \"1\" /private/specialuse NIL)\r\n");
    world_run();
    client_say(1, "b GETMETADATA Sent /shared/a\r\nc LIST \"\" Sent RETURN (METADATA (/shared/a))\r\n");
    world_run();
    assert_int_equal(client_got(0).n + client_got(1).n, 0);
    err_set(&err, ERR_TEMPORARY, "the disk");
    box_fail(world_box(), &err);
    world_flush();
    assert_true(text_matches(STR("a NO [UNAVAILABLE] %\r\n"), client_got(0)));
    assert_true(text_matches(STR("* METADATA Sent (/shared/a NIL)\r\nb OK Done\r\n* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n"
        "* METADATA Sent (/shared/a NIL)\r\nc OK Done\r\n"), client_got(1)));
    client_say(0, "a SETMETADATA Sent (/shared/a \"1\")\r\n");
    world_run();
    client_say(1, "b GETMETADATA Sent /shared/a\r\n");
    world_run();
    assert_int_equal(client_got(1).n, 0);
    world_flush();
    assert_true(text_matches(STR("* METADATA Sent (/shared/a \"1\")\r\nb OK Done\r\n"), client_got(1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(set_and_get, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(names_of_entries, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(depth_and_size, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(of_the_server, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(special_use, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(with_their_mailbox, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(limits, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(bytes, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(list, setup, imap_world_teardown), cmocka_unit_test_setup_teardown(not_before_it_is_on_disk, setup, imap_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
