/* May aggregate reports about a domain be sent there? Whoever publishes a DMARC record might name anybody's address; so an address
 * whose Organizational Domain is another must say that it wants them (RFC 9990 4). A pure machine: questions go out through
 * `ask`, one at a time; at most two tree walks (dmarc_walk.h) and one more. */
#pragma once
#include "dmarc_walk.h"
#include "dns/records.h"
#include "ipc/messages.h"

enum report_verdict {
    REPORT_WANTED,
    REPORT_UNWANTED,
    REPORT_NOT_KNOWN, /* DNS failed: ask again later */
};

struct report_destination_world {
    void (*ask)(void *owner, struct str name); /* TXT */
    void (*done)(void *owner); /* once; from inside .._start or .._answer */
};

struct report_destination {
    const struct report_destination_world *world;
    void *owner;
    char domain[DNS_NAME_TEXT], host[DNS_NAME_TEXT], organisation[DNS_NAME_TEXT];
    struct dmarc_walk walk;
    enum { REPORT_WALK_DOMAIN, REPORT_WALK_HOST, REPORT_ASK_HOST, REPORT_OVER } step;
    struct buf address; /* where to send to: as asked for, or as the other domain says */
    enum report_verdict verdict;
    const char *reason; /* why not */
};

/* domain: of the policy record, canonical. address: of the mailto: URI. */
void report_destination_init(struct report_destination *d, const struct report_destination_world *world, void *owner, struct str domain,
    struct str address);
void report_destination_start(struct report_destination *d);
void report_destination_answer(struct report_destination *d, enum dns_status status, struct str records);
void report_destination_clear(struct report_destination *d);
