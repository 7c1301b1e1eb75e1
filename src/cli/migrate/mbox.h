/* The format mbox (RFC 4155; quoting as mboxrd: a line of '>'s and "From " has one '>' more in the file). Pure machines
 * that take bytes in any pieces; memory does not grow with lines or messages.
 *
 * What a mailbox file keeps about a message stands in fields of its header, as mutt and Dovecot write them: Status, X-Status,
 * X-Keywords; with X-UID, X-IMAP, X-IMAPbase and Content-Length these are no part of the message. */
#pragma once
#include "base/buf.h"

enum { MBOX_LINE = 1000 }; /* a longer line is no separator and no such field */

/* ---- reading ---- */

struct mbox_reader {
    bool passing;          /* the rest of a long line goes through */
    bool in_header, blank_before, blank_held, dropping, started;
    char last;
    /* of the message, complete when it ended */
    struct buf from;       /* its separator line, without the line end */
    int64_t received;      /* from there, microseconds, 0: unknown */
    unsigned flags;        /* enum imap_flag */
    struct buf keywords;   /* words */
};
void mbox_reader_init(struct mbox_reader *r);
void mbox_reader_clear(struct mbox_reader *r);
/* A message begins: the next byte is the first of its separator line. */
void mbox_reader_begin(struct mbox_reader *r);
/* Takes bytes, appends the message's own to `out` with CRLF line ends (at most twice as many, and 4). Returns how many were
 * used: those of a line that is not whole and not longer than MBOX_LINE are to be given again, with more. *ended: the next
 * separator stands right behind what was used. `end`: after these comes nothing more. */
size_t mbox_reader_feed(struct mbox_reader *r, struct str bytes, bool end, struct buf *out, bool *ended);
/* "From ann@example.org Sun Nov 22 13:04:05 2026": is it one? *received may be 0 afterwards. */
bool mbox_is_separator(struct str line, int64_t *received);

/* ---- writing ---- */

struct mbox_writer {
    struct buf line; /* the one under way, or the end of what there is of a long one */
    bool passing, in_header, dropping;
    struct buf fields; /* written at the end of the header */
};
void mbox_writer_init(struct mbox_writer *w);
void mbox_writer_clear(struct mbox_writer *w);
/* Writes the separator; `sender` may be empty. */
void mbox_writer_begin(struct mbox_writer *w, struct str sender, int64_t received, unsigned flags, struct str keywords, struct buf *out);
void mbox_writer_feed(struct mbox_writer *w, struct str bytes, struct buf *out);
void mbox_writer_end(struct mbox_writer *w, struct buf *out);
