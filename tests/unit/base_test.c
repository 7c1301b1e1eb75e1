/* Containers, ids, encodings, addresses, JSON, metrics, arenas. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/heap.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/map.h"
#include "base/metric.h"
#include "base/msgid.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

struct item {
    struct map_node node;
    struct heap_node place;
    uint64_t key;
};

static void a_map_finds_what_was_added_and_not_what_was_removed(void **state)
{
    static struct item items[1000];
    struct map m;
    size_t seen = 0;

    (void)state;
    map_init(&m);
    assert_null(map_find(&m, 1));
    assert_null(map_walk(&m, NULL));
    for (size_t i = 0; i < 1000; i++) {
        items[i].key = i;
        map_add(&m, &items[i].node, map_hash_number(i));
    }
    for (size_t i = 0; i < 1000; i += 2)
        map_remove(&m, &items[i].node);
    map_remove(&m, &items[0].node);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(map_find(&m, map_hash_number(i)) != NULL, i % 2 == 1);
    for (struct map_node *n = map_walk(&m, NULL), *next; n != NULL; n = next) {
        next = map_walk(&m, n);
        map_remove(&m, n);
        seen++;
    }
    assert_int_equal(seen, 500);
    assert_int_equal(m.count, 0);
    map_clear(&m);
}

static void a_heap_gives_the_smallest_first(void **state)
{
    static struct item items[500];
    struct heap h;
    int64_t last = -1;
    size_t left = 500;

    (void)state;
    heap_init(&h);
    for (size_t i = 0; i < 500; i++)
        heap_add(&h, &items[i].place, (int64_t)random_below(1000));
    for (size_t i = 0; i < 500; i += 5, left--)
        heap_remove(&h, &items[i].place);
    heap_remove(&h, &items[0].place);
    for (struct heap_node *n; (n = heap_first(&h)) != NULL; left--) {
        assert_true(n->key >= last);
        last = n->key;
        heap_remove(&h, n);
    }
    assert_int_equal(left, 0);
    heap_clear(&h);
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void queue_ids_grow_and_read_back(void **state)
{
    static uint64_t seen[5000];
    uint64_t last = 0;
    uint64_t odd = 0;

    (void)state;
    msgid_set_source(703);
    for (int i = 0; i < 5000; i++) {
        uint64_t id = seen[i] = msgid_new(), back;
        char text[MSGID_TEXT + 1];

        assert_true(id >> 22 >= last >> 22 && id < UINT64_C(1) << 63);
        last = id;
        odd += id & 1;
        msgid_format(id, text);
        assert_true(msgid_parse(str_of(text), &back) && back == id);
    }
    assert_int_equal(odd, 2500); /* shards get equal shares */
    qsort(seen, 5000, sizeof seen[0], compare_ids);
    for (int i = 1; i < 5000; i++)
        assert_true(seen[i] != seen[i - 1]);
    assert_true(clock_now() - msgid_time(last) < MINUTE);
    assert_int_equal(last >> 12 & 1023, 703);
    assert_false(msgid_parse(STR("0000000000000"), &last));
    assert_false(msgid_parse(STR("00000000I0000"), &last));
    assert_false(msgid_parse(STR("123"), &last));
    assert_false(msgid_parse(STR("ZZZZZZZZZZZZZ"), &last));
}

static void base64_is_strict(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    base64_encode(&b, STR("any carnal pleas"));
    assert_true(str_eq(buf_str(&b), STR("YW55IGNhcm5hbCBwbGVhcw==")));
    buf_reset(&b);
    assert_true(base64_decode(&b, STR("YW55IGNhcm5hbCBwbGVhcw==")));
    assert_true(str_eq(buf_str(&b), STR("any carnal pleas")));
    buf_reset(&b);
    assert_false(base64_decode(&b, STR("YW55IGNhcm5hbCBwbGVhcw")));
    assert_false(base64_decode(&b, STR("YW55 GNh")));
    assert_false(base64_decode(&b, STR("====")));
    assert_true(base64_decode(&b, STR("")));
    hex_encode(&b, STR("\x01\xff"));
    buf_clear(&b);
}

