/* Looks after the DKIM keys: asks DNS for records, moves keys on, makes what is missing (docs/dkim.md). */
#pragma once
#include "base/str.h"

struct channel;
struct directory;
struct dkim_look;
struct msg_dns_reply;

void dkim_watch_open(struct directory *d);
/* A domain is new: it is looked after within a minute. */
void dkim_watch_soon(struct directory *d);
/* Asks DNS for all records of a domain (at most half a minute), does what is due, then calls done, from the loop. NULL: there is nothing
 * to ask, or nobody; done is not called. */
struct dkim_look *dkim_look_start(struct directory *d, struct str domain, void (*done)(void *arg), void *arg);
void dkim_look_cancel(struct dkim_look *look); /* NULL is nothing */
void dkim_watch_peer_up(struct directory *d, struct channel *c);
