/* The texts of a search, looked for in one message after the other: all of them in one pass, a little at a time. */
#pragma once
#include "imap.h"

/* What of the message must be known to say whether it is there. */
enum scan_level { SCAN_ROW, SCAN_READY, SCAN_HEADER, SCAN_BODY };

struct scan;

struct scan *scan_new(struct imap *im);
size_t scan_memory(const struct scan *s);
void scan_free(struct scan *s);
/* The text (folded) of a key HEADER, BODY or TEXT, which live as long as the scan; gives its number. Before the first message. */
size_t scan_add(struct scan *s, const struct imap_search_key *key);
void scan_open(struct scan *s, const struct store_message *m); /* another message */
/* Goes on until the level is reached or every text was found (*done), or until it is time for another turn. Before the next call
 * the message must be looked up anew: it may be gone. */
MUST_CHECK bool scan_go_on(struct scan *s, enum scan_level level, bool *done, struct err *err);
/* Found so far? If not, *level: that is not the last word before this level is reached; SCAN_ROW: it is. */
bool scan_found(const struct scan *s, size_t number, enum scan_level *level);
/* The day on which the message was sent, since 1970; *level as above. */
int64_t scan_sent(const struct scan *s, enum scan_level *level);
