/* Deliveries: started within the windows, their bodies served, their results collected. */
#include "dispatch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "destination.h"
#include "queue.h"
#include "result.h"
#include "smtp/address.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    LANE_LOCAL = 2000,    /* deliveries under way to one mailbox copy */
    START_AT_ONCE = 8,    /* of one destination, before others get their turn */
    SHED_AT_ONCE = 500,
    LOSSES_MAX = 2,       /* deliveries that died with their process before the next is put off */
    IDLE = 600,           /* seconds a destination is remembered */
    SILENCE = 3 * 3600,   /* seconds after which a delivery is taken for lost */
};

static struct metric under_way = METRIC_GAUGE("staffetta_queue_deliveries", "Deliveries under way.");
static struct metric parked =
    METRIC_COUNTER("staffetta_queue_parked_total", "Recipients put back because their destination had enough waiting.");

struct delivery {
    struct map_node by_id;
    uint64_t id, serial;
    struct destination *dest;
    struct mail *mail;
    struct list rcpts;       /* without a result yet */
    struct outcome *outcome; /* of those that have one */
    size_t n;
    enum mail_class class;
    struct link asking;      /* in dispatch.asks */
    uint64_t offset;
    int64_t heard; /* monotonic: when the other side last said anything about it */
};

/* Sends a recipient back into the database. */
struct park {
    struct op op;
    struct rcpt *rcpt;
    int64_t due;
    bool changed;
};

void dispatch_init(struct dispatch *d)
{
    for (unsigned i = 0; i < LANES_MAX; i++) {
        d->mailbox[i] = (struct lane){.role = ROLE_MAILBOX, .copy = i, .held = d->held};
        d->relay[i] = (struct lane){.role = ROLE_RELAY, .copy = i, .held = d->held};
    }
    map_init(&d->destinations);
    map_init(&d->deliveries);
    list_init(&d->ready);
    list_init(&d->asks);
    metric_show(&under_way);
    metric_show(&parked);
}

/* ---- waiting ---- */

static bool park_run(struct queue *q, struct op *op, struct err *err)
{
    struct park *p = CONTAINER(op, struct park, op);

    return store_set_due(q->store, p->rcpt->row.message, p->rcpt->row.n, p->due, &p->changed, err);
}

static void park_done(struct queue *q, struct op *op)
{
    struct park *p = CONTAINER(op, struct park, op);
    uint64_t class = p->rcpt->row.class;
    int64_t due = p->due < p->rcpt->row.expires ? p->due : p->rcpt->row.expires;

    rcpt_free(q, p->rcpt);
    schedule_notice(q, class, due);
    free(p);
}

static void park_failed(struct queue *q, struct op *op, const struct err *err)
{
    (void)err;
    park_done(q, op);
}

static const struct op_type park_type = {park_run, park_done, park_failed, true};

static void park(struct queue *q, struct destination *d, struct rcpt *r)
{
    struct park *p = xcalloc(1, sizeof *p);

    p->op.type = &park_type;
    p->rcpt = r;
    p->due = destination_park(d, clock_steady(), counts_waiting(&q->counts));
    r->stage = STAGE_STORING;
    metric_add(&parked, 1);
    batch_add(q, &p->op, schedule_is_full(q) ? BATCH_SOON : BATCH_LAZY, 0);
}

static size_t active_most(const struct queue *q)
{
    return (size_t)role_config(q->role)->queue.active;
}

static void mark_ready(struct queue *q, struct destination *d)
{
    if (d->waiting_n > 0 && !link_in_list(&d->ready))
        list_add_last(&q->dispatch.ready, &d->ready);
}

/* Before those of lower priority (RFC 6710; 9 is normal), after those of the same. */
static void join_line(struct list *line, struct rcpt *r)
{
    struct link *at = &line->head;

    if (r->mail->row.priority > 9)
        for (at = line->head.next; at != &line->head; at = at->next)
            if (CONTAINER(at, struct rcpt, link)->mail->row.priority < r->mail->row.priority)
                break;
    list_insert_before(at, &r->link);
}

static void wait_in(struct queue *q, struct destination *d, struct rcpt *r)
{
    r->destination = d;
    if (d->lane->role == ROLE_RELAY && !destination_has_room(d, (enum mail_class)r->row.class, active_most(q))) {
        park(q, d, r);
        return;
    }
    r->stage = STAGE_WAITING;
    join_line(&d->waiting[r->row.class], r);
    destination_wait(d, (enum mail_class)r->row.class, 1);
    mark_ready(q, d);
}

