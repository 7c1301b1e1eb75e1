/* Two kinds of readers are our own because nearly all mail needs no other: UTF-8 (checked), and bytes that may be UTF-8 or
 * windows-1252. The rest is iconv. An incomplete sequence at the end of a chunk is held until the next. */
#include "mime/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

enum { HELD_MAX = 16, OUT_ROOM = 2048, NAME_MAX_OCTETS = 40 };

enum kind { KIND_GUESS, KIND_UTF8, KIND_LATIN, KIND_ICONV };

struct charset_reader {
    enum kind kind;
    iconv_t iconv;
    bool one_by_one; /* is given to iconv so */
    char held[HELD_MAX];
    size_t held_count;
};

/* Names as mail writes them, to what iconv knows under another name, or to a superset that senders mean. */
static const struct {
    const char *name;
    enum kind kind;
    const char *iconv;
} aliases[] = {
    {"utf-8", KIND_UTF8, NULL}, {"utf8", KIND_UTF8, NULL}, {"cp65001", KIND_UTF8, NULL}, {"unicode-1-1-utf-8", KIND_UTF8, NULL},
    {"us-ascii", KIND_GUESS, NULL}, {"ascii", KIND_GUESS, NULL}, {"ansi_x3.4-1968", KIND_GUESS, NULL}, {"iso646-us", KIND_GUESS, NULL},
    {"iso-8859-1", KIND_LATIN, NULL}, {"iso8859-1", KIND_LATIN, NULL}, {"iso_8859-1", KIND_LATIN, NULL}, {"latin1", KIND_LATIN, NULL},
    {"windows-1252", KIND_LATIN, NULL}, {"cp1252", KIND_LATIN, NULL}, {"cp-1252", KIND_LATIN, NULL}, {"x-cp1252", KIND_LATIN, NULL},
    {"shift_jis", KIND_ICONV, "CP932"}, {"shift-jis", KIND_ICONV, "CP932"}, {"x-sjis", KIND_ICONV, "CP932"},
    {"windows-31j", KIND_ICONV, "CP932"}, {"ks_c_5601-1987", KIND_ICONV, "CP949"}, {"euc-kr", KIND_ICONV, "CP949"},
    {"x-windows-949", KIND_ICONV, "CP949"}, {"gb2312", KIND_ICONV, "GB18030"}, {"gbk", KIND_ICONV, "GB18030"},
    {"x-gbk", KIND_ICONV, "GB18030"}, {"gb18030", KIND_ICONV, "GB18030"}, {"big5", KIND_ICONV, "BIG5-HKSCS"},
    {"iso-8859-8-i", KIND_ICONV, "ISO-8859-8"}, {"iso-8859-8-e", KIND_ICONV, "ISO-8859-8"},
    {"iso-8859-6-i", KIND_ICONV, "ISO-8859-6"}, {"iso-8859-6-e", KIND_ICONV, "ISO-8859-6"},
    {"iso-8859-9", KIND_ICONV, "CP1254"}, {"iso-8859-11", KIND_ICONV, "CP874"}, {"tis-620", KIND_ICONV, "CP874"},
    {"windows-874", KIND_ICONV, "CP874"}, {"unicode-1-1-utf-7", KIND_ICONV, "UTF-7"}, {"x-mac-roman", KIND_ICONV, "MACINTOSH"},
    {"x-mac-cyrillic", KIND_ICONV, "MAC-CYRILLIC"},
};

/* What charset_prepare opens beside the aliases. */
static const char *const prepared[] = {
    "UTF-7", "UTF-16", "UTF-16LE", "UTF-16BE", "UTF-32", "ISO-2022-JP", "ISO-2022-KR", "ISO-2022-CN", "EUC-JP", "EUC-TW", "HZ",
    "KOI8-R", "KOI8-U", "ISO-8859-2", "ISO-8859-3", "ISO-8859-4", "ISO-8859-5", "ISO-8859-6", "ISO-8859-7", "ISO-8859-8",
    "ISO-8859-10", "ISO-8859-13", "ISO-8859-14", "ISO-8859-15", "ISO-8859-16", "CP1250", "CP1251", "CP1253", "CP1254", "CP1255",
    "CP1256", "CP1257", "CP1258", "CP437", "CP850", "CP852", "CP855", "CP862", "CP866", "CP874", "VISCII", "TCVN",
};

