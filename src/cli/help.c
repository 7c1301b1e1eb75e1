/* staffetta help, version. */
#include "cli/cli.h"
#include "cli/manual.h"
#include "cli/verb.h"

#include <stdio.h>
#include <string.h>

static void show_verb(FILE *out, const char *before, const struct command *command, const struct verb *v)
{
    struct buf usage;

    buf_init(&usage, 16384);
    verb_write_usage(&usage, command, v);
    fprintf(out, "%s staffetta %.*s\n", before, STR_ARG(usage));
    if (out == stdout)
        fprintf(out, "           %s\n", v->summary);
    buf_clear(&usage);
}

void help_command(const struct command *command, bool to_stderr)
{
    FILE *out = to_stderr ? stderr : stdout;

    if (command->verbs == NULL)
        fprintf(out, "usage: staffetta %s\n", command->usage);
    for (const struct verb *v = command->verbs; v != NULL && v->name != NULL; v++)
        show_verb(out, v == command->verbs ? "usage:" : "      ", command, v);
}

static int help_verb(const struct command *command, const char *name)
{
    const struct verb *v = command->verbs != NULL ? verb_find(command, name) : NULL;

    if (v == NULL || v->name[0] == 0)
        return cli_usage(command, "%s has no \"%s\"", command->name, name);
    show_verb(stdout, "usage:", command, v);
    return EXIT_OK;
}

static void list_commands(void)
{
    size_t n;
    const struct command *all = cli_commands(&n);

    printf("usage: staffetta [-c FILE] [--json] COMMAND ...\n\n");
    for (size_t i = 0; i < n; i++)
        printf("  %-14s %s\n", all[i].name, all[i].summary);
    printf("\n  -c, --config FILE   the configuration (default %s)\n"
           "  --json              one JSON object a line instead of tables\n\n"
           "staffetta help COMMAND [VERB] tells more; so do staffetta(1) and staffetta.conf(5).\n",
        CONFIG_FILE);
}

int help_run(struct cli *cli, int argc, char **argv)
{
    const struct command *command;

    (void)cli;
    if (argc < 2) {
        list_commands();
        return EXIT_OK;
    }
    if (argc == 2 && strcmp(argv[1], "--mdoc") == 0) {
        manual_print();
        return EXIT_OK;
    }
    command = cli_find(argv[1]);
    if (command == NULL)
        return cli_usage(cli_find("help"), "unknown command \"%s\"", argv[1]);
    if (argc > 3)
        return cli_usage(cli_find("help"), "too many arguments");
    if (argc == 3)
        return help_verb(command, argv[2]);
    printf("%s: %s\n\n", command->name, command->summary);
    help_command(command, false);
    return EXIT_OK;
}

int version_run(struct cli *cli, int argc, char **argv)
{
    (void)cli;
    if (argc > 1)
        return cli_usage(cli_find("version"), "unknown argument %s", argv[1]);
    printf("staffetta %s\n", VERSION);
    return EXIT_OK;
}
