/* Clients come and go: accepting, the PROXY header, TLS, limits by address, the life of a connection. */
#include "server.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROXY_TIME = 10, DOORS_MAX = 256, ADDRESSES_KNOWN = 50000 };

/* ---- configuration ---- */

static struct policy *policy_new(const struct config *config)
{
    struct policy *p = xcalloc(1, sizeof *p);

    p->users = 1;
    p->hostname = str_dup(config->hostname);
    p->postmaster = str_dup(config->postmaster);
    return p;
}

static void policy_release(struct policy *p)
{
    if (p == NULL || --p->users > 0)
        return;
    str_free(&p->hostname);
    str_free(&p->postmaster);
    free(p);
}

static bool sign(void *arg, struct str key, enum key_operation operation, struct str input, struct buf *out)
{
    return role_sign(arg, key, operation, input, out);
}

static void load_certificates(struct server *server)
{
    size_t n = role_certificate_count(server->role);
    struct tls_pem *pems = xcalloc(n + 1, sizeof *pems);
    struct tls_server *tls = NULL;
    struct err err = {0};

    server->signer = (struct key_signer){sign, server->role};
    for (size_t i = 0; i < n; i++) {
        const struct role_certificate *cert = role_certificate_at(server->role, i);

        pems[i] = (struct tls_pem){cert->chain, cert->key, &server->signer};
    }
    if (n > 0 && !tls_server_new(&tls, pems, n, server->tls, &err)) {
        log_error("certificates", "reason=%s", err.text);
    } else {
        tls_server_free(server->tls); /* connections that use it keep it */
        server->tls = tls;
    }
    free(pems);
}

void server_use_config(struct server *server)
{
    policy_release(server->policy);
    server->policy = policy_new(role_config(server->role));
    load_certificates(server);
    crowd_limit(&server->crowd, (uint64_t)role_config(server->role)->limits.connections);
}

static const struct config_listen *door_config(const struct door *door)
{
    const struct config *config = role_config(door->server->role);

    if (door->service == SERVICE_LOCAL_SMTP || door->index >= config->listener_count)
        return NULL;
    return &config->listeners[door->index];
}

static enum listen_tls tls_mode(const struct door *door)
{
    const struct config_listen *listen = door_config(door);

    return listen != NULL && door->server->tls != NULL ? listen->tls_mode : LISTEN_TLS_NONE;
}

static void settings_for(struct client *c, enum service service)
{
    const struct config *config = role_config(c->server->role);

    c->policy = c->server->policy;
    c->policy->users++;
    c->settings = (struct smtp_settings){
        .service = service,
        .hostname = c->policy->hostname,
        .postmaster = c->policy->postmaster,
        .starttls = c->tls_mode == LISTEN_TLS_STARTTLS,
        .strict = service == SERVICE_MX && config->limits.greeting_delay > 0,
        .message_size = (uint64_t)config->limits.message_size,
        .recipients = (uint64_t)config->limits.recipients,
        .errors = (uint64_t)config->limits.errors,
        .unknown_commands = (uint64_t)config->limits.unknown_commands,
        .messages_per_connection = (uint64_t)config->limits.messages_per_connection,
        .greeting_delay = config->limits.greeting_delay,
    };
}

/* By the address that PROXY or XCLIENT said, too: behind a proxy's own rights stand strangers. */
void client_judge(struct client *c, struct smtp_client *who)
{
    const struct config_listen *listen = door_config(c->door);

    who->loopback = ip_is_loopback(&who->ip);
    who->trusted = network_list_holds(&role_config(c->server->role)->relay_nets, &who->ip);
    who->may_xclient = listen != NULL && network_list_holds(&listen->xclients, &who->ip);
}

/* ---- the connection ---- */

void client_free(struct client *c)
{
    struct server *server = c->server;

    smtp_free(c->session); /* aborts what is open */
    client_forget_question(c);
    client_forget_transaction(c);
    event_del(&c->delay);
    conn_free(c->conn);
    if (c->counted)
        limit_disconnected(server->limits, &c->who.ip);
    policy_release(c->policy);
    crowd_leave(&server->crowd, &c->member);
    free(c);
    record_connections(server);
    if (server->draining && server->crowd.count == 0)
        role_exit(server->role);
}

void client_update(struct client *c)
{
    bool waits = c->session != NULL && smtp_waits(c->session);

    c->choked = conn_output_waiting(c->conn) > CONN_OUTPUT_HIGH;
    conn_read(c->conn, !waits && !c->stalled && !c->choked);
    /* The reply to MAIL leaves together with that to RCPT, half a millisecond later. */
    conn_hold(c->conn, c->question == ASK_RCPT);
}

