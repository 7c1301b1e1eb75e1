/* A DNS response as it came from the wire, turned into what crosses the channel. */
#pragma once
#include "base/buf.h"
#include "dns/records.h"

enum dns_rcode { DNS_RCODE_OK = 0, DNS_RCODE_SERVFAIL = 2, DNS_RCODE_NXDOMAIN = 3 };

struct dns_packet {
    unsigned rcode;
    uint32_t ttl;                  /* smallest of the records used, and of the SOA for "nothing there" */
    size_t count;                  /* records of the type asked */
    char canonical[DNS_NAME_TEXT]; /* owner of the answer after CNAMEs; "" when it is no host name */
};

/* Reads the answer section: follows the CNAMEs from the question's name and appends the records of
 * `type` at their end to `records`, names uncompressed. Compression pointers only go backwards, and
 * every loop is bounded by the packet. False for a damaged packet (records may hold a part). */
bool dns_read_packet(struct str packet, unsigned type, struct buf *records, struct dns_packet *out);
