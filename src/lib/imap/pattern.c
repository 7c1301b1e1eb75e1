/* LIST patterns (RFC 9051, section 6.3.9). See write.h.
 *
 * All ways through a pattern are gone at once: after each of its characters a set has the places in the name where one could be by
 * then, a bit each. So a pattern costs a few words of memory for each character, whatever its wildcards are: one way after the other
 * would take the third power of the lengths. */
#include "write.h"

#include <string.h>

enum { WORDS = 32, NAME_MOST = WORDS * 64 - 1 };

struct places {
    uint64_t bits[WORDS];
};

struct matching {
    struct str name;
    size_t words;           /* of the sets in use */
    struct places at;       /* 0: before the name; name.n: behind it */
    bool known[256];
    struct places where[256]; /* a character stands in the name, when that is known */
};

static const struct places *where(struct matching *m, char character)
{
    unsigned char c = (unsigned char)character;

    if (!m->known[c]) {
        memset(&m->where[c], 0, m->words * sizeof m->where[c].bits[0]);
        for (size_t i = 0; i < m->name.n; i++)
            if (m->name.p[i] == character)
                m->where[c].bits[i / 64] |= UINT64_C(1) << i % 64;
        m->known[c] = true;
    }
    return &m->where[c];
}

/* From where that character stands to behind it. False: nowhere. */
static bool step(struct matching *m, char c)
{
    const struct places *there = where(m, c);
    uint64_t carry = 0, any = 0;

    for (size_t i = 0; i < m->words; i++) {
        uint64_t stand = m->at.bits[i] & there->bits[i];

        m->at.bits[i] = stand << 1 | carry;
        carry = stand >> 63;
        any |= m->at.bits[i];
    }
    return any != 0;
}

/* Nothing is behind the end of the name. */
static void cut_off(struct matching *m)
{
    m->at.bits[m->words - 1] &= ~UINT64_C(0) >> (63 - m->name.n % 64);
}

/* `*`: everywhere behind the first of them. */
static void run(struct matching *m)
{
    size_t i = 0;

    while (m->at.bits[i] == 0)
        i++;
    m->at.bits[i] |= ~(m->at.bits[i] - 1); /* from its lowest bit up */
    while (++i < m->words)
        m->at.bits[i] = ~UINT64_C(0);
    cut_off(m);
}

/* `%`: on from each of them over all that is no separator. */
static void walk(struct matching *m)
{
    const struct places *slashes = where(m, '/');
    uint64_t carry = 0, open = 0; /* the place before is reached; it may be left */

    for (size_t i = 0; i < m->words; i++) {
        uint64_t may = ~slashes->bits[i] << 1 | open, reached = m->at.bits[i] | (carry & may);

        open = ~slashes->bits[i] >> 63;
        for (unsigned far = 1; far < 64; far *= 2) {
            reached |= may & reached << far;
            may &= may << far;
        }
        m->at.bits[i] = reached;
        carry = reached >> 63;
    }
    cut_off(m);
}

static bool matches(struct str pattern, struct str name)
{
    struct matching m;
    char before = 0;

    while (pattern.n > 0 && name.n > 0 && pattern.p[0] == name.p[0] && pattern.p[0] != '*' && pattern.p[0] != '%') {
        pattern = str_skip(pattern, 1);
        name = str_skip(name, 1);
    }
    if (pattern.n == 0 || name.n > NAME_MOST)
        return pattern.n == 0 && name.n == 0;
    m.name = name;
    m.words = name.n / 64 + 1;
    m.at = (struct places){{1}};
    memset(m.known, 0, sizeof m.known);
    for (size_t i = 0; i < pattern.n; before = pattern.p[i++]) {
        char c = pattern.p[i];

        if (c != '*' && c != '%') {
            if (!step(&m, c))
                return false;
        } else if (c == '*') {
            run(&m);
        } else if (before != '*' && before != '%') {
            walk(&m);
        }
    }
    return m.at.bits[name.n / 64] >> name.n % 64 & 1;
}

bool imap_pattern_matches(struct str pattern, struct str name)
{
    struct str first = str_sub(pattern, 0, 5);

    /* INBOX in any case, alone or as the top of a tree. */
    if (str_ieq(first, STR("INBOX")) && str_starts(name, STR("INBOX")) && (pattern.n == 5 || str_find(STR("/*%"), pattern.p[5]) >= 0))
        return matches(str_skip(pattern, 5), str_skip(name, 5));
    return matches(pattern, name);
}
