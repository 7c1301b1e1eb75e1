/* See plan.h. RFC 5321 5.1, RFC 7505. */
#include "plan.h"
#include "base/clock.h"
#include "smtp/address.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MX_MAX = 64 };

struct plan *plan_new(void)
{
    struct plan *plan = xcalloc(1, sizeof *plan);

    plan->refs = 1;
    plan->targets = xcalloc(PLAN_TARGETS, sizeof plan->targets[0]);
    buf_init(&plan->tlsa, PLAN_TLSA);
    plan->published_ttl = UINT32_MAX;
    return plan;
}

struct plan *plan_hold(struct plan *plan)
{
    plan->refs++;
    return plan;
}

void plan_drop(struct plan *plan)
{
    if (plan == NULL || --plan->refs > 0)
        return;
    free(plan->targets);
    free(plan->signature);
    free(plan->sts.text);
    buf_clear(&plan->tlsa);
    free(plan);
}

void plan_refuse(struct plan *plan, unsigned code, enum delivery_reason reason, const char *format, ...)
{
    va_list args;

    plan->verdict.code = code;
    plan->verdict.reason = reason;
    va_start(args, format);
    vsnprintf(plan->verdict.text, sizeof plan->verdict.text, format, args);
    va_end(args);
}

/* "the words" of DNS for a text of ours, cut. */
static int words(const struct msg_dns_reply *reply)
{
    return reply->text.n > 120 ? 120 : (int)reply->text.n;
}

/* Adds one target at its place; the same name twice counts once, with the better preference. */
static void add_target(struct plan *plan, const char *host, unsigned preference, uint16_t port)
{
    size_t at = plan->n;

    for (size_t i = 0; i < plan->n; i++)
        if (strcmp(plan->targets[i].host, host) == 0 && plan->targets[i].port == port)
            return;
    if (plan->n == PLAN_TARGETS)
        return;
    while (at > 0 && plan->targets[at - 1].preference > preference)
        at--;
    memmove(&plan->targets[at + 1], &plan->targets[at], (plan->n - at) * sizeof plan->targets[0]);
    plan->targets[at] = (struct target){.preference = preference, .port = port};
    snprintf(plan->targets[at].host, sizeof plan->targets[at].host, "%s", host);
    plan->n++;
}

static int by_preference(const void *a, const void *b)
{
    const struct dns_mx *x = a, *y = b;

    return (x->preference > y->preference) - (x->preference < y->preference);
}

static void take_mx_records(struct plan *plan, struct str domain, uint16_t port, struct str records)
{
    struct dns_mx mx[MX_MAX];
    size_t n = dns_read_mx(records, mx, MX_MAX);

    if (n == 1 && mx[0].host[0] == '\0') {
        plan_refuse(plan, 556, REASON_NO_USER, "5.1.10 %.*s accepts no mail (null MX)", STR_ARG(domain));
        return;
    }
    qsort(mx, n, sizeof mx[0], by_preference);
    for (size_t i = 0; i < n; i++)
        if (mx[i].host[0] != '\0')
            add_target(plan, mx[i].host, mx[i].preference, port);
    if (plan->n == 0)
        plan_refuse(plan, 550, REASON_DNS, "5.4.4 the MX records of %.*s name no host", STR_ARG(domain));
}

bool plan_take_mx(struct plan *plan, struct str domain, uint16_t port, const struct msg_dns_reply *reply)
{
    char host[DNS_NAME_TEXT];

    plan->by_mx = true;
    plan->secure = reply->secure != 0;
    switch (reply->status) {
    case DNS_OK:
        take_mx_records(plan, domain, port, reply->records);
        break;
    case DNS_NODATA:
        snprintf(host, sizeof host, "%.*s", STR_ARG(domain));
        plan->implicit = true;
        add_target(plan, host, 0, port);
        break;
    case DNS_NXDOMAIN:
        plan_refuse(plan, 550, REASON_DNS, "5.1.2 the domain %.*s does not exist", STR_ARG(domain));
        break;
    default:
        plan_refuse(plan, 451, REASON_DNS, "4.4.3 MX look-up of %.*s failed: %.*s", STR_ARG(domain), words(reply),
            reply->text.p != NULL ? reply->text.p : "");
    }
    return plan->verdict.code == 0;
}

