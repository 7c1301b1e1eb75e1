/* Address lists as IMAP's ENVELOPE tells them (RFC 9051, section 7.5.2): names, routes, groups, and something for every
 * member that is not empty, however malformed. What has no '@' is a mailbox without a host when it is one
 * word, else a name without an address; words around an address without brackets are its name, and so is
 * a comment when there is no better one. A quote or bracket without its end is passed over. */
#include "mime/address_words.h"
#include "mime/part.h"

#include <string.h>

struct words {
    struct str rest;
    struct str comment; /* the last one seen, with its parentheses */
    bool gap;           /* blanks or a comment stood before the word */
    bool no_quote, no_bracket, no_comment; /* one without an end was seen: all that follow have none */
};

struct walk {
    struct arena *arena;
    struct mime_address **end;
    bool in_group, full;
};

struct member {
    struct str text;          /* all of it, up to its separator */
    struct str phrase, inner; /* before and inside <...> */
    struct str comment;
    bool angle, at;
    size_t words;
};

/* Of an encoded word (RFC 2047) at the start; 0 when there is none. Specials in it are no specials. */
static size_t encoded_length(struct str text)
{
    unsigned marks = 0;

    if (text.n < 2 || text.p[0] != '=' || text.p[1] != '?')
        return 0;
    for (size_t i = 2; i + 1 < text.n && i < 500; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c <= ' ' || c == '"')
            return 0;
        if (c == '?' && ++marks >= 3 && text.p[i + 1] == '=')
            return i + 2;
    }
    return 0;
}

/* The length of the run at the start, 1 when it has no end. */
static size_t whole_run(struct str text, char open, char close, bool *without_end)
{
    size_t n = *without_end ? text.n + 1 : address_run_length(text, open, close);

    *without_end = n > text.n;
    return n > text.n ? 1 : n;
}

static size_t length_of_word(struct words *w)
{
    size_t n = encoded_length(w->rest);

    if (n)
        return n;
    if (w->rest.p[0] == '"')
        return whole_run(w->rest, '"', '"', &w->no_quote);
    if (w->rest.p[0] == '[')
        return whole_run(w->rest, '[', ']', &w->no_bracket);
    return address_word_length(w->rest);
}

/* The next word or special; false at the end. */
static bool next_word(struct words *w, struct str *word)
{
    w->gap = false;
    while (w->rest.n && (w->rest.p[0] != '(' || !w->no_comment)) {
        bool comment = w->rest.p[0] == '(';
        size_t n = comment ? whole_run(w->rest, '(', ')', &w->no_comment) : address_blank_length(w->rest);

        if (n == 0 || (comment && w->no_comment))
            break;
        if (comment)
            w->comment = str_sub(w->rest, 0, n);
        w->rest = str_skip(w->rest, n);
        w->gap = true;
    }
    if (w->rest.n == 0)
        return false;
    *word = str_sub(w->rest, 0, length_of_word(w));
    w->rest = str_skip(w->rest, word->n);
    return true;
}

/* Adds a word at p: quotes and folding taken out. */
static char *put_word(char *p, struct str word)
{
    bool quoted = word.p[0] == '"';

    if (quoted)
        word = word.n > 1 ? str_sub(word, 1, word.n - 1) : (struct str){0};
    for (size_t i = 0; i < word.n; i++) {
        if (quoted && word.p[i] == '\\' && i + 1 < word.n)
            i++;
        if (word.p[i] != '\r' && word.p[i] != '\n' && word.p[i] != 0)
            *p++ = word.p[i];
    }
    return p;
}

/* The words of text, with single blanks between those that stood apart, or with none. Never .p NULL but when the arena
 * is full. */
static struct str join_words(struct walk *k, struct str text, bool blanks)
{
    struct words w = {.rest = text};
    char *start = arena_alloc(k->arena, text.n + 1), *p = start;
    struct str word;

    k->full = k->full || start == NULL;
    while (start != NULL && next_word(&w, &word)) {
        if (blanks && w.gap && p > start)
            *p++ = ' ';
        p = put_word(p, word);
    }
    return (struct str){start, (size_t)(p - start)};
}

/* A name, .p NULL when there are no words in the text and no comment. */
static struct str name_of(struct walk *k, struct str text, struct str comment)
{
    struct str name = join_words(k, text, true);

    if (name.n == 0 && comment.n > 2) {
        /* The inside of a comment is a quoted string with other brackets. */
        char *p = arena_alloc(k->arena, comment.n), *end = p;

        k->full = k->full || p == NULL;
        for (size_t i = 1; p != NULL && i + 1 < comment.n; i++) {
            if (comment.p[i] == '\\' && i + 2 < comment.n)
                i++;
            if (comment.p[i] != '\r' && comment.p[i] != '\n' && comment.p[i] != 0)
                *end++ = comment.p[i];
        }
        name = str_trim((struct str){p, (size_t)(end - p)});
    }
    return name.n ? name : (struct str){0};
}

static struct mime_address *add_address(struct walk *k)
{
    struct mime_address *a = arena_alloc(k->arena, sizeof *a);

