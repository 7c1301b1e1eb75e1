#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

int64_t clock_now(void)
{
    return read_clock(CLOCK_REALTIME);
}

/* The time that a machine sleeps counts: else the wall clock would seem to have been set when it wakes. */
int64_t clock_monotonic(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

void clock_format_utc(int64_t time, char *out, size_t size)
{
    time_t seconds = (time_t)(time / SECOND);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(time % SECOND / 1000));
}
