/* The flags of up to 128 neighbouring messages in one piece, and its packed form in the database (schema/mailbox/0006.sql).
 *
 * Packed: 16 bytes with a bit for each uid that is in it, lowest first; then, over these in order, runs of equal state until
 * all are told (how many, modseq as the difference from the run before, flags); then the size of each. Numbers are 7 bits a
 * byte, lowest first; a difference has its sign in the lowest bit. */
#pragma once
#include "base/buf.h"

enum { FLAG_BLOCK = 128, FLAG_BLOCK_MAX = 16 + FLAG_BLOCK * 32 /* bytes, packed */ };

struct flag_entry {
    int64_t modseq, flags, size;
};

struct flag_block {
    uint64_t present[FLAG_BLOCK / 64];
    struct flag_entry at[FLAG_BLOCK]; /* by uid % FLAG_BLOCK, where present */
};

static inline bool flag_block_has(const struct flag_block *b, uint32_t uid)
{
    return b->present[uid % FLAG_BLOCK / 64] >> uid % 64 & 1;
}

void flag_block_put(struct flag_block *b, uint32_t uid, const struct flag_entry *e);
void flag_block_drop(struct flag_block *b, uint32_t uid);
/* `out` has a ceiling of at least FLAG_BLOCK_MAX and is empty. */
void flag_block_pack(const struct flag_block *b, struct buf *out);
/* False: damaged. Whatever comes out packs to the same bytes. */
MUST_CHECK bool flag_block_unpack(struct flag_block *b, struct str bytes);
