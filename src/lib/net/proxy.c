/* Version 1 is a line of text of at most 107 octets; version 2 is binary: 12 octets of signature,
 * version and command, family, length of the rest (big endian), addresses, then TLVs we pass over. */
#include "net/proxy.h"

#include <string.h>

enum { V1_MAX = 107, V2_HEAD = 16, V2_LOCAL = 0x20, V2_PROXY = 0x21, V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

static const char signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

static bool read_port(struct str *rest, uint16_t *port)
{
    struct str word;
    uint64_t n;

    if (!str_next(rest, ' ', &word) || !str_to_u64(word, UINT16_MAX, &n))
        return false;
    *port = (uint16_t)n;
    return true;
}

static bool read_ip(struct str *rest, uint8_t family, struct ip *ip)
{
    struct str word;

    /* A mapped address in a TCP6 line becomes IPv4 on the way in. */
    return str_next(rest, ' ', &word) && ip_parse(word, ip) && (ip->family == family || family == 6);
}

static enum proxy_result parse_line(struct str line, struct proxy_header *h)
{
    struct str rest = line, word;
    uint8_t family;

    if (!str_next(&rest, ' ', &word) || !str_eq(word, STR("PROXY")) || !str_next(&rest, ' ', &word))
        return PROXY_BAD;
    if (str_eq(word, STR("UNKNOWN"))) {
        h->local = true;
        return PROXY_DONE;
    }
    family = str_eq(word, STR("TCP4")) ? 4 : str_eq(word, STR("TCP6")) ? 6 : 0;
    if (family == 0 || !read_ip(&rest, family, &h->source) || !read_ip(&rest, family, &h->destination) ||
        !read_port(&rest, &h->source_port) || !read_port(&rest, &h->destination_port) || rest.n > 0)
        return PROXY_BAD;
    return PROXY_DONE;
}

static enum proxy_result parse_v1(struct str bytes, struct proxy_header *h, size_t *used)
{
    ptrdiff_t end = str_find(str_sub(bytes, 0, V1_MAX), '\n');

    if (end < 0)
        return bytes.n >= V1_MAX ? PROXY_BAD : PROXY_MORE;
    if (end == 0 || bytes.p[end - 1] != '\r')
        return PROXY_BAD;
    *used = (size_t)end + 1;
    return parse_line(str_sub(bytes, 0, (size_t)end - 1), h);
}

static uint16_t big_endian(const char *p)
{
    return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

/* Through the socket address, so that mapped IPv4 addresses are recognised. */
static void take_address(const char *p, bool six, const char *port, struct ip *ip, uint16_t *number)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    memcpy(six ? (void *)&in6.sin6_addr : (void *)&in4.sin_addr, p, six ? 16 : 4);
    ip_from_sockaddr(six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in4, ip, number);
    *number = big_endian(port);
}

static enum proxy_result parse_v2(struct str bytes, struct proxy_header *h, size_t *used)
{
    unsigned char command, family;
    size_t length;
    bool six;

    if (bytes.n < V2_HEAD)
        return PROXY_MORE;
    command = (unsigned char)bytes.p[12];
    family = (unsigned char)bytes.p[13];
    length = big_endian(bytes.p + 14);
    six = family == V2_TCP6;
    if ((command != V2_LOCAL && command != V2_PROXY) || length > PROXY_HEADER_MAX - V2_HEAD)
        return PROXY_BAD;
    if (bytes.n < V2_HEAD + length)
        return PROXY_MORE;
    *used = V2_HEAD + length;
    h->local = command == V2_LOCAL || (family != V2_TCP4 && !six);
    if (h->local)
        return PROXY_DONE;
    if (length < (six ? 36u : 12u))
        return PROXY_BAD;
    bytes = str_skip(bytes, V2_HEAD);
    take_address(bytes.p, six, bytes.p + (six ? 32 : 8), &h->source, &h->source_port);
    take_address(bytes.p + (six ? 16 : 4), six, bytes.p + (six ? 34 : 10), &h->destination, &h->destination_port);
    return PROXY_DONE;
}

enum proxy_result proxy_parse(struct str bytes, struct proxy_header *header, size_t *used)
{
    static const char v1[] = "PROXY ";
    size_t head = bytes.n < sizeof signature ? bytes.n : sizeof signature;
    size_t text = bytes.n < sizeof v1 - 1 ? bytes.n : sizeof v1 - 1;

    *header = (struct proxy_header){0};
    *used = 0;
    if (bytes.n == 0)
        return PROXY_MORE;
    if (memcmp(bytes.p, signature, head) == 0)
        return parse_v2(bytes, header, used);
    if (memcmp(bytes.p, v1, text) == 0)
        return parse_v1(bytes, header, used);
    return PROXY_BAD;
}
