/* The states of DKIM keys under a clock of its own: publish, wait, use, retire, and what must never happen on the way. */
#include "roles/directory/dkim_schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct dkim_schedule schedule = {.rotate = 180 * DAY, .publish_wait = DAY, .retire_keep = 7 * DAY};
static struct dkim_rows keys;
static int64_t now;

static int begin(void **state)
{
    (void)state;
    keys = (struct dkim_rows){0};
    now = 1000 * DAY;
    return 0;
}

static struct dkim_row *made(enum dkim_algorithm algorithm)
{
    struct dkim_row *row = &keys.rows[keys.n++];

    *row = (struct dkim_row){.algorithm = algorithm, .made = now};
    snprintf(row->selector, sizeof row->selector, "s%zu", keys.n);
    return row;
}

static void pass(int64_t time)
{
    now += time;
    dkim_schedule_advance(&keys, &schedule, now);
}

static struct dkim_row *active(void)
{
    struct dkim_row *row = made(DKIM_RSA_SHA256);

    dkim_schedule_looked(row, DKIM_RECORD_OK, now);
    pass(0);
    assert_int_equal(row->state, DKIM_ACTIVE);
    return row;
}

static void the_first_key_is_used_when_it_is_seen(void **state)
{
    struct dkim_row *row = made(DKIM_RSA_SHA256);

    (void)state;
    pass(400 * DAY);
    assert_int_equal(row->state, DKIM_WAITING);
    dkim_schedule_looked(row, DKIM_RECORD_MISSING, now);
    dkim_schedule_looked(row, DKIM_RECORD_OTHER, now);
    dkim_schedule_looked(row, DKIM_RECORD_UNKNOWN, now);
    pass(400 * DAY);
    assert_int_equal(row->state, DKIM_WAITING);
    dkim_schedule_looked(row, DKIM_RECORD_OK, now);
    assert_int_equal(row->state, DKIM_PUBLISHED);
    pass(0);
    assert_int_equal(row->state, DKIM_ACTIVE);
    assert_int_equal(row->used, now);
}

static void a_successor_waits(void **state)
{
    struct dkim_row *old = active(), *next = made(DKIM_RSA_SHA256);

    (void)state;
    dkim_schedule_looked(next, DKIM_RECORD_OK, now);
    pass(DAY - 1);
    assert_int_equal(next->state, DKIM_PUBLISHED);
    assert_ptr_equal(dkim_rows_active(&keys, DKIM_RSA_SHA256), old);
    dkim_schedule_looked(next, DKIM_RECORD_OK, now); /* seen again: the time goes on */
    pass(1);
    assert_int_equal(next->state, DKIM_ACTIVE);
    assert_int_equal(old->state, DKIM_RETIRED);
    assert_ptr_equal(dkim_rows_active(&keys, DKIM_RSA_SHA256), next);
    pass(7 * DAY - 1);
    assert_int_equal(old->state, DKIM_RETIRED);
    pass(1);
    assert_int_equal(old->state, DKIM_EXPIRED);
    pass(DKIM_FORGET - 1);
    assert_false(old->gone);
    pass(1);
    assert_true(old->gone);
    assert_false(next->gone);
}

static void a_record_that_vanishes_is_waited_for_again(void **state)
{
    struct dkim_row *old = active(), *next = made(DKIM_RSA_SHA256);

    (void)state;
    dkim_schedule_looked(next, DKIM_RECORD_OK, now);
    pass(DAY / 2);
    dkim_schedule_looked(next, DKIM_RECORD_UNKNOWN, now); /* DNS that fails says nothing */
    assert_int_equal(next->state, DKIM_PUBLISHED);
    dkim_schedule_looked(next, DKIM_RECORD_MISSING, now);
    pass(DAY);
    assert_int_equal(next->state, DKIM_WAITING);
    dkim_schedule_looked(next, DKIM_RECORD_OK, now);
    pass(DAY - 1);
    assert_int_equal(next->state, DKIM_PUBLISHED);
    dkim_schedule_looked(old, DKIM_RECORD_MISSING, now); /* the one in use goes on */
    assert_int_equal(old->state, DKIM_ACTIVE);
    pass(1);
    assert_int_equal(next->state, DKIM_ACTIVE);
}

