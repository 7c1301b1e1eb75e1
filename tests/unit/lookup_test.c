/* What the directory answers: recipients, senders, destinations, limits and logins. */
#include "directory_world.h"

#include "roles/directory/login.h"
#include "roles/directory/password.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

/* ---- recipients ---- */

static void recipients(void **state)
{
    static const struct {
        const char *address;
        enum rcpt_result result;
        const char *text;
    } asks[] = {
        {"anna@example.org", RCPT_LOCAL, "2.1.5"},
        {"ANNA@EXAMPLE.ORG", RCPT_LOCAL, "2.1.5"},
        {"\"anna\"@example.org", RCPT_LOCAL, "2.1.5"},
        {"anna+shop@example.org", RCPT_LOCAL, "2.1.5"},
        {"sales@example.org", RCPT_LOCAL, "2.1.5"},
        {"sales+x@example.org", RCPT_LOCAL, "2.1.5"},
        {"nobody@example.org", RCPT_UNKNOWN, "5.1.1"},
        {"nobody+anna@example.org", RCPT_UNKNOWN, "5.1.1"},
        {"+anna@example.org", RCPT_UNKNOWN, "5.1.1"},
        {"robot@example.org", RCPT_UNKNOWN, "5.1.1"},
        {"anything@second.example", RCPT_LOCAL, "2.1.5"},
        {"x@backup.example", RCPT_BACKUP, "2.1.5"},
        {"x@elsewhere.example", RCPT_REMOTE, "2.1.5"},
        {"postmaster", RCPT_LOCAL, "2.1.5"},
        {"Postmaster@example.org", RCPT_LOCAL, "2.1.5"},
        {"anna", RCPT_UNKNOWN, "5.1.1"},
        {"not an address", RCPT_UNKNOWN, "5.1.3"},
    };

    (void)state;
    for (int round = 0; round < 2; round++) /* the second one from the cache */
        for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++)
            if (rcpt_of(asks[i].address, 0, true) != asks[i].result ||
                strncmp(said, asks[i].text, strlen(asks[i].text)) != 0)
                fail_msg("%s: %s", asks[i].address, said);
}

static void idn_domains_are_one(void **state)
{
    (void)state;
    must("domain add b\xc3\xbc"
         "cher.example");
    must("account add j\xc3\xb6rg@b\xc3\xbc"
         "cher.example");
    assert_int_equal(rcpt_of("j\xc3\xb6rg@xn--bcher-kva.example", 0, true), RCPT_LOCAL);
    assert_int_equal(rcpt_of("j\xc3\xb6rg@B\xc3\x9c"
                             "CHER.example",
                         0, true),
        RCPT_LOCAL);
    assert_int_equal(rcpt_of("jorg@b\xc3\xbc"
                             "cher.example",
                         0, true),
        RCPT_UNKNOWN);
}

static void changes_are_seen_at_once(void **state)
{
    (void)state;
    assert_int_equal(rcpt_of("new@example.org", 0, true), RCPT_UNKNOWN);
    must("account add new@example.org");
    assert_int_equal(rcpt_of("new@example.org", 0, true), RCPT_LOCAL);
    must("account set new@example.org enabled=no");
    assert_int_equal(rcpt_of("new@example.org", 0, true), RCPT_DISABLED);
    must("account remove new@example.org");
    assert_int_equal(rcpt_of("new@example.org", 0, true), RCPT_UNKNOWN);
    must("domain set example.org enabled=no");
    assert_int_equal(rcpt_of("anna@example.org", 0, true), RCPT_DISABLED);
    must("domain set example.org enabled=yes catch_all=any@outside.example");
    assert_int_equal(rcpt_of("nobody@example.org", 0, true), RCPT_LOCAL);
    must("domain set example.org catch_all=");
    assert_int_equal(rcpt_of("nobody@example.org", 0, true), RCPT_UNKNOWN);
}

static void separator_is_configured(void **state)
{
    (void)state;
    configure("hostname = \"mail.test\"\nsubaddress_separator = \"-\"\n");
    assert_int_equal(rcpt_of("anna-shop@example.org", 0, true), RCPT_LOCAL);
    assert_int_equal(rcpt_of("anna+shop@example.org", 0, true), RCPT_UNKNOWN);
    configure("hostname = \"mail.test\"\nsubaddress_separator = \"\"\n");
    assert_int_equal(rcpt_of("anna-shop@example.org", 0, true), RCPT_UNKNOWN);
    configure("hostname = \"mail.test\"\n");
}

