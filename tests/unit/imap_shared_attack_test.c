/* IMAP: what somebody may try with the mailboxes of others: finding out what is hidden, reading and changing what was not granted or is
 * no more, crossing from one account to the other; and what others do meanwhile: removal, rest, failures. Client 0 is r, the owner; 1 is
 * ann, 2 is bob. */
#include "base/clock.h"
#include "roles/mailbox/store_acl.h"
#include "shared_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    (void)state;
    shared_world_open("imap_shared_attack_test");
    return 0;
}

/* What it says is not looked at. */
static void does(unsigned c, const char *say)
{
    client_say(c, say);
    world_flush();
    (void)client_got(c);
}

/* The same words for what is hidden as for what is not there, for every command that takes a name. */
static void hidden_is_as_if_not_there(void **state)
{
    static const char *const names[] = {OF_R "secret\"", OF_R "nowhere\"", "\"Other Users/nobody@home.example/secret\"",
        "\"Other Users/ann@home.example/INBOX\""};
    static const struct {
        const char *before, *after;
    } commands[] = {{"SELECT ", ""}, {"EXAMINE ", ""}, {"STATUS ", " (MESSAGES)"}, {"DELETE ", ""}, {"RENAME ", " " OF_R "x\""}, {"GETACL ", ""},
        {"SETACL ", " ann@home.example lr"}, {"DELETEACL ", " anyone"}, {"LISTRIGHTS ", " anyone"}, {"MYRIGHTS ", ""}, {"GETQUOTAROOT ", ""},
        {"CREATE ", ""}, {"GETMETADATA ", " /shared/comment"}, {"SETMETADATA ", " (/private/comment \"x\")"}};

    (void)state;
    client_expect(0, "a CREATE secret\r\n", "a OK [%] Created\r\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char expected[300] = "";

        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            char say[310];
            struct str got;

            snprintf(say, sizeof say, "a %s%s%s\r\n", commands[i].before, names[k], commands[i].after);
            if (k > 0) {
                client_expect(1, say, expected);
                continue;
            }
            client_say(1, say);
            world_flush();
            got = client_got(1);
            snprintf(expected, sizeof expected, "%.*s", STR_ARG(got));
            if (!text_matches(STR("a NO [NONEXISTENT] %\r\n"), str_of(expected)))
                world_expected(say, STR("a NO [NONEXISTENT] %\r\n"), str_of(expected));
        }
    }
    CONVERSE(1, {"a APPEND " OF_R "secret\" {4}\r\n", "a NO [TRYCREATE] There is no such mailbox\r\n"},
        {"b APPEND " OF_R "nowhere\" {4}\r\n", "b NO [TRYCREATE] There is no such mailbox\r\n"},
        {"c CREATE " OF_R "secret\"\r\n", "c NO [NONEXISTENT] There is no such mailbox\r\n"},
        {"d CREATE " OF_R "nowhere\"\r\n", "d NO [NONEXISTENT] There is no such mailbox\r\n"},
        {"e CREATE " OF_R "secret/x\"\r\n", "e NO [NONEXISTENT] There is no such mailbox\r\n"},
        {"f CREATE " OF_R "bad//name\"\r\n", "f NO [NONEXISTENT] There is no such mailbox\r\n"});
}

static void patterns_find_nothing_hidden(void **state)
{
    static const char *const patterns[] = {"*", "%", "Other Users/*", "Other Users/%/%", "Other Users/%/*", "Other Users/r@home.example/*",
        "Other Users/r@home.example/secret", "*secret*", "*/secret/%", "Other*secret", "%/%/%"};

    (void)state;
    does(0, "a CREATE secret/below\r\n");
    owner_grants("secret", "ann@home.example", "rswipkxtea");
    owner_grants("secret/below", "bob@home.example", "l");
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        char say[200];
        struct str got;

        snprintf(say, sizeof say, "a LIST \"\" \"%s\" RETURN (MYRIGHTS STATUS (MESSAGES))\r\nb LSUB \"\" \"%s\"\r\n", patterns[i], patterns[i]);
        client_say(1, say);
        world_flush();
        got = client_got(1);
        assert_true(str_ends(got, STR("b OK Done\r\n")));
        for (size_t at = 0; at < got.n; at++)
            assert_false(str_starts(str_skip(got, at), STR("secret")));
    }
    /* What is above a visible one is told as a name alone, whatever may be done with it. */
    client_expect(2, "a LIST \"\" " OF_R "secret*\"\r\n", "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" " OF_R "secret\"\r\n"
        "* LIST (\\HasNoChildren) \"/\" " OF_R "secret/below\"\r\na OK Done\r\n");
}

