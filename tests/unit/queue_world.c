#include "queue_world.h"

#include "base/log.h"
#include "base/metric.h"
#include "base/msgid.h"
#include "config/config.h"
#include "ipc/role.h"
#include "smtp/address.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct world world;
struct world_hooks world_hooks;

/* ---- time and faults, linked in with --wrap ---- */

static int64_t time_passed, frozen;
static unsigned fail_in;
static bool has_failed, disk_full;

int64_t __real_clock_now(void);
int64_t __real_clock_monotonic(void);
int64_t __wrap_clock_now(void);
int64_t __wrap_clock_monotonic(void);
bool __real_db_begin(struct db *db, struct err *err);
bool __real_db_commit(struct db *db, struct err *err);
bool __real_stmt_run(struct stmt *s, struct err *err);
bool __real_stmt_run_count(struct stmt *s, int64_t *changed, struct err *err);
bool __real_stmt_done(struct stmt *s, struct err *err);
bool __wrap_db_begin(struct db *db, struct err *err);
bool __wrap_db_commit(struct db *db, struct err *err);
bool __wrap_stmt_run(struct stmt *s, struct err *err);
bool __wrap_stmt_run_count(struct stmt *s, int64_t *changed, struct err *err);
bool __wrap_stmt_done(struct stmt *s, struct err *err);

int64_t __wrap_clock_now(void)
{
    return (frozen ? frozen : __real_clock_now()) + time_passed;
}

int64_t __wrap_clock_monotonic(void)
{
    return (frozen ? frozen : __real_clock_monotonic()) + time_passed;
}

jmp_buf world_death;
static unsigned die_in;

static bool fails(struct err *err)
{
    if (die_in > 0 && --die_in == 0) {
        has_failed = true;
        longjmp(world_death, 1);
    }
    if (fail_in == 0 || --fail_in > 0)
        return false;
    has_failed = true;
    err_set(err, ERR_TEMPORARY, "injected failure");
    return true;
}

bool __wrap_db_begin(struct db *db, struct err *err)
{
    return !fails(err) && __real_db_begin(db, err);
}

bool __wrap_db_commit(struct db *db, struct err *err)
{
    if (disk_full)
        return err_set(err, ERR_TEMPORARY, "disk full (injected)");
    return !fails(err) && __real_db_commit(db, err);
}

bool __wrap_stmt_run(struct stmt *s, struct err *err)
{
    if (fails(err)) {
        (void)!__real_stmt_done(s, NULL);
        return false;
    }
    return __real_stmt_run(s, err);
}

bool __wrap_stmt_run_count(struct stmt *s, int64_t *changed, struct err *err)
{
    if (fails(err)) {
        (void)!__real_stmt_done(s, NULL);
        return false;
    }
    return __real_stmt_run_count(s, changed, err);
}

bool __wrap_stmt_done(struct stmt *s, struct err *err)
{
    if (fails(err)) {
        (void)!__real_stmt_done(s, NULL);
        return false;
    }
    return __real_stmt_done(s, err);
}

void world_fail_at(unsigned n)
{
    fail_in = n;
    has_failed = false;
}

void world_die_at(unsigned n)
{
    die_in = n;
    has_failed = false;
}

bool world_failed(void)
{
    return has_failed;
}

void world_disk_full(bool full)
{
    disk_full = full;
}

/* ---- the framework ---- */

struct channel {
    enum role_id role;
    uint64_t serial;
    bool up;
    struct buf out;
};

static struct channel channels[ROLE_COUNT];
static uint64_t serials, ids;
static void *state;
static struct role *const no_role = (struct role *)&channels; /* never looked into */

enum role_id channel_role(const struct channel *c) { return c->role; }
unsigned channel_copy(const struct channel *c) { (void)c; return 0; }
uint64_t channel_serial(const struct channel *c) { return c->serial; }
void channel_gave(struct channel *c, enum handover what) { (void)c; (void)what; }
void channel_took(struct channel *c, enum handover what) { (void)c; (void)what; }
size_t channel_backlog(const struct channel *c) { return c->out.n; }
void role_set_state(struct role *role, void *s) { (void)role; state = s; }
void *role_state(struct role *role) { (void)role; return state; }
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
    resolve_on_reply(no_role, from, &reply);
}

/* ---- mailbox and relay ---- */

enum { DELIVERIES = 4096, RCPTS = 200 };

struct shipment {
    uint64_t id, serial, size;
    enum role_id role;
    bool null_sender, waiting, slow;
    unsigned n;
    uint64_t numbers[RCPTS];
    char addresses[RCPTS][64];
    struct buf body;
};

static struct shipment shipments[DELIVERIES];
static char seen_once[256][64];
static unsigned seen_once_n;

static struct shipment *shipment(uint64_t id)
{
    return &shipments[id % DELIVERIES];
}

