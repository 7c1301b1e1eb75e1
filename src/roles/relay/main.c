/* The relay: carries mail to other servers by SMTP and LMTP. It holds no files and no state that
 * queue does not have; see relay.h for its parts and docs/relay.md for the whole. */
#include "probe.h"
#include "relay.h"

/* The relay, and beside it what only commands use. */
struct program {
    struct relay relay; /* the state of the role */
    struct probes probes;
};

static struct probes *probes_of(struct role *role)
{
    return &CONTAINER(role_state(role), struct program, relay)->probes;
}

static void on_control_ask(struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    probes_on_ask(probes_of(role), from, m);
}

static void on_control_cancel(struct role *role, struct channel *from, const struct msg_control_cancel *m)
{
    probes_on_cancel(probes_of(role), from, m->id);
}

static void on_peer_gone(struct role *role, struct channel *peer)
{
    relay_peer_gone(role, peer);
    probes_peer_gone(probes_of(role), peer);
}

static struct handlers handlers; /* those of relay.c, and the above */
static const struct role_type relay_role = {
    .id = ROLE_RELAY,
    .handlers = &handlers,
    .sandbox = SANDBOX_CONNECT,
    .peer_up = relay_peer_up,
    .peer_gone = on_peer_gone,
    .drain = relay_drain,
    .verify = relay_verify,
    .turn = relay_turn,
};

int main(int argc, char **argv)
{
    struct role *role;
    struct program program;
    struct err err = {0};
    int code;

    handlers = relay_handlers;
    handlers.control_ask = on_control_ask;
    handlers.control_cancel = on_control_cancel;
    role = role_begin(&relay_role, argc, argv);
    probes_init(&program.probes, role);
    if (!relay_open(&program.relay, role, &err))
        fatal("relay: %s", err.text);
    role_set_state(role, &program.relay);
    role_sandbox(role);
    code = role_run(role);
    relay_close(&program.relay);
    return code;
}
