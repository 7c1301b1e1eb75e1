/* The role as a whole: what happens in a turn, and who is told of peers that come and go. */
#include "queue.h"

#include "base/clock.h"
#include "base/log.h"
#include "story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const struct handlers queue_handlers = {
    .txn_begin = incoming_on_begin,
    .txn_rcpt = incoming_on_rcpt,
    .txn_chunk = incoming_on_chunk,
    .txn_end = incoming_on_end,
    .txn_abort = incoming_on_abort,
    .resolve_reply = resolve_on_reply,
    .body_ask = dispatch_on_body_ask,
    .rcpt_done = dispatch_on_rcpt_done,
    .deliver_done = dispatch_on_deliver_done,
    .rcpt_told = dispatch_on_told,
    .told_all = dispatch_on_told_all,
    .window = dispatch_on_window,
    .event_ack = events_on_ack,
    .control_ask = commands_on_ask,
    .control_more = commands_on_more,
    .control_cancel = commands_on_cancel,
};

enum { FOLDER_ROOM = 4096 };

bool queue_open(struct queue **queue, struct role *role, struct err *err)
{
    struct queue *q = xcalloc(1, sizeof *q);
    char folder[FOLDER_ROOM], path[FOLDER_ROOM + 32];

    q->role = role;
    snprintf(folder, sizeof folder, "%.*s/queue", STR_ARG(role_config(role)->data));
    snprintf(path, sizeof path, "%s/queue-%u.db", folder, role_copy(role));
    if (!store_open(&q->store, path, err)) {
        free(q);
        return false;
    }
    batch_init(&q->batch);
    mails_init(&q->mails);
    incoming_init(&q->incoming);
    schedule_init(&q->schedule);
    resolve_init(&q->resolve);
    dispatch_init(&q->dispatch);
    expire_init(&q->expire);
    events_init(&q->events);
    health_init(q, folder);
    commands_init(&q->commands);
    audit_init(q);
    role_set_state(role, q);
    if (!counts_start(q, err) || !ledger_open(q, err)) {
        queue_close(q);
        return false;
    }
    *queue = q;
    return true;
}

void queue_close(struct queue *q)
{
    store_close(q->store);
    free(q);
}

static void drain_turn(struct queue *q)
{
    bool busy = q->dispatch.under_way > 0 || q->incoming.count > 0 || !list_empty(&q->batch.ops) ||
        dispatch_is_being_told(q);

    if (busy && clock_monotonic() < q->drain_until)
        return;
    if (busy)
        log_warning("drained", "deliveries=%zu transactions=%zu reason=time is over", q->dispatch.under_way,
            q->incoming.count);
    role_exit(q->role);
}

void queue_turn(struct queue *q)
{
    batch_turn(q);
    health_turn(q);
    schedule_turn(q);
    resolve_turn(q);
    dispatch_turn(q);
    expire_turn(q);
    counts_turn(q);
    audit_turn(q);
    commands_turn(q);
    events_turn(q);
    if (q->draining)
        drain_turn(q);
}

int64_t queue_wake_in(struct queue *q)
{
    const int64_t waits[] = {batch_wake_in(q), schedule_wake_in(q), expire_wake_in(q), health_wake_in(q),
        commands_wake_in(q), counts_wake_in(q), audit_wake_in(q)};
    int64_t least = SECOND;

    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        if (waits[i] < least)
            least = waits[i];
    return least;
}

void queue_peer_up(struct queue *q, struct channel *c)
{
    if (channel_role(c) == ROLE_FILTER)
        health_peer_up(q, c);
    else if (channel_role(c) == ROLE_EVENTS)
        events_peer_up(q);
    else if (channel_role(c) == ROLE_RELAY)
        dispatch_relay_up(q, c);
}

void queue_peer_gone(struct queue *q, struct channel *c)
{
    switch ((int)channel_role(c)) {
    case ROLE_FILTER:
        incoming_peer_gone(q, c);
        break;
    case ROLE_DIRECTORY:
        if (channel_copy(c) == 0)
            resolve_peer_gone(q);
        break;
    case ROLE_MAILBOX:
    case ROLE_RELAY:
        dispatch_peer_gone(q, c);
        break;
    case ROLE_WEB:
        commands_peer_gone(q, c);
        break;
    default:
        break;
    }
}

void queue_verify(struct queue *q, struct verification *v)
{
    audit_verify(q, v);
}

void queue_drain(struct queue *q, int64_t within)
{
    q->draining = true;
    q->drain_until = clock_monotonic() + within;
}

void queue_message_ended(struct queue *q, uint64_t message)
{
    counts_message(q, message, -1);
    story_ended(q, message);
}
