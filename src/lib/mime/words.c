#include "mime/words.h"

#include "mime/charset.h"
#include "mime/transfer.h"

#include <string.h>

enum { CHARSET_MAX = 60 };

struct word {
    struct str charset, text;
    bool base64;
    size_t length; /* of all of it */
};

/* The encoded word at the start of text. */
static bool read_word(struct str text, struct word *word)
{
    struct str rest = str_skip(text, 2), encoding;
    const char *end;

    if (!str_starts(text, STR("=?")) || !str_next(&rest, '?', &word->charset) || !str_next(&rest, '?', &encoding))
        return false;
    if (word->charset.n == 0 || word->charset.n > CHARSET_MAX || encoding.n != 1 || strchr("bBqQ", encoding.p[0]) == NULL)
        return false;
    end = rest.n ? memmem(rest.p, rest.n, "?=", 2) : NULL;
    if (end == NULL)
        return false;
    word->text = str_from(rest.p, (size_t)(end - rest.p));
    word->base64 = ascii_lower(encoding.p[0]) == 'b';
    word->length = (size_t)(end + 2 - text.p);
    rest = word->charset;
    str_next(&rest, '*', &word->charset);
    return true;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, ascii_lower(c)) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* The Q encoding of RFC 2047, section 4.2. */
static void decode_q(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        int high = text.p[i] == '=' && i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;

        buf_add_char(out, low >= 0 ? (char)(high * 16 + low) : text.p[i] == '_' ? ' ' : text.p[i]);
        i += low >= 0 ? 2 : 0;
    }
}

static void read_bytes(struct charset_reader *reader, const struct word *word, struct buf *out)
{
    struct mime_decoder d;
    struct buf bytes;

    buf_init(&bytes, word->text.n + 8);
    mime_decoder_init(&d, MIME_BASE64);
    if (word->base64)
        mime_decoder_add(&d, word->text, &bytes);
    else
        decode_q(word->text, &bytes);
    mime_decoder_end(&d, &bytes);
    charset_reader_add(reader, buf_str(&bytes), out);
    buf_clear(&bytes);
}

/* Adds decoded text without what folding and NUL would break in a line. */
static void add_clean(struct buf *out, struct str text)
{
    size_t from = 0;

    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\r' || text.p[i] == '\n' || text.p[i] == 0) {
            buf_add(out, str_sub(text, from, i));
            from = i + 1;
        }
    buf_add(out, str_skip(text, from));
}

static size_t blank_length(struct str text)
{
    size_t n = 0;

    while (n < text.n && strchr(" \t\r\n", text.p[n]) != NULL && text.p[n] != 0)
        n++;
    return n;
}

/* Reads the words that follow each other from the start of text; words of one charset go through one reader. Returns
 * how much it used, 0 when there is no word. */
static size_t read_words(struct str text, struct buf *scratch, struct buf *out)
{
    struct charset_reader *reader = NULL;
    struct str charset = {0};
    struct word word;
    size_t used = 0, blank = 0;

    while (read_word(str_skip(text, used + blank), &word)) {
        if (reader == NULL || !str_ieq(charset, word.charset)) {
            if (reader != NULL)
                charset_reader_end(reader, scratch);
            reader = charset_reader_new(word.charset);
            charset = word.charset;
        }
        read_bytes(reader, &word, scratch);
        used += blank + word.length;
        blank = blank_length(str_skip(text, used));
    }
    if (reader != NULL)
        charset_reader_end(reader, scratch);
    add_clean(out, buf_str(scratch));
    buf_reset(scratch);
    return used;
}

static void add_text(struct buf *out, struct str text, struct buf *scratch)
{
    if (str_is_ascii(text)) {
        add_clean(out, text);
        return;
    }
    charset_to_utf8((struct str){0}, text, scratch);
    add_clean(out, buf_str(scratch));
    buf_reset(scratch);
}

/* Up to the last end of a word: behind it none can begin, and none is looked for. */
static size_t words_end(struct str value)
{
    size_t n = value.n;

    while (n >= 2 && !(value.p[n - 2] == '?' && value.p[n - 1] == '='))
        n--;
    return n < 2 ? 0 : n;
}

void mime_decode_words(struct str value, struct buf *out)
{
    struct buf scratch;
    size_t from = 0, at = 0, end;

    value = str_trim(value);
    end = words_end(value);
    buf_init(&scratch, value.n * 4 + 64);
    while (at < end) {
        const char *mark = memmem(value.p + at, end - at, "=?", 2);
        size_t used;

        if (mark == NULL)
            break;
        at = (size_t)(mark - value.p);
        add_text(out, str_sub(value, from, at), &scratch);
        from = at;
        used = read_words(str_skip(value, at), &scratch, out);
        at += used ? used : 2;
        from += used;
    }
    add_text(out, str_skip(value, from), &scratch);
    buf_clear(&scratch);
}
