/* The private keys at work: parsed, kept for a while (bounded, until the database changes), and signing. Only what a signature
 * needs goes in, a hash, and only a signature comes out. */
#pragma once
#include "base/map.h"
#include "dkim_rows.h"

enum { DKIM_SIGNER_DOMAINS = 1000 };

struct dkim_signer {
    struct store *store;
    struct map domains;
    struct list order; /* least recently used first */
    const uint64_t *generation;
    uint64_t filled; /* in which generation */
};

/* Forgets every key whenever *generation has changed; NULL: it does not, the caller says it with dkim_signer_clear. */
void dkim_signer_init(struct dkim_signer *s, struct store *store, const uint64_t *generation);
/* Forgets every key. */
void dkim_signer_clear(struct dkim_signer *s);

/* The selector of the key that signs for this domain; empty: none does. The view lives until the next call. */
MUST_CHECK bool dkim_signer_selector(
    struct dkim_signer *s, struct str domain, enum dkim_algorithm algorithm, struct str *selector, struct err *err);
/* Appends the signature of a hash (SHA-256) by a key that signs, or did until its successor came. Any other key, and one of another
 * algorithm, is refused with ERR_PERMANENT. */
MUST_CHECK bool dkim_signer_sign(struct dkim_signer *s, struct str domain, struct str selector, enum dkim_algorithm algorithm,
    struct str hash, struct buf *out, struct err *err);
/* Is this text of a TXT record one with which a stranger could verify what the key signs? Tried, with a random hash. */
MUST_CHECK bool dkim_signer_try(
    struct dkim_signer *s, struct str domain, const struct dkim_row *row, struct str record, bool *fits, struct err *err);
