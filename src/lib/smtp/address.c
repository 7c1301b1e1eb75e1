/* Envelope addresses: RFC 5321 4.1.2 with the additions of RFC 6531 3.3. A cursor walks the text once;
 * nothing is copied until address_write. */
#include "smtp/address.h"

#include <idn2.h>
#include <string.h>

/* Letters of an atom (RFC 5322 3.2.3). */
static bool is_atext(char c, unsigned flags)
{
    if (ascii_is_alnum(c))
        return true;
    if ((unsigned char)c > 0x7f)
        return flags & ADDRESS_UTF8;
    return c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL;
}

static bool refuse(const char **why, const char *reason)
{
    *why = reason;
    return false;
}

/* "..." at the start of text; *n is its length with the quotes. */
static bool read_quoted(struct str text, unsigned flags, size_t *n, const char **why)
{
    for (size_t i = 1; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        if (c == '"') {
            *n = i + 1;
            return true;
        }
        if (c == '\\' && ++i < text.n)
            c = (unsigned char)text.p[i];
        if (c < 0x20 || c == 0x7f)
            return refuse(why, "control character in the quoted local part");
        if (c > 0x7f && !(flags & ADDRESS_UTF8))
            return refuse(why, "letters outside ASCII need SMTPUTF8");
    }
    return refuse(why, "quoted local part without its end");
}

static bool read_local(struct str text, unsigned flags, struct address *a, const char **why)
{
    size_t n = 0;
    bool dot = true; /* a dot is not allowed here */

    if (text.n && text.p[0] == '"') {
        a->quoted = true;
        if (!read_quoted(text, flags, &n, why))
            return false;
    } else {
        for (; n < text.n; n++) {
            if (text.p[n] == '.' ? dot : !is_atext(text.p[n], flags))
                break;
            dot = text.p[n] == '.';
        }
        if (n < text.n && (unsigned char)text.p[n] > 0x7f)
            return refuse(why, "letters outside ASCII need SMTPUTF8");
        if (n == 0)
            return refuse(why, "local part missing");
        if (dot || (n < text.n && text.p[n] == '.'))
            return refuse(why, "misplaced dot in the local part");
    }
    a->local = str_sub(text, 0, n);
    if (n > ADDRESS_LOCAL_MAX)
        return refuse(why, "local part too long");
    return true;
}

static bool is_domain_char(char c, bool utf8)
{
    return ascii_is_alnum(c) || c == '-' || c == '_' || (utf8 && (unsigned char)c > 0x7f);
}

static bool label_is_valid(struct str label, bool utf8)
{
    if (label.n == 0 || label.n > (utf8 ? 252 : 63) || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++)
        if (!is_domain_char(label.p[i], utf8))
            return false;
    return true;
}

bool domain_is_valid(struct str domain, bool utf8)
{
    struct str rest = domain, label;

    if (domain.n == 0 || domain.n > ADDRESS_DOMAIN_MAX)
        return false;
    while (str_next(&rest, '.', &label))
        if (!label_is_valid(label, utf8 && !str_is_ascii(label)))
            return false;
    return str_is_utf8(domain);
}

/* "user@192.0.2.1" without brackets: no name has a last label of digits (RFC 1123 2.1). */
static bool looks_like_ip(struct str domain)
{
    ptrdiff_t dot = str_rfind(domain, '.');
    struct str last = str_skip(domain, (size_t)(dot + 1));

    for (size_t i = 0; i < last.n; i++)
        if (!ascii_is_digit(last.p[i]))
            return false;
    return true;
}

bool domain_literal(struct str domain, struct ip *ip)
{
    struct str inner;
    bool v6;

    if (domain.n < 3 || domain.p[0] != '[' || domain.p[domain.n - 1] != ']')
        return false;
    inner = str_sub(domain, 1, domain.n - 1);
    v6 = str_istarts(inner, STR("IPv6:"));
    if (v6)
        inner = str_skip(inner, 5);
    if (!ip_parse(inner, ip))
        return false;
    return v6 == (str_find(inner, ':') >= 0);
}

