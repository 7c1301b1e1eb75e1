/* The streaming header scanner. A field that lies inside one chunk is given out as a view into it; only
 * one that lies across chunks is collected in `partial`, which the limit bounds. What is no field is
 * recognised at its first wrong character, so a body without a header is never collected. */
#include "mime/header.h"

#include <string.h>

enum { NAME_MAX_OCTETS = 255 };
enum start { START_UNKNOWN, START_FIELD, START_BLANK, START_MBOX, START_BODY };

void header_scan_init(struct header_scan *s, size_t limit, header_field_fn *on_field, void *owner)
{
    *s = (struct header_scan){.limit = limit, .on_field = on_field, .owner = owner};
    buf_init(&s->partial, limit);
}

void header_scan_clear(struct header_scan *s)
{
    buf_clear(&s->partial);
}

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

/* Length of the field name at the start of text. */
static size_t name_length(struct str text)
{
    size_t n = 0;

    while (n < text.n && text.p[n] > ' ' && text.p[n] < 0x7f && text.p[n] != ':')
        n++;
    return n;
}

static enum start classify_blank(struct str text)
{
    if (text.p[0] == '\n')
        return START_BLANK;
    if (text.n < 2)
        return START_UNKNOWN;
    return text.p[1] == '\n' ? START_BLANK : START_BODY;
}

/* What begins here? UNKNOWN: too little was seen. first: nothing came before. */
static enum start classify(struct str text, bool first)
{
    size_t n, at;

    if (text.n == 0)
        return START_UNKNOWN;
    if (text.p[0] == '\n' || text.p[0] == '\r')
        return classify_blank(text);
    at = n = name_length(text);
    while (at < text.n && is_wsp(text.p[at]))
        at++;
    if (n == 0 || n > NAME_MAX_OCTETS || at > n + NAME_MAX_OCTETS)
        return START_BODY;
    if (at == text.n)
        return START_UNKNOWN;
    if (text.p[at] == ':')
        return START_FIELD;
    return first && (str_starts(text, STR("From ")) || str_starts(text, STR(">From "))) ? START_MBOX : START_BODY;
}

/* Gives out one whole field (or the mbox line, with an empty name). */
static void give(struct header_scan *s, struct str raw, enum start start)
{
    struct header_field f = {.raw = raw};

    if (start == START_FIELD) {
        f.name = str_sub(raw, 0, name_length(raw));
        f.value = str_skip(raw, (size_t)str_find(raw, ':') + 1);
        if (f.value.n && f.value.p[f.value.n - 1] == '\n')
            f.value.n--;
        if (f.value.n && f.value.p[f.value.n - 1] == '\r')
            f.value.n--;
        s->fields++;
        if (f.name.n == 8 && str_ieq(f.name, STR("Received")))
            s->received++;
    }
    s->on_field(s->owner, &f);
}

/* Length of the field at the start of text, 0 when its end is not in sight. */
static size_t field_length(struct str text, bool folds)
{
    size_t from = 0;

    for (;;) {
        const char *end = memchr(text.p + from, '\n', text.n - from);

        if (end == NULL)
            return 0;
        from = (size_t)(end - text.p) + 1;
        if (!folds)
            return from;
        if (from == text.n)
            return 0;
        if (!is_wsp(text.p[from]))
            return from;
    }
}

static enum header_state end_at(struct header_scan *s, bool blank)
{
    s->blank = blank;
    s->state = HEADER_END;
    return HEADER_END;
}

/* Counts n more bytes; over the limit the state says so. */
static bool grow(struct header_scan *s, size_t n)
{
    if (n > s->limit || s->size > s->limit - n)
        s->state = HEADER_TOO_LARGE;
    else
        s->size += n;
    return s->state != HEADER_TOO_LARGE;
}

static bool nothing_before(const struct header_scan *s, size_t held)
{
    return s->size == held;
}

