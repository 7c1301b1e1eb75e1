/* Randomness from libsodium, which reads getrandom(2): no file is needed in a sandbox. */
#include "base/random.h"

#include <sodium.h>

void random_bytes(void *out, size_t n)
{
    randombytes_buf(out, n);
}

uint64_t random_below(uint64_t limit)
{
    uint64_t least = -limit % limit; /* values below this would favour small results */
    uint64_t value;

    do
        randombytes_buf(&value, sizeof value);
    while (value < least);
    return value % limit;
}
