#include "commands.h"
#include "ask.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "ipc/args.h"
#include "net/conn.h"
#include "request.h"
#include "routes.h"
#include "status.h"
#include "tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { USAGE = 64, TEMPFAIL = 75, NOPERM = 77, LONGEST_LINE = 60000 };

/* Between commands, and for a client that does not read its rows. */
static const int64_t idle_limit = 30 * SECOND, reading_limit = 5 * MINUTE;

struct client {
    struct link link;
    struct web *web;
    struct conn *conn;
    uint64_t uid;
    bool busy;
    int64_t began;         /* monotonic: the command, while busy */
    struct ask *ask;       /* while a role works for it */
    struct status *status; /* while we do */
    struct tunnel *tunnel; /* from then on: the socket is a session */
};

static struct metric refused = METRIC_COUNTER("staffetta_web_commands_refused_total",
    "Clients of the command socket refused.");
static struct metric latency = METRIC_HISTOGRAM("staffetta_web_command_seconds",
    "Time to answer a command, the client's reading included.");

void commands_show_metrics(void)
{
    metric_show(&refused);
    metric_show(&latency);
}

static void client_free(struct client *c)
{
    if (c->ask != NULL)
        ask_cancel(c->ask);
    if (c->status != NULL)
        status_cancel(c->status);
    tunnel_free(c->tunnel);
    list_remove(&c->link);
    c->web->client_count--;
    conn_free(c->conn);
    free(c);
}

static void send_line(struct client *c, struct str line)
{
    conn_send(c->conn, line);
    conn_send(c->conn, STR("\n"));
}

static bool has_enough(const struct client *c)
{
    return conn_output_waiting(c->conn) > CONN_OUTPUT_HIGH;
}

static void send_done(struct client *c, int code, struct str text)
{
    struct buf line;

    buf_init(&line, 64 * 1024);
    json_open(&line);
    json_int(&line, "done", code);
    json_str(&line, "text", text);
    json_close(&line);
    send_line(c, buf_str(&line));
    buf_clear(&line);
    if (c->busy)
        metric_observe(&latency, clock_monotonic() - c->began);
    c->busy = false;
    c->ask = NULL;
    c->status = NULL;
    if (role_draining(c->web->role)) {
        conn_close_when_sent(c->conn);
        return;
    }
    conn_idle_limit(c->conn, idle_limit);
    conn_read(c->conn, true);
}

static bool on_row(void *owner, struct str json)
{
    struct client *c = owner;

    send_line(c, json);
    return !has_enough(c);
}

static void on_done(void *owner, int code, struct str text)
{
    send_done(owner, code, text);
}

static void on_progress(void *owner, enum role_id role, unsigned copy, struct str text)
{
    struct buf line, words;

    buf_init(&words, 8192);
    buf_init(&line, 64 * 1024);
    buf_addf(&words, "%s %u: %.*s", role_name(role), copy, STR_ARG(text));
    json_open(&line);
    json_str(&line, "progress", buf_str(&words));
    json_close(&line);
    send_line(owner, buf_str(&line));
    buf_clear(&line);
    buf_clear(&words);
}

static const struct ask_owner ask_events = {on_row, on_progress, on_done};

static void on_status_row(void *owner, struct str json)
{
    send_line(owner, json);
}

static void on_status_done(void *owner)
{
    send_done(owner, 0, STR(""));
}

static void on_probe(void *arg, const char *action, bool allowed, bool expected)
{
    struct client *c = arg;
    struct buf row;

    buf_init(&row, 1024);
    json_open(&row);
    json_str(&row, "role", STR("web"));
    json_int(&row, "copy", role_copy(c->web->role));
    json_str(&row, "action", str_of(action));
    json_str(&row, "result", allowed ? STR("allowed") : STR("refused"));
    json_bool(&row, "as_planned", allowed == expected);
    json_close(&row);
    send_line(c, buf_str(&row));
    buf_clear(&row);
}

/* The other roles are asked; nobody asks us but ourselves. */
static void check_own_sandbox(struct client *c)
{
    const struct config *config = role_config(c->web->role);

    char other[4096];

    snprintf(other, sizeof other, "%.*s/%s", STR_ARG(config->data), role_name(ROLE_QUEUE));
    sandbox_probe(WEB_SANDBOX, config->certificate_count ? config->certificates[0].key : STR("/etc/passwd"),
        str_of(other), on_probe, c);
}

static void open_tunnel(struct client *c, struct str args)
{
    struct err err = {0};
    int code;

    c->tunnel = tunnel_new(c->web, c->conn, args, &code, &err);
    if (c->tunnel == NULL)
        send_done(c, code, str_of(err.text));
}

