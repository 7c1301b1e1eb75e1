#include "batch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

static const struct timeval longest_wait = {0, 200000};

enum { LARGEST = 500, LARGEST_BYTES = 4 * 1024 * 1024 };
/* Microseconds. */
enum { PAUSE_FIRST = 1000000, PAUSE_MOST = 30000000 };

static struct metric written = METRIC_COUNTER("staffetta_events_written_total", "Events written.");
static struct metric repeated = METRIC_COUNTER("staffetta_events_repeated_total", "Events that were known already.");
static struct metric waiting = METRIC_GAUGE("staffetta_events_pending", "Events not on disk yet.");
static struct metric failing = METRIC_GAUGE("staffetta_events_failing", "1 while events cannot be written.");
static struct metric set_aside = METRIC_COUNTER("staffetta_events_set_aside_total", "Damaged databases set aside.");
static struct metric commits = METRIC_COUNTER("staffetta_events_commits_total", "Commits of events.");
static struct metric commit_time = METRIC_HISTOGRAM("staffetta_events_commit_seconds",
    "Time of a commit, sync included.");

/* A copy, its texts behind it. */
struct held_event {
    struct link link;
    struct msg_event m;
    size_t bytes;
};

static void try_again(struct batch *b);

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    if (batch_failing(arg))
        try_again(arg);
    else
        batch_commit(arg);
}

