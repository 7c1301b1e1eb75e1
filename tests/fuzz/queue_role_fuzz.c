/* The queue role fed with any messages in any order from every peer, with peers that die, time that
 * passes and commits that fail: it must neither crash nor lose count of what it holds. The world of the
 * unit tests plays along: it answers honestly besides. */
#include "../unit/queue_world.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t n;
};

static uint8_t byte(struct input *in)
{
    if (in->n == 0)
        return 0;
    in->n--;
    return *in->p++;
}

/* Small numbers mostly, so that they meet; sometimes absurd ones. */
static uint64_t number(struct input *in)
{
    uint8_t b = byte(in);

    return b < 240 ? b : b < 248 ? UINT64_MAX - b : (uint64_t)INT64_MAX + b;
}

static struct str text(struct input *in, size_t longest)
{
    size_t n = byte(in) % 64;
    struct str s;

    n = n < in->n ? n : in->n;
    n = n < longest ? n : longest;
    s = str_from((const char *)in->p, n);
    in->p += n;
    in->n -= n;
    return s;
}

static struct str address(struct input *in)
{
    static const char *const some[] = {"u@local.test", "x@remote.test", "list@local.test", "loop@local.test",
        "gone@remote.test", "later@local.test", "slow@remote.test", "slow@local.test", "nobody@local.test", "drop@x.test"};
    uint8_t b = byte(in);

    return b < 200 ? str_of(some[b % 10]) : text(in, IPC_ADDRESS);
}

/* Who may say it is checked by the decoder; NULL while that one is down. */
static struct channel *peer(enum role_id role)
{
    return role_peer(world.queue->role, role, 0);
}

static uint64_t delivery_id(struct input *in)
{
    return world.last_delivery + number(in) - 5;
}

static void say_txn(struct role *role, struct input *in)
{
    struct channel *c = peer(ROLE_FILTER);
    uint64_t id = number(in);

    if (c == NULL)
        return;
    switch (byte(in) % 5) {
    case 0:
        queue_handlers.txn_begin(role, c, &(struct msg_txn_begin){.id = id, .message = number(in), .flags = number(in),
            .sender = address(in), .envid = text(in, IPC_NAME), .priority = number(in), .account = number(in),
            .hold_until = (int64_t)number(in), .deliver_by = (int64_t)number(in)});
        break;
    case 1:
        queue_handlers.txn_rcpt(role, c,
            &(struct msg_txn_rcpt){.id = id, .notify = number(in), .address = address(in), .orcpt = text(in, IPC_ADDRESS)});
        break;
    case 2: {
        static const char zeros[IPC_CHUNK];

        queue_handlers.txn_chunk(role, c, &(struct msg_txn_chunk){.id = id, .data = {zeros, (size_t)byte(in) * 257}});
        break;
    }
    case 3:
        queue_handlers.txn_end(role, c,
            &(struct msg_txn_end){.id = id, .flags = number(in), .prepend = text(in, IPC_CHUNK), .message_id = text(in, IPC_NAME)});
        break;
    default:
        queue_handlers.txn_abort(role, c, &(struct msg_txn_abort){.id = id});
    }
}

/* What relay tells a process of queue that is new to it. */
static void say_told(struct role *role, struct input *in, bool all)
{
    struct channel *c = peer(ROLE_RELAY);

    if (c != NULL && all)
        queue_handlers.told_all(role, c, &(struct msg_told_all){.n = number(in)});
    else if (c != NULL)
        queue_handlers.rcpt_told(role, c, &(struct msg_rcpt_told){.id = number(in), .message = number(in), .n = number(in),
            .address = address(in), .status = number(in), .reason = number(in), .code = number(in), .text = text(in, IPC_TEXT),
            .host = text(in, IPC_NAME)});
}

