/* Line ends between files, where they are LF, and IMAP, where they are CRLF. A bare CR stays what it is. */
#pragma once
#include "base/buf.h"

/* Adds CRs where a LF has none. *last: the byte before `bytes`, kept between calls; 0 at first. */
void lines_to_crlf(struct buf *out, struct str bytes, char *last);
/* How many bytes that would add. */
uint64_t lines_missing(struct str bytes, char *last);
/* CRLF to LF. *cr: a CR waits at the end of what came so far. *lost: the way back would give other bytes (bare LF, or CR
 * before CRLF). */
void lines_to_lf(struct buf *out, struct str bytes, bool *cr, bool *lost);
