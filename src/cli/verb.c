#include "cli/verb.h"
#include "cli/remote.h"
#include "cli/rows.h"
#include "cli/secret.h"
#include "cli/usage.h"
#include "cli/backup.h"
#include "cli/outside.h"
#include "cli/migrate/migrate.h"
#include "ipc/args.h"

#include <stdio.h>
#include <unistd.h>

int verb_usage(const struct command *command, const struct verb *verb, const char *why)
{
    struct buf usage;

    if (verb == NULL)
        return cli_usage(command, "%s", why);
    buf_init(&usage, 4096);
    verb_write_usage(&usage, command, verb);
    fprintf(stderr, "staffetta: %s\nusage: staffetta %.*s\n", why, STR_ARG(usage));
    buf_clear(&usage);
    return EXIT_USAGE;
}

static bool add_password(struct verb_call *call, int *code)
{
    bool needed = (call->verb->flags & VERB_PASSWORD) != 0 || call->ask_password;
    struct secret password;

    if (!needed || call->password_given)
        return true;
    if (!secret_read(&password)) {
        *code = EXIT_DATA;
        return false;
    }
    verb_add_setting(call, "password", secret_str(&password));
    secret_clear(&password);
    return true;
}

static int ask(const struct cli *cli, const struct command *command, const struct verb_call *call, struct rows *rows)
{
    if (call->verb->flags & VERB_MIGRATES)
        return migrate_run(cli, call, rows);
    if (call->verb->flags & VERB_BACKUP)
        return backup_run(cli, call, rows);
    if (call->verb->flags & VERB_OUTSIDE)
        return outside_run(cli, command->name, call, rows);
    if (call->verb->flags & VERB_OF_MAILBOX)
        return usage_mailbox(cli, call->verb, buf_str(&call->args), rows);
    if (call->verb->flags & VERB_OF_ACL)
        return usage_acl(cli, call, rows);
    if (call->verb->flags & VERB_WITH_USAGE)
        return usage_account(cli, buf_str(&call->args), rows);
    return remote_command(cli, command->name, buf_str(&call->args), rows_add, rows);
}

int verb_run(struct cli *cli, int argc, char **argv)
{
    const struct command *command = cli_find(argv[0]);
    struct verb_call call;
    struct err err = {0};
    struct str limit;
    int code = verb_parse(command, argc, argv, &call, &err);

    if (code != EXIT_OK) {
        code = verb_usage(command, call.verb, err.text);
    } else if (add_password(&call, &code)) {
        struct rows rows;

        rows_init(&rows, call.verb->layout, cli->json || call.json, stdout);
        if (args_option(buf_str(&call.args), "limit", &limit) && !str_to_u64(limit, UINT32_MAX, &rows.limit))
            rows.limit = 0; /* the role says what is wrong with it */
        code = ask(cli, command, &call, &rows);
        rows_end(&rows);
        if (code == EXIT_OK && rows.count == 0 && !rows.json && call.verb->nothing != NULL &&
            isatty(STDOUT_FILENO) == 1)
            fprintf(stderr, "%s\n", call.verb->nothing);
    }
    verb_call_clear(&call);
    return code;
}
