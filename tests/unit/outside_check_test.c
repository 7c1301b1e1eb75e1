/* The checks: all well with what setup prints, each record broken in turn, DNS that fails, block lists, ports, the clock. */
#include "outside/check.h"
#include "outside/gather.h"
#include "outside_world.h"
#include "base/clock.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char configuration[] = "hostname = \"mail.example.org\"\n"
                                    "listen \"mx\" { service = \"mx\" tls = \"none\" }\n"
                                    "relay_networks = {}\n"
                                    "check { addresses = {\"192.0.2.1\", \"2001:db8::1\"} outbound = {\"far.example\"} dnsbl = {\"bl.example\"} }\n";

/* Of others. */
#define OTHERS "far.example. 1 IN MX 10 mx.far.example.\nmx.far.example. 1 IN A 198.51.100.1\n"

struct world {
    struct config *config;
    struct outside_gather gather;
    struct outside_records records;
    struct outside_clock clock;
    struct outside_check *check;
    char *zone;
    struct str silent;        /* names that end so get no answer */
    struct outside_probe probe; /* what every connection comes to */
    size_t asked, rounds;
    bool never_answers;
};

static struct world *world_new(const char *text)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct err err = {0};

    assert_true(config_parse(&w->config, STR("test"), str_of(text), &err));
    outside_gather_begin(&w->gather, w->config, STR("example.org"));
    outside_gather_key(&w->gather, STR("{\"state\":\"active\",\"name\":\"s1._domainkey.example.org\",\"record\":\"v=DKIM1; k=ed25519; p=AAECAw==\"}"));
    assert_true(outside_records_make(&w->records, &w->gather.facts));
    w->clock = (struct outside_clock){true, true, 1000};
    w->probe = (struct outside_probe){.tried = true, .connected = true, .greeting = 220, .rcpt_code = 550, .text = STR("220 hello")};
    return w;
}

static void world_free(struct world *w)
{
    outside_check_free(w->check);
    outside_records_clear(&w->records);
    outside_gather_end(&w->gather);
    config_free(w->config);
    free(w->zone);
    free(w);
}

/* Everything that should be published, but for record `without` (none: SIZE_MAX); `more` behind it. */
static void publish(struct world *w, size_t without, const char *more)
{
    struct buf text;

    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < w->records.n; i++) {
        if (i == without)
            continue;
        outside_record_write(&w->records.items[i], &text);
        buf_add_char(&text, '\n');
    }
    buf_addf(&text, "%s%s%c", OTHERS, more, 0);
    free(w->zone);
    w->zone = xstrndup(text.p, text.n);
    buf_clear(&text);
}

static void answer(struct world *w, struct outside_question *q)
{
    struct buf records;
    enum dns_status status;

    w->asked++;
    if (w->never_answers)
        return;
    buf_init(&records, 1 << 20);
    status = outside_zone_look(w->zone, q->name, q->type, &records);
    if (w->silent.n > 0 && str_ends(q->name, w->silent))
        outside_check_answer(w->check, q, DNS_SERVFAIL, false, STR(""));
    else
        outside_check_answer(w->check, q, status, false, buf_str(&records));
    buf_clear(&records);
}

static void run(struct world *w)
{
    struct outside_question *q;
    struct outside_probe *p;

    outside_check_free(w->check);
    w->asked = w->rounds = 0;
    w->check = outside_check_new(&w->gather.facts, &w->clock, OUTSIDE_SERVER | OUTSIDE_DOMAIN, 1000 * DAY);
    while (!outside_check_run(w->check)) {
        assert_true(++w->rounds < 30);
        while ((q = outside_check_next_question(w->check)) != NULL)
            answer(w, q);
        while ((p = outside_check_next_probe(w->check)) != NULL)
            if (!w->never_answers)
                outside_check_probed(w->check, p, &w->probe);
        if (w->never_answers && w->rounds == 2)
            outside_check_give_up(w->check);
    }
}

