/* Mail of strangers in the filter: who is judged, how long a message waits for it, what becomes of it, and what events is told. */
#include "filter_world.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void begin_strange(struct role *role, uint64_t id, uint64_t flags, const char *client)
{
    transaction_on_begin(role, &role->smtp[0], &(struct msg_txn_begin){.id = id, .message = 4, .flags = flags, .client = str_of(client),
        .helo = STR("mx.a.example"), .sender = STR("me@a.example")});
    transaction_on_rcpt(role, &role->smtp[0], &(struct msg_txn_rcpt){.id = id, .address = STR("you@b.example")});
}

static void reply(struct role *role, uint64_t id, enum dns_status status)
{
    judging_on_dns_reply(role, &role->resolver, &(struct msg_dns_reply){.id = id, .status = status});
}

#define BEGUN "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\n"
#define ASKED "dns_ask 1 16 a.example\ndns_ask 2 16 mx.a.example\ndns_ask 3 12 1.2.0.192.in-addr.arpa\n"

static void strangers_are_judged(void **state)
{
    struct role *role = *state;

    begin_strange(role, 1, 0, "192.0.2.1");
    sent(role, &role->resolver, ASKED);
    chunk(role, 0, 1, STR("From: x@a.example\r\n\r\nhi"));
    assert_true(role->filter.held > 0);
    end(role, 0, 1);
    sent(role, &role->queue[0], BEGUN "txn_chunk 1 23\n");
    reply(role, 3, DNS_NXDOMAIN);
    reply(role, 3, DNS_NXDOMAIN); /* said twice */
    reply(role, 1, DNS_NXDOMAIN);
    sent(role, &role->resolver, "dns_ask 4 16 _dmarc.a.example\n");
    reply(role, 2, DNS_SERVFAIL);
    reply(role, 4, DNS_NXDOMAIN);
    sent(role, &role->resolver, "dns_ask 5 16 _dmarc.example\n");
    assert_int_equal(judgings_next(&role->filter) > clock_monotonic(), 1);
    reply(role, 5, DNS_NXDOMAIN);
    sent(role, &role->queue[0], "txn_end 1 \n");
    assert_true(judgings_next(&role->filter) == INT64_MAX);
    done(role, 0, 1, 250);
    sent(role, &role->smtp[0], "txn_done 1 250\n");
}

static void answer_text(struct role *role, uint64_t id, const char *text)
{
    struct buf records;
    char rdata[300];
    size_t n = strlen(text);

    rdata[0] = (char)n;
    memcpy(rdata + 1, text, n);
    buf_init(&records, 1024);
    dns_add_record(&records, str_from(rdata, n + 1));
    judging_on_dns_reply(role, &role->resolver, &(struct msg_dns_reply){.id = id, .status = DNS_OK, .records = buf_str(&records)});
    buf_clear(&records);
}

/* A message whose author's domain wants reports; what became of it at the end. */
static void report_on(struct role *role, uint64_t id, const char *policy, uint64_t code)
{
    uint64_t first = role->next_id + 1, asked = role->filter.judgings.dns.last_id;

    begin_strange(role, id, 0, "192.0.2.1");
    chunk(role, 0, id, STR("From: x@a.example\r\n\r\nhi"));
    end(role, 0, id);
    for (uint64_t q = 1; q <= 3; q++)
        reply(role, asked + q, DNS_NXDOMAIN);
    answer_text(role, asked + 4, policy);
    if (code != 0)
        done(role, 0, first, code);
    tally_turn(&role->filter.tally, &role->events);
}

#define TOLD(seq, record, action) "event " seq " 4 a.example " record "\n192.0.2.1\t" action "\t0\t0\t0\t\ta.example\ta.example\tb.example\ta.example\tnone\n\n"
#define WANTS "v=DMARC1; p=none; rua=mailto:x@a.example"
#define REFUSES "v=DMARC1; p=reject; rua=mailto:x@a.example"

