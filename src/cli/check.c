/* staffetta check: everything others see of the server and its domains, judged. The judging is lib/outside; here the questions are
 * put: to resolver and relay of the running server, or to a resolver of our own when none runs. */
#include "cli/outside.h"
#include "cli/remote.h"
#include "cli/value.h"
#include "base/clock.h"
#include "base/json.h"
#include "outside/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Domains are checked side by side, so many at a time. */
enum { TOGETHER = 40, TEXT = 256 * 1024, WARNING_CODE = 1, ERROR_CODE = 2 };

const struct verb check_verbs[] = {
    {"", "[DOMAIN]", 0, 1, NULL,
        "looks at the server and its domains as others see them: ends with 0 when all is well, 1 after a warning, 2 after an error", LAYOUT_TABLE, VERB_OUTSIDE},
    {0}};

struct one {
    struct str subject;
    struct outside_gather gather;
    struct outside_check *check;
};

struct checking {
    const struct cli *cli;
    struct config *config;
    struct outside_clock clock;
    bool running;
    int64_t deadline;
    struct one *ones[TOGETHER];
    size_t n;
    struct outside_batch batch;
    struct buf args;
    struct rows *rows;
    enum outside_level worst;
    size_t counts[3];
    int code;
};

static bool on_answer(void *owner, struct str json)
{
    outside_batch_take(owner, json);
    return true;
}

/* All that is open, in as few commands as it takes: questions of DNS, then connections. False: nothing was. */
static bool ask_dns(struct checking *c)
{
    int64_t left = c->deadline - clock_monotonic();
    bool any;

    for (size_t i = 0; i < c->n; i++)
        outside_batch_add_questions(&c->batch, c->ones[i]->check, &c->args);
    any = c->batch.n > 0;
    outside_batch_end_questions(&c->args, left);
    if (any && left > 0)
        c->code = remote_command(c->cli, "lookup", buf_str(&c->args), on_answer, &c->batch);
    outside_batch_give_up(&c->batch, STR(""));
    buf_reset(&c->args);
    return any;
}

static bool try_connections(struct checking *c)
{
    bool any;

    for (size_t i = 0; i < c->n; i++)
        outside_batch_add_probes(&c->batch, c->ones[i]->check, &c->args);
    any = c->batch.n > 0;
    if (any && c->running)
        c->code = remote_command(c->cli, "probe", buf_str(&c->args), on_answer, &c->batch);
    outside_batch_give_up(&c->batch, c->running ? STR("no answer") : STR("the server does not run"));
    buf_reset(&c->args);
    return any;
}

/* ---- domains ---- */

/* A running server uses keys as soon as it sees that they are published. */
static bool ignore(void *owner, struct str json)
{
    (void)owner;
    (void)json;
    return true;
}

static void take_keys_into_use(const struct checking *c, struct str domain)
{
    struct buf args;

    buf_init(&args, 2000);
    buf_addf(&args, "check%c%.*s%cquiet=yes%c", 0, STR_ARG(domain), 0, 0);
    if (c->running)
        (void)remote_command(c->cli, "dkim", buf_str(&args), ignore, NULL);
    buf_clear(&args);
}

static bool has_keys(struct outside_gather *g)
{
    for (size_t i = 0; i < g->facts.key_count; i++)
        if (str_eq(g->facts.keys[i].state, STR("waiting")))
            return true;
    return false;
}

static int add_one(struct checking *c, struct str domain, unsigned scope)
{
    struct one *one = xcalloc(1, sizeof *one);
    int code = facts_of_domain(c->cli, c->config, domain, &one->gather);

    if (code == EXIT_OK && has_keys(&one->gather)) {
        take_keys_into_use(c, one->gather.facts.domain);
        outside_gather_end(&one->gather);
        code = facts_of_domain(c->cli, c->config, domain, &one->gather);
    }
    if (code != EXIT_OK) {
        free(one);
        return code;
    }
    one->subject = domain.n > 0 ? one->gather.facts.domain : one->gather.facts.hostname;
    one->check = outside_check_new(&one->gather.facts, &c->clock, scope, clock_now());
    c->ones[c->n++] = one;
    return EXIT_OK;
}