static void addresses_and_networks(void **state)
{
    struct ip ip, mapped;
    struct network net;
    char text[IP_TEXT];

    (void)state;
    assert_true(ip_parse(STR("192.0.2.1"), &ip));
    assert_true(ip_parse(STR("::ffff:192.0.2.1"), &mapped));
    assert_true(ip_equal(&ip, &mapped));
    assert_false(ip_parse(STR("192.0.2.256"), &mapped));
    assert_false(ip_parse(STR("192.0.2.1\0x"), &mapped));
    assert_false(ip_parse(STR(""), &mapped));
    assert_true(network_parse(STR("192.0.2.0/25"), &net) && network_holds(&net, &ip));
    assert_true(ip_parse(STR("192.0.2.128"), &ip) && !network_holds(&net, &ip));
    assert_true(network_parse(STR("2001:db8::/33"), &net));
    assert_true(ip_parse(STR("2001:db8:7fff::1"), &ip) && network_holds(&net, &ip));
    assert_true(ip_parse(STR("2001:db8:8000::1"), &ip) && !network_holds(&net, &ip));
    assert_false(network_parse(STR("10.0.0.0/33"), &net));
    assert_false(network_parse(STR("10.0.0.0/x"), &net));
    assert_true(network_parse(STR("0.0.0.0/0"), &net));
    ip = ip_limit_key(&ip);
    ip_format(&ip, text);
    assert_string_equal(text, "2001:db8:8000::");
}

static void json_is_written_and_read_back(void **state)
{
    struct buf b, value;

    (void)state;
    buf_init(&b, 1000);
    buf_init(&value, 1000);
    json_open(&b);
    json_str(&b, "text", STR("a\"b\\c\n\xff{,}"));
    json_int(&b, "number", -5);
    json_bool(&b, "yes", true);
    json_time(&b, "when", 0);
    json_close(&b);
    assert_true(str_eq(buf_str(&b),
        STR("{\"text\":\"a\\\"b\\\\c\\u000a\xef\xbf\xbd{,}\",\"number\":-5,\"yes\":true,\"when\":null}")));
    assert_true(json_read(buf_str(&b), "text", &value));
    assert_true(str_eq(buf_str(&value), STR("a\"b\\c\n\xef\xbf\xbd{,}")));
    buf_reset(&value);
    assert_true(json_read(buf_str(&b), "number", &value) && str_eq(buf_str(&value), STR("-5")));
    buf_reset(&value);
    assert_true(json_read(buf_str(&b), "when", &value) && str_eq(buf_str(&value), STR("null")));
    assert_false(json_read(buf_str(&b), "missing", &value));
    assert_false(json_read(STR("{\"text\":\"open"), "other", &value));
    buf_clear(&b);
    buf_clear(&value);
}

static void metrics_are_prometheus_text(void **state)
{
    static struct metric a = METRIC_COUNTER_L("x_total", "why=\"a\"", "Help.");
    static struct metric b = METRIC_COUNTER_L("x_total", "why=\"b\"", "Help.");
    static struct metric h = METRIC_HISTOGRAM("y_seconds", "Times.");
    struct buf out;

    (void)state;
    metric_add(&a, 2);
    metric_show(&b);
    metric_observe(&h, 7000);
    buf_init(&out, 10000);
    metric_write(&out, "test", 1);
    buf_add_char(&out, 0);
    assert_non_null(strstr(out.p, "# TYPE x_total counter\n"));
    assert_null(strstr(strstr(out.p, "# TYPE x_total") + 1, "# TYPE x_total"));
    assert_non_null(strstr(out.p, "x_total{role=\"test\",copy=\"1\",why=\"a\"} 2\n"));
    assert_non_null(strstr(out.p, "y_seconds_bucket{role=\"test\",copy=\"1\",le=\"0.005\"} 0\n"));
    assert_non_null(strstr(out.p, "y_seconds_bucket{role=\"test\",copy=\"1\",le=\"0.01\"} 1\n"));
    assert_non_null(strstr(out.p, "y_seconds_count{role=\"test\",copy=\"1\"} 1\n"));
    buf_clear(&out);
}

static void an_arena_stops_at_its_ceiling(void **state)
{
    struct arena a;
    size_t got = 0;

    (void)state;
    arena_init(&a, 10000);
    while (arena_alloc(&a, 100) != NULL)
        got++;
    assert_true(got > 50 && got <= 100);
    arena_clear(&a);
    assert_non_null(arena_alloc(&a, 100));
    assert_true(str_eq(arena_str(&a, STR("copy")), STR("copy")));
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_finds_what_was_added_and_not_what_was_removed),
        cmocka_unit_test(a_heap_gives_the_smallest_first),
        cmocka_unit_test(queue_ids_grow_and_read_back),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(addresses_and_networks),
        cmocka_unit_test(json_is_written_and_read_back),
        cmocka_unit_test(metrics_are_prometheus_text),
        cmocka_unit_test(an_arena_stops_at_its_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
