/* The filter between its peers: whose transaction is whose, what becomes of it when a peer dies, and
 * who stops reading when too much waits. Role and channels are played by this file; what the filter
 * sends is decoded again from the channels' output. */
#include "base/clock.h"
#include "roles/filter/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct channel {
    enum role_id peer;
    unsigned copy;
    uint64_t serial;
    struct buf out;
    size_t backlog;
    bool reading, up;
    void (*drained)(struct role *, struct channel *);
};

struct role {
    struct filter filter;
    struct config config;
    struct channel smtp[2], queue[2], directory, resolver;
    uint64_t next_id;
    struct buf log; /* what was sent since the last look, decoded */
};

/* ---- role.h and channel.h, as far as the filter uses them ---- */

void *role_state(struct role *role)
{
    return &role->filter;
}

const struct config *role_config(const struct role *role)
{
    return &role->config;
}

uint64_t role_next_id(struct role *role)
{
    return ++role->next_id;
}

unsigned role_peers(const struct role *role, enum role_id peer)
{
    (void)role;
    return peer == ROLE_DIRECTORY || peer == ROLE_RESOLVER ? 1 : 2;
}

struct channel *role_peer(const struct role *role, enum role_id peer, unsigned copy)
{
    struct role *r = (struct role *)(uintptr_t)role;
    struct channel *c = peer == ROLE_DIRECTORY ? &r->directory : peer == ROLE_RESOLVER ? &r->resolver : peer == ROLE_SMTP ? &r->smtp[copy] : &r->queue[copy];

    return c->up ? c : NULL;
}

struct channel *role_peer_for(const struct role *role, enum role_id peer, uint64_t hash)
{
    return role_peer(role, peer, (unsigned)(hash % role_peers(role, peer)));
}

enum role_id channel_role(const struct channel *c)
{
    return c->peer;
}

unsigned channel_copy(const struct channel *c)
{
    return c->copy;
}

uint64_t channel_serial(const struct channel *c)
{
    return c->serial;
}

struct buf *channel_output(struct channel *c)
{
    return &c->out;
}

void channel_output_added(struct channel *c)
{
    (void)c;
}

size_t channel_backlog(const struct channel *c)
{
    return c->backlog;
}

void channel_on_drained(struct channel *c, void (*drained)(struct role *, struct channel *))
{
    c->drained = drained;
}

void channel_read(struct channel *c, bool on)
{
    c->reading = on;
}

/* ---- what was sent, as text ---- */

