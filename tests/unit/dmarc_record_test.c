/* DMARC records (draft-ietf-dmarc-dmarcbis): every tag, every way to get it wrong, and the URIs of reports. Sections
 * are of the draft unless another is named. */
#include "mailauth/dmarc_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 500 };

static void describe_request(struct buf *out, const char *name, const struct dmarc_request *r)
{
    if (r->present)
        buf_addf(out, " %s=%s", name, r->valid ? dmarc_policy_name(r->policy) : "bad");
}

static void describe_uris(struct buf *out, const char *name, struct str list)
{
    struct dmarc_uri uri;

    while (dmarc_next_uri(&list, &uri)) {
        buf_addf(out, " %s=%.*s", name, STR_ARG(uri.uri));
        if (uri.limit > 0)
            buf_addf(out, "!%llu", (unsigned long long)uri.limit);
    }
}

/* All that differs from what an empty record would say. */
static void describe(struct str text, struct buf *out)
{
    static const char *const psds[] = {"", " psd=n", " psd=y"};
    struct dmarc_record r;

    if (!dmarc_is_record(text)) {
        buf_add(out, STR("no record"));
        return;
    }
    dmarc_read(text, &r);
    buf_add(out, dmarc_is_usable(&r) ? STR("ok") : STR("unusable"));
    describe_request(out, "p", &r.p);
    describe_request(out, "sp", &r.sp);
    describe_request(out, "np", &r.np);
    buf_addf(out, "%s%s%s%s", psds[r.psd], r.testing ? " t=y" : "", r.dkim_strict ? " adkim=s" : "", r.spf_strict ? " aspf=s" : "");
    if (r.fo != DMARC_FO_ALL)
        buf_addf(out, " fo=%u", r.fo);
    describe_uris(out, "rua", r.rua);
    describe_uris(out, "ruf", r.ruf);
}

