/* A connection from accept to login: PROXY header, TLS, limits, and the world of the protocol machine.
 *
 * The machine and the connection wait half-duplex: while directory is asked nothing is read. What the
 * client sent ahead stays in the connection and goes to mailbox after login. */
#include "access.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "net/proxy.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PROXY_SECONDS = 10,
    LOGIN_IDLE_SECONDS = 60,
    LOGIN_TOTAL_SECONDS = 180,
};

static struct metric connections = METRIC_COUNTER("staffetta_access_connections_total", "Connections accepted.");
static struct metric open_now = METRIC_GAUGE("staffetta_access_connections", "Connections open.");
static struct metric banned = METRIC_COUNTER("staffetta_access_banned_total",
    "Connections refused because of failed logins.");
static struct metric too_many = METRIC_COUNTER("staffetta_access_address_limit_total",
    "Connections refused because the address has too many.");
static struct metric slow = METRIC_COUNTER("staffetta_access_slow_total",
    "Connections without a login ended because all places were taken.");
static struct metric session_time = METRIC_HISTOGRAM("staffetta_access_session_seconds",
    "Time from login to the end of the connection.");

static const struct login_world world;
static const struct conn_events events;

/* ---- life ---- */

void client_show_metrics(void)
{
    struct metric *all[] = {&connections, &open_now, &banned, &too_many, &slow, &session_time};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        metric_show(all[i]);
}

void client_made_room(uint64_t n)
{
    metric_add(&slow, (int64_t)n);
}

void client_asked_nothing(struct client *c)
{
    map_remove(&c->access->asked, &c->node);
    c->id = 0;
    c->authenticating = false;
}

void client_ask(struct client *c, struct channel *peer)
{
    client_asked_nothing(c);
    c->id = role_next_id(c->access->role);
    c->serial = channel_serial(peer);
    c->copy = channel_copy(peer);
    map_add(&c->access->asked, &c->node, map_hash_number(c->id));
}

struct client *client_find(struct access *a, const struct channel *from, uint64_t id)
{
    for (struct map_node *n = map_find(&a->asked, map_hash_number(id)); n != NULL; n = map_find_next(n)) {
        struct client *c = CONTAINER(n, struct client, node);

        if (c->id == id && c->serial == channel_serial(from))
            return c;
    }
    return NULL;
}

void client_free(struct client *c)
{
    struct access *a = c->access;

    if (c->logged_in != 0)
        metric_observe(&session_time, clock_monotonic() - c->logged_in);
    if (c->state == CLIENT_SESSION)
        session_abandon(c);
    if (c->authenticating)
        auth_cancel(c);
    client_asked_nothing(c);
    if (c->counted)
        limit_disconnected(a->limits, &c->ip);
    if (c->delay != NULL)
        event_free(c->delay);
    if (c->machine != NULL)
        c->protocol->free(c->machine);
    conn_free(c->conn);
    str_free(&c->login);
    buf_clear(&c->ahead);
    crowd_leave(&a->crowd, &c->member);
    free(c);
    metric_set(&open_now, (int64_t)a->crowd.count);
}

void client_close(struct client *c)
{
    c->state = CLIENT_CLOSING;
    conn_read(c->conn, false);
    conn_close_when_sent(c->conn);
    conn_total_limit(c->conn, 30 * SECOND);
}

void client_bye(struct client *c, const char *why)
{
    if (c->state == CLIENT_CLOSING)
        return;
    if (c->machine != NULL && (c->state == CLIENT_LOGIN || (c->state == CLIENT_SESSION && !c->answered)))
        c->protocol->bye(c->machine, why);
    auth_cancel(c);
    client_close(c);
}

/* ---- limits ---- */

bool client_exempt(const struct client *c)
{
    return config_exempts(role_config(c->access->role), &c->ip);
}

/* Counts the address; false when it may not come in. */
static bool admit(struct client *c)
{
    struct access *a = c->access;
    uint64_t most = (uint64_t)role_config(a->role)->limits.connections_per_address;
    int64_t now = clock_monotonic();
    char address[IP_TEXT];

    ip_format(&c->ip, address);
    if (!client_exempt(c) && limit_banned(a->limits, &c->ip, now)) {
        metric_add(&banned, 1);
        log_info("refused", "client=%s reason=banned after failed logins", address);
        return false;
    }
    if (!limit_connected(a->limits, &c->ip, client_exempt(c) ? 0 : most, now)) {
        metric_add(&too_many, 1);
        log_info("refused", "client=%s reason=too many connections from this address", address);
        return false;
    }
    c->counted = true;
    return true;
}

/* ---- stages ---- */

