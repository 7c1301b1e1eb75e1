/* See relay_world.h. */
#include "relay_tls.h"
#include "relay_world_private.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world world;

struct channel {
    enum role_id role;
    uint64_t serial;
};
static struct channel queues[2] = {{ROLE_QUEUE, 1}, {ROLE_QUEUE, 2}}, *queue = queues, resolver = {ROLE_RESOLVER, 3},
    directory = {ROLE_DIRECTORY, 4}, events = {ROLE_EVENTS, 5};

/* ---- the role and its clock ---- */

int64_t clock_now(void)
{
    return world.now;
}

int64_t clock_monotonic(void)
{
    return world.now;
}

void clock_format_utc(int64_t time, char *out, size_t size)
{
    snprintf(out, size, "%lld", (long long)time);
}

void *role_state(struct role *role)
{
    (void)role;
    return &world.relay;
}

struct event_base *role_base(struct role *role)
{
    (void)role;
    return world.base;
}

const struct config *role_config(const struct role *role)
{
    (void)role;
    return world.config;
}

unsigned role_copy(const struct role *role)
{
    (void)role;
    return 0;
}

unsigned role_peers(const struct role *role, enum role_id peer)
{
    (void)role;
    (void)peer;
    return 1;
}

struct channel *role_peer(const struct role *role, enum role_id peer, unsigned copy)
{
    (void)role;
    assert_int_equal(copy, 0);
    if (peer == ROLE_RESOLVER)
        return world.resolver_down ? NULL : &resolver;
    if (peer == ROLE_DIRECTORY)
        return world.directory_down ? NULL : &directory;
    if (peer == ROLE_EVENTS)
        return world.events_down ? NULL : &events;
    return world.queue_down ? NULL : queue;
}

uint64_t role_next_id(struct role *role)
{
    static uint64_t last;

    (void)role;
    return ++last;
}

void role_exit(struct role *role)
{
    (void)role;
    world.exited = true;
}

enum role_id channel_role(const struct channel *c)
{
    return c->role;
}

unsigned channel_copy(const struct channel *c)
{
    (void)c;
    return 0;
}

uint64_t channel_serial(const struct channel *c)
{
    return c->serial;
}

size_t channel_backlog(const struct channel *c)
{
    (void)c;
    return 0;
}

/* ---- messages out ---- */

enum { STORED = 8192 };
static struct stored {
    uint64_t serial, id;
    bool told;
} stored[STORED];
static size_t stored_n, stored_done;

void ipc_send_rcpt_done(struct channel *to, const struct msg_rcpt_done *m)
{
    struct result *r = &world.results[world.result_n];

    assert_ptr_equal(to, queue);
    assert_false(world.queue_down);
    assert_true(world.result_n < WORLD_RESULTS);
    if (world_has_result(m->id, m->n))
        fail_msg("recipient %d of delivery %d has two results", (int)m->n, (int)m->id);
    world.result_n++;
    *r = (struct result){.id = m->id, .n = m->n, .status = m->status, .code = m->code, .reason = m->reason, .dsn = m->dsn};
    snprintf(r->text, sizeof r->text, "%.*s", STR_ARG(m->text));
    snprintf(r->host, sizeof r->host, "%.*s", STR_ARG(m->host));
    snprintf(r->source, sizeof r->source, "%.*s", STR_ARG(m->source));
    snprintf(r->tls, sizeof r->tls, "%.*s", STR_ARG(m->tls));
    snprintf(r->policy, sizeof r->policy, "%.*s", STR_ARG(m->policy));
}

void ipc_send_deliver_done(struct channel *to, const struct msg_deliver_done *m)
{
    assert_ptr_equal(to, queue);
    stored[stored_n++ % STORED] = (struct stored){channel_serial(to), m->id, false};
    world.done_n++;
}

void ipc_send_rcpt_told(struct channel *to, const struct msg_rcpt_told *m)
{
    assert_ptr_equal(to, queue);
    assert_true(world.told_n < WORLD_RESULTS);
    world.told[world.told_n++] = (struct told){m->message, m->n, m->status};
    stored[stored_n++ % STORED] = (struct stored){channel_serial(to), m->id, true};
}

