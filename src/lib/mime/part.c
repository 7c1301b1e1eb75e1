/* The push parser of a message's structure. Open parts stand on a stack of frames, the innermost last; the parser is in the
 * header or in the body of that one. Headers are read field by field, bodies line by line and only for their
 * beginnings: where no multipart is open, only line ends are counted.
 *
 * What lies across two chunks is in `held`: the field under way, or the beginning of a line that may be a boundary.
 * offset and lines count all that was taken from the chunks, what is held included, so held bytes can be
 * dropped at any time. */
#include "mime/part.h"

#include "mime/part_fields.h"

#include <stdlib.h>
#include <string.h>

enum {
    LINE_MAX_OCTETS = MIME_BOUNDARY_MAX + 24, /* of a line that may be a boundary */
    DECIDED = 2 * LINE_MAX_OCTETS,             /* with so much of a line in sight its kind is clear */
    NAME_MAX_OCTETS = 255,
    FIELDS_MAX = 5000, /* of one header; what comes behind is passed over */
};
enum line { LINE_FIELD, LINE_MBOX, LINE_BLANK, LINE_BOUNDARY, LINE_BODY };

struct frame {
    struct mime_part *part, *last; /* its last child */
    struct str boundary;           /* empty: none is looked for, or no longer */
    uint64_t header_lines, body_lines; /* line ends before its header, its body */
    unsigned fields;
};

struct mime_parser {
    struct arena *arena;
    struct mime_part *root;
    struct frame frames[MIME_DEPTH_MAX];
    size_t depth;      /* frames in use */
    size_t boundaries; /* of them have a boundary */
    unsigned parts;
    bool in_header, line_start, skipping; /* skipping: the rest of a boundary line */
    bool full, opaque, ending;
    struct place {
        uint64_t offset, lines;
        char tail[2]; /* the last two bytes before */
    } here, held_from;
    struct buf held;
    bool held_field, held_whole; /* its first line is a field's; its last line is whole */
};

struct match {
    size_t frame;
    bool closes;
};

static struct frame *top(struct mime_parser *p)
{
    return &p->frames[p->depth - 1];
}

/* ---- parts ---- */

static struct mime_part *new_part(struct mime_parser *p, bool is_message)
{
    struct mime_part *part = arena_alloc(p->arena, sizeof *part);

    if (part != NULL && is_message) {
        part->envelope = arena_alloc(p->arena, sizeof *part->envelope);
        if (part->envelope == NULL)
            part = NULL;
    }
    p->full = p->full || part == NULL;
    return part;
}

static void push(struct mime_parser *p, struct mime_part *part)
{
    part->header = part->body = part->end = p->here.offset;
    p->frames[p->depth++] = (struct frame){.part = part, .header_lines = p->here.lines, .body_lines = p->here.lines};
    p->parts++;
    p->in_header = p->line_start = true;
}

static void drop_boundary(struct mime_parser *p, struct frame *f)
{
    if (f->boundary.n)
        p->boundaries--;
    f->boundary.n = 0;
}

/* From here on all is body of the part that is open now. */
static void stop_looking(struct mime_parser *p)
{
    for (size_t i = 0; i < p->depth; i++)
        drop_boundary(p, &p->frames[i]);
    p->in_header = false;
}

/* The arena is full: the message is one opaque part. */
static void make_opaque(struct mime_parser *p)
{
    stop_looking(p);
    p->opaque = true;
    p->skipping = false;
    p->depth = 1;
    p->held.n = 0;
    p->root->first = NULL;
    mime_part_make(p->root, STR("application"), STR("octet-stream"));
}

static void begin_child(struct mime_parser *p)
{
    struct frame *f = top(p);
    bool is_message = mime_part_is(f->part, "message", NULL);
    struct mime_part *part = new_part(p, is_message);

    if (part == NULL)
        return;
    part->parent = f->part;
    *(f->last ? &f->last->next : &f->part->first) = part;
    f->last = part;
    push(p, part);
    if (p->parts == MIME_PARTS_MAX) {
        mime_part_make(part, STR("application"), STR("octet-stream"));
        mime_part_defaults(part, false);
        stop_looking(p);
    }
}

/* As written: it is compared with bytes. */
static struct str written_boundary(const struct mime_part *part)
{
    for (const struct mime_parameter *p = part->parameters; p != NULL; p = p->next)
        if (str_eq(p->name, STR("boundary")))
            return p->written;
    return (struct str){0};
}

