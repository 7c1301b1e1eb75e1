/* The web role: the local command socket, the metrics port, what the world may ask over HTTP, and the state of the processes. It owns no
 * data and asks the other roles for everything. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "challenges.h"
#include "ipc/role.h"

struct event;
struct acceptor;
struct gather;
struct http;
struct doors;
struct watch;

enum { WEB_COPIES = 64, WEB_LISTENERS = 64, WEB_SANDBOX = SANDBOX_ACCEPT | SANDBOX_UNIX | SANDBOX_PAIR | SANDBOX_CLOCK };

/* What the supervisor says about a process. */
struct process_info {
    bool known;
    uint64_t pid, restarts;
    int64_t started; /* wall time */
};

struct web {
    struct role *role;
    struct acceptor *acceptors[WEB_LISTENERS];
    size_t acceptor_count;
    struct list clients; /* struct client of commands.c */
    size_t client_count;
    struct list tunnels; /* struct tunnel of tunnel.c */
    struct map asks; /* struct ask of ask.c by id */
    struct gather *gather;
    struct http *http; /* of the metrics listeners */
    struct doors *doors;
    struct list domain_waits; /* struct domain_wait of domains.c */
    struct challenges challenges;
    struct watch *watch;
    struct process_info processes[ROLE_COUNT][WEB_COPIES];
    int64_t started; /* wall time */
};