static void hourly_limits(void **state)
{
    (void)state;
    must("account set anna@example.org messages_per_hour=2 recipients_per_hour=3");
    must("credential add app account=anna@example.org password=x messages_per_hour=1");
    assert_int_equal(rcpt_of("x@far.example", 1, true), RCPT_REMOTE);
    assert_int_equal(rcpt_of("nobody@example.org", 1, false), RCPT_UNKNOWN); /* not charged */
    assert_int_equal(rcpt_of("y@far.example", 1, false), RCPT_REMOTE);
    assert_int_equal(rcpt_of("bob@example.org", 1, true), RCPT_LOCAL);
    assert_int_equal(rcpt_of("bob@example.org", 1, true), RCPT_LIMITED);
    assert_non_null(strstr(said, "4.7.1"));
    assert_non_null(strstr(said, "2 messages"));
    assert_int_equal(rcpt_of("bob@example.org", 1, false), RCPT_LIMITED);
    assert_non_null(strstr(said, "3 recipients"));
    must("account set anna@example.org messages_per_hour=none recipients_per_hour=none");
    assert_int_equal(rcpt_of("bob@example.org", 1, true), RCPT_LOCAL);
    assert_int_equal(rcpt_of("bob@example.org", 4, true), RCPT_LOCAL); /* the credential */
    assert_int_equal(rcpt_of("bob@example.org", 4, true), RCPT_LIMITED);
    assert_int_equal(rcpt_of("bob@example.org", 99, true), RCPT_LIMITED); /* removed */
}

static void limits_recover_slowly(void **state)
{
    struct hourly l;
    int64_t now = 100 * HOUR;

    (void)state;
    hourly_init(&l);
    hourly_charge(&l, 7, 1, 5, now);
    hourly_charge(&l, 7, 0, 5, now + 30 * MINUTE);
    assert_int_equal(hourly_used(&l, 7, now + 30 * MINUTE).recipients, 10);
    assert_int_equal(hourly_used(&l, 7, now + 61 * MINUTE).recipients, 5);
    assert_int_equal(hourly_used(&l, 7, now + 61 * MINUTE).messages, 0);
    assert_int_equal(hourly_used(&l, 7, now + 200 * MINUTE).recipients, 0);
    for (int64_t i = 0; i < HOURLY_MAX + 10; i++)
        hourly_charge(&l, 1000 + i, 1, 1, now);
    assert_int_equal(l.map.count, HOURLY_MAX);
    hourly_clear(&l);
}

/* ---- senders ---- */

static void senders(void **state)
{
    static const struct {
        int64_t account;
        const char *address;
        bool allowed;
    } asks[] = {
        {1, "anna@example.org", true},
        {1, "ANNA@Example.org", true},
        {1, "anna+tag@example.org", true},
        {1, "sales@example.org", true},
        {1, "sales+q@example.org", true},
        {1, "", true},
        {1, "bob@example.org", false},
        {1, "anna@second.example", false},
        {1, "anna@outside.example", false},
        {2, "sales@example.org", false},
        {3, "robot@example.org", true},
        {99, "anna@example.org", false},
        {0, "anybody@anywhere.example", true},
        {1, "no address", false},
    };
    struct err err = {0};
    bool allowed;

    (void)state;
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        assert_true(
            lookup_sender(&lookup, asks[i].account, str_of(asks[i].address), &allowed, &err));
        if (allowed != asks[i].allowed)
            fail_msg("%d as %s", (int)asks[i].account, asks[i].address);
    }
    must("account set bob@example.org send_as=domain");
    must("credential add site domain=example.org password=x");
    must("credential add box account=anna@example.org password=x");
    assert_true(lookup_sender(&lookup, 2, STR("anybody@example.org"), &allowed, &err) && allowed);
    assert_true(
        lookup_sender(&lookup, 2, STR("anybody@second.example"), &allowed, &err) && !allowed);
    assert_true(lookup_sender(&lookup, 4, STR("shop@example.org"), &allowed, &err) && allowed);
    assert_true(lookup_sender(&lookup, 4, STR("shop@second.example"), &allowed, &err) && !allowed);
    assert_true(lookup_sender(&lookup, 5, STR("anna@example.org"), &allowed, &err) && allowed);
    assert_true(lookup_sender(&lookup, 5, STR("bob@example.org"), &allowed, &err) && !allowed);
    must("credential set site enabled=no");
    assert_true(lookup_sender(&lookup, 4, STR("shop@example.org"), &allowed, &err) && !allowed);
    must("account set bob@example.org send_as=any");
    assert_true(lookup_sender(&lookup, 2, STR("x@anywhere.example"), &allowed, &err) && allowed);
    must("account set bob@example.org enabled=no");
    assert_true(lookup_sender(&lookup, 2, STR("bob@example.org"), &allowed, &err) && !allowed);
}

