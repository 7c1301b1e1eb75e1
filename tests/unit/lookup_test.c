/* The directory's answers and commands on a temporary database: a table of commands, then
 * questions. */
#include "roles/directory/command.h"
#include "roles/directory/login.h"
#include "roles/directory/password.h"

#include "base/clock.h"
#include "base/json.h"
#include "fault_vfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = P_tmpdir "/lookup_test.XXXXXX";
static struct store store;
static struct lookup lookup;
static struct config *config;
static struct buf rows;
static int row_count;
static int64_t changed, removed;
static int pools_sent;

static void on_row(void *arg, struct str json)
{
    (void)arg;
    row_count++;
    buf_add(&rows, json);
    buf_add_char(&rows, '\n');
}

static void on_account(void *arg, int64_t account, bool gone)
{
    (void)arg;
    *(gone ? &removed : &changed) = account;
}

static void on_pools(void *arg)
{
    (void)arg;
    pools_sent++;
}

static const struct command_world world = {NULL, on_row, on_account, on_pools};
static char said[4200];

/* Runs "account add x@y quota=1G" with words split at blanks ('~' stands for a blank). */
static int say(const char *line)
{
    struct str rest = str_of(line), word;
    struct command c = {.store = &store, .lookup = &lookup, .world = &world, .room = CONTROL_ROWS};
    struct buf args, text;
    int code;

    buf_init(&args, 4000);
    buf_init(&text, 4096);
    buf_reset(&rows);
    row_count = 0;
    str_next_word(&rest, &c.object);
    while (str_next_word(&rest, &word)) {
        for (size_t i = 0; i < word.n; i++)
            buf_add_char(&args, word.p[i] == '~' ? ' ' : word.p[i]);
        buf_add_char(&args, 0);
    }
    c.args = buf_str(&args);
    c.text = &text;
    do {
        code = command_run(&c);
        if (c.room == 0)
            c.room = CONTROL_ROWS;
    } while (c.more);
    snprintf(said, sizeof said, "%.*s", STR_ARG(buf_str(&text)));
    buf_clear(&args);
    buf_clear(&text);
    return code;
}

static void must(const char *line)
{
    if (say(line) != 0)
        fail_msg("%s: %s", line, said);
}

static void refuses(const char *line, int code, const char *words)
{
    int got = say(line);

    if (got != code || strstr(said, words) == NULL)
        fail_msg("%s: %d, expected %d %s: %s", line, got, code, words, said);
}

static bool shown(const char *what)
{
    return rows.n > 0 && str_ifind(buf_str(&rows), str_of(what)) >= 0;
}

static void configure(const char *text)
{
    struct err err = {0};

    config_free(config);
    config = NULL;
    if (!config_parse(&config, STR("test.conf"), str_of(text), &err))
        fail_msg("%s", err.text);
    lookup.config = config;
    lookup_changed(&lookup);
}

static int begin(void **state)
{
    struct err err = {0};
    char path[100];

    (void)state;
    snprintf(path, sizeof path, "%s/directory.db", folder);
    unlink(path);
    buf_init(&rows, 10 * 1024 * 1024);
    if (!store_open(&store, path, &err))
        fail_msg("%s", err.text);
    if (config == NULL && !config_parse(&config, STR("test.conf"),
                              STR("hostname = \"mail.test\"\ndata = \"/nowhere\"\n"), &err))
        fail_msg("%s", err.text);
    lookup_init(&lookup, &store, config);
    must("domain add example.org");
    must("domain add second.example catch_all=anna@example.org");
    must("domain add backup.example kind=backup-mx");
    must("account add Anna@example.org password=secret quota=1G");
    must("account add bob@example.org");
    must("account add robot@example.org kind=sending-only password=beep");
    must("alias add sales@example.org to=anna@example.org to=Bob.B@outside.example");
    return 0;
}

static int end(void **state)
{
    (void)state;
    lookup_clear(&lookup);
    store_close(&store);
    buf_clear(&rows);
    return 0;
}

/* ---- recipients ---- */

static enum rcpt_result rcpt_of(const char *address, int64_t account, bool first)
{
    enum rcpt_result result;
    struct buf text;

    buf_init(&text, IPC_TEXT);
    result = lookup_rcpt(&lookup, str_of(address), account, first, clock_monotonic(), &text);
    snprintf(said, sizeof said, "%.*s", STR_ARG(buf_str(&text)));
    buf_clear(&text);
    return result;
}

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

enum { EXPANDED = 2 };

