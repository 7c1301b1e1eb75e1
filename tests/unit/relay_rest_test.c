/* Servers that only fail are left alone for a while: what that spares, what it must not touch, and how it ends. */
#include "relay_world.h"

#include <stdio.h>
#include <string.h>

#include "roles/relay/rest.h"

static const char bad[] = "192.0.2.1", other[] = "192.0.2.2";

static void open_world(const char *config)
{
    world_open(config);
    snprintf(world.zone, sizeof world.zone,
        "a.test MX 10 a.host\nb.test MX 10 b.host\nboth.test MX 10 a.host\nboth.test MX 20 b.host\n"
        "a.host A %s\nb.host A %s\n",
        bad, other);
}

static unsigned relayed(const uint64_t *ids, size_t n)
{
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += world_has_result(ids[i], 0) && world_result(ids[i], 0)->status == DELIVERY_RELAYED;
    return sum;
}

/* Sends one after the other, a tenth of a second apart. */
static void send_many(const char *domain, uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ids[i] = world_send(domain, "r@x.test");
        world_run();
        world_pass(SECOND / 10);
        assert_true(world_has_result(ids[i], 0));
    }
}

static void hundreds_of_messages_are_few_connections(const char *verb, const char *says, const char *text)
{
    struct server *s;
    uint64_t ids[300];

    open_world("");
    s = world_server(bad, "");
    world_rule(s, verb, "", says, 9999);
    send_many("a.test", ids, 300); /* half a minute */
    assert_in_range(s->connections, REST_FAILURES, 9);
    for (int i = 0; i < 300; i++)
        assert_int_equal(world_result(ids[i], 0)->status, DELIVERY_DEFERRED);
    assert_non_null(strstr(world_result(ids[0], 0)->text, text));
    assert_non_null(strstr(world_result(ids[299], 0)->text, "4.4.1 not tried for "));
    assert_non_null(strstr(world_result(ids[299], 0)->text, text));
    assert_int_equal(world_result(ids[299], 0)->reason, world_result(ids[0], 0)->reason);
    assert_string_equal(world_result(ids[299], 0)->host, ""); /* nobody said that */
    world_close();
}

static void servers_that_hang_up(void **state)
{
    (void)state;
    hundreds_of_messages_are_few_connections("GREETING", "CLOSE", "connection lost while connecting");
    hundreds_of_messages_are_few_connections("EHLO", "CLOSE", "connection lost while EHLO");
    hundreds_of_messages_are_few_connections("MAIL", "CLOSE", "connection lost");
    hundreds_of_messages_are_few_connections("END", "CLOSE", "closed by the peer");
}

static void servers_that_talk_nonsense(void **state)
{
    (void)state;
    hundreds_of_messages_are_few_connections("GREETING", "HTTP/1.1 400 Bad Request", "SMTP");
    hundreds_of_messages_are_few_connections("RCPT", "HTTP/1.1 400 Bad Request", "SMTP");
}

static void servers_that_let_nobody_in(void **state)
{
    (void)state;
    hundreds_of_messages_are_few_connections("GREETING", "421 4.3.2 closed", "4.3.2 closed");
    hundreds_of_messages_are_few_connections("GREETING", "554 5.7.1 you are on a list", "5.7.1 you are on a list");
}

static void servers_that_refuse_connections(void **state)
{
    uint64_t ids[300];

    (void)state;
    open_world("");
    world_server(bad, "")->refuses = true;
    send_many("a.test", ids, 300);
    assert_non_null(strstr(world_result(ids[299], 0)->text, " attempts in a row failed"));
    world_close();
}

/* Those that come at once: the first attempts run side by side, the rest share what they hear. */
static void a_burst_is_few_connections(void **state)
{
    struct server *s;
    uint64_t ids[200];

    (void)state;
    open_world("");
    s = world_server(bad, "");
    world_rule(s, "GREETING", "", "CLOSE", 9999);
    for (int i = 0; i < 200; i++)
        ids[i] = world_send("a.test", "r@x.test");
    world_run();
    for (int i = 0; i < 200; i++)
        assert_int_equal(world_result(ids[i], 0)->status, DELIVERY_DEFERRED);
    assert_in_range(s->connections, REST_FAILURES, 3 * REST_FAILURES);
    world_close();
}

