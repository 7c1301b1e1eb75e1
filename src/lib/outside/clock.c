#include "check.h"

#include <sys/timex.h>

void outside_clock_read(struct outside_clock *clock)
{
    struct timex t = {0}; /* modes 0: nothing is set */
    int state = adjtimex(&t);

    *clock = (struct outside_clock){.known = state >= 0};
    if (!clock->known)
        return;
    clock->synchronized = state != TIME_ERROR && !(t.status & STA_UNSYNC);
    clock->error = t.esterror;
}
