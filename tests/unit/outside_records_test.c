/* The records to publish, made from facts; texts in zone files; certificates. */
#include "outside/gather.h"
#include "outside/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "hostname = \"mail.example.org\"\n"
                           "listen \"mx\" { service = \"mx\" tls = \"none\" }\n"
                           "listen \"imap\" { service = \"imap\" tls = \"none\" }\n"
                           "check { addresses = {\"192.0.2.1\", \"2001:db8::1\"} }\n";

struct world {
    struct config *config;
    struct outside_gather gather;
    struct outside_records records;
    struct buf zone;
};

static struct world *world_new(const char *domain)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct err err = {0};

    assert_true(config_parse(&w->config, STR("test"), str_of(text), &err));
    outside_gather_begin(&w->gather, w->config, str_of(domain));
    buf_init(&w->zone, 1 << 20);
    return w;
}

static const char *zone_of(struct world *w)
{
    assert_true(outside_records_make(&w->records, &w->gather.facts));
    outside_zone_write(&w->records, w->gather.facts.domain, STR(""), 0, &w->zone);
    buf_add_char(&w->zone, 0);
    assert_false(w->zone.failed);
    return w->zone.p;
}

static void world_free(struct world *w)
{
    outside_records_clear(&w->records);
    outside_gather_end(&w->gather);
    config_free(w->config);
    buf_clear(&w->zone);
    free(w);
}

static void has(struct world *w, const char *line)
{
    if (str_ifind(buf_str(&w->zone), str_of(line)) < 0)
        fail_msg("not there: %s\nin:\n%s", line, w->zone.p);
}

static void records_of_a_domain(void **state)
{
    struct world *w = world_new("example.org");

    (void)state;
    outside_gather_key(&w->gather, STR("{\"state\":\"active\",\"name\":\"s1._domainkey.example.org\",\"record\":\"v=DKIM1; p=\\\"x\"}"));
    outside_gather_key(&w->gather, STR("{\"state\":\"revoked\",\"name\":\"s0._domainkey.example.org\",\"record\":\"v=DKIM1; p=\"}"));
    zone_of(w);
    has(w, "\nmail.example.org. 3600 IN A 192.0.2.1\n");
    has(w, "\nmail.example.org. 3600 IN AAAA 2001:db8::1\n");
    has(w, "\nexample.org. 3600 IN MX 10 mail.example.org.\n");
    has(w, "\nexample.org. 3600 IN TXT \"v=spf1 mx -all\"\n");
    has(w, "\ns1._domainkey.example.org. 3600 IN TXT \"v=DKIM1; p=\\\"x\"\n");
    has(w, "\n_dmarc.example.org. 3600 IN TXT \"v=DMARC1; p=quarantine; rua=mailto:postmaster@example.org\"\n");
    has(w, "\n; 1.2.0.192.in-addr.arpa. 3600 IN PTR mail.example.org.\n");
    has(w, "\n; 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 3600 IN PTR mail.example.org.\n");
    assert_true(str_ifind(buf_str(&w->zone), STR("s0._domainkey")) < 0);
    assert_true(str_ifind(buf_str(&w->zone), STR("TLSA")) < 0); /* no certificate */
    assert_true(str_ifind(buf_str(&w->zone), STR("_imap")) < 0); /* none with TLS */
    world_free(w);
}

/* Reports go where they are read, if that is in the domain itself. */
static void reports(void **state)
{
    static const char with[] = "hostname = \"mail.example.org\"\nauth { reports_to = {\"a@other.example\", \"dmarc@example.org\", \"b@example.org\"} }\n";
    struct outside_gather g;
    struct config *config;
    struct err err = {0};

    (void)state;
    assert_true(config_parse(&config, STR("test"), str_of(with), &err));
    outside_gather_begin(&g, config, STR("example.org"));
    assert_true(str_eq(g.facts.report_to, STR("dmarc@example.org")));
    outside_gather_end(&g);
    outside_gather_begin(&g, config, STR("third.example"));
    assert_true(str_eq(g.facts.report_to, STR("postmaster@third.example")));
    outside_gather_end(&g);
    config_free(config);
}

static void another_domain_of_the_server(void **state)
{
    struct world *w = world_new("notexample.org");

    (void)state;
    zone_of(w);
    has(w, "\n; mail.example.org. 3600 IN A 192.0.2.1\n");
    has(w, "\nnotexample.org. 3600 IN MX 10 mail.example.org.\n");
    world_free(w);
}

/* Pools send from further addresses: SPF names them, and each has its name. */
static void pools(void **state)
{
    struct world *w = world_new("example.org");

    (void)state;
    outside_gather_pool(&w->gather, STR("{\"pool\":\"news\",\"address\":\"192.0.2.7\",\"ehlo\":\"news1.example.org\"}"));
    outside_gather_pool(&w->gather, STR("{\"pool\":\"news\",\"address\":\"2001:db8::7\",\"ehlo\":\"\"}"));
    outside_gather_pool(&w->gather, STR("{\"pool\":\"own\",\"address\":\"192.0.2.1\",\"ehlo\":\"\"}"));
    outside_gather_pool(&w->gather, STR("{\"pool\":\"again\",\"address\":\"192.0.2.7\",\"ehlo\":\"other.example.org\"}"));
    zone_of(w);
    has(w, "\"v=spf1 mx ip4:192.0.2.7 ip6:2001:db8::7 -all\"");
    has(w, "\nnews1.example.org. 3600 IN A 192.0.2.7\n");
    has(w, "\n; 7.2.0.192.in-addr.arpa. 3600 IN PTR news1.example.org.\n");
    assert_int_equal(w->gather.facts.sender_count, 2);
    world_free(w);
}

static void too_many_of_everything(void **state)
{
    struct world *w = world_new("example.org");
    char row[200];

    (void)state;
    for (int i = 0; i < OUTSIDE_SENDERS + 5; i++) {
        snprintf(row, sizeof row, "{\"address\":\"198.51.100.%d\",\"ehlo\":\"\"}", i);
        outside_gather_pool(&w->gather, str_of(row));
    }
    for (int i = 0; i < OUTSIDE_KEYS + 5; i++)
        outside_gather_key(&w->gather, STR("{\"state\":\"active\",\"name\":\"s\",\"record\":\"r\"}"));
    assert_true(w->gather.full);
    assert_int_equal(w->gather.facts.sender_count, OUTSIDE_SENDERS);
    assert_int_equal(w->gather.facts.key_count, OUTSIDE_KEYS);
    zone_of(w);
    world_free(w);
}

static void quoted(const char *plain, size_t n, const char *wanted)
{
    struct buf out;

    buf_init(&out, 4096);
    outside_quote(&out, str_from(plain, n));
    buf_add_char(&out, 0);
    assert_string_equal(out.p, wanted);
    buf_clear(&out);
}

static void texts(void **state)
{
    char many[301] = {0}, wanted[400];

    (void)state;
    quoted("", 0, "\"\"");
    quoted("a \"b\" \\", 7, "\"a \\\"b\\\" \\\\\"");
    quoted("\xc3\xa4\0", 3, "\"\\195\\164\\000\"");
    memset(many, 'x', 300);
    snprintf(wanted, sizeof wanted, "\"%.255s\" \"%.45s\"", many, many);
    quoted(many, 300, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records_of_a_domain), cmocka_unit_test(another_domain_of_the_server), cmocka_unit_test(pools), cmocka_unit_test(reports),
        cmocka_unit_test(too_many_of_everything), cmocka_unit_test(texts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
