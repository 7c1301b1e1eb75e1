/* The queue's decisions as tables: pauses, lifetimes, who is told what, shares, filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "config/config.h"
#include "db/db.h"
#include "roles/queue/bounce.h"
#include "roles/queue/destination.h"
#include "roles/queue/filter.h"
#include "roles/queue/leftover.h"
#include "roles/queue/schedule.h"
#include "roles/queue/store.h"
#include "scratch.h"

static struct config *config;

static int open_config(void **state)
{
    struct err err = {0};

    (void)state;
    if (!config_parse(&config, STR("test"),
            STR("hostname = \"mail.test\"\nqueue { retry = {\"1m\", \"10m\", \"1h\"} lifetime = \"5d\" "
                "bounce_lifetime = \"2d\" delay_notice = \"4h\" }\n"),
            &err))
        fail_msg("%s", err.text);
    return 0;
}

static int close_config(void **state)
{
    (void)state;
    config_free(config);
    return 0;
}

static void pauses_grow_and_the_last_repeats(void **state)
{
    static const struct {
        uint64_t attempts;
        unsigned jitter;
        int64_t pause;
    } cases[] = {
        {1, 500, MINUTE}, {2, 500, 10 * MINUTE}, {3, 500, HOUR}, {4, 500, HOUR}, {1000000, 500, HOUR},
        {1, 0, 48 * SECOND}, {3, 0, 48 * MINUTE}, {0, 500, MINUTE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(schedule_pause(config, cases[i].attempts, cases[i].jitter), cases[i].pause);
    assert_true(schedule_pause(config, 1, 999) <= 72 * SECOND);
    assert_true(schedule_pause(config, 1, 999) > 71 * SECOND);
}

static void lifetimes(void **state)
{
    struct message_row m = {.sender = STR("s@x"), .created = 1000 * DAY};

    (void)state;
    assert_int_equal(schedule_expiry(config, &m, m.created), 1005 * DAY);
    assert_int_equal(schedule_notice_time(config, &m, 0), m.created + 4 * HOUR);
    assert_true(schedule_notice_time(config, &m, NOTICED_DELAY) == INT64_MAX);
    m.hold_until = 1001 * DAY;
    assert_int_equal(schedule_notice_time(config, &m, 0), m.hold_until + 4 * HOUR);
    m.hold_until = 0;
    m.deliver_by = m.created + HOUR;
    assert_int_equal(schedule_expiry(config, &m, m.created), 1005 * DAY); /* mode N: only told */
    assert_int_equal(schedule_notice_time(config, &m, 0), m.created + HOUR);
    assert_int_equal(schedule_notice_time(config, &m, NOTICED_BY), m.created + 4 * HOUR);
    assert_int_equal(schedule_notices(config, &m, 0, m.created + MINUTE), 0);
    assert_int_equal(schedule_notices(config, &m, 0, m.created + HOUR), NOTICED_BY);
    assert_int_equal(schedule_notices(config, &m, NOTICED_BY, m.created + 2 * HOUR), 0);
    assert_int_equal(schedule_notices(config, &m, NOTICED_BY, m.created + 5 * HOUR), NOTICED_DELAY);
    assert_int_equal(schedule_notices(config, &m, 0, m.created + 5 * HOUR), NOTICED_BY | NOTICED_DELAY);
    m.flags = TXN_BY_RETURN;
    assert_int_equal(schedule_expiry(config, &m, m.created), m.created + HOUR);
    m = (struct message_row){.created = 1000 * DAY};
    assert_int_equal(schedule_expiry(config, &m, m.created), 1002 * DAY);
}

