/* Back-pressure, coarse on purpose: while too much waits for any queue shard, no smtp copy is read;
 * while too much waits for any smtp copy, no queue shard is read. Neither of them ever waits for the
 * filter to take something before it reads, so this cannot lock up.
 *
 * Also passes on whether the queue shards take messages. */
#include "filter.h"

static bool too_much_waits(struct filter *f, enum role_id peer)
{
    for (unsigned i = 0; i < role_peers(f->role, peer); i++) {
        struct channel *c = role_peer(f->role, peer, i);

        if (c != NULL && channel_backlog(c) > CHANNEL_HIGH)
            return true;
    }
    return false;
}

static void read_all(struct filter *f, enum role_id peer, bool on)
{
    for (unsigned i = 0; i < role_peers(f->role, peer); i++) {
        struct channel *c = role_peer(f->role, peer, i);

        if (c != NULL)
            channel_read(c, on);
    }
}

static enum role_id other_end(enum role_id peer)
{
    return peer == ROLE_QUEUE ? ROLE_SMTP : ROLE_QUEUE;
}

static bool is_on_the_line(enum role_id peer)
{
    return peer == ROLE_QUEUE || peer == ROLE_SMTP;
}

static void on_drained(struct role *role, struct channel *c)
{
    struct filter *f = role_state(role);
    enum role_id peer = channel_role(c);

    if (!too_much_waits(f, peer))
        read_all(f, other_end(peer), true);
}

void flow_wrote(struct filter *f, struct channel *to)
{
    if (channel_backlog(to) > CHANNEL_HIGH)
        read_all(f, other_end(channel_role(to)), false);
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
    if (too_much_waits(f, other_end(peer)))
        channel_read(c, false);
    if (peer == ROLE_SMTP) {
        for (unsigned i = 0; i < FILTER_SHARDS; i++)
            if (f->shards[i].known)
                tell(c, i, &f->shards[i]);
    } else if (channel_copy(c) < FILTER_SHARDS && f->shards[channel_copy(c)].known) {
        set_state(f, channel_copy(c), true, (struct str){0}); /* back: until it says otherwise */
    }
}

void flow_queue_gone(struct filter *f, struct channel *c)
{
    if (channel_copy(c) < FILTER_SHARDS)
        set_state(f, channel_copy(c), false, STR("4.3.0 The queue is starting again, try again later"));
    if (!too_much_waits(f, ROLE_QUEUE))
        read_all(f, ROLE_SMTP, true);
}

void flow_source_gone(struct filter *f)
{
    if (!too_much_waits(f, ROLE_SMTP))
        read_all(f, ROLE_QUEUE, true);
}
