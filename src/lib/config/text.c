/* Blanks comments and finds what is not closed, so that a message names the line where it begins,
 * and so that the meaning of a file never depends on the environment of the process that reads it. */
#include "config/text.h"

struct scan {
    struct str text;
    size_t at;
    int line;
    int depth, opened; /* braces open, and where the outermost one is */
    struct buf *out;
    struct err *err;
};

static char peek(const struct scan *s, size_t ahead)
{
    return s->at + ahead < s->text.n ? s->text.p[s->at + ahead] : 0;
}

/* Takes one byte; blank: writes a space in its place (a line end stays). */
static void take(struct scan *s, bool blank)
{
    char c = s->text.p[s->at++];

    if (c == '\n')
        s->line++;
    buf_add_char(s->out, blank && c != '\n' ? ' ' : c);
}

static bool refuse_variable(const struct scan *s)
{
    if (peek(s, 0) != '$' || peek(s, 1) != '{')
        return true;
    return err_set(s->err, ERR_PERMANENT,
        "${...}: expected plain text, variables of the environment are not replaced (use single "
        "quotes for these characters)");
}

static bool string(struct scan *s)
{
    char quote = s->text.p[s->at];
    int line = s->line;

    take(s, false);
    while (s->at < s->text.n && s->text.p[s->at] != quote) {
        if (quote == '"' && !refuse_variable(s))
            return false;
        if (s->text.p[s->at] == '\\' && s->at + 1 < s->text.n)
            take(s, false);
        take(s, false);
    }
    if (s->at == s->text.n) {
        s->line = line;
        return err_set(s->err, ERR_PERMANENT, "text begins here and does not end: expected a closing %c", quote);
    }
    take(s, false);
    return true;
}

static bool block_comment(struct scan *s)
{
    int line = s->line;

    take(s, true);
    take(s, true);
    while (s->at < s->text.n && !(peek(s, 0) == '*' && peek(s, 1) == '/'))
        take(s, true);
    if (s->at == s->text.n) {
        s->line = line;
        return err_set(s->err, ERR_PERMANENT, "a comment begins here and does not end: expected */");
    }
    take(s, true);
    take(s, true);
    return true;
}

static bool step(struct scan *s)
{
    char c = peek(s, 0), next = peek(s, 1);

    if (c == '"' || c == '\'')
        return string(s);
    if (c == '/' && next == '*')
        return block_comment(s);
    if (!refuse_variable(s))
        return false;
    if (c == '{' && s->depth++ == 0)
        s->opened = s->line;
    if (c == '}')
        s->depth--;
    if (c == '#' || (c == '/' && next == '/')) {
        while (s->at < s->text.n && peek(s, 0) != '\n')
            take(s, true);
        return true;
    }
    take(s, false);
    return true;
}

static bool check_bytes(struct scan *s)
{
    for (size_t i = 0; i < s->text.n; i++) {
        unsigned char c = (unsigned char)s->text.p[i];

        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return err_set(s->err, ERR_PERMANENT, "byte 0x%02x: expected text", c);
        s->line += c == '\n';
    }
    s->line = 1;
    return true;
}

bool config_text_clean(struct buf *out, struct str text, int *line, struct err *err)
{
    struct scan s = {.text = text, .line = 1, .out = out, .err = err};
    bool ok = check_bytes(&s);

    while (ok && s.at < s.text.n)
        ok = step(&s);
    if (ok && s.depth > 0) {
        s.line = s.opened;
        ok = err_set(err, ERR_PERMANENT, "{ opens here and is not closed: expected a matching }");
    }
    *line = s.line;
    buf_add_char(out, 0);
    if (ok && out->failed)
        return err_set(err, ERR_LIMIT, "the file is too long: expected at most %zu bytes", out->ceiling);
    return ok;
}