/* Taken while the wall clock was an hour ahead of, or behind, the clock of plans. */
static void notices_after_a_step(void **state)
{
    static const int64_t shifts[] = {HOUR, -HOUR, -2 * HOUR};

    (void)state;
    for (size_t i = 0; i < sizeof shifts / sizeof shifts[0]; i++) {
        int64_t s = shifts[i];
        struct message_row m = {.sender = STR("s@x"), .created = 1000 * DAY, .deliver_by = 1000 * DAY + 3 * HOUR,
            .expires = 1005 * DAY + s};

        assert_int_equal(schedule_notice_time(config, &m, 0), m.created + 3 * HOUR + s);
        assert_int_equal(schedule_notice_time(config, &m, NOTICED_BY), m.created + 4 * HOUR + s);
        assert_int_equal(schedule_notices(config, &m, 0, m.created + 3 * HOUR + s - 1), 0);
        m.flags = TXN_BY_RETURN;
        m.expires = m.deliver_by + s;
        assert_int_equal(schedule_planned(config, &m, m.deliver_by), m.expires);
        m = (struct message_row){.created = 1000 * DAY, .hold_until = 1001 * DAY, .expires = 1003 * DAY + s};
        assert_int_equal(schedule_notice_time(config, &m, 0), m.hold_until + 4 * HOUR + s);
    }
    /* Another lifetime when it came; and minutes until it had come. */
    struct message_row m = {.sender = STR("s@x"), .created = 1000 * DAY, .expires = 1002 * DAY};

    assert_int_equal(schedule_notice_time(config, &m, 0), m.created + 4 * HOUR);
    m.expires = 1005 * DAY + 3 * MINUTE;
    assert_int_equal(schedule_notice_time(config, &m, 0), m.created + 4 * HOUR);
}

static void next_attempts(void **state)
{
    struct message_row m = {.sender = STR("s@x"), .created = 1000 * DAY};
    struct rcpt_row r = {.expires = 1005 * DAY};
    int64_t now = m.created + 4 * HOUR - 30 * MINUTE;

    (void)state;
    assert_int_equal(schedule_next(config, &m, &r, 1, m.created, 0, 500), m.created + MINUTE);
    /* The server's wish, when it is later than our pause. */
    assert_int_equal(schedule_next(config, &m, &r, 1, m.created, m.created + HOUR, 500), m.created + HOUR);
    assert_int_equal(schedule_next(config, &m, &r, 1, m.created, m.created + 1, 500), m.created + MINUTE);
    /* In time for the delay notice, once. */
    assert_int_equal(schedule_next(config, &m, &r, 9, now, 0, 500), m.created + 4 * HOUR);
    r.noticed = NOTICED_DELAY;
    assert_int_equal(schedule_next(config, &m, &r, 9, now, 0, 500), now + HOUR);
    /* Never after the end. */
    assert_int_equal(schedule_next(config, &m, &r, 9, r.expires - MINUTE, 0, 500), r.expires);
    assert_int_equal(schedule_next(config, &m, &r, 9, m.created, INT64_MAX, 500), r.expires);
}

