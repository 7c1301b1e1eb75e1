/* Queue ids: the name of a message from the moment it is offered until its story is forgotten.
 *
 * 63 bits: milliseconds since 2020-01-01 (41), a random tag of this process (12), a counter in the
 * millisecond (10). They grow with time, so a table keyed by them is appended to, and the random tag
 * keeps two processes, and one process whose clock was set back, apart. Written as 13 characters of
 * Crockford's base 32 (no I, L, O, U). */
#pragma once
#include "base/str.h"

enum { MSGID_TEXT = 13 };

uint64_t msgid_new(void); /* never 0 */
void msgid_format(uint64_t id, char out[MSGID_TEXT + 1]);
bool msgid_parse(struct str text, uint64_t *id); /* case does not matter */
int64_t msgid_time(uint64_t id);                 /* wall time it was made, microseconds */
