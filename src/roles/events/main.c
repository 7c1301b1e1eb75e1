/* The events role: writes what happened to every message and tells it again, and sends the reports about mail of others. Start-up, and the clock
 * that forgets what is older than queue.event_days. */
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "batch.h"
#include "sending.h"
#include "summary.h"
#include "fetcher.h"
#include "trace.h"

#include <event2/event.h>
#include <stdio.h>

static const struct timeval prune_pause = {60, 0}, prune_soon = {0, 100000};

struct events {
    struct role *role;
    char path[4096]; /* of the database */
    struct batch batch;
    struct traces traces;
    struct sending sending;
    struct event *prune_timer;
    struct fetcher fetcher;
};

static struct metric pruned = METRIC_COUNTER("staffetta_events_pruned_total", "Events deleted because of their age.");

static void on_event(struct role *role, struct channel *from, const struct msg_event *m)
{
    struct events *e = role_state(role);

    batch_add(&e->batch, from, m);
}

static void on_sts_ask(struct role *role, struct channel *from, const struct msg_sts_ask *m)
{
    struct events *e = role_state(role);

    fetcher_on_ask(&e->fetcher, from, m);
}

static void on_control_ask(struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    struct events *e = role_state(role);

    if (str_eq(m->command, STR("report")))
        summary_on_ask(e->batch.store != NULL ? store_received(e->batch.store) : NULL, from, m);
    else
        trace_on_ask(&e->traces, role, from, m);
}

static void on_control_more(struct role *role, struct channel *from, const struct msg_control_more *m)
{
    struct events *e = role_state(role);

    trace_on_more(&e->traces, from, m->id);
}

static void on_control_cancel(struct role *role, struct channel *from, const struct msg_control_cancel *m)
{
    struct events *e = role_state(role);

    trace_on_cancel(&e->traces, from, m->id);
}

static void on_txn_done(struct role *role, struct channel *from, const struct msg_txn_done *m)
{
    struct events *e = role_state(role);

    sending_on_txn_done(&e->sending, from, m);
}

static void on_dns_reply(struct role *role, struct channel *from, const struct msg_dns_reply *m)
{
    struct events *e = role_state(role);

    (void)from;
    sending_on_dns_reply(&e->sending, m); /* their numbers differ */
    fetcher_on_dns(&e->fetcher, m);
}

static void on_peer_up(struct role *role, struct channel *peer)
{
    struct events *e = role_state(role);

    sending_peer_up(&e->sending, peer);
    fetcher_peer_up(&e->fetcher, peer);
}

static void on_peer_gone(struct role *role, struct channel *peer)
{
    struct events *e = role_state(role);

    batch_peer_gone(&e->batch, peer);
    trace_peer_gone(&e->traces, peer);
    sending_peer_gone(&e->sending, peer);
    fetcher_peer_gone(&e->fetcher, peer);
}

/* A message may live that long before its story ends. */
static int64_t oldest_kept(const struct config *config)
{
    return clock_now() - config->queue.event_days * DAY - config->queue.lifetime;
}

static void on_prune(evutil_socket_t fd, short what, void *arg)
{
    struct events *e = arg;
    struct err err = {0};
    int64_t deleted = 0;
    bool more = false;

    (void)fd;
    (void)what;
    /* Not from a disk that takes nothing. */
    if (!batch_failing(&e->batch) &&
        !store_prune(e->batch.store, oldest_kept(role_config(e->role)), &deleted, &more, &err)) {
        log_error("prune", "reason=%s", err.text);
        batch_store_failed(&e->batch, &err);
    }
    metric_add(&pruned, deleted);
    event_add(e->prune_timer, more ? &prune_soon : &prune_pause);
}

static void on_drain(struct role *role, int64_t within)
{
    struct events *e = role_state(role);

    (void)within;
    batch_commit(&e->batch);
    role_exit(role);
}

static void on_verify(struct role *role, struct verification *v)
{
    const struct events *e = role_state(role);

    batch_verify(&e->batch, v);
}

static const struct handlers handlers = {
    .event = on_event,
    .sts_ask = on_sts_ask,
    .control_ask = on_control_ask,
    .control_more = on_control_more,
    .control_cancel = on_control_cancel,
    .txn_done = on_txn_done,
    .dns_reply = on_dns_reply,
};
static const struct role_type events_role = {
    .id = ROLE_EVENTS,
    .handlers = &handlers,
    .sandbox = SANDBOX_FILES | SANDBOX_CONNECT,
    .peer_up = on_peer_up,
    .peer_gone = on_peer_gone,
    .drain = on_drain,
    .verify = on_verify,
};

int main(int argc, char **argv)
{
    struct events e = {.role = role_begin(&events_role, argc, argv)};
    char policies[4096];
    struct err err = {0};

    role_set_state(e.role, &e);
    snprintf(policies, sizeof policies, "%.*s/events/policies.db", STR_ARG(role_config(e.role)->data));
    if (!fetcher_open(&e.fetcher, e.role, policies, &err))
        fatal("events: %s", err.text);
    snprintf(e.path, sizeof e.path, "%.*s/events/events.db", STR_ARG(role_config(e.role)->data));
    batch_init(&e.batch, e.role, e.path);
    sending_init(&e.sending, e.role, &e.batch);
    traces_init(&e.traces, &e.batch.store);
    e.prune_timer = evtimer_new(role_base(e.role), on_prune, &e);
    event_add(e.prune_timer, &prune_soon);
    role_sandbox(e.role);
    return role_run(e.role);
}
