/* staffetta account add|set|show|list|remove */
#include "command.h"

#include "base/clock.h"
#include "base/json.h"

static const char *const kinds[] = {"normal", "sending-only", NULL};

static int read_options(struct command *c, struct account *a)
{
    int code = 0, kind = a->sending_only, send_as = (int)a->send_as;

    option_word(c, "kind", kinds, &kind, &code);
    option_word(c, "send_as", send_as_words, &send_as, &code);
    option_switch(c, "enabled", &a->enabled, &code);
    option_size(c, "quota", &a->quota_bytes, &code);
    option_size(c, "quota_messages", &a->quota_messages, &code);
    option_limit(c, "messages_per_hour", &a->messages_per_hour, &code);
    option_limit(c, "recipients_per_hour", &a->recipients_per_hour, &code);
    a->sending_only = kind == 1;
    a->send_as = (enum send_as)send_as;
    option_password(c, &a->verifier, &code);
    return code;
}

static int find(struct command *c, struct account *a)
{
    struct name canonical, key;
    struct err err = {0};
    bool found;
    int code = command_address(c, command_word(c, 0), &canonical, &key);

    if (code != 0)
        return code;
    if (!store_get_account(c->store, name_str(&key), a, &found, &err))
        return command_broken(c, &err);
    return found ? 0
                 : command_fail(c, EX_NOUSER,
                       "no account %s: `staffetta account list` shows what is there", key.p);
}

/* Only a sending-only account, or one that keeps a copy, may share its address with an alias. */
static int check_alias(struct command *c, const struct account *a)
{
    struct str key = name_str(&a->key);
    struct err err = {0};
    struct name ignored;
    bool found, keeps;

    if (a->sending_only)
        return 0;
    if (!store_text(c->store, SQL_ALIAS_GET, &key, 1, &ignored, &found, &err) ||
        !lookup_leads_to(c->lookup, key, key, &keeps, &err))
        return command_broken(c, &err);
    return found && !keeps ? command_fail(c, EX_CANTCREAT,
                       "%s is an alias: remove it first, or use kind=sending-only", a->key.p)
                 : 0;
}

static int save(struct command *c, struct account *a)
{
    struct err err = {0};

    if (!store_put_account(c->store, a, &err))
        return command_broken(c, &err);
    c->changed_account = a->id;
    return 0;
}

static int add(struct command *c)
{
    struct account a = {.enabled = true}, old;
    struct err err = {0};
    bool found;
    int code = command_local_address(c, command_word(c, 0), &a.address, &a.key, &a.domain);

    if (code != 0)
        return code;
    if (!store_get_account(c->store, name_str(&a.key), &old, &found, &err))
        return command_broken(c, &err);
    if (found)
        return command_fail(c, EX_CANTCREAT,
            "account %s exists already: change it with `staffetta account set`", a.key.p);
    code = read_options(c, &a);
    if (code == 0)
        code = check_alias(c, &a);
    return code == 0 ? save(c, &a) : code;
}

static int set(struct command *c)
{
    struct account a;
    int code = find(c, &a);

    if (code == 0)
        code = read_options(c, &a);
    if (code == 0)
        code = check_alias(c, &a);
    return code == 0 ? save(c, &a) : code;
}

static void show_one(struct command *c, const struct account *a)
{
    row_begin(c);
    json_str(&c->row, "address", name_str(&a->address));
    json_int(&c->row, "id", a->id);
    json_str(&c->row, "kind", str_of(kinds[a->sending_only]));
    json_bool(&c->row, "enabled", a->enabled);
    json_bool(&c->row, "password", a->verifier.hash[0] != 0);
    json_str(&c->row, "send_as", str_of(send_as_words[a->send_as]));
    json_int(&c->row, "quota", a->quota_bytes);
    json_int(&c->row, "quota_messages", a->quota_messages);
    row_limit(c, "messages_per_hour", a->messages_per_hour);
    row_limit(c, "recipients_per_hour", a->recipients_per_hour);
    json_time(&c->row, "created", a->created);
    row_end(c);
}

