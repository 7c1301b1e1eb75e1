/* Does the client's address have a name that leads back to it? "iprev" of RFC 8601 3, a pure machine like spf.h. It gives
 * up by iprev_give_up when the owner's time limit is over (temperror).
 *
 * Bounded: of the names of the address the first IPREV_NAMES_MAX are tried, one question each. */
#pragma once
#include "base/ip.h"
#include "base/str.h"
#include "ipc/messages.h"

enum { IPREV_NAMES_MAX = 10 };

struct iprev;

struct iprev_world {
    void (*ask)(void *owner, struct str name, unsigned type); /* PTR, then A or AAAA */
    void (*done)(void *owner); /* once; from inside iprev_start, iprev_answer or iprev_give_up. Do not free it there */
};

/* RFC 8601 2.7.3. */
enum iprev_result {
    IPREV_PASS,
    IPREV_FAIL,      /* it has names, none of which leads back */
    IPREV_TEMPERROR, /* DNS failed, and no other name leads back */
    IPREV_PERMERROR, /* it has no name */
};
const char *iprev_result_name(enum iprev_result result);

struct iprev *iprev_new(const struct iprev_world *world, void *owner, const struct ip *client);
void iprev_free(struct iprev *iprev);
size_t iprev_held(void); /* bytes of memory */
void iprev_start(struct iprev *iprev);
/* What became of the last question; records as in dns_reply. */
void iprev_answer(struct iprev *iprev, enum dns_status status, struct str records);
void iprev_give_up(struct iprev *iprev);

/* After done; valid until iprev_free. */
enum iprev_result iprev_result_of(const struct iprev *iprev);
/* The name that leads back; empty unless the result is pass. */
struct str iprev_name_of(const struct iprev *iprev);
