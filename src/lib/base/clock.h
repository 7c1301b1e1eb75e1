/* One clock. Wall time is microseconds since 1970 (UTC) in int64_t; spans inside a process use the
 * monotonic clock, which does not jump. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

int64_t clock_now(void);       /* wall time, microseconds */
int64_t clock_monotonic(void); /* microseconds since some fixed point, sleep included */

/* Wall time for plans: when something is due or over. A wall clock that is set, by more than a second and at most two
 * hours, moves every plan; this one goes on as if nothing had happened and draws nearer to the wall clock by a second in
 * sixteen. Further away than two hours it is the wall clock. A new process begins with the wall clock. */
int64_t clock_steady(void);
int64_t clock_steady_ahead(void); /* of the wall clock, now */

/* "2026-11-22T03:30:00.123Z"; needs 25 bytes. */
void clock_format_utc(int64_t time, char *out, size_t size);