static void add_literal(struct plan *plan, const struct ip *ip, unsigned preference, uint16_t port)
{
    char text[IP_TEXT], host[IP_TEXT + 10];
    size_t before = plan->n;

    ip_format(ip, text);
    snprintf(host, sizeof host, ip->family == 6 ? "[IPv6:%s]" : "[%s]", text);
    add_target(plan, host, preference, port);
    if (plan->n == before)
        return;
    for (size_t i = 0; i < plan->n; i++)
        if (strcmp(plan->targets[i].host, host) == 0 && plan->targets[i].port == port) {
            plan->targets[i].literal = true;
            plan->targets[i].addresses[0] = *ip;
            plan->targets[i].address_count = 1;
        }
}

void plan_take_literal(struct plan *plan, const struct ip *ip, uint16_t port)
{
    plan->secure = true; /* nothing was looked up */
    add_literal(plan, ip, 0, port);
}

/* "host:port", "[::1]:port", "192.0.2.1", "host". */
static bool split_host(struct str word, struct str *host, uint16_t *port)
{
    ptrdiff_t colon, close = str_rfind(word, ']');
    uint64_t number;

    *host = word;
    colon = str_rfind(word, ':');
    if (colon > close && colon > 0) {
        if (!str_to_u64(str_skip(word, (size_t)colon + 1), 65535, &number) || number == 0)
            return false;
        *port = (uint16_t)number;
        *host = str_sub(word, 0, (size_t)colon);
    }
    if (host->n >= 2 && host->p[0] == '[' && host->p[host->n - 1] == ']')
        *host = str_sub(*host, 1, host->n - 1);
    if (str_istarts(*host, STR("IPv6:")))
        *host = str_skip(*host, 5);
    return host->n > 0 && host->n < DNS_NAME_TEXT;
}

void plan_take_hosts(struct plan *plan, struct str hosts, uint16_t port)
{
    struct str rest = hosts, word, host;
    char name[DNS_NAME_TEXT];
    unsigned preference = 0;
    struct ip ip;

    plan->secure = true; /* said by the configuration */
    while (str_next_word(&rest, &word)) {
        uint16_t its_port = port;

        if (!split_host(word, &host, &its_port))
            continue;
        if (ip_parse(host, &ip)) {
            add_literal(plan, &ip, preference++, its_port);
        } else if (domain_is_valid(host, false)) {
            snprintf(name, sizeof name, "%.*s", STR_ARG(host));
            add_target(plan, name, preference++, its_port);
        }
    }
    if (plan->n == 0)
        plan_refuse(plan, 451, REASON_OTHER, "4.3.5 the route names no usable host: %.*s",
            hosts.n > 100 ? 100 : (int)hosts.n, hosts.p != NULL ? hosts.p : "");
}

void plan_take_addresses(struct target *target, enum dns_type type, const struct msg_dns_reply *reply)
{
    size_t room = PLAN_ADDRESSES - target->address_count;

    if (reply->status == DNS_OK) {
        /* Half of the room for each family, so that neither crowds out the other. */
        if (room > PLAN_ADDRESSES / 2)
            room = PLAN_ADDRESSES / 2;
        target->address_count += dns_read_addresses(
            reply->records, type, target->addresses + target->address_count, room);
        target->unsigned_address |= reply->secure == 0;
        if (reply->canonical.n > 0 && !str_ieq(reply->canonical, str_of(target->host)))
            snprintf(target->alias, sizeof target->alias, "%.*s", STR_ARG(reply->canonical));
    } else if (reply->status != DNS_NODATA && reply->status != DNS_NXDOMAIN) {
        target->unresolved = true;
    }
}

