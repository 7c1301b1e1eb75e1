/* Reads "KEYWORD=value KEYWORD" by a table. Nothing here knows a single parameter. */
#include "smtp/parameter.h"

static bool refuse(struct refusal *no, unsigned code, const char *text)
{
    *no = (struct refusal){code, text};
    return false;
}

static bool keyword_is_valid(struct str keyword)
{
    for (size_t i = 0; i < keyword.n; i++)
        if (!ascii_is_alnum(keyword.p[i]) && (keyword.p[i] != '-' || i == 0))
            return false;
    return keyword.n > 0;
}

/* esmtp-value; UTF-8 is let through (ORCPT of RFC 6533), the readers look closer. */
static bool value_is_valid(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] <= 0x20 || value.p[i] == 0x7f)
            return false;
    return value.n > 0 && str_is_utf8(value);
}

static bool read_one(struct str word, const struct parameter *p, void *out, struct refusal *no)
{
    ptrdiff_t equals = str_find(word, '=');
    struct str value = equals < 0 ? (struct str){0} : str_skip(word, (size_t)equals + 1);

    if (p->value == VALUE_NONE && equals >= 0)
        return refuse(no, 501, "5.5.4 This parameter takes no value");
    if (p->value == VALUE_NEEDED && !value_is_valid(value))
        return refuse(no, 501, "5.5.4 This parameter needs a value");
    return p->read(out, value) || refuse(no, 501, p->reason);
}

bool parameters_read(struct str rest, const struct parameter *table, size_t n, unsigned extensions,
    void *out, struct refusal *no)
{
    struct str word, keyword;
    unsigned seen = 0;

    if (rest.n && rest.p[0] != ' ' && rest.p[0] != '\t')
        return refuse(no, 501, "5.5.4 Blank missing behind the address");
    while (str_next_word(&rest, &word)) {
        ptrdiff_t equals = str_find(word, '=');
        size_t i = 0;

        keyword = equals < 0 ? word : str_sub(word, 0, (size_t)equals);
        if (!keyword_is_valid(keyword))
            return refuse(no, 501, "5.5.4 Malformed parameter");
        while (i < n && !str_ieq(keyword, str_of(table[i].keyword)))
            i++;
        if (i == n || !(extensions & table[i].extension))
            return refuse(no, 555, "5.5.4 Parameter not known here");
        if (seen & 1u << i)
            return refuse(no, 501, "5.5.4 Parameter given twice");
        seen |= 1u << i;
        if (!read_one(word, &table[i], out, no))
            return false;
    }
    return true;
}
