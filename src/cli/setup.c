/* staffetta setup: from nothing to a server that can be started.
 *
 * The configuration is written under another name first, the commands below work with that, and it gets its own name when all is
 * done. So whatever interrupts a setup, the next one begins anew and takes what is there: the certificate, the domain, its keys, the
 * account (which gets the new password). A finished one is never touched. */
#include "cli/setup.h"
#include "cli/remote.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 64 * 1024, CREATED_ALREADY = 73 };

static const struct verb_option setup_options[] = {{"domain", "NAME", NULL}, {"account", "ADDRESS", NULL}, {"address", "ADDRESS", NULL},
    {"certificate", "FILE", NULL}, {"key", "FILE", NULL}, {"folder", "FOLDER", NULL}, {"listen", "ADDRESS", NULL}, {"port-offset", "N", NULL}, {0}};

const struct verb setup_verbs[] = {
    {"", "HOSTNAME", 1, 1, setup_options,
        "writes the configuration, makes the keys, a certificate, the first domain and account, and prints the records to publish; asks for what no option says",
        LAYOUT_TABLE, VERB_OUTSIDE},
    {0}};

static bool ignore_row(void *owner, struct str json)
{
    (void)owner;
    (void)json;
    return true;
}

/* What stands where we would write. */
static int describe(const struct cli *cli, const struct setup_paths *p)
{
    struct cli there = *cli;
    struct config *config;
    int code;

    there.config_path = p->config;
    if (!cli_config(&there, &config, &code))
        return cli_fail(EXIT_CONFIG, "%s is there already, with the mistake above; nothing was changed", p->config);
    code = cli_fail(CREATED_ALREADY,
        "%s is there already, for %.*s with %zu listeners; nothing was changed.\n"
        "`staffetta domain add` and `staffetta account add` add to it, `staffetta dns DOMAIN` prints the records of a domain.",
        p->config, STR_ARG(config->hostname), config->listener_count);
    config_free(config);
    return code;
}

static int look_first(const struct cli *cli, const struct setup_answers *a, struct setup_paths *p)
{
    int code = setup_choose_paths(cli, a, p);

    if (code != EXIT_OK)
        return code;
    return access(p->config, F_OK) == 0 ? describe(cli, p) : EXIT_OK;
}

/* ---- the directory ---- */

/* A row of a list that has this value. */
struct wanted {
    const char *key;
    struct str value;
    bool found;
};

static bool look_for(void *owner, struct str json)
{
    struct wanted *w = owner;
    struct buf value;

    buf_init(&value, TEXT);
    w->found = w->found || (json_read(json, w->key, &value) && str_eq(buf_str(&value), w->value));
    buf_clear(&value);
    return true;
}

/* What an interrupted setup has made is taken as it is. */
static int exists(const struct cli *cli, const char *command, const char *key, struct str value, bool *found)
{
    struct wanted w = {.key = key, .value = value};
    struct buf args;
    int code;

    buf_init(&args, TEXT);
    buf_addf(&args, "list%c%.*s%c", 0, STR_ARG(value), 0);
    code = remote_command(cli, command, buf_str(&args), look_for, &w);
    buf_clear(&args);
    *found = w.found;
    return code;
}

/* verb, word and setting of a command; the latter may be a password and is wiped. */
static int run(const struct cli *cli, const char *command, const char *verb, struct str word, const char *setting, struct str value)
{
    struct buf args;
    int code;

    buf_init(&args, TEXT);
    buf_addf(&args, "%s%c%.*s%c", verb, 0, STR_ARG(word), 0);
    if (setting != NULL)
        buf_addf(&args, "%s%.*s%c", setting, STR_ARG(value), 0);
    code = remote_command(cli, command, buf_str(&args), ignore_row, NULL);
    if (args.p != NULL)
        explicit_bzero(args.p, args.n);
    buf_clear(&args);
    return code;
}

