/* staffetta route add|set|show|list|remove: smart hosts, other stores, discard and refusal */
#include "command.h"
#include "match.h"

#include "base/ip.h"
#include "base/json.h"
#include "smtp/address.h"

#include <string.h>

/* ---- hosts: "host:port [2001:db8::1]:25 host" ---- */

static bool split_port(struct str word, struct str *host, struct str *port)
{
    ptrdiff_t end = word.n > 0 && word.p[0] == '[' ? str_find(word, ']') : -1,
              colon = str_rfind(word, ':');

    *host = word;
    *port = (struct str){0};
    if (end > 0) {
        *host = str_sub(word, 1, (size_t)end);
        word = str_skip(word, (size_t)end + 1);
        colon = word.n == 0 ? -1 : 0;
        if (word.n > 0 && word.p[0] != ':')
            return false;
    } else if (colon >= 0) {
        *host = str_sub(word, 0, (size_t)colon);
    }
    if (colon >= 0)
        *port = str_skip(word, (size_t)colon + 1);
    return colon < 0 || port->n > 0;
}

static bool add_host(struct buf *out, struct str word, const char *default_port)
{
    struct str host, port;
    struct ip ip;
    uint64_t number;
    char text[IP_TEXT];
    const char *why;

    if (!split_port(word, &host, &port))
        return false;
    if (port.n == 0)
        port = str_of(default_port);
    if (!str_to_u64(port, 65535, &number) || number == 0)
        return false;
    if (out->n > 0)
        buf_add_char(out, ' ');
    if (ip_parse(host, &ip)) {
        ip_format(&ip, text);
        buf_addf(out, ip.family == 6 ? "[%s]" : "%s", text);
    } else if (word.p[0] == '[' || !domain_write(host, out, &why)) {
        return false;
    }
    buf_addf(out, ":%u", (unsigned)number);
    return !out->failed;
}

static int bad_host(struct command *c, struct str word)
{
    return command_fail(
        c, EX_DATAERR, "%.*s is no host: expected HOST, HOST:PORT or [IPV6]:PORT", STR_ARG(word));
}

/* As words after the kind, or as hosts="...". */
static int read_hosts(struct command *c, struct route *r)
{
    const char *port = r->action == ACTION_LMTP ? "24" : r->tls == TLS_IMPLICIT ? "465" : "25";
    struct str text = {0}, word;
    struct buf out;
    bool given = command_option(c, "hosts", &text);
    int code = 0;

    buf_init(&out, sizeof r->hosts - 1);
    while (code == 0 && str_next_word(&text, &word))
        if (!add_host(&out, word, port))
            code = bad_host(c, word);
    for (size_t i = 2; code == 0 && (word = command_word(c, i)).n > 0; i++, given = true)
        if (!add_host(&out, word, port))
            code = bad_host(c, word);
    if (code == 0 && given) {
        if (out.n > 0)
            memcpy(r->hosts, out.p, out.n);
        r->hosts_n = out.n;
        r->hosts[out.n] = 0;
    }
    buf_clear(&out);
    return code;
}

/* ---- the rest of the options ---- */

static void option_text(
    struct command *c, const char *name, size_t most, struct name *value, int *code)
{
    struct str text;

    if (*code != 0 || !command_option(c, name, &text))
        return;
    if (text.n > most || memchr(text.p, '\n', text.n) != NULL ||
        memchr(text.p, '\r', text.n) != NULL || !name_set(value, text))
        *code = command_fail(c, EX_DATAERR, "%s: at most %zu octets in one line", name, most);
}

static bool is_fail_text(struct str text)
{
    return text.n > 6 && text.p[0] == '5' && text.p[1] == '.' && ascii_is_digit(text.p[2]) &&
           str_find(text, ' ') >= 5 && str_is_utf8(text);
}

static int check(struct command *c, const struct route *r)
{
    bool needs_hosts = r->action == ACTION_SMTP || r->action == ACTION_LMTP;

    if (needs_hosts && r->hosts_n == 0)
        return command_fail(
            c, EX_USAGE, "kind=%s needs at least one HOST:PORT", route_action_words[r->action]);
    if (!needs_hosts && (r->hosts_n > 0 || r->login.n > 0))
        return command_fail(
            c, EX_USAGE, "kind=%s has no hosts and no login", route_action_words[r->action]);
    if ((r->login.n > 0) != (r->secret.n > 0))
        return command_fail(c, EX_USAGE, "login=... and password=... belong together");
    if (r->login.n > 0 && r->tls == TLS_OPPORTUNISTIC)
        return command_fail(c, EX_USAGE,
            "a password is not sent over a connection that may be plain: add tls=verified, "
            "tls=required or tls=implicit "
            "(tls=none if that is really meant)");
    if (r->text.n > 0 && (r->action != ACTION_FAIL || !is_fail_text(name_str(&r->text))))
        return command_fail(c, EX_USAGE,
            "text=... is for kind=fail and begins with an enhanced code: \"5.7.1 Not accepted "
            "here\"");
    return 0;
}

