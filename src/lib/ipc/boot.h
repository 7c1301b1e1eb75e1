/* How a role comes to life: what the supervisor says on the control socket, or, for a single command
 * without a server, what the configuration file says. Used by role.c only. */
#pragma once
#include "base/list.h"
#include "ipc/role.h"

enum { MAX_COPIES = 64, MAX_LISTENERS = 64, MAX_CERTIFICATES = 64 };

/* The reply a front waits for on its signing line: one at a time, it does nothing else meanwhile. */
struct signing {
    uint64_t id;
    struct buf *out;
    bool answered, done;
};

struct role {
    const struct role_type *type;
    struct handlers handlers; /* the type's and the framework's own */
    struct event_base *base;
    struct event *control_event;
    struct buf packet;
    int passed_fd; /* descriptor of the control message being handled */
    void *state;

    unsigned copy, copies;
    struct config *config, *new_config; /* the new one is in force from the next `run` on, as are certificates */
    struct str config_path;
    struct role_certificate certificates[MAX_CERTIFICATES], new_certificates[MAX_CERTIFICATES];
    size_t certificate_count, new_certificate_count;
    struct role_listener listeners[MAX_LISTENERS];
    size_t listener_count;
    struct channel *peers[ROLE_COUNT][MAX_COPIES];
    unsigned peer_copies[ROLE_COUNT];
    uint64_t next_id;
    bool running, sandboxed, stop, draining, fresh_boot;
    int exit_code;

    int signer_fd; /* of a front; -1 while there is none */
    int64_t signer_rests_until;
    struct signing signing;
    struct question_book signatures; /* that this front asked for */
    struct channel *signers[ROLE_COUNT][MAX_COPIES]; /* of the holder of the keys */

    struct list verifications; /* verify.c */
    struct offline *offline; /* a single command, no supervisor */
};

/* Handlers of the supervisor's messages. */
extern const struct handlers boot_handlers;
/* Takes one packet from the control socket, if one waits. False when the supervisor is gone. */
bool boot_take_packet(struct role *role);
/* Tells the supervisor that the role works (or has taken the new configuration). */
void boot_answer_ready(bool reload);
void boot_config_from_text(struct role *role, struct str path, struct str text);
void boot_add_peer(struct role *role, enum role_id peer, unsigned copy, unsigned copies, int fd);

/* signer.c: the line on which a front has something signed. */
void signer_take(struct role *role, enum role_id front, unsigned copy, int fd);

/* offline.c */
void offline_begin(struct role *role, int argc, char **argv);
void offline_start(struct role *role); /* the loop is about to run: ask */
