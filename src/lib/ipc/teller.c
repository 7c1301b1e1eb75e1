/* See teller.h. */
#include "ipc/teller.h"
#include "ipc/channel.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEPT_COUNT = 50000,
    KEPT_BYTES = 32 * 1024 * 1024,
};

/* The texts lie behind the struct. */
struct kept_event {
    struct link link;
    struct msg_event m;
    size_t bytes;
};

void teller_init(struct teller *t, struct metric *dropped, struct metric *waiting)
{
    *t = (struct teller){.dropped = dropped, .waiting = waiting};
    list_init(&t->kept);
    metric_show(dropped);
    metric_show(waiting);
}

static struct str keep(char **at, struct str s)
{
    struct str kept = str_from(*at, s.n);

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

static struct kept_event *after(const struct teller *t, const struct kept_event *k)
{
    return k->link.next == &t->kept.head ? NULL : CONTAINER(k->link.next, struct kept_event, link);
}

static void forget(struct teller *t, struct kept_event *k)
{
    if (t->unsent == k)
        t->unsent = after(t, k);
    list_remove(&k->link);
    t->count--;
    t->bytes -= k->bytes;
    free(k);
}

static void make_room(struct teller *t)
{
    while (t->count >= KEPT_COUNT || t->bytes > KEPT_BYTES) {
        forget(t, CONTAINER(list_first(&t->kept), struct kept_event, link));
        metric_add(t->dropped, 1);
    }
}

void teller_add(struct teller *t, const struct msg_event *event)
{
    struct str sender = str_sub(event->sender, 0, IPC_ADDRESS), rcpt = str_sub(event->rcpt, 0, IPC_ADDRESS);
    struct str message_id = str_sub(event->message_id, 0, IPC_NAME), details = str_sub(event->details, 0, IPC_CHUNK);
    struct kept_event *k;
    size_t bytes = sizeof *k + sender.n + rcpt.n + message_id.n + details.n;
    char *at;

    make_room(t);
    k = xcalloc(1, bytes);
    at = (char *)(k + 1);
    k->bytes = bytes;
    k->m = *event;
    k->m.seq = ++t->seq;
    k->m.sender = keep(&at, sender);
    k->m.rcpt = keep(&at, rcpt);
    k->m.message_id = keep(&at, message_id);
    k->m.details = keep(&at, details);
    list_add_last(&t->kept, &k->link);
    t->count++;
    t->bytes += bytes;
    metric_set(t->waiting, (int64_t)t->count);
    if (t->unsent == NULL)
        t->unsent = k;
}

void teller_turn(struct teller *t, struct channel *events)
{
    while (events != NULL && t->unsent != NULL && channel_backlog(events) <= CHANNEL_HIGH) {
        ipc_send_event(events, &t->unsent->m);
        channel_gave(events, HANDOVER_EVENT);
        t->unsent = after(t, t->unsent);
    }
}

void teller_peer_up(struct teller *t)
{
    struct link *first = list_first(&t->kept);

    t->unsent = first == NULL ? NULL : CONTAINER(first, struct kept_event, link);
}

void teller_acknowledged(struct teller *t, uint64_t seq)
{
    struct link *first;

    while ((first = list_first(&t->kept)) != NULL) {
        struct kept_event *k = CONTAINER(first, struct kept_event, link);

        if (k->m.seq > seq)
            break;
        forget(t, k);
    }
    metric_set(t->waiting, (int64_t)t->count);
}
