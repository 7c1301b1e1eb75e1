/* DANE with certificates made here: names, times, several records, anchors that are not sent, records that cannot be used, and what
 * each lookup means. */
#include "tlspolicy/dane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static const int64_t now = 1700000000, day = 24 * 3600;

struct cert {
    EVP_PKEY *key;
    X509 *x;
    unsigned char *der, *spki;
    int der_n, spki_n;
};
static struct cert root, middle, leaf, over, stranger;

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* issuer NULL: it signs itself. names NULL: an authority. */
static void make(struct cert *c, const char *subject, const struct cert *issuer, const char *names, int64_t until)
{
    static long serial;
    X509_NAME *name;

    c->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    c->x = X509_new();
    assert_true(c->key != NULL && c->x != NULL);
    X509_set_version(c->x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c->x), ++serial);
    ASN1_TIME_set(X509_getm_notBefore(c->x), (time_t)(now - 10 * day));
    ASN1_TIME_set(X509_getm_notAfter(c->x), (time_t)until);
    X509_set_pubkey(c->x, c->key);
    name = X509_get_subject_name(c->x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0);
    X509_set_issuer_name(c->x, issuer == NULL ? name : X509_get_subject_name(issuer->x));
    add_extension(c->x, issuer == NULL ? c->x : issuer->x, NID_basic_constraints, names == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (names != NULL)
        add_extension(c->x, issuer == NULL ? c->x : issuer->x, NID_subject_alt_name, names);
    assert_true(X509_sign(c->x, issuer == NULL ? c->key : issuer->key, EVP_sha256()) > 0);
    c->der_n = i2d_X509(c->x, &c->der);
    c->spki_n = i2d_PUBKEY(c->key, &c->spki);
}

static void clear(struct cert *c)
{
    EVP_PKEY_free(c->key);
    X509_free(c->x);
    OPENSSL_free(c->der);
    OPENSSL_free(c->spki);
}

static int make_all(void **state)
{
    (void)state;
    make(&root, "Root", NULL, NULL, now + 100 * day);
    make(&middle, "Middle", &root, NULL, now + 100 * day);
    make(&leaf, "leaf", &middle, "DNS:mx.example.com,DNS:*.example.net", now + 100 * day);
    make(&over, "over", &middle, "DNS:mx.example.com", now - day);
    make(&stranger, "stranger", NULL, "DNS:mx.example.com", now + 100 * day);
    return 0;
}

static int clear_all(void **state)
{
    (void)state;
    clear(&root);
    clear(&middle);
    clear(&leaf);
    clear(&over);
    clear(&stranger);
    return 0;
}

/* ---- records ---- */

static void add(struct buf *answer, unsigned usage, unsigned selector, unsigned matching, const struct cert *c)
{
    const unsigned char *bytes = selector == 0 ? c->der : c->spki;
    size_t n = (size_t)(selector == 0 ? c->der_n : c->spki_n);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    struct buf rdata;

    buf_init(&rdata, 10000);
    buf_add_char(&rdata, (char)usage);
    buf_add_char(&rdata, (char)selector);
    buf_add_char(&rdata, (char)matching);
    if (matching > 0)
        assert_int_equal(EVP_Digest(bytes, n, digest, &length, matching == 1 ? EVP_sha256() : EVP_sha512(), NULL), 1);
    buf_add(&rdata, matching > 0 ? str_from((const char *)digest, length) : str_from((const char *)bytes, n));
    dns_add_record(answer, buf_str(&rdata));
    buf_clear(&rdata);
}

static struct str der_of(const struct cert *c)
{
    return str_from((const char *)c->der, (size_t)c->der_n);
}

enum { NO_NAMES, GOOD_NAME, WILD_NAME, SECOND_NAME, BAD_NAME, DEEP_NAME };
static const struct {
    struct str names[2];
    size_t n;
} all_names[] = {
    [NO_NAMES] = {{{0}}, 0},
    [GOOD_NAME] = {{{"mx.example.com", 14}}, 1},
    [WILD_NAME] = {{{"any.example.net", 15}}, 1},
    [SECOND_NAME] = {{{"other.example", 13}, {"MX.example.com", 14}}, 2},
    [BAD_NAME] = {{{"other.example", 13}}, 1},
    [DEEP_NAME] = {{{"a.b.example.net", 15}}, 1},
};

static enum tls_result verify(const struct buf *answer, const struct cert *const chain[4], int names, int64_t when)
{
    struct dane_verdict verdict;
    struct str certs[4];
    struct dane_set set;
    size_t n = 0;

