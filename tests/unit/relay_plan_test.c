/* Where mail goes: plans from DNS answers, their order, dead hosts, source pools. */
#include "base/clock.h"
#include "roles/relay/hosts.h"
#include "roles/relay/plan.h"
#include "roles/relay/pools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct buf records;

static struct str mx_records(const char *const *hosts)
{
    struct buf one;

    buf_init(&one, 300);
    buf_reset(&records);
    for (; hosts[0] != NULL; hosts += 2) {
        buf_reset(&one);
        buf_add_char(&one, 0);
        buf_add_char(&one, hosts[0][0]);
        assert_true(dns_write_name(&one, str_of(hosts[1])));
        dns_add_record(&records, buf_str(&one));
    }
    buf_clear(&one);
    return buf_str(&records);
}

#define MX(...) mx_records((const char *const[]){__VA_ARGS__, NULL})

static struct plan *plan_of(uint64_t status, struct str answer)
{
    struct plan *plan = plan_new();

    plan_take_mx(plan, STR("x.test"), 25, &(struct msg_dns_reply){.status = status, .records = answer, .text = STR("words")});
    return plan;
}

/* "192.0.2.1" or "::1" for target i. */
static void add_address(struct plan *plan, size_t i, const char *text)
{
    struct ip ip;

    assert_true(ip_parse(str_of(text), &ip));
    buf_reset(&records);
    dns_add_record(&records, (struct str){(const char *)ip.bytes, ip.family == 4 ? 4 : 16});
    plan_take_addresses(&plan->targets[i], ip.family == 4 ? DNS_A : DNS_AAAA,
        &(struct msg_dns_reply){.status = DNS_OK, .records = buf_str(&records)});
}

static bool is_us(const void *world, const struct ip *ip, uint16_t port)
{
    (void)world;
    return ip->family == 4 && ip->bytes[0] == 10 && port == 25;
}

static const struct plan_self self = {{"me.test", 7}, is_us, NULL};

static void finish(struct plan *plan)
{
    plan_finish(plan, STR("x.test"), &self);
}

static void by_preference(void **state)
{
    struct plan *plan = plan_of(DNS_OK, MX("\36", "c.test", "\12", "a.test", "\24", "b.test", "\62", "a.test"));

    (void)state;
    assert_int_equal(plan->n, 3);
    assert_string_equal(plan->targets[0].host, "a.test");
    assert_string_equal(plan->targets[1].host, "b.test");
    assert_string_equal(plan->targets[2].host, "c.test");
    plan_drop(plan);
}

static void verdicts(void **state)
{
    static const struct {
        uint64_t status;
        unsigned code;
        const char *text;
    } cases[] = {
        {DNS_NXDOMAIN, 550, "5.1.2 the domain x.test does not exist"},
        {DNS_SERVFAIL, 451, "4.4.3 MX look-up of x.test failed: words"},
        {DNS_TIMEOUT, 451, "4.4.3 MX look-up of x.test failed: words"},
        {DNS_BOGUS, 451, "4.4.3 MX look-up of x.test failed: words"},
        {99, 451, "4.4.3 MX look-up of x.test failed: words"},
    };
    struct plan *plan;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        plan = plan_of(cases[i].status, (struct str){0});
        finish(plan);
        assert_int_equal(plan->verdict.code, cases[i].code);
        assert_string_equal(plan->verdict.text, cases[i].text);
        plan_drop(plan);
    }
    plan = plan_of(DNS_OK, MX("\1", ""));
    assert_int_equal(plan->verdict.code, 556);
    assert_string_equal(plan->verdict.text, "5.1.10 x.test accepts no mail (null MX)");
    plan_drop(plan);
    plan = plan_of(DNS_OK, MX("\1", "", "\2", "a.test")); /* not a null MX: it stands not alone */
    assert_int_equal(plan->verdict.code, 0);
    assert_int_equal(plan->n, 1);
    plan_drop(plan);
    plan = plan_of(DNS_OK, STR("\0\2\0\1")); /* nothing that parses */
    assert_int_equal(plan->verdict.code, 550);
    plan_drop(plan);
}

static void the_domain_itself(void **state)
{
    struct plan *plan = plan_of(DNS_NODATA, (struct str){0});

    (void)state;
    assert_string_equal(plan->targets[0].host, "x.test");
    add_address(plan, 0, "192.0.2.1");
    finish(plan);
    assert_int_equal(plan->verdict.code, 0);
    plan_drop(plan);
    plan = plan_of(DNS_NODATA, (struct str){0});
    finish(plan);
    assert_string_equal(plan->verdict.text, "5.1.2 the domain x.test has no mail server");
    plan_drop(plan);
}

