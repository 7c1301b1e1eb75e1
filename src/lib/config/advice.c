/* What a configuration may say without being wrong, and what its author should hear all the same:
 * networks so wide that strangers are in them, and local proxies whose clients would be taken for
 * neighbours. */
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>

/* Wider than any network of one owner: strangers are in it. */
enum { WIDE_IPV4 = 7, WIDE_IPV6 = 15 };

struct advice {
    const struct config *config;
    config_say *say;
    void *arg;
};

static void tell(const struct advice *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(const struct advice *a, const char *format, ...)
{
    char text[600];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    a->say(a->arg, text);
}

static void wide(const struct advice *a, const struct network_list *list, const char *where, const char *what)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].bits <= (list->items[i].ip.family == 6 ? WIDE_IPV6 : WIDE_IPV4)) {
            tell(a, "%s holds a network of /%u: %s", where, list->items[i].bits, what);
            return;
        }
}

/* Is there an address of this list that is exempt from the limits of strangers? */
static const struct network *exempt_member(const struct config *c, const struct network_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (config_exempts(c, &list->items[i].ip))
            return &list->items[i];
    return NULL;
}

static bool takes_mail_or_logins(enum service service)
{
    return service == SERVICE_MX || service == SERVICE_SUBMISSION || service == SERVICE_IMAP || service == SERVICE_POP3;
}

/* A proxy on this machine or in relay_networks: whatever reaches a listener from it without naming its
 * client counts as the proxy. */
static void listener(const struct advice *a, const struct config_listen *l, const struct network *proxy)
{
    char where[200], address[IP_TEXT];

    snprintf(where, sizeof where, "listener \"%.*s\": proxy_from", STR_ARG(l->name));
    wide(a, &l->proxies, where, "everybody in it may claim any address, also one of relay_networks, and relay");
    snprintf(where, sizeof where, "listener \"%.*s\": xclient_from", STR_ARG(l->name));
    wide(a, &l->xclients, where, "everybody in it may claim any address, also one of relay_networks, and relay");
    if (proxy == NULL || !takes_mail_or_logins(l->service_id) || network_list_holds(&l->proxies, &proxy->ip))
        return;
    ip_format(&proxy->ip, address);
    tell(a, "listener \"%.*s\" has no proxy_from for %s, which is a proxy elsewhere and exempt (loopback or relay_networks): "
        "what that proxy passes to it comes from the proxy's address, may relay if that is in relay_networks, and is never banned",
        STR_ARG(l->name), address);
}

void config_advise(const struct config *config, config_say *say, void *arg)
{
    const struct advice a = {config, say, arg};
    const struct network *proxy = NULL;

    if (config->listener_count == 0)
        tell(&a, "no listen section, so nobody can connect");
    if (config->certificate_count == 0)
        tell(&a, "no certificate section, so STARTTLS is not offered and nobody can log in from outside");
    wide(&a, &config->relay_nets, "relay_networks", "strangers may relay through this server");
    for (size_t i = 0; i < config->listener_count && proxy == NULL; i++)
        proxy = exempt_member(config, &config->listeners[i].proxies);
    for (size_t i = 0; i < config->listener_count; i++)
        listener(&a, &config->listeners[i], proxy);
}
