/* DKIM keys: the record (RFC 6376 3.6.1), which keys are good enough (RFC 8301: RSA of 1024 bits; at most
 * 8192, and a public exponent of at most 64 bits, so that a check costs little), and the check itself. */
#pragma once
#include "dkim_key_cache.h"
#include "dkim_signature.h"
#include "ipc/messages.h"

enum { DKIM_RSA_MIN = 1024, DKIM_RSA_MAX = 8192 };

struct dkim_key;

/* Reads the text of a TXT record. A key that cannot be used for this algorithm gives its verdict and NULL.
 * The signature tells what t=s asks for. cache: keys of before; may be NULL. */
struct dkim_key *dkim_key_read(struct dkim_key_cache *cache, struct str record, const struct dkim_signature *s, struct dkim_verdict *verdict);
/* The same of an answer of DNS to the question for the key's name. */
struct dkim_key *dkim_key_of_answer(struct dkim_key_cache *cache, enum dns_status status, struct str records, const struct dkim_signature *s,
    struct dkim_verdict *verdict);
void dkim_key_free(struct dkim_key *key);
/* t=y: the domain only tries DKIM; a failure is not to be held against it. */
bool dkim_key_is_testing(const struct dkim_key *key);
unsigned dkim_key_bits(const struct dkim_key *key);
/* Is `bytes` the signature of this hash? */
bool dkim_key_verify(const struct dkim_key *key, const unsigned char hash[DKIM_HASH], struct str bytes);
