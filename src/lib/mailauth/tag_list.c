/* See tag_list.h. */
#include "tag_list.h"
#include "base/encode.h"

static bool is_name(struct str s)
{
    if (s.n == 0 || !ascii_is_alpha(s.p[0]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!ascii_is_alnum(s.p[i]) && s.p[i] != '_')
            return false;
    return true;
}

bool tag_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Everything but control characters; ';' cannot come here. */
static bool is_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < 0x20 || c == 0x7f) && !tag_is_blank(s.p[i]))
            return false;
    }
    return str_is_utf8(s);
}

static bool read_tag(struct str text, struct tag *tag)
{
    ptrdiff_t equals = str_find(text, '=');

    if (equals < 0)
        return false;
    tag->name = str_trim(str_sub(text, 0, (size_t)equals));
    tag->value = str_trim(str_skip(text, (size_t)equals + 1));
    return is_name(tag->name) && is_value(tag->value);
}

static bool has_tag(const struct tag_list *list, struct str name)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->tags[i].name, name))
            return true;
    return false;
}

bool tag_list_read(struct str text, struct tag_list *list)
{
    struct str piece;
    struct tag tag;

    list->n = 0;
    text = str_trim(text);
    if (text.n == 0)
        return true;
    if (str_ends(text, STR(";")))
        text.n--;
    while (str_next(&text, ';', &piece)) {
        if (list->n == TAGS_MAX || !read_tag(piece, &tag) || has_tag(list, tag.name))
            return false;
        list->tags[list->n++] = tag;
    }
    return true;
}

const struct tag *tag_list_find(const struct tag_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->tags[i].name, str_of(name)))
            return &list->tags[i];
    return NULL;
}

struct str tag_list_value(const struct tag_list *list, const char *name)
{
    const struct tag *tag = tag_list_find(list, name);

    return tag != NULL ? tag->value : STR("");
}

bool tag_next_item(struct str *rest, char sep, struct str *item)
{
    if (!str_next(rest, sep, item))
        return false;
    *item = str_trim(*item);
    return true;
}

bool tag_has_item(struct str value, const char *word)
{
    struct str item;

    while (tag_next_item(&value, ':', &item))
        if (str_ieq(item, str_of(word)))
            return true;
    return false;
}

bool tag_read_base64(struct str value, struct buf *out)
{
    struct buf text;
    bool ok;

    buf_init(&text, value.n + 4);
    for (size_t i = 0; i < value.n; i++)
        if (!tag_is_blank(value.p[i]))
            buf_add_char(&text, value.p[i]);
    if (str_find(buf_str(&text), '=') < 0)
        while (text.n % 4 != 0)
            buf_add_char(&text, '=');
    ok = text.n > 0 && base64_decode(out, buf_str(&text));
    buf_clear(&text);
    return ok && !out->failed;
}
