/* The checks: all well with what setup prints, each record broken in turn, DNS that fails, block lists, ports, the clock. */
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
    struct world *w = world_new(world_configuration);

    (void)state;
    world_publish(w, SIZE_MAX, "");
    world_run(w);
    only_certificate_is_missing(w);
    world_expect(w, "certificate", OUTSIDE_ERROR, "there is no certificate");
    world_expect(w, "spf", OUTSIDE_OK, "mail from 2 addresses passes");
    world_expect(w, "dnsbl", OUTSIDE_OK, "none of 2 addresses is listed");
    assert_true(w->rounds <= 8); /* what can be asked at once is */
    world_free(w);
}

/* Each record taken away: it is told, with the line to publish. */
static void each_missing(void **state)
{
    struct world *w = world_new(world_configuration);

    (void)state;
    for (size_t i = 0; i < w->records.n; i++) {
        bool told = false;
        struct buf line;

        buf_init(&line, 8192);
        outside_record_write(&w->records.items[i], &line);
        world_publish(w, i, "");
        world_run(w);
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
    struct world *w = world_new(world_configuration);

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        world_publish(w, index_of(w, broken[i].kind), broken[i].instead);
        world_run(w);
        world_expect(w, broken[i].check, broken[i].level, broken[i].words);
    }
    world_free(w);
}

/* A name that leads elsewhere, and one of several that leads back. */
static void names_of_addresses(void **state)
{
    struct world *w = world_new(world_configuration);
    size_t ptr = index_of(w, OUTSIDE_PTR);

    (void)state;
    world_publish(w, ptr, "1.2.0.192.in-addr.arpa. 1 IN PTR host.provider.example.\nhost.provider.example. 1 IN A 192.0.2.2\n");
    world_run(w);
    world_expect(w, "ptr", OUTSIDE_ERROR, "does not lead back");
    world_publish(w, ptr, "1.2.0.192.in-addr.arpa. 1 IN PTR x.example.\n1.2.0.192.in-addr.arpa. 1 IN PTR mail.example.org.\n");
    world_run(w);
    assert_null(world_find(w, "ptr", OUTSIDE_ERROR));
    world_publish(w, ptr, "");
    world_run(w);
    world_expect(w, "ptr", OUTSIDE_ERROR, "has no name");
    world_free(w);
}

/* DNS that fails for all or for some, or never answers: nothing is called wrong, nothing is called well. */
static void silence(void **state)
{
    struct world *w = world_new(world_configuration);

    (void)state;
    world_publish(w, SIZE_MAX, "");
    for (int i = 0; i < 2; i++) {
        w->silent = i == 0 ? STR("") : STR("example.org");
        w->never_answers = i == 0;
        world_run(w);
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
    struct world *w = world_new(world_configuration);

    (void)state;
    world_publish(w, SIZE_MAX, "");
    w->probe.rcpt_code = 250;
    world_run(w);
    world_expect(w, "open-relay", OUTSIDE_ERROR, "a stranger for a stranger");
    w->probe = (struct outside_probe){.tried = true, .text = STR("no answer")};
    world_run(w);
    world_expect(w, "port-out", OUTSIDE_ERROR, "no answer");
    world_expect(w, "port-in", OUTSIDE_ERROR, "no answer");
    assert_null(world_find(w, "open-relay", OUTSIDE_OK)); /* not asked, so not said */
    w->probe = (struct outside_probe){.text = STR("the server does not run")};
    world_run(w);
    world_expect(w, "port-in", OUTSIDE_WARNING, "the server does not run");
    w->clock.synchronized = false;
    world_run(w);
    world_expect(w, "clock", OUTSIDE_WARNING, "nothing sets");
    world_free(w);
}

/* Without addresses in the configuration DNS is believed. */
static void addresses_of_dns(void **state)
{
    struct world *w = world_new("hostname = \"mail.example.org\"\ncheck { outbound = {} dnsbl = {} }\n");

    (void)state;
    world_publish(w, SIZE_MAX, "mail.example.org. 1 IN A 192.0.2.5\n5.2.0.192.in-addr.arpa. 1 IN PTR mail.example.org.\n");
    world_run(w);
    world_expect(w, "address", OUTSIDE_OK, "leads to 192.0.2.5");
    world_expect(w, "ptr", OUTSIDE_OK, "leads back");
    world_publish(w, SIZE_MAX, "");
    world_run(w);
    world_expect(w, "address", OUTSIDE_ERROR, "no address in DNS");
    world_free(w);
}

static void rows(void **state)
{
    struct world *w = world_new(world_configuration);
    struct buf row, text;

    (void)state;
    world_publish(w, index_of(w, OUTSIDE_MX), "");
    world_run(w);
    buf_init(&row, 8192);
    buf_init(&text, 8192);
    outside_result_write(world_find(w, "mx", OUTSIDE_ERROR), STR("example.org"), &row);
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
