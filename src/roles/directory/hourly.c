#include "hourly.h"

#include "base/clock.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

static const int64_t slot_time = HOUR / HOURLY_SLOTS;

struct sender {
    struct map_node node;
    struct link link;
    int64_t principal;
    int64_t slot; /* number of the newest slot */
    struct hourly_use uses[HOURLY_SLOTS];
};

void hourly_init(struct hourly *l)
{
    map_init(&l->map);
    list_init(&l->order);
}

static void forget(struct hourly *l, struct sender *s)
{
    map_remove(&l->map, &s->node);
    list_remove(&s->link);
    free(s);
}

void hourly_clear(struct hourly *l)
{
    LIST_EACH(&l->order, it)
    forget(l, CONTAINER(it, struct sender, link));
    map_clear(&l->map);
}

static struct sender *find(struct hourly *l, int64_t principal)
{
    struct map_node *node = map_find(&l->map, map_hash_number((uint64_t)principal));

    for (; node != NULL; node = map_find_next(node)) {
        struct sender *s = CONTAINER(node, struct sender, node);

        if (s->principal == principal)
            return s;
    }
    return NULL;
}

/* Empties the slots between the newest one and now. */
static void advance(struct sender *s, int64_t now)
{
    int64_t slot = now / slot_time;

    if (slot - s->slot >= HOURLY_SLOTS)
        memset(s->uses, 0, sizeof s->uses);
    else
        while (s->slot < slot)
            s->uses[++s->slot % HOURLY_SLOTS] = (struct hourly_use){0};
    s->slot = slot;
}

struct hourly_use hourly_used(struct hourly *l, int64_t principal, int64_t now)
{
    struct sender *s = find(l, principal);
    struct hourly_use sum = {0};

    if (s == NULL)
        return sum;
    advance(s, now);
    for (int i = 0; i < HOURLY_SLOTS; i++) {
        sum.messages += s->uses[i].messages;
        sum.recipients += s->uses[i].recipients;
    }
    return sum;
}

void hourly_charge(
    struct hourly *l, int64_t principal, int64_t messages, int64_t recipients, int64_t now)
{
    struct sender *s = find(l, principal);

    if (s == NULL) {
        if (l->map.count >= HOURLY_MAX)
            forget(l, CONTAINER(l->order.head.next, struct sender, link));
        s = xcalloc(1, sizeof *s);
        s->principal = principal;
        s->slot = now / slot_time;
        map_add(&l->map, &s->node, map_hash_number((uint64_t)principal));
    }
    advance(s, now);
    list_remove(&s->link);
    list_add_last(&l->order, &s->link);
    s->uses[s->slot % HOURLY_SLOTS].messages += messages;
    s->uses[s->slot % HOURLY_SLOTS].recipients += recipients;
}
