/* The SMTP server: submission, MX and LMTP. It accepts connections, opens no file and makes no
 * connection of its own. */
#include "server.h"

#include "base/clock.h"

#include <stdlib.h>

enum { SWEEP_SECONDS = 5 };

static void on_peer_up(struct role *role, struct channel *c)
{
    server_peer_up(role_state(role), c);
}

static void on_peer_gone(struct role *role, struct channel *c)
{
    server_peer_gone(role_state(role), c);
}

static void on_reload(struct role *role)
{
    struct server *server = role_state(role);

    server_use_config(server);
    server_open_doors(server);
}

static void on_drain(struct role *role, int64_t within)
{
    server_drain(role_state(role), within);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    server_sweep(arg);
}

static void sweep_now_and_then(struct server *server)
{
    static const struct timeval every = {SWEEP_SECONDS, 0};

    event_assign(&server->sweep, role_base(server->role), -1, EV_PERSIST, on_sweep, server);
    event_add(&server->sweep, &every);
}

static void on_verify(struct role *role, struct verification *v)
{
    server_verify(role_state(role), v);
}

static const struct role_type smtp_role = {
    .id = ROLE_SMTP,
    .handlers = &smtp_handlers,
    .sandbox = SANDBOX_ACCEPT | SANDBOX_UNIX,
    .peer_up = on_peer_up,
    .peer_gone = on_peer_gone,
    .reload = on_reload,
    .drain = on_drain,
    .verify = on_verify,
};

int main(int argc, char **argv)
{
    struct role *role = role_begin(&smtp_role, argc, argv);
    struct server *server = xcalloc(1, sizeof *server);
    int code;

    role_set_state(role, server);
    server_init(server, role);
    sweep_now_and_then(server);
    record_show_metrics();
    role_sandbox(role);
    code = role_run(role);
    event_del(&server->sweep);
    server_clear(server);
    free(server);
    return code;
}
