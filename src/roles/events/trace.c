#include "trace.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/msgid.h"
#include "ipc/args.h"

#include <stdlib.h>

enum {
    MOST_MESSAGES = 1000,
    USUAL_MESSAGES = 20,
    OPEN_AT_ONCE = 64,
    LONGEST_DETAILS = 60000,
    NO_INPUT = 66, /* EX_NOINPUT */
    USAGE = 64,
    TEMPFAIL = 75,
};

struct trace {
    struct link link;
    struct channel *to;
    uint64_t id;
    int64_t messages[MOST_MESSAGES];
    size_t count, at;
    struct store_place place;
};

static const char closed[] = "the database of events cannot be opened now: the log says why";

void traces_init(struct traces *t, struct store *const *store)
{
    *t = (struct traces){.store = store};
    list_init(&t->open);
}

static void trace_free(struct traces *t, struct trace *trace)
{
    list_remove(&trace->link);
    t->count--;
    free(trace);
}

static void done(struct channel *to, uint64_t id, uint64_t code, const char *text)
{
    ipc_send_control_done(to, &(struct msg_control_done){id, code, str_of(text)});
}

/* Details come from other processes: only what looks like an object is written as one. */
static struct str safe_details(struct str details)
{
    if (details.n < 2 || details.n > LONGEST_DETAILS || details.p[0] != '{' || details.p[details.n - 1] != '}')
        return STR("{}");
    for (size_t i = 0; i < details.n; i++)
        if ((unsigned char)details.p[i] < 0x20)
            return STR("{}");
    return details;
}

static void send_event(void *owner, const struct store_event *e)
{
    static const char *const names[] = EVENT_NAMES;
    struct trace *trace = owner;
    char id[MSGID_TEXT + 1];
    struct buf row;

    buf_init(&row, IPC_CHUNK);
    msgid_format((uint64_t)e->message, id);
    json_open(&row);
    json_time(&row, "time", e->time);
    json_str(&row, "id", str_of(id));
    json_str(&row, "event", str_of(e->kind >= 0 && e->kind <= EVENT_REJECTED ? names[e->kind] : "unknown"));
    json_str(&row, "sender", e->sender);
    json_str(&row, "rcpt", e->rcpt);
    json_str(&row, "message_id", e->message_id);
    buf_add(&row, STR(",\"details\":"));
    buf_add(&row, safe_details(e->details));
    json_close(&row);
    if (!row.failed)
        ipc_send_control_row(trace->to, &(struct msg_control_row){trace->id, buf_str(&row)});
    buf_clear(&row);
}

/* Sends up to CONTROL_ROWS rows; the end frees the trace. */
static void go_on(struct traces *t, struct trace *trace)
{
    size_t left = CONTROL_ROWS, count;
    struct err err = {0};

    if (*t->store == NULL) {
        done(trace->to, trace->id, TEMPFAIL, closed);
        trace_free(t, trace);
        return;
    }
    while (trace->at < trace->count && left > 0) {
        trace->place.message = trace->messages[trace->at];
        if (!store_walk(*t->store, &trace->place, left, send_event, trace, &count, &err)) {
            done(trace->to, trace->id, TEMPFAIL, err.text);
            trace_free(t, trace);
            return;
        }
        if (count < left) { /* that was its last event */
            trace->at++;
            trace->place = (struct store_place){0};
        }
        left -= count;
    }
    if (trace->at < trace->count)
        return; /* control_more goes on */
    done(trace->to, trace->id, 0, "");
    trace_free(t, trace);
}

/* "2h" ago; false for anything else. */
static bool parse_since(struct str text, int64_t *since)
{
    static const struct {
        char letter;
        int64_t unit;
    } units[] = {{'s', SECOND}, {'m', MINUTE}, {'h', HOUR}, {'d', DAY}};
    uint64_t n;

    for (size_t i = 0; text.n > 1 && i < sizeof units / sizeof *units; i++) {
        if (units[i].letter != text.p[text.n - 1])
            continue;
        if (!str_to_u64(str_sub(text, 0, text.n - 1), 1000000, &n))
            return false;
        *since = clock_now() - (int64_t)n * units[i].unit;
        return true;
    }
    return false;
}

