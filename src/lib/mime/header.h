/* Message headers (RFC 5322), streaming: chunks of any size in, whole fields out. The body is never
 * looked at and never held; a field that lies inside one chunk is not copied.
 *
 * The header ends at an empty line, or before a line that can be no field: then the blank line is
 * missing (and who adds fields must add it). Line ends are CRLF; a bare LF is taken for one too. */
#pragma once
#include "base/buf.h"

struct header_field {
    struct str name;  /* "Subject", without blanks */
    struct str value; /* after the colon, folding inside, without the last line end */
    struct str raw;   /* all of it, with the last line end */
};

enum header_state {
    HEADER_MORE,      /* the header goes on in the next chunk */
    HEADER_END,       /* it has ended inside this chunk: *used says where the body begins */
    HEADER_TOO_LARGE, /* over the limit: nothing more is read */
};

/* Called once a field, in order; views live until it returns. */
typedef void header_field_fn(void *owner, const struct header_field *field);

struct header_scan {
    size_t limit;
    header_field_fn *on_field;
    void *owner;
    size_t size;         /* bytes of the header so far, blank line included */
    unsigned fields;
    unsigned received;   /* fields called Received */
    bool blank;          /* ended by an empty line (else the blank line is missing) */
    enum header_state state;
    /* inside */
    struct buf partial;  /* the field (or line) that lies across chunks */
};

void header_scan_init(struct header_scan *s, size_t limit, header_field_fn *on_field, void *owner);
void header_scan_clear(struct header_scan *s);
/* Reads on. *used: bytes of the chunk that belong to the header (all of them for HEADER_MORE). When a
 * missing blank line is found out only in a later chunk, the line held back is in header_scan_rest:
 * it is body. */
enum header_state header_scan(struct header_scan *s, struct str chunk, size_t *used);
/* The message is over: a last field without an end is given out. Returns HEADER_END or
 * HEADER_TOO_LARGE. */
enum header_state header_scan_finish(struct header_scan *s);
/* Bytes taken by earlier calls that turned out to be body (no line end, no colon); mostly empty. */
struct str header_scan_rest(const struct header_scan *s);

/* Appends the value on one line: folding removed, blanks at both ends cut. */
void header_unfold(struct buf *out, struct str value);

/* Walks the addresses of an address list (From, To ...): RFC 5322 with groups, comments, quoted
 * strings and obsolete syntax. Start with *rest = value. Writes the next addr-spec (comments and
 * blanks removed, local part quoted only as written) into `addr`, which is emptied first; true while
 * there is one. *bad (may be NULL) is set when something could be no address; what can be read
 * around it still is. */
bool header_next_address(struct str *rest, struct buf *addr, bool *bad);
/* "<id@host>" in a Message-ID value: the first one with its brackets; empty when there is none. */
struct str header_message_id(struct str value);
