/* staffetta alias add|set|show|list|remove */
#include "command.h"

#include "base/clock.h"
#include "base/json.h"

/* `show` names all targets as far as a row holds them, `list` the first ones. */
enum { TARGETS_LISTED = 20 };

struct alias {
    struct name address, key, domain;
    bool enabled;
    int64_t created;
};

static bool get(struct command *c, struct alias *a, bool *found, struct err *err)
{
    struct stmt *s = store_stmt(c->store, SQL_ALIAS_GET);

    stmt_str(s, name_str(&a->key));
    *found = stmt_row(s);
    if (*found) {
        name_set(&a->address, column_str(s, 0));
        name_set(&a->domain, column_str(s, 1));
        a->enabled = column_int(s, 2) != 0;
        a->created = column_int(s, 3);
    }
    return stmt_done(s, err);
}

static int find(struct command *c, struct alias *a)
{
    struct err err = {0};
    bool found;
    int code = command_address(c, command_word(c, 0), &a->address, &a->key);

    if (code != 0)
        return code;
    if (!get(c, a, &found, &err))
        return command_broken(c, &err);
    return found ? 0
                 : command_fail(c, EX_NOUSER,
                       "no alias %s: `staffetta alias list` shows what is there", a->key.p);
}

static int save(struct command *c, const struct alias *a)
{
    struct stmt *s = store_stmt(c->store, SQL_ALIAS_PUT);
    struct err err = {0};

    stmt_str(s, name_str(&a->key));
    stmt_str(s, name_str(&a->address));
    stmt_str(s, name_str(&a->domain));
    stmt_int(s, a->enabled);
    stmt_int(s, a->created);
    return stmt_run(s, &err) ? 0 : command_broken(c, &err);
}

static int add_target(struct command *c, const struct alias *a, struct str text)
{
    struct name canonical, key;
    struct err err = {0};
    struct str values[3];
    int code = command_address(c, text, &canonical, &key);

    if (code != 0)
        return code;
    values[0] = name_str(&a->key);
    values[1] = name_str(&key);
    values[2] = name_str(&canonical);
    return store_run(c->store, SQL_TARGET_PUT, values, 3, &err) ? 0 : command_broken(c, &err);
}

/* An address may be an account's and an alias' when the account keeps a copy: then the alias leads to
 * itself too. Other aliases do not. */
static int check_itself(struct command *c, const struct alias *a)
{
    struct account account;
    struct err err = {0};
    bool is_account, itself;

    if (!store_get_account(c->store, name_str(&a->key), &account, &is_account, &err) ||
        !lookup_leads_to(c->lookup, name_str(&a->key), name_str(&a->key), &itself, &err))
        return command_broken(c, &err);
    is_account = is_account && !account.sending_only;
    if (is_account && !itself)
        return command_fail(c, EX_CANTCREAT,
            "%s is an account: name it among the targets too if it keeps a copy, or use another "
            "address",
            a->key.p);
    if (itself && !is_account)
        return command_fail(c, EX_DATAERR, "an alias that is no account cannot lead to itself");
    return 0;
}

/* Targets are the words after the address, or given as to=... */
static int add_targets(struct command *c, const struct alias *a)
{
    struct str at = c->args, name, value;
    struct err err = {0};
    int64_t n;
    int code = 0;

    for (size_t i = 1; code == 0 && (value = command_word(c, i)).n > 0; i++)
        code = add_target(c, a, value);
    while (code == 0 && args_next_option(&at, &name, &value))
        if (str_eq(name, STR("to")))
            code = add_target(c, a, value);
    if (code != 0)
        return code;
    if (!store_number(c->store, SQL_TARGET_COUNT, name_str(&a->key), &n, &err))
        return command_broken(c, &err);
    if (n > EXPAND_TARGETS)
        return command_fail(
            c, EX_DATAERR, "an alias leads to at most %d addresses", EXPAND_TARGETS);
    return n > 0
               ? 0
               : command_fail(c, EX_USAGE, "an alias needs at least one address that it leads to");
}

/* Warns of a loop before mail is in it. */
static int check_reach(struct command *c, const struct alias *a)
{
    struct err err = {0};
    struct buf targets;
    const char *why;
    bool done;

    lookup_changed(c->lookup); /* what it remembers is older than this transaction */
    buf_init(&targets, IPC_LIST);
    done = lookup_expand(c->lookup, name_str(&a->key), &targets, &why, &err);
    buf_clear(&targets);
    if (!done)
        return command_broken(c, &err);
    return why == NULL ? 0 : command_fail(c, EX_DATAERR, "%s: %s", a->key.p, why + sizeof "5.x.x");
}

static int read_options(struct command *c, struct alias *a)
{
    int code = 0;

    option_switch(c, "enabled", &a->enabled, &code);
    if (code == 0)
        code = save(c, a);
    if (code == 0)
        code = add_targets(c, a);
    if (code == 0)
        code = check_itself(c, a);
    if (code == 0)
        code = check_reach(c, a);
    lookup_changed(c->lookup);
    return code;
}

