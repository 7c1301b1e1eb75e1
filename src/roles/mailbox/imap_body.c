/* The bytes that FETCH gives: BODY[...], RFC822..., BINARY[...] (RFC 9051, section 6.4.5.1; RFC 3516). See imap_fetch.h.
 *
 * A section is a range of the content, told as a literal and streamed from the database in pieces; header fields that
 * are picked out are made in memory, and decoded parts are decoded twice, once to learn their size. */
#include "imap_fetch.h"
#include "mime/transfer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- which bytes ---- */

static struct body_range range_of(uint64_t from, uint64_t to)
{
    return (struct body_range){.exists = true, .from = from, .to = to};
}

/* What HEADER and TEXT are of: the message itself, or the one inside a message/rfc822. */
static const struct mime_part *message_of(const struct mime_part *root, const struct imap_section *s)
{
    const struct mime_part *part = mime_part_find(root, s->path, s->depth);

    if (s->depth == 0)
        return root;
    return part != NULL && mime_part_is_message(part) ? part->first : NULL;
}

static struct body_range section_range(const struct mime_part *root, const struct imap_section *s, uint64_t size)
{
    const struct mime_part *part = mime_part_find(root, s->path, s->depth), *message = message_of(root, s);
    struct body_range none = {0};

    switch (s->part) {
    case IMAP_WHOLE:
        if (s->depth == 0)
            return range_of(0, size);
        return part == NULL ? none : range_of(part->body, part->end);
    case IMAP_MIME:
        return part == NULL ? none : range_of(part->header, part->body);
    case IMAP_HEADER:
    case IMAP_HEADER_FIELDS:
    case IMAP_HEADER_FIELDS_NOT:
        return message == NULL ? none : range_of(message->header, message->body);
    case IMAP_TEXT:
        return message == NULL ? none : range_of(message->body, message->end);
    }
    return none;
}

/* ---- picked header fields ---- */

static int by_name(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    for (size_t i = 0; i < x->n; i++) {
        unsigned char l = (unsigned char)ascii_lower(x->p[i]), r = (unsigned char)ascii_lower(y->p[i]);

        if (l != r)
            return l < r ? -1 : 1;
    }
    return 0;
}

/* As they are told to the client in the order it asked in, they are sorted in a copy. */
static struct str *sorted_fields(const struct imap_section *s)
{
    struct str *names = xcalloc(s->field_count + 1, sizeof *names);

    for (size_t i = 0; i < s->field_count; i++)
        names[i] = s->fields[i];
    qsort(names, s->field_count, sizeof *names, by_name);
    return names;
}

/* Keeps the lines of the wanted fields, and the empty line at the end. */
static void pick_fields(const struct imap_section *s, struct str header, struct buf *out)
{
    struct str *names = sorted_fields(s);
    bool wanted = false;
    struct str line;

    while (header.n > 0) {
        const char *end = memchr(header.p, '\n', header.n);
        size_t n = end == NULL ? header.n : (size_t)(end - header.p) + 1;
        struct str name;
        ptrdiff_t colon;

        line = str_sub(header, 0, n);
        header = str_skip(header, n);
        if (str_trim(line).n == 0)
            break;
        if (line.p[0] != ' ' && line.p[0] != '\t') {
            colon = str_find(line, ':');
            name = str_trim(str_sub(line, 0, colon > 0 ? (size_t)colon : 0));
            wanted = colon > 0 && (bsearch(&name, names, s->field_count, sizeof *names, by_name) != NULL) == (s->part == IMAP_HEADER_FIELDS);
        }
        if (wanted)
            buf_add(out, line);
    }
    buf_add(out, STR("\r\n"));
    free(names);
}

static bool read_range(struct imap *im, struct fetch *f, uint64_t from, uint64_t to, struct buf *out, struct err *err)
{
    struct str piece;

    while (from < to) {
        if (!store_read(im->box->store, f->message.content, (int64_t)from, &piece, err))
            return false;
        if (piece.n == 0)
            break;
        piece = str_sub(piece, 0, to - from < piece.n ? (size_t)(to - from) : piece.n);
        buf_add(out, piece);
        from += piece.n;
    }
    return !out->failed || err_set(err, ERR_LIMIT, "the header is too large");
}

static bool make_fields(struct imap *im, struct fetch *f, const struct imap_section *s, struct err *err)
{
    struct buf header;
    bool done;

    buf_init(&header, 4 * 1024 * 1024);
    buf_reset(&f->text);
    done = read_range(im, f, f->range.from, f->range.to, &header, err);
    if (done)
        pick_fields(s, buf_str(&header), &f->text);
    buf_clear(&header);
    f->range = (struct body_range){.exists = true, .from = 0, .to = f->text.n, .made = true};
    return done;
}

/* ---- names ---- */

