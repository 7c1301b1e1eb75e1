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
int64_t clock_monotonic(void); /* microseconds since some fixed point */
/* "2026-11-22T03:30:00.123Z"; needs 25 bytes. */
void clock_format_utc(int64_t time, char *out, size_t size);
