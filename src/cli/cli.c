/* The table of commands and what is common to all of them. */
#include "cli/cli.h"
#include "cli/value.h"
#include "cli/verb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_CONFIG = 100000 };

static const struct command commands[] = {
    {"setup", "from nothing to a server that can be started", NULL, verb_run, setup_verbs},
    {"serve", "run the mail server", "serve [-c FILE]", serve_run, NULL},
    {"check-config", "test the configuration file", "check-config [FILE]", check_config_run, NULL},
    {"status", "processes, listeners, queue", NULL, verb_run, status_verbs},
    {"domain", "the domains this server is responsible for", NULL, verb_run, domain_verbs},
    {"account", "mailboxes and their passwords", NULL, verb_run, account_verbs},
    {"mailbox", "what accounts hold", NULL, verb_run, mailbox_verbs},
    {"alias", "addresses that stand for others", NULL, verb_run, alias_verbs},
    {"credential", "logins of programs that only send", NULL, verb_run, credential_verbs},
    {"route", "where outgoing mail goes, other than by MX", NULL, verb_run, route_verbs},
    {"pool", "source addresses for outgoing mail", NULL, verb_run, pool_verbs},
    {"dkim", "the keys that sign mail of a domain", NULL, verb_run, dkim_verbs},
    {"dns", "every record to publish for a domain", NULL, verb_run, dns_verbs},
    {"certificate", "the certificate of this server, by ACME", NULL, verb_run, certificate_verbs},
    {"check", "the server and its domains, as others see them", NULL, verb_run, check_verbs},
    {"lookup", "what the server's own resolver says", NULL, verb_run, lookup_verbs},
    {"queue", "messages on their way", NULL, queue_run, queue_verbs},
    {"trace", "the whole story of a message", NULL, verb_run, trace_verbs},
    {"report", "what others report about mail in the name of our domains", NULL, verb_run, report_verbs},
    {"check-sandbox", "let every role try what it must not be able to do", NULL, verb_run, check_sandbox_verbs},
    {"sendmail", "take a message from a program, as /usr/sbin/sendmail does", "sendmail [OPTIONS] [RECIPIENT...]",
        sendmail_run, NULL},
    {"help", "this list, or one command", "help [COMMAND [VERB]]", help_run, NULL},
    {"version", "the version", "version", version_run, NULL},
};

const struct command *cli_commands(size_t *n)
{
    *n = sizeof commands / sizeof *commands;
    return commands;
}

const struct command *cli_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int cli_fail(int code, const char *format, ...)
{
    va_list args;
    char text[4000];
    struct str rest, line;
    struct buf clean;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rest = str_of(text);
    buf_init(&clean, 2 * sizeof text);
    while (str_next(&rest, '\n', &line)) { /* what another server says may be in it */
        value_add_clean(&clean, line);
        buf_add_char(&clean, '\n');
    }
    fprintf(stderr, "staffetta: %.*s", STR_ARG(buf_str(&clean)));
    buf_clear(&clean);
    return code;
}

