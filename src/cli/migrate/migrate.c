/* The words of `mailbox import` and `export`, and what both say. See migrate.h. */
#include "cli/migrate/migrate.h"
#include "cli/migrate/url.h"
#include "cli/usage.h"
#include "cli/value.h"
#include "base/json.h"
#include "ipc/args.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static bool progress_shown;

static void clear_progress(void)
{
    if (progress_shown)
        fputs("\r\033[K", stderr);
    progress_shown = false;
}

void migrate_progress(const char *format, ...)
{
    static time_t last;
    time_t now = time(NULL);
    va_list args;

    if (format == NULL)
        clear_progress();
    if (format == NULL || now == last || isatty(STDERR_FILENO) != 1)
        return;
    last = now;
    clear_progress();
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
    progress_shown = true;
}

void migrate_complain(const char *format, ...)
{
    va_list args;
    char line[2000];
    struct buf clean;

    clear_progress();
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_init(&clean, 16 * 1024);
    value_add_clean(&clean, str_of(line));
    fprintf(stderr, "staffetta: %.*s\n", STR_ARG(buf_str(&clean)));
    buf_clear(&clean);
}

void migrate_row(struct migration *m, struct str folder, const char *what, const struct tally *t)
{
    struct buf row;

    buf_init(&row, 16 * 1024);
    json_open(&row);
    json_str(&row, "folder", folder);
    json_int(&row, what, (int64_t)t->done);
    json_int(&row, "present", (int64_t)t->present);
    json_int(&row, "failed", (int64_t)t->failed);
    json_close(&row);
    rows_add(m->rows, buf_str(&row));
    buf_clear(&row);
}

int migrate_code(const struct err *err)
{
    switch (err->kind) {
    case ERR_PERMANENT: return EX_NOINPUT;
    case ERR_DAMAGED: return EXIT_DATA;
    case ERR_NONE:
    case ERR_TEMPORARY:
    case ERR_LIMIT: break;
    }
    return EXIT_TEMPFAIL;
}

/* ---- words ---- */

static struct str option(const struct verb_call *call, const char *name)
{
    struct str value = {0};

    args_option(buf_str(&call->args), name, &value);
    return value;
}

static const char *kinds_of(const struct verb *verb)
{
    return strcmp(verb->name, "import") == 0 ? "maildir mbox imap" : "maildir mbox";
}

static bool kind_is_known(const struct verb *verb, struct str kind)
{
    struct str kinds = str_of(kinds_of(verb)), one;

    while (str_next_word(&kinds, &one))
        if (str_eq(one, kind))
            return true;
    return false;
}

int migrate_run(const struct cli *cli, const struct verb_call *call, struct rows *rows)
{
    struct migration m = {.cli = cli, .rows = rows, .address = call->words[0], .kind = call->words[1], .place = call->words[2]};
    struct server_url url;
    struct err err = {0};
    int code;

    m.folder = option(call, "folder");
    m.password_file = option(call, "password_file");
    m.ca = option(call, "ca");
    m.tls = option(call, "tls");
    m.dry_run = args_has_word(buf_str(&call->args), "dry_run");
    if (!kind_is_known(call->verb, m.kind))
        return cli_fail(EXIT_USAGE, "%s %.*s? It is one of: %s", call->verb->name, STR_ARG(m.kind), kinds_of(call->verb));
    if (str_eq(m.kind, STR("imap")) && !server_url_parse(m.place, m.tls, &url, &err))
        return cli_fail(EXIT_USAGE, "%s", err.text);
    code = usage_account_number(cli, m.address, &m.account);
    if (code != EXIT_OK)
        return code;
    return strcmp(call->verb->name, "import") == 0 ? import_run(&m) : export_run(&m);
}