static void add_rcpt(struct shipment *s, uint64_t n, struct str address)
{
    if (s->n >= RCPTS && world.stranger)
        return;
    assert_true(s->n < RCPTS);
    s->numbers[s->n] = n;
    snprintf(s->addresses[s->n++], sizeof s->addresses[0], "%.*s", STR_ARG(address));
    if (str_starts(address, STR("slow@")))
        s->slow = true;
    buf_add(&world.order, address);
    buf_add_char(&world.order, ' ');
}

static bool first_time(const char *address)
{
    for (unsigned i = 0; i < seen_once_n; i++)
        if (strcmp(seen_once[i], address) == 0)
            return false;
    snprintf(seen_once[seen_once_n++ % 256], sizeof seen_once[0], "%s", address);
    return true;
}

static void answer_rcpt(struct channel *c, struct shipment *s, unsigned i)
{
    struct str address = str_of(s->addresses[i]);
    bool local = s->role == ROLE_MAILBOX;
    struct msg_rcpt_done done = {.id = s->id, .n = s->numbers[i],
        .status = local ? DELIVERY_DELIVERED : DELIVERY_RELAYED, .code = 250, .text = STR("2.0.0 ok")};

    if (!local)
        done.host = STR("mx.remote.test");
    if (str_starts(address, STR("gone@"))) {
        done.status = DELIVERY_FAILED;
        done.reason = REASON_NO_USER;
        done.code = 550;
        done.text = STR("5.1.1 gone away");
    } else if (str_starts(address, STR("later@")) || (str_starts(address, STR("once@")) && first_time(s->addresses[i]))) {
        done.status = DELIVERY_DEFERRED;
        done.reason = REASON_RATE;
        done.code = 451;
        done.text = STR("4.2.1 not now");
    } else {
        *(local ? &world.delivered : &world.relayed) += 1;
        if (world_hooks.relayed != NULL)
            world_hooks.relayed(s->addresses[i]);
    }
    dispatch_on_rcpt_done(no_role, c, &done);
}

static void answer_shipment(struct shipment *s)
{
    struct channel *c = &channels[s->role];

    if (!c->up || c->serial != s->serial)
        return;
    buf_reset(&world.last_body);
    buf_add(&world.last_body, buf_str(&s->body));
    world.reports += s->null_sender;
    if (s->n > world.max_per_delivery)
        world.max_per_delivery = s->n;
    for (unsigned i = 0; i < s->n; i++)
        answer_rcpt(c, s, i);
    dispatch_on_deliver_done(no_role, c, &(struct msg_deliver_done){.id = s->id});
}

static void shipment_complete(struct shipment *s)
{
    assert_int_equal(s->body.n, s->size);
    if (s->slow) {
        s->waiting = true;
        world.held_back++;
    } else {
        answer_shipment(s);
    }
}

void world_release(void)
{
    for (unsigned i = 0; i < DELIVERIES; i++) {
        if (!shipments[i].waiting)
            continue;
        shipments[i].waiting = false;
        world.held_back--;
        answer_shipment(&shipments[i]);
    }
}

static struct shipment *shipment_begin(struct channel *c, uint64_t id, uint64_t size, struct str sender, struct str body)
{
    struct shipment *s = shipment(id);

    buf_clear(&s->body);
    *s = (struct shipment){.id = id, .serial = c->serial, .size = size, .role = c->role, .null_sender = sender.n == 0};
    buf_init(&s->body, 16 << 20);
    buf_add(&s->body, body);
    world.deliveries++;
    world.last_delivery = id;
    return s;
}

static void fetch(struct channel *c, struct shipment *s)
{
    if (s->body.n < s->size)
        dispatch_on_body_ask(no_role, c, &(struct msg_body_ask){.id = s->id, .offset = s->body.n});
    else
        shipment_complete(s);
}

static void on_deliver_local(struct role *role, struct channel *from, const struct msg_deliver_local *m)
{
    struct shipment *s = shipment_begin(from, m->id, m->size, m->sender, m->body);

    (void)role;
    add_rcpt(s, m->n, m->rcpt);
    fetch(from, s);
}

static void on_deliver_remote(struct role *role, struct channel *from, const struct msg_deliver_remote *m)
{
    (void)role;
    shipment_begin(from, m->id, m->size, m->sender, m->body);
}

static void on_deliver_rcpt(struct role *role, struct channel *from, const struct msg_deliver_rcpt *m)
{
    (void)role, (void)from;
    add_rcpt(shipment(m->id), m->n, m->address);
}

static void on_deliver_go(struct role *role, struct channel *from, const struct msg_deliver_go *m)
{
    (void)role;
    fetch(from, shipment(m->id));
}

static void on_body_chunk(struct role *role, struct channel *from, const struct msg_body_chunk *m)
{
    struct shipment *s = shipment(m->id);

    (void)role;
    if (world.stranger && (m->offset != s->body.n || m->data.n == 0))
        return;
    assert_int_equal(m->offset, s->body.n);
    buf_add(&s->body, m->data);
    assert_true(m->data.n > 0);
    fetch(from, s);
}

