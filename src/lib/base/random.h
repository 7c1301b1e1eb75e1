#pragma once
#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t n);
uint64_t random_below(uint64_t limit); /* uniform in 0..limit-1; limit > 0 */
