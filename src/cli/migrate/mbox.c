/* Mailbox files. See mbox.h. */
#include "cli/migrate/mbox.h"
#include "cli/migrate/words.h"
#include "base/clock.h"
#include "imap/command.h"

#include <string.h>
#include <time.h>

static const struct {
    const char *field;
    char letter;
    unsigned flag;
} letters[] = {{"Status", 'R', IMAP_SEEN}, {"X-Status", 'A', IMAP_ANSWERED}, {"X-Status", 'F', IMAP_FLAGGED},
    {"X-Status", 'T', IMAP_DRAFT}, {"X-Status", 'D', IMAP_DELETED}};

static const char *const own_fields[] = {"Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length"};

/* The name of a field that belongs to the file; NULL for others. */
static const char *own_field(struct str line, struct str *value)
{
    ptrdiff_t colon = str_find(line, ':');
    struct str name = colon < 0 ? STR("") : str_trim(str_sub(line, 0, (size_t)colon));

    *value = colon < 0 ? STR("") : str_trim(str_skip(line, (size_t)colon + 1));
    for (size_t i = 0; i < sizeof own_fields / sizeof *own_fields; i++)
        if (str_ieq(name, str_of(own_fields[i])))
            return own_fields[i];
    return NULL;
}

static bool is_folded(struct str line)
{
    return line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
}

/* ">>From ": how many '>'; -1 for another line. */
static int quotes(struct str line)
{
    size_t n = 0;

    while (n < line.n && line.p[n] == '>')
        n++;
    return str_starts(str_skip(line, n), STR("From ")) ? (int)n : -1;
}

/* ---- separators ---- */

static int index_of(struct str word, const char *three)
{
    for (int i = 0; three[3 * i] != 0; i++)
        if (word.n == 3 && str_ieq(word, str_from(three + (ptrdiff_t)3 * i, 3)))
            return i;
    return -1;
}

static bool clock_time(struct str word, struct tm *tm)
{
    struct str hour, minute, second = STR("0");
    uint64_t h, m, s;

    if (!str_next(&word, ':', &hour) || !str_next(&word, ':', &minute))
        return false;
    if (word.n > 0)
        second = word;
    if (!str_to_u64(hour, 23, &h) || !str_to_u64(minute, 59, &m) || !str_to_u64(second, 60, &s))
        return false;
    tm->tm_hour = (int)h;
    tm->tm_min = (int)m;
    tm->tm_sec = (int)s;
    return true;
}

/* Minutes east of UTC in "+0130"; 0 for anything else. */
static int zone(struct str word)
{
    uint64_t n;

    if (word.n != 5 || (word.p[0] != '+' && word.p[0] != '-') || !str_to_u64(str_skip(word, 1), 9959, &n))
        return 0;
    return (int)(n / 100 * 60 + n % 100) * (word.p[0] == '-' ? -1 : 1);
}

/* "Nov 22 13:04:05 [zone] 2026 [zone]" */
static bool date(struct str rest, int64_t *received)
{
    struct tm tm = {0};
    struct str word;
    uint64_t day, year = 0;
    int month, east = 0;

    if (!str_next_word(&rest, &word) || (month = index_of(word, "JanFebMarAprMayJunJulAugSepOctNovDec")) < 0)
        return false;
    if (!str_next_word(&rest, &word) || !str_to_u64(word, 31, &day) || day == 0 || !str_next_word(&rest, &word) || !clock_time(word, &tm))
        return false;
    while (str_next_word(&rest, &word)) {
        if (year == 0 && word.n == 4 && str_to_u64(word, 9999, &year))
            continue;
        east += zone(word);
    }
    if (year < 1970)
        return false;
    tm.tm_mon = month;
    tm.tm_mday = (int)day;
    tm.tm_year = (int)year - 1900;
    *received = ((int64_t)timegm(&tm) - east * 60) * SECOND;
    return true;
}

bool mbox_is_separator(struct str line, int64_t *received)
{
    struct str rest = str_skip(line, 5), word;

    *received = 0;
    if (!str_starts(line, STR("From ")))
        return false;
    while (str_next_word(&rest, &word))
        if (index_of(word, "MonTueWedThuFriSatSun") >= 0 && date(rest, received))
            return true;
    return false;
}

/* ---- reading ---- */