void dispatch_local(struct queue *q, struct rcpt *r)
{
    unsigned copies = role_peers(q->role, ROLE_MAILBOX);

    wait_in(q, destination_local(&q->dispatch, (unsigned)(r->account % (copies ? copies : 1))), r);
}

void dispatch_remote(struct queue *q, struct rcpt *r, const struct msg_resolve_reply *m)
{
    struct str local, domain, name;
    struct destination *d;

    address_split(r->row.address, &local, &domain);
    name = m->hosts.n ? m->hosts : domain;
    d = destination_remote(&q->dispatch, role_peers(q->role, ROLE_RELAY), name);
    r->route = destination_route(d, m, str_sub(domain, 0, IPC_NAME));
    wait_in(q, d, r);
}

static void take_off(struct rcpt *r)
{
    list_remove(&r->link);
    destination_wait(r->destination, (enum mail_class)r->row.class, -1);
}

/* Its share has become smaller: those at the end of its lists wait in the database. Each costs a write
 * in the next commit, so a long list goes in parts: the next window or sweep takes more. */
static void shed(struct queue *q, struct destination *d)
{
    size_t n = 0;

    for (enum mail_class class = CLASS_COUNT; class-- > CLASS_TRANSACTIONAL;) {
        struct link *last;

        while (n++ < SHED_AT_ONCE && (last = d->waiting[class].head.prev) != &d->waiting[class].head &&
               destination_has_too_many(d, class, active_most(q))) {
            struct rcpt *r = CONTAINER(last, struct rcpt, link);

            take_off(r);
            park(q, d, r);
        }
    }
}

static struct rcpt *first_rcpt(const struct list *l)
{
    struct link *first = list_first(l);

    if (first == NULL)
        fatal("a delivery without recipients");
    return CONTAINER(first, struct rcpt, link);
}

void dispatch_remove(struct queue *q, struct rcpt *r)
{
    (void)q;
    if (r->stage != STAGE_WAITING)
        return;
    take_off(r);
    r->stage = STAGE_NEW;
}

/* ---- starting ---- */

static struct delivery *delivery_new(struct queue *q, struct rcpt *first)
{
    struct delivery *v = xcalloc(1, sizeof *v);
    struct destination *d = first->destination;

    v->id = role_next_id(q->role);
    v->heard = clock_monotonic();
    v->dest = d;
    v->mail = mail_ref(first->mail);
    v->outcome = outcome_new(first->mail);
    v->class = (enum mail_class)first->row.class;
    list_init(&v->rcpts);
    map_add(&q->dispatch.deliveries, &v->by_id, map_hash_number(v->id));
    destination_count(d, v->class, 1);
    metric_set(&under_way, (int64_t)++q->dispatch.under_way);
    return v;
}

static void delivery_add(struct delivery *v, struct rcpt *r)
{
    take_off(r);
    r->stage = STAGE_DELIVERING;
    r->delivery = v;
    list_add_last(&v->rcpts, &r->link);
    v->n++;
}

/* Other recipients of the same message that go the same way. */
static void gather(struct queue *q, struct delivery *v, struct rcpt *first)
{
    size_t limit = (size_t)role_config(q->role)->relay.recipients_per_transaction;

    LIST_EACH(&first->mail->rcpts, it) {
        struct rcpt *r = CONTAINER(it, struct rcpt, in_mail);

        if (v->n >= limit)
            return;
        if (r->stage == STAGE_WAITING && r->destination == v->dest && r->route == first->route && str_eq(r->sender, first->sender))
            delivery_add(v, r);
    }
}

static struct keeper keeper_of(const struct delivery *v)
{
    return (struct keeper){.waits = v->dest->lane->role == ROLE_RELAY, .copy = v->dest->lane->copy, .serial = v->serial,
        .id = v->id};
}

static void delivery_end(struct queue *q, struct delivery *v)
{
    struct destination *d = v->dest;

    map_remove(&q->dispatch.deliveries, &v->by_id);
    list_remove(&v->asking);
    destination_count(d, v->class, -1);
    metric_set(&under_way, (int64_t)--q->dispatch.under_way);
    destination_ended(d, v->n, clock_monotonic());
    v->outcome->keeper = keeper_of(v);
    outcome_submit(q, v->outcome);
    mail_unref(q, v->mail);
    free(v);
    mark_ready(q, d);
}

