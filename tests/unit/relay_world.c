/* See relay_world.h. */
#include "relay_world.h"
#include "net/conn.h"
#include "net/tls.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world world;

enum { CONNS_MAX = 400 };

struct conn {
    const struct conn_events *events;
    void *owner;
    struct server *server;
    struct ip ip, source;
    uint16_t port;
    bool connecting, secure, handshake, verify, closed, in_content, held, quit;
    unsigned accepted;
    bool mail;
    struct buf out; /* what the relay sent */
    struct buf say; /* what the server says */
    char rcpts[2000];
};

struct channel {
    enum role_id role;
    uint64_t serial;
};
static struct conn *conns[CONNS_MAX];
static struct channel queues[2] = {{ROLE_QUEUE, 1}, {ROLE_QUEUE, 2}}, *queue = queues, resolver = {ROLE_RESOLVER, 3},
    directory = {ROLE_DIRECTORY, 4};

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

void channel_gave(struct channel *c, enum handover what)
{
    (void)c;
    (void)what;
}

void channel_took(struct channel *c, enum handover what)
{
    (void)c;
    (void)what;
}

void verify_equal(struct verification *v, const char *check, int64_t expected, int64_t found, const char *advice)
{
    (void)v;
    (void)advice;
    if (expected != found)
        fatal("%s: %lld, %lld", check, (long long)expected, (long long)found);
}

bool tls_client_new(struct ssl_ctx_st **ctx, struct str ca, struct err *err)
{
    (void)ca;
    (void)err;
    *ctx = NULL;
    return true;
}

void tls_client_free(struct ssl_ctx_st *ctx)
{
    (void)ctx;
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

    buf_init(&one, 300);
    if (type == DNS_MX) {
        assert_true(str_next_word(&rest, &word) && str_to_u64(word, 65535, &preference));
        buf_add_char(&one, (char)(preference >> 8));
        buf_add_char(&one, (char)(preference & 255));
        host = str_next_word(&rest, &word) && !str_eq(word, STR(".")) ? word : (struct str){0};
        assert_true(dns_write_name(&one, host));
    } else {
        assert_true(ip_parse(rest, &ip));
        buf_add(&one, (struct str){(const char *)ip.bytes, type == DNS_A ? 4 : 16});
    }
    dns_add_record(out, buf_str(&one));
    buf_clear(&one);
}

