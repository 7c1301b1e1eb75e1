/* Names in SPF: what a domain-spec stands for, and those of the client's address. See spf_private.h. */
#include "spf_private.h"
#include "base/buf.h"

#include <string.h>

/* The name %{p} stands for: the domain itself, else one below it, else any (7.3). */
struct str spf_choose_validated(const struct spf *spf, struct str domain)
{
    struct str below = STR(""), any = STR("unknown");

    for (size_t i = spf->validated_n; i-- > 0;) {
        struct str name = spf->validated[i];

        any = name;
        if (str_ieq(name, domain))
            return name;
        if (name.n > domain.n && name.p[name.n - domain.n - 1] == '.' && str_ieq(str_skip(name, name.n - domain.n), domain))
            below = name;
    }
    return below.n > 0 ? below : any;
}

/* Expands into *name, in the arena. False when that is no name DNS can be asked for. */
bool spf_expand(struct spf *spf, struct str spec, struct str *name)
{
    struct buf out;
    bool ok;

    spf->names.domain = spf_top(spf)->domain;
    spf->names.validated = spf_choose_validated(spf, spf_top(spf)->domain);
    if (spec.n == 0) {
        *name = spf_top(spf)->domain;
        return true;
    }
    buf_init(&out, SPF_TEXT_MAX);
    ok = spf_expand_domain(spec, &spf->names, &out) && dns_name_can_be_asked(buf_str(&out));
    *name = ok ? arena_str(&spf->arena, buf_str(&out)) : STR("");
    buf_clear(&out);
    return ok && name->p != NULL;
}

unsigned spf_address_type(const struct spf *spf)
{
    return spf->names.ip.family == 6 ? DNS_AAAA : DNS_A;
}

/* Is one of the addresses in a network of this size with the client's? */
bool spf_holds_client(const struct spf *spf, struct str records, unsigned bits4, unsigned bits6)
{
    enum dns_type type = spf_address_type(spf) == DNS_A ? DNS_A : DNS_AAAA;
    struct str rdata;

    while (dns_next_record(&records, &rdata)) {
        struct network net = {.ip.family = type == DNS_A ? 4 : 6, .bits = (uint8_t)(type == DNS_A ? bits4 : bits6)};

        if (rdata.n != (type == DNS_A ? 4 : 16))
            continue;
        memcpy(net.ip.bytes, rdata.p, rdata.n);
        if (network_holds(&net, &spf->names.ip))
            return true;
    }
    return false;
}

/* ---- the names of the client's address, each of which has to lead back to it (5.5) ---- */

static void names_done(struct spf *spf)
{
    spf->names_known = true;
    spf->after_names(spf);
}

static void on_name_addresses(struct spf *spf, enum dns_status status, struct str records);

static void next_name(struct spf *spf)
{
    if (spf->host_i == spf->host_n)
        names_done(spf);
    else
        spf_ask(spf, str_of(spf->hosts[spf->host_i]), spf_address_type(spf), on_name_addresses);
}

static void on_name_addresses(struct spf *spf, enum dns_status status, struct str records)
{
    if (status == DNS_OK && spf_holds_client(spf, records, 32, 128)) {
        struct str name = arena_str(&spf->arena, str_of(spf->hosts[spf->host_i]));

        if (name.p != NULL)
            spf->validated[spf->validated_n++] = name;
    }
    spf->host_i++;
    next_name(spf);
}

/* An error is no name (5.5); of more than ten names the first ten are used (4.6.4). */
static void on_names(struct spf *spf, enum dns_status status, struct str records)
{
    struct str rdata;

    spf->host_n = spf->host_i = 0;
    while (status == DNS_OK && spf->host_n < SPF_NAMES_MAX && dns_next_record(&records, &rdata))
        if (dns_read_target(rdata, spf->hosts[spf->host_n]) && spf->hosts[spf->host_n][0] != '\0')
            spf->host_n++;
    next_name(spf);
}

static void find_names(struct spf *spf, spf_next_fn *after)
{
    struct buf name;

    spf->after_names = after;
    buf_init(&name, SPF_TEXT_MAX);
    if (spf_expand_domain(STR("%{ir}.%{v}.arpa"), &spf->names, &name))
        spf_ask(spf, buf_str(&name), DNS_PTR, on_names);
    else
        names_done(spf);
    buf_clear(&name);
}

/* Calls `next`, with the validated names known where `spec` needs them. */
void spf_with_names(struct spf *spf, bool needed, spf_next_fn *next)
{
    if (needed && !spf->names_known)
        find_names(spf, next);
    else
        next(spf);
}

