/* Mailbox names: modified UTF-7 (RFC 3501, section 5.1.3), what a name may be. See write.h. */
#include "write.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* ---- UTF-8 ---- */

/* Reads one character of well-formed UTF-8. */
static uint32_t next_character(struct str *rest)
{
    unsigned char c = (unsigned char)rest->p[0];
    size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    uint32_t value = c < 0x80 ? c : c & (0x3fu >> more);

    for (size_t i = 1; i <= more; i++)
        value = value << 6 | ((unsigned char)rest->p[i] & 0x3f);
    *rest = str_skip(*rest, more + 1);
    return value;
}

static void add_character(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_add_char(out, (char)c);
        return;
    }
    if (c >= 0x10000) {
        buf_add_char(out, (char)(0xf0 | c >> 18));
        buf_add_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
    } else if (c >= 0x800) {
        buf_add_char(out, (char)(0xe0 | c >> 12));
    }
    buf_add_char(out, (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6));
    buf_add_char(out, (char)(0x80 | (c & 0x3f)));
}

/* ---- encoding ---- */

static bool stands_for_itself(uint32_t c)
{
    return c >= 0x20 && c <= 0x7e;
}

struct bits {
    struct buf *out;
    uint32_t held;
    unsigned count;
};

static void add_unit(struct bits *b, uint32_t unit)
{
    b->held = b->held << 16 | unit;
    for (b->count += 16; b->count >= 6; b->count -= 6)
        buf_add_char(b->out, base64[b->held >> (b->count - 6) & 0x3f]);
    b->held &= (1u << b->count) - 1;
}

static void end_bits(struct bits *b)
{
    if (b->count > 0)
        buf_add_char(b->out, base64[b->held << (6 - b->count) & 0x3f]);
    buf_add_char(b->out, '-');
}

void imap_mutf7_encode(struct buf *out, struct str utf8)
{
    struct bits bits = {.out = out};
    bool shifted = false;

    while (utf8.n > 0) {
        uint32_t c = next_character(&utf8);

        if (shifted == stands_for_itself(c)) {
            if (shifted) {
                end_bits(&bits);
                bits = (struct bits){.out = out};
            } else {
                buf_add_char(out, '&');
            }
            shifted = !shifted;
        }
        if (shifted) {
            if (c >= 0x10000) {
                add_unit(&bits, 0xd800 + ((c - 0x10000) >> 10));
                c = 0xdc00 + ((c - 0x10000) & 0x3ff);
            }
            add_unit(&bits, c);
        } else {
            buf_add_char(out, (char)c);
            if (c == '&')
                buf_add_char(out, '-');
        }
    }
    if (shifted)
        end_bits(&bits);
}

/* ---- decoding ---- */

static int base64_value(char c)
{
    ptrdiff_t at = str_find(STR("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"), c);

    return (int)at;
}

/* One UTF-16 unit; *high holds the first half of a pair meanwhile. */
static bool take_unit(struct buf *out, uint32_t unit, uint32_t *high)
{
    bool second = unit >= 0xdc00 && unit <= 0xdfff;

    if (second != (*high != 0))
        return false;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        *high = unit;
        return true;
    }
    if (second)
        unit = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
    *high = 0;
    if (stands_for_itself(unit)) /* must have been written as itself */
        return false;
    add_character(out, unit);
    return true;
}

/* What stands between & and -. */
static bool decode_shifted(struct buf *out, struct str text)
{
    uint32_t held = 0, high = 0;
    unsigned count = 0;

    for (size_t i = 0; i < text.n; i++) {
        int value = base64_value(text.p[i]);

        if (value < 0)
            return false;
        held = held << 6 | (uint32_t)value;
        count += 6;
        if (count >= 16) {
            count -= 16;
            if (!take_unit(out, held >> count & 0xffff, &high))
                return false;
            held &= (1u << count) - 1;
        }
    }
    return high == 0 && count < 6 && held == 0;
}

bool imap_mutf7_decode(struct buf *out, struct str text)
{
    bool after_shift = false;

    while (text.n > 0) {
        ptrdiff_t end;
        char c = text.p[0];

        if (c != '&') {
            if (!stands_for_itself((unsigned char)c))
                return false;
            buf_add_char(out, c);
            text = str_skip(text, 1);
            after_shift = false;
            continue;
        }
        end = str_find(text, '-');
        if (end < 0)
            return false;
        if (end == 1) {
            buf_add_char(out, '&');
            after_shift = false;
        } else {
            if (after_shift || !decode_shifted(out, str_sub(text, 1, (size_t)end))) /* two shifts in a row are one */
                return false;
            after_shift = true;
        }
        text = str_skip(text, (size_t)end + 1);
    }
    return !out->failed;
}

/* ---- what a name may be ---- */

enum { NAME_MAX_BYTES = 1000, NAME_MAX_LEVELS = 100 };

size_t imap_name_bad_character(struct str s)
{
    if (s.n > 0 && (s.p[0] == '*' || s.p[0] == '%'))
        return 1;
    return str_starts(s, STR("\xe2\x80\xa8")) || str_starts(s, STR("\xe2\x80\xa9")) ? 3 : str_control(s);
}

static bool has_bad_character(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (imap_name_bad_character(str_skip(name, i)) > 0)
            return true;
    return false;
}

bool imap_name_is_valid(struct str name, const char **why)
{
    struct str rest = name, level;
    unsigned levels = 0;

    *why = NULL;
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        *why = "A mailbox name has 1 to 1000 bytes";
    else if (!str_is_utf8(name))
        *why = "A mailbox name is UTF-8";
    else if (name.p[0] == '/' || name.p[name.n - 1] == '/')
        *why = "A mailbox name neither begins nor ends with /";
    else if (has_bad_character(name))
        *why = "A mailbox name has no control characters, no * and no %";
    while (*why == NULL && str_next(&rest, '/', &level))
        if (level.n == 0 || ++levels > NAME_MAX_LEVELS)
            *why = level.n == 0 ? "A mailbox name has no empty level" : "A mailbox name has at most 100 levels";
    return *why == NULL;
}