/* A minute at most after the server is well again, mail goes through, and all of it at once. */
static void a_server_that_is_well_again(void **state)
{
    uint64_t ids[300], later[20];
    struct server *s;

    (void)state;
    open_world("");
    s = world_server(bad, "");
    world_rule(s, "GREETING", "", "CLOSE", 9999);
    send_many("a.test", ids, 300);
    for (int i = 0; i < 300; i++) {
        world_send("a.test", "r@x.test");
        world_run();
        world_pass(SECOND);
    }
    memset(s->rules, 0, sizeof s->rules);
    world_pass(REST_SECONDS_MAX * SECOND);
    for (int i = 0; i < 20; i++)
        later[i] = world_send("a.test", "r@x.test");
    world_run();
    assert_int_equal(relayed(later, 20), 20);
    world_close();
}

/* Twice wrong, then right: nothing is put off. */
static void two_failures_are_no_reason(void **state)
{
    struct server *s;
    uint64_t ids[30];

    (void)state;
    open_world("relay { idle_time = 0 }\n");
    s = world_server(bad, "");
    for (int round = 0; round < 10; round++) {
        world_rule(s, "GREETING", "", "CLOSE", REST_FAILURES - 1);
        send_many("a.test", ids, REST_FAILURES);
        assert_int_equal(relayed(ids, REST_FAILURES), 1);
        memset(s->rules, 0, sizeof s->rules);
    }
    world_close();
}

/* The first server of two only hangs up: its mail goes to the second, all of it, and the pair never rests. */
static void another_server_of_the_same_domain(void **state)
{
    uint64_t ids[100];

    (void)state;
    open_world("relay { idle_time = 0 }\n");
    world_rule(world_server(bad, ""), "GREETING", "", "CLOSE", 9999);
    world_server(other, "");
    send_many("both.test", ids, 100);
    assert_int_equal(relayed(ids, 100), 100);
    world_close();
}

/* A server that refuses mail is well: it gives its verdict. */
static void refusals_of_mail_are_no_failures(void **state)
{
    struct server *s;
    uint64_t ids[60];

    (void)state;
    open_world("relay { idle_time = 0 }\n");
    s = world_server(bad, "");
    world_rule(s, "RCPT", "", "450 4.2.0 later", 50);
    send_many("a.test", ids, 60);
    assert_int_equal(relayed(ids, 60), 10);
    world_close();
}

/* A login that is refused is not tried with every message, and keeps nobody from another way to the same server. */
static void ways_rest_by_themselves(void **state)
{
    struct msg_deliver_remote with, without;
    struct server *s;
    uint64_t ids[50], refused[50];

    (void)state;
    open_world("");
    s = world_server(bad, "STARTTLS|AUTH PLAIN");
    world_rule(s, "AUTH", "", "535 5.7.8 no", 9999);
    for (int i = 0; i < 50; i++) {
        with = world_message("a.test");
        with.credential = 7;
        refused[i] = world_deliver(&with, "r@x.test");
        world_run();
        world_pass(SECOND / 10);
        without = world_message("a.test");
        ids[i] = world_deliver(&without, "r@x.test");
        world_run();
        world_pass(SECOND / 10);
    }
    assert_int_equal(relayed(ids, 50), 50);
    assert_non_null(strstr(world_result(refused[0], 0)->text, "5.7.8 no"));
    assert_non_null(strstr(world_result(refused[49], 0)->text, "not tried for "));
    assert_in_range(s->connections, REST_FAILURES + 1, 9);
    world_close();
}

/* ---- the list by itself ---- */

static const struct client_outcome lost = {DELIVERY_DEFERRED, REASON_NETWORK, 451, false, false, {"lost", 4}};

static int64_t fail_at(struct rests *rests, const struct way *way, uint64_t sender, bool offered, int64_t began, int64_t now)
{
    const struct rest_failure failure = {began, false, offered, &lost};
    int64_t own, all = rests_failed(rests, (struct rest_key){way, sender}, &failure, now, &own);

    return offered && sender == 1 ? own : all;
}

