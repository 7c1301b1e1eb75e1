/* See dkim_canon.h. A body is given out in runs as long as possible: a run goes over a single space and over
 * a line end when a plain character follows, since both forms leave these alone. */
#include "dkim_canon.h"

#include <string.h>

/* ---- fields ---- */

static struct str without_line_end(struct str field)
{
    if (str_ends(field, STR("\r\n")))
        return str_sub(field, 0, field.n - 2);
    return str_ends(field, STR("\n")) ? str_sub(field, 0, field.n - 1) : field;
}

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

/* Is there a CRLF at i, with a blank behind it? In a field every CRLF is one of folding. */
static bool is_line_end(struct str s, size_t i)
{
    return s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
}

static void relax_value(struct str value, struct buf *out)
{
    bool blank = false, begun = false;

    for (size_t i = 0; i < value.n; i++) {
        if (is_line_end(value, i)) {
            i++;
        } else if (is_wsp(value.p[i])) {
            blank = true;
        } else {
            if (blank && begun)
                buf_add_char(out, ' ');
            buf_add_char(out, value.p[i]);
            blank = false;
            begun = true;
        }
    }
}

static void relax_field(struct str field, struct buf *out)
{
    ptrdiff_t colon = str_find(field, ':');
    struct str name = str_trim(str_sub(field, 0, colon < 0 ? field.n : (size_t)colon));

    for (size_t i = 0; i < name.n; i++)
        buf_add_char(out, ascii_lower(name.p[i]));
    buf_add_char(out, ':');
    if (colon >= 0)
        relax_value(str_skip(field, (size_t)colon + 1), out);
}

void dkim_canon_field(enum dkim_canon canon, struct str field, struct buf *out)
{
    field = without_line_end(field);
    if (canon == DKIM_SIMPLE)
        buf_add(out, field);
    else
        relax_field(field, out);
}

/* ---- bodies ---- */

void dkim_canon_begin(struct dkim_canon_body *b, enum dkim_canon canon, dkim_bytes_fn *on_bytes, void *owner)
{
    *b = (struct dkim_canon_body){.canon = canon, .on_bytes = on_bytes, .owner = owner};
}

static void give(struct dkim_canon_body *b, struct str bytes)
{
    b->length += bytes.n;
    b->on_bytes(b->owner, bytes);
}

static void give_line_ends(struct dkim_canon_body *b)
{
    static const char some[] = "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";
    const uint64_t most = (sizeof some - 1) / 2;

    while (b->line_ends > 0) {
        uint64_t n = b->line_ends < most ? b->line_ends : most;

        b->line_ends -= n;
        give(b, str_from(some, (size_t)n * 2));
    }
}

/* What waited is not at the end of the body or of its line. */
static void give_waiting(struct dkim_canon_body *b)
{
    if (b->line_ends > 0)
        give_line_ends(b);
    if (b->blank)
        give(b, STR(" "));
    b->blank = false;
}

static bool is_special(const struct dkim_canon_body *b, char c)
{
    return c == '\r' || (b->canon == DKIM_RELAXED && is_wsp(c));
}

/* Where the run that begins at i ends: before what may have to be changed. */
static size_t run_end(const struct dkim_canon_body *b, struct str s, size_t i)
{
    for (;;) {
        while (i < s.n && !is_special(b, s.p[i]))
            i++;
        if (i + 1 < s.n && s.p[i] == ' ' && !is_special(b, s.p[i + 1]))
            i++;
        else if (i + 2 < s.n && is_line_end(s, i) && !is_special(b, s.p[i + 2]))
            i += 2;
        else
            return i;
    }
}

/* The character behind a CR that waited. */
static size_t after_cr(struct dkim_canon_body *b, struct str s, size_t i)
{
    b->cr = false;
    if (s.p[i] == '\n') {
        b->blank = false;
        b->line_ends++;
        return i + 1;
    }
    give_waiting(b);
    give(b, STR("\r"));
    return i;
}

void dkim_canon_add(struct dkim_canon_body *b, struct str s)
{
    size_t i = 0, end;

    while (i < s.n) {
        if (b->cr) {
            i = after_cr(b, s, i);
        } else if (s.p[i] == '\r') {
            b->cr = true;
            i++;
        } else if (is_special(b, s.p[i])) {
            b->blank = true;
            i++;
        } else {
            end = run_end(b, s, i);
            give_waiting(b);
            give(b, str_sub(s, i, end));
            i = end;
        }
    }
}

/* Empty lines at the end go; what is left ends with one CRLF. Of nothing, simple makes one line end. */
void dkim_canon_end(struct dkim_canon_body *b)
{
    if (b->cr) {
        give_waiting(b);
        give(b, STR("\r"));
    }
    b->cr = b->blank = false;
    b->line_ends = 0;
    if (b->length > 0 || b->canon == DKIM_SIMPLE)
        give(b, STR("\r\n"));
}