/* Ends a delivery of which the other side will say no more: each recipient left gets this verdict. */
static void end_rest(struct queue *q, struct delivery *v, unsigned code, struct str text)
{
    struct link *first;

    while ((first = list_first(&v->rcpts)) != NULL) {
        list_remove(first);
        outcome_add(q, v->outcome, CONTAINER(first, struct rcpt, link),
            &(struct verdict_info){.kind = VERDICT_DEFERRED, .reason = REASON_OTHER, .code = code, .ours = true,
                .text = text});
    }
    delivery_end(q, v);
}

static bool inline_body(struct queue *q, const struct delivery *v, struct str *body, struct err *err)
{
    *body = (struct str){0};
    if (v->mail->row.size > IPC_CHUNK)
        return true;
    if (!mail_read(q, v->mail, 0, body, err))
        return false;
    if (body->n == v->mail->row.size)
        return true;
    return err_set(err, ERR_PERMANENT, "the stored body has %zu bytes instead of %" PRIu64, body->n, v->mail->row.size);
}

static void send_local(struct channel *c, struct delivery *v, struct str body)
{
    const struct rcpt *r = first_rcpt(&v->rcpts);
    const struct message_row *m = &v->mail->row;

    ipc_send_deliver_local(c, &(struct msg_deliver_local){.id = v->id, .message = m->id, .account = r->account,
        .n = r->row.n, .size = m->size, .flags = m->flags, .arrived = m->created, .sender = m->sender,
        .rcpt = r->target, .original = r->row.original, .body = body});
}

static void send_remote(struct queue *q, struct channel *c, struct delivery *v, struct str body)
{
    const struct route *route = first_rcpt(&v->rcpts)->route;
    const struct message_row *m = &v->mail->row;
    int64_t by = m->deliver_by > 0 ? schedule_planned(role_config(q->role), m, m->deliver_by) - clock_steady_ahead() : 0;

    ipc_send_deliver_remote(c, &(struct msg_deliver_remote){.id = v->id, .message = m->id, .flags = m->flags,
        .size = m->size, .priority = m->priority, .deliver_by = by, .destination = v->dest->name,
        .domain = route->domain, .route = route->kind, .tls = route->tls, .hosts = route->hosts,
        .credential = route->credential, .pool = route->pool, .sender = rcpt_sender(first_rcpt(&v->rcpts)),
        .envid = m->envid, .body = body});
    LIST_EACH(&v->rcpts, it) {
        const struct rcpt *r = CONTAINER(it, struct rcpt, link);

        ipc_send_deliver_rcpt(c, &(struct msg_deliver_rcpt){.id = v->id, .n = r->row.n, .notify = r->row.notify,
            .address = r->row.address, .orcpt = r->row.orcpt});
    }
    ipc_send_deliver_go(c, &(struct msg_deliver_go){.id = v->id});
}

static void start(struct queue *q, struct channel *c, struct destination *d, enum mail_class class)
{
    struct rcpt *first = first_rcpt(&d->waiting[class]);
    struct delivery *v = delivery_new(q, first);
    struct err err = {0};
    struct str body;

    v->serial = channel_serial(c);
    delivery_add(v, first);
    if (d->lane->role == ROLE_RELAY)
        gather(q, v, first);
    if (!inline_body(q, v, &body, &err)) {
        log_error("read-failed", "message=%" PRIu64 " reason=%s", v->mail->row.id, err.text);
        end_rest(q, v, 451, STR("4.3.0 The stored message could not be read"));
        return;
    }
    if (d->lane->role == ROLE_RELAY)
        send_remote(q, c, v, body);
    else
        send_local(c, v, body);
}

/* Twice the connections keeps each busy. */
static size_t lane_limit(const struct queue *q, const struct lane *lane)
{
    int64_t connections = role_config(q->role)->relay.connections;

    return lane->role == ROLE_MAILBOX ? LANE_LOCAL : connections > 0 ? 2 * (size_t)connections : 1;
}

/* A few deliveries of one destination; false when it cannot start any more now. */
static bool start_some(struct queue *q, struct destination *d)
{
    struct channel *c = role_peer(q->role, d->lane->role, d->lane->copy);

    if (d->lane->role == ROLE_RELAY && dispatch_is_being_told(q))
        return false;
    for (int i = 0; i < START_AT_ONCE; i++) {
        enum mail_class class = destination_may_start(d, lane_limit(q, d->lane));

        if (class == CLASS_COUNT || c == NULL || channel_backlog(c) > CHANNEL_HIGH)
            return false;
        start(q, c, d, class);
    }
    return true;
}

