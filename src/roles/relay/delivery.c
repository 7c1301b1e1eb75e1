/* Deliveries as queue sees them: collected from its messages, each recipient reported exactly once,
 * ended with deliver_done. Nothing is stored: if we die, queue tries again; if queue dies, its
 * deliveries are dropped, except for those whose message was sent to its end (kept.h). */
#include "kept.h"
#include "relay.h"
#include "base/log.h"
#include "base/metric.h"
#include "smtp/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 4 * 1024 * 1024 };

#define ATTEMPT(status) METRIC_COUNTER_L("staffetta_relay_recipients_total", "result=\"" status "\"", "Recipients by result of an attempt.")
static struct metric results[] = {
    [DELIVERY_DELIVERED] = ATTEMPT("delivered"),
    [DELIVERY_RELAYED] = ATTEMPT("relayed"),
    [DELIVERY_DEFERRED] = ATTEMPT("deferred"),
    [DELIVERY_FAILED] = ATTEMPT("failed"),
};
static struct metric under_way = METRIC_GAUGE("staffetta_relay_deliveries", "Deliveries taken from queue and not finished.");
static struct metric latency = METRIC_HISTOGRAM("staffetta_relay_seconds", "Time of a delivery, waiting included.");

int64_t delivery_taken(void)
{
    return results[DELIVERY_DELIVERED].value + results[DELIVERY_RELAYED].value;
}

void delivery_show_metrics(void)
{
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        metric_show(&results[i]);
    metric_show(&under_way);
    metric_show(&latency);
}

static uint64_t hash_of(const struct channel *queue, uint64_t id)
{
    uint64_t key[2] = {channel_serial(queue), id};

    return map_hash_str((struct str){(const char *)key, sizeof key});
}

static struct delivery *find(struct relay *relay, const struct channel *queue, uint64_t id)
{
    struct map_node *node = map_find(&relay->deliveries, hash_of(queue, id));

    for (; node != NULL; node = map_find_next(node)) {
        struct delivery *d = CONTAINER(node, struct delivery, node);

        if (d->id == id && d->queue == queue)
            return d;
    }
    return NULL;
}

static void keep(struct delivery *d, struct str *out, struct str s)
{
    *out = s.n > 0 ? arena_str(&d->arena, s) : (struct str){0};
    if (s.n > 0 && out->p == NULL)
        *out = (struct str){0};
}

static void keep_message(struct relay *relay, struct delivery *d, const struct msg_deliver_remote *m)
{
    d->message = m->message;
    d->m = (struct client_message){.flags = m->flags, .size = m->size, .priority = m->priority,
        .has_by = m->deliver_by != 0};
    d->deliver_by = m->deliver_by;
    d->way.route = m->route <= ROUTE_LMTP ? (enum route_kind)m->route : ROUTE_MX;
    d->way.tls = m->tls <= TLS_IMPLICIT ? (enum route_tls)m->tls : TLS_VERIFIED;
    d->way.credential = m->credential;
    keep(d, &d->destination, m->destination);
    keep(d, &d->domain, m->domain);
    keep(d, &d->hosts, m->hosts);
    keep(d, &d->way.pool, m->pool);
    keep(d, &d->m.sender, m->sender);
    d->sender = map_hash_str(d->m.sender) | 1;
    d->m.protect = d->m.sender.n == 0 && d->m.flags & TXN_REQUIRETLS;
    if (d->m.protect)
        d->m.flags &= ~(uint64_t)TXN_REQUIRETLS;
    keep(d, &d->m.envid, m->envid);
    keep(d, &d->m.body, m->body);
    d->m.body_whole = m->body.n > 0;
    if (d->m.body_whole)
        message_scan(d->m.body, &d->m.header_bits, &d->m.body_bits);
    d->body_held = d->m.body.n;
    relay->bodies += d->body_held;
}

void delivery_on_remote(struct role *role, struct channel *from, const struct msg_deliver_remote *m)
{
    struct relay *relay = role_state(role);
    struct delivery *d;

    if (relay->draining || find(relay, from, m->id) != NULL)
        return;
    d = xcalloc(1, sizeof *d);
    d->queue = from;
    d->shard = channel_copy(from);
    d->id = m->id;
    arena_init(&d->arena, ARENA_MAX);
    keep_message(relay, d, m);
    map_add(&relay->deliveries, &d->node, hash_of(from, m->id));
    metric_set(&under_way, (int64_t)relay->deliveries.count);
}

void delivery_on_rcpt(struct role *role, struct channel *from, const struct msg_deliver_rcpt *m)
{
    struct relay *relay = role_state(role);
    struct delivery *d = find(relay, from, m->id);
    struct rcpt *r;

    if (d == NULL || d->going || d->n >= RCPTS_MAX)
        return;
    if (d->n == d->capacity) {
        d->capacity = d->capacity ? d->capacity * 2 : 4;
        d->rcpts = xrealloc(d->rcpts, d->capacity * sizeof d->rcpts[0]);
    }
    r = d->rcpts[d->n++] = xcalloc(1, sizeof *r);
    r->n = m->n;
    r->c.notify = m->notify;
    keep(d, &r->c.address, m->address);
    keep(d, &r->c.orcpt, m->orcpt);
}

