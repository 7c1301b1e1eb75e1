#include "base/ip.h"

#include <arpa/inet.h>
#include <string.h>

static void unmap(struct ip *ip)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (ip->family != 6 || memcmp(ip->bytes, mapped, sizeof mapped) != 0)
        return;
    memmove(ip->bytes, ip->bytes + 12, 4);
    memset(ip->bytes + 4, 0, 12);
    ip->family = 4;
}

bool ip_parse(struct str text, struct ip *ip)
{
    char copy[IP_TEXT + 1];

    *ip = (struct ip){0};
    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, 0, text.n) != NULL)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    if (inet_pton(AF_INET, copy, ip->bytes) == 1)
        ip->family = 4;
    else if (inet_pton(AF_INET6, copy, ip->bytes) == 1)
        ip->family = 6;
    unmap(ip);
    return ip->family != 0;
}

void ip_format(const struct ip *ip, char out[IP_TEXT])
{
    out[0] = 0;
    if (ip->family != 0)
        inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->bytes, out, IP_TEXT);
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
    static const struct ip six = {6, {[15] = 1}};

    return ip->family == 4 ? ip->bytes[0] == 127 : ip_equal(ip, &six);
}

bool ip_from_sockaddr(const struct sockaddr *sa, struct ip *ip, uint16_t *port)
{
    *ip = (struct ip){0};
    *port = 0;
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;

        ip->family = 4;
        memcpy(ip->bytes, &in->sin_addr, 4);
        *port = ntohs(in->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;

        ip->family = 6;
        memcpy(ip->bytes, &in6->sin6_addr, 16);
        *port = ntohs(in6->sin6_port);
        unmap(ip);
    }
    return ip->family != 0;
}

socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (ip->family == 4) {
        struct sockaddr_in *in = (void *)out;

        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, ip->bytes, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (void *)out;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, ip->bytes, 16);
    return sizeof *in6;
}

struct ip ip_limit_key(const struct ip *ip)
{
    struct ip key = *ip;

    if (key.family == 6)
        memset(key.bytes + 8, 0, 8);
    return key;
}

bool network_parse(struct str text, struct network *net)
{
    struct str address;
    uint64_t bits;

    *net = (struct network){0};
    if (!str_next(&text, '/', &address) || !ip_parse(address, &net->ip))
        return false;
    net->bits = net->ip.family == 4 ? 32 : 128;
    if (text.p == NULL)
        return true;
    if (!str_to_u64(text, net->bits, &bits))
        return false;
    net->bits = (uint8_t)bits;
    return true;
}

bool network_holds(const struct network *net, const struct ip *ip)
{
    size_t whole = net->bits / 8;
    unsigned rest = net->bits % 8;

    if (net->ip.family != ip->family || memcmp(net->ip.bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || (net->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest) == 0;
}
