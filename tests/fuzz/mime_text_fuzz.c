/* Any bytes as text of a mail: every decoder gives the same wherever its input is cut, and UTF-8 where it promises it. */
#include "mime/charset.h"
#include "mime/fold.h"
#include "mime/html.h"
#include "mime/transfer.h"
#include "mime/words.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 22 };

typedef void reader_fn(struct str bytes, size_t piece, unsigned choice, struct buf *out);

static void transfer(struct str bytes, size_t piece, unsigned choice, struct buf *out)
{
    struct mime_decoder d;

    mime_decoder_init(&d, choice % 2 ? MIME_BASE64 : MIME_QUOTED_PRINTABLE);
    for (size_t at = 0; at < bytes.n; at += piece)
        mime_decoder_add(&d, str_sub(bytes, at, at + piece), out);
    buf_add_char(out, mime_decoder_end(&d, out) ? '+' : '-');
}

static void charset(struct str bytes, size_t piece, unsigned choice, struct buf *out)
{
    static const char *const names[] = {"utf-8", "us-ascii", "iso-8859-1", "koi8-r", "shift_jis", "gb2312", "euc-kr", "big5", "utf-16",
        "iso-2022-jp", "iso-2022-kr", "utf-7", "hz", "euc-jp", "windows-1258", "utf-32"};
    struct charset_reader *r = charset_reader_new(str_of(names[choice % (sizeof names / sizeof *names)]));

    for (size_t at = 0; at < bytes.n; at += piece)
        charset_reader_add(r, str_sub(bytes, at, at + piece), out);
    charset_reader_end(r, out);
    assert(str_is_utf8(buf_str(out)));
}

static void html(struct str bytes, size_t piece, unsigned choice, struct buf *out)
{
    struct html_reader *r = html_reader_new();

    (void)choice;
    for (size_t at = 0; at < bytes.n; at += piece)
        html_reader_add(r, str_sub(bytes, at, at + piece), out);
    html_reader_end(r, out);
}

/* However it is cut, folding gives the same. */
static void folds_in_parts(struct str utf8, size_t piece)
{
    struct buf whole_text, parts;

    buf_init(&whole_text, ROOM);
    buf_init(&parts, ROOM);
    mime_casefold(utf8, &whole_text);
    for (size_t from = 0, to = 0; to < utf8.n;) {
        to = piece > 0 && utf8.n - to > piece ? to + piece : utf8.n;
        from += to < utf8.n ? mime_casefold_part(str_sub(utf8, from, to), &parts) : 0;
        if (to == utf8.n)
            mime_casefold(str_skip(utf8, from), &parts);
    }
    assert(whole_text.failed || parts.failed || str_eq(buf_str(&whole_text), buf_str(&parts)));
    buf_clear(&whole_text);
    buf_clear(&parts);
}

/* Not streams: they must only end well. */
static void whole(struct str bytes, size_t piece, unsigned choice, struct buf *out)
{
    struct buf text;
    bool is_reply;

    (void)choice;
    buf_init(&text, ROOM);
    mime_decode_words(bytes, out);
    assert(out->failed || str_is_utf8(buf_str(out)));
    mime_casefold(buf_str(out), &text);
    mime_casefold(bytes, &text);
    folds_in_parts(buf_str(out), piece);
    buf_reset(&text);
    mime_base_subject(buf_str(out), &text, &is_reply);
    assert(text.n <= out->n);
    buf_clear(&text);
}

/* The first byte: which reader; the second: how it is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static reader_fn *const readers[] = {transfer, charset, html, whole};
    struct str bytes = {(const char *)data + 2, size - 2};
    struct buf one, two;

    if (size < 2)
        return 0;
    buf_init(&one, ROOM);
    buf_init(&two, ROOM);
    readers[data[0] % 4](bytes, bytes.n ? bytes.n : 1, data[0] / 4, &one);
    readers[data[0] % 4](bytes, data[1] % 32 + 1, data[0] / 4, &two);
    assert(one.failed || two.failed || str_eq(buf_str(&one), buf_str(&two)));
    buf_clear(&one);
    buf_clear(&two);
    return 0;
}
