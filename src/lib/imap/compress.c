/* Deflated connections. See compress.h.
 *
 * What is sent ends with a flush each time, so that a new compressor can take over at any such place: it only refers back to
 * what it has seen itself. What is received may refer back to 32 KB before it; at rest only those bytes are kept. */
#include "compress.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    SEND_BITS = 13,   /* 32 KB */
    SEND_MEMORY = 6,  /* 32 KB */
    SEND_LEVEL = 3,
    WINDOW = 32 * 1024,
    DEFLATER = 66 * 1024,
    INFLATER = 8 * 1024, /* without its window */
};

struct imap_compression {
    z_stream in, out;
    bool inflates, deflates; /* these are made */
    bool ended;              /* the last block has come */
    bool at_flush;
    size_t in_block;         /* bytes that the block under way has given */
    unsigned char tail[4];   /* the last that were read */
    struct str kept;         /* at rest: what the sender may refer back to; owned */
};

struct imap_compression *imap_compression_new(void)
{
    struct imap_compression *c = xcalloc(1, sizeof *c);

    c->at_flush = true;
    return c;
}

void imap_compression_free(struct imap_compression *c)
{
    if (c == NULL)
        return;
    if (c->inflates)
        inflateEnd(&c->in);
    if (c->deflates)
        deflateEnd(&c->out);
    str_free(&c->kept);
    free(c);
}

/* ---- received ---- */

static void begin_inflating(struct imap_compression *c)
{
    c->in = (z_stream){0};
    if (inflateInit2(&c->in, -MAX_WBITS) != Z_OK)
        fatal("inflateInit2: no memory");
    if (c->kept.n > 0 && inflateSetDictionary(&c->in, (const Bytef *)c->kept.p, (uInt)c->kept.n) != Z_OK)
        fatal("inflateSetDictionary: %s", c->in.msg != NULL ? c->in.msg : "failed");
    str_free(&c->kept);
    c->inflates = true;
}

static void note_tail(struct imap_compression *c, struct str used)
{
    size_t n = used.n < sizeof c->tail ? used.n : sizeof c->tail;

    memmove(c->tail, c->tail + n, sizeof c->tail - n);
    memcpy(c->tail + sizeof c->tail - n, used.p + used.n - n, n);
}

/* A block has ended: an empty stored one, which begins at any bit and ends at a whole byte, is a flush. */
static void end_block(struct imap_compression *c)
{
    static const unsigned char flush[] = {0, 0, 0xff, 0xff};

    c->at_flush = c->in_block == 0 && (c->in.data_type & 7) == 0 && memcmp(c->tail, flush, sizeof flush) == 0;
    c->in_block = 0;
}

bool imap_inflate(struct imap_compression *c, struct str *bytes, struct buf *out, size_t most)
{
    char *room = buf_reserve(out, most);
    size_t used;
    int result;

    if (c->ended || room == NULL)
        return false;
    if (!c->inflates)
        begin_inflating(c);
    c->in.next_in = (Bytef *)(uintptr_t)bytes->p;
    c->in.avail_in = (uInt)bytes->n;
    c->in.next_out = (Bytef *)room;
    c->in.avail_out = (uInt)most;
    result = inflate(&c->in, Z_BLOCK);
    used = bytes->n - c->in.avail_in;
    note_tail(c, str_sub(*bytes, 0, used));
    *bytes = str_skip(*bytes, used);
    out->n += most - c->in.avail_out;
    c->in_block += most - c->in.avail_out;
    c->at_flush &= used == 0;
    c->ended = result == Z_STREAM_END;
    if (result == Z_OK && c->in.data_type & 128)
        end_block(c);
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

bool imap_inflate_at_end(const struct imap_compression *c)
{
    return c->ended || c->at_flush;
}

/* ---- sent ---- */

static void begin_deflating(struct imap_compression *c)
{
    c->out = (z_stream){0};
    if (deflateInit2(&c->out, SEND_LEVEL, Z_DEFLATED, -SEND_BITS, SEND_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        fatal("deflateInit2: no memory");
    c->deflates = true;
}

void imap_deflate(struct imap_compression *c, struct str bytes, struct buf *out)
{
    if (bytes.n == 0)
        return;
    if (!c->deflates)
        begin_deflating(c);
    c->out.next_in = (Bytef *)(uintptr_t)bytes.p;
    c->out.avail_in = (uInt)bytes.n;
    do {
        size_t room = bytes.n / 2 + 256;
        char *p = buf_reserve(out, room);

        if (p == NULL)
            return; /* over its ceiling: `failed` says so */
        c->out.next_out = (Bytef *)p;
        c->out.avail_out = (uInt)room;
        (void)deflate(&c->out, Z_SYNC_FLUSH);
        out->n += room - c->out.avail_out;
    } while (c->out.avail_out == 0);
}

/* ---- rest ---- */

static void rest_inflating(struct imap_compression *c)
{
    static unsigned char window[WINDOW];
    uInt n = 0;

    if (!c->inflates || !imap_inflate_at_end(c) || c->ended || inflateGetDictionary(&c->in, window, &n) != Z_OK)
        return;
    c->kept = str_dup(str_from((const char *)window, n));
    inflateEnd(&c->in);
    c->inflates = false;
}

void imap_compression_rest(struct imap_compression *c)
{
    if (c->deflates)
        deflateEnd(&c->out);
    c->deflates = false;
    rest_inflating(c);
}

size_t imap_compression_memory(const struct imap_compression *c)
{
    return sizeof *c + c->kept.n + (c->deflates ? DEFLATER : 0) + (c->inflates ? INFLATER + WINDOW : 0);
}