static iconv_t open_iconv(struct str name)
{
    char text[NAME_MAX_OCTETS + 1];

    if (name.n == 0 || name.n > NAME_MAX_OCTETS)
        return (iconv_t)-1;
    for (size_t i = 0; i < name.n; i++)
        if (!ascii_is_alnum(name.p[i]) && (name.p[i] == 0 || strchr("-_.:+()", name.p[i]) == NULL))
            return (iconv_t)-1; /* '/' would be an option or a file to iconv */
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    return iconv_open("UTF-8", text);
}

/* How this charset is read; *iconv is opened for KIND_ICONV. */
static enum kind find_kind(struct str charset, iconv_t *iconv)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (str_ieq(charset, str_of(aliases[i].name))) {
            if (aliases[i].kind == KIND_ICONV)
                *iconv = open_iconv(str_of(aliases[i].iconv));
            return aliases[i].kind == KIND_ICONV && *iconv == (iconv_t)-1 ? KIND_GUESS : aliases[i].kind;
        }
    *iconv = open_iconv(charset);
    return *iconv == (iconv_t)-1 ? KIND_GUESS : KIND_ICONV;
}

/* After what is not UTF-7 iconv goes on in a state that depends on how much it was given at once. */
static bool is_utf7(struct str charset)
{
    for (; charset.n > 0; charset = str_skip(charset, 1))
        if (str_istarts(charset, STR("utf-7")) || str_istarts(charset, STR("utf7")))
            return true;
    return false;
}

struct charset_reader *charset_reader_new(struct str charset)
{
    struct charset_reader *r = xcalloc(1, sizeof *r);

    r->iconv = (iconv_t)-1;
    r->kind = find_kind(str_trim(charset), &r->iconv);
    r->one_by_one = is_utf7(charset);
    return r;
}

bool charset_is_known(struct str charset)
{
    struct charset_reader *r = charset_reader_new(charset);
    bool known = r->kind != KIND_GUESS;

    charset_reader_end(r, NULL);
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases && !known; i++)
        known = aliases[i].kind == KIND_GUESS && str_ieq(str_trim(charset), str_of(aliases[i].name));
    return known;
}

static void add_code(struct buf *out, unsigned code)
{
    char text[3];

    if (code < 0x800) {
        text[0] = (char)(0xc0 | code >> 6);
        text[1] = (char)(0x80 | (code & 0x3f));
        buf_add(out, (struct str){text, 2});
        return;
    }
    text[0] = (char)(0xe0 | code >> 12);
    text[1] = (char)(0x80 | (code >> 6 & 0x3f));
    text[2] = (char)(0x80 | (code & 0x3f));
    buf_add(out, (struct str){text, 3});
}

static void add_replacement(struct buf *out)
{
    add_code(out, 0xfffd);
}

static void add_latin(struct buf *out, unsigned char c)
{
    static const unsigned short c1[32] = {0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039,
        0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153,
        0x9d, 0x17e, 0x178};

    add_code(out, c >= 0x80 && c < 0xa0 ? c1[c - 0x80] : c);
}

static size_t ascii_run(struct str text)
{
    size_t n = 0;
    uint64_t word;

    while (n + sizeof word <= text.n) {
        memcpy(&word, text.p + n, sizeof word);
        if (word & 0x8080808080808080u)
            break;
        n += sizeof word;
    }
    while (n < text.n && (unsigned char)text.p[n] < 0x80)
        n++;
    return n;
}

/* Length of the well-formed UTF-8 sequence at the start; 0: none; more than there is: it may become one. */
static size_t sequence(struct str text)
{
    unsigned char c = (unsigned char)text.p[0], low = 0x80, high = 0xbf;
    size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;

    if (c == 0xe0 || c == 0xf0)
        low = c == 0xe0 ? 0xa0 : 0x90;
    if (c == 0xed || c == 0xf4)
        high = c == 0xed ? 0x9f : 0x8f;
    for (size_t i = 1; i < n && i < text.n; i++) {
        unsigned char next = (unsigned char)text.p[i];

        if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xbf))
            return 0;
    }
    return n;
}

