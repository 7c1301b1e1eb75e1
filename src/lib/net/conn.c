/* A connection: input is read into a scratch buffer on the stack and handed to the owner, so an idle
 * connection holds no input memory; only what the owner could not use yet is kept. Output is
 * collected and written once a turn of the loop.
 *
 * What keeps callers simple: `closed` and the other events are called from the loop only, never
 * inside a call of the owner; conn_free is allowed anywhere, the memory goes when the last callback
 * of ours has returned. */
#include "net/conn_private.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUTPUT_MAX = 64 * 1024 * 1024, OUTPUT_LOW = CONN_OUTPUT_HIGH / 2, HOLD_MAX = 4096,
    DRAIN_READS = 8 };

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_turn(evutil_socket_t fd, short what, void *arg);

void conn_want_turn(struct conn *c)
{
    if (c->turn_armed)
        return;
    c->turn_armed = true;
    event_active(&c->turn, EV_TIMEOUT, 0);
}

/* The kernel has no memory to watch the socket: nothing more would ever be heard of it. */
static void not_watched(struct conn *c)
{
    conn_fail(c, "the connection cannot be watched");
}

static void want_read(struct conn *c, bool on)
{
    if (c->read_armed == on)
        return;
    c->read_armed = on;
    if (!on)
        event_del(&c->readable);
    else if (event_add(&c->readable, NULL) != 0)
        not_watched(c);
}

void conn_want_write(struct conn *c, bool on)
{
    if (c->write_armed == on)
        return;
    c->write_armed = on;
    if (!on)
        event_del(&c->writable);
    else if (event_add(&c->writable, NULL) != 0)
        not_watched(c);
}

void conn_fail(struct conn *c, const char *reason)
{
    if (c->failure == NULL)
        c->failure = xstrndup(reason, strlen(reason));
    conn_want_turn(c);
}

static void disarm(struct conn *c)
{
    want_read(c, false);
    conn_want_write(c, false);
    event_del(&c->turn);
    event_del(&c->timer);
    c->turn_armed = false;
    c->timer_at = 0;
}

void conn_end(struct conn *c, bool timed_out, const char *reason)
{
    if (c->ended || c->dead)
        return;
    c->ended = true;
    disarm(c);
    c->events->closed(c->owner, timed_out, reason);
}

static void release(struct conn *c)
{
    buf_clear(&c->in);
    buf_clear(&c->out);
    free(c->failure);
    free(c);
}

void conn_enter(struct conn *c)
{
    c->depth++;
}

void conn_leave(struct conn *c)
{
    if (--c->depth == 0 && c->dead)
        release(c);
}

static struct conn *create(struct event_base *base, int fd, const struct conn_events *events, void *owner)
{
    struct conn *c = xcalloc(1, sizeof *c);
    int yes = 1;

