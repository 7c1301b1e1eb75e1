/* The checks of one process: its own, and a mark to each peer that was given something. See verify.h. */
#include "ipc/verify.h"
#include "base/json.h"
#include "ipc/args.h"
#include "ipc/boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16, WRONG = 65, LATER = 75, ROW = 4096 };

/* A mark sent and not answered. */
struct mark {
    struct link link;
    uint64_t id;
    const struct channel *to;
    uint64_t gave[HANDOVER_COUNT];
};

struct verification {
    struct link link;
    struct role *role;
    struct channel *to; /* NULL when web is gone */
    uint64_t id;
    struct list marks;
    bool accepts;
    unsigned holds;
    unsigned wrong, unknown;
};

static const struct {
    const char *check, *advice;
} handovers[] = {
    [HANDOVER_ACCEPTED] = {"250s said", "an answer was lost between two processes: report this, with the log"},
    [HANDOVER_DELIVERED] = {"deliveries into mailboxes",
        "a result was lost: the message stays queued and is tried again"},
    [HANDOVER_RELAYED] = {"deliveries to other servers", "a result was lost: the message is sent again"},
    [HANDOVER_DEFERRED] = {"deferrals", "a result was lost: the message is tried again"},
    [HANDOVER_FAILED] = {"failures", "a result was lost: the message is tried again"},
    [HANDOVER_EVENT] = {"events", "`staffetta trace` will miss something; no mail is touched"},
    [HANDOVER_SESSION] = {"sessions of users",
        "somebody waits for his mailbox in vain: he logs in again; report this, with the log"},
};

/* ---- rows ---- */

static void begin_row(const struct verification *v, struct buf *row, const char *kind, const char *name)
{
    buf_init(row, ROW);
    json_open(row);
    json_str(row, "kind", str_of(kind));
    json_str(row, "role", str_of(role_name(v->role->type->id)));
    json_int(row, "copy", v->role->copy);
    json_str(row, kind, str_of(name));
}

static void send_row(const struct verification *v, struct buf *row)
{
    json_close(row);
    if (v->to != NULL)
        ipc_send_control_row(v->to, &(struct msg_control_row){v->id, buf_str(row)});
    buf_clear(row);
}

void verify_equal(struct verification *v, const char *check, int64_t expected, int64_t found, const char *advice)
{
    struct buf row;

    begin_row(v, &row, "check", check);
    json_int(&row, "expected", expected);
    json_int(&row, "found", found);
    json_str(&row, "result", expected == found ? STR("right") : STR("wrong"));
    if (expected != found)
        json_str(&row, "advice", str_of(advice));
    v->wrong += expected != found;
    send_row(v, &row);
}

void verify_book(struct verification *v, const char *name, int64_t value)
{
    struct buf row;

    begin_row(v, &row, "book", name);
    json_int(&row, "value", value);
    send_row(v, &row);
}

void verify_unknown(struct verification *v, const char *check, const char *why)
{
    struct buf row;

    begin_row(v, &row, "check", check);
    json_str(&row, "result", STR("unknown"));
    json_str(&row, "advice", str_of(why));
    v->unknown++;
    send_row(v, &row);
}

void verify_progress(struct verification *v, const char *text)
{
    if (v->to != NULL)
        ipc_send_control_progress(v->to, &(struct msg_control_progress){v->id, str_of(text)});
}

/* ---- life ---- */

static void finish(struct verification *v)
{
    struct buf text;

    buf_init(&text, ROW);
    if (v->wrong)
        buf_addf(&text, "%s %u: %u of its checks failed", role_name(v->role->type->id), v->role->copy, v->wrong);
    if (v->to != NULL)
        ipc_send_control_done(v->to, &(struct msg_control_done){v->id, v->wrong ? WRONG : v->unknown ? LATER : 0,
                                         buf_str(&text)});
    buf_clear(&text);
    list_remove(&v->link);
    free(v);
}

bool verify_accepts(const struct verification *v)
{
    return v->accepts;
}

void verify_hold(struct verification *v)
{
    v->holds++;
}

void verify_release(struct verification *v)
{
    if (--v->holds == 0)
        finish(v);
}

static void send_mark(struct verification *v, struct channel *to)
{
    const struct handover_counts *counts = channel_counts(to);
    struct mark *mark;
    uint64_t all = 0;

    for (unsigned i = 0; i < HANDOVER_COUNT; i++)
        all |= counts->gave[i];
    if (all == 0)
        return;
    mark = xcalloc(1, sizeof *mark);
    mark->id = role_next_id(v->role);
    mark->to = to;
    memcpy(mark->gave, counts->gave, sizeof mark->gave);
    list_add_last(&v->marks, &mark->link);
    verify_hold(v);
    ipc_send_count_mark(to, &(struct msg_count_mark){mark->id, mark->gave[HANDOVER_ACCEPTED],
                                mark->gave[HANDOVER_DELIVERED], mark->gave[HANDOVER_RELAYED],
                                mark->gave[HANDOVER_DEFERRED], mark->gave[HANDOVER_FAILED], mark->gave[HANDOVER_EVENT],
                                mark->gave[HANDOVER_SESSION]});
}

