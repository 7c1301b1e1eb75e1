/* See auth_results_read.h. */
#include "auth_results_read.h"
#include "dmarc_author.h"
#include "mime/address_words.h"

/* Comments and blanks; false where a comment has no end. */
static bool skip_cfws(struct str *rest)
{
    size_t n;

    while (rest->n > 0 && (n = address_blank_length(*rest)) > 0) {
        if (n > rest->n)
            return false;
        *rest = str_skip(*rest, n);
    }
    return true;
}

/* Cuts `c` off, with comments and blanks before it; false (nothing is cut but these) when something else stands there. */
static bool skip_char(struct str *rest, char c)
{
    if (!skip_cfws(rest) || rest->n == 0 || rest->p[0] != c)
        return false;
    *rest = str_skip(*rest, 1);
    return true;
}

static bool is_token_char(char c)
{
    return (unsigned char)c > 0x20 && c != 0x7f && str_find(STR("()<>@,;:\\\"/[]?="), c) < 0;
}

static struct str cut(struct str *rest, size_t n)
{
    struct str piece = str_sub(*rest, 0, n);

    *rest = str_skip(*rest, n);
    return piece;
}

/* RFC 2045 5.1, with UTF-8 (RFC 6532). Empty: there is none. */
static struct str cut_token(struct str *rest)
{
    size_t n = 0;

    while (n < rest->n && is_token_char(rest->p[n]))
        n++;
    return cut(rest, n);
}

/* RFC 5321 4.1.2. */
static struct str cut_keyword(struct str *rest)
{
    size_t n = 0;

    while (n < rest->n && (ascii_is_alnum(rest->p[n]) || (n > 0 && (rest->p[n] == '-' || rest->p[n] == '_'))))
        n++;
    return cut(rest, n);
}

/* 1*DIGIT. */
static bool cut_number(struct str *rest, unsigned *number)
{
    size_t n = 0;
    uint64_t value;

    while (n < rest->n && ascii_is_digit(rest->p[n]))
        n++;
    if (!str_to_u64(cut(rest, n), 1000000, &value))
        return false;
    *number = (unsigned)value;
    return true;
}

/* Appends the text of a quoted string: folding, quotes and the backslashes of quoted pairs removed. */
static bool cut_quoted(struct str *rest, struct buf *out)
{
    size_t n = address_run_length(*rest, '"', '"');
    struct str inside;

    if (n > rest->n)
        return false;
    inside = str_sub(cut(rest, n), 1, n - 1);
    for (size_t i = 0; i < inside.n; i++) {
        if (inside.p[i] == '\\' && i + 1 < inside.n)
            i++;
        else if (inside.p[i] == '\r' || inside.p[i] == '\n')
            continue;
        buf_add_char(out, inside.p[i]);
    }
    return true;
}

/* value = token / quoted-string. */
static bool cut_value(struct str *rest, struct buf *out)
{
    struct str token;

    if (rest->n > 0 && rest->p[0] == '"')
        return cut_quoted(rest, out);
    token = cut_token(rest);
    buf_add(out, token);
    return token.n > 0;
}

/* ---- the head ---- */

bool auth_results_read_head(struct str value, struct buf *id, unsigned *version, struct str *rest)
{
    *version = 1;
    if (!skip_cfws(&value) || !cut_value(&value, id) || !skip_cfws(&value))
        return false;
    if (value.n > 0 && value.p[0] != ';' && (!cut_number(&value, version) || !skip_cfws(&value)))
        return false;
    *rest = value;
    return value.n > 0 && value.p[0] == ';';
}

static bool same_id(struct str a, struct str b)
{
    char x[DNS_NAME_TEXT], y[DNS_NAME_TEXT];

    if (str_ieq(a, b))
        return true;
    return dmarc_canonical_domain(a, x) && dmarc_canonical_domain(b, y) && str_eq(str_of(x), str_of(y));
}

enum auth_results_claim auth_results_claim_of(struct str value, struct str our_id)
{
    enum auth_results_claim claim = AUTH_RESULTS_FOREIGN;
    unsigned version;
    struct str rest;
    struct buf id;

