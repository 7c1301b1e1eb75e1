#include "cli/usage.h"
#include "cli/backup.h"
#include "cli/remote.h"
#include "cli/verb.h"
#include "base/json.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { ROW = 64 * 1024 };

/* ---- what directory says ---- */

static bool keep_row(void *owner, struct str json)
{
    json_t **row = owner;

    json_decref(*row);
    *row = json_loadb(json.p, json.n, 0, NULL);
    return true;
}

/* `args` are the words of some verb with an address; they may name it as an option. */
static int find_account(const struct cli *cli, struct str args, json_t **account)
{
    struct buf show;
    struct str verb;
    int code;

    *account = NULL;
    str_next(&args, 0, &verb);
    buf_init(&show, ROW);
    buf_add(&show, STR("show"));
    buf_add_char(&show, 0);
    buf_add(&show, args);
    code = remote_command(cli, "account", buf_str(&show), keep_row, account);
    buf_clear(&show);
    if (code == EXIT_OK && json_integer_value(json_object_get(*account, "id")) <= 0)
        code = cli_fail(EXIT_SOFTWARE, "the directory does not tell the number of the account");
    if (code != EXIT_OK)
        json_decref(*account);
    return code;
}

int usage_account_number(const struct cli *cli, struct str address, int64_t *number)
{
    struct buf show;
    json_t *account = NULL;
    int code;

    buf_init(&show, ROW);
    buf_addf(&show, "show%cname=%.*s%c", 0, STR_ARG(address), 0);
    code = remote_command(cli, "account", buf_str(&show), keep_row, &account);
    buf_clear(&show);
    *number = json_integer_value(json_object_get(account, "id"));
    json_decref(account);
    if (code == EXIT_OK && *number <= 0)
        code = cli_fail(EXIT_SOFTWARE, "the directory does not tell the number of the account");
    return code;
}

/* ---- what mailbox says ---- */

struct usage {
    struct rows *rows; /* NULL: only the sums are wanted */
    int64_t folders, messages, bytes, unseen;
};

static bool add_folder(void *owner, struct str json)
{
    struct usage *u = owner;
    json_t *row = json_loadb(json.p, json.n, 0, NULL);

    u->folders += json_object_get(row, "folder") != NULL;
    u->messages += json_integer_value(json_object_get(row, "messages"));
    u->bytes += json_integer_value(json_object_get(row, "bytes"));
    u->unseen += json_integer_value(json_object_get(row, "unseen"));
    json_decref(row);
    return u->rows == NULL || rows_add(u->rows, json);
}

static int ask_mailbox(const struct cli *cli, const char *verb, const json_t *account, struct usage *u)
{
    int64_t number = json_integer_value(json_object_get(account, "id"));
    struct buf args;
    int code;

    buf_init(&args, 100);
    buf_addf(&args, "%s%caccount=%" PRId64 "%c", verb, 0, number, 0);
    code = remote_command(cli, "mailbox", buf_str(&args), add_folder, u);
    buf_clear(&args);
    return code;
}

static void add_total(const struct usage *u)
{
    struct buf row;

    buf_init(&row, 1024);
    json_open(&row);
    json_str(&row, "folder", STR("total"));
    json_int(&row, "messages", u->messages);
    json_int(&row, "bytes", u->bytes);
    json_int(&row, "unseen", u->unseen);
    json_close(&row);
    rows_add(u->rows, buf_str(&row));
    buf_clear(&row);
}

int usage_mailbox(const struct cli *cli, const struct verb *verb, struct str args, struct rows *rows)
{
    struct usage u = {.rows = rows};
    json_t *account;
    int code = find_account(cli, args, &account);

    if (code != EXIT_OK)
        return code;
    if (strcmp(verb->name, "check") == 0 && remote_is_running(cli))
        code = check_mailbox(cli, json_integer_value(json_object_get(account, "id")), rows);
    else
        code = ask_mailbox(cli, verb->name, account, &u);
    json_decref(account);
    if (code == EXIT_OK && u.folders > 0 && !rows->json) /* programs add for themselves */
        add_total(&u);
    return code;
}

int usage_acl(const struct cli *cli, const struct verb_call *call, struct rows *rows)
{
    const struct str *words = call->words;
    struct buf args;
    int64_t number;
    int code;

    if (words[2].n > 0 && words[3].n == 0)
        return cli_usage(cli_find("mailbox"), "acl ADDRESS FOLDER IDENTIFIER needs RIGHTS behind it, or none");
    code = usage_account_number(cli, words[0], &number);
    if (code != EXIT_OK)
        return code;
    buf_init(&args, ROW);
    buf_addf(&args, "acl%caccount=%" PRId64 "%cfolder=%.*s%c", 0, number, 0, STR_ARG(words[1]), 0);
    if (words[2].n > 0)
        buf_addf(&args, "identifier=%.*s%crights=%.*s%c", STR_ARG(words[2]), 0, STR_ARG(words[3]), 0);
    code = remote_command(cli, "mailbox", buf_str(&args), rows_add, rows);
    buf_clear(&args);
    return code;
}

/* ---- an account and its usage ---- */

/* Nothing that is said reaches the terminal, neither by us nor by a role that works for us: what is
 * asked here is only a part of the answer. */
static int ask_quietly(const struct cli *cli, const json_t *account, struct usage *u)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC), kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), code;

    if (nowhere >= 0 && kept >= 0)
        dup2(nowhere, STDERR_FILENO);
    code = ask_mailbox(cli, "show", account, u);
    if (nowhere >= 0 && kept >= 0)
        dup2(kept, STDERR_FILENO);
    if (nowhere >= 0)
        close(nowhere);
    if (kept >= 0)
        close(kept);
    return code;
}

static json_t *with_usage(json_t *account, const struct usage *u)
{
    json_t *all = json_object(), *value;
    const char *key;

    json_object_foreach (account, key, value) {
        json_object_set(all, key, value);
        if (str_eq(str_of(key), STR("quota_messages"))) {
            json_object_set_new(all, "used", json_integer(u->bytes));
            json_object_set_new(all, "used_messages", json_integer(u->messages));
        }
    }
    return all;
}

static void add_account(struct rows *rows, json_t *account)
{
    char *text = json_dumps(account, JSON_COMPACT);

    if (text != NULL)
        rows_add(rows, str_of(text));
    free(text);
}

int usage_account(const struct cli *cli, struct str args, struct rows *rows)
{
    struct usage u = {0};
    json_t *account, *all;
    int code = find_account(cli, args, &account);

    if (code != EXIT_OK)
        return code;
    code = ask_quietly(cli, account, &u);
    if (code == EXIT_OK || code == EX_NOINPUT) { /* nothing was ever delivered: nothing is held */
        all = with_usage(account, &u);
        add_account(rows, all);
        json_decref(all);
    } else {
        add_account(rows, account);
    }
    json_decref(account);
    return EXIT_OK;
}
