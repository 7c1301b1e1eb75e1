/* The access role: accepts IMAP and POP3 connections, ends TLS, logs users in through directory and
 * hands the byte stream to the mailbox that owns the account. It opens no file and makes no
 * connection. This file is start-up, reload and the end. */
#include "access.h"
#include "base/clock.h"
#include "base/log.h"

#include <event2/event.h>

enum { ADDRESSES_MOST = 100000 };

static void use_limit(struct access *a)
{
    crowd_limit(&a->crowd, (uint64_t)role_config(a->role)->limits.connections);
}

static void on_reload(struct role *role)
{
    struct access *a = access_of(role);
    struct err err = {0};

    if (!access_load_certificates(a, &err))
        log_error("certificates", "reason=%s (the old ones stay)", err.text);
    use_limit(a);
}

static void check_drain(evutil_socket_t fd, short what, void *arg)
{
    struct access *a = arg;
    struct timeval soon = {0, 100000};

    (void)fd;
    (void)what;
    if (a->crowd.count == 0 || clock_monotonic() >= a->drain_until)
        role_exit(a->role);
    else
        evtimer_add(a->drain_timer, &soon);
}

/* Those who have not logged in are sent away at once; sessions may finish within the time. IMAP clients, which stay for
 * hours, are sent away by mailbox between two commands. */
static void on_drain(struct role *role, int64_t within)
{
    struct access *a = access_of(role);

    a->drain_until = clock_monotonic() + within - within / 5;
    crowd_end(&a->crowd);
    access_close_listeners(a);
    LIST_EACH(&a->crowd.members, it) {
        struct client *c = CONTAINER(it, struct client, member.link);

        if (c->state == CLIENT_SESSION)
            session_finish(c);
        else
            client_bye(c, "The server is shutting down, try again later");
    }
    a->drain_timer = evtimer_new(role_base(role), check_drain, a);
    check_drain(-1, 0, a);
}

static const struct role_type access_role = {
    .id = ROLE_ACCESS,
    .handlers = &access_handlers,
    .sandbox = SANDBOX_ACCEPT,
    .peer_gone = access_peer_gone,
    .reload = on_reload,
    .drain = on_drain,
    .verify = access_verify,
};

int main(int argc, char **argv)
{
    struct role *role = role_begin(&access_role, argc, argv);
    struct access a = {.role = role, .limits = limit_new(ADDRESSES_MOST)};
    struct err err = {0};
    int code;

    crowd_init(&a.crowd, role_base(role), &access_crowd_rules, &a);
    use_limit(&a);
    list_init(&a.listeners);
    map_init(&a.asked);
    role_set_state(role, &a);
    client_show_metrics();
    if (!access_load_certificates(&a, &err))
        fatal("certificates: %s", err.text);
    access_open_listeners(&a);
    role_sandbox(role);
    code = role_run(role);
    crowd_end(&a.crowd);
    access_close_listeners(&a);
    LIST_EACH(&a.crowd.members, it)
        client_free(CONTAINER(it, struct client, member.link));
    map_clear(&a.asked);
    limit_free(a.limits);
    tls_server_free(a.tls);
    if (a.drain_timer != NULL)
        event_free(a.drain_timer);
    return code;
}
