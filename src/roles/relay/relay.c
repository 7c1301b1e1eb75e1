/* The relay as a whole: its peers, who we are, what it reads before the sandbox closes, its end. */
#include "relay.h"
#include "base/log.h"
#include "connection.h"
#include "kept.h"
#include "net/tls.h"
#include "tls_lookup.h"

#include <event2/event.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>

enum { HOSTS_MAX = 20000, CA_MAX = 8 * 1024 * 1024 };

/* ---- who we are ---- */

static void read_own_addresses(struct relay *relay)
{
    struct ifaddrs *all = NULL;
    uint16_t port;

    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *i = all; i != NULL && relay->own_count < OWN_ADDRESSES_MAX; i = i->ifa_next)
        if (i->ifa_addr != NULL && ip_from_sockaddr(i->ifa_addr, &relay->own[relay->own_count], &port))
            relay->own_count++;
    freeifaddrs(all);
}

static bool is_of_this_machine(const struct relay *relay, const struct ip *ip)
{
    for (size_t i = 0; i < relay->own_count; i++)
        if (ip_equal(&relay->own[i], ip))
            return true;
    return ip_is_loopback(ip) || pools_hold_address(&relay->pools, ip);
}

static bool is_unspecified(const struct ip *ip)
{
    for (size_t i = 0; i < sizeof ip->bytes; i++)
        if (ip->bytes[i] != 0)
            return false;
    return true;
}

/* Do we listen there for mail of others? */
bool relay_is_us(const void *world, const struct ip *ip, uint16_t port)
{
    const struct relay *relay = world;
    const struct config *config = role_config(relay->role);

    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listen *l = &config->listeners[i];
        uint16_t its_port = l->port != 0 ? (uint16_t)l->port : 25;

        if (l->service_id != SERVICE_MX || its_port != port)
            continue;
        for (size_t j = 0; j < l->address.n; j++) {
            struct ip own;

            if (!ip_parse(l->address.items[j], &own))
                continue;
            if (ip_equal(&own, ip) || (is_unspecified(&own) && own.family == ip->family &&
                is_of_this_machine(relay, ip)))
                return true;
        }
    }
    return false;
}

/* ---- peers ---- */

static void send_dns(void *world, const struct msg_dns_ask *ask)
{
    struct relay *relay = world;
    struct channel *resolver = role_peer(relay->role, ROLE_RESOLVER, 0);

    if (resolver != NULL)
        ipc_send_dns_ask(resolver, ask); /* else asked again when it is back */
}

static void on_dns_reply(struct role *role, struct channel *from, const struct msg_dns_reply *m)
{
    struct relay *relay = role_state(role);

    (void)from;
    dns_client_reply(&relay->dns, m);
}

static void on_pools(struct role *role, struct channel *from, const struct msg_pools_reply *m)
{
    struct relay *relay = role_state(role);
    size_t bad;

    if (channel_copy(from) != 0)
        return;
    bad = pools_read(&relay->pools, m->pools);
    if (bad > 0)
        log_warning("pools", "bad_lines=%zu", bad);
    site_wake_all(relay);
}

void relay_peer_up(struct role *role, struct channel *peer)
{
    struct relay *relay = role_state(role);

    if (channel_role(peer) == ROLE_RESOLVER) {
        dns_client_resend(&relay->dns);
    } else if (channel_role(peer) == ROLE_DIRECTORY && channel_copy(peer) == 0) {
        relay->pools_id = role_next_id(role);
        ipc_send_pools_ask(peer, &(struct msg_pools_ask){relay->pools_id});
    } else if (channel_role(peer) == ROLE_QUEUE) {
        destination_forget_windows(relay);
        kept_tell(relay, peer);
    } else if (channel_role(peer) == ROLE_EVENTS) {
        tls_lookup_events_up(relay);
        teller_peer_up(&relay->reporting.teller);
    }
}

void relay_peer_gone(struct role *role, struct channel *peer)
{
    struct relay *relay = role_state(role);

    if (channel_role(peer) == ROLE_QUEUE) {
        kept_queue_gone(relay, peer);
        delivery_queue_gone(relay, peer);
    } else if (channel_role(peer) == ROLE_DIRECTORY && channel_copy(peer) == 0) {
        connection_directory_gone(relay);
    }
}

void relay_verify(struct role *role, struct verification *v)
{
    kept_verify(role_state(role), v);
}

/* ---- time, drain ---- */

void relay_sweep(struct relay *relay)
{
    int64_t now = clock_monotonic();

    connection_sweep(relay, now);
    delivery_sweep(relay, now);
    destination_sweep(relay, now);
    site_sweep(relay, now);
}

static void on_timer(int fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    relay_sweep(arg);
}

