/* Connections over socket pairs: input, output, back-pressure, limits, endings, PROXY-style peeking. */
#include "base/clock.h"
#include "base/buf.h"
#include "net/accept.h"
#include "net/conn.h"
#include "net_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct peer {
    struct event_base *base;
    struct conn *c;
    int fd;            /* the other end */
    struct buf got;    /* what was used */
    size_t take;       /* at most so much a call; 0: everything up to the last newline */
    bool pause_after, free_inside, close_inside, echo;
    bool closed, timed_out, wrote, connected, line;
    char reason[200];
    int calls;
};

static size_t on_input(void *owner, struct str bytes)
{
    struct peer *p = owner;
    ptrdiff_t end = str_rfind(bytes, '\n');
    size_t used = p->take > 0 ? (p->take < bytes.n ? p->take : bytes.n) : (size_t)(end + 1);

    p->calls++;
    buf_add(&p->got, str_sub(bytes, 0, used));
    p->line = p->line || used > 0;
    if (p->echo && used > 0)
        conn_send(p->c, str_sub(bytes, 0, used));
    if (p->pause_after)
        conn_read(p->c, false);
    if (p->close_inside)
        conn_close_when_sent(p->c);
    if (p->free_inside) {
        conn_free(p->c);
        p->c = NULL;
    }
    return used;
}

static void on_writable(void *owner)
{
    ((struct peer *)owner)->wrote = true;
}

static void on_connected(void *owner)
{
    ((struct peer *)owner)->connected = true;
}

static void on_closed(void *owner, bool timed_out, const char *reason)
{
    struct peer *p = owner;

    p->closed = true;
    p->timed_out = timed_out;
    snprintf(p->reason, sizeof p->reason, "%s", reason);
    conn_free(p->c);
    p->c = NULL;
}

static const struct conn_events events = {
    .input = on_input, .writable = on_writable, .connected = on_connected, .closed = on_closed};

static int setup(void **state)
{
    struct peer *p = calloc(1, sizeof *p);
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    p->base = event_base_new();
    p->fd = pair[1];
    p->c = conn_new(p->base, pair[0], &events, p);
    buf_init(&p->got, 16 * 1024 * 1024);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct peer *p = *state;

    conn_free(p->c);
    if (p->fd >= 0)
        close(p->fd);
    test_loop_idle(p->base);
    event_base_free(p->base);
    buf_clear(&p->got);
    free(p);
    return 0;
}

static void say(struct peer *p, const char *text)
{
    assert_int_equal(write(p->fd, text, strlen(text)), strlen(text));
}

static void got(struct peer *p, const char *text)
{
    assert_int_equal(p->got.n, strlen(text));
    assert_memory_equal(p->got.p, text, p->got.n);
}

static void keeps_what_was_not_used(void **state)
{
    struct peer *p = *state;

    say(p, "one\ntw");
    test_loop_until(p->base, &p->line);
    got(p, "one\n");
    p->line = false;
    say(p, "o\n");
    test_loop_until(p->base, &p->line);
    got(p, "one\ntwo\n");
}

static void replies_leave_in_one_write(void **state)
{
    struct peer *p = *state;
    char reply[64];

    p->take = 2;
    p->echo = true;
    say(p, "aabbcc");
    test_loop_until(p->base, &p->line);
    test_loop_idle(p->base);
    assert_int_equal(p->calls, 3);
    assert_int_equal(recv(p->fd, reply, sizeof reply, MSG_DONTWAIT), 6);
}

static void held_output_waits_for_more(void **state)
{
    struct peer *p = *state;
    char reply[64];

    conn_hold(p->c, true);
    conn_send(p->c, STR("250 a"));
    test_loop_idle(p->base);
    assert_int_equal(recv(p->fd, reply, sizeof reply, MSG_DONTWAIT), -1);
    conn_send(p->c, STR("250 b"));
    conn_hold(p->c, false);
    test_loop_idle(p->base);
    assert_int_equal(recv(p->fd, reply, sizeof reply, MSG_DONTWAIT), 10);
    conn_hold(p->c, true);
    conn_send(p->c, STR("bye"));
    conn_close_when_sent(p->c);
    assert_true(test_loop_until(p->base, &p->closed));
    assert_int_equal(recv(p->fd, reply, sizeof reply, MSG_DONTWAIT), 3);
}

