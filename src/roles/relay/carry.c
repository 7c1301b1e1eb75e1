/* The delivery on a connection: transactions, the body, and what a verdict or a lost session means for
 * it. Three ways on: another transaction here, another server (back to the site, first in line), or
 * the report to queue. */
#include "connection.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* ---- the client machine's world: flags and bytes only ---- */

static void on_send(void *owner, struct str bytes)
{
    struct connection *k = owner;

    conn_send(k->winner->conn, bytes);
}

static void on_start_tls(void *owner)
{
    secure_start(owner);
}

static void on_ready(void *owner)
{
    connection_session_ready(owner);
}

/* A 4xx that is about the server, not about one recipient or this message. */
static bool asks_for_less(const struct client_outcome *outcome)
{
    return outcome->status == DELIVERY_DEFERRED && outcome->remote && outcome->code / 100 == 4 &&
           outcome->reason != REASON_NO_USER && outcome->reason != REASON_MAILBOX_FULL &&
           outcome->reason != REASON_CONTENT;
}

static void on_settled(void *owner, struct client_rcpt *rcpt, const struct client_outcome *outcome)
{
    struct connection *k = owner;
    struct rcpt *r = CONTAINER(rcpt, struct rcpt, c);

    k->answered |= outcome->remote;
    if (k->d != NULL && outcome->remote)
        site_answers(k->site, k->d);
    if (k->d != NULL && asks_for_less(outcome))
        site_busy(k->relay, k->site, k->d->at);
    if (k->d != NULL)
        delivery_result(k->relay, k->d, r, outcome, k);
    if (k->d != NULL && outcome->status == DELIVERY_RELAYED)
        site_worked(k->relay, k->site, k->d->at);
}

static void on_want_body(void *owner)
{
    struct connection *k = owner;

    k->want_body = true;
}

static void on_done(void *owner)
{
    struct connection *k = owner;

    k->txn_done = true;
    k->want_body = false;
}

static void on_failed(void *owner, const struct client_failure *failure)
{
    struct connection *k = owner;

    k->failed = true;
    k->want_body = false;
    k->failure = *failure;
    snprintf(k->failure_text, sizeof k->failure_text, "%.*s", STR_ARG(failure->outcome.text));
    k->failure.outcome.text = str_of(k->failure_text);
}

static void on_wait(void *owner, enum client_wait what)
{
    struct connection *k = owner;
    int64_t limit = role_config(k->relay->role)->relay.command_time;

    k->since = clock_monotonic();
    conn_total_limit(k->winner->conn, what == CLIENT_WAIT_NONE ? 0 : what == CLIENT_WAIT_END ? 2 * limit : limit);
}

const struct client_world connection_world = {
    .send = on_send,
    .start_tls = on_start_tls,
    .ready = on_ready,
    .settled = on_settled,
    .want_body = on_want_body,
    .done = on_done,
    .failed = on_failed,
    .wait = on_wait,
};

/* ---- bodies ---- */

static void ask_body(struct connection *k)
{
    k->body_asked = true;
    k->d->heard = clock_monotonic();
    ipc_send_body_ask(k->d->queue, &(struct msg_body_ask){k->d->id, k->offset});
}

void carry_want_body(struct connection *k)
{
    if (k->d == NULL || k->body_asked || conn_output_waiting(k->winner->conn) > CONN_OUTPUT_HIGH)
        return;
    conn_total_limit(k->winner->conn, role_config(k->relay->role)->relay.command_time);
    k->since = clock_monotonic();
    ask_body(k);
}

static void scan_piece(struct connection *k, struct str data)
{
    struct client_message *m = &k->d->m;
    enum message_bits header, rest;

    if (k->offset == 0) {
        message_scan(data, &m->header_bits, &m->body_bits);
    } else {
        message_scan(data, &header, &rest);
        if (header == BITS_EIGHT || rest == BITS_EIGHT)
            m->body_bits = BITS_EIGHT;
    }
    k->offset += data.n;
    if (data.n > 0 && k->offset < m->size) {
        ask_body(k);
        return;
    }
    if (k->offset == 0)
        m->header_bits = m->body_bits = BITS_SEVEN;
    k->scanning = false;
}