static const struct outside_result *find(struct world *w, const char *check, enum outside_level level)
{
    for (size_t i = 0; i < outside_check_count(w->check); i++) {
        const struct outside_result *r = outside_check_result(w->check, i);

        if (strcmp(r->check, check) == 0 && r->level == level)
            return r;
    }
    return NULL;
}

static void expect(struct world *w, const char *check, enum outside_level level, const char *words)
{
    const struct outside_result *r = find(w, check, level);

    if (r == NULL || str_ifind(r->text, str_of(words)) < 0)
        fail_msg("%s: no %s \"%s\", but %.*s", check, outside_level_words[level], words, r ? (int)r->text.n : 7, r ? r->text.p : "nothing");
}

static void only_certificate_is_missing(struct world *w)
{
    for (size_t i = 0; i < outside_check_count(w->check); i++) {
        const struct outside_result *r = outside_check_result(w->check, i);

        if (r->level != OUTSIDE_OK && strcmp(r->check, "certificate") != 0)
            fail_msg("%s %.*s: %.*s", r->check, STR_ARG(r->item), STR_ARG(r->text));
    }
}

static void all_well(void **state)
{
    struct world *w = world_new(configuration);

    (void)state;
    publish(w, SIZE_MAX, "");
    run(w);
    only_certificate_is_missing(w);
    expect(w, "certificate", OUTSIDE_ERROR, "there is no certificate");
    expect(w, "spf", OUTSIDE_OK, "mail from 2 addresses passes");
    expect(w, "dnsbl", OUTSIDE_OK, "none of 2 addresses is listed");
    assert_true(w->rounds <= 8); /* what can be asked at once is */
    world_free(w);
}

/* Each record taken away: it is told, with the line to publish. */
static void each_missing(void **state)
{
    struct world *w = world_new(configuration);

    (void)state;
    for (size_t i = 0; i < w->records.n; i++) {
        bool told = false;
        struct buf line;

        buf_init(&line, 8192);
        outside_record_write(&w->records.items[i], &line);
        publish(w, i, "");
        run(w);
        for (size_t k = 0; k < outside_check_count(w->check); k++) {
            const struct outside_result *r = outside_check_result(w->check, k);

            told |= r->level != OUTSIDE_OK && str_eq(r->publish, buf_str(&line)) && r->text.n > 0 && r->why[0];
        }
        if (!told)
            fail_msg("not told: %.*s", STR_ARG(line));
        buf_clear(&line);
    }
    world_free(w);
}

struct broken {
    enum outside_kind kind;
    const char *instead, *check;
    enum outside_level level;
    const char *words;
};

