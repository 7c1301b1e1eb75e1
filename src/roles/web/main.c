/* Start-up of the web role. */
#include "base/clock.h"
#include "base/log.h"
#include "commands.h"
#include "gather.h"
#include "ask.h"
#include "certificates.h"
#include "domains.h"
#include "pages.h"
#include "net/accept.h"
#include "tunnel.h"
#include "visitor.h"
#include "watch.h"

#include <event2/event.h>
#include <unistd.h>

static void on_command_client(void *owner, int fd, const struct ip *peer, uint16_t port)
{
    (void)peer;
    (void)port;
    commands_accept(owner, fd);
}

static void on_http_client(void *owner, int fd, const struct ip *peer, uint16_t port)
{
    struct web *web = owner;

    if (!http_accept(web->http, fd, peer, port))
        log_warning("http-refused", "reason=%s", "too many connections");
}

static void take_listeners(struct web *web)
{
    for (size_t i = 0; i < role_listener_count(web->role) && web->acceptor_count < WEB_LISTENERS; i++) {
        const struct role_listener *l = role_listener_at(web->role, i);
        acceptor_fn *accepted = l->service == SERVICE_CONTROL ? on_command_client
            : l->service == SERVICE_METRICS                   ? on_http_client
                                                              : NULL;

        if (accepted != NULL)
            web->acceptors[web->acceptor_count++] = acceptor_new(role_base(web->role), l->fd, accepted, web);
    }
}

static void on_process_state(struct role *role, struct channel *from, const struct msg_process_state *m)
{
    struct web *web = role_state(role);

    (void)from;
    if (web != NULL && m->role < ROLE_COUNT && m->copy < WEB_COPIES)
        web->processes[m->role][m->copy] = (struct process_info){true, m->pid, m->restarts, m->started};
}

static void on_peer_gone(struct role *role, struct channel *peer)
{
    struct web *web = role_state(role);

    ask_peer_gone(web, peer);
    tunnels_peer_gone(web, peer);
    gather_peer_gone(web->gather, peer);
    domains_peer_gone(web, peer);
    watch_peer_gone(web->watch, peer);
}

static void on_turn(struct role *role)
{
    struct web *web = role_state(role);

    if (!role_draining(role))
        return;
    commands_drain(web);
    if (web->client_count == 0)
        role_exit(role);
}

static void on_reload(struct role *role)
{
    struct web *web = role_state(role);

    doors_reload(web->doors);
    watch_reload(web->watch);
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    role_exit(arg);
}

static void on_drain(struct role *role, int64_t within)
{
    struct web *web = role_state(role);

    for (size_t i = 0; i < web->acceptor_count; i++)
        acceptor_free(web->acceptors[i]);
    web->acceptor_count = 0;
    doors_close(web->doors);
    tunnels_finish(web);
    event_base_once(role_base(role), -1, EV_TIMEOUT, on_limit, role,
        &(struct timeval){within / SECOND, within % SECOND});
}

static void on_txn_done(struct role *role, struct channel *from, const struct msg_txn_done *m)
{
    watch_on_txn_done(((struct web *)role_state(role))->watch, from, m);
}

static const struct handlers handlers = {
    .process_state = on_process_state,
    .control_row = ask_on_row,
    .control_progress = ask_on_progress,
    .control_done = ask_on_done,
    .stats_reply = gather_on_reply,
    .session_data = tunnels_data,
    .session_more = tunnels_more,
    .session_close = tunnels_close,
    .domain_reply = domains_on_reply,
    .txn_done = on_txn_done,
};
static const struct role_type web_role = {
    .id = ROLE_WEB,
    .handlers = &handlers,
    .sandbox = WEB_SANDBOX,
    .peer_gone = on_peer_gone,
    .reload = on_reload,
    .drain = on_drain,
    .turn = on_turn,
};

int main(int argc, char **argv)
{
    struct web web = {.role = role_begin(&web_role, argc, argv), .started = clock_now()};

    role_set_state(web.role, &web);
    list_init(&web.clients);
    list_init(&web.tunnels);
    list_init(&web.domain_waits);
    challenges_init(&web.challenges);
    map_init(&web.asks);
    web.gather = gather_new(&web);
    web.http = http_new(&web, &metrics_site);
    web.doors = doors_open(&web);
    web.watch = watch_new(&web);
    commands_show_metrics();
    if (role_certificate_count(web.role) > 0)
        certificates_show_metric();
    take_listeners(&web);
    role_sandbox(web.role);
    return role_run(web.role);
}
