/* The clock of worlds that have no other (--wrap=clock_now): it stands where it is put. */
#include "cut_clock.h"

int64_t __wrap_clock_now(void);

static int64_t now = CUT_FIRST_DAY;

int64_t __wrap_clock_now(void)
{
    return now;
}

void cut_set_clock(int64_t time)
{
    now = time;
}
