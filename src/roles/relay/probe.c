#include "probe.h"
#include "base/clock.h"
#include "base/json.h"
#include "ipc/args.h"
#include "net/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USAGE = 64, LINE = 1000, RCPT = 320 };

/* What has been said and waits for its reply. */
enum stage { GREETING, EHLO, MAIL, RCPT_TO, QUIT };

struct one {
    struct probing *all;
    struct conn *conn; /* NULL: it is over */
    struct ip ip;
    uint16_t port;
    char rcpt[RCPT], text[LINE];
    enum stage stage;
    bool connected;
    unsigned greeting, rcpt_code;
};

/* One command. */
struct probing {
    struct link link;
    struct probes *probes;
    struct channel *to;
    uint64_t id;
    struct one ones[PROBES_MAX];
    size_t n, open;
};

void probes_init(struct probes *p, struct role *role)
{
    p->role = role;
    list_init(&p->all);
}

static void probing_free(struct probing *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->ones[i].conn != NULL)
            conn_free(g->ones[i].conn);
    list_remove(&g->link);
    free(g);
}

static void send_row(const struct one *o)
{
    char ip[IP_TEXT];
    struct buf row;

    ip_format(&o->ip, ip);
    buf_init(&row, 8 * LINE);
    json_open(&row);
    json_str(&row, "address", str_of(ip));
    json_int(&row, "port", o->port);
    json_str(&row, "recipient", str_of(o->rcpt));
    json_bool(&row, "connected", o->connected);
    json_int(&row, "greeting", o->greeting);
    json_int(&row, "recipient_code", o->rcpt_code);
    json_str(&row, "text", str_of(o->text));
    json_close(&row);
    ipc_send_control_row(o->all->to, &(struct msg_control_row){o->all->id, buf_str(&row)});
    buf_clear(&row);
}

/* Frees the command with the last one. */
static void end(struct one *o)
{
    struct probing *g = o->all;

    if (o->conn != NULL)
        conn_free(o->conn);
    o->conn = NULL;
    send_row(o);
    if (--g->open > 0)
        return;
    ipc_send_control_done(g->to, &(struct msg_control_done){g->id, 0, STR("")});
    channel_flush(g->to);
    probing_free(g);
}

static void say(struct one *o, enum stage stage, const char *verb, struct str argument, const char *tail)
{
    struct buf line;

    buf_init(&line, LINE);
    buf_addf(&line, "%s%.*s%s\r\n", verb, STR_ARG(argument), tail);
    conn_send(o->conn, buf_str(&line));
    buf_clear(&line);
    o->stage = stage;
}

static void next_stage(struct one *o, unsigned code)
{
    struct str hostname = role_config(o->all->probes->role)->hostname;

    if (o->stage == GREETING)
        o->greeting = code;
    else if (o->stage == RCPT_TO)
        o->rcpt_code = code;
    if (o->stage == GREETING && code == 220 && o->rcpt[0])
        say(o, EHLO, "EHLO ", hostname, "");
    else if (o->stage == EHLO && code == 250)
        say(o, MAIL, "MAIL FROM:<postmaster@", hostname, ">");
    else if (o->stage == MAIL && code == 250)
        say(o, RCPT_TO, "RCPT TO:<", str_of(o->rcpt), ">");
    else
        say(o, QUIT, "QUIT", STR(""), "");
}