void ipc_send_told_all(struct channel *to, const struct msg_told_all *m)
{
    assert_ptr_equal(to, queue);
    world.told_all++;
    world.told_all_n = m->n;
}

void world_queue(bool up)
{
    static uint64_t serials = 100;

    if (!up) {
        world.queue_down = true;
        relay_peer_gone(NULL, queue);
        return;
    }
    queue = queue == queues ? &queues[1] : queues;
    queue->serial = ++serials;
    world.queue_down = false;
    relay_peer_up(NULL, queue);
}

/* What queue says once results are on its disk. */
static bool answer_stored(void)
{
    struct stored *s;

    if (world.stores_nothing || stored_done == stored_n)
        return false;
    s = &stored[stored_done++ % STORED];
    if (world.queue_down || s->serial != queue->serial)
        return true;
    if (s->told)
        relay_handlers.told_stored(NULL, queue, &(struct msg_told_stored){s->id});
    else
        relay_handlers.deliver_stored(NULL, queue, &(struct msg_deliver_stored){s->id});
    return true;
}

void ipc_send_window(struct channel *to, const struct msg_window *m)
{
    (void)to;
    world.window = m->window;
    world.windows++;
}

static struct msg_body_ask asked_bodies[CONNS_MAX];
static struct msg_secret_ask asked_secrets[CONNS_MAX];
static size_t bodies_n, secrets_n;
static bool pools_asked;

void ipc_send_body_ask(struct channel *to, const struct msg_body_ask *m)
{
    (void)to;
    assert_true(bodies_n < CONNS_MAX);
    asked_bodies[bodies_n++] = *m;
}

void ipc_send_secret_ask(struct channel *to, const struct msg_secret_ask *m)
{
    (void)to;
    assert_true(secrets_n < CONNS_MAX);
    asked_secrets[secrets_n++] = *m;
}

void ipc_send_pools_ask(struct channel *to, const struct msg_pools_ask *m)
{
    (void)to;
    (void)m;
    pools_asked = true;
}

/* ---- events ---- */

static uint64_t asked_policies[200];
static size_t policies_n;
static uint64_t told_events;

void ipc_send_sts_ask(struct channel *to, const struct msg_sts_ask *m)
{
    assert_ptr_equal(to, &events);
    assert_false(world.events_down);
    world.policy_questions++;
    snprintf(world.last_policy, sizeof world.last_policy, "%.*s %d %.*s", STR_ARG(m->domain), (int)m->lookup, STR_ARG(m->record));
    assert_true(policies_n < sizeof asked_policies / sizeof asked_policies[0]);
    asked_policies[policies_n++] = m->id;
}

void ipc_send_event(struct channel *to, const struct msg_event *m)
{
    size_t used = strlen(world.tls_results);
    ptrdiff_t end = str_find(m->details, '\n');

    assert_ptr_equal(to, &events);
    assert_int_equal(m->kind, EVENT_TLS);
    assert_true(end > 0);
    snprintf(world.tls_results + used, sizeof world.tls_results - used, "%.*s %.*s;", STR_ARG(m->sender), (int)end, m->details.p);
    told_events = m->seq;
}

static bool answer_events(void)
{
    if (told_events == 0)
        return false;
    relay_handlers.event_ack(NULL, &events, &(struct msg_event_ack){told_events});
    told_events = 0;
    return true;
}

static bool answer_policy(void)
{
    struct msg_sts_reply m = {.known = world.policy != NULL, .failure = world.policy_failure, .ttl = 3600};

    if (policies_n == 0 || world.events_silent)
        return false;
    m.id = asked_policies[--policies_n];
    m.policy = str_of(world.policy != NULL ? world.policy : "");
    relay_handlers.sts_reply(NULL, &events, &m);
    return true;
}

void world_events(bool up)
{
    world.events_down = !up;
    policies_n = 0;
    if (up)
        relay_peer_up(NULL, &events);
    else
        relay_peer_gone(NULL, &events);
}

/* ---- DNS ---- */

static struct {
    uint64_t id, type;
    char name[DNS_NAME_TEXT];
} questions[200];
static size_t question_n;

void ipc_send_dns_ask(struct channel *to, const struct msg_dns_ask *m)
{
    (void)to;
    world.lookups++;
    questions[question_n].id = m->id;
    questions[question_n].type = m->type;
    snprintf(questions[question_n++].name, DNS_NAME_TEXT, "%.*s", STR_ARG(m->name));
}

