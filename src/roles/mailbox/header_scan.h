/* Looks for bytes above 127 in the header of a message that comes in pieces. */
#pragma once
#include "base/str.h"

struct header_scan {
    bool ended;     /* the empty line has passed */
    bool has_8bit;
    bool line_used; /* the line so far holds more than CR */
};

void header_scan(struct header_scan *s, struct str piece);
