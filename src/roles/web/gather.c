#include "gather.h"
#include "base/metric.h"
#include "certificates.h"

#include <event2/event.h>
#include <stdlib.h>

static const struct timeval patience = {2, 0}, at_once = {0, 0};

enum { MOST = ROLE_COUNT * WEB_COPIES };

struct gather {
    struct web *web;
    struct event *timer;
    struct list waiting;
    uint64_t id; /* 0 while no round is under way */
    struct gathered all[MOST];
    size_t n, missing;
};

struct gather *gather_new(struct web *web)
{
    struct gather *g = xcalloc(1, sizeof *g);

    g->web = web;
    list_init(&g->waiting);
    return g;
}

static void end_round(struct gather *g)
{
    struct list waiting;

    evtimer_del(g->timer);
    g->id = 0;
    list_init(&waiting);
    LIST_EACH(&g->waiting, it) {
        list_remove(it);
        list_add_last(&waiting, it);
    }
    while (!list_empty(&waiting)) {
        struct gather_wait *wait = CONTAINER(list_first(&waiting), struct gather_wait, link);

        list_remove(&wait->link);
        wait->done(wait, g->all, g->n);
    }
    if (g->id == 0) /* nobody started another round meanwhile */
        for (size_t i = 0; i < g->n; i++)
            str_free(&g->all[i].text);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct gather *g = arg;

    (void)fd;
    (void)what;
    if (g->id != 0)
        end_round(g);
}

static void add_own(struct gather *g)
{
    struct buf text;

    buf_init(&text, IPC_LIST);
    certificates_count(g->web->role);
    metric_write(&text, "web", role_copy(g->web->role));
    g->all[g->n++] = (struct gathered){ROLE_WEB, role_copy(g->web->role), true, true, str_dup(buf_str(&text))};
    buf_clear(&text);
}

static void ask_role(struct gather *g, enum role_id peer)
{
    for (unsigned i = 0; i < role_peers(g->web->role, peer) && g->n < MOST; i++) {
        struct channel *to = role_peer(g->web->role, peer, i);

        g->all[g->n++] = (struct gathered){.role = peer, .copy = i, .asked = to != NULL};
        if (to == NULL)
            continue;
        g->missing++;
        ipc_send_stats_ask(to, &(struct msg_stats_ask){g->id});
    }
}

static void begin_round(struct gather *g)
{
    for (size_t i = 0; i < g->n; i++)
        str_free(&g->all[i].text);
    g->id = role_next_id(g->web->role);
    g->n = g->missing = 0;
    add_own(g);
    for (unsigned r = 0; r < ROLE_COUNT; r++)
        if (r != ROLE_WEB && r != ROLE_SUPERVISOR)
            ask_role(g, (enum role_id)r);
    if (g->timer == NULL)
        g->timer = evtimer_new(role_base(g->web->role), on_timer, g);
    event_add(g->timer, g->missing ? &patience : &at_once);
}

void gather_ask(struct gather *g, struct gather_wait *wait)
{
    list_add_last(&g->waiting, &wait->link);
    if (g->id == 0)
        begin_round(g);
}

void gather_cancel(struct gather_wait *wait)
{
    list_remove(&wait->link);
}

static struct gathered *find(struct gather *g, const struct channel *from)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->all[i].role == channel_role(from) && g->all[i].copy == channel_copy(from))
            return &g->all[i];
    return NULL;
}

static void one_less(struct gather *g)
{
    if (--g->missing == 0)
        end_round(g);
}

void gather_on_reply(struct role *role, struct channel *from, const struct msg_stats_reply *m)
{
    struct web *web = role_state(role);
    struct gather *g = web->gather;
    struct gathered *one = find(g, from);

    if (g->id == 0 || m->id != g->id || one == NULL || !one->asked || one->up)
        return;
    one->up = true;
    one->text = str_dup(m->text);
    one_less(g);
}

/* It will not answer any more; what it was asked before it ended is not repeated. */
void gather_peer_gone(struct gather *g, struct channel *peer)
{
    struct gathered *one = find(g, peer);

    if (g->id != 0 && one != NULL && one->asked && !one->up) {
        one->asked = false;
        one_less(g);
    }
}