static bool read_domain(struct str text, unsigned flags, struct address *a, const char **why)
{
    bool utf8 = flags & ADDRESS_UTF8;
    size_t n = 0;

    if (text.n && text.p[0] == '[') {
        n = (size_t)(str_find(text, ']') + 1);
        a->domain = str_sub(text, 0, n);
        a->literal = true;
        return domain_literal(a->domain, &a->ip) || refuse(why, "malformed address literal");
    }
    while (n < text.n && (text.p[n] == '.' || is_domain_char(text.p[n], utf8)))
        n++;
    a->domain = str_sub(text, 0, n);
    if (n < text.n && (unsigned char)text.p[n] > 0x7f)
        return refuse(why, "letters outside ASCII need SMTPUTF8");
    if (n == 0)
        return refuse(why, "domain missing");
    if (n > ADDRESS_DOMAIN_MAX)
        return refuse(why, "domain too long");
    if (!domain_is_valid(a->domain, utf8))
        return refuse(why, "malformed domain");
    if (looks_like_ip(a->domain))
        return refuse(why, "an IP address as domain needs brackets");
    return true;
}

/* A mailbox at the start of text; *n is its length. */
static bool read_mailbox(struct str text, unsigned flags, struct address *a, size_t *n, const char **why)
{
    struct str rest;

    if (!read_local(text, flags, a, why))
        return false;
    rest = str_skip(text, a->local.n);
    if (rest.n && rest.p[0] == '@') {
        if (!read_domain(str_skip(rest, 1), flags, a, why))
            return false;
        rest = str_skip(rest, a->domain.n + 1);
    } else if (!(flags & ADDRESS_LOCAL_ONLY)) {
        return refuse(why, "domain missing");
    }
    *n = text.n - rest.n;
    a->utf8 = !str_is_ascii(str_sub(text, 0, *n));
    if (a->utf8 && !str_is_utf8(str_sub(text, 0, *n)))
        return refuse(why, "not UTF-8");
    return !str_has_control(str_sub(text, 0, *n)) || refuse(why, "control character");
}

/* Passes over "@a,@b:" (RFC 5321 appendix C: accepted, ignored). */
static bool skip_source_route(struct str *text, unsigned flags, const char **why)
{
    while (text->n && text->p[0] == '@') {
        struct address hop = {0};

        if (!read_domain(str_skip(*text, 1), flags, &hop, why))
            return false;
        *text = str_skip(*text, hop.domain.n + 1);
        if (text->n == 0 || (text->p[0] != ',' && text->p[0] != ':'))
            return refuse(why, "malformed source route");
        if (text->p[0] == ',' && (text->n < 2 || text->p[1] != '@'))
            return refuse(why, "malformed source route");
        *text = str_skip(*text, 1);
    }
    return true;
}

bool address_parse_path(struct str *rest, unsigned flags, struct address *a, const char **why)
{
    struct str text = *rest;
    size_t n;

    *a = (struct address){0};
    *why = "";
    if (text.n == 0 || text.p[0] != '<')
        return refuse(why, "address without <>");
    text = str_skip(text, 1);
    if (text.n && text.p[0] == '>' && flags & ADDRESS_NULL) {
        *rest = str_skip(text, 1);
        return true;
    }
    if (!skip_source_route(&text, flags, why) || !read_mailbox(text, flags, a, &n, why))
        return false;
    text = str_skip(text, n);
    if (text.n == 0 || text.p[0] != '>')
        return refuse(why, "malformed address");
    *rest = str_skip(text, 1);
    return true;
}

bool address_parse(struct str text, unsigned flags, struct address *a, const char **why)
{
    size_t n;

    *a = (struct address){0};
    *why = "";
    if (text.n == 0)
        return flags & ADDRESS_NULL || refuse(why, "address missing");
    if (!read_mailbox(text, flags, a, &n, why))
        return false;
    return n == text.n || refuse(why, "malformed address");
}

static void add_lower(struct buf *out, struct str text)
{
    char *room = buf_reserve(out, text.n);

    if (room == NULL)
        return;
    for (size_t i = 0; i < text.n; i++)
        room[i] = ascii_lower(text.p[i]);
    out->n += text.n;
}

/* libidn2 wants NUL-terminated text. */
static bool terminated(struct str text, char *out, size_t size)
{
    if (text.n >= size || (text.n && memchr(text.p, 0, text.n) != NULL))
        return false;
    if (text.n)
        memcpy(out, text.p, text.n);
    out[text.n] = 0;
    return true;
}