/* "local 1 anna@example.org", "expand a b", "remote mx - pool", "fail 5.1.1 ..." */
static const char *destination(const char *address, const char *sender, int class)
{
    static const char *const kinds[] = {"mx", "smtp", "lmtp"};
    static char out[100000];
    struct resolved r;

    resolved_init(&r);
    lookup_resolve(&lookup, str_of(address), str_of(sender), class & 1, class & EXPANDED, &r);
    for (size_t i = 0; i < r.targets.n; i++)
        if (r.targets.p[i] == 0)
            r.targets.p[i] = ' ';
    if (r.result == RESOLVE_LOCAL)
        snprintf(out, sizeof out, "local %d %s", (int)r.account, r.address.p);
    else if (r.result == RESOLVE_REMOTE)
        snprintf(out, sizeof out, "remote %s %.*s tls=%d cred=%d pool=%.*s", kinds[r.kind],
            STR_ARG(buf_str(&r.hosts)), (int)r.tls, (int)r.credential, STR_ARG(name_str(&r.pool)));
    else if (r.result == RESOLVE_EXPAND)
        snprintf(out, sizeof out, "expand %.*s", STR_ARG(buf_str(&r.targets)));
    else
        snprintf(out, sizeof out, "%s %.*s",
            r.result == RESOLVE_DISCARD ? "discard"
            : r.result == RESOLVE_FAIL  ? "fail"
                                        : "later",
            STR_ARG(buf_str(&r.text)));
    resolved_clear(&r);
    return out;
}

static void goes(const char *address, const char *sender, const char *where)
{
    const char *got = destination(address, sender, 0);

    if (strcmp(got, where) != 0)
        fail_msg("%s from %s goes to \"%s\", expected \"%s\"", address, sender, got, where);
}

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
    refuses("account remove bob@example.org", EX_DATAERR, "force=yes");
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

/* ---- commands ---- */

