#include "smtp_world.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- role.h and channel.h ---- */

void *role_state(struct role *role)
{
    return &role->server;
}

const struct config *role_config(const struct role *role)
{
    return role->config;
}

struct event_base *role_base(struct role *role)
{
    return role->base;
}

uint64_t role_next_id(struct role *role)
{
    return ++role->next_id;
}

void role_exit(struct role *role)
{
    role->exited = true;
}

size_t role_listener_count(const struct role *role)
{
    (void)role;
    return 1;
}

const struct role_listener *role_listener_at(const struct role *role, size_t i)
{
    (void)i;
    return &role->listener;
}

unsigned role_peers(const struct role *role, enum role_id peer)
{
    (void)role;
    return peer == ROLE_EVENTS ? 1 : 2;
}

struct channel *role_peer(const struct role *role, enum role_id peer, unsigned copy)
{
    struct role *r = (struct role *)(uintptr_t)role;
    struct channel *c = peer == ROLE_DIRECTORY ? &r->directory[copy] : peer == ROLE_FILTER ? &r->filter[copy] : &r->events;

    return c->up ? c : NULL;
}

enum role_id channel_role(const struct channel *c)
{
    return c->peer;
}

unsigned channel_copy(const struct channel *c)
{
    return c->copy;
}

struct buf *channel_output(struct channel *c)
{
    return &c->out;
}

void channel_output_added(struct channel *c)
{
    assert(c->up);
}

size_t channel_backlog(const struct channel *c)
{
    return c->backlog;
}

void channel_on_drained(struct channel *c, void (*drained)(struct role *, struct channel *))
{
    c->drained = drained;
}

/* ---- what was sent ---- */

static void note_rcpt_ask(struct role *role, struct channel *from, const struct msg_rcpt_ask *m)
{
    (void)from;
    role->last_ask = m->id;
    buf_addf(&role->log, "rcpt_ask %.*s account=%d first=%d\n", STR_ARG(m->address), (int)m->account, (int)m->first);
}

static void note_sender_ask(struct role *role, struct channel *from, const struct msg_sender_ask *m)
{
    (void)from;
    role->last_ask = m->id;
    buf_addf(&role->log, "sender_ask %.*s\n", STR_ARG(m->address));
}

static void note_auth_begin(struct role *role, struct channel *from, const struct msg_auth_begin *m)
{
    (void)from;
    role->last_ask = m->id;
    buf_addf(&role->log, "auth_begin %.*s %zu client=%.*s\n", STR_ARG(m->mechanism), m->initial.n, STR_ARG(m->client));
}

static void note_auth_step(struct role *role, struct channel *from, const struct msg_auth_step *m)
{
    (void)from;
    buf_addf(&role->log, "auth_step %.*s\n", STR_ARG(m->data));
}

static void note_auth_cancel(struct role *role, struct channel *from, const struct msg_auth_cancel *m)
{
    (void)from;
    (void)m;
    buf_add(&role->log, STR("auth_cancel\n"));
}

static void note_txn_begin(struct role *role, struct channel *from, const struct msg_txn_begin *m)
{
    (void)from;
    role->last_txn = m->id;
    buf_addf(&role->log, "txn_begin %.*s\n", STR_ARG(m->sender));
}

static void note_txn_rcpt(struct role *role, struct channel *from, const struct msg_txn_rcpt *m)
{
    (void)from;
    buf_addf(&role->log, "txn_rcpt %.*s\n", STR_ARG(m->address));
}

static void note_txn_chunk(struct role *role, struct channel *from, const struct msg_txn_chunk *m)
{
    (void)from;
    buf_addf(&role->log, "txn_chunk %zu\n", m->data.n);
}

static void note_txn_end(struct role *role, struct channel *from, const struct msg_txn_end *m)
{
    (void)from;
    (void)m;
    buf_add(&role->log, STR("txn_end\n"));
}

static void note_txn_abort(struct role *role, struct channel *from, const struct msg_txn_abort *m)
{
    (void)from;
    (void)m;
    buf_add(&role->log, STR("txn_abort\n"));
}

static void note_event(struct role *role, struct channel *from, const struct msg_event *m)
{
    (void)from;
    buf_addf(&role->log, "event %d %.*s %.*s\n", (int)m->kind, STR_ARG(m->rcpt), STR_ARG(m->details));
}

static const struct handlers notes = {
    .rcpt_ask = note_rcpt_ask,
    .sender_ask = note_sender_ask,
    .auth_begin = note_auth_begin,
    .auth_step = note_auth_step,
    .auth_cancel = note_auth_cancel,
    .txn_begin = note_txn_begin,
    .txn_rcpt = note_txn_rcpt,
    .txn_chunk = note_txn_chunk,
    .txn_end = note_txn_end,
    .txn_abort = note_txn_abort,
    .event = note_event,
};

