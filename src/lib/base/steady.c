/* The clock that plans are made by: see clock.h. */
#include "base/clock.h"

#include <stdbool.h>

#define STEP SECOND         /* less than this is the ordinary work of whoever keeps the time: followed */
#define MOST (2 * HOUR)     /* further away from the wall clock is never right */
enum { RATE = 16 };         /* a second is caught up in so many */

static struct {
    bool begun;
    int64_t wall, monotonic; /* when it was last read */
    int64_t ahead;           /* of the wall clock */
} last;

/* Nearer to 0 by no more than this. */
static int64_t towards_zero(int64_t n, int64_t by)
{
    if (n > 0)
        return n > by ? n - by : 0;
    return n < -by ? n + by : 0;
}

static int64_t bounded(int64_t ahead)
{
    return ahead > MOST || ahead < -MOST ? 0 : ahead;
}

int64_t clock_steady(void)
{
    int64_t wall = clock_now(), monotonic = clock_monotonic();

    if (last.begun) {
        int64_t passed = monotonic - last.monotonic, stepped = wall - last.wall - passed;

        last.ahead = towards_zero(last.ahead, passed > 0 ? passed / RATE : 0);
        if (stepped >= STEP || stepped <= -STEP)
            last.ahead = bounded(last.ahead - stepped);
        if (passed >= 0 && passed < RATE && stepped < STEP && stepped > -STEP)
            return wall + last.ahead; /* too short to be counted: looked at again with the next */
    }
    last.begun = true;
    last.wall = wall;
    last.monotonic = monotonic;
    return wall + last.ahead;
}

int64_t clock_steady_ahead(void)
{
    clock_steady();
    return last.ahead;
}
