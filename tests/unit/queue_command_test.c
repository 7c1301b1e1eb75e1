/* `staffetta queue ...` as the role sees it. */
#include "queue_world.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool rows_have(const char *text)
{
    return str_ifind(buf_str(&world.rows), str_of(text)) >= 0;
}

static const char *id_text(uint64_t id)
{
    static char text[MSGID_TEXT + 1];

    msgid_format(id, text);
    return text;
}

static void command_id(const char *word, uint64_t id)
{
    char words[64];

    snprintf(words, sizeof words, "%s %s", word, id_text(id));
    world_command(words);
}

/* Three messages that stay: two deferred, one bulk. */
static void fill(void)
{
    world_send("s@local.test", "later@remote.test", 0, 0, 10);
    world_send("t@local.test", "later@other.test later@local.test", 0, 0, 10);
    world_send("s@local.test", "later@remote.test", 0, TXN_BULK, 10);
    world_run();
}

static void summary_counts(void **state)
{
    (void)state;
    fill();
    world_command("summary");
    assert_int_equal(world.row_count, 4); /* in all, and three domains */
    assert_true(rows_have("\"domain\":\"remote.test\",\"transactional\":1,\"bulk\":1,\"deferred\":2"));
    assert_true(rows_have("\"messages\":3"));
    assert_true(rows_have("\"transactional\":3"));
    assert_true(rows_have("\"bulk\":1"));
    assert_true(rows_have("\"deferred\":4"));
    assert_true(rows_have("\"counted\":true"));
    world_crash(); /* the count is made again from the table */
    world_command("summary");
    assert_true(rows_have("\"messages\":3"));
    assert_true(rows_have("\"deferred\":4"));
    world_command("hold all=yes");
    world_command("summary");
    assert_true(rows_have("\"held\":4"));
    assert_true(rows_have("\"deferred\":0"));
    world_command("delete all=yes");
    world_command("summary");
    assert_int_equal(world.row_count, 1);
    assert_int_equal(world.queue->counts.domains.count, 0);
}

static void list_filters(void **state)
{
    static const struct {
        const char *words;
        unsigned rows;
    } cases[] = {
        {"list", 4},
        {"list recipient=later@remote.test", 2},
        {"list recipient=LATER@remote.*", 2},
        {"list recipient=later@remote", 0},
        {"list sender=t@local.test", 2},
        {"list sender=*@local.test", 4},
        {"list sender=<>", 0},
        {"list domain=other.test", 1},
        {"list domain=*.test", 4},
        {"list class=bulk", 1},
        {"list class=transactional", 3},
        {"list reply=not", 4},
        {"list reply=full", 0},
        {"list state=waiting", 4},
        {"list state=held", 0},
        {"list state=active", 0},
        {"list older_than=1h", 0},
        {"list younger_than=1h", 4},
        {"list limit=3", 3},
        {"list class=transactional domain=remote.test", 1},
        {"list recipient=l_ter@remote.test", 0},
        {"list recipient=%@remote.test", 0},
        {"list recipient=later\\@remote.test", 0},
        {"list recipient=*@*.TEST domain=OTHER.*", 1},
        {"list domain=%.test", 0},
        {"list reply=NOT", 4},
        {"list reply=n_t", 0},
        {"list reply=n*t", 0},
        {"list reply=4.2.1", 4},
    };

    (void)state;
    fill();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_command(cases[i].words);
        if (world.row_count != cases[i].rows || world.done_code != 0)
            fail_msg("%s: %u rows, code %u %s", cases[i].words, world.row_count, world.done_code, world.done_text);
    }
    world_command("list limit=1");
    assert_true(rows_have("\"state\":\"deferred\""));
    assert_true(rows_have("\"reply\":\"4.2.1 not now\""));
    assert_true(rows_have("\"attempts\":1"));
}

static void pages_follow_each_other(void **state)
{
    char words[128];
    uint64_t message;

    (void)state;
    message = world_send("s@local.test", "later@a.test later@b.test later@c.test", 0, 0, 10);
    world_run();
    snprintf(words, sizeof words, "list after=%s/2", id_text(message));
    world_command(words);
    assert_int_equal(world.row_count, 1);
    assert_true(rows_have("later@c.test"));
    snprintf(words, sizeof words, "list after=%s", id_text(message));
    world_command(words);
    assert_int_equal(world.row_count, 0);
}

static void mistakes_are_explained(void **state)
{
    static const char *const cases[] = {"lost", "show", "export", "hold", "delete limit=3", "list class=fast",
        "list older_than=soon", "list older_than=-1h", "list colour=red", "show nonsense", "list limit=many",
        "list state=odd", "list after=x", "list recipient="};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world_command(cases[i]);
        if (world.done_code != 64 || world.done_text[0] == 0)
            fail_msg("%s: code %u %s", cases[i], world.done_code, world.done_text);
    }
    command_id("show", msgid_new());
    assert_int_equal(world.done_code, 66);
    command_id("delete", msgid_new());
    assert_int_equal(world.done_code, 66);
}

