/* A world for the access role without processes: a client on a socket pair, and directory and mailbox
 * whose channels write down what is sent to them. */
#pragma once
#include "roles/access/access.h"

struct channel {
    enum role_id role;
    unsigned copy;
    uint64_t serial;
};

extern struct channel *world_directory, *world_mailbox; /* NULL while down */
/* "begin PLAIN 127.0.0.1 |user|pass", "step x", "cancel", "open 5 flags=2 user 127.0.0.1", "data x",
 * "more 7", "finish", "stopped", "close", one a line; IMAP: "open 5 tag=a flags=2 ...". */
extern struct buf world_asked;
extern uint64_t world_id;       /* of the last message sent */
extern size_t world_backlog;    /* of the channel to mailbox */
extern struct config world_config;
extern struct config_listen world_listener;
extern struct access world_access;
extern const struct login_protocol *world_protocol; /* of the next connections; POP3 after world_open */

void world_open(void);
void world_close(void);
/* A client that comes from this address; returns its end of the connection. */
int world_connect(const char *ip);
/* Turns of the loop until nothing is left to do at once. */
void world_run(void);
/* The channel to mailbox has room again. */
void world_drained(void);
