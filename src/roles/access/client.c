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
    DELAY_FIRST_MS = 200, /* doubled with each failure of the address */
    DELAY_MOST_MS = 5000,
};

static struct metric connections = METRIC_COUNTER("staffetta_access_connections_total", "Connections accepted.");
static struct metric open_now = METRIC_GAUGE("staffetta_access_connections", "Connections open.");
static struct metric banned = METRIC_COUNTER("staffetta_access_banned_total", "Connections refused because of failed logins.");
static struct metric too_many = METRIC_COUNTER("staffetta_access_address_limit_total", "Connections refused because the address has too many.");
static struct metric logins = METRIC_COUNTER("staffetta_access_logins_total", "Logins.");
static struct metric failed = METRIC_COUNTER("staffetta_access_login_failures_total", "Failed logins.");

static const struct login_world world;
static const struct conn_events events;

/* ---- life ---- */

static void address_text(const struct client *c, char out[IP_TEXT])
{
    ip_format(&c->ip, out);
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

static struct channel *asked_channel(const struct client *c, enum role_id peer)
{
    struct channel *channel = role_peer(c->access->role, peer, c->copy);

    return channel != NULL && channel_serial(channel) == c->serial ? channel : NULL;
}

static void cancel_auth(struct client *c)
{
    struct channel *directory = c->authenticating ? asked_channel(c, ROLE_DIRECTORY) : NULL;

    if (directory != NULL)
        ipc_send_auth_cancel(directory, &(struct msg_auth_cancel){c->id});
    client_asked_nothing(c);
}

void client_free(struct client *c)
{
    struct access *a = c->access;

    if (c->state == CLIENT_SESSION)
        session_abandon(c);
    if (c->authenticating)
        cancel_auth(c);
    client_asked_nothing(c);
    if (c->counted)
        limit_disconnected(a->limits, &c->ip);
    if (c->delay != NULL)
        event_free(c->delay);
    if (c->machine != NULL)
        c->protocol->free(c->machine);
    conn_free(c->conn);
    list_remove(&c->link);
    str_free(&c->login);
    free(c);
    a->count--;
    metric_set(&open_now, (int64_t)a->count);
    access_listen(a);
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
    cancel_auth(c);
    client_close(c);
}

/* ---- limits ---- */

static bool exempt(const struct client *c)
{
    return ip_is_loopback(&c->ip) || network_list_holds(&role_config(c->access->role)->relay_nets, &c->ip);
}

/* Counts the address; false when it may not come in. */
static bool admit(struct client *c)
{
    struct access *a = c->access;
    uint64_t most = (uint64_t)role_config(a->role)->limits.connections_per_address;
    int64_t now = clock_monotonic();
    char address[IP_TEXT];

    address_text(c, address);
    if (limit_banned(a->limits, &c->ip, now)) {
        metric_add(&banned, 1);
        log_info("refused", "client=%s reason=banned after failed logins", address);
        return false;
    }
    if (!limit_connected(a->limits, &c->ip, exempt(c) ? 0 : most, now)) {
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

/* Greets; the machine is there from now on. */
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
    c->protocol->greet(c->machine);
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
    conn_idle_limit(c->conn, LOGIN_IDLE_SECONDS * SECOND);
    conn_total_limit(c->conn, LOGIN_TOTAL_SECONDS * SECOND);
    if (c->tls_mode != LISTEN_TLS_IMPLICIT) {
        begin_login(c);
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
        address_text(c, address);
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
    list_add_last(&a->clients, &c->link);
    a->count++;
    metric_add(&connections, 1);
    metric_set(&open_now, (int64_t)a->count);
    access_listen(a);
    if (network_list_holds(&settings->proxies, peer)) {
        c->state = CLIENT_PROXY;
        conn_peek(c->conn, true);
        conn_total_limit(c->conn, PROXY_SECONDS * SECOND);
    } else {
        begin(c);
    }
}

/* ---- what the connection says ---- */

void client_resume(struct client *c)
{
    bool waits = c->state == CLIENT_CLOSING || (c->state == CLIENT_LOGIN && c->protocol->waits(c->machine));

    conn_read(c->conn, !waits);
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
        used = c->protocol->input(c->machine, bytes);
        if (c->state == CLIENT_LOGIN)
            client_resume(c);
    }
    return used;
}

static void on_writable(void *owner)
{
    struct client *c = owner;

    if (c->state == CLIENT_SESSION)
        session_output_sent(c);
}

static void on_secured(void *owner)
{
    struct client *c = owner;
    char tls[128], address[IP_TEXT];

    conn_tls_text(c->conn, tls, sizeof tls);
    address_text(c, address);
    log_debug("tls", "client=%s tls=%s", address, tls);
    if (c->state == CLIENT_TLS) {
        begin_login(c);
    } else if (c->state == CLIENT_LOGIN) {
        c->protocol->secured(c->machine);
        client_resume(c);
    }
}

static void on_closed(void *owner, bool timed_out, const char *reason)
{
    struct client *c = owner;
    char address[IP_TEXT];

    address_text(c, address);
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

    conn_start_tls_server(c->conn, tls_server_context(c->access->tls));
}

/* The first copy answers look-ups, the others check passwords; of those that are up, one by id. */
static struct channel *auth_channel(struct access *a, uint64_t id)
{
    unsigned copies = role_peers(a->role, ROLE_DIRECTORY), checkers = copies > 1 ? copies - 1 : copies;
    unsigned first = copies > 1 ? 1 : 0;

    for (unsigned i = 0; i < checkers; i++) {
        struct channel *c = role_peer(a->role, ROLE_DIRECTORY, first + (unsigned)((id + i) % checkers));

        if (c != NULL)
            return c;
    }
    return role_peer(a->role, ROLE_DIRECTORY, 0);
}

static void refuse_for_now(struct client *c)
{
    client_asked_nothing(c);
    c->protocol->done(c->machine, &(struct login_outcome){.result = AUTH_TEMPFAIL});
}

static void world_auth_begin(void *arg, struct str mechanism, bool has_initial, struct str initial)
{
    struct client *c = arg;
    struct channel *directory = auth_channel(c->access, role_next_id(c->access->role));
    char unique[128], exporter[32], address[IP_TEXT];
    size_t unique_n = 0;
    bool has_exporter;

    if (directory == NULL) {
        refuse_for_now(c);
        return;
    }
    if (!conn_tls_unique(c->conn, unique, sizeof unique, &unique_n))
        unique_n = 0;
    has_exporter = conn_tls_exporter(c->conn, exporter);
    address_text(c, address);
    client_ask(c, directory);
    c->authenticating = true;
    ipc_send_auth_begin(directory, &(struct msg_auth_begin){.id = c->id, .service = STR("pop"),
        .mechanism = mechanism, .has_initial = has_initial, .initial = initial, .client = str_of(address),
        .tls_unique = {unique, unique_n}, .tls_exporter = {exporter, has_exporter ? sizeof exporter : 0}});
}

static void world_auth_step(void *arg, struct str data)
{
    struct client *c = arg;
    struct channel *directory = asked_channel(c, ROLE_DIRECTORY);

    if (directory == NULL || !c->authenticating)
        refuse_for_now(c);
    else
        ipc_send_auth_step(directory, &(struct msg_auth_step){c->id, data});
}

static void world_auth_cancel(void *arg)
{
    cancel_auth(arg);
}

static void world_open(void *arg, unsigned session_flags)
{
    session_begin(arg, session_flags);
}

static void world_close(void *arg)
{
    client_close(arg);
}

static const struct login_world world = {world_send, world_start_tls, world_auth_begin, world_auth_step,
    world_auth_cancel, world_open, world_close};

/* ---- what directory says ---- */

void client_challenge(struct client *c, struct str data)
{
    if (c->state != CLIENT_LOGIN || !c->authenticating)
        return;
    c->protocol->challenge(c->machine, data);
    client_resume(c);
}

static void answer_late(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;

    (void)fd;
    (void)what;
    if (c->state != CLIENT_LOGIN)
        return;
    c->protocol->done(c->machine, &c->late);
    if (c->state == CLIENT_LOGIN)
        client_resume(c);
}

/* Each failure of an address doubles the pause before the answer. */
static void login_failed(struct client *c, enum auth_result result)
{
    const struct config *config = role_config(c->access->role);
    unsigned failures = limit_login_failed(c->access->limits, &c->ip, (uint64_t)config->limits.login_failures,
        config->limits.ban_time, clock_monotonic());
    int64_t pause = DELAY_FIRST_MS;
    struct timeval when;

    for (unsigned i = 1; i < failures && pause < DELAY_MOST_MS; i++)
        pause *= 2;
    if (pause > DELAY_MOST_MS)
        pause = DELAY_MOST_MS;
    metric_add(&failed, 1);
    c->late = (struct login_outcome){.result = result};
    if (c->delay == NULL)
        c->delay = evtimer_new(role_base(c->access->role), answer_late, c);
    when.tv_sec = pause / 1000;
    when.tv_usec = pause % 1000 * 1000;
    evtimer_add(c->delay, &when);
}

static void login_succeeded(struct client *c, const struct msg_auth_done *m)
{
    char tls[128] = "", address[IP_TEXT];

    limit_login_succeeded(c->access->limits, &c->ip);
    metric_add(&logins, 1);
    c->account = m->account;
    str_free(&c->login);
    c->login = str_dup(m->login);
    conn_tls_text(c->conn, tls, sizeof tls);
    address_text(c, address);
    log_info("login", "client=%s login=%.*s account=%" PRIu64 " protocol=%s tls=%s", address, STR_ARG(m->login),
        m->account, c->protocol->name, *tls ? tls : "none");
}

void client_auth_done(struct client *c, const struct msg_auth_done *m)
{
    bool may_read = (m->rights & AUTH_MAY_READ) && m->account != 0;
    bool counts = m->result == AUTH_BAD_CREDENTIALS || m->result == AUTH_DISABLED;
    char address[IP_TEXT];

    if (c->state != CLIENT_LOGIN || !c->authenticating)
        return;
    client_asked_nothing(c);
    if (m->result == AUTH_OK && may_read) {
        login_succeeded(c, m);
    } else {
        address_text(c, address);
        log_warning("login-failed", "client=%s login=%.*s result=%" PRIu64 " reason=%.*s", address,
            STR_ARG(m->login), m->result, STR_ARG(m->text));
    }
    if (counts) {
        login_failed(c, (enum auth_result)m->result);
        return;
    }
    c->protocol->done(c->machine, &(struct login_outcome){(enum auth_result)m->result, may_read, m->data});
    if (c->state == CLIENT_LOGIN)
        client_resume(c);
}

void client_directory_gone(struct client *c)
{
    if (c->state != CLIENT_LOGIN || !c->authenticating)
        return;
    refuse_for_now(c);
    if (c->state == CLIENT_LOGIN)
        client_resume(c);
}
