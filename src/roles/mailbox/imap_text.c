/* See imap_text.h. Header and body are decoded at the first question and kept until the next message. */
#include "imap_text.h"
#include "base/err.h"
#include "mime/charset.h"
#include "mime/header.h"
#include "mime/html.h"
#include "mime/part.h"
#include "mime/part_blob.h"
#include "mime/transfer.h"
#include "mime/words.h"
#include "summary.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_LIMIT = 1024 * 1024, BODY_LIMIT = 32 * 1024 * 1024, TREE_ARENA_MAX = 16 * 1024 * 1024 };

struct imap_text {
    struct store *store;
    bool has_header, has_body, has_info;
    struct buf header;  /* as it stands */
    struct buf folded;  /* the header's values, decoded and folded, with line ends */
    struct buf body;    /* of all text parts, decoded and folded */
    int64_t sent;
    struct arena arena;
    struct mime_part *tree;
};

struct imap_text *imap_text_new(struct store *s)
{
    struct imap_text *t = xcalloc(1, sizeof *t);

    t->store = s;
    buf_init(&t->header, HEADER_LIMIT);
    buf_init(&t->folded, 4 * HEADER_LIMIT);
    buf_init(&t->body, BODY_LIMIT);
    arena_init(&t->arena, TREE_ARENA_MAX);
    return t;
}

void imap_text_free(struct imap_text *t)
{
    if (t == NULL)
        return;
    buf_clear(&t->header);
    buf_clear(&t->folded);
    buf_clear(&t->body);
    arena_clear(&t->arena);
    free(t);
}

void imap_text_open(struct imap_text *t, const struct store_message *m)
{
    (void)m;
    t->has_header = t->has_body = t->has_info = false;
    t->tree = NULL;
}

/* ---- reading ---- */

/* A content that has no summary yet is read through; the summary is not kept here. */
static bool load_info(struct imap_text *t, const struct store_message *m, struct err *err)
{
    struct content_info info;
    bool found;

    if (t->has_info)
        return true;
    arena_clear(&t->arena);
    if (!store_info_get(t->store, m->content, STORE_ALL_INFO, &info, &found, err))
        return false;
    if (found) {
        t->sent = info.sent;
        t->tree = mime_tree_unpack(info.tree, &t->arena);
    }
    if (t->tree == NULL) {
        struct mime_parser *p = mime_parser_new(&t->arena);
        struct str piece;

        for (int64_t at = 0; at < m->size; at += (int64_t)piece.n) {
            if (!store_read(t->store, m->content, at, &piece, err)) {
                (void)mime_parser_end(p);
                return false;
            }
            if (piece.n == 0)
                break;
            mime_parser_add(p, piece);
        }
        t->tree = mime_parser_end(p);
    }
    t->has_info = true;
    return t->tree != NULL || err_set(err, ERR_LIMIT, "the message's structure is too large");
}

static bool read_range(struct imap_text *t, const struct store_message *m, uint64_t from, uint64_t to,
    void (*tell)(void *arg, struct str piece), void *arg, struct err *err)
{
    while (from < to) {
        struct str piece;

        if (!store_read(t->store, m->content, (int64_t)from, &piece, err))
            return false;
        if (piece.n == 0)
            return true;
        piece = str_sub(piece, 0, to - from < piece.n ? (size_t)(to - from) : piece.n);
        tell(arg, piece);
        from += piece.n;
    }
    return true;
}

/* ---- the header ---- */

static void add_header(void *arg, struct str piece)
{
    struct imap_text *t = arg;

    buf_add(&t->header, str_sub(piece, 0, HEADER_LIMIT - t->header.n));
}

static bool load_header(struct imap_text *t, const struct store_message *m, struct err *err)
{
    if (t->has_header)
        return true;
    if (!load_info(t, m, err))
        return false;
    buf_reset(&t->header);
    buf_reset(&t->folded);
    t->has_header = read_range(t, m, t->tree->header, t->tree->body, add_header, t, err);
    return t->has_header;
}

bool imap_text_sent(struct imap_text *t, const struct store_message *m, int64_t *sent, struct err *err)
{
    if (!load_info(t, m, err))
        return false;
    *sent = t->sent != 0 ? t->sent : m->received;
    return true;
}

struct looking {
    struct str name, text;
    bool found;
    imap_text_fn *tell; /* instead of looking */
    void *arg;
    struct buf decoded, folded;
};

static bool contains(struct str text, struct str part)
{
    return part.n == 0 || (text.n > 0 && memmem(text.p, text.n, part.p, part.n) != NULL);
}

static void look_at(void *owner, const struct header_field *f)
{
    struct looking *l = owner;

    if (l->found || (l->name.p != NULL && !str_ieq(f->name, l->name)))
        return;
    buf_reset(&l->decoded);
    buf_reset(&l->folded);
    if (l->name.p == NULL) { /* TEXT finds names too */
        buf_add(&l->decoded, f->name);
        buf_add(&l->decoded, STR(": "));
    }
    mime_decode_words(f->value, &l->decoded);
    mime_casefold(buf_str(&l->decoded), &l->folded);
    if (l->tell != NULL)
        l->tell(l->arg, buf_str(&l->folded));
    else
        l->found = contains(buf_str(&l->folded), l->text);
}

