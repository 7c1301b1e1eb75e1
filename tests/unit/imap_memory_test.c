/* IMAP: what many sessions of one account hold together when their client reads nothing: bounded, and given back. */
#include "imap_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 192 * 1024 * 1024, LISTS = 960, VALUES = 60 };

static int setup(void **state)
{
    struct buf body;

    (void)state;
    imap_world_open("imap_memory_test");
    world_connections = IMAP_CLIENTS;
    buf_init(&body, 1 << 20);
    buf_add(&body, STR("Subject: m1\r\n\r\n"));
    while (body.n < 40000)
        buf_add(&body, STR("A line of a message that fills more than a window.\r\n"));
    for (int i = 0; i < 8; i++)
        world_deliver(buf_str(&body));
    world_flush();
    buf_clear(&body);
    return 0;
}

static size_t lent(void)
{
    return boxes_find(world_boxes, IMAP_WORLD_ACCOUNT)->lent;
}

static void open_stingy(unsigned c)
{
    client_open(c);
    client_expect(c, "s SELECT INBOX\r\n", INBOX_SELECTED);
    imap_clients[c].stingy = true;
}

/* A command that takes much room, and an answer that nobody reads. */
static void fetch_much(unsigned c)
{
    struct buf say;

    buf_init(&say, 1 << 20);
    buf_add(&say, STR("a FETCH 1:8 (BODY.PEEK[]"));
    for (int i = 0; i < LISTS; i++)
        buf_add(&say, STR(" BODY.PEEK[HEADER.FIELDS (A)]"));
    buf_add(&say, STR(")\r\n"));
    client_say_bytes(c, buf_str(&say));
    world_run();
    buf_clear(&say);
}

static bool was_refused(unsigned c)
{
    return text_matches(STR("a NO [LIMIT] %\r\n"), buf_str(&imap_clients[c].got));
}

static void commands_that_nobody_reads(void **state)
{
    unsigned refused = 0;

    (void)state;
    for (unsigned c = 0; c < IMAP_CLIENTS; c++) {
        open_stingy(c);
        fetch_much(c);
        refused += was_refused(c);
        assert_true(lent() <= MOST);
    }
    assert_true(refused > 0 && refused < IMAP_CLIENTS);
    /* Small ones are always possible, and when some are over a large one is. */
    client_expect(IMAP_CLIENTS - 1, "b NOOP\r\n", "a NO [LIMIT] %\r\nb OK Done\r\n");
    client_close(0);
    client_close(1);
    fetch_much(IMAP_CLIENTS - 1);
    assert_false(was_refused(IMAP_CLIENTS - 1));
    for (unsigned c = 2; c < IMAP_CLIENTS; c++)
        imap_clients[c].stingy = false;
    world_turn();
    world_flush();
    assert_int_equal(lent(), 0);
}

/* So many lists, each of which takes room for 1,000 names as long as the line goes on, and keys that take a little. */
static bool fills_the_arena(unsigned lists, unsigned items)
{
    struct buf say;
    bool parsed;

    buf_init(&say, 1 << 20);
    buf_add(&say, STR("a FETCH 1 ("));
    for (unsigned i = 0; i < lists; i++)
        buf_add(&say, STR("BODY.PEEK[HEADER.FIELDS (A)] "));
    for (unsigned i = 0; i < items; i++)
        buf_add(&say, STR("FLAGS "));
    buf_add(&say, STR("UID)\r\n"));
    client_say_bytes(0, buf_str(&say));
    world_flush();
    buf_clear(&say);
    parsed = str_ends(buf_str(&imap_clients[0].got), STR("\r\na OK Done\r\n"));
    assert_true(parsed || text_matches(STR("a BAD %\r\n"), buf_str(&imap_clients[0].got)));
    buf_reset(&imap_clients[0].got);
    client_expect(0, "b NOOP\r\n", "b OK Done\r\n"); /* so many mistakes in a row would end the session */
    return parsed;
}

/* What parsing leaves is always enough for doing it: a command that just fits is done, one that does not is refused. */
static void commands_that_just_fit(void **state)
{
    enum { ITEMS = 400 };
    unsigned most = 1, too_many = 2000;

    (void)state;
    client_open(0);
    client_expect(0, "s SELECT INBOX\r\n", INBOX_SELECTED);
    assert_true(fills_the_arena(most, ITEMS));
    assert_false(fills_the_arena(too_many, ITEMS));
    while (most + 1 < too_many)
        *(fills_the_arena((most + too_many) / 2, ITEMS) ? &most : &too_many) = (most + too_many) / 2;
    for (unsigned lists = most - 3; lists <= most + 2; lists++)
        for (unsigned items = ITEMS / 2; items <= ITEMS; items += 5)
            (void)fills_the_arena(lists, items);
}

static void output_that_nobody_reads(void **state)
{
    struct buf say;
    unsigned c = 0;

    (void)state;
    client_open(0);
    buf_init(&say, 1 << 20);
    for (unsigned i = 0; i < VALUES; i++) {
        buf_reset(&say);
        buf_addf(&say, "a SETMETADATA \"\" (/private/vendor/v/n%u {65000+}\r\n", i);
        for (int k = 0; k < 6500; k++)
            buf_add(&say, STR("123456789\n"));
        buf_add(&say, STR(")\r\n"));
        client_say_bytes(0, buf_str(&say));
        world_flush();
        (void)client_got(0);
    }
    buf_clear(&say);
    client_close(0);
    do {
        assert_true(c < IMAP_CLIENTS / 2 + 5);
        open_stingy(c);
        fetch_much(c);
    } while (!was_refused(c++));
    for (; c < IMAP_CLIENTS; c++) {
        open_stingy(c);
        client_say(c, "a GETMETADATA \"\" (DEPTH infinity) /private\r\n");
        world_run();
        if (!imap_clients[c].open)
            break;
        assert_true(lent() <= MOST);
    }
    assert_true(c < IMAP_CLIENTS); /* one of them was sent away */
    assert_true(lent() <= MOST);
    for (c = 0; c < IMAP_CLIENTS; c++)
        if (imap_clients[c].open)
            client_close(c);
    client_open(0);
    assert_int_equal(lent(), 0);
    client_say(0, "a GETMETADATA \"\" (DEPTH infinity) /private\r\n");
    world_flush();
    assert_true(client_got(0).n > VALUES * 65000);
    assert_int_equal(lent(), 0);
}

/* What NOTIFY keeps is counted as long as it is in force. */
static void sets_of_notify(void **state)
{
    struct buf say;
    size_t one;

    (void)state;
    buf_init(&say, 1 << 20);
    buf_add(&say, STR("a NOTIFY SET (MAILBOXES ("));
    for (int i = 0; i < 20000; i++)
        buf_add(&say, i == 0 ? STR("x") : STR(" x"));
    buf_add(&say, STR(") (MessageNew MessageExpunge))\r\n"));
    client_open(0);
    client_say_bytes(0, buf_str(&say));
    world_flush();
    assert_true(text_matches(STR("a OK %\r\n"), client_got(0)));
    one = lent();
    assert_true(one > 100000);
    client_say_bytes(0, buf_str(&say));
    world_flush();
    assert_true(text_matches(STR("a OK %\r\n"), client_got(0)));
    assert_int_equal(lent(), one);
    client_expect(0, "b NOTIFY NONE\r\n", "b OK %\r\n");
    assert_int_equal(lent(), 0);
    buf_clear(&say);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commands_that_nobody_reads, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(commands_that_just_fit, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(output_that_nobody_reads, setup, imap_world_teardown),
        cmocka_unit_test_setup_teardown(sets_of_notify, setup, imap_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
