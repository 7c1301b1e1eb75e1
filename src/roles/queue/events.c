/* Events on their way to the events role. */
#include "events.h"

#include "base/clock.h"
#include "base/json.h"
#include "queue.h"

enum { DETAILS = 60 * 1024 };

static struct metric dropped =
    METRIC_COUNTER("staffetta_queue_events_dropped_total", "Events forgotten because the events role was away.");
static struct metric waiting = METRIC_GAUGE("staffetta_queue_events_waiting", "Events not acknowledged yet.");

void events_init(struct events *e)
{
    teller_init(&e->teller, &dropped, &waiting);
    buf_init(&e->details, DETAILS);
}

struct buf *events_begin(struct queue *q)
{
    buf_reset(&q->events.details);
    json_open(&q->events.details);
    return &q->events.details;
}

void events_end(struct queue *q, enum event_kind kind, uint64_t message, struct str sender, struct str rcpt,
    struct str message_id)
{
    struct buf *details = &q->events.details;

    json_close(details);
    teller_add(&q->events.teller, &(struct msg_event){.time = clock_now(), .message = message, .kind = kind, .sender = sender,
        .rcpt = rcpt, .message_id = message_id, .details = details->failed ? STR("{}") : buf_str(details)});
}

void events_turn(struct queue *q)
{
    teller_turn(&q->events.teller, role_peer(q->role, ROLE_EVENTS, 0));
}

void events_peer_up(struct queue *q)
{
    teller_peer_up(&q->events.teller);
}

void events_on_ack(struct role *role, struct channel *from, const struct msg_event_ack *m)
{
    struct queue *q = role_state(role);

    (void)from;
    teller_acknowledged(&q->events.teller, m->seq);
}
