/* Queue ids: the name of a message from the moment it is offered until its story is forgotten.
 *
 * 63 bits: milliseconds since 2020-01-01 (41), who made it (10), random bits of this process (2), a
 * counter (10). They grow with time, so a table keyed by them is appended to; no two
 * processes make the same, and a process whose clock was set back is told apart by the random bits and
 * by the time of arrival that goes with an id. Written as 13 characters of
 * Crockford's base 32 (no I, L, O, U). */
#pragma once
#include "base/str.h"

enum { MSGID_TEXT = 13 };

/* Says who makes the ids of this process: a number below 1024 that no other process has. */
void msgid_set_source(unsigned source);
uint64_t msgid_new(void); /* never 0 */
void msgid_format(uint64_t id, char out[MSGID_TEXT + 1]);
bool msgid_parse(struct str text, uint64_t *id); /* case does not matter */
int64_t msgid_time(uint64_t id);                 /* wall time it was made, microseconds */
