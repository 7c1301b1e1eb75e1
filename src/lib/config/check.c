/* What the directives must keep among each other, and what follows from them. */
#include "config/reading.h"
#include "config/value.h"

#include <string.h>
#include <unistd.h>

static const struct {
    enum service service;
    int64_t port, tls_port;
} ports[] = {{SERVICE_MX, 25, 465}, {SERVICE_SUBMISSION, 587, 465}, {SERVICE_LMTP, 24, 24},
    {SERVICE_IMAP, 143, 993}, {SERVICE_POP3, 110, 995}, {SERVICE_HTTPS, 443, 443}, {SERVICE_HTTP, 80, 80}, {SERVICE_METRICS, 9225, 9225}};

bool network_list_holds(const struct network_list *list, const struct ip *ip)
{
    for (size_t i = 0; i < list->n; i++)
        if (network_holds(&list->items[i], ip))
            return true;
    return false;
}

bool config_exempts(const struct config *config, const struct ip *ip)
{
    return ip_is_loopback(ip) || network_list_holds(&config->relay_nets, ip);
}

bool config_lets_share(const struct config *config, struct str owner, struct str other)
{
    ptrdiff_t of_owner = str_rfind(owner, '@'), of_other = str_rfind(other, '@');

    if (config->sharing_mode == SHARING_NONE || of_owner <= 0 || of_other <= 0)
        return false;
    return config->sharing_mode != SHARING_DOMAIN || str_ieq(str_skip(owner, (size_t)of_owner), str_skip(other, (size_t)of_other));
}

static void networks(struct reading *r, struct network_list *out, struct str_list texts)
{
    out->n = texts.n;
    out->items = reading_alloc(r, texts.n, sizeof *out->items);
    for (size_t i = 0; i < texts.n && out->items != NULL; i++)
        if (!network_parse(texts.items[i], &out->items[i]))
            fatal("config: an unchecked network");
}

/* Of one list two: members that are networks, and members that are domains. */
static void split_exempt(struct reading *r)
{
    struct config *c = r->config;
    struct str_list nets = {reading_alloc(r, c->auth.exempt.n, sizeof *nets.items), 0};
    struct str_list domains = {reading_alloc(r, c->auth.exempt.n, sizeof *domains.items), 0};

    for (size_t i = 0; i < c->auth.exempt.n && nets.items != NULL && domains.items != NULL; i++) {
        struct str_list *to = value_is_network(c->auth.exempt.items[i]) ? &nets : &domains;

        to->items[to->n++] = c->auth.exempt.items[i];
    }
    networks(r, &c->exempt_nets, nets);
    c->exempt_domains = domains;
}

static bool check_hostname(struct reading *r)
{
    char name[256] = "";

    if (r->config->hostname.n)
        return true;
    if (gethostname(name, sizeof name - 1) != 0 || !value_is_hostname(str_of(name)))
        return reading_fail(r, 1,
            "no hostname, and the system's own (\"%s\") will not do: expected hostname = \"mail.example.org\"", name);
    r->config->hostname = arena_str(&r->config->arena, str_of(name));
    return true;
}

static cfg_t *listen_section(struct reading *r, size_t i)
{
    return cfg_getnsec(r->root, "listen", (unsigned)i);
}

/* Services that leave no choice of TLS. */
static bool derive_tls(struct reading *r, struct config_listen *l, cfg_t *cfg, enum listen_tls only, const char *name)
{
    if (reading_given(cfg, "tls") && l->tls_mode != only)
        return reading_fail(
            r, reading_line(cfg, "tls"), "tls of a listener with service %.*s: expected %s", STR_ARG(l->service), name);
    l->tls_mode = only;
    l->tls = str_of(name);
    return true;
}

/* Metrics are for this machine, unless the file says otherwise, and plain. */
static bool derive_metrics(struct reading *r, struct config_listen *l, cfg_t *cfg)
{
    static const char *const loopback[] = {"127.0.0.1", "::1"};

    if (!derive_tls(r, l, cfg, LISTEN_TLS_NONE, "none"))
        return false;
    if (reading_given(cfg, "address"))
        return true;
    l->address.n = 2;
    for (size_t i = 0; i < 2; i++)
        l->address.items[i] = str_of(loopback[i]);
    return true;
}

static bool derive_listener(struct reading *r, struct config_listen *l, cfg_t *cfg)
{
    if (l->name.n == 0)
        return reading_fail(r, cfg->line, "section listen has an empty name: expected listen \"name\" { directives }");
    if (l->service.n == 0)
        return reading_fail(r, cfg->line,
            "listener \"%.*s\" has no service: expected mx, submission, lmtp, imap, pop3, https, http or metrics",
            STR_ARG(l->name));
    if (l->address.n == 0)
        return reading_fail(r, cfg->line, "listener \"%.*s\" has no address: expected at least one", STR_ARG(l->name));
    l->service_id = value_service(l->service);
    if (!value_tls(l->tls, &l->tls_mode))
        fatal("config: an unchecked tls mode");
    if (l->service_id == SERVICE_METRICS && !derive_metrics(r, l, cfg))
        return false;
    if (l->service_id == SERVICE_HTTPS && !derive_tls(r, l, cfg, LISTEN_TLS_IMPLICIT, "implicit"))
        return false;
    if (l->service_id == SERVICE_HTTP && !derive_tls(r, l, cfg, LISTEN_TLS_NONE, "none"))
        return false;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        if (l->port == 0 && ports[i].service == l->service_id)
            l->port = l->tls_mode == LISTEN_TLS_IMPLICIT ? ports[i].tls_port : ports[i].port;
    networks(r, &l->proxies, l->proxy_from);
    networks(r, &l->xclients, l->xclient_from);
    if (l->tls_mode == LISTEN_TLS_IMPLICIT && r->config->certificate_count == 0)
        return reading_fail(r, reading_line(cfg, "tls"),
            "listener \"%.*s\" has implicit TLS, but there is no certificate: expected "
            "certificate \"name\" { chain = ... key = ... }",
            STR_ARG(l->name));
    return !r->failed;
}

