/* See spf_macro.h. */
#include "spf_macro.h"
#include "base/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LABELS_MAX = 128, NAME_MAX_TEXT = 253 };

/* %{ letter [digits] [r] [delimiters] } */
struct macro {
    char letter; /* lower case */
    bool escape, reverse;
    unsigned keep; /* labels from the right; 0: all */
    struct str delimiters;
};

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* Cuts "{...}" off *rest. */
static bool read_macro(struct str *rest, struct macro *m)
{
    struct str s = *rest;
    size_t i = 2, digits;

    if (s.n < 3 || s.p[0] != '{' || !is_one_of((char)tolower((unsigned char)s.p[1]), "slodiphcrtv"))
        return false;
    *m = (struct macro){.letter = (char)tolower((unsigned char)s.p[1]), .escape = isupper((unsigned char)s.p[1]) != 0};
    for (digits = i; i < s.n && isdigit((unsigned char)s.p[i]); i++)
        m->keep = m->keep > LABELS_MAX ? m->keep : m->keep * 10 + (unsigned)(s.p[i] - '0');
    if (i > digits && m->keep == 0)
        return false;
    if (i < s.n && (s.p[i] == 'r' || s.p[i] == 'R'))
        m->reverse = true, i++;
    m->delimiters.p = s.p + i;
    while (i < s.n && is_one_of(s.p[i], ".-+,/_="))
        i++, m->delimiters.n++;
    if (i == s.n || s.p[i] != '}')
        return false;
    *rest = str_skip(s, i + 1);
    return true;
}

enum piece { PIECE_END, PIECE_TEXT, PIECE_MACRO, PIECE_BAD };

/* Cuts the next macro, or the text before it (or what %%, %_ and %- stand for). `blanks`: as in an explanation. */
static enum piece next_piece(struct str *rest, bool blanks, struct str *text, struct macro *m)
{
    size_t n = 0;

    if (rest->n == 0)
        return PIECE_END;
    if (rest->p[0] != '%') {
        while (n < rest->n && rest->p[n] != '%') {
            if ((rest->p[n] < 0x21 && !(blanks && rest->p[n] == ' ')) || rest->p[n] > 0x7e)
                return PIECE_BAD;
            n++;
        }
        *text = str_sub(*rest, 0, n);
        *rest = str_skip(*rest, n);
        return PIECE_TEXT;
    }
    *rest = str_skip(*rest, 1);
    if (rest->n == 0)
        return PIECE_BAD;
    if (rest->p[0] == '{')
        return read_macro(rest, m) ? PIECE_MACRO : PIECE_BAD;
    if (!is_one_of(rest->p[0], "%_-"))
        return PIECE_BAD;
    *text = rest->p[0] == '%' ? STR("%") : rest->p[0] == '_' ? STR(" ") : STR("%20");
    *rest = str_skip(*rest, 1);
    return PIECE_TEXT;
}

/* Is all of it correct? *macro_last: it ends in one of %{...}, %%, %_ and %-. */
static bool check(struct str s, bool *macro_last)
{
    enum piece piece;
    struct macro m;
    struct str text;

    *macro_last = false;
    for (bool percent = s.n > 0 && s.p[0] == '%'; (piece = next_piece(&s, false, &text, &m)) != PIECE_END;
         percent = s.n > 0 && s.p[0] == '%') {
        if (piece == PIECE_BAD || (piece == PIECE_MACRO && is_one_of(m.letter, "crt")))
            return false;
        *macro_last = percent;
    }
    return true;
}

bool spf_is_macro_string(struct str s)
{
    bool macro_last;

    return check(s, &macro_last);
}

/* The last label has a letter or a hyphen inside it (7.1 toplabel). */
static bool is_top_label(struct str s)
{
    bool digits = true;

    if (s.n == 0 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '-')
            return false;
        digits = digits && isdigit((unsigned char)s.p[i]);
    }
    return !digits;
}

bool spf_is_domain_spec(struct str s)
{
    bool macro_last;
    ptrdiff_t dot;

    if (s.n == 0 || !check(s, &macro_last))
        return false;
    if (macro_last)
        return true;
    if (s.p[s.n - 1] == '.')
        s = str_sub(s, 0, s.n - 1);
    dot = str_rfind(s, '.');
    return dot >= 0 && is_top_label(str_skip(s, (size_t)dot + 1));
}

bool spf_uses_validated(struct str s)
{
    enum piece piece;
    struct macro m;
    struct str text;

    while ((piece = next_piece(&s, true, &text, &m)) != PIECE_END && piece != PIECE_BAD)
        if (piece == PIECE_MACRO && m.letter == 'p')
            return true;
    return false;
}

