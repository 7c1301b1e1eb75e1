/* What is published about TLS with the servers of a plan: their TLSA records (RFC 7672 2.2), and the MTA-STS policy of the recipients'
 * domain (RFC 8461): its record from DNS, the policy from events, which keeps and fetches policies. Asked once the addresses are known. */
#pragma once
#include "relay.h"

struct tls_lookup;

/* domain (lives as long as the look-up): of the recipients. before: an earlier plan of the same destination, may be NULL. Asks, notes the answers in the plan, then calls done() once, possibly at once. NULL when there is nothing to wait for; then done()
 * is not called. */
struct tls_lookup *tls_lookup_start(struct relay *relay, struct plan *plan, struct str domain, const struct plan *before,
    void (*done)(void *owner), void *owner);
/* Forgets the questions that are open. NULL is fine. */
void tls_lookup_free(struct tls_lookup *lookup);
void tls_lookup_on_reply(struct role *role, struct channel *from, const struct msg_sts_reply *m);
void tls_lookup_events_up(struct relay *relay); /* asks again what is open */
