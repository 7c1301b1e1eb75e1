/* The server itself: its addresses and names, the ports, block lists, the clock. */
#include "base/clock.h"
#include "dns/records.h"
#include "judge.h"

#include <inttypes.h>
#include <string.h>

enum { NAMES = 10, SENDERS = OUTSIDE_ADDRESSES + OUTSIDE_SENDERS, NAME = 300 };

static unsigned address_type(const struct ip *ip)
{
    return ip->family == 4 ? DNS_A : DNS_AAAA;
}

bool judge_answer_has(const struct outside_question *q, const struct ip *ip)
{
    struct ip found[OUTSIDE_ADDRESSES];
    size_t n = dns_read_addresses(q->records, (enum dns_type)q->type, found, OUTSIDE_ADDRESSES);

    for (size_t i = 0; i < n; i++)
        if (ip_equal(&found[i], ip))
            return true;
    return false;
}

bool judge_own_addresses(struct outside_check *c, struct ip out[OUTSIDE_ADDRESSES], size_t *n)
{
    const struct outside_question *a, *aaaa;

    *n = c->facts->address_count;
    if (*n > 0) {
        memcpy(out, c->facts->addresses, *n * sizeof *out);
        return true;
    }
    a = judge_look(c, c->facts->hostname, DNS_A);
    aaaa = judge_look(c, c->facts->hostname, DNS_AAAA);
    if (a == NULL || aaaa == NULL)
        return false;
    *n = dns_read_addresses(a->records, DNS_A, out, OUTSIDE_ADDRESSES / 2);
    *n += dns_read_addresses(aaaa->records, DNS_AAAA, out + *n, OUTSIDE_ADDRESSES / 2);
    return true;
}

bool judge_senders(struct outside_check *c, struct outside_sender out[SENDERS], size_t *n)
{
    struct ip own[OUTSIDE_ADDRESSES];

    if (!judge_own_addresses(c, own, n))
        return false;
    for (size_t i = 0; i < *n; i++)
        out[i] = (struct outside_sender){own[i], c->facts->hostname};
    memcpy(out + *n, c->facts->senders, c->facts->sender_count * sizeof *out);
    *n += c->facts->sender_count;
    return true;
}

