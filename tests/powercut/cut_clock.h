#pragma once
#include "base/clock.h"

#define CUT_FIRST_DAY (INT64_C(1790000000) * SECOND)

void cut_set_clock(int64_t now);