bool batch_failing(const struct batch *b)
{
    return b->pause > 0;
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

/* ---- what is not on disk yet ---- */

static struct str keep(char **at, struct str s)
{
    struct str kept = str_from(*at, s.n);

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

static struct held_event *hold(struct batch *b, const struct msg_event *e)
{
    size_t bytes = sizeof(struct held_event) + e->sender.n + e->rcpt.n + e->message_id.n + e->details.n;
    struct held_event *h = xcalloc(1, bytes);
    char *at = (char *)(h + 1);

    h->m = *e;
    h->m.sender = keep(&at, e->sender);
    h->m.rcpt = keep(&at, e->rcpt);
    h->m.message_id = keep(&at, e->message_id);
    h->m.details = keep(&at, e->details);
    h->bytes = bytes;
    list_add_last(&b->held, &h->link);
    b->held_bytes += bytes;
    metric_set(&waiting, ++b->pending);
    return h;
}

static void forget_held(struct batch *b)
{
    struct link *first;

    while ((first = list_first(&b->held)) != NULL) {
        list_remove(first);
        free(CONTAINER(first, struct held_event, link));
    }
    b->pending = b->known = 0;
    b->held_bytes = 0;
    metric_set(&waiting, 0);
}

static bool write_one(struct batch *b, const struct held_event *h, struct err *err)
{
    bool added = false;

    if (!store_add(b->store, &h->m, &added, err))
        return false;
    b->known += !added;
    return true;
}

/* ---- a disk that takes nothing ---- */

static void read_from_all(struct batch *b, bool on)
{
    for (size_t i = 0; i < b->sender_count; i++)
        channel_read(b->senders[i].from, on);
}

/* A handle whose sync failed begins nothing any more: it goes. On a full disk it stays, for traces. */
static void drop_transaction(struct batch *b)
{
    if (b->store == NULL)
        return;
    store_rollback(b->store);
    if (store_is_usable(b->store))
        return;
    store_close(b->store);
    b->store = NULL;
}

/* Nothing half is left, and nothing was acknowledged. */
static void fail(struct batch *b, const struct err *err)
{
    int64_t now = clock_monotonic();
    struct timeval when;

    drop_transaction(b);
    b->known = 0;
    if (!batch_failing(b)) {
        b->failed_at = now;
        b->warned_at = 0;
    }
    b->pause = b->pause == 0 ? PAUSE_FIRST : b->pause * 2 > PAUSE_MOST ? PAUSE_MOST : b->pause * 2;
    metric_set(&failing, 1);
    if (b->warned_at == 0 || now - b->warned_at >= MINUTE) {
        log_error("events-not-written",
            "waiting=%u reason=%s; mail goes on, its stories wait with their senders and the "
            "oldest are dropped when those hold 50000", b->pending, err->text);
        b->warned_at = now;
    }
    read_from_all(b, false);
    when = (struct timeval){b->pause / SECOND, b->pause % SECOND};
    event_add(b->timer, &when);
}

/* The story so far stays in the file that is set aside; what is held begins the new one. */
static bool begin_anew(struct batch *b, const char *why)
{
    struct err err = {0};

    if (b->store != NULL) {
        store_rollback(b->store);
        store_close(b->store);
        b->store = NULL;
    }
    if (!store_set_aside(b->path, &err)) {
        fail(b, &err);
        return false;
    }
    metric_add(&set_aside, 1);
    log_error("events-set-aside", "file=%s.damaged reason=%s; mail is not touched, its older stories are in that file "
        "only: read it with `sqlite3 FILE .recover`, or delete it", b->path, why);
    return true;
}

/* What cannot be written stays held. Where the new file is damaged at once, no newer one would be better. */
static void on_trouble(struct batch *b, const struct err *err)
{
    static const struct timeval at_once = {0, 0};
    int64_t now = clock_monotonic();

    if (err->kind != ERR_DAMAGED || (b->set_aside_at != 0 && now - b->set_aside_at < MINUTE)) {
        fail(b, err);
    } else if (begin_anew(b, err->text)) {
        b->set_aside_at = now;
        b->known = 0;
        if (!batch_failing(b))
            b->failed_at = now;
        b->pause = b->pause == 0 ? PAUSE_FIRST : b->pause;
        event_add(b->timer, &at_once);
    }
}

void batch_store_failed(struct batch *b, const struct err *err)
{
    if (err->kind == ERR_DAMAGED && !batch_failing(b))
        on_trouble(b, err);
}

static bool write_held(struct batch *b, struct err *err)
{
    if (b->store == NULL && !store_open(&b->store, b->path, err))
        return false;
    LIST_EACH(&b->held, it)
        if (!write_one(b, CONTAINER(it, struct held_event, link), err))
            return false;
    return store_commit(b->store, err);
}

static void acknowledge(struct batch *b)
{
    for (size_t i = 0; i < b->sender_count; i++) {
        if (b->senders[i].seq > 0)
            ipc_send_event_ack(b->senders[i].from, &(struct msg_event_ack){b->senders[i].seq});
        b->senders[i].seq = 0;
    }
    metric_add(&written, b->pending - b->known);
    metric_add(&repeated, b->known);
    forget_held(b);
}

static void try_again(struct batch *b)
{
    struct err err = {0};

    if (!write_held(b, &err)) {
        on_trouble(b, &err);
        return;
    }
    log_info("events-written-again", "after_s=%lld events=%u", (long long)((clock_monotonic() - b->failed_at) / SECOND),
        b->pending);
    b->pause = 0;
    metric_set(&failing, 0);
    acknowledge(b);
    read_from_all(b, true);
}

void batch_init(struct batch *b, struct role *role, const char *path)
{
    struct err err = {0};

    *b = (struct batch){.role = role, .path = path};
    b->timer = evtimer_new(role_base(role), on_timer, b);
    list_init(&b->held);
    metric_show(&written);
    metric_show(&repeated);
    metric_show(&waiting);
    metric_show(&failing);
    metric_show(&set_aside);
    metric_show(&commits);
    metric_show(&commit_time);
    if (store_open(&b->store, path, &err))
        return;
    if (err.kind != ERR_TEMPORARY && err.kind != ERR_DAMAGED)
        fatal("events: %s", err.text);
    on_trouble(b, &err);
}

void batch_verify(const struct batch *b, struct verification *v)
{
    verify_equal(v, "events that came, and written, known already or waiting", b->taken,
        written.value + repeated.value + b->pending, "the story of a message is incomplete; no mail is touched");
}

void batch_add(struct batch *b, struct channel *from, const struct msg_event *e)
{
    const struct held_event *h = hold(b, e);
    struct err err = {0};

    channel_took(from, HANDOVER_EVENT);
    b->taken++;
    note_sender(b, from, e->seq);
    if (batch_failing(b)) {
        channel_read(from, false);
        return;
    }
    if (!write_one(b, h, &err)) {
        on_trouble(b, &err);
        return;
    }
    if (b->pending == 1)
        event_add(b->timer, &longest_wait);
    if (b->pending >= LARGEST || b->held_bytes >= LARGEST_BYTES)
        batch_commit(b);
}

void batch_commit(struct batch *b)
{
    int64_t start = clock_monotonic();
    struct err err = {0};

    if (batch_failing(b))
        return;
    event_del(b->timer);
    if (!store_commit(b->store, &err)) {
        on_trouble(b, &err);
        return;
    }
    if (b->pending > 0) {
        metric_add(&commits, 1);
        metric_observe(&commit_time, clock_monotonic() - start);
    }
    acknowledge(b);
}

void batch_peer_gone(struct batch *b, const struct channel *peer)
{
    for (size_t i = 0; i < b->sender_count; i++)
        if (b->senders[i].from == peer)
            b->senders[i] = b->senders[--b->sender_count];
}
