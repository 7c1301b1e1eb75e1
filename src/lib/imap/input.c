/* Commands out of bytes. See input.h. */
#include "input.h"

#include <string.h>

enum { TAIL = 32 }; /* longer than any "~{n+}" with its line end */

enum state {
    IN_LINE,
    ASKED,         /* a literal was announced, the owner decides */
    IN_LITERAL,    /* collecting */
    IN_STREAM,
    SKIP_LINE,     /* of a command that is thrown away */
    SKIP_LITERAL,
    COMPLETE,      /* until imap_input_done */
};

void imap_input_init(struct imap_input *in)
{
    *in = (struct imap_input){.state = IN_LINE};
    buf_init(&in->command, IMAP_COMMAND_MAX);
    buf_init(&in->line, IMAP_LINE_MAX);
}

void imap_input_limit(struct imap_input *in, size_t line, size_t command)
{
    imap_input_clear(in);
    buf_init(&in->command, command);
    buf_init(&in->line, line);
}

void imap_input_clear(struct imap_input *in)
{
    buf_clear(&in->command);
    buf_clear(&in->line);
}

struct str imap_input_command(const struct imap_input *in)
{
    return buf_str(&in->command);
}

struct str imap_input_bytes(const struct imap_input *in)
{
    return in->view;
}

const struct imap_literal *imap_input_literal(const struct imap_input *in)
{
    return &in->literal;
}

struct str imap_input_tag(const struct imap_input *in)
{
    struct str tag = str_from(in->tag, in->tag_length);

    return imap_tag_is_valid(tag) ? tag : (struct str){0};
}

static void begin_anew(struct imap_input *in)
{
    buf_reset(&in->command);
    in->tag_length = 0;
    in->tag_complete = false;
    in->state = IN_LINE;
}

void imap_input_done(struct imap_input *in)
{
    if (in->state == COMPLETE)
        begin_anew(in);
}

bool imap_input_is_between(const struct imap_input *in)
{
    return in->state == IN_LINE && in->command.n == 0 && in->line.n == 0;
}

void imap_input_wipe(struct imap_input *in)
{
    if (in->command.p != NULL)
        explicit_bzero(in->command.p, in->command.capacity);
    if (in->line.p != NULL)
        explicit_bzero(in->line.p, in->line.capacity);
    buf_reset(&in->command);
}

void imap_input_forget(struct imap_input *in)
{
    buf_reset(&in->command);
}

/* ---- literals ---- */

/* A number that is too large for any literal counts as the largest: what follows is a literal that nobody wants, never commands. */
static bool size_of(struct str digits, uint64_t *size)
{
    for (size_t i = 0; i < digits.n; i++)
        if (!ascii_is_digit(digits.p[i]))
            return false;
    if (!str_to_u64(digits, INT64_MAX, size))
        *size = INT64_MAX;
    return digits.n > 0;
}

/* A line that ends with "{n}", "{n+}" or "~{n}" announces a literal (the grammar has no other use for that). */
static bool announces(struct str line, struct imap_literal *literal)
{
    ptrdiff_t open = str_rfind(line, '{');
    struct str inside;

    if (open < 0 || !str_ends(line, STR("}")))
        return false;
    inside = str_sub(line, (size_t)open + 1, line.n - 1);
    literal->synchronizing = !str_ends(inside, STR("+"));
    if (!literal->synchronizing)
        inside = str_sub(inside, 0, inside.n - 1);
    literal->binary = open > 0 && line.p[open - 1] == '~';
    return size_of(inside, &literal->size);
}

bool imap_input_asks(const struct imap_input *in)
{
    return in->state == ASKED;
}

void imap_input_take(struct imap_input *in)
{
    buf_add(&in->command, STR("\r\n"));
    in->left = in->literal.size;
    in->state = in->left > 0 ? IN_LITERAL : IN_LINE;
}

void imap_input_stream(struct imap_input *in)
{
    in->left = in->literal.size;
    in->state = IN_STREAM;
}

void imap_input_refuse(struct imap_input *in)
{
    if (in->state != ASKED)
        return;
    if (in->literal.synchronizing) {
        /* The client sends neither the literal nor the rest. */
        begin_anew(in);
        return;
    }
    in->left = in->literal.size;
    in->state = in->left > 0 ? SKIP_LITERAL : SKIP_LINE;
    in->told = true;
}

/* ---- lines ---- */

static void note_tag(struct imap_input *in, struct str bytes)
{
    for (size_t i = 0; i < bytes.n && !in->tag_complete; i++) {
        in->tag_complete = bytes.p[i] == ' ' || bytes.p[i] == '\r' || bytes.p[i] == '\n';
        if (in->tag_complete)
            break;
        if (in->tag_length == sizeof in->tag) { /* none that can be answered */
            in->tag_length = 0;
            in->tag_complete = true;
        } else {
            in->tag[in->tag_length++] = bytes.p[i];
        }
    }
}

