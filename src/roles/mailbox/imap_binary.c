/* BINARY[...] and BINARY.SIZE[...] (RFC 3516): parts without their transfer encoding. See imap_fetch.h. */
#include "imap_fetch.h"

#include <inttypes.h>

/* Decodes the range; `tell` gets what comes out. Stops when the turn is over, or all was shown. */
typedef void decoded_fn(struct fetch *f, struct imap *im, struct str bytes);

static bool decode(struct imap *im, struct fetch *f, decoded_fn *tell, struct err *err)
{
    struct buf out;
    bool done = true;

    buf_init(&out, 1024 * 1024);
    while (done && f->offset < f->range.to && !imap_pause(im)) {
        struct str piece;

        done = fetch_read(im, f, &piece, err);
        if (!done)
            break;
        buf_reset(&out);
        mime_decoder_add(&f->decoder, piece, &out);
        tell(f, im, buf_str(&out));
    }
    if (done && f->offset >= f->range.to) {
        buf_reset(&out);
        (void)mime_decoder_end(&f->decoder, &out);
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

static void begin(struct fetch *f, const struct imap_item *item, enum body_form form)
{
    const struct mime_part *part = mime_part_find(f->tree, item->section.path, item->section.depth);

    mime_decoder_init(&f->decoder, part == NULL || item->section.depth == 0 ? MIME_IDENTITY : mime_encoding_of(part->encoding));
    f->offset = f->range.from;
    f->range.form = form;
}

/* What cannot be decoded is given as it is (multiparts, and messages, have no encoding of their own). */
void fetch_begin_binary(struct fetch *f, const struct imap_item *item)
{
    begin(f, item, BODY_SIZED);
    f->left = 0;
    f->streaming = true;
}

/* The size is known: it is all that was asked for, or the bytes follow. */
static void tell_size(struct imap *im, struct fetch *f, const struct imap_item *item)
{
    uint64_t from = 0, to = f->left;

    if (item->kind == IMAP_ITEM_BINARY_SIZE) {
        buf_addf(&im->out, "%" PRIu64, f->left);
        f->streaming = false;
        return;
    }
    if (item->partial) {
        from = item->offset < to ? item->offset : to;
        to = item->length < to - from ? from + item->length : to;
    }
    begin(f, item, BODY_DECODED);
    f->skip = from;
    f->left = to - from;
    buf_addf(&im->out, "~{%" PRIu64 "}\r\n", f->left);
    f->streaming = f->left > 0;
}

bool fetch_stream_binary(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err)
{
    if (!decode(im, f, f->range.form == BODY_SIZED ? add_size : show, err))
        return false;
    if (f->range.form == BODY_DECODED)
        f->streaming = f->left > 0 && f->offset < f->range.to;
    else if (f->offset >= f->range.to)
        tell_size(im, f, item);
    return true;
}
