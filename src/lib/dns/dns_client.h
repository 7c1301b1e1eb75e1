/* Questions to the resolver role, by id, over whatever channel the owner has. Pure: sending is a
 * function of the owner, so unit tests and fuzzers answer by hand.
 *
 * A question waits until it is answered, cancelled, or the owner's own time limit ends it. While the
 * resolver is down questions simply wait; dns_client_resend asks them again when it is back. */
#pragma once
#include "base/map.h"
#include "dns/records.h"
#include "ipc/ipc.h"

struct dns_query;

/* The reply's strings live until the function returns; the query is free for another question. */
typedef void dns_done_fn(struct dns_query *query, const struct msg_dns_reply *reply);

/* Sits in the asker; all zero is "not asked". */
struct dns_query {
    struct map_node node;
    uint64_t id;
    unsigned type;
    char name[DNS_NAME_TEXT];
    dns_done_fn *done;
    void *owner;
};

struct dns_client {
    struct map pending;
    uint64_t last_id;
    void (*send)(void *world, const struct msg_dns_ask *ask); /* may drop it when the resolver is down */
    void *world;
};

void dns_client_init(struct dns_client *c, void (*send)(void *, const struct msg_dns_ask *), void *world);
void dns_client_clear(struct dns_client *c); /* forgets all questions without answering them */
/* False (and nothing asked) for a name that cannot be asked: too long, empty labels. */
bool dns_client_ask(struct dns_client *c, struct dns_query *query, struct str name, unsigned type,
    dns_done_fn *done, void *owner);
void dns_client_cancel(struct dns_client *c, struct dns_query *query); /* harmless when not asked */
/* An answer nobody waits for is dropped. */
void dns_client_reply(struct dns_client *c, const struct msg_dns_reply *reply);
void dns_client_resend(struct dns_client *c);
