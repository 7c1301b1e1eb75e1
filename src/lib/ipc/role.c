/* The life of a role's process: boot, sandbox, loop, end. What the supervisor says is in boot.c, a
 * single command without a server in offline.c. */
#include "ipc/role.h"
#include "base/json.h"
#include "base/last_words.h"
#include "base/log.h"
#include "base/metric.h"
#include "ipc/boot.h"
#include "ipc/control.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_stats_ask(struct role *role, struct channel *from, const struct msg_stats_ask *m)
{
    struct buf text;

    buf_init(&text, IPC_LIST);
    metric_write(&text, role_name(role->type->id), role->copy);
    ipc_send_stats_reply(from, &(struct msg_stats_reply){m->id, buf_str(&text)});
    buf_clear(&text);
}

struct probe_ask {
    struct role *role;
    struct channel *to;
    uint64_t id;
};

static void probe_result(void *arg, const char *action, bool allowed, bool expected)
{
    struct probe_ask *ask = arg;
    struct buf row;

    buf_init(&row, 1024);
    json_open(&row);
    json_str(&row, "role", str_of(role_name(ask->role->type->id)));
    json_int(&row, "copy", ask->role->copy);
    json_str(&row, "action", str_of(action));
    json_str(&row, "result", allowed ? STR("allowed") : STR("refused"));
    json_bool(&row, "as_planned", allowed == expected);
    json_close(&row);
    ipc_send_control_row(ask->to, &(struct msg_control_row){ask->id, buf_str(&row)});
    buf_clear(&row);
}

/* `staffetta check-sandbox` asks every role to try what it must not be able to do. */
static void check_sandbox(struct role *role, struct channel *from, uint64_t id)
{
    struct probe_ask ask = {role, from, id};
    char other[4096];
    struct str key = role->config->certificate_count ? role->config->certificates[0].key : STR("/etc/passwd");

    snprintf(other, sizeof other, "%.*s/%s", STR_ARG(role->config->data),
        role_name(role->type->id == ROLE_QUEUE ? ROLE_DIRECTORY : ROLE_QUEUE));
    sandbox_probe(role->type->sandbox, key, str_of(other), probe_result, &ask);
    ipc_send_control_done(from, &(struct msg_control_done){id, 0, STR("")});
}

static void on_control_ask(struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    if (str_eq(m->command, STR("check-sandbox")))
        check_sandbox(role, from, m->id);
    else if (str_eq(m->command, STR("verify")))
        verify_on_ask(role, from, m);
    else if (role->type->handlers->control_ask != NULL)
        role->type->handlers->control_ask(role, from, m);
    else
        ipc_send_control_done(from, &(struct msg_control_done){m->id, 64, STR("this role takes no commands")});
}

/* For roles whose commands answer at once. */
static void ignore_more(struct role *role, struct channel *from, const struct msg_control_more *m)
{
    (void)role, (void)from, (void)m;
}

static void ignore_cancel(struct role *role, struct channel *from, const struct msg_control_cancel *m)
{
    (void)role, (void)from, (void)m;
}

static void peer_ended(struct channel *c)
{
    struct role *role = channel_owner(c);

    role->peers[channel_role(c)][channel_copy(c)] = NULL;
    log_debug("peer-gone", "peer=%s copy=%u", role_name(channel_role(c)), channel_copy(c));
    if (role->type->peer_gone != NULL)
        role->type->peer_gone(role, c);
    verify_peer_gone(role, c);
    channel_free(c);
}

void boot_add_peer(struct role *role, enum role_id peer, unsigned copy, unsigned copies, int fd)
{
    struct channel **place = &role->peers[peer][copy];

    if (*place != NULL) { /* it was restarted and we have not seen its end yet */
        channel_take_rest(*place);
        peer_ended(*place);
    }
    role->peer_copies[peer] = copies;
    *place = channel_new(role->base, fd, role, role->type->id, peer, copy, &role->handlers, peer_ended);
    if (role->running && role->type->peer_up != NULL)
        role->type->peer_up(role, *place);
}

/* What libevent would write to standard error itself; behind an error it ends the process. */
static void on_libevent(int severity, const char *text)
{
    if (severity == EVENT_LOG_ERR)
        log_error("fatal", "reason=libevent: %s", text);
    else if (severity == EVENT_LOG_WARN)
        log_warning("libevent", "reason=%s", text);
}

static struct role *role_new(const struct role_type *type)
{
    struct role *role = xcalloc(1, sizeof *role);
    struct event_config *how = event_config_new();

    role->type = type;
    role->handlers = *type->handlers;
    role->handlers.stats_ask = on_stats_ask;
    role->handlers.control_ask = on_control_ask;
    role->handlers.count_mark = verify_on_mark;
    role->handlers.count_seen = verify_on_seen;
    if (role->handlers.control_more == NULL)
        role->handlers.control_more = ignore_more;
    if (role->handlers.control_cancel == NULL)
        role->handlers.control_cancel = ignore_cancel;
    list_init(&role->verifications);
    role->passed_fd = -1;
    role->signer_fd = -1;
    event_config_set_flag(how, EVENT_BASE_FLAG_NOLOCK);
    role->base = event_base_new_with_config(how);
    event_config_free(how);
    if (role->base == NULL)
        fatal("cannot create the event loop");
    buf_init(&role->packet, CONTROL_PACKET_MAX);
    return role;
}

/* Ends with the supervisor, and ignores what is meant for it: a terminal's interrupt goes to the whole
 * process group, and the supervisor decides in which order roles stop. */