/* ---- destinations ---- */

static void destinations(void **state)
{
    (void)state;
    goes("Anna@Example.ORG", "", "local 1 anna@example.org");
    goes("anna+Tag@example.org", "", "local 1 anna+tag@example.org");
    goes("sales@example.org", "", "expand anna@example.org Bob.B@outside.example ");
    goes("whoever@second.example", "", "local 1 anna@example.org");
    goes("nobody@example.org", "", "fail 5.1.1 No such user here");
    goes("x@far.example", "anna@example.org", "remote mx  tls=0 cred=0 pool=");
    goes("x@backup.example", "", "remote mx  tls=0 cred=0 pool=");
    goes("postmaster@example.org", "", "local 1 anna@example.org");
    goes("postmaster", "", "local 1 anna@example.org");
    must("domain set second.example catch_all=Them@outside.example");
    goes("whoever@second.example", "", "expand Them@outside.example ");
    must("account set anna@example.org enabled=no");
    goes("anna@example.org", "", "fail 5.2.1 This mailbox is switched off");
}

static void aliases_of_aliases(void **state)
{
    (void)state;
    must("alias add a@example.org b@example.org c@example.org bob@example.org");
    must("alias add b@example.org c@example.org anna@example.org x@outside.example");
    must("alias add c@example.org bob+c@example.org X@outside.example");
    goes("a@example.org", "",
        "expand bob@example.org anna@example.org x@outside.example bob+c@example.org ");
    refuses("alias add d@example.org d@example.org", EX_DATAERR, "itself");
    must("alias add e@example.org f@example.org");
    refuses("alias add f@example.org e@example.org", EX_DATAERR, "only to itself");
    must("alias add f@example.org e@example.org bob@example.org"); /* a loop with a way out */
    goes("e@example.org", "", "expand bob@example.org ");
    refuses("account remove bob@example.org", EX_DATAERR, "--force");
    must("account remove bob@example.org force=yes");
    goes("e@example.org", "", "fail 5.4.6 The alias leads only to itself");
    must("alias set a@example.org enabled=no");
    goes("a@example.org", "", "fail 5.2.1 This mailbox is switched off");
}

static void an_account_keeps_a_copy_and_forwards(void **state)
{
    (void)state;
    refuses("alias add anna@example.org x@outside.example", EX_CANTCREAT, "among the targets");
    must("alias add anna@example.org Anna@example.org x@outside.example");
    goes("anna@example.org", "", "expand anna@example.org x@outside.example ");
    goes("anna+tag@example.org", "", "expand anna@example.org x@outside.example ");
    assert_string_equal(destination("anna@example.org", "", EXPANDED), "local 1 anna@example.org");
    must("alias add list@example.org anna@example.org bob@example.org");
    goes("list@example.org", "", "expand anna@example.org bob@example.org x@outside.example ");
    must("account set anna@example.org quota=1M");
    must("alias set anna@example.org enabled=no");
    goes("anna@example.org", "", "local 1 anna@example.org");
    must("alias set anna@example.org enabled=yes");
    refuses("alias set anna@example.org y@outside.example", EX_CANTCREAT, "among the targets");
    refuses("alias remove anna@example.org to=anna@example.org", EX_CANTCREAT, "among the targets");
    goes("anna@example.org", "", "expand anna@example.org x@outside.example ");
    must("account set anna@example.org enabled=no");
    goes("anna@example.org", "", "fail 5.2.1 This mailbox is switched off");
    must("account set anna@example.org enabled=yes");
    must("alias remove anna@example.org");
    goes("anna@example.org", "", "local 1 anna@example.org");
    must("alias add anna@example.org anna@example.org x@outside.example");
    must("account remove anna@example.org force=yes");
    goes("anna@example.org", "", "expand x@outside.example ");
}