/* A line of a reply: "250-SIZE", "250 OK". False: it is none. */
static bool read_reply(struct str line, unsigned *code, bool *last)
{
    uint64_t value;

    if (line.n < 3 || !str_to_u64(str_sub(line, 0, 3), 599, &value) || value < 200 || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
        return false;
    *code = (unsigned)value;
    *last = line.n == 3 || line.p[3] == ' ';
    return true;
}

static size_t on_input(void *owner, struct str bytes)
{
    struct one *o = owner;
    ptrdiff_t newline = str_find(bytes, '\n');
    struct str line = str_trim(str_sub(bytes, 0, newline < 0 ? bytes.n : (size_t)newline));
    unsigned code;
    bool last;

    if (newline < 0 && bytes.n < 4 * LINE)
        return 0;
    if (newline < 0 || !read_reply(line, &code, &last)) {
        snprintf(o->text, sizeof o->text, "what answers there does not speak SMTP");
        end(o);
        return 0;
    }
    if (o->stage == GREETING && o->text[0] == 0)
        snprintf(o->text, sizeof o->text, "%.*s", (int)(line.n < 200 ? line.n : 200), line.p);
    if (last && o->stage == QUIT) {
        end(o);
        return 0;
    }
    if (last)
        next_stage(o, code);
    return (size_t)newline + 1;
}

static void on_connected(void *owner)
{
    ((struct one *)owner)->connected = true;
}

static void on_closed(void *owner, bool timed_out, const char *reason)
{
    struct one *o = owner;

    if (o->greeting == 0)
        snprintf(o->text, sizeof o->text, "%s", timed_out ? o->connected ? "it says nothing" : "no answer" : reason[0] ? reason : "it hangs up");
    end(o);
}

static const struct conn_events events = {.input = on_input, .connected = on_connected, .closed = on_closed};

/* A relay that sends from here as configured would connect the same way. */
static void start(struct one *o)
{
    struct err err = {0};
    struct ip any = {0};

    if (!conn_connect(&o->conn, role_base(o->all->probes->role), &o->ip, o->port, &any, PROBE_SECONDS * SECOND, &events, o, &err)) {
        o->conn = NULL;
        snprintf(o->text, sizeof o->text, "%s", err.text);
        end(o);
        return;
    }
    conn_total_limit(o->conn, PROBE_SECONDS * SECOND);
}

/* A recipient is written into a command: nothing but a plain address. */
static bool is_plain(struct str rcpt)
{
    for (size_t i = 0; i < rcpt.n; i++)
        if (!ascii_is_alnum(rcpt.p[i]) && str_find(STR(".-_@"), rcpt.p[i]) < 0)
            return false;
    return rcpt.n < RCPT;
}

static bool add(struct probing *g, struct str word)
{
    struct one *o = &g->ones[g->n];
    struct str ip, port;
    uint64_t number;

    if (g->n == PROBES_MAX || !str_next(&word, ',', &ip) || !str_next(&word, ',', &port) || !is_plain(word))
        return false;
    *o = (struct one){.all = g};
    if (!ip_parse(ip, &o->ip) || !str_to_u64(port, 65535, &number) || number == 0)
        return false;
    o->port = (uint16_t)number;
    snprintf(o->rcpt, sizeof o->rcpt, "%.*s", STR_ARG(word));
    g->n++;
    return true;
}

static bool read_words(struct probing *g, struct str args)
{
    for (size_t i = 0; args_word(args, i).n > 0; i++)
        if (!add(g, args_word(args, i)))
            return false;
    return g->n > 0;
}

void probes_on_ask(struct probes *p, struct channel *from, const struct msg_control_ask *m)
{
    struct probing *g = xcalloc(1, sizeof *g);
    size_t n;

    g->probes = p;
    g->to = from;
    g->id = m->id;
    list_add_last(&p->all, &g->link);
    if (!str_eq(m->command, STR("probe")) || !read_words(g, m->args)) {
        ipc_send_control_done(from, &(struct msg_control_done){m->id, USAGE, STR("probe: expected ADDRESS,PORT[,RECIPIENT], at most 64 of them")});
        probing_free(g);
        return;
    }
    n = g->n;
    g->open = n + 1; /* those that fail at once do not end it before all have begun */
    for (size_t i = 0; i < n; i++)
        start(&g->ones[i]);
    if (--g->open > 0)
        return;
    ipc_send_control_done(g->to, &(struct msg_control_done){g->id, 0, STR("")});
    probing_free(g);
}

void probes_on_cancel(struct probes *p, struct channel *from, uint64_t id)
{
    LIST_EACH(&p->all, it) {
        struct probing *g = CONTAINER(it, struct probing, link);

        if (g->to == from && g->id == id) {
            probing_free(g);
            return;
        }
    }
}

void probes_peer_gone(struct probes *p, struct channel *peer)
{
    LIST_EACH(&p->all, it) {
        struct probing *g = CONTAINER(it, struct probing, link);

        if (g->to == peer)
            probing_free(g);
    }
}
