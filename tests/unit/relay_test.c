/* The relay as queue sees it: which server gets what, and what is reported. */
#include "relay_cases.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

static void the_first_server_gets_it(void **state)
{
    struct server *a, *b;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    b = world_server("192.0.2.2", OFFERS);
    id = world_send("x.test", "r@x.test q@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "2.0.0 taken");
    expect(id, 1, DELIVERY_RELAYED, "2.0.0 taken");
    assert_string_equal(world_result(id, 0)->host, "mx1.test");
    assert_string_equal(world_result(id, 0)->tls, "TLSv1.3");
    assert_int_equal(world.done_n, 1);
    assert_int_equal(a->messages, 1);
    assert_int_equal(b->connections, 0);
    assert_string_equal(a->last_hello, "me.test");
    assert_string_equal(a->last_rcpts, "<r@x.test> <q@x.test> ");
    assert_true(str_eq(buf_str(&a->last_content), STR("A: b\r\n\r\nx.\r\n")));
    world_close();
}

struct trouble {
    const char *verb, *says;
};

static void the_next_server_after_trouble(void **state)
{
    static const struct trouble cases[] = {{"GREETING", "421 later"}, {"GREETING", "554 no"}, {"GREETING", "CLOSE"},
        {"GREETING", "nonsense"}, {"EHLO", "421 later"}, {"EHLO", "CLOSE"}, {"MAIL", "451 later"}, {"MAIL", "CLOSE"},
        {"RCPT", "450 greylisted"}, {"RCPT", "421 bye"}, {"DATA", "451 later"}, {"DATA", "CLOSE"}, {"END", "452 disk"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server *a, *b;
        uint64_t id;

        open_world("");
        a = world_server("192.0.2.1", OFFERS);
        b = world_server("192.0.2.2", OFFERS);
        world_rule(a, cases[i].verb, "", cases[i].says, 9);
        id = world_send("x.test", "r@x.test");
        world_run();
        expect(id, 0, DELIVERY_RELAYED, "taken");
        assert_string_equal(world_result(id, 0)->host, "mx2.test");
        assert_int_equal(b->messages, 1);
        assert_int_equal(world.done_n, 1);
        world_close();
    }
}

static void a_hanging_server_is_left(void **state)
{
    static const char *const verbs[] = {"GREETING", "EHLO", "MAIL", "RCPT", "DATA"};

    (void)state;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        struct server *a;
        uint64_t id;

        open_world("");
        a = world_server("192.0.2.1", "");
        world_server("192.0.2.2", "");
        world_rule(a, verbs[i], "", "HANG", 9);
        id = world_send("x.test", "r@x.test");
        world_run();
        assert_false(world_has_result(id, 0));
        world_time_out();
        expect(id, 0, DELIVERY_RELAYED, "taken");
        world_close();
    }
}

static void no_second_try_when_the_end_was_sent(void **state)
{
    static const char *const says[] = {"CLOSE", "HANG", "what"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct server *a, *b;
        uint64_t id;

        open_world("");
        a = world_server("192.0.2.1", OFFERS);
        b = world_server("192.0.2.2", OFFERS);
        world_rule(a, "END", "", says[i], 1);
        id = world_send("x.test", "r@x.test");
        world_run();
        if (i == 1)
            world_time_out();
        expect(id, 0, DELIVERY_DEFERRED, "4.4.2 no answer after the end of the message");
        assert_int_equal(b->connections, 0);
        world_close();
    }
}

static void everybody_has_his_own_result(void **state)
{
    struct server *a, *b;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    b = world_server("192.0.2.2", OFFERS);
    world_rule(a, "RCPT", "gone@", "550 5.1.1 nobody", 9);
    world_rule(a, "RCPT", "later@", "450 4.2.0 later", 9);
    world_rule(b, "RCPT", "later@", "450 4.2.1 still later", 9);
    id = world_send("x.test", "good@x.test gone@x.test later@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    expect(id, 1, DELIVERY_FAILED, "5.1.1 nobody");
    expect(id, 2, DELIVERY_DEFERRED, "4.2.1 still later");
    assert_int_equal(a->messages, 1);
    assert_int_equal(b->messages, 0);
    assert_int_equal(world.done_n, 1);
    world_close();
}

static void nobody_answers(void **state)
{
    struct server *a;
    uint64_t id, other;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    a->refuses = true;
    id = world_send("x.test", "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.4.1 connecting to mx2.test [192.0.2.2]:25: Connection refused");
    assert_int_equal(world_result(id, 0)->reason, REASON_NETWORK);
    assert_string_equal(world_result(id, 0)->host, "");
    /* a server's word about the recipient is worth more than why the next one could not be reached */
    a->refuses = false;
    world_rule(a, "RCPT", "", "450 4.2.2 full", 1);
    other = world_send("x.test", "r@x.test");
    world_run();
    expect(other, 0, DELIVERY_DEFERRED, "4.2.2 full");
    world_close();
}

static void a_site_that_is_down_fails_all_who_wait(void **state)
{
    struct server *a, *b;
    uint64_t ids[20];

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    b = world_server("192.0.2.2", OFFERS);
    a->silent = b->silent = true;
    for (int i = 0; i < 20; i++)
        ids[i] = world_send("x.test", "r@x.test");
    world_run();
    world_time_out(); /* the first address of each */
    world_time_out();
    for (int i = 0; i < 20; i++)
        expect(ids[i], 0, DELIVERY_DEFERRED, "4.4.1");
    /* the next one finds it up again: one at a time first */
    a->silent = false;
    ids[0] = world_send("x.test", "r@x.test");
    world_pass(40 * SECOND);
    expect(ids[0], 0, DELIVERY_RELAYED, "taken");
    world_close();
}

static void look_ups_that_fail(void **state)
{
    uint64_t id;

    (void)state;
    open_world("");
    snprintf(world.zone, sizeof world.zone, "broken.test FAIL\nnull.test MX 0 .\nme.test A 192.0.2.9\nloop.test MX 1 me.test\n"
                                            "quiet.test SILENT\nempty.test TXT x\n");
    id = world_send("nowhere.test", "r@x");
    world_run();
    expect(id, 0, DELIVERY_FAILED, "5.1.2 the domain nowhere.test does not exist");
    id = world_send("broken.test", "r@x");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.4.3 MX look-up of broken.test failed");
    id = world_send("null.test", "r@x");
    world_run();
    expect(id, 0, DELIVERY_FAILED, "5.1.10");
    assert_int_equal(world_result(id, 0)->code, 556);
    id = world_send("loop.test", "r@x");
    world_run();
    expect(id, 0, DELIVERY_FAILED, "5.4.6");
    id = world_send("empty.test", "r@x");
    world_run();
    expect(id, 0, DELIVERY_FAILED, "5.1.2");
    id = world_send("not a domain", "r@x");
    world_run();
    expect(id, 0, DELIVERY_FAILED, "5.1.2");
    id = world_send("quiet.test", "r@x");
    world_pass(59 * SECOND);
    assert_false(world_has_result(id, 0));
    world_pass(2 * SECOND);
    expect(id, 0, DELIVERY_DEFERRED, "4.4.3 the look-up of quiet.test took too long");
    world_close();
}

static void one_look_up_for_many(void **state)
{
    (void)state;
    open_world("");
    world_server("192.0.2.1", OFFERS);
    for (int i = 0; i < 10; i++)
        world_send("x.test", "r@x.test");
    world_run();
    assert_int_equal(world.lookups, 6); /* MX, A and AAAA of two servers, TXT of the MTA-STS record */
    assert_int_equal(world.done_n, 10);
    world_pass(30 * SECOND);
    world_send("x.test", "r@x.test");
    world_run();
    assert_int_equal(world.lookups, 6);
    world_pass(61 * SECOND); /* the TTL is over */
    world_send("x.test", "r@x.test");
    world_run();
    assert_int_equal(world.lookups, 12);
    world_close();
}

static void resolver_comes_back(void **state)
{
    uint64_t id;

    (void)state;
    open_world("");
    world_server("192.0.2.1", OFFERS);
    world.resolver_down = true;
    id = world_send("x.test", "r@x.test");
    world_run();
    assert_int_equal(world.lookups, 0);
    world.resolver_down = false;
    relay_peer_up(NULL, role_peer(NULL, ROLE_RESOLVER, 0));
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    world_close();
}

static void broken_tls(void **state)
{
    struct msg_deliver_remote m;
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    a->broken_tls = true;
    id = world_send("x.test", "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_string_equal(world_result(id, 0)->host, "mx1.test");
    assert_string_equal(world_result(id, 0)->tls, "");
    assert_int_equal(a->connections, 2);
    m = world_message("x.test");
    m.tls = TLS_REQUIRED;
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.");
    assert_int_equal(a->messages, 1);
    world_close();
}

static void certificates(void **state)
{
    struct msg_deliver_remote m;
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS "|REQUIRETLS");
    a->bad_certificate = true;
    m = world_message("x.test");
    m.tls = TLS_VERIFIED;
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.4.1 connecting to mx2.test"); /* the last one tried */
    assert_int_equal(a->messages, 0);
    m.tls = TLS_REQUIRED;
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    world_close();
}

static void requiretls(void **state)
{
    struct msg_deliver_remote m;
    struct server *a, *b;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    b = world_server("192.0.2.2", OFFERS "|REQUIRETLS");
    m = world_message("x.test");
    m.flags = TXN_REQUIRETLS;
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_FAILED, "5.7.10 Encryption needed: REQUIRETLS, and the MX records are not signed");
    world_close();
    open_world("");
    world.secure_zone = true;
    a = world_server("192.0.2.1", OFFERS);
    b = world_server("192.0.2.2", OFFERS "|REQUIRETLS");
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken"); /* by the one that can */
    assert_int_equal(a->messages, 0);
    assert_string_equal(b->last_mail, "MAIL FROM:<s@me.test> REQUIRETLS");
    snprintf(b->offers, sizeof b->offers, "STARTTLS");
    world_pass(200 * SECOND);
    world_time_out();
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_FAILED, "5.7.30 REQUIRETLS support required");
    world_close();
}

