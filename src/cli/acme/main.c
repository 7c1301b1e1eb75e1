/* staffetta-acme: gets one certificate from a certificate authority, for `staffetta certificate renew`. It is the only program that talks
 * HTTPS for it, has neither files nor the private key of the certificate, and ends when it is done.
 *
 * Standard input: one JSON object, see read_job. Descriptor 3: connected to the command socket of the server, which publishes the
 * challenges. Standard output: {"chain": PEM}, or {"error": text, "culprit": name}. */
#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "fetch.h"
#include "jws.h"
#include "net/sandbox.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL = 3, JOB_MAX = 4 << 20, LINE = 64 * 1024, LIFE_SECONDS = 900 };

struct program {
    struct fetch *fetch;
    json_t *job;
    struct acme_job acme;
    struct str names[ACME_NAMES_MAX];
    struct buf csr;
    bool sandbox_required;
};

static struct str member(const struct program *p, const char *key)
{
    return str_of(json_string_value(json_object_get(p->job, key)));
}

static void read_input(struct buf *text)
{
    char *room;
    ssize_t n;

    while ((room = buf_reserve(text, 4096)) != NULL && (n = read(STDIN_FILENO, room, 4096)) > 0)
        text->n += (size_t)n;
}

/* directory, contact, challenge, ca, account (PEM), csr (base64 of DER), names, resolve, sandbox. */
static void read_job(struct program *p)
{
    const json_t *names;
    struct buf text;

    buf_init(&text, JOB_MAX);
    read_input(&text);
    p->job = json_loadb(text.p != NULL ? text.p : "", text.n, 0, NULL);
    if (text.p != NULL)
        explicit_bzero(text.p, text.n);
    buf_clear(&text);
    names = json_object_get(p->job, "names");
    p->acme = (struct acme_job){.directory = member(p, "directory"), .contact = member(p, "contact"), .challenge = member(p, "challenge").p,
        .names = p->names, .account = acme_key_read(member(p, "account"))};
    for (size_t i = 0; i < json_array_size(names) && i < ACME_NAMES_MAX; i++)
        p->names[p->acme.n++] = str_of(json_string_value(json_array_get(names, i)));
    buf_init(&p->csr, LINE);
    if (p->acme.account == NULL || !base64_decode(&p->csr, member(p, "csr")) || p->acme.n == 0)
        fatal("staffetta-acme is started by `staffetta certificate renew`");
    p->acme.csr = buf_str(&p->csr);
    p->sandbox_required = str_eq(member(p, "sandbox"), STR("required"));
}

/* ---- the command socket ---- */

static void add_argument(struct buf *line, const char *name, struct str value)
{
    struct buf text;

    buf_init(&text, LINE);
    buf_addf(&text, "%s=%.*s", name, STR_ARG(value));
    buf_add_char(line, ',');
    json_quote(line, buf_str(&text));
    buf_clear(&text);
}

/* The line that says how it went. */
static bool read_done(struct err *err)
{
    struct buf line, code;
    bool ok = false;
    char c;

    buf_init(&line, LINE);
    buf_init(&code, 16);
    while (recv(CONTROL, &c, 1, 0) == 1 && c != '\n')
        buf_add_char(&line, c);
    if (!json_read(buf_str(&line), "done", &code))
        err_set(err, ERR_TEMPORARY, "the server does not answer");
    else
        ok = str_eq(buf_str(&code), STR("0")) || err_set(err, ERR_TEMPORARY, "the server does not publish the challenge: %.*s", STR_ARG(buf_str(&line)));
    buf_clear(&line);
    buf_clear(&code);
    return ok;
}

static bool say(const char *verb, const struct acme_challenge *c, struct err *err)
{
    struct buf line;
    bool ok;

    buf_init(&line, LINE);
    buf_addf(&line, "{\"command\":\"acme\",\"args\":[\"%s\"", verb);
    if (c->kind != NULL) {
        add_argument(&line, "kind", str_of(c->kind));
        add_argument(&line, "name", c->name);
        add_argument(&line, "authorization", c->authorization);
    }
    add_argument(&line, "token", c->token);
    buf_add(&line, STR("]}\n"));
    ok = !line.failed && send(CONTROL, line.p, line.n, MSG_NOSIGNAL) == (ssize_t)line.n && read_done(err);
    buf_clear(&line);
    return ok || err->kind != ERR_NONE || err_set(err, ERR_TEMPORARY, "the server cannot be told about a challenge");
}

/* ---- the world of the protocol ---- */

static bool on_request(void *arg, const char *method, struct str url, struct str body, struct acme_answer *answer, struct err *err)
{
    struct program *p = arg;

    return fetch_request(p->fetch, method, url, body, answer, err);
}

static bool on_publish(void *arg, const struct acme_challenge *c, struct err *err)
{
    (void)arg;
    return say("set", c, err);
}

static void on_withdraw(void *arg, struct str token)
{
    struct err err = {0};

    (void)arg;
    if (!say("clear", &(struct acme_challenge){.token = token}, &err))
        fprintf(stderr, "staffetta-acme: %s\n", err.text);
}

static void on_pause(void *arg, unsigned seconds)
{
    struct timespec left = {.tv_sec = seconds};

    (void)arg;
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static const struct acme_world world = {on_request, on_publish, on_withdraw, on_pause};

/* ---- */

static void answer(bool ok, const struct buf *chain, const struct buf *culprit, const struct err *err)
{
    struct buf out;

    buf_init(&out, 4 * ACME_ANSWER_MAX);
    json_open(&out);
    if (ok) {
        json_str(&out, "chain", buf_str(chain));
    } else {
        json_str(&out, "error", str_of(err->text));
        json_str(&out, "culprit", buf_str(culprit));
    }
    json_close(&out);
    fwrite(out.p, 1, out.n, stdout);
    fflush(stdout);
    buf_clear(&out);
}

int main(void)
{
    struct program p = {0};
    struct buf chain, culprit;
    struct err err = {0};
    bool ok;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    alarm(LIFE_SECONDS);
    read_job(&p);
    p.fetch = fetch_new(member(&p, "ca"), member(&p, "resolve"));
    if (!sandbox_enter(SANDBOX_CONNECT, NULL, p.sandbox_required, &err))
        fatal("%s", err.text);
    buf_init(&chain, ACME_ANSWER_MAX);
    buf_init(&culprit, 1024);
    ok = acme_issue(&world, &p, &p.acme, &chain, &culprit, &err);
    answer(ok, &chain, &culprit, &err);
    buf_clear(&chain);
    buf_clear(&culprit);
    buf_clear(&p.csr);
    fetch_free(p.fetch);
    EVP_PKEY_free(p.acme.account);
    json_decref(p.job);
    return 0;
}
