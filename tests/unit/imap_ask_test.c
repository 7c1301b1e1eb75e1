/* IMAP: what directory is asked, when it hangs: it takes the question and never answers. The command is answered after a while, the
 * session goes on, and an answer that comes later is nobody's. Client 0 is r, 1 is ann. */
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
    imap_world_open("imap_ask_test");
    client_open(0);
    client_open_as(1, ANN);
    client_expect(0, "s SETACL INBOX ann@home.example lrswite\r\n", "s OK Done\r\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_directory_answers = true;
    return imap_world_close();
}

/* So much time passes, and who wanted a turn by then has one. */
static void later(int64_t time)
{
    world_later(time);
    world_turn();
}

/* Says it, is answered nothing for as long as directory has, then what is expected; and the session works. */
static void hangs(unsigned c, const char *say, const char *expected)
{
    world_directory_answers = false;
    client_expect(c, say, "");
    later(SESSION_LATER - SECOND);
    client_expect(c, "", "");
    later(2 * SECOND);
    client_expect(c, "", expected);
    client_expect(c, "z LIST \"\" INBOX\r\n", "* LIST (\\HasNoChildren) \"/\" INBOX\r\nz OK Done\r\n");
}

static void commands_that_name_a_mailbox(void **state)
{
    static const char *const commands[] = {"SELECT", "EXAMINE", "MYRIGHTS", "GETACL", "GETQUOTAROOT", "CREATE", "DELETE"};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(text, sizeof text, "a %s " OF_R "INBOX\"\r\n", commands[i]);
        hangs(1, text, "a NO [UNAVAILABLE] %\r\n");
    }
    hangs(1, "b STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "b NO [UNAVAILABLE] %\r\n");
    hangs(1, "c RENAME " OF_R "INBOX\" x\r\n", "c NO [UNAVAILABLE] %\r\n");
    hangs(1, "d GETMETADATA " OF_R "INBOX\" /shared/comment\r\n", "d NO [UNAVAILABLE] %\r\n");
    hangs(1, "e APPEND " OF_R "INBOX\" {3}\r\n", "e NO [UNAVAILABLE] %\r\n");
    hangs(1, "f APPEND " OF_R "INBOX\" {3+}\r\nabc\r\n", "f NO [UNAVAILABLE] %\r\n");
    world_directory_answers = true;
    CONVERSE(1, {"g STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 0)\r\ng OK Done\r\n"});
}

static void copies(void **state)
{
    (void)state;
    client_expect(1, "a APPEND INBOX {3+}\r\nabc\r\n", "a OK % Stored\r\n");
    client_say(1, "b SELECT INBOX\r\n");
    world_flush();
    (void)client_got(1);
    hangs(1, "c COPY 1 " OF_R "INBOX\"\r\n", "c NO [UNAVAILABLE] %\r\n");
    hangs(1, "d MOVE 1 " OF_R "INBOX\"\r\n", "d NO [UNAVAILABLE] %\r\n");
    hangs(1, "e APPEND INBOX CATENATE (URL \"/Other Users/r@home.example/INBOX/;UID=1\")\r\n", "e NO [%] %\r\n");
    world_directory_answers = true;
    client_expect(1, "f COPY 1 " OF_R "INBOX\"\r\n", "f OK [COPYUID % 1 1] %\r\n");
}

static void identifiers(void **state)
{
    (void)state;
    hangs(0, "a SETACL INBOX bob@home.example lr\r\n", "a NO [UNAVAILABLE] %\r\n");
    hangs(0, "b DELETEACL INBOX ann@home.example\r\n", "b NO [UNAVAILABLE] %\r\n");
    hangs(0, "c LISTRIGHTS INBOX ann@home.example\r\n", "c NO [UNAVAILABLE] %\r\n");
    hangs(0, "d GETACL INBOX\r\n", "d NO [UNAVAILABLE] %\r\n");
    world_directory_answers = true;
    client_expect(0, "e GETACL INBOX\r\n", "* ACL INBOX r@home.example lrswipkxtecda ann@home.example lrswited\r\ne OK Done\r\n");
}

