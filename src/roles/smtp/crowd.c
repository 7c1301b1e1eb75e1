/* When as many connections are open as allowed. The doors are shut then, and new clients wait in the
 * kernel; but a crowd of silent or dripping clients must not keep everybody else out for hours. So,
 * once a second while it is full, some of those that brought nothing for a while are sent away with
 * 421: the slowest kind of client pays, one that sends mail at any sane pace never does. Users who
 * have logged in, relay_networks and the local socket stay. */
#include "server.h"

#include "base/clock.h"
#include "base/log.h"

enum {
    GRACE = 10,        /* seconds in which a new client, or one after a message, need not bring anything */
    SANE_PACE = 1024,  /* octets a second */
    PART = 16,         /* this part of the limit is sent away at a time */
};

/* Called for good news: what came before does not count any more. */
void crowd_useful(struct client *c)
{
    c->useful = clock_monotonic();
    c->received = 0;
}

/* Not what we make it wait for, nor who has a name here. */
static bool is_slow(const struct client *c, int64_t now)
{
    uint64_t seconds = (uint64_t)((now - c->useful) / SECOND);

    if (seconds < GRACE || c->who.trusted || c->settings.service == SERVICE_LOCAL_SMTP)
        return false;
    if (c->session != NULL && (smtp_waits(c->session) || smtp_is_known(c->session)))
        return false;
    return c->received < seconds * SANE_PACE;
}

static void make_room(struct server *server)
{
    uint64_t most = (uint64_t)role_config(server->role)->limits.connections / PART + 1, n = 0;
    int64_t now = clock_monotonic();

    LIST_EACH(&server->clients, it) {
        struct client *c = CONTAINER(it, struct client, link);

        if (n >= most)
            break;
        if (!is_slow(c, now))
            continue;
        conn_last_words(c->conn, STR("421 4.3.2 Too many connections, and you are slow: try again later\r\n"));
        client_free(c);
        n++;
    }
    if (n > 0)
        record_made_room(n);
}

static void shut(struct server *server, bool full)
{
    if (full == server->full)
        return;
    server->full = full;
    for (size_t i = 0; i < server->door_count; i++)
        acceptor_enable(server->doors[i].acceptor, !full);
}

void crowd_changed(struct server *server)
{
    static const struct timeval second = {1, 0}, now = {0, 0};
    bool full = server->client_count >= (uint64_t)role_config(server->role)->limits.connections;

    if (server->draining)
        return;
    if (full && !server->full && !event_pending(&server->crowd, EV_TIMEOUT, NULL)) {
        log_warning("too-many-connections", "count=%llu", (unsigned long long)server->client_count);
        event_add(&server->crowd, clock_monotonic() - server->made_room < SECOND ? &second : &now);
    }
    shut(server, full);
}

static void on_crowd(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval second = {1, 0};
    struct server *server = arg;

    (void)fd;
    (void)what;
    if (!server->full || server->draining)
        return;
    server->made_room = clock_monotonic();
    make_room(server);
    event_add(&server->crowd, &second);
}

void crowd_init(struct server *server)
{
    event_assign(&server->crowd, role_base(server->role), -1, 0, on_crowd, server);
}
