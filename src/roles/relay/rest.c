/* See rest.h. */
#include "rest.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

enum { WHY_MAX = 500, ALL = 0 };

struct rest {
    struct link link;
    struct way way;  /* owns pool */
    uint64_t sender; /* ALL: everybody */
    unsigned failures;
    bool alone;      /* one tries at a time */
    uint64_t last_senders[REST_FAILURES - 1]; /* of those that failed with an offered message */
    int64_t failed_at, until;
    enum delivery_reason reason;
    char why[WHY_MAX];
};

void rests_init(struct rests *rests)
{
    list_init(&rests->list);
    rests->count = 0;
}

static void forget(struct rests *rests, struct rest *rest)
{
    if (rest == NULL)
        return;
    list_remove(&rest->link);
    rests->count--;
    str_free(&rest->way.pool);
    free(rest);
}

void rests_clear(struct rests *rests)
{
    LIST_EACH(&rests->list, it)
        forget(rests, CONTAINER(it, struct rest, link));
}

static struct rest *find(const struct rests *rests, const struct way *way, uint64_t sender)
{
    LIST_EACH(&rests->list, it) {
        struct rest *rest = CONTAINER(it, struct rest, link);

        if (rest->sender == sender && way_equal(&rest->way, way))
            return rest;
    }
    return NULL;
}

static struct rest *add(struct rests *rests, const struct way *way, uint64_t sender)
{
    struct rest *rest;

    if (rests->count == RESTS_MAX)
        forget(rests, CONTAINER(list_first(&rests->list), struct rest, link));
    rest = xcalloc(1, sizeof *rest);
    rest->way = *way;
    rest->way.pool = str_dup(way->pool);
    rest->sender = sender;
    rest->failed_at = INT64_MIN;
    rests->count++;
    return rest;
}

static int64_t seconds_after(unsigned failures, int64_t most)
{
    int64_t seconds;

    if (failures < REST_FAILURES)
        return 0;
    seconds = failures - REST_FAILURES < 6 ? (int64_t)1 << (failures - REST_FAILURES) : REST_SECONDS_MAX;
    return seconds < most ? seconds : most;
}

/* One message, or one sender, that the servers cannot bear says nothing about the mail of others. */
static bool is_another_sender(struct rest *rest, uint64_t sender)
{
    for (size_t i = 0; i < REST_FAILURES - 1; i++)
        if (rest->last_senders[i] == sender)
            return false;
    for (size_t i = REST_FAILURES - 2; i > 0; i--)
        rest->last_senders[i] = rest->last_senders[i - 1];
    rest->last_senders[0] = sender;
    return true;
}

static int64_t count(struct rests *rests, struct rest_key key, uint64_t who, const struct rest_failure *failure, int64_t now)
{
    struct rest *rest = find(rests, key.way, who);
    bool may_be_message = failure->offered && who == ALL;
    int64_t seconds;

    if (rest == NULL)
        rest = add(rests, key.way, who);
    else if (failure->began < rest->failed_at || (may_be_message && !is_another_sender(rest, key.sender)))
        return 0;
    list_remove(&rest->link);
    list_add_last(&rests->list, &rest->link);
    if (rest->failures == 0 && may_be_message)
        rest->last_senders[0] = key.sender;
    rest->failed_at = now;
    rest->reason = failure->outcome->reason;
    seconds = seconds_after(++rest->failures, may_be_message ? REST_OFFERED_SECONDS_MAX : REST_SECONDS_MAX);
    rest->alone = failure->unreachable || seconds > 0;
    rest->until = now + seconds * SECOND;
    snprintf(rest->why, sizeof rest->why, "%.*s", STR_ARG(failure->outcome->text));
    return seconds;
}

int64_t rests_failed(struct rests *rests, struct rest_key key, const struct rest_failure *failure, int64_t now, int64_t *own)
{
    *own = failure->offered ? count(rests, key, key.sender, failure, now) : 0;
    return count(rests, key, ALL, failure, now);
}

void rests_worked(struct rests *rests, struct rest_key key)
{
    forget(rests, find(rests, key.way, ALL));
    forget(rests, find(rests, key.way, key.sender));
}

/* The one that lasts longer, or NULL. */
static const struct rest *which(const struct rests *rests, struct rest_key key, int64_t now)
{
    const struct rest *all = find(rests, key.way, ALL), *own = find(rests, key.way, key.sender);

    if (all == NULL || (own != NULL && own->until > all->until))
        all = own;
    return all != NULL && all->until > now ? all : NULL;
}

bool rests_now(const struct rests *rests, struct rest_key key, int64_t now, struct rest_outcome *rest)
{
    const struct rest *r = which(rests, key, now);

    if (r == NULL)
        return false;
    snprintf(rest->text, sizeof rest->text, "4.4.1 not tried for %lld s, since %u attempts in a row%s failed; the last one: %s",
        (long long)((r->until - now + SECOND - 1) / SECOND), r->failures, r->sender == ALL ? "" : " with mail of this sender",
        r->why);
    rest->outcome = (struct client_outcome){DELIVERY_DEFERRED, r->reason, 451, false, false, str_of(rest->text)};
    return true;
}

enum rest_trial rests_trial(const struct rests *rests, struct rest_key key)
{
    const struct rest *all = find(rests, key.way, ALL), *own = find(rests, key.way, key.sender);

    if (all != NULL && all->alone)
        return TRIAL_OF_ALL;
    return own != NULL && own->alone ? TRIAL_OF_SENDER : TRIAL_NONE;
}
