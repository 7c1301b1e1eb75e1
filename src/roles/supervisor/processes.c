/* Starts, watches and restarts one process a copy of a role. A process that dies is started again
 * after a pause that doubles up to PAUSE_MAX and is forgotten once it ran for STABLE_AFTER; its peers
 * get new channels while they go on working. */
#include "roles/supervisor/supervisor.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/control.h"
#include "ipc/user.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_FIRST (SECOND / 10)
#define PAUSE_MAX (30 * SECOND)
#define STABLE_AFTER MINUTE

static void on_timer(evutil_socket_t fd, short what, void *arg);
static bool holds_keys(const struct process *p);
static void reload_some(struct supervisor *s, bool key_holders);

static unsigned copies_of(const struct config *c, enum role_id role)
{
    switch (role) {
    case ROLE_DIRECTORY:
        return (unsigned)c->copies.directory;
    case ROLE_SMTP:
        return (unsigned)c->copies.smtp;
    case ROLE_FILTER:
        return (unsigned)c->copies.filter;
    case ROLE_QUEUE:
        return (unsigned)c->copies.queue;
    case ROLE_RELAY:
        return (unsigned)c->copies.relay;
    case ROLE_ACCESS:
        return (unsigned)c->copies.access;
    case ROLE_MAILBOX:
        return (unsigned)c->copies.mailbox;
    case ROLE_RESOLVER:
    case ROLE_EVENTS:
    case ROLE_WEB:
        return 1;
    case ROLE_SUPERVISOR:
    case ROLE_COUNT:
        break;
    }
    return 0;
}

void processes_plan(struct supervisor *s)
{
    for (enum role_id role = ROLE_RESOLVER; role < ROLE_COUNT; role++)
        for (unsigned i = 0; i < copies_of(s->config, role); i++) {
            struct process *p = &s->processes[s->process_count++];

            *p = (struct process){.role = role, .copy = i, .copies = copies_of(s->config, role),
                .control = -1, .pause = PAUSE_FIRST, .supervisor = s};
            p->timer = evtimer_new(s->base, on_timer, p);
        }
}

/* ---- in the child ---- */

static void become_user(struct supervisor *s, enum role_id role)
{
    uid_t uid = 0;
    gid_t gid = 0;
    bool change;
    struct err err = {0};

    if (!user_find(s->config, role, &uid, &gid, &change, &err))
        fatal("%s", err.text);
    if (change && (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0))
        fatal("cannot become the user of %s: %s", role_name(role), strerror(errno));
}

static _Noreturn void run_role(struct supervisor *s, const struct process *p, int control)
{
    const char *folder = getenv("STAFFETTA_LIBEXEC");
    char path[4096];
    sigset_t none;

    snprintf(path, sizeof path, "%s/staffetta-%s", folder ? folder : LIBEXECDIR, role_name(p->role));
    if (control == CONTROL_FD)
        fcntl(control, F_SETFD, 0);
    else if (dup2(control, CONTROL_FD) < 0)
        fatal("dup2: %s", strerror(errno));
    become_user(s, p->role);
    if (chdir("/") != 0)
        fatal("chdir /: %s", strerror(errno));
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execl(path, path, (char *)NULL);
    fatal("%s: %s", path, strerror(errno));
}

/* ---- in the supervisor ---- */

static void tell_web(struct supervisor *s, const struct process *about)
{
    struct buf frame;

    buf_init(&frame, CONTROL_PACKET_MAX);
    for (size_t i = 0; i < s->process_count; i++) {
        struct process *web = &s->processes[i];

        if (web->role != ROLE_WEB || !web->ready)
            continue;
        ipc_encode_process_state(&frame,
            &(struct msg_process_state){about->role, about->copy, (uint64_t)about->pid, about->restarts,
                about->started});
        link_send(web, &frame, -1);
    }
    buf_clear(&frame);
}

static void process_ready(struct process *p)
{
    struct supervisor *s = p->supervisor;
    bool all = true;

    p->ready = true;
    if (s->reloading && holds_keys(p)) {
        s->reloading = false;
        reload_some(s, false);
    }
    if (p->role == ROLE_WEB)
        for (size_t i = 0; i < s->process_count; i++)
            tell_web(s, &s->processes[i]);
    else
        tell_web(s, p);
    for (size_t i = 0; i < s->process_count; i++)
        all = all && s->processes[i].ready;
    if (all && !s->started)
        supervisor_all_ready(s);
}

static void close_control(struct process *p)
{
    if (p->control_event != NULL)
        event_free(p->control_event);
    if (p->control >= 0)
        close(p->control);
    p->control_event = NULL;
    p->control = -1;
}

static void on_ready(struct role *role, struct channel *from, const struct msg_ready *m)
{
    (void)role, (void)from, (void)m;
}

