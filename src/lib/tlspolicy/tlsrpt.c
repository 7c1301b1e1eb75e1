/* See tlsrpt.h. */
#include "tlsrpt.h"
#include "base/clock.h"
#include "base/json.h"
#include "smtp/address.h"

static const char *const result_names[] = {
    [TLS_OK] = "",
    [TLS_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
    [TLS_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
    [TLS_CERTIFICATE_EXPIRED] = "certificate-expired",
    [TLS_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
    [TLS_VALIDATION_FAILURE] = "validation-failure",
    [TLS_TLSA_INVALID] = "tlsa-invalid",
    [TLS_DNSSEC_INVALID] = "dnssec-invalid",
    [TLS_DANE_REQUIRED] = "dane-required",
    [TLS_STS_FETCH_ERROR] = "sts-policy-fetch-error",
    [TLS_STS_POLICY_INVALID] = "sts-policy-invalid",
    [TLS_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
};
static const char *const type_names[] = {[TLSRPT_NO_POLICY] = "no-policy-found", [TLSRPT_STS] = "sts", [TLSRPT_TLSA] = "tlsa"};

const char *tls_result_name(enum tls_result result)
{
    return result_names[result];
}

/* ---- the record ---- */

static void take_uris(struct str list, struct tlsrpt_record *record)
{
    struct str uri;

    while (str_next(&list, ',', &uri) && record->n < TLSRPT_URIS_MAX) {
        uri = str_trim(uri);
        if (uri.n <= TLSRPT_URI_MAX && str_find(uri, ' ') < 0 && (str_istarts(uri, STR("mailto:")) || str_istarts(uri, STR("https://"))))
            record->uris[record->n++] = uri;
    }
}

bool tlsrpt_record_read(struct str text, struct tlsrpt_record *record)
{
    struct str rest, name, value;
    enum policy_text_next next;
    bool taken = false;

    record->n = 0;
    if (!policy_text_begins(text, STR("v=TLSRPTv1"), &rest))
        return false;
    while ((next = policy_text_next(&rest, &name, &value)) == POLICY_TEXT_FIELD)
        if (str_eq(name, STR("rua")) && !taken) {
            take_uris(value, record);
            taken = true;
        }
    return next == POLICY_TEXT_END && record->n > 0;
}

static int hex_digit(char c)
{
    ptrdiff_t at = str_find(STR("0123456789abcdef"), ascii_lower(c));

    return (int)at;
}

bool tlsrpt_mail_address(struct str uri, struct buf *out)
{
    struct buf address;
    const char *why;
    bool ok = str_istarts(uri, STR("mailto:"));
    ptrdiff_t query;

    uri = str_skip(uri, 7);
    query = str_find(uri, '?');
    uri = str_sub(uri, 0, query < 0 ? uri.n : (size_t)query);
    buf_init(&address, TLSRPT_URI_MAX);
    for (size_t i = 0; ok && i < uri.n; i++) {
        int high, low;

        if (uri.p[i] != '%') {
            buf_add_char(&address, uri.p[i]);
            continue;
        }
        ok = i + 2 < uri.n && (high = hex_digit(uri.p[i + 1])) >= 0 && (low = hex_digit(uri.p[i + 2])) >= 0;
        if (ok)
            buf_add_char(&address, (char)(high * 16 + low));
        i += 2;
    }
    ok = ok && !address.failed && address_canonical(buf_str(&address), ADDRESS_UTF8, out, &why);
    buf_clear(&address);
    return ok;
}

/* ---- the report ---- */

static void key(struct buf *out, const char *name)
{
    char last = out->n > 0 ? out->p[out->n - 1] : '{';

    if (last != '{' && last != '[')
        buf_add_char(out, ',');
    buf_add_char(out, '"');
    buf_add(out, str_of(name));
    buf_add(out, STR("\":"));
}

static void text(struct buf *out, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    key(out, name);
    json_quote(out, value);
}

static void number(struct buf *out, const char *name, uint64_t value)
{
    key(out, name);
    buf_add_number(out, value);
}

static void address(struct buf *out, const char *name, const struct ip *ip)
{
    char shown[IP_TEXT];

    ip_format(ip, shown);
    text(out, name, str_of(shown));
}

/* Without fractions: RFC 3339 as all readers take it. */
static void moment(struct buf *out, const char *name, int64_t seconds)
{
    char shown[32];

    clock_format_utc(seconds * SECOND, shown, sizeof shown);
    key(out, name);
    buf_addf(out, "\"%.19sZ\"", shown);
}

static void texts(struct buf *out, const char *name, const struct str *values, size_t n)
{
    if (n == 0)
        return;
    key(out, name);
    buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        json_quote(out, values[i]);
    }
    buf_add_char(out, ']');
}

static void write_failure(const struct tlsrpt_failure *f, struct buf *out)
{
    buf_add_char(out, '{');
    text(out, "result-type", str_of(tls_result_name(f->result)));
    address(out, "sending-mta-ip", &f->sending);
    text(out, "receiving-mx-hostname", f->mx);
    text(out, "receiving-mx-helo", f->helo);
    address(out, "receiving-ip", &f->receiving);
    number(out, "failed-session-count", f->sessions);
    text(out, "failure-reason-code", f->reason);
    buf_add_char(out, '}');
}

static void write_policy(const struct tlsrpt_policy *p, struct buf *out)
{
    buf_add(out, STR("{\"policy\":{"));
    text(out, "policy-type", str_of(type_names[p->type]));
    texts(out, "policy-string", p->strings, p->string_count);
    text(out, "policy-domain", p->domain);
    texts(out, "mx-host", p->mx, p->mx_count);
    buf_add(out, STR("},\"summary\":{"));
    number(out, "total-successful-session-count", p->successful);
    number(out, "total-failure-session-count", p->failed);
    buf_add_char(out, '}');
    if (p->failure_count > 0)
        buf_add(out, STR(",\"failure-details\":["));
    for (size_t i = 0; i < p->failure_count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_failure(&p->failures[i], out);
    }
    buf_add(out, p->failure_count > 0 ? STR("]}") : STR("}"));
}

bool tlsrpt_write(const struct tlsrpt_report *report, struct buf *out)
{
    buf_add_char(out, '{');
    text(out, "organization-name", report->organization);
    buf_add(out, STR(",\"date-range\":{"));
    moment(out, "start-datetime", report->start);
    moment(out, "end-datetime", report->end);
    buf_add_char(out, '}');
    text(out, "contact-info", report->contact);
    text(out, "report-id", report->id);
    buf_add(out, STR(",\"policies\":["));
    for (size_t i = 0; i < report->policy_count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        write_policy(&report->policies[i], out);
    }
    buf_add(out, STR("]}"));
    return !out->failed;
}