    k->full = k->full || a == NULL;
    if (a != NULL) {
        *k->end = a;
        k->end = &a->next;
    }
    return a;
}

/* What stands before and behind the first special `c` of text; false when there is none. */
static bool split_at(struct str text, char c, struct str *before, struct str *behind)
{
    struct words w = {.rest = text};
    struct str word;

    while (next_word(&w, &word))
        if (word.n == 1 && word.p[0] == c) {
            *before = str_sub(text, 0, (size_t)(word.p - text.p));
            *behind = w.rest;
            return true;
        }
    return false;
}

static void set_spec(struct walk *k, struct mime_address *a, struct str spec)
{
    struct str local = spec, host = {0};

    split_at(spec, '@', &local, &host);
    a->mailbox = join_words(k, local, false);
    a->host = join_words(k, host, false);
}

/* "Name <@route:user@host>" */
static void end_angle(struct walk *k, const struct member *m)
{
    struct mime_address *a = add_address(k);
    struct str spec = str_trim(m->inner), route;

    if (a == NULL)
        return;
    a->name = name_of(k, m->phrase, m->comment);
    if (spec.n && spec.p[0] == '@' && split_at(spec, ':', &route, &spec))
        a->route = join_words(k, route, false);
    set_spec(k, a, spec);
}

static bool joins(char c)
{
    return c == '.' || c == '@';
}

/* The words without a gap between them that have the first '@' in them, or else all words when there is no gap
 * at all; empty: none. */
static struct str find_spec(struct str text)
{
    struct words w = {.rest = text};
    struct str word, run = {0};
    bool at = false, gaps = false;
    char last = 0;

    while (next_word(&w, &word)) {
        if (run.n && w.gap && !joins(word.p[0]) && !joins(last)) {
            if (at)
                break;
            run.n = 0;
            gaps = true;
        }
        if (run.n == 0)
            run.p = word.p;
        run.n = (size_t)(word.p + word.n - run.p);
        at = at || (word.n == 1 && word.p[0] == '@');
        last = word.p[word.n - 1];
    }
    return at || !gaps ? run : (struct str){0};
}

/* "user@host", or whatever it is. */
static void end_bare(struct walk *k, const struct member *m)
{
    struct mime_address *a = add_address(k);
    struct str spec = find_spec(m->text), before = m->text, behind = {0};

    if (a == NULL)
        return;
    if (spec.n) {
        size_t from = (size_t)(spec.p - m->text.p);

        before = str_sub(m->text, 0, from);
        behind = str_skip(m->text, from + spec.n);
    }
    a->name = name_of(k, before, (struct str){0});
    if (a->name.n == 0)
        a->name = name_of(k, behind, m->comment);
    set_spec(k, a, spec);
}

static void end_member(struct walk *k, struct member *m)
{
    if (m->angle)
        end_angle(k, m);
    else if (m->words)
        end_bare(k, m);
    *m = (struct member){0};
}

static void begin_group(struct walk *k, struct str name)
{
    struct mime_address *a = add_address(k);

    k->in_group = true;
    if (a != NULL)
        a->mailbox = join_words(k, name, true);
}

static void end_group(struct walk *k)
{
    if (k->in_group)
        add_address(k);
    k->in_group = false;
}

/* The inside of "<...>"; what has no end is all that follows. */
static struct str read_inner(struct words *w)
{
    struct str start = w->rest, word;

    while (next_word(w, &word))
        if (word.n == 1 && word.p[0] == '>')
            return str_sub(start, 0, (size_t)(word.p - start.p));
    return start;
}

static void add_word(struct walk *k, struct member *m, struct words *w, struct str word)
{
    char c = word.n == 1 ? word.p[0] : 0;
    size_t before = (size_t)(word.p - m->text.p);

    if (c == '<' && !m->angle) {
        m->angle = true;
        m->phrase = str_from(m->text.p, before);
        m->inner = read_inner(w);
    } else if (c == ':' && !m->angle && !m->at) {
        end_group(k);
        begin_group(k, str_from(m->text.p, before));
        *m = (struct member){.text.p = w->rest.p};
        w->comment = (struct str){0};
    } else if (c != '"') {
        m->words++;
        m->at = m->at || c == '@';
    }
}

struct mime_address *mime_address_list(struct str value, struct arena *arena, bool *full)
{
    struct mime_address *first = NULL;
    struct walk k = {.arena = arena, .end = &first};
    struct words w = {.rest = value};
    struct member m = {.text.p = value.p};
    struct str word;
    bool more;

    do {
        more = next_word(&w, &word);
        if (more && !(word.n == 1 && (word.p[0] == ',' || word.p[0] == ';'))) {
            add_word(&k, &m, &w, word);
            continue;
        }
        m.text.n = (size_t)((more ? word.p : value.p + value.n) - m.text.p);
        m.comment = w.comment;
        end_member(&k, &m);
        m.text.p = w.rest.p;
        w.comment = (struct str){0};
        if (!more || word.p[0] == ';')
            end_group(&k);
    } while (more && !k.full);
    *full = *full || k.full;
    return first;
}
