/* The clock of plans while the wall clock is set. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int64_t __wrap_clock_now(void);
int64_t __wrap_clock_monotonic(void);

static int64_t wall = 1000 * DAY, monotonic = 50 * HOUR;

int64_t __wrap_clock_now(void)
{
    return wall;
}

int64_t __wrap_clock_monotonic(void)
{
    return monotonic;
}

static void pass(int64_t span)
{
    wall += span;
    monotonic += span;
}

static void meet_the_wall_clock(void)
{
    for (int i = 0; i < 40; i++) {
        pass(HOUR);
        clock_steady();
    }
    assert_int_equal(clock_steady_ahead(), 0);
}

static void it_goes_with_the_wall_clock(void **state)
{
    (void)state;
    assert_int_equal(clock_steady(), wall);
    pass(3 * DAY);
    assert_int_equal(clock_steady(), wall);
    wall += SECOND / 2;
    assert_int_equal(clock_steady(), wall);
    wall -= SECOND / 2;
    assert_int_equal(clock_steady(), wall);
}

static void a_step_moves_no_plan(void **state)
{
    static const int64_t steps[] = {HOUR, -HOUR, -2 * SECOND, 119 * MINUTE};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int64_t before = clock_steady();

        wall += steps[i];
        assert_int_equal(clock_steady(), before);
        assert_int_equal(clock_steady_ahead(), -steps[i]);
        meet_the_wall_clock();
    }
}

static void it_draws_nearer_and_never_goes_back(void **state)
{
    (void)state;
    for (int direction = -1; direction <= 1; direction += 2) {
        wall += direction * HOUR;
        for (int64_t at = clock_steady(), i = 0; i < 1000; i++) {
            int64_t next;

            pass(i % 3 ? 100000 : 7);
            next = clock_steady();
            assert_true(next >= at && next - at <= 110000);
            at = next;
        }
        pass(16 * HOUR - 70 * SECOND);
        assert_in_range(clock_steady() - wall + 10 * SECOND, 0, 20 * SECOND);
        meet_the_wall_clock();
    }
}

static void there_and_back_is_nothing(void **state)
{
    (void)state;
    wall += HOUR;
    clock_steady();
    wall -= HOUR;
    assert_int_equal(clock_steady(), wall);
}

static void a_year_is_followed(void **state)
{
    (void)state;
    for (int direction = -1; direction <= 1; direction += 2) {
        wall += direction * 365 * DAY;
        assert_int_equal(clock_steady(), wall);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_with_the_wall_clock),
        cmocka_unit_test(a_step_moves_no_plan),
        cmocka_unit_test(it_draws_nearer_and_never_goes_back),
        cmocka_unit_test(there_and_back_is_nothing),
        cmocka_unit_test(a_year_is_followed),
    };

    return cmocka_run_group_tests_name("steady", tests, NULL, NULL);
}
