/* OpenSSL's own table of TLSA records and chains (tests/vectors/dane): 54 cases. Records of the usages PKIX-TA and PKIX-EE must be
 * unusable; what is left must come out as the table says, but for the names: they are not looked at for DANE-EE(3). */
#include "base/encode.h"
#include "tlspolicy/dane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

enum { HOSTNAME_MISMATCH = 62, NO_MATCH = 65 };

static const int64_t now = 1700000000;

struct one {
    unsigned records, certs, wanted;
    int no_name_checks, depth, last_usage;
    struct buf answer;
    struct buf chain[DANE_CHAIN_MAX];
};
static unsigned cases, unusable, names_passed_over;

static void read_hex(const char *text, struct buf *out)
{
    unsigned byte;

    for (; sscanf(text, "%2x", &byte) == 1; text += 2)
        buf_add_char(out, (char)byte);
}

static void read_record(const char *line, struct one *c)
{
    unsigned usage, selector, matching;
    struct buf rdata;
    int at = 0;

    assert_int_equal(sscanf(line, "%u %u %u %n", &usage, &selector, &matching, &at), 3);
    buf_init(&rdata, 10000);
    buf_add_char(&rdata, (char)usage);
    buf_add_char(&rdata, (char)selector);
    buf_add_char(&rdata, (char)matching);
    read_hex(line + at, &rdata);
    dns_add_record(&c->answer, buf_str(&rdata));
    buf_clear(&rdata);
    c->last_usage = (int)usage;
}

static void read_cert(FILE *f, struct buf *out)
{
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    unsigned char *der = NULL;
    int n;

    assert_non_null(x);
    n = i2d_X509(x, &der);
    assert_true(n > 0);
    buf_init(out, 10000);
    buf_add(out, str_from((const char *)der, (size_t)n));
    OPENSSL_free(der);
    X509_free(x);
}

static void check(const struct one *c)
{
    const struct str name = STR("example.com");
    struct str chain[DANE_CHAIN_MAX];
    struct dane_verdict verdict;
    struct dane_set set;

    cases++;
    dane_read(buf_str(&c->answer), &set);
    if (c->last_usage < 2) {
        unusable++;
        assert_int_equal(set.n, 0);
        assert_int_equal(dane_plan(DANE_SECURE, &set), DANE_ENCRYPT);
        return;
    }
    assert_int_equal(set.n, c->records);
    for (size_t i = 0; i < c->certs; i++)
        chain[i] = buf_str(&c->chain[i]);
    verdict = dane_verify(&set, chain, c->certs, &name, 1, now);
    if (c->last_usage == 3 && c->wanted == HOSTNAME_MISMATCH) {
        names_passed_over++;
        assert_int_equal(verdict.result, TLS_OK);
        return;
    }
    if ((verdict.result == TLS_OK) != (c->wanted == 0))
        fail_msg("case %u: %s", cases, verdict.reason);
    if (c->wanted == HOSTNAME_MISMATCH)
        assert_int_equal(verdict.result, TLS_CERTIFICATE_HOST_MISMATCH);
    if (c->wanted == NO_MATCH)
        assert_int_equal(verdict.result, TLS_VALIDATION_FAILURE);
    assert_int_equal(verdict.usage, c->wanted == 0 ? c->last_usage : -1);
}

static void read_case(FILE *f, struct one *c)
{
    static char line[20000];

    buf_init(&c->answer, 20000);
    for (unsigned i = 0; i < c->records; i++) {
        assert_non_null(fgets(line, sizeof line, f));
        read_record(line, c);
    }
    assert_true(c->certs <= DANE_CHAIN_MAX);
    for (unsigned i = 0; i < c->certs; i++)
        read_cert(f, &c->chain[i]);
    check(c);
    buf_clear(&c->answer);
    for (unsigned i = 0; i < c->certs; i++)
        buf_clear(&c->chain[i]);
}

static void table(void **state)
{
    FILE *f = fopen(VECTORS_FOLDER "/dane/danetest.in", "r");
    static char line[20000];

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        struct one c = {.last_usage = -1};

        if (line[0] != '#' && sscanf(line, "%u %u %d %u %d", &c.records, &c.certs, &c.no_name_checks, &c.wanted, &c.depth) == 5)
            read_case(f, &c);
    }
    fclose(f);
    assert_int_equal(cases, 54);
    assert_int_equal(unusable, 20);
    assert_int_equal(names_passed_over, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