/* The content ended early: it must not be sent as if it were whole. */
static void body_is_short(struct connection *k)
{
    static const char text[] = "4.3.0 the stored message could not be read to its end";

    k->failed = true;
    k->failure = (struct client_failure){.stage = STAGE_END,
        .outcome = {DELIVERY_DEFERRED, REASON_OTHER, 451, false, true, str_of(text)}};
    k->want_body = false;
}

void connection_body(struct connection *k, struct str data, uint64_t offset)
{
    bool last;

    if (!k->body_asked || offset != k->offset || k->failed)
        return;
    k->body_asked = false;
    k->since = clock_monotonic(); /* until now it was queue that took its time */
    if (k->scanning) {
        scan_piece(k, data);
    } else if (k->want_body) {
        k->want_body = false;
        k->offset += data.n;
        last = data.n == 0 || k->offset >= k->d->m.size;
        if (data.n == 0 && k->offset < k->d->m.size)
            body_is_short(k);
        else
            client_body(k->client, data, last);
    }
    connection_step(k);
}

/* ---- transactions ---- */

static size_t choose_rcpts(struct connection *k)
{
    size_t most = (size_t)client_rcpt_max(k->client), n = 0;
    int64_t ours = role_config(k->relay->role)->relay.recipients_per_transaction;

    if (ours > 0 && (size_t)ours < most)
        most = (size_t)ours;
    for (size_t i = 0; i < k->d->n && n < most; i++) {
        struct rcpt *r = k->d->rcpts[i];

        if (!r->reported && r->c.state == CLIENT_RCPT_OPEN)
            k->rcpts[n++] = &r->c;
    }
    return n;
}

void carry_begin(struct connection *k)
{
    struct delivery *d = k->d;
    size_t n;

    k->since = clock_monotonic();
    d->let_in = true;
    secure_describe(k);
    if (client_must_scan(k->client, &d->m)) {
        k->scanning = true;
        k->offset = 0;
        ask_body(k);
        return;
    }
    n = choose_rcpts(k);
    if (n == 0) {
        k->d = NULL;
        d->carrier = NULL;
        delivery_finish(k->relay, d,
            &(struct client_outcome){DELIVERY_DEFERRED, REASON_OTHER, 451, false, false, STR("4.3.0 not tried")}, k);
        return;
    }
    k->offset = 0;
    k->body_asked = false;
    k->open_before = delivery_open_rcpts(d);
    if (d->m.has_by)
        d->m.by_seconds = (d->deliver_by - clock_now()) / SECOND;
    client_begin(k->client, &d->m, k->rcpts, n);
}

static bool has_untried(const struct delivery *d)
{
    for (size_t i = 0; i < d->plan->n; i++)
        for (size_t j = 0; j < d->plan->targets[i].address_count; j++)
            if (!(d->tried[i] & (1u << j)))
                return true;
    return false;
}

static size_t target_index(const struct connection *k, const struct delivery *d)
{
    for (size_t i = 0; i < d->plan->n; i++)
        if (d->plan->targets[i].port == k->winner->port && strcmp(d->plan->targets[i].host, k->host) == 0)
            return i;
    return PLAN_TARGETS;
}

/* Is another server left, and somebody who may still get it there? */
static bool goes_on(const struct delivery *d)
{
    return delivery_may_go_on(d) && has_untried(d) && d->attempts < ATTEMPTS_MAX;
}

/* Lets the delivery go: to another server, or back to queue. */
static void move_on(struct connection *k, const struct client_outcome *rest)
{
    struct delivery *d = k->d;

    k->d = NULL;
    d->carrier = NULL;
    if (goes_on(d)) {
        delivery_reopen(d);
        site_take(k->relay, d, true);
        site_wake(k->relay, k->site);
    } else {
        delivery_finish(k->relay, d, rest, k);
    }
}

/* Its queue is gone: what has a result is kept, the rest is tried again by the next one. */
static void orphan_ended(struct connection *k)
{
    struct delivery *d = k->d;

    k->d = NULL;
    d->carrier = NULL;
    delivery_free(k->relay, d);
}

