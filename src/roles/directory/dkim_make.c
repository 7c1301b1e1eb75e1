/* See dkim_make.h. */
#include "dkim_make.h"

#include "base/clock.h"
#include "base/encode.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum { RSA_BITS = 2048, STRING_MAX = 255, SPKI_MAX = 1024, SELECTOR_TRIES = 99 };

static const char *const kinds[DKIM_ALGORITHMS] = {[DKIM_RSA_SHA256] = "rsa", [DKIM_ED25519_SHA256] = "ed25519"};

bool dkim_is_selector(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!ascii_is_digit(text.p[i]) && !(text.p[i] >= 'a' && text.p[i] <= 'z') && text.p[i] != '-')
            return false;
    return text.n > 0 && text.n <= DKIM_SELECTOR_MAX && text.p[0] != '-' && text.p[text.n - 1] != '-';
}

/* "rsa20261122", then "rsa20261122-2": a selector never means two keys. */
static bool choose_selector(struct dkim_rows *rows, struct dkim_row *row)
{
    char date[25];

    clock_format_utc(row->made, date, sizeof date);
    for (unsigned i = 1; i <= SELECTOR_TRIES; i++) {
        int n = snprintf(row->selector, sizeof row->selector, "%s%.4s%.2s%.2s", kinds[row->algorithm], date, date + 5, date + 8);

        if (i > 1)
            snprintf(row->selector + n, sizeof row->selector - (size_t)n, "-%u", i);
        if (dkim_rows_find(rows, str_of(row->selector)) == NULL)
            return true;
    }
    return false;
}

/* RSA as SubjectPublicKeyInfo, which all verifiers read; Ed25519 as its bare 32 octets (RFC 8463 4.2). */
static bool write_public(EVP_PKEY *key, struct dkim_row *row)
{
    unsigned char bytes[SPKI_MAX], *at = bytes;
    size_t n = sizeof bytes;
    struct buf text;
    bool done;

    if (row->algorithm == DKIM_RSA_SHA256) {
        int size = i2d_PUBKEY(key, NULL);

        done = size > 0 && (size_t)size <= sizeof bytes;
        n = done ? (size_t)i2d_PUBKEY(key, &at) : 0;
    } else {
        done = EVP_PKEY_get_raw_public_key(key, bytes, &n) == 1;
    }
    buf_init(&text, DKIM_PUBLIC_MAX);
    base64_encode(&text, str_from((const char *)bytes, n));
    done = done && !text.failed;
    if (done)
        memcpy(row->public, text.p, text.n);
    row->public[done ? text.n : 0] = 0;
    buf_clear(&text);
    return done;
}

static bool add(struct store *store, struct dkim_rows *rows, const struct dkim_row *row, EVP_PKEY *key, struct err *err)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    unsigned char *der = NULL;
    int n = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    bool done = n > 0 ? dkim_rows_add(store, name_str(&rows->domain), row, str_from((const char *)der, (size_t)n), err)
                      : err_set(err, ERR_TEMPORARY, "the key cannot be written");

    if (n > 0)
        OPENSSL_clear_free(der, (size_t)n);
    PKCS8_PRIV_KEY_INFO_free(info);
    if (done)
        rows->rows[rows->n++] = *row;
    return done;
}

bool dkim_make(struct store *store, struct dkim_rows *rows, enum dkim_algorithm algorithm, struct str selector, int64_t now, struct err *err)
{
    struct dkim_row row = {.algorithm = algorithm, .state = DKIM_WAITING, .made = now};
    EVP_PKEY *key;
    bool done;

    if (rows->n >= DKIM_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "%s has %d keys, more are not kept", rows->domain.p, DKIM_ROWS_MAX);
    if (selector.n > 0)
        snprintf(row.selector, sizeof row.selector, "%.*s", STR_ARG(selector));
    if (selector.n > 0 ? dkim_rows_find(rows, selector) != NULL : !choose_selector(rows, &row))
        return err_set(err, ERR_PERMANENT, "%s has a key %s already", rows->domain.p, row.selector);
    key = algorithm == DKIM_RSA_SHA256 ? EVP_RSA_gen(RSA_BITS) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    done = key != NULL && write_public(key, &row);
    if (!done)
        err_set(err, ERR_TEMPORARY, "no key could be made");
    done = done && add(store, rows, &row, key, err);
    EVP_PKEY_free(key);
    return done;
}

/* ---- records ---- */

void dkim_write_name(struct buf *out, struct str domain, const struct dkim_row *row)
{
    buf_addf(out, "%s._domainkey.%.*s", row->selector, STR_ARG(domain));
}

void dkim_write_record(struct buf *out, const struct dkim_row *row)
{
    buf_addf(out, "v=DKIM1; k=%s; p=%s", kinds[row->algorithm], row->state >= DKIM_EXPIRED ? "" : row->public);
}

void dkim_write_zone_line(struct buf *out, struct str domain, const struct dkim_row *row)
{
    struct buf record;
    struct str rest;

    buf_init(&record, DKIM_PUBLIC_MAX + 100);
    dkim_write_record(&record, row);
    dkim_write_name(out, domain, row);
    buf_add(out, STR(". IN TXT ("));
    for (rest = buf_str(&record); rest.n > 0; rest = str_skip(rest, STRING_MAX))
        buf_addf(out, " \"%.*s\"", STR_ARG(str_sub(rest, 0, STRING_MAX)));
    buf_add(out, STR(" )\n"));
    buf_clear(&record);
}
