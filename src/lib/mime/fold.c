/* Case folding by libunistring; ASCII, which is most of it, by hand. */
#include "mime/fold.h"

#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

enum { PIECE_MAX = 4096, SMALL = 512 };

static size_t ascii_run(struct str text)
{
    size_t n = 0;

    while (n < text.n && (unsigned char)text.p[n] < 0x80)
        n++;
    return n;
}

/* Bytes beyond ASCII at the start, ended between characters. */
static size_t other_run(struct str text)
{
    size_t n = 0;

    while (n < text.n && (unsigned char)text.p[n] >= 0x80 && (n < PIECE_MAX || (text.p[n] & 0xc0) == 0x80))
        n++;
    return n;
}

static void fold_ascii(struct str text, struct buf *out)
{
    char *room = buf_reserve(out, text.n);

    if (room == NULL)
        return;
    for (size_t i = 0; i < text.n; i++)
        room[i] = ascii_lower(text.p[i]);
    out->n += text.n;
}

static void fold_other(struct str text, struct buf *out)
{
    uint8_t small[SMALL];
    size_t n = sizeof small;
    uint8_t *folded = u8_casefold((const uint8_t *)text.p, text.n, NULL, UNINORM_NFKD, small, &n);

    buf_add(out, folded == NULL ? text : str_from((const char *)folded, n));
    if (folded != small)
        free(folded);
}

/* `goes_on`: characters beyond ASCII at the end wait for what follows them. */
static size_t fold_runs(struct str utf8, bool goes_on, struct buf *out)
{
    struct str rest = utf8;

    while (rest.n && !out->failed) {
        size_t n = ascii_run(rest);

        if (n)
            fold_ascii(str_sub(rest, 0, n), out);
        rest = str_skip(rest, n);
        n = other_run(rest);
        if (n == rest.n && goes_on)
            break;
        if (n)
            fold_other(str_sub(rest, 0, n), out);
        rest = str_skip(rest, n);
    }
    return utf8.n - rest.n;
}

void mime_casefold(struct str utf8, struct buf *out)
{
    (void)fold_runs(utf8, false, out);
}

size_t mime_casefold_part(struct str utf8, struct buf *out)
{
    return fold_runs(utf8, true, out);
}
