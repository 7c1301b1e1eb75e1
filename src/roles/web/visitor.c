/* See visitor.h. */
#include "visitor.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "net/conn.h"
#include "net/proxy.h"
#include "pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_VISITORS = 1000, PROXY_SECONDS = 10, IDLE_SECONDS = 15, TOTAL_SECONDS = 60, ADDRESSES = 50000 };

static struct metric connections = METRIC_COUNTER("staffetta_web_connections_total", "Connections of the listeners http and https.");
static struct metric open_now = METRIC_GAUGE("staffetta_web_connections", "Connections of them that are open.");
static struct metric refused = METRIC_COUNTER("staffetta_web_refused_total", "Connections refused or cut because there were too many.");

struct door {
    struct acceptor *acceptor;
    struct doors *doors;
    unsigned index; /* of its section in the configuration */
    bool secure;
};

struct doors {
    struct web *web;
    struct key_signer signer;
    struct tls_server *tls; /* NULL without certificates */
    struct limit_table *limits;
    struct crowd crowd;
    struct http *world, *plain;
    struct door all[WEB_LISTENERS];
    size_t n;
};

struct visitor {
    struct crowd_member member;
    const struct door *door;
    struct conn *outer, *inner; /* inner: to libmicrohttpd, NULL until the visitor may ask */
    struct ip ip;
    uint16_t port;
    bool counted, in_proxy, leaving;
};

/* ---- life ---- */

static void visitor_free(struct visitor *v)
{
    struct doors *d = v->door->doors;

    if (v->counted)
        limit_disconnected(d->limits, &v->ip);
    conn_free(v->outer);
    if (v->inner != NULL)
        conn_free(v->inner);
    crowd_leave(&d->crowd, &v->member);
    free(v);
    metric_set(&open_now, (int64_t)d->crowd.count);
}

/* What was sent to it still leaves. */
static void send_off(struct visitor *v)
{
    v->leaving = true;
    conn_read(v->outer, false);
    conn_close_when_sent(v->outer);
}

/* ---- the inner side: libmicrohttpd ---- */

static size_t inner_input(void *owner, struct str bytes)
{
    struct visitor *v = owner;

    conn_send(v->outer, bytes);
    crowd_useful(&v->member);
    conn_read(v->inner, conn_output_waiting(v->outer) <= CONN_OUTPUT_HIGH);
    return bytes.n;
}

static void inner_writable(void *owner)
{
    struct visitor *v = owner;

    conn_read(v->outer, !v->leaving);
}

static void inner_closed(void *owner, bool timed_out, const char *reason)
{
    struct visitor *v = owner;

    (void)timed_out;
    (void)reason;
    conn_free(v->inner);
    v->inner = NULL;
    send_off(v);
}

static const struct conn_events inner_events = {
    .input = inner_input,
    .writable = inner_writable,
    .closed = inner_closed,
};

/* Secured, or in plain: from here on it may ask. */
static void let_ask(struct visitor *v)
{
    struct doors *d = v->door->doors;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        log_warning("http-refused", "reason=%s", strerror(errno));
        send_off(v);
        return;
    }
    v->inner = conn_new(role_base(d->web->role), pair[0], &inner_events, v);
    if (!http_accept(v->door->secure ? d->world : d->plain, pair[1], &v->ip, v->port))
        metric_add(&refused, 1); /* the other end is closed, which ends the visit */
}

/* ---- the outer side: the stranger ---- */

static bool admit(struct visitor *v)
{
    struct doors *d = v->door->doors;
    const struct config *config = role_config(d->web->role);
    uint64_t most = config_exempts(config, &v->ip) ? 0 : (uint64_t)config->limits.connections_per_address;

    v->counted = limit_connected(d->limits, &v->ip, most, clock_monotonic());
    if (!v->counted)
        metric_add(&refused, 1);
    return v->counted;
}

/* The address is known now. */
static void begin(struct visitor *v)
{
    if (!admit(v)) {
        send_off(v);
        return;
    }
    conn_idle_limit(v->outer, IDLE_SECONDS * SECOND);
    conn_total_limit(v->outer, TOTAL_SECONDS * SECOND);
    if (v->door->secure)
        conn_start_tls_server(v->outer, tls_server_context(v->door->doors->tls));
    else
        let_ask(v);
}

static size_t proxy_input(struct visitor *v, struct str bytes)
{
    struct proxy_header header;
    size_t used = 0;

    switch (proxy_parse(bytes, &header, &used)) {
    case PROXY_MORE:
        return 0;
    case PROXY_BAD:
        log_warning("proxy", "reason=malformed PROXY header");
        send_off(v);
        return bytes.n;
    case PROXY_DONE:
        break;
    }
    v->in_proxy = false;
    conn_peek(v->outer, false);
    if (!header.local) {
        v->ip = header.source;
        v->port = header.source_port;
    }
    begin(v);
    return used;
}

static size_t outer_input(void *owner, struct str bytes)
{
    struct visitor *v = owner;

    if (v->in_proxy)
        return proxy_input(v, bytes);
    if (v->leaving || v->inner == NULL)
        return bytes.n;
    v->member.received += bytes.n;
    conn_send(v->inner, bytes);
    conn_read(v->outer, conn_output_waiting(v->inner) <= CONN_OUTPUT_HIGH);
    return bytes.n;
}

