#include "relay_world_private.h"

#include "net/conn.h"
#include "net/tls.h"
#include "relay_tls.h"

#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct conn {
    const struct conn_events *events;
    void *owner;
    struct server *server;
    struct ip ip, source;
    uint16_t port;
    bool may_speak; /* once, where the server is slow */
    bool connecting, secure, handshake, verify, closed, in_content, held, quit;
    unsigned accepted;
    bool mail;
    struct buf out; /* what the relay sent */
    struct buf say; /* what the server says */
    char rcpts[2000];
};

static struct conn *conns[CONNS_MAX];

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

void conn_start_tls_client(struct conn *c, struct ssl_ctx_st *ctx, const char *name, enum conn_verify verify)
{
    (void)ctx;
    assert_true(name[0] != '\0');
    c->handshake = true;
    c->verify = verify == CONN_VERIFY;
    if (c->server != NULL)
        snprintf(c->server->last_sni, sizeof c->server->last_sni, "%s", name);
}

int conn_tls_verified(const struct conn *c)
{
    return c->server->bad_certificate ? X509_V_ERR_CERT_HAS_EXPIRED : X509_V_OK;
}

size_t conn_tls_chain(const struct conn *c, struct buf *out, size_t most)
{
    assert_true(most > 0);
    dns_add_record(out, tls_certificate(c->server->bad_certificate));
    return 1;
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

    if (c->say.n == 0 || (c->server->slow && !c->may_speak))
        return false;
    c->may_speak = false;
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

/* Those that are there now: what is tried instead has its own time. */
void world_time_out(void)
{
    struct conn *now[CONNS_MAX];

    world.now++; /* they began before */
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

void world_speak(struct server *s)
{
    for (size_t i = 0; i < CONNS_MAX; i++)
        if (conns[i] != NULL && conns[i]->server == s)
            conns[i]->may_speak = conns[i]->say.n > 0;
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

void servers_begin(void)
{
    memset(conns, 0, sizeof conns);
}

bool servers_turn(void)
{
    bool busy = false;

    for (size_t i = 0; i < CONNS_MAX; i++)
        if (conns[i] != NULL)
            busy |= serve(i);
    return busy;
}

void servers_end(void)
{
    for (size_t i = 0; i < CONNS_MAX; i++)
        assert_null(conns[i]);
    for (size_t i = 0; i < world.server_n; i++)
        buf_clear(&world.servers[i].last_content);
}
