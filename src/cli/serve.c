/* staffetta serve: becomes the supervisor. */
#include "cli/cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int serve_run(struct cli *cli, int argc, char **argv)
{
    struct config *config;
    struct buf path;
    int code;

    if (argc > 1)
        return cli_usage(cli_find("serve"), "unknown argument %s", argv[1]);
    if (!cli_config(cli, &config, &code))
        return code;
    config_free(config);
    buf_init(&path, 4096);
    cli_program_path("supervisor", &path);
    execl(path.p, path.p, cli->config_path, (char *)NULL);
    code = cli_fail(EXIT_UNAVAILABLE, "%s: %s", path.p, strerror(errno));
    buf_clear(&path);
    return code;
}