static void print_result(struct checking *c, const struct outside_result *r, struct str subject)
{
    struct buf text;

    c->counts[r->level]++;
    if (r->level > c->worst)
        c->worst = r->level;
    buf_init(&text, TEXT);
    if (c->rows->json) {
        outside_result_write(r, subject, &text);
        rows_add(c->rows, buf_str(&text));
    } else {
        buf_addf(&text, "%-8s %-11s ", outside_level_words[r->level], r->check);
        value_add_clean(&text, r->item);
        buf_add(&text, STR(": "));
        value_add_clean(&text, r->text);
        buf_add_char(&text, '\n');
        if (r->publish.n > 0)
            buf_addf(&text, "         publish:    %.*s\n", STR_ARG(r->publish));
        if (r->level != OUTSIDE_OK)
            buf_addf(&text, "         why:        %s\n", r->why);
        fwrite(text.p, 1, text.n, c->rows->out);
        c->rows->count++;
    }
    buf_clear(&text);
}

/* Until every judgement has what it needs, or the time is over; then prints. */
static void run_all(struct checking *c)
{
    bool all = false;

    while (!all && c->code == EXIT_OK) {
        all = true;
        for (size_t i = 0; i < c->n; i++)
            all &= outside_check_run(c->ones[i]->check);
        if (all)
            break;
        if (clock_monotonic() >= c->deadline)
            for (size_t i = 0; i < c->n; i++)
                outside_check_give_up(c->ones[i]->check);
        while (c->code == EXIT_OK && try_connections(c))
            ;
        while (c->code == EXIT_OK && ask_dns(c))
            ;
    }
    for (size_t i = 0; i < c->n && c->code == EXIT_OK; i++) {
        if (!c->rows->json)
            fprintf(c->rows->out, "%s%.*s\n", c->rows->count > 0 ? "\n" : "", STR_ARG(c->ones[i]->subject));
        for (size_t k = 0; k < outside_check_count(c->ones[i]->check); k++)
            print_result(c, outside_check_result(c->ones[i]->check, k), c->ones[i]->subject);
    }
}

static void forget_all(struct checking *c)
{
    for (size_t i = 0; i < c->n; i++) {
        outside_check_free(c->ones[i]->check);
        outside_gather_end(&c->ones[i]->gather);
        free(c->ones[i]);
    }
    c->n = 0;
}

static bool on_domain(void *owner, struct str json)
{
    struct buf *names = owner, kind;

    buf_init(&kind, 1000);
    if (json_read(json, "kind", &kind) && str_eq(buf_str(&kind), STR("local")) && json_read(json, "name", names))
        buf_add_char(names, '\n');
    buf_clear(&kind);
    return true;
}

static void check_domains(struct checking *c, struct str names)
{
    struct str name;

    c->code = add_one(c, STR(""), OUTSIDE_SERVER);
    while (c->code == EXIT_OK && str_next(&names, '\n', &name)) {
        if (name.n > 0)
            c->code = add_one(c, name, OUTSIDE_DOMAIN);
        if (c->n < TOGETHER || c->code != EXIT_OK)
            continue;
        run_all(c);
        forget_all(c);
        c->deadline = clock_monotonic() + c->config->check.time;
    }
    if (c->code == EXIT_OK)
        run_all(c);
    forget_all(c);
}

int check_command(const struct cli *cli, const struct verb_call *call, struct rows *rows)
{
    struct checking c = {.cli = cli, .rows = rows};
    struct buf names;
    int code;

    if (!cli_config(cli, &c.config, &code))
        return code;
    buf_init(&c.args, TEXT);
    outside_clock_read(&c.clock);
    c.running = remote_is_running(cli);
    c.deadline = clock_monotonic() + c.config->check.time;
    buf_init(&names, 16 << 20);
    buf_add(&names, call->words[0]);
    if (names.n == 0)
        code = remote_command(cli, "domain", (struct str){"list\0", 5}, on_domain, &names);
    if (code == EXIT_OK) {
        check_domains(&c, buf_str(&names));
        code = c.code;
    }
    if (code == EXIT_OK && !rows->json)
        fprintf(rows->out, "\n%zu ok, %zu warning%s, %zu error%s\n", c.counts[0], c.counts[1], c.counts[1] == 1 ? "" : "s", c.counts[2], c.counts[2] == 1 ? "" : "s");
    buf_clear(&names);
    buf_clear(&c.args);
    config_free(c.config);
    if (code == EXIT_OK && c.worst != OUTSIDE_OK)
        code = c.worst == OUTSIDE_ERROR ? ERROR_CODE : WARNING_CODE;
    return code;
}