static int add(struct command *c)
{
    struct alias a = {.enabled = true};
    struct err err = {0};
    bool found;
    int code = command_local_address(c, command_word(c, 0), &a.address, &a.key, &a.domain);

    if (code != 0)
        return code;
    if (!get(c, &a, &found, &err))
        return command_broken(c, &err);
    if (found)
        return command_fail(c, EX_CANTCREAT,
            "alias %s exists already: `staffetta alias set` gives it other targets", a.key.p);
    a.created = clock_now();
    return read_options(c, &a);
}

static int set(struct command *c)
{
    struct err err = {0};
    struct alias a;
    struct str key, any;
    int code = find(c, &a);

    key = name_str(&a.key);
    if (code == 0 && (command_word(c, 1).n > 0 || command_option(c, "to", &any)) &&
        !store_run(c->store, SQL_TARGET_CLEAR, &key, 1, &err))
        code = command_broken(c, &err);
    return code == 0 ? read_options(c, &a) : code;
}

static int remove_alias(struct command *c)
{
    struct name canonical, target;
    struct err err = {0};
    struct alias a;
    struct str text, values[2];
    int64_t left = 0;
    int code = find(c, &a);

    if (code != 0)
        return code;
    values[0] = name_str(&a.key);
    if (command_option(c, "to", &text)) {
        code = command_address(c, text, &canonical, &target);
        if (code != 0)
            return code;
        values[1] = name_str(&target);
        if (!store_run(c->store, SQL_TARGET_REMOVE, values, 2, &err) ||
            !store_number(c->store, SQL_TARGET_COUNT, values[0], &left, &err))
            return command_broken(c, &err);
        code = left > 0 ? check_itself(c, &a) : 0;
    }
    if (code != 0)
        return code;
    if (left == 0 && (!store_run(c->store, SQL_TARGET_CLEAR, values, 1, &err) ||
                         !store_run(c->store, SQL_ALIAS_REMOVE, values, 1, &err)))
        return command_broken(c, &err);
    return 0;
}

/* ---- showing ---- */

static int list_targets(struct command *c, struct str key, int most, struct buf *out)
{
    struct stmt *s = store_stmt(c->store, SQL_TARGET_LIST);
    struct err err = {0};

    stmt_str(s, key);
    stmt_str(s, STR(""));
    stmt_int(s, most);
    while (stmt_row(s)) {
        if (out->n > 0)
            buf_add_char(out, ' ');
        buf_add(out, column_str(s, 0));
    }
    return stmt_done(s, &err) ? 0 : command_broken(c, &err);
}

static int show_one(struct command *c, struct str key, bool enabled, int most)
{
    struct err err = {0};
    struct buf to;
    int64_t n;
    int code;

    buf_init(&to, IPC_CHUNK / 2);
    code = list_targets(c, key, most, &to);
    if (code == 0 && !store_number(c->store, SQL_TARGET_COUNT, key, &n, &err))
        code = command_broken(c, &err);
    if (code == 0) {
        row_begin(c);
        json_str(&c->row, "address", key);
        json_bool(&c->row, "enabled", enabled);
        json_int(&c->row, "targets", n);
        json_str(&c->row, "to", buf_str(&to));
        row_end(c);
    }
    buf_clear(&to);
    return code;
}

static int show(struct command *c)
{
    struct alias a;
    int code = find(c, &a);

    return code == 0 ? show_one(c, name_str(&a.key), a.enabled, EXPAND_TARGETS) : code;
}

static int list(struct command *c)
{
    struct stmt *s;
    struct err err = {0};
    struct name domain = {0};
    struct str text;
    bool one = command_option(c, "domain", &text);
    int code = one ? command_domain(c, text, &domain) : 0, rows = 0;

    if (code == 0)
        code = list_begin(c);
    if (code != 0)
        return code;
    s = store_stmt(c->store, one ? SQL_ALIAS_LIST_DOMAIN : SQL_ALIAS_LIST);
    stmt_str(s, name_str(&c->after));
    stmt_int(s, LIST_SCAN);
    if (one)
        stmt_str(s, name_str(&domain));
    for (; code == 0 && c->room > 0 && stmt_row(s); rows++) {
        name_set(&c->after2, column_str(s, 0));
        if (list_takes(c, name_str(&c->after2)))
            code = show_one(c, name_str(&c->after2), column_int(s, 1) != 0, TARGETS_LISTED);
    }
    c->after = c->after2; /* not before: the statement holds the text of `after` */
    if (code == 0)
        list_end(c, rows);
    if (!stmt_done(s, &err))
        code = command_broken(c, &err);
    return code;
}

#define USAGE "ADDRESS TARGET... [enabled=yes|no]"

const struct command_type alias_commands[] = {
    {"alias", "add", add, 1, true, USAGE, "to enabled", ANY_WORDS},
    {"alias", "set", set, 1, true, "ADDRESS [TARGET...] [enabled=yes|no]", "to enabled", ANY_WORDS},
    {"alias", "show", show, 1, false, "ADDRESS", ""},
    {"alias", "list", list, 0, false, "[TEXT] [domain=NAME] [limit=N]", "domain limit", 1},
    {"alias", "remove", remove_alias, 1, true, "ADDRESS [to=ADDRESS]", "to"},
    {0},
};