/* A process without its control socket ends, and SIGCHLD says so. Should the signal get lost, or the
 * process stay, this finds it a second later. */
static void look_after(struct process *p)
{
    static const struct timeval second = {1, 0};

    event_del(p->control_event);
    event_add(p->timer, &second);
}

static void find_ended(struct process *p)
{
    processes_reap(p->supervisor);
    if (p->pid == 0)
        return;
    log_warning("kill", "role=%s copy=%u reason=%s", role_name(p->role), p->copy, "its control socket is gone");
    kill(p->pid, SIGKILL);
    event_add(p->timer, &(struct timeval){1, 0});
}

/* The only thing a role says here is that it is ready. */
static void on_control(evutil_socket_t fd, short what, void *arg)
{
    static const struct handlers handlers = {.ready = on_ready};
    struct process *p = arg;
    struct buf packet;
    struct err err = {0};
    const char *why;
    int passed;
    bool ended;

    (void)what;
    buf_init(&packet, CONTROL_PACKET_MAX);
    if (!control_receive(fd, &packet, &passed, &ended, &err)) {
        log_warning("control", "role=%s copy=%u reason=%s", role_name(p->role), p->copy, err.text);
        kill(p->pid, SIGKILL); /* what it said is lost: it may never count as ready */
    } else if (ended) {
        look_after(p);
    } else if (packet.n > 4 && ipc_dispatch(NULL, NULL, p->role, ROLE_SUPERVISOR, &handlers,
                                   str_skip(buf_str(&packet), 4), &why)) {
        process_ready(p);
    } else if (packet.n) {
        log_warning("control", "role=%s reason=%s", role_name(p->role), "nonsense on the control socket");
        kill(p->pid, SIGKILL);
    }
    if (passed >= 0)
        close(passed);
    buf_clear(&packet);
}

static bool takes_service(enum role_id role, enum service service)
{
    switch (service) {
    case SERVICE_MX:
    case SERVICE_SUBMISSION:
    case SERVICE_LMTP:
    case SERVICE_LOCAL_SMTP:
        return role == ROLE_SMTP;
    case SERVICE_IMAP:
    case SERVICE_POP3:
        return role == ROLE_ACCESS;
    case SERVICE_HTTPS:
    case SERVICE_HTTP:
    case SERVICE_METRICS:
    case SERVICE_CONTROL:
        return role == ROLE_WEB;
    case SERVICE_NONE:
        break;
    }
    return false;
}

/* Keys go to the one process that signs; those that talk to the network ask it. */
static bool holds_keys(const struct process *p)
{
    return p->role == ROLE_DIRECTORY && p->copy == 0;
}

static void send_config(struct supervisor *s, struct process *p, struct buf *frame)
{
    ipc_encode_boot_config(
        frame, &(struct msg_boot_config){str_of(s->config_path), buf_str(&s->config_text)});
    link_send(p, frame, -1);
    if (p->role != ROLE_SMTP && p->role != ROLE_ACCESS && p->role != ROLE_WEB && !holds_keys(p))
        return;
    for (size_t i = 0; i < s->certificate_count; i++) {
        const struct role_certificate *c = &s->certificates[i];

        ipc_encode_boot_certificate(
            frame, &(struct msg_boot_certificate){c->name, c->chain, holds_keys(p) ? c->key : STR("")});
        link_send(p, frame, -1);
    }
}

static void send_boot(struct supervisor *s, struct process *p, struct buf *frame)
{
    ipc_encode_boot_hello(frame, &(struct msg_boot_hello){.build = str_stable_hash(STR(BUILD_ID)),
                                     .role = p->role, .copy = p->copy, .copies = p->copies});
    link_send(p, frame, -1);
    send_config(s, p, frame);
    for (size_t i = 0; i < s->bound_count; i++) {
        const struct bound *b = &s->bound[i];

        if (!takes_service(p->role, b->service))
            continue;
        ipc_encode_boot_listener(frame, &(struct msg_boot_listener){b->index, b->service, b->address});
        link_send(p, frame, b->fd);
    }
}

static void send_run(struct process *p, bool reload, struct buf *frame)
{
    ipc_encode_boot_run(frame, &(struct msg_boot_run){reload});
    link_send(p, frame, -1);
}

static bool spawn(struct supervisor *s, struct process *p, struct err *err)
{
    struct timeval patience = {5, 0};
    int pair[2], size = 2 * CONTROL_PACKET_MAX;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(err, ERR_TEMPORARY, "socketpair: %s", strerror(errno));
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    log_flush();
    p->pid = fork();
    if (p->pid == 0)
        run_role(s, p, pair[1]);
    close(pair[1]);
    if (p->pid < 0) {
        close(pair[0]);
        p->pid = 0;
        return err_set(err, ERR_TEMPORARY, "fork: %s", strerror(errno));
    }
    p->control = pair[0];
    p->ready = false;
    p->started = clock_now();
    p->began = clock_monotonic();
    p->control_event = event_new(s->base, p->control, EV_READ | EV_PERSIST, on_control, p);
    if (p->control_event == NULL || event_add(p->control_event, NULL) != 0) {
        log_error("control", "role=%s copy=%u reason=%s", role_name(p->role), p->copy, "cannot watch its socket");
        kill(p->pid, SIGKILL);
    }
    return true;
}