static void what_was_found_is_told_for_reports(void **state)
{
    struct role *role = *state;

    role->config.auth.report_from = STR("reports@b.example");
    judgings_set_policy(&role->filter);
    report_on(role, 1, WANTS, 250);
    sent(role, &role->events, TOLD("1", WANTS, "0"));
    report_on(role, 2, REFUSES, 0);
    sent(role, &role->events, TOLD("2", REFUSES, "3"));
    report_on(role, 3, WANTS, 451); /* it will come again */
    report_on(role, 4, "v=DMARC1; p=none", 250);
    sent(role, &role->events, "");
    tally_acknowledged(&role->filter.tally, 1);
    tally_peer_up(&role->filter.tally); /* a new process of events hears what is not on disk */
    tally_turn(&role->filter.tally, &role->events);
    sent(role, &role->events, TOLD("2", REFUSES, "3"));
    tally_acknowledged(&role->filter.tally, 2);
    role->config.auth.report_from = STR("");
    judgings_set_policy(&role->filter);
    report_on(role, 5, WANTS, 250);
    sent(role, &role->events, "");
}

static void others_are_not_judged(void **state)
{
    static const struct {
        uint64_t flags;
        const char *client;
    } cases[] = {{TXN_SUBMISSION, "192.0.2.1"}, {TXN_LOCAL, ""}, {TXN_LMTP, "192.0.2.1"}, {0, "127.0.0.1"}, {0, "::1"}, {0, ""}};
    struct role *role = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_strange(role, 1, cases[i].flags, cases[i].client);
        sent(role, &role->resolver, "");
        transaction_on_abort(role, &role->smtp[0], &(struct msg_txn_abort){1});
    }
}

/* Mail that goes on is sealed with a key of the domain it goes on for, when that has one. */
static void keys_are_asked_for_what_goes_on(void **state)
{
    struct role *role = *state;

    role->config.forward.domain = STR("out.example");
    begin_strange(role, 1, 0, "192.0.2.1");
    transaction_on_rcpt(role, &role->smtp[0], &(struct msg_txn_rcpt){.id = 1, .forwards = 1, .address = STR("they@c.example")});
    chunk(role, 0, 1, STR("From: x@a.example\r\n\r\nhi"));
    sent(role, &role->directory, "dkim_keys_ask 2 out.example\n");
    transaction_on_keys_reply(role, &role->directory, &(struct msg_dkim_keys_reply){.id = 2});
    sent(role, &role->directory, "dkim_keys_ask 3 c.example\n");
    transaction_on_keys_reply(role, &role->directory, &(struct msg_dkim_keys_reply){.id = 3, .rsa = STR("r")});
    sent(role, &role->directory, "");
    end(role, 0, 1);
    judgings_sweep(&role->filter, clock_monotonic() + MINUTE); /* all but DMARC end */
    judgings_sweep(&role->filter, clock_monotonic() + 2 * MINUTE);
    sent(role, &role->directory, "dkim_sign_ask 4 c.example r 32\n");
    transaction_on_sign_reply(role, &role->directory, &(struct msg_dkim_sign_reply){.id = 4, .rsa_signature = STR("first")});
    sent(role, &role->directory, "dkim_sign_ask 5 c.example r 32\n");
    transaction_on_sign_reply(role, &role->directory, &(struct msg_dkim_sign_reply){.id = 5, .rsa_signature = STR("second")});
    sent(role, &role->queue[0], BEGUN "txn_rcpt 1 they@c.example\ntxn_chunk 1 23\ntxn_end 1 \n");
    done(role, 0, 1, 250);
    begin_strange(role, 2, 0, "192.0.2.1"); /* and directory dies */
    transaction_on_rcpt(role, &role->smtp[0], &(struct msg_txn_rcpt){.id = 2, .forwards = 1, .address = STR("they@c.example")});
    chunk(role, 0, 2, STR("From: x@a.example\r\n\r\nhi"));
    role->directory.up = false;
    transaction_directory_gone(&role->filter);
    sent(role, &role->smtp[0], "txn_done 1 250\ntxn_done 2 451\n");
}

