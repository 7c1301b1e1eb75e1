/* The state of the mailbox role; shared by main.c (start, turns, end) and handlers.c (messages, peers). */
#pragma once
#include "delivery.h"
#include "session.h"

struct event;

struct mailbox {
    struct boxes *boxes;
    struct accounts *accounts;
    struct deliveries *deliveries;
    struct sessions *sessions;
    struct event *timer;
    int64_t tidy_at;     /* monotonic */
    int64_t drain_until; /* monotonic, 0 while not draining */
};

struct mailbox *mailbox_of(struct role *role);

extern const struct handlers mailbox_handlers;
void mailbox_peer_up(struct role *role, struct channel *c);
void mailbox_peer_gone(struct role *role, struct channel *c);
