/* Commands: asked, sliced, ended. */
#include "commands.h"

#include "command.h"
#include "ipc/args.h"
#include "queue.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { COMMANDS_MAX = 100 };

static const struct verb {
    const char *name;
    enum slice (*slice)(struct queue *, struct command *);
    bool needs_id, needs_choice;
} verbs[] = {
    {"summary", command_summary, false, false}, {"list", command_list, false, false},
    {"show", command_show, true, false},        {"export", command_export, true, false},
    {"hold", command_hold, false, true},        {"release", command_release, false, true},
    {"retry", command_retry, false, true},      {"delete", command_delete, false, true},
};

void commands_init(struct commands *c)
{
    list_init(&c->running);
}

static void send_done(struct channel *to, uint64_t id, unsigned code, struct str text)
{
    ipc_send_control_done(to, &(struct msg_control_done){.id = id, .code = code, .text = text});
}

void command_fail(struct command *c, unsigned code, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->to != NULL && !c->over)
        send_done(c->to, c->id, code, str_of(text));
    c->over = true;
}

void command_send_row(struct command *c, struct str json)
{
    if (c->to == NULL)
        return;
    ipc_send_control_row(c->to, &(struct msg_control_row){.id = c->id, .json = json});
    if (c->credit > 0)
        c->credit--;
}

void command_release_memory(struct command *c)
{
    if (c->pending > 0)
        return; /* the last change calls again */
    list_remove(&c->link);
    command_walk_clear(c);
    str_free(&c->args);
    free(c);
}

static const struct verb *find_verb(struct str name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (str_eq(name, str_of(verbs[i].name)))
            return &verbs[i];
    return NULL;
}

/* False when it was answered already. */
static bool check(struct command *c)
{
    const char *why;
    struct str word;

    if (!filter_parse(&c->filter, c->args, &why, &word)) {
        command_fail(c, EX_USAGE, "%.*s: %s", STR_ARG(word), why);
        return false;
    }
    if (c->verb->needs_id && c->filter.message == 0) {
        command_fail(c, EX_USAGE, "queue %s needs a queue id, as `staffetta queue list` shows them", c->verb->name);
        return false;
    }
    if (c->verb->needs_choice && !c->filter.selects) {
        command_fail(c, EX_USAGE, "queue %s needs a queue id, filters such as recipient=, or all=yes", c->verb->name);
        return false;
    }
    return true;
}

void commands_on_ask(struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    struct queue *q = role_state(role);
    const struct verb *verb = find_verb(args_word(m->args, 0));
    struct command *c;
    size_t running = 0;

    LIST_EACH(&q->commands.running, it)
        running++;
    if (!str_eq(m->command, STR("queue")) || verb == NULL) {
        send_done(from, m->id, EX_USAGE,
            STR("queue expects summary, list, show, export, hold, release, retry or delete"));
        return;
    }
    if (running >= COMMANDS_MAX) {
        send_done(from, m->id, EX_TEMPFAIL, STR("too many commands at once, try again"));
        return;
    }
    c = xcalloc(1, sizeof *c);
    c->verb = verb;
    c->id = m->id;
    c->uid = m->uid;
    c->to = from;
    c->serial = channel_serial(from);
    c->args = str_dup(m->args);
    c->credit = CONTROL_ROWS;
    list_add_last(&q->commands.running, &c->link);
    if (!check(c)) {
        command_release_memory(c);
        return;
    }
    command_walk_init(c);
}

static struct command *find(struct queue *q, struct channel *from, uint64_t id)
{
    LIST_EACH(&q->commands.running, it) {
        struct command *c = CONTAINER(it, struct command, link);

        if (c->to == from && c->id == id && !c->over)
            return c;
    }
    return NULL;
}

void commands_on_more(struct role *role, struct channel *from, const struct msg_control_more *m)
{
    struct command *c = find(role_state(role), from, m->id);

    if (c != NULL)
        c->credit = CONTROL_ROWS;
}

void commands_on_cancel(struct role *role, struct channel *from, const struct msg_control_cancel *m)
{
    struct command *c = find(role_state(role), from, m->id);

    if (c == NULL)
        return;
    c->over = true;
    command_release_memory(c);
}

void commands_peer_gone(struct queue *q, struct channel *from)
{
    LIST_EACH(&q->commands.running, it) {
        struct command *c = CONTAINER(it, struct command, link);

        if (c->to != from)
            continue;
        c->to = NULL;
        c->over = true;
        command_release_memory(c);
    }
}

static bool can_run(const struct command *c)
{
    return !c->over && c->pending == 0 && c->to != NULL && c->credit > 0 && channel_backlog(c->to) <= CHANNEL_HIGH;
}

void commands_turn(struct queue *q)
{
    LIST_EACH(&q->commands.running, it) {
        struct command *c = CONTAINER(it, struct command, link);
        enum slice slice;

        if (!can_run(c))
            continue;
        slice = c->verb->slice(q, c);
        if (slice == SLICE_END)
            command_fail(c, EX_OK, "%s", "");
        if (slice == SLICE_END || slice == SLICE_OVER)
            command_release_memory(c);
    }
}

int64_t commands_wake_in(const struct queue *q)
{
    LIST_EACH(&q->commands.running, it)
        if (can_run(CONTAINER(it, struct command, link)))
            return 0;
    return INT64_MAX;
}
