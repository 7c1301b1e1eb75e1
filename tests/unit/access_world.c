#include "access_world.h"
#include "roles/access/pop3_login.h"

#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>

static struct channel directory = {ROLE_DIRECTORY, 0, 1}, mailbox = {ROLE_MAILBOX, 0, 2};
struct channel *world_directory, *world_mailbox;
struct buf world_asked;
uint64_t world_id;
size_t world_backlog;
struct config world_config;
struct config_listen world_listener;
struct access world_access;
const struct login_protocol *world_protocol;
static struct event_base *base;
static struct listener listener;
static uint64_t next_id;
static void (*drained)(struct role *, struct channel *);

void world_open(void)
{
    base = event_base_new();
    world_directory = &directory;
    world_mailbox = &mailbox;
    world_backlog = next_id = 0;
    world_config = (struct config){.hostname = STR("pop.test"), .listeners = &world_listener, .listener_count = 1};
    world_config.limits.connections_per_address = 3;
    world_config.limits.login_failures = 3;
    world_config.limits.ban_time = 60 * 1000000;
    world_listener = (struct config_listen){.service_id = SERVICE_POP3, .tls_mode = LISTEN_TLS_STARTTLS};
    world_access = (struct access){.role = NULL, .limits = limit_new(100)};
    crowd_init(&world_access.crowd, base, &access_crowd_rules, &world_access);
    crowd_limit(&world_access.crowd, 100);
    list_init(&world_access.listeners);
    map_init(&world_access.asked);
    world_protocol = &pop3_login;
    listener = (struct listener){.access = &world_access};
    buf_init(&world_asked, 16 * 1024 * 1024);
}

void world_close(void)
{
    access_verify(NULL, NULL);
    LIST_EACH(&world_access.crowd.members, it)
        client_free(CONTAINER(it, struct client, member.link));
    access_verify(NULL, NULL);
    world_run();
    crowd_end(&world_access.crowd);
    map_clear(&world_access.asked);
    limit_free(world_access.limits);
    buf_clear(&world_asked);
    event_base_free(base);
}

int world_connect(const char *ip)
{
    struct ip peer;
    int ends[2];

    if (!ip_parse(str_of(ip), &peer) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
        abort();
    listener.protocol = world_protocol;
    client_new(&listener, ends[0], &peer);
    return ends[1];
}

void world_run(void)
{
    for (int i = 0; i < 50; i++)
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* ---- what the role calls ---- */

struct event_base *role_base(struct role *role)
{
    (void)role;
    return base;
}

const struct config *role_config(const struct role *role)
{
    (void)role;
    return &world_config;
}

unsigned role_peers(const struct role *role, enum role_id peer)
{
    (void)role;
    (void)peer;
    return 1;
}

struct channel *role_peer(const struct role *role, enum role_id peer, unsigned copy)
{
    (void)role;
    return copy != 0 ? NULL : peer == ROLE_DIRECTORY ? world_directory : peer == ROLE_MAILBOX ? world_mailbox : NULL;
}

struct channel *role_peer_for(const struct role *role, enum role_id peer, uint64_t hash)
{
    (void)hash;
    return role_peer(role, peer, 0);
}

uint64_t role_next_id(struct role *role)
{
    (void)role;
    return ++next_id;
}

void *role_state(struct role *role)
{
    (void)role;
    return &world_access;
}

size_t role_listener_count(const struct role *role)
{
    (void)role;
    return 0;
}

const struct role_listener *role_listener_at(const struct role *role, size_t i)
{
    (void)role;
    (void)i;
    return NULL;
}

enum role_id channel_role(const struct channel *c)
{
    return c->role;
}

unsigned channel_copy(const struct channel *c)
{
    return c->copy;
}

uint64_t channel_serial(const struct channel *c)
{
    return c->serial;
}

size_t channel_backlog(const struct channel *c)
{
    return c == world_mailbox ? world_backlog : 0;
}

void channel_on_drained(struct channel *c, void (*tell)(struct role *, struct channel *))
{
    (void)c;
    drained = tell;
}

/* ---- what it sends ---- */

static void add_data(struct str data)
{
    for (size_t i = 0; i < data.n; i++)
        buf_add_char(&world_asked, data.p[i] ? data.p[i] : '|');
    buf_add_char(&world_asked, '\n');
}

void ipc_send_auth_begin(struct channel *to, const struct msg_auth_begin *m)
{
    (void)to;
    world_id = m->id;
    buf_addf(&world_asked, "begin %.*s %.*s ", STR_ARG(m->mechanism), STR_ARG(m->client));
    add_data(m->initial);
}

void ipc_send_auth_step(struct channel *to, const struct msg_auth_step *m)
{
    (void)to;
    world_id = m->id;
    buf_add(&world_asked, STR("step "));
    add_data(m->data);
}

void ipc_send_auth_cancel(struct channel *to, const struct msg_auth_cancel *m)
{
    (void)to;
    (void)m;
    buf_add(&world_asked, STR("cancel\n"));
}

void ipc_send_session_open(struct channel *to, const struct msg_session_open *m)
{
    (void)to;
    world_id = m->id;
    buf_addf(&world_asked, "open %" PRIu64, m->account);
    if (m->protocol == SESSION_IMAP)
        buf_addf(&world_asked, " tag=%.*s", STR_ARG(m->tag));
    buf_addf(&world_asked, " flags=%" PRIu64 " %.*s %.*s\n", m->flags, STR_ARG(m->login), STR_ARG(m->client));
}

void ipc_send_session_data(struct channel *to, const struct msg_session_data *m)
{
    (void)to;
    buf_add(&world_asked, STR("data "));
    add_data(m->data);
}

void ipc_send_session_more(struct channel *to, const struct msg_session_more *m)
{
    (void)to;
    buf_addf(&world_asked, "more %" PRIu64 "\n", m->bytes);
}

void ipc_send_session_finish(struct channel *to, const struct msg_session_finish *m)
{
    (void)to;
    (void)m;
    buf_add(&world_asked, STR("finish\n"));
}

void ipc_send_session_stopped(struct channel *to, const struct msg_session_stopped *m)
{
    (void)to;
    (void)m;
    buf_add(&world_asked, STR("stopped\n"));
}

void ipc_send_session_close(struct channel *to, const struct msg_session_close *m)
{
    (void)to;
    (void)m;
    buf_add(&world_asked, STR("close\n"));
}

void world_drained(void)
{
    world_backlog = 0;
    if (drained != NULL && world_mailbox != NULL)
        drained(NULL, world_mailbox);
}