static void addresses(void **state)
{
    struct plan *plan = plan_of(DNS_OK, MX("\1", "a.test", "\2", "b.test"));

    (void)state;
    add_address(plan, 1, "192.0.2.1");
    finish(plan);
    assert_int_equal(plan->n, 1);
    assert_string_equal(plan->targets[0].host, "b.test");
    assert_string_equal(plan->signature, "b.test:25 ");
    plan_drop(plan);
    plan = plan_of(DNS_OK, MX("\1", "a.test"));
    plan_take_addresses(&plan->targets[0], DNS_A, &(struct msg_dns_reply){.status = DNS_NXDOMAIN});
    finish(plan);
    assert_string_equal(plan->verdict.text, "4.4.4 the mail servers of x.test have no address");
    plan_drop(plan);
    plan = plan_of(DNS_OK, MX("\1", "a.test"));
    plan_take_addresses(&plan->targets[0], DNS_A, &(struct msg_dns_reply){.status = DNS_TIMEOUT});
    finish(plan);
    assert_string_equal(plan->verdict.text, "4.4.3 the mail servers of x.test could not be looked up");
    plan_drop(plan);
}

static void loops(void **state)
{
    struct plan *plan = plan_of(DNS_OK, MX("\1", "me.test", "\2", "b.test"));

    (void)state;
    add_address(plan, 0, "192.0.2.1");
    add_address(plan, 1, "192.0.2.2");
    finish(plan);
    assert_int_equal(plan->verdict.code, 554);
    assert_string_equal(plan->verdict.text, "5.4.6 mail for x.test loops back to me");
    plan_drop(plan);
    /* the better ones stay; those of the same preference go */
    plan = plan_of(DNS_OK, MX("\1", "a.test", "\2", "b.test", "\2", "c.test", "\3", "d.test"));
    add_address(plan, 0, "192.0.2.1");
    add_address(plan, 1, "192.0.2.2");
    add_address(plan, 2, "10.0.0.1");
    add_address(plan, 3, "192.0.2.4");
    finish(plan);
    assert_int_equal(plan->verdict.code, 0);
    assert_int_equal(plan->n, 1);
    assert_string_equal(plan->targets[0].host, "a.test");
    plan_drop(plan);
}

static void hosts_of_a_route(void **state)
{
    struct plan *plan = plan_new();

    (void)state;
    plan_take_hosts(plan, STR("b.test:587 [::1]:26 192.0.2.1 a.test [IPv6:2001:db8::1] bad_port:0 b.test:99999 %%"), 25);
    assert_int_equal(plan->n, 5);
    assert_string_equal(plan->targets[0].host, "b.test");
    assert_int_equal(plan->targets[0].port, 587);
    assert_string_equal(plan->targets[1].host, "[IPv6:::1]");
    assert_int_equal(plan->targets[1].port, 26);
    assert_true(plan->targets[1].literal);
    assert_string_equal(plan->targets[2].host, "[192.0.2.1]");
    assert_int_equal(plan->targets[2].port, 25);
    assert_string_equal(plan->targets[3].host, "a.test");
    assert_string_equal(plan->targets[4].host, "[IPv6:2001:db8::1]");
    finish(plan);
    assert_int_equal(plan->n, 3); /* the names were not resolved */
    plan_drop(plan);
    plan = plan_new();
    plan_take_hosts(plan, STR("  "), 25);
    assert_int_equal(plan->verdict.code, 451);
    plan_drop(plan);
}

static uint64_t last_one(uint64_t limit)
{
    return limit - 1;
}

static uint64_t first_one(uint64_t limit)
{
    (void)limit;
    return 0;
}

static bool dead_port(void *world, const struct ip *ip, uint16_t port)
{
    (void)port;
    return world != NULL && ip_equal(ip, world);
}

static void order_of(const struct plan *plan, const uint8_t *tried, uint64_t (*random)(uint64_t), struct ip *dead, char *out)
{
    struct candidate list[PLAN_TARGETS * PLAN_ADDRESSES];
    size_t n = plan_order(plan, tried, random, dead_port, dead, list);
    char text[IP_TEXT];

    *out = '\0';
    for (size_t i = 0; i < n; i++) {
        ip_format(&plan->targets[list[i].target].addresses[list[i].address], text);
        out += snprintf(out, IP_TEXT + 1, "%s ", text);
    }
}

static void order(void **state)
{
    struct plan *plan = plan_of(DNS_OK, MX("\1", "a.test", "\2", "b.test", "\2", "c.test"));
    uint8_t tried[PLAN_TARGETS] = {0};
    char text[500];
    struct ip dead;

    (void)state;
    add_address(plan, 0, "192.0.2.1");
    add_address(plan, 0, "192.0.2.2");
    add_address(plan, 0, "2001:db8::1");
    add_address(plan, 1, "192.0.2.11");
    add_address(plan, 2, "192.0.2.12");
    finish(plan);
    order_of(plan, tried, last_one, NULL, text);
    assert_string_equal(text, "2001:db8::1 192.0.2.1 192.0.2.2 192.0.2.11 192.0.2.12 ");
    order_of(plan, tried, first_one, NULL, text);
    assert_string_equal(text, "2001:db8::1 192.0.2.1 192.0.2.2 192.0.2.12 192.0.2.11 ");
    assert_true(ip_parse(STR("192.0.2.1"), &dead));
    order_of(plan, tried, last_one, &dead, text);
    assert_string_equal(text, "2001:db8::1 192.0.2.2 192.0.2.11 192.0.2.12 192.0.2.1 ");
    tried[0] = 5; /* 192.0.2.1 and the IPv6 address */
    tried[1] = UINT8_MAX;
    order_of(plan, tried, last_one, NULL, text);
    assert_string_equal(text, "192.0.2.2 192.0.2.12 ");
    plan_drop(plan);
}

