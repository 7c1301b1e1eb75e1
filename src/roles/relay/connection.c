/* A connection from its opening to its end: login asked for, dialed, the client machine fed, kept idle
 * for a while, closed. What happens to the delivery it carries is in carry.c.
 *
 * The client machine only sets flags; connection_step acts on them after every event, so nothing is
 * freed under its feet. */
#include "connection.h"
#include "base/log.h"
#include "base/metric.h"

#include <assert.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE_SECONDS = 2, LOGIN_SECONDS = 30, LOGIN_MAX = 1024, STUCK_SECONDS = 15, PATIENCE_SECONDS = 30 };

static struct metric open_now = METRIC_GAUGE("staffetta_relay_connections", "Outgoing connections now.");
static struct metric with_tls = METRIC_COUNTER_L("staffetta_relay_sessions_total", "tls=\"yes\"",
    "Sessions that got ready for mail.");
static struct metric without_tls = METRIC_COUNTER_L("staffetta_relay_sessions_total", "tls=\"no\"",
    "Sessions that got ready for mail.");

static void on_timer(int fd, short what, void *arg);

static struct connection *create(struct relay *relay, struct site *site, struct delivery *d)
{
    struct connection *k = xcalloc(1, sizeof *k);

    k->relay = relay;
    k->site = site;
    k->plan = plan_hold(d->plan);
    k->way = d->way;
    k->way.pool = str_dup(d->way.pool);
    k->require_tls = (d->m.flags & TXN_REQUIRETLS) != 0;
    k->d = d;
    k->since = k->began = clock_monotonic();
    k->timer = event_new(relay->base, -1, 0, on_timer, k);
    if (k->timer == NULL)
        fatal("cannot create a timer");
    buf_init(&k->user, LOGIN_MAX);
    buf_init(&k->secret, LOGIN_MAX);
    list_add_last(&relay->connections, &k->link);
    site_connection_opened(relay, site, &k->at_site);
    metric_set(&open_now, (int64_t)relay->connection_count);
    return k;
}

static void wipe_login(struct connection *k)
{
    if (k->secret.p != NULL)
        sodium_memzero(k->secret.p, k->secret.capacity);
    buf_clear(&k->secret);
    buf_clear(&k->user);
}

void connection_free(struct connection *k)
{
    struct relay *relay = k->relay;

    list_remove(&k->link);
    list_remove(&k->idle);
    list_remove(&k->at_site);
    client_free(k->client);
    for (size_t i = 0; i < ATTEMPTS; i++)
        conn_free(k->attempts[i].conn);
    event_free(k->timer);
    wipe_login(k);
    plan_drop(k->plan);
    str_free(&k->way.pool);
    site_connection_closed(relay, k->site);
    metric_set(&open_now, (int64_t)relay->connection_count);
    free(k);
    relay_maybe_exit(relay);
}

/* ---- opening ---- */

static void give_up(struct connection *k, const struct client_outcome *outcome)
{
    struct delivery *d = k->d;

    k->d = NULL;
    d->carrier = NULL;
    delivery_finish(k->relay, d, outcome, NULL);
    connection_free(k);
}

static void ask_login(struct connection *k)
{
    struct channel *directory = role_peer(k->relay->role, ROLE_DIRECTORY, 0);

    if (directory == NULL) {
        give_up(k, &(struct client_outcome){DELIVERY_DEFERRED, REASON_OTHER, 451, false, false,
                       STR("4.3.0 the login for the smart host cannot be read now")});
        return;
    }
    k->state = CONNECTION_LOGIN;
    k->secret_id = role_next_id(k->relay->role);
    ipc_send_secret_ask(directory, &(struct msg_secret_ask){k->secret_id, k->way.credential});
    event_add(k->timer, &(struct timeval){LOGIN_SECONDS, 0});
}

