/* See unpack.h. */
#include "unpack.h"

#include <string.h>

enum { ZIP_HEAD = 30, STORED = 0, DEFLATED = 8, ENCRYPTED = 1, SIZE_LATER = 8 };

static unsigned little(const char *p, unsigned n)
{
    unsigned value = 0;

    while (n-- > 0)
        value = value << 8 | (unsigned char)p[n];
    return value;
}

static void begin_inflate(struct unpack *u, int bits)
{
    u->z.next_in = (z_const Bytef *)u->in.p;
    u->z.avail_in = (uInt)u->in.n;
    u->open = inflateInit2(&u->z, bits) == Z_OK;
    if (!u->open)
        u->kind = UNPACK_NOTHING;
}

/* The local header of the first file (APPNOTE 4.3.7). */
static void begin_zip(struct unpack *u)
{
    unsigned flags, method, skip, size;

    u->kind = UNPACK_NOTHING;
    if (u->in.n < ZIP_HEAD)
        return;
    flags = little(u->in.p + 6, 2);
    method = little(u->in.p + 8, 2);
    size = little(u->in.p + 18, 4);
    skip = ZIP_HEAD + little(u->in.p + 26, 2) + little(u->in.p + 28, 2);
    if (flags & ENCRYPTED || skip > u->in.n || (method == STORED && flags & SIZE_LATER))
        return;
    u->in = str_skip(u->in, skip);
    if (method == STORED && size <= u->in.n) {
        u->kind = UNPACK_PLAIN;
        u->in = str_sub(u->in, 0, size);
    } else if (method == DEFLATED) {
        u->kind = UNPACK_ZIP;
        begin_inflate(u, -15);
    }
}

void unpack_begin(struct unpack *u, struct str bytes, uint64_t limit)
{
    *u = (struct unpack){.in = bytes, .limit = limit, .kind = UNPACK_PLAIN};
    if (str_starts(bytes, STR("\x1f\x8b"))) {
        u->kind = UNPACK_GZIP;
        begin_inflate(u, 15 + 16);
    } else if (str_starts(bytes, STR("PK\x03\x04"))) {
        begin_zip(u);
    }
}

static enum unpack_result count(struct unpack *u, size_t got, uint64_t used, enum unpack_result result)
{
    u->out += got;
    if (u->out > u->limit || (u->out > UNPACK_RATIO_FROM && used > 0 && u->out / used >= UNPACK_RATIO_MAX))
        return UNPACK_TOO_LARGE;
    return result;
}

static enum unpack_result copy(struct unpack *u, char *room, size_t n, size_t *got)
{
    *got = u->in.n < n ? u->in.n : n;
    if (*got > 0)
        memcpy(room, u->in.p, *got);
    u->in = str_skip(u->in, *got);
    return count(u, *got, 0, u->in.n > 0 ? UNPACK_MORE : UNPACK_END);
}

/* gzip may be several members one after the other. */
static bool next_member(struct unpack *u)
{
    return u->kind == UNPACK_GZIP && u->z.avail_in > 2 && u->z.next_in[0] == 0x1f && u->z.next_in[1] == 0x8b &&
           inflateReset(&u->z) == Z_OK;
}

enum unpack_result unpack_next(struct unpack *u, char *room, size_t n, size_t *got)
{
    enum unpack_result result = UNPACK_MORE;
    int code;

    *got = 0;
    if (u->kind == UNPACK_NOTHING)
        return UNPACK_BAD;
    if (u->kind == UNPACK_PLAIN)
        return copy(u, room, n, got);
    u->z.next_out = (Bytef *)room;
    u->z.avail_out = (uInt)n;
    code = inflate(&u->z, Z_NO_FLUSH);
    *got = n - u->z.avail_out;
    if (code == Z_STREAM_END)
        result = next_member(u) ? UNPACK_MORE : UNPACK_END;
    else if (code != Z_OK || (*got == 0 && u->z.avail_in == 0))
        result = UNPACK_BAD;
    return count(u, *got, u->in.n - u->z.avail_in, result);
}

void unpack_clear(struct unpack *u)
{
    if (u->open)
        inflateEnd(&u->z);
    *u = (struct unpack){.kind = UNPACK_NOTHING};
}
