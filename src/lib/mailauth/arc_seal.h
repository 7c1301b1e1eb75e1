/* A set of ARC fields for one message, made while it streams past (RFC 8617 5.1). Private keys are elsewhere, as in
 * dkim_sign.h: this says what has to be signed, first for the message signature, then for the seal.
 *
 *   fields --- arc_seal_header_end ---> body --- arc_seal_end --- arc_seal_begin ---> hash, signature, hash, signature ---> fields
 *
 * What is sealed is the message as it goes on, after every change made to it; the chain is the one it came with. */
#pragma once
#include "arc_verify.h"

struct arc_seal;

/* Copies what it is given. Without a domain the key comes later (arc_seal_set_key). NULL: domain or selector is no name. */
struct arc_seal *arc_seal_new(struct str domain, struct str selector, enum dkim_algorithm algorithm, uint64_t now_seconds);
void arc_seal_free(struct arc_seal *s);
/* Before arc_seal_begin. False, and nothing is changed: as above. */
bool arc_seal_set_key(struct arc_seal *s, struct str domain, struct str selector, enum dkim_algorithm algorithm);
void arc_seal_field(struct arc_seal *s, struct str field); /* whole, in order */
/* False: this message is not to be sealed: its newest seal says cv=fail (5.1, step 2), it has ARC_SETS_MAX sets, it has no
 * From or its header is too large. */
bool arc_seal_header_end(struct arc_seal *s);
void arc_seal_body(struct arc_seal *s, struct str bytes);
void arc_seal_end(struct arc_seal *s);

/* `chain`: what arc_verify found. `results`: the Authentication-Results field that tells what was found of this message,
 * name and line end with it. False: that is no result of this message's chain, the field is too long, or there is no key. */
bool arc_seal_begin(struct arc_seal *s, enum arc_result chain, struct str results);
/* What the key has to sign next, as in dkim_sign_hash; NULL: nothing any more. */
const unsigned char *arc_seal_hash(const struct arc_seal *s);
void arc_seal_sign(struct arc_seal *s, struct str signature);
/* Appends the three fields, each with its line end; after both signatures. */
void arc_seal_write(const struct arc_seal *s, struct buf *out);