static void strange_names(void **state)
{
    (void)state;
    owner_grants("INBOX", "ann@home.example", "lr");
    CONVERSE(1, {"a SELECT \"Other Users/r@home.example\"\r\n", "a NO [NONEXISTENT] %\r\n"}, {"b SELECT \"Other Users/r@home.example/\"\r\n", "b NO [NONEXISTENT] %\r\n"},
        {"c SELECT \"Other Users//INBOX\"\r\n", "c NO [NONEXISTENT] %\r\n"}, {"d SELECT \"Other Users\"\r\n", "d NO [NONEXISTENT] %\r\n"},
        {"e SELECT \"Other Users/r@home.example//INBOX\"\r\n", "e NO [NONEXISTENT] %\r\n"},
        {"f SELECT \"Other Users/r@home.example/../r@home.example/INBOX\"\r\n", "f NO [NONEXISTENT] %\r\n"},
        {"g SELECT \"Other Users/261/INBOX\"\r\n", "g NO [NONEXISTENT] %\r\n"},
        {"h SELECT \"Other Users/r@home.example/Other Users/ann@home.example/INBOX\"\r\n", "h NO [NONEXISTENT] %\r\n"},
        {"i CREATE \"Other Users/r@home.example/\"\r\n", "i NO [CANNOT] %\r\n"},
        {"j SUBSCRIBE \"Other Users/nobody@home.example/x\"\r\n", "j OK Done\r\n"},
        {"k EXAMINE " OF_R "INBOX\"\r\n", "* FLAGS %\r\n* OK %\r\n* 0 EXISTS\r\n* 0 RECENT\r\n* OK %\r\n* OK %\r\n* OK %\r\n* OK %\r\nk OK [READ-ONLY] Selected\r\n"},
        {"l SELECT nowhere\r\n", "l NO [NONEXISTENT] %\r\n"}, {"m FETCH 1 FLAGS\r\n", "m BAD %\r\n"});
}

static void across_the_border(void **state)
{
    (void)state;
    does(0, "a CREATE p/q\r\n");
    owner_grants("p", "ann@home.example", "lrswipkxte");
    owner_grants("p/q", "ann@home.example", "lrswipkxte");
    does(1, "a CREATE mine\r\n");
    CONVERSE(1, {"a RENAME mine " OF_R "p/mine\"\r\n", "a NO [CANNOT] %\r\n"}, {"b RENAME INBOX " OF_R "p/mine\"\r\n", "b NO [CANNOT] %\r\n"},
        {"c RENAME " OF_R "p/q\" mine2\r\n", "c NO [CANNOT] %\r\n"}, {"d RENAME " OF_R "p/q\" \"Other Users/r@home.example\"\r\n", "d NO [CANNOT] %\r\n"},
        {"e RENAME " OF_R "p/q\" \"Other Users/r@home.example/\"\r\n", "e NO [CANNOT] %\r\n"},
        {"f RENAME " OF_R "p/q\" " OF_R "p/q/s\"\r\n", "f NO [CANNOT] %\r\n"}, {"g RENAME " OF_R "p\" " OF_R "top\"\r\n", "g NO [NOPERM] %\r\n"},
        {"h RENAME \"Other Users/R@home.Example/p/q\" \"Other Users/R@Home.example/p/s\"\r\n", "h OK Done\r\n"});
    owner_grants("INBOX", "ann@home.example", "lrswipkxtea");
    CONVERSE(1, {"i RENAME " OF_R "INBOX\" " OF_R "p/all\"\r\n", "i NO [CANNOT] %\r\n"}, {"j DELETE " OF_R "INBOX\"\r\n", "j NO [CANNOT] %\r\n"});
}