#define NOTE(name, ...)                                                                            \
    static void note_##name(struct role *role, struct channel *from, const struct msg_##name *m)   \
    {                                                                                              \
        (void)from;                                                                                \
        buf_addf(&role->log, #name __VA_ARGS__);                                                   \
        buf_add_char(&role->log, '\n');                                                            \
    }
NOTE(txn_begin, " %d %.*s", (int)m->id, STR_ARG(m->sender))
NOTE(txn_rcpt, " %d %.*s", (int)m->id, STR_ARG(m->address))
NOTE(txn_chunk, " %d %zu", (int)m->id, m->data.n)
NOTE(txn_end, " %d %.*s", (int)m->id, STR_ARG(m->message_id))
NOTE(txn_abort, " %d", (int)m->id)
NOTE(txn_done, " %d %d", (int)m->id, (int)m->code)
NOTE(queue_state, " %d %d", (int)m->shard, (int)m->accepting)
NOTE(dns_ask, " %d %d %.*s", (int)m->id, (int)m->type, STR_ARG(m->name))
NOTE(sender_ask, " %d %.*s", (int)m->id, STR_ARG(m->address))
NOTE(dkim_keys_ask, " %d %.*s", (int)m->id, STR_ARG(m->domain))
NOTE(dkim_sign_ask, " %d %.*s %.*s %zu", (int)m->id, STR_ARG(m->domain), STR_ARG(m->rsa), m->rsa_hash.n)

static const struct handlers notes = {.txn_begin = note_txn_begin, .txn_rcpt = note_txn_rcpt, .txn_chunk = note_txn_chunk,
    .txn_end = note_txn_end, .txn_abort = note_txn_abort, .txn_done = note_txn_done, .queue_state = note_queue_state,
    .sender_ask = note_sender_ask, .dkim_keys_ask = note_dkim_keys_ask, .dkim_sign_ask = note_dkim_sign_ask, .dns_ask = note_dns_ask};

/* Everything that was sent to c since the last look must read as wanted. */
static void sent(struct role *role, struct channel *c, const char *wanted)
{
    struct str rest = buf_str(&c->out);
    const char *why;

    buf_reset(&role->log);
    while (rest.n) {
        uint32_t n;

        memcpy(&n, rest.p, sizeof n);
        assert_true(ipc_dispatch(role, c, ROLE_FILTER, c->peer, &notes, str_sub(rest, 4, 4 + n), &why));
        rest = str_skip(rest, 4 + n);
    }
    buf_reset(&c->out);
    if (!str_eq(buf_str(&role->log), str_of(wanted)))
        fail_msg("wanted:\n%sgot:\n%.*s", wanted, STR_ARG(buf_str(&role->log)));
}

static void bring_up(struct role *role, struct channel *c, enum role_id peer, unsigned copy)
{
    static uint64_t serials;

    *c = (struct channel){.peer = peer, .copy = copy, .serial = ++serials, .reading = true, .up = true};
    buf_init(&c->out, 1 << 24);
    flow_peer_up(&role->filter, c);
}

static int setup(void **state)
{
    struct role *role = calloc(1, sizeof *role);
    struct filter *f = &role->filter;

    f->role = role;
    f->limits = (struct message_limits){4096, 10};
    f->hostname = STR("mx.example");
    list_init(&f->open);
    map_init(&f->by_source);
    map_init(&f->by_id);
    questions_init(&f->questions);
    buf_init(&role->log, 1 << 20);
    for (unsigned i = 0; i < 2; i++) {
        bring_up(role, &role->smtp[i], ROLE_SMTP, i);
        bring_up(role, &role->queue[i], ROLE_QUEUE, i);
    }
    bring_up(role, &role->directory, ROLE_DIRECTORY, 0);
    bring_up(role, &role->resolver, ROLE_RESOLVER, 0);
    role->config.auth.dmarc = STR("enforce");
    role->config.auth.time = 25 * SECOND;
    role->config.auth.check = true;
    judgings_init(f);
    *state = role;
    return 0;
}

static int teardown(void **state)
{
    struct role *role = *state;
    int leaked = (int)(role->filter.count + role->filter.by_source.count + role->filter.by_id.count +
                       role->filter.questions.by_id.count + role->filter.held + role->filter.judgings.dns.pending.count);

    for (unsigned i = 0; i < 2; i++) {
        buf_clear(&role->smtp[i].out);
        buf_clear(&role->queue[i].out);
    }
    for (unsigned i = 0; i < FILTER_SHARDS; i++)
        buf_clear(&role->filter.shards[i].reason);
    buf_clear(&role->directory.out);
    buf_clear(&role->resolver.out);
    judge_policy_clear(&role->filter.judgings.policy);
    dns_client_clear(&role->filter.judgings.dns);
    dkim_key_cache_free(role->filter.judgings.keys);
    buf_clear(&role->log);
    map_clear(&role->filter.by_source);
    map_clear(&role->filter.by_id);
    map_clear(&role->filter.questions.by_id);
    free(role);
    return leaked;
}

static void begin(struct role *role, unsigned smtp, uint64_t id, uint64_t message, uint64_t account)
{
    transaction_on_begin(role, &role->smtp[smtp], &(struct msg_txn_begin){.id = id, .message = message, .account = account,
        .sender = STR("me@a.example")});
    transaction_on_rcpt(role, &role->smtp[smtp], &(struct msg_txn_rcpt){.id = id, .address = STR("you@b.example")});
}

static void chunk(struct role *role, unsigned smtp, uint64_t id, struct str data)
{
    transaction_on_chunk(role, &role->smtp[smtp], &(struct msg_txn_chunk){id, data});
}

static void end(struct role *role, unsigned smtp, uint64_t id)
{
    transaction_on_end(role, &role->smtp[smtp], &(struct msg_txn_end){.id = id});
}

static void done(struct role *role, unsigned shard, uint64_t id, uint64_t code)
{
    transaction_on_done(role, &role->queue[shard], &(struct msg_txn_done){id, code, STR("2.0.0 ok")});
}

/* ---- the tests ---- */

static void messages_go_to_their_shard_and_answers_back(void **state)
{
    struct role *role = *state;

    begin(role, 0, 7, 4, 0);
    begin(role, 1, 7, 5, 0); /* the same id of another smtp, the other shard */
    chunk(role, 0, 7, STR("A: b\r\nMessage-ID: <x@y>\r\n\r\nhi"));
    chunk(role, 1, 7, STR("\r\nhello"));
    end(role, 1, 7);
    end(role, 0, 7);
    sent(role, &role->queue[0], "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_chunk 1 29\ntxn_end 1 <x@y>\n");
    sent(role, &role->queue[1], "txn_begin 2 me@a.example\ntxn_rcpt 2 you@b.example\ntxn_chunk 2 7\ntxn_end 2 \n");
    done(role, 0, 2, 250); /* not this shard's: dropped */
    done(role, 1, 2, 250);
    done(role, 0, 1, 452);
    done(role, 0, 1, 250); /* nobody waits any more */
    sent(role, &role->smtp[0], "txn_done 7 452\n");
    sent(role, &role->smtp[1], "txn_done 7 250\n");
}

static void a_refusal_ends_both_sides_once(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 3);
    chunk(role, 0, 1, STR("From: nonsense\r\n\r\nhi"));
    chunk(role, 0, 1, STR("more"));
    end(role, 0, 1);
    sent(role, &role->queue[0], "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_abort 1\n");
    sent(role, &role->smtp[0], "txn_done 1 554\n");
}

