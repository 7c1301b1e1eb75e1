/* What this machine has: its addresses. */
#include "cli/outside.h"

#include <ifaddrs.h>
#include <net/if.h>

static const char *const not_public[] = {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3", "::/8", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8"};

bool machine_is_public(const struct ip *ip)
{
    struct network net;

    for (size_t i = 0; i < sizeof not_public / sizeof *not_public; i++)
        if (network_parse(str_of(not_public[i]), &net) && network_holds(&net, ip))
            return false;
    return ip->family != 0;
}

size_t machine_addresses(struct ip *out, size_t room)
{
    struct ifaddrs *all = NULL;
    size_t n = 0;
    uint16_t port;
    struct ip ip;

    if (getifaddrs(&all) != 0)
        return 0;
    for (const struct ifaddrs *a = all; a != NULL && n < room; a = a->ifa_next)
        if (a->ifa_addr != NULL && (a->ifa_flags & IFF_UP) && ip_from_sockaddr(a->ifa_addr, &ip, &port) && machine_is_public(&ip))
            out[n++] = ip;
    freeifaddrs(all);
    return n;
}
