/* What strangers may do, counted per address (a whole IPv4 address, the /64 of an IPv6 one): open
 * connections, events an hour, failed logins. The table is bounded: the address that was quiet for
 * longest is forgotten first, one with open connections never. Times are monotonic microseconds. */
#pragma once
#include "base/ip.h"

struct limit_table;

enum limit_kind { LIMIT_MESSAGES, LIMIT_RECIPIENTS, LIMIT_KINDS };

struct limit_table *limit_new(size_t most_addresses);
void limit_free(struct limit_table *t);
size_t limit_addresses(const struct limit_table *t);

/* Counts one more connection; false (not counted) when `most` are open. most 0: no limit. Each true
 * is followed by one limit_disconnected. */
bool limit_connected(struct limit_table *t, const struct ip *ip, uint64_t most, int64_t now);
void limit_disconnected(struct limit_table *t, const struct ip *ip);

/* Counts one event of this hour; false (not counted) when `most` were there in the last hour. The
 * last hour is estimated from two fixed ones, so memory does not grow with the rate. */
bool limit_count(struct limit_table *t, const struct ip *ip, enum limit_kind kind, uint64_t most, int64_t now);

/* A login failed: returns how many did within `within`, this one included. The address is banned for
 * `within` once they reach `most`. A success in between forgives nothing: else the owner of one account
 * could guess at all the others. */
unsigned limit_login_failed(struct limit_table *t, const struct ip *ip, uint64_t most, int64_t within, int64_t now);
bool limit_banned(struct limit_table *t, const struct ip *ip, int64_t now);
