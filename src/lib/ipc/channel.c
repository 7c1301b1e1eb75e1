/* A byte stream to a peer role: frames in, frames out. Input is taken in one read a turn and every
 * whole frame in it is dispatched; output is collected and written once a turn, which is where many
 * small messages share one system call. */
#include "ipc/channel.h"
#include "base/log.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_AT_ONCE = 128 * 1024,
    OUTPUT_CEILING = 256 * 1024 * 1024, /* a peer that never reads is found out before we are killed */
};

struct channel {
    struct event_base *base;
    struct event *readable, *writable;
    int fd;
    struct role *role;
    enum role_id self, peer;
    unsigned copy;
    uint64_t serial;
    const struct handlers *handlers;
    channel_gone_fn *gone;
    void (*drained)(struct role *, struct channel *);
    struct buf in;
    struct buf out;
    size_t out_done; /* of out, already written */
    bool reading, ended, high, write_waits;
    struct handover_counts counts;
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

struct channel *channel_new(struct event_base *base, int fd, struct role *role, enum role_id self,
    enum role_id peer, unsigned copy, const struct handlers *handlers, channel_gone_fn *gone)
{
    static uint64_t serials;
    struct channel *c = xcalloc(1, sizeof *c);

    *c = (struct channel){.base = base, .fd = fd, .role = role, .self = self, .peer = peer, .copy = copy,
        .serial = ++serials, .handlers = handlers, .gone = gone, .reading = true};
    if (evutil_make_socket_nonblocking(fd) != 0)
        fatal("channel to %s: %s", role_name(peer), strerror(errno)); /* it could hold the loop */
    buf_init(&c->in, IPC_FRAME_MAX + READ_AT_ONCE);
    buf_init(&c->out, OUTPUT_CEILING);
    c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, fd, EV_WRITE, on_writable, c);
    if (c->readable == NULL || c->writable == NULL || event_add(c->readable, NULL) != 0)
        fatal("channel to %s: cannot watch the socket", role_name(peer));
    return c;
}

void channel_free(struct channel *c)
{
    event_free(c->readable);
    event_free(c->writable);
    close(c->fd);
    buf_clear(&c->in);
    buf_clear(&c->out);
    free(c);
}

struct role *channel_owner(const struct channel *c)
{
    return c->role;
}

enum role_id channel_role(const struct channel *c)
{
    return c->peer;
}

unsigned channel_copy(const struct channel *c)
{
    return c->copy;
}

uint64_t channel_serial(const struct channel *c)
{
    return c->serial;
}

struct buf *channel_output(struct channel *c)
{
    return &c->out;
}

size_t channel_backlog(const struct channel *c)
{
    return c->out.n - c->out_done;
}

void channel_gave(struct channel *c, enum handover what)
{
    c->counts.gave[what]++;
}

void channel_took(struct channel *c, enum handover what)
{
    c->counts.took[what]++;
}

const struct handover_counts *channel_counts(const struct channel *c)
{
    return &c->counts;
}

void channel_on_drained(struct channel *c, void (*drained)(struct role *, struct channel *))
{
    c->drained = drained;
}

void channel_output_added(struct channel *c)
{
    if (c->out.failed)
        fatal("channel to %s: %zu bytes wait and it does not read", role_name(c->peer), c->out.n);
    if (channel_backlog(c) > CHANNEL_HIGH)
        c->high = true;
}

static void output_sent(struct channel *c)
{
    if (c->out_done == c->out.n) {
        buf_reset(&c->out);
        c->out_done = 0;
    } else if (c->out_done > c->out.n / 2 && c->out_done > READ_AT_ONCE) {
        buf_consume(&c->out, c->out_done);
        c->out_done = 0;
    }
    if (c->high && channel_backlog(c) <= CHANNEL_HIGH / 2) {
        c->high = false;
        if (c->drained != NULL)
            c->drained(c->role, c);
    }
}

