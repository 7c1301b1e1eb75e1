/* See imap_text.h. The states of `doing` follow each other; each call of imap_text_next does a piece of work of one of them. */
#include "imap_text.h"
#include "base/err.h"
#include "base/clock.h"
#include "mime/charset.h"
#include "mime/date.h"
#include "mime/header.h"
#include "mime/html.h"
#include "mime/part.h"
#include "mime/part_blob.h"
#include "mime/transfer.h"
#include "mime/words.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_LIMIT = 1024 * 1024,
    BODY_LIMIT = 32 * 1024 * 1024, /* what is more is not looked at */
    PORTION = 32 * 1024,           /* decoded at a time */
    FIELDS = 16,                   /* passed over at a time */
    PIECE_LIMIT = 8 * 1024 * 1024, /* far above what a portion gives */
    TREE_ARENA_MAX = 16 * 1024 * 1024,
};

typedef bool work_fn(struct imap_text *t, struct imap_text_piece *piece, struct err *err);

struct imap_text {
    struct store *store;
    work_fn *doing;
    int64_t content, size, sent;
    imap_text_choice *choice;
    void *arg;

    struct arena arena;
    struct mime_part *tree;
    struct mime_parser *parser; /* while the structure is being made */
    uint64_t at;                /* of what is read: the next byte */
    size_t work;                /* of the call under way, bytes */

    struct buf header;          /* as it stands */
    size_t field;               /* in it: where the next one begins */
    struct buf decoded, folded; /* of one field, of one piece */

    const struct mime_part *part; /* under way, with the following */
    struct mime_decoder decoder;
    struct charset_reader *charset;
    struct html_reader *html; /* NULL: plain */
    struct buf bytes, utf8;
    struct buf plain;           /* not folded yet */
    size_t given;               /* of all parts, before folding */
};

static work_fn find_structure, make_structure, read_header, next_field, next_part, read_part, end_body, at_end;

struct imap_text *imap_text_new(struct store *s)
{
    struct imap_text *t = xcalloc(1, sizeof *t);

    t->store = s;
    t->doing = at_end;
    buf_init(&t->header, HEADER_LIMIT);
    buf_init(&t->decoded, 4 * HEADER_LIMIT);
    buf_init(&t->folded, 16 * HEADER_LIMIT);
    buf_init(&t->bytes, PIECE_LIMIT);
    buf_init(&t->utf8, PIECE_LIMIT);
    buf_init(&t->plain, PIECE_LIMIT);
    arena_init(&t->arena, TREE_ARENA_MAX);
    return t;
}

/* What is under way of a message. */
static void give_up(struct imap_text *t)
{
    if (t->charset != NULL)
        charset_reader_end(t->charset, NULL);
    if (t->html != NULL)
        html_reader_end(t->html, NULL);
    if (t->parser != NULL)
        (void)mime_parser_end(t->parser);
    t->charset = NULL;
    t->html = NULL;
    t->parser = NULL;
    t->tree = NULL;
    t->part = NULL;
}

void imap_text_free(struct imap_text *t)
{
    if (t == NULL)
        return;
    give_up(t);
    buf_clear(&t->header);
    buf_clear(&t->decoded);
    buf_clear(&t->folded);
    buf_clear(&t->bytes);
    buf_clear(&t->utf8);
    buf_clear(&t->plain);
    arena_clear(&t->arena);
    free(t);
}

size_t imap_text_memory(const struct imap_text *t)
{
    return t->arena.used + t->header.capacity + t->decoded.capacity + t->folded.capacity + t->bytes.capacity + t->utf8.capacity + t->plain.capacity;
}

void imap_text_open(struct imap_text *t, const struct store_message *m, imap_text_choice *choice, void *arg)
{
    give_up(t);
    t->content = m->content;
    t->size = m->size;
    t->sent = m->received / (86400 * SECOND);
    t->choice = choice;
    t->arg = arg;
    t->given = 0;
    buf_reset(&t->plain);
    t->doing = find_structure;
}

/* The next bytes before `end`; none: there are no more of them. */
static bool read_some(struct imap_text *t, uint64_t end, struct str *bytes, struct err *err)
{
    *bytes = (struct str){0};
    if (t->at >= end)
        return true;
    if (!store_read(t->store, t->content, (int64_t)t->at, bytes, err))
        return false;
    *bytes = str_sub(*bytes, 0, end - t->at < bytes->n ? (size_t)(end - t->at) : bytes->n);
    *bytes = str_sub(*bytes, 0, PORTION < bytes->n ? PORTION : bytes->n);
    t->at += bytes->n;
    t->work += bytes->n;
    return true;
}

/* ---- the structure ---- */

static bool is_ready(struct imap_text *t, struct imap_text_piece *piece)
{
    piece->kind = IMAP_TEXT_READY;
    if (t->tree->envelope != NULL)
        (void)date_parse_day(t->tree->envelope->date, &t->sent); /* else it stays that of the receipt */
    buf_reset(&t->header);
    t->field = 0;
    t->at = t->tree->header;
    t->doing = read_header;
    return true;
}

