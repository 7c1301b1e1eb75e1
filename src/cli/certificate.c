/* staffetta certificate: shows and renews the certificate of this server by ACME. Run every hour (packaging/staffetta-certificate.timer), it does
 * something only when something is due: a certificate that is missing, nobody else's signature on it, a name that it lacks, or less
 * than a third of its time left. docs/certificates.md. */
#include "cli/certificate.h"
#include "base/clock.h"
#include "base/folder.h"
#include "base/json.h"
#include "cli/remote.h"
#include "ipc/args.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY = 16 << 20, DROPPED_MAX = 5, CREATED_FAILED = 75 };

static const struct verb_option renew_options[] = {{"now", NULL, "now"}, {0}};

const struct verb certificate_verbs[] = {
    {"renew", "", 0, 0, renew_options,
        "asks the certificate authority for a certificate when one is due, and has the server take it; with --now also when none is due, or the "
        "last attempt failed only a while ago",
        LAYOUT_DETAILS, VERB_OUTSIDE},
    {"show", "", 0, 0, NULL, "the certificate in its file, the names it should have, and what is to be done about it", LAYOUT_DETAILS, VERB_OUTSIDE},
    {0}};

/* ---- what is wanted ---- */

static bool has_name(const struct renewal *r, struct str name)
{
    for (size_t i = 0; i < r->name_count; i++)
        if (str_ieq(r->names[i], name))
            return true;
    return false;
}

static void add_name(struct renewal *r, struct str name)
{
    struct str copy;

    if (r->name_count == RENEWAL_NAMES || has_name(r, name))
        return;
    copy = arena_str(&r->arena, name);
    if (copy.p != NULL)
        r->names[r->name_count++] = copy;
}

static void drop_name(struct renewal *r, struct str name)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->name_count; i++)
        if (!str_ieq(r->names[i], name))
            r->names[kept++] = r->names[i];
    r->name_count = kept;
}

static struct addrinfo *addresses_of(struct str name)
{
    struct addrinfo *all = NULL, hints = {.ai_socktype = SOCK_STREAM};
    char text[256];

    snprintf(text, sizeof text, "%.*s", STR_ARG(name));
    return getaddrinfo(text, NULL, &hints, &all) == 0 ? all : NULL;
}

/* A name that leads elsewhere would spoil the certificate of all the others. */
static bool leads_here(struct str name, const struct addrinfo *here)
{
    struct addrinfo *all = addresses_of(name);
    bool found = false;

    for (const struct addrinfo *a = all; a != NULL && !found; a = a->ai_next)
        for (const struct addrinfo *b = here; b != NULL && !found; b = b->ai_next)
            found = a->ai_addrlen == b->ai_addrlen && memcmp(a->ai_addr, b->ai_addr, a->ai_addrlen) == 0;
    if (all != NULL)
        freeaddrinfo(all);
    return found;
}

struct domains {
    struct renewal *r;
    const struct addrinfo *here;
};

static bool add_domain(void *owner, struct str json)
{
    static const char *const prefixes[] = {"mta-sts", "autoconfig", "autodiscover"};
    struct domains *d = owner;
    struct buf name, kind, full;

    buf_init(&name, 512);
    buf_init(&kind, 64);
    buf_init(&full, 512);
    if (json_read(json, "name", &name) && json_read(json, "kind", &kind) && str_eq(buf_str(&kind), STR("local")))
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && d->r->name_count < RENEWAL_NAMES; i++) {
            buf_reset(&full);
            buf_addf(&full, "%s.%.*s", prefixes[i], STR_ARG(buf_str(&name)));
            if (leads_here(buf_str(&full), d->here))
                add_name(d->r, buf_str(&full));
        }
    buf_clear(&name);
    buf_clear(&kind);
    buf_clear(&full);
    return true;
}

static int choose_names(struct renewal *r)
{
    struct domains d = {r, NULL};
    struct addrinfo *here;
    int code = EXIT_OK;

    add_name(r, r->config->hostname);
    for (size_t i = 0; i < r->config->acme.names.n; i++)
        add_name(r, r->config->acme.names.items[i]);
    if (!r->config->acme.domains)
        return EXIT_OK;
    here = addresses_of(r->config->hostname);
    d.here = here;
    if (here != NULL) {
        code = remote_command(r->cli, "domain", str_from("list", 5), add_domain, &d);
        freeaddrinfo(here);
    }
    return code;
}

/* Why a new certificate is needed; NULL: it is not. */
static const char *due(const struct renewal *r)
{
    if (!r->now.there)
        return "there is no certificate";
    if (r->now.self_signed)
        return "nobody else has signed it";
    if (clock_now() > r->now.not_after - (r->now.not_after - r->now.not_before) / 3)
        return "less than a third of its time is left";
    for (size_t i = 0; i < r->name_count; i++)
        if (!outside_certificate_covers(&r->now, r->names[i]))
            return "it lacks a name";
    return NULL;
}

/* ---- a renewal ---- */

static int renewal_open(const struct cli *cli, struct renewal *r)
{
    struct err err = {0};
    struct str pem;
    int code = EXIT_OK;

    r->cli = cli;
    arena_init(&r->arena, MEMORY);
    if (!cli_config(cli, &r->config, &code))
        return code;
    if (r->config->certificate_count == 0)
        return cli_fail(EXIT_CONFIG, "%s: no section certificate", cli->config_path);
    r->section = &r->config->certificates[0];
    for (size_t i = 0; i < r->config->certificate_count; i++)
        if (str_eq(r->config->certificates[i].name, r->config->acme.certificate))
            r->section = &r->config->certificates[i];
    snprintf(r->chain_path, sizeof r->chain_path, "%.*s", STR_ARG(r->section->chain));
    snprintf(r->key_path, sizeof r->key_path, "%.*s", STR_ARG(r->section->key));
    snprintf(r->folder, sizeof r->folder, "%.*s/acme", STR_ARG(r->config->data));
    if (renewal_read_file(r, r->chain_path, &pem, &err) && !outside_certificate_read(pem, &r->now, &err))
        r->now.there = false;
    return choose_names(r);
}