/* ---- what is published about TLS ---- */

bool plan_may_have_tlsa(const struct plan *plan, const struct target *target)
{
    return plan->by_mx && plan->secure && target->address_count > 0 && !target->literal && !target->unsigned_address;
}

static enum dane_lookup lookup_of(const struct msg_dns_reply *reply)
{
    if (reply->status == DNS_OK)
        return reply->secure ? DANE_SECURE : DANE_INSECURE;
    return reply->status == DNS_NODATA || reply->status == DNS_NXDOMAIN ? DANE_INSECURE : DANE_FAILED;
}

void plan_take_tlsa(struct plan *plan, struct target *target, bool by_alias, const struct msg_dns_reply *reply)
{
    struct dane_set set;

    dane_read(reply->records, &set);
    target->dane = dane_plan(lookup_of(reply), &set);
    target->tlsa_by_alias = by_alias;
    if (reply->status == DNS_OK && reply->ttl < plan->published_ttl)
        plan->published_ttl = (uint32_t)reply->ttl;
    if (target->dane == DANE_SKIP)
        plan->published_ttl = 0; /* asked again soon */
    if (target->dane != DANE_AUTHENTICATE)
        return;
    target->tlsa_at = plan->tlsa.n;
    target->tlsa_n = reply->records.n;
    if (reply->records.n > PLAN_TLSA - plan->tlsa.n)
        target->dane = DANE_SKIP; /* hostile: nobody has that many */
    else
        buf_add(&plan->tlsa, reply->records);
}

void plan_tlsa(const struct plan *plan, const struct target *target, struct dane_set *set)
{
    dane_read(str_sub(buf_str(&plan->tlsa), target->tlsa_at, target->tlsa_at + target->tlsa_n), set);
}

const char *plan_tlsa_base(const struct target *target)
{
    return target->tlsa_by_alias ? target->alias : target->host;
}

bool plan_take_sts(struct plan *plan, struct str text)
{
    const char *why = NULL;
    char *copy = xstrndup(text.p != NULL ? text.p : "", text.n);

    if (!sts_policy_read((struct str){copy, text.n}, &plan->sts.policy, &why)) {
        free(copy);
        return false;
    }
    free(plan->sts.text);
    plan->sts.text = copy;
    plan->sts.known = true;
    return true;
}

static bool is_ourselves(const struct plan *plan, const struct target *t, const struct plan_self *self)
{
    (void)plan;
    if (!t->literal && str_ieq(str_of(t->host), self->hostname))
        return true;
    for (size_t i = 0; i < t->address_count; i++)
        if (self->is_us(self->world, &t->addresses[i], t->port))
            return true;
    return false;
}

/* True when something was dropped. */
static bool drop_loops(struct plan *plan, const struct plan_self *self)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (!is_ourselves(plan, &plan->targets[i], self))
            continue;
        while (i > 0 && plan->targets[i - 1].preference == plan->targets[i].preference)
            i--;
        plan->n = i;
        return true;
    }
    return false;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void make_signature(struct plan *plan)
{
    char names[PLAN_TARGETS][DNS_NAME_TEXT + 8], signature[PLAN_SIGNATURE];
    size_t used = 0;

    for (size_t i = 0; i < plan->n; i++)
        snprintf(names[i], sizeof names[i], "%s:%u", plan->targets[i].host, plan->targets[i].port);
    qsort(names, plan->n, sizeof names[0], compare_names);
    for (size_t i = 0; i < plan->n; i++)
        used += (size_t)snprintf(signature + used, sizeof signature - used, "%s ", names[i]);
    plan->signature = xstrndup(signature, used);
    /* Many plans are kept, most with one or two servers. */
    plan->targets = xrealloc(plan->targets, plan->n * sizeof plan->targets[0]);
}

