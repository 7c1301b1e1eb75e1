#include "config/value.h"
#include "base/clock.h"

#include <inttypes.h>

static const struct unit {
    char letter;
    int64_t times;
} span_units[] = {{'d', DAY}, {'h', HOUR}, {'m', MINUTE}, {'s', SECOND}, {0, 0}},
  size_units[] = {{'T', INT64_C(1) << 40}, {'G', 1 << 30}, {'M', 1 << 20}, {'K', 1 << 10}, {0, 0}};

static const struct {
    const char *name;
    enum service service;
} services[] = {{"mx", SERVICE_MX}, {"submission", SERVICE_SUBMISSION}, {"lmtp", SERVICE_LMTP},
    {"imap", SERVICE_IMAP}, {"pop3", SERVICE_POP3}, {"https", SERVICE_HTTPS}, {"http", SERVICE_HTTP}, {"metrics", SERVICE_METRICS}};

static const char *const tls_modes[] = {"none", "starttls", "implicit"};

bool value_number(struct str text, int64_t *value)
{
    uint64_t n;

    if (!str_to_u64(text, INT64_MAX, &n))
        return false;
    *value = (int64_t)n;
    return true;
}

bool value_switch(struct str text, bool *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_ieq(text, str_of(words[i]))) {
            *value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* A number and one letter; without a letter it counts `bare`, or is refused when that is 0. */
static bool with_unit(const struct unit *units, struct str text, int64_t bare, int64_t *value)
{
    int64_t times = bare, n;

    for (const struct unit *u = units; u->letter && text.n; u++)
        if (text.p[text.n - 1] == u->letter) {
            times = u->times;
            text.n--;
            break;
        }
    if (!value_number(text, &n) || (times == 0 && n != 0) || (times != 0 && n > INT64_MAX / times))
        return false;
    *value = n * times;
    return true;
}

bool value_span(struct str text, int64_t *microseconds)
{
    return with_unit(span_units, text, 0, microseconds);
}

bool value_size(struct str text, int64_t *bytes)
{
    return with_unit(size_units, text, 1, bytes);
}

/* The other way round, for messages: the largest unit that leaves no rest. */
static void add_with_unit(struct buf *out, const struct unit *units, int64_t value)
{
    for (const struct unit *u = units; u->letter; u++) {
        if (value != 0 && value % u->times == 0) {
            buf_addf(out, "%" PRId64 "%c", value / u->times, u->letter);
            return;
        }
    }
    buf_addf(out, "%" PRId64 "%s", value, units == span_units ? "s" : "");
}

static bool amount_fits(const struct config_rule *rule, const struct unit *units, const char *what,
    bool understood, int64_t value, struct buf *expected)
{
    if (understood && value >= rule->min && value <= rule->max)
        return true;
    buf_addf(expected, "%s from ", what);
    add_with_unit(expected, units, rule->min);
    buf_add(expected, STR(" to "));
    add_with_unit(expected, units, rule->max);
    return false;
}

static bool number_fits(const struct config_rule *rule, struct str text, struct buf *expected)
{
    int64_t n;

    if (value_number(text, &n) && n >= rule->min && n <= rule->max)
        return true;
    if (rule->min == rule->max)
        buf_addf(expected, "%" PRId64, rule->min);
    else
        buf_addf(expected, "a number from %" PRId64 " to %" PRId64, rule->min, rule->max);
    return false;
}

static bool text_fits(const struct config_rule *rule, struct str text, struct buf *expected)
{
    if (rule->valid(text))
        return true;
    buf_add(expected, str_of(rule->expected));
    return false;
}

bool value_fits(enum config_kind kind, const struct config_rule *rule, struct str text, struct buf *expected)
{
    int64_t n = 0;
    bool ok;

    switch (kind) {
    case KIND_TEXT:
    case KIND_LIST:
        return text_fits(rule, text, expected);
    case KIND_NUMBER:
        return number_fits(rule, text, expected);
    case KIND_SWITCH:
        if (!value_switch(text, &ok))
            buf_add(expected, STR("true or false"));
        return value_switch(text, &ok);
    case KIND_SPAN:
    case KIND_SPANS:
        ok = value_span(text, &n);
        return amount_fits(rule, span_units, "a time", ok, n, expected);
    case KIND_SIZE:
        ok = value_size(text, &n);
        return amount_fits(rule, size_units, "a size", ok, n, expected);
    }
    return false;
}

bool value_is_printable(struct str text)
{
    return str_is_printable(text);
}

static bool is_label(struct str label)
{
    if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++)
        if (!ascii_is_alnum(label.p[i]) && label.p[i] != '-')
            return false;
    return true;
}

bool value_is_hostname(struct str text)
{
    struct str rest = text, label = {0};
    uint64_t number;

    if (text.n > 253 || str_find(text, '.') < 0)
        return false;
    while (str_next(&rest, '.', &label))
        if (!is_label(label))
            return false;
    return !str_to_u64(label, UINT64_MAX, &number); /* 192.0.2.1 is an address, not a name */
}

