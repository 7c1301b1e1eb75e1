/* See rest.h. */
#include "rest.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

enum { WHY_MAX = 500 };

struct rest {
    struct link link;
    struct way way; /* owns pool */
    unsigned failures;
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

static struct rest *find(const struct rests *rests, const struct way *way)
{
    LIST_EACH(&rests->list, it) {
        struct rest *rest = CONTAINER(it, struct rest, link);

        if (way_equal(&rest->way, way))
            return rest;
    }
    return NULL;
}

static struct rest *add(struct rests *rests, const struct way *way)
{
    struct link *oldest = list_first(&rests->list);
    struct rest *rest;

    if (rests->count == REST_WAYS && oldest != NULL)
        forget(rests, CONTAINER(oldest, struct rest, link));
    rest = xcalloc(1, sizeof *rest);
    rest->way = *way;
    rest->way.pool = str_dup(way->pool);
    rests->count++;
    return rest;
}

static int64_t seconds_after(unsigned failures)
{
    unsigned doublings = failures < REST_FAILURES ? 0 : failures - REST_FAILURES;

    if (failures < REST_FAILURES)
        return 0;
    return doublings < 6 ? (int64_t)1 << doublings : REST_SECONDS_MAX;
}

int64_t rests_failed(struct rests *rests, const struct way *way, int64_t began, int64_t now,
    const struct client_outcome *why)
{
    struct rest *rest = find(rests, way);
    int64_t seconds;

    if (rest == NULL)
        rest = add(rests, way);
    else if (began < rest->failed_at)
        return 0;
    else
        list_remove(&rest->link);
    list_add_last(&rests->list, &rest->link);
    rest->failed_at = now;
    rest->reason = why->reason;
    seconds = seconds_after(++rest->failures);
    rest->until = now + seconds * SECOND;
    snprintf(rest->why, sizeof rest->why, "%.*s", STR_ARG(why->text));
    return seconds;
}

void rests_worked(struct rests *rests, const struct way *way)
{
    struct rest *rest = find(rests, way);

    if (rest != NULL)
        forget(rests, rest);
}

bool rests_now(const struct rests *rests, const struct way *way, int64_t now, struct rest_outcome *rest)
{
    const struct rest *r = find(rests, way);

    if (r == NULL || r->until <= now)
        return false;
    snprintf(rest->text, sizeof rest->text, "4.4.1 not tried for %lld s, since %u attempts in a row failed; the last one: %s",
        (long long)((r->until - now + SECOND - 1) / SECOND), r->failures, r->why);
    rest->outcome = (struct client_outcome){DELIVERY_DEFERRED, r->reason, 451, false, false, str_of(rest->text)};
    return true;
}
