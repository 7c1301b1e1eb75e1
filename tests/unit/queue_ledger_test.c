/* The books of a shard: right after everything that can happen, right while it happens, and wrong when
 * somebody else has changed a row. */
#include "queue_world.h"

#include "db/db.h"

#include <string.h>

static void assert_right(void)
{
    if (world_verify() > 0)
        fail_msg("%s", world.wrong_check);
    assert_true(world.checks >= 10);
}

static void send_all_kinds(void)
{
    world_send("ann@a.test", "list@local.test keep@local.test single@local.test drop@x.test a@local.test", NOTIFY_SUCCESS, 0, 100);
    world_send("ann@a.test", "nobody@local.test gone@remote.test gone@local.test", 0, 0, 200000);
    world_send("", "nobody@local.test c@remote.test", 0, 0, 100);
    world_send("bob@a.test", "later@remote.test later@local.test once@remote.test", 0, TXN_BULK, 3000);
    world_send("bob@a.test", "gone@remote.test loop@local.test", NOTIFY_NEVER, 0, 100);
}

static void they_are_right_from_the_first_day_on(void **state)
{
    (void)state;
    world_open("");
    assert_right();
    send_all_kinds();
    world_run();
    assert_right();
    world_pass(HOUR);
    assert_right();
    world_command("hold all=yes");
    assert_right();
    world_command("release all=yes");
    world_pass(6 * DAY);
    assert_right();
    world_command("delete all=yes");
    assert_right();
    world_close();
}

static void they_survive_the_process(void **state)
{
    (void)state;
    world_open("");
    send_all_kinds();
    world_crash(); /* nothing was committed */
    assert_right();
    send_all_kinds();
    world_run();
    world_crash();
    assert_right();
    world_pass(HOUR);
    world_crash();
    assert_right();
    world_close();
}

static void more_work(unsigned turn)
{
    if (turn % 2 == 0 && turn < 40)
        send_all_kinds();
    if (turn == 10)
        world_command("delete sender=bob@a.test");
    if (turn % 5 == 0)
        world_run();
}

static void they_are_right_while_work_goes_on(void **state)
{
    (void)state;
    world_open("");
    for (unsigned i = 0; i < 1500; i++)
        world_send("cat@a.test", "later@local.test later@remote.test", 0, 0, 100);
    world_run();
    world_pass(MINUTE);
    assert_int_equal(world_verify_while(false, more_work), 0);
    world_close();
}

static void behind_our_back(const char *sql)
{
    struct err err = {0};

    if (!db_exec(store_db(world.queue->store), sql, &err))
        fail_msg("%s", err.text);
}

static void assert_notices(const char *sql, const char *check, unsigned wrong)
{
    world_open("");
    world_send("ann@a.test", "later@remote.test later@local.test", 0, 0, 100);
    world_send("ann@a.test", "later@remote.test", 0, 0, 200000);
    world_run();
    assert_right();
    behind_our_back(sql);
    assert_int_equal(world_verify(), wrong);
    if (strstr(world.wrong_check, check) == NULL)
        fail_msg("%s", world.wrong_check);
    world_crash();
    assert_true(world_verify() >= 1); /* a new start makes nothing good */
    world_close();
}

/* Also in memory there is now one more than in the database: two numbers are wrong. */
static void a_row_taken_away_is_noticed(void **state)
{
    (void)state;
    assert_notices("DELETE FROM recipient WHERE n = 2", "queue summary", 2);
}

static void a_message_taken_away_is_noticed(void **state)
{
    (void)state;
    assert_notices("DELETE FROM message WHERE id = (SELECT min(id) FROM message)", "recipients without a message", 2);
}

static void a_piece_of_a_body_taken_away_is_noticed(void **state)
{
    (void)state;
    assert_notices("DELETE FROM chunk WHERE seq = 1", "body is not whole", 1);
}

static void a_ledger_changed_by_hand_is_noticed(void **state)
{
    (void)state;
    assert_notices("UPDATE ledger SET delivered = delivered + 1", "on disk", 1);
}

