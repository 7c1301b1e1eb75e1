/* Typed reading of DNS records as they cross the channel (dns_reply.records): each record is 2 bytes
 * of length, big endian, then rdata whose names are uncompressed. Everything here treats the bytes
 * as hostile: whatever does not parse is skipped or refused, never trusted. */
#pragma once
#include "base/buf.h"
#include "base/ip.h"
#include "base/str.h"

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_DNAME = 39,
    DNS_TLSA = 52,
    DNS_CAA = 257,
};

enum {
    DNS_NAME_WIRE = 255, /* longest name on the wire (RFC 1035 2.3.4) */
    DNS_NAME_TEXT = 256, /* room for a name of host characters, NUL included */
};

/* Cuts the next record off *rest; false at the end or where the packing is damaged. */
bool dns_next_record(struct str *rest, struct str *rdata);
/* Appends a packed record; for the resolver and for tests. */
void dns_add_record(struct buf *out, struct str rdata);

/* Reads an uncompressed name at the start of *wire and cuts it off. Text is lower case, without the
 * last dot; the root gives "". Only names of letters, digits, '-' and '_' are taken: nothing else is
 * the name of a host that mail may go to, and no text made of it can surprise a log or a prompt. */
bool dns_read_name(struct str *wire, char out[DNS_NAME_TEXT]);
/* The other way round: appends the wire form. False for a name that has none (empty label, label over
 * 63 bytes, name over 255). A last dot is allowed. */
bool dns_write_name(struct buf *out, struct str text);
/* Printable, with a wire form, and short enough for DNS_NAME_TEXT. */
bool dns_name_can_be_asked(struct str name);

struct dns_mx {
    uint16_t preference;
    char host[DNS_NAME_TEXT]; /* "" is the null MX (RFC 7505) */
};
struct dns_tlsa {
    uint8_t usage, selector, matching;
    struct str data; /* view into the record */
};

/* Fill up to `room` entries, in the order of the answer, leaving out records that do not parse;
 * return how many. */
size_t dns_read_mx(struct str records, struct dns_mx *out, size_t room);
size_t dns_read_addresses(struct str records, enum dns_type type, struct ip *out, size_t room);
size_t dns_read_tlsa(struct str records, struct dns_tlsa *out, size_t room);
/* The strings of one TXT record, joined (RFC 7208 3.3). False for a damaged one. */
bool dns_read_txt(struct str rdata, struct buf *out);
/* A name that is only asked for again, never shown or connected to: of any printable characters. */
bool dns_read_printable(struct str rdata, char out[DNS_NAME_TEXT]);
/* The name in a CNAME, PTR or NS record. */
bool dns_read_target(struct str rdata, char out[DNS_NAME_TEXT]);