/* CATENATE and REPLACE read and remove only what may be read and removed. */
static void parts_of_hidden_messages(void **state)
{
    (void)state;
    world_fill(2);
    owner_grants("Sent", "ann@home.example", "lri");
    CONVERSE(1, {"a APPEND INBOX CATENATE (URL \"/Other%20Users/r%40home.example/INBOX/;UID=1/;SECTION=TEXT\")\r\n", "a NO [BADURL %] %\r\n"},
        {"b APPEND " OF_R "Sent\" CATENATE (URL \"/Other%20Users/r%40home.example/INBOX/;UID=1\")\r\n", "b NO [BADURL %] %\r\n"},
        {"c APPEND INBOX CATENATE (URL \"/Other%20Users/nobody%40home.example/INBOX/;UID=1\")\r\n", "c NO [BADURL %] %\r\n"});
    owner_grants("INBOX", "ann@home.example", "r");
    CONVERSE(1, {"d APPEND INBOX CATENATE (TEXT {6+}\r\na: b\r\n URL \"/Other%20Users/r%40home.example/INBOX/;UID=1/;SECTION=TEXT\" "
        "URL \"/Other%20Users/r%40home.example/INBOX/;UID=2/;SECTION=TEXT\")\r\n", "d OK [APPENDUID % 1] Stored\r\n"},
        {"e SELECT INBOX\r\n", "* %\r\n* %\r\n* 1 EXISTS\r\n* %\r\n* %\r\n* %\r\n* %\r\n* %\r\n* %\r\ne OK [READ-WRITE] Selected\r\n"},
        {"f FETCH 1 BODY.PEEK[]\r\n", "* 1 FETCH (BODY[] {30}\r\na: b\r\nText of 1.\r\nText of 2.\r\n)\r\nf OK Done\r\n"},
        /* from one's own into that of another account, and replacing */
        {"g APPEND " OF_R "Sent\" CATENATE (URL \"/INBOX/;UID=1\" URL \"/Other%20Users/r%40home.example/INBOX/;UID=2/;SECTION=TEXT\")\r\n",
            "g OK [APPENDUID % 1] Stored\r\n"},
        {"h REPLACE 1 " OF_R "Sent\" {4+}\r\na: c\r\n", "* OK [APPENDUID % 2] Stored\r\n* 1 EXPUNGE\r\nh OK Done\r\n"},
        {"i EXAMINE " OF_R "INBOX\"\r\n", "* %\r\n* %\r\n* 2 EXISTS\r\n* %\r\n* %\r\n* %\r\n* %\r\n* %\r\n* %\r\ni OK [READ-ONLY] Selected\r\n"},
        {"j REPLACE 1 INBOX {4}\r\n", "j NO [NONEXISTENT] %\r\n"},
        {"k APPEND INBOX CATENATE (URL \"/;UID=1/;SECTION=TEXT\")\r\n", "k NO [BADURL %] %\r\n"},
        {"l APPEND INBOX CATENATE (URL \";UID=1/;SECTION=TEXT\")\r\n", "l OK [APPENDUID % 2] Stored\r\n"},
        {"m APPEND INBOX CATENATE (URL \"Sent/;UID=1/;SECTION=TEXT\")\r\n", "m OK [APPENDUID % 3] Stored\r\n"});
    /* What is replaced may not be removed any more when the new one is there. */
    owner_grants("INBOX", "ann@home.example", "lrite");
    does(1, "n SELECT " OF_R "INBOX\"\r\n");
    client_expect(1, "o REPLACE 1 " OF_R "INBOX\" {6}\r\n", "+ %\r\n");
    owner_grants("INBOX", "ann@home.example", "-e");
    client_expect(1, "a: d\r\n\r\n", "o NO [NOPERM] %\r\n");
    client_expect(1, "p NOOP\r\n", "p OK Done\r\n");
    does(0, "a SELECT Sent\r\n");
    client_expect(0, "b FETCH 1 BODY.PEEK[]\r\n", "* 1 FETCH (BODY[] {42}\r\na: b\r\nText of 1.\r\nText of 2.\r\nText of 2.\r\n)\r\nb OK Done\r\n");
}

