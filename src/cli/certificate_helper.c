/* staffetta-acme at work for `staffetta certificate renew`: it is given what it needs, gets a connection to the command socket, runs as the
 * user of web (when this runs as root), and what it answers is taken as from a stranger. */
#include "base/encode.h"
#include "base/json.h"
#include "cli/certificate.h"
#include "cli/remote.h"
#include "cli/setup.h"
#include "ipc/user.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOB_MAX = 4 << 20, ANSWER_MAX = 1 << 20, CONTROL = 3, ADDRESSES = 8 };

/* ---- the job ---- */

/* "host:port:address,address" for libcurl. */
static bool add_addresses(const struct renewal *r, struct buf *out, struct err *err)
{
    struct str rest = str_skip(r->config->acme.directory, STR("https://").n), host, port = STR("443");
    struct addrinfo *all = NULL, hints = {.ai_socktype = SOCK_STREAM};
    ptrdiff_t colon;
    int failed, n = 0;

    (void)str_next(&rest, '/', &host);
    colon = str_rfind(host, ':');
    if (colon > 0) {
        port = str_skip(host, (size_t)colon + 1);
        host = str_sub(host, 0, (size_t)colon);
    }
    buf_addf(out, "%.*s%c", STR_ARG(host), 0);
    failed = getaddrinfo(out->p, NULL, &hints, &all);
    if (failed != 0)
        return err_set(err, ERR_TEMPORARY, "%.*s: %s", STR_ARG(host), gai_strerror(failed));
    buf_reset(out);
    buf_addf(out, "%.*s:%.*s:", STR_ARG(host), STR_ARG(port));
    for (const struct addrinfo *a = all; a != NULL && n < ADDRESSES; a = a->ai_next) {
        char text[NI_MAXHOST];

        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
            buf_addf(out, a->ai_family == AF_INET6 ? "%s[%s]" : "%s%s", n++ ? "," : "", text);
    }
    freeaddrinfo(all);
    return true;
}

static bool write_job(struct renewal *r, struct str account, struct str request, struct buf *job, struct err *err)
{
    struct buf resolve, csr;
    char path[4096];
    struct str ca;
    bool ok;

    snprintf(path, sizeof path, "%.*s", STR_ARG(r->config->acme.ca_file));
    buf_init(&resolve, 4096);
    buf_init(&csr, ANSWER_MAX);
    base64_encode(&csr, request);
    ok = renewal_read_file(r, path, &ca, err) && add_addresses(r, &resolve, err);
    json_open(job);
    json_str(job, "directory", r->config->acme.directory);
    json_str(job, "contact", r->config->acme.contact);
    json_str(job, "challenge", r->config->acme.challenge);
    json_str(job, "sandbox", r->config->sandbox);
    json_str(job, "account", account);
    json_str(job, "csr", buf_str(&csr));
    json_str(job, "resolve", buf_str(&resolve));
    json_str(job, "ca", ok ? ca : STR(""));
    buf_add(job, STR(",\"names\":["));
    for (size_t i = 0; i < r->name_count; i++) {
        buf_add(job, i ? STR(",") : STR(""));
        json_quote(job, r->names[i]);
    }
    buf_add(job, STR("]}"));
    buf_clear(&resolve);
    buf_clear(&csr);
    return ok && (!job->failed || err_set(err, ERR_PERMANENT, "the list of trusted certificates is too long"));
}

/* ---- the child ---- */

_Noreturn static void become_helper(const struct renewal *r, int in, int out, int control)
{
    struct err err = {0};
    struct buf path;
    bool change;
    uid_t uid;
    gid_t gid;

    buf_init(&path, 4096);
    cli_program_path("acme", &path);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || (control == CONTROL ? fcntl(control, F_SETFD, 0) : dup2(control, CONTROL)) < 0)
        _exit(EXIT_OSERR);
    if (!user_find(r->config, ROLE_WEB, &uid, &gid, &change, &err) ||
        (change && (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0))) {
        fprintf(stderr, "staffetta: %s\n", err.text[0] ? err.text : strerror(errno));
        _exit(EXIT_OSERR);
    }
    execl(path.p, path.p, (char *)NULL);
    fprintf(stderr, "staffetta: %s: %s\n", path.p, strerror(errno));
    _exit(EXIT_UNAVAILABLE);
}

static void write_all(int fd, struct str bytes)
{
    signal(SIGPIPE, SIG_IGN);
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n <= 0)
            break;
        bytes = str_skip(bytes, (size_t)n);
    }
    signal(SIGPIPE, SIG_DFL);
}

static void read_all(int fd, struct buf *out)
{
    char *room;
    ssize_t n;

    while ((room = buf_reserve(out, 4096)) != NULL && ((n = read(fd, room, 4096)) > 0 || (n < 0 && errno == EINTR)))
        out->n += n > 0 ? (size_t)n : 0;
}

/* `control` was opened before the pipes, so none of theirs stands on its place in the child. */
static bool run(const struct renewal *r, struct str job, int control, struct buf *answer, struct err *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, status = 0;
    bool ok = pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0;
    pid_t child = ok ? fork() : -1;

    if (child == 0)
        become_helper(r, in[0], out[1], control);
    if (in[0] >= 0)
        close(in[0]);
    if (out[1] >= 0)
        close(out[1]);
    if (child > 0)
        write_all(in[1], job);
    if (in[1] >= 0)
        close(in[1]);
    if (child > 0)
        read_all(out[0], answer);
    if (out[0] >= 0)
        close(out[0]);
    if (child < 0)
        return err_set(err, ERR_TEMPORARY, "staffetta-acme does not start: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 || err_set(err, ERR_TEMPORARY, "staffetta-acme ended with %d", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

/* ---- the answer ---- */

static bool read_answer(struct str answer, struct buf *chain, char culprit[256], struct err *err)
{
    struct buf text;
    bool ok = json_read(answer, "chain", chain) && chain->n > 0 && !chain->failed;

    buf_init(&text, 8192);
    if (!ok && json_read(answer, "culprit", &text))
        snprintf(culprit, 256, "%.*s", STR_ARG(buf_str(&text)));
    buf_reset(&text);
    if (!ok && json_read(answer, "error", &text))
        err_set(err, ERR_TEMPORARY, "%.*s", STR_ARG(buf_str(&text)));
    else if (!ok)
        err_set(err, ERR_TEMPORARY, "staffetta-acme gave no answer");
    buf_clear(&text);
    return ok;
}

bool renewal_fetch(struct renewal *r, struct str account, struct str request, struct buf *chain, char culprit[256], struct err *err)
{
    struct buf job, answer;
    int control = -1;
    bool ok;

    culprit[0] = '\0';
    buf_init(&job, JOB_MAX);
    buf_init(&answer, ANSWER_MAX);
    ok = write_job(r, account, request, &job, err);
    if (ok && remote_open(r->cli, &control) != EXIT_OK)
        ok = err_set(err, ERR_TEMPORARY, "the server does not run, so nobody would answer the challenges");
    ok = ok && run(r, buf_str(&job), control, &answer, err) && read_answer(buf_str(&answer), chain, culprit, err);
    if (control >= 0)
        close(control);
    if (job.p != NULL)
        explicit_bzero(job.p, job.n);
    buf_clear(&job);
    buf_clear(&answer);
    return ok;
}
