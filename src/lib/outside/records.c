/* The records to publish. Each maker below appends those of one kind. */
#include "records.h"
#include "base/encode.h"
#include "dns/records.h"
#include "dns/text.h"

#include <inttypes.h>
#include <string.h>

enum { MEMORY = 1 << 20, TEXT = 16384, TTL = 3600, STRING_MAX = 255 };

static const struct {
    const char *name, *why;
} kinds[OUTSIDE_KINDS] = {
    [OUTSIDE_ADDRESS] = {"address", "Other servers connect to the addresses behind the server's name."},
    [OUTSIDE_PTR] = {"ptr", "Gmail, Outlook and many others refuse mail from an address whose name does not lead back to it. Whoever owns the address (the provider) publishes this."},
    [OUTSIDE_MX] = {"mx", "Mail for the domain goes to the servers named here; without it none arrives."},
    [OUTSIDE_SPF] = {"spf", "It says which servers may send for the domain; Gmail and Yahoo refuse mail without it."},
    [OUTSIDE_HELO_SPF] = {"helo-spf", "Bounces have no sender: they are judged by the name the server says HELO with."},
    [OUTSIDE_DKIM] = {"dkim", "Others check the signatures in your mail with this key; mail is signed once it is published."},
    [OUTSIDE_DMARC] = {"dmarc", "It tells others what to do with mail that is not yours; Gmail and Yahoo want one."},
    [OUTSIDE_STS] = {"mta-sts", "Other servers then deliver to you over verified TLS only, and nobody between can read or redirect mail."},
    [OUTSIDE_STS_HOST] = {"mta-sts-host", "The MTA-STS policy is fetched from this name."},
    [OUTSIDE_TLSRPT] = {"tlsrpt", "Others report to this address when TLS to your server fails; you would not know otherwise."},
    [OUTSIDE_TLSA] = {"tlsa", "With DNSSEC, servers that know DANE take this key and no other; a wrong record makes them refuse to deliver."},
    [OUTSIDE_SRV] = {"srv", "Mail programs find the servers for reading and sending by it (RFC 6186)."},
    [OUTSIDE_AUTOCONFIG] = {"autoconfig", "Thunderbird and Outlook fetch their settings from this name."},
    [OUTSIDE_CAA] = {"caa", "Only the authority named may sign certificates for the domain."},
};

const char *outside_kind_name(enum outside_kind kind)
{
    return kinds[kind].name;
}

const char *outside_kind_why(enum outside_kind kind)
{
    return kinds[kind].why;
}

const struct outside_service outside_services[] = {
    {"_submissions", SERVICE_SUBMISSION, LISTEN_TLS_IMPLICIT, 0}, {"_submission", SERVICE_SUBMISSION, LISTEN_TLS_STARTTLS, 10},
    {"_imaps", SERVICE_IMAP, LISTEN_TLS_IMPLICIT, 0}, {"_imap", SERVICE_IMAP, LISTEN_TLS_STARTTLS, 10},
    {"_pop3s", SERVICE_POP3, LISTEN_TLS_IMPLICIT, 20}, {"_pop3", SERVICE_POP3, LISTEN_TLS_STARTTLS, 30}, {0}};

unsigned outside_port_of(const struct config *config, enum service service, enum listen_tls tls)
{
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].service_id == service && config->listeners[i].tls_mode == tls)
            return (unsigned)config->listeners[i].port;
    return 0;
}

void outside_quote(struct buf *out, struct str text)
{
    do {
        struct str piece = str_sub(text, 0, STRING_MAX);

        text = str_skip(text, piece.n);
        dns_quote(out, piece);
        buf_add(out, text.n > 0 ? STR(" ") : STR(""));
    } while (text.n > 0);
}

void outside_reverse_name(struct buf *out, const struct ip *ip)
{
    size_t n = ip->family == 4 ? 4 : 16;

    for (size_t i = n; i-- > 0;) {
        if (ip->family == 4)
            buf_addf(out, "%u.", ip->bytes[i]);
        else
            buf_addf(out, "%x.%x.", ip->bytes[i] & 15, ip->bytes[i] >> 4);
    }
    buf_add(out, ip->family == 4 ? STR("in-addr.arpa") : STR("ip6.arpa"));
}

bool outside_is_in(struct str name, struct str domain)
{
    return str_ieq(name, domain) ||
           (name.n > domain.n && str_ends(name, domain) && name.p[name.n - domain.n - 1] == '.');
}