static int read_options(struct command *c, struct route *r)
{
    int code = 0, action = (int)r->action, tls = (int)r->tls;

    if (command_word(c, 1).n > 0 &&
        (action = word_index(route_action_words, command_word(c, 1))) < 0)
        code = command_fail(c, EX_USAGE, "%.*s: expected one of mx, smtp, lmtp, discard, fail",
            STR_ARG(command_word(c, 1)));
    option_word(c, "kind", route_action_words, &action, &code);
    option_word(c, "tls", route_tls_words, &tls, &code);
    r->action = (enum route_action)action;
    r->tls = (enum route_tls)tls;
    option_text(c, "login", IPC_NAME, &r->login, &code);
    option_text(c, "password", IPC_NAME, &r->secret, &code);
    option_text(c, "text", 500, &r->text, &code);
    if (code == 0)
        code = read_hosts(c, r);
    return code == 0 ? check(c, r) : code;
}

static int save(struct command *c, struct route *r)
{
    struct err err = {0};

    return store_put_route(c->store, r, &err) ? 0 : command_broken(c, &err);
}

/* The match is the word, or the option match=... */
static int read_match(struct command *c, struct name *out)
{
    struct str text = command_word(c, 0);

    if (text.n == 0 && !command_option(c, "match", &text))
        return command_fail(
            c, EX_USAGE, "which route? recipient:DOMAIN, recipient:*, sender:DOMAIN or class:bulk");
    return match_read(c, text, true, out);
}

static int find(struct command *c, struct route *r)
{
    struct err err = {0};
    struct name match;
    bool found;
    int code = read_match(c, &match);

    if (code != 0)
        return code;
    if (!store_get_route(c->store, name_str(&match), r, &found, &err))
        return command_broken(c, &err);
    return found ? 0
                 : command_fail(c, EX_NOUSER,
                       "no route %s: `staffetta route list` shows what is there", match.p);
}

static int add(struct command *c)
{
    struct route r = {.action = ACTION_MX}, old;
    struct err err = {0};
    struct str kind;
    bool found;
    int code = read_match(c, &r.match);

    if (code != 0)
        return code;
    if (!store_get_route(c->store, name_str(&r.match), &old, &found, &err))
        return command_broken(c, &err);
    if (found)
        return command_fail(c, EX_CANTCREAT,
            "route %s exists already: change it with `staffetta route set`", r.match.p);
    if (command_word(c, 1).n == 0 && !command_option(c, "kind", &kind))
        return command_fail(c, EX_USAGE, "which kind? mx, smtp, lmtp, discard or fail");
    code = read_options(c, &r);
    return code == 0 ? save(c, &r) : code;
}

static int set(struct command *c)
{
    struct route r;
    int code = find(c, &r);

    if (code == 0)
        code = read_options(c, &r);
    return code == 0 ? save(c, &r) : code;
}

static void show_one(struct command *c, const struct route *r)
{
    row_begin(c);
    json_str(&c->row, "match", name_str(&r->match));
    json_str(&c->row, "kind", str_of(route_action_words[r->action]));
    json_str(&c->row, "hosts", str_from(r->hosts, r->hosts_n));
    json_str(&c->row, "tls", str_of(route_tls_words[r->tls]));
    json_str(&c->row, "login", name_str(&r->login));
    json_str(&c->row, "text", name_str(&r->text));
    json_time(&c->row, "created", r->created);
    row_end(c);
}

static int show(struct command *c)
{
    struct route r;
    int code = find(c, &r);

    if (code == 0)
        show_one(c, &r);
    return code;
}

static int list(struct command *c)
{
    struct stmt *s = store_stmt(c->store, SQL_ROUTE_LIST);
    struct err err = {0};
    struct route r;
    int rows = 0, code = list_begin(c);

    if (code != 0)
        return code;
    stmt_str(s, name_str(&c->after));
    stmt_int(s, LIST_SCAN);
    for (; c->room > 0 && stmt_row(s); rows++) {
        store_read_route(s, &r);
        if (list_takes(c, name_str(&r.match)))
            show_one(c, &r);
    }
    if (rows > 0)
        c->after = r.match;
    list_end(c, rows);
    return stmt_done(s, &err) ? 0 : command_broken(c, &err);
}

static int remove_route(struct command *c)
{
    struct err err = {0};
    struct route r;
    struct str match;
    int code = find(c, &r);

    match = name_str(&r.match);
    if (code == 0 && !store_run(c->store, SQL_ROUTE_REMOVE, &match, 1, &err))
        code = command_broken(c, &err);
    return code;
}

#define OPTIONS "match kind hosts tls login password text"
#define SETTINGS                                                                                   \
    "[tls=opportunistic|none|required|verified|implicit] [login=... password=...] [text=\"5.7.1 "  \
    "...\"]; "                                                                                     \
    "MATCH is recipient:DOMAIN, recipient:*, sender:DOMAIN or class:bulk, KIND is mx, smtp, "      \
    "lmtp, discard or fail"

const struct command_type route_commands[] = {
    {"route", "add", add, 0, true, "MATCH KIND [HOST:PORT...] " SETTINGS, OPTIONS, ANY_WORDS},
    {"route", "set", set, 0, true, "MATCH [kind=...] [hosts=\"HOST:PORT ...\"] " SETTINGS, OPTIONS,
        1},
    {"route", "show", show, 0, false, "MATCH", "match", 1},
    {"route", "list", list, 0, false, "[TEXT] [limit=N]", "limit", 1},
    {"route", "remove", remove_route, 0, true, "MATCH", "match", 1},
    {0},
};
