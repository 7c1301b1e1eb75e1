/* What the world may ask web for: MTA-STS policies, and settings for mail programs. All of it is public and depends on a domain
 * alone; whether an account exists is never looked at. */
#include "base/json.h"
#include "client_settings.h"
#include "outlook_request.h"
#include "pages.h"
#include "tlspolicy/sts_own.h"

enum { CONNECTIONS = 500 };

static const struct config *config_of(const struct exchange *x)
{
    return role_config(x->web->role);
}

static struct exchange *exchange_of(struct domain_wait *wait)
{
    return CONTAINER(wait, struct exchange, domain);
}

static void ask_domain(struct exchange *x, struct str domain,
    void (*done)(struct domain_wait *wait, enum domain_found found, struct str name))
{
    x->domain.done = done;
    exchange_suspend(x);
    domains_ask(x->web, &x->domain, domain);
}

/* False: answered that it is not here. */
static bool is_ours(struct exchange *x, enum domain_found found)
{
    if (found != DOMAIN_OURS)
        exchange_answer(x, found == DOMAIN_FOREIGN ? 404 : 503);
    return found == DOMAIN_OURS;
}

/* ---- MTA-STS (RFC 8461 3.3) ---- */

static void on_sts_domain(struct domain_wait *wait, enum domain_found found, struct str name)
{
    struct exchange *x = exchange_of(wait);
    struct sts_own own;

    if (!is_ours(x, found))
        return;
    own = sts_own_of(config_of(x), name);
    sts_own_write(&own, &x->body);
    exchange_answer(x, 200);
}

static void start_sts(struct exchange *x)
{
    ask_domain(x, str_skip(exchange_host(x), STR("mta-sts.").n), on_sts_domain);
}

/* ---- settings ---- */

/* The address that was told, if it is one; the domain it belongs to, or else the one that was asked at. */
static struct str subject(const struct exchange *x, const char *argument, struct str *address)
{
    struct str host = exchange_host(x), domain;

    *address = exchange_argument(x, argument);
    if (client_address_is_plain(*address, &domain))
        return domain;
    *address = STR("");
    return str_istarts(host, STR("autoconfig.")) ? str_skip(host, STR("autoconfig.").n) : host;
}

static void on_mozilla_domain(struct domain_wait *wait, enum domain_found found, struct str name)
{
    struct exchange *x = exchange_of(wait);

    if (!is_ours(x, found))
        return;
    client_settings_mozilla(config_of(x), name, &x->body);
    exchange_answer(x, 200);
}

static void start_mozilla(struct exchange *x)
{
    struct str address;

    ask_domain(x, subject(x, "emailaddress", &address), on_mozilla_domain);
}

static void on_apple_domain(struct domain_wait *wait, enum domain_found found, struct str name)
{
    struct exchange *x = exchange_of(wait);
    struct str address;

    if (!is_ours(x, found))
        return;
    (void)subject(x, "emailaddress", &address);
    client_settings_apple(config_of(x), name, address, &x->body);
    exchange_answer(x, 200);
}

static void start_apple(struct exchange *x)
{
    struct str address;

    ask_domain(x, subject(x, "emailaddress", &address), on_apple_domain);
}

static void on_outlook_domain(struct domain_wait *wait, enum domain_found found, struct str name)
{
    struct exchange *x = exchange_of(wait);
    struct buf address;

    (void)name;
    buf_init(&address, OUTLOOK_ADDRESS_MAX);
    if (found == DOMAIN_OURS && outlook_request_read(buf_str(&x->upload), &address))
        client_settings_outlook(config_of(x), buf_str(&address), &x->body);
    else
        client_settings_outlook_error(&x->body);
    buf_clear(&address);
    exchange_answer(x, found == DOMAIN_UNKNOWN ? 503 : 200);
}

static void start_outlook(struct exchange *x)
{
    struct str domain = {0};
    struct buf address;

    buf_init(&address, OUTLOOK_ADDRESS_MAX);
    if (outlook_request_read(buf_str(&x->upload), &address) && client_address_is_plain(buf_str(&address), &domain)) {
        ask_domain(x, domain, on_outlook_domain);
    } else {
        client_settings_outlook_error(&x->body);
        exchange_answer(x, 200);
    }
    buf_clear(&address);
}

