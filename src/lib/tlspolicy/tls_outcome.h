/* What became of TLS in one session with a server of a domain that publishes a policy, as relay tells it to events: written there, read
 * here, bounded. Pure. */
#pragma once
#include "tlsrpt.h"

enum { TLS_OUTCOME_POLICY_MAX = 4000, TLS_OUTCOME_MAX = 8000 };

struct tls_outcome {
    struct str domain;              /* of the recipients, A-labels */
    enum tlsrpt_policy_type type;   /* TLSRPT_STS or TLSRPT_TLSA */
    enum tls_result result;
    struct str mx, receiving, sending; /* a name, and addresses as text; empty: not known */
    struct str policy;              /* lines, as in a report's policy-string; what does not fit is left out by lines */
};

/* Appends the text; domain is not in it. Characters that are not printable become '?'. */
void tls_outcome_write(const struct tls_outcome *o, struct buf *out);
/* Views into the text. False: it is none, or longer than it may be. */
bool tls_outcome_read(struct str domain, struct str text, struct tls_outcome *o);
