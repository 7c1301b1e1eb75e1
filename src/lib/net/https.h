/* HTTPS as a client, for what is small: one answer in memory, by libcurl on the event loop. Names are not looked up here: the caller
 * says to which addresses. No redirect is followed, the certificate must be right for the name, and everything has a limit.
 *
 * https_new before the sandbox closes. */
#pragma once
#include "base/err.h"
#include "base/ip.h"
#include "base/str.h"

struct event_base;
struct https;
struct https_get;

enum { HTTPS_ADDRESSES = 8 };

struct https_request {
    struct str host, path; /* path with its '/' */
    uint16_t port;
    const struct ip *addresses;
    size_t address_count;  /* at most HTTPS_ADDRESSES */
    size_t longest;        /* bytes of the answer; its header may have 32 KB */
    int64_t within;        /* for all of it, microseconds */
};

enum https_result {
    HTTPS_ANSWERED,
    HTTPS_UNREACHABLE, /* no connection, no TLS, no HTTP, or too slow */
    HTTPS_CERTIFICATE, /* not right for the host, or of nobody we trust */
    HTTPS_TOO_LARGE,
};
struct https_answer {
    enum https_result result;
    unsigned status;                /* with HTTPS_ANSWERED */
    struct str content_type, body;  /* until the function returns */
    const char *why;                /* for people; "" with HTTPS_ANSWERED */
};
typedef void https_done_fn(void *owner, const struct https_answer *answer);

/* ca: PEM text of trusted certificates, copied; without any nothing can be fetched. */
MUST_CHECK bool https_new(struct https **https, struct event_base *base, struct str ca, struct err *err);
void https_free(struct https *h); /* with nothing under way */
/* done() is called once, from the loop, unless it is cancelled. */
struct https_get *https_start(struct https *h, const struct https_request *request, https_done_fn *done, void *owner);
void https_cancel(struct https_get *get); /* NULL is fine */
