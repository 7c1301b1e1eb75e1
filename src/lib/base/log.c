#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A byte of text becomes at most six of a line: "\u0001". */
enum { TEXT_MAX_BYTES = 8192, LINE_MAX_BYTES = 6 * TEXT_MAX_BYTES + 2048, HELD_MAX_BYTES = 64 * 1024, MAX_PAIRS = 24 };

static struct {
    char name[32];
    enum log_level least;
    bool json;
    char held[HELD_MAX_BYTES];
    size_t held_n;
    bool is_file, lost;
} the_log = {.name = "staffetta", .least = LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_open(const char *role, unsigned copy)
{
    struct stat about;

    snprintf(the_log.name, sizeof the_log.name, "%s[%u]", role, copy);
    the_log.is_file = fstat(STDERR_FILENO, &about) == 0 && S_ISREG(about.st_mode);
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

/* Whether a write of PIPE_BUF bytes returns at once: always for a file, for a pipe or a socket
 * (systemd's journal) only while its reader keeps up. */
static bool takes_more(void)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};

    return the_log.is_file || (poll(&fd, 1, 0) == 1 && fd.revents & POLLOUT);
}

/* A log nobody reads must not stop the mail: what it does not take now is lost, and said so later. */
void log_flush(void)
{
    static const char note[] = "(log lines were lost here: the reader of the log was too slow)\n";
    size_t done = 0;

    if (the_log.lost && the_log.held_n && takes_more())
        the_log.lost = write(STDERR_FILENO, note, sizeof note - 1) < 0;
    while (done < the_log.held_n) {
        size_t piece = the_log.held_n - done;
        ssize_t n;

        if (!the_log.is_file && piece > PIPE_BUF)
            piece = PIPE_BUF;
        n = takes_more() ? write(STDERR_FILENO, the_log.held + done, piece) : -1;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    the_log.lost |= done < the_log.held_n;
    the_log.held_n = 0;
}

enum { MARK_SIZE = 16 };

/* A word nobody outside can know, so that nobody outside can write what looks like a key of ours. */
static const char *mark(void)
{
    static char made[MARK_SIZE + 1];
    unsigned char random[MARK_SIZE];

    if (made[0] == 0) {
        random_bytes(random, sizeof random);
        for (size_t i = 0; i < MARK_SIZE; i++)
            made[i] = (char)('A' + random[i] % 26);
    }
    return made;
}

/* The format with the mark before every key. */
static bool mark_keys(const char *format, char *out, size_t size)
{
    struct str rest = str_of(format), word;
    size_t n = 0;

    while (str_next_word(&rest, &word)) {
        bool key = str_find(word, '=') > 0;

        if (n + word.n + MARK_SIZE + 2 > size)
            return false;
        if (n > 0)
            out[n++] = ' ';
        memcpy(out + n, mark(), key ? MARK_SIZE : 0);
        n += key ? MARK_SIZE : 0;
        memcpy(out + n, word.p, word.n);
        n += word.n;
    }
    out[n] = 0;
    return true;
}

/* Formatted text, cut into its pairs where the marks are. */
struct pairs {
    struct str key[MAX_PAIRS];
    struct str value[MAX_PAIRS];
    size_t n;
};

static ptrdiff_t find_mark(struct str text)
{
    const char *at = text.n ? memmem(text.p, text.n, mark(), MARK_SIZE) : NULL;

    return at == NULL ? -1 : at - text.p;
}

static void split_pairs(struct str text, struct pairs *pairs)
{
    ptrdiff_t at = find_mark(text);

    pairs->n = 0;
    while (at >= 0 && pairs->n < MAX_PAIRS) {
        struct str pair = str_skip(text, (size_t)at + MARK_SIZE), *key = &pairs->key[pairs->n];
        ptrdiff_t next = find_mark(pair);

        text = next < 0 ? (struct str){0} : str_skip(pair, (size_t)next);
        at = next < 0 ? -1 : 0;
        pair = str_trim(next < 0 ? pair : str_sub(pair, 0, (size_t)next));
        if (str_next(&pair, '=', key))
            pairs->value[pairs->n++] = pair;
    }
}

/* How many bytes at the start are written as they are: nearly always all. */
static size_t plain_start(struct str s)
{
    size_t n = 0;

    while (n < s.n && s.p[n] >= 0x20 && s.p[n] < 0x7f && s.p[n] != '"' && s.p[n] != '\\')
        n++;
    return n;
}

/* What is no UTF-8 is escaped byte by byte: a terminal may read it as a control character. */
static void add_escaped(struct buf *line, struct str s)
{
    size_t plain = plain_start(s);
    bool utf8 = plain == s.n || str_is_utf8(s);

    buf_add(line, str_sub(s, 0, plain));
    for (size_t i = plain; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        size_t control = str_control(str_skip(s, i));

        if (c == '"' || c == '\\')
            buf_addf(line, "\\%c", c);
        else if (c > 0x7f && !utf8)
            buf_addf(line, "\\x%02x", c);
        else if (control > 0)
            buf_addf(line, "\\u%04x", (unsigned char)s.p[i += control - 1]);
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
        buf_addf(line, ",\"%.*s\":", STR_ARG(pairs->key[i]));
        json_quote(line, pairs->value[i]);
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

/* Its format is the caller's, checked by the compiler there, with marks between. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void format_text(char *out, size_t size, const char *marked, va_list args)
{
    vsnprintf(out, size, marked, args);
}
#pragma GCC diagnostic pop

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char text[TEXT_MAX_BYTES], marked[1024], stamp[40];
    struct pairs pairs;
    struct buf line;
    va_list args;

    if (!log_wants(level) || !mark_keys(format, marked, sizeof marked))
        return;
    va_start(args, format);
    format_text(text, sizeof text, marked, args);
    va_end(args);
    clock_format_utc(clock_now(), stamp, sizeof stamp);
    split_pairs(str_of(text), &pairs);
    buf_init(&line, LINE_MAX_BYTES);
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

void log_last_words(const char *reason)
{
    char stamp[40], line[400];
    int n;

    log_flush(); /* what was said before belongs before it */
    clock_format_utc(clock_now(), stamp, sizeof stamp);
    n = snprintf(line, sizeof line,
        the_log.json ? "{\"time\":\"%s\",\"role\":\"%s\",\"level\":\"error\",\"event\":\"fatal\",\"reason\":\"%s\"}\n"
                     : "%s %s error fatal reason=\"%s\"\n",
        stamp, the_log.name, reason);
    if (n > 0 && (size_t)n < sizeof line && takes_more())
        (void)!write(STDERR_FILENO, line, (size_t)n);
}