void mbox_reader_init(struct mbox_reader *r)
{
    *r = (struct mbox_reader){0};
    buf_init(&r->from, 2 * MBOX_LINE);
    buf_init(&r->keywords, 16 * MBOX_LINE);
}

void mbox_reader_clear(struct mbox_reader *r)
{
    buf_clear(&r->from);
    buf_clear(&r->keywords);
}

void mbox_reader_begin(struct mbox_reader *r)
{
    buf_reset(&r->from);
    buf_reset(&r->keywords);
    r->passing = r->blank_before = r->blank_held = r->dropping = r->started = false;
    r->in_header = true;
    r->last = 0;
    r->flags = 0;
    r->received = 0;
}

static void note_field(struct mbox_reader *r, const char *field, struct str value)
{
    struct str word;

    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (strcmp(letters[i].field, field) == 0 && str_find(value, letters[i].letter) >= 0)
            r->flags |= letters[i].flag;
    while (strcmp(field, "X-Keywords") == 0 && str_next_word(&value, &word))
        migrate_keyword(&r->keywords, word);
}

static void release_blank(struct mbox_reader *r, struct buf *out)
{
    if (r->blank_held)
        buf_add(out, STR("\r\n"));
    r->blank_held = false;
}

/* A line of the header; false: it is not part of the message. */
static bool header_line(struct mbox_reader *r, struct str line)
{
    const char *field;
    struct str value;

    if (line.n == 0) {
        r->in_header = r->dropping = false;
        return true;
    }
    if (is_folded(line)) {
        if (r->dropping)
            note_field(r, "X-Keywords", line);
        return !r->dropping;
    }
    field = own_field(line, &value);
    r->dropping = field != NULL;
    if (field != NULL)
        note_field(r, field, value);
    return field == NULL;
}

/* A whole line without its end; or, with `cut`, the first part of a long one. False: it is the next separator. */
static bool take_line(struct mbox_reader *r, struct str line, bool cut, struct buf *out)
{
    int64_t received;
    int quoted = quotes(line);
    bool header = r->in_header;

    if (!r->started) {
        r->started = true;
        mbox_is_separator(line, &r->received);
        buf_add(&r->from, line);
        return true;
    }
    if (!cut && r->blank_before && mbox_is_separator(line, &received))
        return false;
    release_blank(r, out);
    r->blank_before = line.n == 0 && !cut;
    if (r->blank_before && !header) {
        r->blank_held = true;
        return true;
    }
    if (header && !cut && !header_line(r, line))
        return true;
    if (cut)
        r->dropping = false;
    buf_add(out, quoted > 0 ? str_skip(line, 1) : line);
    if (!cut)
        buf_add(out, STR("\r\n"));
    return true;
}