/* Reads bytes that are not ASCII; how many of them it used. 0: more are needed. */
static size_t read_other(struct charset_reader *r, struct str text, bool last, struct buf *out)
{
    size_t n = r->kind == KIND_LATIN ? 0 : sequence(text);

    if (n > text.n && !last)
        return 0;
    if (n > 0 && n <= text.n) {
        buf_add(out, str_sub(text, 0, n));
        return n;
    }
    if (r->kind == KIND_UTF8)
        add_replacement(out);
    else
        add_latin(out, (unsigned char)text.p[0]);
    return 1;
}

/* Our own charsets. Returns what is left: an incomplete sequence. */
static struct str read_own(struct charset_reader *r, struct str text, bool last, struct buf *out)
{
    while (text.n && !out->failed) {
        size_t n = ascii_run(text);

        buf_add(out, str_sub(text, 0, n));
        text = str_skip(text, n);
        n = text.n ? read_other(r, text, last, out) : 0;
        if (n == 0)
            break;
        text = str_skip(text, n);
    }
    return text;
}

static struct str read_iconv(struct charset_reader *r, struct str text, bool last, struct buf *out)
{
    while (text.n && !out->failed) {
        char utf8[OUT_ROOM], *in = (char *)(uintptr_t)text.p, *end = utf8;
        size_t left = text.n, free = sizeof utf8, done;

        done = iconv(r->iconv, &in, &left, &end, &free);
        buf_add(out, str_from(utf8, (size_t)(end - utf8)));
        text = str_skip(text, text.n - left);
        if (done != (size_t)-1 || (errno == EINVAL && !last))
            break;
        if (errno == EILSEQ || errno == EINVAL) {
            add_replacement(out);
            text = str_skip(text, 1);
        }
    }
    return text;
}

/* Some charsets keep the last character to themselves, for the mark that may follow it. */
static void flush_iconv(struct charset_reader *r, struct buf *out)
{
    char utf8[HELD_MAX], *end = utf8;
    size_t free = sizeof utf8;

    iconv(r->iconv, NULL, NULL, &end, &free);
    buf_add(out, str_from(utf8, (size_t)(end - utf8)));
}

static struct str read_some(struct charset_reader *r, struct str text, bool last, struct buf *out)
{
    return r->kind == KIND_ICONV ? read_iconv(r, text, last, out) : read_own(r, text, last, out);
}

void charset_reader_add(struct charset_reader *r, struct str bytes, struct buf *out)
{
    struct str left;

    while ((r->held_count || r->one_by_one) && bytes.n) {
        r->held[r->held_count++] = bytes.p[0];
        bytes = str_skip(bytes, 1);
        left = read_some(r, (struct str){r->held, r->held_count}, r->held_count == HELD_MAX, out);
        memmove(r->held, left.p, left.n);
        r->held_count = left.n == HELD_MAX ? 0 : left.n; /* the buffer is full: nothing matters any more */
    }
    left = bytes.n ? read_some(r, bytes, false, out) : (struct str){0};
    if (left.n >= HELD_MAX)
        left = read_some(r, left, true, out);
    if (left.n && left.n < HELD_MAX) {
        memcpy(r->held, left.p, left.n);
        r->held_count = left.n;
    }
}

void charset_reader_end(struct charset_reader *r, struct buf *out)
{
    if (out != NULL && r->held_count)
        read_some(r, (struct str){r->held, r->held_count}, true, out);
    if (out != NULL && r->kind == KIND_ICONV)
        flush_iconv(r, out);
    if (r->kind == KIND_ICONV)
        iconv_close(r->iconv);
    free(r);
}

void charset_to_utf8(struct str charset, struct str bytes, struct buf *out)
{
    struct charset_reader *r = charset_reader_new(charset);

    charset_reader_add(r, bytes, out);
    charset_reader_end(r, out);
}

void charset_prepare(void)
{
    enum { ALIASES = sizeof aliases / sizeof *aliases, PREPARED = sizeof prepared / sizeof *prepared };
    static iconv_t kept[ALIASES + PREPARED]; /* never closed: what is open needs no file */

    if (kept[0] != NULL)
        return;
    for (size_t i = 0; i < PREPARED; i++)
        kept[i] = open_iconv(str_of(prepared[i]));
    for (size_t i = 0; i < ALIASES; i++)
        kept[PREPARED + i] = aliases[i].kind == KIND_ICONV ? open_iconv(str_of(aliases[i].iconv)) : (iconv_t)-1;
}