static void add_answer(struct buf *out, uint64_t type, const char *value)
{
    struct str rest = str_of(value), word, host;
    struct buf one;
    struct ip ip;
    uint64_t preference = 0;

    buf_init(&one, 2000);
    if (type == DNS_MX) {
        assert_true(str_next_word(&rest, &word) && str_to_u64(word, 65535, &preference));
        buf_add_char(&one, (char)(preference >> 8));
        buf_add_char(&one, (char)(preference & 255));
        host = str_next_word(&rest, &word) && !str_eq(word, STR(".")) ? word : (struct str){0};
        assert_true(dns_write_name(&one, host));
    } else if (type == DNS_TLSA) {
        tls_record(&one, rest);
    } else if (type == DNS_TXT) {
        buf_add_char(&one, (char)rest.n);
        buf_add(&one, rest);
    } else if (type == DNS_CNAME) {
        assert_true(dns_write_name(&one, str_trim(rest)));
    } else {
        assert_true(ip_parse(rest, &ip));
        buf_add(&one, (struct str){(const char *)ip.bytes, type == DNS_A ? 4 : 16});
    }
    dns_add_record(out, buf_str(&one));
    buf_clear(&one);
}

static bool is_signed(const char *name)
{
    char between[DNS_NAME_TEXT + 2];

    snprintf(between, sizeof between, " %s ", name);
    return world.secure_zone && strstr(world.unsigned_names, between) == NULL;
}

static const char *kind_of(uint64_t type)
{
    return type == DNS_MX ? "MX" : type == DNS_A ? "A" : type == DNS_TLSA ? "TLSA" : type == DNS_CNAME ? "CNAME" : type == DNS_TXT ? "TXT" : "AAAA";
}

/* Adds what the zone has of this name; false: nothing is to be answered. `alias`: where a CNAME leads. */
static bool read_zone(const char *owner, uint64_t type, struct msg_dns_reply *reply, struct buf *records, char alias[DNS_NAME_TEXT])
{
    struct str rest = str_of(world.zone), line, name, kind;
    char value[300];

    while (str_next(&rest, '\n', &line)) {
        if (!str_next_word(&line, &name) || !str_eq(name, str_of(owner)) || !str_next_word(&line, &kind))
            continue;
        if (str_eq(kind, STR("SILENT")))
            return false;
        if (reply->status == DNS_NXDOMAIN)
            reply->status = str_eq(kind, STR("FAIL")) ? DNS_SERVFAIL : DNS_NODATA;
        snprintf(value, sizeof value, "%.*s", STR_ARG(str_trim(line)));
        if (str_eq(kind, STR("CNAME")) && type != DNS_CNAME)
            snprintf(alias, DNS_NAME_TEXT, "%.200s", value);
        if (!str_eq(kind, str_of(kind_of(type))))
            continue;
        add_answer(records, type, value);
        reply->status = DNS_OK;
    }
    return true;
}

static void answer_question(size_t i)
{
    struct msg_dns_reply reply = {.id = questions[i].id, .status = DNS_NXDOMAIN, .secure = is_signed(questions[i].name), .ttl = 60};
    char alias[DNS_NAME_TEXT] = "", further[DNS_NAME_TEXT] = "";
    struct buf records;
    bool answers;

    buf_init(&records, 10000);
    answers = read_zone(questions[i].name, questions[i].type, &reply, &records, alias);
    if (answers && alias[0] != '\0') {
        reply.status = DNS_NODATA;
        reply.secure &= is_signed(alias);
        answers = read_zone(alias, questions[i].type, &reply, &records, further);
    }
    reply.canonical = str_of(alias[0] != '\0' ? alias : questions[i].name);
    reply.records = buf_str(&records);
    if (answers)
        relay_handlers.dns_reply(NULL, &resolver, &reply);
    buf_clear(&records);
}

static bool answer_questions(void)
{
    size_t n = question_n;

    for (size_t i = 0; i < n; i++)
        answer_question(i);
    memmove(questions, questions + n, (question_n - n) * sizeof questions[0]);
    question_n -= n;
    return n > 0;
}

/* ---- the world goes round ---- */