    buf_init(&id, value.n + 1);
    if (!auth_results_read_head(value, &id, &version, &rest))
        claim = AUTH_RESULTS_MALFORMED;
    else if (same_id(str_trim(buf_str(&id)), our_id))
        claim = AUTH_RESULTS_OURS;
    else if (version != 1)
        claim = AUTH_RESULTS_VERSION;
    buf_clear(&id);
    return claim;
}

/* ---- results ---- */

/* Up to the next ';' that stands outside of quotes and comments, or the end. False where one of these has no end. */
static bool cut_statement(struct str *rest, struct str *statement)
{
    size_t n = 0;

    while (n < rest->n && rest->p[n] != ';') {
        struct str from = str_skip(*rest, n);

        n += from.p[0] == '"' ? address_run_length(from, '"', '"') : from.p[0] == '(' ? address_run_length(from, '(', ')') : 1;
    }
    if (n > rest->n)
        return false;
    *statement = cut(rest, n);
    return true;
}

enum auth_results_next auth_results_next(struct str *rest, struct auth_statement *result)
{
    struct str s;

    *result = (struct auth_statement){.version = 1};
    if (!skip_cfws(rest))
        return AUTH_RESULTS_BAD;
    if (rest->n == 0)
        return AUTH_RESULTS_END;
    if (!skip_char(rest, ';') || !cut_statement(rest, &s) || !skip_cfws(&s))
        return AUTH_RESULTS_BAD;
    result->method = cut_keyword(&s);
    if (!skip_cfws(&s) || result->method.n == 0)
        return AUTH_RESULTS_BAD;
    if (s.n == 0 && str_ieq(result->method, STR("none")) && rest->n == 0) {
        result->method = STR("");
        return AUTH_RESULTS_NEXT;
    }
    if (skip_char(&s, '/') && (!skip_cfws(&s) || !cut_number(&s, &result->version)))
        return AUTH_RESULTS_BAD;
    if (!skip_char(&s, '=') || !skip_cfws(&s))
        return AUTH_RESULTS_BAD;
    result->result = cut_keyword(&s);
    result->rest = s;
    return result->result.n > 0 ? AUTH_RESULTS_NEXT : AUTH_RESULTS_BAD;
}

/* A local part, '@' and a domain, where no value stands; the '@' may be the first (pvalue). */
static bool cut_pvalue(struct str *rest, struct buf *out)
{
    size_t n = 0;

    if (rest->n > 0 && rest->p[0] == '"') {
        struct str quoted = *rest;

        if (!cut_quoted(rest, out))
            return false;
        if (rest->n == 0 || rest->p[0] != '@')
            return true;
        out->n = 0;
        buf_add(out, str_sub(quoted, 0, quoted.n - rest->n));
    }
    while (n < rest->n && (is_token_char(rest->p[n]) || str_find(STR("@/=?"), rest->p[n]) >= 0))
        n++;
    buf_add(out, cut(rest, n));
    return n > 0;
}

enum auth_results_next auth_results_next_property(struct str *rest, struct auth_property *property, struct buf *value)
{
    bool reason, ok;

    buf_reset(value);
    if (!skip_cfws(rest))
        return AUTH_RESULTS_BAD;
    if (rest->n == 0)
        return AUTH_RESULTS_END;
    *property = (struct auth_property){.ptype = cut_keyword(rest)};
    reason = str_ieq(property->ptype, STR("reason"));
    if (property->ptype.n == 0)
        return AUTH_RESULTS_BAD;
    if (skip_char(rest, '.')) {
        reason = false;
        if (!skip_cfws(rest) || (property->property = cut_keyword(rest)).n == 0)
            return AUTH_RESULTS_BAD;
    } else if (!reason) {
        return AUTH_RESULTS_BAD;
    } else {
        *property = (struct auth_property){.property = property->ptype};
    }
    if (!skip_char(rest, '=') || !skip_cfws(rest))
        return AUTH_RESULTS_BAD;
    ok = reason ? cut_value(rest, value) : cut_pvalue(rest, value);
    return ok && !value->failed ? AUTH_RESULTS_NEXT : AUTH_RESULTS_BAD;
}
