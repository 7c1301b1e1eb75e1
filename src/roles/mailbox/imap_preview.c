/* PREVIEW (RFC 8970): how the text of a message begins, without the white space between its words. Made when a client
 * first asks without LAZY, and kept. See imap.h. */
#include "imap.h"
#include "mime/charset.h"
#include "mime/html.h"
#include "mime/part.h"
#include "mime/part_blob.h"
#include "mime/transfer.h"

enum { PREVIEW_CHARS = 200, PREVIEW_BYTES = 4 * PREVIEW_CHARS, READ_MAX = 128 * 1024, PARTS_MAX = 16, TREE_MAX = 16 * 1024 * 1024 };

/* From the bytes of a part to words. */
struct preview {
    struct buf *out;
    size_t chars;
    bool blank; /* before the next word */
};

static void add_char(struct preview *p, struct str c)
{
    if (p->chars + p->blank >= PREVIEW_CHARS)
        p->chars = PREVIEW_CHARS;
    if (p->chars == PREVIEW_CHARS)
        return;
    if (p->blank) {
        buf_add_char(p->out, ' ');
        p->chars++;
    }
    p->blank = false;
    buf_add(p->out, c);
    p->chars++;
}

/* Control characters, U+0080 to U+009F and the no-break space count as blanks. */
static void add_words(struct preview *p, struct str utf8)
{
    for (size_t i = 0, n; i < utf8.n; i += n) {
        unsigned char c = (unsigned char)utf8.p[i];

        n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (n > utf8.n - i)
            return;
        if (c <= ' ' || c == 0x7f || (c == 0xc2 && (unsigned char)utf8.p[i + 1] <= 0xa0))
            p->blank = p->chars > 0;
        else
            add_char(p, str_sub(utf8, i, i + n));
    }
}

/* The first READ_MAX bytes of a part, decoded, in UTF-8. */
static bool read_text(struct imap *im, const struct store_message *m, const struct mime_part *part, struct buf *out, struct err *err)
{
    struct charset_reader *charset = charset_reader_new(mime_parameter_find(part->parameters, "charset"));
    struct mime_decoder decoder;
    struct buf decoded;
    uint64_t at = part->body, end = part->end - at < READ_MAX ? part->end : at + READ_MAX;
    bool done = true;

    buf_init(&decoded, 4 * READ_MAX);
    mime_decoder_init(&decoder, mime_encoding_of(part->encoding));
    while (at < end) {
        struct str piece;

        done = store_read(im->box->store, m->content, (int64_t)at, &piece, err);
        if (!done || piece.n == 0)
            break;
        piece = str_sub(piece, 0, end - at < piece.n ? (size_t)(end - at) : piece.n);
        mime_decoder_add(&decoder, piece, &decoded);
        at += piece.n;
    }
    if (end == part->end)
        (void)mime_decoder_end(&decoder, &decoded);
    charset_reader_add(charset, buf_str(&decoded), out);
    charset_reader_end(charset, end == part->end ? out : NULL);
    buf_clear(&decoded);
    return done;
}

static bool preview_part(struct imap *im, const struct store_message *m, const struct mime_part *part, struct buf *out,
    struct err *err)
{
    struct preview p = {.out = out};
    struct buf utf8, plain;
    bool done;

    buf_init(&utf8, 4 * READ_MAX);
    buf_init(&plain, 8 * READ_MAX);
    done = read_text(im, m, part, &utf8, err);
    if (done && mime_part_is(part, "text", "html")) {
        struct html_reader *html = html_reader_new();

        html_reader_add(html, buf_str(&utf8), &plain);
        html_reader_end(html, &plain);
        add_words(&p, buf_str(&plain));
    } else if (done) {
        add_words(&p, buf_str(&utf8));
    }
    buf_clear(&utf8);
    buf_clear(&plain);
    return done;
}

/* The first text that has a word in it. */
static bool preview_tree(struct imap *im, const struct store_message *m, const struct mime_part *root, struct buf *out,
    struct err *err)
{
    int looked_at = 0;

    for (const struct mime_part *p = root; p != NULL && out->n == 0 && looked_at < PARTS_MAX; p = mime_part_next(p)) {
        if (p->first != NULL || !mime_part_is(p, "text", NULL) || str_ieq(p->disposition, STR("attachment")))
            continue;
        looked_at++;
        if (!preview_part(im, m, p, out, err))
            return false;
    }
    return true;
}

static bool keep(struct imap *im, const struct store_message *m, struct str preview, struct err *err)
{
    if (!box_begin(im->box, err))
        return false;
    if (!store_preview_put(im->box->store, m->content, preview, err)) {
        box_fail(im->box, err);
        return false;
    }
    box_touch(im->box);
    return true;
}

static bool make(struct imap *im, const struct store_message *m, struct str tree, struct buf *out, struct err *err)
{
    struct arena arena;
    const struct mime_part *root;
    bool done;

    arena_init(&arena, TREE_MAX);
    root = mime_tree_unpack(tree, &arena);
    done = root == NULL || preview_tree(im, m, root, out, err);
    arena_clear(&arena);
    return done && keep(im, m, out->n > 0 ? buf_str(out) : STR(""), err);
}

bool imap_write_preview(struct imap *im, const struct store_message *m, bool lazy, struct err *err)
{
    struct content_info info;
    struct buf made;
    bool done = true;

    if (!imap_info(im, m, STORE_TREE, &info, err))
        return false;
    buf_init(&made, PREVIEW_BYTES);
    buf_add(&im->out, STR("PREVIEW "));
    if (info.preview.p != NULL) {
        imap_write_string(&im->out, info.preview, imap_utf8(im));
    } else if (lazy) {
        buf_add(&im->out, STR("NIL"));
    } else {
        done = make(im, m, info.tree, &made, err);
        if (done)
            imap_write_string(&im->out, buf_str(&made), imap_utf8(im));
    }
    buf_clear(&made);
    return done;
}
