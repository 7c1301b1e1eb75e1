/* Tokens of IMAP. See parse.h. */
#include "parse.h"
#include "write.h"

#include <stdlib.h>
#include <string.h>
#include <uninorm.h>

bool imap_expected(struct imap_parser *p, const char *why)
{
    if (p->why == NULL)
        p->why = why;
    return false;
}

bool imap_at_end(const struct imap_parser *p)
{
    return p->rest.n == 0;
}

bool imap_take(struct imap_parser *p, char c)
{
    if (p->rest.n == 0 || p->rest.p[0] != c)
        return false;
    p->rest = str_skip(p->rest, 1);
    return true;
}

bool imap_need(struct imap_parser *p, char c)
{
    static const char *const whys[] = {['('] = "( expected", [')'] = ") expected", ['['] = "[ expected",
        [']'] = "] expected", ['>'] = "> expected", ['.'] = ". expected", [':'] = ": expected"};

    return imap_take(p, c) || imap_expected(p, whys[(unsigned char)c]);
}

bool imap_space(struct imap_parser *p)
{
    return imap_take(p, ' ') || imap_expected(p, p->rest.n == 0 ? "Argument missing" : "Blank expected");
}

bool imap_end(struct imap_parser *p)
{
    while (imap_take(p, ' ')) /* some clients end their lines with one */
        ;
    return p->rest.n == 0 || imap_expected(p, "Nothing more was expected");
}

/* ---- words and atoms ---- */

/* ATOM-CHAR: anything but atom-specials; 8-bit bytes are let through for UTF-8 in lax clients. */
static bool is_atom_char(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && strchr("(){%*\"\\]", c) == NULL;
}

static struct str span(struct str text, bool (*is)(char))
{
    size_t n = 0;

    while (n < text.n && is(text.p[n]))
        n++;
    return str_sub(text, 0, n);
}

static bool is_astring_char(char c)
{
    return is_atom_char(c) || c == ']';
}

static bool is_pattern_char(char c)
{
    return is_astring_char(c) || c == '%' || c == '*';
}

static bool is_word_char(char c)
{
    return is_atom_char(c) && c != '[' && c != '<';
}

struct str imap_peek_word(const struct imap_parser *p)
{
    return span(p->rest, is_word_char);
}

bool imap_word(struct imap_parser *p, struct str *word)
{
    *word = imap_peek_word(p);
    p->rest = str_skip(p->rest, word->n);
    return word->n > 0 || imap_expected(p, "A word expected");
}

bool imap_take_word(struct imap_parser *p, const char *word)
{
    struct str next = imap_peek_word(p);

    if (!str_ieq(next, str_of(word)))
        return false;
    p->rest = str_skip(p->rest, next.n);
    return true;
}

static bool cut(struct imap_parser *p, bool (*is)(char), struct str *text)
{
    *text = span(p->rest, is);
    p->rest = str_skip(p->rest, text->n);
    return text->n > 0;
}

bool imap_atom(struct imap_parser *p, struct str *atom)
{
    return cut(p, is_atom_char, atom) || imap_expected(p, "An atom expected");
}

/* ---- strings ---- */

/* Without the escapes; a view when there are none. */
static bool quoted(struct imap_parser *p, struct str *text)
{
    struct str s = str_skip(p->rest, 1);
    size_t n = 0, escapes = 0;
    char *copy;

    for (; n < s.n && s.p[n] != '"'; n++) {
        if (s.p[n] == '\r' || s.p[n] == '\n' || s.p[n] == 0)
            return imap_expected(p, "A quoted string cannot hold line ends or NUL");
        if (s.p[n] == '\\') {
            if (++n == s.n || (s.p[n] != '"' && s.p[n] != '\\'))
                return imap_expected(p, "In a quoted string only \\\" and \\\\ are escapes");
            escapes++;
        }
    }
    if (n >= s.n)
        return imap_expected(p, "The quoted string has no end");
    p->rest = str_skip(s, n + 1);
    *text = str_sub(s, 0, n);
    if (escapes == 0)
        return true;
    copy = arena_alloc(p->arena, n);
    if (copy == NULL)
        return imap_expected(p, "The command is too large");
    text->n = 0;
    for (size_t i = 0; i < n; i++) {
        i += s.p[i] == '\\';
        copy[text->n++] = s.p[i];
    }
    text->p = copy;
    return true;
}

