/* What DNS says about TLS with the servers of a plan: TLSA records (RFC 7672 2.2). Asked once the addresses are known. */
#pragma once
#include "relay.h"

struct tls_lookup;

/* Asks, notes the answers in the plan, then calls done() once, possibly at once. NULL when there is nothing to wait for; then done()
 * is not called. */
struct tls_lookup *tls_lookup_start(struct relay *relay, struct plan *plan, void (*done)(void *owner), void *owner);
/* Forgets the questions that are open. NULL is fine. */
void tls_lookup_free(struct tls_lookup *lookup);
