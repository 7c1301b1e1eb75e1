/* The MTA-STS policy of a domain, for relay (RFC 8461): from policies.db, or over HTTPS from "mta-sts.DOMAIN", whose addresses the
 * resolver tells. What to do when is tlspolicy/sts_decide.h. Many who ask for the same policy share one fetch; what is good is
 * fetched anew every day, in the background. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "dns/dns_client.h"
#include "ipc/role.h"
#include "policies.h"

struct event;
struct https;

enum { FETCHES_MAX = 200, FAILURES_MAX = 20000, FETCH_SECONDS = 25 };

struct fetcher {
    struct role *role;
    struct https *https;
    struct policies *policies;
    struct dns_client dns;
    struct map fetches;    /* under way, by domain */
    struct map failures;   /* by domain */
    struct list by_age;    /* failures, oldest first */
    struct event *timer;   /* refreshes */
};

/* Reads the certificates that are trusted and opens the database: before the sandbox closes. */
MUST_CHECK bool fetcher_open(struct fetcher *f, struct role *role, const char *path, struct err *err);
void fetcher_close(struct fetcher *f);
void fetcher_on_ask(struct fetcher *f, struct channel *from, const struct msg_sts_ask *m);
void fetcher_on_dns(struct fetcher *f, const struct msg_dns_reply *m);
void fetcher_peer_up(struct fetcher *f, const struct channel *peer);
void fetcher_peer_gone(struct fetcher *f, const struct channel *peer);
