/* The part of a report that people read. */
#pragma once
#include "smtp/dsn.h"

/* Appends text with everything that could break a line or a header taken out: control bytes become
 * blanks; bytes outside ASCII become '?' unless utf8 (and the text is UTF-8). At most `longest`. */
void dsn_add_clean(struct buf *out, struct str text, size_t longest, bool utf8);
/* What the report is about as a whole: the worst of its recipients' actions. */
enum dsn_action dsn_worst(const struct dsn_report *r);
/* "Undelivered mail", "Delayed mail (still being retried)" ... */
const char *dsn_subject(enum dsn_action action);
/* The whole text, lines ended by CRLF. */
void dsn_write_text(struct buf *out, const struct dsn_report *r, bool utf8);
