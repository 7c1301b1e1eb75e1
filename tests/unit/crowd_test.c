/* A crowd of clients: doors shut when it is full, the slow ones pay, the others stay. */
#include "base/clock.h"
#include "net/crowd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { MANY = 64 };

static struct crowd crowd;
static struct event_base *base;
static struct crowd_member clients[MANY];
static uint64_t gone, told;
static bool open_now;
static const struct crowd_member *known;

static void open_doors(void *owner, bool open)
{
    assert_ptr_equal(owner, &crowd);
    assert_int_not_equal(open, open_now);
    open_now = open;
}

static bool may_go(struct crowd_member *m)
{
    return m != known;
}

static void send_away(struct crowd_member *m)
{
    gone++;
    crowd_leave(&crowd, m);
}

static void made_room(void *owner, uint64_t n)
{
    (void)owner;
    told += n;
}

static const struct crowd_rules rules = {open_doors, may_go, send_away, made_room};

static int setup(void **state)
{
    (void)state;
    base = event_base_new();
    crowd_init(&crowd, base, &rules, &crowd);
    gone = told = 0;
    open_now = true;
    known = NULL;
    crowd_limit(&crowd, MANY);
    for (int i = 0; i < MANY; i++)
        crowd_join(&crowd, &clients[i]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    crowd_end(&crowd);
    event_base_free(base);
    return 0;
}

static void pass(int64_t seconds)
{
    LIST_EACH(&crowd.members, it)
        CONTAINER(it, struct crowd_member, link)->useful -= seconds * SECOND;
    if (event_pending(&crowd.timer, EV_TIMEOUT, NULL))
        event_active(&crowd.timer, EV_TIMEOUT, 0);
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static void a_sixteenth_goes_at_a_time(void **state)
{
    (void)state;
    assert_false(open_now);
    pass(0);
    pass(9);
    assert_int_equal(gone, 0);
    pass(1);
    assert_int_equal(gone, MANY / 16 + 1);
    assert_int_equal(told, gone);
    assert_int_equal(crowd.count, MANY - gone);
    assert_true(open_now);
    pass(100); /* there is room */
    assert_int_equal(gone, MANY / 16 + 1);
}

static void the_oldest_slow_ones_go(void **state)
{
    (void)state;
    known = &clients[0];
    clients[1].received = 100 * 1024;
    pass(60);
    assert_true(link_in_list(&clients[0].link));
    assert_true(link_in_list(&clients[1].link)); /* brought enough */
    assert_false(link_in_list(&clients[2].link));
    assert_true(link_in_list(&clients[MANY - 1].link));
}

static void good_news_count(void **state)
{
    (void)state;
    pass(0);
    for (int i = 0; i < MANY; i++)
        clients[i].useful -= 60 * SECOND;
    for (int i = 0; i < MANY; i++)
        crowd_useful(&clients[i]);
    pass(5);
    assert_int_equal(gone, 0);
}

static void the_limit_may_change(void **state)
{
    (void)state;
    crowd_limit(&crowd, MANY + 1);
    assert_true(open_now);
    crowd_limit(&crowd, MANY - 10);
    assert_false(open_now);
    while (crowd.full) {
        uint64_t before = gone;

        pass(20);
        assert_true(gone > before);
    }
    assert_true(crowd.count < MANY - 10);
}

static void after_the_end_nothing_is_done(void **state)
{
    (void)state;
    crowd_end(&crowd);
    pass(60);
    crowd_leave(&crowd, &clients[5]);
    assert_false(open_now);
    assert_int_equal(gone, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sixteenth_goes_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_slow_ones_go, setup, teardown),
        cmocka_unit_test_setup_teardown(good_news_count, setup, teardown),
        cmocka_unit_test_setup_teardown(the_limit_may_change, setup, teardown),
        cmocka_unit_test_setup_teardown(after_the_end_nothing_is_done, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
