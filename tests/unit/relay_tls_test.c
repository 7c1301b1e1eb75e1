/* Which TLS policy counts at a server, what it asks for, and that nothing is sent without it: DANE (RFC 7672), REQUIRETLS (RFC 8689). */
#include "relay_cases.h"
#include "relay_tls.h"

#include <stdio.h>
#include <string.h>

#define SERVERS "x.test MX 10 mx1.test\nmx1.test A 192.0.2.1\n"

static void open_zone(const char *more)
{
    world_open("");
    world.secure_zone = true;
    snprintf(world.zone, sizeof world.zone, SERVERS "%s", more);
}

/* A delivery to x.test with one server; what became of it, in words. */
struct row {
    const char *zone;        /* more of it */
    const char *unsigned_names;
    const char *offers;
    bool bad_certificate, broken_tls;
    enum delivery_status status;
    const char *text, *policy, *sni;
    unsigned messages, secure;
};

#define TLSA "_25._tcp.mx1.test TLSA "
#define T "STARTTLS"

static const struct row dane_rows[] = {
    {TLSA "3 1 1 good\n", "", T, false, false, DELIVERY_RELAYED, "taken", "dane: signed TLSA records of mx1.test", "mx1.test", 1, 1},
    {TLSA "3 0 2 good\n", "", T, false, false, DELIVERY_RELAYED, "taken", "dane: ", "mx1.test", 1, 1},
    {TLSA "3 1 1 good\n", "", T, true, false, DELIVERY_DEFERRED, "4.7.5 TLS failed", "dane: signed TLSA records of mx1.test; validation-failure", "mx1.test", 0, 0},
    {TLSA "3 1 1 good\n", "", T, false, true, DELIVERY_DEFERRED, "4.7.5 TLS failed", "dane: ", NULL, 0, 0},
    {TLSA "3 1 1 good\n", "", "SIZE", false, false, DELIVERY_DEFERRED, "4.7.10 Encryption needed", "dane: ", NULL, 0, 0},
    /* records that cannot be used: TLS all the same, with any certificate */
    {TLSA "0 1 1 good\n", "", T, true, false, DELIVERY_RELAYED, "taken", "dane: signed TLSA records of mx1.test, none of which can be used", NULL, 1, 1},
    {TLSA "0 1 1 good\n", "", "SIZE", false, false, DELIVERY_DEFERRED, "4.7.10 Encryption needed", "dane: ", NULL, 0, 0},
    {TLSA "0 1 1 good\n", "", T, false, true, DELIVERY_DEFERRED, "4.7.5 TLS failed", "dane: ", NULL, 0, 0},
    /* a look-up that fails is no absence */
    {"_25._tcp.mx1.test FAIL\n", "", T, false, false, DELIVERY_DEFERRED, "4.7.5 the TLSA records of mx1.test cannot be had", "dane: ", NULL, 0, 0},
    /* what DNSSEC does not vouch for says nothing */
    {TLSA "3 1 1 good\n", " x.test ", T, true, true, DELIVERY_RELAYED, "taken", "none: MX records not signed by DNSSEC", NULL, 1, 0},
    {TLSA "3 1 1 good\n", " mx1.test ", T, true, true, DELIVERY_RELAYED, "taken", "none: addresses of mx1.test not signed", NULL, 1, 0},
    {TLSA "3 1 1 good\n", " _25._tcp.mx1.test ", T, true, true, DELIVERY_RELAYED, "taken", "none: no signed TLSA records of mx1.test", NULL, 1, 0},
    {"_25._tcp.mx1.test FAIL\n", " mx1.test ", "SIZE", false, false, DELIVERY_RELAYED, "taken", "none: ", NULL, 1, 0},
    {"", "", "SIZE", false, false, DELIVERY_RELAYED, "taken", "none: no signed TLSA records of mx1.test", NULL, 1, 0},
};

static void check_row(const struct row *row, const struct msg_deliver_remote *m)
{
    struct server *a = world_server("192.0.2.1", row->offers);
    const struct result *r;
    uint64_t id;

    snprintf(world.unsigned_names, sizeof world.unsigned_names, "%s", row->unsigned_names);
    a->bad_certificate = row->bad_certificate;
    a->broken_tls = row->broken_tls;
    id = world_deliver(m, "r@x.test");
    world_run();
    expect(id, 0, row->status, row->text);
    r = world_result(id, 0);
    if (strncmp(r->policy, row->policy, strlen(row->policy)) != 0)
        fail_msg("\"%s\" instead of \"%s\"", r->policy, row->policy);
    assert_int_equal(a->messages, row->messages);
    assert_int_equal(a->secure_messages, row->secure);
    if (row->sni != NULL)
        assert_string_equal(a->last_sni, row->sni);
}

