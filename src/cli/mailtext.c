#include "cli/mailtext.h"

/* Long enough to tell "." and "From " apart from other lines. */
enum { BEGINNING = 5 };

void mailtext_init(struct mailtext *t, bool ignore_dots)
{
    *t = (struct mailtext){.ignore_dots = ignore_dots};
    buf_init(&t->line, BEGINNING + 1);
}

void mailtext_clear(struct mailtext *t)
{
    buf_clear(&t->line);
}

static bool is_from_line(const struct mailtext *t)
{
    return !t->started && str_eq(buf_str(&t->line), STR("From "));
}

/* One byte of a line's content. Its first ones are held back until they are known to be content. */
static void content(struct mailtext *t, char c, struct buf *out)
{
    t->inside = true;
    if (t->line.n == BEGINNING) { /* already given out, or a From line */
        if (!is_from_line(t))
            buf_add_char(out, c);
        return;
    }
    buf_add_char(&t->line, c);
    if (t->line.n == BEGINNING && !is_from_line(t))
        buf_add(out, buf_str(&t->line));
}

static void end_line(struct mailtext *t, struct buf *out)
{
    if (!t->ignore_dots && str_eq(buf_str(&t->line), STR("."))) {
        t->ended = true;
        return;
    }
    if (!is_from_line(t)) {
        if (t->line.n < BEGINNING)
            buf_add(out, buf_str(&t->line));
        buf_add(out, STR("\r\n"));
    }
    t->started = true;
    t->inside = false;
    buf_reset(&t->line);
}

static void take_byte(struct mailtext *t, char c, struct buf *out)
{
    bool after_cr = t->crossed_cr;

    t->crossed_cr = false;
    if (c == '\n') {
        if (!after_cr)
            end_line(t, out);
    } else if (c == '\r') {
        t->crossed_cr = true;
        end_line(t, out);
    } else {
        content(t, c, out);
    }
}

void mailtext_take(struct mailtext *t, struct str in, struct buf *out)
{
    for (size_t i = 0; i < in.n && !t->ended; i++)
        take_byte(t, in.p[i], out);
}

void mailtext_finish(struct mailtext *t, struct buf *out)
{
    if (t->inside && !t->ended)
        end_line(t, out);
}

void mailtext_stuff(struct str in, bool *line_start, struct buf *out)
{
    while (in.n) {
        ptrdiff_t end = str_find(in, '\n');
        size_t n = end < 0 ? in.n : (size_t)end + 1;

        if (*line_start && in.p[0] == '.')
            buf_add_char(out, '.');
        buf_add(out, str_sub(in, 0, n));
        *line_start = end >= 0;
        in = str_skip(in, n);
    }
}