/* "a" is of one mailbox, not of what is above or below it. */
static void administration_is_of_one_mailbox(void **state)
{
    (void)state;
    does(0, "a CREATE p/q\r\n");
    owner_grants("p", "ann@home.example", "la");
    CONVERSE(1, {"a SETACL " OF_R "p/q\" ann@home.example lr\r\n", "a NO [NONEXISTENT] %\r\n"}, {"b SETACL " OF_R "INBOX\" ann@home.example lr\r\n", "b NO [NONEXISTENT] %\r\n"},
        {"c GETACL " OF_R "p/q\"\r\n", "c NO [NONEXISTENT] %\r\n"}, {"d CREATE " OF_R "p/s\"\r\n", "d NO [NOPERM] %\r\n"},
        {"e SETACL " OF_R "p\" ann@home.example +k\r\n", "e OK Done\r\n"}, {"f CREATE " OF_R "p/s\"\r\n", "f OK [%] Created\r\n"});
}

/* The name may be used again; what was granted is not. */
static void a_name_is_no_grant(void **state)
{
    (void)state;
    does(0, "a CREATE p\r\n");
    owner_grants("p", "ann@home.example", "lrswipkxte");
    does(0, "a DELETE p\r\nb CREATE p\r\n");
    client_expect(1, "a SELECT " OF_R "p\"\r\n", "a NO [NONEXISTENT] %\r\n");
    owner_grants("p", "ann@home.example", "lx");
    client_expect(1, "b DELETE " OF_R "p\"\r\n", "b OK Done\r\n");
    client_expect(1, "c CREATE " OF_R "p\"\r\n", "c NO [NONEXISTENT] %\r\n");
}

/* The right to read is taken away while it is selected, idling, and with NOTIFY. */
static void taken_away_while_selected(void **state)
{
    (void)state;
    world_fill(1);
    owner_grants("INBOX", "ann@home.example", "lrswite");
    owner_grants("INBOX", "bob@home.example", "lr");
    does(1, "a SELECT " OF_R "INBOX\"\r\n");
    does(2, "a SELECT " OF_R "INBOX\"\r\n");
    client_expect(2, "b NOTIFY SET (SELECTED (MessageNew (UID BODY.PEEK[TEXT]) MessageExpunge FlagChange)) (personal (MailboxName))\r\n", "b OK %\r\n");
    client_expect(1, "b IDLE\r\n", "+ idling\r\n");
    world_fill(1);
    client_expect(1, "", "* 2 EXISTS\r\n");
    client_expect(2, "", "* 2 EXISTS\r\n* 2 FETCH (UID 2 BODY[TEXT] {12}\r\nText of 1.\r\n)\r\n");
    does(0, "a DELETEACL INBOX bob@home.example\r\nb SETACL INBOX ann@home.example -r\r\n");
    world_fill(1);
    does(0, "c SELECT INBOX\r\nd STORE 1 +FLAGS (\\Flagged)\r\n");
    client_expect(1, "", "");
    client_expect(2, "", "");
    CONVERSE(1, {"DONE\r\n", "b OK %\r\n"}, {"c FETCH 1:* FLAGS\r\n", "c NO [NOPERM] %\r\n"}, {"d SEARCH ALL\r\n", "d NO [NOPERM] %\r\n"},
        {"e STORE 1 +FLAGS (\\Deleted)\r\n", "e NO [NOPERM] %\r\n"}, {"f COPY 1 Archive\r\n", "f NO [NOPERM] %\r\n"}, {"g MOVE 1 Archive\r\n", "g NO [NOPERM] %\r\n"},
        {"h SORT (SUBJECT) UTF-8 ALL\r\n", "h NO [NOPERM] %\r\n"}, {"i THREAD REFERENCES UTF-8 ALL\r\n", "i NO [NOPERM] %\r\n"}, {"j NOOP\r\n", "j OK Done\r\n"},
        {"k APPEND INBOX CATENATE (URL \";UID=1/;SECTION=TEXT\")\r\n", "k NO [BADURL %] %\r\n"}, {"l REPLACE 1 INBOX {4}\r\n", "l NO [NOPERM] %\r\n"});
    CONVERSE(2, {"c FETCH 1:* FLAGS\r\n", "c NO [NONEXISTENT] %\r\n"}, {"d NOOP\r\n", "d OK Done\r\n"}, {"e CLOSE\r\n", "e OK %\r\n"});
    owner_grants("INBOX", "ann@home.example", "+r");
    CONVERSE(1, {"m NOOP\r\n", "* 3 EXISTS\r\n* 1 FETCH (FLAGS (\\Flagged))\r\nm OK Done\r\n"}, {"n FETCH 1 UID\r\n", "* FLAGS %\r\n* OK [PERMANENTFLAGS (%)] %\r\n* 1 FETCH (UID 1)\r\nn OK Done\r\n"});
}

