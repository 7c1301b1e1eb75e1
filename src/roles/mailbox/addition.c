/* See addition.h. */
#include "addition.h"

#include <string.h>

enum { NUMBERS = 11, RECORD_HEADER = 8 + NUMBERS * 8, SUM_AT = 32 };
static const char mark[8] = {'s', 't', 'a', 'd', 'd', '0', '0', '1'};

static void put32(char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (char)(unsigned char)(value >> 8 * i);
}

static void put64(char *to, uint64_t value)
{
    put32(to, (uint32_t)value);
    put32(to + 4, (uint32_t)(value >> 32));
}

static uint32_t get32(const char *from)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value |= (uint32_t)(unsigned char)from[i] << 8 * i;
    return value;
}

static uint64_t get64(const char *from)
{
    return get32(from) | (uint64_t)get32(from + 4) << 32;
}

/* ---- records ---- */

void addition_write(struct buf *out, const struct addition *a)
{
    const int64_t numbers[NUMBERS] = {a->account, a->folder, a->uidvalidity, a->uid, a->modseq, a->received, a->saved, a->flags,
        a->features, a->content, a->mark};
    size_t n = RECORD_HEADER + a->more.n + a->bytes.n;
    char *room = buf_reserve(out, n);

    if (room == NULL)
        return;
    put32(room, (uint32_t)n);
    put32(room + 4, (uint32_t)a->more.n);
    for (size_t i = 0; i < NUMBERS; i++)
        put64(room + 8 + 8 * i, (uint64_t)numbers[i]);
    if (a->more.n > 0)
        memcpy(room + RECORD_HEADER, a->more.p, a->more.n);
    if (a->bytes.n > 0)
        memcpy(room + RECORD_HEADER + a->more.n, a->bytes.p, a->bytes.n);
    out->n += n;
}

bool addition_read(struct str *records, struct addition *a)
{
    int64_t numbers[NUMBERS];
    size_t n, more;

    if (records->n < RECORD_HEADER)
        return false;
    n = get32(records->p);
    more = get32(records->p + 4);
    if (n < RECORD_HEADER || n > records->n || more > n - RECORD_HEADER || more > ADDITION_MORE_MAX)
        return false;
    for (size_t i = 0; i < NUMBERS; i++)
        numbers[i] = (int64_t)get64(records->p + 8 + 8 * i);
    *a = (struct addition){numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6], numbers[7], numbers[8],
        numbers[9], numbers[10], str_sub(*records, RECORD_HEADER, RECORD_HEADER + more), str_sub(*records, RECORD_HEADER + more, n)};
    *records = str_skip(*records, n);
    return true;
}

/* ---- groups ---- */

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
}

/* Each step is one-to-one in the sum so far, so that a change of one word is always seen. */
static uint64_t add_to_sum(uint64_t sum, const char *p, size_t n)
{
    uint64_t word;

    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        sum = mix(sum, word);
    }
    word = 0;
    if (n > 0)
        memcpy(&word, p, n);
    return mix(sum, word);
}

static uint64_t checksum(struct str group)
{
    uint64_t sum = add_to_sum(UINT64_C(0x5bd1e995) + group.n, group.p, SUM_AT);

    return add_to_sum(sum, group.p + ADDITION_HEADER, group.n - ADDITION_HEADER);
}

void addition_seal(char *group, size_t n, uint64_t run, uint64_t number, uint32_t count)
{
    memcpy(group, mark, sizeof mark);
    put64(group + 8, run);
    put64(group + 16, number);
    put32(group + 24, (uint32_t)n);
    put32(group + 28, count);
    put64(group + SUM_AT, checksum(str_from(group, n)));
}

bool addition_header(struct str bytes, struct addition_group *g)
{
    if (bytes.n < ADDITION_HEADER || memcmp(bytes.p, mark, sizeof mark) != 0)
        return false;
    *g = (struct addition_group){get64(bytes.p + 8), get64(bytes.p + 16), get32(bytes.p + 24), get32(bytes.p + 28)};
    return g->length >= ADDITION_HEADER && g->length <= ADDITION_GROUP_MAX;
}

bool addition_is_whole(struct str group)
{
    return group.n >= ADDITION_HEADER && get64(group.p + SUM_AT) == checksum(group);
}
