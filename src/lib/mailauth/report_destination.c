/* See report_destination.h. */
#include "report_destination.h"
#include "dmarc_author.h"

#include <stdio.h>
#include <string.h>

enum { ADDRESS_MAX = 512, TEXT_MAX = 4096 };

void report_destination_init(struct report_destination *d, const struct report_destination_world *world, void *owner, struct str domain,
    struct str address)
{
    ptrdiff_t at = str_rfind(address, '@');

    *d = (struct report_destination){.world = world, .owner = owner, .verdict = REPORT_NOT_KNOWN, .reason = ""};
    buf_init(&d->address, ADDRESS_MAX);
    buf_add(&d->address, address);
    dmarc_canonical_domain(domain, d->domain);
    if (at >= 0)
        dmarc_canonical_domain(str_skip(address, (size_t)at + 1), d->host);
}

void report_destination_clear(struct report_destination *d)
{
    buf_clear(&d->address);
}

static void end(struct report_destination *d, enum report_verdict verdict, const char *reason)
{
    d->step = REPORT_OVER;
    d->verdict = verdict;
    d->reason = reason;
    d->world->done(d->owner);
}

static struct str top_label(const char *domain)
{
    struct str name = str_of(domain);

    return str_skip(name, (size_t)(str_rfind(name, '.') + 1));
}

static void ask_below(struct report_destination *d, const char *first, struct str second)
{
    char name[2 * DNS_NAME_TEXT + 20];

    snprintf(name, sizeof name, "%s%.*s", first, STR_ARG(second));
    d->world->ask(d->owner, str_of(name));
}

static void ask_host(struct report_destination *d)
{
    char prefix[DNS_NAME_TEXT + 20];
    int n = snprintf(prefix, sizeof prefix, "%s._report._dmarc.", d->domain);

    d->step = REPORT_ASK_HOST;
    if ((size_t)n + strlen(d->host) > 253)
        end(d, REPORT_UNWANTED, "the name to ask for is too long");
    else
        ask_below(d, prefix, str_of(d->host));
}

static void begin_walk(struct report_destination *d, const char *domain)
{
    dmarc_walk_begin(&d->walk, str_of(domain));
    ask_below(d, "_dmarc.", dmarc_walk_target(&d->walk));
}

void report_destination_start(struct report_destination *d)
{
    if (d->host[0] == 0 || d->domain[0] == 0 || d->address.failed)
        end(d, REPORT_UNWANTED, "no address with a domain");
    else if (strcmp(d->host, d->domain) == 0)
        end(d, REPORT_WANTED, "");
    else if (str_eq(top_label(d->host), top_label(d->domain)))
        begin_walk(d, d->domain);
    else
        ask_host(d);
}

/* The one record of DMARC among them; empty for none, or several. */
static void one_record(struct str records, struct buf *out)
{
    struct str rdata;
    unsigned found = 0;
    struct buf text;

    buf_init(&text, TEXT_MAX);
    while (dns_next_record(&records, &rdata)) {
        buf_reset(&text);
        if (!dns_read_txt(rdata, &text) || text.failed || !dmarc_is_record(buf_str(&text)))
            continue;
        buf_reset(out);
        if (++found == 1)
            buf_add(out, buf_str(&text));
    }
    buf_clear(&text);
}

static void on_step(struct report_destination *d, struct str records)
{
    struct buf text;

    buf_init(&text, TEXT_MAX);
    one_record(records, &text);
    dmarc_walk_add(&d->walk, buf_str(&text));
    d->walk.steps[d->walk.n - 1].text = STR("");
    buf_clear(&text);
    if (d->walk.next > 0) {
        ask_below(d, "_dmarc.", dmarc_walk_target(&d->walk));
    } else if (d->step == REPORT_WALK_DOMAIN) {
        snprintf(d->organisation, sizeof d->organisation, "%.*s", STR_ARG(dmarc_walk_organisation(&d->walk)));
        d->step = REPORT_WALK_HOST;
        begin_walk(d, d->host);
    } else if (str_eq(dmarc_walk_organisation(&d->walk), str_of(d->organisation))) {
        end(d, REPORT_WANTED, "");
    } else {
        ask_host(d);
    }
}

/* What the other domain says in place of the address: one at the same host (4, step 9). */
static bool replace_address(struct report_destination *d, struct str list)
{
    struct dmarc_uri uri;
    char host[DNS_NAME_TEXT];
    bool replaced = false;

    while (!replaced && dmarc_next_uri(&list, &uri)) {
        ptrdiff_t at;

        buf_reset(&d->address);
        if (!dmarc_uri_address(uri.uri, &d->address) || d->address.failed)
            continue;
        at = str_rfind(buf_str(&d->address), '@');
        if (at < 0 || !dmarc_canonical_domain(str_skip(buf_str(&d->address), (size_t)at + 1), host) || strcmp(host, d->host) != 0)
            return false;
        replaced = true;
    }
    return replaced;
}

static void on_host(struct report_destination *d, struct str records)
{
    struct dmarc_record record = {0};
    struct str rdata;
    struct buf text;
    bool wanted = false, ok = true;

    buf_init(&text, TEXT_MAX);
    while (!wanted && dns_next_record(&records, &rdata)) {
        buf_reset(&text);
        wanted = dns_read_txt(rdata, &text) && !text.failed && dmarc_is_record(buf_str(&text));
    }
    if (wanted)
        dmarc_read(buf_str(&text), &record);
    if (wanted && record.rua.n > 0)
        ok = replace_address(d, record.rua);
    buf_clear(&text);
    if (!wanted)
        end(d, REPORT_UNWANTED, "the domain of the address does not say that it wants reports about this one");
    else if (!ok)
        end(d, REPORT_UNWANTED, "the domain of the address names one at another domain");
    else
        end(d, REPORT_WANTED, "");
}

void report_destination_answer(struct report_destination *d, enum dns_status status, struct str records)
{
    if (d->step == REPORT_OVER)
        return;
    if (status != DNS_OK && status != DNS_NXDOMAIN && status != DNS_NODATA)
        end(d, REPORT_NOT_KNOWN, "DNS failed");
    else if (d->step == REPORT_ASK_HOST)
        on_host(d, status == DNS_OK ? records : STR(""));
    else
        on_step(d, status == DNS_OK ? records : STR(""));
}