    dane_read(buf_str(answer), &set);
    for (; n < 4 && chain[n] != NULL; n++)
        certs[n] = der_of(chain[n]);
    verdict = dane_verify(&set, certs, n, all_names[names].names, all_names[names].n, when);
    assert_int_equal(verdict.result == TLS_OK, verdict.reason[0] == '\0');
    assert_int_equal(verdict.result == TLS_OK, verdict.usage >= 0);
    return verdict.result;
}

static const struct {
    unsigned usage, selector, matching;
    const struct cert *record, *chain[4];
    int names;
    enum tls_result wanted;
} cases[] = {
    /* the end entity: neither names nor times matter */
    {3, 1, 1, &leaf, {&leaf}, GOOD_NAME, TLS_OK},
    {3, 1, 1, &leaf, {&leaf}, BAD_NAME, TLS_OK},
    {3, 0, 2, &leaf, {&leaf, &middle}, BAD_NAME, TLS_OK},
    {3, 0, 0, &over, {&over}, BAD_NAME, TLS_OK},
    {3, 1, 0, &stranger, {&stranger}, GOOD_NAME, TLS_OK},
    {3, 1, 1, &leaf, {&stranger}, GOOD_NAME, TLS_VALIDATION_FAILURE},
    {3, 1, 1, &middle, {&leaf, &middle}, GOOD_NAME, TLS_VALIDATION_FAILURE},
    {3, 1, 1, &leaf, {&stranger, &leaf}, GOOD_NAME, TLS_VALIDATION_FAILURE},
    /* a trust anchor that is sent, one in the middle, one that is not sent but is in DNS */
    {2, 0, 1, &root, {&leaf, &middle, &root}, GOOD_NAME, TLS_OK},
    {2, 0, 1, &middle, {&leaf, &middle}, GOOD_NAME, TLS_OK},
    {2, 1, 2, &middle, {&leaf, &middle}, WILD_NAME, TLS_OK},
    {2, 0, 1, &middle, {&leaf, &middle}, SECOND_NAME, TLS_OK},
    {2, 0, 0, &root, {&leaf, &middle}, GOOD_NAME, TLS_OK},
    {2, 1, 0, &root, {&leaf, &middle}, GOOD_NAME, TLS_OK},
    {2, 0, 1, &root, {&leaf, &middle}, GOOD_NAME, TLS_VALIDATION_FAILURE},
    {2, 0, 1, &root, {&leaf, &root}, GOOD_NAME, TLS_VALIDATION_FAILURE},
    {2, 0, 1, &middle, {&leaf, &middle}, BAD_NAME, TLS_CERTIFICATE_HOST_MISMATCH},
    {2, 0, 1, &middle, {&leaf, &middle}, DEEP_NAME, TLS_CERTIFICATE_HOST_MISMATCH},
    {2, 0, 1, &middle, {&over, &middle}, GOOD_NAME, TLS_CERTIFICATE_EXPIRED},
    {2, 0, 1, &leaf, {&leaf, &middle}, GOOD_NAME, TLS_VALIDATION_FAILURE},
    {2, 0, 1, &middle, {&stranger, &middle}, GOOD_NAME, TLS_VALIDATION_FAILURE},
    {3, 1, 1, &leaf, {&leaf}, NO_NAMES, TLS_CERTIFICATE_HOST_MISMATCH},
    {3, 1, 1, &leaf, {NULL}, GOOD_NAME, TLS_CERTIFICATE_NOT_TRUSTED},
};

static void chains(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf answer;
        enum tls_result found;

        buf_init(&answer, 10000);
        add(&answer, cases[i].usage, cases[i].selector, cases[i].matching, cases[i].record);
        found = verify(&answer, cases[i].chain, cases[i].names, now);
        if (found != cases[i].wanted)
            fail_msg("case %zu: %s instead of %s", i, tls_result_name(found), tls_result_name(cases[i].wanted));
        buf_clear(&answer);
    }
}

