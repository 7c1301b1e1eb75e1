#include "http.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "exposition.h"
#include "gather.h"

#include <event2/event.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS = 64, IDLE_SECONDS = 10, REQUEST_MEMORY = 32 * 1024, ALL_TEXT = 8 << 20 };

struct http {
    struct web *web;
    struct MHD_Daemon *daemon;
    struct event *readable, *timer;
};

/* One request. */
struct exchange {
    struct http *http;
    struct MHD_Connection *connection;
    const struct page *page;
    struct gather_wait wait;
    bool asked, ready;
    int64_t began; /* monotonic */
    struct buf body;
};

struct page {
    const char *path, *type;
    /* Fills body and sets ready, now or later (the connection is then suspended meanwhile). */
    void (*start)(struct exchange *x);
};

static struct metric requests = METRIC_COUNTER("staffetta_web_requests_total", "HTTP requests answered.");
static struct metric latency = METRIC_HISTOGRAM("staffetta_web_request_seconds", "Time to answer an HTTP request.");

static void start_metrics(struct exchange *x);
static void start_health(struct exchange *x);

static const struct page pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", start_metrics},
    {"/healthz", "text/plain; charset=utf-8", start_health},
};

/* ---- the loop ---- */

static void turn(struct http *h);

static void arm_timer(struct http *h)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (MHD_get_timeout(h->daemon, &ms) != MHD_YES) {
        evtimer_del(h->timer);
        return;
    }
    event_add(h->timer, &(struct timeval){(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)});
}

static void turn(struct http *h)
{
    MHD_run(h->daemon);
    arm_timer(h);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    turn(arg);
}

/* ---- pages ---- */

static void add_up(struct exposition *e, const struct gathered *all, size_t n)
{
    struct buf text;

    buf_init(&text, ALL_TEXT);
    buf_add(&text, STR("# HELP staffetta_up Whether the process answered.\n# TYPE staffetta_up gauge\n"));
    for (size_t i = 0; i < n; i++)
        buf_addf(&text, "staffetta_up{role=\"%s\",copy=\"%u\"} %d\n", role_name(all[i].role), all[i].copy, all[i].up);
    exposition_add(e, buf_str(&text));
    buf_clear(&text);
}

static void add_processes(struct exposition *e, const struct web *web, const struct gathered *all, size_t n)
{
    struct buf text;

    buf_init(&text, ALL_TEXT);
    buf_add(&text, STR("# HELP staffetta_restarts_total How often the process was started again.\n"
                       "# TYPE staffetta_restarts_total counter\n"));
    for (size_t i = 0; i < n; i++) {
        const struct process_info *p = &web->processes[all[i].role][all[i].copy];

        if (p->known)
            buf_addf(&text, "staffetta_restarts_total{role=\"%s\",copy=\"%u\"} %llu\n", role_name(all[i].role),
                all[i].copy, (unsigned long long)p->restarts);
    }
    exposition_add(e, buf_str(&text));
    buf_clear(&text);
}

static void on_gathered(struct gather_wait *wait, const struct gathered *all, size_t n)
{
    struct exchange *x = CONTAINER(wait, struct exchange, wait);
    struct exposition *e = exposition_new(ALL_TEXT);

    add_up(e, all, n);
    add_processes(e, x->http->web, all, n);
    for (size_t i = 0; i < n; i++)
        exposition_add(e, all[i].text);
    if (!exposition_write(e, &x->body))
        log_warning("metrics", "reason=%s", "too long, cut");
    exposition_free(e);
    x->ready = true;
    MHD_resume_connection(x->connection);
    event_add(x->http->timer, &(struct timeval){0, 0});
}

static void start_metrics(struct exchange *x)
{
    x->wait.done = on_gathered;
    MHD_suspend_connection(x->connection);
    gather_ask(x->http->web->gather, &x->wait);
}

static void start_health(struct exchange *x)
{
    buf_add(&x->body, STR("ok\n"));
    x->ready = true;
}

/* ---- requests ---- */

static enum MHD_Result answer(struct exchange *x, unsigned status, const char *type, struct str body)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result done;

    if (r == NULL)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    done = MHD_queue_response(x->connection, status, r);
    MHD_destroy_response(r);
    metric_add(&requests, 1);
    metric_observe(&latency, clock_monotonic() - x->began);
    return done;
}

static const struct page *find_page(const char *path)
{
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(pages[i].path, path) == 0)
            return &pages[i];
    return NULL;
}

static enum MHD_Result proceed(struct exchange *x)
{
    if (x->ready)
        return answer(x, MHD_HTTP_OK, x->page->type, buf_str(&x->body));
    if (!x->asked) {
        x->asked = true;
        x->page->start(x);
    }
    return x->ready ? answer(x, MHD_HTTP_OK, x->page->type, buf_str(&x->body)) : MHD_YES;
}

/* Called with *state NULL when the header is there, then again until an answer is queued. */
static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **state)
{
    struct exchange *x = *state;

    (void)version;
    (void)upload;
    if (x == NULL) {
        *state = x = xcalloc(1, sizeof *x);
        x->http = owner;
        x->began = clock_monotonic();
        x->connection = connection;
        buf_init(&x->body, ALL_TEXT);
        return MHD_YES;
    }
    if (*upload_size) { /* a body nobody asked for */
        *upload_size = 0;
        return MHD_YES;
    }
    x->page = find_page(url);
    if (x->page == NULL)
        return answer(x, MHD_HTTP_NOT_FOUND, "text/plain", STR("not found; try /metrics or /healthz\n"));
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer(x, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", STR("GET only\n"));
    return proceed(x);
}

static void on_completed(void *owner, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode why)
{
    struct exchange *x = *state;

    (void)owner;
    (void)connection;
    (void)why;
    if (x == NULL)
        return;
    gather_cancel(&x->wait);
    buf_clear(&x->body);
    free(x);
    *state = NULL;
}

static void no_log(void *owner, const char *format, va_list args)
{
    (void)owner;
    (void)format;
    (void)args;
}

struct http *http_new(struct web *web)
{
    struct http *h = xcalloc(1, sizeof *h);
    const union MHD_DaemonInfo *info;

    metric_show(&requests);
    metric_show(&latency);
    h->web = web;
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_END);
    info = h->daemon == NULL ? NULL : MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL)
        fatal("libmicrohttpd does not start");
    h->readable = event_new(role_base(web->role), info->epoll_fd, EV_READ | EV_PERSIST, on_event, h);
    h->timer = evtimer_new(role_base(web->role), on_event, h);
    event_add(h->readable, NULL);
    return h;
}

void http_accept(struct http *h, int fd, const struct ip *peer, uint16_t port)
{
    struct sockaddr_storage from;
    socklen_t size = ip_to_sockaddr(peer, port, &from);

    /* It closes fd itself when it refuses. */
    if (MHD_add_connection(h->daemon, fd, (struct sockaddr *)&from, size) != MHD_YES)
        log_warning("http-refused", "reason=%s", "too many connections");
    turn(h);
}
