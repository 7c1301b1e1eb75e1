/* See dkim_signer.h. */
#include "dkim_signer.h"
#include "base/encode.h"
#include "dkim_world.h"
#include "mailauth/dkim_sign.h"
#include "mailauth/tag_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* ---- keys ---- */

static void write_record(struct dkim_test_key *key, const char *kind, struct str bytes)
{
    struct buf text;

    buf_init(&text, sizeof key->record);
    buf_addf(&text, "v=DKIM1; k=%s; p=", kind);
    base64_encode(&text, bytes);
    assert_true(!text.failed && text.n < sizeof key->record);
    snprintf(key->record, sizeof key->record, "%.*s", STR_ARG(buf_str(&text)));
    buf_clear(&text);
}

void dkim_make_rsa(struct dkim_test_key *key, unsigned bits)
{
    unsigned char *der = NULL;
    int n;

    key->pkey = EVP_RSA_gen(bits);
    assert_non_null(key->pkey);
    n = i2d_PUBKEY(key->pkey, &der);
    assert_true(n > 0);
    write_record(key, "rsa", str_from((const char *)der, (size_t)n));
    OPENSSL_free(der);
}

void dkim_make_ed25519(struct dkim_test_key *key)
{
    unsigned char bytes[32];
    size_t n = sizeof bytes;

    key->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_int_equal(EVP_PKEY_get_raw_public_key(key->pkey, bytes, &n), 1);
    write_record(key, "ed25519", str_from((const char *)bytes, n));
}

void dkim_clear_key(struct dkim_test_key *key)
{
    EVP_PKEY_free(key->pkey);
}

void dkim_sign_bytes(const struct dkim_test_key *key, const unsigned char hash[DKIM_HASH], struct buf *out)
{
    bool rsa = EVP_PKEY_is_a(key->pkey, "RSA") == 1;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    size_t n = DKIM_SIGNATURE_BYTES * 2;
    unsigned char *room = (unsigned char *)buf_reserve(out, n);

    assert_non_null(room);
    if (rsa) {
        assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
        assert_true(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1);
        assert_int_equal(EVP_PKEY_sign(ctx, room, &n, hash, DKIM_HASH), 1);
    } else {
        assert_int_equal(EVP_DigestSignInit(md, NULL, NULL, NULL, key->pkey), 1);
        assert_int_equal(EVP_DigestSign(md, room, &n, hash, DKIM_HASH), 1);
    }
    out->n += n;
    EVP_PKEY_CTX_free(ctx);
    EVP_MD_CTX_free(md);
}

/* ---- by hand ---- */

static void on_field(void *owner, struct str field)
{
    dkim_header_add(owner, field);
}

static void add_body_hash(const struct dkim_signature *s, struct str bytes, struct buf *field)
{
    struct dkim_body *body = dkim_body_new();
    size_t number;

    assert_true(dkim_body_want(body, s->body, s->length, &number));
    dkim_body_add(body, bytes);
    dkim_body_end(body);
    buf_add(field, STR(" bh="));
    base64_encode(field, str_from((const char *)dkim_body_hash(body, number), DKIM_HASH));
    buf_add(field, STR("; b="));
    dkim_body_free(body);
}

void dkim_sign_by_hand(const struct dkim_test_key *key, const char *tags, struct str message, struct buf *out)
{
    struct dkim_header *header = dkim_header_new();
    struct str body = dkim_walk_header(message, on_field, header);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char hash[DKIM_HASH];
    struct dkim_signature s;
    struct buf bytes;

    buf_init(out, 1 << 22);
    buf_init(&bytes, 1 << 16);
    (void)dkim_signature_read(DKIM_SIGNATURE, str_of(tags), &s);
    buf_addf(out, "DKIM-Signature: %s", tags);
    add_body_hash(&s, body, out);
    assert_int_equal(EVP_DigestInit_ex(md, EVP_sha256(), NULL), 1);
    dkim_header_hash(header, s.names, s.header, SIZE_MAX, md);
    dkim_header_hash_own(buf_str(out), s.header, md);
    assert_int_equal(EVP_DigestFinal_ex(md, hash, NULL), 1);
    dkim_sign_bytes(key, hash, &bytes);
    base64_encode(out, buf_str(&bytes));
    buf_add(out, STR("\r\n"));
    buf_add(out, message);
    buf_clear(&bytes);
    EVP_MD_CTX_free(md);
    dkim_header_free(header);
}

/* ---- with dkim_sign ---- */

static void sign_field(void *owner, struct str field)
{
    dkim_sign_field(owner, field);
}

bool dkim_sign_message(const struct dkim_test_key *keys, size_t n, const char *domain, uint64_t now, struct str message, struct buf *out)
{
    static const char *const selectors[] = {"s0", "s1", "s2", "s3"};
    struct dkim_sign_key wanted[DKIM_SIGN_KEYS_MAX];
    struct dkim_sign *s;
    struct str body;
    bool ok;

    for (size_t i = 0; i < n; i++)
        wanted[i] = (struct dkim_sign_key){EVP_PKEY_is_a(keys[i].pkey, "RSA") == 1 ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256, str_of(selectors[i])};
    s = dkim_sign_new(str_of(domain), wanted, n, now, 0);
    assert_non_null(s);
    buf_init(out, 1 << 22);
    body = dkim_walk_header(message, sign_field, s);
    ok = dkim_sign_header_end(s);
    for (size_t at = 0; at < body.n; at += 1000)
        dkim_sign_body(s, str_sub(body, at, at + 1000));
    if (ok) {
        dkim_sign_end(s);
        for (size_t i = 0; i < n; i++) {
            struct buf bytes;

            buf_init(&bytes, 1 << 16);
            dkim_sign_bytes(&keys[i], dkim_sign_hash(s, i), &bytes);
            dkim_sign_write(s, i, buf_str(&bytes), out);
            buf_clear(&bytes);
        }
        buf_add(out, message);
    }
    dkim_sign_free(s);
    return ok;
}