void connection_open(struct relay *relay, struct site *site, struct delivery *d)
{
    struct connection *k;

    d->attempts++;
    k = create(relay, site, d);
    d->carrier = k;
    if (k->way.credential != 0)
        ask_login(k);
    else
        dial_start(k);
}

void connection_on_secret(struct role *role, struct channel *from, const struct msg_secret_reply *m)
{
    struct relay *relay = role_state(role);

    (void)from;
    LIST_EACH(&relay->connections, it) {
        struct connection *k = CONTAINER(it, struct connection, link);

        if (k->state != CONNECTION_LOGIN || k->secret_id != m->id)
            continue;
        event_del(k->timer);
        buf_add(&k->user, m->user);
        buf_add(&k->secret, m->secret);
        if (m->found)
            dial_start(k);
        else
            give_up(k, &(struct client_outcome){DELIVERY_DEFERRED, REASON_OTHER, 451, false, false,
                           STR("4.3.5 the login for the smart host is not stored")});
        return;
    }
}

void connection_directory_gone(struct relay *relay)
{
    LIST_EACH(&relay->connections, it) {
        struct connection *k = CONTAINER(it, struct connection, link);

        if (k->state == CONNECTION_LOGIN)
            give_up(k, &(struct client_outcome){DELIVERY_DEFERRED, REASON_OTHER, 451, false, false,
                           STR("4.3.0 the login for the smart host cannot be read now")});
    }
}

void connection_dial_failed(struct connection *k)
{
    struct client_outcome outcome = {DELIVERY_DEFERRED, REASON_NETWORK, 451, false, false, str_of(k->error)};
    struct relay *relay = k->relay;
    struct delivery *d = k->d;

    if (k->only_source_trouble)
        outcome.reason = REASON_OTHER;
    k->d = NULL;
    d->carrier = NULL;
    if (!k->only_source_trouble && carry_waits_for_another(k, d)) {
        connection_free(k);
        return;
    }
    if (!k->only_source_trouble)
        site_failed(relay, k->site, d, &(struct rest_failure){k->began, d->attempts == 1, false, &outcome});
    delivery_finish(relay, d, &outcome, NULL);
    connection_free(k);
}

static struct client_settings settings_of(const struct connection *k, const struct tls_rule *rule)
{
    struct client_settings s = {.lmtp = k->way.route == ROUTE_LMTP, .tls = rule->need >= NEED_TLS && k->way.tls == TLS_OPPORTUNISTIC ? TLS_REQUIRED : k->way.tls, .require_tls = k->require_tls,
        .auth_in_clear = ip_is_loopback(&k->winner->ip), .hello = str_of(k->winner->hello),
        .has_login = k->way.credential != 0, .user = buf_str(&k->user), .secret = buf_str(&k->secret)};

    s.plain_only = s.tls == TLS_OPPORTUNISTIC && !k->require_tls &&
                   (k->d->plain & (1u << k->winner->candidate.target)) != 0;
    return s;
}

void connection_connected(struct connection *k)
{
    struct client_settings settings;
    struct tls_rule rule;

    secure_rule(k, &rule);
    settings = settings_of(k, &rule);
    snprintf(k->host, sizeof k->host, "%s", k->plan->targets[k->winner->candidate.target].host);
    k->state = CONNECTION_SESSION;
    secure_describe(k);
    k->client = client_new(&settings, &connection_world, k);
    wipe_login(k);
    client_connected(k->client);
    connection_step(k);
}

/* ---- events of the socket ---- */

static size_t on_input(void *owner, struct str bytes)
{
    struct connection *k = ((struct attempt *)owner)->k;

    if (k->client != NULL && k->state != CONNECTION_CLOSING) {
        client_input(k->client, bytes);
        connection_step(k);
    }
    return bytes.n;
}

static void on_writable(void *owner)
{
    struct connection *k = ((struct attempt *)owner)->k;

    connection_step(k);
}

static void on_connected(void *owner)
{
    dial_on_connected(owner);
}

