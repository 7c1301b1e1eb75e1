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

/* A report about such a message must not get lost: it asks for REQUIRETLS where that is offered. */
static void requiretls_of_a_report(void **state)
{
    static const struct {
        const char *offers, *mail;
    } cases[] = {{T "|REQUIRETLS", "MAIL FROM:<> REQUIRETLS"}, {T, "MAIL FROM:<>"}, {"REQUIRETLS", "MAIL FROM:<>"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct msg_deliver_remote m = world_message("x.test");
        struct server *a;
        uint64_t id;

        m.flags = TXN_REQUIRETLS;
        m.sender = STR("");
        open_zone("");
        snprintf(world.unsigned_names, sizeof world.unsigned_names, " x.test ");
        a = world_server("192.0.2.1", cases[i].offers);
        id = world_deliver(&m, "r@x.test");
        world_run();
        expect(id, 0, DELIVERY_RELAYED, "taken");
        assert_string_equal(a->last_mail, cases[i].mail);
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

/* ---- MTA-STS ---- */

#define ENFORCE "version: STSv1\nmode: enforce\nmx: mx1.test\nmax_age: 86400\n"
#define OTHERS "version: STSv1\nmode: enforce\nmx: *.elsewhere.test\nmax_age: 86400\n"
#define TESTING "version: STSv1\nmode: testing\nmx: mx1.test\nmax_age: 86400\n"
#define TESTING_OTHERS "version: STSv1\nmode: testing\nmx: mx9.test\nmax_age: 86400\n"
#define NO_MODE "version: STSv1\nmode: none\nmax_age: 86400\n"

static void mta_sts(void **state)
{
    static const struct {
        const char *policy;
        struct row row;
    } cases[] = {
        {ENFORCE, {"", "", T, false, false, DELIVERY_RELAYED, "taken", "sts: an MTA-STS policy that allows mx1.test", "mx1.test", 1, 1}},
        {ENFORCE, {"", "", T, true, false, DELIVERY_DEFERRED, "4.7.5 TLS failed", "sts: ", NULL, 0, 0}},
        {ENFORCE, {"", "", "SIZE", false, false, DELIVERY_DEFERRED, "4.7.10 Encryption needed", "sts: ", NULL, 0, 0}},
        {ENFORCE, {"", "", T, false, true, DELIVERY_DEFERRED, "4.7.5 TLS failed", "sts: ", NULL, 0, 0}},
        {OTHERS, {"", "", T, false, false, DELIVERY_DEFERRED, "4.7.5 mx1.test is not among the servers of the MTA-STS policy", "sts: ", NULL, 0, 0}},
        {TESTING, {"", "", T, false, false, DELIVERY_RELAYED, "taken", "sts-testing: an MTA-STS policy that allows mx1.test", NULL, 1, 1}},
        {TESTING, {"", "", T, true, false, DELIVERY_RELAYED, "taken", "sts-testing: an MTA-STS policy that allows mx1.test; certificate-expired", NULL, 1, 1}},
        {TESTING, {"", "", "SIZE", false, false, DELIVERY_RELAYED, "taken", "sts-testing: an MTA-STS policy that allows mx1.test; starttls-not-supported", NULL, 1, 0}},
        {TESTING, {"", "", T, false, true, DELIVERY_RELAYED, "taken", "sts-testing: ", NULL, 1, 0}},
        {TESTING_OTHERS, {"", "", T, false, false, DELIVERY_RELAYED, "taken", "sts-testing: mx1.test is not among the servers", NULL, 1, 1}},
        {NO_MODE, {"", "", "SIZE", false, false, DELIVERY_RELAYED, "taken", "none: no signed TLSA records of mx1.test, MTA-STS policy of mode none", NULL, 1, 0}},
        {"rubbish", {"", "", "SIZE", false, false, DELIVERY_RELAYED, "taken", "none: ", NULL, 1, 0}},
        /* DANE goes before it */
        {OTHERS, {TLSA "3 1 1 good\n", "", T, false, false, DELIVERY_RELAYED, "taken", "dane: ", NULL, 1, 1}},
        {ENFORCE, {TLSA "3 1 1 good\n", "", T, true, false, DELIVERY_DEFERRED, "4.7.5", "dane: ", NULL, 0, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct msg_deliver_remote m = world_message("x.test");

        open_zone(cases[i].row.zone);
        world.policy = cases[i].policy;
        check_row(&cases[i].row, &m);
        world_close();
    }
}

/* MX records that are not signed will do for REQUIRETLS where a policy allows the server. */
static void requiretls_with_a_policy(void **state)
{
    static const struct {
        const char *policy;
        struct row row;
    } cases[] = {
        {ENFORCE, {"", " x.test ", T "|REQUIRETLS", false, false, DELIVERY_RELAYED, "taken", "requiretls: an MTA-STS policy", NULL, 1, 1}},
        {TESTING, {"", " x.test ", T "|REQUIRETLS", true, false, DELIVERY_FAILED, "5.7.10", "requiretls: ", NULL, 0, 0}},
        {TESTING_OTHERS, {"", " x.test ", T "|REQUIRETLS", false, false, DELIVERY_FAILED, "5.7.10", "requiretls: ", NULL, 0, 0}},
        {NO_MODE, {"", " x.test ", T "|REQUIRETLS", false, false, DELIVERY_FAILED, "5.7.10", "requiretls: ", NULL, 0, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct msg_deliver_remote m = world_message("x.test");

        m.flags = TXN_REQUIRETLS;
        open_zone(cases[i].row.zone);
        world.policy = cases[i].policy;
        check_row(&cases[i].row, &m);
        world_close();
    }
}

/* events is asked with what DNS says of the record, also when there is none; while it is away a domain with a record waits. */
static void events_is_asked(void **state)
{
    static const struct {
        const char *zone, *question;
    } cases[] = {{"", "x.test 0 "}, {"_mta-sts.x.test FAIL\n", "x.test 2 "}, {"_mta-sts.x.test TXT v=STSv1; id=20260101;\n", "x.test 1 20260101"},
        {"_mta-sts.x.test TXT v=spf1 -all\n", "x.test 0 "}};
    uint64_t id;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_zone(cases[i].zone);
        world_server("192.0.2.1", T);
        id = world_send("x.test", "r@x.test");
        world_run();
        expect(id, 0, DELIVERY_RELAYED, "taken");
        assert_string_equal(world.last_policy, cases[i].question);
        assert_int_equal(world.policy_questions, 1);
        world_close();
    }
}

static void events_dies(void **state)
{
    struct server *a;
    uint64_t id;

    (void)state;
    open_zone("_mta-sts.x.test TXT v=STSv1; id=1;\n");
    a = world_server("192.0.2.1", "SIZE");
    world.policy = ENFORCE;
    world.events_silent = true;
    id = world_send("x.test", "r@x.test");
    world_run();
    world_events(false);
    world_run();
    assert_false(world_has_result(id, 0));
    world.events_silent = false;
    world_events(true); /* it is asked again */
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.7.10");
    world_events(false);
    id = world_send("x.test", "r@x.test"); /* the plan is there still */
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.7.10");
    world_pass(100 * SECOND);
    id = world_send("x.test", "r@x.test");
    world_run();
    assert_false(world_has_result(id, 0));
    world_pass(61 * SECOND);
    expect(id, 0, DELIVERY_DEFERRED, "4.4.3 the look-up of x.test took too long");
    assert_int_equal(a->messages, 0);
    world_close();
}

/* Without a record in DNS and without events, the policy of the plan before still counts. */
static void events_away_and_no_record(void **state)
{
    uint64_t id;

    (void)state;
    open_zone("y.test MX 10 mx1.test\n");
    world_server("192.0.2.1", "SIZE");
    world.policy = ENFORCE;
    id = world_send("x.test", "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.7.10");
    world_events(false);
    world_pass(100 * SECOND);
    id = world_send("x.test", "r@x.test");
    world_run();
    expect(id, 0, DELIVERY_DEFERRED, "4.7.10");
    id = world_send("y.test", "r@y.test");
    world_run();
    expect(id, 0, DELIVERY_RELAYED, "taken");
    world_close();
}

/* What is told for the reports of RFC 8460: once a session, for domains with a policy. type 1: MTA-STS, 2: DANE. */
static void results_are_told(void **state)
{
    static const struct {
        const char *policy, *told;
        uint64_t failure;
        struct row row;
    } cases[] = {
        {NULL, "", 0, {"", "", T, false, false, DELIVERY_RELAYED, "taken", "none: ", NULL, 1, 1}},
        {NULL, "x.test 2 ok mx1.test 192.0.2.1 -;", 0, {TLSA "3 1 1 good\n", "", T, false, false, DELIVERY_RELAYED, "taken", "dane: ", NULL, 1, 1}},
        {NULL, "x.test 2 validation-failure mx1.test 192.0.2.1 -;", 0, {TLSA "3 1 1 good\n", "", T, true, false, DELIVERY_DEFERRED, "4.7.5", "dane: ", NULL, 0, 0}},
        {NULL, "x.test 2 starttls-not-supported mx1.test 192.0.2.1 -;", 0, {TLSA "3 1 1 good\n", "", "SIZE", false, false, DELIVERY_DEFERRED, "4.7.10", "dane: ", NULL, 0, 0}},
        {NULL, "x.test 2 dnssec-invalid mx1.test - -;", 0, {"_25._tcp.mx1.test FAIL\n", "", T, false, false, DELIVERY_DEFERRED, "4.7.5", "dane: ", NULL, 0, 0}},
        {ENFORCE, "x.test 1 ok mx1.test 192.0.2.1 -;", 0, {"", "", T, false, false, DELIVERY_RELAYED, "taken", "sts: ", NULL, 1, 1}},
        {ENFORCE, "x.test 1 certificate-expired mx1.test 192.0.2.1 -;", 0, {"", "", T, true, false, DELIVERY_DEFERRED, "4.7.5", "sts: ", NULL, 0, 0}},
        {ENFORCE, "x.test 1 validation-failure mx1.test 192.0.2.1 -;", 0, {"", "", T, false, true, DELIVERY_DEFERRED, "4.7.5", "sts: ", NULL, 0, 0}},
        {OTHERS, "x.test 1 validation-failure mx1.test - -;", 0, {"", "", T, false, false, DELIVERY_DEFERRED, "4.7.5", "sts: ", NULL, 0, 0}},
        {TESTING, "x.test 1 certificate-expired mx1.test 192.0.2.1 -;", 0, {"", "", T, true, false, DELIVERY_RELAYED, "taken", "sts-testing: ", NULL, 1, 1}},
        {TESTING, "x.test 1 starttls-not-supported mx1.test 192.0.2.1 -;", 0, {"", "", "SIZE", false, false, DELIVERY_RELAYED, "taken", "sts-testing: ", NULL, 1, 0}},
        {TESTING, "x.test 1 validation-failure mx1.test 192.0.2.1 -;", 0, {"", "", T, false, true, DELIVERY_RELAYED, "taken", "sts-testing: ", NULL, 1, 0}},
        {TESTING_OTHERS, "x.test 1 validation-failure mx1.test 192.0.2.1 -;", 0, {"", "", T, false, false, DELIVERY_RELAYED, "taken", "sts-testing: ", NULL, 1, 1}},
        {NULL, "x.test 1 sts-policy-fetch-error - - -;", TLS_STS_FETCH_ERROR, {"", "", T, false, false, DELIVERY_RELAYED, "taken", "none: ", NULL, 1, 1}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct msg_deliver_remote m = world_message("x.test");

        open_zone(cases[i].row.zone);
        world.policy = cases[i].policy;
        world.policy_failure = cases[i].failure;
        check_row(&cases[i].row, &m);
        if (strcmp(world.tls_results, cases[i].told) != 0)
            fail_msg("case %zu: \"%s\" instead of \"%s\"", i, world.tls_results, cases[i].told);
        world_close();
    }
}

static void switched_off(void **state)
{
    uint64_t id;

    (void)state;
    world_open("relay { dane = false mta_sts = false }\n");
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
        cmocka_unit_test(requiretls_of_a_report),
        cmocka_unit_test(waived),
        cmocka_unit_test(routes),
        cmocka_unit_test(mta_sts),
        cmocka_unit_test(requiretls_with_a_policy),
        cmocka_unit_test(events_is_asked),
        cmocka_unit_test(events_dies),
        cmocka_unit_test(events_away_and_no_record),
        cmocka_unit_test(results_are_told),
        cmocka_unit_test(switched_off),
    };
    int failed = cmocka_run_group_tests_name("relay_tls", tests, NULL, NULL);

    tls_certificates_clear();
    return failed;
}