static void deep_and_wide_aliases_are_bounded(void **state)
{
    char line[200];

    (void)state;
    for (int i = 14; i >= 0; i--) {
        snprintf(line, sizeof line,
            i == 14 ? "alias add deep%d@example.org bob@example.org"
                    : "alias add deep%d@example.org deep%d@example.org",
            i, i + 1);
        if (i > 4)
            must(line);
        else
            say(line);
    }
    goes("deep6@example.org", "", "expand bob@example.org ");
    refuses("alias add deepest@example.org deep5@example.org", EX_DATAERR, "too deeply");
    must("alias add wide@example.org t0@outside.example");
    for (int i = 1; i < EXPAND_TARGETS; i += 20) {
        struct err err = {0};
        struct str values[3] = {STR("wide@example.org")};

        for (int k = i; k < i + 20; k++) {
            snprintf(line, sizeof line, "t%d@outside.example", k);
            values[1] = values[2] = str_of(line);
            assert_true(store_run(&store, SQL_TARGET_PUT, values, 3, &err));
        }
    }
    assert_non_null(strstr(destination("wide@example.org", "", 0), "too many addresses"));
}

static void routes_and_pools(void **state)
{
    (void)state;
    must("route add recipient:far.example smtp 10.0.0.1:2525 smart.example tls=required login=me "
         "password=pw");
    must("route add sender:example.org smtp [2001:db8::1]:26 tls=none");
    must("route add class:bulk lmtp 10.0.0.2");
    must("route add recipient:* mx tls=verified");
    must("route add recipient:gone.example fail text=5.7.1~Not~there");
    must("route add recipient:void.example discard");
    must("pool add Out 192.0.2.1 weight=10 ehlo=out1.example.org");
    must("pool add out 2001:DB8::2");
    assert_int_equal(pools_sent, 2);
    must("pool bind sender:example.org out");
    must("pool add bulk 192.0.2.9");
    must("pool bind class:bulk bulk");
    goes("x@far.example", "anna@example.org",
        "remote smtp 10.0.0.1:2525 smart.example:25 tls=2 cred=1 pool=out");
    goes(
        "x@near.example", "anna@example.org", "remote smtp [2001:db8::1]:26 tls=1 cred=0 pool=out");
    goes("x@near.example", "who@second.example", "remote mx  tls=3 cred=0 pool=");
    goes("x@near.example", "", "remote mx  tls=3 cred=0 pool=");
    assert_string_equal(
        destination("x@near.example", "", 1), "remote lmtp 10.0.0.2:24 tls=0 cred=0 pool=bulk");
    goes("x@gone.example", "", "fail 5.7.1 Not there");
    goes("x@void.example", "", "discard 2.0.0 Discarded as a route says");
    goes("anna@example.org", "x@y.example", "local 1 anna@example.org");
    must("route add recipient:example.org lmtp 127.0.0.1:2424"); /* another store for a local domain
                                                                  */
    goes("anna@example.org", "x@y.example", "remote lmtp 127.0.0.1:2424 tls=0 cred=0 pool=");
    goes("nobody@example.org", "", "fail 5.1.1 No such user here");
    must("route remove recipient:example.org");
    goes("anna@example.org", "x@y.example", "local 1 anna@example.org");
    must("route set recipient:far.example login= password= tls=none");
    goes("x@far.example", "", "remote smtp 10.0.0.1:2525 smart.example:25 tls=1 cred=0 pool=");
    must("pool list");
    assert_int_equal(row_count, 3);
    assert_true(shown("2001:db8::2") && shown("\"bound\":\"sender:example.org\""));
    must("pool show out");
    assert_int_equal(row_count, 2);
    must("pool bindings");
    assert_int_equal(row_count, 2);
    must("pool remove out 192.0.2.1");
    refuses("pool remove out", EX_DATAERR, "unbind");
    must("pool unbind sender:example.org");
    must("pool remove out");
    must("pool list");
    assert_int_equal(row_count, 1);
    pools_sent = 0;
}

