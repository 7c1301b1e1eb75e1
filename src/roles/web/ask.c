#include "ask.h"
#include "base/clock.h"
#include "base/metric.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

/* A role that says nothing for this long while we wait for it is given up. */
static const struct timeval patience = {60, 0};

enum { NOINPUT = 66, TEMPFAIL = 75, MAX_TARGETS = 256, TEXT = 8192 };

struct ask {
    struct map_node node;
    uint64_t id; /* of the target being asked; the next target gets a new one */
    struct web *web;
    const struct ask_owner *events;
    void *owner;
    struct ask_target targets[MAX_TARGETS];
    size_t count, at;
    bool one;           /* a single target has it: ends with the first that does */
    uint64_t uid;
    struct str command, args;
    unsigned rows;      /* of this target */
    bool role_waits;    /* it sent its CONTROL_ROWS, we have not said more */
    bool owner_waits;   /* the owner has enough for now */
    int code;           /* the worst so far */
    struct buf text;    /* what the targets said at the end */
    struct event timer;
};

static struct metric commands = METRIC_COUNTER("staffetta_web_commands_total", "Commands passed to roles.");

static struct ask *find(struct web *web, uint64_t id)
{
    for (struct map_node *n = map_find(&web->asks, map_hash_number(id)); n != NULL; n = map_find_next(n)) {
        struct ask *a = CONTAINER(n, struct ask, node);

        if (a->id == id)
            return a;
    }
    return NULL;
}

static struct channel *channel_of(const struct ask *a)
{
    return role_peer(a->web->role, a->targets[a->at].role, a->targets[a->at].copy);
}

static void ask_free(struct ask *a)
{
    event_del(&a->timer);
    map_remove(&a->web->asks, &a->node);
    str_free(&a->command);
    str_free(&a->args);
    buf_clear(&a->text);
    free(a);
}

static void finish(struct ask *a)
{
    struct buf text = a->text;

    buf_init(&a->text, TEXT);
    a->events->done(a->owner, a->code, buf_str(&text));
    buf_clear(&text);
    ask_free(a);
}

/* Two shards that did the same say the same; it is written once. */
static void note(struct ask *a, int code, struct str text)
{
    if (code > a->code)
        a->code = code;
    if (text.n == 0 || str_ifind(buf_str(&a->text), text) >= 0)
        return;
    if (a->text.n)
        buf_add_char(&a->text, '\n');
    buf_add(&a->text, text);
}

static void note_down(struct ask *a, const char *what)
{
    struct buf text;

    buf_init(&text, 256);
    buf_addf(&text, "%s %u %s; try again in a moment", role_name(a->targets[a->at].role),
        a->targets[a->at].copy, what);
    note(a, TEMPFAIL, buf_str(&text));
    buf_clear(&text);
}

/* Asks the target at `at`, passing over those that are down; false when none is left. */
static bool ask_target(struct ask *a)
{
    for (; a->at < a->count; a->at++) {
        struct channel *to = channel_of(a);

        if (to == NULL) {
            note_down(a, "is being started again");
            continue;
        }
        map_remove(&a->web->asks, &a->node);
        a->id = role_next_id(a->web->role);
        map_add(&a->web->asks, &a->node, map_hash_number(a->id));
        a->rows = 0;
        a->role_waits = false;
        event_add(&a->timer, &patience);
        ipc_send_control_ask(to, &(struct msg_control_ask){a->id, a->uid, a->command, a->args});
        return true;
    }
    return false;
}

static void next_target(struct ask *a)
{
    a->at++;
    if (!ask_target(a))
        finish(a);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct ask *a = arg;
    struct channel *to = channel_of(a);

    (void)fd;
    (void)what;
    if (a->owner_waits) { /* the client is the slow one; it has its own limit */
        event_add(&a->timer, &patience);
        return;
    }
    if (to != NULL)
        ipc_send_control_cancel(to, &(struct msg_control_cancel){a->id});
    note_down(a, "does not answer");
    next_target(a);
}

