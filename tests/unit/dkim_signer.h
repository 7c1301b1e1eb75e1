/* Signs messages for the tests of DKIM: with keys made here, and with any tags, good or bad. */
#pragma once
#include "base/buf.h"
#include "mailauth/dkim_signature.h"

#include <openssl/evp.h>

struct dkim_test_key {
    EVP_PKEY *pkey;
    char record[4000]; /* "v=DKIM1; k=...; p=..." */
};

void dkim_make_rsa(struct dkim_test_key *key, unsigned bits);
void dkim_make_ed25519(struct dkim_test_key *key);
void dkim_clear_key(struct dkim_test_key *key);
/* Appends the signature of a hash as this key makes it. */
void dkim_sign_bytes(const struct dkim_test_key *key, const unsigned char hash[DKIM_HASH], struct buf *out);
/* out: the message below a DKIM-Signature of these tags, to which bh= and b= are added. */
void dkim_sign_by_hand(const struct dkim_test_key *key, const char *tags, struct str message, struct buf *out);
/* The same with dkim_sign: a field for each key, s= "s0", "s1" ... */
bool dkim_sign_message(const struct dkim_test_key *keys, size_t n, const char *domain, uint64_t now, struct str message, struct buf *out);