static void begin_multipart(struct mime_parser *p)
{
    struct frame *f = top(p);
    struct str boundary = written_boundary(f->part);

    while (boundary.n && (boundary.p[boundary.n - 1] == ' ' || boundary.p[boundary.n - 1] == '\t'))
        boundary.n--;
    if (boundary.n == 0 || boundary.n > MIME_BOUNDARY_MAX) {
        mime_part_make(f->part, STR("text"), STR("plain"));
        return;
    }
    f->boundary = boundary;
    p->boundaries++;
}

/* The header of the innermost part ends where the parser stands. */
static void end_header(struct mime_parser *p)
{
    struct frame *f = top(p);
    struct mime_part *part = f->part;
    bool multipart, message;

    part->body = part->end = p->here.offset;
    part->header_lines = p->here.lines - f->header_lines;
    f->body_lines = p->here.lines;
    p->in_header = false;
    p->line_start = true;
    mime_part_defaults(part, part->parent != NULL && mime_part_is(part->parent, "multipart", "digest"));
    multipart = mime_part_is(part, "multipart", NULL);
    message = mime_part_is_message(part);
    if (p->depth == MIME_DEPTH_MAX && (multipart || message))
        mime_part_make(part, STR("application"), STR("octet-stream"));
    else if (multipart)
        begin_multipart(p);
    else if (message)
        begin_child(p);
}

/* Closes the innermost parts down to `depth` frames. The line end of `eol` bytes before `at` is not theirs, unless it
 * is that of the innermost header: then it is in all of them. */
static void close_parts(struct mime_parser *p, size_t depth, uint64_t at, uint64_t lines, unsigned eol)
{
    for (; p->depth > depth; p->depth--) {
        struct frame *f = top(p);
        struct mime_part *part = f->part;
        bool has_eol = eol > 0 && at > part->body;

        part->end = has_eol && at - part->body > eol ? at - eol : has_eol ? part->body : at;
        part->lines = lines - f->body_lines - has_eol;
        eol = has_eol ? eol : 0;
        if (mime_part_is(part, "multipart", NULL) && part->first == NULL)
            mime_part_make(part, STR("text"), STR("plain"));
        drop_boundary(p, f);
    }
}

/* ---- boundaries ---- */

/* How well a line that begins with "--" fits: 0 not at all, else how many bytes, all of it counting most. */
static size_t fit(struct str line, struct str boundary, bool *closes)
{
    size_t n = boundary.n + 2;

    if (boundary.n == 0 || line.n < n || memcmp(line.p + 2, boundary.p, boundary.n) != 0)
        return 0;
    *closes = line.n >= n + 2 && line.p[n] == '-' && line.p[n + 1] == '-';
    n += *closes ? 2 : 0;
    while (n < line.n && (line.p[n] == ' ' || line.p[n] == '\t' || line.p[n] == '\r' || line.p[n] == '\n'))
        n++;
    return n == line.n ? LINE_MAX_OCTETS + 1 : boundary.n;
}

/* Is this line, or as much of it as may matter, a boundary? Of which multipart? */
static bool find_boundary(const struct mime_parser *p, struct str line, struct match *match)
{
    size_t best = 0;

    if (p->boundaries == 0 || line.n < 3 || line.p[0] != '-' || line.p[1] != '-')
        return false;
    line = str_sub(line, 0, LINE_MAX_OCTETS);
    for (size_t i = p->depth; i-- > 0;) {
        bool closes = false;
        size_t n = fit(line, p->frames[i].boundary, &closes);

        if (n > best) {
            best = n;
            *match = (struct match){.frame = i, .closes = closes};
        }
    }
    return best > 0;
}

/* Goes over bytes with so many line ends in them. */
static void take(struct mime_parser *p, struct str bytes, uint64_t lines)
{
    if (bytes.n == 0)
        return;
    p->here.offset += bytes.n;
    p->here.lines += lines;
    p->here.tail[0] = bytes.n > 1 ? bytes.p[bytes.n - 2] : p->here.tail[1];
    p->here.tail[1] = bytes.p[bytes.n - 1];
}

/* Goes over a boundary line, or as much of it as is in sight. `eol`: length of the line end before it. */
static void pass_boundary(struct mime_parser *p, struct match match, struct str line, bool whole, unsigned eol)
{
    uint64_t at = p->here.offset, lines = p->here.lines;

    take(p, line, whole);
    close_parts(p, match.frame + 1, at, lines, eol);
    p->line_start = whole;
    if (match.closes) {
        drop_boundary(p, top(p));
        return;
    }
    begin_child(p);
    p->skipping = !whole;
}

/* The rest of a boundary line: the part begins behind it. */
static size_t skip_line(struct mime_parser *p, struct str bytes)
{
    ptrdiff_t end = str_find(bytes, '\n');
    struct frame *f = top(p);
    struct str line = end < 0 ? bytes : str_sub(bytes, 0, (size_t)end + 1);

    take(p, line, end >= 0);
    p->skipping = end < 0;
    f->part->header = f->part->body = f->part->end = p->here.offset;
    f->header_lines = f->body_lines = p->here.lines;
    return line.n;
}