static void dane(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dane_rows / sizeof dane_rows[0]; i++) {
        struct msg_deliver_remote m = world_message("x.test");

        open_zone(dane_rows[i].zone);
        check_row(&dane_rows[i], &m);
        world_close();
    }
}

/* An MX that is an alias: the name it leads to comes first, then its own, which also counts when only the alias is signed. */
#define ALIAS "x.test MX 10 alias.test\nalias.test CNAME mx1.test\nmx1.test A 192.0.2.1\n"

static void dane_of_an_alias(void **state)
{
    static const struct row rows[] = {
        {TLSA "3 1 1 good\n", "", T, false, false, DELIVERY_RELAYED, "taken", "dane: signed TLSA records of mx1.test", "mx1.test", 1, 1},
        {"_25._tcp.alias.test TLSA 3 1 1 good\n", "", T, false, false, DELIVERY_RELAYED, "taken", "dane: signed TLSA records of alias.test", "alias.test", 1, 1},
        {"_25._tcp.alias.test TLSA 3 1 1 good\n", " mx1.test ", T, true, false, DELIVERY_DEFERRED, "4.7.5 TLS failed", "dane: ", "alias.test", 0, 0},
        {"_25._tcp.alias.test TLSA 3 1 1 good\n", " mx1.test alias.test ", T, true, true, DELIVERY_RELAYED, "taken", "none: ", NULL, 1, 0},
        {TLSA "3 1 1 good\n_25._tcp.alias.test FAIL\n", "", T, false, false, DELIVERY_RELAYED, "taken", "dane: ", "mx1.test", 1, 1},
        {"_25._tcp.mx1.test FAIL\n_25._tcp.alias.test TLSA 3 1 1 good\n", "", T, false, false, DELIVERY_DEFERRED, "4.7.5", "dane: ", NULL, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct msg_deliver_remote m = world_message("x.test");

        open_zone("");
        snprintf(world.zone, sizeof world.zone, ALIAS "%s", rows[i].zone);
        check_row(&rows[i], &m);
        world_close();
    }
}

/* One server is put off, the other one takes it; the destination is asked for anew soon. */
static void the_other_server_takes_it(void **state)
{
    struct server *a, *b;
    uint64_t id;

    (void)state;
    open_zone("_25._tcp.mx1.test FAIL\nx.test MX 20 mx2.test\nmx2.test A 192.0.2.2\n_25._tcp.mx2.test TLSA 3 1 1 good\n");
    a = world_server("192.0.2.1", T);
    b = world_server("192.0.2.2", T);
    id = world_send("x.test", "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_int_equal(a->connections, 0);
    assert_int_equal(b->secure_messages, 1);
    world_close();
}

/* A connection of a domain whose MX records are not signed is not good enough for one whose are. */
static void a_connection_is_shared_where_it_fits(void **state)
{
    struct server *a;
    uint64_t id;

    (void)state;
    open_zone(TLSA "3 1 1 good\ny.test MX 10 mx1.test\nz.test MX 10 mx1.test\n");
    snprintf(world.unsigned_names, sizeof world.unsigned_names, " y.test ");
    a = world_server("192.0.2.1", T);
    a->broken_tls = true;
    id = world_send("y.test", "r@y.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    a->broken_tls = false;
    assert_int_equal(a->connections, 2); /* TLS, then plain */
    id = world_send("x.test", "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_int_equal(a->connections, 3);
    assert_int_equal(a->secure_messages, 1);
    id = world_send("z.test", "r@z.test");
    world_run();
    assert_int_equal(a->connections, 3); /* that one has shown the same certificate */
    id = world_send("y.test", "r@y.test");
    world_run();
    assert_string_equal(world_result(id, 0)->policy, "none: MX records not signed by DNSSEC, no MTA-STS policy");
    assert_int_equal(a->messages, 4);
    world_close();
}

static void requiretls_with_dane(void **state)
{
    static const struct row rows[] = {
        {TLSA "3 1 1 good\n", "", T "|REQUIRETLS", false, false, DELIVERY_RELAYED, "taken", "requiretls: signed TLSA records", "mx1.test", 1, 1},
        {TLSA "3 1 1 good\n", "", T "|REQUIRETLS", true, false, DELIVERY_FAILED, "5.7.10", "requiretls: ", "mx1.test", 0, 0},
        {TLSA "0 1 1 good\n", "", T "|REQUIRETLS", true, false, DELIVERY_FAILED, "5.7.10", "requiretls: ", "mx1.test", 0, 0},
        {TLSA "3 1 1 good\n", "", T, false, false, DELIVERY_FAILED, "5.7.30", "requiretls: ", "mx1.test", 0, 0},
        {"_25._tcp.mx1.test FAIL\n", "", T "|REQUIRETLS", false, false, DELIVERY_DEFERRED, "4.7.5", "requiretls: ", NULL, 0, 0},
        {"", " x.test ", T "|REQUIRETLS", false, false, DELIVERY_FAILED, "5.7.10", "requiretls: ", NULL, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct msg_deliver_remote m = world_message("x.test");

        m.flags = TXN_REQUIRETLS;
        open_zone(rows[i].zone);
        check_row(&rows[i], &m);
        world_close();
    }
}

/* "TLS-Required: No": the policies are not obeyed; that of a route is. */
static void waived(void **state)
{
    static const struct row rows[] = {
        {TLSA "3 1 1 good\n", "", T, true, false, DELIVERY_RELAYED, "taken", "waived: ", NULL, 1, 1},
        {TLSA "3 1 1 good\n", "", T, false, true, DELIVERY_RELAYED, "taken", "waived: ", NULL, 1, 0},
        {"_25._tcp.mx1.test FAIL\n", "", "SIZE", false, false, DELIVERY_RELAYED, "taken", "waived: ", NULL, 1, 0},
        {"", "", "SIZE", false, false, DELIVERY_RELAYED, "taken", "none: ", NULL, 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct msg_deliver_remote m = world_message("x.test");

        m.flags = TXN_TLS_OPTIONAL;
        open_zone(rows[i].zone);
        check_row(&rows[i], &m);
        world_close();
    }
}

/* What a route says about TLS: `none` goes past DANE, the others are kept to beside it. */
static void routes(void **state)
{
    static const struct {
        enum route_tls tls;
        struct row row;
    } cases[] = {
        {TLS_NONE, {TLSA "3 1 1 good\n", "", T, true, false, DELIVERY_RELAYED, "taken", "route: the route says tls=none", NULL, 1, 0}},
        {TLS_REQUIRED, {TLSA "3 1 1 good\n", "", T, true, false, DELIVERY_DEFERRED, "4.7.5", "dane: ", NULL, 0, 0}},
        {TLS_VERIFIED, {TLSA "3 1 1 good\n", "", T, false, false, DELIVERY_RELAYED, "taken", "dane: ", NULL, 1, 1}},
        {TLS_VERIFIED, {TLSA "0 1 1 good\n", "", T, true, false, DELIVERY_DEFERRED, "4.7.5", "dane: ", NULL, 0, 0}},
        {TLS_REQUIRED, {"", "", T, true, false, DELIVERY_RELAYED, "taken", "route: the route says tls=required", NULL, 1, 1}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct msg_deliver_remote m = world_message("x.test");

        m.tls = cases[i].tls;
        open_zone(cases[i].row.zone);
        check_row(&cases[i].row, &m);
        world_close();
    }
}

static void switched_off(void **state)
{
    uint64_t id;

    (void)state;
    world_open("relay { dane = false }\n");
    world.secure_zone = true;
    snprintf(world.zone, sizeof world.zone, SERVERS TLSA "3 1 1 good\n");
    world_server("192.0.2.1", T)->bad_certificate = true;
    id = world_send("x.test", "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    assert_int_equal(world.lookups, 3);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dane),
        cmocka_unit_test(dane_of_an_alias),
        cmocka_unit_test(the_other_server_takes_it),
        cmocka_unit_test(a_connection_is_shared_where_it_fits),
        cmocka_unit_test(requiretls_with_dane),
        cmocka_unit_test(waived),
        cmocka_unit_test(routes),
        cmocka_unit_test(switched_off),
    };
    int failed = cmocka_run_group_tests_name("relay_tls", tests, NULL, NULL);

    tls_certificates_clear();
    return failed;
}
