/* Start-up of the queue role. */
#include "leftover.h"
#include "queue.h"
#include "salvage.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

/* Nothing to do by itself: every event of the loop is followed by a turn. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static struct event *wake;

static void arm(struct queue *q)
{
    int64_t wait = queue_wake_in(q);
    struct timeval tv = {.tv_sec = (time_t)(wait / 1000000), .tv_usec = (suseconds_t)(wait % 1000000)};

    if (wake == NULL)
        wake = event_new(role_base(q->role), -1, 0, on_wake, NULL);
    if (wake == NULL || event_add(wake, &tv) != 0)
        fatal("queue: no timer");
}

static void turn(struct role *role)
{
    struct queue *q = role_state(role);

    if (q == NULL)
        return;
    queue_turn(q);
    arm(q);
}

/* A turn stops giving where too much waits for a peer. When all of it could be written at the end of the
 * turn, nothing else would begin the next one. */
static void on_drained(struct role *role, struct channel *c)
{
    (void)role;
    (void)c;
    if (wake != NULL)
        event_active(wake, EV_TIMEOUT, 0);
}

static void peer_up(struct role *role, struct channel *c)
{
    channel_on_drained(c, on_drained);
    if (role_state(role) != NULL)
        queue_peer_up(role_state(role), c);
}

static void peer_gone(struct role *role, struct channel *c)
{
    if (role_state(role) != NULL)
        queue_peer_gone(role_state(role), c);
}

static void drain(struct role *role, int64_t within)
{
    if (role_state(role) == NULL)
        role_exit(role);
    else
        queue_drain(role_state(role), within);
}

static void verify(struct role *role, struct verification *v)
{
    if (role_state(role) != NULL)
        queue_verify(role_state(role), v);
}

static const struct role_type queue_role = {
    .id = ROLE_QUEUE,
    .handlers = &queue_handlers,
    .sandbox = SANDBOX_FILES,
    .peer_up = peer_up,
    .peer_gone = peer_gone,
    .drain = drain,
    .verify = verify,
    .turn = turn,
};

static struct queue *open_queue(struct role *role)
{
    struct queue *q;
    struct err err = {0};

    if (queue_open(&q, role, &err))
        return q;
    if (err.kind == ERR_DAMAGED)
        fatal_data("queue: %s; or, with the server stopped, let `staffetta queue salvage FILE` copy what can be read",
            err.text);
    fatal("queue: %s", err.text);
}

int main(int argc, char **argv)
{
    struct role *role;
    struct queue *q;
    struct err err = {0};
    int code;

    if (argc == 3 && strcmp(argv[1], "--salvage") == 0)
        return salvage_run(argv[2]);
    role = role_begin(&queue_role, argc, argv);

    /* Only the first shard of a server looks; a single command without a server has no peers. */
    if (role_copy(role) == 0 && role_peers(role, ROLE_FILTER) > 0 && !leftover_check(role_config(role), &err))
        fatal("queue: %s", err.text);
    q = open_queue(role);
    role_sandbox(role);
    arm(q);
    code = role_run(role);
    queue_close(q);
    return code;
}