/* ---- values ---- */

/* i: dotted; an IPv6 address as 32 nibbles (7.3). */
static void add_dotted(struct buf *out, const struct ip *ip)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < (ip->family == 6 ? 16 : 4); i++)
        if (ip->family == 6)
            buf_addf(out, "%s%c.%c", i > 0 ? "." : "", hex[ip->bytes[i] >> 4], hex[ip->bytes[i] & 15]);
        else
            buf_addf(out, "%s%u", i > 0 ? "." : "", ip->bytes[i]);
}

static void add_value(struct buf *out, char letter, const struct spf_names *names)
{
    char text[IP_TEXT];

    switch (letter) {
    case 's':
        buf_addf(out, "%.*s@%.*s", STR_ARG(names->local), STR_ARG(names->sender_domain));
        break;
    case 'l':
        buf_add(out, names->local);
        break;
    case 'o':
        buf_add(out, names->sender_domain);
        break;
    case 'd':
        buf_add(out, names->domain);
        break;
    case 'i':
        add_dotted(out, &names->ip);
        break;
    case 'p':
        buf_add(out, names->validated);
        break;
    case 'v':
        buf_add(out, names->ip.family == 6 ? STR("ip6") : STR("in-addr"));
        break;
    case 'h':
        buf_add(out, names->helo);
        break;
    case 'c':
        ip_format(&names->ip, text);
        buf_add(out, str_of(text));
        break;
    case 'r':
        buf_add(out, names->receiver);
        break;
    default:
        buf_addf(out, "%" PRId64, names->now / SECOND);
        break;
    }
}

static void add_escaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (isalnum((unsigned char)s.p[i]) || is_one_of(s.p[i], "-._~"))
            buf_add_char(out, s.p[i]);
        else
            buf_addf(out, "%%%02X", (unsigned char)s.p[i]);
}

static size_t split(struct str s, struct str delimiters, struct str parts[LABELS_MAX])
{
    size_t n = 0, start = 0;

    for (size_t i = 0; i <= s.n && n < LABELS_MAX; i++)
        if (i == s.n || str_find(delimiters, s.p[i]) >= 0) {
            parts[n++] = str_sub(s, start, i);
            start = i + 1;
        }
    return n;
}

static void add_macro(struct buf *out, const struct macro *m, const struct spf_names *names)
{
    struct str parts[LABELS_MAX], value;
    struct buf raw, joined;
    size_t n, first;

    buf_init(&raw, 2048);
    buf_init(&joined, 4096);
    add_value(&raw, m->letter, names);
    value = buf_str(&raw);
    if (m->keep > 0 || m->reverse || m->delimiters.n > 0) {
        n = split(value, m->delimiters.n > 0 ? m->delimiters : STR("."), parts);
        first = m->keep > 0 && m->keep < n ? n - m->keep : 0;
        for (size_t i = first; i < n; i++) {
            /* Reversed first, then the last ones kept: those that were first. */
            struct str part = m->reverse ? parts[n - 1 - i] : parts[i];

            buf_addf(&joined, "%s%.*s", i > first ? "." : "", STR_ARG(part));
        }
        value = buf_str(&joined);
    }
    if (m->escape)
        add_escaped(out, value);
    else
        buf_add(out, value);
    out->failed |= raw.failed || joined.failed;
    buf_clear(&raw);
    buf_clear(&joined);
}

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 0x7e)
            return false;
    return true;
}

static bool expand(struct str s, bool text, const struct spf_names *names, struct buf *out)
{
    enum piece piece;
    struct macro m;
    struct str literal;

    while ((piece = next_piece(&s, text, &literal, &m)) != PIECE_END) {
        if (piece == PIECE_BAD || (piece == PIECE_MACRO && is_one_of(m.letter, "sl") && !is_ascii(names->local)))
            return false;
        if (piece == PIECE_TEXT)
            buf_add(out, literal);
        else
            add_macro(out, &m, names);
    }
    return !out->failed;
}

bool spf_expand_text(struct str text, const struct spf_names *names, struct buf *out)
{
    return expand(text, true, names, out);
}

bool spf_expand_domain(struct str spec, const struct spf_names *names, struct buf *out)
{
    ptrdiff_t dot;

    if (!expand(spec, false, names, out))
        return false;
    if (out->n > 0 && out->p[out->n - 1] == '.')
        out->n--;
    while (out->n > NAME_MAX_TEXT) {
        dot = str_find(buf_str(out), '.');
        if (dot < 0)
            return false;
        buf_consume(out, (size_t)dot + 1);
    }
    return true;
}