struct ask *ask_new(struct web *web, const struct ask_target *targets, size_t n, bool one, uint64_t uid,
    struct str command, struct str args, const struct ask_owner *events, void *owner)
{
    struct ask *a = xcalloc(1, sizeof *a);

    a->web = web;
    a->events = events;
    a->owner = owner;
    a->count = n < MAX_TARGETS ? n : MAX_TARGETS;
    memcpy(a->targets, targets, a->count * sizeof *targets);
    a->one = one;
    a->uid = uid;
    a->command = str_dup(command);
    a->args = str_dup(args);
    buf_init(&a->text, TEXT);
    event_assign(&a->timer, role_base(web->role), -1, 0, on_timer, a);
    metric_add(&commands, 1);
    if (ask_target(a))
        return a;
    finish(a);
    return NULL;
}

void ask_more(struct ask *a)
{
    struct channel *to = channel_of(a);

    a->owner_waits = false;
    event_add(&a->timer, &patience);
    if (!a->role_waits || to == NULL)
        return;
    a->role_waits = false;
    ipc_send_control_more(to, &(struct msg_control_more){a->id});
}

void ask_cancel(struct ask *a)
{
    struct channel *to = channel_of(a);

    if (to != NULL)
        ipc_send_control_cancel(to, &(struct msg_control_cancel){a->id});
    ask_free(a);
}

/* Is this the target the ask waits for? Another role may guess ids. */
static bool is_from(const struct ask *a, const struct channel *from)
{
    return a != NULL && channel_role(from) == a->targets[a->at].role && channel_copy(from) == a->targets[a->at].copy;
}

static bool is_row(struct str json)
{
    for (size_t i = 0; i < json.n; i++)
        if ((unsigned char)json.p[i] < 0x20)
            return false;
    return json.n >= 2 && json.p[0] == '{' && json.p[json.n - 1] == '}';
}

void ask_on_row(struct role *role, struct channel *from, const struct msg_control_row *m)
{
    struct ask *a = find(role_state(role), m->id);

    if (!is_from(a, from))
        return;
    if (!is_row(m->json))
        fatal("%s sent a row that is no JSON object", role_name(channel_role(from)));
    event_add(&a->timer, &patience);
    a->owner_waits = !a->events->row(a->owner, m->json);
    a->role_waits = ++a->rows % CONTROL_ROWS == 0;
    if (a->role_waits && !a->owner_waits)
        ask_more(a);
}

void ask_on_progress(struct role *role, struct channel *from, const struct msg_control_progress *m)
{
    struct ask *a = find(role_state(role), m->id);

    if (!is_from(a, from))
        return;
    event_add(&a->timer, &patience);
    if (!a->owner_waits)
        a->events->progress(a->owner, channel_role(from), channel_copy(from), m->text);
}

static bool has_it(const struct ask *a, const struct msg_control_done *m)
{
    return m->code == 0 ? a->rows > 0 : m->code != NOINPUT;
}

void ask_on_done(struct role *role, struct channel *from, const struct msg_control_done *m)
{
    struct ask *a = find(role_state(role), m->id);

    if (!is_from(a, from))
        return;
    if (a->one && has_it(a, m)) { /* found: nobody else is asked, and who was down did not matter */
        a->code = 0;
        buf_reset(&a->text);
        a->at = a->count - 1;
    }
    note(a, m->code < 128 ? (int)m->code : 70, m->text);
    next_target(a);
}

/* Each one handled waits for another target or is gone, so starting over ends. */
void ask_peer_gone(struct web *web, struct channel *peer)
{
    struct map_node *n = map_walk(&web->asks, NULL);

    while (n != NULL) {
        struct ask *a = CONTAINER(n, struct ask, node);

        if (!is_from(a, peer)) {
            n = map_walk(&web->asks, n);
            continue;
        }
        note_down(a, "ended in the middle of it");
        next_target(a);
        n = map_walk(&web->asks, NULL);
    }
}
