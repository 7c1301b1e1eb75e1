/* staffetta check-config: the file, and that the files it names can be read. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool readable(struct str path, const char *what, struct str name)
{
    char copy[4096];

    snprintf(copy, sizeof copy, "%.*s", STR_ARG(path));
    if (access(copy, R_OK) == 0)
        return true;
    cli_fail(EXIT_CONFIG, "certificate \"%.*s\": %s %s: %s", STR_ARG(name), what, copy, strerror(errno));
    return false;
}

static bool certificates_readable(const struct config *config)
{
    bool ok = true;

    for (size_t i = 0; i < config->certificate_count; i++) {
        ok &= readable(config->certificates[i].chain, "chain", config->certificates[i].name);
        ok &= readable(config->certificates[i].key, "key", config->certificates[i].name);
    }
    return ok;
}

static void warn(void *arg, const char *text)
{
    const struct cli *cli = arg;

    fprintf(stderr, "%s: warning: %s\n", cli->config_path, text);
}

int check_config_run(struct cli *cli, int argc, char **argv)
{
    struct config *config;
    bool ok;
    int code;

    if (argc == 2 && argv[1][0] != '-')
        cli->config_path = argv[1];
    else if (argc > 1)
        return cli_usage(cli_find("check-config"), "unknown argument %s", argv[1]);
    if (!cli_config(cli, &config, &code))
        return code;
    config_advise(config, warn, cli);
    ok = certificates_readable(config);
    if (ok)
        printf("%s: all right\n", cli->config_path);
    config_free(config);
    return ok ? EXIT_OK : EXIT_CONFIG;
}