static void write_section(struct imap *im, const struct imap_section *s)
{
    static const char *const parts[] = {"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"};
    struct buf *out = &im->out;

    buf_add_char(out, '[');
    for (size_t i = 0; i < s->depth; i++)
        buf_addf(out, "%s%" PRIu32, i > 0 ? "." : "", s->path[i]);
    if (s->part != IMAP_WHOLE)
        buf_addf(out, "%s%s", s->depth > 0 ? "." : "", parts[s->part]);
    for (size_t i = 0; i < s->field_count; i++) {
        buf_add(out, i == 0 ? STR(" (") : STR(" "));
        imap_write_astring(out, s->fields[i], false);
    }
    buf_add(out, s->field_count > 0 ? STR(")]") : STR("]"));
}

static void write_name(struct imap *im, const struct imap_item *item)
{
    static const char *const names[] = {[IMAP_ITEM_BODY] = "BODY", [IMAP_ITEM_BINARY] = "BINARY",
        [IMAP_ITEM_BINARY_SIZE] = "BINARY.SIZE", [IMAP_ITEM_RFC822] = "RFC822", [IMAP_ITEM_RFC822_HEADER] = "RFC822.HEADER",
        [IMAP_ITEM_RFC822_TEXT] = "RFC822.TEXT"};

    buf_addf(&im->out, "%s", names[item->kind]);
    if (item->kind == IMAP_ITEM_BODY || item->kind == IMAP_ITEM_BINARY || item->kind == IMAP_ITEM_BINARY_SIZE)
        write_section(im, &item->section);
    if (item->partial)
        buf_addf(&im->out, "<%" PRIu64 ">", item->offset);
    buf_add_char(&im->out, ' ');
}

/* ---- beginning ---- */

static struct imap_section section_of(const struct imap_item *item)
{
    struct imap_section s = item->section;

    if (item->kind == IMAP_ITEM_RFC822_HEADER)
        s.part = IMAP_HEADER;
    if (item->kind == IMAP_ITEM_RFC822_TEXT)
        s.part = IMAP_TEXT;
    return s;
}

static void cut(const struct imap_item *item, uint64_t *from, uint64_t *to)
{
    uint64_t n = *to - *from;

    if (!item->partial)
        return;
    *from += item->offset < n ? item->offset : n;
    if (item->length < *to - *from)
        *to = *from + item->length;
}

static bool needs_tree(const struct imap_section *s)
{
    return s->depth > 0 || s->part != IMAP_WHOLE;
}

static bool is_decoded(const struct imap_item *item)
{
    return item->kind == IMAP_ITEM_BINARY || item->kind == IMAP_ITEM_BINARY_SIZE;
}

bool fetch_find_body(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err)
{
    struct imap_section s = section_of(item);

    if ((needs_tree(&s) || is_decoded(item)) && !fetch_tree(im, f, err))
        return false;
    f->range = needs_tree(&s) ? section_range(f->tree, &s, (uint64_t)f->message.size) : range_of(0, (uint64_t)f->message.size);
    if ((s.part == IMAP_HEADER_FIELDS || s.part == IMAP_HEADER_FIELDS_NOT) && f->range.exists && !make_fields(im, f, &s, err))
        return false;
    if (f->range.exists && !is_decoded(item))
        cut(item, &f->range.from, &f->range.to);
    f->offset = f->range.from;
    return true;
}

bool fetch_begin_body(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err)
{
    if (!fetch_find_body(im, f, item, err))
        return false;
    write_name(im, item);
    if (!f->range.exists) {
        buf_add(&im->out, STR("NIL"));
        return true;
    }
    if (is_decoded(item)) {
        fetch_begin_binary(f, item);
        return true;
    }
    buf_addf(&im->out, "{%" PRIu64 "}\r\n", f->range.to - f->range.from);
    f->streaming = f->range.to > f->range.from;
    return true;
}

/* ---- streaming ---- */

bool fetch_read(struct imap *im, struct fetch *f, struct str *piece, struct err *err)
{
    uint64_t left = f->range.to - f->offset;

    *piece = str_skip(buf_str(&f->text), (size_t)f->offset);
    if (!f->range.made && !store_read(im->box->store, f->message.content, (int64_t)f->offset, piece, err))
        return false;
    if (piece->n == 0)
        return err_set(err, ERR_PERMANENT, "content %" PRId64 " is shorter than it should be", f->message.content);
    *piece = str_sub(*piece, 0, left < piece->n ? (size_t)left : piece->n);
    f->offset += piece->n;
    return true;
}

bool fetch_stream(struct imap *im, struct fetch *f, const struct imap_item *item, struct err *err)
{
    struct str piece;

    if (f->range.form != BODY_RAW)
        return fetch_stream_binary(im, f, item, err);
    while (f->offset < f->range.to && !imap_pause(im)) {
        if (!fetch_read(im, f, &piece, err))
            return false;
        buf_add(&im->out, piece);
    }
    f->streaming = f->offset < f->range.to;
    return true;
}