static void pause_stops_input_and_loses_nothing(void **state)
{
    struct peer *p = *state;

    p->take = 2;
    p->pause_after = true;
    say(p, "aabb");
    test_loop_until(p->base, &p->line);
    test_loop_idle(p->base);
    got(p, "aa");
    say(p, "cc");
    test_loop_idle(p->base);
    got(p, "aa");
    for (int i = 0; i < 2; i++) {
        p->line = false;
        conn_read(p->c, true);
        test_loop_until(p->base, &p->line);
        test_loop_idle(p->base);
    }
    got(p, "aabbcc");
}

static void input_without_an_end_is_cut(void **state)
{
    struct peer *p = *state;
    char block[1024];

    memset(block, 'x', sizeof block);
    for (int i = 0; i < 80 && !p->closed; i++) {
        if (write(p->fd, block, sizeof block) < 0)
            break;
        test_loop_idle(p->base);
    }
    assert_true(p->closed);
    assert_string_equal(p->reason, "too much input without an end");
}

static void end_of_input_closes_after_the_reply(void **state)
{
    struct peer *p = *state;
    char reply[8];

    p->echo = true;
    say(p, "bye\n");
    shutdown(p->fd, SHUT_WR);
    assert_true(test_loop_until(p->base, &p->closed));
    assert_false(p->timed_out);
    assert_int_equal(read(p->fd, reply, sizeof reply), 4);
}

static void close_when_sent_sends_first(void **state)
{
    struct peer *p = *state;
    char reply[16];

    p->echo = p->close_inside = true;
    say(p, "bye\nmore\n");
    assert_true(test_loop_until(p->base, &p->closed));
    assert_string_equal(p->reason, "");
    assert_int_equal(read(p->fd, reply, sizeof reply), 9); /* one call took both lines */
    assert_int_equal(read(p->fd, reply, sizeof reply), 0);
}

static void freeing_inside_a_callback_is_safe(void **state)
{
    struct peer *p = *state;

    p->free_inside = p->echo = true;
    say(p, "x\n");
    assert_true(test_loop_until(p->base, &p->line));
    assert_false(p->closed);
}

