/* Parameter lists (RFC 2045, section 5.1) with the continuations and charsets of RFC 2231, and the encoded words many
 * put there instead. Lenient as readers are: values may hold blanks and specials without quotes up to the next
 * semicolon. */
#include "mime/address_words.h"
#include "mime/charset.h"
#include "mime/part.h"
#include "mime/words.h"

#include <string.h>

/* One piece "name*2*=value" of RFC 2231. */
struct piece {
    struct str name, value; /* value: in the arena, as written */
    unsigned number;
    bool encoded, taken;
};

struct reading {
    struct arena *arena;
    struct mime_parameter *first, **end;
    struct piece *pieces;
    size_t piece_count, count;
    bool full;
};

static struct str skip_blanks(struct str text)
{
    size_t n;

    while ((n = address_blank_length(text)) > 0)
        text = str_skip(text, n);
    return text;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A copy without folding and, when it was quoted, without quoted pairs. */
static struct str copy_value(struct reading *r, struct str text, bool quoted)
{
    char *start = arena_alloc(r->arena, text.n + 1), *p = start;

    r->full = r->full || start == NULL;
    for (size_t i = 0; start != NULL && i < text.n; i++) {
        if (quoted && text.p[i] == '\\' && i + 1 < text.n)
            i++;
        if (text.p[i] != '\r' && text.p[i] != '\n' && text.p[i] != 0)
            *p++ = text.p[i];
    }
    return (struct str){start, (size_t)(p - start)};
}

/* Takes a value without quotes: a token, or when more than a comment follows it, all up to the semicolon. */
static struct str read_token(struct reading *r, struct str *rest)
{
    size_t n = 0, whole;
    struct str behind, text = *rest;

    while (n < text.n && text.p[n] != ';' && text.p[n] != '(' && !is_blank(text.p[n]))
        n++;
    behind = skip_blanks(str_skip(text, n));
    whole = (size_t)(behind.p - text.p);
    if (behind.n && behind.p[0] != ';') {
        ptrdiff_t end = str_find(behind, ';');

        whole = end < 0 ? text.n : whole + (size_t)end;
        n = whole;
    }
    *rest = str_skip(text, whole);
    return copy_value(r, str_trim(str_sub(text, 0, n)), false);
}

static struct str read_value(struct reading *r, struct str *rest)
{
    size_t n;
    struct str value;

    *rest = skip_blanks(*rest);
    if (rest->n == 0 || rest->p[0] != '"')
        return read_token(r, rest);
    n = address_run_length(*rest, '"', '"');
    value = str_sub(*rest, 1, n > rest->n ? rest->n : n - 1);
    *rest = str_skip(*rest, n);
    return copy_value(r, value, true);
}

static struct mime_parameter *add_parameter(struct reading *r, struct str name)
{
    struct mime_parameter *p = arena_alloc(r->arena, sizeof *p);

    r->full = r->full || p == NULL;
    if (p == NULL)
        return NULL;
    p->name = name;
    *r->end = p;
    r->end = &p->next;
    return p;
}

static struct str keep(struct reading *r, struct buf *text)
{
    struct str kept = arena_str(r->arena, buf_str(text));

    r->full = r->full || kept.p == NULL;
    buf_clear(text);
    return kept;
}

static void add_plain(struct reading *r, struct str name, struct str value)
{
    struct mime_parameter *p = add_parameter(r, name);
    struct buf text;

    if (p == NULL)
        return;
    p->written = p->value = value;
    if (str_is_ascii(value) && str_ifind(value, STR("=?")) < 0)
        return;
    buf_init(&text, MIME_HEADER_MAX * 4);
    mime_decode_words(value, &text);
    p->value = keep(r, &text);
}

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, ascii_lower(c)) : NULL;

    return at ? (int)(at - digits) : -1;
}

static void add_percent_decoded(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        int high = text.p[i] == '%' && i + 2 < text.n ? hex_value(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.p[i + 2]) : -1;

        buf_add_char(out, low >= 0 ? (char)(high * 16 + low) : text.p[i]);
        i += low >= 0 ? 2 : 0;
    }
}

/* Cuts "charset'language'" off the first piece; the charset is empty when there is none. */
static struct str cut_charset(struct str *value)
{
    struct str rest = *value, charset, language;

    if (!str_next(&rest, '\'', &charset) || charset.n == value->n || !str_next(&rest, '\'', &language))
        return (struct str){0};
    if (rest.p == NULL || (rest.n == 0 && value->p[value->n - 1] != '\''))
        return (struct str){0};
    *value = rest;
    return charset;
}

static struct piece *find_piece(struct reading *r, struct str name, unsigned number)
{
    for (size_t i = 0; i < r->piece_count; i++)
        if (!r->pieces[i].taken && r->pieces[i].number == number && str_eq(r->pieces[i].name, name))
            return &r->pieces[i];
    return NULL;
}