/* Cuts a line, or the part of one, off *bytes; *ended says which. */
static struct str cut_line(struct str *bytes, bool *ended)
{
    const char *end = memchr(bytes->p, '\n', bytes->n);
    size_t n = end == NULL ? bytes->n : (size_t)(end - bytes->p) + 1;
    struct str piece = str_sub(*bytes, 0, n);

    *ended = end != NULL;
    *bytes = str_skip(*bytes, n);
    return piece;
}

static struct str without_end(struct str line)
{
    if (str_ends(line, STR("\n")))
        line.n--;
    if (str_ends(line, STR("\r")))
        line.n--;
    return line;
}

/* A literal that comes anyway is thrown away before the client hears of it. */
static enum imap_input_event too_long(struct imap_input *in, bool literal)
{
    if (literal && !in->literal.synchronizing) {
        in->state = ASKED;
        imap_input_refuse(in);
        in->told = false;
        return IMAP_INPUT_MORE;
    }
    in->state = COMPLETE;
    return IMAP_INPUT_TOO_LONG;
}

static enum imap_input_event line_complete(struct imap_input *in)
{
    struct str line = without_end(buf_str(&in->line));
    bool literal = announces(line, &in->literal);

    buf_add(&in->command, line);
    buf_reset(&in->line);
    if (in->command.failed)
        return too_long(in, literal);
    if (literal) {
        in->state = ASKED;
        return IMAP_INPUT_LITERAL;
    }
    in->state = COMPLETE;
    return IMAP_INPUT_COMMAND;
}

static enum imap_input_event read_line(struct imap_input *in, struct str *bytes)
{
    bool ended;
    struct str rest = *bytes, piece = cut_line(bytes, &ended);

    note_tag(in, piece);
    buf_add(&in->line, piece);
    if (!in->line.failed)
        return ended ? line_complete(in) : IMAP_INPUT_MORE;
    buf_reset(&in->line);
    in->told = false;
    in->state = SKIP_LINE;
    *bytes = rest;
    return IMAP_INPUT_MORE;
}

/* Keeps the last bytes of what is thrown away: a literal may be announced there. */
static void keep_tail(struct buf *tail, struct str piece)
{
    if (piece.n > TAIL)
        piece = str_skip(piece, piece.n - TAIL);
    if (tail->n + piece.n > TAIL)
        buf_consume(tail, tail->n + piece.n - TAIL);
    buf_add(tail, piece);
}

static enum imap_input_event skip_line(struct imap_input *in, struct str *bytes)
{
    bool ended, literal;

    keep_tail(&in->line, cut_line(bytes, &ended));
    if (!ended)
        return IMAP_INPUT_MORE;
    literal = announces(without_end(buf_str(&in->line)), &in->literal);
    buf_reset(&in->line);
    if (literal && !in->literal.synchronizing) {
        in->left = in->literal.size;
        in->state = in->left > 0 ? SKIP_LITERAL : SKIP_LINE;
    } else if (in->told) {
        begin_anew(in);
    } else {
        in->state = COMPLETE;
        return IMAP_INPUT_TOO_LONG;
    }
    return IMAP_INPUT_MORE;
}

/* ---- literals' bytes ---- */

static struct str cut_literal(struct imap_input *in, struct str *bytes)
{
    struct str piece = str_sub(*bytes, 0, in->left < bytes->n ? (size_t)in->left : bytes->n);

    in->left -= piece.n;
    *bytes = str_skip(*bytes, piece.n);
    return piece;
}

static enum imap_input_event read_literal(struct imap_input *in, struct str *bytes)
{
    buf_add(&in->command, cut_literal(in, bytes));
    if (in->command.failed) {
        in->told = false;
        in->state = SKIP_LITERAL;
    } else if (in->left == 0) {
        in->state = IN_LINE;
    }
    return IMAP_INPUT_MORE;
}

static enum imap_input_event skip_literal(struct imap_input *in, struct str *bytes)
{
    cut_literal(in, bytes);
    if (in->left == 0)
        in->state = SKIP_LINE;
    return IMAP_INPUT_MORE;
}

static enum imap_input_event read_stream(struct imap_input *in, struct str *bytes)
{
    if (in->left > 0) {
        in->view = cut_literal(in, bytes);
        return IMAP_INPUT_BYTES;
    }
    buf_add(&in->command, STR("\r\n"));
    in->state = IN_LINE;
    return IMAP_INPUT_STREAMED;
}

enum imap_input_event imap_input_next(struct imap_input *in, struct str *bytes)
{
    static enum imap_input_event (*const readers[])(struct imap_input *, struct str *) = {
        [IN_LINE] = read_line,
        [IN_LITERAL] = read_literal,
        [IN_STREAM] = read_stream,
        [SKIP_LINE] = skip_line,
        [SKIP_LITERAL] = skip_literal,
    };
    enum imap_input_event event = IMAP_INPUT_MORE;

    if (in->state == IN_STREAM && in->left == 0)
        return read_stream(in, bytes);
    while (event == IMAP_INPUT_MORE && bytes->n > 0 && in->state != COMPLETE && in->state != ASKED)
        event = readers[in->state](in, bytes);
    return event;
}