void outside_record_write(const struct outside_record *record, struct buf *out)
{
    buf_addf(out, "%.*s. %d IN ", STR_ARG(record->name), TTL);
    dns_type_write(record->type, out);
    buf_addf(out, " %.*s", STR_ARG(record->data));
}

/* What the makers share: where they write to, and room for one name and one text. */
struct maker {
    struct outside_records *r;
    const struct outside_facts *facts;
    struct buf name, data;
    bool full;
};

static void add(struct maker *m, enum outside_kind kind, unsigned type)
{
    struct outside_record *record;
    struct str zone = m->facts->domain;

    if (m->r->n == OUTSIDE_RECORDS || m->name.failed || m->data.failed) {
        m->full = true;
        return;
    }
    record = &m->r->items[m->r->n];
    *record = (struct outside_record){kind, arena_str(&m->r->arena, buf_str(&m->name)), type, arena_str(&m->r->arena, buf_str(&m->data)),
        kind == OUTSIDE_PTR || !outside_is_in(buf_str(&m->name), zone)};
    if (record->name.p == NULL || record->data.p == NULL)
        m->full = true;
    else
        m->r->n++;
    buf_reset(&m->name);
    buf_reset(&m->data);
}

static void add_text(struct maker *m, enum outside_kind kind, struct str text)
{
    outside_quote(&m->data, text);
    add(m, kind, DNS_TXT);
}

static void make_addresses(struct maker *m)
{
    char text[IP_TEXT];

    for (size_t i = 0; i < m->facts->address_count; i++) {
        const struct ip *ip = &m->facts->addresses[i];

        ip_format(ip, text);
        buf_add(&m->name, m->facts->hostname);
        buf_add(&m->data, str_of(text));
        add(m, OUTSIDE_ADDRESS, ip->family == 4 ? DNS_A : DNS_AAAA);
        outside_reverse_name(&m->name, ip);
        buf_addf(&m->data, "%.*s.", STR_ARG(m->facts->hostname));
        add(m, OUTSIDE_PTR, DNS_PTR);
    }
}

/* Sending addresses of pools: their names are what they say HELO with. */
static void make_senders(struct maker *m)
{
    char text[IP_TEXT];

    for (size_t i = 0; i < m->facts->sender_count; i++) {
        const struct outside_sender *s = &m->facts->senders[i];

        ip_format(&s->ip, text);
        if (!str_ieq(s->helo, m->facts->hostname)) {
            buf_add(&m->name, s->helo);
            buf_add(&m->data, str_of(text));
            add(m, OUTSIDE_ADDRESS, s->ip.family == 4 ? DNS_A : DNS_AAAA);
        }
        outside_reverse_name(&m->name, &s->ip);
        buf_addf(&m->data, "%.*s.", STR_ARG(s->helo));
        add(m, OUTSIDE_PTR, DNS_PTR);
    }
}

static void make_mx(struct maker *m)
{
    buf_add(&m->name, m->facts->domain);
    buf_addf(&m->data, "10 %.*s.", STR_ARG(m->facts->hostname));
    add(m, OUTSIDE_MX, DNS_MX);
}

static void make_spf(struct maker *m)
{
    struct buf text;
    char ip[IP_TEXT];

    buf_init(&text, TEXT);
    buf_add(&text, STR("v=spf1 mx"));
    for (size_t i = 0; i < m->facts->sender_count; i++) {
        ip_format(&m->facts->senders[i].ip, ip);
        buf_addf(&text, " ip%u:%s", m->facts->senders[i].ip.family, ip);
    }
    buf_add(&text, STR(" -all"));
    buf_add(&m->name, m->facts->domain);
    add_text(m, OUTSIDE_SPF, buf_str(&text));
    buf_clear(&text);
}

/* Where the server's name is a domain itself, the record of that is the one. */
static void make_helo_spf(struct maker *m)
{
    if (str_ieq(m->facts->domain, m->facts->hostname))
        return;
    buf_add(&m->name, m->facts->hostname);
    add_text(m, OUTSIDE_HELO_SPF, STR("v=spf1 a -all"));
}

static void make_dkim(struct maker *m)
{
    for (size_t i = 0; i < m->facts->key_count; i++) {
        buf_add(&m->name, m->facts->keys[i].name);
        add_text(m, OUTSIDE_DKIM, m->facts->keys[i].record);
    }
}

