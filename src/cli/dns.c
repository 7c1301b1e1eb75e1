/* staffetta dns: every record of DNS to publish for a domain. */
#include "cli/outside.h"
#include "cli/remote.h"
#include "base/clock.h"
#include "base/json.h"
#include "dns/text.h"
#include "ipc/args.h"
#include "outside/zone.h"
#include "smtp/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN = 1 << 20, TEXT = 1 << 20, ROW = 64 * 1024, NOHOST = 68 };

static const struct verb_option dns_options[] = {{"table", NULL, "table"}, {"name-server", "NAME", NULL}, {0}};

const struct verb dns_verbs[] = {
    {"", "DOMAIN", 1, 1, dns_options,
        "prints every record to publish for a domain, as lines of a zone file; with --name-server a whole zone, with --table a table that says what each is for",
        LAYOUT_TABLE, VERB_OUTSIDE},
    {0}};

static int read_file(struct str path, struct buf *text)
{
    char name[4096], *room;
    size_t n;
    FILE *f;

    snprintf(name, sizeof name, "%.*s", STR_ARG(path));
    f = fopen(name, "re");
    if (f == NULL)
        return cli_fail(EXIT_CONFIG, "%s: %s", name, strerror(errno));
    while ((room = buf_reserve(text, 4096)) != NULL && (n = fread(room, 1, 4096, f)) > 0)
        text->n += n;
    fclose(f);
    return text->failed ? cli_fail(EXIT_CONFIG, "%s: too long for a certificate", name) : EXIT_OK;
}

static int take_certificates(struct outside_gather *g)
{
    const struct config *config = g->facts.config;
    struct err err = {0};
    int code = EXIT_OK;

    for (size_t i = 0; code == EXIT_OK && i < config->certificate_count; i++) {
        struct buf pem;

        buf_init(&pem, CHAIN);
        code = read_file(config->certificates[i].chain, &pem);
        if (code == EXIT_OK && !outside_gather_certificate(g, buf_str(&pem), &err))
            code = cli_fail(EXIT_CONFIG, "certificate \"%.*s\": %s", STR_ARG(config->certificates[i].name), err.text);
        buf_clear(&pem);
    }
    return code;
}

static bool on_key(void *owner, struct str json)
{
    outside_gather_key(owner, json);
    return true;
}

static bool on_pool(void *owner, struct str json)
{
    outside_gather_pool(owner, json);
    return true;
}

static bool on_domain(void *owner, struct str json)
{
    struct buf kind;

    buf_init(&kind, 100);
    *(bool *)owner = json_read(json, "kind", &kind) && str_eq(buf_str(&kind), STR("local"));
    buf_clear(&kind);
    return true;
}

static int ask(const struct cli *cli, const char *command, const char *verb, struct str word, remote_row_fn *row, void *owner)
{
    struct buf args;
    int code;

    buf_init(&args, 1000);
    buf_addf(&args, "%s%c", verb, 0);
    if (word.n > 0)
        buf_addf(&args, "%.*s%c", STR_ARG(word), 0);
    code = remote_command(cli, command, buf_str(&args), row, owner);
    buf_clear(&args);
    return code;
}

static int take_directory(const struct cli *cli, struct str domain, struct outside_gather *g)
{
    bool is_local = false;
    int code = EXIT_OK;

    if (domain.n > 0)
        code = ask(cli, "domain", "show", domain, on_domain, &is_local);
    if (code == EXIT_OK && domain.n > 0 && !is_local)
        code = cli_fail(EXIT_DATA, "%.*s is not a local domain here: whoever has its mailboxes publishes its records", STR_ARG(domain));
    if (code == EXIT_OK && domain.n > 0)
        code = ask(cli, "dkim", "show", domain, on_key, g);
    if (code == EXIT_NOUSER) /* it says so itself: no keys yet */
        code = EXIT_OK;
    return code == EXIT_OK ? ask(cli, "pool", "list", STR(""), on_pool, g) : code;
}

int facts_of_domain(const struct cli *cli, const struct config *config, struct str domain, struct outside_gather *g)
{
    struct buf name;
    const char *why = "";
    int code = EXIT_OK;

    buf_init(&name, 1000);
    if (domain.n > 0 && !domain_write(domain, &name, &why))
        code = cli_fail(EXIT_DATA, "%.*s is no domain: %s", STR_ARG(domain), why);
    outside_gather_begin(g, config, buf_str(&name));
    buf_clear(&name);
    if (code == EXIT_OK)
        code = take_certificates(g);
    if (code == EXIT_OK)
        code = take_directory(cli, g->facts.domain, g);
    if (code == EXIT_OK && g->full)
        code = cli_fail(EXIT_DATA, "there are more addresses or keys than the records can hold");
    if (code != EXIT_OK)
        outside_gather_end(g);
    return code;
}

static void print_rows(const struct outside_records *r, struct rows *rows)
{
    struct buf row, type;

    buf_init(&row, ROW);
    buf_init(&type, 100);
    for (size_t i = 0; i < r->n; i++) {
        const struct outside_record *record = &r->items[i];

        buf_reset(&row);
        buf_reset(&type);
        dns_type_write(record->type, &type);
        json_open(&row);
        json_str(&row, "for", str_of(outside_kind_name(record->kind)));
        json_str(&row, "name", record->name);
        json_str(&row, "type", buf_str(&type));
        json_str(&row, "data", record->data);
        json_bool(&row, "other_zone", record->elsewhere);
        json_str(&row, "why", str_of(outside_kind_why(record->kind)));
        json_close(&row);
        rows_add(rows, buf_str(&row));
    }
    buf_clear(&row);
    buf_clear(&type);
}

int dns_print(const struct outside_facts *facts, bool table, struct str name_server, struct rows *rows)
{
    struct outside_records *records = xcalloc(1, sizeof *records);
    struct buf text;
    int code = EXIT_OK;

    buf_init(&text, TEXT);
    if (!outside_records_make(records, facts)) {
        code = cli_fail(EXIT_DATA, "there are too many records");
    } else if (table || rows->json) {
        print_rows(records, rows);
    } else {
        outside_zone_write(records, facts->domain, name_server, clock_now(), &text);
        fwrite(text.p, 1, text.n, rows->out);
        rows->count = records->n;
    }
    buf_clear(&text);
    outside_records_clear(records);
    free(records);
    return code;
}

int dns_command(const struct cli *cli, const struct verb_call *call, struct rows *rows)
{
    struct str args = buf_str(&call->args), server = STR("");
    struct outside_gather *g = xcalloc(1, sizeof *g);
    struct config *config;
    struct buf name;
    const char *why;
    int code;

    buf_init(&name, 1000);
    if (args_option(args, "name_server", &server) && !domain_write(server, &name, &why)) {
        code = cli_fail(EXIT_DATA, "--name-server=%.*s: %s", STR_ARG(server), why);
    } else if (cli_config(cli, &config, &code)) {
        code = facts_of_domain(cli, config, call->words[0], g);
        if (code == EXIT_OK) {
            code = dns_print(&g->facts, args_has_word(args, "table"), buf_str(&name), rows);
            outside_gather_end(g);
        }
        config_free(config);
    }
    buf_clear(&name);
    free(g);
    return code;
}
