/* staffetta.conf: what it means, and the exact words for each mistake. */
#include "base/clock.h"
#include "config/config.h"
#include "config/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define HOST "hostname = \"mail.example.org\"\n"

static struct config *parse(const char *text)
{
    struct config *c = NULL;
    struct err err = {0};

    if (!config_parse(&c, STR("t.conf"), str_of(text), &err))
        fail_msg("%s", err.text);
    return c;
}

static void assert_text(struct str got, const char *want)
{
    if (!str_eq(got, str_of(want)))
        fail_msg("got \"%.*s\", not \"%s\"", STR_ARG(got), want);
}

static void defaults_come_from_the_table(void **state)
{
    struct config *c = parse(HOST);

    (void)state;
    assert_text(c->hostname, "mail.example.org");
    assert_text(c->data, "/var/lib/staffetta");
    assert_int_equal(c->limits.message_size, 50 << 20);
    assert_int_equal(c->limits.ban_time, 15 * MINUTE);
    assert_int_equal(c->queue.lifetime, 5 * DAY);
    assert_int_equal(c->queue.retry.n, 7);
    assert_int_equal(c->queue.retry.items[6], 4 * HOUR);
    assert_int_equal(c->relay.port, 25);
    assert_true(c->relay.ipv6);
    assert_int_equal(c->copies.directory, 2);
    assert_int_equal(c->relay_nets.n, 2);
    assert_int_equal(c->dns.n, 0);
    assert_int_equal(c->listener_count, 0);
    assert_int_equal(c->certificate_count, 0);
    config_free(c);
}

static void every_kind_is_read(void **state)
{
    struct config *c = parse("/* one\n two */ hostname = mail.example.org # three\n"
                             "dns = {\"127.0.0.1@5399\", '2001:db8::1'} // four\n"
                             "dnssec_anchor = \"\"\r\n"
                             "relay_networks = {10.0.0.0/8}\n"
                             "data = \"/srv/#mail's\"\n"
                             "limits { message_size = 1G greeting_delay = 2s\n recipients = 100 }\n"
                             "relay { ipv6 = no port = 2526 messages_per_second = 0 }\n"
                             "queue { retry = {\"1s\", 2m, 3h, 4d} delay_notice = 0 }\n"
                             "copies { smtp = 4 }\n");

    (void)state;
    assert_int_equal(c->dns.n, 2);
    assert_text(c->dns.items[1], "2001:db8::1");
    assert_text(c->dnssec_anchor, "");
    assert_text(c->data, "/srv/#mail's");
    assert_int_equal(c->relay_nets.n, 1);
    assert_int_equal(c->limits.message_size, 1 << 30);
    assert_int_equal(c->limits.greeting_delay, 2 * SECOND);
    assert_false(c->relay.ipv6);
    assert_int_equal(c->relay.port, 2526);
    assert_int_equal(c->queue.retry.n, 4);
    assert_int_equal(c->queue.retry.items[3], 4 * DAY);
    assert_int_equal(c->queue.delay_notice, 0);
    assert_int_equal(c->copies.smtp, 4);
    config_free(c);
}