/* What is asked of a resolver that is gone is asked again; what is asked for nobody is not. */
static void questions_outlive_the_resolver(void **state)
{
    struct role *role = *state;

    role->resolver.up = false;
    begin_strange(role, 1, 0, "192.0.2.1");
    begin_strange(role, 2, 0, "192.0.2.1");
    transaction_on_abort(role, &role->smtp[0], &(struct msg_txn_abort){2});
    buf_clear(&role->resolver.out);
    bring_up(role, &role->resolver, ROLE_RESOLVER, 0);
    judgings_resolver_up(&role->filter);
    assert_int_equal(role->filter.judgings.dns.pending.count, 3);
    reply(role, 1, DNS_NXDOMAIN);
    transaction_on_abort(role, &role->smtp[0], &(struct msg_txn_abort){1});
    reply(role, 2, DNS_NXDOMAIN); /* nobody waits any more */
}

static void nobody_waits_for_ever(void **state)
{
    struct role *role = *state;
    int64_t later = clock_monotonic() + MINUTE;

    begin_strange(role, 1, 0, "192.0.2.1");
    chunk(role, 0, 1, STR("From: x@a.example\r\n\r\nhi"));
    judgings_sweep(&role->filter, later); /* it is not whole yet: the client's own time runs */
    end(role, 0, 1);
    sent(role, &role->queue[0], BEGUN "txn_chunk 1 23\n");
    judgings_sweep(&role->filter, clock_monotonic());
    sent(role, &role->queue[0], "");
    sent(role, &role->resolver, ASKED);
    judgings_sweep(&role->filter, later); /* what DMARC waited for is given up, not DMARC itself */
    sent(role, &role->queue[0], "");
    sent(role, &role->resolver, "dns_ask 4 16 _dmarc.a.example\n");
    assert_true(judgings_next(&role->filter) > later);
    reply(role, 1, DNS_NXDOMAIN); /* too late */
    judgings_sweep(&role->filter, later);
    sent(role, &role->queue[0], "");
    judgings_sweep(&role->filter, later + MINUTE);
    sent(role, &role->queue[0], "txn_end 1 \n");
    assert_true(judgings_next(&role->filter) == INT64_MAX);
    begin_strange(role, 2, 0, "192.0.2.1"); /* its queue goes while it waits */
    chunk(role, 0, 2, STR("\r\nhi"));
    end(role, 0, 2);
    role->queue[0].up = false;
    transaction_queue_gone(&role->filter, &role->queue[0]);
    judgings_sweep(&role->filter, later);
    sent(role, &role->smtp[0], "txn_done 1 451\ntxn_done 2 451\n");
}

static void there_is_a_limit_of_open_transactions(void **state)
{
    struct role *role = *state;

    role->filter.count = FILTER_OPEN_MAX;
    begin(role, 0, 1, 4, 0);
    role->filter.count = 0;
    sent(role, &role->smtp[0], "txn_done 1 452\n");
    sent(role, &role->queue[0], "");
}

/* What is held already is not made more by headers that are still coming; the others go on. */
static void headers_give_way_when_too_much_is_held(void **state)
{
    struct role *role = *state;
    struct filter *f = &role->filter;

    begin_strange(role, 1, 0, "192.0.2.1");
    begin_strange(role, 2, 0, "192.0.2.1");
    chunk(role, 0, 2, STR("From: x@a.example\r\n\r\nhi"));
    f->held += FILTER_HELD_MAX; /* by others */
    chunk(role, 0, 2, STR("more"));
    chunk(role, 0, 1, STR("From: x@a.example\r\n"));
    sent(role, &role->smtp[0], "txn_done 1 452\n");
    f->held -= FILTER_HELD_MAX;
    assert_int_equal(f->count, 1);
    transaction_on_abort(role, &role->smtp[0], &(struct msg_txn_abort){2});
}