static const struct broken broken[] = {
    {OUTSIDE_MX, "example.org. 1 IN MX 5 other.example.\n", "mx", OUTSIDE_ERROR, "goes elsewhere: 5 other.example."},
    {OUTSIDE_MX, "example.org. 1 IN MX 0 .\n", "mx", OUTSIDE_ERROR, "goes elsewhere"},
    {OUTSIDE_MX, "example.org. 1 IN MX 5 mail.example.org.\nexample.org. 1 IN MX 50 backup.example.\n", "mx", OUTSIDE_OK, "with others"},
    {OUTSIDE_SPF, "example.org. 1 IN TXT \"v=spf1 ip4:198.51.100.7 -all\"\n", "spf", OUTSIDE_ERROR, "mail from 192.0.2.1 comes out as fail"},
    {OUTSIDE_SPF, "example.org. 1 IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n", "spf", OUTSIDE_ERROR, "mail from 2001:db8::1 comes out as fail"},
    {OUTSIDE_SPF, "example.org. 1 IN TXT \"v=spf1 mx -all\"\nexample.org. 1 IN TXT \"v=spf1 -all\"\n", "spf", OUTSIDE_ERROR, "permerror"},
    {OUTSIDE_SPF, "example.org. 1 IN TXT \"v=spf1 include:far.example mx\"\nfar.example. 1 IN TXT \"v=spf1 ?all\"\n", "spf", OUTSIDE_OK, "passes"},
    {OUTSIDE_SPF, "example.org. 1 IN TXT \"v=spf1 include:example.org -all\"\n", "spf", OUTSIDE_ERROR, "permerror"},
    {OUTSIDE_DKIM, "s1._domainkey.example.org. 1 IN TXT \"v=DKIM1; k=ed25519; p=AAAA\"\n", "dkim", OUTSIDE_ERROR, "another key"},
    {OUTSIDE_DKIM, "s1._domainkey.example.org. 1 IN TXT \"k=ed25519; \" \"p=AAEC Aw\"\n", "dkim", OUTSIDE_OK, "published"},
    {OUTSIDE_DKIM, "s1._domainkey.example.org. 1 IN TXT \"p=AAECAw==\"\ns1._domainkey.example.org. 1 IN TXT \"p=\"\n", "dkim", OUTSIDE_ERROR, "2 records"},
    {OUTSIDE_DMARC, "_dmarc.example.org. 1 IN TXT \"v=DMARC1; p=none\"\n", "dmarc", OUTSIDE_WARNING, "no reports"},
    {OUTSIDE_DMARC, "_dmarc.example.org. 1 IN TXT \"v=DMARC1; p=all; rua=mailto:a@b.example\"\n", "dmarc", OUTSIDE_ERROR, "none of none"},
    {OUTSIDE_DMARC, "_dmarc.example.org. 1 IN TXT \"v=DMARC1; p=none\"\n_dmarc.example.org. 1 IN TXT \"v=DMARC1; p=none\"\n", "dmarc", OUTSIDE_ERROR, "2 DMARC"},
    {OUTSIDE_TLSRPT, "_smtp._tls.example.org. 1 IN TXT \"v=TLSRPTv1; rua=ftp://x\"\n", "tlsrpt", OUTSIDE_WARNING, "asks for nothing"},
    {OUTSIDE_CAA, "example.org. 1 IN CAA 0 issue \"ca.example\"\n", "caa", OUTSIDE_ERROR, "does not let letsencrypt.org"},
    {OUTSIDE_CAA, "example.org. 1 IN CAA 0 issue \"letsencrypt.org; x=y\"\n", "caa", OUTSIDE_OK, ""},
    {OUTSIDE_CAA, "example.org. 1 IN CAA 0 iodef \"mailto:a@b.example\"\n", "caa", OUTSIDE_OK, ""},
    {OUTSIDE_KINDS, "mail.example.org. 1 IN A 198.51.100.9\n", "address", OUTSIDE_WARNING, "DNS also has 198.51.100.9"},
    {OUTSIDE_KINDS, "1.2.0.192.bl.example. 1 IN A 127.0.0.2\n1.2.0.192.bl.example. 1 IN TXT \"spam seen\"\n", "dnsbl", OUTSIDE_ERROR,
        "192.0.2.1 is listed: \"spam seen\""},
    {OUTSIDE_KINDS, "1.2.0.192.bl.example. 1 IN A 127.255.255.254\n", "dnsbl", OUTSIDE_WARNING, "does not answer this resolver"},
    {OUTSIDE_KINDS, "1.2.0.192.bl.example. 1 IN A 198.51.100.9\n", "dnsbl", OUTSIDE_OK, "none"},
};

static size_t index_of(struct world *w, enum outside_kind kind)
{
    for (size_t i = 0; i < w->records.n; i++)
        if (w->records.items[i].kind == kind)
            return i;
    return SIZE_MAX;
}

static void wrong_records(void **state)
{
    struct world *w = world_new(configuration);

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        publish(w, index_of(w, broken[i].kind), broken[i].instead);
        run(w);
        expect(w, broken[i].check, broken[i].level, broken[i].words);
    }
    world_free(w);
}

/* A name that leads elsewhere, and one of several that leads back. */
static void names_of_addresses(void **state)
{
    struct world *w = world_new(configuration);
    size_t ptr = index_of(w, OUTSIDE_PTR);

    (void)state;
    publish(w, ptr, "1.2.0.192.in-addr.arpa. 1 IN PTR host.provider.example.\nhost.provider.example. 1 IN A 192.0.2.2\n");
    run(w);
    expect(w, "ptr", OUTSIDE_ERROR, "does not lead back");
    publish(w, ptr, "1.2.0.192.in-addr.arpa. 1 IN PTR x.example.\n1.2.0.192.in-addr.arpa. 1 IN PTR mail.example.org.\n");
    run(w);
    assert_null(find(w, "ptr", OUTSIDE_ERROR));
    publish(w, ptr, "");
    run(w);
    expect(w, "ptr", OUTSIDE_ERROR, "has no name");
    world_free(w);
}

