/* The access role: accepts POP3 connections (later IMAP), ends TLS, logs users in through directory and
 * hands the byte stream to the mailbox that owns the account. It opens no file and makes no
 * connection. This file is start-up, listeners, reload, drain, and the table of messages. */
#include "access.h"
#include "base/clock.h"
#include "base/log.h"
#include "pop3_login.h"

#include <event2/event.h>
#include <stdlib.h>

enum { ADDRESSES_MOST = 100000 };

struct access *access_of(struct role *role)
{
    return role_state(role);
}

/* ---- listeners ---- */

void access_listen(struct access *a)
{
    bool full = a->count >= (size_t)role_config(a->role)->limits.connections;

    if (full == a->full)
        return;
    a->full = full;
    log_info("listeners", "open=%s connections=%zu", full ? "no" : "yes", a->count);
    LIST_EACH(&a->listeners, it)
        acceptor_enable(CONTAINER(it, struct listener, link)->acceptor, !full);
}

static void on_accepted(void *owner, int fd, const struct ip *peer, uint16_t port)
{
    (void)port;
    client_new(owner, fd, peer);
}

static void open_listeners(struct access *a)
{
    for (size_t i = 0; i < role_listener_count(a->role); i++) {
        const struct role_listener *from = role_listener_at(a->role, i);
        struct listener *l;

        if (from->service != SERVICE_POP3)
            continue;
        l = xcalloc(1, sizeof *l);
        l->access = a;
        l->protocol = &pop3_login;
        l->index = from->index;
        l->acceptor = acceptor_new(role_base(a->role), from->fd, on_accepted, l);
        list_add_last(&a->listeners, &l->link);
    }
}

static void close_listeners(struct access *a)
{
    LIST_EACH(&a->listeners, it) {
        struct listener *l = CONTAINER(it, struct listener, link);

        list_remove(it);
        acceptor_free(l->acceptor);
        free(l);
    }
}

/* ---- certificates ---- */

static bool sign(void *arg, struct str key, enum key_operation operation, struct str input, struct buf *out)
{
    return role_sign(arg, key, operation, input, out);
}

static bool load_certificates(struct access *a, struct err *err)
{
    size_t n = role_certificate_count(a->role);
    struct tls_pem *pems = xcalloc(n, sizeof *pems);
    struct tls_server *fresh = NULL;
    bool loaded;

    a->signer = (struct key_signer){sign, a->role};
    for (size_t i = 0; i < n; i++)
        pems[i] = (struct tls_pem){
            role_certificate_at(a->role, i)->chain, role_certificate_at(a->role, i)->key, &a->signer};
    loaded = n == 0 || tls_server_new(&fresh, pems, n, a->tls, err);
    free(pems);
    if (!loaded)
        return false;
    tls_server_free(a->tls);
    a->tls = fresh;
    return true;
}

static void on_reload(struct role *role)
{
    struct access *a = access_of(role);
    struct err err = {0};

    if (!load_certificates(a, &err))
        log_error("certificates", "reason=%s (the old ones stay)", err.text);
    access_listen(a);
}

/* ---- messages ---- */

static void on_auth_challenge(struct role *role, struct channel *from, const struct msg_auth_challenge *m)
{
    struct client *c = client_find(access_of(role), from, m->id);

    if (c != NULL)
        auth_challenge(c, m->data);
}

static void on_auth_done(struct role *role, struct channel *from, const struct msg_auth_done *m)
{
    struct client *c = client_find(access_of(role), from, m->id);

    if (c != NULL)
        auth_done(c, m);
}

static struct client *in_session(struct role *role, const struct channel *from, uint64_t id)
{
    struct client *c = client_find(access_of(role), from, id);

    return c != NULL && c->state == CLIENT_SESSION ? c : NULL;
}

static void on_session_data(struct role *role, struct channel *from, const struct msg_session_data *m)
{
    struct client *c = in_session(role, from, m->id);

    if (c != NULL)
        session_data(c, m->data);
}

static void on_session_more(struct role *role, struct channel *from, const struct msg_session_more *m)
{
    struct client *c = in_session(role, from, m->id);

    if (c != NULL)
        session_more(c, m->bytes);
}

static void on_session_close(struct role *role, struct channel *from, const struct msg_session_close *m)
{
    struct client *c = in_session(role, from, m->id);

    if (c != NULL)
        session_closed(c);
}

static void on_peer_gone(struct role *role, struct channel *peer)
{
    struct access *a = access_of(role);

    LIST_EACH(&a->clients, it) {
        struct client *c = CONTAINER(it, struct client, link);

        if (c->id == 0 || c->serial != channel_serial(peer))
            continue;
        if (c->state == CLIENT_SESSION)
            session_mailbox_gone(c);
        else
            auth_directory_gone(c);
    }
}

/* ---- end ---- */

static void check_drain(evutil_socket_t fd, short what, void *arg)
{
    struct access *a = arg;
    struct timeval soon = {0, 100000};

    (void)fd;
    (void)what;
    if (a->count == 0 || clock_monotonic() >= a->drain_until)
        role_exit(a->role);
    else
        evtimer_add(a->drain_timer, &soon);
}

/* Those who have not logged in are sent away at once; sessions may finish within the time. */
static void on_drain(struct role *role, int64_t within)
{
    struct access *a = access_of(role);

    a->drain_until = clock_monotonic() + within - within / 5;
    close_listeners(a);
    LIST_EACH(&a->clients, it) {
        struct client *c = CONTAINER(it, struct client, link);

        if (c->state != CLIENT_SESSION)
            client_bye(c, "The server is shutting down, try again later");
    }
    a->drain_timer = evtimer_new(role_base(role), check_drain, a);
    check_drain(-1, 0, a);
}

static const struct handlers handlers = {
    .auth_challenge = on_auth_challenge,
    .auth_done = on_auth_done,
    .session_data = on_session_data,
    .session_more = on_session_more,
    .session_close = on_session_close,
};

static const struct role_type access_role = {
    .id = ROLE_ACCESS,
    .handlers = &handlers,
    .sandbox = SANDBOX_ACCEPT,
    .peer_gone = on_peer_gone,
    .reload = on_reload,
    .drain = on_drain,
};

int main(int argc, char **argv)
{
    struct role *role = role_begin(&access_role, argc, argv);
    struct access a = {.role = role, .limits = limit_new(ADDRESSES_MOST)};
    struct err err = {0};
    int code;

    list_init(&a.clients);
    list_init(&a.listeners);
    map_init(&a.asked);
    role_set_state(role, &a);
    if (!load_certificates(&a, &err))
        fatal("certificates: %s", err.text);
    open_listeners(&a);
    role_sandbox(role);
    code = role_run(role);
    close_listeners(&a);
    LIST_EACH(&a.clients, it)
        client_free(CONTAINER(it, struct client, link));
    map_clear(&a.asked);
    limit_free(a.limits);
    tls_server_free(a.tls);
    if (a.drain_timer != NULL)
        event_free(a.drain_timer);
    return code;
}
