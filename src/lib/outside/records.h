/* Every record of DNS that should be published for a domain of ours and for the server itself: made from the facts, as
 * data, for the zone file, the table and the checks alike. */
#pragma once
#include "base/arena.h"
#include "facts.h"

enum outside_kind {
    OUTSIDE_ADDRESS, OUTSIDE_PTR, OUTSIDE_MX, OUTSIDE_SPF, OUTSIDE_HELO_SPF, OUTSIDE_DKIM, OUTSIDE_DMARC, OUTSIDE_STS, OUTSIDE_STS_HOST,
    OUTSIDE_TLSRPT, OUTSIDE_TLSA, OUTSIDE_SRV, OUTSIDE_AUTOCONFIG, OUTSIDE_CAA, OUTSIDE_KINDS,
};
/* Its name in tables ("mx") and, in a sentence, why anybody should care. */
const char *outside_kind_name(enum outside_kind kind);
const char *outside_kind_why(enum outside_kind kind);

enum { OUTSIDE_RECORDS = 300 };

struct outside_record {
    enum outside_kind kind;
    struct str name;   /* without the last dot */
    unsigned type;     /* enum dns_type */
    struct str data;   /* as in a zone file: names end with a dot, texts stand in quotes */
    bool elsewhere;    /* it does not belong into the domain's own zone, as far as names tell */
};

struct outside_records {
    struct arena arena;
    struct outside_record items[OUTSIDE_RECORDS];
    size_t n;
};

/* False when they are too many or too long. */
bool outside_records_make(struct outside_records *r, const struct outside_facts *facts);
void outside_records_clear(struct outside_records *r);
/* "name. TTL IN TYPE data", without a line end. */
void outside_record_write(const struct outside_record *record, struct buf *out);
/* The text of a TXT record in quotes, cut into strings of 255 octets. */
void outside_quote(struct buf *out, struct str text);
/* "1.2.0.192.in-addr.arpa" */
void outside_reverse_name(struct buf *out, const struct ip *ip);
/* Is `name` the domain or below it? */
bool outside_is_in(struct str name, struct str domain);