static void turn_away(struct client *c, const char *reason, const char *reply)
{
    record_refused_connection(&c->who.ip, reason);
    if (c->tls_mode != LISTEN_TLS_IMPLICIT)
        conn_send(c->conn, str_of(reply));
    conn_close_when_sent(c->conn);
}

/* The address is known now: may it come in? */
static bool admit(struct client *c)
{
    struct server *server = c->server;
    const struct config *config = role_config(server->role);
    int64_t now = clock_monotonic();

    if (c->who.trusted || c->who.loopback || c->settings.service == SERVICE_LOCAL_SMTP)
        return true;
    if (c->settings.service == SERVICE_SUBMISSION && limit_banned(server->limits, &c->who.ip, now)) {
        turn_away(c, "banned", "421 4.7.0 Too many failed logins, try again later\r\n");
        return false;
    }
    c->counted = limit_connected(
        server->limits, &c->who.ip, (uint64_t)config->limits.connections_per_address, now);
    if (!c->counted)
        turn_away(c, "connections", "421 4.7.0 Too many connections from your address\r\n");
    return c->counted;
}

static void begin_session(struct client *c)
{
    client_judge(c, &c->who);
    if (!admit(c))
        return;
    record_connection(c);
    c->session = smtp_new(&c->settings, &c->who, &smtp_real_world, c);
    if (c->tls_mode == LISTEN_TLS_IMPLICIT)
        conn_start_tls_server(c->conn, tls_server_context(c->server->tls));
    else
        smtp_start(c->session);
}

static size_t on_proxy_header(struct client *c, struct str bytes)
{
    struct proxy_header header;
    size_t used;

    switch (proxy_parse(bytes, &header, &used)) {
    case PROXY_MORE:
        return 0;
    case PROXY_BAD:
        record_refused_connection(&c->who.ip, "no-proxy-header");
        conn_close_when_sent(c->conn);
        return bytes.n;
    case PROXY_DONE:
        break;
    }
    c->awaits_proxy = false;
    conn_peek(c->conn, false);
    conn_idle_limit(c->conn, role_config(c->server->role)->limits.idle_time);
    if (!header.local) {
        c->who.ip = header.source;
        c->who.port = header.source_port;
        conn_set_peer(c->conn, &c->who.ip, c->who.port);
    }
    begin_session(c);
    return used;
}

static size_t on_input(void *owner, struct str bytes)
{
    struct client *c = owner;
    size_t used;

    if (c->awaits_proxy)
        return on_proxy_header(c, bytes);
    if (c->session == NULL)
        return bytes.n; /* turned away */
    /* Thousands of clients with a piece each are too much, too: what waits for filter has a ceiling. */
    if (c->filter != NULL && channel_backlog(c->filter) > CHANNEL_HIGH) {
        c->stalled = true;
        client_update(c);
        return 0;
    }
    used = smtp_input(c->session, bytes);
    c->member.received += used;
    client_update(c);
    return used;
}

static void on_writable(void *owner)
{
    client_update(owner);
}

static void on_secured(void *owner)
{
    struct client *c = owner;
    char text[120], exporter[32];
    size_t n;
    bool bindings = conn_tls_exporter(c->conn, exporter) || conn_tls_unique(c->conn, text, sizeof text, &n);

    if (c->session == NULL)
        return;
    conn_tls_text(c->conn, text, sizeof text);
    smtp_secured(c->session, str_of(text), bindings);
    smtp_start(c->session); /* implicit TLS: greets now */
    client_update(c);
}

static void on_closed(void *owner, bool timed_out, const char *reason)
{
    struct client *c = owner;

    if (timed_out && c->session != NULL)
        conn_last_words(c->conn, STR("421 4.4.2 You took too long\r\n"));
    record_end(c, timed_out, reason);
    client_free(c);
}

static const struct conn_events conn_events = {
    .input = on_input, .writable = on_writable, .secured = on_secured, .closed = on_closed};

/* ---- doors ---- */

static void on_delay_over(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;

    (void)fd;
    (void)what;
    smtp_resume(c->session);
    client_update(c);
}

static void learn_uid(struct client *c, int fd)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        c->who.uid = peer.uid;
    else
        c->who.uid = (unsigned)-1;
}