static bool answer_body(void)
{
    struct msg_body_ask ask;
    struct str piece;
    size_t end = world.big_ends ? world.big_ends : world.big.n;

    if (bodies_n == 0 || world.holds_bodies)
        return false;
    ask = asked_bodies[--bodies_n];
    piece = str_sub(world.big, ask.offset, ask.offset + 1000 < end ? ask.offset + 1000 : end);
    relay_handlers.body_chunk(NULL, queue, &(struct msg_body_chunk){ask.id, ask.offset, piece});
    return true;
}

static bool answer_directory(void)
{
    struct msg_secret_ask ask;

    if (pools_asked) {
        pools_asked = false;
        relay_handlers.pools_reply(NULL, &directory, &(struct msg_pools_reply){0, str_of(world.pools)});
        return true;
    }
    if (secrets_n == 0)
        return false;
    ask = asked_secrets[--secrets_n];
    relay_handlers.secret_reply(NULL, &directory, &(struct msg_secret_reply){ask.id, !world.no_secret, STR("u"), STR("p")});
    return true;
}

void world_run(void)
{
    bool busy = true;

    while (busy) {
        relay_turn(NULL);
        busy = answer_questions();
        busy |= answer_body();
        busy |= answer_directory();
        busy |= answer_policy();
        busy |= answer_events();
        busy |= answer_stored();
        busy |= servers_turn();
        busy |= world.relay.kept.telling_count > 0;
        event_base_loop(world.base, EVLOOP_NONBLOCK);
    }
}

void world_pass(int64_t span)
{
    world_run();
    world.now += span;
    relay_sweep(&world.relay);
    world_run();
}

void world_open(const char *config)
{
    char text[2000];
    struct err err = {0};

    world = (struct world){.now = 1000 * SECOND};
    servers_begin();
    question_n = 0;
    bodies_n = secrets_n = 0;
    stored_n = stored_done = 0;
    policies_n = 0;
    told_events = 0;
    pools_asked = false;
    snprintf(text, sizeof text, "hostname = \"me.test\"\ndata = \"/nowhere\"\nrun = \"/nowhere\"\n%s", config);
    if (!config_parse(&world.config, STR("test.conf"), str_of(text), &err))
        fail_msg("%s", err.text);
    world.base = event_base_new();
    if (!relay_open(&world.relay, NULL, &err))
        fail_msg("%s", err.text);
    relay_peer_up(NULL, &directory);
}

void world_close(void)
{
    relay_close(&world.relay);
    servers_end();
    event_base_free(world.base);
    config_free(world.config);
}

/* ---- what queue says ---- */

struct msg_deliver_remote world_message(const char *domain)
{
    static uint64_t messages;

    return (struct msg_deliver_remote){.message = ++messages, .size = 12, .priority = 9, .destination = str_of(domain), .domain = str_of(domain),
        .sender = STR("s@me.test"), .body = STR("A: b\r\n\r\nx.\r\n")};
}

uint64_t world_deliver(const struct msg_deliver_remote *m, const char *rcpts)
{
    struct msg_deliver_remote copy = *m;
    struct str rest = str_of(rcpts), rcpt;
    uint64_t n = 0;

    copy.id = role_next_id(NULL);
    relay_handlers.deliver_remote(NULL, queue, &copy);
    while (str_next_word(&rest, &rcpt))
        relay_handlers.deliver_rcpt(NULL, queue, &(struct msg_deliver_rcpt){.id = copy.id, .n = n++, .address = rcpt});
    relay_handlers.deliver_go(NULL, queue, &(struct msg_deliver_go){copy.id});
    return copy.id;
}

uint64_t world_send(const char *domain, const char *rcpts)
{
    struct msg_deliver_remote m = world_message(domain);

    return world_deliver(&m, rcpts);
}

bool world_has_result(uint64_t id, uint64_t n)
{
    for (size_t i = 0; i < world.result_n; i++)
        if (world.results[i].id == id && world.results[i].n == n)
            return true;
    return false;
}

const struct result *world_result(uint64_t id, uint64_t n)
{
    for (size_t i = 0; i < world.result_n; i++)
        if (world.results[i].id == id && world.results[i].n == n)
            return &world.results[i];
    fail_msg("recipient %d of delivery %d has no result", (int)n, (int)id);
    return NULL;
}