static void say_result(struct role *role, struct input *in)
{
    uint64_t id = delivery_id(in);
    uint8_t what = byte(in);
    struct channel *c = peer(what % 5 == 4 ? ROLE_DIRECTORY : what & 128 ? ROLE_MAILBOX : ROLE_RELAY);

    if (what >= 250) {
        say_told(role, in, what % 2);
        return;
    }
    if (c == NULL)
        return;
    switch (what % 5) {
    case 0:
        queue_handlers.rcpt_done(role, c, &(struct msg_rcpt_done){.id = id, .n = number(in), .status = number(in),
            .reason = number(in), .code = number(in), .retry_at = (int64_t)number(in), .text = text(in, IPC_TEXT), .host = text(in, IPC_NAME)});
        break;
    case 1:
        queue_handlers.deliver_done(role, c, &(struct msg_deliver_done){.id = id});
        break;
    case 2:
        queue_handlers.body_ask(role, c, &(struct msg_body_ask){.id = id, .offset = number(in)});
        break;
    case 3:
        queue_handlers.window(role, c, &(struct msg_window){.window = number(in), .destination = address(in)});
        break;
    default:
        queue_handlers.resolve_reply(role, c, &(struct msg_resolve_reply){.id = id, .result = number(in),
            .address = address(in), .targets = text(in, IPC_LIST), .hosts = text(in, IPC_TEXT), .route = number(in), .sender = address(in)});
    }
}

static void say_command(struct role *role, struct input *in)
{
    static const char *const some[] = {"summary", "list", "hold\0all=yes", "release\0all=yes", "retry\0all=yes",
        "delete\0all=yes", "show", "export"};
    static const size_t lengths[] = {8, 5, 13, 16, 14, 15, 5, 7};
    uint64_t id = number(in);
    uint8_t what = byte(in);
    struct channel *c = peer(what % 4 == 3 ? ROLE_EVENTS : ROLE_WEB);

    if (c == NULL)
        return;
    switch (what % 4) {
    case 0:
        queue_handlers.control_more(role, c, &(struct msg_control_more){.id = id});
        break;
    case 1:
        queue_handlers.control_cancel(role, c, &(struct msg_control_cancel){.id = id});
        break;
    case 2:
        queue_handlers.control_ask(role, c, &(struct msg_control_ask){.id = id, .command = STR("queue"),
            .args = {some[what / 4 % 8], lengths[what / 4 % 8]}});
        break;
    default:
        queue_handlers.event_ack(role, c, &(struct msg_event_ack){.seq = id});
    }
}

static void happen(struct input *in)
{
    uint8_t what = byte(in);

    switch (what % 6) {
    case 0:
        world_peer(what & 64 ? ROLE_RELAY : what & 32 ? ROLE_MAILBOX : ROLE_FILTER, what & 128);
        break;
    case 1:
        world_peer(what & 64 ? ROLE_DIRECTORY : what & 32 ? ROLE_EVENTS : ROLE_WEB, what & 128);
        break;
    case 2:
        world_disk_full(what & 128);
        break;
    case 3:
        world_pass((int64_t)what * HOUR / 8);
        break;
    case 4:
        world_fail_at(1 + what / 6);
        break;
    default:
        world_release();
        queue_turn(world.queue);
    }
}

static void step(struct input *in)
{
    struct role *role = world.queue->role;
    uint8_t what = byte(in);

    if (what % 8 == 7)
        happen(in);
    else if (what % 8 < 4)
        say_txn(role, in);
    else if (what % 8 < 6)
        say_result(role, in);
    else
        say_command(role, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    world_open("queue { active = 20 memory = \"1M\" }");
    world.stranger = true;
    while (in.n > 0)
        step(&in);
    world_fail_at(0);
    world_disk_full(false);
    for (enum role_id r = ROLE_DIRECTORY; r < ROLE_COUNT; r++)
        world_peer(r, true);
    world_peer(ROLE_FILTER, false); /* ends what was open */
    for (int i = 0; i < 20; i++) {
        world_release();
        world_pass(DAY);
    }
    assert_int_equal(world.queue->incoming.count, 0);
    assert_int_equal(world.queue->incoming.bytes, 0);
    assert_true(world.queue->mails.active_count[0] + world.queue->mails.active_count[1] == 0 || world.queue->draining);
    assert_int_equal(world_count("recipient"), world.queue->counts.all.held + world.queue->counts.all.waiting[0] +
                                                   world.queue->counts.all.waiting[1]);
    assert_int_equal(world_count("recipient"), world.queue->counts.all.held);
    assert_int_equal(world_count("message"), world.queue->counts.messages);
    world_close();
    return 0;
}
