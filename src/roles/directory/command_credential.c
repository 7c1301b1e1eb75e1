/* staffetta credential add|set|show|list|remove: logins that may only send */
#include "command.h"

#include "base/json.h"
#include "password.h"

static int read_options(struct command *c, struct credential *k)
{
    int code = 0;

    option_switch(c, "enabled", &k->enabled, &code);
    option_limit(c, "messages_per_hour", &k->messages_per_hour, &code);
    option_limit(c, "recipients_per_hour", &k->recipients_per_hour, &code);
    option_password(c, &k->verifier, &code);
    return code;
}

/* The name as it is stored: canonical where it is an address, lower case. */
static int read_name(struct command *c, struct name *key)
{
    struct str text = command_word(c, 0);
    struct name canonical;
    const char *why;

    if (!command_is_word(text) || !lookup_fold(text, &canonical, key, &why))
        return command_fail(c, EX_DATAERR,
            "%.*s: a credential's name is a word of letters, digits, '.', '_' and '-', or an "
            "address",
            STR_ARG(text));
    return 0;
}

static int find(struct command *c, struct credential *k)
{
    struct err err = {0};
    struct name key;
    bool found;
    int code = read_name(c, &key);

    if (code != 0)
        return code;
    if (!store_get_credential(c->store, name_str(&key), k, &found, &err))
        return command_broken(c, &err);
    return found ? 0
                 : command_fail(c, EX_NOUSER,
                       "no credential %s: `staffetta credential list` shows what is there", key.p);
}

static int save(struct command *c, struct credential *k)
{
    struct err err = {0};

    return store_put_credential(c->store, k, &err) ? 0 : command_broken(c, &err);
}

static int owner_account(struct command *c, struct str text, struct credential *k)
{
    struct name canonical, key;
    struct err err = {0};
    struct account a;
    bool found;
    int code = command_address(c, text, &canonical, &key);

    if (code != 0)
        return code;
    if (!store_get_account(c->store, name_str(&key), &a, &found, &err))
        return command_broken(c, &err);
    if (!found)
        return command_fail(
            c, EX_NOUSER, "no account %s: add it with `staffetta account add`", key.p);
    k->account = a.id;
    k->domain = a.domain;
    return 0;
}

static int owner_domain(struct command *c, struct str text, struct credential *k)
{
    struct err err = {0};
    struct domain d;
    bool found;
    int code = command_domain(c, text, &k->domain);

    if (code != 0)
        return code;
    if (!store_get_domain(c->store, name_str(&k->domain), &d, &found, &err))
        return command_broken(c, &err);
    if (!found || !d.local)
        return command_fail(c, EX_NOHOST,
            "%s is not a domain of this server: add it with `staffetta domain add`", k->domain.p);
    return 0;
}

static int read_owner(struct command *c, struct credential *k)
{
    struct str account, domain;
    bool of_account = command_option(c, "account", &account),
         of_domain = command_option(c, "domain", &domain);

    if (of_account == of_domain)
        return command_fail(
            c, EX_USAGE, "a credential belongs to either account=ADDRESS or domain=NAME");
    return of_account ? owner_account(c, account, k) : owner_domain(c, domain, k);
}

/* A name that is also an account's address would take that account's login away. */
static int check_free(struct command *c, const struct name *name)
{
    struct err err = {0};
    struct credential k;
    struct account a;
    bool taken, account;

    if (!store_get_credential(c->store, name_str(name), &k, &taken, &err) ||
        !store_get_account(c->store, name_str(name), &a, &account, &err))
        return command_broken(c, &err);
    if (taken)
        return command_fail(c, EX_CANTCREAT,
            "credential %s exists already: change it with `staffetta credential set`", name->p);
    return account ? command_fail(c, EX_CANTCREAT,
                         "%s is an account: a credential needs another name", name->p)
                   : 0;
}

static int add(struct command *c)
{
    struct credential k = {.enabled = true};
    struct str password;
    int code = read_name(c, &k.name);

    if (code == 0)
        code = check_free(c, &k.name);
    if (code == 0 && !command_option(c, "password", &password))
        code = command_fail(c, EX_USAGE, "a credential needs password=...");
    if (code == 0)
        code = read_owner(c, &k);
    if (code == 0)
        code = read_options(c, &k);
    return code == 0 ? save(c, &k) : code;
}