/* What NOTIFY fetches while idling comes from the mailbox that is selected. */
static void notify_while_idling(void **state)
{
    (void)state;
    owner_grants("INBOX", "ann@home.example", "lr");
    does(1, "a APPEND INBOX {13+}\r\nSubject: own\r\n\r\n");
    does(1, "b SELECT " OF_R "INBOX\"\r\n");
    client_expect(1, "c NOTIFY SET (SELECTED (MessageNew (UID BODY.PEEK[TEXT]) MessageExpunge)) (personal (MessageNew MessageExpunge))\r\n", "c OK %\r\n");
    client_expect(1, "d IDLE\r\n", "+ idling\r\n");
    world_fill(1);
    client_expect(1, "", "* 1 EXISTS\r\n* 1 FETCH (UID 1 BODY[TEXT] {12}\r\nText of 1.\r\n)\r\n");
    client_expect(1, "DONE\r\n", "d OK %\r\n");
}

/* Nothing of what others do to their names is told, and what is done in a mailbox of theirs is known to its owner's NOTIFY. */
static void notify(void **state)
{
    (void)state;
    owner_grants("Sent", "ann@home.example", "lrik");
    client_expect(0, "a NOTIFY SET (personal (MailboxName MessageNew MessageExpunge))\r\n", "a OK %\r\n");
    client_expect(1, "a NOTIFY SET (personal (MailboxName MessageNew MessageExpunge)) (subtree \"Other Users\" (MessageNew MessageExpunge))\r\n", "a OK %\r\n");
    client_expect(1, "b APPEND " OF_R "Sent\" {4+}\r\na: b\r\n", "* STATUS " OF_R "Sent\" (MESSAGES 1 %)\r\nb OK %\r\n");
    client_expect(0, "", "* STATUS Sent (MESSAGES 1 UIDNEXT 2 UIDVALIDITY % UNSEEN 1)\r\n");
    client_expect(1, "c CREATE " OF_R "Sent/x\"\r\n", "c OK %\r\n");
    client_expect(0, "", "* LIST (\\HasNoChildren) \"/\" Sent/x\r\n* LIST (\\Subscribed \\HasChildren \\Sent) \"/\" Sent\r\n");
    does(0, "b CREATE y\r\n");
    client_expect(1, "", "");
}

/* ---- what else may happen meanwhile ---- */

static void the_owner_is_removed(void **state)
{
    (void)state;
    world_fill(1);
    owner_grants("INBOX", "ann@home.example", "lrswite");
    does(1, "a SELECT " OF_R "INBOX\"\r\n");
    does(2, "a SELECT INBOX\r\n");
    world_account_gone[0] = true;
    sessions_end_account(world_sessions, R);
    boxes_remove(world_boxes, R);
    assert_false(imap_clients[0].open);
    assert_false(imap_clients[1].open);
    assert_true(imap_clients[2].open);
    assert_null(boxes_find(world_boxes, R));
    client_open_as(1, ANN);
    CONVERSE(1, {"a SELECT " OF_R "INBOX\"\r\n", "a NO [NONEXISTENT] %\r\n"}, {"b LIST \"\" \"Other Users*\"\r\n", "b OK Done\r\n"});
    world_account_gone[0] = false;
}

/* One of the two databases of a session that waits cannot be written any more: it is sent away, so that it can be opened anew. */
static void one_is_broken_meanwhile(void **state)
{
    (void)state;
    owner_grants("INBOX", "ann@home.example", "lrs");
    client_close(0);
    for (unsigned i = 0; i < 4; i++) {
        struct box *box = boxes_find(world_boxes, i % 2 == 0 ? R : ANN);
        struct err err = {0};

        does(1, "a SELECT " OF_R "INBOX\"\r\n");
        if (i < 2)
            client_expect(1, "b IDLE\r\n", "+ idling\r\n");
        err_set(&err, ERR_TEMPORARY, "no sync");
        box->broken = true; /* as a sync leaves it that fails */
        box_fail(box, &err);
        world_run();
        client_expect(1, "", "* BYE [UNAVAILABLE] %\r\n");
        assert_false(imap_clients[1].open);
        client_open(0);
        client_open_as(1, ANN);
        client_expect(0, "c SUBSCRIBE x\r\n", "c OK Done\r\n");
        client_expect(1, "c SUBSCRIBE x\r\n", "c OK Done\r\n");
        client_close(0);
    }
}

