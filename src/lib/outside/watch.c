#include "watch.h"
#include "mime/date.h"

#include <string.h>

static void add_clean(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        buf_add_char(out, c < 0x20 || c > 0x7e ? '?' : (char)c);
    }
}

static void add_line(struct buf *out, const struct outside_problem *p)
{
    const struct str fields[] = {p->level, p->check, p->item, p->text, p->publish};
    size_t before = out->n;

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        add_clean(out, fields[i]);
        buf_add_char(out, i + 1 < sizeof fields / sizeof *fields ? '\t' : '\n');
    }
    if (out->failed) { /* no room: as if it were not there */
        out->n = before;
        out->failed = false;
    }
}

bool outside_watch_next(struct str *rest, struct outside_problem *p)
{
    struct str line;

    while (str_next(rest, '\n', &line))
        if (str_next(&line, '\t', &p->level) && str_next(&line, '\t', &p->check) && str_next(&line, '\t', &p->item) &&
            str_next(&line, '\t', &p->text)) {
            p->publish = line;
            return true;
        }
    return false;
}

static struct outside_problem problem_of(const struct outside_result *r)
{
    return (struct outside_problem){str_of(outside_level_words[r->level]), str_of(r->check), r->item, r->text, r->publish};
}

static bool same(const struct outside_problem *a, const struct outside_problem *b)
{
    return str_eq(a->check, b->check) && str_eq(a->item, b->item);
}

static bool find(struct str text, const struct outside_problem *wanted, bool with_level)
{
    struct outside_problem p;

    while (outside_watch_next(&text, &p))
        if (same(&p, wanted) && (!with_level || str_eq(p.level, wanted->level)))
            return true;
    return false;
}

/* All of `text`, or nothing of it. */
static bool write_change(struct buf *letter, const char *what, const struct outside_problem *p, const char *why)
{
    size_t before = letter->n;

    buf_addf(letter, "%s: %.*s: ", what, STR_ARG(p->check));
    add_clean(letter, p->item);
    buf_add(letter, STR(": "));
    add_clean(letter, p->text);
    buf_add(letter, STR("\r\n"));
    if (why != NULL && p->publish.n > 0) {
        buf_add(letter, STR("    publish: "));
        add_clean(letter, p->publish);
        buf_add(letter, STR("\r\n"));
    }
    if (why != NULL)
        buf_addf(letter, "    why: %s\r\n", why);
    buf_add(letter, STR("\r\n"));
    if (!letter->failed)
        return true;
    letter->n = before;
    letter->failed = false;
    return false;
}

static void look_at_present(const struct outside_check *c, struct str before, struct buf *now, struct buf *letter, size_t *changes)
{
    for (size_t i = 0; i < outside_check_count(c); i++) {
        const struct outside_result *r = outside_check_result(c, i);
        struct outside_problem p = problem_of(r);
        size_t mark = now->n;

        if (r->level == OUTSIDE_OK || r->unknown)
            continue;
        add_line(now, &p);
        if (now->n > mark && !find(before, &p, true))
            *changes += write_change(letter, outside_level_words[r->level], &p, r->why);
    }
}

/* Did this check find out everything today? */
static bool is_known(const struct outside_check *c, struct str check)
{
    for (size_t i = 0; i < outside_check_count(c); i++)
        if (str_eq(str_of(outside_check_result(c, i)->check), check) && outside_check_result(c, i)->unknown)
            return false;
    return true;
}

static void look_at_past(const struct outside_check *c, struct str before, struct buf *now, struct buf *letter, size_t *changes)
{
    size_t end = now->n;
    struct outside_problem p;

    while (outside_watch_next(&before, &p)) {
        if (find(str_sub(buf_str(now), 0, end), &p, false))
            continue;
        if (!is_known(c, p.check))
            add_line(now, &p);
        else
            *changes += write_change(letter, "mended", &p, NULL);
    }
}

size_t outside_watch_compare(const struct outside_check *c, struct str before, struct buf *now, struct buf *letter)
{
    size_t changes = 0;

    look_at_present(c, before, now, letter, &changes);
    look_at_past(c, before, now, letter, &changes);
    return changes;
}

void outside_watch_mail(struct str hostname, struct str subject, struct str address, struct str id, size_t changes, struct str letter, int64_t now,
    struct buf *out)
{
    char date[DATE_TEXT];

    date_format(now, date);
    buf_addf(out, "From: Staffetta on %.*s <%.*s>\r\nTo: <%.*s>\r\n", STR_ARG(hostname), STR_ARG(address), STR_ARG(address));
    buf_addf(out, "Subject: %.*s: %zu change%s in what others see\r\n", STR_ARG(subject), changes, changes == 1 ? "" : "s");
    buf_addf(out, "Date: %s\r\nMessage-ID: <%.*s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n", date, STR_ARG(id));
    buf_addf(out, "Content-Type: text/plain; charset=us-ascii\r\n\r\nThe daily check of %.*s found:\r\n\r\n", STR_ARG(subject));
    buf_add(out, letter);
    buf_addf(out, "`staffetta check` on %.*s shows all of it. A change is told once.\r\n", STR_ARG(hostname));
}
