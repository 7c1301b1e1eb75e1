/* The message that carries a report: built piece by piece, so that no turn of the loop is long. Pure.
 *
 *   letter_begin --- letter_add (XML) ... --- letter_end --- letter_write (a whole message) for each destination
 *
 * Holds the compressed report only, of LETTER_MAX bytes at most. */
#pragma once
#include "base/buf.h"

#define ZLIB_CONST
#include <zlib.h>

enum { LETTER_MAX = 10 * 1024 * 1024 };

struct letter {
    z_stream z;
    bool open, failed; /* failed: it is too large */
    struct buf packed;
};

/* What differs from report to report, and from destination to destination. */
struct letter_head {
    struct str from, to, subject;
    struct str message_id; /* without brackets */
    struct str file_name, type, words; /* of the attachment; words: for people */
    struct str fields;   /* more header fields, with line ends */
    struct str multipart; /* "mixed" */
    int64_t now;
};

void letter_begin(struct letter *l);
void letter_add(struct letter *l, struct str bytes);
/* False: it does not fit. */
bool letter_end(struct letter *l);
void letter_write(const struct letter *l, const struct letter_head *h, struct buf *out);
void letter_clear(struct letter *l);
