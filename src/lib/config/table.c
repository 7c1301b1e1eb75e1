/* The tables of config.h turned into data, and beside them what their values must keep. */
#include "config/table.h"
#include "base/clock.h"
#include "config/value.h"

#include <string.h>

#define ROW(struct_name, member, dname, dkind, dvalue, ddoc)                                       \
    {#dname, KIND_##dkind, dvalue, ddoc, offsetof(struct struct_name, member)},
#define NODE_ROW(n, k, v, d) ROW(config, n, n, k, v, d)
#define LIMITS_ROW(n, k, v, d) ROW(config, limits.n, n, k, v, d)
#define QUEUE_ROW(n, k, v, d) ROW(config, queue.n, n, k, v, d)
#define RELAY_ROW(n, k, v, d) ROW(config, relay.n, n, k, v, d)
#define AUTH_ROW(n, k, v, d) ROW(config, auth.n, n, k, v, d)
#define DKIM_ROW(n, k, v, d) ROW(config, dkim.n, n, k, v, d)
#define FORWARD_ROW(n, k, v, d) ROW(config, forward.n, n, k, v, d)

#define CHECK_ROW(n, k, v, d) ROW(config, check.n, n, k, v, d)
#define ACME_ROW(n, k, v, d) ROW(config, acme.n, n, k, v, d)
#define COPIES_ROW(n, k, v, d) ROW(config, copies.n, n, k, v, d)
#define LISTEN_ROW(n, k, v, d) ROW(config_listen, n, n, k, v, d)
#define CERTIFICATE_ROW(n, k, v, d) ROW(config_certificate, n, n, k, v, d)
#define MTA_STS_ROW(n, k, v, d) ROW(config_mta_sts, n, n, k, v, d)

static const struct config_directive node_rows[] = {CONFIG_NODE(NODE_ROW)};
static const struct config_directive limits_rows[] = {CONFIG_LIMITS(LIMITS_ROW)};
static const struct config_directive queue_rows[] = {CONFIG_QUEUE(QUEUE_ROW)};
static const struct config_directive relay_rows[] = {CONFIG_RELAY(RELAY_ROW)};
static const struct config_directive auth_rows[] = {CONFIG_AUTH(AUTH_ROW)};
static const struct config_directive dkim_rows[] = {CONFIG_DKIM(DKIM_ROW)};
static const struct config_directive forward_rows[] = {CONFIG_FORWARD(FORWARD_ROW)};
static const struct config_directive check_rows[] = {CONFIG_CHECK(CHECK_ROW)};
static const struct config_directive acme_rows[] = {CONFIG_ACME(ACME_ROW)};
static const struct config_directive copies_rows[] = {CONFIG_COPIES(COPIES_ROW)};
static const struct config_directive listen_rows[] = {CONFIG_LISTEN(LISTEN_ROW)};
static const struct config_directive certificate_rows[] = {CONFIG_CERTIFICATE(CERTIFICATE_ROW)};
static const struct config_directive mta_sts_rows[] = {CONFIG_MTA_STS(MTA_STS_ROW)};

#define ROWS(rows) rows, sizeof(rows) / sizeof *(rows)

const struct config_section config_sections[CONFIG_SECTIONS] = {
    [CONFIG_AT_NODE] = {"", false, ROWS(node_rows), "The node"},
    [CONFIG_AT_LIMITS] = {"limits", false, ROWS(limits_rows), "Limits of clients"},
    [CONFIG_AT_QUEUE] = {"queue", false, ROWS(queue_rows), "The queue"},
    [CONFIG_AT_RELAY] = {"relay", false, ROWS(relay_rows), "Sending to other servers"},
    [CONFIG_AT_AUTH] = {"auth", false, ROWS(auth_rows), "Mail from strangers"},
    [CONFIG_AT_DKIM] = {"dkim", false, ROWS(dkim_rows), "DKIM keys"},
    [CONFIG_AT_FORWARD] = {"forward", false, ROWS(forward_rows), "Mail that goes on to another server"},
    [CONFIG_AT_CHECK] = {"check", false, ROWS(check_rows), "How others see this server"},
    [CONFIG_AT_ACME] = {"acme", false, ROWS(acme_rows), "Certificates by ACME"},
    [CONFIG_AT_COPIES] = {"copies", false, ROWS(copies_rows), "How many processes of each role run"},
    [CONFIG_AT_LISTEN] = {"listen", true, ROWS(listen_rows), "A service and where it listens"},
    [CONFIG_AT_CERTIFICATE] = {"certificate", true, ROWS(certificate_rows),
        "A TLS certificate; the first one is the default, the others are chosen by name (SNI)"},
    [CONFIG_AT_MTA_STS] = {"mta_sts", true, ROWS(mta_sts_rows),
        "The MTA-STS policy of a domain, served to other servers by a listener with service https"},
};

#define AMOUNT(least, most) {(least), (most), NULL, NULL}
#define TEXT_RULE(valid, expected) {0, 0, (valid), (expected)}

/* The exceptions; `name` NULL stands for every directive of that section not named before. */
static const struct {
    const char *section, *name;
    struct config_rule rule;
} exceptions[] = {
    {"", "hostname", TEXT_RULE(value_is_hostname, "a fully qualified host name such as \"mail.example.org\"")},
    {"", "postmaster", TEXT_RULE(value_is_mail_address, "a mail address")},
    {"", "data", TEXT_RULE(value_is_path, "an absolute path")},
    {"", "run", TEXT_RULE(value_is_short_path, "an absolute path of at most 90 bytes (it holds sockets)")},
    {"", "user", TEXT_RULE(value_is_user, "a user name of lower-case letters, digits, - and _")},
    {"", "log_level", TEXT_RULE(value_is_log_level, "debug, info, warning or error")},
    {"", "log_format", TEXT_RULE(value_is_log_format, "human or json")},
    {"", "relay_networks", TEXT_RULE(value_is_network, "a network such as 10.0.0.0/8 or an address")},
    {"", "dns", TEXT_RULE(value_is_dns_server, "an address, or address@port")},
    {"", "dnssec_anchor", TEXT_RULE(value_is_path_or_empty, "an absolute path, or \"\"")},
    {"", "subaddress_separator", TEXT_RULE(value_is_separator, "one of + - = _ . # or \"\"")},
    {"", "sharing", TEXT_RULE(value_is_sharing, "none, domain, server or anyone")},
    {"", "sandbox", TEXT_RULE(value_is_sandbox, "required or if-available")},
    {"limits", "message_size", AMOUNT(1 << 10, INT64_C(1) << 36)},
    {"limits", "header_size", AMOUNT(4 << 10, 16 << 20)},
    {"limits", "recipients", AMOUNT(100, 1000000)},
    {"limits", "received_fields", AMOUNT(5, 1000)},
    {"limits", "greeting_delay", AMOUNT(0, MINUTE)},
    {"limits", "ban_time", AMOUNT(SECOND, 365 * DAY)},
    {"limits", "idle_time", AMOUNT(SECOND, DAY)},
    {"limits", "connection_time", AMOUNT(SECOND, 30 * DAY)},
    {"limits", "imap_idle_time", AMOUNT(30 * MINUTE, 30 * DAY)}, /* RFC 9051, section 5.4 */
    {"limits", "imap_message_limit", AMOUNT(0, UINT32_MAX)},
    {"limits", "search_index_from", AMOUNT(0, INT64_C(1) << 40)},
    {"limits", "pop3_idle_time", AMOUNT(10 * MINUTE, DAY)}, /* RFC 1939, section 3 */
    {"limits", "pop3_session_time", AMOUNT(SECOND, 30 * DAY)},
    {"limits", NULL, AMOUNT(1, 1000000000)},
    {"queue", "lifetime", AMOUNT(SECOND, 365 * DAY)},
    {"queue", "bounce_lifetime", AMOUNT(SECOND, 365 * DAY)},
    {"queue", "hold_lifetime", AMOUNT(SECOND, 3650 * DAY)},
    {"queue", "delay_notice", AMOUNT(0, 365 * DAY)},
    {"queue", "retry", AMOUNT(SECOND, 30 * DAY)},
    {"queue", "memory", AMOUNT(1 << 20, INT64_C(1) << 40)},
    {"queue", "active", AMOUNT(1, 1000000)},
    {"queue", "event_days", AMOUNT(1, 3650)},
    {"relay", "port", AMOUNT(1, 65535)},
    {"relay", "mta_sts_port", AMOUNT(1, 65535)},
    {"relay", "connections", AMOUNT(1, 100000)},
    {"relay", "connections_per_destination", AMOUNT(1, 10000)},
    {"relay", "messages_per_connection", AMOUNT(1, 1000000)},
    {"relay", "recipients_per_transaction", AMOUNT(1, 1000)}, /* what relay can carry */
    {"relay", "connect_time", AMOUNT(SECOND, HOUR)},
    {"relay", "command_time", AMOUNT(SECOND, HOUR)},
    {"relay", "idle_time", AMOUNT(0, HOUR)},
    {"relay", "ca_file", TEXT_RULE(value_is_path, "an absolute path")},
    {"auth", "dmarc", TEXT_RULE(value_is_dmarc_mode, "enforce, report or off")},
    {"auth", "exempt", TEXT_RULE(value_is_exempt, "a domain, or a network such as 10.0.0.0/8")},
    {"auth", "trusted_sealers", TEXT_RULE(value_is_hostname, "a domain")},
    {"auth", "time", AMOUNT(SECOND, 5 * MINUTE)},
    {"auth", "report_from", TEXT_RULE(value_is_mail_address_or_empty, "a mail address, or \"\"")},
    {"auth", "reports_to", TEXT_RULE(value_is_mail_address, "a mail address")},
    {"auth", "report_contact", TEXT_RULE(value_is_mail_address_or_empty, "a mail address, or \"\"")},
    {"dkim", "rotate", AMOUNT(0, 3650 * DAY)},
    {"dkim", "publish_wait", AMOUNT(0, 365 * DAY)},
    {"dkim", "retire_keep", AMOUNT(0, 3650 * DAY)},
    {"forward", "domain", TEXT_RULE(value_is_hostname_or_empty, "a domain, or \"\"")},
    {"check", "addresses", TEXT_RULE(value_is_ip, "an IP address")},
    {"check", "outbound", TEXT_RULE(value_is_hostname, "a domain")},
    {"check", "dnsbl", TEXT_RULE(value_is_hostname, "the zone of a block list")},
    {"check", "every", AMOUNT(0, 30 * DAY)},
    {"check", "time", AMOUNT(SECOND, 5 * MINUTE)},
    {"check", "certificate_time", AMOUNT(0, 365 * DAY)},
    {"acme", "directory", TEXT_RULE(value_is_https_url, "a URL such as \"https://ca.example/directory\"")},
    {"acme", "contact", TEXT_RULE(value_is_mail_address, "a mail address")},
    {"acme", "names", TEXT_RULE(value_is_hostname, "a host name")},
    {"acme", "challenge", TEXT_RULE(value_is_acme_challenge, "http-01 or tls-alpn-01")},
    {"acme", "ca_file", TEXT_RULE(value_is_path, "an absolute path")},
    {"copies", "web", AMOUNT(1, 1)},
    {"copies", NULL, AMOUNT(1, 64)},
    {"listen", "service", TEXT_RULE(value_is_service, "mx, submission, lmtp, imap, pop3, https, http or metrics")},
    {"listen", "address", TEXT_RULE(value_is_ip, "an IP address")},
    {"listen", "port", AMOUNT(1, 65535)},
    {"listen", "tls", TEXT_RULE(value_is_tls, "none, starttls or implicit")},
    {"listen", "proxy_from", TEXT_RULE(value_is_network, "a network such as 10.0.0.0/8 or an address")},
    {"listen", "xclient_from", TEXT_RULE(value_is_network, "a network such as 10.0.0.0/8 or an address")},
    {"listen", "systemd", TEXT_RULE(value_is_printable, "the name of a systemd socket")},
    {"mta_sts", "mode", TEXT_RULE(value_is_sts_mode, "testing, enforce or none")},
    {"mta_sts", "max_age", AMOUNT(HOUR, 365 * DAY)}, /* RFC 8461 3.2: a year at most */
    {"mta_sts", "mx", TEXT_RULE(value_is_mx_pattern, "a host name, or *. and a domain")},
    {"certificate", NULL, TEXT_RULE(value_is_path, "an absolute path")},
};

/* For what no exception names. */
static const struct config_rule of_kind[] = {
    [KIND_TEXT] = TEXT_RULE(value_is_printable, "printable text"),
    [KIND_NUMBER] = AMOUNT(0, 1000000000),
    [KIND_SWITCH] = AMOUNT(0, 1),
    [KIND_SPAN] = AMOUNT(0, 3650 * DAY),
    [KIND_SIZE] = AMOUNT(0, INT64_C(1) << 50),
    [KIND_LIST] = TEXT_RULE(value_is_printable, "printable text"),
    [KIND_SPANS] = AMOUNT(0, 3650 * DAY),
};

const struct config_rule *config_rule_of(const struct config_section *section, const struct config_directive *d)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (strcmp(exceptions[i].section, section->name) == 0 &&
            (exceptions[i].name == NULL || strcmp(exceptions[i].name, d->name) == 0))
            return &exceptions[i].rule;
    return &of_kind[d->kind];
}
