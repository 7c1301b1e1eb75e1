/* One command put to one or more copies of a role, one after the other. Rows arrive in the order of
 * the copies; the role is told to go on only when the owner took what it sent. */
#pragma once
#include "web.h"

struct ask;

struct ask_owner {
    /* One row, a JSON object without line ends. True: more is welcome now; false: call ask_more when it is. */
    bool (*row)(void *owner, struct str json);
    /* No row yet, but the role at work says how far it is. */
    void (*progress)(void *owner, enum role_id role, unsigned copy, struct str text);
    /* The end; the ask is freed after this. code is of sysexits.h. */
    void (*done)(void *owner, int code, struct str text);
};

struct ask_target {
    enum role_id role;
    unsigned copy;
};

/* one: a single one of the targets has what is asked for. They are asked until one says something else than
 * EX_NOINPUT (66) or nothing at all, and what the others said before does not count.
 * Copies what it is given. `done` may be called before this returns (then NULL is returned). */
struct ask *ask_new(struct web *web, const struct ask_target *targets, size_t n, bool one, uint64_t uid,
    struct str command, struct str args, const struct ask_owner *events, void *owner);
void ask_more(struct ask *a);
/* The owner is gone: nothing more is called. */
void ask_cancel(struct ask *a);

/* From the roles. */
void ask_on_row(struct role *role, struct channel *from, const struct msg_control_row *m);
void ask_on_progress(struct role *role, struct channel *from, const struct msg_control_progress *m);
void ask_on_done(struct role *role, struct channel *from, const struct msg_control_done *m);
void ask_peer_gone(struct web *web, struct channel *peer);
