#include "status.h"
#include "base/clock.h"
#include "base/json.h"
#include "certificates.h"
#include "exposition.h"
#include "gather.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

enum { ROW = 4096, ALL_TEXT = 8 << 20 };

/* The numbers shown, in this order: metrics of the roles, summed over copies. RATE adds the average a
 * minute since the server started; of an AGE the largest is shown. */
enum shown_kind { NOW, RATE, AGE };
static const struct shown {
    const char *name, *metric, *labels;
    enum shown_kind kind;
} numbers[] = {
    {"messages in the queue", "staffetta_queue_messages", NULL, NOW},
    {"recipients in the queue", "staffetta_queue_recipients", NULL, NOW},
    {"recipients waiting for another attempt", "staffetta_queue_deferred", NULL, NOW},
    {"recipients held", "staffetta_queue_held", NULL, NOW},
    {"deliveries under way", "staffetta_queue_deliveries", NULL, NOW},
    {"oldest overdue, seconds", "staffetta_queue_oldest_overdue_seconds", NULL, AGE},
    {"oldest hold, seconds", "staffetta_queue_oldest_hold_seconds", NULL, AGE},
    {"messages accepted", "staffetta_queue_accepted_total", NULL, RATE},
    {"recipients delivered", "staffetta_queue_delivered_total", NULL, RATE},
    {"recipients relayed", "staffetta_queue_relayed_total", NULL, RATE},
    {"attempts deferred", "staffetta_queue_deferred_total", NULL, RATE},
    {"recipients failed", "staffetta_queue_failed_total", NULL, RATE},
    {"SMTP connections", "staffetta_smtp_connections", NULL, NOW},
    {"SMTP connections taken", "staffetta_smtp_connections_total", NULL, RATE},
    {"SMTP commands refused", "staffetta_smtp_rejects_total", NULL, RATE},
    {"IMAP and POP3 connections", "staffetta_access_connections", NULL, NOW},
    {"check: warnings", "staffetta_web_check_problems", "level=\"warning\"", NOW},
    {"check: errors", "staffetta_web_check_problems", "level=\"error\"", NOW},
    {"IMAP and POP3 connections taken", "staffetta_access_connections_total", NULL, RATE},
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
    int64_t value, up = clock_now() - oldest_start(s->web);

    if (!(n->kind == AGE ? exposition_largest : exposition_sum)(e, n->metric, n->labels, &value))
        return;
    json_open(row);
    json_str(row, "kind", STR("number"));
    json_str(row, "name", str_of(n->name));
    json_int(row, "value", value);
    if (n->kind == RATE)
        json_int(row, "per_minute", up > MINUTE ? value * 60 / (up / SECOND) : value);
    send_row(s, row);
}

/* Why `staffetta certificate renew` did not get one, the last time. */
static void add_trouble(struct status *s, struct buf *row)
{
    if (s->web->challenges.trouble[0] == '\0')
        return;
    json_open(row);
    json_str(row, "kind", STR("trouble"));
    json_str(row, "name", STR("certificate"));
    json_str(row, "reason", str_of(s->web->challenges.trouble));
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
    certificates_rows(s->web->role, s->row, s->owner);
    add_trouble(s, &row);
    watch_rows(s->web->watch, s->row, s->owner);
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