void carry_transaction_done(struct connection *k)
{
    static const struct client_outcome odd = {DELIVERY_DEFERRED, REASON_PROTOCOL, 451, false, false,
        {"4.5.0 the server gave no verdict", 32}};
    struct delivery *d = k->d;
    size_t open = delivery_open_rcpts(d), target;

    k->txn_done = false;
    k->messages++;
    site_answers(k->site, d);
    if (d->queue == NULL) {
        orphan_ended(k);
        return;
    }
    if (open > 0 && open < k->open_before)
        return; /* the rest of them in the next transaction */
    target = target_index(k, d);
    if (target < PLAN_TARGETS)
        d->tried[target] = UINT8_MAX;
    move_on(k, &odd);
}

/* May this host be tried once more without TLS? Only this delivery does so: the next one tries TLS
 * again, so that one broken handshake opens no window for who listens. */
static bool retry_in_plain(struct connection *k, size_t target)
{
    struct tls_rule rule;

    if (!k->failure.tls || k->way.tls != TLS_OPPORTUNISTIC || target == PLAN_TARGETS || k->d->plain & (1u << target))
        return false;
    tls_rule_of(k->d->plan, target, k->way.tls, k->d->m.flags, &rule);
    if (rule.need != NEED_ANY)
        return false;
    k->d->plain |= 1u << target;
    log_info("tls-failed", "host=%s reason=%.*s next=plain", k->host, STR_ARG(k->failure.outcome.text));
    return true;
}

/* An old connection that the server closed while nothing was under way says nothing about the server. */
static bool was_stale(const struct connection *k)
{
    return k->messages > 0 && k->failure.stage == STAGE_MAIL && k->failure.outcome.reason == REASON_NETWORK &&
           !k->failure.busy;
}

/* The session came to nothing: the server let nobody in, hung up or talked nonsense before it gave a verdict on
 * any message, and not because of what this message needs. */
static void note_failure(struct connection *k, const struct client_outcome *outcome)
{
    bool broken = outcome->reason == REASON_NETWORK || outcome->reason == REASON_PROTOCOL;

    if (k->messages > 0 || k->answered || (k->was_ready && !broken) || k->require_tls || k->failure.unsuitable ||
        outcome->status != DELIVERY_DEFERRED || goes_on(k->d))
        return;
    site_failed(k->relay, k->site, k->d, &(struct rest_failure){k->began, false, k->was_ready, outcome});
}

bool carry_waits_for_another(struct connection *k, struct delivery *d)
{
    if (d->let_in || k->require_tls || d->attempts >= ATTEMPTS_MAX || !site_has_enough(k->relay, k->site, d))
        return false;
    k->d = NULL;
    d->carrier = NULL;
    memset(d->tried, 0, sizeof d->tried);
    delivery_forbid_servers(d);
    site_take(k->relay, d, true);
    return true;
}

void carry_session_failed(struct connection *k)
{
    struct client_outcome outcome = k->failure.outcome;
    struct delivery *d = k->d;
    size_t target = target_index(k, d);

    if (d->queue == NULL) {
        orphan_ended(k);
        return;
    }
    if (!k->was_ready)
        report_session(k, false);
    if (!retry_in_plain(k, target) && !was_stale(k) && target < PLAN_TARGETS) {
        if (k->messages > 0)
            d->tried[target] = UINT8_MAX;
        else
            d->tried[target] |= (uint8_t)(1u << k->winner->candidate.address);
        if (k->failure.stage <= STAGE_EHLO && outcome.reason == REASON_NETWORK)
            hosts_failed(&k->relay->hosts, &k->winner->ip, k->winner->port, clock_monotonic());
    }
    if (k->failure.busy)
        site_busy(k->relay, k->site, d->at);
    if (outcome.reason == REASON_NONE)
        outcome.reason = REASON_OTHER;
    for (size_t i = 0; i < d->n && outcome.remote && outcome.status == DELIVERY_DEFERRED; i++)
        if (!d->rcpts[i]->reported && !(d->rcpts[i]->has_result && d->rcpts[i]->result.remote))
            delivery_result(k->relay, d, d->rcpts[i], &outcome, k);
    if (outcome.final) {
        for (size_t i = 0; i < d->n; i++)
            if (!d->rcpts[i]->reported && !d->rcpts[i]->has_result)
                delivery_result(k->relay, d, d->rcpts[i], &outcome, k);
    }
    if (!goes_on(d) && !outcome.final && carry_waits_for_another(k, d))
        return;
    note_failure(k, &outcome);
    move_on(k, &outcome);
}