static void show_and_export_tell_all(void **state)
{
    uint64_t message = world_send("s@local.test", "later@remote.test later@other.test", 0, 0, 100000);

    (void)state;
    world_run();
    command_id("show", message);
    assert_int_equal(world.row_count, 3);
    assert_true(rows_have("\"kind\":\"mail\""));
    assert_true(rows_have("\"client\":\"192.0.2.1\""));
    assert_true(rows_have("later@other.test"));
    command_id("export", message);
    assert_true(world.row_count >= 4);
    assert_true(rows_have("\"offset\":0,\"base64\":\"UmVjZWl2ZWQ6"));
    assert_int_equal(world.done_code, 0);
}

static void held_mail_stays_and_its_clock_stands_still(void **state)
{
    uint64_t message = world_send("s@local.test", "later@remote.test", 0, 0, 10);

    (void)state;
    world_run();
    command_id("hold", message);
    assert_true(rows_have("\"held\":1"));
    command_id("hold", message);
    assert_true(rows_have("\"held\":0"));
    for (int day = 0; day < 10; day++)
        world_pass(DAY);
    assert_int_equal(world.deliveries, 1);
    assert_int_equal(world.events[EVENT_HELD], 1);
    command_id("release", message);
    assert_int_equal(world.events[EVENT_RELEASED], 1);
    assert_int_equal(world.deliveries, 2 + (int)world.reports); /* tried at once, and a delay notice */
    assert_int_equal(world.events[EVENT_FAILED], 0);
    world_pass(4 * DAY);
    assert_int_equal(world.events[EVENT_FAILED], 0);
    world_pass(DAY + HOUR);
    world_pass(HOUR);
    assert_int_equal(world.events[EVENT_FAILED], 1);
}

/* Time passes; gives how many warnings of old holds were logged meanwhile. */
static unsigned warnings_in(int64_t span)
{
    int standard_error = dup(STDERR_FILENO);
    FILE *log = tmpfile();
    unsigned found = 0;
    char line[2048];

    assert_non_null(log);
    dup2(fileno(log), STDERR_FILENO);
    log_set(LOG_LEVEL_WARNING, false);
    for (; span > 0; span -= HOUR)
        world_pass(span < HOUR ? span : HOUR);
    log_flush();
    log_set(LOG_LEVEL_ERROR + 1, false);
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    rewind(log);
    while (fgets(line, sizeof line, log) != NULL)
        found += strstr(line, "held-long") != NULL;
    fclose(log);
    return found;
}

/* Held mail outlives its lifetime, and whoever looks sees it. */
static void see_hold(uint64_t flags_of_first, uint64_t flags_of_second)
{
    uint64_t first = world_send("s@local.test", "later@remote.test", 0, flags_of_first, 10), second;

    world_run();
    world_command("summary");
    assert_true(rows_have("\"oldest_hold_seconds\":0,"));
    command_id("hold", first);
    assert_int_equal(warnings_in(DAY), 0);
    second = world_send("s@local.test", "later@remote.test", 0, flags_of_second, 10);
    world_run();
    command_id("hold", second);
    world_pass(MINUTE);
    assert_int_equal(world_metric("staffetta_queue_held"), 2);
    assert_in_range(world_metric("staffetta_queue_oldest_hold_seconds"), 86400, 86400 + 120);
    world_command("summary");
    assert_true(rows_have("\"oldest_hold_seconds\":864"));
    assert_int_equal(warnings_in(4 * DAY - HOUR), 0);
    assert_int_equal(warnings_in(2 * HOUR), 1); /* older than its lifetime */
    assert_int_equal(warnings_in(20 * HOUR), 0);
    assert_int_equal(warnings_in(4 * HOUR + DAY), 2); /* once a day */
    command_id("delete", first);
    world_pass(MINUTE);
    assert_int_equal(world_metric("staffetta_queue_held"), 1);
    assert_in_range(world_metric("staffetta_queue_oldest_hold_seconds"), 6 * 86400 + 3600, 6 * 86400 + 7200);
    command_id("release", second);
    assert_int_equal(warnings_in(2 * DAY), 0);
    assert_int_equal(world_metric("staffetta_queue_held"), 0);
    assert_int_equal(world_metric("staffetta_queue_oldest_hold_seconds"), 0);
}

static void a_hold_is_seen(void **state)
{
    (void)state;
    see_hold(0, TXN_BULK);
}