static void unknown_ids_are_dropped(void **state)
{
    struct role *role = *state;

    chunk(role, 0, 99, STR("x"));
    end(role, 0, 99);
    transaction_on_abort(role, &role->smtp[0], &(struct msg_txn_abort){99});
    transaction_on_rcpt(role, &role->smtp[0], &(struct msg_txn_rcpt){.id = 99});
    transaction_on_sender_reply(role, &role->directory, &(struct msg_sender_reply){99, 1, 0});
    done(role, 0, 99, 250);
    sent(role, &role->queue[0], "");
    sent(role, &role->smtp[0], "");
}

static void an_abort_is_passed_on(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    begin(role, 0, 1, 4, 0); /* twice: the second is dropped, its recipient is one more */
    transaction_on_abort(role, &role->smtp[0], &(struct msg_txn_abort){1});
    sent(role, &role->queue[0],
        "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_rcpt 1 you@b.example\ntxn_abort 1\n");
    sent(role, &role->smtp[0], "");
}

static void a_lost_queue_fails_what_was_open_there(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    begin(role, 0, 2, 5, 0);
    begin(role, 1, 3, 6, 0);
    chunk(role, 1, 3, STR("\r\n"));
    end(role, 1, 3); /* committed or not: nobody knows */
    role->queue[0].up = false;
    transaction_queue_gone(&role->filter, &role->queue[0]);
    flow_queue_gone(&role->filter, &role->queue[0]);
    sent(role, &role->smtp[0], "txn_done 1 451\nqueue_state 0 0\n");
    sent(role, &role->smtp[1], "txn_done 3 451\nqueue_state 0 0\n");
    begin(role, 0, 4, 4, 0);
    sent(role, &role->smtp[0], "txn_done 4 451\n");
    buf_clear(&role->queue[0].out);
    bring_up(role, &role->queue[0], ROLE_QUEUE, 0);
    sent(role, &role->smtp[0], "queue_state 0 1\n");
    chunk(role, 0, 2, STR("\r\n"));
    end(role, 0, 2);
    done(role, 1, 2, 250);
    sent(role, &role->smtp[0], "txn_done 2 250\n");
}

static void a_lost_smtp_aborts_its_own(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    begin(role, 1, 1, 6, 0);
    role->smtp[0].up = false;
    transaction_source_gone(&role->filter, &role->smtp[0]);
    flow_source_gone(&role->filter);
    sent(role, &role->queue[0],
        "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_begin 2 me@a.example\ntxn_rcpt 2 you@b.example\ntxn_abort 1\n");
    done(role, 0, 2, 451);
    sent(role, &role->smtp[1], "txn_done 1 451\n");
}

static void authors_wait_for_the_directory(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 3);
    chunk(role, 0, 1, STR("From: b@a.example, c@a.example\r\n\r\n"));
    end(role, 0, 1);
    sent(role, &role->directory, "sender_ask 2 b@a.example\nsender_ask 3 c@a.example\ndkim_keys_ask 4 a.example\n");
    transaction_on_sender_reply(role, &role->directory, &(struct msg_sender_reply){3, 1, 0});
    transaction_on_sender_reply(role, &role->directory, &(struct msg_sender_reply){3, 1, 0}); /* said twice */
    sent(role, &role->queue[0], "txn_begin 1 me@a.example\ntxn_rcpt 1 you@b.example\ntxn_chunk 1 34\n");
    transaction_on_sender_reply(role, &role->directory, &(struct msg_sender_reply){2, 1, 0});
    sent(role, &role->queue[0], "");
    transaction_on_keys_reply(role, &role->directory, &(struct msg_dkim_keys_reply){.id = 4, .rsa = STR("s")});
    transaction_on_keys_reply(role, &role->directory, &(struct msg_dkim_keys_reply){.id = 4, .failed = 1});
    sent(role, &role->directory, "dkim_sign_ask 5 a.example s 32\n");
    sent(role, &role->queue[0], "");
    transaction_on_sign_reply(role, &role->directory, &(struct msg_dkim_sign_reply){.id = 5, .rsa_signature = STR("x")});
    sent(role, &role->queue[0], "txn_end 1 \n");
    done(role, 0, 1, 250);
    sent(role, &role->smtp[0], "txn_done 1 250\n");
}

