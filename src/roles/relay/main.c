/* The relay: carries mail to other servers by SMTP and LMTP. It holds no files and no state that
 * queue does not have; see relay.h for its parts and docs/relay.md for the whole. */
#include "relay.h"

static const struct role_type relay_role = {
    .id = ROLE_RELAY,
    .handlers = &relay_handlers,
    .sandbox = SANDBOX_CONNECT,
    .peer_up = relay_peer_up,
    .peer_gone = relay_peer_gone,
    .drain = relay_drain,
    .verify = relay_verify,
    .turn = relay_turn,
};

int main(int argc, char **argv)
{
    struct role *role = role_begin(&relay_role, argc, argv);
    struct relay relay;
    struct err err = {0};
    int code;

    if (!relay_open(&relay, role, &err))
        fatal("relay: %s", err.text);
    role_set_state(role, &relay);
    role_sandbox(role);
    code = role_run(role);
    relay_close(&relay);
    return code;
}
