/* xtext (RFC 3461 4) and the typed addresses of ORCPT (RFC 3461 4.2, RFC 6533 3). */
#include "smtp/xtext.h"

static int hex_digit(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The octet at text.p[*i], *i moved to its last character; -1 for what is no xtext. */
static int next_octet(struct str text, size_t *i)
{
    char c = text.p[*i];
    int high, low;

    if (c < '!' || c > '~' || c == '=')
        return -1;
    if (c != '+')
        return c;
    if (*i + 2 >= text.n)
        return -1;
    high = hex_digit(text.p[*i + 1]);
    low = hex_digit(text.p[*i + 2]);
    *i += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool xtext_is_valid(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (next_octet(text, &i) < 0)
            return false;
    return true;
}

bool xtext_decode(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        int octet = next_octet(text, &i);

        if (octet < 0)
            return false;
        buf_add_char(out, (char)octet);
    }
    return true;
}

void xtext_encode(struct buf *out, struct str plain)
{
    for (size_t i = 0; i < plain.n; i++) {
        char c = plain.p[i];

        if (c < '!' || c > '~' || c == '+' || c == '=')
            buf_addf(out, "+%02X", (unsigned)(unsigned char)c);
        else
            buf_add_char(out, c);
    }
}

static void add_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_add_char(out, (char)c);
    } else if (c < 0x800) {
        buf_add_char(out, (char)(0xc0 | c >> 6));
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_add_char(out, (char)(0xe0 | c >> 12));
        buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_add_char(out, (char)(0xf0 | c >> 18));
        buf_add_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* "\x{HEX}" at text.p[*i] (RFC 6533 3, EmbeddedUnicodeChar); *i moved to its '}'. */
static bool embedded(struct str text, size_t *i, uint32_t *c)
{
    size_t at = *i + 3;

    *c = 0;
    if (!str_starts(str_skip(text, *i), STR("\\x{")))
        return false;
    for (; at < text.n && text.p[at] != '}' && at < *i + 9; at++) {
        int digit = hex_digit(text.p[at] >= 'a' && text.p[at] <= 'f' ? (char)(text.p[at] - 32) : text.p[at]);

        if (digit < 0)
            return false;
        *c = *c * 16 + (uint32_t)digit;
    }
    if (at >= text.n || text.p[at] != '}' || at == *i + 3)
        return false;
    *i = at;
    return *c >= 0x10 && *c <= 0x10ffff && (*c < 0xd800 || *c > 0xdfff);
}

/* utf-8-addr-xtext, utf-8-addr-unitext: UTF-8 as it is, some characters as \x{HEX}. */
static bool utf8_address(struct buf *out, struct str text)
{
    uint32_t c;

    if (!str_is_utf8(text))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char octet = (unsigned char)text.p[i];

        if (octet == '\\') {
            if (!embedded(text, &i, &c))
                return false;
            add_utf8(out, c);
        } else if (octet <= 0x20 || octet == 0x7f) {
            return false;
        } else {
            buf_add_char(out, (char)octet);
        }
    }
    return true;
}

static bool type_is_valid(struct str type)
{
    for (size_t i = 0; i < type.n; i++)
        if (!ascii_is_alnum(type.p[i]) && type.p[i] != '-')
            return false;
    return type.n > 0;
}

bool orcpt_decode(struct buf *out, struct str orcpt, struct str *type)
{
    struct str rest = orcpt;
    size_t before = out->n;
    bool ok;

    if (!str_next(&rest, ';', type) || rest.n == 0 || !type_is_valid(*type))
        return false;
    ok = str_ieq(*type, STR("utf-8")) ? utf8_address(out, rest) : xtext_decode(out, rest);
    return ok && out->n > before;
}

bool orcpt_is_valid(struct str orcpt)
{
    struct buf plain;
    struct str type;
    bool ok;

    buf_init(&plain, 4096);
    ok = orcpt_decode(&plain, orcpt, &type) && !plain.failed;
    buf_clear(&plain);
    return ok;
}