static void smart_host(void **state)
{
    struct msg_deliver_remote m;
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.9", "STARTTLS|AUTH PLAIN");
    m = world_message("x.test");
    m.route = ROUTE_SMTP;
    m.hosts = m.destination = STR("192.0.2.8:587 192.0.2.9:587");
    m.tls = TLS_REQUIRED;
    m.credential = 5;
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_string_equal(a->last_login, "AUTH PLAIN AHUAcA==");
    assert_int_equal(a->secure_messages, 1);
    assert_int_equal(world.lookups, 0);
    world_rule(a, "AUTH", "", "535 5.7.8 wrong", 1);
    world_time_out();
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "5.7.8 wrong");
    world.no_secret = true;
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.3.5 the login for the smart host is not stored");
    world.directory_down = true;
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.3.0 the login for the smart host cannot be read now");
    world_close();
}

static void both_families(void **state)
{
    struct server *six, *four;
    uint64_t id;

    (void)state;
    open_world("");
    six = world_server("2001:db8::3", OFFERS);
    four = world_server("192.0.2.3", OFFERS);
    id = world_send("z.test", "r@z.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_int_equal(six->messages, 1);
    world_time_out();
    six->refuses = true;
    id = world_send("z.test", "r@z.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_int_equal(four->messages, 1);
    world_close();
    open_world("relay { ipv6 = false }\n");
    four = world_server("192.0.2.3", OFFERS);
    world_send("z.test", "r@z.test");
    world_run();
    assert_int_equal(four->messages, 1);
    world_close();
}

static void a_slow_address_gets_company(void **state)
{
    struct server *six, *four;
    uint64_t id;

    (void)state;
    open_world("");
    six = world_server("2001:db8::3", OFFERS);
    four = world_server("192.0.2.3", OFFERS);
    six->silent = true;
    id = world_send("z.test", "r@z.test");
    world_run();
    assert_int_equal(four->connections, 0);
    event_base_loop(world.base, EVLOOP_ONCE); /* the head start ends */
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_int_equal(four->messages, 1);
    world_close();
}

static void source_addresses(void **state)
{
    struct msg_deliver_remote m;
    struct server *a;
    uint64_t id;

    (void)state;
    world_open("relay { idle_time = 0s }\n");
    snprintf(world.zone, sizeof world.zone, "%s", ZONE);
    snprintf(world.pools, sizeof world.pools, "m 198.51.100.1 1 a.me.test\nm 198.51.100.2 1 b.me.test\n");
    a = world_server("192.0.2.1", OFFERS);
    m = world_message("x.test");
    m.pool = STR("m");
    for (int i = 0; i < 2; i++) {
        id = world_deliver(&m, "r@x.test");
        world_run();
        assert_string_equal(world_result(id, 0)->source, a->last_source);
        assert_string_equal(a->last_hello, strcmp(a->last_source, "198.51.100.1") == 0 ? "a.me.test" : "b.me.test");
    }
    snprintf(world.bad_source, sizeof world.bad_source, "198.51.100.1");
    for (int i = 0; i < 4; i++) {
        id = world_deliver(&m, "r@x.test");
        world_run();
        expect(id, 0, DELIVERY_RELAYED, "taken");
        assert_string_equal(a->last_hello, "b.me.test");
    }
    m.pool = STR("unknown");
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.3.5 the source address pool \"unknown\" does not exist");
    m.pool = (struct str){0};
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_string_equal(a->last_hello, "me.test");
    world_close();
}

static void nothing_starts_before_the_pools_are_known(void **state)
{
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    world.relay.pools.known = false;
    a = world_server("192.0.2.1", OFFERS);
    id = world_send("x.test", "r@x.test");
    relay_turn(NULL);
    assert_int_equal(a->connections, 0);
    world_run(); /* the answer comes */
    expect(id, 0, DELIVERY_RELAYED, "taken");
    world.relay.pools.known = false;
    id = world_send("x.test", "r@x.test");
    world_pass(40 * SECOND);
    expect(id, 0, DELIVERY_DEFERRED, "4.3.0 the source addresses are not known yet");
    world_close();
}

static void big_messages(void **state)
{
    static char content[20002];
    struct msg_deliver_remote m;
    struct server *a, *b;
    uint64_t id;

    (void)state;
    memset(content, 'x', 20000);
    for (size_t i = 70; i < 20000; i += 72)
        content[i] = '\r', content[i + 1] = '\n';
    memcpy(content + 20000, "\r\n", 2);
    open_world("");
    a = world_server("192.0.2.1", OFFERS "|8BITMIME");
    b = world_server("192.0.2.2", OFFERS "|8BITMIME");
    world.big = (struct str){content, sizeof content};
    m = world_message("x.test");
    m.body = (struct str){0};
    m.size = sizeof content;
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_true(str_eq(buf_str(&a->last_content), world.big));
    /* queue cannot read it to its end: nothing may look like a whole message */
    world.big_ends = 5000;
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.3.0 the stored message could not be read to its end");
    assert_int_equal(a->messages, 1);
    assert_int_equal(b->messages, 0);
    /* eight bits and a server that cannot: found by looking through it first */
    world.big_ends = 0;
    content[15000] = (char)0xc3;
    snprintf(a->offers, sizeof a->offers, "PIPELINING");
    world_time_out();
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_FAILED, "5.6.3");
    content[15000] = 'y';
    id = world_deliver(&m, "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    world_close();
}

static void draining(void **state)
{
    struct server *a;
    uint64_t id;

    (void)state;
    open_world("");
    a = world_server("192.0.2.1", OFFERS);
    a->hold = true;
    id = world_send("x.test", "r@x.test");
    for (int i = 0; i < 9; i++)
        world_send("x.test", "r@x.test");
    world_run();
    relay_drain(NULL, 10 * SECOND);
    assert_false(world.exited);
    for (int i = 0; i < 5; i++)
        world_release(a);
    assert_true(world.exited);
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_int_equal(world.done_n, 5); /* what had not begun is left to queue */
    world_close();
}

static void strangers(void **state)
{
    struct channel *queue = role_peer(NULL, ROLE_QUEUE, 0);

    (void)state;
    open_world("");
    relay_handlers.deliver_go(NULL, queue, &(struct msg_deliver_go){77});
    relay_handlers.deliver_rcpt(NULL, queue, &(struct msg_deliver_rcpt){.id = 77});
    relay_handlers.body_chunk(NULL, queue, &(struct msg_body_chunk){77, 0, STR("x")});
    relay_handlers.secret_reply(NULL, queue, &(struct msg_secret_reply){.id = 77});
    relay_handlers.dns_reply(NULL, queue, &(struct msg_dns_reply){.id = 77});
    world_send("x.test", ""); /* nobody */
    world_run();
    assert_int_equal(world.done_n, 1);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_server_gets_it),
        cmocka_unit_test(the_next_server_after_trouble),
        cmocka_unit_test(a_hanging_server_is_left),
        cmocka_unit_test(no_second_try_when_the_end_was_sent),
        cmocka_unit_test(everybody_has_his_own_result),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(a_site_that_is_down_fails_all_who_wait),
        cmocka_unit_test(look_ups_that_fail),
        cmocka_unit_test(one_look_up_for_many),
        cmocka_unit_test(resolver_comes_back),
        cmocka_unit_test(broken_tls),
        cmocka_unit_test(certificates),
        cmocka_unit_test(requiretls),
        cmocka_unit_test(smart_host),
        cmocka_unit_test(both_families),
        cmocka_unit_test(a_slow_address_gets_company),
        cmocka_unit_test(source_addresses),
        cmocka_unit_test(nothing_starts_before_the_pools_are_known),
        cmocka_unit_test(big_messages),
        cmocka_unit_test(draining),
        cmocka_unit_test(strangers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
