/* What an attachment holds, pulled piece by piece out of gzip, of the first file in a zip archive, or as it is. Hostile input: what
 * comes out is bounded in all and against what goes in (zip bombs). zlib does the inflating. */
#pragma once
#include "base/str.h"

#define ZLIB_CONST
#include <zlib.h>

enum {
    UNPACK_RATIO_MAX = 200,      /* looked at from UNPACK_RATIO_FROM on */
    UNPACK_RATIO_FROM = 1 << 20,
};

enum unpack_result {
    UNPACK_MORE,
    UNPACK_END,
    UNPACK_BAD,       /* damaged, encrypted, or compressed in another way */
    UNPACK_TOO_LARGE, /* in all, or for what went in */
};

struct unpack {
    z_stream z;
    enum { UNPACK_PLAIN, UNPACK_GZIP, UNPACK_ZIP, UNPACK_NOTHING } kind;
    struct str in;
    uint64_t out, limit;
    bool open;
};

/* `bytes` are borrowed until unpack_clear; limit: of all that comes out. */
void unpack_begin(struct unpack *u, struct str bytes, uint64_t limit);
/* Writes at most n bytes to room; *got of them are there also at the end. */
enum unpack_result unpack_next(struct unpack *u, char *room, size_t n, size_t *got);
void unpack_clear(struct unpack *u);