static void listeners_get_their_ports(void **state)
{
    static const struct {
        const char *text;
        int port;
        enum service service;
        enum listen_tls tls;
    } cases[] = {
        {"service = mx", 25, SERVICE_MX, LISTEN_TLS_STARTTLS},
        {"service = submission", 587, SERVICE_SUBMISSION, LISTEN_TLS_STARTTLS},
        {"service = submission tls = implicit", 465, SERVICE_SUBMISSION, LISTEN_TLS_IMPLICIT},
        {"service = lmtp tls = none", 24, SERVICE_LMTP, LISTEN_TLS_NONE},
        {"service = imap", 143, SERVICE_IMAP, LISTEN_TLS_STARTTLS},
        {"service = imap tls = implicit", 993, SERVICE_IMAP, LISTEN_TLS_IMPLICIT},
        {"service = pop3", 110, SERVICE_POP3, LISTEN_TLS_STARTTLS},
        {"service = pop3 tls = implicit", 995, SERVICE_POP3, LISTEN_TLS_IMPLICIT},
        {"service = metrics", 9225, SERVICE_METRICS, LISTEN_TLS_NONE},
        {"service = mx port = 2525", 2525, SERVICE_MX, LISTEN_TLS_STARTTLS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        struct config *c;

        snprintf(text, sizeof text, HOST "certificate x { chain = /c key = /k }\nlisten a { %s }", cases[i].text);
        c = parse(text);
        assert_int_equal(c->listener_count, 1);
        assert_int_equal(c->listeners[0].port, cases[i].port);
        assert_int_equal(c->listeners[0].service_id, cases[i].service);
        assert_int_equal(c->listeners[0].tls_mode, cases[i].tls);
        assert_text(c->listeners[0].name, "a");
        assert_text(c->certificates[0].key, "/k");
        config_free(c);
    }
}

static void lists_of_networks_hold_addresses(void **state)
{
    struct config *c = parse(HOST "listen a { service = mx proxy_from = {10.0.0.0/8, \"2001:db8::/32\"} }\n"
                                  "listen b { service = metrics }");
    struct ip ip;

    (void)state;
    assert_true(ip_parse(STR("10.1.2.3"), &ip));
    assert_true(network_list_holds(&c->listeners[0].proxies, &ip));
    assert_false(network_list_holds(&c->listeners[0].xclients, &ip));
    assert_true(ip_parse(STR("2001:db9::1"), &ip));
    assert_false(network_list_holds(&c->listeners[0].proxies, &ip));
    assert_int_equal(c->listeners[0].address.n, 2);
    assert_text(c->listeners[1].address.items[0], "127.0.0.1"); /* metrics stay on this machine */
    config_free(c);
}

static const struct {
    const char *text, *message;
} mistakes[] = {
    {"\nhostnam = x", "t.conf:2: unknown directive hostnam: expected hostname?"},
    {"xyzzy = x", "t.conf:1: unknown directive xyzzy: expected one of staffetta.conf(5)"},
    {"queue {\n lifetimes = 5d }", "t.conf:2: unknown directive lifetimes: expected lifetime?"},
    {"queue {\n color = red }", "t.conf:2: unknown directive color: expected one of section queue in staffetta.conf(5)"},
    {"hostname = mail", "t.conf:1: hostname = \"mail\": expected a fully qualified host name such as \"mail.example.org\""},
    {"hostname = 192.0.2.1", "t.conf:1: hostname = \"192.0.2.1\": expected a fully qualified host name such as \"mail.example.org\""},
    {"hostname = a..b", "t.conf:1: hostname = \"a..b\": expected a fully qualified host name such as \"mail.example.org\""},
    {"hostname mail.x.org", "t.conf:1: no = after hostname: expected hostname = value"},
    {HOST "\n\n" HOST, "t.conf:4: hostname is given twice: expected once (first in line 1)"},
    {"data = var", "t.conf:1: data = \"var\": expected an absolute path"},
    {"log_level = loud", "t.conf:1: log_level = \"loud\": expected debug, info, warning or error"},
    {"auth { dmarc = maybe }", "t.conf:1: dmarc = \"maybe\": expected enforce, report or off"},
    {"auth { exempt = {\"a b\"} }", "t.conf:1: exempt = \"a b\": expected a domain, or a network such as 10.0.0.0/8"},
    {"log_format = xml", "t.conf:1: log_format = \"xml\": expected human or json"},
    {"sharing = some", "t.conf:1: sharing = \"some\": expected none, domain, server or anyone"},
    {"sandbox = off", "t.conf:1: sandbox = \"off\": expected required or if-available"},
    {"relay_networks = {10.0.0.0/8,\n10.0.0.0/33}", "t.conf:2: relay_networks = \"10.0.0.0/33\": expected a network such as 10.0.0.0/8 or an address"},
    {"dns = {localhost}", "t.conf:1: dns = \"localhost\": expected an address, or address@port"},
    {"dns = {\"::1@0\"}", "t.conf:1: dns = \"::1@0\": expected an address, or address@port"},
    {"subaddress_separator = ab", "t.conf:1: subaddress_separator = \"ab\": expected one of + - = _ . # or \"\""},
    {"limits { message_size = 5X }", "t.conf:1: message_size = \"5X\": expected a size from 1K to 64G"},
    {"limits { ban_time = 15 }", "t.conf:1: ban_time = \"15\": expected a time from 1s to 365d"},
    {"limits { errors = 0 }", "t.conf:1: errors = \"0\": expected a number from 1 to 1000000000"},
    {"limits { errors = -1 }", "t.conf:1: errors = \"-1\": expected a number from 1 to 1000000000"},
    {"limits { errors = 99999999999999999999 }", "t.conf:1: errors = \"99999999999999999999\": expected a number from 1 to 1000000000"},
    {HOST "limits { message_size = 5K\nheader_size = 16K }", "t.conf:3: header_size is larger than message_size: expected at most that"},
    {"relay { ipv6 = maybe }", "t.conf:1: ipv6 = \"maybe\": expected true or false"},
    {"relay { recipients_per_transaction = 1001 }",
        "t.conf:1: recipients_per_transaction = \"1001\": expected a number from 1 to 1000"},
    {"relay { port = 65536 }", "t.conf:1: port = \"65536\": expected a number from 1 to 65535"},
    {"copies { smtp = 65 }", "t.conf:1: smtp = \"65\": expected a number from 1 to 64"},
    {"copies { web = 2 }", "t.conf:1: web = \"2\": expected 1"},
    {"queue { retry = {1m, soon} }", "t.conf:1: retry = \"soon\": expected a time from 1s to 30d"},
    {HOST "queue { retry = {} }", "t.conf:2: retry is empty: expected at least one time such as \"5m\""},
    {"queue { lifetime += 1d }", "t.conf:1: += after lifetime: expected lifetime = value"},
    {"listen { }", "t.conf:1: section listen has no name: expected listen \"name\" { directives }"},
    {"listen a = 5", "t.conf:1: no { after listen: expected listen { directives }"},
    {HOST "listen a {\nport = 25\n}", "t.conf:4: listener \"a\" has no service: expected mx, submission, lmtp, imap, pop3, https, http or metrics"},
    {"listen a { service = nntp }", "t.conf:1: service = \"nntp\": expected mx, submission, lmtp, imap, pop3, https, http or metrics"},
    {"listen a { port = 0 }", "t.conf:1: port = \"0\": expected a number from 1 to 65535"},
    {"listen a { tls = yes }", "t.conf:1: tls = \"yes\": expected none, starttls or implicit"},
    {"listen a { address = {eth0} }", "t.conf:1: address = \"eth0\": expected an IP address"},
    {HOST "listen a { service = mx address = {} }", "t.conf:2: listener \"a\" has no address: expected at least one"},
    {HOST "listen a { service = mx\n tls = implicit }", "t.conf:3: listener \"a\" has implicit TLS, but there is no certificate: expected certificate \"name\" { chain = ... key = ... }"},
    {HOST "listen a { service = metrics\n tls = starttls }", "t.conf:3: tls of a listener with service metrics: expected none"},
    {HOST "listen a { service = https\n tls = none }", "t.conf:3: tls of a listener with service https: expected implicit"},
    {"listen a { service = mx }\nlisten a { service = lmtp }", "t.conf:2: a second section \"a\": expected different names"},
    {HOST "listen a { service = mx }\nlisten b { service = lmtp port = 25\naddress = {127.0.0.1} }", "t.conf:4: listener \"b\": 127.0.0.1 port 25 is taken by listener \"a\": expected another address or port"},
    {HOST "listen a { service = mx address = {::1, ::1} }", "t.conf:2: listener \"a\": ::1 port 25 is taken by listener \"a\": expected another address or port"},
    {HOST "certificate c {\n chain = /x }", "t.conf:3: certificate \"c\" has no key: expected the path of a PEM file"},
    {"certificate c { chain = x }", "t.conf:1: chain = \"x\": expected an absolute path"},
    {"\nlisten a {\n service = mx", "t.conf:2: { opens here and is not closed: expected a matching }"},
    {"\n}", "t.conf:2: unexpected closing brace: expected name = value or a section"},
    {"\n\nhostname = \"mail\n\n", "t.conf:3: text begins here and does not end: expected a closing \""},
    {"\n/* comment\n\n", "t.conf:2: a comment begins here and does not end: expected */"},
    {"/* one */ /* two */\n/* three */ xyzzy = 1", "t.conf:2: unknown directive xyzzy: expected one of staffetta.conf(5)"},
    {"data = \"${HOME}\"", "t.conf:1: ${...}: expected plain text, variables of the environment are not replaced (use single quotes for these characters)"},
    {"\ndata = \"\a\"", "t.conf:2: byte 0x07: expected text"},
    {"\"\\1\" = 5", "t.conf:1: unknown directive: expected one of staffetta.conf(5)"},
    {"\"\\1\"(5)", "t.conf:1: no = after ?: expected ? = value"},
    {"include(\"/etc/passwd\")", "t.conf:1: unknown directive include: expected one of staffetta.conf(5)"},
};

static void mistakes_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct config *c = NULL;
        struct err err = {0};

        if (config_parse(&c, STR("t.conf"), str_of(mistakes[i].text), &err))
            fail_msg("accepted: %s", mistakes[i].text);
        if (strcmp(err.text, mistakes[i].message) != 0)
            fail_msg("for: %s\ngot:  %s\nnot:  %s", mistakes[i].text, err.text, mistakes[i].message);
        assert_int_equal(err.kind, ERR_PERMANENT);
    }
}

