/* Failed logins, counted by client address and by login name. The first failures slow the answer
 * down, more of them from one address within ban_time get every further attempt from there refused
 * unseen, right or wrong. A login that is guessed at from many addresses is refused in the same
 * way, except from the address that used it with success last: nobody can lock a user out of their
 * own machine. A client without an address (loopback and relay_networks: a webmail, a proxy) is counted
 * by login only, and proves nothing about who sits behind it. Bounded: the oldest entry makes room. */
#pragma once
#include "base/map.h"

enum { THROTTLE_MAX = 50000, THROTTLE_LOGIN_FACTOR = 5 };

struct throttle {
    struct map map;
    struct list order; /* oldest first */
    int64_t failures;  /* from one address; a login may have THROTTLE_LOGIN_FACTOR times as many */
    int64_t window;
};

void throttle_init(struct throttle *t, int64_t failures, int64_t window);
void throttle_clear(struct throttle *t);
/* Whether this attempt is to be refused without looking at it. client is the text of the address.
 * Times are monotonic. */
bool throttle_refuses(struct throttle *t, struct str client, struct str login, int64_t now);
/* Counts a failure; returns how long its answer should wait. */
int64_t throttle_failed(struct throttle *t, struct str client, struct str login, int64_t now);
void throttle_succeeded(struct throttle *t, struct str client, struct str login, int64_t now);
