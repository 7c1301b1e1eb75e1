/* Dates of IMAP (RFC 9051, section 9: date, date-time). See parse.h and write.h. */
#include "parse.h"
#include "write.h"

#include "base/clock.h"

#include <stdio.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970 of a day of the Gregorian calendar. */
static int64_t day_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_of(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

static int64_t days_in(uint64_t month, uint64_t year)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

static bool month_name(struct imap_parser *p, uint64_t *month)
{
    for (*month = 1; *month <= 12; ++*month)
        if (str_istarts(p->rest, str_from(months + 3 * (*month - 1), 3))) {
            p->rest = str_skip(p->rest, 3);
            return true;
        }
    return imap_expected(p, "A month is Jan, Feb, Mar ...");
}

/* Four digits: "20" is not 2020. */
static bool take_year(struct imap_parser *p, uint64_t *year)
{
    size_t before = p->rest.n;

    return imap_number(p, 9999, year) && before - p->rest.n == 4;
}

static bool day_month_year(struct imap_parser *p, int64_t *days)
{
    uint64_t day, month, year;

    if (!imap_number(p, 31, &day) || !imap_take(p, '-') || !month_name(p, &month) || !imap_take(p, '-') ||
        !take_year(p, &year) || day == 0 || year == 0 || (int64_t)day > days_in(month, year))
        return imap_expected(p, "A date is written like 1-Feb-2026");
    *days = day_of((int64_t)year, (int64_t)month, (int64_t)day);
    return true;
}

bool imap_date(struct imap_parser *p, int64_t *day)
{
    bool quoted = imap_take(p, '"');

    return day_month_year(p, day) && (!quoted || imap_take(p, '"') || imap_expected(p, "The date's \" is missing"));
}

/* "+0130": seconds east of Greenwich. */
static bool zone(struct imap_parser *p, int64_t *seconds)
{
    bool west = imap_take(p, '-');
    uint64_t value;

    if ((!west && !imap_take(p, '+')) || !imap_number(p, 9999, &value) || value % 100 > 59 || value / 100 > 23)
        return false;
    *seconds = (int64_t)(value / 100 * 3600 + value % 100 * 60);
    if (west)
        *seconds = -*seconds;
    return true;
}

bool imap_date_time(struct imap_parser *p, int64_t *time)
{
    int64_t days, east;
    uint64_t hour, minute, second;

    if (!imap_take(p, '"'))
        return imap_expected(p, "A date and time expected");
    while (imap_take(p, ' ')) /* " 1-Feb" */
        ;
    if (!day_month_year(p, &days) || !imap_take(p, ' ') || !imap_number(p, 23, &hour) || !imap_take(p, ':') ||
        !imap_number(p, 59, &minute) || !imap_take(p, ':') || !imap_number(p, 60, &second) || !imap_take(p, ' ') ||
        !zone(p, &east) || !imap_take(p, '"')) {
        p->why = "A date and time is written like \"01-Feb-2026 12:00:00 +0000\"";
        return false;
    }
    *time = (days * 86400 + (int64_t)(hour * 3600 + minute * 60 + second) - east) * SECOND;
    return true;
}

void imap_write_date_time(struct buf *out, int64_t time)
{
    int64_t seconds = time / SECOND - (time % SECOND < 0), days = seconds / 86400, rest = seconds % 86400;
    int year, month, day;

    if (rest < 0) {
        rest += 86400;
        days--;
    }
    date_of(days, &year, &month, &day);
    buf_addf(out, "\"%02d-%.3s-%04d %02d:%02d:%02d +0000\"", day, months + 3 * (month - 1), year, (int)(rest / 3600),
        (int)(rest / 60 % 60), (int)(rest % 60));
}
