/* See client_settings.h. */
#include "client_settings.h"

#include <openssl/evp.h>
#include <string.h>

/* One way in. Of each kind the one with TLS from the first byte comes first: a man in the middle has nothing to strip. */
struct way {
    enum service service;
    enum listen_tls tls;
    const char *mozilla, *outlook, *mozilla_tls, *outlook_tls;
};

static const struct way ways[] = {
    {SERVICE_IMAP, LISTEN_TLS_IMPLICIT, "imap", "IMAP", "SSL", "SSL"},
    {SERVICE_IMAP, LISTEN_TLS_STARTTLS, "imap", "IMAP", "STARTTLS", "TLS"},
    {SERVICE_POP3, LISTEN_TLS_IMPLICIT, "pop3", "POP3", "SSL", "SSL"},
    {SERVICE_POP3, LISTEN_TLS_STARTTLS, "pop3", "POP3", "STARTTLS", "TLS"},
    {SERVICE_SUBMISSION, LISTEN_TLS_IMPLICIT, "smtp", "SMTP", "SSL", "SSL"},
    {SERVICE_SUBMISSION, LISTEN_TLS_STARTTLS, "smtp", "SMTP", "STARTTLS", "TLS"},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* The port of a way, 0 where there is no such listener. */
static int port_of(const struct config *config, const struct way *way)
{
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].service_id == way->service && config->listeners[i].tls_mode == way->tls)
            return (int)config->listeners[i].port;
    return 0;
}

/* The first way of a service. */
static const struct way *best_way(const struct config *config, enum service service, int *port)
{
    for (size_t i = 0; i < WAYS; i++)
        if (ways[i].service == service && (*port = port_of(config, &ways[i])) != 0)
            return &ways[i];
    return NULL;
}

void xml_add_escaped(struct buf *out, struct str text)
{
    static const struct {
        char c;
        const char *as;
    } special[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    bool utf8 = str_is_utf8(text);

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        const char *as = c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? "?" : NULL;

        for (size_t k = 0; k < sizeof special / sizeof *special; k++)
            if (text.p[i] == special[k].c)
                as = special[k].as;
        if (as != NULL)
            buf_add(out, str_of(as));
        else
            buf_add_char(out, text.p[i]);
    }
}

static void add_element(struct buf *out, const char *name, struct str value)
{
    buf_addf(out, "<%s>", name);
    xml_add_escaped(out, value);
    buf_addf(out, "</%s>\n", name);
}

/* ---- Mozilla ---- */

static void add_mozilla_server(struct buf *out, const struct config *config, const struct way *way, int port)
{
    const char *element = way->service == SERVICE_SUBMISSION ? "outgoingServer" : "incomingServer";

    buf_addf(out, "<%s type=\"%s\">\n", element, way->mozilla);
    add_element(out, "hostname", config->hostname);
    buf_addf(out, "<port>%d</port>\n<socketType>%s</socketType>\n", port, way->mozilla_tls);
    buf_add(out, STR("<username>%EMAILADDRESS%</username>\n<authentication>password-cleartext</authentication>\n"));
    buf_addf(out, "</%s>\n", element);
}

void client_settings_mozilla(const struct config *config, struct str domain, struct buf *out)
{
    buf_add(out, STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n<emailProvider id=\""));
    xml_add_escaped(out, domain);
    buf_add(out, STR("\">\n"));
    add_element(out, "domain", domain);
    add_element(out, "displayName", domain);
    add_element(out, "displayShortName", domain);
    for (size_t i = 0; i < WAYS; i++) {
        int port = port_of(config, &ways[i]);

        if (port != 0)
            add_mozilla_server(out, config, &ways[i], port);
    }
    buf_add(out, STR("</emailProvider>\n</clientConfig>\n"));
}

/* ---- Microsoft ---- */

#define OUTLOOK_HEAD \
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/"

static void add_outlook_protocol(
    struct buf *out, const struct config *config, const struct way *way, int port, struct str address)
{
    buf_addf(out, "<Protocol>\n<Type>%s</Type>\n", way->outlook);
    add_element(out, "Server", config->hostname);
    buf_addf(out, "<Port>%d</Port>\n<DomainRequired>off</DomainRequired>\n", port);
    add_element(out, "LoginName", address);
    buf_addf(out, "<SPA>off</SPA>\n<SSL>on</SSL>\n<Encryption>%s</Encryption>\n<AuthRequired>on</AuthRequired>\n",
        way->outlook_tls);
    if (way->service == SERVICE_SUBMISSION)
        buf_add(out, STR("<UsePOPAuth>off</UsePOPAuth>\n<SMTPLast>off</SMTPLast>\n"));
    buf_add(out, STR("</Protocol>\n"));
}

void client_settings_outlook(const struct config *config, struct str address, struct buf *out)
{
    static const enum service order[] = {SERVICE_IMAP, SERVICE_POP3, SERVICE_SUBMISSION};

    buf_add(out, STR(OUTLOOK_HEAD "responseschema/2006\">\n<Response xmlns=\"http://schemas.microsoft.com/exchange/"
                                  "autodiscover/outlook/responseschema/2006a\">\n<Account>\n<AccountType>email</AccountType>\n"
                                  "<Action>settings</Action>\n"));
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        int port = 0;
        const struct way *way = best_way(config, order[i], &port);

        if (way != NULL)
            add_outlook_protocol(out, config, way, port, address);
    }
    buf_add(out, STR("</Account>\n</Response>\n</Autodiscover>\n"));
}

