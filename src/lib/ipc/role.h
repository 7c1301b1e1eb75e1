/* What every role's process has in common: start, peers, configuration, drain, sandbox, loop.
 *
 *   int main(int argc, char **argv)
 *   {
 *       struct role *role = role_begin(&queue_role, argc, argv);   // boots from the control socket
 *       ...open files...
 *       role_sandbox(role);                                        // drops everything else
 *       return role_run(role);
 *   }
 */
#pragma once
#include "config/config.h"
#include "ipc/channel.h"
#include "ipc/ipc.h"
#include "ipc/verify.h"
#include "net/sandbox.h"

struct event_base;

/* A listening socket bound by the supervisor. */
struct role_listener {
    int fd;
    unsigned index; /* into config->listeners; the local sockets have their own service */
    enum service service;
    struct str address;
};

/* A certificate and its key as PEM; the key is empty everywhere but in directory. */
struct role_certificate {
    struct str name, chain, key;
};

struct role_type {
    enum role_id id;
    const struct handlers *handlers;
    unsigned sandbox; /* SANDBOX_ flags of net/sandbox.h */
    /* All may be NULL. peer_up: a channel to this peer exists now (also called at start);
     * peer_gone: it ended, forget or fail what was asked there. The supervisor brings a new one. */
    void (*peer_up)(struct role *, struct channel *);
    void (*peer_gone)(struct role *, struct channel *);
    void (*reload)(struct role *);         /* role_config and certificates are the new ones */
    void (*drain)(struct role *, int64_t within); /* call role_exit when done, at the latest after `within` */
    void (*verify)(struct role *, struct verification *); /* its own checks, see verify.h */
    void (*turn)(struct role *);           /* after each turn of the loop: group commit, batches */
};

struct role *role_begin(const struct role_type *type, int argc, char **argv);
void role_sandbox(struct role *role);
int role_run(struct role *role);
/* Ends the loop after this turn; output that waits is flushed. */
void role_exit(struct role *role);

/* The role's own state. */
void role_set_state(struct role *role, void *state);
void *role_state(struct role *role);

struct event_base *role_base(struct role *role);
const struct config *role_config(const struct role *role);
unsigned role_copy(const struct role *role);
unsigned role_copies(const struct role *role);
bool role_draining(const struct role *role);

/* smtp, access: asks the holder of the private keys, and waits (a second at most). False when it cannot be
 * had: the handshake fails and the client tries again. */
bool role_sign(struct role *role, struct str key, uint64_t operation, struct str input, struct buf *out);

/* Certificates (smtp, access, directory, web) and listeners, in configuration order. */
size_t role_certificate_count(const struct role *role);
const struct role_certificate *role_certificate_at(const struct role *role, size_t i);
size_t role_listener_count(const struct role *role);
const struct role_listener *role_listener_at(const struct role *role, size_t i);

/* The channel to one copy, NULL while that copy is down. role_peers: how many copies there are
 * (also while some are down). role_peer_for: the copy that owns `hash` (hash % copies), or NULL. */
unsigned role_peers(const struct role *role, enum role_id peer);
struct channel *role_peer(const struct role *role, enum role_id peer, unsigned copy);
struct channel *role_peer_for(const struct role *role, enum role_id peer, uint64_t hash);

/* Request ids: 1, 2, 3 ... never repeated in this process. */
uint64_t role_next_id(struct role *role);
