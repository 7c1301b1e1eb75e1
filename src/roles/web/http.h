/* HTTP: libmicrohttpd without threads, driven by the role's loop. A site is a table of pages; each has its own connections, so that
 * strangers cannot keep those who look at the metrics out. */
#pragma once
#include "base/ip.h"
#include "domains.h"
#include "gather.h"

enum { METHOD_GET = 1, METHOD_POST = 2 }; /* where GET is, HEAD is too */

/* One request while it is answered. */
struct exchange {
    struct web *web;
    struct http *http;
    struct MHD_Connection *connection;
    const struct page *page;
    const char *path; /* lives as long as the request; no path of a file */
    struct gather_wait gathering;
    struct domain_wait domain;
    bool asked, ready, suspended;
    int64_t began; /* monotonic */
    unsigned status;
    struct buf body, upload, location;
};

struct page {
    const char *host; /* the name asked for begins with this ("mta-sts."); NULL: any */
    const char *path; /* in any case of letters */
    bool below;       /* everything that begins with path */
    unsigned methods;
    const char *type; /* of the body, while the status is 200 */
    /* Fills the body and calls exchange_answer, now, or later after exchange_suspend. */
    void (*start)(struct exchange *x);
};

struct http_site {
    const struct page *pages;
    size_t n;
    unsigned connections;
    const char *not_found;
};

/* Before the sandbox: libmicrohttpd opens its epoll descriptor here. */
struct http *http_new(struct web *web, const struct http_site *site);
/* Takes over a connected fd. False: there were too many, and it is closed. */
bool http_accept(struct http *h, int fd, const struct ip *peer, uint16_t port);

void exchange_suspend(struct exchange *x);
void exchange_answer(struct exchange *x, unsigned status);
/* The host name that was asked for, without port, as the client wrote it; empty when it is none. */
struct str exchange_host(const struct exchange *x);
/* The value of name=value behind the path, decoded; empty when it is not there. */
struct str exchange_argument(const struct exchange *x, const char *name);
