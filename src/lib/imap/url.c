/* IMAP URLs. See url.h. */
#include "url.h"
#include "parse.h"

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    ptrdiff_t at = str_find(STR(digits), c);

    return at < 0 ? -1 : (int)(at % 16);
}

/* "%41" as "A". False: a percent sign that begins nothing, or no room. */
static bool decode(struct str text, struct arena *arena, struct str *out)
{
    char *bytes = arena_alloc(arena, text.n + 1);
    size_t n = 0;

    if (bytes == NULL)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        int high, low;

        bytes[n] = text.p[i];
        if (text.p[i] == '%') {
            high = i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
            low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;
            if (low < 0)
                return false;
            bytes[n] = (char)(high * 16 + low);
            i += 2;
        }
        n++;
    }
    *out = str_from(bytes, n);
    return true;
}

/* Cuts off ";NAME=" or "/;NAME=", in any case. */
static bool take(struct str *rest, const char *name)
{
    struct str word = str_of(name);

    if (rest->n < word.n || !str_ieq(str_sub(*rest, 0, word.n), word))
        return false;
    *rest = str_skip(*rest, word.n);
    return true;
}

static bool take_number(struct str *rest, uint64_t max, uint64_t *number)
{
    struct imap_parser p = {.rest = *rest};
    bool is = imap_number(&p, max, number);

    *rest = p.rest;
    return is;
}

/* nz-number */
static bool take_uid(struct str *rest, uint32_t *uid)
{
    uint64_t number = 0;
    bool is = take_number(rest, UINT32_MAX, &number) && number > 0;

    *uid = (uint32_t)number;
    return is;
}

static bool mailbox(struct str encoded, struct arena *arena, struct imap_url *url)
{
    struct imap_parser p = {.arena = arena, .utf8 = true};

    return encoded.n > 0 && decode(encoded, arena, &url->mailbox) && imap_mailbox_name(&p, &url->mailbox);
}

/* A colon in the first segment. */
static bool has_scheme(struct str name)
{
    ptrdiff_t colon = str_find(name, ':'), slash = str_find(name, '/');

    return colon >= 0 && (slash < 0 || colon < slash);
}

/* "[/]mailbox[;UIDVALIDITY=n]/", or nothing. */
static bool place(struct str *rest, struct arena *arena, struct imap_url *url)
{
    ptrdiff_t end = str_find(*rest, ';');
    struct str name = end < 0 ? (struct str){0} : str_sub(*rest, 0, (size_t)end);

    url->absolute = str_starts(name, STR("/"));
    if (url->absolute)
        name = str_skip(name, 1);
    if (end < 0 || str_starts(name, STR("/")) || (!url->absolute && has_scheme(name)))
        return false; /* of another server, or with a scheme (RFC 3986, section 4.2) */
    *rest = str_skip(*rest, (size_t)end);
    if (name.n == 0 && !url->absolute)
        return true;
    if (take(rest, ";UIDVALIDITY="))
        return take_uid(rest, &url->uidvalidity) && take(rest, "/") && mailbox(name, arena, url);
    if (!str_ends(name, STR("/")))
        return false;
    name.n--;
    return mailbox(name, arena, url);
}

static ptrdiff_t find_partial(struct str rest)
{
    for (size_t i = 0; i < rest.n; i++) {
        struct str here = str_skip(rest, i);

        if (take(&here, "/;PARTIAL="))
            return (ptrdiff_t)i;
    }
    return -1;
}

static bool section(struct str encoded, struct arena *arena, struct imap_url *url)
{
    struct imap_parser p = {.arena = arena, .utf8 = true};
    struct buf text;
    bool done;

    if (encoded.n == 0 || !decode(encoded, arena, &encoded))
        return false;
    buf_init(&text, encoded.n + 2);
    buf_add_char(&text, '[');
    buf_add(&text, encoded);
    buf_add_char(&text, ']');
    p.rest = arena_str(arena, buf_str(&text));
    buf_clear(&text);
    done = p.rest.p != NULL && imap_section(&p, &url->section) && p.rest.n == 0;
    return done;
}

static bool partial(struct str *rest, struct imap_url *url)
{
    if (!take(rest, "/;PARTIAL="))
        return true;
    url->partial = true;
    url->length = INT64_MAX;
    if (!take_number(rest, INT64_MAX, &url->offset))
        return false;
    return !take(rest, ".") || (take_number(rest, INT64_MAX, &url->length) && url->length > 0);
}

bool imap_url_parse(struct str text, struct arena *arena, struct imap_url *url)
{
    struct str rest = text, inside;
    ptrdiff_t end;

    *url = (struct imap_url){0};
    if (!place(&rest, arena, url) || !take(&rest, ";UID=") || !take_uid(&rest, &url->uid))
        return false;
    if (take(&rest, "/;SECTION=")) {
        end = find_partial(rest);
        inside = end < 0 ? rest : str_sub(rest, 0, (size_t)end);
        rest = str_skip(rest, inside.n);
        if (!section(inside, arena, url))
            return false;
    }
    return partial(&rest, url) && rest.n == 0;
}

void imap_url_write(struct buf *out, struct str text)
{
    text = str_sub(text, 0, text.n < IMAP_URL_SHOWN ? text.n : IMAP_URL_SHOWN);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c < ' ' || c >= 0x7f || c == ']' || c == '\\')
            buf_addf(out, "%%%02X", c);
        else
            buf_add_char(out, (char)c);
    }
}