bool processes_start_all(struct supervisor *s, struct err *err)
{
    struct buf frame;

    buf_init(&frame, CONTROL_PACKET_MAX);
    for (size_t i = 0; i < s->process_count; i++) {
        if (!spawn(s, &s->processes[i], err))
            return false;
        send_boot(s, &s->processes[i], &frame);
        link_process(s, &s->processes[i]);
    }
    for (size_t i = 0; i < s->process_count; i++)
        send_run(&s->processes[i], false, &frame);
    buf_clear(&frame);
    return true;
}

static void plan_restart(struct process *p)
{
    struct timeval pause = {p->pause / SECOND, p->pause % SECOND};

    log_warning("restart", "role=%s copy=%u pause_ms=%lld", role_name(p->role), p->copy,
        (long long)(p->pause / 1000));
    event_add(p->timer, &pause);
    p->pause = p->pause * 2 > PAUSE_MAX ? PAUSE_MAX : p->pause * 2;
}

static void restart(struct process *p)
{
    struct supervisor *s = p->supervisor;
    struct err err = {0};
    struct buf frame;

    p->restarts++;
    if (!spawn(s, p, &err)) {
        log_error("restart", "role=%s reason=%s", role_name(p->role), err.text);
        plan_restart(p);
        return;
    }
    buf_init(&frame, CONTROL_PACKET_MAX);
    send_boot(s, p, &frame);
    link_process(s, p);
    send_run(p, false, &frame);
    buf_clear(&frame);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct process *p = arg;

    (void)fd, (void)what;
    if (p->pid != 0)
        find_ended(p);
    else if (!p->supervisor->stopping)
        restart(p);
}

void processes_revive(struct supervisor *s, unsigned roles)
{
    for (size_t i = 0; i < s->process_count; i++)
        if (s->processes[i].pid == 0 && roles & 1u << s->processes[i].role) {
            event_del(s->processes[i].timer);
            restart(&s->processes[i]);
        }
}

static void process_ended(struct supervisor *s, struct process *p, int status)
{
    close_control(p);
    event_del(p->timer);
    p->pid = 0;
    p->ready = false;
    supervisor_process_ended(s, p, status);
    if (s->stopping)
        return;
    tell_web(s, p);
    if (clock_monotonic() - p->began > STABLE_AFTER)
        p->pause = PAUSE_FIRST;
    plan_restart(p);
}

void processes_reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < s->process_count; i++)
            if (s->processes[i].pid == pid) {
                process_ended(s, &s->processes[i], status);
                break;
            }
}

static void reload_some(struct supervisor *s, bool key_holders)
{
    struct buf frame;

    buf_init(&frame, CONTROL_PACKET_MAX);
    for (size_t i = 0; i < s->process_count; i++)
        if (s->processes[i].pid != 0 && holds_keys(&s->processes[i]) == key_holders) {
            send_config(s, &s->processes[i], &frame);
            send_run(&s->processes[i], true, &frame);
        }
    buf_clear(&frame);
}

/* The holder of the keys first: a front with a new certificate finds its key there. The others follow
 * when it says that it is ready (process_ready), or when it has to be started again. */
void processes_reload(struct supervisor *s)
{
    s->reloading = true;
    reload_some(s, true);
}

void processes_drain(struct supervisor *s, unsigned roles, int64_t within)
{
    struct buf frame;

    buf_init(&frame, CONTROL_PACKET_MAX);
    for (size_t i = 0; i < s->process_count; i++) {
        struct process *p = &s->processes[i];

        if (p->pid == 0 || !(roles & 1u << p->role))
            continue;
        ipc_encode_drain(&frame, &(struct msg_drain){within});
        link_send(p, &frame, -1);
    }
    buf_clear(&frame);
}

void processes_kill(struct supervisor *s, unsigned roles)
{
    for (size_t i = 0; i < s->process_count; i++)
        if (s->processes[i].pid != 0 && roles & 1u << s->processes[i].role) {
            log_warning("kill", "role=%s copy=%u reason=%s", role_name(s->processes[i].role),
                s->processes[i].copy, "it did not finish in time");
            kill(s->processes[i].pid, SIGKILL);
        }
}

bool processes_alive(const struct supervisor *s, unsigned roles)
{
    for (size_t i = 0; i < s->process_count; i++)
        if (s->processes[i].pid != 0 && roles & 1u << s->processes[i].role)
            return true;
    return false;
}
