/* The manual page staffetta(1), on standard output. */
#pragma once

void manual_print(void);