static void a_word_stands_for_dns(void **state)
{
    struct dkim_row *row = made(DKIM_ED25519_SHA256);

    (void)state;
    (void)active(); /* of the other algorithm: nobody's predecessor */
    dkim_schedule_confirm(row, now);
    dkim_schedule_looked(row, DKIM_RECORD_MISSING, now);
    pass(0);
    assert_int_equal(row->state, DKIM_ACTIVE);
    dkim_schedule_confirm(row, now + 1); /* twice does no harm */
    assert_int_equal(row->state, DKIM_ACTIVE);
}

static void only_one_of_an_algorithm_signs(void **state)
{
    struct dkim_row *rows[3];

    (void)state;
    for (int i = 0; i < 3; i++, now++)
        dkim_schedule_confirm(rows[i] = made(DKIM_RSA_SHA256), now);
    pass(2 * DAY); /* all three are due at once: the newest stays */
    assert_int_equal(rows[0]->state, DKIM_RETIRED);
    assert_int_equal(rows[1]->state, DKIM_RETIRED);
    assert_int_equal(rows[2]->state, DKIM_ACTIVE);
}

static void what_is_missing_is_known(void **state)
{
    struct dkim_row *row;

    (void)state;
    assert_int_equal(dkim_schedule_missing(&keys), 3);
    row = active();
    assert_int_equal(dkim_schedule_missing(&keys), 1 << DKIM_ED25519_SHA256);
    assert_int_equal(dkim_schedule_without_successor(&keys), 3);
    pass(180 * DAY - 1);
    assert_int_equal(dkim_schedule_aged(&keys, &schedule, now), 0);
    pass(1);
    assert_int_equal(dkim_schedule_aged(&keys, &schedule, now), 1 << DKIM_RSA_SHA256);
    assert_int_equal(dkim_schedule_aged(&keys, &(struct dkim_schedule){.rotate = 0}, now), 0);
    (void)made(DKIM_RSA_SHA256);
    assert_int_equal(dkim_schedule_aged(&keys, &schedule, now), 0); /* it has a successor, however long that waits */
    assert_int_equal(dkim_schedule_without_successor(&keys), 1 << DKIM_ED25519_SHA256);
    pass(1000 * DAY);
    assert_int_equal(row->state, DKIM_ACTIVE);
}

static void a_revoked_key_stays_revoked(void **state)
{
    struct dkim_row *row = active();

    (void)state;
    dkim_schedule_revoke(row, now);
    assert_int_equal(dkim_schedule_missing(&keys), 3);
    dkim_schedule_looked(row, DKIM_RECORD_OK, now);
    dkim_schedule_confirm(row, now);
    pass(DAY);
    assert_int_equal(row->state, DKIM_REVOKED);
    pass(DKIM_FORGET);
    assert_true(row->gone);
}

/* A wall clock that was set back delays a step, and never undoes one. */
static void a_clock_set_back_only_delays(void **state)
{
    struct dkim_row *old = active(), *next = made(DKIM_RSA_SHA256);

    (void)state;
    dkim_schedule_looked(next, DKIM_RECORD_OK, now);
    pass(-500 * DAY);
    assert_int_equal(next->state, DKIM_PUBLISHED);
    assert_true(dkim_schedule_looks(old, now)); /* "looked at in the future" is no reason not to look */
    pass(500 * DAY + DAY);
    assert_int_equal(next->state, DKIM_ACTIVE);
    pass(-500 * DAY);
    assert_int_equal(old->state, DKIM_RETIRED);
}

static void dns_is_asked_for_what_waits(void **state)
{
    struct dkim_row *old = active(), *next = made(DKIM_RSA_SHA256);

    (void)state;
    assert_true(dkim_schedule_looks(next, now));
    assert_false(dkim_schedule_looks(old, now));
    pass(DAY);
    assert_true(dkim_schedule_looks(old, now));
    dkim_schedule_revoke(next, now);
    assert_false(dkim_schedule_looks(next, now));
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_key_is_used_when_it_is_seen),
        TEST(a_successor_waits),
        TEST(a_record_that_vanishes_is_waited_for_again),
        TEST(a_word_stands_for_dns),
        TEST(only_one_of_an_algorithm_signs),
        TEST(what_is_missing_is_known),
        TEST(a_revoked_key_stays_revoked),
        TEST(a_clock_set_back_only_delays),
        TEST(dns_is_asked_for_what_waits),
    };

    return cmocka_run_group_tests_name("dkim_schedule", tests, NULL, NULL);
}