static void longer_each_time_up_to_a_minute(void **state)
{
    static const int64_t seconds[] = {0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60};
    const struct way way = {.route = ROUTE_MX, .pool = STR("p")};
    const struct rest_key one = {&way, 1}, two = {&way, 2};
    struct rest_outcome outcome;
    struct rests rests;
    int64_t now = SECOND;

    (void)state;
    for (int offered = 0; offered < 2; offered++) {
        rests_init(&rests);
        for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
            assert_false(rests_now(&rests, one, now, &outcome));
            assert_int_equal(fail_at(&rests, &way, 1, offered, now, now + 5), seconds[i]);
            assert_int_equal(fail_at(&rests, &way, 1, offered, now, now + 5), 0); /* it ran beside the first */
            now += 5 + seconds[i] * SECOND;
            if (seconds[i] == 0)
                continue;
            assert_true(rests_now(&rests, one, now - 1, &outcome));
            assert_int_equal(rests_now(&rests, two, now - 1, &outcome), !offered);
            assert_int_equal(rests_trial(&rests, one), offered ? TRIAL_OF_SENDER : TRIAL_OF_ALL);
            assert_int_equal(rests_trial(&rests, two), offered ? TRIAL_NONE : TRIAL_OF_ALL);
        }
        rests_worked(&rests, one);
        assert_int_equal(rests.count, 0);
        assert_int_equal(fail_at(&rests, &way, 1, offered, now, now), 0);
        rests_clear(&rests);
    }
}

/* What may be the fault of messages puts everybody off only after three senders, and for a second. */
static void the_mail_of_three_senders(void **state)
{
    static const int64_t seconds[] = {0, 0, 1, 1, 1, 1, 1, 1};
    const struct way way = {.route = ROUTE_MX};
    const struct rest_key nobody = {&way, 99};
    struct rest_outcome outcome;
    struct rests rests;
    int64_t now = SECOND;

    (void)state;
    rests_init(&rests);
    for (uint64_t i = 0; i < 8; i++, now += 5 * SECOND) {
        assert_int_equal(fail_at(&rests, &way, 10 + i % 3, true, now, now), seconds[i]);
        assert_int_equal(fail_at(&rests, &way, 10 + i % 3, true, now, now), 0); /* the same again */
        assert_int_equal(rests_now(&rests, nobody, now, &outcome), seconds[i] > 0);
    }
    now -= 5 * SECOND;
    rests_worked(&rests, nobody); /* the last one, failed again and again, rests on; nobody else does */
    assert_false(rests_now(&rests, nobody, now, &outcome));
    assert_true(rests_now(&rests, (struct rest_key){&way, 10 + 7 % 3}, now, &outcome));
    rests_clear(&rests);
}

static void many_ways_take_little_room(void **state)
{
    struct rests rests;
    char name[16];

    (void)state;
    rests_init(&rests);
    for (int i = 0; i < 1000; i++) {
        struct way way = {.route = ROUTE_MX, .pool = {name, (size_t)snprintf(name, sizeof name, "pool%d", i / 2)}};

        fail_at(&rests, &way, 1, i % 2, i, i);
        assert_in_range(rests.count, 1, RESTS_MAX);
    }
    rests_clear(&rests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_that_hang_up),
        cmocka_unit_test(servers_that_talk_nonsense),
        cmocka_unit_test(servers_that_let_nobody_in),
        cmocka_unit_test(servers_that_refuse_connections),
        cmocka_unit_test(a_burst_is_few_connections),
        cmocka_unit_test(a_server_that_is_well_again),
        cmocka_unit_test(two_failures_are_no_reason),
        cmocka_unit_test(another_server_of_the_same_domain),
        cmocka_unit_test(refusals_of_mail_are_no_failures),
        cmocka_unit_test(ways_rest_by_themselves),
        cmocka_unit_test(longer_each_time_up_to_a_minute),
        cmocka_unit_test(the_mail_of_three_senders),
        cmocka_unit_test(many_ways_take_little_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