static const struct {
    const char *section, *text, *expected;
} records[] = {
    /* the version */
    {"4.7 v", "v=DMARC1", "unusable"},
    {"4.7 v", "v=DMARC1;p=none", "ok p=none"},
    {"4.8 equals", "v = DMARC1 ; p = reject ;", "ok p=reject"},
    {"4.8 equals", "v\t=\tDMARC1;\tp\t=\tnone", "ok p=none"},
    {"RFC 6376 3.2", " v=DMARC1; p=none", "ok p=none"},
    {"4.7 v", "v=dmarc1; p=none", "no record"},
    {"4.7 v", "v=DMARC2; p=none", "no record"},
    {"4.7 v", "v=DMARC1 p=none", "no record"},
    {"4.7 v", "v=DMARC1, p=none", "no record"},
    {"4.7 v", "p=none; v=DMARC1", "no record"},
    {"4.7 v", "; v=DMARC1; p=none", "no record"},
    {"4.7 v", "v=DMARC10; p=none", "no record"},
    {"4.7 v", "v==DMARC1; p=none", "no record"},
    {"4.7 v", "\"v=DMARC1; p=none\"", "no record"},
    {"4.7 v", "v=spf1 -all", "no record"},
    {"4.7 v", "", "no record"},
    {"4.7 v", "DMARC1", "no record"},
    {"4.8 ABNF", "V=DMARC1; P=Reject", "ok p=reject"},
    {"4.8", "v=DMARC1; v=DMARC2; p=none", "ok p=none"},
    /* policies */
    {"4.7 p", "v=DMARC1; p=quarantine; sp=reject; np=none", "ok p=quarantine sp=reject np=none"},
    {"4.8 ABNF", "v=DMARC1; p=QUARANTINE", "ok p=quarantine"},
    {"4.10.1", "v=DMARC1; p=monitor", "unusable p=bad"},
    {"4.10.1", "v=DMARC1; p=", "unusable p=bad"},
    {"4.10.1", "v=DMARC1; p", "unusable"},
    {"4.10.1", "v=DMARC1; =reject", "unusable"},
    {"4.10.1", "v=DMARC1; p=reject quarantine", "unusable p=bad"},
    {"4.10.1", "v=DMARC1; p=\"reject\"", "unusable p=bad"},
    {"4.10.1", "v=DMARC1; p=none:reject", "unusable p=bad"},
    {"4.10.1", "v=DMARC1; p=re\x01ject", "unusable p=bad"},
    {"4.10.1", "v=DMARC1; p=reject; sp=bad", "unusable p=reject sp=bad"},
    {"4.10.1", "v=DMARC1; p=reject; np=", "unusable p=reject np=bad"},
    {"4.10.1", "v=DMARC1; p=bad; rua=mailto:a@example.com", "ok p=bad rua=mailto:a@example.com"},
    {"4.10.1", "v=DMARC1; rua=mailto:a@example.com", "ok rua=mailto:a@example.com"},
    {"4.10.1", "v=DMARC1; rua=nonsense", "unusable"},
    {"4.10.1", "v=DMARC1; ruf=mailto:a@example.com", "unusable ruf=mailto:a@example.com"},
    {"4.8", "v=DMARC1; p=reject; p=none", "ok p=reject"},
    {"4.8", "v=DMARC1; p=bad; p=none", "unusable p=bad"},
    {"4.7 p", "v=DMARC1; x=y; p=reject", "ok p=reject"},
    {"4.8", "v=DMARC1;;; p=reject;;", "ok p=reject"},
    {"4.8", "v=DMARC1; junk; p=reject", "ok p=reject"},
    /* other tags */
    {"4.7 psd", "v=DMARC1; p=none; psd=y", "ok p=none psd=y"},
    {"4.7 psd", "v=DMARC1; p=none; psd=N", "ok p=none psd=n"},
    {"4.7 psd", "v=DMARC1; p=none; psd=u", "ok p=none"},
    {"4.8", "v=DMARC1; p=none; psd=yes", "ok p=none"},
    {"4.7 t", "v=DMARC1; p=none; t=y", "ok p=none t=y"},
    {"4.8", "v=DMARC1; p=none; t=1", "ok p=none"},
    {"4.7 adkim", "v=DMARC1; p=none; adkim=s; aspf=S", "ok p=none adkim=s aspf=s"},
    {"4.7 adkim", "v=DMARC1; p=none; adkim=r; aspf=r", "ok p=none"},
    {"4.8", "v=DMARC1; p=none; adkim=strict; aspf=", "ok p=none"},
    {"C.5.2", "v=DMARC1; p=reject; pct=0; rf=afrf; ri=86400", "ok p=reject"},
    {"C.5.2", "v=DMARC1; p=reject; pct=nonsense", "ok p=reject"},
    /* failure reports: 1 all, 2 any, 4 DKIM, 8 SPF */
    {"4.7 fo", "v=DMARC1; p=none; fo=1", "ok p=none"},
    {"4.7 fo", "v=DMARC1; p=none; fo=1; ruf=mailto:a@b.example", "ok p=none fo=2 ruf=mailto:a@b.example"},
    {"4.7 fo", "v=DMARC1; p=none; fo=0:d:s; ruf=mailto:a@b.example", "ok p=none fo=13 ruf=mailto:a@b.example"},
    {"4.7 fo", "v=DMARC1; p=none; fo=s:1:D; ruf=mailto:a@b.example", "ok p=none fo=14 ruf=mailto:a@b.example"},
    {"4.7 fo", "v=DMARC1; p=none; fo=d; ruf=mailto:a@b.example", "ok p=none fo=4 ruf=mailto:a@b.example"},
    {"4.7 fo", "v=DMARC1; p=none; fo=0:1; ruf=mailto:a@b.example", "ok p=none ruf=mailto:a@b.example"},
    {"4.8 fo", "v=DMARC1; p=none; fo=d:d; ruf=mailto:a@b.example", "ok p=none ruf=mailto:a@b.example"},
    {"4.8 fo", "v=DMARC1; p=none; fo=x; ruf=mailto:a@b.example", "ok p=none ruf=mailto:a@b.example"},
    {"4.8 fo", "v=DMARC1; p=none; fo=; ruf=mailto:a@b.example", "ok p=none ruf=mailto:a@b.example"},
    /* URIs */
    {"B.2.5", "v=DMARC1; p=quarantine; rua=mailto:dmarc-feedback@example.com,mailto:tld-test@thirdparty.example.net; t=y",
        "ok p=quarantine t=y rua=mailto:dmarc-feedback@example.com rua=mailto:tld-test@thirdparty.example.net"},
    {"4.8 urilist", "v=DMARC1; p=none; rua = mailto:a@b.example , mailto:c@d.example", "ok p=none rua=mailto:a@b.example rua=mailto:c@d.example"},
    {"4.8 obs", "v=DMARC1; p=none; rua=mailto:a@b.example!50m", "ok p=none rua=mailto:a@b.example!52428800"},
    {"4.8 obs", "v=DMARC1; p=none; rua=mailto:a@b.example!10", "ok p=none rua=mailto:a@b.example!10"},
    {"4.8 obs", "v=DMARC1; p=none; rua=mailto:a@b.example!2K,mailto:c@d.example!1g", "ok p=none rua=mailto:a@b.example!2048 rua=mailto:c@d.example!1073741824"},
    {"4.8 obs", "v=DMARC1; p=none; rua=mailto:a@b.example!", "ok p=none"},
    {"4.8 obs", "v=DMARC1; p=none; rua=mailto:a@b.example!m", "ok p=none"},
    {"4.8 obs", "v=DMARC1; p=none; rua=mailto:a@b.example!10x", "ok p=none"},
    {"4.8 obs", "v=DMARC1; p=none; rua=mailto:a@b.example!99999999999999t", "ok p=none"},
    {"4.8 obs", "v=DMARC1; p=none; rua=mailto:a@b.example!1!2", "ok p=none"},
    {"4.8", "v=DMARC1; p=none; rua=bad,,mailto:a@b.example", "ok p=none rua=mailto:a@b.example"},
    {"4.7 rua", "v=DMARC1; p=none; rua=https://example.com/r?a=b", "ok p=none rua=https://example.com/r?a=b"},
    {"RFC 3986", "v=DMARC1; p=none; rua=mailto:a b@c.example", "ok p=none"},
    {"RFC 3986", "v=DMARC1; p=none; rua=mailto:a%2@c.example,mailto:%zz@c.example,mailto:", "ok p=none"},
    {"RFC 3986", "v=DMARC1; p=none; rua=1mailto:a@c.example,:a@c.example,a_b:c", "ok p=none"},
    {"RFC 3986", "v=DMARC1; p=none; rua=mailto:<a@c.example>", "ok p=none"},
    {"4.8", "v=DMARC1; p=none; rua=mailto:\xc3\xa9@c.example", "ok p=none"},
    {"4.7 rua", "v=DMARC1; p=none; rua=", "ok p=none"},
};

