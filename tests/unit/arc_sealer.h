/* Seals messages for the tests of ARC: with arc_seal, and by hand with any tags, good or bad. */
#pragma once
#include "arc_world.h"
#include "dkim_signer.h"

/* out: the message below one more set. False: arc_seal refuses. The caller clears out. */
bool arc_seal_message(const struct dkim_test_key *key, const char *domain, const char *selector, uint64_t now, enum arc_result chain,
    struct str message, struct buf *out);

/* out: the message below a set of these texts; bh= and b= are added to the message signature, b= to the seal, whose hash
 * covers the sets that are there already. */
struct arc_by_hand {
    const char *results, *message, *seal;
};
void arc_seal_by_hand(const struct dkim_test_key *key, const struct arc_by_hand *set, struct str message, struct buf *out);
