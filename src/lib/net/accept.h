/* Accepts connections from an inherited listening socket. */
#pragma once
#include "base/ip.h"

struct event_base;
struct acceptor;

typedef void acceptor_fn(void *owner, int fd, const struct ip *peer, uint16_t port);

struct acceptor *acceptor_new(struct event_base *base, int listen_fd, acceptor_fn *accepted, void *owner);
/* Off: connections wait in the kernel (too many open, or out of descriptors). */
void acceptor_enable(struct acceptor *a, bool on);
void acceptor_free(struct acceptor *a); /* closes the socket */
