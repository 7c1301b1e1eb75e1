/* From a recipient's address to a mailbox, a route, other addresses, or an end. */
#include "resolve.h"

#include "base/clock.h"
#include "queue.h"
#include "result.h"

#define ANSWER_TIME (2 * MINUTE)

enum {
    IN_FLIGHT = 1000,
    DEPTH_MAX = 10, /* aliases of aliases */
};

void resolve_init(struct resolve *s)
{
    for (int class = 0; class < CLASS_COUNT; class++)
        list_init(&s->waiting[class]);
    map_init(&s->asked);
}

void resolve_add(struct queue *q, struct rcpt *r)
{
    r->stage = STAGE_TO_RESOLVE;
    list_add_last(&q->resolve.waiting[r->row.class], &r->link);
}

static void take_back(struct queue *q, struct rcpt *r)
{
    map_remove(&q->resolve.asked, &r->by_ask);
    q->resolve.in_flight--;
}

void resolve_remove(struct queue *q, struct rcpt *r)
{
    if (r->stage == STAGE_RESOLVING)
        take_back(q, r);
    else if (r->stage == STAGE_TO_RESOLVE)
        list_remove(&r->link);
    else
        return;
    r->stage = STAGE_NEW;
}

static void ask(struct queue *q, struct channel *c, struct rcpt *r)
{
    list_remove(&r->link);
    r->stage = STAGE_RESOLVING;
    r->ask = role_next_id(q->role);
    r->asked_at = clock_monotonic();
    map_add(&q->resolve.asked, &r->by_ask, map_hash_number(r->ask));
    q->resolve.in_flight++;
    ipc_send_resolve_ask(c, &(struct msg_resolve_ask){.id = r->ask, .class = r->row.class,
        .expanded = r->row.depth > 0, .submitted = (r->mail->row.flags & TXN_SUBMISSION) != 0,
        .address = r->row.address, .sender = r->mail->row.sender, .original = r->row.original});
}

void resolve_turn(struct queue *q)
{
    struct channel *c = role_peer(q->role, ROLE_DIRECTORY, 0);

    for (int class = 0; c != NULL && class < CLASS_COUNT; class++) {
        struct link *first;

        while ((first = list_first(&q->resolve.waiting[class])) != NULL) {
            if (q->resolve.in_flight >= IN_FLIGHT || channel_backlog(c) > CHANNEL_HIGH)
                return;
            ask(q, c, CONTAINER(first, struct rcpt, link));
        }
    }
}

static struct rcpt *find(struct queue *q, uint64_t id)
{
    for (struct map_node *n = map_find(&q->resolve.asked, map_hash_number(id)); n; n = map_find_next(n)) {
        struct rcpt *r = CONTAINER(n, struct rcpt, by_ask);

        if (r->ask == id)
            return r;
    }
    return NULL;
}

/* An end without a delivery, in our own words. */
static void end(struct queue *q, struct rcpt *r, enum verdict_kind kind, enum delivery_reason reason, unsigned code,
    struct str text)
{
    result_single(q, r, &(struct verdict_info){.kind = kind, .reason = reason, .code = code, .text = text});
}

static void on_local(struct queue *q, struct rcpt *r, const struct msg_resolve_reply *m)
{
    r->account = m->account;
    str_free(&r->target);
    r->target = str_dup(m->address.n ? m->address : r->row.address);
    dispatch_local(q, r);
}

static void on_remote(struct queue *q, struct rcpt *r, const struct msg_resolve_reply *m)
{
    dispatch_remote(q, r, m);
}

static void on_expand(struct queue *q, struct rcpt *r, const struct msg_resolve_reply *m)
{
    if (r->row.depth >= DEPTH_MAX)
        end(q, r, VERDICT_FAILED, REASON_LIMIT, 554, STR("5.4.6 Aliases point at each other"));
    else
        result_single(q, r, &(struct verdict_info){.kind = VERDICT_EXPANDED, .targets = m->targets});
}

static void on_discard(struct queue *q, struct rcpt *r, const struct msg_resolve_reply *m)
{
    (void)m;
    end(q, r, VERDICT_DISCARDED, REASON_NONE, 250, STR("2.0.0 Discarded by a route"));
}

static void on_fail(struct queue *q, struct rcpt *r, const struct msg_resolve_reply *m)
{
    end(q, r, VERDICT_FAILED, REASON_NO_USER, 550, m->text.n ? m->text : STR("5.1.1 No such user"));
}

static void on_tempfail(struct queue *q, struct rcpt *r, const struct msg_resolve_reply *m)
{
    end(q, r, VERDICT_DEFERRED, REASON_OTHER, 451, m->text.n ? m->text : STR("4.3.0 Directory failed for now"));
}

void resolve_on_reply(struct role *role, struct channel *from, const struct msg_resolve_reply *m)
{
    static void (*const handlers[])(struct queue *, struct rcpt *, const struct msg_resolve_reply *) = {
        [RESOLVE_LOCAL] = on_local, [RESOLVE_REMOTE] = on_remote, [RESOLVE_EXPAND] = on_expand,
        [RESOLVE_DISCARD] = on_discard, [RESOLVE_FAIL] = on_fail, [RESOLVE_TEMPFAIL] = on_tempfail};
    struct queue *q = role_state(role);
    struct rcpt *r = find(q, m->id);

    (void)from;
    if (r == NULL)
        return;
    take_back(q, r);
    r->stage = STAGE_NEW;
    str_free(&r->sender);
    r->sender = str_dup(m->sender);
    if (m->result < sizeof handlers / sizeof handlers[0])
        handlers[m->result](q, r, m);
    else
        end(q, r, VERDICT_DEFERRED, REASON_OTHER, 451, STR("4.3.0 Directory gave no answer of use"));
}

/* Asked before that moment: forgotten by directory, and asked again. */
static void ask_again(struct queue *q, int64_t before)
{
    struct map_node *n = map_walk(&q->resolve.asked, NULL);

    while (n != NULL) {
        struct rcpt *r = CONTAINER(n, struct rcpt, by_ask);

        n = map_walk(&q->resolve.asked, n);
        if (r->asked_at > before)
            continue;
        take_back(q, r);
        resolve_add(q, r);
    }
}

void resolve_sweep(struct queue *q)
{
    ask_again(q, clock_monotonic() - ANSWER_TIME);
}

void resolve_peer_gone(struct queue *q)
{
    ask_again(q, INT64_MAX);
}
