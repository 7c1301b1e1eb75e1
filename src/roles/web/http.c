/* See http.h. */
#include "http.h"
#include "base/clock.h"
#include "base/metric.h"

#include <event2/event.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDLE_SECONDS = 10, REQUEST_MEMORY = 32 * 1024, BODY_MAX = 8 << 20, UPLOAD_MAX = 16 * 1024, LOCATION_MAX = 2048 };

struct http {
    struct web *web;
    const struct http_site *site;
    struct MHD_Daemon *daemon;
    struct event *readable, *timer;
};

static struct metric requests = METRIC_COUNTER("staffetta_web_requests_total", "HTTP requests answered.");
static struct metric latency = METRIC_HISTOGRAM("staffetta_web_request_seconds", "Time to answer an HTTP request.");

/* ---- the loop ---- */

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

/* ---- exchanges ---- */

void exchange_suspend(struct exchange *x)
{
    MHD_suspend_connection(x->connection);
    x->suspended = true;
}

void exchange_answer(struct exchange *x, unsigned status)
{
    x->status = status;
    x->ready = true;
    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(x->connection);
    event_add(x->http->timer, &(struct timeval){0, 0});
}

struct str exchange_host(const struct exchange *x)
{
    struct str host = str_of(MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST));
    ptrdiff_t colon = str_rfind(host, ':');

    host = colon < 0 ? host : str_sub(host, 0, (size_t)colon);
    if (str_ends(host, STR(".")))
        host.n--;
    for (size_t i = 0; i < host.n; i++)
        if (!ascii_is_alnum(host.p[i]) && host.p[i] != '-' && host.p[i] != '.')
            return STR("");
    return host.n <= 253 ? host : STR("");
}

struct str exchange_argument(const struct exchange *x, const char *name)
{
    return str_of(MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name));
}

/* ---- requests ---- */

static const char *const allowed[] = {
    [METHOD_GET] = "GET, HEAD", [METHOD_POST] = "POST", [METHOD_GET | METHOD_POST] = "GET, HEAD, POST"};

static enum MHD_Result answer(struct exchange *x, unsigned status, const char *type, struct str body)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result done;

    if (r == NULL)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allowed[x->page->methods]);
    if (x->location.n > 0 && !x->location.failed)
        MHD_add_response_header(r, MHD_HTTP_HEADER_LOCATION, x->location.p);
    done = MHD_queue_response(x->connection, status, r);
    MHD_destroy_response(r);
    metric_add(&requests, 1);
    metric_observe(&latency, clock_monotonic() - x->began);
    return done;
}

static enum MHD_Result answer_words(struct exchange *x, unsigned status, const char *words)
{
    return answer(x, status, "text/plain; charset=utf-8", str_of(words));
}

static bool path_fits(const struct page *page, struct str path)
{
    return page->below ? str_istarts(path, str_of(page->path)) : str_ieq(path, str_of(page->path));
}

static const struct page *find_page(const struct exchange *x, const char *path)
{
    const struct http_site *site = x->http->site;

    for (size_t i = 0; i < site->n; i++) {
        const struct page *page = &site->pages[i];

        if (path_fits(page, str_of(path)) && (page->host == NULL || str_istarts(exchange_host(x), str_of(page->host))))
            return page;
    }
    return NULL;
}

static unsigned method_bit(const char *method)
{
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return METHOD_GET;
    return strcmp(method, "POST") == 0 ? METHOD_POST : 0;
}

static const struct {
    unsigned status;
    const char *words;
} failures[] = {
    {MHD_HTTP_BAD_REQUEST, "bad request\n"},
    {MHD_HTTP_NOT_FOUND, "not found\n"},
    {MHD_HTTP_SERVICE_UNAVAILABLE, "try again\n"},
};

static enum MHD_Result answer_page(struct exchange *x)
{
    if (x->body.failed)
        return answer_words(x, MHD_HTTP_INTERNAL_SERVER_ERROR, "too long\n");
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (failures[i].status == x->status)
            return answer_words(x, x->status, failures[i].words);
    return answer(x, x->status, x->page->type, buf_str(&x->body));
}

static enum MHD_Result proceed(struct exchange *x)
{
    if (!x->asked) {
        x->asked = true;
        x->page->start(x);
    }
    return x->ready && !x->suspended ? answer_page(x) : MHD_YES;
}

static struct exchange *exchange_new(struct http *h, struct MHD_Connection *connection)
{
    struct exchange *x = xcalloc(1, sizeof *x);

    x->http = h;
    x->web = h->web;
    x->began = clock_monotonic();
    x->connection = connection;
    buf_init(&x->body, BODY_MAX);
    buf_init(&x->upload, UPLOAD_MAX);
    buf_init(&x->location, LOCATION_MAX);
    return x;
}

/* Called with *state NULL when the header is there, then with each piece of the body, then again until an answer is queued. */
static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **state)
{
    struct exchange *x = *state;

    (void)version;
    if (x == NULL) {
        *state = exchange_new(owner, connection);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        buf_add(&x->upload, str_from(upload, *upload_size));
        *upload_size = 0;
        return MHD_YES;
    }
    if (x->page == NULL)
        x->page = find_page(x, url);
    if (x->page == NULL)
        return answer_words(x, MHD_HTTP_NOT_FOUND, x->http->site->not_found);
    if ((x->page->methods & method_bit(method)) == 0)
        return answer_words(x, MHD_HTTP_METHOD_NOT_ALLOWED, "not this method\n");
    if (x->upload.failed)
        return answer_words(x, MHD_HTTP_CONTENT_TOO_LARGE, "too large\n");
    if (!x->asked)
        x->path = url;
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
    gather_cancel(&x->gathering);
    domains_cancel(&x->domain);
    buf_clear(&x->body);
    buf_clear(&x->upload);
    buf_clear(&x->location);
    free(x);
    *state = NULL;
}

static void no_log(void *owner, const char *format, va_list args)
{
    (void)owner;
    (void)format;
    (void)args;
}

struct http *http_new(struct web *web, const struct http_site *site)
{
    struct http *h = xcalloc(1, sizeof *h);
    const union MHD_DaemonInfo *info;

    metric_show(&requests);
    metric_show(&latency);
    h->web = web;
    h->site = site;
    h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL, MHD_OPTION_CONNECTION_LIMIT,
        site->connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
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

bool http_accept(struct http *h, int fd, const struct ip *peer, uint16_t port)
{
    struct sockaddr_storage from;
    socklen_t size = ip_to_sockaddr(peer, port, &from);
    /* It closes fd itself when it refuses. */
    bool taken = MHD_add_connection(h->daemon, fd, (struct sockaddr *)&from, size) == MHD_YES;

    turn(h);
    return taken;
}
