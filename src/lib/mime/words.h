/* Encoded words in header fields (RFC 2047, with the language of RFC 2231). */
#pragma once
#include "base/buf.h"

/* Adds a header value as a reader sees it: unfolded, encoded words decoded, the rest as UTF-8 or windows-1252. Blanks
 * between words are dropped; a character may be split over words of one charset. Words are found inside other text
 * and may hold blanks, as many mailers write them. */
void mime_decode_words(struct str value, struct buf *out);
