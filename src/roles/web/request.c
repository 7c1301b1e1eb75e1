#include "request.h"
#include "ipc/messages.h"

#include <jansson.h>
#include <string.h>

enum { LONGEST_COMMAND = 64 };

void request_init(struct request *r)
{
    buf_init(&r->command, LONGEST_COMMAND);
    buf_init(&r->args, IPC_LIST);
}

void request_clear(struct request *r)
{
    buf_clear(&r->command);
    buf_clear(&r->args);
}

static bool add_text(struct buf *out, const json_t *value, bool with_end)
{
    struct str s = {json_string_value(value), json_string_length(value)};

    if (s.p == NULL || memchr(s.p, 0, s.n) != NULL)
        return false;
    buf_add(out, s);
    if (with_end)
        buf_add_char(out, 0);
    return !out->failed;
}

static bool take(struct request *r, json_t *object)
{
    json_t *args = json_object_get(object, "args");

    if (!add_text(&r->command, json_object_get(object, "command"), false))
        return false;
    if (args != NULL && !json_is_array(args))
        return false;
    for (size_t i = 0; i < json_array_size(args); i++)
        if (!add_text(&r->args, json_array_get(args, i), true))
            return false;
    return true;
}

bool request_parse(struct request *r, struct str line, struct err *err)
{
    json_error_t why;
    json_t *object = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &why);
    bool ok = object != NULL && take(r, object);

    if (object == NULL)
        err_set(err, ERR_PERMANENT, "not JSON: %s", why.text);
    else if (!ok)
        err_set(err, ERR_PERMANENT, "expected {\"command\": \"name\", \"args\": [\"word\", ...]} of bounded length");
    json_decref(object);
    return ok;
}
