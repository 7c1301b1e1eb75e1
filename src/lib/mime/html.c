/* A machine of a few states over the bytes; what it must see whole (the name of a tag, an entity, the end of a script) is kept in
 * a small word, and what does not fit there is none. */
#include "mime/html.h"

#include "mime/html_entities.h"

#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 12 };
enum state { IN_TEXT, IN_ENTITY, IN_TAG_NAME, IN_TAG, IN_QUOTE, IN_DECLARATION, IN_COMMENT, IN_RAW, IN_RAW_END };

struct html_reader {
    enum state state;
    char word[WORD_MAX + 1]; /* an entity behind its '&', the name of a tag, "--" of a comment */
    size_t word_count;
    char quote;
    bool value; /* '=' was the last: a quote here begins a value */
    char raw[WORD_MAX]; /* the tag whose end is waited for */
    bool blank, line;   /* to be written before the next text */
    bool written;
};

struct html_reader *html_reader_new(void)
{
    return xcalloc(1, sizeof(struct html_reader));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

static void add_text(struct html_reader *r, struct str text, struct buf *out)
{
    if (r->written && (r->line || r->blank))
        buf_add_char(out, r->line ? '\n' : ' ');
    r->line = r->blank = false;
    r->written = true;
    buf_add(out, text);
}

static void add_code(struct html_reader *r, unsigned code, struct buf *out)
{
    char text[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

    if (code == 0xa0 || (code < 0x80 && is_blank((char)code))) {
        r->blank = true;
        return;
    }
    if (code == 0xad || code == 0x200b || code == 0x200c || code == 0xfeff || code == 0x34f)
        return; /* shown as nothing, and would part words in a search */
    for (size_t i = n; i-- > 1; code >>= 6)
        text[i] = (char)(0x80 | (code & 0x3f));
    text[0] = (char)(leads[n] | code);
    add_text(r, (struct str){text, n}, out);
}

static void keep(struct html_reader *r, char c)
{
    if (r->word_count <= WORD_MAX)
        r->word[r->word_count++] = c;
}

static struct str word(const struct html_reader *r)
{
    return (struct str){r->word, r->word_count};
}

static void begin(struct html_reader *r, enum state state)
{
    r->state = state;
    r->word_count = 0;
}

static bool is_one_of(struct str name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (str_ieq(name, str_of(*names)))
            return true;
    return false;
}

/* ---- entities ---- */

/* A number "#233" or "#xe9"; 0: none. Those of windows-1252 are meant so. */
static unsigned number_of(struct str text)
{
    bool hex = text.n > 1 && ascii_lower(text.p[1]) == 'x';
    unsigned code = 0;

    for (size_t i = hex ? 2 : 1; i < text.n; i++) {
        char c = ascii_lower(text.p[i]);

        if (ascii_is_digit(c))
            code = code * (hex ? 16 : 10) + (unsigned)(c - '0');
        else if (hex && c >= 'a' && c <= 'f')
            code = code * 16 + (unsigned)(c - 'a') + 10;
        else
            return 0;
        if (code > 0x10ffff)
            return 0xfffd;
    }
    return code >= 0xd800 && code < 0xe000 ? 0xfffd : code;
}

/* The entity is whole, or what follows '&' can be none: then it is text. */
static void end_entity(struct html_reader *r, struct buf *out)
{
    struct str name = word(r);
    unsigned code = name.n && name.p[0] == '#' ? number_of(name) : html_entity(name);

    begin(r, IN_TEXT);
    if (code != 0) {
        add_code(r, code, out);
        return;
    }
    add_text(r, STR("&"), out);
    if (name.n)
        add_text(r, name, out);
}

/* ---- tags ---- */

static void end_tag_name(struct html_reader *r)
{
    static const char *const blocks[] = {"p", "br", "div", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
        "blockquote", "pre", "body", "head", "title", "dt", "dd", "dl", "section", "article", "header", "footer", "form", NULL};
    static const char *const cells[] = {"td", "th", "option", "img", NULL};
    static const char *const raws[] = {"script", "style", "textarea", NULL};
    struct str name = word(r);

    if (name.n && name.p[0] == '/')
        name = str_skip(name, 1);
    else if (is_one_of(name, raws) && name.n < sizeof r->raw)
        memcpy(r->raw, name.p, name.n);
    if (name.n && name.p[name.n - 1] == '/')
        name.n--;
    r->line = r->line || is_one_of(name, blocks);
    r->blank = r->blank || is_one_of(name, cells);
}

static void end_tag(struct html_reader *r)
{
    begin(r, r->raw[0] ? IN_RAW : IN_TEXT);
}

/* ---- states: each takes one byte; false: the byte is for the state it changed to ---- */

static bool in_entity(struct html_reader *r, char c, struct buf *out)
{
    if ((ascii_is_alnum(c) || (c == '#' && r->word_count == 0)) && r->word_count < WORD_MAX) {
        keep(r, c);
        return true;
    }
    end_entity(r, out);
    return c == ';';
}

static bool in_tag_name(struct html_reader *r, char c, struct buf *out)
{
    if (r->word_count == 0 && !ascii_is_alpha(c) && c != '/' && c != '!' && c != '?') {
        begin(r, IN_TEXT);
        add_text(r, STR("<"), out); /* "a < b" */
        return false;
    }
    if (r->word_count == 0 && (c == '!' || c == '?')) {
        begin(r, IN_DECLARATION);
        return true;
    }
    if (c == '>' || is_blank(c)) {
        end_tag_name(r);
        r->state = IN_TAG;
        return is_blank(c);
    }
    keep(r, c);
    return true;
}

static bool in_tag(struct html_reader *r, char c, struct buf *out)
{
    (void)out;
    if (r->value && (c == '"' || c == '\'')) {
        r->quote = c;
        r->state = IN_QUOTE;
    } else if (c == '>') {
        end_tag(r);
    }
    r->value = c == '=' || (r->value && is_blank(c));
    return true;
}

static bool in_quote(struct html_reader *r, char c, struct buf *out)
{
    (void)out;
    if (c == r->quote)
        r->state = IN_TAG;
    return true;
}

static bool in_declaration(struct html_reader *r, char c, struct buf *out)
{
    (void)out;
    if (c == '>')
        begin(r, IN_TEXT);
    else if (c != '-')
        r->word_count = WORD_MAX; /* no comment any more */
    else if (++r->word_count == 2)
        begin(r, IN_COMMENT);
    return true;
}

static bool in_comment(struct html_reader *r, char c, struct buf *out)
{
    (void)out;
    if (c == '>' && r->word_count >= 2)
        begin(r, IN_TEXT);
    else
        r->word_count = c != '-' ? 0 : r->word_count < 2 ? r->word_count + 1 : 2;
    return true;
}

static bool in_raw(struct html_reader *r, char c, struct buf *out)
{
    (void)out;
    if (c == '<')
        begin(r, IN_RAW_END);
    return true;
}

/* Behind a '<' inside of a script: is it the end? */
static bool in_raw_end(struct html_reader *r, char c, struct buf *out)
{
    struct str name = word(r);

    (void)out;
    if (c != '>' && !is_blank(c) && c != '<' && r->word_count < WORD_MAX) {
        keep(r, c);
        return true;
    }
    if (name.n > 1 && name.p[0] == '/' && str_ieq(str_skip(name, 1), str_of(r->raw))) {
        memset(r->raw, 0, sizeof r->raw);
        begin(r, IN_TAG);
        return false;
    }
    begin(r, IN_RAW);
    return c != '<';
}

/* Text up to the next byte that matters; blanks collapse. */
static size_t read_text(struct html_reader *r, struct str text, struct buf *out)
{
    size_t n = 0;

    while (n < text.n && text.p[n] != '<' && text.p[n] != '&' && !is_blank(text.p[n]))
        n++;
    if (n > 0) {
        add_text(r, str_sub(text, 0, n), out);
        return n;
    }
    if (is_blank(text.p[0]))
        r->blank = true;
    else
        begin(r, text.p[0] == '<' ? IN_TAG_NAME : IN_ENTITY);
    return 1;
}

void html_reader_add(struct html_reader *r, struct str utf8, struct buf *out)
{
    static bool (*const states[])(struct html_reader *, char, struct buf *) = {[IN_ENTITY] = in_entity, [IN_TAG_NAME] = in_tag_name,
        [IN_TAG] = in_tag, [IN_QUOTE] = in_quote, [IN_DECLARATION] = in_declaration, [IN_COMMENT] = in_comment, [IN_RAW] = in_raw,
        [IN_RAW_END] = in_raw_end};
    size_t at = 0;

    while (at < utf8.n && !out->failed) {
        if (r->state == IN_TEXT)
            at += read_text(r, str_skip(utf8, at), out);
        else
            at += states[r->state](r, utf8.p[at], out);
    }
}

void html_reader_end(struct html_reader *r, struct buf *out)
{
    if (out != NULL && r->state == IN_ENTITY)
        end_entity(r, out);
    else if (out != NULL && r->state == IN_TAG_NAME && r->word_count == 0)
        add_text(r, STR("<"), out);
    free(r);
}