/* Both databases are closed while everybody waits, and opened again: what one had selected is still there. */
static void resting(void **state)
{
    (void)state;
    world_fill(2);
    owner_grants("INBOX", "ann@home.example", "lrswite");
    does(1, "a SELECT " OF_R "INBOX\"\r\n");
    client_expect(1, "b IDLE\r\n", "+ idling\r\n");
    world_later(20 * SECOND);
    (void)boxes_tidy(world_boxes);
    assert_int_equal(boxes_open(world_boxes), 0);
    world_fill(1); /* only the mailbox of r is open now */
    assert_int_equal(boxes_open(world_boxes), 1);
    client_expect(1, "", "* 3 EXISTS\r\n");
    world_later(20 * SECOND);
    (void)boxes_tidy(world_boxes);
    assert_int_equal(boxes_open(world_boxes), 0);
    CONVERSE(1, {"DONE\r\n", "b OK %\r\n"}, {"c FETCH 3 BODY.PEEK[TEXT]\r\n", "* 3 FETCH (BODY[TEXT] {12}\r\nText of 1.\r\n)\r\nc OK Done\r\n"},
        {"d STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 0)\r\nd OK Done\r\n"});
}

/* A client that goes in the middle leaves nothing behind, in neither account. */
static void gone_in_the_middle(void **state)
{
    (void)state;
    world_fill(20);
    owner_grants("INBOX", "ann@home.example", "lrswite");
    world_tick = 2000;
    for (unsigned turns = 1; turns < 60; turns += 4) {
        client_close(1);
        client_open_as(1, ANN);
        does(1, "a SELECT " OF_R "INBOX\"\r\n");
        client_say(1, turns % 8 == 1 ? "b COPY 1:* Archive\r\n" : "b APPEND INBOX CATENATE (URL \";UID=1\" URL \";UID=2\" URL \";UID=3\" TEXT {900}\r\n");
        for (unsigned i = 0; i < turns; i++)
            world_turn();
        client_close(1);
        world_flush();
        client_open_as(1, ANN);
        client_expect(1, "c STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 0)\r\nc OK Done\r\n");
        client_expect(1, "d STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 20)\r\nd OK Done\r\n");
    }
    world_tick = WORLD_TICK;
    world_check();
}

/* A MOVE that is cut off anywhere, as by the death of the process, leaves each message in one mailbox or in both. */
static void cut_off_while_moving(void **state)
{
    (void)state;
    world_fill(5);
    owner_grants("INBOX", "ann@home.example", "lrswite");
    for (unsigned flushes = 0; flushes < 4; flushes++) {
        unsigned here = 0, there = 0;
        struct str got;

        does(1, "a SELECT " OF_R "INBOX\"\r\n");
        client_say(1, "b UID MOVE 1:* Archive\r\n");
        world_run();
        for (unsigned i = 0; i < flushes; i++) {
            boxes_finish(world_boxes);
            world_run();
        }
        imap_world_restart();
        client_open(0);
        client_open_as(1, ANN);
        client_say(1, "a STATUS Archive (MESSAGES)\r\nb STATUS " OF_R "INBOX\" (MESSAGES)\r\n");
        world_flush();
        got = client_got(1);
        assert_int_equal(sscanf(got.p, "* STATUS Archive (MESSAGES %u)", &there), 1);
        assert_int_equal(sscanf(strstr(got.p, "Other"), "Other Users/r@home.example/INBOX\" (MESSAGES %u)", &here), 1);
        assert_true(here + there >= 5);
        world_check();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hidden_is_as_if_not_there, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(patterns_find_nothing_hidden, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(strange_names, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(across_the_border, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(parts_of_hidden_messages, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(administration_is_of_one_mailbox, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(a_name_is_no_grant, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(taken_away_while_selected, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(notify_while_idling, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(notify, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(the_owner_is_removed, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(one_is_broken_meanwhile, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(resting, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(gone_in_the_middle, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(cut_off_while_moving, setup, imap_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
