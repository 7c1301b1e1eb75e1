/* Runs of three characters of a text. See grams.h. */
#include "grams.h"

#include <stdlib.h>

enum { BITS = 20, ALL = 1 << BITS, NO_CHARACTER = 0x110000, DIGITS = 4 };

const char grams_any[] = "zzzzz";

struct grams {
    uint64_t seen[ALL / 64];
    uint32_t list[GRAMS_MOST];
    size_t n;
    bool overflow;
};

struct grams *grams_new(void)
{
    return xcalloc(1, sizeof(struct grams));
}

void grams_free(struct grams *g)
{
    free(g);
}

void grams_reset(struct grams *g)
{
    for (size_t i = 0; i < g->n; i++)
        g->seen[g->list[i] / 64] = 0;
    g->n = 0;
    g->overflow = false;
}

bool grams_overflow(const struct grams *g)
{
    return g->overflow;
}

/* ---- characters ---- */

static size_t length_by_first(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c < 0xe0)
        return 2;
    if (c >= 0xe0 && c < 0xf0)
        return 3;
    return c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

/* The character at the start; a byte that begins none, or one that is cut off, stands for itself. Never takes a byte that
 * could begin a character into one before it. */
static uint32_t next_character(struct str *text)
{
    const unsigned char *p = (const unsigned char *)text->p;
    size_t n = length_by_first(*p);
    uint32_t c = *p;

    if (n > 1 && n <= text->n) {
        c &= 0x7fU >> n;
        for (size_t i = 1; i < n; i++) {
            if ((p[i] & 0xc0) != 0x80) {
                n = 0;
                break;
            }
            c = c << 6 | (p[i] & 0x3f);
        }
    } else if (n > 1) {
        n = 0;
    }
    if (n == 0)
        c = NO_CHARACTER + *p;
    *text = str_skip(*text, n == 0 ? 1 : n);
    return c;
}

static uint32_t gram_of(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t sum = (a * UINT32_C(0x9e3779b1)) ^ (b * UINT32_C(0x85ebca77)) ^ (c * UINT32_C(0xc2b2ae3d));

    return (sum ^ sum >> 15) * UINT32_C(0x27d4eb2f) >> (32 - BITS);
}

static void note(struct grams *g, uint32_t gram)
{
    uint64_t bit = (uint64_t)1 << gram % 64;

    if (g->seen[gram / 64] & bit)
        return;
    if (g->n == GRAMS_MOST) {
        g->overflow = true;
        return;
    }
    g->seen[gram / 64] |= bit;
    g->list[g->n++] = gram;
}

void grams_add(struct grams *g, struct str folded)
{
    uint32_t a = 0, b = 0;

    for (size_t i = 0; folded.n > 0; i++) {
        uint32_t c = next_character(&folded);

        if (i >= 2)
            note(g, gram_of(a, b, c));
        a = b;
        b = c;
    }
}

/* ---- words of the index ---- */

/* Letters and digits that the index's tokenizer takes as they are; never as long as grams_any. */
static void write_gram(uint32_t gram, struct buf *out)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuv";

    for (int shift = BITS - 5; shift >= 0; shift -= 5)
        buf_add_char(out, digits[gram >> shift & 31]);
}

void grams_write(const struct grams *g, struct buf *out)
{
    char *room = buf_reserve(out, g->n * (DIGITS + 1));

    if (room == NULL)
        return;
    for (size_t i = 0; i < g->n; i++) {
        write_gram(g->list[i], out);
        buf_add_char(out, ' ');
    }
}

/* How many grams; -1: not UTF-8. */
static int count_grams(struct str folded)
{
    int n = 0;

    for (; folded.n > 0; n++)
        if (next_character(&folded) >= NO_CHARACTER)
            return -1;
    return n - (GRAMS_SHORTEST - 1);
}

bool grams_query(struct str folded, struct buf *out)
{
    int count = count_grams(folded), taken = 0;
    uint32_t a = 0, b = 0;

    if (count < 1)
        return false;
    buf_add_char(out, '(');
    for (int i = 0; folded.n > 0; i++) {
        uint32_t c = next_character(&folded);
        int at = i - (GRAMS_SHORTEST - 1);

        /* Of a long word some, spread over it. */
        if (at >= 0 && (count <= GRAMS_OF_WORD || (int64_t)at * GRAMS_OF_WORD >= (int64_t)taken * count)) {
            buf_add(out, taken++ > 0 ? STR(" AND ") : STR(""));
            write_gram(gram_of(a, b, c), out);
        }
        a = b;
        b = c;
    }
    buf_addf(out, ") OR %s", grams_any);
    return !out->failed;
}