static void run_acme(struct client *c, struct str args)
{
    struct err err = {0};
    int code = challenges_command(&c->web->challenges, args, &err);

    send_done(c, code, str_of(err.text));
}

static void run(struct client *c, const struct request *r)
{
    struct ask_target targets[ROUTE_TARGETS];
    struct str command = buf_str(&r->command), args = buf_str(&r->args);
    enum route_result route;
    size_t n;

    if (str_eq(command, STR("status")) && args_has_word(args, "verify"))
        command = STR("verify");
    log_info("command", "name=%.*s uid=%llu", STR_ARG(command), (unsigned long long)c->uid);
    if (str_eq(command, STR("status")) && args_has_word(args, "accept")) {
        send_done(c, USAGE, STR("--accept goes with --verify: it takes what that finds as it is"));
        return;
    }
    if (tunnel_is_asked(command, args)) {
        open_tunnel(c, args);
        return;
    }
    route = route_command(c->web, command, args, targets, &n);
    switch (route) {
    case ROUTE_HERE:
        if (str_eq(command, STR("acme"))) {
            run_acme(c, args);
            break;
        }
        c->status = status_new(c->web, on_status_row, on_status_done, c);
        break;
    case ROUTE_ROLES:
    case ROUTE_FINDER: {
        struct ask *ask;

        if (str_eq(command, STR("check-sandbox")))
            check_own_sandbox(c);
        ask = ask_new(c->web, targets, n, route == ROUTE_FINDER, c->uid, command, args, &ask_events, c);

        if (ask != NULL)
            c->ask = ask;
        break;
    }
    case ROUTE_UNKNOWN:
        send_done(c, USAGE, STR("unknown command"));
        break;
    }
}

static size_t on_input(void *owner, struct str bytes)
{
    struct client *c = owner;
    ptrdiff_t end = str_find(bytes, '\n');
    struct err err = {0};
    struct request r;

    if (c->tunnel != NULL)
        return tunnel_input(c->tunnel, bytes);
    if (c->busy)
        return 0;
    if (end < 0 && bytes.n < LONGEST_LINE)
        return 0;
    c->busy = true;
    c->began = clock_monotonic();
    conn_read(c->conn, false);
    conn_idle_limit(c->conn, reading_limit);
    request_init(&r);
    if (end < 0) {
        send_done(c, USAGE, STR("the command is too long"));
        conn_close_when_sent(c->conn);
    } else if (!request_parse(&r, str_sub(bytes, 0, (size_t)end), &err)) {
        send_done(c, USAGE, str_of(err.text));
    } else {
        run(c, &r);
    }
    request_clear(&r);
    return end < 0 ? bytes.n : (size_t)end + 1;
}

static void on_writable(void *owner)
{
    struct client *c = owner;

    if (c->ask != NULL)
        ask_more(c->ask);
    if (c->tunnel != NULL)
        tunnel_output_sent(c->tunnel);
}

static void on_closed(void *owner, bool timed_out, const char *reason)
{
    struct client *c = owner;

    (void)reason;
    if (timed_out)
        tunnel_timed_out(c->tunnel);
    client_free(c);
}

static const struct conn_events events = {.input = on_input, .writable = on_writable, .closed = on_closed};

static bool may_command(int fd, uint64_t *uid)
{
    struct ucred who = {.uid = (uid_t)-1};
    socklen_t size = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
        return false;
    *uid = who.uid;
    return who.uid == 0 || who.uid == geteuid();
}

static void refuse(struct client *c, int code, const char *why)
{
    metric_add(&refused, 1);
    log_warning("command-refused", "uid=%llu reason=%s", (unsigned long long)c->uid, why);
    send_done(c, code, str_of(why));
    conn_close_when_sent(c->conn);
}

void commands_accept(struct web *web, int fd)
{
    struct client *c = xcalloc(1, sizeof *c);
    bool allowed = may_command(fd, &c->uid);

    c->web = web;
    c->conn = conn_new(role_base(web->role), fd, &events, c);
    conn_idle_limit(c->conn, idle_limit);
    list_add_last(&web->clients, &c->link);
    web->client_count++;
    if (!allowed)
        refuse(c, NOPERM, "only root and the user of the server may command it");
    else if (web->client_count > COMMANDS_CLIENTS)
        refuse(c, TEMPFAIL, "too many commands at once; try again later");
}

void commands_drain(struct web *web)
{
    LIST_EACH(&web->clients, it) {
        struct client *c = CONTAINER(it, struct client, link);

        if (!c->busy)
            client_free(c);
    }
}
