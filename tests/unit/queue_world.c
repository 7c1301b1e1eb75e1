#include "queue_world_private.h"

#include "base/log.h"
#include "base/metric.h"
#include "base/msgid.h"
#include "config/config.h"
#include "ipc/role.h"
#include "smtp/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct world world;
struct world_hooks world_hooks;

/* ---- the framework ---- */

struct channel channels[ROLE_COUNT];
static uint64_t serials, ids;
static void *kept;
struct role *const no_role = (struct role *)&channels;

enum role_id channel_role(const struct channel *c) { return c->role; }
unsigned channel_copy(const struct channel *c) { (void)c; return 0; }
uint64_t channel_serial(const struct channel *c) { return c->serial; }
void channel_gave(struct channel *c, enum handover what) { (void)c; (void)what; }
void channel_took(struct channel *c, enum handover what) { (void)c; (void)what; }
size_t channel_backlog(const struct channel *c) { return c->out.n; }
void role_set_state(struct role *role, void *s) { (void)role; kept = s; }
void *role_state(struct role *role) { (void)role; return kept; }
const struct config *role_config(const struct role *role) { (void)role; return world.config; }
unsigned role_copy(const struct role *role) { (void)role; return 0; }
unsigned role_copies(const struct role *role) { (void)role; return 1; }
unsigned role_peers(const struct role *role, enum role_id peer) { (void)role; (void)peer; return 1; }
uint64_t role_next_id(struct role *role) { (void)role; return ++ids; }
void role_exit(struct role *role) { (void)role; world.exited = true; }

/* ---- verification ---- */

struct verification {
    unsigned holds;
    bool accepts;
};

void verify_equal(struct verification *v, const char *check, int64_t expected, int64_t found, const char *advice)
{
    (void)v;
    assert_non_null(advice);
    world.checks++;
    if (expected == found)
        return;
    world.wrong++;
    snprintf(world.wrong_check, sizeof world.wrong_check, "%s: %lld and %lld", check, (long long)expected, (long long)found);
}

void verify_book(struct verification *v, const char *name, int64_t value)
{
    (void)v;
    assert_non_null(name);
    assert_true(value >= 0 || strstr(name, "written off") != NULL);
}

void verify_unknown(struct verification *v, const char *check, const char *why)
{
    (void)v;
    fail_msg("%s: %s", check, why);
}

void verify_progress(struct verification *v, const char *text)
{
    (void)v;
    assert_non_null(strstr(text, "looked at"));
    world.progress++;
}

void verify_hold(struct verification *v) { v->holds++; }
void verify_release(struct verification *v) { v->holds--; }
bool verify_accepts(const struct verification *v) { return v->accepts; }

unsigned world_verify_while(bool accept, void (*meanwhile)(unsigned turn))
{
    struct verification v = {0, accept};

    world.checks = world.wrong = 0;
    world.wrong_check[0] = '\0';
    queue_verify(world.queue, &v);
    for (unsigned turn = 0; v.holds > 0; turn++) {
        assert_true(turn < 100000);
        queue_turn(world.queue);
        if (meanwhile != NULL)
            meanwhile(turn);
    }
    return world.wrong;
}

void world_accept_twice(void)
{
    struct verification first = {0, true}, second = {0, true};

    queue_verify(world.queue, &first);
    queue_verify(world.queue, &second);
    for (unsigned turn = 0; first.holds > 0 || second.holds > 0; turn++) {
        assert_true(turn < 100000);
        queue_turn(world.queue);
    }
}

unsigned world_verify(void)
{
    return world_verify_while(false, NULL);
}

struct channel *role_peer(const struct role *role, enum role_id peer, unsigned copy)
{
    (void)role;
    return copy == 0 && channels[peer].up ? &channels[peer] : NULL;
}

#define SENDER(name, senders, receivers)                                                           \
    void ipc_send_##name(struct channel *to, const struct msg_##name *m)                           \
    {                                                                                              \
        assert_true(to->up);                                                                       \
        ipc_encode_##name(&to->out, m);                                                            \
        assert_false(to->out.failed);                                                              \
    }
MESSAGES(SENDER)

/* ---- filter ---- */