struct str world_sent(struct role *role, struct channel *c)
{
    struct str rest;
    const char *why = NULL;

    world_turn(role);
    buf_reset(&role->log);
    for (rest = buf_str(&c->out); rest.n > 0;) {
        uint32_t n;

        memcpy(&n, rest.p, sizeof n);
        if (!ipc_dispatch(role, c, ROLE_SMTP, c->peer, &notes, str_sub(rest, 4, 4 + n), &why))
            fatal("the server sent what nobody may: %s", why);
        rest = str_skip(rest, 4 + n);
    }
    buf_reset(&c->out);
    return buf_str(&role->log);
}

void world_say(struct role *role, struct channel *from, const struct buf *frames)
{
    struct str rest = buf_str(frames);
    const char *why = NULL;

    while (rest.n > 0) {
        uint32_t n;

        memcpy(&n, rest.p, sizeof n);
        if (!ipc_dispatch(role, from, from->peer, ROLE_SMTP, &smtp_handlers, str_sub(rest, 4, 4 + n), &why))
            fatal("the server may not be told this: %s", why);
        rest = str_skip(rest, 4 + n);
    }
}

void world_drop(struct role *role, struct channel *c)
{
    c->up = false;
    buf_reset(&c->out);
    server_peer_gone(&role->server, c);
}

/* ---- the world ---- */

static void listen_here(struct role *role)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof any;

    role->listener = (struct role_listener){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (bind(role->listener.fd, (struct sockaddr *)&any, sizeof any) != 0 || listen(role->listener.fd, 100) != 0)
        fatal("cannot listen");
    getsockname(role->listener.fd, (struct sockaddr *)&any, &size);
    role->port = ntohs(any.sin_port);
}

static void bring_up(struct role *role, struct channel *c, enum role_id peer, unsigned copy)
{
    *c = (struct channel){.peer = peer, .copy = copy, .up = true};
    buf_init(&c->out, 64 * 1024 * 1024);
    server_peer_up(&role->server, c);
}

static struct config *read_config(const char *text)
{
    struct config *config = NULL;
    struct err err = {0};

    if (!config_parse(&config, STR("test.conf"), str_of(text), &err))
        fatal("%s", err.text);
    return config;
}

struct role *world_new(const char *config)
{
    struct role *role = xcalloc(1, sizeof *role);

    role->base = event_base_new();
    role->config = read_config(config);
    buf_init(&role->log, 16 * 1024 * 1024);
    listen_here(role);
    role->listener.service = role->config->listeners[0].service_id;
    server_init(&role->server, role);
    for (unsigned i = 0; i < 2; i++) {
        bring_up(role, &role->directory[i], ROLE_DIRECTORY, i);
        bring_up(role, &role->filter[i], ROLE_FILTER, i);
    }
    bring_up(role, &role->events, ROLE_EVENTS, 0);
    return role;
}

void world_reload(struct role *role, const char *config)
{
    struct config *old = role->config;

    role->config = read_config(config);
    server_use_config(&role->server);
    config_free(old);
}

void world_free(struct role *role)
{
    server_clear(&role->server);
    for (int i = 0; i < 2; i++) {
        buf_clear(&role->directory[i].out);
        buf_clear(&role->filter[i].out);
    }
    buf_clear(&role->events.out);
    buf_clear(&role->log);
    config_free(role->config);
    event_base_free(role->base);
    free(role);
}

void world_turn(struct role *role)
{
    for (int i = 0; i < 8; i++)
        event_base_loop(role->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
}

static int connect_from(struct role *role, uint32_t address)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(role->port)};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), failure;

    if (address != INADDR_LOOPBACK)
        (void)!bind(fd, (struct sockaddr *)&from, sizeof from);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

int world_connect(struct role *role)
{
    int fd = -1, yes = 1;

    /* A fuzzer uses up the ports of an address faster than the kernel gives them back: the next address has some. */
    for (uint32_t i = 0; fd < 0 && i < 200; i++) {
        fd = connect_from(role, INADDR_LOOPBACK + i);
        if (fd < 0 && errno != EADDRNOTAVAIL)
            break;
    }
    if (fd < 0)
        fatal("cannot connect: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* what is written is there at once */
    fcntl(fd, F_SETFL, O_NONBLOCK);
    world_turn(role);
    return fd;
}

void world_write(struct role *role, int fd, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);

        if (n <= 0)
            break;
        bytes = str_skip(bytes, (size_t)n);
    }
    world_turn(role);
}

struct str world_read(struct role *role, int fd)
{
    char text[4096];
    ssize_t n;

    world_turn(role);
    buf_reset(&role->log);
    while ((n = recv(fd, text, sizeof text, MSG_DONTWAIT)) > 0)
        buf_add(&role->log, str_from(text, (size_t)n));
    if (n == 0)
        buf_add(&role->log, STR("<end>"));
    return buf_str(&role->log);
}
