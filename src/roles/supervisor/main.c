/* The supervisor: start, signals, shutdown in stages.
 *
 * SIGHUP reads configuration, certificates and keys again; a mistake leaves the old ones in force.
 * SIGTERM and SIGINT stop the server from the front to the back: first those who talk to clients
 * finish their transactions, then the line behind them, so that nothing waits for a process that is
 * already gone. A stage that takes too long is killed; nothing promised is lost by that. */
#include "roles/supervisor/supervisor.h"
#include "base/clock.h"
#include "base/last_words.h"
#include "base/log.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static const struct {
    unsigned roles;
    int64_t within; /* what the roles are given; they are killed a second later */
} stages[] = {
    {ROLE_BIT(SMTP) | ROLE_BIT(ACCESS), 10 * SECOND},
    {ROLE_BIT(FILTER), 2 * SECOND},
    {ROLE_BIT(QUEUE), 5 * SECOND},
    {ROLE_BIT(RELAY) | ROLE_BIT(MAILBOX), 2 * SECOND},
    {ALL_BUT_SUPERVISOR, 2 * SECOND},
};
enum { STAGES = sizeof stages / sizeof stages[0] };

/* A process of queue that has just died is needed once more: relay may keep results for it, and what is not
 * stored when relay goes is sent a second time. */
static bool stage_is_empty(struct supervisor *s)
{
    if (s->started && !s->revived && stages[s->stage].roles == ROLE_BIT(QUEUE)) {
        s->revived = true;
        processes_revive(s, ROLE_BIT(QUEUE));
    }
    return !processes_alive(s, stages[s->stage].roles);
}

static void enter_stage(struct supervisor *s)
{
    struct timeval limit;

    while (s->stage < STAGES && stage_is_empty(s))
        s->stage++;
    if (s->stage == STAGES) {
        event_base_loopbreak(s->base);
        return;
    }
    processes_drain(s, stages[s->stage].roles, stages[s->stage].within);
    limit.tv_sec = stages[s->stage].within / SECOND + 1;
    limit.tv_usec = 0;
    event_add(s->stage_timer, &limit);
}

static void on_stage_late(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;

    (void)fd, (void)what;
    processes_kill(s, stages[s->stage].roles);
}

static void stop(struct supervisor *s)
{
    if (s->stopping) { /* a second signal: at once */
        s->revived = true;
        processes_kill(s, ALL_BUT_SUPERVISOR);
        return;
    }
    log_info("stopping", "pid=%d", (int)getpid());
    notify_systemd("STOPPING=1");
    s->stopping = true;
    enter_stage(s);
}

void supervisor_process_ended(struct supervisor *s, struct process *p, int status)
{
    if (!s->stopping || WIFSIGNALED(status))
        log_event(s->stopping ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "role-ended",
            "role=%s copy=%u signal=%d exit=%d", role_name(p->role), p->copy,
            WIFSIGNALED(status) ? WTERMSIG(status) : 0, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    if (s->stopping) {
        if (!processes_alive(s, stages[s->stage].roles))
            enter_stage(s);
    } else if (!s->started) {
        log_error("start-failed", "role=%s reason=%s", role_name(p->role),
            "it ended before it was ready; its last log line says why");
        s->exit_code = WIFEXITED(status) && WEXITSTATUS(status) == EX_DATAERR ? EX_DATAERR : 1;
        stop(s);
    }
}

void supervisor_all_ready(struct supervisor *s)
{
    char state[64];

    s->started = true;
    for (size_t i = 0; i < s->bound_count; i++)
        log_info("listening", "address=%.*s", STR_ARG(s->bound[i].address));
    log_info("ready", "pid=%d processes=%zu", (int)getpid(), s->process_count);
    snprintf(state, sizeof state, "READY=1\nMAINPID=%d", (int)getpid());
    notify_systemd(state);
}

static void on_hangup(evutil_socket_t sig, short what, void *arg)
{
    struct supervisor *s = arg;
    struct err err = {0};

    (void)sig, (void)what;
    if (s->stopping)
        return; /* the roles that are left have closed their listeners */
    notify_systemd("RELOADING=1");
    if (files_load(s, &err)) {
        processes_reload(s);
        log_info("reloaded", "configuration=%s", s->config_path);
    } else {
        log_error("reload-refused", "reason=%s", err.text);
    }
    notify_systemd("READY=1");
}

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
    (void)sig, (void)what;
    stop(arg);
}

static void on_child(evutil_socket_t sig, short what, void *arg)
{
    (void)sig, (void)what;
    processes_reap(arg);
}

static void watch_signals(struct supervisor *s)
{
    static const struct {
        int signal;
        event_callback_fn handler;
    } signals[] = {{SIGHUP, on_hangup}, {SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGCHLD, on_child}};

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        event_add(evsignal_new(s->base, signals[i].signal, signals[i].handler, s), NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Every role may need thousands of descriptors; the soft limit is a default for programs with select(2). */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    umask(077);
}

static void write_pid_file(const struct supervisor *s)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof path, "%.*s/staffetta.pid", STR_ARG(s->config->run));
    f = fopen(path, "we");
    if (f == NULL)
        return;
    fprintf(f, "%d\n", (int)getpid());
    fclose(f);
}

static void remove_run_files(struct supervisor *s)
{
    char path[4096];

    snprintf(path, sizeof path, "%.*s/staffetta.pid", STR_ARG(s->config->run));
    unlink(path);
    listeners_remove_local(s);
}

static void apply_log_settings(const struct config *config)
{
    log_set(str_eq(config->log_level, STR("debug")) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
        str_eq(config->log_format, STR("json")));
}

int main(int argc, char **argv)
{
    static struct supervisor s;
    struct err err = {0};

    log_open("supervisor", 0);
    last_words_begin();
    if (argc != 2)
        fatal("staffetta-supervisor is started by `staffetta serve`");
    s.config_path = argv[1];
    raise_limits();
    if (!files_load(&s, &err))
        fatal("%s", err.text);
    apply_log_settings(s.config);
    if (!files_prepare_folders(&s, &err) || !listeners_bind(&s, &err))
        fatal("%s", err.text);
    s.base = event_base_new();
    s.stage_timer = evtimer_new(s.base, on_stage_late, &s);
    watch_signals(&s);
    processes_plan(&s);
    write_pid_file(&s);
    if (!processes_start_all(&s, &err))
        fatal("%s", err.text);
    while (!(s.stopping && s.stage == STAGES)) {
        event_base_loop(s.base, EVLOOP_ONCE);
        log_flush();
    }
    remove_run_files(&s);
    log_info("stopped", "pid=%d", (int)getpid());
    log_flush();
    return s.exit_code;
}