static void addresses_of_one_port_may_differ(void **state)
{
    struct config *c = parse(HOST "listen a { service = mx address = {127.0.0.1} }\n"
                                  "listen b { service = mx address = {127.0.0.2, ::} }\n"
                                  "listen c { service = mx systemd = smtp }\n");

    (void)state;
    assert_int_equal(c->listener_count, 3);
    config_free(c);
}

static void add_words(void *arg, const char *text)
{
    buf_addf(arg, "%s\n", text);
}

/* A comma-separated list of words that the advice has to hold; "" for none at all. */
static void advice_is_given(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"listen a { service = mx }", ""},
        {"listen a { service = mx proxy_from = {127.0.0.1} }\n listen p { service = pop3 proxy_from = {127.0.0.0/8} }", ""},
        {"listen a { service = mx proxy_from = {127.0.0.1} }\n listen p { service = pop3 }", "listener \"p\" has no proxy_from for 127.0.0.1"},
        {"listen a { service = mx proxy_from = {192.0.2.7} }\n listen p { service = pop3 }", ""},
        {"relay_networks = {192.0.2.0/24}\n listen a { service = submission proxy_from = {192.0.2.7} }\n listen b { service = mx }",
            "listener \"b\" has no proxy_from for 192.0.2.7"},
        {"listen a { service = mx proxy_from = {0.0.0.0/0} }", "listener \"a\": proxy_from holds a network of /0"},
        {"listen a { service = mx xclient_from = {\"2000::/3\"} }", "listener \"a\": xclient_from holds a network of /3"},
        {"relay_networks = {10.0.0.0/8, 0.0.0.0/1}\n listen a { service = mx }", "relay_networks holds a network of /1: strangers may relay"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        struct config *c;
        struct buf said;

        snprintf(text, sizeof text, HOST "certificate x { chain = /c key = /k }\n%s\n", cases[i].text);
        c = parse(text);
        buf_init(&said, 10000);
        config_advise(c, add_words, &said);
        if (*cases[i].says ? str_ifind(buf_str(&said), str_of(cases[i].says)) < 0 : said.n > 0)
            fail_msg("%s\nsaid: %.*s", cases[i].text, (int)said.n, said.p);
        buf_clear(&said);
        config_free(c);
    }
}

static void a_long_file_is_refused(void **state)
{
    static char text[200000];
    struct config *c = NULL;
    struct err err = {0};

    (void)state;
    memset(text, '\n', sizeof text - 1);
    assert_false(config_parse(&c, STR("t.conf"), str_from(text, sizeof text - 1), &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    text[0] = 0;
    assert_false(config_parse(&c, STR("t.conf"), str_from(text, 10), &err));
}

static void each_directive_is_in_the_manual(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 20);
    config_write_manual(&out);
    assert_false(out.failed);
    for (size_t i = 0; i < CONFIG_SECTIONS; i++) {
        for (size_t k = 0; k < config_sections[i].n; k++) {
            char line[100];

            snprintf(line, sizeof line, ".It Ic %s = ", config_sections[i].directives[k].name);
            if (str_ifind(buf_str(&out), str_of(line)) < 0)
                fail_msg("%s is not in the manual", line);
        }
    }
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(listeners_get_their_ports),
        cmocka_unit_test(lists_of_networks_hold_addresses),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(addresses_of_one_port_may_differ),
        cmocka_unit_test(advice_is_given),
        cmocka_unit_test(a_long_file_is_refused),
        cmocka_unit_test(each_directive_is_in_the_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