static void what_is_accepted_is_right_again(void **state)
{
    (void)state;
    world_open("");
    world_send("ann@a.test", "later@remote.test later@local.test", 0, 0, 100);
    world_run();
    behind_our_back("DELETE FROM recipient WHERE n = 2");
    world_crash();
    assert_int_equal(world_verify(), 1);
    assert_int_equal(world_verify_while(true, NULL), 1);
    assert_right();
    world_crash();
    assert_right();
    world_close();
}

/* Both see the same difference; it is written off once. */
static void two_accept_at_once(void **state)
{
    (void)state;
    world_open("");
    world_send("ann@a.test", "later@remote.test later@local.test", 0, 0, 100);
    world_run();
    behind_our_back("DELETE FROM recipient WHERE n = 2");
    world_crash();
    world_accept_twice();
    assert_right();
    world_close();
}

static unsigned turns;

static void count_turns(unsigned turn)
{
    turns = turn;
}

/* The pieces of a large message are all looked at. */
static void large_bodies_take_turns(void **state)
{
    (void)state;
    world_open("");
    for (int i = 0; i < 6; i++)
        world_send("ann@a.test", "later@remote.test", 0, 0, 4 * 1024 * 1024);
    world_run();
    assert_int_equal(world_verify_while(false, count_turns), 0);
    assert_in_range(turns, 3, 20);
    world_close();
}

static void two_seconds_pass(unsigned turn)
{
    (void)turn;
    world_pass(2 * SECOND);
}

static void a_long_walk_says_how_far_it_is(void **state)
{
    (void)state;
    world_open("");
    for (int i = 0; i < 6; i++)
        world_send("ann@a.test", "later@remote.test", 0, 0, 4 * 1024 * 1024);
    world_run();
    assert_int_equal(world_verify(), 0);
    assert_int_equal(world.progress, 0);
    assert_int_equal(world_verify_while(false, two_seconds_pass), 0);
    assert_true(world.progress > 0);
    world_close();
}

/* ---- what relay tells a new process ---- */

static void a_result_is_stored_before_it_is_tried_again(void **state)
{
    uint64_t id;

    (void)state;
    world_open("");
    id = world_send("ann@a.test", "slow@remote.test x@remote.test", 0, 0, 100);
    world_run();
    assert_int_equal(world.held_back, 1);
    world_crash();
    world_tell(id, 1, "slow@remote.test", DELIVERY_RELAYED);
    world_run();
    assert_int_equal(world.told_stored, 1);
    assert_int_equal(world_count("recipient"), 0); /* the other one was tried again */
    assert_int_equal(world.relayed, 1);
    assert_int_equal(world.held_back, 0);
    assert_right();
    world_close();
}

static void a_result_of_what_is_on_its_way_again(void **state)
{
    uint64_t id;

    (void)state;
    world_open("");
    id = world_send("ann@a.test", "slow@remote.test", 0, 0, 100);
    world_run();
    world_crash();
    world_run();
    assert_int_equal(world.held_back, 1); /* offered again */
    world_tell(id, 1, "slow@remote.test", DELIVERY_RELAYED);
    world_run();
    assert_int_equal(world.told_stored, 1);
    assert_int_equal(world_count("message"), 0);
    world_release(); /* the second result changes nothing */
    world_run();
    assert_int_equal(world.events[EVENT_RELAYED], 1);
    assert_right();
    world_close();
}

/* Another relay than the one that knows the result might own the destination by now. */
static void nothing_is_offered_before_all_is_told(void **state)
{
    uint64_t id;

    (void)state;
    world_hooks.relay_tells = true;
    world_open("");
    world_told_all();
    id = world_send("ann@a.test", "slow@remote.test x@remote.test", 0, 0, 100);
    world_run();
    assert_int_equal(world.held_back, 1);
    world_crash();
    world_run();
    assert_int_equal(world.held_back, 0);
    world_tell(id, 1, "slow@remote.test", DELIVERY_RELAYED);
    world_told_all();
    assert_int_equal(world.told_stored, 0);
    world_run();
    assert_int_equal(world.told_stored, 1);
    assert_int_equal(world.held_back, 0);
    assert_int_equal(world_count("recipient"), 0);
    assert_right();
    world_close();
    world_hooks.relay_tells = false;
}