/* ---- what is held ---- */

static void hold(struct mime_parser *p, struct str bytes, uint64_t lines)
{
    buf_add(&p->held, str_sub(bytes, 0, MIME_HEADER_MAX - p->held.n));
    take(p, bytes, lines);
}

static void begin_holding(struct mime_parser *p, struct str bytes, uint64_t lines, bool is_field)
{
    p->held_from = p->here;
    p->held_field = is_field;
    p->held_whole = bytes.p[bytes.n - 1] == '\n';
    hold(p, bytes, lines);
}

static void feed(struct mime_parser *p, struct str bytes);

/* Reads what is held once more, now that there is enough of it. */
static void feed_held(struct mime_parser *p)
{
    struct buf text = p->held;

    buf_init(&p->held, text.ceiling);
    p->here = p->held_from;
    feed(p, buf_str(&text));
    buf_clear(&text);
}

/* ---- header ---- */

/* What this is, a line or as much of it as decides. */
static enum line classify(const struct mime_parser *p, struct str line, struct match *match)
{
    size_t n = 0, at;

    if (line.p[0] == '\n' || (line.p[0] == '\r' && line.n > 1 && line.p[1] == '\n'))
        return LINE_BLANK;
    if (find_boundary(p, line, match))
        return LINE_BOUNDARY;
    while (n < line.n && n <= NAME_MAX_OCTETS && line.p[n] > ' ' && line.p[n] < 0x7f && line.p[n] != ':')
        n++;
    at = n;
    while (at < line.n && at <= n + NAME_MAX_OCTETS && (line.p[at] == ' ' || line.p[at] == '\t'))
        at++;
    if (n > 0 && n <= NAME_MAX_OCTETS && at < line.n && line.p[at] == ':')
        return LINE_FIELD;
    if (p->here.offset == 0 && line.n < DECIDED && (str_starts(line, STR("From ")) || str_starts(line, STR(">From "))))
        return LINE_MBOX;
    return LINE_BODY;
}

static void give_field(struct mime_parser *p, struct str raw)
{
    struct frame *f = top(p);

    if (f->fields++ < FIELDS_MAX)
        mime_part_field(f->part, str_sub(raw, 0, MIME_HEADER_MAX), p->arena, &p->full);
}

/* Length of the field at the start; 0 when its end is not in sight. Counts the line ends. */
static size_t field_length(struct str text, uint64_t *lines)
{
    size_t from = 0;
    const char *end;

    *lines = 0;
    while (from < text.n && (end = memchr(text.p + from, '\n', text.n - from)) != NULL) {
        ++*lines;
        from = (size_t)(end - text.p) + 1;
        if (from < text.n && text.p[from] != ' ' && text.p[from] != '\t')
            return from;
    }
    return 0;
}

static size_t read_field(struct mime_parser *p, struct str bytes)
{
    uint64_t lines;
    size_t n = field_length(bytes, &lines);

    if (n == 0 && !p->ending) {
        begin_holding(p, bytes, lines, true);
        return bytes.n;
    }
    n = n ? n : bytes.n;
    give_field(p, str_sub(bytes, 0, n));
    take(p, str_sub(bytes, 0, n), lines);
    return n;
}

static void end_headers(struct mime_parser *p)
{
    while (p->in_header)
        end_header(p);
}

/* One line or field; how much it used. 0: the header has ended before it. */
static size_t read_header(struct mime_parser *p, struct str bytes)
{
    ptrdiff_t end = str_find(bytes, '\n');
    struct str line = str_sub(bytes, 0, end < 0 ? bytes.n : (size_t)end + 1);
    struct match match;

    if (end < 0 && bytes.n < DECIDED && !p->ending) {
        begin_holding(p, bytes, 0, false);
        return bytes.n;
    }
    switch (classify(p, line, &match)) {
    case LINE_FIELD:
        return read_field(p, bytes);
    case LINE_BOUNDARY:
        end_headers(p);
        if (p->full)
            return 0;
        pass_boundary(p, match, line, end >= 0, 0);
        return line.n;
    case LINE_BODY:
        end_header(p);
        return 0;
    case LINE_BLANK:
    case LINE_MBOX:
        break;
    }
    take(p, line, end >= 0);
    if (line.p[0] == '\n' || line.p[0] == '\r')
        end_header(p);
    return line.n;
}