static void answer_question(size_t i)
{
    const char *kind = questions[i].type == DNS_MX ? "MX" : questions[i].type == DNS_A ? "A" : "AAAA";
    struct msg_dns_reply reply = {.id = questions[i].id, .status = DNS_NXDOMAIN, .secure = world.secure_zone, .ttl = 60};
    struct str rest = str_of(world.zone), line, name, type;
    struct buf records;
    char value[300];

    buf_init(&records, 10000);
    while (str_next(&rest, '\n', &line)) {
        if (!str_next_word(&line, &name) || !str_eq(name, str_of(questions[i].name)) || !str_next_word(&line, &type))
            continue;
        if (str_eq(type, STR("SILENT")))
            goto end;
        if (reply.status == DNS_NXDOMAIN)
            reply.status = str_eq(type, STR("FAIL")) ? DNS_SERVFAIL : DNS_NODATA;
        if (!str_eq(type, str_of(kind)))
            continue;
        snprintf(value, sizeof value, "%.*s", STR_ARG(str_trim(line)));
        add_answer(&records, questions[i].type, value);
        reply.status = DNS_OK;
    }
    reply.records = buf_str(&records);
    relay_handlers.dns_reply(NULL, &resolver, &reply);
end:
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

/* ---- connections ---- */

static struct server *server_at(const struct ip *ip)
{
    char text[IP_TEXT];

    ip_format(ip, text);
    for (size_t i = 0; i < world.server_n; i++)
        if (strcmp(world.servers[i].ip, text) == 0)
            return &world.servers[i];
    return NULL;
}

bool conn_connect(struct conn **conn, struct event_base *base, const struct ip *to, uint16_t port,
    const struct ip *source, int64_t within, const struct conn_events *events, void *owner, struct err *err)
{
    char text[IP_TEXT];
    struct conn *c;

    (void)base;
    (void)within;
    ip_format(source, text);
    if (world.bad_source[0] && strcmp(text, world.bad_source) == 0)
        return err_set(err, ERR_TEMPORARY, "bind to the source address: no such address");
    c = xcalloc(1, sizeof *c);
    *c = (struct conn){.events = events, .owner = owner, .server = server_at(to), .ip = *to, .source = *source, .port = port,
        .connecting = true};
    buf_init(&c->out, 1 << 24);
    buf_init(&c->say, 1 << 16);
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (conns[i] == NULL) {
            conns[i] = *conn = c;
            return true;
        }
    fail_msg("too many connections");
    return false;
}

static void leave_server(struct conn *c)
{
    if (c->server != NULL && !c->connecting && !c->closed)
        c->server->open--;
    c->closed = true;
}

void conn_free(struct conn *c)
{
    if (c == NULL)
        return;
    leave_server(c);
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (conns[i] == c)
            conns[i] = NULL;
    buf_clear(&c->out);
    buf_clear(&c->say);
    free(c);
}

void conn_send(struct conn *c, struct str bytes)
{
    buf_add(&c->out, bytes);
}

size_t conn_output_waiting(const struct conn *c)
{
    (void)c;
    return 0;
}

void conn_total_limit(struct conn *c, int64_t within)
{
    (void)c;
    (void)within;
}

void conn_tls_text(struct conn *c, char *out, size_t size)
{
    snprintf(out, size, "%s", c->secure ? "TLSv1.3" : "");
}

void conn_start_tls_client(struct conn *c, struct ssl_ctx_st *ctx, const char *name, bool verify)
{
    (void)ctx;
    assert_true(name[0] != '\0');
    c->handshake = true;
    c->verify = verify;
}

/* ---- their servers ---- */

static void say(struct conn *c, const char *line)
{
    buf_addf(&c->say, "%s\r\n", line);
}

/* A rule's words, or NULL. */
static const char *ruled(struct conn *c, const char *verb, const char *line)
{
    for (size_t i = 0; i < WORLD_RULES; i++) {
        struct rule *r = &c->server->rules[i];

        if (r->times == 0 || strcmp(r->verb, verb) != 0 || strstr(line, r->match) == NULL)
            continue;
        r->times--;
        return r->says;
    }
    return NULL;
}

/* True when the server did something of its own. */
static bool by_rule(struct conn *c, const char *verb, const char *line, const char *otherwise)
{
    const char *words = ruled(c, verb, line);

    if (words == NULL) {
        say(c, otherwise);
        return false;
    }
    if (strcmp(words, "CLOSE") == 0)
        c->quit = true;
    else if (strcmp(words, "HANG") != 0)
        say(c, words);
    return true;
}

static void greet(struct conn *c)
{
    c->server->connections++;
    if (++c->server->open > c->server->most_open)
        c->server->most_open = c->server->open;
    c->connecting = false;
    by_rule(c, "GREETING", "", "220 hi");
}

static void list_extensions(struct conn *c)
{
    struct str rest = str_of(c->server->offers), word;

    buf_add(&c->say, STR("250-hi\r\n"));
    while (str_next(&rest, '|', &word))
        if (word.n > 0 && !(c->secure && str_eq(word, STR("STARTTLS"))))
            buf_addf(&c->say, "250-%.*s\r\n", STR_ARG(word));
    buf_add(&c->say, STR("250 HELP\r\n"));
}

static void take_message(struct conn *c)
{
    struct server *s = c->server;

    c->in_content = false;
    c->mail = false;
    if (by_rule(c, "END", s->last_mail, "250 2.0.0 taken"))
        return;
    s->messages++;
    s->secure_messages += c->secure;
    snprintf(s->last_rcpts, sizeof s->last_rcpts, "%s", c->rcpts);
    ip_format(&c->source, s->last_source);
}

static void on_rcpt(struct conn *c, const char *line)
{
    size_t used = strlen(c->rcpts);

    if (!c->mail)
        say(c, "503 5.5.1 MAIL first");
    else if (!by_rule(c, "RCPT", line, "250 ok")) {
        c->accepted++;
        snprintf(c->rcpts + used, sizeof c->rcpts - used, "%s ", line + 8);
    }
}

static void on_mail(struct conn *c, const char *line)
{
    if (c->mail)
        fail_msg("MAIL within a transaction");
    c->accepted = 0;
    c->rcpts[0] = '\0';
    if (!by_rule(c, "MAIL", line, "250 ok")) {
        c->mail = true;
        snprintf(c->server->last_mail, sizeof c->server->last_mail, "%s", line);
    }
}

static void on_data(struct conn *c)
{
    size_t before = c->say.n;

    if (c->accepted == 0) {
        say(c, "503 5.5.1 RCPT first");
    } else {
        by_rule(c, "DATA", "", "354 go");
        c->in_content = str_starts(str_skip(buf_str(&c->say), before), STR("354"));
    }
    buf_clear(&c->server->last_content);
    buf_init(&c->server->last_content, 1 << 24);
}

static void on_line(struct conn *c, const char *line)
{
    struct server *s = c->server;

    if (strncmp(line, "EHLO ", 5) == 0 || strncmp(line, "LHLO ", 5) == 0) {
        snprintf(s->last_hello, sizeof s->last_hello, "%s", line + 5);
        const char *words = ruled(c, "EHLO", line);

        if (words == NULL)
            list_extensions(c);
        else if (strcmp(words, "CLOSE") == 0)
            c->quit = true;
        else if (strcmp(words, "HANG") != 0)
            say(c, words);
    } else if (strncmp(line, "HELO ", 5) == 0) {
        say(c, "250 hi");
    } else if (strncmp(line, "MAIL ", 5) == 0) {
        on_mail(c, line);
    } else if (strncmp(line, "RCPT ", 5) == 0) {
        on_rcpt(c, line);
    } else if (strcmp(line, "DATA") == 0) {
        on_data(c);
    } else if (strcmp(line, "STARTTLS") == 0) {
        by_rule(c, "STARTTLS", line, "220 go");
    } else if (strncmp(line, "AUTH ", 5) == 0) {
        snprintf(s->last_login, sizeof s->last_login, "%s", line);
        by_rule(c, "AUTH", line, "235 ok");
    } else if (strcmp(line, "RSET") == 0) {
        c->mail = false;
        say(c, "250 ok");
    } else if (strcmp(line, "QUIT") == 0) {
        say(c, "221 bye");
        c->quit = true;
    } else {
        fail_msg("the relay said \"%s\"", line);
    }
}

/* Takes one line of what the relay sent; false when there is none. */
static bool serve_line(struct conn *c)
{
    struct str all = buf_str(&c->out);
    ptrdiff_t end = str_ifind(all, STR("\r\n"));
    char line[390];

    if (end < 0 || c->held)
        return false;
    if (c->in_content && end == 1 && all.p[0] == '.') {
        buf_consume(&c->out, 3);
        c->held = c->server->hold;
        if (!c->held)
            take_message(c);
    } else if (c->in_content) {
        buf_add(&c->server->last_content, str_sub(all, 0, (size_t)end + 2));
        buf_consume(&c->out, (size_t)end + 2);
    } else {
        snprintf(line, sizeof line, "%.*s", (int)end, all.p);
        buf_consume(&c->out, (size_t)end + 2);
        on_line(c, line);
    }
    return true;
}

static bool connect_one(struct conn *c)
{
    if (c->server != NULL && c->server->silent)
        return false;
    if (c->server == NULL || c->server->refuses) {
        c->events->closed(c->owner, false, "Connection refused");
    } else {
        greet(c);
        c->events->connected(c->owner);
    }
    return true;
}

static bool shake_hands(struct conn *c)
{
    if (c->say.n > 0)
        return false;
    c->handshake = false;
    if (c->server->broken_tls || (c->verify && c->server->bad_certificate)) {
        leave_server(c);
        c->events->closed(c->owner, false, "bad certificate");
    } else {
        c->secure = true;
        c->events->secured(c->owner);
    }
    return true;
}

static bool talk(struct conn *c)
{
    struct buf words = c->say;

    if (c->say.n == 0)
        return false;
    buf_init(&c->say, 1 << 16);
    c->events->input(c->owner, buf_str(&words));
    buf_clear(&words);
    return true;
}

static bool serve(size_t i)
{
    struct conn *c = conns[i];

    if (c->closed)
        return false;
    if (c->connecting)
        return connect_one(c);
    if (talk(c))
        return true;
    if (c->handshake)
        return shake_hands(c);
    if (c->quit) {
        leave_server(c);
        c->events->closed(c->owner, false, "closed by the peer");
        return true;
    }
    return serve_line(c);
}

/* ---- the world goes round ---- */

static bool answer_body(void)
{
    struct msg_body_ask ask;
    struct str piece;
    size_t end = world.big_ends ? world.big_ends : world.big.n;

    if (bodies_n == 0)
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
        busy |= answer_stored();
        for (size_t i = 0; i < CONNS_MAX; i++)
            if (conns[i] != NULL)
                busy |= serve(i);
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

/* Those that are there now: what is tried instead has its own time. */
void world_time_out(void)
{
    struct conn *now[CONNS_MAX];

    memcpy(now, conns, sizeof now);
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (now[i] != NULL && conns[i] == now[i] && !conns[i]->closed) {
            leave_server(conns[i]);
            conns[i]->events->closed(conns[i]->owner, true, "");
        }
    world_run();
}

void world_release(struct server *s)
{
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (conns[i] != NULL && conns[i]->server == s && conns[i]->held) {
            conns[i]->held = false;
            take_message(conns[i]);
        }
    world_run();
}

struct server *world_server(const char *ip, const char *offers)
{
    struct server *s = &world.servers[world.server_n++];

    *s = (struct server){0};
    snprintf(s->ip, sizeof s->ip, "%s", ip);
    snprintf(s->offers, sizeof s->offers, "%s", offers);
    return s;
}

void world_rule(struct server *s, const char *verb, const char *match, const char *says, unsigned times)
{
    for (size_t i = 0; i < WORLD_RULES; i++)
        if (s->rules[i].times == 0) {
            s->rules[i].times = times;
            snprintf(s->rules[i].verb, sizeof s->rules[i].verb, "%s", verb);
            snprintf(s->rules[i].match, sizeof s->rules[i].match, "%s", match);
            snprintf(s->rules[i].says, sizeof s->rules[i].says, "%s", says);
            return;
        }
    fail_msg("too many rules");
}

void world_open(const char *config)
{
    char text[2000];
    struct err err = {0};

    world = (struct world){.now = 1000 * SECOND};
    memset(conns, 0, sizeof conns);
    question_n = 0;
    bodies_n = secrets_n = 0;
    stored_n = stored_done = 0;
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
    for (size_t i = 0; i < CONNS_MAX; i++)
        assert_null(conns[i]);
    for (size_t i = 0; i < world.server_n; i++)
        buf_clear(&world.servers[i].last_content);
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
