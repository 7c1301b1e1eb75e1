/* Which role answers which command: the table of the command socket, and later of the HTTP API. */
#pragma once
#include "ask.h"

enum { ROUTE_TARGETS = 256 };

enum route_result {
    ROUTE_UNKNOWN, /* no such command */
    ROUTE_HERE,    /* web answers itself: status */
    ROUTE_ROLES,   /* all of the targets filled in */
    ROUTE_FINDER,  /* the one of the targets that has it; the likely one is first */
};

enum route_result route_command(const struct web *web, struct str command, struct str args,
    struct ask_target targets[ROUTE_TARGETS], size_t *n);