static int fill_directory(const struct cli *cli, const struct setup_answers *a)
{
    struct str password = secret_str(&a->password);
    struct buf abuse;
    bool found;
    int code = exists(cli, "domain", "name", a->domain, &found);

    if (code == EXIT_OK && !found)
        code = run(cli, "domain", "add", a->domain, NULL, STR(""));
    if (code == EXIT_OK)
        code = exists(cli, "account", "address", a->account, &found);
    if (code == EXIT_OK)
        code = run(cli, "account", found ? "set" : "add", a->account, "password=", password);
    buf_init(&abuse, TEXT);
    buf_addf(&abuse, "abuse@%.*s", STR_ARG(a->domain));
    if (code == EXIT_OK && !str_eq(buf_str(&abuse), a->account)) {
        code = exists(cli, "alias", "address", buf_str(&abuse), &found);
        if (code == EXIT_OK && !found)
            code = run(cli, "alias", "add", buf_str(&abuse), "", a->account);
    }
    buf_clear(&abuse);
    return code == EXIT_OK ? run(cli, "dkim", "make", a->domain, NULL, STR("")) : code;
}

/* ---- the end ---- */

static void say_what_was_done(const struct setup_answers *a, const struct setup_paths *p, bool made)
{
    bool standard = strcmp(p->config, CONFIG_FILE) == 0;

    fprintf(stderr, "\nWritten: %s\n", p->config);
    if (made)
        fprintf(stderr, "Made:    %s and its key, a certificate that nobody else has signed: other servers take it, mail programs ask.\n", p->chain);
    fprintf(stderr, "Made:    domain %.*s, account %.*s, keys that sign its mail\n\n", STR_ARG(a->domain), STR_ARG(a->account));
    fprintf(stderr, "Next: publish the records above, start the server, and see whether all is well:\n\n");
    if (standard)
        fprintf(stderr, "    systemctl enable --now staffetta\n    staffetta check\n");
    else
        fprintf(stderr, "    staffetta serve -c %s\n    staffetta check -c %s\n", p->config, p->config);
}

static int print_records(const struct cli *cli, const struct setup_answers *a, struct rows *rows)
{
    struct outside_gather *g = xcalloc(1, sizeof *g);
    struct config *config = NULL;
    int code = EXIT_OK;

    if (cli_config(cli, &config, &code)) {
        code = facts_of_domain(cli, config, a->domain, g);
        if (code == EXIT_OK) {
            code = dns_print(&g->facts, false, STR(""), rows);
            outside_gather_end(g);
        }
        config_free(config);
    }
    free(g);
    return code;
}

static int set_up(const struct cli *cli, const struct setup_answers *a, const struct setup_paths *p, struct rows *rows)
{
    struct cli unfinished = *cli;
    struct err err = {0};
    struct buf text;
    bool made, ok;
    int code;

    unfinished.config_path = p->unfinished;
    buf_init(&text, TEXT);
    setup_write_config(a, p, &text);
    ok = setup_make_files(a, p, &made, &err) && setup_write_file(p->unfinished, buf_str(&text), 0644, &err);
    buf_clear(&text);
    if (!ok)
        return cli_fail(err.kind == ERR_PERMANENT ? EXIT_DATA : EXIT_TEMPFAIL, "%s", err.text);
    if (remote_is_running(&unfinished))
        return cli_fail(EXIT_DATA, "a server runs already and listens in %s; stop it, or choose another --folder", p->run);
    code = fill_directory(&unfinished, a);
    if (code == EXIT_OK)
        code = print_records(&unfinished, a, rows);
    if (code == EXIT_OK && !setup_finish(p, &err))
        code = cli_fail(EXIT_TEMPFAIL, "%s", err.text);
    if (code == EXIT_OK)
        say_what_was_done(a, p, made);
    else
        cli_fail(code, "the setup did not come to its end; run it again: it goes on with what is there");
    return code;
}

int setup_command(const struct cli *cli, const struct verb_call *call, struct rows *rows)
{
    struct setup_paths *p = xcalloc(1, sizeof *p);
    struct setup_answers a;
    int code = setup_ask(call, &a);

    if (code == EXIT_OK)
        code = look_first(cli, &a, p);
    if (code == EXIT_OK && !secret_read(&a.password))
        code = EXIT_DATA;
    if (code == EXIT_OK)
        code = set_up(cli, &a, p, rows);
    setup_answers_clear(&a);
    free(p);
    return code;
}