static void shared_servers_have_one_signature(void **state)
{
    struct plan *a = plan_of(DNS_OK, MX("\1", "a.test", "\2", "b.test"));
    struct plan *b = plan_of(DNS_OK, MX("\7", "b.test", "\11", "A.test"));

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        add_address(a, i, "192.0.2.1");
        add_address(b, i, "192.0.2.1");
    }
    finish(a);
    finish(b);
    assert_string_equal(a->signature, b->signature);
    plan_drop(a);
    plan_drop(b);
}

static void dead_hosts(void **state)
{
    struct hosts h;
    struct ip ip[3];

    (void)state;
    assert_true(ip_parse(STR("192.0.2.1"), &ip[0]));
    assert_true(ip_parse(STR("192.0.2.2"), &ip[1]));
    assert_true(ip_parse(STR("192.0.2.3"), &ip[2]));
    hosts_init(&h, 2);
    hosts_failed(&h, &ip[0], 25, 0);
    assert_true(hosts_is_dead(&h, &ip[0], 25, 29 * SECOND));
    assert_false(hosts_is_dead(&h, &ip[0], 25, 31 * SECOND));
    assert_false(hosts_is_dead(&h, &ip[0], 26, 0));
    hosts_failed(&h, &ip[0], 25, 40 * SECOND);
    assert_true(hosts_is_dead(&h, &ip[0], 25, 99 * SECOND));
    hosts_worked(&h, &ip[0], 25);
    assert_false(hosts_is_dead(&h, &ip[0], 25, 41 * SECOND));
    for (int i = 0; i < 100; i++)
        hosts_failed(&h, &ip[1], 25, 0);
    assert_false(hosts_is_dead(&h, &ip[1], 25, 601 * SECOND));
    hosts_failed(&h, &ip[0], 25, 0);
    hosts_failed(&h, &ip[2], 25, 0); /* no room: the oldest goes */
    assert_false(hosts_is_dead(&h, &ip[1], 25, 1));
    assert_true(hosts_is_dead(&h, &ip[0], 25, 1));
    assert_int_equal(h.map.count, 2);
    hosts_clear(&h);
}

static const char *pick(struct pools *p, const char *pool, uint8_t family, int64_t now)
{
    static char text[IP_TEXT];
    static const char *const results[] = {"any", "source", "no family", "all bad", "unknown"};
    struct source *source;
    enum pools_result result = pools_pick(p, str_of(pool), family, now, &source);

    if (result != POOLS_SOURCE)
        return results[result];
    ip_format(&source->ip, text);
    return text;
}

static void pools(void **state)
{
    struct source *source;
    struct pools p;
    int first = 0;

    (void)state;
    pools_init(&p);
    assert_string_equal(pick(&p, "", 4, 0), "any");
    assert_int_equal(pools_read(&p, STR("m 192.0.2.1 3 a.test\nm 192.0.2.2 1 b.test\nm 2001:db8::1 1 c.test\n"
                                        "m nonsense 1 d.test\nm 192.0.2.9\nn 192.0.2.7 0 e.test\n")), 2);
    assert_true(p.known);
    for (int i = 0; i < 8; i++)
        first += strcmp(pick(&p, "m", 4, 0), "192.0.2.1") == 0;
    assert_int_equal(first, 6);
    assert_string_equal(pick(&p, "m", 6, 0), "2001:db8::1");
    assert_string_equal(pick(&p, "other", 4, 0), "unknown");
    assert_string_equal(pick(&p, "default", 4, 0), "any");
    assert_string_equal(pick(&p, "n", 4, 0), "no family"); /* weight 0 is switched off */
    assert_int_equal(pools_pick(&p, STR("m"), 6, 0, &source), POOLS_SOURCE);
    assert_string_equal(source->hello, "c.test");
    source->bad_until = 10;
    assert_string_equal(pick(&p, "m", 6, 5), "all bad");
    assert_string_equal(pick(&p, "m", 6, 11), "2001:db8::1");
    assert_int_equal(pools_read(&p, STR("default 192.0.2.5 1 x.test\n")), 0);
    assert_string_equal(pick(&p, "", 4, 0), "192.0.2.5");
    assert_string_equal(pick(&p, "", 6, 0), "no family");
    assert_true(pools_hold_address(&p, &p.pools[0].sources[0].ip));
    pools_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_preference),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(the_domain_itself),
        cmocka_unit_test(addresses),
        cmocka_unit_test(loops),
        cmocka_unit_test(hosts_of_a_route),
        cmocka_unit_test(order),
        cmocka_unit_test(shared_servers_have_one_signature),
        cmocka_unit_test(dead_hosts),
        cmocka_unit_test(pools),
    };
    int failed;

    buf_init(&records, 10000);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_clear(&records);
    return failed;
}
