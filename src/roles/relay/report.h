/* What became of TLS with the servers of domains that publish a policy about it, told to events for the reports of RFC 8460: one result for
 * each session, and for each server that a policy forbids. Domains without a policy are not counted. */
#pragma once
#include "ipc/teller.h"
#include "tls_rule.h"

struct connection;
struct delivery;

struct reporting {
    struct teller teller;
    char name[40]; /* of this process: its numbers begin anew */
};

void report_init(struct reporting *r, unsigned copy);
void report_clear(struct reporting *r);
/* The session of k->d is ready for mail, or failed before it was. Once a session. */
void report_session(struct connection *k, bool ready);
/* A server that the policies forbid (rule->skip). */
void report_forbidden(struct reporting *r, const struct delivery *d, size_t target, const struct tls_rule *rule);
/* No policy, or no new one, could be fetched. */
void report_fetch(struct reporting *r, struct str domain, const struct plan *plan);