static void records_are_read(void **state)
{
    unsigned wrong = 0;
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        buf_init(&out, TEXT);
        describe(str_of(records[i].text), &out);
        if (!str_eq(buf_str(&out), str_of(records[i].expected))) {
            print_error("%s: \"%s\": \"%.*s\" instead of \"%s\"\n", records[i].section, records[i].text, STR_ARG(buf_str(&out)), records[i].expected);
            wrong++;
        }
        buf_clear(&out);
    }
    assert_int_equal(wrong, 0);
}

/* 4.10.1: for the domain itself, a subdomain, a name that does not exist; behind the arrow what t leaves of it. */
static const struct {
    const char *text, *expected;
} policies[] = {
    {"v=DMARC1; p=reject", "reject reject reject"},
    {"v=DMARC1; p=reject; sp=none", "reject none none"},
    {"v=DMARC1; p=none; sp=quarantine; np=reject", "none quarantine reject"},
    {"v=DMARC1; p=quarantine; np=none", "quarantine quarantine none"},
    {"v=DMARC1; p=reject; sp=quarantine; np=none; t=y", "reject>quarantine quarantine>none none"},
    {"v=DMARC1; p=none; t=y", "none none none"},
    {"v=DMARC1; p=reject; sp=bad; rua=mailto:a@b.example", "none none none"},
    {"v=DMARC1; sp=reject; rua=mailto:a@b.example", "none none none"},
};

static void policies_are_chosen(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        struct dmarc_record r;
        struct buf out;

        buf_init(&out, TEXT);
        dmarc_read(str_of(policies[i].text), &r);
        for (enum dmarc_who who = DMARC_DOMAIN; who <= DMARC_NO_DOMAIN; who++) {
            enum dmarc_policy published = dmarc_choose_policy(&r, who), applied = dmarc_lower(&r, published);

            buf_addf(&out, "%s%s", who > DMARC_DOMAIN ? " " : "", dmarc_policy_name(published));
            if (applied != published)
                buf_addf(&out, ">%s", dmarc_policy_name(applied));
        }
        buf_add_char(&out, '\0');
        assert_string_equal(out.p, policies[i].expected);
        buf_clear(&out);
    }
}

static const struct {
    const char *uri, *address; /* NULL: none */
} addresses[] = {
    {"mailto:a@b.example", "a@b.example"},
    {"MAILTO:a@b.example", "a@b.example"},
    {"mailto:a%2Cb%21@c.example", "a,b!@c.example"},
    {"mailto:a@b.example?subject=x", "a@b.example"},
    {"https://b.example/", NULL},
    {"mailto:b.example", NULL},
    {"mailto:@b.example", NULL},
    {"mailto:a@", NULL},
    {"mailto:a@b@c.example", NULL},
    {"mailto:a%0d%0aBcc%3a@b.example", NULL},
    {"mailto:a%20b@c.example", NULL},
    {"mailto:a%00@c.example", NULL},
    {"mailto:a%c3%a9@c.example", NULL},
    {"mailto:a%4", NULL},
    {"mailto:", NULL},
};

static void addresses_are_taken_from_uris(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct buf out;

        buf_init(&out, TEXT);
        assert_int_equal(dmarc_uri_address(str_of(addresses[i].uri), &out), addresses[i].address != NULL);
        if (addresses[i].address != NULL)
            assert_true(str_eq(buf_str(&out), str_of(addresses[i].address)));
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read),
        cmocka_unit_test(policies_are_chosen),
        cmocka_unit_test(addresses_are_taken_from_uris),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