void client_settings_outlook_error(struct buf *out)
{
    buf_add(out, STR(OUTLOOK_HEAD "responseschema/2006\">\n<Response>\n<Error Time=\"00:00:00\" Id=\"1\">\n"
                                  "<ErrorCode>600</ErrorCode>\n<Message>Invalid Request</Message>\n<DebugData />\n"
                                  "</Error>\n</Response>\n</Autodiscover>\n"));
}

/* ---- Apple ---- */

static void add_key(struct buf *out, const char *key, struct str value)
{
    buf_addf(out, "<key>%s</key>\n", key);
    add_element(out, "string", value);
}

static void add_switch(struct buf *out, const char *key, bool on)
{
    buf_addf(out, "<key>%s</key>\n<%s/>\n", key, on ? "true" : "false");
}

/* The same profile has the same id each time, so that installing it again replaces it. Of a hash, as RFC 4122 4.3 does it. */
static void add_uuid(struct buf *out, const char *kind, struct str domain, struct str address)
{
    unsigned char h[32];
    struct buf text;

    buf_init(&text, 2048);
    buf_addf(&text, "%s/%.*s/%.*s", kind, STR_ARG(domain), STR_ARG(address));
    if (EVP_Digest(text.p, text.n, h, NULL, EVP_sha256(), NULL) != 1)
        fatal("SHA-256 fails");
    buf_clear(&text);
    h[6] = (unsigned char)((h[6] & 0x0f) | 0x50);
    h[8] = (unsigned char)((h[8] & 0x3f) | 0x80);
    buf_add(out, STR("<key>PayloadUUID</key>\n<string>"));
    for (int i = 0; i < 16; i++)
        buf_addf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02X" : "%02X", h[i]);
    buf_add(out, STR("</string>\n<key>PayloadVersion</key>\n<integer>1</integer>\n"));
}

/* direction: "Incoming" or "Outgoing". */
static void add_apple_server(struct buf *out, const struct config *config, enum service service, const char *direction,
    struct str address)
{
    char key[64];
    int port = 0;
    const struct way *way = best_way(config, service, &port);

    if (way == NULL)
        return;
    snprintf(key, sizeof key, "%sMailServerHostName", direction);
    add_key(out, key, config->hostname);
    buf_addf(out, "<key>%sMailServerPortNumber</key>\n<integer>%d</integer>\n", direction, port);
    snprintf(key, sizeof key, "%sMailServerUseSSL", direction);
    add_switch(out, key, true);
    snprintf(key, sizeof key, "%sMailServerAuthentication", direction);
    add_key(out, key, STR("EmailAuthPassword"));
    snprintf(key, sizeof key, "%sMailServerUsername", direction);
    if (address.n > 0)
        add_key(out, key, address);
}

static void add_apple_account(const struct config *config, struct str domain, struct str address, struct buf *out)
{
    int port = 0;
    bool imap = best_way(config, SERVICE_IMAP, &port) != NULL;

    buf_add(out, STR("<dict>\n"));
    add_key(out, "PayloadType", STR("com.apple.mail.managed"));
    buf_add(out, STR("<key>PayloadIdentifier</key>\n<string>staffetta.mail."));
    xml_add_escaped(out, domain);
    buf_add(out, STR(".account</string>\n"));
    add_uuid(out, "account", domain, address);
    add_key(out, "PayloadDisplayName", domain);
    add_key(out, "EmailAccountType", imap ? STR("EmailTypeIMAP") : STR("EmailTypePOP"));
    add_key(out, "EmailAccountDescription", domain);
    if (address.n > 0)
        add_key(out, "EmailAddress", address);
    add_apple_server(out, config, imap ? SERVICE_IMAP : SERVICE_POP3, "Incoming", address);
    add_apple_server(out, config, SERVICE_SUBMISSION, "Outgoing", address);
    add_switch(out, "OutgoingPasswordSameAsIncomingPassword", true);
    buf_add(out, STR("</dict>\n"));
}

void client_settings_apple(const struct config *config, struct str domain, struct str address, struct buf *out)
{
    buf_add(out, STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
                     "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n"));
    add_key(out, "PayloadType", STR("Configuration"));
    buf_add(out, STR("<key>PayloadIdentifier</key>\n<string>staffetta.mail."));
    xml_add_escaped(out, domain);
    buf_add(out, STR("</string>\n"));
    add_uuid(out, "profile", domain, address);
    add_key(out, "PayloadDisplayName", domain);
    add_switch(out, "PayloadRemovalDisallowed", false);
    buf_add(out, STR("<key>PayloadContent</key>\n<array>\n"));
    add_apple_account(config, domain, address, out);
    buf_add(out, STR("</array>\n</dict>\n</plist>\n"));
}