static void set_signals(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static bool control_socket_is_there(void)
{
    int type = 0;
    socklen_t size = sizeof type;

    return getsockopt(CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/* A supervisor that lives and sees this starts the role again. */
static void say_that_supervisor_is_gone(void)
{
    log_warning("exit", "reason=%s", "the supervisor is gone");
}

struct role *role_begin(const struct role_type *type, int argc, char **argv)
{
    struct role *role;

    log_open(role_name(type->id), 0);
    last_words_begin();
    event_set_log_callback(on_libevent);
    role = role_new(type);
    if (argc >= 4 && str_eq(str_of(argv[1]), STR("--command"))) {
        offline_begin(role, argc - 2, argv + 2);
        return role;
    }
    if (!control_socket_is_there())
        fatal("staffetta-%s is started by the server: run `staffetta serve`", role_name(type->id));
    set_signals();
    while (!role->fresh_boot)
        if (!boot_take_packet(role)) {
            say_that_supervisor_is_gone();
            log_flush();
            exit(0);
        }
    if (role->config == NULL)
        fatal("started without a configuration");
    return role;
}

void role_sandbox(struct role *role)
{
    struct buf folder;
    const char *paths[2] = {NULL, NULL};
    struct err err = {0};

    buf_init(&folder, 4096);
    if (role->type->sandbox & SANDBOX_FILES) {
        buf_addf(&folder, "%.*s/%s%c", STR_ARG(role->config->data), role_name(role->type->id), 0);
        paths[0] = folder.p;
    }
    log_flush();
    if (!sandbox_enter(role->type->sandbox, paths, str_eq(role->config->sandbox, STR("required")), &err))
        fatal("sandbox: %s", err.text);
    buf_clear(&folder);
    role->sandboxed = true;
}

static void on_control(evutil_socket_t fd, short what, void *arg)
{
    struct role *role = arg;

    (void)fd;
    (void)what;
    if (!boot_take_packet(role)) {
        say_that_supervisor_is_gone();
        role_exit(role);
    }
}

static void all_peers(struct role *role, void (*visit)(struct role *, struct channel *))
{
    for (unsigned r = 0; r < ROLE_COUNT; r++)
        for (unsigned i = 0; i < role->peer_copies[r]; i++)
            if (role->peers[r][i] != NULL)
                visit(role, role->peers[r][i]);
}

static void all_signers(struct role *role, void (*visit)(struct role *, struct channel *))
{
    for (unsigned r = 0; r < ROLE_COUNT; r++)
        for (unsigned i = 0; i < role->peer_copies[r]; i++)
            if (role->signers[r][i] != NULL)
                visit(role, role->signers[r][i]);
}

static void flush_peer(struct role *role, struct channel *c)
{
    (void)role;
    if (channel_backlog(c))
        channel_flush(c);
}

static void start_work(struct role *role)
{
    role->running = true;
    if (role->offline != NULL) {
        offline_start(role);
        return;
    }
    role->control_event = event_new(role->base, CONTROL_FD, EV_READ | EV_PERSIST, on_control, role);
    if (evutil_make_socket_nonblocking(CONTROL_FD) != 0 || role->control_event == NULL ||
        event_add(role->control_event, NULL) != 0)
        fatal("cannot watch the control socket");
    if (role->type->peer_up != NULL)
        all_peers(role, role->type->peer_up);
    boot_answer_ready(false);
}

int role_run(struct role *role)
{
    if (!role->sandboxed)
        fatal("no sandbox");
    start_work(role);
    while (!role->stop) {
        if (event_base_loop(role->base, EVLOOP_ONCE) < 0)
            fatal("the event loop failed");
        if (role->type->turn != NULL)
            role->type->turn(role);
        all_peers(role, flush_peer);
        if (role->type->handlers->key_sign_ask != NULL)
            all_signers(role, flush_peer);
        log_flush();
    }
    return role->exit_code;
}

void role_exit(struct role *role)
{
    role->stop = true;
    event_base_loopbreak(role->base);
}

void role_set_state(struct role *role, void *state)
{
    role->state = state;
}

void *role_state(struct role *role)
{
    return role->state;
}

struct event_base *role_base(struct role *role)
{
    return role->base;
}

const struct config *role_config(const struct role *role)
{
    return role->config;
}

unsigned role_copy(const struct role *role)
{
    return role->copy;
}

unsigned role_copies(const struct role *role)
{
    return role->copies;
}

bool role_draining(const struct role *role)
{
    return role->draining;
}

size_t role_certificate_count(const struct role *role)
{
    return role->certificate_count;
}

const struct role_certificate *role_certificate_at(const struct role *role, size_t i)
{
    return &role->certificates[i];
}

size_t role_listener_count(const struct role *role)
{
    return role->listener_count;
}

const struct role_listener *role_listener_at(const struct role *role, size_t i)
{
    return &role->listeners[i];
}

unsigned role_peers(const struct role *role, enum role_id peer)
{
    return role->peer_copies[peer];
}

struct channel *role_peer(const struct role *role, enum role_id peer, unsigned copy)
{
    return copy < MAX_COPIES ? role->peers[peer][copy] : NULL;
}

struct channel *role_peer_for(const struct role *role, enum role_id peer, uint64_t hash)
{
    return role->peer_copies[peer] ? role->peers[peer][hash % role->peer_copies[peer]] : NULL;
}

uint64_t role_next_id(struct role *role)
{
    return ++role->next_id;
}
