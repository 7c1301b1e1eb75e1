/* Dates as mail writes them. The calendar is timegm's; here is only the text. */
#include "mime/date.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

void date_format(int64_t time, char out[DATE_TEXT])
{
    time_t seconds = (time_t)(time / SECOND - (time % SECOND < 0));
    struct tm tm;

    if (seconds < 0)
        seconds = 0;
    if (seconds > INT64_C(253402300799)) /* the last second of 9999 */
        seconds = INT64_C(253402300799);
    gmtime_r(&seconds, &tm);
    snprintf(out, DATE_TEXT, "%.3s, %02u %.3s %04u %02u:%02u:%02u +0000", days + 3 * tm.tm_wday,
        (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon, (unsigned)(tm.tm_year + 1900) % 10000,
        (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

/* Passes over blanks, folding and (nested) comments. */
static void skip_cfws(struct str *text)
{
    unsigned depth = 0;

    while (text->n) {
        char c = text->p[0];

        if (c == '(')
            depth++;
        else if (c == ')' && depth)
            depth--;
        else if (c == '\\' && depth && text->n > 1)
            *text = str_skip(*text, 1);
        else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return;
        *text = str_skip(*text, 1);
    }
}

static bool take_number(struct str *text, size_t most, int *number)
{
    size_t n = 0;

    skip_cfws(text);
    *number = 0;
    for (; n < text->n && n < most && ascii_is_digit(text->p[n]); n++)
        *number = *number * 10 + (text->p[n] - '0');
    *text = str_skip(*text, n);
    return n > 0;
}

static bool take_char(struct str *text, char c)
{
    skip_cfws(text);
    if (text->n == 0 || text->p[0] != c)
        return false;
    *text = str_skip(*text, 1);
    return true;
}

static struct str take_word(struct str *text)
{
    struct str word;
    size_t n = 0;

    skip_cfws(text);
    while (n < text->n && ascii_is_alpha(text->p[n]))
        n++;
    word = str_sub(*text, 0, n);
    *text = str_skip(*text, n);
    return word;
}

static bool take_month(struct str *text, int *month)
{
    struct str word = take_word(text);

    for (int i = 0; word.n >= 3 && i < 12; i++)
        if (str_istarts(word, str_from(months + 3 * i, 3))) {
            *month = i;
            return true;
        }
    return false;
}

/* Years of two and three digits: RFC 5322 4.3. */
static bool take_year(struct str *text, int *year)
{
    size_t before;

    skip_cfws(text);
    before = text->n;
    if (!take_number(text, 4, year))
        return false;
    switch (before - text->n) {
    case 2:
        *year += *year < 50 ? 2000 : 1900;
        return true;
    case 3:
        *year += 1900;
        return true;
    case 4:
        return *year >= 1900;
    default:
        return false;
    }
}

/* "+0130", or an obsolete name; minutes east of Greenwich. Unknown names count as 0 (RFC 5322 4.3). */
static bool take_zone(struct str *text, int *east)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6},
        {"PST", -8}, {"PDT", -7}};
    struct str word;
    int number;

    *east = 0;
    skip_cfws(text);
    if (text->n && (text->p[0] == '+' || text->p[0] == '-')) {
        int sign = text->p[0] == '-' ? -1 : 1;

        *text = str_skip(*text, 1);
        if (!take_number(text, 4, &number) || number % 100 > 59)
            return false;
        *east = sign * (number / 100 * 60 + number % 100);
        return true;
    }
    word = take_word(text);
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
        if (str_ieq(word, str_of(zones[i].name)))
            *east = zones[i].hours * 60;
    return true;
}

static bool parse(struct str text, struct tm *tm, int *east)
{
    if (take_word(&text).n)
        take_char(&text, ',');
    if (!take_number(&text, 2, &tm->tm_mday) || !take_month(&text, &tm->tm_mon) || !take_year(&text, &tm->tm_year) ||
        !take_number(&text, 2, &tm->tm_hour) || !take_char(&text, ':') || !take_number(&text, 2, &tm->tm_min))
        return false;
    if (take_char(&text, ':') && !take_number(&text, 2, &tm->tm_sec))
        return false;
    if (!take_zone(&text, east))
        return false;
    skip_cfws(&text);
    if (text.n || tm->tm_mday < 1 || tm->tm_mday > 31 || tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
        return false;
    tm->tm_year -= 1900;
    return true;
}

bool date_parse(struct str text, int64_t *time)
{
    struct tm tm = {0};
    int east;

    if (!parse(text, &tm, &east))
        return false;
    *time = ((int64_t)timegm(&tm) - east * 60) * SECOND;
    return true;
}

bool date_parse_day(struct str text, int64_t *day)
{
    struct tm tm = {0};
    int east;

    if (!parse(text, &tm, &east))
        return false;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    *day = (int64_t)timegm(&tm) / 86400;
    return true;
}
