#include "mailbox_world.h"

#include <inttypes.h>

static struct channel queue = {ROLE_QUEUE, 0, 1}, directory = {ROLE_DIRECTORY, 0, 2}, access_ = {ROLE_ACCESS, 0, 3},
                      web = {ROLE_WEB, 0, 4};
struct channel *world_queue, *world_directory, *world_access, *world_web;
void *world_state;
struct buf world_said;
uint64_t world_asked, world_granted;
uint64_t world_returns, world_connections;
uint64_t world_asked_account;
void (*world_directory_asked)(uint64_t id, uint64_t asker, struct str address, uint64_t account);
void (*world_directory_noted)(const struct msg_share_note *m);
void (*world_session)(uint64_t id, struct str bytes);
unsigned world_copies;
int64_t world_message_limit;
enum sharing world_sharing = SHARING_ANYONE;
static uint64_t next_id;

void world_open(void)
{
    world_queue = &queue;
    world_directory = &directory;
    world_access = &access_;
    world_web = &web;
    world_connections = 8;
    world_copies = 1;
    world_message_limit = 0;
    world_granted = world_asked = next_id = 0;
    world_session = NULL;
    world_directory_asked = NULL;
    world_directory_noted = NULL;
    buf_init(&world_said, 64 * 1024 * 1024);
}

void world_close(void)
{
    buf_clear(&world_said);
}

uint64_t channel_serial(const struct channel *c)
{
    return c->serial;
}

unsigned channel_copy(const struct channel *c)
{
    return c->copy;
}

enum role_id channel_role(const struct channel *c)
{
    return c->role;
}

struct channel *role_peer(const struct role *role, enum role_id peer, unsigned copy)
{
    (void)role;
    if (copy != 0)
        return NULL;
    return peer == ROLE_QUEUE ? world_queue : peer == ROLE_DIRECTORY ? world_directory : peer == ROLE_ACCESS ? world_access : NULL;
}

const struct config *role_config(const struct role *role)
{
    static struct config config;

    (void)role;
    config.limits.message_size = 50 * 1024 * 1024;
    config.limits.imap_message_limit = world_message_limit;
    config.sharing_mode = world_sharing;
    config.limits.connections_per_account = (int64_t)world_connections;
    return &config;
}

unsigned role_copy(const struct role *role)
{
    (void)role;
    return 0;
}

unsigned role_copies(const struct role *role)
{
    (void)role;
    return world_copies;
}

void *role_state(struct role *role)
{
    (void)role;
    return world_state;
}

uint64_t role_next_id(struct role *role)
{
    (void)role;
    return ++next_id;
}

void ipc_send_rcpt_done(struct channel *to, const struct msg_rcpt_done *m)
{
    static const char *const names[] = {"delivered", "relayed", "deferred", "failed"};

    (void)to;
    buf_addf(&world_said, "%s %" PRIu64 " %" PRIu64 " %.*s\n", names[m->status], m->id, m->code, STR_ARG(m->text));
}

void ipc_send_deliver_done(struct channel *to, const struct msg_deliver_done *m)
{
    (void)to;
    buf_addf(&world_said, "done %" PRIu64 "\n", m->id);
}

void ipc_send_body_ask(struct channel *to, const struct msg_body_ask *m)
{
    (void)to;
    buf_addf(&world_said, "piece %" PRIu64 " %" PRIu64 "\n", m->id, m->offset);
}

void ipc_send_account_ask(struct channel *to, const struct msg_account_ask *m)
{
    (void)to;
    world_asked = m->id;
    world_asked_account = m->account;
    buf_addf(&world_said, "account %" PRIu64 "\n", m->account);
}

void ipc_send_name_ask(struct channel *to, const struct msg_name_ask *m)
{
    (void)to;
    buf_addf(&world_said, "name %.*s\n", STR_ARG(m->address));
    if (world_directory_asked != NULL)
        world_directory_asked(m->id, m->asker, m->address, 0);
}

void ipc_send_shares_ask(struct channel *to, const struct msg_shares_ask *m)
{
    (void)to;
    buf_addf(&world_said, "shares %" PRIu64 "\n", m->account);
    if (world_directory_asked != NULL)
        world_directory_asked(m->id, 0, STR(""), m->account);
}

void ipc_send_share_note(struct channel *to, const struct msg_share_note *m)
{
    (void)to;
    if (world_directory_noted != NULL)
        world_directory_noted(m);
}

void ipc_send_session_data(struct channel *to, const struct msg_session_data *m)
{
    (void)to;
    if (world_session != NULL)
        world_session(m->id, m->data);
    else
        buf_add(&world_said, m->data);
}

void ipc_send_session_more(struct channel *to, const struct msg_session_more *m)
{
    (void)to;
    world_granted += m->bytes;
}

void ipc_send_session_return(struct channel *to, const struct msg_session_return *m)
{
    (void)to;
    world_returns = m->id;
}

void ipc_send_session_back(struct channel *to, const struct msg_session_back *m)
{
    (void)to;
    buf_addf(&world_said, "<back %" PRIu64 " %.*s>", m->id, STR_ARG(m->left));
}

void ipc_send_session_close(struct channel *to, const struct msg_session_close *m)
{
    (void)to;
    if (world_session != NULL)
        world_session(m->id, (struct str){0});
    else
        buf_addf(&world_said, "<close %" PRIu64 ">", m->id);
}

void ipc_send_control_row(struct channel *to, const struct msg_control_row *m)
{
    (void)to;
    buf_add(&world_said, m->json);
}

void ipc_send_control_done(struct channel *to, const struct msg_control_done *m)
{
    (void)to;
    buf_addf(&world_said, "ended %" PRIu64 " %.*s\n", m->code, STR_ARG(m->text));
}
