/* Challenges of ACME (RFC 8555 8.3, RFC 8737) that web answers for the time of an order: who runs the server publishes them over the command
 * socket. Kept in memory alone: what a restart forgets is asked for again. */
#pragma once
#include "base/buf.h"
#include "base/list.h"

struct ssl_ctx_st;

enum { CHALLENGES_MAX = 100 };

struct challenges {
    struct list all; /* struct challenge, the newest first */
    size_t count;
    char trouble[600]; /* why no certificate could be had; empty: nothing is wrong */
};

void challenges_init(struct challenges *c);
/* One command: "set kind= name= token= authorization=", "clear token=", "note text=". The exit code, with a text when it is not 0. */
int challenges_command(struct challenges *c, struct str args, struct err *err);
/* The key authorization of a token of http-01; empty when it is not there. */
struct str challenges_answer(const struct challenges *c, struct str token);
/* What a validator of tls-alpn-01 is shown for this name; NULL: there is no challenge for it. */
struct ssl_ctx_st *challenges_context(const struct challenges *c, struct str name);
