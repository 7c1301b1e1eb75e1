/* staffetta queue salvage: the one queue command that works on files. */
#include "cli/verb.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The queue's own program does it: nothing else knows the database, and no other may be running. */
static int salvage(const struct cli *cli, int argc, char **argv)
{
    struct buf path;
    int code;

    (void)cli;
    if (argc != 3)
        return verb_usage(cli_find("queue"), verb_find(cli_find("queue"), "salvage"),
            "expected the FILE of a shard, such as /var/lib/staffetta/queue/queue-0.db");
    buf_init(&path, 4096);
    cli_program_path("queue", &path);
    execl(path.p, path.p, "--salvage", argv[2], (char *)NULL);
    code = cli_fail(EXIT_UNAVAILABLE, "%s: %s", path.p, strerror(errno));
    buf_clear(&path);
    return code;
}

int queue_run(struct cli *cli, int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "salvage") == 0 ? salvage(cli, argc, argv) : verb_run(cli, argc, argv);
}
