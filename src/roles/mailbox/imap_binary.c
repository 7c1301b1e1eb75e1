/* BINARY[...] and BINARY.SIZE[...] (RFC 3516): parts without their transfer encoding. See imap_fetch.h. */
#include "imap_fetch.h"

#include <inttypes.h>

/* Decodes the range once; `tell` gets what comes out. */
typedef void decoded_fn(struct fetch *f, struct imap *im, struct str bytes);

static bool decode(struct imap *im, struct fetch *f, decoded_fn *tell, bool (*enough)(struct imap *im), struct err *err)
{
    struct buf out;
    bool done = true;

    buf_init(&out, 1024 * 1024);
    while (done && f->offset < f->range.to && (enough == NULL || !enough(im))) {
        uint64_t left = f->range.to - f->offset;
        struct str piece;

        done = store_read(im->box->store, f->message.content, (int64_t)f->offset, &piece, err);
        if (!done || piece.n == 0)
            break;
        piece = str_sub(piece, 0, left < piece.n ? (size_t)left : piece.n);
        buf_reset(&out);
        mime_decoder_add(&f->decoder, piece, &out);
        tell(f, im, buf_str(&out));
        f->offset += piece.n;
    }
    if (done && f->offset >= f->range.to) {
        buf_reset(&out);
        mime_decoder_end(&f->decoder, &out);
        tell(f, im, buf_str(&out));
    }
    buf_clear(&out);
    return done;
}

static void add_size(struct fetch *f, struct imap *im, struct str bytes)
{
    (void)im;
    f->left += bytes.n;
}

static void show(struct fetch *f, struct imap *im, struct str bytes)
{
    if (f->skip > 0) {
        size_t n = f->skip < bytes.n ? (size_t)f->skip : bytes.n;

        bytes = str_skip(bytes, n);
        f->skip -= n;
    }
    bytes = str_sub(bytes, 0, f->left < bytes.n ? (size_t)f->left : bytes.n);
    f->left -= bytes.n;
    buf_add(&im->out, bytes);
}

static void begin(struct fetch *f, enum mime_encoding encoding)
{
    mime_decoder_init(&f->decoder, encoding);
    f->offset = f->range.from;
}

/* What cannot be decoded is given as it is (multiparts, and messages, have no encoding of their own). */
bool fetch_begin_binary(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err)
{
    const struct mime_part *part = mime_part_find(f->tree, item->section.path, item->section.depth);
    enum mime_encoding encoding = part == NULL || item->section.depth == 0 ? MIME_IDENTITY : mime_encoding_of(part->encoding);
    uint64_t from = 0, to;

    begin(f, encoding);
    f->left = 0;
    if (!decode(im, f, add_size, NULL, err))
        return false;
    if (item->kind == IMAP_ITEM_BINARY_SIZE) {
        buf_addf(&im->out, "%" PRIu64, f->left);
        return true;
    }
    to = f->left;
    if (item->partial) {
        from = item->offset < to ? item->offset : to;
        to = item->length < to - from ? from + item->length : to;
    }
    begin(f, encoding);
    f->range.form = BODY_DECODED;
    f->skip = from;
    f->left = to - from;
    buf_addf(&im->out, "~{%" PRIu64 "}\r\n", f->left);
    f->streaming = f->left > 0;
    return true;
}

bool fetch_stream_binary(struct imap *im, struct fetch *f, struct err *err)
{
    if (!decode(im, f, show, imap_pause, err))
        return false;
    f->streaming = f->left > 0 && f->offset < f->range.to;
    return true;
}
