/* The records as lines of a zone file (RFC 1035 5). */
#pragma once
#include "records.h"

/* What belongs into the domain's zone stands as it is; what does not (PTR, the server's own name in another zone) follows as
 * comments. name_server: makes it a whole zone with SOA and NS; empty: lines for the zone there is. */
void outside_zone_write(const struct outside_records *r, struct str domain, struct str name_server, int64_t now, struct buf *out);