static void on_secured(void *owner)
{
    struct attempt *a = owner;
    struct connection *k = a->k;

    a->tls_handshake = false;
    secure_done(k);
    connection_step(k);
}

static void on_closed(void *owner, bool timed_out, const char *reason)
{
    struct attempt *a = owner;
    struct connection *k = a->k;

    if (k->winner != a) {
        dial_on_failed(a, timed_out ? "no answer" : reason);
        return;
    }
    if (k->state == CONNECTION_CLOSING) {
        connection_free(k);
        return;
    }
    assert(k->client != NULL);
    if (a->tls_handshake)
        secure_failed(k);
    client_lost(k->client, timed_out, a->tls_handshake, reason);
    connection_step(k);
}

const struct conn_events connection_events = {
    .input = on_input,
    .writable = on_writable,
    .connected = on_connected,
    .secured = on_secured,
    .closed = on_closed,
};

static void on_timer(int fd, short what, void *arg)
{
    struct connection *k = arg;

    (void)fd;
    (void)what;
    if (k->state == CONNECTION_DIALING)
        dial_on_timer(k);
    else if (k->state == CONNECTION_IDLE)
        connection_close(k);
    else if (k->state == CONNECTION_LOGIN)
        give_up(k, &(struct client_outcome){DELIVERY_DEFERRED, REASON_OTHER, 451, false, false,
                       STR("4.3.0 the login for the smart host cannot be read now")});
}

/* ---- life ---- */

static bool is_used_up(const struct connection *k)
{
    int64_t most = role_config(k->relay->role)->relay.messages_per_connection;
    uint64_t theirs = client_mail_max(k->client);

    return (most > 0 && k->messages >= (size_t)most) || (theirs > 0 && k->messages >= theirs) ||
           k->relay->draining;
}

static void become_idle(struct connection *k)
{
    int64_t idle = role_config(k->relay->role)->relay.idle_time;

    if (idle <= 0 || is_used_up(k)) {
        connection_close(k);
        return;
    }
    k->state = CONNECTION_IDLE;
    site_connection_idle(k->relay, k->site, &k->idle);
    event_add(k->timer, &(struct timeval){idle / SECOND, idle % SECOND});
}

static void find_work(struct connection *k)
{
    struct delivery *d = is_used_up(k) ? NULL : site_next_for(k->relay, k->site, k);

    if (d == NULL) {
        become_idle(k);
        return;
    }
    k->d = d;
    k->began = clock_monotonic();
    d->carrier = k;
}

void connection_step(struct connection *k)
{
    if (k->stepping)
        return;
    k->stepping = true;
    while (!k->failed && k->state == CONNECTION_SESSION) {
        if (k->txn_done)
            carry_transaction_done(k);
        if (!client_is_ready(k->client) || k->scanning)
            break;
        if (k->d == NULL)
            find_work(k);
        if (k->d != NULL)
            carry_begin(k);
    }
    if (!k->failed && k->want_body)
        carry_want_body(k);
    k->stepping = false;
    if (!k->failed)
        return;
    if (k->d != NULL)
        carry_session_failed(k);
    connection_free(k);
}

static bool is_hopeless(const struct connection *k, int64_t now)
{
    bool past_end = client_is_past_end(k->client);

    /* One answer every few minutes for each of many recipients: each in time, all together not. */
    if (now - k->d->heard > (past_end ? DELIVERY_SECONDS + END_SECONDS : DELIVERY_SECONDS) * SECOND)
        return true;
    /* Others find no place: a server that was never quick must not keep them waiting. Past the end of a
     * message it is waited for all the same, since giving up there may double it. */
    if (!k->relay->starved || !site_is_slow(k->site) || past_end || k->body_asked)
        return false;
    return now - k->since > PATIENCE_SECONDS * SECOND ||
           (k->offset == 0 && now - k->began > 2 * PATIENCE_SECONDS * SECOND);
}

