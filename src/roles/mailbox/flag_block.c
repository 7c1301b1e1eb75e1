/* See flag_block.h. */
#include "flag_block.h"

#include <string.h>

void flag_block_put(struct flag_block *b, uint32_t uid, const struct flag_entry *e)
{
    b->present[uid % FLAG_BLOCK / 64] |= (uint64_t)1 << uid % 64;
    b->at[uid % FLAG_BLOCK] = *e;
}

void flag_block_drop(struct flag_block *b, uint32_t uid)
{
    b->present[uid % FLAG_BLOCK / 64] &= ~((uint64_t)1 << uid % 64);
}

/* The next that is present at or above `slot`; FLAG_BLOCK: none. */
static uint32_t next(const struct flag_block *b, uint32_t slot)
{
    while (slot < FLAG_BLOCK && !flag_block_has(b, slot))
        slot++;
    return slot;
}

/* ---- packing ---- */

static size_t put_number(unsigned char *to, uint64_t n)
{
    size_t used = 0;

    for (; n >= 0x80; n >>= 7)
        to[used++] = (unsigned char)(n | 0x80);
    to[used++] = (unsigned char)n;
    return used;
}

static uint64_t fold_sign(int64_t n)
{
    return (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
}

static size_t put_runs(const struct flag_block *b, unsigned char *to)
{
    size_t n = 0;
    int64_t before = 0;

    for (uint32_t first = next(b, 0), after; first < FLAG_BLOCK; first = after) {
        const struct flag_entry *e = &b->at[first];
        uint64_t count = 1;

        for (after = next(b, first + 1); after < FLAG_BLOCK && b->at[after].modseq == e->modseq && b->at[after].flags == e->flags;
             after = next(b, after + 1))
            count++;
        n += put_number(to + n, count);
        n += put_number(to + n, fold_sign((int64_t)((uint64_t)e->modseq - (uint64_t)before)));
        n += put_number(to + n, (uint64_t)e->flags);
        before = e->modseq;
    }
    return n;
}

void flag_block_pack(const struct flag_block *b, struct buf *out)
{
    unsigned char *to = (unsigned char *)buf_reserve(out, FLAG_BLOCK_MAX);
    size_t n = 0;

    if (to == NULL)
        return;
    for (; n < FLAG_BLOCK / 8; n++)
        to[n] = (unsigned char)(b->present[n / 8] >> n % 8 * 8);
    n += put_runs(b, to + n);
    for (uint32_t slot = next(b, 0); slot < FLAG_BLOCK; slot = next(b, slot + 1))
        n += put_number(to + n, (uint64_t)b->at[slot].size);
    out->n += n;
}

/* ---- unpacking ---- */

struct reader {
    const unsigned char *p, *end;
    bool failed;
};

/* In its shortest form only. */
static uint64_t get_number(struct reader *r)
{
    uint64_t n = 0;

    for (unsigned shift = 0; r->p < r->end && shift < 64; shift += 7) {
        unsigned char c = *r->p++;

        n |= (uint64_t)(c & 0x7f) << shift;
        if (c & 0x80)
            continue;
        r->failed |= (c == 0 && shift > 0) || (shift == 63 && c > 1);
        return n;
    }
    r->failed = true;
    return 0;
}

static int64_t get_difference(struct reader *r)
{
    uint64_t n = get_number(r);

    return (int64_t)(n >> 1 ^ (0 - (n & 1)));
}

static bool get_runs(struct flag_block *b, struct reader *r)
{
    struct flag_entry e = {0, -1, 0};
    int64_t before = 0;
    bool any = false;

    for (uint32_t slot = next(b, 0); slot < FLAG_BLOCK;) {
        uint64_t count = get_number(r);
        int64_t difference = get_difference(r), flags = (int64_t)get_number(r);

        r->failed |= count == 0 || (any && difference == 0 && flags == e.flags); /* would be one run */
        e = (struct flag_entry){(int64_t)((uint64_t)before + (uint64_t)difference), flags, 0};
        for (; count > 0 && slot < FLAG_BLOCK && !r->failed; count--, slot = next(b, slot + 1))
            b->at[slot] = e;
        if (count > 0 || r->failed)
            return false;
        before = e.modseq;
        any = true;
    }
    return true;
}

bool flag_block_unpack(struct flag_block *b, struct str bytes)
{
    struct reader r = {(const unsigned char *)bytes.p, (const unsigned char *)bytes.p + bytes.n, false};

    memset(b->present, 0, sizeof b->present);
    if (bytes.n < FLAG_BLOCK / 8)
        return false;
    for (size_t i = 0; i < FLAG_BLOCK / 8; i++)
        b->present[i / 8] |= (uint64_t)*r.p++ << i % 8 * 8;
    if (!get_runs(b, &r))
        return false;
    for (uint32_t slot = next(b, 0); slot < FLAG_BLOCK && !r.failed; slot = next(b, slot + 1))
        b->at[slot].size = (int64_t)get_number(&r);
    return !r.failed && r.p == r.end;
}
