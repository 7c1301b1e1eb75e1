#include "mime/transfer.h"

#include <string.h>

enum { BAD = 64, BLANK = 65, PAD = 66, BLANKS_MAX = 70 };

enum mime_encoding mime_encoding_of(struct str name)
{
    static const struct {
        const char *name;
        enum mime_encoding encoding;
    } names[] = {{"", MIME_IDENTITY}, {"7bit", MIME_IDENTITY}, {"8bit", MIME_IDENTITY}, {"binary", MIME_IDENTITY},
        {"base64", MIME_BASE64}, {"quoted-printable", MIME_QUOTED_PRINTABLE}, {"7-bit", MIME_IDENTITY}, {"8-bit", MIME_IDENTITY}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_ieq(str_trim(name), str_of(names[i].name)))
            return names[i].encoding;
    return MIME_UNKNOWN_ENCODING;
}

void mime_decoder_init(struct mime_decoder *d, enum mime_encoding encoding)
{
    *d = (struct mime_decoder){.encoding = encoding};
}

/* The value of a base64 digit, or what else it is. */
static unsigned digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    if (c == '+' || c == '/')
        return c == '+' ? 62 : 63;
    if (c == '=')
        return PAD;
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' ? BLANK : BAD;
}

static void fill_digits(unsigned char table[256])
{
    for (unsigned c = 0; c < 256; c++)
        table[c] = (unsigned char)digit((char)c);
}

/* What the 2 or 3 digits before a padding, or before the end, say. */
static char *flush_digits(struct mime_decoder *d, char *to)
{
    unsigned bits = 0;

    for (size_t i = 0; i < 4; i++)
        bits = bits << 6 | (i < d->held_count ? (unsigned char)d->held[i] : 0u);
    if (d->held_count >= 2)
        *to++ = (char)(bits >> 16);
    if (d->held_count >= 3)
        *to++ = (char)(bits >> 8);
    d->damaged = d->damaged || d->held_count == 1;
    d->held_count = 0;
    return to;
}

static char *put_digit(struct mime_decoder *d, char *to, unsigned value)
{
    d->held[d->held_count++] = (char)value;
    if (d->held_count < 4)
        return to;
    *to++ = (char)(d->held[0] << 2 | d->held[1] >> 4);
    *to++ = (char)(d->held[1] << 4 | d->held[2] >> 2);
    *to++ = (char)(d->held[2] << 6 | d->held[3]);
    d->held_count = 0;
    return to;
}

