/* DKIM-Signature fields for one message, made while it streams past (RFC 6376 5; relaxed/relaxed, never l=). Private
 * keys are elsewhere: this says which hash has to be signed, and puts the signature it is given into the field.
 *
 *   fields --- dkim_sign_header_end ---> body --- dkim_sign_end ---> hash for each key ---> field for each key
 *
 * One pass over the message serves all keys, which differ in selector and algorithm. From, Subject, Date and To are
 * named once more than they are there, so that none can be added without breaking the signature. */
#pragma once
#include "dkim_body.h"
#include "dkim_header.h"
#include "dkim_signature.h"

enum { DKIM_SIGN_KEYS_MAX = 4 };

struct dkim_sign_key {
    enum dkim_algorithm algorithm;
    struct str selector;
};

struct dkim_sign;

/* Copies what it is given. lifetime in seconds, for x=; 0: none. Without keys they come later (dkim_sign_set_keys). NULL:
 * domain or a selector is no name, or there are too many keys. */
struct dkim_sign *dkim_sign_new(struct str domain, const struct dkim_sign_key *keys, size_t key_count, uint64_t now_seconds,
    uint64_t lifetime);
void dkim_sign_free(struct dkim_sign *s);
/* Before dkim_sign_end: which keys it will be. False, and nothing is changed: as above, or there are none, or some already. */
bool dkim_sign_set_keys(struct dkim_sign *s, const struct dkim_sign_key *keys, size_t key_count);
void dkim_sign_field(struct dkim_sign *s, struct str field); /* whole, in order */
/* False: this message cannot be signed, since it has no From or its header is too large. */
bool dkim_sign_header_end(struct dkim_sign *s);
void dkim_sign_body(struct dkim_sign *s, struct str bytes);
void dkim_sign_end(struct dkim_sign *s);

/* After the end. What the key has to sign: RSA as a SHA-256 hash (PKCS #1 v1.5), Ed25519 as if it were the
 * message (RFC 8463 3). */
const unsigned char *dkim_sign_hash(const struct dkim_sign *s, size_t key);
/* Appends the field with this signature, folded, with its line end. */
void dkim_sign_write(const struct dkim_sign *s, size_t key, struct str signature, struct buf *out);
