#include "queue_world_private.h"

#include <stdio.h>
#include <string.h>

enum { DELIVERIES = 4096, RCPTS = 200 };

struct shipment {
    uint64_t id, serial, size;
    enum role_id role;
    bool null_sender, waiting, slow;
    unsigned n;
    uint64_t numbers[RCPTS];
    char addresses[RCPTS][64];
    struct buf body;
};

static struct shipment shipments[DELIVERIES];
static char seen_once[256][64];
static unsigned seen_once_n;

static struct shipment *shipment(uint64_t id)
{
    return &shipments[id % DELIVERIES];
}

static void add_rcpt(struct shipment *s, uint64_t n, struct str address)
{
    if (s->n >= RCPTS && world.stranger)
        return;
    assert_true(s->n < RCPTS);
    s->numbers[s->n] = n;
    snprintf(s->addresses[s->n++], sizeof s->addresses[0], "%.*s", STR_ARG(address));
    if (str_starts(address, STR("slow@")))
        s->slow = true;
    buf_add(&world.order, address);
    buf_add_char(&world.order, ' ');
}

static bool first_time(const char *address)
{
    for (unsigned i = 0; i < seen_once_n; i++)
        if (strcmp(seen_once[i], address) == 0)
            return false;
    snprintf(seen_once[seen_once_n++ % 256], sizeof seen_once[0], "%s", address);
    return true;
}

static void answer_rcpt(struct channel *c, struct shipment *s, unsigned i)
{
    struct str address = str_of(s->addresses[i]);
    bool local = s->role == ROLE_MAILBOX;
    struct msg_rcpt_done done = {.id = s->id, .n = s->numbers[i],
        .status = local ? DELIVERY_DELIVERED : DELIVERY_RELAYED, .code = 250, .text = STR("2.0.0 ok")};

    if (!local)
        done.host = STR("mx.remote.test");
    if (str_starts(address, STR("gone@"))) {
        done.status = DELIVERY_FAILED;
        done.reason = REASON_NO_USER;
        done.code = 550;
        done.text = STR("5.1.1 gone away");
    } else if (str_starts(address, STR("later@")) || (str_starts(address, STR("once@")) && first_time(s->addresses[i]))) {
        done.status = DELIVERY_DEFERRED;
        done.reason = REASON_RATE;
        done.code = 451;
        done.text = STR("4.2.1 not now");
    } else {
        *(local ? &world.delivered : &world.relayed) += 1;
        if (world_hooks.relayed != NULL)
            world_hooks.relayed(s->addresses[i]);
    }
    dispatch_on_rcpt_done(no_role, c, &done);
}

static void answer_shipment(struct shipment *s)
{
    struct channel *c = &channels[s->role];

    if (!c->up || c->serial != s->serial)
        return;
    buf_reset(&world.last_body);
    buf_add(&world.last_body, buf_str(&s->body));
    world.reports += s->null_sender;
    if (s->n > world.max_per_delivery)
        world.max_per_delivery = s->n;
    for (unsigned i = 0; i < s->n; i++)
        answer_rcpt(c, s, i);
    dispatch_on_deliver_done(no_role, c, &(struct msg_deliver_done){.id = s->id});
}

static void shipment_complete(struct shipment *s)
{
    assert_int_equal(s->body.n, s->size);
    if (s->slow) {
        s->waiting = true;
        world.held_back++;
    } else {
        answer_shipment(s);
    }
}

void world_release(void)
{
    for (unsigned i = 0; i < DELIVERIES; i++) {
        if (!shipments[i].waiting)
            continue;
        shipments[i].waiting = false;
        world.held_back--;
        answer_shipment(&shipments[i]);
    }
}

static struct shipment *shipment_begin(struct channel *c, uint64_t id, uint64_t size, struct str sender, struct str body)
{
    struct shipment *s = shipment(id);

