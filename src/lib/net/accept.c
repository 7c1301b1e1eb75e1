/* Takes connections in bounded batches, so that a flood of them does not hold the loop, and pauses
 * for a second when the process is out of descriptors, or anything else keeps it from taking them: they
 * wait in the kernel meanwhile, and the loop does not turn in vain. */
#include "net/accept.h"

#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 64 };

struct acceptor {
    struct event readable, again;
    int fd;
    acceptor_fn *accepted;
    void *owner;
    bool enabled, armed, inside, dead;
};

static void pause_a_while(struct acceptor *a)
{
    static const struct timeval second = {1, 0};

    log_warning("accept-paused", "reason=%s", strerror(errno));
    event_del(&a->readable);
    a->armed = false;
    event_add(&a->again, &second);
}

static void arm(struct acceptor *a, bool on)
{
    if (a->armed == on)
        return;
    a->armed = on;
    if (!on)
        event_del(&a->readable);
    else if (event_add(&a->readable, NULL) != 0)
        pause_a_while(a); /* the kernel has no memory to watch it; unwatched it would be deaf for ever */
}

/* Of this one connection, which is gone: accept(2) names them. */
static bool is_of_the_connection(int error)
{
    static const int errors[] = {EINTR, ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
        EOPNOTSUPP, ENETUNREACH, EPERM};

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i] == error)
            return true;
    return false;
}

static bool accept_one(struct acceptor *a)
{
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    struct ip peer = {0};
    uint16_t port = 0;
    int fd = accept4(a->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        if (size >= sizeof(sa_family_t))
            ip_from_sockaddr((struct sockaddr *)&from, &peer, &port);
        a->accepted(a->owner, fd, &peer, port);
        return true;
    }
    if (is_of_the_connection(errno))
        return true;
    if (errno != EAGAIN)
        pause_a_while(a);
    return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *a = arg;

    (void)fd;
    (void)what;
    a->inside = true;
    for (int i = 0; i < BATCH && a->enabled && !a->dead && accept_one(a); i++)
        ;
    a->inside = false;
    if (a->dead)
        free(a);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    struct acceptor *a = arg;

    (void)fd;
    (void)what;
    arm(a, a->enabled);
}

struct acceptor *acceptor_new(struct event_base *base, int listen_fd, acceptor_fn *accepted, void *owner)
{
    struct acceptor *a = xcalloc(1, sizeof *a);

    a->fd = listen_fd;
    a->accepted = accepted;
    a->owner = owner;
    if (evutil_make_socket_nonblocking(listen_fd) != 0)
        fatal("listener: %s", strerror(errno)); /* accept4 could hold the loop */
    event_assign(&a->readable, base, listen_fd, EV_READ | EV_PERSIST, on_readable, a);
    event_assign(&a->again, base, -1, 0, on_again, a);
    acceptor_enable(a, true);
    return a;
}

void acceptor_enable(struct acceptor *a, bool on)
{
    a->enabled = on;
    if (!on)
        event_del(&a->again);
    arm(a, on);
}

void acceptor_free(struct acceptor *a)
{
    if (a == NULL || a->dead)
        return;
    acceptor_enable(a, false);
    close(a->fd);
    a->dead = true;
    if (!a->inside)
        free(a);
}