static void on_event_ack(struct role *role, struct channel *from, const struct msg_event_ack *m)
{
    struct relay *relay = role_state(role);

    (void)from;
    teller_acknowledged(&relay->reporting.teller, m->seq);
}

void relay_turn(struct role *role)
{
    struct relay *relay = role_state(role);

    teller_turn(&relay->reporting.teller, role_peer(relay->role, ROLE_EVENTS, 0));
    kept_turn(role_state(role));
    site_pump(role_state(role));
}

void relay_maybe_exit(struct relay *relay)
{
    if (!relay->draining)
        return;
    LIST_EACH(&relay->connections, it)
        if (CONTAINER(it, struct connection, link)->d != NULL)
            return;
    role_exit(relay->role);
}

static void on_drain_end(int fd, short what, void *arg)
{
    struct relay *relay = arg;

    (void)fd;
    (void)what;
    role_exit(relay->role);
}

/* What is on a connection is finished; what waits is left to queue, which keeps it. */
void relay_drain(struct role *role, int64_t within)
{
    struct relay *relay = role_state(role);
    int64_t wait = within > SECOND ? within - SECOND / 2 : SECOND / 2;

    relay->draining = true;
    event_add(relay->drain_timer, &(struct timeval){wait / SECOND, wait % SECOND});
    relay_maybe_exit(relay);
}

/* ---- start ---- */

static struct str read_ca(struct str path)
{
    char name[4096], piece[16384];
    struct str copy = {0};
    struct buf text;
    size_t n;
    FILE *f;

    if (path.n == 0 || path.n >= sizeof name)
        return copy;
    snprintf(name, sizeof name, "%.*s", STR_ARG(path));
    f = fopen(name, "re");
    if (f == NULL) {
        log_warning("ca-file", "file=%s reason=cannot be read, no certificate can be verified", name);
        return copy;
    }
    buf_init(&text, CA_MAX);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(&text, (struct str){piece, n});
    fclose(f);
    copy = text.failed ? copy : str_dup(buf_str(&text));
    buf_clear(&text);
    return copy;
}

static bool open_tls(struct relay *relay, struct err *err)
{
    struct str ca = read_ca(role_config(relay->role)->relay.ca_file);
    bool ok = tls_client_new(&relay->tls, ca, err);

    str_free(&ca);
    return ok;
}

bool relay_open(struct relay *relay, struct role *role, struct err *err)
{
    *relay = (struct relay){.role = role, .base = role_base(role)};
    hosts_init(&relay->hosts, HOSTS_MAX);
    pools_init(&relay->pools);
    dns_client_init(&relay->dns, send_dns, relay);
    map_init(&relay->deliveries);
    map_init(&relay->destinations);
    map_init(&relay->sites);
    kept_init(relay);
    list_init(&relay->policy_questions);
    report_init(&relay->reporting, role_copy(role));
    list_init(&relay->connections);
    list_init(&relay->awake);
    for (size_t i = 0; i < STANDINGS; i++)
        list_init(&relay->hungry[i]);
    relay->timer = event_new(relay->base, -1, EV_PERSIST, on_timer, relay);
    relay->drain_timer = event_new(relay->base, -1, 0, on_drain_end, relay);
    if (relay->timer == NULL || relay->drain_timer == NULL)
        fatal("cannot create timers");
    event_add(relay->timer, &(struct timeval){1, 0});
    delivery_show_metrics();
    read_own_addresses(relay);
    return open_tls(relay, err);
}

const struct handlers relay_handlers = {
    .deliver_remote = delivery_on_remote,
    .deliver_rcpt = delivery_on_rcpt,
    .deliver_go = delivery_on_go,
    .body_chunk = delivery_on_body,
    .dns_reply = on_dns_reply,
    .pools_reply = on_pools,
    .sts_reply = tls_lookup_on_reply,
    .event_ack = on_event_ack,
    .secret_reply = connection_on_secret,
    .deliver_stored = kept_on_stored,
    .told_stored = kept_on_told_stored,
};

void relay_close(struct relay *relay)
{
    while (!list_empty(&relay->connections))
        connection_abort(CONTAINER(list_first(&relay->connections), struct connection, link));
    for (struct map_node *node; (node = map_walk(&relay->deliveries, NULL)) != NULL;)
        delivery_free(relay, CONTAINER(node, struct delivery, node));
    destination_close(relay);
    site_close(relay);
    dns_client_clear(&relay->dns);
    hosts_clear(&relay->hosts);
    pools_clear(&relay->pools);
    kept_clear(relay);
    report_clear(&relay->reporting);
    map_clear(&relay->deliveries);
    event_free(relay->timer);
    event_free(relay->drain_timer);
    tls_client_free(relay->tls);
}