bool value_is_hostname_or_empty(struct str text)
{
    return text.n == 0 || value_is_hostname(text);
}

bool value_is_mail_address(struct str text)
{
    ptrdiff_t at = str_rfind(text, '@');

    return at > 0 && at <= 64 && str_is_printable(text) && str_find(text, ' ') < 0 &&
           value_is_hostname(str_skip(text, (size_t)at + 1));
}

bool value_is_mail_address_or_empty(struct str text)
{
    return text.n == 0 || value_is_mail_address(text);
}

bool value_is_path(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20)
            return false;
    return text.n > 0 && text.n < 4096 && text.p[0] == '/';
}

bool value_is_short_path(struct str text)
{
    return value_is_path(text) && text.n <= 90;
}

bool value_is_path_or_empty(struct str text)
{
    return text.n == 0 || value_is_path(text);
}

bool value_is_user(struct str text)
{
    if (text.n == 0) /* keep the user that started the server */
        return true;
    if (text.n > 20 || ascii_is_digit(text.p[0]) || text.p[0] == '-')
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (!(text.p[i] >= 'a' && text.p[i] <= 'z') && !ascii_is_digit(text.p[i]) && text.p[i] != '-' &&
            text.p[i] != '_')
            return false;
    return true;
}

static bool is_one_of(struct str text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(text, str_of(words[i])))
            return true;
    return false;
}

bool value_is_log_level(struct str text)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};

    return is_one_of(text, levels, 4);
}

bool value_is_log_format(struct str text)
{
    static const char *const formats[] = {"human", "json"};

    return is_one_of(text, formats, 2);
}

bool value_is_dmarc_mode(struct str text)
{
    static const char *const modes[] = {"enforce", "report", "off"};

    return is_one_of(text, modes, 3);
}

bool value_is_https_url(struct str text)
{
    return str_starts(text, STR("https://")) && text.n > STR("https://").n && text.n < 1000 && str_is_printable(text) && str_find(text, ' ') < 0 &&
           str_find(str_skip(text, STR("https://").n), '/') > 0;
}

bool value_is_acme_challenge(struct str text)
{
    static const char *const kinds[] = {"http-01", "tls-alpn-01"};

    return is_one_of(text, kinds, 2);
}

bool value_is_sts_mode(struct str text)
{
    static const char *const modes[] = {"testing", "enforce", "none"};

    return is_one_of(text, modes, 3);
}

bool value_is_mx_pattern(struct str text)
{
    return value_is_hostname(str_starts(text, STR("*.")) ? str_skip(text, 2) : text);
}

bool value_is_exempt(struct str text)
{
    return value_is_hostname(text) || value_is_network(text);
}

bool value_is_sandbox(struct str text)
{
    static const char *const modes[] = {"required", "if-available"};

    return is_one_of(text, modes, 2);
}

static const char *const sharings[] = {[SHARING_NONE] = "none", [SHARING_DOMAIN] = "domain", [SHARING_SERVER] = "server", [SHARING_ANYONE] = "anyone"};

bool value_is_sharing(struct str text)
{
    return is_one_of(text, sharings, 4);
}

enum sharing value_sharing(struct str text)
{
    enum sharing mode = SHARING_NONE;

    while (mode < SHARING_ANYONE && !str_eq(text, str_of(sharings[mode])))
        mode++;
    return mode;
}

bool value_is_network(struct str text)
{
    struct network net;

    return network_parse(text, &net);
}

bool value_is_ip(struct str text)
{
    struct ip ip;

    return ip_parse(text, &ip);
}

bool value_dns_server(struct str text, struct ip *ip, uint16_t *port)
{
    ptrdiff_t at = str_find(text, '@');
    uint64_t n = 53;

    if (at >= 0 && (!str_to_u64(str_skip(text, (size_t)at + 1), 65535, &n) || n == 0))
        return false;
    *port = (uint16_t)n;
    return ip_parse(at >= 0 ? str_sub(text, 0, (size_t)at) : text, ip);
}

bool value_is_dns_server(struct str text)
{
    struct ip ip;
    uint16_t port;

    return value_dns_server(text, &ip, &port);
}

bool value_is_separator(struct str text)
{
    return text.n == 0 || (text.n == 1 && str_find(STR("+-=_.#"), text.p[0]) >= 0);
}

enum service value_service(struct str text)
{
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (str_eq(text, str_of(services[i].name)))
            return services[i].service;
    return SERVICE_NONE;
}

bool value_is_service(struct str text)
{
    return value_service(text) != SERVICE_NONE;
}

bool value_tls(struct str text, enum listen_tls *tls)
{
    for (size_t i = 0; i < sizeof tls_modes / sizeof *tls_modes; i++) {
        if (str_eq(text, str_of(tls_modes[i]))) {
            *tls = (enum listen_tls)i;
            return true;
        }
    }
    return false;
}

bool value_is_tls(struct str text)
{
    enum listen_tls tls;

    return value_tls(text, &tls);
}