/* One that fits is enough; of digests of one kind the strongest alone counts (RFC 7671 9); times are those given. */
static void several_records(void **state)
{
    const struct cert *const chain[4] = {&leaf, &middle};
    struct buf answer;

    (void)state;
    buf_init(&answer, 20000);
    add(&answer, 3, 1, 1, &stranger);
    add(&answer, 2, 0, 1, &root);
    assert_int_not_equal(verify(&answer, chain, GOOD_NAME, now), TLS_OK);
    add(&answer, 2, 0, 1, &middle);
    assert_int_equal(verify(&answer, chain, GOOD_NAME, now), TLS_OK);
    assert_int_equal(verify(&answer, chain, GOOD_NAME, now + 200 * day), TLS_CERTIFICATE_EXPIRED);
    buf_reset(&answer);
    add(&answer, 3, 1, 1, &leaf);
    assert_int_equal(verify(&answer, chain, GOOD_NAME, now + 200 * day), TLS_OK);
    add(&answer, 3, 1, 2, &stranger);
    assert_int_not_equal(verify(&answer, chain, GOOD_NAME, now), TLS_OK);
    buf_reset(&answer);
    for (unsigned i = 0; i < 100; i++)
        add(&answer, 0, 0, 1, &leaf);
    add(&answer, 3, 1, 1, &leaf);
    assert_int_equal(verify(&answer, chain, GOOD_NAME, now), TLS_OK);
    buf_clear(&answer);
}

/* ---- what cannot be used ---- */

static void raw(struct buf *answer, const char *rdata, size_t n)
{
    dns_add_record(answer, str_from(rdata, n));
}

static void unusable(void **state)
{
    struct dane_set set;
    struct buf answer;

    (void)state;
    buf_init(&answer, 100000);
    dane_read(buf_str(&answer), &set);
    assert_int_equal(dane_plan(DANE_SECURE, &set), DANE_OPPORTUNISTIC);
    assert_int_equal(dane_plan(DANE_INSECURE, &set), DANE_OPPORTUNISTIC);
    assert_int_equal(dane_plan(DANE_FAILED, &set), DANE_SKIP);
    add(&answer, 0, 0, 1, &leaf);
    add(&answer, 1, 1, 1, &leaf);
    add(&answer, 4, 1, 1, &leaf);
    add(&answer, 3, 2, 1, &leaf);
    raw(&answer, "\3\1\3", 3);
    raw(&answer, "\3\1\1xxxx", 7);
    raw(&answer, "\3\1\2 a hash of thirty-two octets, here", 35);
    raw(&answer, "\2\0\0 no certificate", 18);
    raw(&answer, "\2\1\0 no key", 10);
    raw(&answer, "", 0);
    dane_read(buf_str(&answer), &set);
    assert_int_equal(set.n, 0);
    assert_true(set.any);
    assert_int_equal(dane_plan(DANE_SECURE, &set), DANE_ENCRYPT);
    assert_int_equal(dane_plan(DANE_INSECURE, &set), DANE_OPPORTUNISTIC);
    assert_int_equal(dane_plan(DANE_FAILED, &set), DANE_SKIP);
    assert_int_equal(verify(&answer, (const struct cert *const[4]){&leaf}, GOOD_NAME, now), TLS_TLSA_INVALID);
    add(&answer, 3, 1, 1, &leaf);
    dane_read(buf_str(&answer), &set);
    assert_int_equal(set.n, 1);
    assert_int_equal(dane_plan(DANE_SECURE, &set), DANE_AUTHENTICATE);
    assert_int_equal(verify(&answer, (const struct cert *const[4]){&leaf}, GOOD_NAME, now), TLS_OK);
    buf_clear(&answer);
}

static void bad_chains(void **state)
{
    static const struct str name = {"mx.example.com", 14};
    struct str certs[DANE_CHAIN_MAX + 1];
    struct dane_set set;
    struct buf answer;

    (void)state;
    buf_init(&answer, 10000);
    add(&answer, 3, 1, 1, &leaf);
    dane_read(buf_str(&answer), &set);
    for (size_t i = 0; i <= DANE_CHAIN_MAX; i++)
        certs[i] = der_of(&leaf);
    assert_int_equal(dane_verify(&set, certs, DANE_CHAIN_MAX, &name, 1, now).result, TLS_OK);
    assert_int_equal(dane_verify(&set, certs, DANE_CHAIN_MAX + 1, &name, 1, now).result, TLS_CERTIFICATE_NOT_TRUSTED);
    certs[1] = STR("no certificate");
    assert_int_equal(dane_verify(&set, certs, 2, &name, 1, now).result, TLS_CERTIFICATE_NOT_TRUSTED);
    for (size_t n = 0; n < (size_t)leaf.der_n; n += 13) {
        certs[0] = str_sub(der_of(&leaf), 0, n);
        assert_int_equal(dane_verify(&set, certs, 1, &name, 1, now).result, TLS_CERTIFICATE_NOT_TRUSTED);
    }
    buf_clear(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains),
        cmocka_unit_test(several_records),
        cmocka_unit_test(unusable),
        cmocka_unit_test(bad_chains),
    };

    return cmocka_run_group_tests(tests, make_all, clear_all);
}