static void start_all(struct queue *q)
{
    bool progress = true;

    while (progress && !q->draining) {
        progress = false;
        LIST_EACH(&q->dispatch.ready, it) {
            struct destination *d = CONTAINER(it, struct destination, ready);

            if (start_some(q, d))
                progress = true;
            if (d->waiting_n == 0)
                list_remove(&d->ready);
        }
    }
}

/* ---- bodies ---- */

static struct delivery *find(struct queue *q, struct channel *from, uint64_t id)
{
    for (struct map_node *n = map_find(&q->dispatch.deliveries, map_hash_number(id)); n; n = map_find_next(n)) {
        struct delivery *v = CONTAINER(n, struct delivery, by_id);

        if (v->id == id && v->serial == channel_serial(from)) {
            v->heard = clock_monotonic();
            return v;
        }
    }
    return NULL;
}

static struct rcpt *take_rcpt(struct delivery *v, uint64_t n)
{
    LIST_EACH(&v->rcpts, it) {
        struct rcpt *r = CONTAINER(it, struct rcpt, link);

        if (r->row.n == n) {
            list_remove(it);
            return r;
        }
    }
    return NULL;
}

void dispatch_on_body_ask(struct role *role, struct channel *from, const struct msg_body_ask *m)
{
    struct queue *q = role_state(role);
    struct delivery *v = find(q, from, m->id);

    if (v == NULL)
        return;
    v->offset = m->offset;
    if (!link_in_list(&v->asking))
        list_add_last(&q->dispatch.asks, &v->asking);
}

static void serve_piece(struct queue *q, struct channel *c, struct delivery *v)
{
    struct err err = {0};
    struct str piece;

    if (!mail_read(q, v->mail, v->offset, &piece, &err) || (piece.n == 0 && v->offset != v->mail->row.size)) {
        log_error("read-failed", "message=%" PRIu64 " offset=%" PRIu64 " reason=%s", v->mail->row.id, v->offset,
            err.text);
        end_rest(q, v, 451, STR("4.3.0 The stored message could not be read"));
        return;
    }
    ipc_send_body_chunk(c, &(struct msg_body_chunk){.id = v->id, .offset = v->offset, .data = piece});
}

/* As far as the channels take them: a slow relay must not make our memory grow. */
static void serve_bodies(struct queue *q)
{
    LIST_EACH(&q->dispatch.asks, it) {
        struct delivery *v = CONTAINER(it, struct delivery, asking);
        struct channel *c = role_peer(q->role, v->dest->lane->role, v->dest->lane->copy);

        if (c == NULL || channel_serial(c) != v->serial || channel_backlog(c) > CHANNEL_HIGH)
            continue;
        list_remove(it);
        serve_piece(q, c, v);
    }
}

void dispatch_turn(struct queue *q)
{
    q->dispatch.begun = true;
    serve_bodies(q);
    start_all(q);
}

/* relay has limits for everything it waits for, far below this; so one of us has lost it. */
static void give_up_silent(struct queue *q)
{
    int64_t before = clock_monotonic() - SILENCE * SECOND;
    struct map_node *n = map_walk(&q->dispatch.deliveries, NULL);

    while (n != NULL) {
        struct delivery *v = CONTAINER(n, struct delivery, by_id);

        n = map_walk(&q->dispatch.deliveries, n);
        if (v->heard > before)
            continue;
        log_error("delivery-lost", "message=%" PRIu64 " reason=nothing was heard of it for hours", v->mail->row.id);
        end_rest(q, v, 451, STR("4.3.0 The delivery was lost inside the server"));
    }
}

void dispatch_sweep(struct queue *q)
{
    give_up_silent(q);
    for (struct map_node *it = map_walk(&q->dispatch.destinations, NULL); it; it = map_walk(&q->dispatch.destinations, it)) {
        struct destination *d = CONTAINER(it, struct destination, by_name);

        if (d->standing == STANDING_SLOW)
            shed(q, d);
    }
    destination_free_idle(&q->dispatch, clock_monotonic() - IDLE * SECOND);
}

/* ---- results ---- */

