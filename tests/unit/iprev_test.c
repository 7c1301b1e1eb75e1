/* The iprev method (RFC 8601 3, 2.7.3): conversations with DNS. */
#include "dns/records.h"
#include "mailauth/iprev.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { STEPS = 14, TEXT = 300 };

struct turn {
    const char *name; /* that is asked for */
    unsigned type;
    enum dns_status status;
    const char *data; /* names or addresses, separated by blanks */
};

struct conversation {
    const char *client;
    struct turn turns[STEPS];
    enum iprev_result result;
    const char *name;
};

static char asked[TEXT];
static unsigned asked_type, questions;
static bool over;

static void on_ask(void *owner, struct str name, unsigned type)
{
    (void)owner;
    snprintf(asked, sizeof asked, "%.*s", STR_ARG(name));
    asked_type = type;
    questions++;
}

static void on_done(void *owner)
{
    (void)owner;
    assert_false(over);
    over = true;
}

static const struct iprev_world world = {.ask = on_ask, .done = on_done};

static void add_record(struct buf *out, struct str word, unsigned type)
{
    struct buf rdata;
    struct ip ip;

    buf_init(&rdata, 1000);
    if (type == DNS_PTR) {
        if (!dns_write_name(&rdata, word))
            buf_add(&rdata, STR("\xff"));
    } else {
        assert_true(ip_parse(word, &ip));
        buf_add(&rdata, str_from((const char *)ip.bytes, ip.family == 4 ? 4 : 16));
    }
    dns_add_record(out, buf_str(&rdata));
    buf_clear(&rdata);
}

static void reply(struct iprev *p, const struct turn *t)
{
    struct str rest = str_of(t->data), word;
    struct buf records;

    buf_init(&records, 100000);
    while (str_next_word(&rest, &word))
        add_record(&records, word, t->type);
    iprev_answer(p, t->status, buf_str(&records));
    buf_clear(&records);
}

static const struct conversation conversations[] = {
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "mail.example.org"}, {"mail.example.org", DNS_A, DNS_OK, "192.0.2.4 192.0.2.5"}},
        IPREV_PASS, "mail.example.org"},
    {"2001:db8::1f", {{"f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", DNS_PTR, DNS_OK, "Six.Example.org"},
        {"six.example.org", DNS_AAAA, DNS_OK, "2001:db8::1f"}}, IPREV_PASS, "six.example.org"},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN, ""}}, IPREV_PERMERROR, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_NODATA, ""}}, IPREV_PERMERROR, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, ""}}, IPREV_PERMERROR, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_SERVFAIL, ""}}, IPREV_TEMPERROR, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_TIMEOUT, ""}}, IPREV_TEMPERROR, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "."}}, IPREV_FAIL, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "a.b..c"}}, IPREV_FAIL, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "a.example"}, {"a.example", DNS_A, DNS_OK, "192.0.2.6"}}, IPREV_FAIL, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "a.example"}, {"a.example", DNS_A, DNS_NXDOMAIN, ""}}, IPREV_FAIL, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "a.example"}, {"a.example", DNS_A, DNS_BOGUS, ""}}, IPREV_TEMPERROR, ""},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "a.example b.example c.example"}, {"a.example", DNS_A, DNS_SERVFAIL, ""},
        {"b.example", DNS_A, DNS_NODATA, ""}, {"c.example", DNS_A, DNS_OK, "192.0.2.5"}}, IPREV_PASS, "c.example"},
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "a.example b.example"}, {"a.example", DNS_A, DNS_SERVFAIL, ""},
        {"b.example", DNS_A, DNS_OK, "192.0.2.9"}}, IPREV_TEMPERROR, ""},
    /* ten names at most */
    {"192.0.2.5", {{"5.2.0.192.in-addr.arpa", DNS_PTR, DNS_OK, "a b c d e f g h i j k l"}, {"a", DNS_A, DNS_NODATA, ""}, {"b", DNS_A, DNS_NODATA, ""},
        {"c", DNS_A, DNS_NODATA, ""}, {"d", DNS_A, DNS_NODATA, ""}, {"e", DNS_A, DNS_NODATA, ""}, {"f", DNS_A, DNS_NODATA, ""},
        {"g", DNS_A, DNS_NODATA, ""}, {"h", DNS_A, DNS_NODATA, ""}, {"i", DNS_A, DNS_NODATA, ""}, {"j", DNS_A, DNS_NODATA, ""}}, IPREV_FAIL, ""},
};

static void conversations_end_as_they_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof conversations / sizeof conversations[0]; i++) {
        const struct conversation *c = &conversations[i];
        struct iprev *p;
        struct ip client;
        unsigned n = 0;

        assert_true(ip_parse(str_of(c->client), &client));
        questions = 0;
        over = false;
        p = iprev_new(&world, NULL, &client);
        iprev_start(p);
        for (; !over; n++) {
            assert_true(n < STEPS && c->turns[n].name != NULL);
            assert_string_equal(asked, c->turns[n].name);
            assert_int_equal(asked_type, c->turns[n].type);
            reply(p, &c->turns[n]);
        }
        assert_int_equal(questions, n);
        assert_null(c->turns[n].name);
        assert_int_equal(iprev_result_of(p), c->result);
        assert_true(str_eq(iprev_name_of(p), str_of(c->name)));
        iprev_free(p);
    }
}

static void gives_up(void **state)
{
    struct ip client = {.family = 4}, none = {0};
    struct iprev *p = iprev_new(&world, NULL, &client);

    (void)state;
    questions = 0;
    over = false;
    iprev_start(p);
    iprev_give_up(p);
    assert_true(over && iprev_result_of(p) == IPREV_TEMPERROR && iprev_name_of(p).n == 0);
    iprev_answer(p, DNS_OK, STR(""));
    assert_int_equal(questions, 1);
    iprev_free(p);
    over = false;
    p = iprev_new(&world, NULL, &none);
    iprev_start(p);
    assert_true(over && iprev_result_of(p) == IPREV_PERMERROR);
    assert_int_equal(questions, 1);
    assert_string_equal(iprev_result_name(IPREV_PERMERROR), "permerror");
    iprev_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(conversations_end_as_they_should), cmocka_unit_test(gives_up)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
