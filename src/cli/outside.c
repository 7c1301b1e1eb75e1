/* The commands of outside.h, by name. */
#include "cli/outside.h"

#include <string.h>

static const struct {
    const char *name;
    int (*run)(const struct cli *cli, const struct verb_call *call, struct rows *rows);
} commands[] = {{"setup", setup_command}, {"dns", dns_command}, {"check", check_command}, {"certificate", certificate_command}};

int outside_run(const struct cli *cli, const char *command, const struct verb_call *call, struct rows *rows)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, command) == 0)
            return commands[i].run(cli, call, rows);
    return cli_fail(EXIT_SOFTWARE, "%s is no command of this kind", command);
}
