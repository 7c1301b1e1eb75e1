#include "certificate.h"
#include "base/clock.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Part of an issuer's name, and its name in CAA records. */
static const struct {
    const char *issuer, *caa;
} authorities[] = {
    {"Let's Encrypt", "letsencrypt.org"}, {"ZeroSSL", "sectigo.com"}, {"Sectigo", "sectigo.com"}, {"DigiCert", "digicert.com"},
    {"GlobalSign", "globalsign.com"}, {"Google Trust Services", "pki.goog"}, {"Buypass", "buypass.com"}, {"GoDaddy", "godaddy.com"},
    {"Entrust", "entrust.net"}, {"Actalis", "actalis.it"}, {"HARICA", "harica.gr"}, {"SSL Corporation", "ssl.com"}, {"Certum", "certum.pl"},
    {"Amazon", "amazon.com"}};

static int64_t time_of(const ASN1_TIME *t)
{
    struct tm tm = {0};

    return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) * SECOND : 0;
}

static void add_name(struct outside_certificate *c, struct str name)
{
    if (c->name_count == OUTSIDE_NAMES || name.n == 0 || name.n >= OUTSIDE_NAME || !str_is_printable(name))
        return;
    for (size_t i = 0; i < name.n; i++)
        c->names[c->name_count][i] = ascii_lower(name.p[i]);
    c->name_count++;
}

static void read_names(X509 *x, struct outside_certificate *c)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            add_name(c, str_from((const char *)ASN1_STRING_get0_data(name->d.dNSName), (size_t)ASN1_STRING_length(name->d.dNSName)));
    }
    GENERAL_NAMES_free(names);
}

static void read_issuer(X509 *x, struct outside_certificate *c)
{
    X509_NAME *name = X509_get_issuer_name(x);

    if (X509_NAME_get_text_by_NID(name, NID_organizationName, c->issuer, sizeof c->issuer) <= 0 &&
        X509_NAME_get_text_by_NID(name, NID_commonName, c->issuer, sizeof c->issuer) <= 0)
        c->issuer[0] = 0;
    if (!str_is_printable(str_of(c->issuer)))
        c->issuer[0] = 0;
}

static bool read_key(X509 *x, struct outside_certificate *c)
{
    unsigned char *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    bool ok = n > 0 && EVP_Digest(der, (size_t)n, c->spki, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    return ok;
}

static bool read_x509(X509 *x, struct outside_certificate *out, struct err *err)
{
    *out = (struct outside_certificate){0};
    if (x == NULL)
        return err_set(err, ERR_PERMANENT, "this is no certificate");
    out->not_before = time_of(X509_get0_notBefore(x));
    out->not_after = time_of(X509_get0_notAfter(x));
    out->self_signed = X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(x)) == 0;
    read_names(x, out);
    read_issuer(x, out);
    out->there = read_key(x, out);
    X509_free(x);
    return out->there || err_set(err, ERR_PERMANENT, "the key of this certificate cannot be read");
}

bool outside_certificate_read(struct str pem, struct outside_certificate *out, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *x = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    return read_x509(x, out, err);
}

size_t outside_certificate_chain(struct str pem, struct arena *arena, struct str *out, size_t room)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    size_t count = 0;
    X509 *x;

    while (count < room && bio != NULL && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        unsigned char *der = NULL;
        int n = i2d_X509(x, &der);

        if (n > 0 && (out[count] = arena_str(arena, str_from((const char *)der, (size_t)n))).p != NULL)
            count++;
        OPENSSL_free(der);
        X509_free(x);
    }
    BIO_free(bio);
    return count;
}

static bool matches(struct str pattern, struct str name)
{
    ptrdiff_t dot = str_find(name, '.');

    if (!str_starts(pattern, STR("*.")))
        return str_ieq(pattern, name);
    return dot > 0 && str_ieq(str_skip(pattern, 2), str_skip(name, (size_t)dot + 1));
}

bool outside_certificate_covers(const struct outside_certificate *c, struct str name)
{
    for (size_t i = 0; i < c->name_count; i++)
        if (matches(str_of(c->names[i]), name))
            return true;
    return false;
}

const char *outside_certificate_caa(const struct outside_certificate *c)
{
    for (size_t i = 0; !c->self_signed && i < sizeof authorities / sizeof *authorities; i++)
        if (str_ifind(str_of(c->issuer), str_of(authorities[i].issuer)) >= 0)
            return authorities[i].caa;
    return NULL;
}