static void outer_writable(void *owner)
{
    struct visitor *v = owner;

    if (v->inner != NULL)
        conn_read(v->inner, true);
}

static void outer_secured(void *owner)
{
    let_ask(owner);
}

static void outer_closed(void *owner, bool timed_out, const char *reason)
{
    struct visitor *v = owner;
    char address[IP_TEXT];

    ip_format(&v->ip, address);
    log_debug("http-closed", "client=%s reason=%s", address, timed_out ? "timeout" : reason);
    visitor_free(v);
}

static const struct conn_events outer_events = {
    .input = outer_input,
    .writable = outer_writable,
    .secured = outer_secured,
    .closed = outer_closed,
};

static void on_accepted(void *owner, int fd, const struct ip *peer, uint16_t port)
{
    const struct door *door = owner;
    struct doors *d = door->doors;
    const struct config *config = role_config(d->web->role);
    struct visitor *v;

    if (door->index >= config->listener_count || (door->secure && d->tls == NULL)) {
        log_warning("http-refused", "reason=no certificate");
        close(fd);
        return;
    }
    v = xcalloc(1, sizeof *v);
    v->door = door;
    v->ip = *peer;
    v->port = port;
    v->outer = conn_new(role_base(d->web->role), fd, &outer_events, v);
    crowd_join(&d->crowd, &v->member);
    metric_add(&connections, 1);
    metric_set(&open_now, (int64_t)d->crowd.count);
    if (network_list_holds(&config->listeners[door->index].proxies, peer)) {
        v->in_proxy = true;
        conn_peek(v->outer, true);
        conn_total_limit(v->outer, PROXY_SECONDS * SECOND);
    } else {
        begin(v);
    }
}

/* ---- the doors ---- */

static void open_or_shut(void *owner, bool open)
{
    struct doors *d = owner;

    for (size_t i = 0; i < d->n; i++)
        acceptor_enable(d->all[i].acceptor, open);
}

static bool may_go(struct crowd_member *m)
{
    (void)m;
    return true;
}

static void send_away(struct crowd_member *m)
{
    visitor_free(CONTAINER(m, struct visitor, member));
}

static void made_room(void *owner, uint64_t n)
{
    (void)owner;
    metric_add(&refused, (int64_t)n);
    log_warning("slow-clients-cut", "count=%llu reason=all places are taken", (unsigned long long)n);
}

static const struct crowd_rules crowd_rules = {open_or_shut, may_go, send_away, made_room};

static bool sign(void *arg, struct str key, enum key_operation operation, struct str input, struct buf *out)
{
    return role_sign(arg, key, operation, input, out);
}

static struct ssl_ctx_st *find_challenge(void *arg, struct str name)
{
    const struct web *web = arg;

    return challenges_context(&web->challenges, name);
}

void doors_reload(struct doors *d)
{
    size_t n = role_certificate_count(d->web->role);
    struct tls_pem *pems = xcalloc(n, sizeof *pems);
    struct tls_server *fresh = NULL;
    struct err err = {0};
    bool loaded;

    for (size_t i = 0; i < n; i++)
        pems[i] = (struct tls_pem){role_certificate_at(d->web->role, i)->chain, STR(""), &d->signer};
    loaded = n == 0 || tls_server_new(&fresh, pems, n, d->tls, &err);
    free(pems);
    if (!loaded) {
        log_error("certificates", "reason=%s", err.text);
        return;
    }
    if (fresh != NULL)
        tls_server_on_challenge(fresh, find_challenge, d->web);
    tls_server_free(d->tls);
    d->tls = fresh;
}

struct doors *doors_open(struct web *web)
{
    struct doors *d = xcalloc(1, sizeof *d);

    d->web = web;
    d->signer = (struct key_signer){sign, web->role};
    d->limits = limit_new(ADDRESSES);
    crowd_init(&d->crowd, role_base(web->role), &crowd_rules, d);
    crowd_limit(&d->crowd, MOST_VISITORS);
    doors_reload(d);
    for (size_t i = 0; i < role_listener_count(web->role) && d->n < WEB_LISTENERS; i++) {
        const struct role_listener *l = role_listener_at(web->role, i);
        struct door *door = &d->all[d->n];

        if (l->service != SERVICE_HTTPS && l->service != SERVICE_HTTP)
            continue;
        *door = (struct door){.doors = d, .index = l->index, .secure = l->service == SERVICE_HTTPS};
        door->acceptor = acceptor_new(role_base(web->role), l->fd, on_accepted, door);
        d->n++;
    }
    if (d->n == 0)
        return d; /* a server without these listeners carries no counters and no library for them */
    d->world = http_new(web, &world_site);
    d->plain = http_new(web, &plain_site);
    metric_show(&connections);
    metric_show(&open_now);
    metric_show(&refused);
    return d;
}

void doors_close(struct doors *d)
{
    crowd_end(&d->crowd);
    for (size_t i = 0; i < d->n; i++)
        acceptor_free(d->all[i].acceptor);
    d->n = 0;
}
