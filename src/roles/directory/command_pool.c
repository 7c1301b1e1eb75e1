/* staffetta pool add|set|show|list|remove|bind|unbind|bindings: source addresses of outgoing mail
 */
#include "command.h"
#include "match.h"

#include "base/ip.h"
#include "base/json.h"
#include "smtp/address.h"

#include <string.h>

static int read_name(struct command *c, size_t word, struct name *out)
{
    struct str text = command_word(c, word);

    if (!command_is_word(text) || text.n > 60 || !name_set(out, text))
        return command_fail(
            c, EX_DATAERR, "%.*s: a pool's name is one word of at most 60 letters", STR_ARG(text));
    for (size_t i = 0; i < out->n; i++)
        out->p[i] = ascii_lower(out->p[i]);
    return 0;
}

static int read_address(struct command *c, bool needed, char out[IP_TEXT])
{
    struct str text;
    struct ip ip;

    out[0] = 0;
    text = command_word(c, 1);
    if (text.n == 0 && !command_option(c, "address", &text))
        return needed ? command_fail(
                            c, EX_USAGE, "which address of this server shall mail leave from?")
                      : 0;
    if (!ip_parse(text, &ip))
        return command_fail(c, EX_DATAERR, "%.*s: expected an IPv4 or IPv6 address", STR_ARG(text));
    ip_format(&ip, out);
    return 0;
}

static int read_weight(struct command *c, int64_t *weight)
{
    struct str text;
    uint64_t number;

    if (!command_option(c, "weight", &text))
        return 0;
    if (!str_to_u64(text, 1000, &number))
        return command_fail(
            c, EX_USAGE, "weight=%.*s: expected a number from 0 (rests) to 1000", STR_ARG(text));
    *weight = (int64_t)number;
    return 0;
}

static int read_ehlo(struct command *c, struct name *ehlo)
{
    struct str text;

    return command_option(c, "ehlo", &text) && text.n > 0 ? command_domain(c, text, ehlo) : 0;
}

struct source {
    struct name pool, ehlo;
    char address[IP_TEXT];
    int64_t weight;
};

static int count(struct command *c, struct str pool, int64_t *n)
{
    struct err err = {0};

    return store_number(c->store, SQL_POOL_COUNT, pool, n, &err) ? 0 : command_broken(c, &err);
}

/* The source as it is stored, for a change of one of its values. */
static int load(struct command *c, struct source *source, bool *found)
{
    struct stmt *s = store_stmt(c->store, SQL_POOL_GET);
    struct err err = {0};

    stmt_str(s, name_str(&source->pool));
    stmt_str(s, str_of(source->address));
    *found = stmt_row(s);
    if (*found) {
        source->weight = column_int(s, 0);
        name_set(&source->ehlo, column_str(s, 1));
    }
    return stmt_done(s, &err) ? 0 : command_broken(c, &err);
}

static int put(struct command *c, bool fresh)
{
    struct source source = {.weight = 1};
    struct stmt *s;
    struct err err = {0};
    bool found = false;
    int code = read_name(c, 0, &source.pool);

    if (code == 0)
        code = read_address(c, true, source.address);
    if (code == 0)
        code = load(c, &source, &found);
    if (code == 0 && found == fresh)
        code = fresh ? command_fail(c, EX_CANTCREAT,
                           "pool %s has %s already: change it with `staffetta pool set`",
                           source.pool.p, source.address)
                     : command_fail(c, EX_NOUSER,
                           "pool %s has no address %s: add it with `staffetta pool add`",
                           source.pool.p, source.address);
    if (code == 0)
        code = read_weight(c, &source.weight);
    if (code == 0)
        code = read_ehlo(c, &source.ehlo);
    if (code != 0)
        return code;
    s = store_stmt(c->store, SQL_POOL_PUT);
    stmt_str(s, name_str(&source.pool));
    stmt_str(s, str_of(source.address));
    stmt_int(s, source.weight);
    stmt_str(s, name_str(&source.ehlo));
    c->pools_changed = true;
    return stmt_run(s, &err) ? 0 : command_broken(c, &err);
}

static int add(struct command *c)
{
    return put(c, true);
}

static int set(struct command *c)
{
    return put(c, false);
}

/* "sender:a.example class:bulk": what is bound to a pool, the first ones. */
static int bound_to(struct command *c, struct str pool, struct buf *out)
{
    struct stmt *s = store_stmt(c->store, SQL_POOL_BINDINGS);
    struct err err = {0};

    stmt_str(s, pool);
    while (stmt_row(s)) {
        if (out->n > 0)
            buf_add_char(out, ' ');
        buf_add(out, column_str(s, 0));
    }
    return stmt_done(s, &err) ? 0 : command_broken(c, &err);
}

static int show_row(struct command *c, struct stmt *s)
{
    struct buf bound;
    int code;

    buf_init(&bound, IPC_CHUNK / 2);
    code = bound_to(c, column_str(s, 0), &bound);
    if (code == 0) {
        row_begin(c);
        json_str(&c->row, "pool", column_str(s, 0));
        json_str(&c->row, "address", column_str(s, 1));
        json_int(&c->row, "weight", column_int(s, 2));
        json_str(&c->row, "ehlo", column_str(s, 3));
        json_str(&c->row, "bound", buf_str(&bound));
        row_end(c);
    }
    buf_clear(&bound);
    return code;
}