int cli_usage(const struct command *command, const char *format, ...)
{
    va_list args;

    fputs("staffetta: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    if (command != NULL)
        help_command(command, true);
    else
        fputs("usage: staffetta [-c FILE] [--json] COMMAND ...; see: staffetta help\n", stderr);
    return EXIT_USAGE;
}

static bool read_text(const char *path, struct buf *text, int *code)
{
    FILE *f = fopen(path, "re");
    char *room;
    size_t n;

    if (f == NULL) {
        *code = cli_fail(EXIT_CONFIG, "%s: %s", path, strerror(errno));
        return false;
    }
    while ((room = buf_reserve(text, 4096)) != NULL && (n = fread(room, 1, 4096, f)) > 0)
        text->n += n;
    if (text->failed || ferror(f))
        *code = cli_fail(EXIT_CONFIG, "%s: %s", path, text->failed ? "too long" : strerror(errno));
    fclose(f);
    return *code == EXIT_OK;
}

bool cli_config(const struct cli *cli, struct config **config, int *code)
{
    struct err err = {0};
    struct buf text;

    *code = EXIT_OK;
    buf_init(&text, LONGEST_CONFIG + 4096);
    if (read_text(cli->config_path, &text, code) &&
        !config_parse(config, str_of(cli->config_path), buf_str(&text), &err)) {
        fprintf(stderr, "%s\n", err.text);
        *code = EXIT_CONFIG;
    }
    buf_clear(&text);
    return *code == EXIT_OK;
}

/* A user who may not read the file may still hand in mail. */
void cli_socket_path(const struct cli *cli, const char *name, struct buf *path)
{
    const char *folder = getenv("STAFFETTA_RUN");
    struct config *config = NULL;
    struct buf text;
    FILE *f = fopen(cli->config_path, "re");
    char *room;
    size_t n;

    buf_init(&text, LONGEST_CONFIG + 4096);
    while (f != NULL && (room = buf_reserve(&text, 4096)) != NULL && (n = fread(room, 1, 4096, f)) > 0)
        text.n += n;
    if (f != NULL)
        fclose(f);
    if (text.n && config_parse(&config, str_of(cli->config_path), buf_str(&text), NULL))
        buf_addf(path, "%.*s/%s%c", STR_ARG(config->run), name, 0);
    else
        buf_addf(path, "%s/%s%c", folder != NULL && folder[0] ? folder : "/run/staffetta", name, 0);
    config_free(config);
    buf_clear(&text);
}

void cli_program_path(const char *role, struct buf *path)
{
    const char *folder = getenv("STAFFETTA_LIBEXEC");

    buf_addf(path, "%s/staffetta-%s%c", folder != NULL && folder[0] ? folder : LIBEXECDIR, role, 0);
}

/* The option whose value is the next word. */
static bool is_config(const char *word)
{
    return strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0;
}

/* The options before the command; *used is how many words they took. */
static int global_options(struct cli *cli, int argc, char **argv, int *used)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (is_config(argv[i]) && i + 1 < argc)
            cli->config_path = argv[++i];
        else if (strncmp(argv[i], "--config=", 9) == 0)
            cli->config_path = argv[i] + 9;
        else if (strcmp(argv[i], "--json") == 0)
            cli->json = true;
        else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
            return help_run(cli, 1, argv) - 1; /* -1: done */
        else if (strcmp(argv[i], "-V") == 0 || strcmp(argv[i], "--version") == 0)
            return version_run(cli, 1, argv) - 1;
        else
            return cli_usage(NULL, is_config(argv[i]) ? "%s needs a FILE" : "unknown option %s", argv[i]);
    }
    *used = i;
    return EXIT_OK;
}

/* -c FILE is also understood behind the command, and --help anywhere. */
static int strip_options(struct cli *cli, int argc, char **argv, bool *help)
{
    int n = 0;

    for (int i = 0; i < argc; i++) {
        bool value = is_config(argv[i]);

        if (strcmp(argv[i], "--") == 0) {
            while (i < argc)
                argv[n++] = argv[i++];
        } else if (value && i + 1 < argc) {
            cli->config_path = argv[++i];
        } else if (strncmp(argv[i], "--config=", 9) == 0) {
            cli->config_path = argv[i] + 9;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *help = true;
        } else {
            argv[n++] = argv[i];
        }
    }
    return n;
}

/* Other programs know us by the names of the old mail commands. */
static bool by_other_name(struct cli *cli, int argc, char **argv, int *code)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash == NULL ? argv[0] : slash + 1;
    static char queue[] = "queue", list[] = "list";

    if (strcmp(name, "sendmail") == 0)
        *code = sendmail_run(cli, argc, argv);
    else if (strcmp(name, "mailq") == 0)
        *code = verb_run(cli, 2, (char *[]){queue, list, NULL});
    else if (strcmp(name, "newaliases") == 0)
        *code = EXIT_OK; /* aliases are in the directory: nothing has to be rebuilt */
    else
        return false;
    return true;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    const struct command *command = cli_find(argv[0]);
    bool help = false;

    if (command == NULL)
        return cli_usage(NULL, "unknown command \"%s\"", argv[0]);
    if (command->run != sendmail_run)
        argc = strip_options(cli, argc, argv, &help);
    if (help) {
        help_command(command, false);
        return EXIT_OK;
    }
    return command->run(cli, argc, argv);
}

int cli_main(int argc, char **argv)
{
    const char *from_environment = getenv("STAFFETTA_CONFIG");
    struct cli cli = {.config_path = from_environment && from_environment[0] ? from_environment : CONFIG_FILE};
    int used = 1, code;

    if (argc > 0 && by_other_name(&cli, argc, argv, &code))
        return code;
    code = global_options(&cli, argc, argv, &used);
    if (code != EXIT_OK)
        return code < 0 ? EXIT_OK : code;
    if (used >= argc)
        return cli_usage(NULL, "what shall be done?");
    return run_command(&cli, argc - used, argv + used);
}
