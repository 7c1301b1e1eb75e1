/* COMPRESS=DEFLATE (RFC 4978): both directions of a connection as raw deflate streams (RFC 1951).
 *
 * Memory: 66 KB for what is sent while it is compressed, 40 KB for what is received, and what the sender may refer back to
 * (at most 32 KB) while nothing passes. Input is inflated a bounded piece at a time, whatever its ratio. */
#pragma once
#include "base/buf.h"

struct imap_compression;

struct imap_compression *imap_compression_new(void);
void imap_compression_free(struct imap_compression *c); /* NULL is fine */

/* Inflates from the front of *bytes until `most` bytes more are in `out`, a block has ended or nothing is left, and cuts off what was used.
 * False: these are no deflated bytes, or the stream has ended. */
bool imap_inflate(struct imap_compression *c, struct str *bytes, struct buf *out, size_t most);
/* Nothing of the stream is half read: the last that came was a flush, or its end. Here its sender may have gone back to bytes
 * as they are. */
bool imap_inflate_at_end(const struct imap_compression *c);
/* Deflates and flushes: the other side can read all of it. */
void imap_deflate(struct imap_compression *c, struct str bytes, struct buf *out);
/* Gives memory back until something passes again. */
void imap_compression_rest(struct imap_compression *c);
size_t imap_compression_memory(const struct imap_compression *c); /* about, bytes */
