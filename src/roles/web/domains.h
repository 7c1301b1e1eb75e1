/* Is that one of our domains? Asked of directory, with a time limit. */
#pragma once
#include "web.h"

#include <event2/event_struct.h>

enum domain_found { DOMAIN_OURS, DOMAIN_FOREIGN, DOMAIN_UNKNOWN /* directory cannot say now */ };

/* Embedded in whoever waits. */
struct domain_wait {
    struct link link;
    struct event timer;
    struct web *web;
    uint64_t id; /* 0 while it does not wait */
    void (*done)(struct domain_wait *wait, enum domain_found found, struct str name);
};

/* `done` is called once, later or at once, unless it is cancelled. */
void domains_ask(struct web *web, struct domain_wait *wait, struct str domain);
/* Harmless for one that does not wait. */
void domains_cancel(struct domain_wait *wait);

void domains_on_reply(struct role *role, struct channel *from, const struct msg_domain_reply *m);
void domains_peer_gone(struct web *web, const struct channel *peer);
