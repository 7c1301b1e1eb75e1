/* See https.h. libcurl says which descriptors it waits for and when it wants to be called; libevent does so. */
#include "net/https.h"
#include "base/buf.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 32 * 1024, URL_MAX = 2048, RESOLVE_MAX = 4096, CONNECTIONS_MAX = 256 };

struct https {
    CURLM *multi;
    struct event_base *base;
    struct event *timer;
    struct str ca;
};

/* A descriptor that libcurl waits for. */
struct watch {
    struct https *https;
    struct event *event;
};

struct https_get {
    struct https *https;
    CURL *easy;
    struct curl_slist *resolve;
    struct buf body;
    size_t header; /* bytes so far: libcurl keeps them all */
    bool too_large;
    https_done_fn *done;
    void *owner;
    char error[CURL_ERROR_SIZE];
};

static void answer(struct https_get *g, CURLcode code);

/* ---- libcurl on the loop ---- */

static void reap(struct https *h)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        struct https_get *g = NULL;
        CURLcode code = m->data.result;

        if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&g) == CURLE_OK && g != NULL)
            answer(g, code);
    }
}

static void act(struct https *h, curl_socket_t fd, int what)
{
    int running;

    curl_multi_socket_action(h->multi, fd, what, &running);
    reap(h);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    act(w->https, fd, (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct https *h = arg;
    struct watch *w = known;
    short events = (short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL)
            event_free(w->event);
        free(w);
        curl_multi_assign(h->multi, fd, NULL);
        return 0;
    }
    if (w == NULL) {
        w = xcalloc(1, sizeof *w);
        w->https = h;
        curl_multi_assign(h->multi, fd, w);
    } else {
        event_free(w->event);
    }
    w->event = event_new(h->base, fd, events, on_ready, w);
    if (w->event == NULL)
        fatal("cannot watch a descriptor");
    event_add(w->event, NULL);
    return 0;
}

static int on_timeout(CURLM *multi, long ms, void *arg)
{
    struct https *h = arg;

    (void)multi;
    if (ms < 0)
        event_del(h->timer);
    else
        event_add(h->timer, &(struct timeval){ms / 1000, ms % 1000 * 1000});
    return 0;
}

/* ---- one request ---- */

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct https_get *g = arg;

    buf_add(&g->body, (struct str){bytes, size * n});
    g->too_large = g->body.failed;
    return g->too_large ? 0 : size * n;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct https_get *g = arg;

    (void)bytes;
    g->header += size * n;
    g->too_large |= g->header > HEADER_MAX;
    return g->too_large ? 0 : size * n;
}

static void get_free(struct https_get *g)
{
    curl_multi_remove_handle(g->https->multi, g->easy);
    curl_easy_cleanup(g->easy);
    curl_slist_free_all(g->resolve);
    buf_clear(&g->body);
    free(g);
}

static enum https_result result_of(const struct https_get *g, CURLcode code)
{
    if (code == CURLE_OK)
        return HTTPS_ANSWERED;
    if (g->too_large || code == CURLE_FILESIZE_EXCEEDED)
        return HTTPS_TOO_LARGE;
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_ISSUER_ERROR ? HTTPS_CERTIFICATE : HTTPS_UNREACHABLE;
}

static void answer(struct https_get *g, CURLcode code)
{
    struct https_answer a = {.result = result_of(g, code), .body = buf_str(&g->body), .why = ""};
    char *type = NULL;
    long status = 0;

    curl_easy_getinfo(g->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(g->easy, CURLINFO_CONTENT_TYPE, &type);
    a.status = status > 0 && status < 1000 ? (unsigned)status : 0;
    a.content_type = str_of(type != NULL ? type : "");
    if (a.result == HTTPS_TOO_LARGE)
        a.why = "the answer is too large";
    else if (a.result != HTTPS_ANSWERED)
        a.why = g->error[0] != '\0' ? g->error : curl_easy_strerror(code);
    g->done(g->owner, &a);
    get_free(g);
}

/* "host:port:address,address": libcurl looks nothing up itself. */
static struct curl_slist *addresses_of(const struct https_request *r)
{
    char text[RESOLVE_MAX], ip[IP_TEXT];
    size_t n = (size_t)snprintf(text, sizeof text, "%.*s:%u:", STR_ARG(r->host), r->port);

    for (size_t i = 0; i < r->address_count && i < HTTPS_ADDRESSES && n < sizeof text; i++) {
        ip_format(&r->addresses[i], ip);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s%s", i > 0 ? "," : "", r->addresses[i].family == 6 ? "[" : "", ip,
            r->addresses[i].family == 6 ? "]" : "");
    }
    return n < sizeof text ? curl_slist_append(NULL, text) : NULL;
}

static bool set_up(struct https_get *g, const struct https_request *r)
{
    struct curl_blob ca = {(void *)(uintptr_t)g->https->ca.p, g->https->ca.n, CURL_BLOB_NOCOPY};
    char url[URL_MAX];
    CURL *e = g->easy;
    int n = snprintf(url, sizeof url, "https://%.*s:%u%.*s", STR_ARG(r->host), r->port, STR_ARG(r->path));

    return n > 0 && (size_t)n < sizeof url && g->resolve != NULL && curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK && curl_easy_setopt(e, CURLOPT_RESOLVE, g->resolve) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK && curl_easy_setopt(e, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK && curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK && curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK && curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(r->within / 1000)) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_MAXFILESIZE, (long)r->longest) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_USERAGENT, "staffetta") == CURLE_OK && curl_easy_setopt(e, CURLOPT_ERRORBUFFER, g->error) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK && curl_easy_setopt(e, CURLOPT_WRITEDATA, g) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK && curl_easy_setopt(e, CURLOPT_HEADERDATA, g) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PRIVATE, g) == CURLE_OK;
}

struct https_get *https_start(struct https *h, const struct https_request *r, https_done_fn *done, void *owner)
{
    struct https_get *g = xcalloc(1, sizeof *g);

    *g = (struct https_get){.https = h, .easy = curl_easy_init(), .done = done, .owner = owner, .resolve = addresses_of(r)};
    buf_init(&g->body, r->longest);
    if (g->easy == NULL || !set_up(g, r) || curl_multi_add_handle(h->multi, g->easy) != CURLM_OK)
        fatal("libcurl takes no request");
    return g;
}

void https_cancel(struct https_get *g)
{
    if (g != NULL)
        get_free(g);
}

bool https_new(struct https **out, struct event_base *base, struct str ca, struct err *err)
{
    struct https *h;

    *out = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_PERMANENT, "libcurl does not start");
    h = xcalloc(1, sizeof *h);
    *h = (struct https){.multi = curl_multi_init(), .base = base, .timer = event_new(base, -1, 0, on_timer, h), .ca = str_dup(ca)};
    if (h->multi == NULL || h->timer == NULL || curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
        curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) != CURLM_OK ||
        curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timeout) != CURLM_OK ||
        curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h) != CURLM_OK ||
        curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX) != CURLM_OK)
        fatal("libcurl does not start");
    *out = h;
    return true;
}

void https_free(struct https *h)
{
    if (h == NULL)
        return;
    curl_multi_cleanup(h->multi);
    event_free(h->timer);
    str_free(&h->ca);
    free(h);
    curl_global_cleanup();
}
