/* Writes JSON objects: rows of commands and details of events. Flat on purpose.
 *
 *   json_open(&b); json_str(&b, "rcpt", rcpt); json_int(&b, "attempts", 3); json_close(&b);
 *
 * Text that is not UTF-8 has its bad bytes replaced by U+FFFD; control bytes are escaped. */
#pragma once
#include "base/buf.h"

void json_open(struct buf *out);
void json_close(struct buf *out);
void json_str(struct buf *out, const char *key, struct str value);
void json_int(struct buf *out, const char *key, int64_t value);
void json_bool(struct buf *out, const char *key, bool value);
void json_time(struct buf *out, const char *key, int64_t time); /* RFC 3339 UTC; null for 0 */
void json_quote(struct buf *out, struct str value); /* a string alone */

/* Reads back what the above wrote: the value of a top-level string, number or boolean as text,
 * unescaped into out. False when the key is not there. */
bool json_read(struct str object, const char *key, struct buf *out);
