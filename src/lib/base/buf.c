#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_AT_MOST = 64 * 1024 };

void buf_init(struct buf *b, size_t ceiling)
{
    *b = (struct buf){.ceiling = ceiling};
}

void buf_clear(struct buf *b)
{
    free(b->p);
    buf_init(b, b->ceiling);
}

void buf_reset(struct buf *b)
{
    if (b->capacity > KEEP_AT_MOST)
        buf_clear(b);
    b->n = 0;
    b->failed = false;
}

static char *grow(struct buf *b, size_t n)
{
    size_t want = b->capacity ? b->capacity : 128;

    if (b->failed || n > b->ceiling || b->n > b->ceiling - n) {
        b->failed = true;
        return NULL;
    }
    if (b->n + n <= b->capacity)
        return b->p + b->n;
    while (want < b->n + n)
        want *= 2;
    if (want > b->ceiling)
        want = b->ceiling;
    b->p = xrealloc(b->p, want);
    b->capacity = want;
    return b->p + b->n;
}

/* There is room mostly: not a call then. */
static inline char *reserve(struct buf *b, size_t n)
{
    return !b->failed && n <= b->capacity - b->n && b->capacity > 0 ? b->p + b->n : grow(b, n);
}

char *buf_reserve(struct buf *b, size_t n)
{
    return reserve(b, n);
}

void buf_add(struct buf *b, struct str s)
{
    char *room = s.n ? reserve(b, s.n) : NULL;

    if (room == NULL)
        return;
    memcpy(room, s.p, s.n);
    b->n += s.n;
}

void buf_add_char(struct buf *b, char c)
{
    char *room = reserve(b, 1);

    if (room == NULL)
        return;
    *room = c;
    b->n++;
}

void buf_add_number(struct buf *b, uint64_t n)
{
    size_t digits = 1;
    char *room;

    for (uint64_t rest = n; rest >= 10; rest /= 10)
        digits++;
    room = reserve(b, digits);
    if (room == NULL)
        return;
    b->n += digits;
    for (; digits > 0; n /= 10)
        room[--digits] = (char)('0' + n % 10);
}

void buf_addf(struct buf *b, const char *format, ...)
{
    char small[512];
    va_list args, again;
    int n;
    char *room;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n < sizeof small) {
        buf_add(b, (struct str){small, (size_t)n});
    } else if (b->ceiling - b->n <= (size_t)n) {
        b->failed = true;
    } else {
        room = buf_reserve(b, (size_t)n + 1);
        if (room != NULL) {
            vsnprintf(room, (size_t)n + 1, format, again);
            b->n += (size_t)n;
        }
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

struct str str_dup(struct str s)
{
    return (struct str){xstrndup(s.p, s.n), s.n};
}

void str_free(struct str *s)
{
    free((void *)(uintptr_t)s->p);
    *s = (struct str){0};
}