static bool find_structure(struct imap_text *t, struct imap_text_piece *piece, struct err *err)
{
    struct content_info info;
    bool found;

    arena_clear(&t->arena);
    if (!store_info_get(t->store, t->content, STORE_TREE, &info, &found, err))
        return false;
    if (found)
        t->tree = mime_tree_unpack(info.tree, &t->arena);
    if (t->tree != NULL)
        return is_ready(t, piece);
    t->at = 0;
    t->parser = mime_parser_new(&t->arena);
    t->doing = make_structure;
    return true;
}

/* A content that has no summary yet is read through; the summary is not kept here. */
static bool make_structure(struct imap_text *t, struct imap_text_piece *piece, struct err *err)
{
    struct str bytes;

    if (!read_some(t, (uint64_t)t->size, &bytes, err))
        return false;
    if (bytes.n > 0) {
        mime_parser_add(t->parser, bytes);
        return true;
    }
    t->tree = mime_parser_end(t->parser);
    t->parser = NULL;
    return t->tree != NULL ? is_ready(t, piece) : err_set(err, ERR_LIMIT, "the message's structure is too large");
}

/* ---- the header ---- */

static bool end_header(struct imap_text *t, struct imap_text_piece *piece)
{
    piece->kind = IMAP_TEXT_FIELDS;
    t->part = t->tree;
    t->doing = next_part;
    return true;
}

static bool read_header(struct imap_text *t, struct imap_text_piece *piece, struct err *err)
{
    struct str bytes;

    if (t->choice == NULL)
        return end_header(t, piece);
    if (!read_some(t, t->tree->body, &bytes, err))
        return false;
    bytes = str_sub(bytes, 0, HEADER_LIMIT - t->header.n < bytes.n ? HEADER_LIMIT - t->header.n : bytes.n);
    buf_add(&t->header, bytes);
    if (bytes.n == 0)
        t->doing = next_field;
    return true;
}

/* Where the field that begins here ends: before a line that does not continue it. */
static size_t field_end(struct str header, size_t from)
{
    size_t at = from;

    do {
        const char *end = memchr(header.p + at, '\n', header.n - at);

        at = end == NULL ? header.n : (size_t)(end - header.p) + 1;
    } while (at < header.n && (header.p[at] == ' ' || header.p[at] == '\t'));
    return at;
}

struct decoding {
    struct imap_text *t;
    struct imap_text_piece *piece;
    bool is_field; /* and neither an empty line nor one that can be no field */
};

static void fold_field(void *owner, const struct header_field *f)
{
    struct decoding *d = owner;
    struct imap_text *t = d->t;
    size_t head;

    d->is_field = true;
    if (!t->choice(t->arg, f->name))
        return;
    buf_reset(&t->folded);
    buf_reset(&t->decoded);
    buf_add(&t->decoded, f->name);
    buf_add(&t->decoded, STR(": "));
    mime_casefold(buf_str(&t->decoded), &t->folded);
    head = t->folded.n;
    buf_reset(&t->decoded);
    mime_decode_words(f->value, &t->decoded);
    mime_casefold(buf_str(&t->decoded), &t->folded);
    d->piece->kind = IMAP_TEXT_FIELD;
    d->piece->text = buf_str(&t->folded);
    d->piece->value = str_skip(d->piece->text, head);
}

/* One field. False: there are no more of them. */
static bool read_field(struct imap_text *t, struct imap_text_piece *piece)
{
    struct decoding decoding = {.t = t, .piece = piece};
    struct str header = buf_str(&t->header), field;
    struct header_scan scan;
    size_t used;

    if (t->field >= header.n)
        return false;
    field = str_sub(header, t->field, field_end(header, t->field));
    header_scan_init(&scan, HEADER_LIMIT + 1, fold_field, &decoding);
    (void)header_scan(&scan, field, &used);
    (void)header_scan_finish(&scan);
    header_scan_clear(&scan);
    t->field += field.n;
    t->work += field.n;
    if (piece->kind == IMAP_TEXT_FIELD)
        piece->name = str_trim(str_sub(field, 0, (size_t)str_find(field, ':')));
    return decoding.is_field;
}

static bool next_field(struct imap_text *t, struct imap_text_piece *piece, struct err *err)
{
    (void)err;
    for (int i = 0; i < FIELDS && piece->kind == IMAP_TEXT_NONE; i++)
        if (!read_field(t, piece))
            return end_header(t, piece);
    return true;
}

/* ---- the body: all text parts, at any depth; from the bytes of each to its folded text: transfer encoding, charset, HTML,
 * case ---- */

static bool next_part(struct imap_text *t, struct imap_text_piece *piece, struct err *err)
{
    const struct mime_part *part = t->part;

    (void)piece;
    (void)err;
    while (part != NULL && (part->first != NULL || !mime_part_is(part, "text", NULL)))
        part = mime_part_next(part);
    t->part = part;
    t->doing = part == NULL || t->given >= BODY_LIMIT ? end_body : read_part;
    if (t->doing == end_body)
        return true;
    t->at = part->body;
    mime_decoder_init(&t->decoder, mime_encoding_of(part->encoding));
    t->charset = charset_reader_new(mime_parameter_find(part->parameters, "charset"));
    t->html = mime_part_is(part, "text", "html") ? html_reader_new() : NULL;
    return true;
}

