/* A message from a program, on its way to the wire: lines end with CRLF whatever they ended with, a
 * lone dot ends it (unless dots are ignored), the "From " line of mail files is dropped. */
#pragma once
#include "base/buf.h"

struct mailtext {
    bool ignore_dots;
    bool ended;      /* a lone dot was read: the rest is nobody's */
    bool crossed_cr; /* the last byte was CR */
    bool inside;     /* a line has begun */
    bool started;    /* the first line is over */
    struct buf line; /* the beginning of a line, while it may still be "." or "From " */
};

void mailtext_init(struct mailtext *t, bool ignore_dots);
void mailtext_clear(struct mailtext *t);
/* Appends what `in` becomes. */
void mailtext_take(struct mailtext *t, struct str in, struct buf *out);
/* The input is over: ends the last line. */
void mailtext_finish(struct mailtext *t, struct buf *out);

/* Doubles dots at the start of lines (RFC 5321 4.5.2); *line_start goes from call to call, true at first. */
void mailtext_stuff(struct str in, bool *line_start, struct buf *out);
