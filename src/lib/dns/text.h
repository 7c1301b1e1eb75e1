/* DNS types and records as text, as in a zone file (RFC 1035 5, RFC 3597). */
#pragma once
#include "dns/records.h"

/* "MX", or "TYPE65400" for one without a name here. */
void dns_type_write(unsigned type, struct buf *out);
/* Either of them, in any case. False for another word. */
bool dns_type_read(struct str word, unsigned *type);
/* One record's data (uncompressed names, see records.h); what cannot be read, or is of an unknown type, as "\# LENGTH HEX". Printable
 * ASCII only, whatever is in it. */
void dns_data_write(unsigned type, struct str rdata, struct buf *out);
/* One string in quotes, whatever bytes are in it. */
void dns_quote(struct buf *out, struct str text);

struct dns_srv {
    uint16_t priority, weight, port;
    char target[DNS_NAME_TEXT];
};
bool dns_read_srv(struct str rdata, struct dns_srv *out);
struct dns_caa {
    uint8_t flags;
    struct str tag, value; /* views */
};
bool dns_read_caa(struct str rdata, struct dns_caa *out);
