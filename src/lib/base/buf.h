/* Owned, growable bytes with a ceiling given at birth. Going over the ceiling latches `failed` and
 * leaves the content as it was: build first, check once at the end. */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct buf {
    char *p;
    size_t n;
    size_t capacity;
    size_t ceiling;
    bool failed;
};

void buf_init(struct buf *b, size_t ceiling);
void buf_clear(struct buf *b); /* frees the memory; the buffer may be used again */
void buf_reset(struct buf *b); /* forgets the content and the failure, keeps small memory */

void buf_add(struct buf *b, struct str s);
void buf_add_char(struct buf *b, char c);
void buf_add_number(struct buf *b, uint64_t n); /* in decimal */
void buf_addf(struct buf *b, const char *format, ...) PRINTF(2, 3);
/* Room for n more bytes at b->p + b->n, to be counted with b->n += ...; NULL over the ceiling. */
char *buf_reserve(struct buf *b, size_t n);
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
struct str buf_str(const struct buf *b); /* valid until the next change */

/* Owned copies of text: NUL-terminated for debuggers, freed with free(). */
struct str str_dup(struct str s);
void str_free(struct str *s);