static void a_lost_directory_fails_what_waits_for_it(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 3);
    chunk(role, 0, 1, STR("From: b@a.example\r\n\r\n"));
    role->directory.up = false;
    transaction_directory_gone(&role->filter);
    sent(role, &role->smtp[0], "txn_done 1 451\n");
    begin(role, 0, 2, 4, 3);
    chunk(role, 0, 2, STR("From: b@a.example\r\n\r\n"));
    sent(role, &role->smtp[0], "txn_done 2 451\n");
}

static void a_silent_directory_is_given_up(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 3);
    chunk(role, 0, 1, STR("From: b@a.example\r\n\r\n"));
    transaction_give_up(&role->filter, clock_monotonic() + 30 * SECOND);
    sent(role, &role->smtp[0], "");
    transaction_give_up(&role->filter, clock_monotonic() + 61 * SECOND);
    sent(role, &role->smtp[0], "txn_done 1 451\n");
    sent(role, &role->directory, "sender_ask 2 b@a.example\ndkim_keys_ask 3 a.example\n");
    transaction_on_keys_reply(role, &role->directory, &(struct msg_dkim_keys_reply){.id = 3});
}

static void a_full_queue_stops_smtp(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    role->queue[0].backlog = CHANNEL_HIGH + 1;
    chunk(role, 0, 1, STR("\r\nx"));
    assert_false(role->smtp[0].reading || role->smtp[1].reading);
    bring_up(role, &role->smtp[1], ROLE_SMTP, 1); /* a new one is not read either */
    assert_false(role->smtp[1].reading);
    role->queue[0].backlog = 10;
    role->queue[1].backlog = CHANNEL_HIGH + 1;
    role->queue[0].drained(role, &role->queue[0]);
    assert_false(role->smtp[0].reading);
    role->queue[1].backlog = 0;
    role->queue[1].drained(role, &role->queue[1]);
    assert_true(role->smtp[0].reading && role->smtp[1].reading);
    role->queue[0].backlog = CHANNEL_HIGH + 1;
    chunk(role, 0, 1, STR("x"));
    assert_false(role->smtp[0].reading);
    role->queue[0].up = false; /* it dies instead of reading */
    transaction_queue_gone(&role->filter, &role->queue[0]);
    flow_queue_gone(&role->filter, &role->queue[0]);
    assert_true(role->smtp[0].reading);
}

static void a_slow_smtp_stops_queue(void **state)
{
    struct role *role = *state;

    begin(role, 0, 1, 4, 0);
    role->smtp[0].backlog = CHANNEL_HIGH + 1;
    done(role, 0, 1, 451);
    assert_false(role->queue[0].reading || role->queue[1].reading);
    role->smtp[0].up = false;
    transaction_source_gone(&role->filter, &role->smtp[0]);
    flow_source_gone(&role->filter);
    assert_true(role->queue[0].reading && role->queue[1].reading);
}

static void smtp_learns_whether_queue_takes_mail(void **state)
{
    struct role *role = *state;
    struct msg_queue_state full = {1, 2, 0, STR("4.3.1 Disk is nearly full")};

    flow_on_queue_state(role, &role->queue[1], &full);
    full.shard = 0;
    flow_on_queue_state(role, &role->queue[1], &full); /* speaks for another shard: dropped */
    sent(role, &role->smtp[0], "queue_state 1 0\n");
    buf_clear(&role->smtp[1].out);
    bring_up(role, &role->smtp[1], ROLE_SMTP, 1);
    sent(role, &role->smtp[1], "queue_state 1 0\n");
}

/* ---- mail of strangers ---- */

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

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(messages_go_to_their_shard_and_answers_back),
        TEST(a_refusal_ends_both_sides_once),
        TEST(unknown_ids_are_dropped),
        TEST(an_abort_is_passed_on),
        TEST(a_lost_queue_fails_what_was_open_there),
        TEST(a_lost_smtp_aborts_its_own),
        TEST(authors_wait_for_the_directory),
        TEST(a_lost_directory_fails_what_waits_for_it),
        TEST(a_silent_directory_is_given_up),
        TEST(a_full_queue_stops_smtp),
        TEST(a_slow_smtp_stops_queue),
        TEST(smtp_learns_whether_queue_takes_mail),
        TEST(there_is_a_limit_of_open_transactions),
        TEST(headers_give_way_when_too_much_is_held),
        TEST(what_judges_hold_is_counted),
        TEST(strangers_are_judged),
        TEST(others_are_not_judged),
        TEST(questions_outlive_the_resolver),
        TEST(nobody_waits_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
