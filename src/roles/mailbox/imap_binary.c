/* BINARY[...] and BINARY.SIZE[...] (RFC 3516): parts without their transfer encoding. See imap_fetch.h.
 *
 * Line ends of text are always CRLF (section 6), also where somebody encoded it with a bare LF: that is the form text is to have before it
 * is encoded (RFC 2045, section 6.8). A bare CR stays one, and charsets in which a byte 10 need not be a line end are left as they are. */
#include "imap_fetch.h"

#include <inttypes.h>
#include <string.h>

/* Decodes the range; `tell` gets what comes out. Stops when the turn is over, or all was shown. */
typedef void decoded_fn(struct fetch *f, struct imap *im, struct str bytes);

static void add_lines(struct fetch *f, struct str bytes, struct buf *out)
{
    while (bytes.n > 0) {
        const char *lf = memchr(bytes.p, '\n', bytes.n);
        struct str line = str_sub(bytes, 0, lf != NULL ? (size_t)(lf - bytes.p) : bytes.n);

        buf_add(out, line);
        if (line.n > 0)
            f->after_cr = line.p[line.n - 1] == '\r';
        bytes = str_skip(bytes, line.n + (lf != NULL));
        if (lf == NULL)
            return;
        buf_add(out, f->after_cr ? STR("\n") : STR("\r\n"));
        f->after_cr = false;
    }
}

static void tell_decoded(struct imap *im, struct fetch *f, decoded_fn *tell, struct buf *decoded, struct buf *lines)
{
    if (f->lines) {
        buf_reset(lines);
        add_lines(f, buf_str(decoded), lines);
    }
    tell(f, im, buf_str(f->lines ? lines : decoded));
    buf_reset(decoded);
}

static bool decode(struct imap *im, struct fetch *f, decoded_fn *tell, struct err *err)
{
    struct buf out, lines;
    bool done = true;

    buf_init(&out, 1024 * 1024);
    buf_init(&lines, 2 * 1024 * 1024);
    while (done && f->offset < f->range.to && !imap_pause(im)) {
        struct str piece;

        done = fetch_read(im, f, &piece, err);
        if (!done)
            break;
        mime_decoder_add(&f->decoder, piece, &out);
        tell_decoded(im, f, tell, &out, &lines);
    }
    if (done && f->offset >= f->range.to) {
        (void)mime_decoder_end(&f->decoder, &out);
        tell_decoded(im, f, tell, &out, &lines);
    }
    buf_clear(&out);
    buf_clear(&lines);
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

/* Multiparts, and messages, have no encoding of their own. */
static enum mime_encoding encoding_of(const struct fetch *f, const struct imap_item *item)
{
    const struct mime_part *part = mime_part_find(f->tree, item->section.path, item->section.depth);

    return part == NULL || item->section.depth == 0 || part->first != NULL ? MIME_IDENTITY : mime_encoding_of(part->encoding);
}

static bool has_single_bytes(struct str charset)
{
    static const char *const wide[] = {"utf-16", "utf16", "utf-32", "utf32", "ucs-2", "ucs2", "ucs-4", "ucs4", "iso-10646", "unicode"};

    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (str_istarts(charset, str_of(wide[i])))
            return false;
    return true;
}

static bool is_lines(const struct fetch *f, const struct imap_item *item)
{
    const struct mime_part *part = mime_part_find(f->tree, item->section.path, item->section.depth);

    return part != NULL && item->section.depth > 0 && part->first == NULL && str_ieq(part->type, STR("text")) &&
           has_single_bytes(mime_parameter_find(part->parameters, "charset"));
}

bool fetch_knows_encodings(struct imap *im, struct fetch *f, bool *known, struct err *err)
{
    const struct imap_fetch *what = &im->command.fetch;

    *known = true;
    for (size_t i = 0; i < what->item_count && *known; i++) {
        const struct imap_item *item = &what->items[i];

        if (item->kind != IMAP_ITEM_BINARY && item->kind != IMAP_ITEM_BINARY_SIZE)
            continue;
        if (!fetch_tree(im, f, err))
            return false;
        *known = encoding_of(f, item) != MIME_UNKNOWN_ENCODING;
    }
    return true;
}

static void begin(struct fetch *f, const struct imap_item *item, enum body_form form)
{
    mime_decoder_init(&f->decoder, encoding_of(f, item));
    f->lines = is_lines(f, item);
    f->after_cr = false;
    f->offset = f->range.from;
    f->range.form = form;
}

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
