/* The dispatcher: finds the command, checks its words and options once, wraps it in a transaction.
 */
#include "command.h"

#include "base/json.h"
#include "password.h"
#include "smtp/address.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct command_type *const tables[] = {domain_commands, account_commands,
    alias_commands, credential_commands, route_commands, pool_commands, dkim_commands, watched_commands};

int command_fail(struct command *c, int code, const char *format, ...)
{
    char text[1500];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_reset(c->text);
    buf_add(c->text, str_of(text));
    return code;
}

int command_broken(struct command *c, const struct err *err)
{
    return command_fail(c, EX_TEMPFAIL, "%s", err->text);
}

struct str command_word(const struct command *c, size_t i)
{
    struct str word = args_word(c->args, i + 1), named;

    /* A name with a '=' in it looks like an option; it is passed as one. */
    if (word.n == 0 && i == 0 && command_option(c, "name", &named))
        return named;
    return word;
}

bool command_option(const struct command *c, const char *name, struct str *value)
{
    struct str found;

    if (!args_option(c->args, name, &found))
        return false;
    *value = found;
    return true;
}

/* ---- option values ---- */

static bool parse_switch(struct str text, bool *value)
{
    static const char *const on[] = {"yes", "true", "on", "1", NULL}, *const off[] = {"no", "false",
                                                                          "off", "0", NULL};

    *value = word_index(on, text) >= 0;
    return *value || word_index(off, text) >= 0;
}

void option_switch(struct command *c, const char *name, bool *value, int *code)
{
    struct str text;

    if (*code == 0 && command_option(c, name, &text) && !parse_switch(text, value))
        *code = command_fail(c, EX_USAGE, "%s=%.*s: expected yes or no", name, STR_ARG(text));
}

static bool parse_size(struct str text, int64_t *value)
{
    static const char units[] = "KMGT";
    const char *unit;
    uint64_t number, factor = 1;

    if (text.n > 0 && (unit = memchr(units, text.p[text.n - 1] & ~0x20, 4)) != NULL) {
        factor = UINT64_C(1) << (10 * (unit - units + 1));
        text.n--;
    }
    if (!str_to_u64(text, (uint64_t)INT64_MAX / factor, &number))
        return false;
    *value = (int64_t)(number * factor);
    return true;
}

void option_size(struct command *c, const char *name, int64_t *value, int *code)
{
    struct str text;

    if (*code != 0 || !command_option(c, name, &text))
        return;
    if (str_ieq(text, STR("none")))
        *value = 0;
    else if (!parse_size(text, value))
        *code = command_fail(c, EX_USAGE, "%s=%.*s: expected a number such as 500M, 2G or none",
            name, STR_ARG(text));
}

void option_limit(struct command *c, const char *name, int64_t *value, int *code)
{
    struct str text;
    uint64_t number;

    if (*code != 0 || !command_option(c, name, &text))
        return;
    if (str_ieq(text, STR("default")))
        *value = 0;
    else if (str_ieq(text, STR("none")))
        *value = -1;
    else if (str_to_u64(text, INT32_MAX, &number) && number > 0)
        *value = (int64_t)number;
    else
        *code = command_fail(
            c, EX_USAGE, "%s=%.*s: expected a number, default or none", name, STR_ARG(text));
}

void option_word(
    struct command *c, const char *name, const char *const *words, int *value, int *code)
{
    struct str text;
    struct buf list;
    int found;

    if (*code != 0 || !command_option(c, name, &text))
        return;
    found = word_index(words, text);
    if (found >= 0) {
        *value = found;
        return;
    }
    buf_init(&list, 1000);
    for (int i = 0; words[i] != NULL; i++)
        buf_addf(&list, "%s%s", i ? ", " : "", words[i]);
    *code = command_fail(
        c, EX_USAGE, "%s=%.*s: expected one of %.*s", name, STR_ARG(text), STR_ARG(buf_str(&list)));
    buf_clear(&list);
}

void option_password(struct command *c, struct verifier *v, int *code)
{
    struct err err = {0};
    struct str text;

    if (*code == 0 && command_option(c, "password", &text) && !password_make(text, v, &err))
        *code = command_fail(c, EX_DATAERR, "%s", err.text);
}

/* ---- names ---- */

int command_address(struct command *c, struct str text, struct name *canonical, struct name *key)
{
    const char *why;

    if (!lookup_fold(text, canonical, key, &why))
        return command_fail(c, EX_DATAERR, "%.*s is no mail address: %s", STR_ARG(text), why);
    if (str_find(name_str(key), '@') < 0)
        return command_fail(
            c, EX_DATAERR, "%.*s has no domain: write it as user@domain", STR_ARG(text));
    return 0;
}

int command_domain(struct command *c, struct str text, struct name *out)
{
    const char *why = "not a name";
    struct buf name;
    bool done;

    buf_init(&name, IPC_NAME);
    done = domain_write(text, &name, &why) && !name.failed && name.n > 0 && name.p[0] != '[' &&
           name_set(out, buf_str(&name));
    buf_clear(&name);
    return done ? 0 : command_fail(c, EX_DATAERR, "%.*s is no domain: %s", STR_ARG(text), why);
}

static int local_domain(struct command *c, struct str key, struct name *domain)
{
    struct str local, name;
    struct err err = {0};
    struct domain d;
    bool found;

    address_split(key, &local, &name);
    if (!name_set(domain, name) || !store_get_domain(c->store, name, &d, &found, &err))
        return command_broken(c, &err);
    if (!found)
        return command_fail(c, EX_NOHOST,
            "%.*s is not a domain of this server: add it with `staffetta domain add %.*s`",
            STR_ARG(name), STR_ARG(name));
    if (!d.local)
        return command_fail(
            c, EX_DATAERR, "%.*s is a backup-mx domain: its users live elsewhere", STR_ARG(name));
    return 0;
}

