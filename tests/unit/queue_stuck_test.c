/* Never stuck: random histories of a shard in which everything around it breaks: directory silent or gone, mailbox and relay
 * gone or taking deliveries and never answering, every destination deferring, the process dying, holds and releases, time
 * passing in steps from a second to days. After each step no recipient has outlived its lifetime, and oldest_overdue_seconds
 * is 0. In the end the world heals: the queue runs empty and its books are right.
 *
 * STAFFETTA_SEEDS says how many histories (40), STAFFETTA_SEED with which to begin (1). */
#include "queue_world.h"

#include "db/db.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 80, WAITING_MOST = 300 };

static uint64_t seed, randomness;
static int64_t put_back;

static unsigned below(unsigned n)
{
    randomness = randomness * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(randomness >> 33) % n;
}

static int64_t ask(const char *sql, int64_t value)
{
    struct stmt *s = stmt_new(store_db(world.queue->store), sql);
    struct err err = {0};
    int64_t n = -1;

    stmt_int(s, value);
    if (stmt_row(s))
        n = column_int(s, 0);
    if (!stmt_done(s, &err))
        fail_msg("%s", err.text);
    stmt_free(s);
    return n;
}

static void send_something(void)
{
    static const char *const rcpts[] = {"a@local.test", "slow@local.test", "slow@remote.test", "later@remote.test",
        "later@local.test b@other.test", "slow@other.test later@other.test x@remote.test", "list@local.test", "keep@local.test",
        "loop@local.test", "nobody@local.test gone@remote.test", "once@remote.test once@local.test", "drop@x.test"};

    if (world_count("recipient") < WAITING_MOST && world.held_back < 1000)
        world_send(below(4) ? "s@local.test" : "", rcpts[below(sizeof rcpts / sizeof rcpts[0])],
            below(3) ? 0 : NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, below(3) ? 0 : TXN_BULK, below(5) ? 100 : 100000);
}

static void break_or_mend(void)
{
    static const enum role_id roles[] = {ROLE_DIRECTORY, ROLE_MAILBOX, ROLE_RELAY, ROLE_EVENTS};
    enum role_id role = roles[below(4)];

    if (below(4) == 0)
        world.silent_directory = !world.silent_directory;
    else
        world_peer(role, below(2));
}

static void command(void)
{
    static const char *const commands[] = {"hold domain=remote.test limit=3", "hold all=yes limit=2", "release all=yes",
        "retry all=yes", "delete limit=1 domain=other.test", "release domain=remote.test", "summary"};

    world_command(commands[below(sizeof commands / sizeof commands[0])]);
}

static void let_time_pass(void)
{
    static const int64_t spans[] = {SECOND, 10 * SECOND, MINUTE, 5 * MINUTE, 20 * MINUTE, HOUR, 5 * HOUR, DAY, 3 * DAY};

    world_pass(spans[below(sizeof spans / sizeof spans[0])]);
}

static void step(void)
{
    unsigned what = below(20);

    if (what < 7)
        send_something();
    else if (what < 11)
        break_or_mend();
    else if (what == 11)
        world_crash();
    else if (what == 12)
        command();
    else if (what == 13)
        world_release();
    else
        let_time_pass();
    world_run();
}

/* A result on its way has 15 minutes, and the sweep comes once a minute. */
static void assert_nobody_outlived(unsigned n)
{
    int64_t late = ask("SELECT count(*) FROM recipient WHERE state = 0 AND expires < $1", clock_now() - 16 * MINUTE);
    int64_t held = ask("SELECT count(*) FROM recipient WHERE state = 1 AND due < $1",
        clock_now() - world.config->queue.hold_lifetime - MINUTE);

    if (late + held > 0)
        fail_msg("seed %d, step %u: %d outlived their lifetime, %d holds theirs", (int)seed, n, (int)late, (int)held);
    if (world_metric("staffetta_queue_oldest_overdue_seconds") != 0)
        fail_msg("seed %d, step %u: overdue %d s", (int)seed, n, (int)world_metric("staffetta_queue_oldest_overdue_seconds"));
}

static void heal(void)
{
    world.silent_directory = false;
    for (unsigned r = 0; r < ROLE_COUNT; r++)
        world_peer((enum role_id)r, true);
    world_command("release all=yes");
    for (int i = 0; i < 30; i++) {
        world_release();
        world_pass(8 * HOUR);
    }
}

static void one_history(void)
{
    randomness = seed * UINT64_C(0x9e3779b97f4a7c15);
    world_open(seed % 2 ? "" : "queue { active = 20 }"); /* every other one has more than fits, so that much is put back */
    for (unsigned n = 0; n < STEPS; n++) {
        step();
        assert_nobody_outlived(n);
    }
    heal();
    if (world_count("recipient") + world_count("message") != 0)
        fail_msg("seed %d: %d recipients are left", (int)seed, (int)world_count("recipient"));
    if (world_verify() > 0)
        fail_msg("seed %d: %s", (int)seed, world.wrong_check);
    put_back += world_metric("staffetta_queue_parked_total");
    world_close();
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t n;

    return text != NULL && str_to_u64(str_of(text), INT32_MAX, &n) ? n : otherwise;
}

static void no_recipient_outlives_its_lifetime(void **state)
{
    uint64_t first = from_environment("STAFFETTA_SEED", 1), seeds = from_environment("STAFFETTA_SEEDS", 40);

    (void)state;
    for (seed = first; seed < first + seeds; seed++)
        one_history();
    assert_true(put_back > 0 || seeds < 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_recipient_outlives_its_lifetime),
    };

    return cmocka_run_group_tests_name("queue_stuck", tests, NULL, NULL);
}