enum verdict_kind verdict_of(uint64_t status)
{
    static const enum verdict_kind kinds[] = {
        [DELIVERY_DELIVERED] = VERDICT_DELIVERED, [DELIVERY_RELAYED] = VERDICT_RELAYED,
        [DELIVERY_DEFERRED] = VERDICT_DEFERRED, [DELIVERY_FAILED] = VERDICT_FAILED};

    return status < sizeof kinds / sizeof kinds[0] ? kinds[status] : VERDICT_DEFERRED;
}

void dispatch_count(struct queue *q, struct channel *from, uint64_t status, bool wanted)
{
    struct result_counts *counts = &q->dispatch.results[status <= DELIVERY_FAILED ? status : DELIVERY_DEFERRED];

    channel_took(from, handover_of(status));
    counts->came++;
    *(wanted ? &counts->waiting : &counts->moot) += 1;
}

void dispatch_on_rcpt_done(struct role *role, struct channel *from, const struct msg_rcpt_done *m)
{
    struct queue *q = role_state(role);
    struct delivery *v = find(q, from, m->id);
    struct rcpt *r = v == NULL ? NULL : take_rcpt(v, m->n);
    int64_t latest = clock_steady() + DAY;

    dispatch_count(q, from, m->status, r != NULL);
    if (r == NULL)
        return;
    destination_judge(v->dest, m->status != DELIVERY_DEFERRED);
    outcome_add(q, v->outcome, r, &(struct verdict_info){.kind = verdict_of(m->status),
        .reason = m->reason <= REASON_OTHER ? (enum delivery_reason)m->reason : REASON_OTHER,
        .code = m->code < 1000 ? (unsigned)m->code : 0, .dsn = m->dsn != 0, .ours = m->host.n == 0,
        .retry_at = m->retry_at < latest ? m->retry_at : latest, .text = m->text, .host = m->host, .ip = m->ip,
        .tls = m->tls, .policy = m->policy, .source = m->source});
    if (v->dest->lane->role == ROLE_MAILBOX)
        delivery_end(q, v); /* it has no other recipients */
}

void dispatch_on_deliver_done(struct role *role, struct channel *from, const struct msg_deliver_done *m)
{
    struct queue *q = role_state(role);
    struct delivery *v = find(q, from, m->id);

    if (v != NULL)
        end_rest(q, v, 451, STR("4.3.0 The delivery ended without a result"));
    else if (channel_role(from) == ROLE_RELAY) /* given up long ago */
        ipc_send_deliver_stored(from, &(struct msg_deliver_stored){m->id});
}

void dispatch_on_window(struct role *role, struct channel *from, const struct msg_window *m)
{
    struct queue *q = role_state(role);
    struct destination *d = destination_find(&q->dispatch, m->destination);

    if (d == NULL || d->lane->copy != channel_copy(from))
        return;
    destination_set_window(d, m->window < 1 ? 1 : m->window > 100000 ? 100000 : m->window);
    d->last_used = clock_monotonic();
    if (d->standing == STANDING_SLOW)
        shed(q, d);
    mark_ready(q, d);
}

/* The process died with the delivery: its recipients wait again at the front, with no attempt counted;
 * one that saw this more often is put off, so that a message that kills the process does not do it for ever. */
static void delivery_lost(struct queue *q, struct delivery *v)
{
    struct destination *d = v->dest;
    struct link *first;

    while ((first = list_first(&v->rcpts)) != NULL) {
        struct rcpt *r = CONTAINER(first, struct rcpt, link);

        if (!r->forgotten && r->losses++ >= LOSSES_MAX)
            break;
        list_remove(first);
        if (r->forgotten) {
            rcpt_free(q, r);
            continue;
        }
        r->stage = STAGE_WAITING;
        r->delivery = NULL;
        list_add_first(&d->waiting[r->row.class], &r->link);
        destination_wait(d, (enum mail_class)r->row.class, 1);
        v->n--; /* not one that has ended: the pace would be taken for that of dying */
    }
    end_rest(q, v, 451, STR("4.3.0 The delivering process stopped unexpectedly"));
}

void dispatch_peer_gone(struct queue *q, struct channel *c)
{
    struct map_node *n = map_walk(&q->dispatch.deliveries, NULL);

    dispatch_relay_gone(q, c);
    while (n != NULL) {
        struct delivery *v = CONTAINER(n, struct delivery, by_id);

        n = map_walk(&q->dispatch.deliveries, n);
        if (v->serial == channel_serial(c))
            delivery_lost(q, v);
    }
}
