/* Canonical forms of header fields and bodies (RFC 6376 3.4). Only CRLF is a line end; a lone CR or LF is a
 * character like others. */
#pragma once
#include "base/buf.h"
#include "base/str.h"

enum dkim_canon { DKIM_SIMPLE, DKIM_RELAXED };

/* Appends the canonical form of a whole field, "Name: value" (its last line end may be missing), with no
 * line end behind it. */
void dkim_canon_field(enum dkim_canon canon, struct str field, struct buf *out);

typedef void dkim_bytes_fn(void *owner, struct str bytes);

/* A body, in pieces of any size. The canonical form comes out in pieces too; what is held meanwhile is a
 * few counters. `length` counts what came out. */
struct dkim_canon_body {
    enum dkim_canon canon;
    dkim_bytes_fn *on_bytes;
    void *owner;
    uint64_t length;
    /* inside: what has come and waits for what follows, in this order */
    uint64_t line_ends;
    bool blank; /* a run of blanks (relaxed) */
    bool cr;
};

void dkim_canon_begin(struct dkim_canon_body *b, enum dkim_canon canon, dkim_bytes_fn *on_bytes, void *owner);
void dkim_canon_add(struct dkim_canon_body *b, struct str bytes);
void dkim_canon_end(struct dkim_canon_body *b);
