/* staffetta domain add|set|show|list|remove */
#include "command.h"

#include "base/json.h"

#include <inttypes.h>

static const char *const kinds[] = {"local", "backup-mx", NULL};

static int read_catch_all(struct command *c, struct domain *d)
{
    struct name key;
    struct str text;
    int code;

    if (!command_option(c, "catch_all", &text))
        return 0;
    if (text.n == 0 || str_ieq(text, STR("none"))) {
        d->catch_all.n = 0;
        return 0;
    }
    code = command_address(c, text, &d->catch_all, &key);
    return code;
}

static int read_options(struct command *c, struct domain *d)
{
    int code = 0, kind = d->local ? 0 : 1, return_path = (int)d->return_path;

    option_word(c, "kind", kinds, &kind, &code);
    option_switch(c, "enabled", &d->enabled, &code);
    option_word(c, "return_path", return_path_words, &return_path, &code);
    d->return_path = (enum return_path_mode)return_path;
    d->local = kind == 0;
    if (code == 0)
        code = read_catch_all(c, d);
    if (code == 0 && !d->local && d->catch_all.n > 0)
        code = command_fail(
            c, EX_DATAERR, "a backup-mx domain has no catch_all: its mail goes to its own server");
    return code;
}

static int count(struct command *c, enum store_statement which, struct str name, int64_t *n)
{
    struct err err = {0};

    return store_number(c->store, which, name, n, &err) ? 0 : command_broken(c, &err);
}

static int count_users(
    struct command *c, struct str name, int64_t *accounts, int64_t *aliases, int64_t *credentials)
{
    int code = count(c, SQL_DOMAIN_ACCOUNTS, name, accounts);

    if (code == 0)
        code = count(c, SQL_DOMAIN_ALIASES, name, aliases);
    return code == 0 ? count(c, SQL_DOMAIN_CREDENTIALS, name, credentials) : code;
}

static int find(struct command *c, struct domain *d)
{
    struct err err = {0};
    struct name name;
    bool found;
    int code = command_domain(c, command_word(c, 0), &name);

    if (code != 0)
        return code;
    if (!store_get_domain(c->store, name_str(&name), d, &found, &err))
        return command_broken(c, &err);
    return found ? 0
                 : command_fail(c, EX_NOHOST,
                       "no domain %s: `staffetta domain list` shows what is there", name.p);
}

static int save(struct command *c, struct domain *d)
{
    struct err err = {0};

    return store_put_domain(c->store, d, &err) ? 0 : command_broken(c, &err);
}

static int add(struct command *c)
{
    struct domain d = {.local = true, .enabled = true}, old;
    struct err err = {0};
    bool found;
    int code = command_domain(c, command_word(c, 0), &d.name);

    if (code != 0)
        return code;
    if (!store_get_domain(c->store, name_str(&d.name), &old, &found, &err))
        return command_broken(c, &err);
    if (found)
        return command_fail(c, EX_CANTCREAT,
            "domain %s exists already: change it with `staffetta domain set`", d.name.p);
    code = read_options(c, &d);
    return code == 0 ? save(c, &d) : code;
}

static int set(struct command *c)
{
    int64_t accounts, aliases, credentials;
    struct domain d;
    int code = find(c, &d);

    if (code == 0)
        code = read_options(c, &d);
    if (code == 0)
        code = count_users(c, name_str(&d.name), &accounts, &aliases, &credentials);
    if (code == 0 && !d.local && accounts + aliases + credentials > 0)
        code = command_fail(c, EX_DATAERR,
            "%s has accounts, aliases or credentials: remove them before it becomes backup-mx",
            d.name.p);
    return code == 0 ? save(c, &d) : code;
}

static int show_one(struct command *c, const struct domain *d)
{
    int64_t accounts, aliases, credentials;
    int code = count_users(c, name_str(&d->name), &accounts, &aliases, &credentials);

    if (code != 0)
        return code;
    row_begin(c);
    json_str(&c->row, "name", name_str(&d->name));
    json_str(&c->row, "kind", str_of(kinds[d->local ? 0 : 1]));
    json_bool(&c->row, "enabled", d->enabled);
    json_str(&c->row, "catch_all", name_str(&d->catch_all));
    json_str(&c->row, "return_path", str_of(return_path_words[d->return_path]));
    json_int(&c->row, "accounts", accounts);
    json_int(&c->row, "aliases", aliases);
    json_time(&c->row, "created", d->created);
    row_end(c);
    return 0;
}

static int show(struct command *c)
{
    struct domain d;
    int code = find(c, &d);

    return code == 0 ? show_one(c, &d) : code;
}

static int next_name(struct command *c, struct name *name, bool *found)
{
    struct stmt *s = store_stmt(c->store, SQL_DOMAIN_LIST);
    struct err err = {0};

    stmt_str(s, name_str(&c->after));
    stmt_int(s, 1);
    *found = stmt_row(s) && name_set(name, column_str(s, 0));
    return stmt_done(s, &err) ? 0 : command_broken(c, &err);
}

static int list(struct command *c)
{
    struct err err = {0};
    struct name name;
    struct domain d;
    bool found = true;
    int rows, code = list_begin(c);

    for (rows = 0; code == 0 && c->room > 0 && rows < LIST_SCAN; rows++) {
        code = next_name(c, &name, &found);
        if (code != 0 || !found)
            break;
        c->after = name;
        if (!list_takes(c, name_str(&name)))
            continue;
        if (!store_get_domain(c->store, name_str(&name), &d, &found, &err))
            return command_broken(c, &err);
        code = show_one(c, &d);
    }
    if (code == 0)
        list_end(c, rows);
    return code;
}

static int remove_domain(struct command *c)
{
    int64_t accounts, aliases, credentials;
    struct err err = {0};
    struct domain d;
    struct str name;
    int code = find(c, &d);

    if (code == 0)
        code = count_users(c, name_str(&d.name), &accounts, &aliases, &credentials);
    if (code != 0)
        return code;
    if (accounts + aliases + credentials > 0)
        return command_fail(c, EX_DATAERR,
            "domain %s still has %" PRId64 " account%s, %" PRId64 " alias%s and %" PRId64
            " credential%s: remove them first",
            d.name.p, accounts, accounts == 1 ? "" : "s", aliases, aliases == 1 ? "" : "es", credentials,
            credentials == 1 ? "" : "s");
    name = name_str(&d.name);
    return store_run(c->store, SQL_DKIM_FORGET, &name, 1, &err) && store_run(c->store, SQL_DOMAIN_REMOVE, &name, 1, &err)
               ? 0
               : command_broken(c, &err);
}

#define OPTIONS "kind catch_all enabled return_path"
#define USAGE "NAME [kind=local|backup-mx] [catch_all=ADDRESS|none] [enabled=yes|no] [return_path=plain|sign|junk|refuse]"

const struct command_type domain_commands[] = {
    {"domain", "add", add, 1, true, USAGE, OPTIONS},
    {"domain", "set", set, 1, true, USAGE, OPTIONS},
    {"domain", "show", show, 1, false, "NAME", ""},
    {"domain", "list", list, 0, false, "[TEXT] [limit=N]", "limit", 1},
    {"domain", "remove", remove_domain, 1, true, "NAME", ""},
    {0},
};
