/* What the metrics listeners show: the counters of all processes, and that web lives. */
#include "base/log.h"
#include "exposition.h"
#include "pages.h"

enum { CONNECTIONS = 64, ALL_TEXT = 8 << 20 };

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
    struct exchange *x = CONTAINER(wait, struct exchange, gathering);
    struct exposition *e = exposition_new(ALL_TEXT);

    add_up(e, all, n);
    add_processes(e, x->web, all, n);
    for (size_t i = 0; i < n; i++)
        exposition_add(e, all[i].text);
    if (!exposition_write(e, &x->body))
        log_warning("metrics", "reason=%s", "too long, cut");
    exposition_free(e);
    exchange_answer(x, 200);
}

static void start_metrics(struct exchange *x)
{
    x->gathering.done = on_gathered;
    exchange_suspend(x);
    gather_ask(x->web->gather, &x->gathering);
}

static void start_health(struct exchange *x)
{
    buf_add(&x->body, STR("ok\n"));
    exchange_answer(x, 200);
}

static const struct page pages[] = {
    {NULL, "/metrics", false, METHOD_GET, "text/plain; version=0.0.4; charset=utf-8", start_metrics},
    {NULL, "/healthz", false, METHOD_GET, "text/plain; charset=utf-8", start_health},
};

const struct http_site metrics_site = {
    pages, sizeof pages / sizeof *pages, CONNECTIONS, "not found; try /metrics or /healthz\n"};
