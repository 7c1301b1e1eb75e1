/* Gives up everything a role does not need: Landlock for files and TCP, seccomp for system calls.
 * Always on; a kernel without either is refused unless the configuration says otherwise
 * (`sandbox = "if-available"`, for containers that forbid it), and the log says so. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum sandbox_flags {
    SANDBOX_ACCEPT = 1 << 0,  /* accept connections on inherited sockets */
    SANDBOX_CONNECT = 1 << 1, /* make outgoing connections, TCP and UDP */
    SANDBOX_FILES = 1 << 2,   /* read and write below the paths given */
    SANDBOX_UNIX = 1 << 3,    /* SO_PEERCRED and descriptors on local sockets */
    SANDBOX_PAIR = 1 << 4,    /* pairs of local sockets, connected with each other alone */
    SANDBOX_CLOCK = 1 << 5,   /* the state of the clock; setting it needs a capability that no role has */
};

/* paths: folders that stay readable and writable (with SANDBOX_FILES), ended by NULL. */
MUST_CHECK bool sandbox_enter(unsigned flags, const char *const *paths, bool required, struct err *err);

/* Tries, from inside, what the table of roles forbids: opening a file (`secret`, a key), making and
 * connecting sockets, listening, executing, forking, tracing, the memory of others, the database of another
 * role (`other`, its folder). Harmless where it is allowed. `expected`
 * says whether the flags allow it. */
typedef void sandbox_probe_fn(void *arg, const char *action, bool allowed, bool expected);
void sandbox_probe(unsigned flags, struct str secret, struct str other, sandbox_probe_fn *result, void *arg);
