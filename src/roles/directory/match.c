#include "match.h"

#include <string.h>

static const char *const classes[] = {"transactional", "bulk", NULL};

static int unknown(struct command *c, struct str text, bool recipients)
{
    return command_fail(c, EX_USAGE,
        "%.*s: expected %ssender:DOMAIN, class:transactional or class:bulk", STR_ARG(text),
        recipients ? "recipient:DOMAIN, recipient:*, " : "");
}

int match_read(struct command *c, struct str text, bool recipients, struct name *out)
{
    struct str rest = text, what;
    struct name value = {0};
    struct buf whole;
    int code = 0;

    if (!str_next(&rest, ':', &what) || rest.n == 0)
        return unknown(c, text, recipients);
    if (str_ieq(what, STR("class")) && word_index(classes, rest) >= 0)
        name_set(&value, str_of(classes[word_index(classes, rest)]));
    else if (recipients && str_ieq(what, STR("recipient")) && str_eq(rest, STR("*")))
        name_set(&value, rest);
    else if (str_ieq(what, STR("sender")) || (recipients && str_ieq(what, STR("recipient"))))
        code = command_domain(c, rest, &value);
    else
        return unknown(c, text, recipients);
    if (code != 0)
        return code;
    buf_init(&whole, IPC_ADDRESS);
    for (size_t i = 0; i < what.n; i++)
        buf_add_char(&whole, ascii_lower(what.p[i]));
    buf_add_char(&whole, ':');
    buf_add(&whole, name_str(&value));
    name_set(out, buf_str(&whole));
    buf_clear(&whole);
    return 0;
}