static void postmaster_reaches_somebody(void **state)
{
    (void)state;
    must("alias add postmaster@example.org bob@example.org");
    goes("postmaster", "", "expand bob@example.org ");
    goes("postmaster@second.example", "", "expand bob@example.org ");
    configure("hostname = \"mail.test\"\npostmaster = \"Boss@outside.example\"\n");
    goes("postmaster@second.example", "", "expand Boss@outside.example ");
    goes("postmaster@example.org", "", "expand bob@example.org ");
    configure(
        "hostname = \"mail.test\"\npostmaster = \"postmaster@second.example\"\n"); /* points at
                                                                                      itself */
    goes("postmaster@second.example", "", "expand bob@example.org ");
    configure("hostname = \"mail.test\"\n");
    must("alias remove postmaster@example.org");
    must("alias remove sales@example.org");
    must("account remove anna@example.org");
    must("account remove bob@example.org");
    assert_int_equal(rcpt_of("postmaster@example.org", 0, true), RCPT_LOCAL);
    goes("postmaster@example.org", "",
        "later 4.2.1 There is no account yet that could get the postmaster's mail");
}

/* ---- logins ---- */

static void logins(void **state)
{
    static uint8_t secret[32] = {1};
    struct sasl_login login, again;
    struct err err = {0};

    (void)state;
    must("credential add App1 account=anna@example.org password=beep");
    must("credential add site@example.org domain=example.org password=beep");
    assert_true(login_find(&store, secret, STR("ANNA@example.org"), &login, &err));
    assert_int_equal(login.principal, 1);
    assert_int_equal(login.rights, AUTH_MAY_SEND | AUTH_MAY_READ);
    assert_true(login.enabled);
    assert_true(login_find(&store, secret, STR("robot@example.org"), &login, &err));
    assert_int_equal(login.rights, AUTH_MAY_SEND);
    assert_true(login_find(&store, secret, STR("aPP1"), &login, &err));
    assert_int_equal(login.principal, 4);
    assert_int_equal(login.rights, AUTH_MAY_SEND);
    assert_true(login_find(&store, secret, STR("site@example.org"), &login, &err));
    assert_int_equal(login.principal, 5);
    assert_true(
        login_find(&store, secret, STR("bob@example.org"), &login, &err)); /* has no password */
    assert_int_equal(login.principal, 0);
    assert_true(login_find(&store, secret, STR("nobody@example.org"), &login, &err));
    assert_true(login_find(&store, secret, STR("Nobody@example.org"), &again, &err));
    assert_int_equal(login.principal, 0);
    assert_string_equal(login.verifier.salt, again.verifier.salt);
    assert_true(login.verifier.iterations == PASSWORD_ITERATIONS && login.verifier.stored[0] != 0);
    must("account set anna@example.org enabled=no");
    assert_true(login_find(&store, secret, STR("app1"), &login, &err) && !login.enabled &&
                login.principal == 4);
    must("account set anna@example.org enabled=yes");
    must("domain set example.org enabled=no");
    assert_true(login_find(&store, secret, STR("app1"), &login, &err) && !login.enabled);
}

static void failing_database_is_temporary(void **state)
{
    struct err err = {0};
    bool allowed;

    (void)state;
    lookup_changed(&lookup);
    for (int i = 0; i < SQL_COUNT; i++) {
        stmt_free(store.statements[i]);
        store.statements[i] = NULL;
    }
    /* A transaction that SQLite has ended makes every statement fail. */
    assert_true(db_begin(store.db, &err));
    assert_true(db_exec(store.db, "ROLLBACK", &err));
    assert_int_equal(rcpt_of("anna@example.org", 0, true), RCPT_TEMPFAIL);
    assert_non_null(strstr(said, "4.3.0"));
    goes("anna@example.org", "", "later 4.3.0 The directory cannot answer now");
    assert_false(lookup_sender(&lookup, 1, STR("anna@example.org"), &allowed, &err));
    db_rollback(store.db);
    assert_int_equal(rcpt_of("anna@example.org", 0, true), RCPT_LOCAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, directory_begin, directory_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(recipients),
        TEST(idn_domains_are_one),
        TEST(changes_are_seen_at_once),
        TEST(separator_is_configured),
        TEST(hourly_limits),
        TEST(limits_recover_slowly),
        TEST(senders),
        TEST(destinations),
        TEST(aliases_of_aliases),
        TEST(an_account_keeps_a_copy_and_forwards),
        TEST(deep_and_wide_aliases_are_bounded),
        TEST(routes_and_pools),
        TEST(postmaster_reaches_somebody),
        TEST(logins),
        TEST(failing_database_is_temporary),
    };

    return cmocka_run_group_tests_name("lookup", tests, directory_open, directory_close);
}
