/* IMAP: LIST of many mailboxes and APPEND of many messages take as many turns as they need; others are answered in between, a failure in
 * between undoes all, and a client that goes in between undoes nothing. */
#include "imap_world.h"
#include "roles/mailbox/store_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { FOLDERS = 3000, MESSAGES = 100, SLOW = 2000 };

static int setup(void **state)
{
    (void)state;
    imap_world_open("imap_turns_test");
    client_open(0);
    client_open(1);
    return 0;
}

/* Turn by turn until client 0 has an answer; client 1 has one to NOOP in each, or at least in the next. How many it took. */
static unsigned turns_until_answer(void)
{
    unsigned turns = 0;

    world_tick = SLOW;
    while (imap_clients[0].got.n == 0 && turns < 100000) {
        client_say(1, "n NOOP\r\n");
        world_turn();
        if (imap_clients[1].got.n == 0)
            world_turn();
        client_was_told(1, "n OK Done\r\n");
        turns++;
    }
    world_tick = WORLD_TICK;
    return turns;
}

static size_t count_lines(struct str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n;
}

static void list_of_many(void **state)
{
    struct err err = {0};
    struct folder *f;
    struct str got;
    char name[40];

    (void)state;
    assert_true(box_begin(world_box(), &err));
    for (int i = FOLDERS; i > 0; i--) {
        snprintf(name, sizeof name, "x/%05d/y", i);
        assert_true(store_folder_create(world_box()->store, str_of(name), STR(""), &f, &err));
    }
    box_touch(world_box());
    world_flush();
    client_say(0, "a LIST \"\" x*\r\n");
    assert_true(turns_until_answer() > 20);
    world_flush();
    got = client_got(0);
    assert_true(str_starts(got, STR("* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" x\r\n"
        "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" x/00001\r\n* LIST (\\HasNoChildren) \"/\" x/00001/y\r\n")));
    snprintf(name, sizeof name, "\"/\" x/%05d/y\r\na OK Done\r\n", FOLDERS);
    assert_true(str_ends(got, str_of(name)));
    assert_int_equal(count_lines(got), 2 * FOLDERS + 2);
}

/* It goes, or another takes its mailboxes away, in the middle of that. */
static void list_that_is_left(void **state)
{
    (void)state;
    world_tick = SLOW;
    client_say(0, "a LIST \"\" (* %)\r\n");
    world_turn();
    client_say(1, "a DELETE Junk\r\n");
    world_turn();
    client_close(0);
    world_flush();
    client_was_told(1, "a OK Done\r\n");
}

static void say_append(unsigned n)
{
    char text[60];

    client_say(0, "a APPEND Sent");
    for (unsigned i = 1; i <= n; i++) {
        snprintf(text, sizeof text, " (k%u) {10+}\r\nSubject: %u", i % 7, i % 10);
        client_say(0, text);
    }
    world_run();
    client_say(0, "\r\n");
}

static void append_of_many(void **state)
{
    (void)state;
    say_append(MESSAGES);
    world_tick = SLOW;
    for (int i = 0; i < 5; i++) {
        client_say(1, "n NOOP\r\n");
        world_turn();
        world_turn();
        client_was_told(1, "n OK Done\r\n");
        assert_int_equal(imap_clients[0].got.n, 0);
        assert_int_equal(world_box()->held, 1);
    }
    world_fill(1); /* a delivery joins */
    world_flush();
    world_tick = WORLD_TICK;
    client_was_told(0, "a OK [APPENDUID % 1:100] Stored\r\n");
    client_expect(1, "b STATUS Sent (MESSAGES SIZE)\r\n", "* STATUS Sent (MESSAGES 100 SIZE 1000)\r\nb OK Done\r\n");
    client_expect(1, "c STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 1)\r\nc OK Done\r\n");
}

static void append_that_fails(void **state)
{
    struct err err = {0};

    (void)state;
    say_append(MESSAGES);
    world_tick = SLOW;
    for (int i = 0; i < 10; i++)
        world_turn();
    assert_int_equal(world_box()->held, 1);
    err_set(&err, ERR_TEMPORARY, "somebody's storage failed");
    box_fail(world_box(), &err);
    world_flush();
    client_was_told(0, "a NO [UNAVAILABLE] %\r\n");
    assert_int_equal(world_box()->held, 0);
    client_expect(1, "b STATUS Sent (MESSAGES SIZE)\r\n", "* STATUS Sent (MESSAGES 0 SIZE 0)\r\nb OK Done\r\n");
    client_expect(0, "c NOOP\r\n", "c OK Done\r\n");
}

static void append_that_is_left(void **state)
{
    (void)state;
    say_append(MESSAGES);
    world_tick = SLOW;
    for (int i = 0; i < 10; i++)
        world_turn();
    assert_int_equal(world_box()->held, 1);
    client_close(0);
    world_flush();
    assert_int_equal(world_box()->held, 0);
    client_expect(1, "b STATUS Sent (MESSAGES SIZE)\r\n", "* STATUS Sent (MESSAGES 100 SIZE 1000)\r\nb OK Done\r\n");
}

/* What it will add is kept free meanwhile. */
static void quota_beside_others(void **state)
{
    (void)state;
    world_quota_bytes = 1500;
    imap_world_restart();
    client_open(0);
    client_open(1);
    say_append(MESSAGES);
    world_tick = SLOW;
    for (int i = 0; i < 10; i++)
        world_turn();
    assert_int_equal(world_box()->held, 1);
    assert_true(world_box()->promised_messages > 0);
    client_say(1, "a APPEND Sent {501+}\r\n");
    for (int i = 0; i < 51; i++)
        client_say(1, i == 50 ? "x\r\n" : "123456789\n");
    world_flush();
    client_was_told(0, "a OK [APPENDUID %] Stored\r\n");
    client_was_told(1, "a NO [OVERQUOTA] %\r\n");
    assert_int_equal(world_box()->promised_messages + world_box()->promised_bytes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, imap_world_teardown)
    const struct CMUnitTest tests[] = {TEST(list_of_many), TEST(list_that_is_left), TEST(append_of_many), TEST(append_that_fails),
        TEST(append_that_is_left), TEST(quota_beside_others)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