static bool look_in_header(struct imap_text *t, const struct store_message *m, struct looking *l, struct err *err)
{
    struct header_scan scan;
    size_t used;

    if (!load_header(t, m, err))
        return false;
    buf_init(&l->decoded, 4 * HEADER_LIMIT);
    buf_init(&l->folded, 16 * HEADER_LIMIT);
    header_scan_init(&scan, HEADER_LIMIT + 1, look_at, l);
    (void)header_scan(&scan, buf_str(&t->header), &used);
    (void)header_scan_finish(&scan);
    header_scan_clear(&scan);
    buf_clear(&l->decoded);
    buf_clear(&l->folded);
    return true;
}

bool imap_text_header(struct imap_text *t, const struct store_message *m, struct str name, struct str text, bool *found,
    struct err *err)
{
    struct looking l = {.name = name, .text = text};
    bool done = look_in_header(t, m, &l, err);

    *found = l.found;
    return done;
}

/* ---- the body ---- */

/* From the bytes of a part to its folded text: transfer encoding, charset, HTML, case. */
struct pipe {
    struct mime_decoder decoder;
    struct charset_reader *charset;
    struct html_reader *html; /* NULL: plain */
    struct buf decoded, utf8, plain;
    struct imap_text *text;
};

static void pour(struct pipe *p)
{
    struct buf *last = &p->utf8;

    if (p->html != NULL) {
        html_reader_add(p->html, buf_str(&p->utf8), &p->plain);
        last = &p->plain;
    }
    buf_add(&p->text->body, str_sub(buf_str(last), 0, BODY_LIMIT - p->text->body.n));
    buf_reset(&p->utf8);
    buf_reset(&p->plain);
}

static void on_bytes(void *arg, struct str piece)
{
    struct pipe *p = arg;

    buf_reset(&p->decoded);
    mime_decoder_add(&p->decoder, piece, &p->decoded);
    charset_reader_add(p->charset, buf_str(&p->decoded), &p->utf8);
    pour(p);
}

static bool read_part(struct imap_text *t, const struct store_message *m, const struct mime_part *part, struct err *err)
{
    struct pipe p = {.text = t};
    bool done;

    mime_decoder_init(&p.decoder, mime_encoding_of(part->encoding));
    p.charset = charset_reader_new(mime_parameter_find(part->parameters, "charset"));
    p.html = mime_part_is(part, "text", "html") ? html_reader_new() : NULL;
    buf_init(&p.decoded, 1 << 20);
    buf_init(&p.utf8, 4 << 20);
    buf_init(&p.plain, 8 << 20);
    done = read_range(t, m, part->body, part->end, on_bytes, &p, err);
    buf_reset(&p.decoded);
    mime_decoder_end(&p.decoder, &p.decoded);
    charset_reader_add(p.charset, buf_str(&p.decoded), &p.utf8);
    charset_reader_end(p.charset, &p.utf8);
    pour(&p);
    if (p.html != NULL)
        html_reader_end(p.html, &p.plain);
    buf_add(&t->body, str_sub(buf_str(&p.plain), 0, BODY_LIMIT - t->body.n));
    if (t->body.n < BODY_LIMIT)
        buf_add_char(&t->body, '\n');
    buf_clear(&p.decoded);
    buf_clear(&p.utf8);
    buf_clear(&p.plain);
    return done;
}

/* All text parts, at any depth. */
static bool read_parts(struct imap_text *t, const struct store_message *m, const struct mime_part *part, struct err *err)
{
    if (part->first == NULL)
        return !mime_part_is(part, "text", NULL) || read_part(t, m, part, err);
    for (const struct mime_part *k = part->first; k != NULL; k = k->next)
        if (!read_parts(t, m, k, err))
            return false;
    return true;
}

static bool load_body(struct imap_text *t, const struct store_message *m, struct err *err)
{
    struct buf folded;

    if (t->has_body)
        return true;
    if (!load_info(t, m, err))
        return false;
    buf_reset(&t->body);
    if (!read_parts(t, m, t->tree, err))
        return false;
    buf_init(&folded, 4 * BODY_LIMIT);
    mime_casefold(buf_str(&t->body), &folded);
    buf_clear(&t->body);
    t->body = folded;
    t->body.ceiling = 4 * BODY_LIMIT;
    t->has_body = true;
    return true;
}

bool imap_text_find(struct imap_text *t, const struct store_message *m, struct str text, bool with_header, bool *found,
    struct err *err)
{
    struct looking l = {.text = text};

    *found = false;
    if (with_header && !look_in_header(t, m, &l, err))
        return false;
    if (!l.found && !load_body(t, m, err))
        return false;
    *found = l.found || contains(buf_str(&t->body), text);
    return true;
}

/* ---- for the search index ---- */

bool imap_text_tell(struct imap_text *t, const struct store_message *m, imap_text_fn *tell, void *arg, struct err *err)
{
    struct looking l = {.tell = tell, .arg = arg};

    if (!look_in_header(t, m, &l, err) || !load_body(t, m, err))
        return false;
    tell(arg, buf_str(&t->body));
    return true;
}

static uint64_t weight_of(const struct mime_part *part)
{
    uint64_t sum = 0;

    if (part->first == NULL)
        return mime_part_is(part, "text", NULL) ? part->end - part->body : 0;
    for (const struct mime_part *k = part->first; k != NULL; k = k->next)
        sum += weight_of(k);
    return sum;
}

bool imap_text_weight(struct imap_text *t, const struct store_message *m, uint64_t *bytes, struct err *err)
{
    struct content_info info;
    bool found;

    *bytes = (uint64_t)m->size;
    if (!store_info_get(t->store, m->content, STORE_TREE, &info, &found, err))
        return false;
    if (!found)
        return true;
    if (!load_info(t, m, err))
        return false;
    *bytes = t->tree->body - t->tree->header + weight_of(t->tree);
    return true;
}