static int local_part(struct command *c, struct str key)
{
    struct str local, domain;

    address_split(key, &local, &domain);
    return local.n <= 64 ? 0
                         : command_fail(c, EX_DATAERR,
                               "the part before the @ has %zu octets, 64 are allowed", local.n);
}

int command_local_address(struct command *c, struct str text, struct name *canonical, struct name *key, struct name *domain)
{
    int code = command_address(c, text, canonical, key);

    if (code == 0)
        code = local_domain(c, name_str(key), domain);
    return code == 0 ? local_part(c, name_str(key)) : code;
}

bool command_is_word(struct str text)
{
    return text.n > 0 && text.n < 256 && str_is_printable(text) && str_find(text, ' ') < 0;
}

/* ---- rows ---- */

void row_begin(struct command *c)
{
    buf_reset(&c->row);
    json_open(&c->row);
}

void row_end(struct command *c)
{
    json_close(&c->row);
    if (!c->row.failed)
        c->world->row(c->world->arg, buf_str(&c->row));
    c->room--;
    c->sent++;
}

int list_begin(struct command *c)
{
    struct str text;
    uint64_t number;

    c->filter = args_word(c->args, 1);
    if (command_option(c, "limit", &text)) {
        if (!str_to_u64(text, INT32_MAX, &number) || number == 0)
            return command_fail(c, EX_USAGE, "limit=%.*s: expected a number", STR_ARG(text));
        c->limit = (int64_t)number;
        if (c->limit - c->sent < c->room)
            c->room = (int)(c->limit - c->sent);
    }
    return 0;
}

bool list_takes(const struct command *c, struct str key)
{
    return c->filter.n == 0 || str_ifind(key, c->filter) >= 0;
}

void list_end(struct command *c, int scanned)
{
    c->more = (scanned == LIST_SCAN || c->room == 0) && (c->limit == 0 || c->sent < c->limit);
}

void row_limit(struct command *c, const char *key, int64_t value)
{
    if (value > 0)
        json_int(&c->row, key, value);
    else
        json_str(&c->row, key, value < 0 ? STR("none") : STR("default"));
}

/* ---- dispatch ---- */

static const struct command_type *find(struct str object, struct str verb)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const struct command_type *t = tables[i]; t->object != NULL; t++)
            if (str_eq(object, str_of(t->object)) && str_eq(verb, str_of(t->verb)))
                return t;
    return NULL;
}

static int unknown_command(struct command *c, struct str verb)
{
    struct buf verbs;
    int code;

    buf_init(&verbs, 1000);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const struct command_type *t = tables[i]; t->object != NULL; t++)
            if (str_eq(c->object, str_of(t->object)))
                buf_addf(&verbs, "%s%s", verbs.n ? ", " : "", t->verb);
    if (verbs.n == 0)
        code = command_fail(c, EX_USAGE, "%.*s: no such command", STR_ARG(c->object));
    else
        code = command_fail(c, EX_USAGE, "%.*s %.*s: expected one of %.*s", STR_ARG(c->object),
            STR_ARG(verb), STR_ARG(buf_str(&verbs)));
    buf_clear(&verbs);
    return code;
}

static bool takes(const struct command_type *t, struct str option)
{
    struct str rest = str_of(t->options), name;

    while (str_next_word(&rest, &name))
        if (str_eq(name, option))
            return true;
    return t->words > 0 && str_eq(option, STR("name"));
}

static int check_arguments(struct command *c, const struct command_type *t)
{
    struct str at = c->args, name, value;

    while (args_next_option(&at, &name, &value))
        if (!takes(t, name))
            return command_fail(c, EX_USAGE, "unknown option %.*s; usage: staffetta %s %s %s",
                STR_ARG(name), t->object, t->verb, t->usage);
    for (unsigned i = 0; i < t->words; i++)
        if (command_word(c, i).n == 0)
            return command_fail(
                c, EX_USAGE, "usage: staffetta %s %s %s", t->object, t->verb, t->usage);
    if (t->optional < ANY_WORDS && args_word(c->args, t->words + t->optional + 1).n > 0)
        return command_fail(
            c, EX_USAGE, "too many words; usage: staffetta %s %s %s", t->object, t->verb, t->usage);
    return 0;
}

static int run_change(struct command *c, const struct command_type *t)
{
    struct err err = {0};
    int code;

    if (!db_begin(c->store->db, &err))
        return command_broken(c, &err);
    code = t->run(c);
    if (code != 0) {
        db_rollback(c->store->db);
        return code;
    }
    if (!db_commit(c->store->db, &err))
        return command_broken(c, &err);
    lookup_changed(c->lookup);
    if (c->changed_account != 0)
        c->world->account_changed(c->world->arg, c->changed_account, c->removed_account);
    if (c->pools_changed)
        c->world->pools_changed(c->world->arg);
    return 0;
}

int command_run(struct command *c)
{
    struct str verb = args_word(c->args, 0);
    const struct command_type *t = find(c->object, verb);
    int code;

    c->more = false;
    buf_init(&c->row, IPC_CHUNK);
    if (t == NULL)
        code = unknown_command(c, verb);
    else if ((code = check_arguments(c, t)) == 0)
        code = t->changes ? run_change(c, t) : t->run(c);
    buf_clear(&c->row);
    return code;
}
