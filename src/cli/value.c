#include "cli/value.h"
#include "base/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool value_time(struct str text, int64_t *time)
{
    struct tm tm = {0};
    char copy[32];
    int ms = 0;

    if (text.n != 24 || text.p[10] != 'T' || text.p[23] != 'Z')
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    if (sscanf(copy, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
            &tm.tm_sec, &ms) != 7)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *time = (int64_t)timegm(&tm) * SECOND + ms * 1000;
    return true;
}

void value_format_span(struct buf *out, int64_t microseconds)
{
    int64_t s = microseconds / SECOND;

    if (s < 60)
        buf_addf(out, "%" PRId64 "s", s);
    else if (s < 3600)
        buf_addf(out, "%" PRId64 "m", s / 60);
    else if (s < 86400)
        buf_addf(out, "%" PRId64 "h %" PRId64 "m", s / 3600, s % 3600 / 60);
    else
        buf_addf(out, "%" PRId64 "d %" PRId64 "h", s / 86400, s % 86400 / 3600);
}

void value_format_size(struct buf *out, int64_t bytes)
{
    static const char units[] = "KMGT";
    double value = (double)bytes;
    size_t i = 0;

    if (bytes < 1024) {
        buf_addf(out, "%" PRId64, bytes);
        return;
    }
    for (value /= 1024; value >= 1024 && i < 3; i++)
        value /= 1024;
    if (value < 9.95 && (int64_t)(value * 10 + 0.5) % 10 != 0)
        buf_addf(out, "%.1f%c", value, units[i]);
    else
        buf_addf(out, "%.0f%c", value, units[i]);
}

void value_add_clean(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        size_t control = str_control(str_skip(text, i));

        if (control == 0)
            buf_add_char(out, text.p[i]);
        else
            buf_add_char(out, text.p[i] == '\n' || text.p[i] == '\t' ? ' ' : '?');
        i += control > 0 ? control - 1 : 0;
    }
}

int value_width(struct str text)
{
    int n = 0;

    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return n;
}

static bool is_size(const char *key)
{
    static const char *const sizes[] = {"size", "bytes", "quota", "used", "free"};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (str_ends(str_of(key), str_of(sizes[i])))
            return true;
    return false;
}

static void add_relative(struct buf *out, int64_t time, int64_t now)
{
    if (time > now)
        buf_add(out, STR("in "));
    value_format_span(out, time > now ? time - now : now - time);
    if (time <= now)
        buf_add(out, STR(" ago"));
}

static void format(struct buf *out, const char *key, const json_t *value, int64_t now, bool with_clock)
{
    int64_t n = json_integer_value(value), time;

    if (json_is_integer(value) && is_size(key)) {
        value_format_size(out, n);
    } else if (json_is_integer(value)) {
        buf_addf(out, "%" PRId64, n);
    } else if (json_is_boolean(value)) {
        buf_add(out, json_is_true(value) ? STR("yes") : STR("no"));
    } else if (json_is_string(value)) {
        struct str text = {json_string_value(value), json_string_length(value)};

        if (!value_time(text, &time)) {
            value_add_clean(out, text);
            return;
        }
        if (with_clock) {
            time_t seconds = (time_t)(time / SECOND);
            struct tm tm;
            char local[32];

            strftime(local, sizeof local, "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &tm));
            buf_addf(out, "%s (", local);
        }
        add_relative(out, time, now);
        if (with_clock)
            buf_add_char(out, ')');
    }
}

void value_format(struct buf *out, const char *key, const struct json_t *value, int64_t now)
{
    format(out, key, value, now, false);
}

void value_format_long(struct buf *out, const char *key, const struct json_t *value, int64_t now)
{
    format(out, key, value, now, true);
}