/* Reads whole fields out of the chunk until it ends, the header ends, or one does not fit in it. */
static enum header_state scan_whole(struct header_scan *s, struct str chunk, size_t *used)
{
    while (*used < chunk.n) {
        struct str rest = str_skip(chunk, *used);
        enum start start = classify(rest, nothing_before(s, 0));
        size_t n;

        if (start == START_BODY)
            return end_at(s, false);
        if (start == START_BLANK) {
            n = rest.p[0] == '\n' ? 1 : 2;
            *used += n;
            return grow(s, n) ? end_at(s, true) : s->state;
        }
        n = start == START_UNKNOWN ? 0 : field_length(rest, start == START_FIELD);
        if (!grow(s, n ? n : rest.n))
            return s->state;
        *used += n ? n : rest.n;
        if (n)
            give(s, str_sub(rest, 0, n), start);
        else
            buf_add(&s->partial, rest);
    }
    return HEADER_MORE;
}

static struct str partial_line(struct header_scan *s)
{
    return buf_str(&s->partial);
}

static enum start classify_partial(struct header_scan *s)
{
    return classify(partial_line(s), nothing_before(s, s->partial.n));
}

/* Adds to the partial field up to the next line end. */
static bool take_line(struct header_scan *s, struct str chunk, size_t *used)
{
    struct str rest = str_skip(chunk, *used);
    ptrdiff_t end = str_find(rest, '\n');
    size_t n = end < 0 ? rest.n : (size_t)end + 1;

    if (!grow(s, n))
        return false;
    buf_add(&s->partial, str_sub(rest, 0, n));
    *used += n;
    return true;
}

static bool partial_has_line(const struct header_scan *s)
{
    return s->partial.n && s->partial.p[s->partial.n - 1] == '\n';
}

static void give_partial(struct header_scan *s, enum start start)
{
    give(s, partial_line(s), start);
    buf_reset(&s->partial);
}

/* Goes on with a field that began in an earlier chunk, until it is whole or the chunk is used up. */
static enum header_state scan_partial(struct header_scan *s, struct str chunk, size_t *used)
{
    while (s->partial.n && *used < chunk.n) {
        enum start start;

        if (partial_has_line(s) && !is_wsp(chunk.p[*used])) {
            give_partial(s, START_FIELD);
            break;
        }
        if (!take_line(s, chunk, used))
            return s->state;
        start = classify_partial(s);
        if (start == START_BODY)
            return end_at(s, false);
        if (start == START_BLANK) {
            buf_reset(&s->partial);
            return end_at(s, true);
        }
        if (start == START_MBOX && partial_has_line(s))
            give_partial(s, START_MBOX);
    }
    return HEADER_MORE;
}

enum header_state header_scan(struct header_scan *s, struct str chunk, size_t *used)
{
    enum header_state state;

    *used = 0;
    if (s->state != HEADER_MORE)
        return s->state;
    state = scan_partial(s, chunk, used);
    if (state == HEADER_MORE)
        state = scan_whole(s, chunk, used);
    return state;
}

struct str header_scan_rest(const struct header_scan *s)
{
    return s->state == HEADER_END ? buf_str(&s->partial) : (struct str){0};
}

enum header_state header_scan_finish(struct header_scan *s)
{
    enum start start;

    if (s->state != HEADER_MORE)
        return s->state;
    start = s->partial.n ? classify_partial(s) : START_BODY;
    if (start == START_FIELD || start == START_MBOX)
        give_partial(s, start);
    return end_at(s, false);
}

void header_unfold(struct buf *out, struct str value)
{
    value = str_trim(value);
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] != '\r' && value.p[i] != '\n')
            buf_add_char(out, value.p[i]);
}

struct str header_message_id(struct str value)
{
    ptrdiff_t start = str_find(value, '<');
    struct str id;
    ptrdiff_t end;

    if (start < 0)
        return (struct str){0};
    id = str_skip(value, (size_t)start);
    end = str_find(id, '>');
    id = end < 0 ? (struct str){0} : str_sub(id, 0, (size_t)end + 1);
    for (size_t i = 0; i < id.n; i++)
        if ((unsigned char)id.p[i] <= ' ' || id.p[i] == 0x7f)
            return (struct str){0};
    return id;
}