bool judge_leads_here(struct outside_check *c, struct str name)
{
    const struct outside_question *a = judge_look(c, name, DNS_A), *aaaa = judge_look(c, name, DNS_AAAA);
    struct ip own[OUTSIDE_ADDRESSES];
    size_t n;

    if (!judge_own_addresses(c, own, &n) || a == NULL || aaaa == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        if (judge_answer_has(own[i].family == 4 ? a : aaaa, &own[i]))
            return true;
    return false;
}

/* ---- address ---- */

/* An address in DNS that is not ours: mail for us goes there. */
static bool has_stranger(const struct outside_facts *f, const struct outside_question *q, struct ip *stranger)
{
    struct ip found[OUTSIDE_ADDRESSES];
    size_t n = dns_read_addresses(q->records, (enum dns_type)q->type, found, OUTSIDE_ADDRESSES);

    for (size_t i = 0; i < n; i++) {
        bool known = false;

        for (size_t k = 0; k < f->address_count; k++)
            known = known || ip_equal(&found[i], &f->addresses[k]);
        if (!known) {
            *stranger = found[i];
            return true;
        }
    }
    return false;
}

static void judge_strangers(struct outside_check *c, const struct outside_question *q)
{
    struct ip stranger;
    char text[IP_TEXT];

    if (c->facts->address_count == 0 || !has_stranger(c->facts, q, &stranger))
        return;
    ip_format(&stranger, text);
    judge_note(c, c->facts->hostname, OUTSIDE_WARNING, NULL,
        "DNS also has %s, which is not among check.addresses: remove the record, or add the address there", text);
}

/* The record of one address of the server. */
static const struct outside_record *address_record(const struct outside_check *c, const struct ip *ip, struct str name)
{
    char text[IP_TEXT];

    ip_format(ip, text);
    for (size_t i = 0; i < c->records.n; i++) {
        const struct outside_record *r = &c->records.items[i];

        if (r->kind == OUTSIDE_ADDRESS && r->type == address_type(ip) && str_ieq(r->name, name) && str_eq(r->data, str_of(text)))
            return r;
    }
    return NULL;
}

void judge_address(struct outside_check *c)
{
    struct str name = c->facts->hostname;
    const struct outside_question *a = judge_look(c, name, DNS_A), *aaaa = judge_look(c, name, DNS_AAAA);
    struct ip own[OUTSIDE_ADDRESSES];
    char text[IP_TEXT];
    size_t n;

    if (!judge_own_addresses(c, own, &n) || a == NULL || aaaa == NULL)
        return;
    if (n == 0 && (judge_is_silent(a) || judge_is_silent(aaaa)))
        judge_note_unknown(c, name, "DNS does not answer");
    else if (n == 0)
        judge_note(c, name, OUTSIDE_ERROR, NULL, "it has no address in DNS; say with check.addresses in the configuration which are its own");
    for (size_t i = 0; i < n; i++) {
        const struct outside_question *q = own[i].family == 4 ? a : aaaa;

        ip_format(&own[i], text);
        if (judge_answer_has(q, &own[i]))
            judge_note(c, name, OUTSIDE_OK, NULL, "leads to %s", text);
        else if (judge_is_silent(q))
            judge_note_unknown(c, name, "%.*s", STR_ARG(judge_found(c, q)));
        else
            judge_note(c, name, OUTSIDE_ERROR, address_record(c, &own[i], name), "it does not lead to %s: %.*s", text, STR_ARG(judge_found(c, q)));
    }
    judge_strangers(c, a);
    judge_strangers(c, aaaa);
}

/* ---- ptr ---- */

/* The first name of the address that leads back to it. False: none does, or that is not known yet. */
static bool find_confirmed(struct outside_check *c, const struct outside_question *ptr, const struct ip *ip, char name[DNS_NAME_TEXT], bool *silent)
{
    struct str rest = ptr->records, rdata;
    bool confirmed = false;
    char target[DNS_NAME_TEXT];

    for (int i = 0; i < NAMES && dns_next_record(&rest, &rdata); i++) {
        const struct outside_question *q;

        if (!dns_read_target(rdata, target) || (q = judge_look(c, str_of(target), address_type(ip))) == NULL)
            continue;
        *silent = *silent || judge_is_silent(q);
        if (confirmed || !judge_answer_has(q, ip))
            continue;
        memcpy(name, target, sizeof target);
        confirmed = true;
    }
    return confirmed;
}

static void judge_one_ptr(struct outside_check *c, const struct outside_sender *s)
{
    const struct outside_question *ptr;
    const struct outside_record *publish;
    char text[IP_TEXT], name[DNS_NAME_TEXT];
    bool silent = false, confirmed;
    struct buf reverse;

    buf_init(&reverse, NAME);
    outside_reverse_name(&reverse, &s->ip);
    ip_format(&s->ip, text);
    ptr = judge_look(c, buf_str(&reverse), DNS_PTR);
    publish = judge_expected(c, OUTSIDE_PTR, buf_str(&reverse));
    buf_clear(&reverse);
    if (ptr == NULL)
        return;
    confirmed = find_confirmed(c, ptr, &s->ip, name, &silent);
    if (confirmed && str_ieq(str_of(name), s->helo))
        judge_note(c, str_of(text), OUTSIDE_OK, NULL, "its name is %s, which leads back", name);
    else if (confirmed)
        judge_note(c, str_of(text), OUTSIDE_OK, NULL, "its name is %s, which leads back (the server says HELO %.*s)", name, STR_ARG(s->helo));
    else if (judge_is_silent(ptr) || silent)
        judge_note_unknown(c, str_of(text), "DNS does not answer for its name");
    else if (ptr->status != DNS_OK)
        judge_note(c, str_of(text), OUTSIDE_ERROR, publish, "the address has no name");
    else
        judge_note(c, str_of(text), OUTSIDE_ERROR, publish, "its name does not lead back to it: %.*s", STR_ARG(judge_found(c, ptr)));
}

void judge_ptr(struct outside_check *c)
{
    struct outside_sender senders[SENDERS];
    size_t n;

    if (judge_senders(c, senders, &n))
        for (size_t i = 0; i < n; i++)
            judge_one_ptr(c, &senders[i]);
}

/* ---- helo ---- */

void judge_helo(struct outside_check *c)
{
    struct outside_sender senders[SENDERS];
    char text[IP_TEXT];
    size_t n, wrong = 0;

    if (!judge_senders(c, senders, &n))
        return;
    for (size_t i = 0; i < n; i++) {
        const struct outside_question *q = judge_look(c, senders[i].helo, address_type(&senders[i].ip));

        if (q == NULL || judge_answer_has(q, &senders[i].ip))
            continue;
        wrong++;
        ip_format(&senders[i].ip, text);
        if (judge_is_silent(q))
            judge_note_unknown(c, senders[i].helo, "%.*s", STR_ARG(judge_found(c, q)));
        else
            judge_note(c, senders[i].helo, OUTSIDE_ERROR, address_record(c, &senders[i].ip, senders[i].helo),
                "it is said from %s, and does not lead there", text);
    }
    if (wrong == 0 && n > 0)
        judge_note(c, c->facts->hostname, OUTSIDE_OK, NULL, "%zu address%s say%s HELO with a name of %s own", n, n == 1 ? "" : "es", n == 1 ? "s" : "",
            n == 1 ? "its" : "their");
}

/* ---- dnsbl ---- */

/* 127.255.255.0/24: the list does not answer this resolver (Spamhaus and others). */
static bool is_refusal(const struct outside_question *q)
{
    static const struct network codes = {{4, {127, 255, 255, 0}}, 24};
    struct ip found[OUTSIDE_ADDRESSES];
    size_t n = dns_read_addresses(q->records, DNS_A, found, OUTSIDE_ADDRESSES);

    return n > 0 && network_holds(&codes, &found[0]);
}

/* Answers outside of 127.0.0.0/8 come from a zone that is a list no more. */
static bool is_listing(const struct outside_question *q)
{
    struct ip found[OUTSIDE_ADDRESSES];
    size_t n = dns_read_addresses(q->records, DNS_A, found, OUTSIDE_ADDRESSES);

    return n > 0 && ip_is_loopback(&found[0]) && !is_refusal(q);
}

static bool judge_listing(struct outside_check *c, const struct ip *ip, struct str list)
{
    const struct outside_question *q, *reason = NULL;
    char text[IP_TEXT];
    struct buf name;
    size_t end;

    buf_init(&name, NAME);
    outside_reverse_name(&name, ip);
    end = name.n - (ip->family == 4 ? strlen("in-addr.arpa") : strlen("ip6.arpa"));
    name.n = end;
    buf_add(&name, list);
    q = judge_look(c, buf_str(&name), DNS_A);
    if (q != NULL && is_listing(q))
        reason = judge_look(c, buf_str(&name), DNS_TXT);
    buf_clear(&name);
    ip_format(ip, text);
    if (q == NULL || (!is_listing(q) && !is_refusal(q) && !judge_is_silent(q)))
        return false;
    if (is_refusal(q))
        judge_note_unknown(c, list, "the list does not answer this resolver (it refuses the big public ones): ask through a resolver of your own");
    else if (judge_is_silent(q))
        judge_note_unknown(c, list, "the list does not answer");
    else if (reason != NULL)
        judge_note(c, list, OUTSIDE_ERROR, NULL, "%s is listed: %.*s; mend the cause, then ask the list to take it off", text,
            STR_ARG(reason->status == DNS_OK ? judge_found(c, reason) : judge_found(c, q)));
    return true;
}

void judge_dnsbl(struct outside_check *c)
{
    const struct str_list *lists = &c->facts->config->check.dnsbl;
    struct outside_sender senders[SENDERS];
    size_t n;

    if (!judge_senders(c, senders, &n))
        return;
    for (size_t k = 0; k < lists->n; k++) {
        bool said = false;

        for (size_t i = 0; i < n; i++)
            said |= judge_listing(c, &senders[i].ip, lists->items[k]);
        if (!said && n > 0)
            judge_note(c, lists->items[k], OUTSIDE_OK, NULL, "none of %zu address%s is listed", n, n == 1 ? "" : "es");
    }
}

/* ---- ports ---- */

/* The first MX host of a domain, and its first address. False: there is none, or it is not known yet. */
static bool find_server(struct outside_check *c, struct str domain, struct ip *ip, bool *silent)
{
    const struct outside_question *mx = judge_look(c, domain, DNS_MX), *a;
    struct dns_mx hosts[NAMES];
    size_t n = mx == NULL ? 0 : dns_read_mx(mx->records, hosts, NAMES), best = 0;

    *silent = *silent || (mx != NULL && judge_is_silent(mx));
    for (size_t i = 1; i < n; i++)
        if (hosts[i].preference < hosts[best].preference)
            best = i;
    if (n == 0 || hosts[best].host[0] == 0 || (a = judge_look(c, str_of(hosts[best].host), DNS_A)) == NULL)
        return false;
    *silent = *silent || judge_is_silent(a);
    return dns_read_addresses(a->records, DNS_A, ip, 1) == 1;
}

void judge_port_out(struct outside_check *c)
{
    const struct config *config = c->facts->config;
    const struct outside_probe *good = NULL, *bad = NULL, *untried = NULL;
    struct str item = judge_text(c, "port %" PRId64, config->relay.port);
    bool silent = false;

    for (size_t i = 0; i < config->check.outbound.n; i++) {
        const struct outside_probe *p;
        struct ip ip;

        if (!find_server(c, config->check.outbound.items[i], &ip, &silent) || (p = judge_probe(c, &ip, (unsigned)config->relay.port, STR(""))) == NULL)
            continue;
        if (p->connected)
            good = p;
        else
            *(p->tried ? &bad : &untried) = p;
    }
    if (config->check.outbound.n == 0)
        return;
    if (good != NULL)
        judge_note(c, item, OUTSIDE_OK, NULL, "servers of others can be reached");
    else if (bad != NULL)
        judge_note(c, item, OUTSIDE_ERROR, NULL, "no server of others can be reached: %.*s. Ask the provider to open port 25 on the way out", STR_ARG(bad->text));
    else
        judge_note_unknown(c, item, "not tried: %.*s", STR_ARG(untried != NULL ? untried->text : silent ? STR("DNS does not answer") : STR("check.outbound names no domain with mail servers")));
}

/* Nobody here answers for this domain (RFC 2606), so only an open relay takes mail for it. */
static const char stranger[] = "staffetta-open-relay-test@example.com";

static const struct outside_probe *own_port(struct outside_check *c, const struct ip *ip)
{
    unsigned port = 0;

    for (size_t i = 0; i < c->facts->config->listener_count && port == 0; i++)
        if (c->facts->config->listeners[i].service_id == SERVICE_MX)
            port = (unsigned)c->facts->config->listeners[i].port;
    return port == 0 ? NULL : judge_probe(c, ip, port, str_of(stranger));
}

void judge_port_in(struct outside_check *c)
{
    struct ip own[OUTSIDE_ADDRESSES];
    char text[IP_TEXT];
    size_t n;

    if (!judge_own_addresses(c, own, &n))
        return;
    for (size_t i = 0; i < n; i++) {
        const struct outside_probe *p = own_port(c, &own[i]);

        if (p == NULL)
            continue;
        ip_format(&own[i], text);
        if (!p->tried)
            judge_note_unknown(c, str_of(text), "not tried: %.*s", STR_ARG(p->text));
        else if (p->greeting == 220)
            judge_note(c, str_of(text), OUTSIDE_OK, NULL, "port %u answers (from here; a firewall before this machine cannot be seen)", p->port);
        else
            judge_note(c, str_of(text), OUTSIDE_ERROR, NULL, "port %u does not answer: %.*s", p->port, STR_ARG(p->text));
    }
}

void judge_open_relay(struct outside_check *c)
{
    struct ip own[OUTSIDE_ADDRESSES];
    size_t n, closed = 0, asked = 0;
    char text[IP_TEXT];

    if (!judge_own_addresses(c, own, &n))
        return;
    for (size_t i = 0; i < n; i++) {
        const struct outside_probe *p = own_port(c, &own[i]);

        if (p == NULL || p->rcpt_code == 0)
            continue;
        asked++;
        ip_format(&own[i], text);
        if (p->rcpt_code / 100 != 2)
            closed++;
        else if (config_exempts(c->facts->config, &own[i]))
            judge_note(c, str_of(text), OUTSIDE_WARNING, NULL,
                "it passes on mail from this machine's own address, which is in relay_networks: that says nothing about others, but no proxy may stand before it");
        else
            judge_note(c, str_of(text), OUTSIDE_ERROR, NULL, "it takes mail of a stranger for a stranger: look at relay_networks in the configuration");
    }
    if (closed == asked && asked > 0)
        judge_note(c, c->facts->hostname, OUTSIDE_OK, NULL, "it refuses mail of strangers for strangers");
}

void judge_clock(struct outside_check *c)
{
    if (!c->clock->known)
        return;
    if (c->clock->synchronized)
        judge_note(c, STR("clock"), OUTSIDE_OK, NULL, "set by NTP, to %" PRId64 " ms", (c->clock->error + 999) / 1000);
    else
        judge_note(c, STR("clock"), OUTSIDE_WARNING, NULL, "nothing sets this machine's clock: install chrony or systemd-timesyncd");
}
