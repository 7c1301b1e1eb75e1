#include "gather.h"
#include "base/json.h"
#include "tlspolicy/sts_own.h"

#include <stdlib.h>

enum { MEMORY = 1 << 20, VALUE = 16384 };

static struct str keep(struct outside_gather *g, struct str text)
{
    struct str copy = arena_str(&g->arena, text);

    if (copy.p == NULL)
        g->full = true;
    return copy.p != NULL ? copy : STR("");
}

static struct str keep_value(struct outside_gather *g, struct str json, const char *key)
{
    struct buf value;
    struct str copy = STR("");

    buf_init(&value, VALUE);
    if (json_read(json, key, &value))
        copy = keep(g, buf_str(&value));
    buf_clear(&value);
    return copy;
}

static bool knows(const struct outside_facts *f, const struct ip *ip)
{
    for (size_t i = 0; i < f->address_count; i++)
        if (ip_equal(&f->addresses[i], ip))
            return true;
    return false;
}

void outside_gather_address(struct outside_gather *g, const struct ip *ip)
{
    if (knows(&g->facts, ip))
        return;
    if (g->facts.address_count < OUTSIDE_ADDRESSES)
        g->facts.addresses[g->facts.address_count++] = *ip;
    else
        g->full = true;
}

/* What is handed out over HTTPS: the MTA-STS policy of the domain, and settings for mail programs. */
static void gather_web(struct outside_gather *g)
{
    const struct config *config = g->facts.config;
    char id[STS_ID_MAX + 1];
    struct sts_own own;
    struct buf text;

    for (size_t i = 0; i < config->listener_count; i++)
        g->facts.web = g->facts.web || str_eq(config->listeners[i].service, STR("https"));
    if (!g->facts.web || g->facts.domain.n == 0)
        return;
    own = sts_own_of(config, g->facts.domain);
    if (own.mode == STS_NONE)
        return;
    buf_init(&text, STS_POLICY_MAX);
    sts_own_write(&own, &text);
    sts_own_id(buf_str(&text), id);
    g->facts.sts_id = keep(g, str_of(id));
    buf_clear(&text);
}

/* The address of `auth.reports_to` in this domain (of another one it would have to be let, RFC 9990), else its postmaster. */
static void gather_report_address(struct outside_gather *g)
{
    const struct str_list *list = &g->facts.config->auth.reports_to;
    struct buf text;

    buf_init(&text, 1000);
    buf_addf(&text, "postmaster@%.*s", STR_ARG(g->facts.domain));
    for (size_t i = list->n; i-- > 0;) {
        ptrdiff_t at = str_rfind(list->items[i], '@');

        if (at < 0 || !str_ieq(str_skip(list->items[i], (size_t)at + 1), g->facts.domain))
            continue;
        buf_reset(&text);
        buf_add(&text, list->items[i]);
    }
    g->facts.report_to = keep(g, buf_str(&text));
    buf_clear(&text);
}

void outside_gather_begin(struct outside_gather *g, const struct config *config, struct str domain)
{
    struct ip ip;

    *g = (struct outside_gather){.facts = {.config = config, .hostname = config->hostname}};
    arena_init(&g->arena, MEMORY);
    g->facts.domain = keep(g, domain);
    for (size_t i = 0; i < config->check.addresses.n; i++)
        if (ip_parse(config->check.addresses.items[i], &ip))
            outside_gather_address(g, &ip);
    gather_report_address(g);
    gather_web(g);
}

void outside_gather_end(struct outside_gather *g)
{
    arena_clear(&g->arena);
}

void outside_gather_key(struct outside_gather *g, struct str json)
{
    struct str state = keep_value(g, json, "state");

    if (str_eq(state, STR("revoked")) || str_eq(state, STR("expired")))
        return;
    if (g->facts.key_count == OUTSIDE_KEYS) {
        g->full = true;
        return;
    }
    g->facts.keys[g->facts.key_count++] = (struct outside_key){keep_value(g, json, "name"), keep_value(g, json, "record"), state};
}

void outside_gather_pool(struct outside_gather *g, struct str json)
{
    struct outside_sender sender = {.helo = keep_value(g, json, "ehlo")};

    if (!ip_parse(keep_value(g, json, "address"), &sender.ip) || knows(&g->facts, &sender.ip))
        return;
    for (size_t i = 0; i < g->facts.sender_count; i++)
        if (ip_equal(&g->facts.senders[i].ip, &sender.ip))
            return;
    if (sender.helo.n == 0)
        sender.helo = g->facts.hostname;
    if (g->facts.sender_count < OUTSIDE_SENDERS)
        g->facts.senders[g->facts.sender_count++] = sender;
    else
        g->full = true;
}

bool outside_gather_certificate(struct outside_gather *g, struct str pem, struct err *err)
{
    struct outside_facts *f = &g->facts;
    struct outside_certificate *c = xcalloc(1, sizeof *c);
    struct buf name;
    bool read = outside_certificate_read(pem, c, err);

    buf_init(&name, 1000);
    buf_addf(&name, "mta-sts.%.*s", STR_ARG(f->domain));
    f->sts_covered = f->sts_covered || (read && outside_certificate_covers(c, buf_str(&name)));
    buf_clear(&name);
    if (read && (!f->certificate.there ||
        (!outside_certificate_covers(&f->certificate, f->hostname) && outside_certificate_covers(c, f->hostname)))) {
        f->certificate = *c;
        f->chain_count = outside_certificate_chain(pem, &g->arena, f->chain, OUTSIDE_CHAIN);
    }
    free(c);
    return read;
}
