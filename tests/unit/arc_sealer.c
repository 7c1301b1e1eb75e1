/* See arc_sealer.h. */
#include "arc_sealer.h"
#include "base/encode.h"
#include "mailauth/arc_seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* ---- with arc_seal ---- */

static void seal_field(void *owner, struct str field)
{
    arc_seal_field(owner, field);
}

static void sign_twice(struct arc_seal *s, const struct dkim_test_key *key)
{
    struct buf bytes;

    for (size_t i = 0; i < 2; i++) {
        buf_init(&bytes, 1 << 16);
        assert_non_null(arc_seal_hash(s));
        dkim_sign_bytes(key, arc_seal_hash(s), &bytes);
        arc_seal_sign(s, buf_str(&bytes));
        buf_clear(&bytes);
    }
    assert_null(arc_seal_hash(s));
}

bool arc_seal_message(const struct dkim_test_key *key, const char *domain, const char *selector, uint64_t now, enum arc_result chain,
    struct str message, struct buf *out)
{
    enum dkim_algorithm algorithm = EVP_PKEY_is_a(key->pkey, "RSA") == 1 ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256;
    struct arc_seal *s = arc_seal_new(str_of(domain), str_of(selector), algorithm, now);
    struct str body;
    bool ok;

    assert_non_null(s);
    buf_init(out, 1 << 22);
    body = dkim_walk_header(message, seal_field, s);
    ok = arc_seal_header_end(s);
    for (size_t at = 0; at < body.n; at += 1000)
        arc_seal_body(s, str_sub(body, at, at + 1000));
    arc_seal_end(s);
    ok = ok && arc_seal_begin(s, chain, STR("Authentication-Results: mx.example.net;\r\n\tdkim=pass header.d=example.org\r\n"));
    if (ok) {
        sign_twice(s, key);
        arc_seal_write(s, out);
        buf_add(out, message);
    }
    arc_seal_free(s);
    return ok;
}

/* ---- by hand ---- */

static void header_field(void *owner, struct str field)
{
    dkim_header_add(owner, field);
}

static EVP_MD_CTX *new_hash(void)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    assert_int_equal(EVP_DigestInit_ex(md, EVP_sha256(), NULL), 1);
    return md;
}

static void add_signature(const struct dkim_test_key *key, EVP_MD_CTX *md, struct buf *field)
{
    unsigned char hash[DKIM_HASH];
    struct buf bytes;

    buf_init(&bytes, 1 << 16);
    buf_add(field, STR(" b="));
    dkim_header_hash_own(buf_str(field), DKIM_RELAXED, md);
    assert_int_equal(EVP_DigestFinal_ex(md, hash, NULL), 1);
    dkim_sign_bytes(key, hash, &bytes);
    base64_encode(field, buf_str(&bytes));
    buf_clear(&bytes);
    EVP_MD_CTX_free(md);
}

static void sign_message(const struct dkim_test_key *key, struct dkim_header *header, struct str text, const char *tags, struct buf *field)
{
    struct dkim_body *body = dkim_body_new();
    EVP_MD_CTX *md = new_hash();
    struct dkim_signature s;
    size_t number;

    (void)dkim_signature_read(ARC_MESSAGE_SIGNATURE, str_of(tags), &s);
    assert_true(dkim_body_want(body, s.body, s.length, &number));
    dkim_body_add(body, text);
    dkim_body_end(body);
    buf_addf(field, "ARC-Message-Signature: %s bh=", tags);
    base64_encode(field, str_from((const char *)dkim_body_hash(body, number), DKIM_HASH));
    buf_add(field, STR(";"));
    dkim_body_free(body);
    dkim_header_hash(header, s.names, DKIM_RELAXED, SIZE_MAX, md);
    add_signature(key, md, field);
}

static void hash_new(struct str field, EVP_MD_CTX *md)
{
    struct dkim_header *header = dkim_header_new();

    dkim_header_add(header, field);
    dkim_header_hash_field(header, 0, DKIM_RELAXED, md);
    dkim_header_free(header);
}

void arc_seal_by_hand(const struct dkim_test_key *key, const struct arc_by_hand *set, struct str message, struct buf *out)
{
    struct dkim_header *header = dkim_header_new();
    struct str body = dkim_walk_header(message, header_field, header);
    EVP_MD_CTX *md = new_hash();
    struct buf fields[ARC_FIELDS];
    struct arc_chain chain;

    buf_init(out, 1 << 22);
    for (size_t i = 0; i < ARC_FIELDS; i++)
        buf_init(&fields[i], 1 << 20);
    buf_addf(&fields[ARC_FIELD_RESULTS], "ARC-Authentication-Results: %s", set->results);
    sign_message(key, header, body, set->message, &fields[ARC_FIELD_MESSAGE]);
    arc_chain_read(header, &chain);
    for (unsigned i = 0; i < chain.n; i++)
        for (size_t kind = 0; kind < ARC_FIELDS; kind++)
            dkim_header_hash_field(header, chain.fields[i][kind], DKIM_RELAXED, md);
    hash_new(buf_str(&fields[ARC_FIELD_RESULTS]), md);
    hash_new(buf_str(&fields[ARC_FIELD_MESSAGE]), md);
    buf_addf(&fields[ARC_FIELD_SEAL], "ARC-Seal: %s", set->seal);
    add_signature(key, md, &fields[ARC_FIELD_SEAL]);
    for (size_t i = ARC_FIELDS; i > 0; i--) {
        buf_add(out, buf_str(&fields[i - 1]));
        buf_add(out, STR("\r\n"));
        buf_clear(&fields[i - 1]);
    }
    buf_add(out, message);
    dkim_header_free(header);
}