static struct str without_cr(struct str line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

/* The rest of a long line, up to its end if it is there. */
static size_t pass(struct mbox_reader *r, struct str bytes, bool ended, size_t n, struct buf *out)
{
    struct str part = str_sub(bytes, 0, n);

    if (ended && n == 0 && r->last == '\r') {
        buf_add(out, STR("\n"));
    } else {
        buf_add(out, part);
        if (ended)
            buf_add(out, str_ends(part, STR("\r")) ? STR("\n") : STR("\r\n"));
    }
    if (n > 0)
        r->last = part.p[n - 1];
    r->passing = !ended;
    return n + ended;
}

size_t mbox_reader_feed(struct mbox_reader *r, struct str bytes, bool end, struct buf *out, bool *ended)
{
    size_t used = 0;

    *ended = false;
    while (used < bytes.n) {
        struct str rest = str_skip(bytes, used);
        ptrdiff_t at = str_find(rest, '\n');
        size_t n = at < 0 ? rest.n : (size_t)at;

        if (r->passing) {
            used += pass(r, rest, at >= 0, n, out);
        } else if (n > MBOX_LINE) {
            take_line(r, str_sub(rest, 0, MBOX_LINE), true, out);
            r->last = rest.p[MBOX_LINE - 1];
            r->passing = true;
            used += MBOX_LINE;
        } else if (at >= 0 || end) {
            *ended = !take_line(r, without_cr(str_sub(rest, 0, n)), false, out);
            if (*ended)
                return used;
            used += n + (at >= 0);
        } else {
            return used;
        }
    }
    return used;
}

/* ---- writing ---- */

void mbox_writer_init(struct mbox_writer *w)
{
    *w = (struct mbox_writer){0};
    buf_init(&w->line, 4 * MBOX_LINE);
    buf_init(&w->fields, 64 * MBOX_LINE);
}

void mbox_writer_clear(struct mbox_writer *w)
{
    buf_clear(&w->line);
    buf_clear(&w->fields);
}

static void make_fields(struct mbox_writer *w, unsigned flags, struct str keywords)
{
    buf_reset(&w->fields);
    buf_addf(&w->fields, "Status: %sO\n", flags & IMAP_SEEN ? "R" : "");
    if (flags & ~(unsigned)IMAP_SEEN) {
        buf_add(&w->fields, STR("X-Status: "));
        for (size_t i = 1; i < sizeof letters / sizeof *letters; i++)
            if (flags & letters[i].flag)
                buf_add_char(&w->fields, letters[i].letter);
        buf_add_char(&w->fields, '\n');
    }
    if (keywords.n > 0) {
        buf_add(&w->fields, STR("X-Keywords: "));
        buf_add(&w->fields, keywords);
        buf_add_char(&w->fields, '\n');
    }
}

void mbox_writer_begin(struct mbox_writer *w, struct str sender, int64_t received, unsigned flags, struct str keywords, struct buf *out)
{
    time_t seconds = (time_t)(received / SECOND);
    struct tm tm = {0};
    char text[64];

    buf_reset(&w->line);
    w->passing = w->dropping = false;
    w->in_header = true;
    make_fields(w, flags, keywords);
    if (sender.n == 0 || sender.n > 320 || str_find(sender, ' ') >= 0 || !str_is_printable(sender))
        sender = STR("MAILER-DAEMON");
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &tm); /* the program runs in the C locale */
    buf_addf(out, "From %.*s %s\n", STR_ARG(sender), text);
}

/* Writes the beginning of a line, or all of it; false: it is left out. */
static bool write_line(struct mbox_writer *w, struct str line, bool whole, struct buf *out)
{
    struct str value;

    if (w->in_header && whole && line.n == 0) {
        buf_add(out, buf_str(&w->fields));
        w->in_header = w->dropping = false;
    } else if (w->in_header) {
        w->dropping = is_folded(line) ? w->dropping : own_field(line, &value) != NULL;
    }
    if (w->dropping)
        return false;
    if (quotes(line) >= 0)
        buf_add_char(out, '>');
    buf_add(out, line);
    return true;
}

/* All of them: a line that is only CRs must not become an empty one when it is read. */
static struct str without_crs(struct str line)
{
    while (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static void end_line(struct mbox_writer *w, struct buf *out)
{
    bool written = true;

    if (!w->passing)
        written = write_line(w, without_crs(buf_str(&w->line)), true, out);
    else if (!w->dropping)
        buf_add(out, without_crs(buf_str(&w->line)));
    if (written && !(w->passing && w->dropping))
        buf_add_char(out, '\n');
    buf_reset(&w->line);
    w->passing = false;
}

void mbox_writer_feed(struct mbox_writer *w, struct str bytes, struct buf *out)
{
    while (bytes.n > 0) {
        ptrdiff_t at = str_find(bytes, '\n');
        size_t n = at < 0 ? bytes.n : (size_t)at;
        size_t room = MBOX_LINE - w->line.n;

        if (n <= room) {
            buf_add(&w->line, str_sub(bytes, 0, n));
            bytes = str_skip(bytes, n + (at >= 0));
            if (at >= 0)
                end_line(w, out);
            continue;
        }
        /* A long line: what is collected goes out, but for its last byte, which may be a CR. */
        buf_add(&w->line, str_sub(bytes, 0, room));
        bytes = str_skip(bytes, room);
        if (!w->passing)
            write_line(w, str_sub(buf_str(&w->line), 0, MBOX_LINE - 1), false, out);
        else if (!w->dropping)
            buf_add(out, str_sub(buf_str(&w->line), 0, MBOX_LINE - 1));
        w->passing = true;
        buf_consume(&w->line, MBOX_LINE - 1);
    }
}

void mbox_writer_end(struct mbox_writer *w, struct buf *out)
{
    if (w->line.n > 0 || w->passing)
        end_line(w, out);
    if (w->in_header) { /* it has nothing but a header */
        buf_add(out, buf_str(&w->fields));
        buf_add_char(out, '\n');
    }
    buf_add_char(out, '\n');
}
