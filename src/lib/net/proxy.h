/* The PROXY protocol, versions 1 and 2: what a load balancer says before the client's first byte.
 * A pure parser; only connections from listed networks are ever asked for a header. */
#pragma once
#include "base/ip.h"

enum { PROXY_HEADER_MAX = 4096 };

struct proxy_header {
    bool local; /* v2 LOCAL, v1 UNKNOWN, a family that is not IP: keep the address of the connection */
    struct ip source, destination;
    uint16_t source_port, destination_port;
};

enum proxy_result { PROXY_MORE, PROXY_DONE, PROXY_BAD };

/* bytes: everything so far, from the first byte on. *used is the length of the header when done. */
enum proxy_result proxy_parse(struct str bytes, struct proxy_header *header, size_t *used);
