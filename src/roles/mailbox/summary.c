/* See summary.h. */
#include "summary.h"
#include "base/err.h"
#include "mime/date.h"
#include "mime/fold.h"
#include "mime/part.h"
#include "mime/part_blob.h"
#include "mime/words.h"

#include <stdlib.h>

enum { ARENA_MAX = 8 * 1024 * 1024, TREE_MAX = 4 * 1024 * 1024, SUBJECT_MAX = 4096, REFS_MAX = 1000 };

struct summary {
    struct arena arena;
    struct mime_parser *parser;
    struct buf subject, tree, refs;
};

struct summary *summary_new(void)
{
    struct summary *s = xcalloc(1, sizeof *s);

    arena_init(&s->arena, ARENA_MAX);
    s->parser = mime_parser_new(&s->arena);
    buf_init(&s->subject, SUBJECT_MAX);
    buf_init(&s->tree, TREE_MAX);
    buf_init(&s->refs, 8 * REFS_MAX);
    return s;
}

void summary_free(struct summary *s)
{
    if (s == NULL)
        return;
    if (s->parser != NULL)
        (void)mime_parser_end(s->parser);
    arena_clear(&s->arena);
    buf_clear(&s->subject);
    buf_clear(&s->tree);
    buf_clear(&s->refs);
    free(s);
}

void summary_add(struct summary *s, struct str bytes)
{
    mime_parser_add(s->parser, bytes);
}

/* The ids in a header value, "<...>" each, as hashes. */
static void add_refs(struct buf *refs, struct str value)
{
    ptrdiff_t open, close;

    while ((open = str_find(value, '<')) >= 0) {
        value = str_skip(value, (size_t)open);
        close = str_find(value, '>');
        if (close < 0)
            return;
        if (close > 1) {
            uint64_t hash = str_stable_hash(str_sub(value, 0, (size_t)close + 1));

            buf_add(refs, str_from((const char *)&hash, sizeof hash));
        }
        value = str_skip(value, (size_t)close + 1);
    }
}

/* Own id first (zero when there is none), then References, or In-Reply-To without them (RFC 5256, section 3). */
static void gather_refs(struct buf *refs, const struct mime_envelope *e)
{
    static const char none[8];

    add_refs(refs, e->message_id);
    if (refs->n == 0)
        buf_add(refs, str_from(none, sizeof none));
    else
        refs->n = 8;
    if (e->references.n > 0)
        add_refs(refs, e->references);
    else
        add_refs(refs, e->in_reply_to);
}

static void gather_subject(struct buf *out, struct str subject)
{
    struct buf words, base;
    bool is_reply;

    buf_init(&words, SUBJECT_MAX);
    buf_init(&base, SUBJECT_MAX);
    mime_decode_words(subject, &words);
    mime_base_subject(buf_str(&words), &base, &is_reply);
    mime_casefold(buf_str(&base), out);
    buf_clear(&words);
    buf_clear(&base);
}

void summary_end(struct summary *s, struct content_info *info)
{
    struct mime_part *root = mime_parser_end(s->parser);

    s->parser = NULL;
    *info = (struct content_info){0};
    if (root != NULL && mime_tree_pack(root, &s->tree) && root->envelope != NULL) {
        if (!date_parse(root->envelope->date, &info->sent))
            info->sent = 0;
        gather_subject(&s->subject, root->envelope->subject);
        gather_refs(&s->refs, root->envelope);
    }
    info->subject = buf_str(&s->subject);
    info->tree = buf_str(&s->tree);
    info->refs = buf_str(&s->refs);
}
