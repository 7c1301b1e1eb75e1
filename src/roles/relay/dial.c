/* Connecting: addresses in the order of the plan, the next one when one fails, or beside it when one
 * of the same server is slow (RFC 8305, with a head start). The first that connects wins. */
#include "connection.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

enum { HEAD_START_MS = 400, BAD_SOURCE_SECONDS = 60, SOURCES_TRIED = 8 };

static struct metric connects = METRIC_COUNTER_L("staffetta_relay_connections_total",
    "result=\"ok\"", "Outgoing connections.");
static struct metric connect_failures = METRIC_COUNTER_L("staffetta_relay_connections_total",
    "result=\"failed\"", "Outgoing connections.");
static struct metric source_failures = METRIC_COUNTER("staffetta_relay_source_failures_total",
    "Source addresses that could not be bound.");

enum outcome { STARTED, NOT_USABLE, NONE_LEFT };

static bool is_dead(void *world, const struct ip *ip, uint16_t port)
{
    const struct relay *relay = world;

    return hosts_is_dead(&relay->hosts, ip, port, clock_monotonic());
}

static void note_error(struct connection *k, const struct target *t, const struct ip *ip, const char *why)
{
    char text[IP_TEXT];

    ip_format(ip, text);
    snprintf(k->error, sizeof k->error, "4.4.1 connecting to %s [%s]:%u: %s", t->host, text, t->port, why);
}

static void choose_name(struct connection *k, struct attempt *a, const struct source *source)
{
    struct str hostname = role_config(k->relay->role)->hostname;

    if (source != NULL && source->hello[0] != '\0')
        snprintf(a->hello, sizeof a->hello, "%s", source->hello);
    else
        snprintf(a->hello, sizeof a->hello, "%.*s", hostname.n ? (int)hostname.n : 9, hostname.n
            ? hostname.p : "localhost");
    a->source = source != NULL ? source->ip : (struct ip){0};
}

/* The next source address that works for this family. False: none; k->error says why. */
static bool connect_from_pool(struct connection *k, struct attempt *a, const struct target *t)
{
    const struct config *config = role_config(k->relay->role);
    struct source *source = NULL;
    struct err err = {0};

    for (int i = 0; i < SOURCES_TRIED; i++) {
        enum pools_result result =
            pools_pick(&k->relay->pools, k->way.pool, a->ip.family, clock_monotonic(), &source);

        if (result != POOLS_ANY && result != POOLS_SOURCE) {
            static const char *const words[] = {[POOLS_NO_FAMILY] = "has no address of this family",
                [POOLS_ALL_BAD] = "has no address that can be used now", [POOLS_UNKNOWN] = "does not exist"};

            if (err.kind == ERR_NONE || result == POOLS_UNKNOWN)
                snprintf(k->error, sizeof k->error, "4.3.5 the source address pool \"%.*s\" %s",
                    k->way.pool.n ? (int)k->way.pool.n : 7, k->way.pool.n ? k->way.pool.p : "default", words[result]);
            return false;
        }
        choose_name(k, a, source);
        if (conn_connect(&a->conn, k->relay->base, &a->ip, a->port, &a->source, config->relay.connect_time,
                &connection_events, a, &err))
            return true;
        if (source == NULL || !str_starts(str_of(err.text), STR("bind")))
            break;
        source->bad_until = clock_monotonic() + BAD_SOURCE_SECONDS * SECOND;
        metric_add(&source_failures, 1);
        ip_format(&source->ip, a->hello);
        log_warning("source-failed", "source=%s reason=%s", a->hello, err.text);
        snprintf(k->error, sizeof k->error, "4.3.5 the source address %s cannot be used: %s", a->hello, err.text);
    }
    if (source == NULL || !str_starts(str_of(err.text), STR("bind"))) {
        k->only_source_trouble = false;
        note_error(k, t, &a->ip, err.text);
        hosts_failed(&k->relay->hosts, &a->ip, a->port, clock_monotonic());
    }
    return false;
}

static enum outcome try_next(struct connection *k, struct attempt *a)
{
    struct candidate c;
    const struct target *t;

    if (k->next >= k->candidate_count)
        return NONE_LEFT;
    c = k->candidates[k->next++];
    t = &k->plan->targets[c.target];
    *a = (struct attempt){.k = k, .candidate = c, .ip = t->addresses[c.address], .port = t->port};
    if (connect_from_pool(k, a, t)) {
        k->only_source_trouble = false;
        return STARTED;
    }
    k->d->tried[c.target] |= (uint8_t)(1u << c.address);
    metric_add(&connect_failures, 1);
    return NOT_USABLE;
}

static struct attempt *free_attempt(struct connection *k)
{
    for (size_t i = 0; i < ATTEMPTS; i++)
        if (k->attempts[i].conn == NULL)
            return &k->attempts[i];
    return NULL;
}

static bool any_attempt(const struct connection *k)
{
    for (size_t i = 0; i < ATTEMPTS; i++)
        if (k->attempts[i].conn != NULL)
            return true;
    return false;
}

/* The next address of the same server may start beside this one, after its head start. */
static void arm_head_start(struct connection *k)
{
    const struct candidate *next = &k->candidates[k->next];

    event_del(k->timer);
    if (k->next == 0 || k->next >= k->candidate_count || next[-1].target != next->target || free_attempt(k) == NULL)
        return;
    event_add(k->timer, &(struct timeval){0, HEAD_START_MS * 1000});
}

/* Starts the next one; the end of the line when nothing is under way and nothing is left. */
static void go_on(struct connection *k)
{
    struct attempt *a = free_attempt(k);
    enum outcome result = NOT_USABLE;

    while (a != NULL && result == NOT_USABLE)
        result = try_next(k, a);
    if (!any_attempt(k))
        connection_dial_failed(k);
    else
        arm_head_start(k);
}

void dial_start(struct connection *k)
{
    k->state = CONNECTION_DIALING;
    k->only_source_trouble = true;
    k->next = 0;
    k->candidate_count = plan_order(k->plan, k->d->tried, random_below, is_dead, k->relay, k->candidates);
    snprintf(k->error, sizeof k->error, "4.4.1 no server is left to try");
    go_on(k);
}

void dial_on_timer(struct connection *k)
{
    go_on(k);
}

void dial_stop(struct connection *k)
{
    event_del(k->timer);
    for (size_t i = 0; i < ATTEMPTS; i++) {
        if (&k->attempts[i] == k->winner || k->attempts[i].conn == NULL)
            continue;
        conn_free(k->attempts[i].conn);
        k->attempts[i].conn = NULL;
    }
}

void dial_on_connected(struct attempt *a)
{
    struct connection *k = a->k;

    metric_add(&connects, 1);
    k->winner = a;
    dial_stop(k);
    hosts_worked(&k->relay->hosts, &a->ip, a->port);
    connection_connected(k);
}

void dial_on_failed(struct attempt *a, const char *why)
{
    struct connection *k = a->k;

    metric_add(&connect_failures, 1);
    note_error(k, &k->plan->targets[a->candidate.target], &a->ip, why);
    hosts_failed(&k->relay->hosts, &a->ip, a->port, clock_monotonic());
    k->d->tried[a->candidate.target] |= (uint8_t)(1u << a->candidate.address);
    conn_free(a->conn);
    a->conn = NULL;
    go_on(k);
}