static void on_accepted(void *owner, int fd, const struct ip *peer, uint16_t port)
{
    struct door *door = owner;
    struct server *server = door->server;
    const struct config *config = role_config(server->role);
    const struct config_listen *listen = door_config(door);
    struct client *c = xcalloc(1, sizeof *c);

    c->server = server;
    c->door = door;
    c->tls_mode = tls_mode(door);
    c->who = (struct smtp_client){.ip = *peer, .port = port};
    c->awaits_proxy = listen != NULL && network_list_holds(&listen->proxies, peer);
    settings_for(c, door->service);
    crowd_join(&server->crowd, &c->member);
    event_assign(&c->delay, role_base(server->role), -1, 0, on_delay_over, c);
    if (door->service == SERVICE_LOCAL_SMTP)
        learn_uid(c, fd);
    c->conn = conn_new(role_base(server->role), fd, &conn_events, c);
    if (peer->family != 0)
        conn_set_peer(c->conn, peer, port);
    conn_total_limit(c->conn, config->limits.connection_time);
    conn_idle_limit(c->conn, c->awaits_proxy ? PROXY_TIME * SECOND : config->limits.idle_time);
    record_connections(server);
    if (c->awaits_proxy)
        conn_peek(c->conn, true);
    else
        begin_session(c);
}

static bool is_ours(enum service service)
{
    return service == SERVICE_MX || service == SERVICE_SUBMISSION || service == SERVICE_LMTP ||
           service == SERVICE_LOCAL_SMTP;
}

/* Opens a door for every listener that has none yet. False when there is no door at all. */
bool server_open_doors(struct server *server)
{
    size_t n = role_listener_count(server->role), old = server->door_count;

    if (server->draining)
        return false; /* they were closed: other descriptors have their numbers now */
    if (server->doors == NULL)
        server->doors = xcalloc(DOORS_MAX, sizeof *server->doors); /* their addresses must stay */
    for (size_t i = old; i < n && i < DOORS_MAX; i++) {
        const struct role_listener *listener = role_listener_at(server->role, i);
        struct door *door = &server->doors[server->door_count++];

        *door = (struct door){.server = server, .index = listener->index, .service = listener->service};
        if (!is_ours(listener->service))
            fatal("listener %u is not for smtp", listener->index);
        door->acceptor = acceptor_new(role_base(server->role), listener->fd, on_accepted, door);
    }
    return server->door_count > 0;
}

void server_shut_doors(struct server *server)
{
    for (size_t i = 0; i < server->door_count; i++)
        acceptor_free(server->doors[i].acceptor);
    server->door_count = 0;
}

/* ---- the server ---- */

static void on_last_call(evutil_socket_t fd, short what, void *arg);

void server_init(struct server *server, struct role *role)
{
    server->role = role;
    server->limits = limit_new(ADDRESSES_KNOWN);
    crowd_init(&server->crowd, role_base(role), &smtp_crowd_rules, server);
    map_init(&server->asks);
    map_init(&server->txns);
    event_assign(&server->last_call, role_base(role), -1, 0, on_last_call, server);
    server_use_config(server);
    server_open_doors(server);
}

void server_clear(struct server *server)
{
    server_shut_doors(server);
    server->draining = true;
    crowd_end(&server->crowd);
    LIST_EACH(&server->crowd.members, it)
        client_free(CONTAINER(it, struct client, member.link));
    event_del(&server->last_call);
    for (size_t i = 0; i < SHARDS_MAX; i++)
        str_free(&server->shards[i].reason);
    map_clear(&server->asks);
    map_clear(&server->txns);
    limit_free(server->limits);
    tls_server_free(server->tls);
    policy_release(server->policy);
    free(server->doors);
}

/* ---- the end ---- */

static void on_last_call(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd;
    (void)what;
    log_warning("drain-time-is-up", "connections=%llu", (unsigned long long)server->crowd.count);
    LIST_EACH(&server->crowd.members, it) {
        struct client *c = CONTAINER(it, struct client, member.link);

        if (c->session != NULL && !smtp_waits(c->session))
            conn_last_words(c->conn, STR("421 4.3.2 The server is going down, try again soon\r\n"));
        client_free(c);
    }
    role_exit(server->role);
}

void server_drain(struct server *server, int64_t within)
{
    struct timeval tv = {.tv_sec = (time_t)(within / SECOND), .tv_usec = (suseconds_t)(within % SECOND)};

    if (server->draining)
        return;
    server->draining = true;
    crowd_end(&server->crowd);
    server_shut_doors(server);
    if (server->crowd.count == 0) {
        role_exit(server->role);
        return;
    }
    event_add(&server->last_call, &tv);
    LIST_EACH(&server->crowd.members, it) {
        struct client *c = CONTAINER(it, struct client, member.link);

        if (c->session != NULL)
            smtp_drain(c->session);
        else
            conn_close_when_sent(c->conn);
    }
}