static void on_txn_done(struct role *role, struct channel *from, const struct msg_txn_done *m)
{
    (void)role, (void)from;
    world.code = (unsigned)m->code;
    snprintf(world.reply, sizeof world.reply, "%.*s", STR_ARG(m->text));
    world.answers++;
    *(m->code == 250 ? &world.accepted : &world.refused) += 1;
    if (world_hooks.answered != NULL)
        world_hooks.answered(m->id, (unsigned)m->code);
}

static void on_queue_state(struct role *role, struct channel *from, const struct msg_queue_state *m)
{
    (void)role, (void)from;
    world.accepting = m->accepting;
}

uint64_t world_txn_begin(const char *sender, uint64_t flags, uint64_t *message)
{
    uint64_t id = ++world.next_txn;

    *message = *message ? *message : msgid_new();
    queue_handlers.txn_begin(no_role, &channels[ROLE_FILTER],
        &(struct msg_txn_begin){.id = id, .message = *message, .flags = flags, .sender = str_of(sender),
            .client = STR("192.0.2.1"), .helo = STR("client.test"), .protocol = STR("ESMTPS"), .tls = STR("TLSv1.3")});
    return id;
}

void world_txn_rcpt(uint64_t id, const char *rcpt, uint64_t notify)
{
    queue_handlers.txn_rcpt(no_role, &channels[ROLE_FILTER],
        &(struct msg_txn_rcpt){.id = id, .notify = notify, .address = str_of(rcpt)});
}

