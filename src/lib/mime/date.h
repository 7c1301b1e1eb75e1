/* Dates of RFC 5322 3.3, with the obsolete forms when reading. Times are microseconds since 1970. */
#pragma once
#include "base/str.h"

enum { DATE_TEXT = 40 };

/* "Sun, 22 Nov 2026 03:30:00 +0000"; UTC. Never fails: out-of-range times are clamped to year 9999. */
void date_format(int64_t time, char out[DATE_TEXT]);
bool date_parse(struct str text, int64_t *time);
/* The day as it is written, whatever the time and the zone; days since 1970. */
bool date_parse_day(struct str text, int64_t *day);
