/* The smtp role's server between peers that are played here: role.h and channel.h as far as it uses them,
 * clients over real loopback sockets. What the server sends is decoded from the channels' output. */
#pragma once
#include "roles/smtp/server.h"

struct channel {
    enum role_id peer;
    unsigned copy;
    bool up;
    size_t backlog; /* pretended */
    struct buf out;
    void (*drained)(struct role *, struct channel *);
};

struct role {
    struct server server;
    struct event_base *base;
    struct config *config;
    struct role_listener listener;
    struct channel directory[2], filter[2], events;
    uint64_t next_id, last_ask, last_txn; /* ids the server used last */
    bool exited;
    struct buf log; /* of sent(), decoded */
    uint16_t port;
};

/* config: text of the configuration; its first listen section is the door. */
struct role *world_new(const char *config);
void world_free(struct role *role);
void world_turn(struct role *role); /* runs what is ready */
void world_reload(struct role *role, const char *config);

/* What was sent to c since the last look, a line a message; also notes the ids. */
struct str world_sent(struct role *role, struct channel *c);
/* Frames from a peer, as ipc_encode_* makes them. */
void world_say(struct role *role, struct channel *from, const struct buf *frames);
void world_drop(struct role *role, struct channel *c);

int world_connect(struct role *role);
void world_write(struct role *role, int fd, struct str bytes);
/* What the server replied, as far as it came; the view lives until the next call. */
struct str world_read(struct role *role, int fd);