/* The peer is slow, or the kernel short of memory. */
static bool not_now(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

/* A process that died takes its end of the channel with it, and a new one comes with the next. Anything
 * else is between two that live on, and what was to be said is lost: neither would know. */
static void must_be_the_end(const struct channel *c, int error)
{
    if (error != EPIPE && error != ECONNRESET)
        fatal("channel to %s: %s", role_name(c->peer), strerror(error));
}

static void wait_to_write(struct channel *c)
{
    if (event_add(c->writable, NULL) != 0)
        fatal("channel to %s: cannot watch the socket", role_name(c->peer));
    c->write_waits = true;
}

void channel_flush(struct channel *c)
{
    ssize_t n;

    if (c->write_waits)
        return;
    while (c->out_done < c->out.n) {
        n = write(c->fd, c->out.p + c->out_done, c->out.n - c->out_done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && not_now(errno)) {
            wait_to_write(c);
            break;
        }
        if (n < 0) { /* the reading side will see the end and tell the owner */
            must_be_the_end(c, errno);
            c->out_done = c->out.n;
            break;
        }
        c->out_done += (size_t)n;
    }
    output_sent(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct channel *c = arg;

    (void)fd;
    (void)what;
    c->write_waits = false;
    channel_flush(c);
}

void channel_read(struct channel *c, bool on)
{
    if (c->reading == on)
        return;
    c->reading = on;
    if (!on) {
        event_del(c->readable);
        return;
    }
    if (event_add(c->readable, NULL) != 0)
        fatal("channel from %s: cannot watch the socket", role_name(c->peer));
    event_active(c->readable, EV_TIMEOUT, 0); /* frames may be left in the buffer */
}

/* One whole frame at the start of s, without its length; false while it is incomplete. */
static bool next_frame(struct channel *c, struct str s, struct str *frame)
{
    uint32_t length;

    if (s.n < sizeof length)
        return false;
    memcpy(&length, s.p, sizeof length);
    if (length > IPC_FRAME_MAX - sizeof length)
        fatal("channel from %s: a frame of %u bytes", role_name(c->peer), length);
    if (s.n - sizeof length < length)
        return false;
    *frame = str_sub(s, sizeof length, sizeof length + length);
    return true;
}

static void refuse(struct channel *c, struct str frame, const char *why)
{
    uint16_t type = 0;

    if (frame.n >= sizeof type)
        memcpy(&type, frame.p, sizeof type);
    fatal("message %s from %s: %s", ipc_message_name((enum msg_type)type), role_name(c->peer), why);
}

/* Dispatches the whole frames of s; returns how many bytes they had. */
static size_t dispatch_frames(struct channel *c, struct str s)
{
    size_t used = 0;
    struct str frame;
    const char *why;

    while (c->reading && next_frame(c, str_skip(s, used), &frame)) {
        used += sizeof(uint32_t) + frame.n;
        if (!ipc_dispatch(c->role, c, c->peer, c->self, c->handlers, frame, &why))
            refuse(c, frame, why);
    }
    return used;
}

/* What was left of the last turn and what can be read now, dispatched from one buffer that all
 * channels of the process share: an idle channel holds no memory. True when something was read. */
static bool take_input(struct channel *c, bool may_read)
{
    static char shared[IPC_FRAME_MAX + READ_AT_ONCE];
    struct str input = {shared, c->in.n};
    bool more = false;
    ssize_t n;

    if (c->in.n)
        memcpy(shared, c->in.p, c->in.n);
    if (may_read && input.n <= IPC_FRAME_MAX) {
        do
            n = read(c->fd, shared + input.n, READ_AT_ONCE);
        while (n < 0 && errno == EINTR);
        more = n > 0;
        if (n > 0) {
            input.n += (size_t)n;
        } else if (n == 0 || !not_now(errno)) {
            if (n < 0)
                must_be_the_end(c, errno);
            c->ended = true;
        }
    }
    input = str_skip(input, dispatch_frames(c, input));
    buf_reset(&c->in);
    buf_add(&c->in, input);
    return more;
}

void channel_take_rest(struct channel *c)
{
    while (c->reading && !c->ended && take_input(c, true))
        ;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct channel *c = arg;

    (void)fd;
    take_input(c, (what & EV_READ) != 0);
    if (c->ended && c->reading) {
        event_del(c->readable);
        c->gone(c);
    }
}
