/* Every SQL call of a message's life fails once, in turn; then the process dies at each of them, in turn.
 * A message that was answered with 250 must reach an end for each of its recipients every time, and
 * nothing may be left behind. */
#include "queue_world.h"

#include <stdio.h>

/* What becomes of these, in all: mailbox u, a, b and the reports; relay c and, at the second try, once;
 * gone and nobody fail. */
static void send_one(size_t size)
{
    world_send("s@local.test", "u@local.test gone@remote.test list@local.test once@other.test nobody@local.test", 0, 0,
        size);
}

static void run_to_the_end(void)
{
    world_run();
    for (int i = 0; i < 4; i++)
        world_pass(2 * MINUTE);
}

static void assert_nothing_left(unsigned n)
{
    if (world_count("message") + world_count("recipient") + world_count("chunk") != 0)
        fail_msg("call %u: %d messages, %d recipients, %d chunks are left", n, (int)world_count("message"),
            (int)world_count("recipient"), (int)world_count("chunk"));
    assert_int_equal(world.queue->mails.active_count[0], 0);
    assert_int_equal(world.queue->mails.by_id.count, 0);
    assert_int_equal(world.queue->incoming.count, 0);
    assert_int_equal(world.queue->incoming.bytes, 0);
    assert_int_equal(world.queue->counts.messages, 0);
    assert_int_equal(world.queue->counts.all.waiting[0], 0);
    assert_int_equal(world.queue->counts.all.deferred, 0);
    if (world_verify() > 0)
        fail_msg("call %u: %s", n, world.wrong_check);
}

static void assert_exactly_once(unsigned n)
{
    if (world.accepted == 0) {
        assert_int_equal(world.refused, 1);
        assert_int_equal(world.deliveries, 0);
    } else if (world.delivered != 3 + world.reports || world.relayed != 2 || world.reports == 0) {
        fail_msg("call %u: delivered %u, relayed %u, reports %u", n, world.delivered, world.relayed, world.reports);
    }
    assert_int_equal(world.accepted + world.refused, 1);
}

static unsigned fail_each(size_t size)
{
    unsigned n = 0;
    bool failed;

    do {
        world_open("");
        world_run();
        world_fail_at(++n);
        send_one(size);
        run_to_the_end();
        failed = world_failed();
        world_fail_at(0);
        run_to_the_end();
        assert_exactly_once(n);
        assert_nothing_left(n);
        world_close();
    } while (failed);
    return n;
}

static void a_failing_call_loses_nothing(void **state)
{
    (void)state;
    assert_true(fail_each(100) > 30);
}

static void a_failing_call_loses_no_long_message(void **state)
{
    (void)state;
    assert_true(fail_each(300000) > 30);
}

static unsigned die_each(size_t size)
{
    static unsigned n;
    static bool died;

    n = 0;
    do {
        world_open("");
        world_run();
        n++;
        died = false;
        if (setjmp(world_death) == 0) {
            world_die_at(n);
            send_one(size);
            run_to_the_end();
            world_die_at(0);
        } else {
            died = true;
            world_crash();
            run_to_the_end();
        }
        if (world.accepted > 0 && (world.delivered < 3 + world.reports || world.relayed < 2 || world.reports < 1))
            fail_msg("call %u: delivered %u, relayed %u, reports %u", n, world.delivered, world.relayed, world.reports);
        assert_nothing_left(n);
        world_close();
    } while (died);
    return n;
}

static void a_death_at_any_call_loses_nothing(void **state)
{
    (void)state;
    assert_true(die_each(100) > 30);
}

static void a_death_at_any_call_loses_no_long_message(void **state)
{
    (void)state;
    assert_true(die_each(300000) > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_call_loses_nothing),
        cmocka_unit_test(a_failing_call_loses_no_long_message),
        cmocka_unit_test(a_death_at_any_call_loses_nothing),
        cmocka_unit_test(a_death_at_any_call_loses_no_long_message),
    };

    return cmocka_run_group_tests_name("queue_fault", tests, NULL, NULL);
}