/* Reads the arguments; the text of what is wrong, or NULL. */
static const char *read_args(struct str args, struct str *what, uint64_t *limit, int64_t *since)
{
    struct str at = args, name, value;

    *what = args_word(args, 0);
    if (what->n == 0)
        args_option(args, "name", what); /* an address that looks like an option */
    if (what->n == 0 || args_word(args, 1).n != 0)
        return "trace what? Expected one queue id, Message-ID or address";
    while (args_next_option(&at, &name, &value)) {
        if (str_eq(name, STR("limit"))) {
            if (!str_to_u64(value, MOST_MESSAGES, limit) || *limit == 0)
                return "limit: expected a number from 1 to 1000";
        } else if (str_eq(name, STR("since"))) {
            if (!parse_since(value, since))
                return "since: expected a time such as 30m, 2h or 5d";
        } else if (!str_eq(name, STR("name"))) {
            return "unknown option; expected limit or since";
        }
    }
    return NULL;
}

static void start(struct traces *t, struct role *role, struct trace *trace, struct str what,
    uint64_t limit, int64_t since)
{
    struct err err = {0};
    struct buf text;

    if (!store_find(*t->store, what, since, trace->messages, limit, &trace->count, &err)) {
        done(trace->to, trace->id, TEMPFAIL, err.text);
        trace_free(t, trace);
    } else if (trace->count == 0) {
        buf_init(&text, 2048);
        buf_addf(&text, "nothing is known of %.*s (stories are kept for %d days)",
            (int)(what.n < 400 ? what.n : 400), what.p,
            (int)role_config(role)->queue.event_days);
        ipc_send_control_done(trace->to, &(struct msg_control_done){trace->id, NO_INPUT, buf_str(&text)});
        buf_clear(&text);
        trace_free(t, trace);
    } else {
        go_on(t, trace);
    }
}

void trace_on_ask(struct traces *t, struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    uint64_t limit = USUAL_MESSAGES;
    int64_t since = 0;
    struct str what;
    const char *why = read_args(m->args, &what, &limit, &since);
    struct trace *trace;

    if (!str_eq(m->command, STR("trace")))
        why = "events knows the commands trace and report only";
    if (why != NULL) {
        done(from, m->id, USAGE, why);
        return;
    }
    if (*t->store == NULL) {
        done(from, m->id, TEMPFAIL, closed);
        return;
    }
    if (t->count >= OPEN_AT_ONCE) {
        done(from, m->id, TEMPFAIL, "too many traces at once; try again later");
        return;
    }
    trace = xcalloc(1, sizeof *trace);
    trace->to = from;
    trace->id = m->id;
    list_add_last(&t->open, &trace->link);
    t->count++;
    start(t, role, trace, what, limit, since);
}

static struct trace *find(struct traces *t, const struct channel *from, uint64_t id)
{
    LIST_EACH(&t->open, it) {
        struct trace *trace = CONTAINER(it, struct trace, link);

        if (trace->to == from && trace->id == id)
            return trace;
    }
    return NULL;
}

void trace_on_more(struct traces *t, struct channel *from, uint64_t id)
{
    struct trace *trace = find(t, from, id);

    if (trace != NULL)
        go_on(t, trace);
}

void trace_on_cancel(struct traces *t, struct channel *from, uint64_t id)
{
    struct trace *trace = find(t, from, id);

    if (trace != NULL)
        trace_free(t, trace);
}

void trace_peer_gone(struct traces *t, const struct channel *peer)
{
    LIST_EACH(&t->open, it) {
        struct trace *trace = CONTAINER(it, struct trace, link);

        if (trace->to == peer)
            trace_free(t, trace);
    }
}