void plan_finish(struct plan *plan, struct str domain, const struct plan_self *self)
{
    bool unresolved = false, dropped;
    size_t kept = 0;

    if (plan->verdict.code != 0)
        return;
    dropped = drop_loops(plan, self);
    if (plan->n == 0) {
        plan_refuse(plan, 554, REASON_DNS, "5.4.6 mail for %.*s loops back to me", STR_ARG(domain));
        return;
    }
    for (size_t i = 0; i < plan->n; i++) {
        unresolved |= plan->targets[i].unresolved;
        if (plan->targets[i].address_count > 0)
            plan->targets[kept++] = plan->targets[i];
    }
    plan->n = kept;
    if (kept > 0)
        make_signature(plan);
    else if (unresolved || dropped)
        plan_refuse(plan, 451, REASON_DNS, "4.4.3 the mail servers of %.*s could not be looked up", STR_ARG(domain));
    else if (plan->implicit)
        plan_refuse(plan, 550, REASON_DNS, "5.1.2 the domain %.*s has no mail server", STR_ARG(domain));
    else /* a mistake in the zone that its owner may still mend: worth waiting for */
        plan_refuse(plan, 451, REASON_DNS, "4.4.4 the mail servers of %.*s have no address", STR_ARG(domain));
}

/* ---- order ---- */

/* IPv6 and IPv4 in turn. */
static size_t add_candidates(
    const struct target *t, uint8_t index, uint8_t tried, struct candidate *out)
{
    uint8_t sorted[2][PLAN_ADDRESSES];
    size_t counts[2] = {0, 0}, n = 0;

    for (size_t i = 0; i < t->address_count; i++) {
        size_t family = t->addresses[i].family == 6 ? 0 : 1;

        if (!(tried & (1u << i)))
            sorted[family][counts[family]++] = (uint8_t)i;
    }
    for (size_t i = 0; i < PLAN_ADDRESSES; i++)
        for (size_t family = 0; family < 2; family++)
            if (i < counts[family])
                out[n++] = (struct candidate){index, sorted[family][i]};
    return n;
}

static void shuffle_equals(const struct plan *plan, uint8_t *order, uint64_t (*random)(uint64_t limit))
{
    for (size_t start = 0, end; start < plan->n; start = end) {
        end = start + 1;
        while (end < plan->n && plan->targets[end].preference == plan->targets[start].preference)
            end++;
        for (size_t i = end - start; i > 1; i--) {
            size_t other = start + random(i);
            uint8_t kept = order[start + i - 1];

            order[start + i - 1] = order[other];
            order[other] = kept;
        }
    }
}

size_t plan_order(const struct plan *plan, const uint8_t tried[PLAN_TARGETS], uint64_t (*random)(uint64_t limit),
    bool (*is_dead)(void *world, const struct ip *ip, uint16_t port), void *world,
    struct candidate out[PLAN_TARGETS * PLAN_ADDRESSES])
{
    struct candidate all[PLAN_TARGETS * PLAN_ADDRESSES], dead[PLAN_TARGETS * PLAN_ADDRESSES];
    size_t n = 0, alive_count = 0, dead_count = 0;
    uint8_t order[PLAN_TARGETS];

    for (size_t i = 0; i < plan->n; i++)
        order[i] = (uint8_t)i;
    shuffle_equals(plan, order, random);
    for (size_t i = 0; i < plan->n; i++)
        n += add_candidates(&plan->targets[order[i]], order[i], tried[order[i]], all + n);
    for (size_t i = 0; i < n; i++) {
        const struct target *t = &plan->targets[all[i].target];

        if (is_dead(world, &t->addresses[all[i].address], t->port))
            dead[dead_count++] = all[i];
        else
            out[alive_count++] = all[i];
    }
    memcpy(out + alive_count, dead, dead_count * sizeof dead[0]);
    return n;
}
