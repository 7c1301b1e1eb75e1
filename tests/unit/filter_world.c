/* See filter_world.h. */
#include "filter_world.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- role.h and channel.h, as far as the filter uses them ---- */

void *role_state(struct role *role)
{
    return &role->filter;
}

const struct config *role_config(const struct role *role)
{
    return &role->config;
}

struct event_base *role_base(struct role *role)
{
    (void)role;
    return NULL; /* nothing here waits for time */
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
NOTE(event, " %d %d %.*s %.*s", (int)m->seq, (int)m->message, STR_ARG(m->sender), STR_ARG(m->details))
NOTE(dns_ask, " %d %d %.*s", (int)m->id, (int)m->type, STR_ARG(m->name))
NOTE(sender_ask, " %d %.*s", (int)m->id, STR_ARG(m->address))
NOTE(dkim_keys_ask, " %d %.*s", (int)m->id, STR_ARG(m->domain))
NOTE(dkim_sign_ask, " %d %.*s %.*s %zu", (int)m->id, STR_ARG(m->domain), STR_ARG(m->rsa), m->rsa_hash.n)

static const struct handlers notes = {.txn_begin = note_txn_begin, .txn_rcpt = note_txn_rcpt, .txn_chunk = note_txn_chunk,
    .txn_end = note_txn_end, .txn_abort = note_txn_abort, .txn_done = note_txn_done, .queue_state = note_queue_state,
    .sender_ask = note_sender_ask, .dkim_keys_ask = note_dkim_keys_ask, .dkim_sign_ask = note_dkim_sign_ask, .dns_ask = note_dns_ask,
    .event = note_event};

void sent(struct role *role, struct channel *c, const char *wanted)
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

void bring_up(struct role *role, struct channel *c, enum role_id peer, unsigned copy)
{
    static uint64_t serials;

    *c = (struct channel){.peer = peer, .copy = copy, .serial = ++serials, .reading = true, .up = true};
    buf_init(&c->out, 1 << 24);
    flow_peer_up(&role->filter, c);
}

int setup(void **state)
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
    tally_init(&f->tally, 0);
    bring_up(role, &role->events, ROLE_EVENTS, 0);
    *state = role;
    return 0;
}

int teardown(void **state)
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
    buf_clear(&role->events.out);
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

void begin(struct role *role, unsigned smtp, uint64_t id, uint64_t message, uint64_t account)
{
    transaction_on_begin(role, &role->smtp[smtp], &(struct msg_txn_begin){.id = id, .message = message, .account = account,
        .sender = STR("me@a.example")});
    transaction_on_rcpt(role, &role->smtp[smtp], &(struct msg_txn_rcpt){.id = id, .address = STR("you@b.example")});
}

void chunk(struct role *role, unsigned smtp, uint64_t id, struct str data)
{
    transaction_on_chunk(role, &role->smtp[smtp], &(struct msg_txn_chunk){id, data});
}

void end(struct role *role, unsigned smtp, uint64_t id)
{
    transaction_on_end(role, &role->smtp[smtp], &(struct msg_txn_end){.id = id});
}

void done(struct role *role, unsigned shard, uint64_t id, uint64_t code)
{
    transaction_on_done(role, &role->queue[shard], &(struct msg_txn_done){id, code, STR("2.0.0 ok")});
}