/* Puts the pieces of one name together, from number 0 to the first that is missing. */
static void join_pieces(struct reading *r, struct str name)
{
    struct mime_parameter *p = add_parameter(r, name);
    struct str charset = {0};
    struct buf text, utf8;
    struct piece *piece;

    if (p == NULL)
        return;
    buf_init(&text, MIME_HEADER_MAX);
    for (unsigned number = 0; (piece = find_piece(r, name, number)) != NULL; number++) {
        struct str value = piece->value;

        piece->taken = true;
        if (number == 0 && piece->encoded) {
            charset = cut_charset(&value);
            p->extended = true;
        }
        if (piece->encoded)
            add_percent_decoded(&text, value);
        else
            buf_add(&text, value);
    }
    buf_init(&utf8, MIME_HEADER_MAX * 4);
    if (p->extended)
        charset_to_utf8(charset, buf_str(&text), &utf8);
    else
        mime_decode_words(buf_str(&text), &utf8);
    p->written = keep(r, &text);
    p->value = keep(r, &utf8);
}

/* "name*", "name*0", "name*0*": false when it is nothing of the kind. */
static bool split_name(struct str name, struct piece *piece)
{
    ptrdiff_t star = str_find(name, '*');
    struct str rest = str_skip(name, (size_t)(star + 1));
    uint64_t number = 0;

    if (star <= 0)
        return false;
    *piece = (struct piece){.name = str_sub(name, 0, (size_t)star), .encoded = rest.n == 0};
    if (rest.n && rest.p[rest.n - 1] == '*') {
        piece->encoded = true;
        rest.n--;
    }
    if (rest.n && !str_to_u64(rest, MIME_PARAMETERS_MAX, &number))
        return false;
    piece->number = (unsigned)number;
    return true;
}

static void add_piece(struct reading *r, struct piece piece, struct str value)
{
    if (r->pieces == NULL)
        r->pieces = arena_alloc(r->arena, MIME_PARAMETERS_MAX * sizeof *r->pieces);
    r->full = r->full || r->pieces == NULL;
    if (r->pieces == NULL || find_piece(r, piece.name, piece.number) != NULL)
        return;
    piece.value = value;
    r->pieces[r->piece_count++] = piece;
}

static struct str lower_copy(struct reading *r, struct str text)
{
    char *p = arena_alloc(r->arena, text.n + 1);
    size_t n = 0;

    r->full = r->full || p == NULL;
    for (size_t i = 0; p != NULL && i < text.n; i++)
        if (text.p[i] != 0)
            p[n++] = ascii_lower(text.p[i]);
    return (struct str){p, n};
}

/* One "name=value"; what is no parameter is passed over up to the semicolon. */
static void read_one(struct reading *r, struct str *rest)
{
    size_t n = 0;
    struct piece piece;
    struct str name, value;

    while (n < rest->n && rest->p[n] != '=' && rest->p[n] != ';' && rest->p[n] != '(' && !is_blank(rest->p[n]))
        n++;
    name = str_sub(*rest, 0, n);
    *rest = skip_blanks(str_skip(*rest, n));
    if (name.n == 0 || rest->n == 0 || rest->p[0] != '=') {
        ptrdiff_t end = str_find(*rest, ';');

        *rest = str_skip(*rest, end < 0 ? rest->n : (size_t)end);
        return;
    }
    *rest = str_skip(*rest, 1);
    value = read_value(r, rest);
    name = lower_copy(r, name);
    r->count++;
    if (r->full)
        return;
    if (split_name(name, &piece))
        add_piece(r, piece, value);
    else
        add_plain(r, name, value);
}

struct mime_parameter *mime_parameter_list(struct str text, struct arena *arena, bool *full)
{
    struct reading r = {.arena = arena};

    r.end = &r.first;
    while (!r.full && r.count < MIME_PARAMETERS_MAX) {
        while (text = skip_blanks(text), text.n && text.p[0] == ';')
            text = str_skip(text, 1);
        if (text.n == 0)
            break;
        read_one(&r, &text);
    }
    for (size_t i = 0; i < r.piece_count && !r.full; i++)
        if (!r.pieces[i].taken && r.pieces[i].number == 0)
            join_pieces(&r, r.pieces[i].name);
    *full = *full || r.full;
    return r.first;
}

struct str mime_parameter_find(const struct mime_parameter *list, const char *name)
{
    const struct mime_parameter *found = NULL;

    for (const struct mime_parameter *p = list; p != NULL; p = p->next)
        if (str_eq(p->name, str_of(name)) && (found == NULL || (p->extended && !found->extended)))
            found = p;
    return found ? found->value : (struct str){0};
}