/* Four digits at once wherever they stand so; one by one around line ends, garbage and padding. */
static void add_base64(struct mime_decoder *d, struct str bytes, struct buf *out)
{
    unsigned char table[256];
    const unsigned char *from = (const unsigned char *)bytes.p, *end = from + bytes.n;
    char *start = buf_reserve(out, bytes.n / 4 * 3 + 6), *to = start;

    if (start == NULL)
        return;
    fill_digits(table);
    while (from < end) {
        unsigned value;

        while (d->held_count == 0 && end - from >= 4) {
            unsigned a = table[from[0]], b = table[from[1]], c = table[from[2]], e = table[from[3]];

            if ((a | b | c | e) >= BAD)
                break;
            *to++ = (char)(a << 2 | b >> 4);
            *to++ = (char)(b << 4 | c >> 2);
            *to++ = (char)(c << 6 | e);
            from += 4;
        }
        if (from == end)
            break;
        value = table[*from++];
        if (value < BAD)
            to = put_digit(d, to, value);
        else if (value == PAD)
            to = flush_digits(d, to);
        else if (value == BAD)
            d->damaged = true;
    }
    out->n += (size_t)(to - start);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

/* What an escape or blanks at the start of text come to: `used` of it, 0 when more must be seen. */
static size_t read_escape(struct mime_decoder *d, struct str text, bool last, struct buf *out)
{
    size_t blanks = 1;
    int high, low;

    if (text.n >= 3 && (high = hex_digit(text.p[1])) >= 0 && (low = hex_digit(text.p[2])) >= 0) {
        buf_add_char(out, (char)(high << 4 | low));
        return 3;
    }
    while (blanks < text.n && blanks < BLANKS_MAX && is_wsp(text.p[blanks]))
        blanks++;
    if (blanks < text.n && text.p[blanks] == '\n')
        return blanks + 1;
    if (blanks + 1 < text.n && text.p[blanks] == '\r' && text.p[blanks + 1] == '\n')
        return blanks + 2;
    if (!last && text.n < sizeof d->held &&
        (blanks == text.n || (text.n == 2 && hex_digit(text.p[1]) >= 0) || (blanks + 1 == text.n && text.p[blanks] == '\r')))
        return 0;
    if (last && blanks == text.n)
        return blanks; /* a soft line break at the very end */
    d->damaged = true;
    buf_add_char(out, '=');
    return 1;
}

/* Blanks at the end of a line were added on the way, unless they are very many. */
static size_t read_blanks(struct str text, bool last, struct buf *out)
{
    size_t n = 0;

    while (n < text.n && n < BLANKS_MAX && is_wsp(text.p[n]))
        n++;
    if (!last && n < BLANKS_MAX && (n == text.n || (n + 1 == text.n && text.p[n] == '\r')))
        return 0;
    if (n == BLANKS_MAX)
        buf_add(out, str_sub(text, 0, n));
    else if (n < text.n && text.p[n] != '\n' && !(n + 1 < text.n && text.p[n] == '\r' && text.p[n + 1] == '\n'))
        buf_add(out, str_sub(text, 0, n));
    return n;
}

static size_t plain_run(struct str text)
{
    size_t n = 0;

    while (n < text.n && text.p[n] != '=' && !is_wsp(text.p[n]))
        n++;
    return n;
}

/* A blank inside a line, with what follows it in sight. */
static size_t blank_run(struct str text)
{
    return text.n >= 2 && is_wsp(text.p[0]) && !is_wsp(text.p[1]) && text.p[1] != '\r' && text.p[1] != '\n' && text.p[1] != '=';
}

/* Returns what is left: what cannot be decided yet. */
static struct str read_quoted(struct mime_decoder *d, struct str text, bool last, struct buf *out)
{
    while (text.n && !out->failed) {
        size_t n = 0, more;

        do {
            more = plain_run(str_skip(text, n));
            more += blank_run(str_skip(text, n + more));
            n += more;
        } while (more);
        buf_add(out, str_sub(text, 0, n));
        text = str_skip(text, n);
        if (text.n == 0)
            break;
        n = text.p[0] == '=' ? read_escape(d, text, last, out) : read_blanks(text, last, out);
        if (n == 0)
            break;
        text = str_skip(text, n);
    }
    return text;
}

static void add_quoted(struct mime_decoder *d, struct str bytes, struct buf *out)
{
    struct str left;

    while (d->held_count && bytes.n) {
        d->held[d->held_count++] = bytes.p[0];
        bytes = str_skip(bytes, 1);
        left = read_quoted(d, (struct str){d->held, d->held_count}, d->held_count == sizeof d->held, out);
        d->held_count = left.n < sizeof d->held ? left.n : 0;
        memmove(d->held, left.p, d->held_count);
    }
    left = bytes.n ? read_quoted(d, bytes, false, out) : (struct str){0};
    if (left.n && left.n < sizeof d->held) {
        memcpy(d->held, left.p, left.n);
        d->held_count = left.n;
    }
}

void mime_decoder_add(struct mime_decoder *d, struct str bytes, struct buf *out)
{
    if (bytes.n == 0)
        return;
    if (d->encoding == MIME_BASE64)
        add_base64(d, bytes, out);
    else if (d->encoding == MIME_QUOTED_PRINTABLE)
        add_quoted(d, bytes, out);
    else
        buf_add(out, bytes);
}

bool mime_decoder_end(struct mime_decoder *d, struct buf *out)
{
    if (d->encoding == MIME_QUOTED_PRINTABLE && d->held_count)
        read_quoted(d, (struct str){d->held, d->held_count}, true, out);
    if (d->encoding == MIME_BASE64 && d->held_count) {
        char *room = buf_reserve(out, 3);

        d->damaged = true; /* the padding is missing */
        if (room != NULL)
            out->n += (size_t)(flush_digits(d, room) - room);
    }
    d->held_count = 0;
    return !d->damaged && !out->failed;
}
