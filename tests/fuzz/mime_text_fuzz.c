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

/* Not streams: they must only end well. */
static void whole(struct str bytes, size_t piece, unsigned choice, struct buf *out)
{
    struct buf text;
    bool is_reply;

    (void)piece;
    (void)choice;
    buf_init(&text, ROOM);
    mime_decode_words(bytes, out);
    assert(out->failed || str_is_utf8(buf_str(out)));
    mime_casefold(buf_str(out), &text);
    mime_casefold(bytes, &text);
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