void delivery_on_body(struct role *role, struct channel *from, const struct msg_body_chunk *m)
{
    struct delivery *d = find(role_state(role), from, m->id);

    if (d != NULL && d->carrier != NULL)
        connection_body(d->carrier, m->data, m->offset);
}

/* ---- results ---- */

static void log_result(const struct delivery *d, const struct rcpt *r)
{
    static const char *const names[] = {"delivered", "relayed", "deferred", "failed"};
    char message[MSGID_TEXT + 1];

    msgid_format(d->message, message);
    log_info(names[r->result.status],
        "message=%s rcpt=%.*s host=%s ip=%s tls=%s policy=%s source=%s code=%u reason=%s ms=%lld text=%.*s", message,
        STR_ARG(r->c.address), r->host, r->ip, r->tls, r->policy, r->source, r->result.code,
        delivery_reason_name(r->result.reason), (long long)((clock_monotonic() - d->started) / 1000),
        STR_ARG(r->result.text));
}

static void send_result(const struct delivery *d, const struct rcpt *r)
{
    ipc_send_rcpt_done(d->queue,
        &(struct msg_rcpt_done){.id = d->id, .n = r->n, .status = r->result.status, .reason = r->result.reason,
            .code = r->result.code, .dsn = r->c.dsn, .text = r->result.text,
            .host = r->result.remote ? str_of(r->host) : (struct str){0}, .ip = str_of(r->ip), .tls = str_of(r->tls),
            .policy = str_of(r->policy), .source = str_of(r->source)});
    channel_gave(d->queue, handover_of(r->result.status));
}

static void report(struct relay *relay, struct delivery *d, struct rcpt *r)
{
    if (r->reported)
        return;
    r->reported = true;
    metric_add(&results[r->result.status], 1);
    log_result(d, r);
    if (d->queue != NULL)
        send_result(d, r);
    if (r->result.status != DELIVERY_DEFERRED)
        kept_add(relay, d, r);
}

void delivery_result(struct relay *relay, struct delivery *d, struct rcpt *r, const struct client_outcome *outcome,
    const struct connection *k)
{
    if (r->reported)
        return;
    r->has_result = true;
    r->result = *outcome;
    snprintf(r->text, sizeof r->text, "%.*s", STR_ARG(outcome->text));
    r->result.text = str_of(r->text);
    if (r->result.status == DELIVERY_RELAYED && d->way.route == ROUTE_LMTP)
        r->result.status = DELIVERY_DELIVERED;
    snprintf(r->policy, sizeof r->policy, "%s", d->policy);
    if (k != NULL)
        connection_describe(k, r);
    if (r->result.status != DELIVERY_DEFERRED)
        report(relay, d, r);
}

size_t delivery_open_rcpts(const struct delivery *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++)
        n += !d->rcpts[i]->reported && d->rcpts[i]->c.state == CLIENT_RCPT_OPEN;
    return n;
}

bool delivery_may_go_on(const struct delivery *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (!d->rcpts[i]->reported && !(d->rcpts[i]->has_result && d->rcpts[i]->result.final))
            return true;
    return false;
}

void delivery_reopen(struct delivery *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct rcpt *r = d->rcpts[i];

        if (!r->reported && !(r->has_result && r->result.final))
            r->c.state = CLIENT_RCPT_OPEN;
    }
}

void delivery_finish(struct relay *relay, struct delivery *d, const struct client_outcome *rest,
    const struct connection *k)
{
    for (size_t i = 0; i < d->n; i++) {
        struct rcpt *r = d->rcpts[i];

        if (r->reported)
            continue;
        /* What a server said about this recipient is worth more than why the next one failed. */
        if (!r->has_result || !r->result.remote)
            if (!(r->has_result && r->result.final))
                delivery_result(relay, d, r, rest, k);
        report(relay, d, r);
    }
    if (d->queue != NULL)
        ipc_send_deliver_done(d->queue, &(struct msg_deliver_done){d->id});
    metric_observe(&latency, clock_monotonic() - d->started);
    delivery_free(relay, d);
}

static void rule_at(const struct delivery *d, size_t target, struct tls_rule *rule)
{
    tls_rule_of(d->plan, target, d->way.tls, d->m.flags, rule);
}

void delivery_forbid_servers(struct delivery *d)
{
    struct tls_rule rule;

    for (size_t i = 0; i < d->plan->n; i++) {
        rule_at(d, i, &rule);
        if (rule.skip)
            d->tried[i] = UINT8_MAX;
    }
}