/* DNS that fails for all or for some, or never answers: nothing is called wrong, nothing is called well. */
static void silence(void **state)
{
    struct world *w = world_new(configuration);

    (void)state;
    publish(w, SIZE_MAX, "");
    for (int i = 0; i < 2; i++) {
        w->silent = i == 0 ? STR("") : STR("example.org");
        w->never_answers = i == 0;
        run(w);
        for (size_t k = 0; k < outside_check_count(w->check); k++) {
            const struct outside_result *r = outside_check_result(w->check, k);

            if (r->level == OUTSIDE_ERROR && strcmp(r->check, "certificate") != 0)
                fail_msg("%s: %.*s", r->check, STR_ARG(r->text));
            if (strcmp(r->check, "spf") == 0 || strcmp(r->check, "mx") == 0 || strcmp(r->check, "dkim") == 0)
                assert_true(r->unknown);
        }
    }
    world_free(w);
}

static void ports(void **state)
{
    struct world *w = world_new(configuration);

    (void)state;
    publish(w, SIZE_MAX, "");
    w->probe.rcpt_code = 250;
    run(w);
    expect(w, "open-relay", OUTSIDE_ERROR, "a stranger for a stranger");
    w->probe = (struct outside_probe){.tried = true, .text = STR("no answer")};
    run(w);
    expect(w, "port-out", OUTSIDE_ERROR, "no answer");
    expect(w, "port-in", OUTSIDE_ERROR, "no answer");
    assert_null(find(w, "open-relay", OUTSIDE_OK)); /* not asked, so not said */
    w->probe = (struct outside_probe){.text = STR("the server does not run")};
    run(w);
    expect(w, "port-in", OUTSIDE_WARNING, "the server does not run");
    w->clock.synchronized = false;
    run(w);
    expect(w, "clock", OUTSIDE_WARNING, "nothing sets");
    world_free(w);
}

/* Without addresses in the configuration DNS is believed. */
static void addresses_of_dns(void **state)
{
    struct world *w = world_new("hostname = \"mail.example.org\"\ncheck { outbound = {} dnsbl = {} }\n");

    (void)state;
    publish(w, SIZE_MAX, "mail.example.org. 1 IN A 192.0.2.5\n5.2.0.192.in-addr.arpa. 1 IN PTR mail.example.org.\n");
    run(w);
    expect(w, "address", OUTSIDE_OK, "leads to 192.0.2.5");
    expect(w, "ptr", OUTSIDE_OK, "leads back");
    publish(w, SIZE_MAX, "");
    run(w);
    expect(w, "address", OUTSIDE_ERROR, "no address in DNS");
    world_free(w);
}

static void rows(void **state)
{
    struct world *w = world_new(configuration);
    struct buf row, text;

    (void)state;
    publish(w, index_of(w, OUTSIDE_MX), "");
    run(w);
    buf_init(&row, 8192);
    buf_init(&text, 8192);
    outside_result_write(find(w, "mx", OUTSIDE_ERROR), STR("example.org"), &row);
    assert_true(json_read(buf_str(&row), "publish", &text));
    assert_true(str_eq(buf_str(&text), STR("example.org. 3600 IN MX 10 mail.example.org.")));
    assert_int_equal(outside_check_worst(w->check), OUTSIDE_ERROR);
    buf_clear(&row);
    buf_clear(&text);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_well), cmocka_unit_test(each_missing), cmocka_unit_test(wrong_records),
        cmocka_unit_test(names_of_addresses), cmocka_unit_test(silence), cmocka_unit_test(ports), cmocka_unit_test(addresses_of_dns), cmocka_unit_test(rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