/* Bytes that tell where they are, in lines. */
void world_txn_chunk(uint64_t id, size_t size)
{
    static char text[IPC_CHUNK];

    for (size_t i = sizeof text; text[0] == 0 && i-- > 0;)
        text[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : (char)('a' + i / 64 % 26);
    while (size > 0) {
        size_t n = size < sizeof text ? size : sizeof text;

        queue_handlers.txn_chunk(no_role, &channels[ROLE_FILTER],
            &(struct msg_txn_chunk){.id = id, .data = str_from(text, n)});
        size -= n;
    }
}

void world_txn_end(uint64_t id, uint64_t flags)
{
    queue_handlers.txn_end(no_role, &channels[ROLE_FILTER],
        &(struct msg_txn_end){.id = id, .flags = flags, .prepend = STR("Received: by test\r\nSubject: hello\r\n\r\n"),
            .message_id = STR("<1@test>")});
}

void world_txn_abort(uint64_t id)
{
    queue_handlers.txn_abort(no_role, &channels[ROLE_FILTER], &(struct msg_txn_abort){.id = id});
}

uint64_t world_send(const char *sender, const char *rcpts, uint64_t notify, uint64_t flags, size_t size)
{
    struct str rest = str_of(rcpts), one;
    uint64_t message = 0, id = world_txn_begin(sender, flags, &message);

    while (str_next_word(&rest, &one)) {
        char rcpt[256];

        snprintf(rcpt, sizeof rcpt, "%.*s", STR_ARG(one));
        world_txn_rcpt(id, rcpt, notify);
    }
    world_txn_chunk(id, size);
    world_txn_end(id, flags);
    return message;
}

/* ---- directory ---- */

static void on_resolve_ask(struct role *role, struct channel *from, const struct msg_resolve_ask *m)
{
    struct msg_resolve_reply reply = {.id = m->id, .result = RESOLVE_REMOTE, .address = m->address};
    struct str local, domain;

    (void)role;
    if (world.silent_directory)
        return;
    address_split(m->address, &local, &domain);
    if (str_eq(domain, STR("local.test"))) {
        reply.result = RESOLVE_LOCAL;
        reply.account = str_starts(local, STR("box")) ? (uint64_t)strtol(local.p + 3, NULL, 10) : 7;
    }
    if (str_eq(m->address, STR("nobody@local.test"))) {
        reply.result = RESOLVE_FAIL;
        reply.text = STR("5.1.1 No such user here");
    } else if (str_eq(m->address, STR("list@local.test"))) {
        reply.result = RESOLVE_EXPAND;
        reply.targets = STR("a@local.test\0b@local.test\0c@remote.test\0");
    } else if (str_eq(m->address, STR("both@local.test"))) {
        reply.result = RESOLVE_EXPAND;
        reply.targets = STR("c@remote.test\0gone@remote.test\0");
    } else if (str_eq(m->address, STR("single@local.test"))) {
        reply.result = RESOLVE_EXPAND;
        reply.targets = STR("a@local.test\0");
    } else if (str_eq(m->address, STR("keep@local.test")) && !m->expanded) {
        reply.result = RESOLVE_EXPAND;
        reply.targets = STR("keep@local.test\0c@remote.test\0");
    } else if (str_eq(m->address, STR("loop@local.test"))) {
        reply.result = RESOLVE_EXPAND;
        reply.targets = STR("loop@local.test\0");
    } else if (str_eq(local, STR("drop"))) {
        reply.result = RESOLVE_DISCARD;
    }
    if (reply.result == RESOLVE_REMOTE && m->expanded && str_ends(m->sender, STR("@stranger.test")))
        reply.sender = STR("SRS0=rewritten@local.test");
    resolve_on_reply(no_role, from, &reply);
}

/* ---- events and web ---- */

static void on_event(struct role *role, struct channel *from, const struct msg_event *m)
{
    (void)role;
    assert_true(m->kind < 16);
    world.events[m->kind]++;
    events_on_ack(no_role, from, &(struct msg_event_ack){.seq = m->seq});
}

static void on_control_row(struct role *role, struct channel *from, const struct msg_control_row *m)
{
    (void)role;
    buf_add(&world.rows, m->json);
    buf_add_char(&world.rows, '\n');
    if (++world.row_count % CONTROL_ROWS == 0)
        commands_on_more(no_role, from, &(struct msg_control_more){.id = m->id});
}

static void on_control_done(struct role *role, struct channel *from, const struct msg_control_done *m)
{
    (void)role, (void)from;
    world.command_done = true;
    world.done_code = (unsigned)m->code;
    snprintf(world.done_text, sizeof world.done_text, "%.*s", STR_ARG(m->text));
}

void world_command(const char *words)
{
    static uint64_t id;
    struct str rest = str_of(words), one;
    struct buf args;

    buf_init(&args, 16384);
    buf_reset(&world.rows);
    world.row_count = 0;
    world.command_done = false;
    while (str_next_word(&rest, &one)) {
        buf_add(&args, one);
        buf_add_char(&args, '\0');
    }
    commands_on_ask(no_role, &channels[ROLE_WEB],
        &(struct msg_control_ask){.id = ++id, .uid = 0, .command = STR("queue"), .args = buf_str(&args)});
    buf_clear(&args);
    for (unsigned i = 0; i < 100000 && !world.command_done; i++)
        world_run();
    assert_true(world.command_done);
}

/* ---- running ---- */

static const struct handlers peers = {
    .txn_done = on_txn_done,
    .queue_state = on_queue_state,
    .resolve_ask = on_resolve_ask,
    .event = on_event,
    .control_row = on_control_row,
    .control_done = on_control_done,
};

static const struct handlers *handlers_of(enum role_id role)
{
    if (role == ROLE_MAILBOX && world_hooks.mailbox != NULL)
        return world_hooks.mailbox;
    return role == ROLE_MAILBOX || role == ROLE_RELAY ? &shipment_handlers : &peers;
}

static bool pump(struct channel *c)
{
    struct buf frames = c->out;
    struct str rest = buf_str(&frames);
    bool any = rest.n > 0;
    const struct handlers *handlers = handlers_of(c->role);

    buf_init(&c->out, 64 << 20);
    while (rest.n > 0) {
        uint32_t length;
        const char *why = "";

        memcpy(&length, rest.p, sizeof length);
        if (!ipc_dispatch(no_role, c, ROLE_QUEUE, c->role, handlers, str_sub(rest, 4, 4 + length), &why))
            fail_msg("%s", why);
        rest = str_skip(rest, 4 + length);
    }
    buf_clear(&frames);
    return any;
}

void world_run(void)
{
    unsigned quiet = 0;

    for (unsigned turns = 0; turns < 200000 && quiet < 3; turns++) {
        int64_t wait = queue_wake_in(world.queue);
        bool any = wait > 0 && wait < SECOND / 100;

        if (any) /* waits for company: a moment later */
            faults_add_time(wait);

        queue_turn(world.queue);
        for (unsigned r = 0; r < ROLE_COUNT; r++)
            if (channels[r].up)
                any |= pump(&channels[r]);
        any |= world_hooks.turn != NULL && world_hooks.turn();
        quiet = any || queue_wake_in(world.queue) == 0 ? 0 : quiet + 1;
    }
    assert_true(quiet == 3);
}

void world_pass(int64_t span)
{
    faults_add_time(span);
    world_run();
}

void world_peer(enum role_id role, bool up)
{
    struct channel *c = &channels[role];

    if (c->up && !up) {
        c->up = false;
        buf_clear(&c->out);
        queue_peer_gone(world.queue, c);
    } else if (!c->up && up) {
        c->up = true;
        c->serial = ++serials;
        queue_peer_up(world.queue, c);
    }
}

static void start(void)
{
    struct err err = {0};

    for (unsigned r = 0; r < ROLE_COUNT; r++) {
        buf_clear(&channels[r].out);
        channels[r] = (struct channel){.role = (enum role_id)r, .serial = ++serials, .up = true};
        buf_init(&channels[r].out, 64 << 20);
    }
    if (!queue_open(&world.queue, no_role, &err))
        fail_msg("%s", err.text);
    for (unsigned r = 0; r < ROLE_COUNT; r++)
        queue_peer_up(world.queue, &channels[r]);
    if (!world_hooks.relay_tells)
        world_told_all();
}

void world_told_all(void)
{
    queue_handlers.told_all(no_role, &channels[ROLE_RELAY], &(struct msg_told_all){0});
}

void world_open(const char *config)
{
    static char text[4096];
    struct err err = {0};
    char path[SCRATCH_MAX + 20];

    memset(&world, 0, sizeof world);
    faults_begin();
    shipments_begin();
    buf_init(&world.last_body, 16 << 20);
    buf_init(&world.rows, 64 << 20);
    buf_init(&world.order, 16 << 20);
    buf_init(&world.senders, 16 << 20);
    scratch_make_in_memory(world.folder, "queue_test");
    snprintf(path, sizeof path, "%s/queue", world.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(text, sizeof text, "hostname = \"mail.test\"\ndata = \"%s\"\n%s\n", world.folder, config);
    if (!config_parse(&world.config, STR("test"), str_of(text), &err))
        fail_msg("%s", err.text);
    log_set(LOG_LEVEL_ERROR + 1, false);
    start();
}

/* Dead processes: what they held is never freed, as in life, and stays reachable for leak checkers. */
static struct grave {
    struct grave *next;
    struct queue *queue;
} *dead;

static void kill_queue(void)
{
    struct grave *g = xcalloc(1, sizeof *g);

    store_close(world.queue->store);
    *g = (struct grave){dead, world.queue};
    dead = g;
}

void world_close(void)
{
    kill_queue();
    config_free(world.config);
    scratch_remove(world.folder);
    shipments_forget();
    buf_clear(&world.last_body);
    buf_clear(&world.rows);
    buf_clear(&world.order);
    buf_clear(&world.senders);
}

void world_halt(void)
{
    kill_queue();
    shipments_forget();
}

void world_boot(void)
{
    start();
}

void world_crash(void)
{
    world_halt();
    start();
}

int64_t world_metric(const char *name)
{
    char line[128];
    struct buf text;
    int64_t value = -1;
    const char *at;

    buf_init(&text, 1 << 20);
    metric_write(&text, "queue", 0);
    buf_add_char(&text, 0);
    snprintf(line, sizeof line, "\n%s{", name);
    at = strstr(text.p, line);
    if (at != NULL && (at = strstr(at, "} ")) != NULL)
        value = strtoll(at + 2, NULL, 10);
    buf_clear(&text);
    return value;
}

int open_world(void **state)
{
    (void)state;
    world_open("");
    return 0;
}

int close_world(void **state)
{
    (void)state;
    world_close();
    return 0;
}

void assert_empty(void)
{
    assert_int_equal(world_count("message"), 0);
    assert_int_equal(world_count("recipient"), 0);
    assert_int_equal(world_count("chunk"), 0);
    assert_int_equal(world.queue->counts.messages, 0);
    assert_int_equal(world.queue->counts.all.waiting[0] + world.queue->counts.all.waiting[1], 0);
    assert_int_equal(world.queue->counts.all.held, 0);
    assert_int_equal(world.queue->counts.all.deferred, 0);
    assert_int_equal(world.queue->mails.active_count[0] + world.queue->mails.active_count[1], 0);
    assert_int_equal(world.queue->mails.by_id.count, 0);
    assert_int_equal(world.queue->mails.body_bytes, 0);
    assert_int_equal(world.queue->incoming.count, 0);
    assert_int_equal(world.queue->incoming.bytes, 0);
    assert_int_equal(world.queue->dispatch.under_way, 0);
}