static void make_policies(struct maker *m)
{
    struct buf text;

    buf_init(&text, TEXT);
    buf_addf(&text, "v=DMARC1; p=quarantine; rua=mailto:%.*s", STR_ARG(m->facts->report_to));
    buf_addf(&m->name, "_dmarc.%.*s", STR_ARG(m->facts->domain));
    add_text(m, OUTSIDE_DMARC, buf_str(&text));
    buf_reset(&text);
    buf_addf(&text, "v=TLSRPTv1; rua=mailto:%.*s", STR_ARG(m->facts->report_to));
    buf_addf(&m->name, "_smtp._tls.%.*s", STR_ARG(m->facts->domain));
    add_text(m, OUTSIDE_TLSRPT, buf_str(&text));
    if (m->facts->sts_id.n > 0) {
        buf_reset(&text);
        buf_addf(&text, "v=STSv1; id=%.*s;", STR_ARG(m->facts->sts_id));
        buf_addf(&m->name, "_mta-sts.%.*s", STR_ARG(m->facts->domain));
        add_text(m, OUTSIDE_STS, buf_str(&text));
        buf_addf(&m->name, "mta-sts.%.*s", STR_ARG(m->facts->domain));
        buf_addf(&m->data, "%.*s.", STR_ARG(m->facts->hostname));
        add(m, OUTSIDE_STS_HOST, DNS_CNAME);
    }
    buf_clear(&text);
}

static void make_tlsa(struct maker *m)
{
    if (!m->facts->certificate.there)
        return;
    buf_addf(&m->name, "_25._tcp.%.*s", STR_ARG(m->facts->hostname));
    buf_add(&m->data, STR("3 1 1 "));
    hex_encode(&m->data, str_from((const char *)m->facts->certificate.spki, sizeof m->facts->certificate.spki));
    add(m, OUTSIDE_TLSA, DNS_TLSA);
}

static void make_srv(struct maker *m)
{
    for (const struct outside_service *s = outside_services; s->label != NULL; s++) {
        unsigned port = outside_port_of(m->facts->config, s->service, s->tls);

        if (port == 0)
            continue;
        buf_addf(&m->name, "%s._tcp.%.*s", s->label, STR_ARG(m->facts->domain));
        buf_addf(&m->data, "%u 1 %u %.*s.", s->priority, port, STR_ARG(m->facts->hostname));
        add(m, OUTSIDE_SRV, DNS_SRV);
    }
}

static void make_autoconfig(struct maker *m)
{
    static const char *const labels[] = {"autoconfig", "autodiscover"};

    for (size_t i = 0; m->facts->web && i < sizeof labels / sizeof *labels; i++) {
        buf_addf(&m->name, "%s.%.*s", labels[i], STR_ARG(m->facts->domain));
        buf_addf(&m->data, "%.*s.", STR_ARG(m->facts->hostname));
        add(m, OUTSIDE_AUTOCONFIG, DNS_CNAME);
    }
    if (m->facts->web) {
        buf_addf(&m->name, "_autodiscover._tcp.%.*s", STR_ARG(m->facts->domain));
        buf_addf(&m->data, "0 1 443 %.*s.", STR_ARG(m->facts->hostname));
        add(m, OUTSIDE_AUTOCONFIG, DNS_SRV);
    }
}

/* A certificate that nobody signed will be followed by one of Let's Encrypt, as far as can be known. */
static void make_caa(struct maker *m)
{
    const char *authority = outside_certificate_caa(&m->facts->certificate);

    if (authority == NULL && m->facts->certificate.there && !m->facts->certificate.self_signed)
        return;
    buf_add(&m->name, m->facts->domain);
    buf_addf(&m->data, "0 issue \"%s\"", authority != NULL ? authority : "letsencrypt.org");
    add(m, OUTSIDE_CAA, DNS_CAA);
}

bool outside_records_make(struct outside_records *r, const struct outside_facts *facts)
{
    struct maker m = {.r = r, .facts = facts};

    r->n = 0;
    arena_init(&r->arena, MEMORY);
    buf_init(&m.name, OUTSIDE_NAME);
    buf_init(&m.data, TEXT);
    make_addresses(&m);
    make_senders(&m);
    if (facts->domain.n > 0) {
        make_mx(&m);
        make_spf(&m);
    }
    make_helo_spf(&m);
    if (facts->domain.n > 0) {
        make_dkim(&m);
        make_policies(&m);
    }
    make_tlsa(&m);
    if (facts->domain.n > 0) {
        make_srv(&m);
        make_autoconfig(&m);
        make_caa(&m);
    }
    buf_clear(&m.name);
    buf_clear(&m.data);
    return !m.full;
}

void outside_records_clear(struct outside_records *r)
{
    arena_clear(&r->arena);
}
