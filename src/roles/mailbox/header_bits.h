/* Looks for bytes above 127 in the header of a message that comes in pieces. Fields do not matter for that, so
 * that nothing is copied and there is no limit, unlike lib/mime. */
#pragma once
#include "base/str.h"

struct header_bits {
    bool ended;     /* the empty line has passed */
    bool has_8bit;
    bool line_used; /* the line so far holds more than CR */
};

void header_bits_scan(struct header_bits *s, struct str piece);