static void a_slow_reader_is_told_of_and_comes_back(void **state)
{
    struct peer *p = *state;
    char *big = calloc(1, 1024 * 1024);
    size_t seen = 0;

    conn_send(p->c, str_from(big, 1024 * 1024));
    test_loop_idle(p->base);
    assert_true(conn_output_waiting(p->c) > CONN_OUTPUT_HIGH);
    assert_false(p->wrote);
    while (seen < 1024 * 1024) {
        ssize_t n = recv(p->fd, big, 1024 * 1024, MSG_DONTWAIT);

        if (n > 0)
            seen += (size_t)n;
        event_base_loop(p->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
    }
    assert_true(p->wrote);
    assert_int_equal(conn_output_waiting(p->c), 0);
    free(big);
}

static void a_vanished_reader_closes(void **state)
{
    struct peer *p = *state;
    static char big[1024 * 1024];

    close(p->fd);
    p->fd = -1;
    conn_read(p->c, false);
    conn_send(p->c, str_from(big, sizeof big));
    conn_flush(p->c);
    assert_false(p->closed); /* never inside our own call */
    assert_true(test_loop_until(p->base, &p->closed));
}

static void idle_limit_is_restarted_by_input(void **state)
{
    struct peer *p = *state;
    int64_t start = clock_monotonic();

    conn_idle_limit(p->c, 60000);
    for (int i = 0; i < 4; i++) {
        say(p, "x\n");
        p->line = false;
        test_loop_until(p->base, &p->line);
        usleep(25000);
    }
    assert_false(p->closed);
    assert_true(test_loop_until(p->base, &p->closed));
    assert_true(p->timed_out);
    assert_string_equal(p->reason, "idle for too long");
    assert_true(clock_monotonic() - start >= 120000);
}

static void waiting_for_us_is_not_idleness(void **state)
{
    struct peer *p = *state;
    bool never = false;

    conn_idle_limit(p->c, 20000);
    conn_read(p->c, false);
    usleep(30000);
    for (int i = 0; i < 5; i++) {
        usleep(10000);
        event_base_loop(p->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
    }
    assert_false(p->closed || never);
    conn_read(p->c, true);
    assert_true(test_loop_until(p->base, &p->closed));
}

static void total_limit_is_not_restarted(void **state)
{
    struct peer *p = *state;

    conn_total_limit(p->c, 40000);
    for (int i = 0; i < 10 && !p->closed; i++) {
        say(p, "x\n");
        usleep(10000);
        event_base_loop(p->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
    }
    assert_true(p->closed && p->timed_out);
}

static void peeking_takes_exactly_what_is_used(void **state)
{
    struct peer *p = *state;
    int pair[2];

    conn_free(p->c);
    close(p->fd);
    test_tcp_pair(pair);
    p->fd = pair[1];
    p->c = conn_new(p->base, pair[0], &events, p);
    conn_peek(p->c, true);
    say(p, "PRO");
    while (p->calls == 0)
        event_base_loop(p->base, EVLOOP_ONCE);
    test_loop_idle(p->base);
    assert_int_equal(p->got.n, 0);
    assert_int_equal(p->calls, 1); /* the kernel wakes us for more only */
    say(p, "XY\nTLS");
    assert_true(test_loop_until(p->base, &p->line));
    got(p, "PROXY\n");
    conn_peek(p->c, false);
    p->take = 16;
    p->line = false;
    assert_true(test_loop_until(p->base, &p->line));
    got(p, "PROXY\nTLS");
}

/* What was looked at stays readable: without a look at the peer's end the loop would spin on it. */
static void peeking_notices_the_end_behind_half_a_header(void **state)
{
    struct peer *p = *state;
    int pair[2];

    conn_free(p->c);
    close(p->fd);
    test_tcp_pair(pair);
    p->fd = pair[1];
    p->c = conn_new(p->base, pair[0], &events, p);
    conn_peek(p->c, true);
    say(p, "PRO");
    while (p->calls == 0)
        event_base_loop(p->base, EVLOOP_ONCE);
    shutdown(p->fd, SHUT_WR);
    assert_true(test_loop_until(p->base, &p->closed));
    assert_int_equal(p->got.n, 0);
    assert_in_range(p->calls, 1, 2);
}

struct listening {
    int accepted;
    bool enough;
    struct ip peer;
    int fds[8];
};

static void on_accepted(void *owner, int fd, const struct ip *peer, uint16_t port)
{
    struct listening *l = owner;

    assert_true(port > 0);
    l->peer = *peer;
    l->fds[l->accepted++] = fd;
    l->enough = l->accepted >= 2;
}

static void connects_and_accepts(void **state)
{
    struct peer *p = *state;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct listening l = {0};
    struct acceptor *a;
    struct ip to;
    struct err err = {0};
    struct peer client[2] = {{.base = p->base, .take = 1}, {.base = p->base, .take = 1}};

    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 8), 0);
    getsockname(fd, (struct sockaddr *)&any, &size);
    ip_parse(STR("127.0.0.1"), &to);
    a = acceptor_new(p->base, fd, on_accepted, &l);
    acceptor_enable(a, false);
    for (int i = 0; i < 2; i++)
        assert_true(conn_connect(
            &client[i].c, p->base, &to, ntohs(any.sin_port), i ? &to : NULL, SECOND, &events, &client[i], &err));
    assert_true(test_loop_until(p->base, &client[1].connected));
    assert_int_equal(l.accepted, 0);
    acceptor_enable(a, true);
    assert_true(test_loop_until(p->base, &l.enough));
    assert_true(ip_is_loopback(&l.peer));
    for (int i = 0; i < 2; i++) {
        conn_free(client[i].c);
        close(l.fds[i]);
    }
    acceptor_free(a);
}

static void a_refused_connection_is_told(void **state)
{
    struct peer *p = *state;
    struct peer client = {.base = p->base};
    struct ip to;
    struct err err = {0};

    ip_parse(STR("127.0.0.1"), &to);
    assert_true(conn_connect(&client.c, p->base, &to, 1, NULL, SECOND, &events, &client, &err));
    assert_true(test_loop_until(p->base, &client.closed));
    assert_false(client.connected);
    assert_string_equal(client.reason, "Connection refused");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(keeps_what_was_not_used),
        T(replies_leave_in_one_write),
        T(held_output_waits_for_more),
        T(pause_stops_input_and_loses_nothing),
        T(input_without_an_end_is_cut),
        T(end_of_input_closes_after_the_reply),
        T(close_when_sent_sends_first),
        T(freeing_inside_a_callback_is_safe),
        T(a_slow_reader_is_told_of_and_comes_back),
        T(a_vanished_reader_closes),
        T(idle_limit_is_restarted_by_input),
        T(waiting_for_us_is_not_idleness),
        T(total_limit_is_not_restarted),
        T(peeking_takes_exactly_what_is_used),
        T(peeking_notices_the_end_behind_half_a_header),
        T(connects_and_accepts),
        T(a_refused_connection_is_told),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
