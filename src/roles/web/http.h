/* HTTP on the metrics listeners: libmicrohttpd without threads, driven by the role's loop. */
#pragma once
#include "base/ip.h"
#include "web.h"

/* Before the sandbox: libmicrohttpd opens its epoll descriptor here. */
struct http *http_new(struct web *web);
/* A connection was accepted; takes over fd. */
void http_accept(struct http *h, int fd, const struct ip *peer, uint16_t port);