static int set(struct command *c)
{
    struct credential k;
    int code = find(c, &k);

    if (code == 0)
        code = read_options(c, &k);
    return code == 0 ? save(c, &k) : code;
}

static int show_one(struct command *c, const struct credential *k)
{
    struct account a = {0};
    struct err err = {0};
    bool found = false;

    if (k->account != 0 && !store_get_account_id(c->store, k->account, &a, &found, &err))
        return command_broken(c, &err);
    row_begin(c);
    json_str(&c->row, "name", name_str(&k->name));
    json_int(&c->row, "id", k->id);
    json_str(&c->row, "account", name_str(&a.address));
    json_str(&c->row, "domain", name_str(&k->domain));
    json_bool(&c->row, "enabled", k->enabled);
    row_limit(c, "messages_per_hour", k->messages_per_hour);
    row_limit(c, "recipients_per_hour", k->recipients_per_hour);
    json_time(&c->row, "created", k->created);
    row_end(c);
    return 0;
}

static int show(struct command *c)
{
    struct credential k;
    int code = find(c, &k);

    return code == 0 ? show_one(c, &k) : code;
}

/* account=ADDRESS or domain=NAME of a list. */
static int read_filter(struct command *c, int64_t *account, struct name *domain)
{
    struct credential owner = {0};
    struct str text;
    int code = 0;

    if (command_option(c, "account", &text))
        code = owner_account(c, text, &owner);
    if (code == 0 && command_option(c, "domain", &text))
        code = command_domain(c, text, domain);
    *account = owner.account;
    return code;
}

static bool belongs(const struct credential *k, int64_t account, const struct name *domain)
{
    return (account == 0 || k->account == account) &&
           (domain->n == 0 || str_eq(name_str(&k->domain), name_str(domain)));
}

static int list(struct command *c)
{
    struct stmt *s = store_stmt(c->store, SQL_CREDENTIAL_LIST);
    struct err err = {0};
    struct credential k;
    struct name domain = {0};
    int64_t account;
    int rows = 0, code = list_begin(c);

    if (code == 0)
        code = read_filter(c, &account, &domain);
    if (code != 0)
        return code;
    stmt_str(s, name_str(&c->after));
    stmt_int(s, LIST_SCAN);
    for (; code == 0 && c->room > 0 && stmt_row(s); rows++) {
        store_read_credential(s, &k);
        if (list_takes(c, name_str(&k.name)) && belongs(&k, account, &domain))
            code = show_one(c, &k);
    }
    if (rows > 0)
        c->after = k.name;
    if (code == 0)
        list_end(c, rows);
    if (!stmt_done(s, &err))
        code = command_broken(c, &err);
    return code;
}

static int remove_credential(struct command *c)
{
    struct stmt *s;
    struct credential k;
    struct err err = {0};
    int code = find(c, &k);

    if (code != 0)
        return code;
    s = store_stmt(c->store, SQL_CREDENTIAL_REMOVE);
    stmt_int(s, k.id);
    return stmt_run(s, &err) ? 0 : command_broken(c, &err);
}

#define LIMITS                                                                                     \
    "[messages_per_hour=N|default|none] [recipients_per_hour=N|default|none] [enabled=yes|no]"

const struct command_type credential_commands[] = {
    {"credential", "add", add, 1, true, "NAME account=ADDRESS|domain=NAME password=... " LIMITS,
        "account domain password enabled messages_per_hour recipients_per_hour"},
    {"credential", "set", set, 1, true, "NAME [password=...] " LIMITS,
        "password enabled messages_per_hour recipients_per_hour"},
    {"credential", "show", show, 1, false, "NAME", ""},
    {"credential", "list", list, 0, false, "[TEXT] [account=ADDRESS] [domain=NAME] [limit=N]",
        "account domain limit", 1},
    {"credential", "remove", remove_credential, 1, true, "NAME", ""},
    {0},
};