static bool is_any(const struct ip *ip)
{
    static const uint8_t zeros[16];

    return memcmp(ip->bytes, zeros, ip->family == 4 ? 4 : 16) == 0;
}

/* Would the two be refused by the kernel? 0.0.0.0 takes the port of every IPv4 address. */
static bool collide(struct str a, struct str b)
{
    struct ip x, y;

    if (!ip_parse(a, &x) || !ip_parse(b, &y) || x.family != y.family)
        return false;
    return ip_equal(&x, &y) || is_any(&x) || is_any(&y);
}

/* Does address k of listener i collide with one before it? */
static bool check_address(struct reading *r, size_t i, size_t k)
{
    const struct config_listen *l = &r->config->listeners[i];

    for (size_t j = 0; j <= i; j++) {
        const struct config_listen *other = &r->config->listeners[j];

        for (size_t m = 0; m < (j == i ? k : other->address.n); m++) {
            if (other->systemd.n || other->port != l->port || !collide(other->address.items[m], l->address.items[k]))
                continue;
            return reading_fail(r, reading_line(listen_section(r, i), "address"),
                "listener \"%.*s\": %.*s port %d is taken by listener \"%.*s\": expected another address or port",
                STR_ARG(l->name), STR_ARG(l->address.items[k]), (int)l->port, STR_ARG(other->name));
        }
    }
    return true;
}

static bool check_listeners(struct reading *r)
{
    for (size_t i = 0; i < r->config->listener_count; i++) {
        struct config_listen *l = &r->config->listeners[i];

        if (!derive_listener(r, l, listen_section(r, i)))
            return false;
        for (size_t k = 0; k < l->address.n && l->systemd.n == 0; k++)
            if (!check_address(r, i, k))
                return false;
    }
    return true;
}

static bool check_certificates(struct reading *r)
{
    for (size_t i = 0; i < r->config->certificate_count; i++) {
        const struct config_certificate *c = &r->config->certificates[i];
        cfg_t *cfg = cfg_getnsec(r->root, "certificate", (unsigned)i);

        if (c->chain.n == 0 || c->key.n == 0)
            return reading_fail(r, cfg->line, "certificate \"%.*s\" has no %s: expected the path of a PEM file",
                STR_ARG(c->name), c->chain.n == 0 ? "chain" : "key");
    }
    return true;
}

static bool check_acme(struct reading *r)
{
    const struct config *c = r->config;
    bool found = c->acme.certificate.n == 0 && c->certificate_count > 0;

    for (size_t i = 0; i < c->certificate_count; i++)
        found = found || str_eq(c->certificates[i].name, c->acme.certificate);
    if (!c->acme.agree || found)
        return true;
    return reading_fail(r, reading_line(cfg_getsec(r->root, "acme"), "certificate"),
        "acme has no certificate to renew: expected certificate \"%.*s\" { chain = ... key = ... }", STR_ARG(c->acme.certificate.n ? c->acme.certificate : STR("main")));
}

static bool check_mta_sts(struct reading *r)
{
    for (size_t i = 0; i < r->config->mta_sts_count; i++)
        if (!value_is_hostname(r->config->mta_sts[i].name))
            return reading_fail(r, cfg_getnsec(r->root, "mta_sts", (unsigned)i)->line,
                "section mta_sts \"%.*s\": expected mta_sts \"example.org\" { directives }", STR_ARG(r->config->mta_sts[i].name));
    return true;
}

static bool check_amounts(struct reading *r)
{
    const struct config *c = r->config;
    cfg_t *limits = cfg_getsec(r->root, "limits"), *queue = cfg_getsec(r->root, "queue");

    if (c->limits.header_size > c->limits.message_size)
        return reading_fail(r, reading_line(limits, "header_size"),
            "header_size is larger than message_size: expected at most that");
    if (c->queue.retry.n == 0)
        return reading_fail(r, reading_line(queue, "retry"),
            "retry is empty: expected at least one time such as \"5m\"");
    return true;
}

bool reading_check(struct reading *r)
{
    networks(r, &r->config->relay_nets, r->config->relay_networks);
    split_exempt(r);
    r->config->sharing_mode = value_sharing(r->config->sharing);
    return !r->failed && check_hostname(r) && check_certificates(r) && check_listeners(r) && check_mta_sts(r) && check_acme(r) && check_amounts(r);
}
