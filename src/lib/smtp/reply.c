/* Replies of an SMTP server (RFC 5321 4.2.1). Bounded in the length of a line, the number of lines and
 * the whole text; the first line that is no reply latches REPLY_BAD. */
#include "smtp/reply.h"

void reply_init(struct reply *r)
{
    *r = (struct reply){0};
    buf_init(&r->text, REPLY_TEXT_MAX);
    buf_init(&r->partial, REPLY_LINE_MAX);
}

void reply_clear(struct reply *r)
{
    buf_clear(&r->text);
    buf_clear(&r->partial);
}

static enum reply_state bad(struct reply *r, const char *why)
{
    r->why = why;
    return REPLY_BAD;
}

/* Forgets the reply that was complete. */
static void start(struct reply *r)
{
    if (!r->complete)
        return;
    buf_reset(&r->text);
    r->code = 0;
    r->lines = 0;
    r->enhanced = (struct enhanced){0};
    r->complete = false;
}

/* Digits of one part of an enhanced code (RFC 3463 2), not above 999. */
static bool take_number(struct str *text, unsigned *number)
{
    size_t n = 0;

    *number = 0;
    for (; n < text->n && n < 3 && ascii_is_digit(text->p[n]); n++)
        *number = *number * 10 + (unsigned)(text->p[n] - '0');
    *text = str_skip(*text, n);
    return n > 0;
}

static bool take_dot(struct str *text)
{
    if (text->n == 0 || text->p[0] != '.')
        return false;
    *text = str_skip(*text, 1);
    return true;
}

bool enhanced_parse(struct str *text, struct enhanced *e)
{
    struct str rest = *text;
    struct enhanced found;

    if (rest.n < 5 || rest.p[1] != '.' || !take_number(&rest, &found.class) || !take_dot(&rest) ||
        !take_number(&rest, &found.subject) || !take_dot(&rest) || !take_number(&rest, &found.detail))
        return false;
    if ((found.class != 2 && found.class != 4 && found.class != 5) || (rest.n && rest.p[0] != ' '))
        return false;
    *e = found;
    *text = str_skip(rest, rest.n > 0);
    return true;
}

static bool read_code(struct str line, unsigned *code)
{
    if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !ascii_is_digit(line.p[1]) || !ascii_is_digit(line.p[2]))
        return false;
    *code = (unsigned)(line.p[0] - '0') * 100 + (unsigned)(line.p[1] - '0') * 10 + (unsigned)(line.p[2] - '0');
    return line.n == 3 || line.p[3] == ' ' || line.p[3] == '-';
}

enum reply_state reply_line(struct reply *r, struct str line)
{
    struct enhanced e;
    struct str text;
    unsigned code;

    start(r);
    if (r->why != NULL)
        return REPLY_BAD;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (!read_code(line, &code))
        return bad(r, "what the server says is no SMTP reply");
    if (r->lines && code != r->code)
        return bad(r, "the lines of one reply have different codes");
    if (++r->lines > REPLY_LINES_MAX)
        return bad(r, "the reply has too many lines");
    r->code = code;
    text = str_skip(line, 4);
    if (enhanced_parse(&text, &e) && r->enhanced.class == 0 && e.class == code / 100)
        r->enhanced = e;
    buf_add(&r->text, text);
    buf_add_char(&r->text, '\n');
    if (r->text.failed)
        return bad(r, "the reply is too long");
    r->complete = line.n == 3 || line.p[3] == ' ';
    return r->complete ? REPLY_DONE : REPLY_MORE;
}

/* The rest of a line whose beginning came earlier. */
static enum reply_state whole_line(struct reply *r, struct str end)
{
    enum reply_state state;

    buf_add(&r->partial, end);
    if (r->partial.failed)
        return bad(r, "a line of the reply is too long");
    state = reply_line(r, buf_str(&r->partial));
    buf_reset(&r->partial);
    return state;
}

enum reply_state reply_feed(struct reply *r, struct str bytes, size_t *used)
{
    enum reply_state state = REPLY_MORE;
    struct str rest = bytes;

    *used = 0;
    if (r->why != NULL)
        return REPLY_BAD;
    while (state == REPLY_MORE) {
        ptrdiff_t end = str_find(rest, '\n');

        if (end < 0) {
            buf_add(&r->partial, rest);
            *used = bytes.n;
            return r->partial.failed ? bad(r, "a line of the reply is too long") : REPLY_MORE;
        }
        state = r->partial.n == 0 && end < REPLY_LINE_MAX ? reply_line(r, str_sub(rest, 0, (size_t)end))
                                                          : whole_line(r, str_sub(rest, 0, (size_t)end));
        rest = str_skip(rest, (size_t)end + 1);
        *used = bytes.n - rest.n;
    }
    return state;
}

bool reply_next_line(struct str *rest, struct str *line)
{
    return rest->n > 0 && str_next(rest, '\n', line);
}

/* Cuts what would split a UTF-8 character at the end. */
static struct str cut_utf8(struct str text, size_t longest)
{
    if (text.n <= longest)
        return text;
    while (longest > 0 && ((unsigned char)text.p[longest] & 0xc0) == 0x80)
        longest--;
    return str_sub(text, 0, longest);
}

static void add_clean(struct buf *out, struct str text)
{
    bool utf8 = str_is_utf8(text);

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        size_t control = str_control(str_skip(text, i));

        buf_add_char(out, c == '\t' ? ' ' : control > 0 || (c > 0x7f && !utf8) ? '?' : (char)c);
        i += control > 0 ? control - 1 : 0;
    }
}

void reply_words(const struct reply *r, size_t longest, struct buf *out)
{
    struct str rest = buf_str(&r->text), line;
    struct buf all;
    bool first = true;

    buf_init(&all, REPLY_TEXT_MAX + 64);
    if (r->enhanced.class)
        buf_addf(&all, "%u.%u.%u ", r->enhanced.class, r->enhanced.subject, r->enhanced.detail);
    while (reply_next_line(&rest, &line)) {
        line = str_trim(line);
        if (line.n == 0)
            continue;
        if (!first)
            buf_add_char(&all, ' ');
        add_clean(&all, line);
        first = false;
    }
    buf_add(out, cut_utf8(str_trim(buf_str(&all)), longest));
    buf_clear(&all);
}

void reply_capabilities(const struct reply *r, struct capabilities *c)
{
    struct str rest = buf_str(&r->text), line;

    capabilities_clear(c);
    if (!reply_next_line(&rest, &line))
        return;
    while (reply_next_line(&rest, &line))
        capabilities_add(c, line);
}
