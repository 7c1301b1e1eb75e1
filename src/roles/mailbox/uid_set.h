/* A set of uids in rising order: what is in a folder, or what a client was told is there. Blocks of 1,024 uids, a bit
 * each, so a million messages take 150 KB, and sequence numbers are ranks in the set. */
#pragma once
#include "base/str.h"

enum { UID_BLOCK = 1024, UID_BLOCK_BYTES = UID_BLOCK / 8 };

struct uid_block {
    uint32_t number; /* uids number * 1024 .. + 1023 */
    uint32_t count;
    uint32_t before; /* in all lower blocks */
    uint32_t unseen; /* of a folder; a client's set does not use these three */
    bool changed;    /* since it was saved */
    int64_t modseq;  /* the highest of its messages */
    uint64_t bits[UID_BLOCK / 64];
};

struct uid_set {
    struct uid_block *blocks; /* rising, none empty */
    size_t n, capacity;
    uint32_t count;
};

void uid_set_init(struct uid_set *s);
void uid_set_clear(struct uid_set *s);
void uid_set_copy(struct uid_set *to, const struct uid_set *from); /* `to` is cleared first */
bool uid_set_add(struct uid_set *s, uint32_t uid);    /* false: was there */
bool uid_set_remove(struct uid_set *s, uint32_t uid); /* false: was not */
bool uid_set_has(const struct uid_set *s, uint32_t uid);
/* The next uid at or above `from`; 0 when there is none. */
uint32_t uid_set_next(const struct uid_set *s, uint32_t from);
uint32_t uid_set_last(const struct uid_set *s); /* 0: empty */
/* 1 for the lowest uid; 0 when it is not in the set. */
uint32_t uid_set_rank(const struct uid_set *s, uint32_t uid);
/* How many are below `uid`. */
uint32_t uid_set_below(const struct uid_set *s, uint32_t uid);
/* The uid of that rank; 0 when there are not so many. */
uint32_t uid_set_at(const struct uid_set *s, uint32_t rank);
/* The lowest (highest) uid at or above (below) `from` that is in `known` and not in `there`; 0: none. */
uint32_t uid_set_next_gone(const struct uid_set *known, const struct uid_set *there, uint32_t from);
uint32_t uid_set_last_gone(const struct uid_set *known, const struct uid_set *there, uint32_t from);

/* A block as the database keeps it: 128 bytes, lowest uid in the lowest bit of the first byte. */
struct uid_block *uid_set_block(struct uid_set *s, uint32_t number); /* NULL: none */
void uid_block_pack(const struct uid_block *b, char out[UID_BLOCK_BYTES]);
/* Appends a block with a higher number than all others; false: malformed. */
bool uid_set_unpack(struct uid_set *s, uint32_t number, struct str bytes);
