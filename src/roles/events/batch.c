#include "batch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <event2/event.h>

static const struct timeval longest_wait = {0, 200000};

enum { LARGEST = 500 };

static struct metric written = METRIC_COUNTER("staffetta_events_written_total", "Events written.");
static struct metric repeated = METRIC_COUNTER("staffetta_events_repeated_total", "Events that were known already.");
static struct metric waiting = METRIC_GAUGE("staffetta_events_pending", "Events not on disk yet.");
static struct metric commits = METRIC_COUNTER("staffetta_events_commits_total", "Commits of events.");
static struct metric commit_time = METRIC_HISTOGRAM("staffetta_events_commit_seconds", "Time of a commit, sync included.");

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    batch_commit(arg);
}

void batch_init(struct batch *b, struct role *role, struct store *store)
{
    *b = (struct batch){.role = role, .store = store};
    b->timer = evtimer_new(role_base(role), on_timer, b);
    metric_show(&written);
    metric_show(&repeated);
    metric_show(&waiting);
    metric_show(&commits);
    metric_show(&commit_time);
}

static void note_sender(struct batch *b, struct channel *from, uint64_t seq)
{
    size_t i = 0;

    while (i < b->sender_count && b->senders[i].from != from)
        i++;
    if (i == b->sender_count) {
        if (i == BATCH_SENDERS)
            return; /* it will tell again */
        b->senders[b->sender_count++].from = from;
        b->senders[i].seq = 0;
    }
    if (seq > b->senders[i].seq)
        b->senders[i].seq = seq;
}

/* The disk fails us: end, keep nothing half, and let the senders tell again what was not acknowledged. */
static _Noreturn void give_up(struct batch *b, const struct err *err)
{
    store_rollback(b->store);
    fatal("events: %s", err->text);
}

void batch_verify(const struct batch *b, struct verification *v)
{
    verify_equal(v, "events that came, and written or known already", b->taken, written.value + repeated.value,
        "the story of a message is incomplete; no mail is touched");
}

void batch_add(struct batch *b, struct channel *from, const struct msg_event *e)
{
    struct err err = {0};
    bool added = false;

    channel_took(from, HANDOVER_EVENT);
    b->taken++;

    if (!store_add(b->store, e, &added, &err))
        give_up(b, &err);
    metric_add(added ? &written : &repeated, 1);
    note_sender(b, from, e->seq);
    metric_set(&waiting, ++b->pending);
    if (b->pending == 1)
        event_add(b->timer, &longest_wait);
    if (b->pending >= LARGEST)
        batch_commit(b);
}

void batch_commit(struct batch *b)
{
    int64_t start = clock_monotonic();
    struct err err = {0};

    event_del(b->timer);
    if (!store_commit(b->store, &err))
        give_up(b, &err);
    if (b->pending > 0) {
        metric_add(&commits, 1);
        metric_observe(&commit_time, clock_monotonic() - start);
    }
    for (size_t i = 0; i < b->sender_count; i++) {
        if (b->senders[i].seq > 0)
            ipc_send_event_ack(b->senders[i].from, &(struct msg_event_ack){b->senders[i].seq});
        b->senders[i].seq = 0;
    }
    b->pending = 0;
    metric_set(&waiting, 0);
}

void batch_peer_gone(struct batch *b, const struct channel *peer)
{
    for (size_t i = 0; i < b->sender_count; i++)
        if (b->senders[i].from == peer)
            b->senders[i] = b->senders[--b->sender_count];
}