bool domain_write(struct str domain, struct buf *out, const char **why)
{
    char text[ADDRESS_DOMAIN_MAX + 1], *alabels = NULL;
    bool ok;

    if (!domain_is_valid(domain, true) || !terminated(domain, text, sizeof text))
        return refuse(why, "malformed domain");
    if (str_is_ascii(domain)) {
        add_lower(out, domain);
        return !out->failed || refuse(why, "address too long");
    }
    if (idn2_to_ascii_8z(text, &alabels, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return refuse(why, "domain is no valid internationalised name");
    ok = domain_is_valid(str_of(alabels), false);
    if (ok)
        add_lower(out, str_of(alabels));
    idn2_free(alabels);
    return (ok && !out->failed) || refuse(why, "domain is no valid internationalised name");
}

void domain_write_unicode(struct str domain, struct buf *out)
{
    char text[ADDRESS_DOMAIN_MAX + 1], *ulabels = NULL;

    if (str_ifind(domain, STR("xn--")) >= 0 && terminated(domain, text, sizeof text) &&
        idn2_to_unicode_8z8z(text, &ulabels, 0) == IDN2_OK)
        buf_add(out, str_of(ulabels));
    else
        buf_add(out, domain);
    idn2_free(ulabels);
}

static void write_literal(const struct ip *ip, struct buf *out)
{
    char text[IP_TEXT];

    ip_format(ip, text);
    buf_addf(out, "[%s%s]", ip->family == 6 ? "IPv6:" : "", text);
}

static void write_local(const struct address *a, struct buf *out)
{
    char room[ADDRESS_LOCAL_MAX + 2];
    struct buf plain = {.p = room, .capacity = sizeof room, .ceiling = sizeof room};

    if (!a->quoted) {
        buf_add(out, a->local);
        return;
    }
    local_unquote(&plain, a->local);
    local_quote(out, buf_str(&plain));
}

/* The name that stands for the domain: "2" may come out of what only looks like another digit. */
static bool write_name(struct str domain, struct buf *out, const char **why)
{
    size_t before = out->n;

    if (!domain_write(domain, out, why))
        return false;
    return !looks_like_ip(str_skip(buf_str(out), before)) || refuse(why, "an IP address as domain needs brackets");
}

bool address_write(const struct address *a, struct buf *out, const char **why)
{
    size_t before = out->n;

    *why = "";
    if (a->local.n == 0)
        return true;
    write_local(a, out);
    if (a->domain.n) {
        buf_add_char(out, '@');
        if (a->literal)
            write_literal(&a->ip, out);
        else if (!write_name(a->domain, out, why))
            return false;
    }
    return (!out->failed && out->n - before <= ADDRESS_TEXT_MAX) || refuse(why, "address too long");
}

bool address_canonical(struct str text, unsigned flags, struct buf *out, const char **why)
{
    struct address a;

    return address_parse(text, flags, &a, why) && address_write(&a, out, why);
}

void address_split(struct str address, struct str *local, struct str *domain)
{
    ptrdiff_t at = str_rfind(address, '@');

    *local = at < 0 ? address : str_sub(address, 0, (size_t)at);
    *domain = at < 0 ? (struct str){0} : str_skip(address, (size_t)at + 1);
}

void local_unquote(struct buf *out, struct str local)
{
    if (local.n < 2 || local.p[0] != '"') {
        buf_add(out, local);
        return;
    }
    for (size_t i = 1; i + 1 < local.n; i++) {
        if (local.p[i] == '\\' && i + 2 < local.n)
            i++;
        buf_add_char(out, local.p[i]);
    }
}

static bool needs_quotes(struct str plain)
{
    bool dot = true;

    for (size_t i = 0; i < plain.n; i++) {
        if (plain.p[i] == '.' ? dot : !is_atext(plain.p[i], ADDRESS_UTF8))
            return true;
        dot = plain.p[i] == '.';
    }
    return dot;
}

void local_quote(struct buf *out, struct str plain)
{
    if (!needs_quotes(plain)) {
        buf_add(out, plain);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < plain.n; i++) {
        if (plain.p[i] == '"' || plain.p[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, plain.p[i]);
    }
    buf_add_char(out, '"');
}