/* What a stranger can make a judge hold is counted: fields, also in their number, and the sets of ARC after the header. */
static void what_judges_hold_is_counted(void **state)
{
    enum { FIELDS = 10000, SETS = 40 };
    struct role *role = *state;
    struct filter *f = &role->filter;
    size_t before, header;
    char text[1000];

    f->limits.header_size = 1 << 20;
    begin_strange(role, 1, 0, "192.0.2.1");
    before = f->held;
    for (unsigned i = 0; i < FIELDS; i++) {
        snprintf(text, sizeof text, "f%u:\r\n", i);
        chunk(role, 0, 1, str_of(text));
    }
    header = f->held - before;
    assert_true(header > 2 * FIELDS * (6 + 32 + 64)); /* text, a field and its name, in two machines */
    for (unsigned i = 1; i <= SETS; i++) {
        snprintf(text, sizeof text, "ARC-Seal: i=%u; cv=%s; a=rsa-sha256; d=a.example; s=s; b=AAAA; x-%0600d\r\nARC-Authentication-Results: i=%u; a.example\r\n"
            "ARC-Message-Signature: i=%u; a=rsa-sha256; d=a.example; s=s; h=from; b=AAAA; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\r\n",
            i, i > 1 ? "pass" : "none", 0, i, i);
        chunk(role, 0, 1, str_of(text));
    }
    chunk(role, 0, 1, STR("\r\nhi"));
    assert_true(f->held - before > SETS * 700 && f->held - before < header);
    transaction_on_abort(role, &role->smtp[0], &(struct msg_txn_abort){1});
    assert_int_equal(f->held, 0);
}

static void policies_follow_the_configuration(void **state)
{
    static const struct {
        uint64_t flags, account;
        const char *client;
        bool wanted;
    } who[] = {{0, 0, "192.0.2.1", true}, {0, 0, "2001:db8::1", true}, {0, 0, "10.1.2.3", false}, {0, 0, "127.0.0.1", false}, {0, 0, "::1", false},
        {0, 0, "", false}, {0, 5, "192.0.2.1", false}, {TXN_SUBMISSION, 0, "192.0.2.1", false}, {TXN_LMTP, 0, "192.0.2.1", false},
        {TXN_LOCAL, 0, "192.0.2.1", false}};
    struct judge_policy p = {0};
    struct config *config;
    struct err err = {0};
    struct ip ip;

    (void)state;
    assert_true(config_parse(&config, STR("test"), STR("hostname = \"mx.home.example\"\nrelay_networks = {\"10.0.0.0/8\"}\n"
        "auth { dmarc = report exempt = {\"192.0.2.0/24\", \"A.example\"} trusted_sealers = {\"lists.example\"} time = 3s }\n"), &err));
    judge_policy_set(&p, config);
    judge_policy_set(&p, config); /* a reload */
    config_free(config);
    assert_int_equal(p.dmarc, DMARC_MODE_REPORT);
    assert_int_equal(p.time, 3 * SECOND);
    assert_int_equal(p.exempt_nets.n, 1);
    assert_int_equal(p.exempt_domains.n, 1);
    assert_int_equal(p.trusted_sealers.n, 1);
    for (size_t i = 0; i < sizeof who / sizeof *who; i++)
        assert_int_equal(judge_policy_wants(&p, &(struct msg_txn_begin){.flags = who[i].flags, .account = who[i].account,
            .client = str_of(who[i].client)}, &ip), who[i].wanted);
    p.check = false;
    assert_false(judge_policy_wants(&p, &(struct msg_txn_begin){.client = STR("192.0.2.1")}, &ip));
    judge_policy_clear(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_is_a_limit_of_open_transactions),
        TEST(headers_give_way_when_too_much_is_held),
        TEST(what_judges_hold_is_counted),
        TEST(strangers_are_judged),
        TEST(what_was_found_is_told_for_reports),
        TEST(keys_are_asked_for_what_goes_on),
        TEST(others_are_not_judged),
        TEST(questions_outlive_the_resolver),
        TEST(nobody_waits_for_ever),
        cmocka_unit_test(policies_follow_the_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