/* Version 2 is a question where version 1 is answered. */
static void on_outlook_json_domain(struct domain_wait *wait, enum domain_found found, struct str name)
{
    struct exchange *x = exchange_of(wait);
    struct buf url;

    (void)name;
    if (!is_ours(x, found))
        return;
    buf_init(&url, 512);
    buf_addf(&url, "https://%.*s/autodiscover/autodiscover.xml", STR_ARG(config_of(x)->hostname));
    json_open(&x->body);
    json_str(&x->body, "Protocol", STR("AutodiscoverV1"));
    json_str(&x->body, "Url", buf_str(&url));
    json_close(&x->body);
    buf_clear(&url);
    exchange_answer(x, 200);
}

static void start_outlook_json(struct exchange *x)
{
    struct str address = exchange_argument(x, "Email"), path = str_of(x->path), domain;
    ptrdiff_t slash = str_rfind(path, '/');

    if (address.n == 0 && slash >= 0)
        address = str_skip(path, (size_t)slash + 1); /* .../autodiscover.json/v1.0/ADDRESS */
    if (client_address_is_plain(address, &domain))
        ask_domain(x, domain, on_outlook_json_domain);
    else
        exchange_answer(x, 400);
}

#define CHALLENGE "/.well-known/acme-challenge/"
#define XML "text/xml; charset=utf-8"

static const struct page world_pages[] = {
    {"mta-sts.", "/.well-known/mta-sts.txt", false, METHOD_GET, "text/plain; charset=utf-8", start_sts},
    {"autoconfig.", "/mail/config-v1.1.xml", false, METHOD_GET, XML, start_mozilla},
    {NULL, "/.well-known/autoconfig/mail/config-v1.1.xml", false, METHOD_GET, XML, start_mozilla},
    {NULL, "/autodiscover/autodiscover.xml", false, METHOD_POST, XML, start_outlook},
    {NULL, "/autodiscover/autodiscover.json", true, METHOD_GET, "application/json", start_outlook_json},
    {NULL, "/mail.mobileconfig", false, METHOD_GET, "application/x-apple-aspen-config", start_apple},
};

const struct http_site world_site = {
    world_pages, sizeof world_pages / sizeof *world_pages, CONNECTIONS, "nothing is here\n"};

/* ---- in plain: challenges of ACME (RFC 8555 8.3), else only the way to TLS ---- */

static void start_challenge(struct exchange *x)
{
    struct str authorization = challenges_answer(&x->web->challenges, str_skip(str_of(x->path), STR(CHALLENGE).n));

    buf_add(&x->body, authorization);
    exchange_answer(x, authorization.n > 0 ? 200 : 404);
}

static void add_query(struct buf *out, struct str address)
{
    buf_add(out, STR("?emailaddress="));
    for (size_t i = 0; i < address.n; i++)
        if (ascii_is_alnum(address.p[i]) || str_find(STR("@._-"), address.p[i]) >= 0)
            buf_add_char(out, address.p[i]);
        else
            buf_addf(out, "%%%02X", (unsigned char)address.p[i]);
}

static void start_redirect(struct exchange *x)
{
    struct str host = exchange_host(x), path = str_of(x->path), address = exchange_argument(x, "emailaddress");

    for (size_t i = 0; i < path.n; i++)
        if (!ascii_is_alnum(path.p[i]) && str_find(STR("/._-"), path.p[i]) < 0)
            host.n = 0;
    if (host.n > 0)
        buf_addf(&x->location, "https://%.*s%.*s", STR_ARG(host), STR_ARG(path));
    if (host.n > 0 && address.n > 0)
        add_query(&x->location, address);
    buf_add_char(&x->location, '\0');
    exchange_answer(x, host.n == 0 || x->location.failed ? 400 : 302);
}

static const struct page plain_pages[] = {
    {NULL, CHALLENGE, true, METHOD_GET, "application/octet-stream", start_challenge},
    {NULL, "/", true, METHOD_GET, "text/plain; charset=utf-8", start_redirect},
};

const struct http_site plain_site = {
    plain_pages, sizeof plain_pages / sizeof *plain_pages, CONNECTIONS, "nothing is here\n"};