static int show(struct command *c)
{
    struct account a;
    int code = find(c, &a);

    if (code == 0)
        show_one(c, &a);
    return code;
}

static int list(struct command *c)
{
    struct stmt *s;
    struct err err = {0};
    struct account a;
    struct name domain = {0}, after = c->after;
    struct str text;
    bool one = command_option(c, "domain", &text);
    int code = one ? command_domain(c, text, &domain) : 0, rows = 0;

    if (code == 0)
        code = list_begin(c);
    if (code != 0)
        return code;
    s = store_stmt(c->store, one ? SQL_ACCOUNT_LIST_DOMAIN : SQL_ACCOUNT_LIST);
    stmt_str(s, name_str(&after));
    stmt_int(s, LIST_SCAN);
    if (one)
        stmt_str(s, name_str(&domain));
    for (; c->room > 0 && stmt_row(s); rows++) {
        store_read_account(s, &a);
        c->after = a.key;
        if (list_takes(c, name_str(&a.key)))
            show_one(c, &a);
    }
    list_end(c, rows);
    return stmt_done(s, &err) ? 0 : command_broken(c, &err);
}

/* Aliases that lead to an account that goes: refused, or with force=yes they forget it. */
static int release_aliases(struct command *c, const struct account *a)
{
    struct str key = name_str(&a->key);
    struct err err = {0};
    struct name alias;
    bool found, force = false;
    int code = 0;

    option_switch(c, "force", &force, &code);
    if (code != 0)
        return code;
    if (!store_text(c->store, SQL_TARGET_USED, &key, 1, &alias, &found, &err))
        return command_broken(c, &err);
    if (found && !force)
        return command_fail(c, EX_DATAERR,
            "alias %s leads to %s: change that first, or add --force to take it out of all "
            "aliases",
            alias.p, a->key.p);
    if (found && (!store_run(c->store, SQL_TARGET_FORGET, &key, 1, &err) ||
                     !store_run(c->store, SQL_ALIAS_EMPTY, NULL, 0, &err)))
        return command_broken(c, &err);
    return 0;
}

static bool run_with_id(struct command *c, enum store_statement which, int64_t id, struct err *err)
{
    struct stmt *s = store_stmt(c->store, which);

    stmt_int(s, id);
    return stmt_run(s, err);
}

static int remove_account(struct command *c)
{
    struct stmt *s;
    struct err err = {0};
    struct account a;
    int code = find(c, &a);

    if (code == 0)
        code = release_aliases(c, &a);
    if (code != 0)
        return code;
    if (!run_with_id(c, SQL_CREDENTIAL_FORGET, a.id, &err) ||
        !run_with_id(c, SQL_SHARE_FORGET, a.id, &err) || !run_with_id(c, SQL_ACCOUNT_REMOVE, a.id, &err))
        return command_broken(c, &err);
    s = store_stmt(c->store, SQL_REMOVED_PUT);
    stmt_int(s, a.id);
    stmt_int(s, clock_now());
    if (!stmt_run(s, &err))
        return command_broken(c, &err);
    c->changed_account = a.id;
    c->removed_account = true;
    return 0;
}

#define OPTIONS                                                                                    \
    "password kind quota quota_messages messages_per_hour recipients_per_hour enabled send_as"
#define USAGE                                                                                      \
    "ADDRESS [password=...] [kind=normal|sending-only] [quota=SIZE|none] [quota_messages=N|none] " \
    "[messages_per_hour=N|default|none] [recipients_per_hour=N|default|none] [enabled=yes|no] "    \
    "[send_as=own|domain|any]"

const struct command_type account_commands[] = {
    {"account", "add", add, 1, true, USAGE, OPTIONS},
    {"account", "set", set, 1, true, USAGE, OPTIONS},
    {"account", "show", show, 1, false, "ADDRESS", ""},
    {"account", "list", list, 0, false, "[TEXT] [domain=NAME] [limit=N]", "domain limit", 1},
    {"account", "remove", remove_account, 1, true, "ADDRESS [force=yes]", "force"},
    {0},
};