/* Rows of all pools, or of the one that is named. */
static int show_rows(struct command *c, const struct name *only)
{
    struct stmt *s = store_stmt(c->store, SQL_POOL_LIST);
    struct err err = {0};
    struct name pool = only != NULL && c->after.n == 0 ? *only : c->after, address = c->after2;
    int rows = 0, code = 0;
    bool past = false;

    stmt_str(s, name_str(&pool));
    stmt_str(s, name_str(&address));
    stmt_int(s, LIST_SCAN);
    for (; code == 0 && c->room > 0 && stmt_row(s); rows++) {
        past = only != NULL && !str_eq(column_str(s, 0), name_str(only));
        if (past)
            break;
        name_set(&c->after, column_str(s, 0));
        name_set(&c->after2, column_str(s, 1));
        if (only != NULL || list_takes(c, column_str(s, 0)))
            code = show_row(c, s);
    }
    list_end(c, rows);
    c->more = c->more && !past && code == 0;
    if (!stmt_done(s, &err))
        code = command_broken(c, &err);
    return code;
}

static int find(struct command *c, size_t word, struct name *pool)
{
    int64_t n;
    int code = read_name(c, word, pool);

    if (code == 0)
        code = count(c, name_str(pool), &n);
    if (code == 0 && n == 0)
        code = command_fail(
            c, EX_NOUSER, "no pool %s: `staffetta pool list` shows what is there", pool->p);
    return code;
}

static int show(struct command *c)
{
    struct name pool;
    int code = find(c, 0, &pool);

    return code == 0 ? show_rows(c, &pool) : code;
}

static int list(struct command *c)
{
    int code = list_begin(c);

    return code == 0 ? show_rows(c, NULL) : code;
}

/* A pool that something is bound to keeps at least one address. */
static int check_unused(struct command *c, const struct name *pool)
{
    struct str name = name_str(pool);
    struct err err = {0};
    struct name match;
    bool used;
    int64_t n;
    int code = count(c, name, &n);

    if (code != 0 || n > 0)
        return code;
    if (!store_text(c->store, SQL_POOL_USED, &name, 1, &match, &used, &err))
        return command_broken(c, &err);
    return used ? command_fail(c, EX_DATAERR,
                      "%s is bound to pool %s: `staffetta pool unbind %s` first", match.p, pool->p,
                      match.p)
                : 0;
}

static int remove_pool(struct command *c)
{
    struct source source = {0};
    struct err err = {0};
    struct str values[2];
    bool found = true;
    int code = find(c, 0, &source.pool);

    if (code == 0)
        code = read_address(c, false, source.address);
    if (code == 0 && source.address[0] != 0)
        code = load(c, &source, &found);
    if (code == 0 && !found)
        code =
            command_fail(c, EX_NOUSER,
            "pool %s has no address %s: `staffetta pool show %s` tells what it has", source.pool.p,
                source.address, source.pool.p);
    if (code != 0)
        return code;
    values[0] = name_str(&source.pool);
    values[1] = str_of(source.address);
    if (!store_run(c->store, source.address[0] ? SQL_POOL_REMOVE : SQL_POOL_CLEAR, values,
            source.address[0] ? 2 : 1, &err))
        return command_broken(c, &err);
    c->pools_changed = true;
    return check_unused(c, &source.pool);
}

/* ---- bindings ---- */

static int bind_pool(struct command *c)
{
    struct name match, pool;
    struct err err = {0};
    struct str values[2];
    int code = match_read(c, command_word(c, 0), false, &match);

    if (code == 0)
        code = find(c, 1, &pool);
    if (code != 0)
        return code;
    values[0] = name_str(&match);
    values[1] = name_str(&pool);
    return store_run(c->store, SQL_BINDING_PUT, values, 2, &err) ? 0 : command_broken(c, &err);
}

static int unbind(struct command *c)
{
    struct name match, pool;
    struct err err = {0};
    struct str value;
    bool found;
    int code = match_read(c, command_word(c, 0), false, &match);

    if (code != 0)
        return code;
    value = name_str(&match);
    if (!store_text(c->store, SQL_BINDING_GET, &value, 1, &pool, &found, &err))
        return command_broken(c, &err);
    if (!found)
        return command_fail(c, EX_NOUSER,
            "%s is bound to no pool: `staffetta pool bindings` shows what is there", match.p);
    return store_run(c->store, SQL_BINDING_REMOVE, &value, 1, &err) ? 0 : command_broken(c, &err);
}

static int bindings(struct command *c)
{
    struct stmt *s = store_stmt(c->store, SQL_BINDING_LIST);
    struct err err = {0};
    struct name after = c->after;
    int rows = 0, code = list_begin(c);

    if (code != 0)
        return code;
    stmt_str(s, name_str(&after));
    stmt_int(s, LIST_SCAN);
    for (; c->room > 0 && stmt_row(s); rows++) {
        name_set(&c->after, column_str(s, 0));
        if (!list_takes(c, column_str(s, 0)))
            continue;
        row_begin(c);
        json_str(&c->row, "match", column_str(s, 0));
        json_str(&c->row, "pool", column_str(s, 1));
        row_end(c);
    }
    list_end(c, rows);
    return stmt_done(s, &err) ? 0 : command_broken(c, &err);
}

const struct command_type pool_commands[] = {
    {"pool", "add", add, 1, true, "POOL ADDRESS [weight=N] [ehlo=NAME]", "address weight ehlo", 1},
    {"pool", "set", set, 1, true, "POOL ADDRESS [weight=N] [ehlo=NAME]", "address weight ehlo", 1},
    {"pool", "show", show, 1, false, "POOL", ""},
    {"pool", "list", list, 0, false, "[TEXT] [limit=N]", "limit", 1},
    {"pool", "remove", remove_pool, 1, true, "POOL [ADDRESS]", "address", 1},
    {"pool", "bind", bind_pool, 2, true, "sender:DOMAIN|class:bulk POOL", ""},
    {"pool", "unbind", unbind, 1, true, "sender:DOMAIN|class:bulk", ""},
    {"pool", "bindings", bindings, 0, false, "[TEXT] [limit=N]", "limit", 1},
    {0},
};