/* The time the other side takes, not that of queue. */
static void judge_pace(struct connection *k, int64_t now)
{
    if (k->body_asked)
        return;
    site_spends(k->relay, k->site, k->d->at, now);
    if (now - k->since > STUCK_SECONDS * SECOND)
        site_stuck(k->relay, k->site, k->d->at, k->since);
}

void connection_sweep(struct relay *relay, int64_t now)
{
    LIST_EACH(&relay->connections, it) {
        struct connection *k = CONTAINER(it, struct connection, link);

        if (k->d == NULL || k->state == CONNECTION_LOGIN)
            continue;
        judge_pace(k, now);
        if (k->state == CONNECTION_SESSION && is_hopeless(k, now)) {
            client_lost(k->client, true, false, "too slow");
            connection_step(k);
        }
    }
    relay->starved = false;
}

void connection_session_ready(struct connection *k)
{
    bool verified;

    k->was_ready = true;
    if (k->d != NULL)
        report_session(k, true);
    if (k->messages == 0)
        metric_add(client_is_secure(k->client, &verified) ? &with_tls : &without_tls, 1);
}

/* Is the server this connection leads to one the delivery may still try, and is TLS with it what it needs? */
static bool leads_there(const struct connection *k, const struct delivery *d)
{
    struct tls_rule rule;

    for (size_t i = 0; i < d->plan->n; i++) {
        if (d->plan->targets[i].port != k->winner->port || strcmp(d->plan->targets[i].host, k->host) != 0)
            continue;
        tls_rule_of(d->plan, i, d->way.tls, d->m.flags, &rule);
        return d->tried[i] == 0 && tls_rule_is_met(&rule, k->proof);
    }
    return false;
}

bool connection_fits(const struct connection *k, const struct delivery *d)
{
    return way_equal(&k->way, &d->way) && leads_there(k, d);
}

void connection_carry(struct connection *k, struct delivery *d)
{
    list_remove(&k->idle);
    event_del(k->timer);
    k->state = CONNECTION_SESSION;
    k->d = d;
    k->began = clock_monotonic();
    d->carrier = k;
    connection_step(k);
}

void connection_abort(struct connection *k)
{
    k->d = NULL;
    connection_free(k);
}

void connection_close(struct connection *k)
{
    list_remove(&k->idle);
    event_del(k->timer);
    k->state = CONNECTION_CLOSING;
    client_quit(k->client);
    /* The server closes (RFC 5321 4.1.1.10): our place there is free only then. */
    conn_total_limit(k->winner->conn, CLOSE_SECONDS * SECOND);
}

bool connection_is_past_end(const struct connection *k)
{
    return k->state == CONNECTION_SESSION && !k->failed && client_is_past_end(k->client);
}

bool connection_is_idle(const struct connection *k)
{
    return k->state == CONNECTION_IDLE || k->state == CONNECTION_CLOSING;
}

const struct delivery *connection_carries(struct link *link)
{
    return CONTAINER(link, struct connection, at_site)->d;
}

const struct way *connection_way(struct link *link)
{
    return &CONTAINER(link, struct connection, at_site)->way;
}

bool connection_is_let_in(struct link *link)
{
    const struct connection *k = CONTAINER(link, struct connection, at_site);

    if (!k->was_ready || k->failed || k->state == CONNECTION_CLOSING)
        return false;
    return k->d == NULL || clock_monotonic() - k->since < STUCK_SECONDS * SECOND;
}

struct connection *connection_of_idle(struct link *link)
{
    return CONTAINER(link, struct connection, idle);
}

void connection_describe(const struct connection *k, struct rcpt *r)
{
    const struct attempt *a = k->winner;

    if (a == NULL)
        return;
    snprintf(r->host, sizeof r->host, "%s", k->host);
    ip_format(&a->ip, r->ip);
    ip_format(&a->source, r->source);
    snprintf(r->policy, sizeof r->policy, "%s", k->policy);
    r->tls[0] = '\0';
    if (a->conn != NULL)
        conn_tls_text(a->conn, r->tls, sizeof r->tls);
}