    c->base = base;
    c->fd = fd;
    c->events = events;
    c->owner = owner;
    c->reading = true;
    buf_init(&c->in, CONN_INPUT_MAX);
    buf_init(&c->out, OUTPUT_MAX);
    evutil_make_socket_nonblocking(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* fails on a local socket: no harm */
    event_assign(&c->readable, base, fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    event_assign(&c->turn, base, -1, 0, on_turn, c);
    event_assign(&c->timer, base, -1, 0, conn_on_timer, c);
    return c;
}

struct conn *conn_new(struct event_base *base, int fd, const struct conn_events *events, void *owner)
{
    struct conn *c = create(base, fd, events, owner);

    want_read(c, true);
    return c;
}

bool conn_connect(struct conn **conn, struct event_base *base, const struct ip *to, uint16_t port,
    const struct ip *source, int64_t within, const struct conn_events *events, void *owner, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t size = ip_to_sockaddr(to, port, &address), source_size;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    struct sockaddr_storage from;
    struct conn *c;

    if (fd < 0)
        return err_set(err, ERR_TEMPORARY, "socket: %s", strerror(errno));
    if (source != NULL && source->family != 0) {
        source_size = ip_to_sockaddr(source, 0, &from);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(fd, (struct sockaddr *)&from, source_size) != 0) {
            err_set(err, ERR_TEMPORARY, "bind to the source address: %s", strerror(errno));
            close(fd);
            return false;
        }
    }
    if (connect(fd, (struct sockaddr *)&address, size) != 0 && errno != EINPROGRESS) {
        err_set(err, ERR_TEMPORARY, "connect: %s", strerror(errno));
        close(fd);
        return false;
    }
    c = *conn = create(base, fd, events, owner);
    c->connecting = true;
    conn_set_peer(c, to, port);
    conn_total_limit(c, within);
    conn_want_write(c, true);
    return true;
}

/* Unread input would make close() answer with a reset, which can destroy our last reply on its way. */
static void drain_before_close(struct conn *c)
{
    char sink[4096];
    int reads = 0;

    shutdown(c->fd, SHUT_WR);
    while (reads++ < DRAIN_READS && recv(c->fd, sink, sizeof sink, MSG_DONTWAIT) > 0)
        ;
}

void conn_free(struct conn *c)
{
    if (c == NULL || c->dead)
        return;
    c->dead = true;
    disarm(c);
    conn_tls_end(c);
    if (c->closing)
        drain_before_close(c);
    close(c->fd);
    if (c->depth == 0)
        release(c);
}

/* ---- output ---- */

size_t conn_output_waiting(const struct conn *c)
{
    return c->out.n - c->sent;
}

static ptrdiff_t write_some(struct conn *c, struct str bytes)
{
    ssize_t n;

    if (c->phase == CONN_SECURE)
        return conn_tls_write(c, bytes);
    do {
        n = send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return IO_AGAIN;
    conn_fail(c, strerror(errno));
    return IO_FAILED;
}

static void all_sent(struct conn *c)
{
    buf_clear(&c->out);
    c->sent = 0;
    if (!c->read_wants_write)
        conn_want_write(c, false);
    if (c->phase == CONN_LAST_PLAIN) {
        c->phase = CONN_HANDSHAKE;
        conn_want_turn(c);
    }
}

/* Writes what the socket takes. */
static void push(struct conn *c)
{
    size_t before = conn_output_waiting(c);
    ptrdiff_t n = 0;

    if (c->connecting || c->phase == CONN_HANDSHAKE || c->ended || c->dead || c->failure != NULL)
        return;
    while (conn_output_waiting(c) > 0) {
        n = write_some(c, str_skip(buf_str(&c->out), c->sent));
        if (n <= 0)
            break;
        c->sent += (size_t)n;
    }
    if (conn_output_waiting(c) < before && c->idle > 0)
        c->active = clock_monotonic();
    if (conn_output_waiting(c) == 0) {
        all_sent(c);
    } else if (n == IO_AGAIN) {
        if (!c->write_wants_read)
            conn_want_write(c, true);
        if (c->sent > c->out.n / 2) {
            buf_consume(&c->out, c->sent);
            c->sent = 0;
        }
    }
}

static bool is_held(const struct conn *c)
{
    return c->held && !c->closing && !c->write_armed && conn_output_waiting(c) < HOLD_MAX;
}

/* From the loop only. */
static void push_and_tell(struct conn *c)
{
    if (!is_held(c))
        push(c);
    if (c->failure != NULL) {
        conn_end(c, false, c->failure);
    } else if (c->closing && conn_output_waiting(c) == 0 && c->phase != CONN_HANDSHAKE) {
        conn_end(c, false, "");
    } else if (c->above && conn_output_waiting(c) < OUTPUT_LOW) {
        c->above = false;
        if (c->events->writable != NULL)
            c->events->writable(c->owner);
    }
}

void conn_send(struct conn *c, struct str bytes)
{
    if (c->dead || c->ended || c->failure != NULL)
        return;
    if (c->phase == CONN_LAST_PLAIN)
        conn_flush(c);
    buf_add(&c->out, bytes);
    if (c->out.failed) {
        conn_fail(c, "output is not taken");
        return;
    }
    if (conn_output_waiting(c) > CONN_OUTPUT_HIGH)
        c->above = true;
    conn_want_turn(c);
}

void conn_flush(struct conn *c)
{
    if (c->dead || c->ended)
        return;
    push(c);
    if (c->above || c->closing)
        conn_want_turn(c);
}

void conn_hold(struct conn *c, bool on)
{
    if (c->held == on)
        return;
    c->held = on;
    if (!on && conn_output_waiting(c) > 0)
        conn_want_turn(c);
}

void conn_close_when_sent(struct conn *c)
{
    c->closing = true;
    conn_want_turn(c);
}

void conn_last_words(struct conn *c, struct str bytes)
{
    bool ready = c->phase == CONN_PLAIN || c->phase == CONN_SECURE;

    if (c->dead || c->connecting || !ready || c->failure != NULL || conn_output_waiting(c) > 0)
        return;
    write_some(c, bytes);
    c->closing = true; /* conn_free lets it arrive */
}

/* ---- input ---- */

static ptrdiff_t read_some(struct conn *c, char *to, size_t room)
{
    ssize_t n;

    if (c->phase == CONN_SECURE)
        return conn_tls_read(c, to, room);
    do {
        n = recv(c->fd, to, room, c->peeking ? MSG_PEEK : 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n == 0)
        return IO_END;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return IO_AGAIN;
    conn_fail(c, strerror(errno));
    return IO_FAILED;
}

static bool takes_input(const struct conn *c)
{
    return c->reading && !c->dead && !c->ended && !c->closing && c->failure == NULL;
}

/* Returns what the owner left over. */
static struct str feed(struct conn *c, struct str input)
{
    size_t used;

    while (input.n > 0 && takes_input(c)) {
        used = c->events->input(c->owner, input);
        if (c->drop_input || c->closing) {
            c->drop_input = false;
            return (struct str){0};
        }
        if (used == 0 || used > input.n)
            break;
        input = str_skip(input, used);
    }
    return input;
}

/* With bytes still unread nothing else tells that no more will follow. */
static bool peer_has_finished(const struct conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* The owner looks; what it uses is then taken from the socket. While it wants more, the kernel is
 * told to wake us only for more. */
static void take_peeked(struct conn *c)
{
    char scratch[4096];
    ptrdiff_t n = read_some(c, scratch, sizeof scratch);
    size_t used;
    int low = 1;

    if (n == IO_END)
        conn_end(c, false, "connection closed by the peer");
    if (n <= 0)
        return;
    used = c->events->input(c->owner, str_from(scratch, (size_t)n));
    if (c->dead || c->ended)
        return;
    c->drop_input = false;
    if (used == 0 && peer_has_finished(c))
        conn_fail(c, "connection closed by the peer");
    else if (used == 0)
        low = (int)n + 1;
    else if (recv(c->fd, scratch, used, 0) < 0)
        conn_fail(c, strerror(errno));
    setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
}

static void at_end_of_input(struct conn *c)
{
    push(c); /* replies to what came before the end */
    conn_end(c, false, c->failure != NULL ? c->failure : "connection closed by the peer");
}

static void take_input(struct conn *c)
{
    char scratch[CONN_INPUT_MAX];
    size_t have = c->in.n;
    bool had = have > 0 && c->more;
    ptrdiff_t n = IO_AGAIN;
    struct str rest;

    if (have > 0)
        memcpy(scratch, c->in.p, have);
    buf_clear(&c->in);
    c->more = false;
    if (have == sizeof scratch && !had) {
        conn_end(c, false, "too much input without an end");
        return;
    }
    if (!had) /* else what we have first: it may be enough */
        n = read_some(c, scratch + have, sizeof scratch - have);
    if (n > 0 && c->idle > 0)
        c->active = clock_monotonic();
    rest = feed(c, str_from(scratch, have + (n > 0 ? (size_t)n : 0)));
    if (c->dead || c->ended || c->closing)
        return;
    buf_add(&c->in, rest);
    if (n == IO_END)
        at_end_of_input(c);
    else if (c->reading && c->ssl != NULL && c->phase == CONN_SECURE && (n > 0 || had) && SSL_has_pending(c->ssl))
        c->more = true, conn_want_turn(c);
}

void conn_read(struct conn *c, bool on)
{
    if (c->dead || c->ended || c->reading == on)
        return;
    c->reading = on;
    if (!on)
        return; /* on_readable disarms itself if something comes meanwhile */
    if (c->idle > 0)
        c->active = clock_monotonic();
    if (!c->connecting)
        want_read(c, true);
    if (c->in.n > 0 || (c->phase == CONN_SECURE && SSL_has_pending(c->ssl))) {
        c->more = true;
        conn_want_turn(c);
    }
}

void conn_peek(struct conn *c, bool on)
{
    c->peeking = on;
}

/* ---- callbacks of the loop ---- */

static void handshake(struct conn *c)
{
    if (!conn_tls_handshake(c)) {
        if (c->failure != NULL)
            conn_end(c, false, c->failure);
        return;
    }
    if (c->idle > 0)
        c->active = clock_monotonic();
    if (c->events->secured != NULL)
        c->events->secured(c->owner);
    if (c->dead || c->ended)
        return;
    if (SSL_has_pending(c->ssl))
        c->more = true;
    conn_want_turn(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd;
    (void)what;
    conn_enter(c);
    if (c->phase == CONN_HANDSHAKE) {
        handshake(c);
    } else if (c->phase == CONN_LAST_PLAIN) {
        want_read(c, false); /* again when the plain output is gone */
    } else {
        if (c->write_wants_read)
            push_and_tell(c);
        if (!takes_input(c))
            want_read(c, false);
        else if (c->peeking)
            take_peeked(c);
        else
            take_input(c);
        if (!c->dead && c->failure != NULL)
            conn_end(c, false, c->failure);
    }
    conn_leave(c);
}

static void finish_connect(struct conn *c)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error != 0) {
        conn_end(c, false, strerror(error));
        return;
    }
    c->connecting = false;
    conn_want_write(c, false);
    want_read(c, true);
    conn_total_limit(c, 0);
    if (c->events->connected != NULL)
        c->events->connected(c->owner);
    if (!c->dead && !c->ended)
        conn_want_turn(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd;
    (void)what;
    conn_enter(c);
    if (c->connecting)
        finish_connect(c);
    else if (c->phase == CONN_HANDSHAKE)
        handshake(c);
    else {
        if (c->read_wants_write) {
            c->read_wants_write = false;
            conn_want_write(c, false);
            if (takes_input(c))
                take_input(c);
        }
        if (!c->dead && !c->ended)
            push_and_tell(c);
    }
    conn_leave(c);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd;
    (void)what;
    c->turn_armed = false;
    conn_enter(c);
    if (c->failure == NULL && c->phase == CONN_HANDSHAKE && !c->connecting) {
        want_read(c, true);
        if (!c->server)
            handshake(c);
    } else if (c->failure == NULL && c->more && takes_input(c)) {
        take_input(c);
    }
    if (!c->dead && !c->ended)
        push_and_tell(c);
    conn_leave(c);
}
