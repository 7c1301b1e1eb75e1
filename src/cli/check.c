/* staffetta check: everything others see of the server and its domains, judged. The judging is lib/outside; here the questions are
 * put: to resolver and relay of the running server, or to a resolver of our own when none runs. */
#include "cli/outside.h"
#include "cli/remote.h"
#include "cli/value.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "dns/text.h"
#include "outside/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Domains are checked side by side, so many at a time. */
enum { TOGETHER = 40, BATCH = 150, TEXT = 256 * 1024, VALUE = 128 * 1024, WARNING_CODE = 1, ERROR_CODE = 2 };

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
    struct rows *rows;
    enum outside_level worst;
    size_t counts[3];
    int code;
};

static void value_of(struct str json, const char *key, struct buf *out)
{
    buf_reset(out);
    (void)json_read(json, key, out);
}

static uint64_t number_of(struct str json, const char *key)
{
    struct buf text;
    uint64_t n = 0;

    buf_init(&text, 100);
    value_of(json, key, &text);
    if (!str_to_u64(buf_str(&text), 1000000, &n))
        n = 0;
    buf_clear(&text);
    return n;
}

/* ---- DNS ---- */

/* The questions of one command. */
struct batch {
    struct {
        struct outside_check *check;
        struct outside_question *question;
    } items[BATCH];
    size_t n;
    struct buf args;
};

static bool add_questions(struct batch *b, struct outside_check *check)
{
    struct outside_question *q;

    while (b->n < BATCH && (q = outside_check_next_question(check)) != NULL) {
        buf_addf(&b->args, "%.*s/", STR_ARG(q->name));
        dns_type_write(q->type, &b->args);
        buf_add_char(&b->args, 0);
        b->items[b->n].check = check;
        b->items[b->n++].question = q;
    }
    return b->n > 0;
}

static enum dns_status status_of(struct str word)
{
    static const char *const words[] = {[DNS_OK] = "ok", [DNS_NXDOMAIN] = "nxdomain", [DNS_NODATA] = "nodata", [DNS_SERVFAIL] = "servfail",
        [DNS_TIMEOUT] = "timeout", [DNS_BOGUS] = "bogus"};

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (str_eq(word, str_of(words[i])))
            return (enum dns_status)i;
    return DNS_SERVFAIL;
}

static void give_answer(struct batch *b, struct str name, unsigned type, enum dns_status status, bool secure, struct str records)
{
    for (size_t i = 0; i < b->n; i++) {
        struct outside_question *q = b->items[i].question;

        if (!q->answered && q->type == type && str_ieq(q->name, name))
            outside_check_answer(b->items[i].check, q, status, secure, records);
    }
}

static bool on_lookup(void *owner, struct str json)
{
    struct buf name, type, status, secure, packed, records;
    unsigned number;

    buf_init(&name, VALUE);
    buf_init(&type, VALUE);
    buf_init(&status, VALUE);
    buf_init(&secure, VALUE);
    buf_init(&packed, 2 * VALUE);
    buf_init(&records, VALUE);
    value_of(json, "name", &name);
    value_of(json, "type", &type);
    value_of(json, "status", &status);
    value_of(json, "secure", &secure);
    value_of(json, "packed", &packed);
    if (dns_type_read(buf_str(&type), &number) && base64_decode(&records, buf_str(&packed)))
        give_answer(owner, buf_str(&name), number, status_of(buf_str(&status)), str_eq(buf_str(&secure), STR("true")), buf_str(&records));
    buf_clear(&name);
    buf_clear(&type);
    buf_clear(&status);
    buf_clear(&secure);
    buf_clear(&packed);
    buf_clear(&records);
    return true;
}

/* One command for all that is open; false: nothing was. */
static bool ask_dns(struct checking *c)
{
    struct batch *b = xcalloc(1, sizeof *b);
    int64_t left = (c->deadline - clock_monotonic()) / SECOND;
    bool any = false;

    buf_init(&b->args, TEXT);
    for (size_t i = 0; i < c->n; i++)
        any |= add_questions(b, c->ones[i]->check);
    if (any && left > 0) {
        buf_addf(&b->args, "packed=yes%cwithin=%" PRId64 "%c", 0, left > 60 ? 60 : left, 0);
        c->code = remote_command(c->cli, "lookup", buf_str(&b->args), on_lookup, b);
    }
    for (size_t i = 0; i < b->n; i++)
        if (!b->items[i].question->answered)
            outside_check_answer(b->items[i].check, b->items[i].question, DNS_TIMEOUT, false, STR(""));
    buf_clear(&b->args);
    free(b);
    return any;
}

/* ---- connections ---- */

struct trial {
    struct outside_check *check;
    struct outside_probe *probes[OUTSIDE_PROBES];
    size_t n;
};

static bool on_probe(void *owner, struct str json)
{
    struct trial *t = owner;
    struct buf address, rcpt, connected, text;
    struct ip ip;

    buf_init(&address, VALUE);
    buf_init(&rcpt, VALUE);
    buf_init(&connected, VALUE);
    buf_init(&text, VALUE);
    value_of(json, "address", &address);
    value_of(json, "recipient", &rcpt);
    value_of(json, "connected", &connected);
    value_of(json, "text", &text);
    for (size_t i = 0; ip_parse(buf_str(&address), &ip) && i < t->n; i++) {
        struct outside_probe *p = t->probes[i];
        struct outside_probe answer = {.tried = true, .connected = str_eq(buf_str(&connected), STR("true")), .text = buf_str(&text),
            .greeting = (unsigned)number_of(json, "greeting"), .rcpt_code = (unsigned)number_of(json, "recipient_code")};

        if (!p->answered && ip_equal(&p->ip, &ip) && p->port == number_of(json, "port") && str_eq(p->rcpt, buf_str(&rcpt)))
            outside_check_probed(t->check, p, &answer);
    }
    buf_clear(&address);
    buf_clear(&rcpt);
    buf_clear(&connected);
    buf_clear(&text);
    return true;
}

static bool try_connections(struct checking *c, struct outside_check *check)
{
    struct trial t = {.check = check};
    struct buf args;
    char ip[IP_TEXT];

    buf_init(&args, TEXT);
    while (t.n < OUTSIDE_PROBES && (t.probes[t.n] = outside_check_next_probe(check)) != NULL) {
        ip_format(&t.probes[t.n]->ip, ip);
        buf_addf(&args, "%s,%u,%.*s%c", ip, t.probes[t.n]->port, STR_ARG(t.probes[t.n]->rcpt), 0);
        t.n++;
    }
    if (t.n > 0 && c->running)
        c->code = remote_command(c->cli, "probe", buf_str(&args), on_probe, &t);
    for (size_t i = 0; i < t.n; i++)
        if (!t.probes[i]->answered)
            outside_check_probed(check, t.probes[i], &(struct outside_probe){.text = c->running ? STR("no answer") : STR("the server does not run")});
    buf_clear(&args);
    return t.n > 0;
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
        for (size_t i = 0; i < c->n; i++)
            (void)try_connections(c, c->ones[i]->check);
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
    value_of(json, "kind", &kind);
    if (str_eq(buf_str(&kind), STR("local"))) {
        value_of(json, "name", &kind);
        buf_add(names, buf_str(&kind));
        buf_add_char(names, '\n');
    }
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
    config_free(c.config);
    if (code == EXIT_OK && c.worst != OUTSIDE_OK)
        code = c.worst == OUTSIDE_ERROR ? ERROR_CODE : WARNING_CODE;
    return code;
}
