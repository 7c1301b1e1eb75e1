#include "status.h"
#include "base/clock.h"
#include "base/json.h"
#include "exposition.h"
#include "gather.h"

#include <stdlib.h>
#include <string.h>

enum { ROW = 4096, ALL_TEXT = 8 << 20 };

/* The numbers shown, in this order: metrics of the roles, summed over copies. `kind` "rate" adds the
 * average a minute since the server started. */
static const struct shown {
    const char *name, *metric, *labels;
    bool rate;
} numbers[] = {
    {"messages in the queue", "staffetta_queue_messages", NULL, false},
    {"recipients in the queue", "staffetta_queue_recipients", NULL, false},
    {"recipients waiting for another attempt", "staffetta_queue_deferred", NULL, false},
    {"recipients held", "staffetta_queue_held", NULL, false},
    {"deliveries under way", "staffetta_queue_deliveries", NULL, false},
    {"oldest overdue, seconds", "staffetta_queue_oldest_overdue_seconds", NULL, false},
    {"messages accepted", "staffetta_queue_accepted_total", NULL, true},
    {"recipients delivered", "staffetta_queue_delivered_total", NULL, true},
    {"recipients relayed", "staffetta_queue_relayed_total", NULL, true},
    {"attempts deferred", "staffetta_queue_deferred_total", NULL, true},
    {"recipients failed", "staffetta_queue_failed_total", NULL, true},
    {"SMTP connections", "staffetta_smtp_connections", NULL, false},
    {"SMTP connections taken", "staffetta_smtp_connections_total", NULL, true},
    {"SMTP commands refused", "staffetta_smtp_rejects_total", NULL, true},
    {"POP3 connections", "staffetta_access_connections", NULL, false},
    {"POP3 connections taken", "staffetta_access_connections_total", NULL, true},
};

struct status {
    struct gather_wait wait;
    struct web *web;
    void (*row)(void *, struct str);
    void (*done)(void *);
    void *owner;
};

static void send_row(struct status *s, struct buf *row)
{
    json_close(row);
    s->row(s->owner, buf_str(row));
    buf_reset(row);
}

static void add_process(struct status *s, struct buf *row, const struct gathered *g)
{
    const struct process_info *p = &s->web->processes[g->role][g->copy];

    json_open(row);
    json_str(row, "kind", STR("process"));
    json_str(row, "role", str_of(role_name(g->role)));
    json_int(row, "copy", g->copy);
    json_bool(row, "up", g->up);
    if (p->known) {
        json_int(row, "pid", (int64_t)p->pid);
        json_time(row, "started", p->started);
        json_int(row, "restarts", (int64_t)p->restarts);
    }
    send_row(s, row);
}

static void add_listener(struct status *s, struct buf *row, const struct config_listen *l)
{
    json_open(row);
    json_str(row, "kind", STR("listener"));
    json_str(row, "name", l->name);
    json_str(row, "service", l->service);
    if (l->systemd.n) {
        json_str(row, "systemd", l->systemd);
    } else {
        struct buf addresses;

        buf_init(&addresses, ROW);
        for (size_t i = 0; i < l->address.n; i++)
            buf_addf(&addresses, "%s%.*s", i ? " " : "", STR_ARG(l->address.items[i]));
        json_str(row, "address", buf_str(&addresses));
        buf_clear(&addresses);
        json_int(row, "port", l->port);
    }
    json_str(row, "tls", l->tls);
    send_row(s, row);
}

static int64_t oldest_start(const struct web *web)
{
    int64_t first = web->started;

    for (unsigned r = 0; r < ROLE_COUNT; r++)
        for (unsigned i = 0; i < WEB_COPIES; i++)
            if (web->processes[r][i].known && web->processes[r][i].started < first)
                first = web->processes[r][i].started;
    return first;
}

static void add_number(struct status *s, struct buf *row, const struct exposition *e, const struct shown *n)
{
    int64_t sum, up = clock_now() - oldest_start(s->web);

    if (!exposition_sum(e, n->metric, n->labels, &sum))
        return;
    json_open(row);
    json_str(row, "kind", STR("number"));
    json_str(row, "name", str_of(n->name));
    json_int(row, "value", sum);
    if (n->rate)
        json_int(row, "per_minute", up > MINUTE ? sum * 60 / (up / SECOND) : sum);
    send_row(s, row);
}

static void on_gathered(struct gather_wait *wait, const struct gathered *all, size_t n)
{
    struct status *s = CONTAINER(wait, struct status, wait);
    struct exposition *e = exposition_new(ALL_TEXT);
    const struct config *config = role_config(s->web->role);
    struct buf row;

    buf_init(&row, ROW);
    for (size_t i = 0; i < n; i++) {
        exposition_add(e, all[i].text);
        add_process(s, &row, &all[i]);
    }
    for (size_t i = 0; i < config->listener_count; i++)
        add_listener(s, &row, &config->listeners[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        add_number(s, &row, e, &numbers[i]);
    buf_clear(&row);
    exposition_free(e);
    s->done(s->owner);
    free(s);
}

struct status *status_new(struct web *web, void (*row)(void *, struct str), void (*done)(void *), void *owner)
{
    struct status *s = xcalloc(1, sizeof *s);

    *s = (struct status){.wait = {.done = on_gathered}, .web = web, .row = row, .done = done, .owner = owner};
    gather_ask(web->gather, &s->wait);
    return s;
}

void status_cancel(struct status *s)
{
    gather_cancel(&s->wait);
    free(s);
}
