/* Messages at which the server itself hangs up, sent by one user or by many: what they may do to the mail of others for
 * the same servers, and what the failure of one way, or of one connection, may do to the others. */
#include "relay_world.h"

#include <stdio.h>
#include <string.h>

#include "roles/relay/rest.h"

static const char big[] = "192.0.2.1";

/* The servers of big.test hang up when they hear of a sender whose address has "poison" in it. */
static struct server *open_world(const char *verb)
{
    struct server *s;

    world_open("relay { idle_time = 0 }\n");
    snprintf(world.zone, sizeof world.zone, "big.test MX 10 a.host\na.host A %s\n", big);
    s = world_server(big, "");
    world_rule(s, verb, verb[0] == 'E' || verb[0] == 'M' ? "poison" : "", "CLOSE", 99999);
    return s;
}

static uint64_t send_from(const char *sender)
{
    struct msg_deliver_remote m = world_message("big.test");

    m.sender = str_of(sender);
    return world_deliver(&m, "r@x.test");
}

static bool is_relayed(uint64_t id)
{
    return world_has_result(id, 0) && world_result(id, 0)->status == DELIVERY_RELAYED;
}

static bool was_put_off(uint64_t id)
{
    return strstr(world_result(id, 0)->text, "not tried for ") != NULL;
}

/* One user sends them all day, ten a second; the others a message every ten seconds. */
static void one_sender(const char *verb)
{
    struct server *s = open_world(verb);
    unsigned spared = 0;

    for (int i = 0; i < 600; i++) {
        uint64_t id = send_from("poison@me.test");

        world_run();
        spared += was_put_off(id);
        if (i % 100 == 99) {
            id = send_from("alice@me.test");
            world_run();
            assert_true(is_relayed(id));
        }
        world_pass(SECOND / 10);
    }
    assert_in_range(s->connections, 6 + REST_FAILURES, 6 + 10);
    assert_true(spared > 580);
    world_close();
}

static void a_sender_of_poison_rests_alone(void **state)
{
    (void)state;
    one_sender("MAIL");
    one_sender("END");
}

/* A burst of them is in line before the mail of others. */
static void those_behind_a_burst(void **state)
{
    uint64_t others[20];

    (void)state;
    open_world("MAIL");
    for (int i = 0; i < 100; i++)
        send_from("poison@me.test");
    for (int i = 0; i < 20; i++)
        others[i] = send_from(i % 2 ? "alice@me.test" : "bob@me.test");
    world_run();
    for (int i = 0; i < 20; i++)
        assert_true(is_relayed(others[i]));
    world_close();
}

/* Whole seconds that somebody was put off for, at most. */
static unsigned longest_rest(void)
{
    unsigned longest = 0, n;

    for (size_t i = 0; i < world.result_n; i++) {
        const char *seconds = strstr(world.results[i].text, "not tried for ");

        if (seconds != NULL && strstr(world.results[i].text, "of this sender") == NULL &&
            sscanf(seconds, "not tried for %u s", &n) == 1 && n > longest)
            longest = n;
    }
    return longest;
}

/* A thousand messages an hour, what an account may send, each of another sender, to servers that hardly anybody else
 * writes to, and that never took anything. Most of the others' mail is tried all the same. */
static void many_senders(void **state)
{
    char sender[40];
    unsigned mails = 0;

    (void)state;
    open_world("MAIL");
    for (int i = 0; i < 40; i++) {
        uint64_t id;

        for (int j = 1; j < 17; j++) { /* 3.6 s apart: a minute */
            snprintf(sender, sizeof sender, "poison%d@me.test", i * 16 + j);
            send_from(sender);
            world_pass(18 * SECOND / 5);
        }
        snprintf(sender, sizeof sender, "poison%d@me.test", i * 16);
        send_from(sender);
        world_pass(i % 10 * 18 * SECOND / 50);
        id = send_from("alice@me.test");
        world_run();
        mails += is_relayed(id);
    }
    assert_in_range(mails, 24, 40);
    assert_int_equal(longest_rest(), 1);
    world_close();
}

/* A way that hangs has its one connection; another way to the same servers has its own. */
static void a_way_that_hangs_beside_one_that_works(void **state)
{
    struct msg_deliver_remote m;
    struct server *s;

    (void)state;
    world_open("");
    snprintf(world.zone, sizeof world.zone, "big.test MX 10 a.host\na.host A %s\n", big);
    s = world_server(big, "STARTTLS|AUTH PLAIN");
    world_rule(s, "AUTH", "", "535 5.7.8 no", REST_FAILURES);
    world_rule(s, "AUTH", "", "HANG", 9999);
    for (unsigned i = 0; i < REST_FAILURES + 5; i++) {
        m = world_message("big.test");
        m.credential = 7;
        world_deliver(&m, "r@x.test");
        world_run();
        if (i == REST_FAILURES)
            world_pass(REST_SECONDS_MAX * SECOND);
    }
    assert_int_equal(s->open, 1); /* it hangs, alone */
    send_from("alice@me.test");
    world_run();
    assert_int_equal(s->messages, 1);
    world_time_out();
    world_close();
}

/* A server that takes a long message and wants no second connection meanwhile: what waits goes through the first. */
static void one_connection_only(bool refuses)
{
    uint64_t first, ids[20];
    struct server *s;
    unsigned taken = 0;

    world_open("");
    snprintf(world.zone, sizeof world.zone, "big.test MX 10 a.host\na.host A %s\n", big);
    s = world_server(big, "");
    s->hold = true;
    first = send_from("alice@me.test");
    world_run();
    s->refuses = refuses;
    world_rule(s, "GREETING", "", "421 4.7.0 too many connections", 9999);
    for (int i = 0; i < 20; i++) {
        ids[i] = send_from("bob@me.test");
        world_run();
        world_pass(SECOND / 2);
    }
    s->hold = false;
    world_release(s);
    assert_true(is_relayed(first));
    for (int i = 0; i < 20; i++)
        taken += is_relayed(ids[i]);
    assert_int_equal(taken, 20);
    assert_in_range(s->connections, 1, 12); /* one at a time, a second apart */
    world_close();
}

static void a_server_that_wants_one_connection(void **state)
{
    (void)state;
    one_connection_only(false);
    one_connection_only(true);
}

/* An LMTP server that stores for one of two and breaks before the other's reply gives verdicts: nobody rests. */
static void verdicts_for_some(void **state)
{
    struct msg_deliver_remote m;
    struct server *s;
    uint64_t id = 0;

    (void)state;
    world_open("");
    s = world_server("192.0.2.9", "");
    world_rule(s, "RCPT", "bad", "550 5.1.1 no", 9999);
    world_rule(s, "DATA", "", "CLOSE", 9999);
    for (int i = 0; i < 10; i++) {
        m = world_message("big.test");
        m.route = ROUTE_LMTP;
        m.hosts = m.destination = STR("192.0.2.9:24");
        id = world_deliver(&m, "bad@x.test r@x.test");
        world_run();
        assert_int_equal(world_result(id, 0)->status, DELIVERY_FAILED);
        assert_null(strstr(world_result(id, 1)->text, "not tried"));
    }
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_of_poison_rests_alone),
        cmocka_unit_test(those_behind_a_burst),
        cmocka_unit_test(many_senders),
        cmocka_unit_test(a_way_that_hangs_beside_one_that_works),
        cmocka_unit_test(a_server_that_wants_one_connection),
        cmocka_unit_test(verdicts_for_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
