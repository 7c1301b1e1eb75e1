#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, HELD_MAX_BYTES = 64 * 1024, MAX_PAIRS = 24 };

static struct {
    char name[32];
    enum log_level least;
    bool json;
    char held[HELD_MAX_BYTES];
    size_t held_n;
} the_log = {.name = "staffetta", .least = LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_open(const char *role, unsigned copy)
{
    snprintf(the_log.name, sizeof the_log.name, "%s[%u]", role, copy);
}

void log_set(enum log_level least, bool json)
{
    the_log.least = least;
    the_log.json = json;
}

bool log_wants(enum log_level level)
{
    return level >= the_log.least;
}

void log_flush(void)
{
    size_t done = 0;

    while (done < the_log.held_n) {
        ssize_t n = write(STDERR_FILENO, the_log.held + done, the_log.held_n - done);

        if (n <= 0)
            break; /* a log nobody reads must not stop the mail */
        done += (size_t)n;
    }
    the_log.held_n = 0;
}

/* Cuts formatted text into its pairs, guided by the keys that stand in the format itself. */
struct pairs {
    struct str key[MAX_PAIRS];
    struct str value[MAX_PAIRS];
    size_t n;
};

static void split_pairs(const char *format, struct str text, struct pairs *pairs)
{
    struct str rest = str_of(format), word, at = text;

    pairs->n = 0;
    while (pairs->n < MAX_PAIRS && str_next_word(&rest, &word)) {
        ptrdiff_t equals = str_find(word, '=');
        struct str key;
        ptrdiff_t found;

        if (equals <= 0)
            continue;
        key = str_sub(word, 0, (size_t)equals + 1);
        found = str_ifind(at, key);
        if (found < 0)
            continue;
        if (pairs->n > 0) {
            struct str *last = &pairs->value[pairs->n - 1];
            last->n = str_trim((struct str){last->p, (size_t)(at.p + found - last->p)}).n;
        }
        at = str_skip(at, (size_t)found + key.n);
        pairs->key[pairs->n] = str_sub(key, 0, key.n - 1);
        pairs->value[pairs->n++] = at;
    }
}

static void add_escaped(struct buf *line, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '"' || c == '\\')
            buf_addf(line, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_addf(line, "\\u%04x", c);
        else
            buf_add_char(line, (char)c);
    }
}

static void add_json(struct buf *line, const char *stamp, enum log_level level, const char *event,
    const struct pairs *pairs)
{
    buf_addf(line, "{\"time\":\"%s\",\"role\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", stamp,
        the_log.name, level_names[level], event);
    for (size_t i = 0; i < pairs->n; i++) {
        buf_addf(line, ",\"%.*s\":\"", STR_ARG(pairs->key[i]));
        add_escaped(line, pairs->value[i]);
        buf_add_char(line, '"');
    }
    buf_add_char(line, '}');
}

static void add_human(struct buf *line, const char *stamp, enum log_level level, const char *event,
    const struct pairs *pairs)
{
    buf_addf(line, "%s %s %s %s", stamp, the_log.name, level_names[level], event);
    for (size_t i = 0; i < pairs->n; i++) {
        bool quote = str_find(pairs->value[i], ' ') >= 0 || pairs->value[i].n == 0;

        buf_addf(line, " %.*s=%s", STR_ARG(pairs->key[i]), quote ? "\"" : "");
        add_escaped(line, pairs->value[i]);
        if (quote)
            buf_add_char(line, '"');
    }
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char text[LINE_MAX_BYTES / 2], stamp[40];
    struct pairs pairs;
    struct buf line;
    va_list args;

    if (!log_wants(level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    clock_format_utc(clock_now(), stamp, sizeof stamp);
    split_pairs(format, str_of(text), &pairs);
    buf_init(&line, (size_t)LINE_MAX_BYTES * 2);
    (the_log.json ? add_json : add_human)(&line, stamp, level, event, &pairs);
    buf_add_char(&line, '\n');
    if (the_log.held_n + line.n > sizeof the_log.held)
        log_flush();
    if (line.n <= sizeof the_log.held) {
        memcpy(the_log.held + the_log.held_n, line.p, line.n);
        the_log.held_n += line.n;
    }
    buf_clear(&line);
    if (level == LOG_LEVEL_ERROR)
        log_flush();
}