static void command_errors(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *words;
    } wrong[] = {
        {"frob add", EX_USAGE, "no such command"},
        {"domain", EX_USAGE, "expected one of"},
        {"domain frob", EX_USAGE, "add, set, show, list, remove"},
        {"domain add", EX_USAGE, "usage"},
        {"domain add a b", EX_USAGE, "too many words"},
        {"domain add ok.example colour=red", EX_USAGE, "unknown option colour"},
        {"domain add ok.example kind=odd", EX_USAGE, "local, backup-mx"},
        {"domain add ok.example enabled=maybe", EX_USAGE, "yes or no"},
        {"domain add -x.example", EX_DATAERR, "no domain"},
        {"domain add x..example", EX_DATAERR, "no domain"},
        {"domain add a@b.example", EX_DATAERR, "no domain"},
        {"domain add [192.0.2.1]", EX_DATAERR, "no domain"},
        {"domain add example.org", EX_CANTCREAT, "exists already"},
        {"domain add ok.example catch_all=nothing", EX_DATAERR, "no domain"},
        {"domain add ok.example kind=backup-mx catch_all=a@b.example", EX_DATAERR, "catch_all"},
        {"domain show no.example", EX_NOHOST, "domain list"},
        {"domain remove example.org", EX_DATAERR, "3 accounts, 1 aliases"},
        {"domain set example.org kind=backup-mx", EX_DATAERR, "remove them"},
        {"account add x@no.example", EX_NOHOST, "staffetta domain add no.example"},
        {"account add x@backup.example", EX_DATAERR, "backup-mx"},
        {"account add x", EX_DATAERR, "user@domain"},
        {"account add x~y@example.org", EX_DATAERR, "no mail address"},
        {"account add "
         "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg@example.org",
            EX_DATAERR, ""},
        {"account add anna@EXAMPLE.org", EX_CANTCREAT, "exists already"},
        {"account add sales@example.org", EX_CANTCREAT, "is an alias"},
        {"account add x@example.org quota=lots", EX_USAGE, "500M"},
        {"account add x@example.org quota=99999999999999999999", EX_USAGE, "500M"},
        {"account add x@example.org messages_per_hour=-3", EX_USAGE, "none"},
        {"account add x@example.org send_as=king", EX_USAGE, "own, domain, any"},
        {"account add x@example.org password=", EX_DATAERR, "1 to"},
        {"account add x@example.org password=a\x01"
         "b",
            EX_DATAERR, "choose another"},
        {"account show y@example.org", EX_NOUSER, "account list"},
        {"account list limit=banana", EX_USAGE, "number"},
        {"alias add anna@example.org bob@example.org", EX_CANTCREAT, "is an account"},
        {"alias add x@example.org", EX_USAGE, "at least one"},
        {"alias add x@example.org y", EX_DATAERR, "user@domain"},
        {"alias add x@no.example y@z.example", EX_NOHOST, "domain add"},
        {"alias add sales@example.org bob@example.org", EX_CANTCREAT, "alias set"},
        {"alias set x@example.org bob@example.org", EX_NOUSER, "alias list"},
        {"credential add app password=x", EX_USAGE, "either"},
        {"credential add app account=anna@example.org domain=example.org password=x", EX_USAGE,
            "either"},
        {"credential add app account=anna@example.org", EX_USAGE, "password"},
        {"credential add app account=no@example.org password=x", EX_NOUSER, "account add"},
        {"credential add app domain=no.example password=x", EX_NOHOST, "domain add"},
        {"credential add anna@example.org domain=example.org password=x", EX_CANTCREAT,
            "is an account"},
        {"credential remove app", EX_NOUSER, "credential list"},
        {"route add recipient:x.example", EX_USAGE, "kind"},
        {"route add recipient:x.example teleport", EX_USAGE, "mx, smtp"},
        {"route add nonsense mx", EX_USAGE, "recipient:DOMAIN"},
        {"route add sender:* mx", EX_DATAERR, "no domain"},
        {"route add recipient:x.example smtp", EX_USAGE, "at least one HOST"},
        {"route add recipient:x.example smtp host:99999", EX_DATAERR, "no host"},
        {"route add recipient:x.example smtp [::1", EX_DATAERR, "no host"},
        {"route add recipient:x.example mx 10.0.0.1", EX_USAGE, "no hosts"},
        {"route add recipient:x.example smtp h.example login=a", EX_USAGE, "belong together"},
        {"route add recipient:x.example smtp h.example login=a password=b", EX_USAGE,
            "tls=verified"},
        {"route add recipient:x.example fail text=no", EX_USAGE, "enhanced code"},
        {"route remove recipient:x.example", EX_DATAERR, "route list"},
        {"pool add p", EX_USAGE, "which address"},
        {"pool add p nothing", EX_DATAERR, "IPv4"},
        {"pool add p 192.0.2.1 weight=heavy", EX_USAGE, "1000"},
        {"pool set p 192.0.2.1", EX_DATAERR, "pool add"},
        {"pool bind sender:example.org p", EX_DATAERR, "no pool"},
        {"pool bind recipient:x.example p", EX_USAGE, "expected sender:"},
        {"pool unbind class:bulk", EX_DATAERR, "bindings"},
        {"pool show p", EX_DATAERR, "pool list"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        refuses(wrong[i].line, wrong[i].code, wrong[i].words);
        assert_false(db_in_transaction(store.db));
    }
    must("domain list"); /* nothing of all that was kept */
    assert_int_equal(row_count, 3);
    must("account list");
    assert_int_equal(row_count, 3);
}

static void lists_have_pages(void **state)
{
    char line[100];
    struct command c = {.store = &store,
        .lookup = &lookup,
        .world = &world,
        .object = STR("account"),
        .args = {"list", 5}};
    struct err err = {0};
    struct buf text;
    int pages = 0;

    (void)state;
    assert_true(db_begin(store.db, &err));
    for (int i = 0; i < 450; i++) {
        struct account a = {.enabled = true};

        snprintf(line, sizeof line, "user%03d@second.example", i);
        name_set(&a.key, str_of(line));
        name_set(&a.address, str_of(line));
        name_set(&a.domain, STR("second.example"));
        assert_true(store_put_account(&store, &a, &err));
    }
    assert_true(db_commit(store.db, &err));
    must("account list");
    assert_int_equal(row_count, 453);
    must("account list domain=second.example");
    assert_int_equal(row_count, 450);
    must("account list user44");
    assert_int_equal(row_count, 10);
    must("account list limit=250");
    assert_int_equal(row_count, 250);
    buf_init(&text, 4096);
    buf_reset(&rows);
    c.text = &text;
    row_count = 0;
    do { /* never more than there is room for */
        int before = row_count;

        c.room = 100;
        assert_int_equal(command_run(&c), 0);
        assert_true(row_count - before <= 100);
        pages++;
    } while (c.more && pages < 20);
    assert_int_equal(row_count, 453);
    assert_int_equal(pages, 5);
    buf_clear(&text);
}

