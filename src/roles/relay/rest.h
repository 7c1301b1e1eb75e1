/* Ways to a site that only fail are left alone for a while, so that a thousand messages for servers that
 * hang up, talk nonsense or refuse our login cost a few connections, not a thousand.
 *
 * A message may be the cause itself: a server that breaks whenever it sees a certain one. So what fails after
 * the server was ready for mail puts off the sender of that message; everybody only once different senders
 * have failed in a row, and for a second: who may send a thousand messages an hour, of any sender, leaves more
 * than two thirds of the time to others.
 *
 * Bounded: what failed longest ago makes room. Times are monotonic, in microseconds. */
#pragma once
#include "base/list.h"
#include "client.h"
#include "way.h"

struct rests {
    struct list list; /* what failed longest ago first */
    size_t count;
};

enum { REST_FAILURES = 3, REST_SECONDS_MAX = 60, REST_OFFERED_SECONDS_MAX = 1, RESTS_MAX = 16 };

/* A delivery as the rests see it: how it goes, and a hash of its sender, never 0. */
struct rest_key {
    const struct way *way;
    uint64_t sender;
};

struct rest_failure {
    int64_t began;
    bool unreachable; /* no server could be connected to */
    bool offered;     /* a server was ready for mail: the message itself may be the cause */
    const struct client_outcome *outcome;
};

void rests_init(struct rests *rests);
void rests_clear(struct rests *rests);
/* An attempt came to nothing: no message got a verdict. Attempts that ran beside each other count as one. From the
 * third in a row on there is a rest of a second, then twice as long each time, up to the maximum. Returns the seconds
 * for everybody who goes that way, *own those for that sender; 0 while it may be tried at once. */
int64_t rests_failed(struct rests *rests, struct rest_key key, const struct rest_failure *failure, int64_t now, int64_t *own);
/* A server gave its verdict on a message of that sender. */
void rests_worked(struct rests *rests, struct rest_key key);

struct rest_outcome {
    struct client_outcome outcome; /* points to text */
    char text[640];
};

/* May it not be tried now? Then *rest says so. */
bool rests_now(const struct rests *rests, struct rest_key key, int64_t now, struct rest_outcome *rest);

/* May it only be tried when no other one is, since it failed often or nobody could be reached? */
enum rest_trial { TRIAL_NONE, TRIAL_OF_SENDER, TRIAL_OF_ALL };
enum rest_trial rests_trial(const struct rests *rests, struct rest_key key);
