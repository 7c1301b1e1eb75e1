/* See iprev.h. */
#include "iprev.h"
#include "base/err.h"
#include "dns/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REVERSE_NAME = 80 }; /* 32 nibbles with dots, "ip6.arpa" */

struct iprev {
    const struct iprev_world *world;
    void *owner;
    struct ip client;
    char names[IPREV_NAMES_MAX][DNS_NAME_TEXT];
    size_t n, i;   /* names; the one under way */
    bool open;     /* a question is */
    bool has_names;
    bool failed;   /* DNS did, for one of them */
    bool over;
    enum iprev_result result;
};

const char *iprev_result_name(enum iprev_result result)
{
    static const char *const names[] = {"pass", "fail", "temperror", "permerror"};

    return names[result];
}

/* The name under in-addr.arpa (RFC 1035 3.5) or ip6.arpa (RFC 3596 2.5). */
static void reverse_name(const struct ip *ip, char out[REVERSE_NAME])
{
    const uint8_t *b = ip->bytes;
    size_t at = 0;

    if (ip->family == 4) {
        snprintf(out, REVERSE_NAME, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
        return;
    }
    for (size_t i = 16; i-- > 0; at += 4)
        snprintf(out + at, REVERSE_NAME - at, "%x.%x.", b[i] & 15u, b[i] >> 4);
    snprintf(out + at, REVERSE_NAME - at, "ip6.arpa");
}

struct iprev *iprev_new(const struct iprev_world *world, void *owner, const struct ip *client)
{
    struct iprev *p = xcalloc(1, sizeof *p);

    p->world = world;
    p->owner = owner;
    p->client = *client;
    return p;
}

void iprev_free(struct iprev *iprev)
{
    free(iprev);
}

size_t iprev_held(void)
{
    return sizeof(struct iprev);
}

static void finish(struct iprev *p, enum iprev_result result)
{
    p->over = true;
    p->result = result;
    p->world->done(p->owner);
}

static void ask(struct iprev *p, struct str name, unsigned type)
{
    p->open = true;
    p->world->ask(p->owner, name, type);
}

void iprev_start(struct iprev *iprev)
{
    char name[REVERSE_NAME];

    if (iprev->client.family == 0) {
        finish(iprev, IPREV_PERMERROR);
        return;
    }
    reverse_name(&iprev->client, name);
    ask(iprev, str_of(name), DNS_PTR);
}

static bool leads_back(const struct iprev *p, struct str records)
{
    size_t length = p->client.family == 4 ? 4 : 16;
    struct str rdata;

    while (dns_next_record(&records, &rdata))
        if (rdata.n == length && memcmp(rdata.p, p->client.bytes, length) == 0)
            return true;
    return false;
}

static void next_name(struct iprev *p)
{
    if (p->i < p->n)
        ask(p, str_of(p->names[p->i]), p->client.family == 4 ? DNS_A : DNS_AAAA);
    else
        finish(p, p->failed ? IPREV_TEMPERROR : p->has_names ? IPREV_FAIL : IPREV_PERMERROR);
}

/* A record whose name cannot be read is a name that leads nowhere. */
static void on_names(struct iprev *p, enum dns_status status, struct str records)
{
    struct str rdata;

    p->failed = status != DNS_OK && status != DNS_NODATA && status != DNS_NXDOMAIN;
    while (status == DNS_OK && p->n < IPREV_NAMES_MAX && dns_next_record(&records, &rdata)) {
        p->has_names = true;
        if (dns_read_target(rdata, p->names[p->n]) && p->names[p->n][0] != '\0')
            p->n++;
    }
    next_name(p);
}

static void on_addresses(struct iprev *p, enum dns_status status, struct str records)
{
    if (status == DNS_OK && leads_back(p, records)) {
        finish(p, IPREV_PASS);
        return;
    }
    p->failed |= status != DNS_OK && status != DNS_NODATA && status != DNS_NXDOMAIN;
    p->i++;
    next_name(p);
}

void iprev_answer(struct iprev *iprev, enum dns_status status, struct str records)
{
    bool first = !iprev->has_names && iprev->n == 0;

    if (iprev->over || !iprev->open)
        return;
    iprev->open = false;
    if (first)
        on_names(iprev, status, records);
    else
        on_addresses(iprev, status, records);
}

void iprev_give_up(struct iprev *iprev)
{
    if (!iprev->over)
        finish(iprev, IPREV_TEMPERROR);
}

enum iprev_result iprev_result_of(const struct iprev *iprev)
{
    return iprev->result;
}

struct str iprev_name_of(const struct iprev *iprev)
{
    return iprev->over && iprev->result == IPREV_PASS ? str_of(iprev->names[iprev->i]) : STR("");
}