/* All are forbidden: the first one says why. */
static void finish_forbidden(struct relay *relay, struct delivery *d, const struct tls_rule *rule)
{
    struct client_outcome outcome = {rule->lasting ? DELIVERY_FAILED : DELIVERY_DEFERRED, REASON_TLS, rule->lasting ? 550 : 451,
        false, false, (struct str){0}};
    char text[TLS_RULE_TEXT];

    snprintf(text, sizeof text, "%s %s", rule->lasting ? "5.7.10 Encryption needed:" : "4.7.5", rule->why);
    outcome.text = str_of(text);
    delivery_finish(relay, d, &outcome, NULL);
}

bool delivery_obeys_policies(struct relay *relay, struct delivery *d)
{
    struct tls_rule rule;
    bool left = false;

    delivery_forbid_servers(d);
    for (size_t i = d->plan->n; i-- > 0;) {
        rule_at(d, i, &rule);
        left |= !rule.skip;
        if (rule.skip)
            report_forbidden(&relay->reporting, d, i, &rule);
    }
    tls_rule_text(&rule, d->policy);
    if (!left)
        finish_forbidden(relay, d, &rule);
    return left;
}

void delivery_sweep(struct relay *relay, int64_t now)
{
    const struct client_outcome late = {DELIVERY_DEFERRED, REASON_LIMIT, 451, false, false,
        STR("4.4.5 other mail for the same slow servers took all the time")};
    struct map_node *node = map_walk(&relay->deliveries, NULL);

    while (node != NULL) {
        struct delivery *d = CONTAINER(node, struct delivery, node);

        node = map_walk(&relay->deliveries, node);
        if (d->going && d->queue != NULL && d->carrier == NULL && d->site != NULL &&
            now - d->started > DELIVERY_SECONDS * SECOND)
            delivery_finish(relay, d, &late, NULL);
    }
}

void delivery_free(struct relay *relay, struct delivery *d)
{
    map_remove(&relay->deliveries, &d->node);
    list_remove(&d->link);
    site_leave(relay, d);
    destination_leave(d);
    plan_drop(d->plan);
    for (size_t i = 0; i < d->n; i++)
        free(d->rcpts[i]);
    free(d->rcpts);
    relay->bodies -= d->body_held;
    arena_clear(&d->arena);
    free(d);
    metric_set(&under_way, (int64_t)relay->deliveries.count);
}

/* ---- what queue did not live to store ---- */

/* The limits that protect this process; queue's own schedule tries again. */
static const char *refusal(const struct relay *relay, const struct delivery *d)
{
    if (relay->deliveries.count > DELIVERIES_MAX || relay->bodies > BODIES_MAX)
        return "4.3.2 the relay is busy";
    if (d->m.body.n == 0 && d->body_held > 0)
        return "4.3.1 the message does not fit";
    return NULL;
}

/* What an earlier process of queue had us send must not be sent again. */
static void defer_known(struct relay *relay, struct delivery *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (!kept_knows(relay, d, d->rcpts[i]))
            continue;
        delivery_result(relay, d, d->rcpts[i], &kept_known, NULL);
        report(relay, d, d->rcpts[i]);
    }
}

void delivery_on_go(struct role *role, struct channel *from, const struct msg_deliver_go *m)
{
    struct relay *relay = role_state(role);
    struct delivery *d = find(relay, from, m->id);
    const char *no;

    if (d == NULL || d->going)
        return;
    d->going = true;
    d->started = d->heard = clock_monotonic();
    no = refusal(relay, d);
    defer_known(relay, d);
    if (no != NULL)
        delivery_finish(relay, d,
            &(struct client_outcome){DELIVERY_DEFERRED, REASON_LIMIT, 451, false, false, str_of(no)}, NULL);
    else if (delivery_open_rcpts(d) == 0)
        delivery_finish(relay, d, &kept_known, NULL);
    else
        destination_take(relay, d);
}

void delivery_queue_gone(struct relay *relay, struct channel *queue)
{
    struct delivery **gone = xcalloc(relay->deliveries.count + 1, sizeof *gone);
    size_t n = 0;

    for (struct map_node *node = map_walk(&relay->deliveries, NULL); node; node = map_walk(&relay->deliveries, node))
        if (CONTAINER(node, struct delivery, node)->queue == queue)
            gone[n++] = CONTAINER(node, struct delivery, node);
    for (size_t i = 0; i < n; i++) {
        if (gone[i]->carrier != NULL && connection_is_past_end(gone[i]->carrier)) {
            gone[i]->queue = NULL;
            list_add_last(&relay->kept.orphans, &gone[i]->link);
            continue;
        }
        if (gone[i]->carrier != NULL)
            connection_abort(gone[i]->carrier);
        delivery_free(relay, gone[i]);
    }
    free(gone);
}
