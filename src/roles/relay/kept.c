/* See kept.h. */
#include "kept.h"
#include "base/log.h"
#include "base/metric.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKED_AT_A_TURN = 500 };

/* A turn later; when the channel is full, after it had time to run empty. */
static const struct timeval at_once = {0, 0}, when_drained = {0, 2000};

struct kept {
    struct link link;
    struct map_node by_id, by_place;
    unsigned shard;
    uint64_t serial;      /* of the channel it was said on; 0: nobody was there */
    bool told;            /* with rcpt_told, under m.id; else with rcpt_done of that delivery */
    bool taken;           /* relayed or delivered, not failed */
    struct msg_rcpt_told m; /* texts behind the struct */
};

static struct metric waiting = METRIC_GAUGE("staffetta_relay_results_kept", "Results that queue has not stored yet.");
static struct metric told = METRIC_COUNTER("staffetta_relay_results_told_again_total",
    "Results told to a queue process started anew.");
static struct metric spared = METRIC_COUNTER("staffetta_relay_repetitions_avoided_total",
    "Recipients offered again whose result was known.");

/* Every event of the loop is followed by a turn. */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

void kept_init(struct relay *relay)
{
    relay->kept.start = delivery_taken();
    relay->kept.again = event_new(relay->base, -1, 0, on_again, NULL);
    if (relay->kept.again == NULL)
        fatal("cannot create timers");
    list_init(&relay->kept.all);
    list_init(&relay->kept.orphans);
    map_init(&relay->kept.by_id);
    map_init(&relay->kept.by_place);
    metric_show(&waiting);
    metric_show(&told);
    metric_show(&spared);
}

static void step_over(struct kept_list *kept, const struct kept *k)
{
    for (unsigned shard = 0; shard < KEPT_SHARDS && kept->telling_count > 0; shard++)
        if (kept->telling[shard].at == &k->link)
            kept->telling[shard].at = k->link.next;
}

static void forget(struct relay *relay, struct kept *k)
{
    step_over(&relay->kept, k);
    list_remove(&k->link);
    map_remove(&relay->kept.by_id, &k->by_id);
    map_remove(&relay->kept.by_place, &k->by_place);
    relay->kept.untold -= k->serial == 0 && k->taken;
    metric_set(&waiting, (int64_t)--relay->kept.count);
    free(k);
}

void kept_clear(struct relay *relay)
{
    LIST_EACH(&relay->kept.all, it)
        forget(relay, CONTAINER(it, struct kept, link));
    map_clear(&relay->kept.by_id);
    map_clear(&relay->kept.by_place);
    event_free(relay->kept.again);
}

static uint64_t place_hash(uint64_t message, uint64_t n)
{
    return map_hash_number(message * 31 + n);
}

