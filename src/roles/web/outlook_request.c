/* See outlook_request.h. */
#include "outlook_request.h"

bool client_address_is_plain(struct str address, struct str *domain)
{
    ptrdiff_t at = str_rfind(address, '@');

    if (at <= 0 || address.n > OUTLOOK_ADDRESS_MAX || (size_t)at + 1 == address.n || str_has_control(address) || !str_is_utf8(address))
        return false;
    for (size_t i = 0; i < address.n; i++)
        if (address.p[i] == ' ' || address.p[i] == '"' || address.p[i] == '<' || address.p[i] == '>' || address.p[i] == '\\' ||
            (address.p[i] == '@' && i != (size_t)at))
            return false;
    *domain = str_skip(address, (size_t)at + 1);
    return true;
}

/* Behind the start tag of the element, whatever prefix of a namespace it has; false when there is none. */
static bool find_element(struct str *rest, struct str name)
{
    ptrdiff_t at, end;

    while ((at = str_ifind(*rest, name)) >= 0) {
        bool starts = at > 0 && (rest->p[at - 1] == '<' || rest->p[at - 1] == ':');

        *rest = str_skip(*rest, (size_t)at + name.n);
        end = str_find(*rest, '>');
        if (!starts || rest->n == 0 || (rest->p[0] != '>' && rest->p[0] != ' ') || end < 0)
            continue;
        if (end > 0 && rest->p[end - 1] == '/')
            continue; /* empty */
        *rest = str_skip(*rest, (size_t)end + 1);
        return true;
    }
    return false;
}

static bool add_entity(struct buf *out, struct str *rest)
{
    static const struct {
        const char *name;
        char c;
    } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};

    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
        if (str_starts(*rest, str_of(entities[i].name))) {
            buf_add_char(out, entities[i].c);
            *rest = str_skip(*rest, str_of(entities[i].name).n);
            return true;
        }
    return false;
}

bool outlook_request_read(struct str body, struct buf *address)
{
    struct str rest = body, text, domain;
    ptrdiff_t end;

    if (!find_element(&rest, STR("EMailAddress")) || (end = str_find(rest, '<')) < 0)
        return false;
    text = str_trim(str_sub(rest, 0, (size_t)end));
    while (text.n > 0) {
        if (text.p[0] == '&') {
            if (!add_entity(address, &text))
                return false;
            continue;
        }
        buf_add_char(address, text.p[0]);
        text = str_skip(text, 1);
    }
    return !address->failed && client_address_is_plain(buf_str(address), &domain);
}