static const struct config_listen *section(const struct access *a, unsigned index)
{
    const struct config *config = role_config(a->role);

    return index < config->listener_count ? &config->listeners[index] : NULL;
}

/* The machine is there from now on. */
static void begin_login(struct client *c)
{
    unsigned flags = 0;

    if (conn_is_secure(c->conn))
        flags |= LOGIN_SECURE;
    else if (c->tls_mode == LISTEN_TLS_STARTTLS && c->access->tls != NULL)
        flags |= LOGIN_STARTTLS;
    if (ip_is_loopback(&c->ip))
        flags |= LOGIN_LOOPBACK;
    c->state = CLIENT_LOGIN;
    c->machine = c->protocol->new(&world, c, role_config(c->access->role)->hostname, flags);
}

static void greet(struct client *c)
{
    begin_login(c);
    c->protocol->greet(c->machine);
}

static void limit_login_time(struct client *c)
{
    conn_idle_limit(c->conn, LOGIN_IDLE_SECONDS * SECOND);
    conn_total_limit(c->conn, LOGIN_TOTAL_SECONDS * SECOND);
}

/* The address is known now (behind a proxy: that of the real client). */
static void begin(struct client *c)
{
    if (!admit(c)) {
        if (c->tls_mode != LISTEN_TLS_IMPLICIT)
            conn_send(c->conn, str_of(c->protocol->refusal));
        client_close(c);
        return;
    }
    limit_login_time(c);
    if (c->tls_mode != LISTEN_TLS_IMPLICIT) {
        greet(c);
        return;
    }
    c->state = CLIENT_TLS;
    conn_start_tls_server(c->conn, tls_server_context(c->access->tls));
}

static size_t proxy_input(struct client *c, struct str bytes)
{
    struct proxy_header header;
    size_t used = 0;
    char address[IP_TEXT];

    switch (proxy_parse(bytes, &header, &used)) {
    case PROXY_MORE:
        return 0;
    case PROXY_BAD:
        ip_format(&c->ip, address);
        log_warning("proxy", "client=%s reason=malformed PROXY header", address);
        client_close(c);
        return bytes.n;
    case PROXY_DONE:
        break;
    }
    conn_peek(c->conn, false);
    if (!header.local) {
        c->ip = header.source;
        conn_set_peer(c->conn, &header.source, header.source_port);
    }
    begin(c);
    return used;
}

void client_new(struct listener *listener, int fd, const struct ip *peer)
{
    struct access *a = listener->access;
    const struct config_listen *settings = section(a, listener->index);
    struct client *c;

    if (settings == NULL || (settings->tls_mode == LISTEN_TLS_IMPLICIT && a->tls == NULL)) {
        log_warning("refused", "reason=no certificate for implicit TLS");
        close(fd);
        return;
    }
    c = xcalloc(1, sizeof *c);
    c->access = a;
    c->protocol = listener->protocol;
    c->tls_mode = settings->tls_mode;
    c->ip = *peer;
    c->since = clock_monotonic();
    c->conn = conn_new(role_base(a->role), fd, &events, c);
    crowd_join(&a->crowd, &c->member);
    metric_add(&connections, 1);
    metric_set(&open_now, (int64_t)a->crowd.count);
    if (network_list_holds(&settings->proxies, peer)) {
        c->state = CLIENT_PROXY;
        conn_peek(c->conn, true);
        conn_total_limit(c->conn, PROXY_SECONDS * SECOND);
    } else {
        begin(c);
    }
}

/* ---- what the connection says ---- */

static bool login_waits(const struct client *c)
{
    return c->state != CLIENT_LOGIN || c->protocol->waits(c->machine);
}

/* What the client had sent already, before what it sends now. */
static void feed_ahead(struct client *c)
{
    struct buf bytes = c->ahead;
    size_t at = 0, used = 1;

    if (c->feeding || bytes.n == 0 || login_waits(c))
        return;
    c->feeding = true;
    c->drop_ahead = false;
    buf_init(&c->ahead, SESSION_WINDOW);
    while (used > 0 && at < bytes.n && !login_waits(c)) {
        used = c->protocol->input(c->machine, str_skip(buf_str(&bytes), at));
        at += used;
    }
    if (!c->drop_ahead)
        buf_add(&c->ahead, str_skip(buf_str(&bytes), at));
    buf_clear(&bytes);
    c->feeding = false;
    if (c->state == CLIENT_SESSION)
        session_take_ahead(c);
}

void client_resume(struct client *c)
{
    bool waits;

    feed_ahead(c);
    waits = c->state == CLIENT_CLOSING || (c->state == CLIENT_LOGIN && c->protocol->waits(c->machine));

    conn_read(c->conn, !waits && conn_output_waiting(c->conn) <= CONN_OUTPUT_HIGH);
}