/* Goes on with a field, or with a line that may be one. */
static size_t read_held_header(struct mime_parser *p, struct str bytes)
{
    bool folds = bytes.p[0] == ' ' || bytes.p[0] == '\t';
    ptrdiff_t end;
    size_t n;

    if (p->held_field && p->held_whole && !folds) {
        give_field(p, buf_str(&p->held));
        buf_reset(&p->held);
        return 0;
    }
    end = str_find(bytes, '\n');
    n = end < 0 ? bytes.n : (size_t)end + 1;
    if (end < 0 && !p->held_field && n > DECIDED)
        n = DECIDED;
    hold(p, str_sub(bytes, 0, n), end >= 0);
    p->held_whole = end >= 0;
    if (!p->held_field && (p->held_whole || p->held.n >= DECIDED))
        feed_held(p);
    return n;
}

/* ---- body ---- */

static unsigned eol_length(const struct mime_parser *p)
{
    return p->here.tail[1] != '\n' ? 0 : p->here.tail[0] == '\r' ? 2 : 1;
}

/* A line that begins with "-", at a boundary or not; false when it is body text. The bytes before it are taken. */
static bool read_dashes(struct mime_parser *p, struct str bytes, size_t *used)
{
    struct str line = str_sub(bytes, 0, LINE_MAX_OCTETS);
    ptrdiff_t end = str_find(line, '\n');
    struct match match;

    if (end >= 0)
        line.n = (size_t)end + 1;
    *used = line.n;
    if (end < 0 && line.n < LINE_MAX_OCTETS && !p->ending) {
        begin_holding(p, line, 0, false);
        return true;
    }
    if (!find_boundary(p, line, &match))
        return false;
    pass_boundary(p, match, line, end >= 0, eol_length(p));
    return true;
}

/* Text up to and with a boundary line, or all there is. */
static size_t read_body(struct mime_parser *p, struct str bytes)
{
    const char *at = bytes.p, *end = bytes.p + bytes.n, *taken = at, *line_end;
    uint64_t lines = 0;
    size_t used;

    while (at < end) {
        if (*at == '-' && p->line_start && p->boundaries && (at + 1 == end || at[1] == '-')) {
            take(p, str_from(taken, (size_t)(at - taken)), lines);
            taken = at;
            lines = 0;
            if (read_dashes(p, str_from(at, (size_t)(end - at)), &used))
                return (size_t)(at - bytes.p) + used;
        }
        line_end = memchr(at, '\n', (size_t)(end - at));
        p->line_start = line_end != NULL;
        lines += line_end != NULL;
        at = line_end ? line_end + 1 : end;
    }
    take(p, str_from(taken, (size_t)(at - taken)), lines);
    return bytes.n;
}

/* Goes on with a line that may be a boundary. */
static size_t read_held_body(struct mime_parser *p, struct str bytes)
{
    struct str piece = str_sub(bytes, 0, LINE_MAX_OCTETS - p->held.n);
    ptrdiff_t end = str_find(piece, '\n');

    if (end >= 0)
        piece.n = (size_t)end + 1;
    hold(p, piece, end >= 0);
    if (end >= 0 || p->held.n == LINE_MAX_OCTETS)
        feed_held(p);
    return piece.n;
}

/* ---- the parser ---- */

static void feed(struct mime_parser *p, struct str bytes)
{
    while (bytes.n) {
        size_t n;

        if (p->skipping)
            n = skip_line(p, bytes);
        else if (p->in_header)
            n = p->held.n ? read_held_header(p, bytes) : read_header(p, bytes);
        else
            n = p->held.n ? read_held_body(p, bytes) : read_body(p, bytes);
        bytes = str_skip(bytes, n);
        if (p->full && !p->opaque && !(p->in_header && p->depth == 1))
            make_opaque(p);
    }
}

struct mime_parser *mime_parser_new(struct arena *arena)
{
    struct mime_parser *p = xcalloc(1, sizeof *p);

    p->arena = arena;
    buf_init(&p->held, MIME_HEADER_MAX);
    p->root = new_part(p, true);
    if (p->root != NULL)
        push(p, p->root);
    return p;
}

void mime_parser_add(struct mime_parser *p, struct str bytes)
{
    if (p->root != NULL)
        feed(p, bytes);
}

struct mime_part *mime_parser_end(struct mime_parser *p)
{
    struct mime_part *root = p->root;

    if (root != NULL) {
        p->ending = true;
        if (p->in_header && p->held_field && p->held.n)
            give_field(p, buf_str(&p->held));
        else if (p->held.n)
            feed_held(p);
        end_headers(p);
        if (p->full && !p->opaque)
            make_opaque(p);
        close_parts(p, 0, p->here.offset, p->here.lines, 0);
    }
    buf_clear(&p->held);
    free(p);
    return root;
}
