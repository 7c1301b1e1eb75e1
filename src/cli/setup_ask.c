/* The questions of `staffetta setup`. Each has an option; without a terminal nothing but the password is read. */
#include "cli/setup.h"
#include "cli/value.h"
#include "ipc/args.h"
#include "smtp/address.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MEMORY = 1 << 20, LINE = 1000, OWN_PORTS = 2000 };

static struct str keep(struct setup_answers *a, struct str text)
{
    struct str copy = arena_str(&a->arena, text);

    if (copy.p == NULL)
        fatal("setup: an answer is too long");
    return copy;
}

static bool has_terminal(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

/* A line of the terminal; empty: what is proposed. */
static struct str ask(struct setup_answers *a, const char *question, struct str proposed)
{
    char line[LINE];

    fprintf(stderr, "%s%s%.*s%s: ", question, proposed.n ? " [" : "", STR_ARG(proposed), proposed.n ? "]" : "");
    if (fgets(line, sizeof line, stdin) == NULL || str_trim(str_of(line)).n == 0)
        return proposed;
    return keep(a, str_trim(str_of(line)));
}

static bool canonical_domain(struct setup_answers *a, struct str *domain, struct err *err)
{
    struct buf out;
    const char *why = "it has no dot";
    bool ok;

    buf_init(&out, LINE);
    ok = domain_write(*domain, &out, &why) && str_find(buf_str(&out), '.') > 0 && domain_is_valid(buf_str(&out), false);
    if (ok)
        *domain = keep(a, buf_str(&out));
    else
        err_set(err, ERR_PERMANENT, "\"%.*s\" is no domain: %s", STR_ARG(*domain), why);
    buf_clear(&out);
    return ok;
}

/* The first domain is what is behind the host's first label, unless that is a top-level domain. */
static struct str parent_of(struct str hostname)
{
    struct str parent = str_skip(hostname, (size_t)str_find(hostname, '.') + 1);

    return str_find(parent, '.') > 0 ? parent : hostname;
}

static bool take_domain(struct setup_answers *a, struct str args, struct err *err)
{
    if (!args_option(args, "domain", &a->domain)) {
        a->domain = parent_of(a->hostname);
        if (has_terminal())
            a->domain = ask(a, "First domain to receive mail for", a->domain);
    }
    return canonical_domain(a, &a->domain, err);
}

static bool take_account(struct setup_answers *a, struct str args, struct err *err)
{
    struct buf out, address;
    const char *why = NULL;
    bool ok;

    if (!args_option(args, "account", &a->account))
        a->account = has_terminal() ? ask(a, "First account, such as ann", STR("")) : STR("");
    if (a->account.n == 0)
        return err_set(err, ERR_PERMANENT, "which account shall be made first? Say it with --account=ann@%.*s", STR_ARG(a->domain));
    buf_init(&address, LINE);
    buf_init(&out, LINE);
    buf_add(&address, a->account);
    if (str_find(a->account, '@') < 0)
        buf_addf(&address, "@%.*s", STR_ARG(a->domain));
    ok = address_canonical(buf_str(&address), ADDRESS_UTF8, &out, &why);
    if (!ok)
        err_set(err, ERR_PERMANENT, "\"%.*s\" is no mail address: %s", STR_ARG(a->account), why);
    else if (!str_ends(buf_str(&out), a->domain))
        ok = err_set(err, ERR_PERMANENT, "%.*s is not in %.*s, the domain that is made", STR_ARG(a->account), STR_ARG(a->domain));
    if (ok)
        a->account = keep(a, buf_str(&out));
    buf_clear(&address);
    buf_clear(&out);
    return ok;
}

static bool add_address(struct setup_answers *a, struct str text, struct err *err)
{
    struct ip ip;

    if (!ip_parse(text, &ip))
        return err_set(err, ERR_PERMANENT, "\"%.*s\" is no IP address", STR_ARG(text));
    if (a->address_count == OUTSIDE_ADDRESSES)
        return err_set(err, ERR_PERMANENT, "more than %d addresses", OUTSIDE_ADDRESSES);
    a->addresses[a->address_count++] = keep(a, text);
    return true;
}

static void found_addresses(struct buf *out)
{
    struct ip found[OUTSIDE_ADDRESSES];
    size_t n = machine_addresses(found, OUTSIDE_ADDRESSES);
    char text[IP_TEXT];

    for (size_t i = 0; i < n; i++) {
        ip_format(&found[i], text);
        buf_addf(out, "%s%s", i ? " " : "", text);
    }
}

static bool take_addresses(struct setup_answers *a, struct str args, struct err *err)
{
    struct str at = args, name, value, words, word;
    struct buf found;
    bool ok = true;

    while (ok && args_next_option(&at, &name, &value))
        if (str_eq(name, STR("address")))
            ok = add_address(a, value, err);
    if (!ok || a->address_count > 0)
        return ok;
    buf_init(&found, LINE);
    found_addresses(&found);
    words = buf_str(&found);
    if (has_terminal())
        words = ask(a, "Public addresses of this server", words);
    while (ok && str_next_word(&words, &word))
        ok = add_address(a, word, err);
    buf_clear(&found);
    if (ok && a->address_count == 0)
        return err_set(err, ERR_PERMANENT, "this machine has no public address; say with --address=ADDRESS which one others reach it by");
    return ok;
}

static bool take_certificate(struct setup_answers *a, struct str args, struct err *err)
{
    bool chain = args_option(args, "certificate", &a->chain), key = args_option(args, "key", &a->key);

    if (chain != key)
        return err_set(err, ERR_PERMANENT, "--certificate=FILE and --key=FILE go together");
    if (chain && (a->chain.n == 0 || a->chain.p[0] != '/' || a->key.n == 0 || a->key.p[0] != '/'))
        return err_set(err, ERR_PERMANENT, "--certificate and --key: expected absolute paths");
    return true;
}

static bool take_places(struct setup_answers *a, struct str args, struct err *err)
{
    struct str text;
    struct ip ip;
    uint64_t offset = geteuid() == 0 ? 0 : OWN_PORTS;

    if (args_option(args, "folder", &a->folder) && (a->folder.n < 2 || a->folder.p[0] != '/' || a->folder.n > 80 || !str_is_printable(a->folder) ||
        str_find(a->folder, '"') >= 0 || str_find(a->folder, '\\') >= 0))
        return err_set(err, ERR_PERMANENT, "--folder=%.*s: expected an absolute path of at most 80 bytes", STR_ARG(a->folder));
    if (args_option(args, "listen", &a->listen) && !ip_parse(a->listen, &ip))
        return err_set(err, ERR_PERMANENT, "--listen=%.*s: expected an IP address", STR_ARG(a->listen));
    if (args_option(args, "port_offset", &text) && !str_to_u64(text, 50000, &offset))
        return err_set(err, ERR_PERMANENT, "--port-offset=%.*s: expected a number up to 50000", STR_ARG(text));
    a->port_offset = (unsigned)offset;
    return true;
}

int setup_ask(const struct verb_call *call, struct setup_answers *a)
{
    struct str args = buf_str(&call->args);
    struct err err = {0};

    *a = (struct setup_answers){.hostname = call->words[0]};
    arena_init(&a->arena, MEMORY);
    if (canonical_domain(a, &a->hostname, &err) && take_places(a, args, &err) && take_certificate(a, args, &err) && take_domain(a, args, &err) &&
        take_account(a, args, &err) && take_addresses(a, args, &err))
        return EXIT_OK;
    return cli_fail(EXIT_DATA, "%s", err.text);
}

void setup_answers_clear(struct setup_answers *a)
{
    secret_clear(&a->password);
    arena_clear(&a->arena);
}