/* One's own mailboxes are listed all the same. */
static void listing(void **state)
{
    (void)state;
    hangs(1, "a LIST \"\" (INBOX \"Other Users/*\")\r\n", "* NO [UNAVAILABLE] %\r\n* LIST (\\HasNoChildren) \"/\" INBOX\r\na OK Done\r\n");
    world_directory_answers = true;
    client_expect(1, "b LIST \"\" (\"Other Users/*\")\r\n", "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Other Users/r@home.example\"\r\n"
        "* LIST (\\HasNoChildren) \"/\" " OF_R "INBOX\"\r\nb OK Done\r\n");
}

static void quota(void **state)
{
    (void)state;
    imap_world_restart();
    client_open(0);
    hangs(0, "a GETQUOTA \"\"\r\n", "a NO [UNAVAILABLE] %\r\n");
}

/* The time of a question is its own: one that was answered leaves nothing behind. */
static void each_question_anew(void **state)
{
    (void)state;
    client_expect(1, "a STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 0)\r\na OK Done\r\n");
    later(SESSION_LATER - SECOND);
    world_directory_answers = false;
    client_expect(1, "b STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "");
    later(2 * SECOND);
    client_expect(1, "", "");
    world_directory_answers = true;
    client_expect(1, "", "* STATUS " OF_R "INBOX\" (MESSAGES 0)\r\nb OK Done\r\n");
}

/* The client goes while directory is silent; the answer comes afterwards. */
static void client_goes(void **state)
{
    (void)state;
    world_directory_answers = false;
    client_expect(1, "a SELECT " OF_R "INBOX\"\r\n", "");
    client_close(1);
    later(2 * SESSION_LATER);
    world_run();
    world_directory_answers = true;
    world_run();
    client_open_as(1, ANN);
    client_expect(1, "b STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "* STATUS " OF_R "INBOX\" (MESSAGES 0)\r\nb OK Done\r\n");
}

/* Two processes of the role: ann is in this one, r and bob are in the other. */
static void owners_elsewhere(void **state)
{
    (void)state;
    world_copies = 2;
    CONVERSE(1, {"a SELECT " OF_R "INBOX\"\r\n", "a NO [UNAVAILABLE] % copies { mailbox = 1 } %\r\n"},
        {"b LIST \"\" (INBOX \"Other Users/*\")\r\n", "* LIST (\\HasNoChildren) \"/\" INBOX\r\nb OK Done\r\n"},
        {"c STATUS " OF_R "INBOX\" (MESSAGES)\r\n", "c NO [UNAVAILABLE] %\r\n"}, {"d MYRIGHTS " OF_R "INBOX\"\r\n", "d NO [UNAVAILABLE] %\r\n"},
        {"e CREATE " OF_R "x\"\r\n", "e NO [UNAVAILABLE] %\r\n"}, {"f APPEND " OF_R "INBOX\" {3+}\r\nabc\r\n", "f NO [UNAVAILABLE] %\r\n"},
        {"g APPEND INBOX {3+}\r\nabc\r\n", "g OK % Stored\r\n"}, {"h NOTIFY SET (MAILBOXES " OF_R "INBOX\" (MessageNew MessageExpunge))\r\n", "h OK %\r\n"},
        {"i UID SEARCH RETURN (COUNT) ALL\r\n", "i BAD %\r\n"});
    client_say(1, "i SELECT INBOX\r\n");
    world_flush();
    (void)client_got(1);
    CONVERSE(1, {"j COPY 1 " OF_R "INBOX\"\r\n", "j NO [UNAVAILABLE] %\r\n"},
        {"k SETACL INBOX bob@home.example lr\r\n", "k OK Done, but that account is served by another process %\r\n"},
        {"l SETACL INBOX bob@home.example \"\"\r\n", "l OK Done\r\n"}, {"m SETACL INBOX anyone l\r\n", "m OK Done\r\n"},
        {"n SUBSCRIBE " OF_R "INBOX\"\r\n", "n OK Done\r\n"});
    world_copies = 1;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(commands_that_name_a_mailbox), TEST(copies), TEST(identifiers), TEST(listing), TEST(quota),
        TEST(each_question_anew), TEST(client_goes), TEST(owners_elsewhere)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
