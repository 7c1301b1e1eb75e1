/* IP addresses and networks. IPv4-mapped IPv6 addresses are turned into IPv4 on the way in. */
#pragma once
#include "base/str.h"

#include <sys/socket.h>
#include <netinet/in.h>

struct ip {
    uint8_t family; /* 0 (none), 4 or 6 */
    uint8_t bytes[16];
};

enum { IP_TEXT = 46 };

bool ip_parse(struct str text, struct ip *ip); /* no brackets, no port */
void ip_format(const struct ip *ip, char out[IP_TEXT]); /* "" for none */
bool ip_equal(const struct ip *a, const struct ip *b);
bool ip_is_loopback(const struct ip *ip);
bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip, uint16_t *port);
socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *out);
/* The key limits are counted by: the whole IPv4 address, the /64 of an IPv6 one. */
struct ip ip_limit_key(const struct ip *ip);

struct network {
    struct ip ip;
    uint8_t bits;
};

bool network_parse(struct str text, struct network *net); /* "10.0.0.0/8", "::1", "192.0.2.1" */
bool network_holds(const struct network *net, const struct ip *ip);
