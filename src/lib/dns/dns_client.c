/* See dns_client.h. */
#include "dns/dns_client.h"

#include <string.h>

void dns_client_init(struct dns_client *c, void (*send)(void *, const struct msg_dns_ask *), void *world)
{
    *c = (struct dns_client){.send = send, .world = world};
    map_init(&c->pending);
}

void dns_client_clear(struct dns_client *c)
{
    struct map_node *node = map_walk(&c->pending, NULL);

    while (node != NULL) {
        struct map_node *next = map_walk(&c->pending, node);

        map_remove(&c->pending, node);
        node = next;
    }
    map_clear(&c->pending);
}

static void send_query(struct dns_client *c, const struct dns_query *query)
{
    c->send(c->world, &(struct msg_dns_ask){query->id, query->type, str_of(query->name)});
}

bool dns_client_ask(struct dns_client *c, struct dns_query *query, struct str name, unsigned type,
    dns_done_fn *done, void *owner)
{
    if (!dns_name_can_be_asked(name))
        return false;
    dns_client_cancel(c, query);
    *query = (struct dns_query){.id = ++c->last_id, .type = type, .done = done, .owner = owner};
    memcpy(query->name, name.p, name.n);
    map_add(&c->pending, &query->node, map_hash_number(query->id));
    send_query(c, query);
    return true;
}

void dns_client_cancel(struct dns_client *c, struct dns_query *query)
{
    map_remove(&c->pending, &query->node);
}

void dns_client_reply(struct dns_client *c, const struct msg_dns_reply *reply)
{
    struct map_node *node = map_find(&c->pending, map_hash_number(reply->id));

    for (; node != NULL; node = map_find_next(node)) {
        struct dns_query *query = CONTAINER(node, struct dns_query, node);

        if (query->id != reply->id)
            continue;
        map_remove(&c->pending, node);
        query->done(query, reply);
        return;
    }
}

void dns_client_resend(struct dns_client *c)
{
    for (struct map_node *node = map_walk(&c->pending, NULL); node != NULL; node = map_walk(&c->pending, node))
        send_query(c, CONTAINER(node, struct dns_query, node));
}