static void on_deliver_stored(struct role *role, struct channel *from, const struct msg_deliver_stored *m)
{
    (void)role, (void)from;
    world.stored++;
    world.last_stored = m->id;
}

static void on_told_stored(struct role *role, struct channel *from, const struct msg_told_stored *m)
{
    (void)role, (void)from;
    world.told_stored++;
    world.last_stored = m->id;
}

void world_tell(uint64_t message, uint64_t n, const char *address, enum delivery_status status)
{
    static uint64_t token;

    queue_handlers.rcpt_told(no_role, &channels[ROLE_RELAY], &(struct msg_rcpt_told){.id = ++token, .message = message, .n = n,
        .address = str_of(address), .status = status, .code = status == DELIVERY_FAILED ? 550 : 250, .text = STR("2.0.0 ok"),
        .host = STR("mx.remote.test")});
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

static const struct handlers peers = {.txn_done = on_txn_done, .queue_state = on_queue_state,
    .resolve_ask = on_resolve_ask, .deliver_local = on_deliver_local, .deliver_remote = on_deliver_remote,
    .deliver_rcpt = on_deliver_rcpt, .deliver_go = on_deliver_go, .body_chunk = on_body_chunk, .event = on_event,
    .deliver_stored = on_deliver_stored, .told_stored = on_told_stored, .control_row = on_control_row, .control_done = on_control_done};

static bool pump(struct channel *c)
{
    struct buf frames = c->out;
    struct str rest = buf_str(&frames);
    bool any = rest.n > 0;
    const struct handlers *handlers = c->role == ROLE_MAILBOX && world_hooks.mailbox ? world_hooks.mailbox : &peers;

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
            time_passed += wait;

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
    time_passed += span;
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
}

void world_open(const char *config)
{
    static char text[4096];
    struct err err = {0};
    char path[128];

    memset(&world, 0, sizeof world);
    time_passed = 0;
    seen_once_n = 0;
    world_fail_at(0);
    world_die_at(0);
    world_disk_full(false);
    buf_init(&world.last_body, 16 << 20);
    buf_init(&world.rows, 64 << 20);
    buf_init(&world.order, 16 << 20);
    /* In memory where that is possible: these tests are about order, not about the disk. */
    snprintf(world.folder, sizeof world.folder, "/dev/shm/queue-test-XXXXXX");
    if (mkdtemp(world.folder) == NULL) {
        snprintf(world.folder, sizeof world.folder, "/tmp/queue-test-XXXXXX");
        assert_non_null(mkdtemp(world.folder));
    }
    snprintf(path, sizeof path, "%s/queue", world.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(text, sizeof text, "hostname = \"mail.test\"\ndata = \"%s\"\n%s\n", world.folder, config);
    if (!config_parse(&world.config, STR("test"), str_of(text), &err))
        fail_msg("%s", err.text);
    log_set(LOG_LEVEL_ERROR + 1, false);
    start();
}

static void remove_folder(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        char sub[400];

        if (e->d_name[0] == '.')
            continue;
        snprintf(sub, sizeof sub, "%s/%s", path, e->d_name);
        if (e->d_type == DT_DIR)
            remove_folder(sub);
        else
            unlink(sub);
    }
    if (d != NULL)
        closedir(d);
    rmdir(path);
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

static void forget_shipments(void)
{
    for (unsigned i = 0; i < DELIVERIES; i++) {
        if (shipments[i].id == 0)
            continue;
        buf_clear(&shipments[i].body);
        memset(&shipments[i], 0, sizeof shipments[i]);
    }
    world.held_back = 0;
}

void world_close(void)
{
    kill_queue();
    config_free(world.config);
    remove_folder(world.folder);
    forget_shipments();
    buf_clear(&world.last_body);
    buf_clear(&world.rows);
    buf_clear(&world.order);
}

void world_halt(void)
{
    kill_queue();
    forget_shipments();
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

void world_freeze_clock(int64_t now)
{
    frozen = now;
    time_passed = 0;
}

void world_rcpt_done(const struct msg_rcpt_done *m)
{
    dispatch_on_rcpt_done(no_role, &channels[ROLE_MAILBOX], m);
}

void world_deliver_done(const struct msg_deliver_done *m)
{
    dispatch_on_deliver_done(no_role, &channels[ROLE_MAILBOX], m);
}

void world_body_ask(const struct msg_body_ask *m)
{
    dispatch_on_body_ask(no_role, &channels[ROLE_MAILBOX], m);
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

int64_t world_count(const char *table)
{
    char sql[128];
    struct stmt *s;
    int64_t n;

    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    s = stmt_new(store_db(world.queue->store), sql);
    assert_true(stmt_row(s));
    n = column_int(s, 0);
    assert_true(__real_stmt_done(s, NULL));
    stmt_free(s);
    return n;
}
