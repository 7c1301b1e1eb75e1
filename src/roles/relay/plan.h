/* Where mail of a destination may go: its servers by preference, with their addresses. Pure: what DNS
 * said comes in, an ordered plan or a verdict comes out. */
#pragma once
#include "base/ip.h"
#include "dns/records.h"
#include "ipc/ipc.h"
#include "tlspolicy/dane.h"
#include "tlspolicy/sts_policy.h"

enum { PLAN_TARGETS = 16, PLAN_ADDRESSES = 8, PLAN_TEXT = 300, PLAN_SIGNATURE = PLAN_TARGETS * 264, PLAN_TLSA = 256 * 1024 };

/* One server. A name is resolved to addresses; an address literal has them from the start. */
struct target {
    char host[DNS_NAME_TEXT];
    unsigned preference;
    uint16_t port;
    bool literal;
    bool unresolved;   /* DNS failed for now: it may have (more) addresses */
    struct ip addresses[PLAN_ADDRESSES];
    size_t address_count;
    char alias[DNS_NAME_TEXT]; /* the name at the end of its CNAMEs; empty where it is none */
    bool unsigned_address;     /* DNSSEC does not vouch for all of its addresses */
    enum dane_plan dane;
    bool tlsa_by_alias;        /* the TLSA records are those of `alias` */
    size_t tlsa_at, tlsa_n;    /* of plan.tlsa: the answer */
};

/* Why there is nowhere to go. code 0: there is. */
struct plan_verdict {
    unsigned code;
    enum delivery_reason reason;
    char text[PLAN_TEXT];
};

struct plan {
    unsigned refs;
    struct target *targets; /* by preference; room for PLAN_TARGETS until plan_finish */
    size_t n;
    bool secure;    /* the MX answer was validated by DNSSEC, or the servers were given by a route */
    bool by_mx;     /* looked up by MX: what others publish about TLS counts */
    struct buf tlsa; /* answers, see struct target */
    uint32_t published_ttl; /* seconds what is published about TLS may be used; UINT32_MAX: nothing is */
    struct {
        bool known;
        struct sts_policy policy; /* view into text */
        char *text;               /* owned */
    } sts;          /* the MTA-STS policy that counts now */
    enum tls_result sts_failure; /* why no (new) policy could be fetched */
    bool implicit;  /* no MX records: the domain's own address (RFC 5321 5.1) */
    int64_t expires; /* monotonic */
    struct plan_verdict verdict;
    char *signature; /* the same for destinations that share their servers; NULL with a verdict */
};

struct plan *plan_new(void);
struct plan *plan_hold(struct plan *plan);
void plan_drop(struct plan *plan); /* frees it with the last reference; NULL is fine */

void plan_refuse(struct plan *plan, unsigned code, enum delivery_reason reason, const char *format, ...) PRINTF(4, 5);

/* What the MX answer says. False: no addresses are needed, the verdict is there. With DNS_NODATA the
 * domain itself becomes the only target. */
bool plan_take_mx(struct plan *plan, struct str domain, uint16_t port, const struct msg_dns_reply *reply);
/* An address literal as the recipient's domain. */
void plan_take_literal(struct plan *plan, const struct ip *ip, uint16_t port);
/* "host:port [::1]:port host": tried in this order. The default port where none is given. */
void plan_take_hosts(struct plan *plan, struct str hosts, uint16_t port);
/* The A or AAAA answer for a target; addresses of a family follow each other. */
void plan_take_addresses(struct target *target, enum dns_type type, const struct msg_dns_reply *reply);

/* May the TLSA records of a target be asked for (RFC 7672 2.2.2): its MX and its addresses are signed. */
bool plan_may_have_tlsa(const struct plan *plan, const struct target *target);
/* The TLSA answer for a target, or for its alias; what it means is in target->dane then. */
void plan_take_tlsa(struct plan *plan, struct target *target, bool by_alias, const struct msg_dns_reply *reply);
/* Its TLSA records; views into the plan. */
void plan_tlsa(const struct plan *plan, const struct target *target, struct dane_set *set);
/* The name its TLSA records are of, which is sent as the server's name (SNI) too. */
const char *plan_tlsa_base(const struct target *target);
/* The text of the policy that counts; false, and nothing taken, when it is none. */
bool plan_take_sts(struct plan *plan, struct str text);

/* Who we are, to notice that a destination is ourselves. */
struct plan_self {
    struct str hostname;
    bool (*is_us)(const void *world, const struct ip *ip, uint16_t port);
    const void *world;
};
/* When all addresses are in: drops targets that are ourselves with all less preferred ones, those
 * without addresses, and gives the verdict where nothing is left; else makes the signature. */
void plan_finish(struct plan *plan, struct str domain, const struct plan_self *self);

/* One address to try. */
struct candidate {
    uint8_t target, address;
};
/* The order to try in: by preference, targets of the same preference shuffled with random(limit),
 * families of a target alternating, IPv6 first; what is_dead says is dead goes to the end. tried[t]
 * has a bit for each address that is left out. Returns how many. */
size_t plan_order(const struct plan *plan, const uint8_t tried[PLAN_TARGETS], uint64_t (*random)(uint64_t limit),
    bool (*is_dead)(void *world, const struct ip *ip, uint16_t port), void *world,
    struct candidate out[PLAN_TARGETS * PLAN_ADDRESSES]);
