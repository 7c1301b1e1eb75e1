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

size_t summary_memory(const struct summary *s)
{
    return s->arena.used;
}

void summary_add(struct summary *s, struct str bytes)
{
    mime_parser_add(s->parser, bytes);
}

/* A Message-ID, however it was quoted (RFC 5256, section 3); case counts. Never zero. */
static uint64_t hash_id(struct str id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] != '"' && id.p[i] != '\\' && id.p[i] != ' ' && id.p[i] != '\t')
            hash = (hash ^ (unsigned char)id.p[i]) * UINT64_C(0x100000001b3);
    return hash ? hash : 1;
}

/* The ids in a header value, "<...>" each, as hashes: at most so many. */
static size_t add_refs(struct buf *refs, struct str value, size_t most)
{
    ptrdiff_t open, close;
    size_t n = 0;

    while (n < most && (open = str_find(value, '<')) >= 0) {
        value = str_skip(value, (size_t)open + 1);
        close = str_find(value, '>');
        if (close < 0)
            break;
        if (close > 0) {
            uint64_t hash = hash_id(str_sub(value, 0, (size_t)close));

            buf_add(refs, str_from((const char *)&hash, sizeof hash));
            n++;
        }
        value = str_skip(value, (size_t)close + 1);
    }
    return n;
}

/* Own id first (zero when there is none), then References, or the first of In-Reply-To without them (RFC 5256, section 3).
 * Of too many references the last count: they are the nearest. */
static void gather_refs(struct buf *refs, const struct mime_envelope *e)
{
    static const char none[8];
    struct buf all;
    size_t n;

    if (add_refs(refs, e->message_id, 1) == 0)
        buf_add(refs, str_from(none, sizeof none));
    buf_init(&all, MIME_HEADER_MAX * 4);
    if (add_refs(&all, e->references, SIZE_MAX) == 0)
        (void)add_refs(&all, e->in_reply_to, 1);
    n = all.n / 8;
    buf_add(refs, str_skip(buf_str(&all), n < REFS_MAX ? 0 : 8 * (n - REFS_MAX + 1)));
    buf_clear(&all);
}

/* True: it is a reply or forward. */
static bool gather_subject(struct buf *out, struct str subject)
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
    return is_reply;
}

void summary_end(struct summary *s, struct content_info *info)
{
    struct mime_part *root = mime_parser_end(s->parser);

    s->parser = NULL;
    *info = (struct content_info){0};
    if (root != NULL && mime_tree_pack(root, &s->tree) && root->envelope != NULL) {
        if (!date_parse(root->envelope->date, &info->sent))
            info->sent = 0;
        info->reply = gather_subject(&s->subject, root->envelope->subject);
        gather_refs(&s->refs, root->envelope);
    }
    info->subject = buf_str(&s->subject);
    info->tree = buf_str(&s->tree);
    info->refs = buf_str(&s->refs);
}
