/* The supervisor's own parts. It binds ports, starts and watches the other processes, connects them
 * with each other, and parses nothing from the network. */
#pragma once
#include "config/config.h"
#include "ipc/boot.h"
#include "ipc/ipc.h"

#include <sys/types.h>

struct event;
struct event_base;

struct process {
    enum role_id role;
    unsigned copy, copies;
    pid_t pid;      /* 0 while it does not run */
    int control;    /* our end of its control socket, -1 while it does not run */
    bool ready, expected_end;
    uint64_t restarts;
    int64_t started, began, pause; /* wall time; the same, monotonic; microseconds until the next start */
    struct event *control_event, *timer;
    struct supervisor *supervisor;
};

struct bound {
    int fd;
    unsigned index;
    enum service service;
    struct str address;
};

enum { MAX_PROCESSES = ROLE_COUNT * MAX_COPIES };

struct supervisor {
    struct event_base *base;
    const char *config_path;
    struct buf config_text;
    struct config *config;
    struct role_certificate certificates[MAX_CERTIFICATES];
    size_t certificate_count;
    struct bound bound[MAX_LISTENERS];
    size_t bound_count;
    struct process processes[MAX_PROCESSES];
    size_t process_count;
    bool started; /* all were ready once */
    bool stopping;
    bool reloading; /* the holder of the keys has not taken the new configuration yet */
    unsigned stage; /* of the shutdown */
    bool revived;   /* what that needs was started for it */
    struct event *stage_timer;
    int exit_code;
    int lock;
};

/* files.c: configuration and certificates from disk, the data folders. */
MUST_CHECK bool files_load(struct supervisor *s, struct err *err); /* changes nothing on failure */
MUST_CHECK bool files_prepare_folders(struct supervisor *s, struct err *err);

/* listeners.c: ports and local sockets, bound here or passed by systemd. */
MUST_CHECK bool listeners_bind(struct supervisor *s, struct err *err);
void listeners_remove_local(struct supervisor *s);
bool listeners_unchanged(const struct config *a, const struct config *b);

/* processes.c: one process a copy of a role. */
void processes_plan(struct supervisor *s);
MUST_CHECK bool processes_start_all(struct supervisor *s, struct err *err);
void processes_reload(struct supervisor *s);
void processes_reap(struct supervisor *s);
/* Asks the processes of a role to finish. */
void processes_drain(struct supervisor *s, unsigned roles, int64_t within);
void processes_kill(struct supervisor *s, unsigned roles);
/* Starts those that wait for their next start, even while the server stops. */
void processes_revive(struct supervisor *s, unsigned roles);
bool processes_alive(const struct supervisor *s, unsigned roles);

/* link.c: who is connected to whom. */
void link_process(struct supervisor *s, struct process *p);
void link_send(struct process *p, struct buf *frame, int fd);

/* main.c */
void supervisor_all_ready(struct supervisor *s);
void supervisor_process_ended(struct supervisor *s, struct process *p, int status);

/* notify.c: systemd's readiness protocol; does nothing elsewhere. */
void notify_systemd(const char *state);
