/* The mechanisms of SPF (RFC 7208 5): each sets the verdict, or asks first. See spf_private.h. */
#include "spf_private.h"

#include <string.h>

/* temperror where DNS failed, permerror at the third answer without records (4.6.4). An IPv6 client meets
 * many hosts that exist and have no AAAA: those do not count. False: the check is over. */
static bool answered(struct spf *spf, enum dns_status status, bool counts)
{
    if (dns_failed(status)) {
        spf_fail(spf, SPF_TEMPERROR, "DNS failed for ", spf_top(spf)->word, "");
        return false;
    }
    if (counts && status != DNS_OK && ++spf->voids > SPF_VOIDS_MAX) {
        spf_fail(spf, SPF_PERMERROR, "too many names without records, the last in ", spf_top(spf)->word, "");
        return false;
    }
    return true;
}

static void matches(struct spf *spf, bool yes)
{
    spf->verdict = yes ? SPF_VERDICT_YES : SPF_VERDICT_NO;
}

static void on_addresses(struct spf *spf, enum dns_status status, struct str records)
{
    const struct spf_term *term = &spf_top(spf)->term;

    if (answered(spf, status, status == DNS_NXDOMAIN || spf_address_type(spf) == DNS_A))
        matches(spf, spf_holds_client(spf, records, term->bits4, term->bits6));
}

static void start_a(struct spf *spf, struct str name)
{
    spf_ask(spf, name, spf_address_type(spf), on_addresses);
}

static void on_mx_addresses(struct spf *spf, enum dns_status status, struct str records);

static void next_mx(struct spf *spf)
{
    if (spf->host_i == spf->host_n)
        matches(spf, false);
    else
        spf_ask(spf, str_of(spf->hosts[spf->host_i]), spf_address_type(spf), on_mx_addresses);
}

static void on_mx_addresses(struct spf *spf, enum dns_status status, struct str records)
{
    const struct spf_term *term = &spf_top(spf)->term;

    if (!answered(spf, status, status == DNS_NXDOMAIN || spf_address_type(spf) == DNS_A))
        return;
    if (spf_holds_client(spf, records, term->bits4, term->bits6)) {
        matches(spf, true);
        return;
    }
    spf->host_i++;
    next_mx(spf);
}

static void on_mx(struct spf *spf, enum dns_status status, struct str records)
{
    struct str rdata;

    if (!answered(spf, status, true))
        return;
    spf->host_n = spf->host_i = 0;
    while (spf->host_n <= SPF_NAMES_MAX && dns_next_record(&records, &rdata)) {
        char *host = spf->hosts[spf->host_n];

        if (dns_read_printable(str_skip(rdata, 2), host) && host[0] != '\0')
            spf->host_n++;
    }
    if (spf->host_n > SPF_NAMES_MAX)
        spf_fail(spf, SPF_PERMERROR, "more than 10 hosts in ", spf_top(spf)->word, "");
    else
        next_mx(spf);
}

static void start_mx(struct spf *spf, struct str name)
{
    spf_ask(spf, name, DNS_MX, on_mx);
}

static void start_ptr(struct spf *spf, struct str name)
{
    bool found = false;

    for (size_t i = 0; i < spf->validated_n; i++) {
        struct str host = spf->validated[i];

        found |= str_ieq(host, name) || (host.n > name.n && host.p[host.n - name.n - 1] == '.' &&
                                            str_ieq(str_skip(host, host.n - name.n), name));
    }
    matches(spf, found);
}

static void on_exists(struct spf *spf, enum dns_status status, struct str records)
{
    (void)records;
    if (answered(spf, status, true))
        matches(spf, status == DNS_OK);
}

static void start_exists(struct spf *spf, struct str name)
{
    spf_ask(spf, name, DNS_A, on_exists);
}

static void start_include(struct spf *spf, struct str name)
{
    spf->frames[spf->depth++] = (struct spf_frame){.domain = name};
    spf->verdict = SPF_VERDICT_NO;
}

static const struct mechanism {
    bool counts, needs_names;
    void (*start)(struct spf *spf, struct str name);
} mechanisms[] = {
    [SPF_INCLUDE] = {true, false, start_include},
    [SPF_A] = {true, false, start_a},
    [SPF_MX] = {true, false, start_mx},
    [SPF_PTR] = {true, true, start_ptr},
    [SPF_EXISTS] = {true, false, start_exists},
};

/* A name that cannot be asked for is one that does not exist (4.8); included, it has no record. */
static void start_with_name(struct spf *spf)
{
    const struct spf_term *term = &spf_top(spf)->term;
    struct str name;

    if (spf_expand(spf, term->domain, &name))
        mechanisms[term->kind].start(spf, name);
    else if (term->kind == SPF_INCLUDE)
        spf_fail(spf, SPF_PERMERROR, "no domain to include in ", spf_top(spf)->word, "");
    else
        matches(spf, false);
}

void spf_start_term(struct spf *spf)
{
    const struct spf_term *term = &spf_top(spf)->term;
    struct network net = {.ip = term->ip, .bits = (uint8_t)(term->ip.family == 4 ? term->bits4 : term->bits6)};

    spf_top(spf)->word = term->word;
    spf->verdict = SPF_VERDICT_OPEN;
    if (term->kind == SPF_ALL)
        matches(spf, true);
    else if (term->kind == SPF_IP4 || term->kind == SPF_IP6)
        matches(spf, network_holds(&net, &spf->names.ip));
    else if (spf_count_term(spf))
        spf_with_names(spf, mechanisms[term->kind].needs_names || spf_uses_validated(term->domain), start_with_name);
}

