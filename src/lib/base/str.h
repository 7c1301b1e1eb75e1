/* Borrowed text: a pointer and a length, never NUL-terminated, never freed. Passed by value. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).n, (s).p

struct str str_of(const char *text); /* NULL gives the empty string */
struct str str_from(const char *p, size_t n);
bool str_eq(struct str a, struct str b);
bool str_ieq(struct str a, struct str b); /* ASCII case folded */
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
int str_cmp(struct str a, struct str b);

/* Index of the first (last) c, or -1. */
ptrdiff_t str_find(struct str s, char c);
ptrdiff_t str_rfind(struct str s, char c);
/* Index of the first occurrence of needle, ASCII case folded, or -1. */
ptrdiff_t str_ifind(struct str s, struct str needle);

/* The part from..to (to exclusive); out-of-range indexes are clamped. */
struct str str_sub(struct str s, size_t from, size_t to);
struct str str_skip(struct str s, size_t n);
struct str str_trim(struct str s); /* blanks, tabs, CR and LF at both ends */

/* Cuts the next piece up to sep off *rest; false when nothing is left. "a,b" gives "a" then "b". */
bool str_next(struct str *rest, char sep, struct str *piece);
/* Cuts the next blank-separated word off *rest; false when only blanks are left. */
bool str_next_word(struct str *rest, struct str *word);

/* Whole of s as an unsigned decimal number not above max. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *value);

/* Only printable US-ASCII (0x20..0x7e). */
bool str_is_printable(struct str s);
bool str_is_ascii(struct str s);
/* Well-formed UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool str_is_utf8(struct str s);
/* Octets of the control character that s starts with, 0 if it starts with another: C0, DEL, and C1 in
 * UTF-8 (U+0080 to U+009F; a terminal obeys them like ESC). No header, log or table may hold one. */
size_t str_control(struct str s);
bool str_has_control(struct str s);

char ascii_lower(char c);
bool ascii_is_digit(char c);
bool ascii_is_alpha(char c);
bool ascii_is_alnum(char c);

/* A hash that is the same in every process and run (FNV-1a, ASCII case folded): who owns what. Not
 * for tables filled by strangers: use map_hash_*. */
uint64_t str_stable_hash(struct str s);