static void who_is_told_what(void **state)
{
    static const struct {
        enum dsn_action action;
        uint64_t notify, flags;
        bool null_sender, remote, wanted;
    } cases[] = {
        {DSN_FAILED, 0, 0, false, false, true},
        {DSN_FAILED, NOTIFY_FAILURE, 0, false, false, true},
        {DSN_FAILED, NOTIFY_SUCCESS | NOTIFY_DELAY, 0, false, false, false},
        {DSN_FAILED, NOTIFY_NEVER, 0, false, false, false},
        {DSN_FAILED, 0, 0, true, false, false}, /* never a bounce of a bounce */
        {DSN_FAILED, NOTIFY_FAILURE, 0, true, false, false},
        {DSN_DELAYED, 0, 0, false, false, true},
        {DSN_DELAYED, NOTIFY_DELAY, 0, false, false, true},
        {DSN_DELAYED, NOTIFY_FAILURE, 0, false, false, false},
        {DSN_DELAYED, NOTIFY_NEVER, 0, false, false, false},
        {DSN_DELAYED, 0, 0, true, false, false},
        {DSN_DELIVERED, 0, 0, false, false, false},
        {DSN_DELIVERED, NOTIFY_SUCCESS, 0, false, false, true},
        {DSN_DELIVERED, NOTIFY_SUCCESS, 0, true, false, false},
        {DSN_RELAYED, NOTIFY_SUCCESS, 0, false, false, true},
        {DSN_RELAYED, NOTIFY_SUCCESS, 0, false, true, false}, /* the next server's business */
        {DSN_RELAYED, 0, 0, false, false, false},
        {DSN_RELAYED, 0, TXN_BY_TRACE, false, true, true},
        {DSN_RELAYED, NOTIFY_NEVER, TXN_BY_TRACE, false, false, false},
        {DSN_EXPANDED, NOTIFY_SUCCESS | NOTIFY_FAILURE, 0, false, false, true},
        {DSN_EXPANDED, NOTIFY_FAILURE, 0, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (bounce_wanted(cases[i].action, cases[i].notify, cases[i].flags, cases[i].null_sender, cases[i].remote) !=
            cases[i].wanted)
            fail_msg("case %zu", i);
}

static void bulk_leaves_room(void **state)
{
    (void)state;
    assert_int_equal(bulk_share(1), 1);
    assert_int_equal(bulk_share(2), 1);
    assert_int_equal(bulk_share(3), 2);
    assert_int_equal(bulk_share(4), 3);
    assert_int_equal(bulk_share(20), 15);
    assert_int_equal(bulk_share(1000), 750);
}

static void spans(void **state)
{
    static const struct {
        const char *text;
        int64_t span; /* -1: refused */
    } cases[] = {
        {"90", 90 * SECOND}, {"90s", 90 * SECOND}, {"15m", 15 * MINUTE}, {"4h", 4 * HOUR}, {"5d", 5 * DAY},
        {"5D", 5 * DAY}, {"0", 0}, {"", -1}, {"d", -1}, {"-5d", -1}, {"5 d", -1}, {"5w", -1}, {"99999999999d", -1},
        {"36501d", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t span = -1;

        if (!filter_parse_span(str_of(cases[i].text), &span))
            span = -1;
        if (span != cases[i].span)
            fail_msg("%s", cases[i].text);
    }
}

static void globs(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true}, {"*", "", true}, {"*", "abc", true}, {"abc", "ABC", true}, {"abc", "abcd", false},
        {"a*c", "abbbc", true}, {"a*c", "abbb", false}, {"*@x.test", "u@x.test", true}, {"*@x.test", "u@y.test", false},
        {"a*b*c", "a-b-b-c", true}, {"**", "x", true}, {"*aab", "aaaaaab", true}, {"", "x", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (filter_glob(str_of(cases[i].pattern), str_of(cases[i].text)) != cases[i].matches)
            fail_msg("%s %s", cases[i].pattern, cases[i].text);
}

/* A destination of relay with nothing else in memory. */
static struct destination one_with(int64_t interval, size_t waiting, enum standing standing)
{
    static size_t held[STANDINGS];
    static struct lane lane = {.role = ROLE_RELAY, .held = held};

    memset(held, 0, sizeof held);
    held[standing] = waiting;
    return (struct destination){.lane = &lane, .interval = interval, .waiting_n = waiting, .standing = standing};
}

/* Those sent back come when about their turn is, not all at once and not after ten minutes. */
static void parked_recipients_come_back_in_turn(void **state)
{
    struct destination d = one_with(SECOND / 100, 5000, STANDING_GOOD);
    int64_t now = 1000 * DAY, last = 0;

    (void)state;
    assert_true(destination_park(&d, now, 1000000) >= now + 50 * SECOND);
    for (int i = 0; i < 1000; i++) {
        int64_t at = destination_park(&d, now, 1000000);

        assert_true(at > last);
        last = at;
    }
    for (int i = 0; i < 100000; i++)
        last = destination_park(&d, now, SIZE_MAX / 1000000);
    assert_int_equal(last, now + 10 * MINUTE);
}

/* Nothing stands still for want of those sent back; where mail is known not to go they cost a write each time. */
static void parked_recipients_are_back_when_the_line_is_empty(void **state)
{
    struct destination d = one_with(SECOND / 10000, 5000, STANDING_GOOD);
    int64_t now = 1000 * DAY;

    (void)state;
    assert_true(destination_park(&d, now, 100000) <= now + SECOND);
    d = one_with(SECOND / 10000, 5000, STANDING_NEW); /* good until the last result */
    assert_true(destination_park(&d, now, 100000) <= now + SECOND);
    d = one_with(SECOND / 10000, 5000, STANDING_SLOW);
    assert_true(destination_park(&d, now, 100000) >= now + 10 * SECOND);
}

/* Of one more, or of thousands, nothing is known: the thousands must not cost as many writes at once. */
static void unknown_destinations_come_back_the_later_the_more_they_are(void **state)
{
    struct destination d = one_with(0, 20, STANDING_NEW);
    int64_t now = 1000 * DAY;

    (void)state;
    assert_true(destination_park(&d, now, 100000) <= now + SECOND);
    d = one_with(0, 20, STANDING_NEW);
    d.lane->held[STANDING_NEW] = 4000;
    assert_in_range(destination_park(&d, now, 100000), now + 4 * SECOND, now + 5 * SECOND);
    d = one_with(0, 20, STANDING_NEW);
    d.lane->held[STANDING_NEW] = 400000;
    assert_in_range(destination_park(&d, now, 100000), now + 10 * SECOND, now + 11 * SECOND);
}

/* The pace was taken too slow, or nothing was known of it: what that costs is bounded by how much waits. */
static void a_wrong_pace_keeps_nobody_for_long(void **state)
{
    struct destination d = one_with(HOUR, 25000, STANDING_GOOD);
    int64_t now = 1000 * DAY, last = 0;

    (void)state;
    for (int i = 0; i < 5000; i++)
        last = destination_park(&d, now, 30000);
    assert_in_range(last, now + 10 * SECOND, now + 15 * SECOND);
    d = one_with(0, 700, STANDING_NEW);
    for (int i = 0; i < 29300; i++)
        last = destination_park(&d, now, 30000);
    assert_in_range(last, now + SECOND, now + 5 * SECOND);
}

/* A good one that hangs: each time later, at most as one of which nothing is known. */
static void parked_recipients_of_one_that_hangs_come_back_late(void **state)
{
    struct destination d = one_with(10, 1, STANDING_GOOD);
    int64_t now = 1000 * DAY;

    (void)state;
    d.moved = clock_monotonic() - 3 * SECOND;
    assert_true(destination_park(&d, now, 100) >= now + 3 * SECOND);
    d.moved = clock_monotonic() - HOUR;
    assert_in_range(destination_park(&d, now, 100), now + 10 * SECOND, now + 11 * SECOND);
    d.park_at = 0;
    destination_ended(&d, 1, clock_monotonic());
    assert_true(destination_park(&d, now, 100) < now + 10 * SECOND);
    d.moved = clock_monotonic() - HOUR;
    d.park_at = 0;
    destination_judge(&d, true); /* one recipient of a delivery of many */
    assert_true(destination_park(&d, now, 100) < now + 10 * SECOND);
}

/* A thousand slow ones, or good ones that hang, with a hundred put back each: as many writes a second as one of them costs. */
static void many_in_vain_cost_no_more_than_one(void **state)
{
    enum { DESTINATIONS = 1000, EACH = 100 };
    const enum standing standings[] = {STANDING_SLOW, STANDING_GOOD, STANDING_NEW};

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        int64_t now = 1000 * DAY, last = 0;
        unsigned soon = 0;

        one_with(0, 1, standings[s]).lane->vain_at = 0;
        for (unsigned i = 0; i < DESTINATIONS; i++) {
            struct destination d = one_with(0, 1, standings[s]);

            d.moved = clock_monotonic() - HOUR;
            for (unsigned k = 0; k < EACH; k++) {
                int64_t at = destination_park(&d, now, DESTINATIONS * EACH);

                soon += at < now + 20 * SECOND;
                last = at > last ? at : last;
            }
        }
        assert_in_range(soon, 20000, 40000);
        assert_true(last <= now + 60 * SECOND);
        one_with(0, 1, standings[s]).lane->vain_at = 0;
    }
}

static void an_hour_without_mail_is_not_the_pace(void **state)
{
    struct destination d = {.under_way = 1, .standing = STANDING_GOOD};
    int64_t now = HOUR;

    (void)state;
    for (int i = 0; i < 50; i++) { /* ten every tenth of a second, at once */
        now += i % 10 == 0 ? SECOND / 10 : 0;
        destination_ended(&d, 2, now);
    }
    assert_in_range(d.interval, SECOND / 500, SECOND / 150);
    d.under_way = 0;
    destination_ended(&d, 1, now += SECOND / 100); /* the last one for an hour */
    destination_ended(&d, 1, now + HOUR);
    d.under_way = 1;
    destination_ended(&d, 1, now + HOUR + SECOND);
    destination_ended(&d, 100, now + HOUR + 2 * SECOND);
    assert_in_range(d.interval, SECOND / 500, SECOND / 50);
}

/* It hung for minutes, and goes on with a single end: the pace is not that of hanging. Nor is it that of a relay that dies. */
static void minutes_of_hanging_are_not_the_pace(void **state)
{
    struct destination d = {.under_way = 1, .standing = STANDING_GOOD};
    int64_t now = HOUR, pace;

    (void)state;
    for (int i = 0; i < 1000; i++)
        destination_ended(&d, 1, now += SECOND / 1000);
    pace = d.interval;
    assert_in_range(pace, SECOND / 1000, SECOND / 1000 + 1);
    destination_ended(&d, 1, now += 5 * MINUTE);
    destination_ended(&d, 1, now += SECOND / 1000);
    assert_int_equal(d.interval, pace);
    for (int i = 0; i < 20; i++)
        destination_ended(&d, 0, now += SECOND / 2);
    destination_ended(&d, 1, now += SECOND / 1000);
    assert_int_equal(d.interval, pace);
}

/* Twenty at once, each time after seconds. */
static void one_that_is_slow_has_a_pace(void **state)
{
    struct destination d = {.under_way = 1, .standing = STANDING_GOOD};
    int64_t now = HOUR;

    (void)state;
    for (int i = 0; i < 200; i++)
        destination_ended(&d, 1, now += i % 20 == 0 ? 4 * SECOND : 0);
    assert_in_range(d.interval, SECOND / 50, SECOND / 4);
}

/* Those of all destinations to which mail does not go: each write is a return in vain. */
static void what_returns_in_vain_is_bounded_for_all_together(void **state)
{
    struct destination fast = one_with(10, 5000, STANDING_SLOW), hangs = fast;
    int64_t now = 1000 * DAY, last = 0;

    (void)state;
    fast.lane->vain_at = 0;
    hangs.standing = STANDING_GOOD;
    hangs.moved = clock_monotonic() - MINUTE;
    for (int i = 0; i < 50000; i++)
        destination_park(&fast, now, 100000), last = destination_park(&hangs, now, 100000);
    assert_in_range(last, now + 50 * SECOND, now + 61 * SECOND);
    hangs.moved = clock_monotonic(); /* it goes on, and what waits elsewhere does not matter */
    assert_true(destination_park(&hangs, now, 100000) < now + SECOND);
    fast.lane->vain_at = 0;
}

/* Five a second for minutes, and far more than memory holds: that is no guess. */
static void a_steady_pace_is_believed(void **state)
{
    struct destination d = one_with(0, 5000, STANDING_GOOD);
    int64_t now = 1000 * DAY, at = clock_monotonic() - 100 * SECOND, last = 0;

    (void)state;
    for (int i = 0; i < 500; i++)
        destination_ended(&d, 1, at += SECOND / 5);
    for (int i = 0; i < 25000; i++)
        last = destination_park(&d, now, 30000);
    assert_in_range(last, now + 30 * SECOND, now + MINUTE);
    for (int i = 0; i < 10000; i++)
        destination_ended(&d, 1, at += SECOND / 1000);
    d.interval = SECOND / 5; /* once more, for a moment */
    assert_in_range(destination_park(&d, now, 30000), now, now + 15 * SECOND);
}

static void places_given_at_a_wrong_pace_are_nearer_when_it_is_known(void **state)
{
    struct destination d = one_with(SECOND, 5000, STANDING_GOOD);
    int64_t now = 1000 * DAY;

    (void)state;
    assert_true(destination_park(&d, now, 1000000) > now + MINUTE);
    d.interval = SECOND / 10000;
    d.waiting_n = 10;
    assert_true(destination_park(&d, now, 1000000) <= now + SECOND);
}

/* Mail in a shard beyond the last one is not forgotten in silence. */
static void a_shard_left_out_has_to_be_empty(void **state)
{
    char folder[SCRATCH_MAX], shard[SCRATCH_MAX + 40], text[SCRATCH_MAX + 60];
    struct config *left;
    struct err err = {0};
    struct db *db;
    struct store *store;

    (void)state;
    scratch_make(folder, "queue_rules_test");
    snprintf(shard, sizeof shard, "%s/queue", folder);
    assert_int_equal(mkdir(shard, 0700), 0);
    snprintf(text, sizeof text, "hostname = \"mail.test\"\ndata = \"%s\"\n", folder);
    assert_true(config_parse(&left, STR("test"), str_of(text), &err));
    snprintf(shard, sizeof shard, "%s/queue/queue-%d.db", folder, (int)left->copies.queue);
    assert_true(leftover_check(left, &err));
    assert_true(db_open(&db, shard, DB_SYNC_FULL, 1000, &err)); /* killed before its first table */
    db_close(db);
    assert_true(leftover_check(left, &err));
    assert_true(store_open(&store, shard, &err));
    store_close(store);
    assert_true(leftover_check(left, &err));
    assert_true(db_open(&db, shard, DB_SYNC_FULL, 1000, &err));
    assert_true(db_exec(db,
        "INSERT INTO message VALUES (7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', '', '', '', '', '', '', '', '')", &err));
    db_close(db);
    assert_false(leftover_check(left, &err));
    assert_non_null(strstr(err.text, shard));
    config_free(left);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_and_the_last_repeats),
        cmocka_unit_test(lifetimes),
        cmocka_unit_test(notices_after_a_step), cmocka_unit_test(next_attempts),
        cmocka_unit_test(who_is_told_what),
        cmocka_unit_test(bulk_leaves_room),
        cmocka_unit_test(spans),
        cmocka_unit_test(globs),
        cmocka_unit_test(parked_recipients_come_back_in_turn),
        cmocka_unit_test(parked_recipients_are_back_when_the_line_is_empty),
        cmocka_unit_test(parked_recipients_of_one_that_hangs_come_back_late),
        cmocka_unit_test(many_in_vain_cost_no_more_than_one),
        cmocka_unit_test(unknown_destinations_come_back_the_later_the_more_they_are),
        cmocka_unit_test(a_wrong_pace_keeps_nobody_for_long),
        cmocka_unit_test(minutes_of_hanging_are_not_the_pace),
        cmocka_unit_test(one_that_is_slow_has_a_pace),
        cmocka_unit_test(what_returns_in_vain_is_bounded_for_all_together),
        cmocka_unit_test(a_steady_pace_is_believed),
        cmocka_unit_test(places_given_at_a_wrong_pace_are_nearer_when_it_is_known),
        cmocka_unit_test(an_hour_without_mail_is_not_the_pace),
        cmocka_unit_test(a_shard_left_out_has_to_be_empty),
    };

    return cmocka_run_group_tests_name("queue_rules", tests, open_config, close_config);
}
