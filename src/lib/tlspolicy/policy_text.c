/* See policy_text.h. */
#include "policy_text.h"
#include "dns/records.h"

enum { NAME_MAX_OCTETS = 32, RECORDS_MAX = 32, TEXT_MAX = 8192 };

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

static struct str trim(struct str s)
{
    while (s.n > 0 && is_wsp(s.p[0]))
        s = str_skip(s, 1);
    while (s.n > 0 && is_wsp(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool policy_text_begins(struct str text, struct str version, struct str *rest)
{
    if (!str_starts(text, version))
        return false;
    text = str_skip(text, version.n);
    while (text.n > 0 && is_wsp(text.p[0]))
        text = str_skip(text, 1);
    if (text.n == 0 || text.p[0] != ';')
        return false;
    *rest = str_skip(text, 1);
    return true;
}

bool policy_text_is_name(struct str s)
{
    if (s.n == 0 || s.n > NAME_MAX_OCTETS || !ascii_is_alnum(s.p[0]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!ascii_is_alnum(s.p[i]) && s.p[i] != '_' && s.p[i] != '-' && s.p[i] != '.')
            return false;
    return true;
}

/* Printable; a URI may hold '=', and lists have blanks around their commas, so both are let through here. */
static bool is_value(struct str s)
{
    return s.n > 0 && str_is_printable(s);
}

enum policy_text_next policy_text_next(struct str *rest, struct str *name, struct str *value)
{
    struct str field;
    ptrdiff_t equals;

    if (rest->p == NULL || trim(*rest).n == 0 || !str_next(rest, ';', &field))
        return POLICY_TEXT_END;
    field = trim(field);
    equals = str_find(field, '=');
    if (equals < 0)
        return POLICY_TEXT_BAD;
    *name = str_sub(field, 0, (size_t)equals);
    *value = str_skip(field, (size_t)equals + 1);
    return policy_text_is_name(*name) && is_value(*value) ? POLICY_TEXT_FIELD : POLICY_TEXT_BAD;
}

enum policy_found policy_text_choose(struct str records, struct str version, struct buf *text)
{
    struct str rdata, rest;
    struct buf one;
    unsigned found = 0;

    buf_init(&one, TEXT_MAX);
    for (unsigned i = 0; i < RECORDS_MAX && dns_next_record(&records, &rdata); i++) {
        buf_reset(&one);
        if (!dns_read_txt(rdata, &one) || !policy_text_begins(buf_str(&one), version, &rest))
            continue;
        if (found++ == 0)
            buf_add(text, buf_str(&one));
    }
    buf_clear(&one);
    if (found == 0)
        return POLICY_NONE;
    return found == 1 && !text->failed ? POLICY_FOUND : POLICY_BAD;
}
