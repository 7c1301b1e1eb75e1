/* See questions.h. A question lives from the first asker until its answer, its deadline, or the end. */
#include "questions.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

struct waiter {
    struct link link;
    struct channel *channel;
    uint64_t id;
};

void questions_init(struct questions *qs, const struct questions_limits *limits,
    const struct questions_world *calls, void *world)
{
    *qs = (struct questions){.limits = *limits, .calls = calls, .world = world};
    map_init(&qs->all);
    list_init(&qs->ages);
    list_init(&qs->line);
}

static uint64_t question_hash(struct str name, unsigned type)
{
    return map_hash_istr(name) + type;
}

static struct question *find(struct questions *qs, struct str name, unsigned type)
{
    struct map_node *node = map_find(&qs->all, question_hash(name, type));

    for (; node != NULL; node = map_find_next(node)) {
        struct question *q = CONTAINER(node, struct question, node);

        if (q->type == type && str_ieq(str_of(q->name), name))
            return q;
    }
    return NULL;
}

static struct question *add(struct questions *qs, struct str name, unsigned type, int64_t now)
{
    struct question *q = xcalloc(1, sizeof *q);

    q->type = type;
    memcpy(q->name, name.p, name.n);
    q->deadline = now + qs->limits.within;
    list_init(&q->waiters);
    map_add(&qs->all, &q->node, question_hash(name, type));
    list_add_last(&qs->ages, &q->by_age);
    list_add_last(&qs->line, &q->in_line);
    return q;
}

static void forget(struct questions *qs, struct question *q)
{
    map_remove(&qs->all, &q->node);
    list_remove(&q->by_age);
    list_remove(&q->in_line);
    if (q->started)
        qs->active--;
    if (q->alive != NULL)
        *q->alive = false;
    free(q);
}

static void answer(struct questions *qs, struct channel *to, const struct msg_dns_reply *reply)
{
    qs->book.answered++;
    qs->calls->answer(qs->world, to, reply);
}

static void answer_waiters(struct questions *qs, struct question *q, const struct msg_dns_reply *reply)
{
    struct msg_dns_reply copy = *reply;

    LIST_EACH(&q->waiters, it) {
        struct waiter *w = CONTAINER(it, struct waiter, link);

        copy.id = w->id;
        answer(qs, w->channel, &copy);
        list_remove(it);
        free(w);
        qs->waiters--;
    }
}

static void finish(struct questions *qs, struct question *q, const struct msg_dns_reply *reply)
{
    answer_waiters(qs, q, reply);
    forget(qs, q);
}

/* Starts what waits, as far as the limit goes. A start may be answered at once; the flag keeps the
 * stack flat then. */
static void pump(struct questions *qs)
{
    if (qs->pumping)
        return;
    qs->pumping = true;
    while (qs->active < qs->limits.active && !list_empty(&qs->line)) {
        struct question *q = CONTAINER(list_first(&qs->line), struct question, in_line);

        list_remove(&q->in_line);
        q->started = true;
        qs->active++;
        if (!qs->calls->start(qs->world, q))
            finish(qs, q,
                &(struct msg_dns_reply){.status = DNS_SERVFAIL, .text = STR("the look-up could not be started")});
    }
    qs->pumping = false;
}

void questions_ask(struct questions *qs, struct channel *from, const struct msg_dns_ask *ask, int64_t now)
{
    struct msg_dns_reply refusal = {.id = ask->id, .status = DNS_SERVFAIL};
    struct question *q = NULL;
    struct waiter *w;

    qs->book.came++;
    if (ask->type == 0 || ask->type > UINT16_MAX || !dns_name_can_be_asked(ask->name)) {
        refusal.text = STR("not a domain name");
        answer(qs, from, &refusal);
        return;
    }
    q = find(qs, ask->name, (unsigned)ask->type);
    if (qs->waiters >= qs->limits.waiters || (q == NULL && qs->all.count >= qs->limits.all)) {
        refusal.text = STR("too many DNS questions are open");
        answer(qs, from, &refusal);
        return;
    }
    if (q == NULL)
        q = add(qs, ask->name, (unsigned)ask->type, now);
    w = xcalloc(1, sizeof *w);
    w->channel = from;
    w->id = ask->id;
    list_add_last(&q->waiters, &w->link);
    qs->waiters++;
    pump(qs);
}

void questions_answer(struct questions *qs, struct question *q, const struct msg_dns_reply *reply)
{
    finish(qs, q, reply);
    pump(qs);
}

int64_t questions_expire(struct questions *qs, int64_t now)
{
    while (!list_empty(&qs->ages)) {
        struct question *q = CONTAINER(list_first(&qs->ages), struct question, by_age);

        if (q->deadline > now)
            return q->deadline;
        if (q->started)
            qs->calls->cancel(qs->world, q);
        finish(qs, q, &(struct msg_dns_reply){.status = DNS_TIMEOUT, .text = STR("no answer from DNS in time")});
        pump(qs);
    }
    return 0;
}

void questions_peer_gone(struct questions *qs, const struct channel *peer)
{
    LIST_EACH(&qs->ages, age) {
        struct question *q = CONTAINER(age, struct question, by_age);

        LIST_EACH(&q->waiters, it) {
            struct waiter *w = CONTAINER(it, struct waiter, link);

            if (w->channel != peer)
                continue;
            list_remove(it);
            free(w);
            qs->waiters--;
            qs->book.gone++;
        }
    }
}

int64_t questions_waiting(const struct questions *qs)
{
    int64_t n = 0;

    LIST_EACH(&qs->ages, age)
        LIST_EACH(&CONTAINER(age, struct question, by_age)->waiters, it)
            n++;
    return n;
}

void questions_suspend(struct questions *qs)
{
    qs->pumping = true;
    LIST_EACH(&qs->ages, age) {
        struct question *q = CONTAINER(age, struct question, by_age);

        if (!q->started)
            continue;
        qs->calls->cancel(qs->world, q);
        q->started = false;
        qs->active--;
        list_add_last(&qs->line, &q->in_line);
    }
}

void questions_resume(struct questions *qs)
{
    qs->pumping = false;
    pump(qs);
}