static void a_hold_of_bulk_is_seen(void **state)
{
    (void)state;
    see_hold(TXN_BULK, 0);
}

/* No state is for ever: a forgotten hold ends as a lifetime does, and the sender is told. */
static void a_hold_ends_too(void **state)
{
    uint64_t message = world_send("s@local.test", "later@remote.test", 0, 0, 10);

    (void)state;
    world_run();
    command_id("hold", message);
    for (int day = 0; day < 29; day++)
        world_pass(DAY);
    assert_int_equal(world_count("recipient"), 1);
    assert_int_equal(world_metric("staffetta_queue_oldest_overdue_seconds"), 0);
    world_pass(DAY);
    world_pass(MINUTE);
    world_run();
    assert_int_equal(world.events[EVENT_FAILED], 1);
    assert_int_equal(world_metric("staffetta_queue_held"), 0);
    assert_int_equal(world_metric("staffetta_queue_oldest_overdue_seconds"), 0);
}

static void retry_does_not_wait(void **state)
{
    (void)state;
    world_send("s@local.test", "once@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.relayed, 0);
    world_command("retry domain=remote.test");
    assert_true(rows_have("\"retried\":1"));
    assert_int_equal(world.relayed, 1);
    assert_int_equal(world_count("message"), 0);
}

static void deleted_mail_is_gone_without_a_report(void **state)
{
    (void)state;
    world_send("s@local.test", "later@remote.test slow@other.test", 0, 0, 200000);
    world_send("s@local.test", "later@local.test", 0, 0, 10);
    world_run();
    world_command("delete recipient=*@remote.test");
    assert_int_equal(world_count("recipient"), 2);
    world_command("delete recipient=slow@other.test"); /* being delivered */
    assert_int_equal(world_count("recipient"), 1);
    assert_int_equal(world_count("message"), 1);
    assert_int_equal(world_count("chunk"), 0);
    world_release();
    world_run();
    assert_int_equal(world.events[EVENT_RELAYED], 0);
    assert_int_equal(world.events[EVENT_DELETED], 2);
    world_command("delete all=yes");
    assert_int_equal(world_count("message"), 0);
    assert_int_equal(world.reports, 0);
    assert_int_equal(world.queue->counts.all.deferred, 0);
    assert_int_equal(world.queue->counts.messages, 0);
}

/* What the administrator decided while it was under way stands when the other process dies with it. */
static void deleted_or_held_mail_is_not_tried_again_when_the_relay_dies(void **state)
{
    (void)state;
    world_send("s@local.test", "slow@remote.test", 0, 0, 10);
    world_send("s@local.test", "slow@other.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.deliveries, 2);
    world_command("delete recipient=slow@remote.test");
    world_command("hold recipient=slow@other.test");
    world_peer(ROLE_RELAY, false);
    world_run();
    world_peer(ROLE_RELAY, true);
    world_run();
    assert_int_equal(world.deliveries, 2);
    assert_int_equal(world_count("recipient"), 1);
    world_command("release all=yes");
    assert_int_equal(world.deliveries, 3);
    world_release();
    world_run();
    assert_int_equal(world.relayed, 1);
    assert_int_equal(world_count("message"), 0);
}

/* The number of a recipient that was deleted while it was under way is not given to a new one, whose
 * row its late result would end. */
static void a_late_result_of_a_deleted_recipient_ends_no_other(void **state)
{
    (void)state;
    world_peer(ROLE_MAILBOX, false);
    world.silent_directory = false;
    world_send("s@local.test", "later@x.test slow@remote.test", 0, 0, 10);
    world_run();
    assert_int_equal(world.deliveries, 2);
    world_command("delete recipient=slow@remote.test");
    assert_int_equal(world_count("recipient"), 1);
    assert_true(db_exec(store_db(world.queue->store), "UPDATE recipient SET address = 'list@local.test'", NULL));
    world_command("retry all=yes"); /* a@ and b@local.test wait for the mailbox, c@remote.test is relayed */
    assert_int_equal(world_count("recipient"), 2);
    world_release();
    world_run();
    assert_int_equal(world_count("recipient"), 2);
    world_peer(ROLE_MAILBOX, true);
    world_run();
    assert_int_equal(world.delivered, 2);
    assert_int_equal(world_count("message"), 0);
}

/* Whatever call fails: a message is told to be gone, and no longer counted, when its rows are gone. */
static void a_delete_that_cannot_be_stored_changes_nothing(void **state)
{
    (void)state;
    world_send("s@local.test", "later@remote.test", 0, 0, 10);
    world_run();
    for (unsigned nth = 1; world_count("message") > 0; nth++) {
        assert_int_equal(world.events[EVENT_DONE], 0);
        assert_int_equal(world.queue->counts.messages, 1);
        world_fail_at(nth);
        world_command("delete all=yes");
        world_fail_at(0);
        assert_true(nth < 100);
    }
    assert_int_equal(world.events[EVENT_DONE], 1);
    assert_int_equal(world.queue->counts.messages, 0);
}

/* Many rows: slices, credit, and flat memory. */
static void thousands_are_walked_in_slices(void **state)
{
    (void)state;
    world_peer(ROLE_DIRECTORY, false);
    for (int i = 0; i < 5000; i++)
        world_send("s@local.test", "a@x.test b@x.test", 0, 0, 10);
    world_run();
    world_command("list");
    assert_int_equal(world.row_count, 10000);
    world_command("list recipient=b@x.test");
    assert_int_equal(world.row_count, 5000);
    world_command("list recipient=b@x.test limit=4900");
    assert_int_equal(world.row_count, 4900);
    world_command("hold recipient=a@x.test");
    assert_true(rows_have("\"held\":5000"));
    assert_int_equal(world.queue->counts.all.held, 5000);
    world_command("delete state=held");
    assert_int_equal(world_count("recipient"), 5000);
    world_peer(ROLE_DIRECTORY, true);
    world_run();
    for (int i = 0; i < 5 && world.relayed < 5000; i++)
        world_pass(MINUTE); /* more than one destination may hold in memory */
    assert_int_equal(world.relayed, 5000);
    assert_int_equal(world_count("message"), 0);
}

/* Longer than a pattern of the database may be: looked at row by row. */
static void a_very_long_filter_still_answers(void **state)
{
    static char words[8000];

    (void)state;
    fill();
    memcpy(words, "list recipient=", 15);
    memset(words + 15, '*', sizeof words - 16);
    world_command(words);
    assert_int_equal(world.row_count, 4);
    words[20] = '!';
    world_command(words);
    assert_int_equal(world.row_count, 0);
    assert_int_equal(world.done_code, 0);
}

/* A command that nobody reads any more ends; its changes under way do too. */
static void commands_end_with_their_asker(void **state)
{
    (void)state;
    fill();
    commands_on_ask(world.queue->role, role_peer(world.queue->role, ROLE_WEB, 0),
        &(struct msg_control_ask){.id = 99, .command = STR("queue"), .args = STR("delete\0all=yes\0")});
    commands_turn(world.queue); /* its first changes are in the batch now */
    world_peer(ROLE_WEB, false);
    world_run();
    assert_true(list_empty(&world.queue->commands.running));
    assert_int_equal(world_count("recipient"), 0);
    world_peer(ROLE_WEB, true);
    world_command("summary");
    assert_true(rows_have("\"messages\":0"));
}

static unsigned turns_of(struct str args)
{
    unsigned turns = 0;

    commands_on_ask(world.queue->role, role_peer(world.queue->role, ROLE_WEB, 0),
        &(struct msg_control_ask){.id = 99, .command = STR("queue"), .args = args});
    for (; !list_empty(&world.queue->commands.running); turns++)
        commands_turn(world.queue);
    return turns;
}

/* What the database cannot look for itself costs a question for each message. */
static void a_turn_looks_at_few_messages(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++)
        world_send("s@local.test", "later@remote.test", 0, 0, 10);
    world_run();
    assert_in_range(turns_of(STR("list\0sender=else@local.test\0")), 3000 / 512, 3000);
    assert_in_range(turns_of(STR("list\0state=held\0")), 3000 / 512, 3000);
    assert_in_range(turns_of(STR("hold\0sender=else@local.test\0")), 3000 / 512, 3000);
    world_run();
    world_command("list sender=s@local.test");
    assert_int_equal(world.row_count, 3000);
    world_command("hold sender=s@local.test");
    assert_true(rows_have("\"held\":3000"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(summary_counts),
        TEST(list_filters),
        TEST(pages_follow_each_other),
        TEST(mistakes_are_explained),
        TEST(show_and_export_tell_all),
        TEST(held_mail_stays_and_its_clock_stands_still),
        TEST(a_hold_is_seen),
        TEST(a_hold_of_bulk_is_seen),
        TEST(a_hold_ends_too),
        TEST(retry_does_not_wait),
        TEST(deleted_mail_is_gone_without_a_report),
        TEST(deleted_or_held_mail_is_not_tried_again_when_the_relay_dies),
        TEST(a_late_result_of_a_deleted_recipient_ends_no_other),
        TEST(a_delete_that_cannot_be_stored_changes_nothing),
        TEST(thousands_are_walked_in_slices),
        TEST(a_turn_looks_at_few_messages),
        TEST(a_very_long_filter_still_answers),
        TEST(commands_end_with_their_asker),
    };

    return cmocka_run_group_tests_name("queue_command", tests, NULL, NULL);
}
