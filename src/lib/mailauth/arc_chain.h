/* The sets of fields that make up an Authenticated Received Chain (RFC 8617 4.2), found in a header and looked at as far
 * as can be without any key: who belongs to which set, none missing, none twice, each seal saying what it must. */
#pragma once
#include "dkim_header.h"
#include "dkim_signature.h"

/* In the order in which a seal covers them (5.1.1). */
enum arc_field { ARC_FIELD_RESULTS, ARC_FIELD_MESSAGE, ARC_FIELD_SEAL, ARC_FIELDS };

struct arc_chain {
    size_t fields[ARC_SETS_MAX][ARC_FIELDS]; /* numbers in the header; SIZE_MAX: missing */
    unsigned n;          /* the highest instance that can be read; 0: there is none */
    bool present;        /* there is at least one field of ARC, good or bad */
    bool broken;         /* the newest seal says cv=fail: nothing more is to be looked at or added */
    const char *reason;  /* what is wrong; NULL: nothing. Literals */
    unsigned instance;   /* of which set; 0: not known */
};

void arc_chain_read(const struct dkim_header *header, struct arc_chain *chain);
/* Reads "i=1;" at the start of an ARC-Authentication-Results field; *rest is what follows: authserv-id and results as in
 * an Authentication-Results field. 0: it is not there. */
unsigned arc_read_instance(struct str value, struct str *rest);
