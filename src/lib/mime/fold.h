/* Text as it is compared: for SEARCH, SORT and THREAD. */
#pragma once
#include "base/buf.h"

/* Folds for searching: full Unicode case folding of the compatibility decomposition (NFKD), accents kept. It finds all
 * that i;unicode-casemap of RFC 5051 does, and "strasse" in "Straße". Text that is no UTF-8 stays as it is. */
void mime_casefold(struct str utf8, struct buf *out);
/* The same of text that goes on: gives how many bytes were folded; the rest, at most some KB, is to stand before what follows.
 * All parts together, the last with mime_casefold, give what the whole would. */
size_t mime_casefold_part(struct str utf8, struct buf *out);
/* The base subject of RFC 5256, section 2.1; *is_reply when a Re:, Fw: or (fwd) was taken off. `value` is decoded
 * already; only its first 4 KB count. */
void mime_base_subject(struct str value, struct buf *out, bool *is_reply);
