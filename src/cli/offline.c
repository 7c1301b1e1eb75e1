#include "cli/offline.h"
#include "base/msgid.h"
#include "ipc/args.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *command, *role;
    bool stateless; /* it has no folder */
} roles[] = {{"domain", "directory"}, {"account", "directory"}, {"alias", "directory"}, {"credential", "directory"},
    {"route", "directory"}, {"pool", "directory"}, {"dkim", "directory"}, {"queue", "queue"}, {"trace", "events"}, {"report", "events"}, {"mailbox", "mailbox"}, {"lookup", "resolver", true}};

static const char *role_of(const char *command, bool *stateless)
{
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        *stateless = roles[i].stateless;
        if (strcmp(roles[i].command, command) == 0)
            return roles[i].role;
    }
    return NULL;
}

/* One run of a role's program. */
struct job {
    const char *program, *config, *command;
    const char *option, *word; /* instead: what it is to do with no server's data */
    struct str args;
    unsigned copy, copies;
    remote_row_fn *row;
    void *owner;
};

/* Ends the child: `args` go through its standard input, so that a password is in no process list. */
_Noreturn static void become_role(const struct job *job, int in, int out)
{
    char copy[32];

    snprintf(copy, sizeof copy, "%u/%u", job->copy, job->copies);
    setenv("STAFFETTA_COPY", copy, 1);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    if (job->option != NULL)
        execl(job->program, job->program, job->option, job->word, (char *)NULL);
    else
        execl(job->program, job->program, "--command", job->config, job->command, "-", (char *)NULL);
    fprintf(stderr, "staffetta: %s: %s\n", job->program, strerror(errno));
    _exit(EXIT_UNAVAILABLE);
}

/* A child that ended early is reported by its exit code, not by a signal to us. */
static void write_all(int fd, struct str bytes)
{
    signal(SIGPIPE, SIG_IGN);
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n <= 0)
            break;
        bytes = str_skip(bytes, (size_t)n);
    }
    signal(SIGPIPE, SIG_DFL);
}

static int wait_for(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_OSERR;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SOFTWARE;
}

static int read_rows(int fd, remote_row_fn *row, void *owner)
{
    FILE *in = fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    bool more = true;

    if (in == NULL)
        return EXIT_OSERR;
    while (more && (n = getline(&line, &room, in)) > 0)
        more = row(owner, str_trim(str_from(line, (size_t)n)));
    free(line);
    fclose(in);
    return EXIT_OK;
}

static int run_role(const struct job *job)
{
    int to[2], from[2], code;
    pid_t child;

    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        return cli_fail(EXIT_OSERR, "pipe: %s", strerror(errno));
    fflush(NULL);
    child = fork();
    if (child < 0)
        return cli_fail(EXIT_OSERR, "fork: %s", strerror(errno));
    if (child == 0)
        become_role(job, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    write_all(to[1], job->args);
    close(to[1]);
    code = read_rows(from[0], job->row, job->owner);
    return code == EXIT_OK ? wait_for(child) : code;
}

/* Every queue shard, one after the other, or the one that owns the message named. */
static int run_copies(struct job *job, const struct config *config)
{
    bool sharded = strcmp(job->command, "queue") == 0;
    int worst = EXIT_OK, code;
    uint64_t message;

    job->copies = sharded ? (unsigned)config->copies.queue : 1;
    if (sharded && msgid_parse(args_word(job->args, 1), &message)) {
        job->copy = (unsigned)(message % job->copies);
        return run_role(job);
    }
    for (job->copy = 0; job->copy < job->copies; job->copy++) {
        code = run_role(job);
        worst = code > worst ? code : worst;
    }
    return worst;
}

int offline_program(const char *role, const char *option, const char *word, remote_row_fn *row, void *owner)
{
    struct job job = {.option = option, .word = word, .copies = 1, .row = row, .owner = owner};
    struct buf path;
    int code;

    buf_init(&path, 8192);
    cli_program_path(role, &path);
    job.program = path.p;
    code = run_role(&job);
    buf_clear(&path);
    return code;
}

static int not_running(const struct cli *cli)
{
    if (access(cli->config_path, F_OK) != 0) /* then its sockets are elsewhere, too */
        return cli_fail(EXIT_CONFIG, "%s: %s; say with -c where the configuration is",
            cli->config_path, strerror(errno));
    return cli_fail(EXIT_UNAVAILABLE,
        "Staffetta is not running; start it with: staffetta serve -c %s", cli->config_path);
}

int offline_command(const struct cli *cli, const char *command, struct str args, remote_row_fn *row, void *owner)
{
    bool stateless;
    const char *role = role_of(command, &stateless);
    struct config *config;
    struct buf path;
    int code;

    if (role == NULL)
        return not_running(cli);
    if (!cli_config(cli, &config, &code))
        return code;
    buf_init(&path, 8192);
    buf_addf(&path, "%.*s/%s%c", STR_ARG(config->data), role, 0);
    if (!stateless && access(path.p, F_OK) != 0 && errno == ENOENT) {
        code = cli_fail(EXIT_UNAVAILABLE,
            "%s does not exist yet; start the server once with: staffetta serve -c %s", path.p,
            cli->config_path);
    } else if (!stateless && access(path.p, R_OK | W_OK | X_OK) != 0) {
        code = cli_fail(EXIT_UNAVAILABLE,
            "Staffetta is not running and %s is not yours (%s); start it with: staffetta serve -c "
            "%s", path.p, strerror(errno),
            cli->config_path);
    } else {
        buf_reset(&path);
        cli_program_path(role, &path);
        code = run_copies(&(struct job){.program = path.p, .config = cli->config_path, .command = command, .args = args, .copies = 1, .row = row,
            .owner = owner}, config);
    }
    buf_clear(&path);
    config_free(config);
    return code;
}