/* "{n}" CRLF and n bytes, as imap/input.h hands it out; "~" before it was taken. */
static bool literal(struct imap_parser *p, struct str *text)
{
    ptrdiff_t end = str_find(p->rest, '}');
    struct str number;
    uint64_t n;

    if (end < 0)
        return imap_expected(p, "A literal expected");
    number = str_sub(p->rest, 1, (size_t)end);
    if (str_ends(number, STR("+")))
        number.n--;
    if (!str_to_u64(number, SIZE_MAX / 2, &n))
        return imap_expected(p, "The size of a literal is a number");
    p->rest = str_skip(p->rest, (size_t)end + 1);
    if (!str_starts(p->rest, STR("\r\n")) || p->rest.n - 2 < n)
        return imap_expected(p, "A literal expected");
    *text = str_sub(p->rest, 2, 2 + (size_t)n);
    p->rest = str_skip(p->rest, 2 + (size_t)n);
    return true;
}

bool imap_string(struct imap_parser *p, struct str *text)
{
    if (p->rest.n > 0 && p->rest.p[0] == '"')
        return quoted(p, text);
    if (str_starts(p->rest, STR("~{")))
        p->rest = str_skip(p->rest, 1);
    if (p->rest.n > 0 && p->rest.p[0] == '{')
        return literal(p, text);
    return imap_expected(p, "A string expected");
}

static bool is_string(const struct imap_parser *p)
{
    return p->rest.n > 0 && (p->rest.p[0] == '"' || p->rest.p[0] == '{');
}

bool imap_astring(struct imap_parser *p, struct str *text)
{
    if (is_string(p))
        return imap_string(p, text);
    return cut(p, is_astring_char, text) || imap_expected(p, "A string or an atom expected");
}

bool imap_nstring(struct imap_parser *p, struct str *text)
{
    *text = (struct str){0};
    return imap_take_word(p, "NIL") || imap_string(p, text);
}

/* ---- mailbox names ---- */

/* One name however it is written: Normalization Form C (RFC 9051, section 5.1). */
static bool compose(struct imap_parser *p, struct str *name)
{
    uint8_t *composed;
    size_t n;

    for (n = 0; n < name->n && (unsigned char)name->p[n] < 0x80;)
        n++;
    if (n == name->n)
        return true;
    composed = u8_normalize(UNINORM_NFC, (const uint8_t *)name->p, name->n, NULL, &n);
    if (composed != NULL)
        *name = arena_str(p->arena, str_from((const char *)composed, n));
    free(composed);
    return (composed != NULL && name->p != NULL) || imap_expected(p, "A shorter mailbox name");
}

static bool to_utf8(struct imap_parser *p, struct str *name)
{
    struct buf out;
    bool ok;

    if (str_find(*name, '&') < 0 || p->utf8)
        return str_is_utf8(*name) || imap_expected(p, "A mailbox name is UTF-8");
    buf_init(&out, 4 * name->n + 4);
    ok = imap_mutf7_decode(&out, *name) && !out.failed;
    *name = arena_str(p->arena, buf_str(&out));
    buf_clear(&out);
    return (ok && name->p != NULL) || imap_expected(p, "A mailbox name is in modified UTF-7");
}

bool imap_mailbox_name(struct imap_parser *p, struct str *name)
{
    struct str written;

    if (!to_utf8(p, name))
        return false;
    written = *name;
    if (!compose(p, name))
        return false;
    if (str_ieq(*name, STR("INBOX")))
        *name = STR("INBOX");
    if (p->mailboxes++ == 0 && !str_eq(written, *name))
        p->written = written;
    p->normalized |= !str_eq(written, *name);
    return true;
}

bool imap_mailbox(struct imap_parser *p, struct str *name)
{
    return imap_astring(p, name) && imap_mailbox_name(p, name);
}

