/* One line of the command socket. */
#pragma once
#include "base/buf.h"

struct request {
    struct buf command; /* a name */
    struct buf args;    /* each ended by NUL, see ipc/args.h */
};

void request_init(struct request *r);
void request_clear(struct request *r);
/* False with a text for the client. */
MUST_CHECK bool request_parse(struct request *r, struct str line, struct err *err);