static void renewal_close(struct renewal *r)
{
    config_free(r->config);
    arena_clear(&r->arena);
    free(r);
}

/* Once more without a name that could not be shown to be ours, as long as it is not the one that matters. */
static bool get_chain(struct renewal *r, struct buf *chain, struct err *err)
{
    struct str account;
    char culprit[256];

    if (!renewal_key(r, err) || !renewal_account(r, &account, err))
        return false;
    for (int i = 0;; i++) {
        struct buf request;
        bool ok;

        *err = (struct err){0};
        buf_reset(chain);
        buf_init(&request, 64 * 1024);
        ok = renewal_request(r, &request, err) && renewal_fetch(r, account, buf_str(&request), chain, culprit, err);
        buf_clear(&request);
        if (ok || culprit[0] == '\0' || str_ieq(str_of(culprit), r->config->hostname) || i == DROPPED_MAX)
            return ok;
        cli_fail(EXIT_TEMPFAIL, "%s; going on without %s", err->text, culprit);
        drop_name(r, str_of(culprit));
    }
}

static void tell_server(const struct renewal *r, const char *trouble)
{
    struct buf args;

    buf_init(&args, 4096);
    buf_addf(&args, "note%ctext=%s%c", 0, trouble, 0);
    if (remote_is_running(r->cli))
        (void)remote_command(r->cli, "acme", buf_str(&args), rows_add, NULL);
    buf_clear(&args);
}

static void show_rows(const struct renewal *r, const char *reason, const struct renewal_state *state, struct rows *rows)
{
    struct buf row, names;

    buf_init(&row, 64 * 1024);
    buf_init(&names, 32 * 1024);
    for (size_t i = 0; i < r->name_count; i++)
        buf_addf(&names, "%s%.*s", i ? " " : "", STR_ARG(r->names[i]));
    json_open(&row);
    json_str(&row, "file", str_of(r->chain_path));
    json_str(&row, "names", buf_str(&names));
    if (r->now.there) {
        json_str(&row, "issuer", str_of(r->now.issuer));
        json_time(&row, "not_after", r->now.not_after);
        json_int(&row, "days_left", (r->now.not_after - clock_now()) / DAY);
    }
    json_str(&row, "due", str_of(reason));
    if (state->failures > 0) {
        json_str(&row, "failed", str_of(state->error));
        json_time(&row, "next_attempt", state->next);
    }
    json_close(&row);
    (void)rows_add(rows, buf_str(&row));
    buf_clear(&row);
    buf_clear(&names);
}

static int failed(struct renewal *r, struct renewal_state *state, const struct err *why)
{
    struct err err = {0};

    state->failures++;
    state->next = clock_now() + renewal_pause(state->failures);
    snprintf(state->error, sizeof state->error, "%s", why->text);
    if (!renewal_state_write(r, state, &err))
        cli_fail(CREATED_FAILED, "%s", err.text);
    tell_server(r, state->error);
    return cli_fail(EXIT_TEMPFAIL, "no certificate: %s; the next attempt is in %lld hours", why->text, (long long)(renewal_pause(state->failures) / HOUR));
}

static int renew(struct renewal *r, struct renewal_state *state, struct rows *rows)
{
    struct err err = {0};
    struct buf chain;
    bool ok;

    buf_init(&chain, 1 << 20);
    ok = get_chain(r, &chain, &err) && renewal_install(r, buf_str(&chain), &err) && renewal_reload(r, &err);
    buf_clear(&chain);
    if (!ok)
        return failed(r, state, &err);
    *state = (struct renewal_state){0};
    if (!renewal_state_write(r, state, &err))
        return cli_fail(EXIT_TEMPFAIL, "%s", err.text);
    tell_server(r, "");
    show_rows(r, "", state, rows);
    return EXIT_OK;
}

static int renew_if_due(struct renewal *r, bool at_once, struct rows *rows)
{
    struct renewal_state state;
    struct err err = {0};

    if (!r->config->acme.agree)
        return cli_fail(EXIT_CONFIG, "%s: acme { agree = true } is missing: nobody has agreed to the terms of the certificate authority", r->cli->config_path);
    if (!folder_make(r->folder, 0700, &err))
        return cli_fail(EXIT_TEMPFAIL, "%s", err.text);
    renewal_state_read(r, &state);
    if (!at_once && due(r) == NULL)
        return EXIT_OK;
    if (!at_once && state.next > clock_now() && state.next < clock_now() + renewal_pause(INT64_MAX)) {
        tell_server(r, state.error);
        return EXIT_OK;
    }
    return renew(r, &state, rows);
}

int certificate_command(const struct cli *cli, const struct verb_call *call, struct rows *rows)
{
    struct renewal *r = xcalloc(1, sizeof *r);
    struct renewal_state state;
    int code = renewal_open(cli, r);

    if (code == EXIT_OK && strcmp(call->verb->name, "show") == 0) {
        renewal_state_read(r, &state);
        show_rows(r, due(r) != NULL ? due(r) : "", &state, rows);
    } else if (code == EXIT_OK) {
        code = renew_if_due(r, args_has_word(buf_str(&call->args), "now"), rows);
    }
    renewal_close(r);
    return code;
}
