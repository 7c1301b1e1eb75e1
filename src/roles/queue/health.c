/* Disk and memory limits. */
#include "health.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/statvfs.h>

#define PERIOD (3 * SECOND)

static struct metric accepting = METRIC_GAUGE("staffetta_queue_accepting", "1 while new mail is taken.");
static struct metric disk_free = METRIC_GAUGE("staffetta_queue_disk_free_bytes", "Free space where the queue is.");
static struct metric memory = METRIC_GAUGE("staffetta_queue_body_bytes", "Memory held by bodies.");

void health_init(struct queue *q, const char *folder)
{
    q->health.accepting = true;
    metric_show(&accepting);
    metric_set(&accepting, 1);
    snprintf(q->health.folder, sizeof q->health.folder, "%s", folder);
}

/* A failing statvfs is no reason to stop: a failing commit will be. */
static void look_at_disk(struct queue *q)
{
    struct statvfs fs;
    int64_t bytes, least = role_config(q->role)->queue.min_free_disk;

    q->health.next = clock_monotonic() + PERIOD;
    if (statvfs(q->health.folder, &fs) != 0)
        return;
    bytes = (int64_t)(fs.f_bavail * fs.f_frsize);
    metric_set(&disk_free, bytes);
    /* A little more is needed to start again, so that it does not flutter. */
    q->health.disk_full = bytes < (q->health.disk_full ? least + least / 20 : least);
}

static size_t budget(const struct queue *q)
{
    return (size_t)role_config(q->role)->queue.memory;
}

static const char *trouble(const struct queue *q)
{
    if (batch_failing(q))
        return "4.3.1 Storage is failing, try again later";
    if (q->health.disk_full)
        return "4.3.1 Disk is nearly full, try again later";
    if (q->incoming.bytes > budget(q))
        return "4.3.1 Too much mail at once, try again later";
    return NULL;
}

static void tell(struct queue *q, struct channel *c)
{
    ipc_send_queue_state(c, &(struct msg_queue_state){.shard = role_copy(q->role), .shards = role_copies(q->role),
        .accepting = q->health.accepting, .reason = str_of(q->health.reason)});
}

void health_turn(struct queue *q)
{
    struct health *h = &q->health;
    const char *reason;

    if (clock_monotonic() >= h->next)
        look_at_disk(q);
    metric_set(&memory, (int64_t)(q->incoming.bytes + q->mails.body_bytes));
    reason = trouble(q);
    if (h->accepting == (reason == NULL))
        return;
    h->accepting = reason == NULL;
    h->reason = reason;
    metric_set(&accepting, h->accepting);
    if (h->accepting)
        log_info("accepting", "reason=there is room again");
    else
        log_warning("not-accepting", "reason=%s", reason);
    for (unsigned copy = 0; copy < role_peers(q->role, ROLE_FILTER); copy++) {
        struct channel *c = role_peer(q->role, ROLE_FILTER, copy);

        if (c != NULL)
            tell(q, c);
    }
}

int64_t health_wake_in(const struct queue *q)
{
    int64_t wait = q->health.next - clock_monotonic();

    return wait > 0 ? wait : 0;
}

bool health_accepts(struct queue *q, struct str *reason)
{
    const char *why = trouble(q);

    *reason = str_of(why);
    return why == NULL;
}

bool health_over_limit(const struct queue *q)
{
    return q->incoming.bytes > 2 * budget(q);
}

void health_peer_up(struct queue *q, struct channel *c)
{
    tell(q, c);
}