    buf_clear(&s->body);
    *s = (struct shipment){.id = id, .serial = c->serial, .size = size, .role = c->role, .null_sender = sender.n == 0};
    buf_init(&s->body, 16 << 20);
    buf_add(&s->body, body);
    world.deliveries++;
    world.last_delivery = id;
    return s;
}

static void fetch(struct channel *c, struct shipment *s)
{
    if (s->body.n < s->size)
        dispatch_on_body_ask(no_role, c, &(struct msg_body_ask){.id = s->id, .offset = s->body.n});
    else
        shipment_complete(s);
}

static void on_deliver_local(struct role *role, struct channel *from, const struct msg_deliver_local *m)
{
    struct shipment *s = shipment_begin(from, m->id, m->size, m->sender, m->body);

    (void)role;
    add_rcpt(s, m->n, m->rcpt);
    fetch(from, s);
}

static void on_deliver_remote(struct role *role, struct channel *from, const struct msg_deliver_remote *m)
{
    (void)role;
    buf_add(&world.senders, m->sender);
    buf_add_char(&world.senders, ' ');
    shipment_begin(from, m->id, m->size, m->sender, m->body);
}

static void on_deliver_rcpt(struct role *role, struct channel *from, const struct msg_deliver_rcpt *m)
{
    (void)role, (void)from;
    add_rcpt(shipment(m->id), m->n, m->address);
}

static void on_deliver_go(struct role *role, struct channel *from, const struct msg_deliver_go *m)
{
    (void)role;
    fetch(from, shipment(m->id));
}

static void on_body_chunk(struct role *role, struct channel *from, const struct msg_body_chunk *m)
{
    struct shipment *s = shipment(m->id);

    (void)role;
    if (world.stranger && (m->offset != s->body.n || m->data.n == 0))
        return;
    assert_int_equal(m->offset, s->body.n);
    buf_add(&s->body, m->data);
    assert_true(m->data.n > 0);
    fetch(from, s);
}

static void on_deliver_stored(struct role *role, struct channel *from, const struct msg_deliver_stored *m)
{
    (void)role, (void)from;
    world.stored++;
    world.last_stored = m->id;
}

static void on_told_stored(struct role *role, struct channel *from, const struct msg_told_stored *m)
{
    (void)role, (void)from;
    world.told_stored++;
    world.last_stored = m->id;
}

void world_tell(uint64_t message, uint64_t n, const char *address, enum delivery_status status)
{
    static uint64_t token;

    queue_handlers.rcpt_told(no_role, &channels[ROLE_RELAY], &(struct msg_rcpt_told){.id = ++token, .message = message, .n = n,
        .address = str_of(address), .status = status, .code = status == DELIVERY_FAILED ? 550 : 250, .text = STR("2.0.0 ok"),
        .host = STR("mx.remote.test")});
}

void world_rcpt_done(const struct msg_rcpt_done *m)
{
    dispatch_on_rcpt_done(no_role, &channels[ROLE_MAILBOX], m);
}

void world_deliver_done(const struct msg_deliver_done *m)
{
    dispatch_on_deliver_done(no_role, &channels[ROLE_MAILBOX], m);
}

void world_body_ask(const struct msg_body_ask *m)
{
    dispatch_on_body_ask(no_role, &channels[ROLE_MAILBOX], m);
}

const struct handlers shipment_handlers = {
    .deliver_local = on_deliver_local,
    .deliver_remote = on_deliver_remote,
    .deliver_rcpt = on_deliver_rcpt,
    .deliver_go = on_deliver_go,
    .body_chunk = on_body_chunk,
    .deliver_stored = on_deliver_stored,
    .told_stored = on_told_stored,
};

void shipments_begin(void)
{
    seen_once_n = 0;
}

void shipments_forget(void)
{
    for (unsigned i = 0; i < DELIVERIES; i++) {
        if (shipments[i].id == 0)
            continue;
        buf_clear(&shipments[i].body);
        memset(&shipments[i], 0, sizeof shipments[i]);
    }
    world.held_back = 0;
}