/* Behind what waits in `ahead`: part of a line, at most. */
static size_t login_input(struct client *c, struct str bytes)
{
    size_t used;

    if (c->ahead.n == 0)
        return c->protocol->input(c->machine, bytes);
    used = SESSION_WINDOW - c->ahead.n < bytes.n ? SESSION_WINDOW - c->ahead.n : bytes.n;
    buf_add(&c->ahead, str_sub(bytes, 0, used));
    feed_ahead(c);
    return used;
}

static size_t on_input(void *owner, struct str bytes)
{
    struct client *c = owner;
    size_t used = bytes.n;

    if (c->state == CLIENT_PROXY)
        return proxy_input(c, bytes);
    if (c->state == CLIENT_SESSION)
        return session_input(c, bytes);
    if (c->state == CLIENT_LOGIN) {
        used = login_input(c, bytes);
        if (c->state == CLIENT_LOGIN)
            client_resume(c);
    }
    return used;
}

void client_login_again(struct client *c, struct str bytes)
{
    c->protocol->free(c->machine);
    c->machine = NULL;
    metric_observe(&session_time, clock_monotonic() - c->logged_in);
    c->logged_in = 0;
    c->account = 0;
    str_free(&c->login);
    c->answered = c->returning = false;
    c->credit = c->allowed = c->owed = 0;
    begin_login(c);
    limit_login_time(c);
    buf_init(&c->ahead, SESSION_WINDOW);
    buf_add(&c->ahead, bytes);
    client_resume(c);
}

static void on_writable(void *owner)
{
    struct client *c = owner;

    if (c->state == CLIENT_SESSION)
        session_output_sent(c);
    else
        client_resume(c);
}

static void on_secured(void *owner)
{
    struct client *c = owner;
    char tls[128], address[IP_TEXT];

    conn_tls_text(c->conn, tls, sizeof tls);
    ip_format(&c->ip, address);
    log_debug("tls", "client=%s tls=%s", address, tls);
    if (c->state == CLIENT_TLS) {
        greet(c);
    } else if (c->state == CLIENT_LOGIN) {
        c->protocol->secured(c->machine);
        client_resume(c);
    }
}

static void on_closed(void *owner, bool timed_out, const char *reason)
{
    struct client *c = owner;
    char address[IP_TEXT];

    ip_format(&c->ip, address);
    if (timed_out && c->protocol->timeout != NULL && (c->state == CLIENT_LOGIN || c->state == CLIENT_SESSION))
        conn_last_words(c->conn, str_of(c->protocol->timeout));
    if (c->state == CLIENT_SESSION || c->account != 0)
        log_info("logout", "client=%s login=%.*s account=%" PRIu64 " bytes_in=%" PRIu64 " bytes_out=%" PRIu64
            " seconds=%" PRId64 " reason=%s", address, STR_ARG(c->login), c->account, c->bytes_in, c->bytes_out,
            (clock_monotonic() - c->since) / SECOND, timed_out ? "timeout" : *reason ? reason : "done");
    else
        log_debug("closed", "client=%s reason=%s", address, timed_out ? "timeout" : reason);
    client_free(c);
}

static const struct conn_events events = {
    .input = on_input,
    .writable = on_writable,
    .secured = on_secured,
    .closed = on_closed,
};

/* ---- the world of the machine ---- */

static void world_send(void *arg, struct str bytes)
{
    struct client *c = arg;

    conn_send(c->conn, bytes);
}

static void world_start_tls(void *arg)
{
    struct client *c = arg;

    c->drop_ahead = true;
    buf_reset(&c->ahead);
    conn_start_tls_server(c->conn, tls_server_context(c->access->tls));
}

static void world_auth_begin(void *arg, struct str mechanism, bool has_initial, struct str initial)
{
    auth_begin(arg, mechanism, has_initial, initial);
}

static void world_auth_step(void *arg, struct str data)
{
    auth_step(arg, data);
}

static void world_auth_cancel(void *arg)
{
    auth_cancel(arg);
}

static void world_open(void *arg, unsigned session_flags, struct str tag)
{
    session_begin(arg, session_flags, tag);
}

static void world_close(void *arg)
{
    client_close(arg);
}

static bool world_full(void *arg)
{
    return conn_output_waiting(((struct client *)arg)->conn) > CONN_OUTPUT_HIGH;
}

static const struct login_world world = {world_send, world_start_tls, world_auth_begin, world_auth_step,
    world_auth_cancel, world_open, world_close, world_full};
