/* A story reads:
 *
 *   01K3X... from anna@example.org, Message-ID <...>
 *     2026-11-22 03:30:00  accepted   from 192.0.2.1 (laptop), ESMTPSA, login anna@example.org, TLSv1.3 ..., 2.1K
 *     2026-11-22 03:30:01  deferred   bob@example.net: mx.example.net [198.51.100.7] said: 451 4.2.1 not now; next attempt in 5m
 *     2026-11-22 03:35:02  relayed    bob@example.net: mx.example.net [198.51.100.7] said: 250 2.0.0 OK, TLSv1.3 ...
 *     2026-11-22 03:35:02  done
 */
#include "cli/story.h"
#include "base/clock.h"
#include "cli/value.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

enum { LINE = 128 * 1024 };

static struct str text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_string(value) ? str_from(json_string_value(value), json_string_length(value)) : (struct str){0};
}

static void heading(FILE *out, const json_t *row, struct str id, bool first)
{
    struct str sender = text_of(row, "sender"), message_id = text_of(row, "message_id");
    struct buf line;

    buf_init(&line, LINE);
    if (!first)
        buf_add_char(&line, '\n');
    value_add_clean(&line, id);
    buf_add(&line, STR(" from "));
    value_add_clean(&line, sender.n ? sender : STR("<>"));
    if (message_id.n) {
        buf_add(&line, STR(", Message-ID "));
        value_add_clean(&line, message_id);
    }
    fwrite(line.p, 1, line.n, out);
    fputc('\n', out);
    buf_clear(&line);
}

static void add_clock(struct buf *line, struct str text)
{
    int64_t time = 0;
    time_t seconds;
    struct tm tm;
    char local[32] = "";

    if (value_time(text, &time)) {
        seconds = (time_t)(time / SECOND);
        strftime(local, sizeof local, "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &tm));
    }
    buf_addf(line, "  %-19s  ", local);
}

static void add_part(struct buf *line, const char *before, struct str text, const char *after)
{
    if (text.n == 0)
        return;
    buf_add(line, str_of(before));
    value_add_clean(line, text);
    buf_add(line, str_of(after));
}

/* Who said it: "mx.example.net [198.51.100.7] said: 451 4.2.1 not now". */
static void add_words(struct buf *line, const json_t *details)
{
    const json_t *code = json_object_get(details, "code");
    struct str words = text_of(details, "text"), host = text_of(details, "host"), ip = text_of(details, "ip");

    if (words.n == 0)
        words = text_of(details, "reply");
    if (!str_eq(host, ip)) /* a route may name an address */
        add_part(line, " ", host, "");
    add_part(line, " [", ip, "]");
    if (words.n == 0 && !json_is_integer(code))
        return;
    buf_add(line, host.n || ip.n ? STR(" said:") : STR(""));
    if (json_integer_value(code) > 0)
        buf_addf(line, " %d", (int)json_integer_value(code));
    add_part(line, " ", words, "");
}

static bool is_told(const char *key)
{
    static const char *const told[] = {"host", "ip", "code", "text", "reply"};

    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (strcmp(told[i], key) == 0)
            return true;
    return false;
}

/* Everything else, in the order it was written: "tls TLSv1.3 ...", "next in 5m". */
static void add_rest(struct buf *line, json_t *details)
{
    int64_t now = clock_now();
    const char *key;
    json_t *value;

    json_object_foreach (details, key, value) {
        struct buf text;

        buf_init(&text, LINE);
        value_format(&text, key, value, now);
        if (text.n && !is_told(key)) {
            /* no comma behind the colon or the blanks that stand before the first one */
            buf_add(line, line->p[line->n - 1] == ':' ? STR(" ") : line->p[line->n - 1] == ' ' ? STR("") : STR(", "));
            for (const char *p = key; *p; p++)
                buf_add_char(line, *p == '_' ? ' ' : *p);
            buf_add_char(line, ' ');
            buf_add(line, buf_str(&text));
        }
        buf_clear(&text);
    }
}

void story_print(FILE *out, struct json_t *row, char *last, size_t size)
{
    struct str id = text_of(row, "id"), event = text_of(row, "event"), rcpt = text_of(row, "rcpt");
    json_t *details = json_object_get(row, "details");
    struct buf line;

    if (id.n < size && !str_eq(id, str_of(last))) {
        heading(out, row, id, last[0] == 0);
        memcpy(last, id.p, id.n);
        last[id.n] = 0;
    }
    buf_init(&line, LINE);
    add_clock(&line, text_of(row, "time"));
    buf_addf(&line, "%-12.*s ", STR_ARG(event));
    value_add_clean(&line, rcpt);
    if (rcpt.n && json_object_size(details))
        buf_add_char(&line, ':');
    add_words(&line, details);
    add_rest(&line, details);
    while (line.n && line.p[line.n - 1] == ' ')
        line.n--;
    fwrite(line.p, 1, line.n, out);
    fputc('\n', out);
    buf_clear(&line);
}
