#include "base/json.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>

void json_open(struct buf *out)
{
    buf_add_char(out, '{');
}

void json_close(struct buf *out)
{
    buf_add_char(out, '}');
}

static size_t utf8_step(struct str s)
{
    for (size_t n = 1; n <= 4 && n <= s.n; n++)
        if (str_is_utf8(str_sub(s, 0, n)))
            return n;
    return 0;
}

void json_quote(struct buf *out, struct str value)
{
    buf_add_char(out, '"');
    while (value.n) {
        unsigned char c = (unsigned char)value.p[0];
        size_t step = utf8_step(value);

        if (step == 0)
            buf_add(out, STR("\xef\xbf\xbd"));
        else if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else if (str_control(value) > 0)
            buf_addf(out, "\\u%04x", step == 1 ? c : (unsigned char)value.p[1]);
        else
            buf_add(out, str_sub(value, 0, step));
        value = str_skip(value, step ? step : 1);
    }
    buf_add_char(out, '"');
}

static void add_key(struct buf *out, const char *key)
{
    if (out->n && out->p[out->n - 1] != '{')
        buf_add_char(out, ',');
    json_quote(out, str_of(key));
    buf_add_char(out, ':');
}

void json_str(struct buf *out, const char *key, struct str value)
{
    add_key(out, key);
    json_quote(out, value);
}

void json_int(struct buf *out, const char *key, int64_t value)
{
    add_key(out, key);
    buf_addf(out, "%" PRId64, value);
}

void json_bool(struct buf *out, const char *key, bool value)
{
    add_key(out, key);
    buf_add(out, value ? STR("true") : STR("false"));
}

void json_time(struct buf *out, const char *key, int64_t time)
{
    char text[40];

    add_key(out, key);
    if (time == 0) {
        buf_add(out, STR("null"));
        return;
    }
    clock_format_utc(time, text, sizeof text);
    json_quote(out, str_of(text));
}

/* The end of the JSON string that starts at s.p[0] == '"': index of its closing quote, or s.n. */
static size_t string_end(struct str s)
{
    size_t i = 1;

    while (i < s.n && s.p[i] != '"')
        i += s.p[i] == '\\' ? 2 : 1;
    return i < s.n ? i : s.n;
}

static void add_unescaped(struct buf *out, struct str s)
{
    while (s.n) {
        if (s.p[0] != '\\' || s.n < 2) {
            buf_add_char(out, s.p[0]);
            s = str_skip(s, 1);
        } else if (s.p[1] == 'u' && s.n >= 6) {
            char hex[5] = {s.p[2], s.p[3], s.p[4], s.p[5], 0};

            buf_add_char(out, (char)strtoul(hex, NULL, 16)); /* only control bytes are written so */
            s = str_skip(s, 6);
        } else {
            buf_add_char(out, s.p[1]);
            s = str_skip(s, 2);
        }
    }
}

bool json_read(struct str object, const char *key, struct buf *out)
{
    struct str rest = str_skip(object, 1);

    while (rest.n && rest.p[0] == '"') {
        size_t end = string_end(rest);
        struct str name = str_sub(rest, 1, end), value;

        rest = str_skip(rest, end + 2); /* closing quote and colon */
        if (rest.n == 0)
            return false;
        end = rest.p[0] == '"' ? string_end(rest) + 1 : 0;
        while (end < rest.n && rest.p[end] != ',' && rest.p[end] != '}')
            end++;
        value = str_sub(rest, 0, end);
        if (str_eq(name, str_of(key))) {
            if (value.n >= 2 && value.p[0] == '"')
                add_unescaped(out, str_sub(value, 1, value.n - 1));
            else
                buf_add(out, value);
            return true;
        }
        rest = str_skip(rest, end + 1);
    }
    return false;
}
