/* Back-pressure, coarse on purpose: while too much waits for any queue shard, no source (smtp copy, events) is read;
 * while too much waits for any source, no queue shard is read. Neither of them ever waits for the
 * filter to take something before it reads, so this cannot lock up.
 *
 * Also passes on whether the queue shards take messages. */
#include "filter.h"

enum end { SOURCES, SHARDS };

static const enum role_id roles_of[][2] = {[SOURCES] = {ROLE_SMTP, ROLE_EVENTS}, [SHARDS] = {ROLE_QUEUE, ROLE_QUEUE}};

static bool peer_is_slow(struct filter *f, enum role_id peer)
{
    for (unsigned i = 0; i < role_peers(f->role, peer); i++) {
        struct channel *c = role_peer(f->role, peer, i);

        if (c != NULL && channel_backlog(c) > CHANNEL_HIGH)
            return true;
    }
    return false;
}

static bool too_much_waits(struct filter *f, enum end end)
{
    return peer_is_slow(f, roles_of[end][0]) || peer_is_slow(f, roles_of[end][1]);
}

static void read_peer(struct filter *f, enum role_id peer, bool on)
{
    for (unsigned i = 0; i < role_peers(f->role, peer); i++) {
        struct channel *c = role_peer(f->role, peer, i);

        if (c != NULL)
            channel_read(c, on);
    }
}

static void read_all(struct filter *f, enum end end, bool on)
{
    for (size_t i = 0; i < 2; i++)
        read_peer(f, roles_of[end][i], on);
}

static enum end end_of(enum role_id peer)
{
    return peer == ROLE_QUEUE ? SHARDS : SOURCES;
}

static enum end other_end(enum end end)
{
    return end == SHARDS ? SOURCES : SHARDS;
}

static bool is_on_the_line(enum role_id peer)
{
    return peer == ROLE_QUEUE || peer == ROLE_SMTP || peer == ROLE_EVENTS;
}

static void on_drained(struct role *role, struct channel *c)
{
    struct filter *f = role_state(role);
    enum end end = end_of(channel_role(c));

    if (!too_much_waits(f, end))
        read_all(f, other_end(end), true);
}

void flow_wrote(struct filter *f, struct channel *to)
{
    if (channel_backlog(to) > CHANNEL_HIGH)
        read_all(f, other_end(end_of(channel_role(to))), false);
}

static void tell(struct channel *to, uint64_t shard, const struct shard_state *s)
{
    ipc_send_queue_state(to, &(struct msg_queue_state){shard, s->shards, s->accepting, buf_str(&s->reason)});
}

static void tell_all(struct filter *f, uint64_t shard)
{
    for (unsigned i = 0; i < role_peers(f->role, ROLE_SMTP); i++) {
        struct channel *c = role_peer(f->role, ROLE_SMTP, i);

        if (c != NULL)
            tell(c, shard, &f->shards[shard]);
    }
}

static void set_state(struct filter *f, uint64_t shard, bool accepting, struct str reason)
{
    struct shard_state *s = &f->shards[shard];

    s->known = true;
    s->accepting = accepting;
    s->shards = role_peers(f->role, ROLE_QUEUE);
    buf_clear(&s->reason);
    s->reason.ceiling = IPC_TEXT;
    buf_add(&s->reason, reason);
    tell_all(f, shard);
}

void flow_on_queue_state(struct role *role, struct channel *from, const struct msg_queue_state *m)
{
    struct filter *f = role_state(role);
    unsigned shard = channel_copy(from);

    if (m->shard != shard || shard >= FILTER_SHARDS)
        return;
    set_state(f, shard, m->accepting != 0, m->reason);
}

void flow_peer_up(struct filter *f, struct channel *c)
{
    enum role_id peer = channel_role(c);

    if (!is_on_the_line(peer))
        return;
    channel_on_drained(c, on_drained);
    if (too_much_waits(f, other_end(end_of(peer))))
        channel_read(c, false);
    if (peer == ROLE_SMTP) {
        for (unsigned i = 0; i < FILTER_SHARDS; i++)
            if (f->shards[i].known)
                tell(c, i, &f->shards[i]);
    } else if (peer == ROLE_QUEUE && channel_copy(c) < FILTER_SHARDS && f->shards[channel_copy(c)].known) {
        set_state(f, channel_copy(c), true, (struct str){0}); /* back: until it says otherwise */
    }
}

void flow_queue_gone(struct filter *f, struct channel *c)
{
    if (channel_copy(c) < FILTER_SHARDS)
        set_state(f, channel_copy(c), false, STR("4.3.0 The queue is starting again, try again later"));
    if (!too_much_waits(f, SHARDS))
        read_all(f, SOURCES, true);
}

void flow_source_gone(struct filter *f)
{
    if (!too_much_waits(f, SOURCES))
        read_all(f, SHARDS, true);
}