/* What is there of `plain`, but for what must wait for what follows. */
static void give_text(struct imap_text *t, struct imap_text_piece *piece, bool goes_on)
{
    struct str plain = buf_str(&t->plain);

    buf_reset(&t->folded);
    if (goes_on)
        buf_consume(&t->plain, mime_casefold_part(plain, &t->folded));
    else
        mime_casefold(plain, &t->folded);
    piece->kind = IMAP_TEXT_BODY;
    piece->text = buf_str(&t->folded);
}

/* The limit is one of all parts together. */
static void keep_within_limit(struct imap_text *t, size_t before)
{
    size_t more = t->plain.n - before;

    if (more > BODY_LIMIT - t->given)
        more = BODY_LIMIT - t->given;
    t->plain.n = before + more;
    t->given += more;
}

static void decode(struct imap_text *t, struct str bytes, bool last)
{
    struct buf *utf8 = t->html != NULL ? &t->utf8 : &t->plain;

    buf_reset(&t->bytes);
    buf_reset(&t->utf8);
    mime_decoder_add(&t->decoder, bytes, &t->bytes);
    if (last)
        (void)mime_decoder_end(&t->decoder, &t->bytes);
    charset_reader_add(t->charset, buf_str(&t->bytes), utf8);
    if (last)
        charset_reader_end(t->charset, utf8);
    if (t->html != NULL)
        html_reader_add(t->html, buf_str(&t->utf8), &t->plain);
    if (t->html != NULL && last)
        html_reader_end(t->html, &t->plain);
    if (!last)
        return;
    t->charset = NULL;
    t->html = NULL;
    buf_add_char(&t->plain, '\n');
}

static bool read_part(struct imap_text *t, struct imap_text_piece *piece, struct err *err)
{
    size_t before = t->plain.n;
    struct str bytes;
    bool last;

    if (!read_some(t, t->part->end, &bytes, err))
        return false;
    last = bytes.n == 0;
    decode(t, bytes, last || t->given >= BODY_LIMIT);
    keep_within_limit(t, before);
    if (t->charset == NULL) {
        t->part = mime_part_next(t->part);
        t->doing = next_part;
    }
    give_text(t, piece, true);
    return true;
}

static bool end_body(struct imap_text *t, struct imap_text_piece *piece, struct err *err)
{
    (void)err;
    give_text(t, piece, false);
    buf_reset(&t->plain);
    t->doing = at_end;
    return true;
}

static bool at_end(struct imap_text *t, struct imap_text_piece *piece, struct err *err)
{
    (void)t;
    (void)err;
    piece->kind = IMAP_TEXT_END;
    return true;
}

bool imap_text_next(struct imap_text *t, struct imap_text_piece *piece, struct err *err)
{
    *piece = (struct imap_text_piece){.kind = IMAP_TEXT_NONE};
    t->work = 0;
    if (!t->doing(t, piece, err))
        return false;
    piece->work = t->work;
    return true;
}

int64_t imap_text_sent(const struct imap_text *t)
{
    return t->sent;
}

/* ---- for the search index ---- */

static bool every_field(void *arg, struct str name)
{
    (void)arg;
    (void)name;
    return true;
}

bool imap_text_tell(struct imap_text *t, const struct store_message *m, imap_text_fn *tell, void *arg, struct err *err)
{
    struct imap_text_piece piece;
    struct buf body;
    bool done;

    buf_init(&body, 4 * BODY_LIMIT);
    imap_text_open(t, m, every_field, NULL);
    do {
        done = imap_text_next(t, &piece, err);
        if (done && piece.kind == IMAP_TEXT_FIELD)
            tell(arg, piece.text);
        if (done && piece.kind == IMAP_TEXT_BODY)
            buf_add(&body, piece.text);
    } while (done && piece.kind != IMAP_TEXT_END);
    if (done)
        tell(arg, buf_str(&body));
    buf_clear(&body);
    return done;
}

bool imap_text_weight(struct imap_text *t, const struct store_message *m, uint64_t *bytes, struct err *err)
{
    struct content_info info;
    const struct mime_part *tree;
    bool found;

    *bytes = (uint64_t)m->size;
    if (!store_info_get(t->store, m->content, STORE_TREE, &info, &found, err))
        return false;
    if (!found)
        return true;
    imap_text_open(t, m, NULL, NULL);
    arena_clear(&t->arena);
    tree = mime_tree_unpack(info.tree, &t->arena);
    if (tree == NULL)
        return true;
    *bytes = tree->body - tree->header;
    for (const struct mime_part *p = tree; p != NULL; p = mime_part_next(p))
        if (p->first == NULL && mime_part_is(p, "text", NULL))
            *bytes += p->end - p->body;
    return true;
}