static struct str pack(char **at, struct str s)
{
    struct str copy = str_from(*at, s.n);

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static struct kept *copy_of(const struct delivery *d, const struct rcpt *r)
{
    struct str host = r->result.remote ? str_of(r->host) : (struct str){0};
    struct str ip = str_of(r->ip), tls = str_of(r->tls), policy = str_of(r->policy), source = str_of(r->source);
    struct kept *k = xcalloc(1, sizeof *k + r->c.address.n + r->result.text.n + host.n + ip.n + tls.n + policy.n + source.n);
    char *at = (char *)(k + 1);

    k->shard = d->shard;
    k->taken = r->result.status != DELIVERY_FAILED;
    k->m = (struct msg_rcpt_told){.id = d->id, .message = d->message, .n = r->n, .status = r->result.status,
        .reason = r->result.reason, .code = r->result.code, .dsn = r->c.dsn};
    k->m.address = pack(&at, r->c.address);
    k->m.text = pack(&at, r->result.text);
    k->m.host = pack(&at, host);
    k->m.ip = pack(&at, ip);
    k->m.tls = pack(&at, tls);
    k->m.policy = pack(&at, policy);
    k->m.source = pack(&at, source);
    return k;
}

static void tell(struct relay *relay, struct channel *queue, struct kept *k)
{
    map_remove(&relay->kept.by_id, &k->by_id);
    if (k->serial == 0 && k->taken) {
        relay->kept.untold--;
        relay->kept.reported++;
    }
    k->serial = channel_serial(queue);
    k->told = true;
    k->m.id = role_next_id(relay->role);
    map_add(&relay->kept.by_id, &k->by_id, map_hash_number(k->m.id));
    metric_add(&told, 1);
    ipc_send_rcpt_told(queue, &k->m);
    channel_gave(queue, handover_of(k->m.status));
}

static void make_room(struct relay *relay)
{
    struct link *first = list_first(&relay->kept.all);
    struct kept *oldest;

    if (first == NULL)
        return;
    oldest = CONTAINER(first, struct kept, link);
    log_warning("result-dropped",
        "message=%" PRIu64 " n=%" PRIu64 " reason=too many wait for queue; it may be sent twice",
        oldest->m.message, oldest->m.n);
    relay->kept.dropped += oldest->serial == 0 && oldest->taken;
    forget(relay, oldest);
}

void kept_add(struct relay *relay, const struct delivery *d, const struct rcpt *r)
{
    struct kept *k = copy_of(d, r);
    struct channel *queue;

    if (relay->kept.count >= KEPT_MAX)
        make_room(relay);
    list_add_last(&relay->kept.all, &k->link);
    map_add(&relay->kept.by_place, &k->by_place, place_hash(k->m.message, k->m.n));
    metric_set(&waiting, (int64_t)++relay->kept.count);
    if (d->queue != NULL) {
        k->serial = channel_serial(d->queue);
        map_add(&relay->kept.by_id, &k->by_id, map_hash_number(k->m.id));
        relay->kept.reported += k->taken;
        return;
    }
    relay->kept.untold += k->taken;
    queue = role_peer(relay->role, ROLE_QUEUE, k->shard);
    if (queue != NULL)
        tell(relay, queue, k);
}

/* ---- a new process of queue is told, a part a turn ---- */

const struct client_outcome kept_known = {DELIVERY_DEFERRED, REASON_OTHER, 451, false, true,
    STR("4.4.2 An earlier attempt has reached the server; its result is being stored")};

/* Its message is with the server, its result still to come: until then nobody shall send it, here or from
 * another copy, which may own the destination by now. */
static void tell_orphan(struct relay *relay, struct channel *queue, struct delivery *d)
{
    d->told = channel_serial(queue);
    for (size_t i = 0; i < d->n; i++) {
        const struct rcpt *r = d->rcpts[i];

        if (r->reported)
            continue;
        ipc_send_rcpt_told(queue, &(struct msg_rcpt_told){.id = role_next_id(relay->role), .message = d->message,
            .n = r->n, .address = r->c.address, .status = kept_known.status, .reason = kept_known.reason,
            .code = kept_known.code, .text = kept_known.text});
        channel_gave(queue, handover_of(kept_known.status));
    }
}

static struct delivery *next_orphan(const struct relay *relay, const struct channel *queue)
{
    LIST_EACH(&relay->kept.orphans, it) {
        struct delivery *d = CONTAINER(it, struct delivery, link);

        if (d->shard == channel_copy(queue) && d->told != channel_serial(queue))
            return d;
    }
    return NULL;
}

/* False: the rest another time. */
static bool tell_some(struct relay *relay, struct channel *queue, struct telling *t)
{
    struct delivery *orphan = NULL;

    for (int i = 0; i < LOOKED_AT_A_TURN && channel_backlog(queue) <= CHANNEL_HIGH; i++) {
        struct kept *k;

        if (t->at == &relay->kept.all.head)
            break;
        k = CONTAINER(t->at, struct kept, link);
        t->at = t->at->next;
        if (k->shard != channel_copy(queue) || k->serial == channel_serial(queue))
            continue;
        tell(relay, queue, k);
        t->told++;
    }
    if (t->at != &relay->kept.all.head)
        return false;
    orphan = next_orphan(relay, queue);
    if (orphan != NULL)
        tell_orphan(relay, queue, orphan);
    return orphan == NULL;
}

static void stop_telling(struct relay *relay, unsigned shard)
{
    relay->kept.telling_count -= relay->kept.telling[shard].active;
    relay->kept.telling[shard] = (struct telling){0};
}

static void go_on(struct relay *relay, unsigned shard)
{
    struct channel *queue = role_peer(relay->role, ROLE_QUEUE, shard);
    struct telling *t = &relay->kept.telling[shard];

    if (queue == NULL) {
        stop_telling(relay, shard);
    } else if (tell_some(relay, queue, t)) {
        ipc_send_told_all(queue, &(struct msg_told_all){t->told});
        stop_telling(relay, shard);
    } else {
        event_add(relay->kept.again, channel_backlog(queue) <= CHANNEL_HIGH ? &at_once : &when_drained);
    }
}

void kept_tell(struct relay *relay, struct channel *queue)
{
    unsigned shard = channel_copy(queue);

    stop_telling(relay, shard);
    relay->kept.telling[shard] = (struct telling){.active = true, .at = relay->kept.all.head.next};
    relay->kept.telling_count++;
    go_on(relay, shard);
}

void kept_turn(struct relay *relay)
{
    for (unsigned shard = 0; shard < KEPT_SHARDS && relay->kept.telling_count > 0; shard++)
        if (relay->kept.telling[shard].active)
            go_on(relay, shard);
}

void kept_queue_gone(struct relay *relay, const struct channel *queue)
{
    stop_telling(relay, channel_copy(queue));
}

/* The number alone says nothing: queue may have given it again, to a target of an alias. */
static bool is_orphan(const struct relay *relay, const struct delivery *offered, const struct rcpt *r)
{
    LIST_EACH(&relay->kept.orphans, it) {
        const struct delivery *d = CONTAINER(it, struct delivery, link);

        for (size_t i = 0; i < d->n && d->message == offered->message; i++)
            if (d->rcpts[i]->n == r->n && str_eq(d->rcpts[i]->c.address, r->c.address))
                return true;
    }
    return false;
}

bool kept_knows(struct relay *relay, const struct delivery *d, const struct rcpt *r)
{
    struct map_node *node = map_find(&relay->kept.by_place, place_hash(d->message, r->n));

    for (; node != NULL; node = map_find_next(node)) {
        struct kept *k = CONTAINER(node, struct kept, by_place);

        if (k->m.message != d->message || k->m.n != r->n || k->shard != d->shard || !str_eq(k->m.address, r->c.address))
            continue;
        tell(relay, d->queue, k); /* it could not take it the first time, or has not yet */
        metric_add(&spared, 1);
        return true;
    }
    if (!is_orphan(relay, d, r))
        return false;
    metric_add(&spared, 1);
    return true;
}

static void stored(struct relay *relay, struct channel *from, uint64_t id, bool was_told)
{
    struct map_node *node = map_find(&relay->kept.by_id, map_hash_number(id));

    while (node != NULL) {
        struct kept *k = CONTAINER(node, struct kept, by_id);

        node = map_find_next(node);
        if (k->m.id == id && k->told == was_told && k->serial == channel_serial(from))
            forget(relay, k);
    }
}

void kept_on_stored(struct role *role, struct channel *from, const struct msg_deliver_stored *m)
{
    stored(role_state(role), from, m->id, false);
}

void kept_on_told_stored(struct role *role, struct channel *from, const struct msg_told_stored *m)
{
    stored(role_state(role), from, m->id, true);
}

void kept_verify(struct relay *relay, struct verification *v)
{
    const struct kept_list *k = &relay->kept;

    verify_equal(v, "messages other servers took, and queue told or not there yet", delivery_taken() - k->start,
        k->reported + k->untold + k->dropped, "a result was lost in relay: the message is sent again");
}