void verify_on_ask(struct role *role, struct channel *from, const struct msg_control_ask *m)
{
    struct verification *v;
    unsigned running = 0;

    LIST_EACH(&role->verifications, it)
        running++;
    if (running >= MOST) {
        ipc_send_control_done(from, &(struct msg_control_done){m->id, LATER, STR("too many verifications at once")});
        return;
    }
    v = xcalloc(1, sizeof *v);
    v->role = role;
    v->to = from;
    v->id = m->id;
    v->accepts = args_has_word(m->args, "accept");
    list_init(&v->marks);
    list_add_last(&role->verifications, &v->link);
    verify_hold(v);
    for (unsigned r = 0; r < ROLE_COUNT; r++)
        for (unsigned i = 0; i < role->peer_copies[r]; i++)
            if (role->peers[r][i] != NULL)
                send_mark(v, role->peers[r][i]);
    if (role->signatures.came > 0)
        verify_questions(v, "TLS signatures asked of directory, and made, refused or not made in "
            "time", &role->signatures, 0);
    if (role->type->verify != NULL)
        role->type->verify(role, v);
    verify_release(v);
}

/* ---- marks ---- */

/* A peer that says less of itself than it gave would find that out; only the counts of ours are told. */
void verify_on_mark(struct role *role, struct channel *from, const struct msg_count_mark *m)
{
    const uint64_t *took = channel_counts(from)->took;

    (void)role;
    ipc_send_count_seen(from, &(struct msg_count_seen){m->id, took[HANDOVER_ACCEPTED], took[HANDOVER_DELIVERED],
                                  took[HANDOVER_RELAYED], took[HANDOVER_DEFERRED], took[HANDOVER_FAILED],
                                  took[HANDOVER_EVENT], took[HANDOVER_SESSION]});
}

static void mark_end(struct verification *v, struct mark *mark)
{
    list_remove(&mark->link);
    free(mark);
    verify_release(v);
}

static void compare(struct verification *v, const struct mark *mark, const uint64_t took[HANDOVER_COUNT])
{
    char check[200];

    for (unsigned i = 0; i < HANDOVER_COUNT; i++) {
        if (mark->gave[i] == 0 && took[i] == 0)
            continue;
        snprintf(check, sizeof check, "%s to %s %u, and arrived there", handovers[i].check,
            role_name(channel_role(mark->to)), channel_copy(mark->to));
        verify_equal(v, check, (int64_t)mark->gave[i], (int64_t)took[i], handovers[i].advice);
    }
}

void verify_on_seen(struct role *role, struct channel *from, const struct msg_count_seen *m)
{
    const uint64_t took[HANDOVER_COUNT] = {[HANDOVER_ACCEPTED] = m->accepted, [HANDOVER_DELIVERED] = m->delivered,
        [HANDOVER_RELAYED] = m->relayed, [HANDOVER_DEFERRED] = m->deferred, [HANDOVER_FAILED] = m->failed,
        [HANDOVER_EVENT] = m->events, [HANDOVER_SESSION] = m->sessions};

    LIST_EACH(&role->verifications, it) {
        struct verification *v = CONTAINER(it, struct verification, link);

        LIST_EACH(&v->marks, at) {
            struct mark *mark = CONTAINER(at, struct mark, link);

            if (mark->id != m->id || mark->to != from)
                continue;
            compare(v, mark, took);
            mark_end(v, mark);
            return;
        }
    }
}

static void forget_marks(struct verification *v, const struct channel *peer)
{
    char check[100];

    verify_hold(v);
    LIST_EACH(&v->marks, at) {
        struct mark *mark = CONTAINER(at, struct mark, link);

        if (mark->to != peer)
            continue;
        snprintf(check, sizeof check, "what was given to %s %u", role_name(channel_role(peer)), channel_copy(peer));
        verify_unknown(v, check, "it ended meanwhile; ask again");
        mark_end(v, mark);
    }
    verify_release(v);
}

void verify_peer_gone(struct role *role, const struct channel *peer)
{
    LIST_EACH(&role->verifications, it) {
        struct verification *v = CONTAINER(it, struct verification, link);

        if (v->to == peer)
            v->to = NULL;
        forget_marks(v, peer);
    }
}