static void numbers_are_never_used_again(void **state)
{
    (void)state;
    must("account add first@example.org");
    assert_int_equal(changed, 4);
    must("account remove first@example.org");
    assert_int_equal(removed, 4);
    must("account add second@example.org");
    assert_int_equal(changed, 5);
    must("account show second@example.org");
    assert_true(shown("\"id\":5"));
}

static void nothing_secret_is_shown(void **state)
{
    (void)state;
    must("route add recipient:x.example smtp h.example tls=verified login=me password=topsecret");
    must("credential add app account=anna@example.org password=topsecret");
    must("route list");
    assert_false(shown("topsecret"));
    must("account list");
    assert_false(shown("argon"));
    must("credential list");
    assert_false(shown("argon") || shown("topsecret"));
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

/* ---- a disk that fails ---- */

static int64_t number(const char *sql)
{
    struct stmt *s = stmt_new(store.db, sql);
    struct err err = {0};
    int64_t n = stmt_row(s) ? column_int(s, 0) : -1;

    if (!stmt_done(s, &err))
        fail_msg("%s", err.text);
    stmt_free(s);
    return n;
}

static void reopen(void)
{
    struct err err = {0};
    char path[100];

    snprintf(path, sizeof path, "%s/directory.db", folder);
    lookup_clear(&lookup);
    store_close(&store);
    if (!store_open(&store, path, &err))
        fail_msg("%s", err.text);
    lookup_init(&lookup, &store, config);
    lookup_changed(&lookup);
}

/* Every command is done or not done, never half. */
static void check_whole(void)
{
    struct err err = {0};

    if (!db_check_integrity(store.db, &err))
        fail_msg("%s", err.text);
    assert_int_equal(
        number("SELECT count(*) FROM alias WHERE key NOT IN (SELECT alias FROM alias_target)"), 0);
    assert_int_equal(
        number("SELECT count(*) FROM alias_target WHERE alias NOT IN (SELECT key FROM alias)"), 0);
    assert_int_equal(
        number("SELECT count(*) FROM account WHERE id IN (SELECT id FROM removed_account)"), 0);
    assert_int_equal(number("SELECT count(*) FROM credential WHERE account <> 0 AND account NOT IN "
                            "(SELECT id FROM account)"),
        0);
    assert_int_equal(number("SELECT count(*) FROM account WHERE id > (SELECT last FROM sequence "
                            "WHERE name = 'principal')"),
        0);
}

static void every_write_fails_in_turn(void **state)
{
    static const char *const lines[] = {"account add f@example.org quota=1M",
        "alias add g@example.org f@example.org h@outside.example",
        "credential add c account=f@example.org password=x",
        "alias set g@example.org f@example.org i@outside.example", "pool add p 192.0.2.1",
        "pool bind class:bulk p", "route add class:bulk mx",
        "account remove f@example.org force=yes"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        int code = EX_TEMPFAIL;

        for (int n = 1; code != 0; n++) {
            fault_at(n, n % 2 == 0);
            code = say(lines[i]);
            fault_at(0, false);
            if (code != 0 && code != EX_TEMPFAIL && code != EX_CANTCREAT && code != EX_NOUSER)
                fail_msg("%s: %d %s", lines[i], code, said);
            assert_false(db_in_transaction(store.db));
            check_whole();
            reopen(); /* as after a crash: a commit that was not promised may have come about */
            check_whole();
            if (code == EX_CANTCREAT || code == EX_NOUSER)
                break;
        }
    }
    assert_int_equal(number("SELECT count(*) FROM account WHERE key = 'f@example.org'"), 0);
    goes("g@example.org", "", "expand i@outside.example ");
}

/* Statements are prepared when they are needed; a malformed one would end the process. */
static void every_statement_is_well_formed(void **state)
{
    (void)state;
    for (int i = 0; i < SQL_COUNT; i++)
        assert_non_null(store_stmt(&store, (enum store_statement)i));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

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
        TEST(command_errors),
        TEST(lists_have_pages),
        TEST(numbers_are_never_used_again),
        TEST(nothing_secret_is_shown),
        TEST(logins),
        TEST(every_write_fails_in_turn),
        TEST(failing_database_is_temporary),
        TEST(every_statement_is_well_formed),
    };
    char path[100];
    int failed;

    if (mkdtemp(folder) == NULL)
        return 1;
    fault_install();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    config_free(config);
    snprintf(path, sizeof path, "%s/directory.db", folder);
    unlink(path);
    rmdir(folder);
    return failed;
}
