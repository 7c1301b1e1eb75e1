/* Events on their way to the events role. */
#include "events.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/metric.h"
#include "queue.h"

#include <stdlib.h>

enum {
    KEPT_COUNT = 50000,
    KEPT_BYTES = 32 * 1024 * 1024,
    DETAILS = 60 * 1024,
};

static struct metric dropped =
    METRIC_COUNTER("staffetta_queue_events_dropped_total", "Events forgotten because the events role was away.");
static struct metric waiting = METRIC_GAUGE("staffetta_queue_events_waiting", "Events not acknowledged yet.");

/* The texts lie behind the struct. */
struct kept_event {
    struct link link;
    struct msg_event m;
    size_t bytes;
};

void events_init(struct events *e)
{
    list_init(&e->kept);
    buf_init(&e->details, DETAILS);
    metric_show(&dropped);
    metric_show(&waiting);
}

struct buf *events_begin(struct queue *q)
{
    buf_reset(&q->events.details);
    json_open(&q->events.details);
    return &q->events.details;
}

static struct str keep(char **at, struct str s)
{
    struct str kept = str_from(*at, s.n);

    for (size_t i = 0; i < s.n; i++)
        (*at)[i] = s.p[i];
    *at += s.n;
    return kept;
}

static struct kept_event *after(const struct events *e, const struct kept_event *k)
{
    return k->link.next == &e->kept.head ? NULL : CONTAINER(k->link.next, struct kept_event, link);
}

static void forget(struct events *e, struct kept_event *k)
{
    if (e->unsent == k)
        e->unsent = after(e, k);
    list_remove(&k->link);
    e->count--;
    e->bytes -= k->bytes;
    free(k);
}

static void make_room(struct events *e)
{
    while (e->count >= KEPT_COUNT || e->bytes > KEPT_BYTES) {
        forget(e, CONTAINER(list_first(&e->kept), struct kept_event, link));
        metric_add(&dropped, 1);
    }
}

static struct str at_most(struct str s, size_t n)
{
    return str_sub(s, 0, s.n < n ? s.n : n);
}

void events_end(struct queue *q, enum event_kind kind, uint64_t message, struct str sender, struct str rcpt,
    struct str message_id)
{
    struct events *e = &q->events;
    struct str details;
    struct kept_event *k;
    size_t bytes;
    char *at;

    json_close(&e->details);
    details = e->details.failed ? STR("{}") : buf_str(&e->details);
    bytes = sizeof *k + sender.n + rcpt.n + message_id.n + details.n;
    make_room(e);
    k = xcalloc(1, bytes);
    at = (char *)(k + 1);
    k->bytes = bytes;
    k->m = (struct msg_event){.seq = ++e->seq, .time = clock_now(), .message = message, .kind = kind};
    k->m.sender = keep(&at, at_most(sender, IPC_ADDRESS));
    k->m.rcpt = keep(&at, at_most(rcpt, IPC_ADDRESS));
    k->m.message_id = keep(&at, at_most(message_id, IPC_NAME));
    k->m.details = keep(&at, details);
    list_add_last(&e->kept, &k->link);
    e->count++;
    e->bytes += bytes;
    metric_set(&waiting, (int64_t)e->count);
    if (e->unsent == NULL)
        e->unsent = k;
}

void events_turn(struct queue *q)
{
    struct channel *c = role_peer(q->role, ROLE_EVENTS, 0);
    struct events *e = &q->events;

    while (c != NULL && e->unsent != NULL && channel_backlog(c) <= CHANNEL_HIGH) {
        ipc_send_event(c, &e->unsent->m);
        channel_gave(c, HANDOVER_EVENT);
        e->unsent = after(e, e->unsent);
    }
}

void events_peer_up(struct queue *q)
{
    struct link *first = list_first(&q->events.kept);

    q->events.unsent = first == NULL ? NULL : CONTAINER(first, struct kept_event, link);
}

void events_on_ack(struct role *role, struct channel *from, const struct msg_event_ack *m)
{
    struct queue *q = role_state(role);
    struct link *first;

    (void)from;
    while ((first = list_first(&q->events.kept)) != NULL) {
        struct kept_event *k = CONTAINER(first, struct kept_event, link);

        if (k->m.seq > m->seq)
            break;
        forget(&q->events, k);
    }
    metric_set(&waiting, (int64_t)q->events.count);
}