static void a_relay_that_tells_nothing_is_not_waited_for(void **state)
{
    (void)state;
    world_hooks.relay_tells = true;
    world_open("");
    world_send("ann@a.test", "x@remote.test bob@local.test", 0, 0, 100);
    world_run();
    assert_int_equal(world.relayed, 0);
    world_pass(11 * SECOND);
    assert_int_equal(world.relayed, 1);
    world_crash();
    world_send("ann@a.test", "x@remote.test", 0, 0, 100);
    world_run();
    assert_int_equal(world.relayed, 1);
    world_peer(ROLE_RELAY, false);
    world_peer(ROLE_RELAY, true);
    world_run();
    assert_int_equal(world.relayed, 2);
    assert_right();
    world_close();
    world_hooks.relay_tells = false;
}

static void a_result_nobody_waits_for(void **state)
{
    uint64_t id;

    (void)state;
    world_open("");
    id = world_send("ann@a.test", "later@remote.test", 0, 0, 100);
    world_run();
    world_tell(id, 1, "else@remote.test", DELIVERY_RELAYED); /* the number is another's by now */
    world_tell(id, 7, "later@remote.test", DELIVERY_RELAYED);
    world_tell(id + 1, 1, "later@remote.test", DELIVERY_RELAYED);
    world_tell(UINT64_MAX, 1, "later@remote.test", DELIVERY_RELAYED);
    world_run();
    assert_int_equal(world.told_stored, 4);
    assert_int_equal(world_count("recipient"), 1);
    world_tell(id, 1, "later@remote.test", DELIVERY_FAILED);
    world_run();
    assert_int_equal(world_count("recipient"), 0);
    assert_int_equal(world.events[EVENT_BOUNCED], 1);
    assert_right();
    world_close();
}

static void no_result_is_said_to_be_stored_that_is_not(void **state)
{
    uint64_t id;

    (void)state;
    world_open("");
    world_send("ann@a.test", "x@remote.test", 0, 0, 100);
    world_run();
    assert_int_equal(world.stored, 1);
    id = world_send("ann@a.test", "slow@remote.test", 0, 0, 100);
    world_run();
    world_disk_full(true);
    world_release();
    world_run();
    world_tell(id, 1, "slow@remote.test", DELIVERY_RELAYED);
    world_pass(5 * SECOND);
    assert_int_equal(world.stored, 1);
    assert_int_equal(world.told_stored, 0);
    world_disk_full(false);
    world_pass(5 * SECOND);
    assert_int_equal(world.stored, 2);
    assert_int_equal(world.told_stored, 1);
    assert_int_equal(world_count("recipient"), 0);
    assert_right();
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_right_from_the_first_day_on),
        cmocka_unit_test(they_survive_the_process),
        cmocka_unit_test(they_are_right_while_work_goes_on),
        cmocka_unit_test(a_row_taken_away_is_noticed),
        cmocka_unit_test(a_message_taken_away_is_noticed),
        cmocka_unit_test(a_piece_of_a_body_taken_away_is_noticed),
        cmocka_unit_test(a_ledger_changed_by_hand_is_noticed),
        cmocka_unit_test(what_is_accepted_is_right_again),
        cmocka_unit_test(two_accept_at_once),
        cmocka_unit_test(large_bodies_take_turns),
        cmocka_unit_test(a_long_walk_says_how_far_it_is),
        cmocka_unit_test(a_result_is_stored_before_it_is_tried_again),
        cmocka_unit_test(a_result_of_what_is_on_its_way_again),
        cmocka_unit_test(nothing_is_offered_before_all_is_told),
        cmocka_unit_test(a_relay_that_tells_nothing_is_not_waited_for),
        cmocka_unit_test(a_result_nobody_waits_for),
        cmocka_unit_test(no_result_is_said_to_be_stored_that_is_not),
    };

    return cmocka_run_group_tests_name("queue_ledger", tests, NULL, NULL);
}
