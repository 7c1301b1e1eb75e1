/* Borrowed text. Locale never matters here: mail syntax is ASCII. */
#include "base/str.h"

#include <string.h>

struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

struct str str_from(const char *p, size_t n)
{
    return (struct str){p, n};
}

char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool ascii_is_alpha(char c)
{
    char l = ascii_lower(c);
    return l >= 'a' && l <= 'z';
}

bool ascii_is_alnum(char c)
{
    return ascii_is_digit(c) || ascii_is_alpha(c);
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_ieq(struct str a, struct str b)
{
    return a.n == b.n && str_istarts(a, b);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_from(s.p, prefix.n), prefix);
}

bool str_istarts(struct str s, struct str prefix)
{
    if (s.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++)
        if (ascii_lower(s.p[i]) != ascii_lower(prefix.p[i]))
            return false;
    return true;
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_skip(s, s.n - suffix.n), suffix);
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;

    if (order != 0)
        return order;
    return a.n < b.n ? -1 : a.n > b.n;
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

ptrdiff_t str_rfind(struct str s, char c)
{
    const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

ptrdiff_t str_ifind(struct str s, struct str needle)
{
    for (size_t i = 0; i + needle.n <= s.n; i++)
        if (str_istarts(str_skip(s, i), needle))
            return (ptrdiff_t)i;
    return -1;
}

struct str str_sub(struct str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return from ? (struct str){s.p + from, to - from} : (struct str){s.p, to};
}

struct str str_skip(struct str s, size_t n)
{
    return str_sub(s, n, s.n);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && is_blank(s.p[0]))
        s = str_skip(s, 1);
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_next(struct str *rest, char sep, struct str *piece)
{
    ptrdiff_t at;

    if (rest->p == NULL)
        return false;
    at = str_find(*rest, sep);
    if (at < 0) {
        *piece = *rest;
        *rest = (struct str){0};
        return true;
    }
    *piece = str_sub(*rest, 0, (size_t)at);
    *rest = str_skip(*rest, (size_t)at + 1);
    return true;
}

bool str_next_word(struct str *rest, struct str *word)
{
    size_t n = 0;

    while (rest->n && is_blank(rest->p[0]))
        *rest = str_skip(*rest, 1);
    while (n < rest->n && !is_blank(rest->p[n]))
        n++;
    *word = str_sub(*rest, 0, n);
    *rest = str_skip(*rest, n);
    return n > 0;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        uint64_t digit = (uint64_t)(s.p[i] - '0');

        if (!ascii_is_digit(s.p[i]) || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    if (sum > max)
        return false;
    *value = sum;
    return true;
}

bool str_is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7e)
            return false;
    return true;
}

bool str_is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 0x7f)
            return false;
    return true;
}

/* Length of the well-formed sequence at u, 0 if there is none. */
static size_t utf8_length(const unsigned char *u, size_t n)
{
    size_t len = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : u[0] < 0xf5 ? 4 : 0;

    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
        (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
        return 0;
    return len;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *u = (const unsigned char *)s.p;

    for (size_t i = 0; i < s.n;) {
        size_t len = utf8_length(u + i, s.n - i);

        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

size_t str_control(struct str s)
{
    const unsigned char *u = (const unsigned char *)s.p;

    if (s.n > 0 && (u[0] < 0x20 || u[0] == 0x7f))
        return 1;
    return s.n > 1 && u[0] == 0xc2 && u[1] >= 0x80 && u[1] < 0xa0 ? 2 : 0;
}

bool str_has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (str_control(str_skip(s, i)) > 0)
            return true;
    return false;
}

uint64_t str_stable_hash(struct str s)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < s.n; i++)
        hash = (hash ^ (unsigned char)ascii_lower(s.p[i])) * UINT64_C(0x100000001b3);
    return hash;
}