bool imap_list_mailbox(struct imap_parser *p, struct str *pattern)
{
    if (!(is_string(p) ? imap_string(p, pattern) : cut(p, is_pattern_char, pattern)))
        return imap_expected(p, "A mailbox pattern expected");
    return to_utf8(p, pattern) && compose(p, pattern);
}

/* ---- numbers, sets, partials ---- */

bool imap_number(struct imap_parser *p, uint64_t max, uint64_t *number)
{
    size_t n = 0;

    while (n < p->rest.n && ascii_is_digit(p->rest.p[n]))
        n++;
    if (n == 0 || !str_to_u64(str_sub(p->rest, 0, n), max, number))
        return imap_expected(p, n == 0 ? "A number expected" : "The number is too large");
    p->rest = str_skip(p->rest, n);
    return true;
}

bool imap_set(struct imap_parser *p, struct imap_set *set)
{
    return imap_set_parse(&p->rest, p->arena, set) || imap_expected(p, "A sequence set expected");
}

bool imap_partial(struct imap_parser *p, int64_t *from, int64_t *to)
{
    bool negative = imap_take(p, '-');
    uint64_t a, b;

    if (!imap_number(p, UINT32_MAX, &a) || !imap_need(p, ':'))
        return false;
    if (imap_take(p, '-') != negative)
        return imap_expected(p, "Both ends of a partial range have the same sign");
    if (!imap_number(p, UINT32_MAX, &b))
        return false;
    if (a == 0 || b == 0)
        return imap_expected(p, "A partial range has no 0");
    *from = negative ? -(int64_t)a : (int64_t)a;
    *to = negative ? -(int64_t)b : (int64_t)b;
    return true;
}

void *imap_room_for(struct imap_parser *p, size_t most, size_t each, size_t size)
{
    size_t n = p->rest.n / each + 1;
    void *room = arena_alloc(p->arena, (n < most ? n : most) * size);

    if (room == NULL)
        imap_expected(p, "The command is too large");
    return room;
}

void *imap_room(struct imap_parser *p, size_t each, size_t size)
{
    return imap_room_for(p, SIZE_MAX, each, size);
}

/* ---- flags ---- */

static const struct {
    const char *name;
    unsigned flag;
} system_flags[] = {
    {"Seen", IMAP_SEEN}, {"Answered", IMAP_ANSWERED}, {"Flagged", IMAP_FLAGGED}, {"Deleted", IMAP_DELETED}, {"Draft", IMAP_DRAFT},
};

bool imap_flags_room(struct imap_parser *p, struct imap_flags *flags)
{
    *flags = (struct imap_flags){0};
    flags->keywords = imap_room_for(p, IMAP_KEYWORDS_MAX, 2, sizeof *flags->keywords);
    return flags->keywords != NULL;
}

/* All who use the mailbox are told of it, in one line with the others. */
static bool one_keyword(struct imap_parser *p, struct imap_flags *flags)
{
    struct str name;

    if (!imap_atom(p, &name))
        return imap_expected(p, "A flag expected");
    if (name.n > IMAP_KEYWORD_MAX || !str_is_printable(name))
        return imap_expected(p, "A keyword has at most 200 characters of US-ASCII");
    if (flags->keyword_count == IMAP_KEYWORDS_MAX)
        return imap_expected(p, "So many keywords at once are too many");
    flags->keywords[flags->keyword_count++] = name;
    return true;
}

bool imap_one_flag(struct imap_parser *p, struct imap_flags *flags)
{
    struct str name;

    if (!imap_take(p, '\\'))
        return one_keyword(p, flags);
    if (!imap_atom(p, &name))
        return false;
    for (size_t i = 0; i < sizeof system_flags / sizeof *system_flags; i++)
        if (str_ieq(name, str_of(system_flags[i].name))) {
            flags->system |= system_flags[i].flag;
            return true;
        }
    return imap_expected(p, "There is no such system flag");
}

bool imap_flag_list(struct imap_parser *p, struct imap_flags *flags)
{
    if (!imap_flags_room(p, flags) || !imap_need(p, '('))
        return false;
    if (imap_take(p, ')'))
        return true;
    do {
        if (!imap_one_flag(p, flags))
            return false;
    } while (imap_take(p, ' '));
    return imap_need(p, ')');
}
