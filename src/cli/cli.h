/* The command line. One file a command, each with a row in the table of cli.c. */
#pragma once
#include "base/buf.h"
#include "config/config.h"

/* sysexits.h, by the names used here. */
enum {
    EXIT_OK = 0,
    EXIT_USAGE = 64,
    EXIT_DATA = 65,
    EXIT_NOUSER = 67,
    EXIT_UNAVAILABLE = 69,
    EXIT_SOFTWARE = 70,
    EXIT_OSERR = 71,
    EXIT_TEMPFAIL = 75,
    EXIT_NOPERM = 77,
    EXIT_CONFIG = 78,
};

/* What the global options say. */
struct cli {
    const char *config_path; /* -c, STAFFETTA_CONFIG, or the one compiled in */
    bool json;               /* --json: rows as they are */
};

struct command {
    const char *name, *summary;
    const char *usage; /* lines after "staffetta "; NULL: made from the verbs */
    /* argv[0] is the command's name. */
    int (*run)(struct cli *cli, int argc, char **argv);
    const struct verb *verbs; /* ended by a row without a name; NULL for a command without */
};

int cli_main(int argc, char **argv);
const struct command *cli_find(const char *name);
const struct command *cli_commands(size_t *n);

/* "staffetta: ..." on standard error; returns code, so that `return cli_fail(...)` reads well. */
int cli_fail(int code, const char *format, ...) PRINTF(2, 3);
/* The usage of a command on standard error, after a reason; always EXIT_USAGE. */
int cli_usage(const struct command *command, const char *format, ...) PRINTF(2, 3);
/* Reads the configuration file; false after a message on standard error, with the exit code. */
bool cli_config(const struct cli *cli, struct config **config, int *code);
/* Path of a local socket: run folder of the file, else of STAFFETTA_RUN, else the compiled-in one. */
void cli_socket_path(const struct cli *cli, const char *name, struct buf *path);
/* Path of a program in libexec: STAFFETTA_LIBEXEC, else the compiled-in folder. */
void cli_program_path(const char *name, struct buf *path);

int serve_run(struct cli *cli, int argc, char **argv);
int check_config_run(struct cli *cli, int argc, char **argv);
int queue_run(struct cli *cli, int argc, char **argv);
int help_run(struct cli *cli, int argc, char **argv);
int version_run(struct cli *cli, int argc, char **argv);
int sendmail_run(struct cli *cli, int argc, char **argv);

void help_command(const struct command *command, bool to_stderr);
