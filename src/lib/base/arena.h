/* Memory that dies together: one event, one mail transaction, one connection, the process.
 * The ceiling fails only its own client. Under AddressSanitizer every block has a red zone and
 * what is not allocated is poisoned. */
#pragma once
#include "base/str.h"

struct arena {
    struct arena_block *blocks;
    size_t used;    /* bytes taken from the system */
    size_t ceiling; /* of `used` */
};

void arena_init(struct arena *a, size_t ceiling);
void arena_clear(struct arena *a); /* frees everything; usable again */
void arena_wipe(struct arena *a);  /* the same, and overwrites it first: there were secrets */
/* NULL over the ceiling. Aligned for any type, cleared. */
void *arena_alloc(struct arena *a, size_t n);
/* A NUL-terminated copy; .p is NULL over the ceiling. */
struct str arena_str(struct arena *a, struct str s);
