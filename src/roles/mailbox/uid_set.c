/* Sets of uids. See uid_set.h. */
#include "uid_set.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS = UID_BLOCK / 64 };

void uid_set_init(struct uid_set *s)
{
    *s = (struct uid_set){0};
}

void uid_set_clear(struct uid_set *s)
{
    free(s->blocks);
    uid_set_init(s);
}

void uid_set_copy(struct uid_set *to, const struct uid_set *from)
{
    uid_set_clear(to);
    if (from->n == 0)
        return;
    to->blocks = xmalloc(from->n * sizeof *to->blocks);
    memcpy(to->blocks, from->blocks, from->n * sizeof *to->blocks);
    to->n = to->capacity = from->n;
    to->count = from->count;
}

/* A call of the compiler's library for each word would take longer than all else of a rank. */
static uint32_t count_bits(uint64_t bits)
{
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)(bits * UINT64_C(0x0101010101010101) >> 56);
}

/* The index of the first block whose number is at least `number`. Mostly none is missing between them. */
static size_t find(const struct uid_set *s, uint32_t number)
{
    size_t low = 0, high = s->n, guess = s->n > 0 ? (size_t)number - s->blocks[0].number : 0;

    if (guess < s->n && s->blocks[guess].number == number)
        return guess;
    if (s->n > 0 && s->blocks[s->n - 1].number < number)
        return s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->blocks[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct uid_block *uid_set_block(struct uid_set *s, uint32_t number)
{
    size_t i = find(s, number);

    return i < s->n && s->blocks[i].number == number ? &s->blocks[i] : NULL;
}

static const struct uid_block *block_of(const struct uid_set *s, uint32_t uid)
{
    size_t i = find(s, uid / UID_BLOCK);

    return i < s->n && s->blocks[i].number == uid / UID_BLOCK ? &s->blocks[i] : NULL;
}

static uint64_t mask_of(uint32_t uid)
{
    return (uint64_t)1 << uid % 64;
}

static size_t word_of(uint32_t uid)
{
    return uid % UID_BLOCK / 64;
}

static struct uid_block *make_block(struct uid_set *s, size_t i, uint32_t number)
{
    if (s->n == s->capacity) {
        s->capacity = s->capacity == 0 ? 1 : s->capacity + s->capacity / 2 + 1;
        s->blocks = xrealloc(s->blocks, s->capacity * sizeof *s->blocks);
    }
    memmove(s->blocks + i + 1, s->blocks + i, (s->n - i) * sizeof *s->blocks);
    s->n++;
    s->blocks[i] = (struct uid_block){.number = number};
    if (i > 0)
        s->blocks[i].before = s->blocks[i - 1].before + s->blocks[i - 1].count;
    return &s->blocks[i];
}

/* Block i has one more or less: mostly it is the last. */
static void shift(struct uid_set *s, size_t i, int by)
{
    s->count += (uint32_t)by;
    s->blocks[i].count += (uint32_t)by;
    for (size_t k = i + 1; k < s->n; k++)
        s->blocks[k].before += (uint32_t)by;
}

bool uid_set_add(struct uid_set *s, uint32_t uid)
{
    size_t i = find(s, uid / UID_BLOCK);
    struct uid_block *b;

    b = i < s->n && s->blocks[i].number == uid / UID_BLOCK ? &s->blocks[i] : make_block(s, i, uid / UID_BLOCK);
    if (b->bits[word_of(uid)] & mask_of(uid))
        return false;
    b->bits[word_of(uid)] |= mask_of(uid);
    shift(s, i, 1);
    return true;
}

bool uid_set_remove(struct uid_set *s, uint32_t uid)
{
    size_t i = find(s, uid / UID_BLOCK);
    struct uid_block *b = i < s->n ? &s->blocks[i] : NULL;

    if (b == NULL || b->number != uid / UID_BLOCK || !(b->bits[word_of(uid)] & mask_of(uid)))
        return false;
    b->bits[word_of(uid)] &= ~mask_of(uid);
    shift(s, i, -1);
    if (b->count == 0) {
        s->n--;
        memmove(b, b + 1, (s->n - i) * sizeof *b);
    }
    return true;
}

bool uid_set_has(const struct uid_set *s, uint32_t uid)
{
    const struct uid_block *b = block_of(s, uid);

    return b != NULL && (b->bits[word_of(uid)] & mask_of(uid)) != 0;
}

/* ---- walking ---- */

/* The first bit at or above `from` in the bits of `b` that are not in `without` (NULL: all), or -1. */
static int first_bit(const struct uid_block *b, const struct uid_block *without, unsigned from)
{
    for (unsigned w = from / 64; w < WORDS; w++) {
        uint64_t bits = b->bits[w] & (without == NULL ? UINT64_MAX : ~without->bits[w]);

        if (w == from / 64)
            bits &= UINT64_MAX << from % 64;
        if (bits != 0)
            return (int)w * 64 + __builtin_ctzll(bits);
    }
    return -1;
}

static int last_bit(const struct uid_block *b, const struct uid_block *without, unsigned from)
{
    for (int w = (int)(from / 64); w >= 0; w--) {
        uint64_t bits = b->bits[w] & (without == NULL ? UINT64_MAX : ~without->bits[w]);

        if (w == (int)(from / 64))
            bits &= UINT64_MAX >> (63 - from % 64);
        if (bits != 0)
            return w * 64 + 63 - __builtin_clzll(bits);
    }
    return -1;
}

static const struct uid_block *same_block(const struct uid_set *s, uint32_t number)
{
    return s == NULL ? NULL : block_of(s, number * UID_BLOCK);
}

static uint32_t walk_up(const struct uid_set *s, const struct uid_set *without, uint32_t from)
{
    for (size_t i = find(s, from / UID_BLOCK); i < s->n; i++) {
        const struct uid_block *b = &s->blocks[i];
        int bit = first_bit(b, same_block(without, b->number), b->number == from / UID_BLOCK ? from % UID_BLOCK : 0);

        if (bit >= 0)
            return b->number * UID_BLOCK + (uint32_t)bit;
    }
    return 0;
}

uint32_t uid_set_next(const struct uid_set *s, uint32_t from)
{
    return walk_up(s, NULL, from);
}

uint32_t uid_set_next_gone(const struct uid_set *known, const struct uid_set *there, uint32_t from)
{
    return walk_up(known, there, from);
}

uint32_t uid_set_last_gone(const struct uid_set *known, const struct uid_set *there, uint32_t from)
{
    size_t i = find(known, from / UID_BLOCK);

    if (i < known->n && known->blocks[i].number == from / UID_BLOCK)
        i++;
    while (i-- > 0) {
        const struct uid_block *b = &known->blocks[i];
        int bit = last_bit(b, same_block(there, b->number), b->number == from / UID_BLOCK ? from % UID_BLOCK : UID_BLOCK - 1);

        if (bit >= 0)
            return b->number * UID_BLOCK + (uint32_t)bit;
    }
    return 0;
}

uint32_t uid_set_last(const struct uid_set *s)
{
    const struct uid_block *b;

    if (s->n == 0)
        return 0;
    b = &s->blocks[s->n - 1];
    return b->number * UID_BLOCK + (uint32_t)last_bit(b, NULL, UID_BLOCK - 1);
}

/* ---- ranks ---- */

uint32_t uid_set_below(const struct uid_set *s, uint32_t uid)
{
    size_t i = find(s, uid / UID_BLOCK);
    uint32_t below;

    if (i == s->n)
        return s->count;
    below = s->blocks[i].before;
    if (s->blocks[i].number != uid / UID_BLOCK)
        return below;
    for (size_t w = 0; w < word_of(uid); w++)
        below += count_bits(s->blocks[i].bits[w]);
    return below + count_bits(s->blocks[i].bits[word_of(uid)] & (mask_of(uid) - 1));
}

uint32_t uid_set_rank(const struct uid_set *s, uint32_t uid)
{
    return uid_set_has(s, uid) ? uid_set_below(s, uid) + 1 : 0;
}

/* The position of the n-th set bit (n from 0). */
static unsigned nth_bit(uint64_t bits, uint32_t n)
{
    while (n-- > 0)
        bits &= bits - 1;
    return (unsigned)__builtin_ctzll(bits);
}

uint32_t uid_set_at(const struct uid_set *s, uint32_t rank)
{
    size_t i = 0, end = s->n;
    uint32_t left = rank - 1;

    if (rank == 0 || rank > s->count)
        return 0;
    while (end - i > 1) { /* the last block with before <= left */
        size_t middle = i + (end - i) / 2;

        if (s->blocks[middle].before <= left)
            i = middle;
        else
            end = middle;
    }
    left -= s->blocks[i].before;
    for (unsigned w = 0; w < WORDS; w++) {
        uint32_t here = count_bits(s->blocks[i].bits[w]);

        if (left < here)
            return s->blocks[i].number * UID_BLOCK + w * 64 + nth_bit(s->blocks[i].bits[w], left);
        left -= here;
    }
    return 0;
}

/* ---- in the database ---- */

void uid_block_pack(const struct uid_block *b, char out[UID_BLOCK_BYTES])
{
    for (size_t i = 0; i < UID_BLOCK_BYTES; i++)
        out[i] = (char)(b->bits[i / 8] >> i % 8 * 8 & 0xff);
}

bool uid_set_unpack(struct uid_set *s, uint32_t number, struct str bytes)
{
    struct uid_block *b;

    if (bytes.n != UID_BLOCK_BYTES || number > UINT32_MAX / UID_BLOCK || find(s, number) != s->n)
        return false;
    b = make_block(s, s->n, number);
    for (size_t i = 0; i < UID_BLOCK_BYTES; i++) {
        b->bits[i / 8] |= (uint64_t)(unsigned char)bytes.p[i] << i % 8 * 8;
        b->count += count_bits((unsigned char)bytes.p[i]);
    }
    if (b->count == 0 || (number == 0 && (b->bits[0] & 1))) {
        s->n--;
        return false;
    }
    s->count += b->count;
    return true;
}
